"""A document as a tree of values that know where they stand.

YAML is read through libyaml's events, not through its composer: that keeps a position for every key and
value, and lets nesting, number of values and time be bounded. JSON is YAML here. Scalars are read by the
core schema of YAML 1.2 (section 10.3), so ``no`` and ``on`` are text; what YAML 1.1 and 1.2 read
differently (``010``, ``0x1F``) has no value and fits no field. Anchors, aliases, merge keys and tags are
refused: nothing in a rule needs them, and without them a document is as large as it looks.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

import yaml
from yaml import events

from xds.documents import yaml_errors
from xds.documents.defect import Defect, Path, printable, quoted
from xds.documents.text import EmptyDocumentError, Mark, UnreadableError

MAX_DEPTH = 32
"""How deep lists and mappings may nest; the language itself needs eight levels."""

MAX_VALUES = 50_000
"""How many keys and values a document may hold."""

_NO_VALUE = "has no value"
_FIRST = frozenset("-+.0123456789tTfF")
"""How a plain scalar begins that is no text."""

_FIRST_OF_NULL = frozenset(("", "~", "n", "N"))
_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_NUMBER = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


class Position(Protocol):
    """A position of libyaml's, which counts from 0."""

    line: int
    column: int


class _Node:
    """Something in a document."""

    __slots__ = ("at",)
    at: Position

    @property
    def mark(self) -> Mark:
        """Where it begins."""
        return Mark(self.at.line + 1, self.at.column + 1)


@dataclass(slots=True)
class Scalar(_Node):
    """A text, number or boolean. ``plain``: written without quotes."""

    at: Position
    text: str
    plain: bool

    @property
    def is_number(self) -> bool:
        """Whether YAML reads it as a number, in whatever notation."""
        return self.plain and _NUMBER.fullmatch(self.text) is not None

    @property
    def value(self) -> "str | int | float | bool | Scalar":
        """The value; itself, which fits no field, for a number that is not plainly decimal."""
        text = self.text
        if not self.plain or text[:1] not in _FIRST:
            return text
        if _INT.fullmatch(text):
            return int(text)
        if _TRUE.fullmatch(text):
            return True
        if _FALSE.fullmatch(text):
            return False
        if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return self if self.is_number else text


@dataclass(slots=True)
class Sequence(_Node):
    """A list."""

    at: Position
    items: "list[Node]" = field(default_factory=list)


class Entry(NamedTuple):
    """A value of a mapping and its key."""

    key: Scalar
    value: "Node"

    @property
    def mark(self) -> Mark:
        """Where the key stands."""
        return self.key.mark


@dataclass(slots=True)
class Mapping(_Node):
    """A mapping with text keys, no key twice."""

    at: Position
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Refused(_Node):
    """Something that cannot be the value of any field; it says why."""

    at: Position
    message: str
    hint: str


Node = Scalar | Sequence | Mapping | Refused
Data = str | int | float | bool | list["Data"] | dict[str, "Data"] | Scalar | Refused


