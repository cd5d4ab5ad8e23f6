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
from dataclasses import dataclass
from typing import Protocol, cast

import yaml
from yaml import events
from yaml._yaml import CParser

from xds.documents import yaml_errors
from xds.documents.defect import Defect, Path, printable, quoted
from xds.documents.text import EmptyDocumentError, Mark, UnreadableError

MAX_DEPTH = 32
"""How deep lists and mappings may nest; the language itself needs eight levels."""

MAX_VALUES = 50_000
"""How many keys and values a document may hold."""

_NO_VALUE = "has no value"
_FIRST_OF_NUMBER = frozenset("-+.0123456789")
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_ODD = _NULLS | _BOOLEANS.keys() | {"<<"}
"""Plain scalars that are no text, or, as a key, no name."""

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
        return _mark(self.at)


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
        if not self.plain:
            return text
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if text[:1] not in _FIRST_OF_NUMBER:
            return text
        if _INT.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return self if self.is_number else text


@dataclass(slots=True)
class Sequence(_Node):
    """A list. ``value`` has the plain values of ``items``."""

    at: Position
    items: "list[Node]"
    value: "list[Data]"


@dataclass(slots=True)
class Mapping(_Node):
    """A mapping with text keys, no key twice: what they lead to, its plain values, and where they stand."""

    at: Position
    items: "dict[str, Node]"
    value: "dict[str, Data]"
    keys: dict[str, Position]

    def mark_of(self, key: str) -> Mark:
        """Return where a key stands."""
        return _mark(self.keys[key])


@dataclass(slots=True)
class Refused(_Node):
    """Something that cannot be the value of any field; it says why."""

    at: Position
    message: str
    hint: str

    @property
    def value(self) -> "Refused":
        """Itself, which fails every type check."""
        return self


Node = Scalar | Sequence | Mapping | Refused
Data = str | int | float | bool | list["Data"] | dict[str, "Data"] | Scalar | Refused
"""The plain value of a node. What has none stands for itself and so fails every type check."""


def is_null(node: Node) -> bool:
    """Whether a node is written as ``null``, ``~`` or nothing at all."""
    return isinstance(node, Refused) and node.message == _NO_VALUE


def without_value(node: Node, path: Path = ()) -> Iterator[tuple[Path, Mark, str, str]]:
    """Yield what below ``node`` has no value, but for nulls: path, position, what is wrong, and a hint."""
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from without_value(item, (*path, index))
    elif isinstance(node, Mapping):
        for key, item in node.items.items():
            yield from without_value(item, (*path, key))
    elif isinstance(node, Refused) and not is_null(node):
        yield path, node.mark, node.message, node.hint
    elif isinstance(node, Scalar) and node.value is node:
        message = f"the number {printable(node.text)} is not plainly decimal"
        yield path, node.mark, message, f"write it without leading zeros, or as text: {quoted(node.text)}"


def find(root: Node, path: Path) -> Node | None:
    """Return the node at ``path``, if there is one."""
    node: Node | None = root
    for step in path:
        if isinstance(step, str):
            node = node.items.get(step) if isinstance(node, Mapping) else None
        elif isinstance(node, Sequence) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def locate(root: Node, path: Path, *, at_key: bool = False) -> Mark:
    """Return where ``path`` stands, or the nearest thing around it that exists."""
    node = find(root, path)
    if path and (at_key or node is None):
        around = find(root, path[:-1])
        if isinstance(around, Mapping) and path[-1] in around.items:
            return around.mark_of(str(path[-1]))
    return node.mark if node else locate(root, path[:-1])


def compose(text: str, most: int = MAX_VALUES) -> tuple[Node, list[tuple[Mark, Defect]]]:
    """Return the tree of ``text``, and what is wrong with its keys.

    ``most`` is how many keys and values there may be. Raise ``UnreadableError`` if it is not one document.
    """
    composer = _Composer(text, most)
    try:
        return composer.document(), composer.defects
    except yaml.YAMLError as error:
        raise yaml_errors.explain(error, text) from None


# The kinds of libyaml's events, for comparing: asking ``isinstance`` costs more.
_ALIAS: type = events.AliasEvent
_SCALAR: type = events.ScalarEvent
_SEQUENCE: type = events.SequenceStartEvent
_SEQUENCE_END: type = events.SequenceEndEvent
_MAPPING_END: type = events.MappingEndEvent
_STREAM_END: type = events.StreamEndEvent


class _Event(Protocol):
    """What is used of libyaml's events; each has those of the attributes that its kind has."""

    start_mark: Position
    anchor: str | None
    tag: str | None
    value: str
    style: str | None


