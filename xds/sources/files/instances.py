"""The instances of a service, written in a file.

`<service>.yaml` (or .yml, .json) holds a list; only address and port must be given::

    - address: 127.0.0.1
      port: 9101
      weight: 1          # 0 to 10000
      healthy: true
      metadata: {version: v1}

Metadata is text as written: `version: 1.10` means "1.10", quoted or not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from rapidfuzz import process

from xds.documents.problem import Problem
from xds.rules.instance import Instance
from xds.sources.endpoint import address_problem, port_problem, weight_problem

_DEEPEST = 8
_MOST_PROBLEMS = 20
# The base loader makes every scalar the text it was written as.
_LOADER: type[yaml.BaseLoader] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_FIELDS = ("address", "port", "weight", "healthy", "metadata")

# What pydantic calls it → what is wrong, what would be right.
_SAID = {
    "missing": ("missing", "every instance has an address and a port"),
    "list_type": ("must be a list", "write one '- address: …' for each instance, [] for none"),
    "model_type": ("must be an instance", "write address: and port: for each"),
    "dict_type": ("must be names and values", "write such as {version: v1}"),
    "string_type": ("must be plain text", ""),
    "int_parsing": ("must be an integer", "such as 9101"),
    "int_type": ("must be an integer", "such as 9101"),
    "float_parsing": ("must be a number", "such as 1 or 0.5"),
    "float_type": ("must be a number", "such as 1 or 0.5"),
    "bool_parsing": ("must be true or false", ""),
    "bool_type": ("must be true or false", ""),
}


def _without(problem: Callable[[Any], str | None]) -> AfterValidator:
    def check(value: Any) -> Any:
        if message := problem(value):
            raise PydanticCustomError("endpoint", "{message}", {"message": message})
        return value

    return AfterValidator(check)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, _without(address_problem)]
    port: Annotated[int, _without(port_problem)]
    weight: Annotated[float, _without(weight_problem)] = 1.0
    healthy: bool = True
    metadata: dict[str, str] = {}


_ENTRIES = TypeAdapter(list[_Entry])


@dataclass(frozen=True, slots=True)
class ParsedInstances:
    """The instances of a file, or None and what is wrong with it."""

    instances: tuple[Instance, ...] | None
    problems: tuple[Problem, ...] = ()


def parse_instances(document: str, content: bytes) -> ParsedInstances:
    """Read an instance file. Never raises; tells all that is wrong at once."""
    try:
        root, data = _load(content)
    except _MalformedError as malformed:
        return ParsedInstances(
            None, (Problem(document, malformed.line, malformed.column, "", str(malformed)),)
        )
    problems = [
        Problem(document, *_position(key), _path(place), f"{key.value} is already given above", "keep one")
        for place, key in _duplicate_keys(root, ())
    ]
    try:
        entries = _ENTRIES.validate_python(data)
    except ValidationError as error:
        entries = []
        problems += [_told(document, root, details) for details in error.errors(include_url=False)]
    problems += [
        Problem(document, *_position(node), _path((index,)), f"{at} is already in the list", "keep one")
        for index, node, at in _duplicate_endpoints(root, entries)
    ]
    if problems:
        return ParsedInstances(None, tuple(sorted(problems)[:_MOST_PROBLEMS]))
    return ParsedInstances(tuple(Instance(**entry.model_dump()) for entry in entries))


class _MalformedError(Exception):
    """Not YAML at all."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def _load(content: bytes) -> tuple[yaml.Node | None, object]:
    """The document as nodes, which know where they stand, and as values."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        raise _MalformedError("not UTF-8", before.count(b"\n") + 1, error.start - line_start + 1) from None
    try:
        _refuse_deep(text)
        loader = _LOADER(text)
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise _MalformedError(error.problem or "not YAML", line, column) from None
    except yaml.YAMLError as error:
        raise _MalformedError(str(error).splitlines()[0]) from None


def _refuse_deep(text: str) -> None:
    """Composing recurses: a million brackets must not end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            mark = event.start_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            raise _MalformedError("nested too deeply", line, column)


_Place = tuple[int | str, ...]


def _told(document: str, root: yaml.Node | None, details: ErrorDetails) -> Problem:
    place = details["loc"]
    unknown = details["type"] == "extra_forbidden"
    if unknown:
        close = process.extractOne(str(place[-1]), _FIELDS, score_cutoff=60)
        message = "unknown field"
        hint = f"did you mean {close[0]}?" if close else f"the fields are {', '.join(_FIELDS)}"
    else:
        message, hint = _SAID.get(details["type"], (details["msg"], ""))
    return Problem(document, *_position(_find(root, place, key=unknown)), _path(place), message, hint)


def _find(root: yaml.Node | None, place: _Place, *, key: bool) -> yaml.Node | None:
    """The deepest node there is on the way to a place; for its last step the key itself, if asked."""
    node = root
    for depth, step in enumerate(place):
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == step), None)
            if pair is None:
                return node
            node = pair[0] if key and depth == len(place) - 1 else pair[1]
        else:
            return node
    return node


def _duplicate_keys(node: yaml.Node | None, place: _Place) -> Iterator[tuple[_Place, yaml.ScalarNode]]:
    """Keys given twice in an instance or its metadata: YAML alone would let the last one win."""
    if isinstance(node, yaml.SequenceNode) and not place:
        for index, item in enumerate(node.value):
            yield from _duplicate_keys(item, (index,))
    elif isinstance(node, yaml.MappingNode) and len(place) < 3:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                yield (*place, key.value), key
            seen.add(key.value)
            yield from _duplicate_keys(value, (*place, key.value))


def _duplicate_endpoints(
    root: yaml.Node | None, entries: list[_Entry]
) -> Iterator[tuple[int, yaml.Node | None, str]]:
    seen: set[tuple[str, int]] = set()
    for index, entry in enumerate(entries):
        endpoint = (entry.address, entry.port)
        if endpoint in seen:
            yield index, _find(root, (index,), key=False), f"{entry.address}:{entry.port}"
        seen.add(endpoint)


def _position(node: yaml.Node | None) -> tuple[int, int]:
    return (1, 1) if node is None else (node.start_mark.line + 1, node.start_mark.column + 1)


def _path(place: _Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
