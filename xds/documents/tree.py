"""A document as a tree of values that know where they stand.

YAML is read through libyaml's events, not through its composer: that keeps a position for every key and
value, and lets nesting, number of values and time be bounded. JSON is YAML here. Scalars are read by the
core schema of YAML 1.2 (section 10.3), so ``no`` and ``on`` are text; what YAML 1.1 and 1.2 read
differently (``010``, ``0x1F``) has no value and fits no field. Anchors, aliases, merge keys and tags are
refused: nothing in a rule needs them, and without them a document is as large as it looks.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number or boolean. ``plain``: written without quotes."""

    mark: Mark
    text: str
    plain: bool

    @property
    def is_number(self) -> bool:
        """Whether YAML reads it as a number, in whatever notation."""
        return self.plain and _NUMBER.fullmatch(self.text) is not None

    @property
    def value(self) -> "str | int | float | bool | Scalar":
        """The value; itself, which fits no field, for a number that is not plainly decimal."""
        if not self.plain:
            return self.text
        if _TRUE.fullmatch(self.text):
            return True
        if _FALSE.fullmatch(self.text):
            return False
        if _INT.fullmatch(self.text):
            return int(self.text)
        if _DECIMAL.fullmatch(self.text) and math.isfinite(number := float(self.text)):
            return number
        return self if self.is_number else self.text


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: "list[Node]" = field(default_factory=list)


class Entry(NamedTuple):
    """A value of a mapping and where its key stands."""

    mark: Mark
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping with text keys, no key twice."""

    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that cannot be the value of any field; it says why."""

    mark: Mark
    message: str
    hint: str


Node = Scalar | Sequence | Mapping | Refused
Data = str | int | float | bool | list["Data"] | dict[str, "Data"] | Scalar | Refused


def data(node: Node) -> Data:
    """The plain values below ``node``. What has none stands for itself and so fails every type check."""
    match node:
        case Scalar():
            return node.value
        case Sequence(items=items):
            return [data(item) for item in items]
        case Mapping():
            return mapping_data(node)
        case Refused():
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
        self._loader = yaml.CSafeLoader(text)
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
        root = self._node(())
        self._next()  # the document ends
        after = self._next()
        if not isinstance(after, events.StreamEndEvent):
            raise UnreadableError(
                _mark(after), "a second YAML document begins here", "write one document per service"
            )
        return root

    def _next(self) -> events.Event:
        event = self._loader.get_event()
        assert event is not None  # only past the end of the stream
        return event

    def _node(self, path: Path) -> Node:
        event = self._next()
        mark = _mark(event)
        self._count(mark)
        refused = _refusal(event, mark)
        if isinstance(event, events.CollectionStartEvent):
            known = len(self.defects)
            collection = self._collection(event, mark, path)
            if refused is None:
                return collection
            del self.defects[known:]  # what is wrong inside does not matter any more
        if refused is not None:
            return refused
        assert isinstance(event, events.ScalarEvent)
        plain = not event.style
        if plain and _NULL.fullmatch(event.value):
            return Refused(mark, _NO_VALUE, "write one, or remove it")
        return Scalar(mark, event.value, plain)

    def _collection(self, event: events.CollectionStartEvent, mark: Mark, path: Path) -> Node:
        if self._depth == MAX_DEPTH:
            raise UnreadableError(
                mark, f"nested more than {MAX_DEPTH} levels deep", "is a bracket not closed?"
            )
        self._depth += 1
        inside = self._sequence if isinstance(event, events.SequenceStartEvent) else self._mapping
        collection = inside(mark, path)
        self._depth -= 1
        return collection

    def _sequence(self, mark: Mark, path: Path) -> Sequence:
        sequence = Sequence(mark)
        while not self._loader.check_event(events.SequenceEndEvent):
            sequence.items.append(self._node((*path, len(sequence.items))))
        self._next()
        return sequence

    def _mapping(self, mark: Mark, path: Path) -> Mapping:
        mapping = Mapping(mark)
        while not self._loader.check_event(events.MappingEndEvent):
            key = self._node(path)
            name = self._key(key, path)
            value = self._node(path if name is None else (*path, name))
            if name is None:
                continue
            if first := mapping.entries.get(name):
                message = f"is given twice, first at line {first.mark.line}, column {first.mark.column}"
                self._defect(key.mark, (*path, name), message, "keep one")
            else:
                mapping.entries[name] = Entry(key.mark, value)
        self._next()
        return mapping

    def _key(self, key: Node, path: Path) -> str | None:
        match key:
            case Scalar(text="<<", plain=True):
                self._defect(key.mark, path, "merge keys (<<) are not supported", "write the fields out")
            case Scalar(text=text) if isinstance(key.value, str):
                return text
            case Scalar(text=text):
                hint = f"write it in quotes: {quoted(text)}"
                self._defect(key.mark, (*path, text), f"the key {printable(text)} is not text", hint)
                return text
            case Refused(message=message) if message == _NO_VALUE:
                self._defect(key.mark, path, "a key is missing before ':'")
            case Refused(message=message, hint=hint):
                self._defect(key.mark, path, message, hint)
            case _:
                self._defect(key.mark, path, "a list or mapping cannot be a key", "write text before ':'")
        return None

    def _count(self, mark: Mark) -> None:
        self._values += 1
        if self._values > self._most:
            raise UnreadableError(
                mark, f"more than {self._most:,} keys and values", "split the document or shorten its lists"
            )

    def _defect(self, mark: Mark, path: Path, message: str, hint: str = "") -> None:
        self.defects.append((mark, Defect(path, message, hint)))


def _mark(event: events.Event) -> Mark:
    assert event.start_mark is not None  # libyaml always says where
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _refusal(event: events.Event, mark: Mark) -> Refused | None:
    if isinstance(event, events.AliasEvent) or (isinstance(event, events.NodeEvent) and event.anchor):
        message = f"anchors and aliases (&, *) are not supported: {printable(str(event.anchor))}"
        return Refused(mark, message, "write the value out")
    tag = getattr(event, "tag", None)
    if tag is not None:
        message = f"tags (!) are not supported: {printable(tag)}"
        return Refused(mark, message, "write text in quotes instead")
    return None