class _Composer:
    """Recursive descent over libyaml's events, as deep as ``MAX_DEPTH``.

    Nearly all events are scalars that are their text. ``_sequence`` and ``_mapping`` take these in their
    loops, since a call for each would be a tenth of what a start spends on reading; all others go to
    ``_node``.
    """

    def __init__(self, text: str, most: int) -> None:
        # What is wrong with keys. Written by ``_defect``, cleared where a whole collection is refused.
        self.defects: list[tuple[Mark, Defect]] = []
        # None comes only behind the end of the stream, which is never read.
        self._next = cast("Callable[[], _Event]", CParser(text).get_event)
        # Where the next event stands, and how deep. Written on the way down and up.
        self._path: list[str | int] = []
        self._most = most
        self._left = most  # keys and values that there may be yet
        self._depth = 0

    def document(self) -> Node:
        self._next()  # the stream begins
        begin: object = self._next()
        if not isinstance(begin, events.DocumentStartEvent):
            raise EmptyDocumentError(Mark(1, 1), "the document is empty", "delete it, or write something")
        if begin.version or begin.tags:
            at = cast("_Event", begin).start_mark
            raise UnreadableError(_mark(at), "directives (%) are not supported", "remove the line")
        root = self._node(self._next())
        self._next()  # the document ends
        after = self._next()
        if type(after) is not _STREAM_END:
            message = "a second YAML document begins here"
            raise UnreadableError(_mark(after.start_mark), message, "write one document per service")
        return root

    def _node(self, event: _Event) -> Node:
        at, kind = event.start_mark, type(event)
        self._left -= 1
        if self._left < 0:
            message = f"more than {self._most:,} keys and values"
            raise UnreadableError(_mark(at), message, "split the document or shorten its lists")
        if kind is _ALIAS:
            return _refused(event)
        if kind is not _SCALAR:
            return self._collection(event)
        if event.anchor is not None or event.tag is not None:
            return _refused(event)
        if not event.style and event.value in _NULLS:
            return Refused(at, _NO_VALUE, "write one, or remove it")
        return Scalar(at, event.value, not event.style)

    def _collection(self, event: _Event) -> Node:
        at = event.start_mark
        if self._depth == MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            raise UnreadableError(_mark(at), message, "is a bracket not closed?")
        self._depth += 1
        known = len(self.defects)
        collection = self._sequence(at) if type(event) is _SEQUENCE else self._mapping(at)
        self._depth -= 1
        if event.anchor is None and event.tag is None:
            return collection
        del self.defects[known:]  # what is wrong inside does not matter any more
        return _refused(event)

    def _sequence(self, at: Position) -> Sequence:
        items: list[Node] = []
        values: list[Data] = []
        following = self._next
        while (kind := type(event := following())) is not _SEQUENCE_END:
            if kind is _SCALAR and (text := _text(event)) is not None and self._left:
                self._left -= 1
                items.append(Scalar(event.start_mark, text, not event.style))
                values.append(text)
                continue
            self._path.append(len(items))
            item = self._node(event)
            self._path.pop()
            items.append(item)
            values.append(item.value)
        return Sequence(at, items, values)

    def _mapping(self, at: Position) -> Mapping:
        items: dict[str, Node] = {}
        values: dict[str, Data] = {}
        keys: dict[str, Position] = {}
        following = self._next
        while (kind := type(event := following())) is not _MAPPING_END:
            name = _text(event) if kind is _SCALAR and self._left else None
            if name is None or name in keys:
                key = self._node(event)
                name = self._key(key)
                if name is None or name in keys:
                    self._skip(key, name, keys)
                    continue
            else:
                self._left -= 1
            keys[name] = event.start_mark
            event = following()
            if type(event) is _SCALAR and (text := _text(event)) is not None and self._left:
                self._left -= 1
                items[name] = Scalar(event.start_mark, text, not event.style)
                values[name] = text
                continue
            self._path.append(name)
            items[name] = item = self._node(event)
            self._path.pop()
            values[name] = item.value
        return Mapping(at, items, values, keys)

    def _skip(self, key: Node, name: str | None, keys: dict[str, Position]) -> None:
        """Read over the value of a key that gives no name, or one that is given already."""
        if name is None:
            self._node(self._next())
            return
        self._path.append(name)
        line, column = _mark(keys[name])
        self._defect(key, f"is given twice, first at line {line}, column {column}", "keep one")
        self._node(self._next())
        self._path.pop()

    def _key(self, key: Node) -> str | None:
        """Return the name that a key gives; None if it gives none."""
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


def _text(event: _Event) -> str | None:
    """Return the text of a scalar if that is its value; None if it has to be looked at."""
    if event.anchor is None and event.tag is None:
        text = event.value
        if event.style or (text not in _ODD and text[:1] not in _FIRST_OF_NUMBER):
            return text
    return None


def _mark(at: Position) -> Mark:
    return Mark(at.line + 1, at.column + 1)


def _refused(event: _Event) -> Refused:
    if event.anchor is not None:
        message = f"anchors and aliases (&, *) are not supported: {printable(event.anchor)}"
        return Refused(event.start_mark, message, "write the value out")
    message = f"tags (!) are not supported: {printable(str(event.tag))}"
    return Refused(event.start_mark, message, "write text in quotes instead")