def data(node: Node) -> Data:
    """The plain values below ``node``. What has none stands for itself and so fails every type check."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return mapping_data(node)
    if isinstance(node, Sequence):
        return [data(item) for item in node.items]
    return node


def mapping_data(node: Mapping) -> dict[str, Data]:
    """The plain values of a mapping."""
    return {key: data(entry.value) for key, entry in node.entries.items()}


def is_null(node: Node) -> bool:
    """Whether a node is written as ``null``, ``~`` or nothing at all."""
    return isinstance(node, Refused) and node.message == _NO_VALUE


def without_value(node: Node, path: Path = ()) -> Iterator[tuple[Path, Mark, str, str]]:
    """Yield what below ``node`` has no value, but for nulls: path, position, what is wrong, and a hint."""
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from without_value(item, (*path, index))
    elif isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from without_value(entry.value, (*path, key))
    elif isinstance(node, Refused) and not is_null(node):
        yield path, node.mark, node.message, node.hint
    elif isinstance(node, Scalar) and node.value is node:
        message = f"the number {printable(node.text)} is not plainly decimal"
        yield path, node.mark, message, f"write it without leading zeros, or as text: {quoted(node.text)}"


def find(root: Node, path: Path) -> Node | None:
    """The node at ``path``, if there is one."""
    node = root
    for step in path:
        if isinstance(node, Mapping) and step in node.entries:
            node = node.entries[str(step)].value
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def locate(root: Node, path: Path, *, at_key: bool = False) -> Mark:
    """Where ``path`` stands, or the nearest thing around it that exists."""
    node = find(root, path)
    if path and (at_key or node is None):
        around = find(root, path[:-1])
        if isinstance(around, Mapping) and path[-1] in around.entries:
            return around.entries[str(path[-1])].mark
    return node.mark if node else locate(root, path[:-1])


def compose(text: str, most: int = MAX_VALUES) -> tuple[Node, list[tuple[Mark, Defect]]]:
    """The tree of ``text`` and what is wrong with its keys; `UnreadableError` if it is not one document.

    ``most`` is how many keys and values there may be.
    """
    composer = _Composer(text, most)
    try:
        return composer.document(), composer.defects
    except yaml.YAMLError as error:
        raise yaml_errors.explain(error, text) from None


class _Composer:
    """Recursive descent over libyaml's events, as deep as ``MAX_DEPTH``."""

    def __init__(self, text: str, most: int) -> None:
        self.defects: list[tuple[Mark, Defect]] = []
        # None comes only behind the end of the stream, which is never read.
        self._next = cast("Callable[[], events.Event]", yaml.CSafeLoader(text).get_event)
        self._path: list[str | int] = []
        self._most = most
        self._values = 0
        self._depth = 0

    def document(self) -> Node:
        self._next()  # the stream begins
        begin = self._next()
        if not isinstance(begin, events.DocumentStartEvent):
            raise EmptyDocumentError(Mark(1, 1), "the document is empty", "delete it, or write something")
        if begin.version or begin.tags:
            raise UnreadableError(_mark(begin), "directives (%) are not supported", "remove the line")
        root = self._node(self._next())
        self._next()  # the document ends
        after = self._next()
        if not isinstance(after, events.StreamEndEvent):
            raise UnreadableError(
                _mark(after), "a second YAML document begins here", "write one document per service"
            )
        return root

    def _node(self, event: events.Event) -> Node:
        self._values += 1
        if self._values > self._most:
            message = f"more than {self._most:,} keys and values"
            raise UnreadableError(_mark(event), message, "split the document or shorten its lists")
        assert event.start_mark is not None  # libyaml always says where
        if isinstance(event, events.ScalarEvent):
            if event.anchor is not None or event.tag is not None:
                return _refused(event, event.start_mark)
            text, plain = event.value, not event.style
            if plain and text[:1] in _FIRST_OF_NULL and _NULL.fullmatch(text):
                return Refused(event.start_mark, _NO_VALUE, "write one, or remove it")
            return Scalar(event.start_mark, text, plain)
        if isinstance(event, events.AliasEvent):
            return _refused(event, event.start_mark)
        assert isinstance(event, events.CollectionStartEvent)
        return self._collection(event, event.start_mark)

    def _collection(self, event: events.CollectionStartEvent, at: Position) -> Node:
        if self._depth == MAX_DEPTH:
            raise UnreadableError(
                _mark(event), f"nested more than {MAX_DEPTH} levels deep", "is a bracket not closed?"
            )
        self._depth += 1
        known = len(self.defects)
        collection = self._sequence(at) if isinstance(event, events.SequenceStartEvent) else self._mapping(at)
        self._depth -= 1
        if event.anchor is None and event.tag is None:
            return collection
        del self.defects[known:]  # what is wrong inside does not matter any more
        return _refused(event, at)

    def _sequence(self, at: Position) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := self._next(), events.SequenceEndEvent):
            self._path.append(len(items))
            items.append(self._node(event))
            self._path.pop()
        return Sequence(at, items)

    def _mapping(self, at: Position) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(event := self._next(), events.MappingEndEvent):
            key = self._node(event)
            name = self._key(key)
            if name is None or not isinstance(key, Scalar):
                self._node(self._next())
                continue
            self._path.append(name)
            value = self._node(self._next())
            if first := entries.get(name):
                line, column = first.mark
                self._defect(key, f"is given twice, first at line {line}, column {column}", "keep one")
            else:
                entries[name] = Entry(key, value)
            self._path.pop()
        return Mapping(at, entries)

    def _key(self, key: Node) -> str | None:
        """The name that a key gives; None if it gives none."""
        if isinstance(key, Scalar):
            if key.plain and key.text == "<<":
                self._defect(key, "merge keys (<<) are not supported", "write the fields out")
                return None
            if not isinstance(key.value, str):
                hint = f"write it in quotes: {quoted(key.text)}"
                self._defect(key, f"the key {printable(key.text)} is not text", hint, key.text)
            return key.text
        if is_null(key):
            self._defect(key, "a key is missing before ':'")
        elif isinstance(key, Refused):
            self._defect(key, key.message, key.hint)
        else:
            self._defect(key, "a list or mapping cannot be a key", "write text before ':'")
        return None

    def _defect(self, node: Node, message: str, hint: str = "", *inside: str) -> None:
        self.defects.append((node.mark, Defect((*self._path, *inside), message, hint)))


def _mark(event: events.Event) -> Mark:
    assert event.start_mark is not None  # libyaml always says where
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _refused(event: events.NodeEvent, at: Position) -> Refused:
    if event.anchor is not None:
        message = f"anchors and aliases (&, *) are not supported: {printable(event.anchor)}"
        return Refused(at, message, "write the value out")
    message = f"tags (!) are not supported: {printable(str(getattr(event, 'tag', '')))}"
    return Refused(at, message, "write text in quotes instead")
