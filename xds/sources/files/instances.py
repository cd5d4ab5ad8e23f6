"""The instances of a service, written in a file.

``<service>.yaml`` (or .yml, .json) holds a list; only address and port must be given::

    - address: 127.0.0.1
      port: 9101
      weight: 1          # 0 to 10000
      healthy: true
      metadata: {version: v1}

Metadata is text as written: ``version: 1.10`` means "1.10", quoted or not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Strict

from xds.documents import tree
from xds.documents.defect import Defect, invalid, render
from xds.documents.problem import Problem
from xds.documents.schema_errors import Reader
from xds.documents.text import Mark, UnreadableError, decode
from xds.rules.instance import Instance
from xds.sources.endpoint import (
    DEFAULT_LOCALITIES,
    LocalitySources,
    address_problem,
    port_problem,
    weight_problem,
)

MAX_BYTES = 10 << 20
"""The largest instance file that is read: some 100,000 instances."""

_MAX_VALUES = 2_000_000
_MAX_PROBLEMS = 20


def _without(problem: Callable[[Any], str | None]) -> AfterValidator:
    def check(value: Any) -> Any:
        if message := problem(value):
            raise invalid(message)
        return value

    return AfterValidator(check)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, _without(address_problem)]
    port: Annotated[int, _without(port_problem)]
    weight: Annotated[float, _without(weight_problem)] = 1.0
    healthy: Annotated[bool, Strict()] = True
    metadata: dict[str, str] = {}


_READER = Reader(
    list[_Entry],
    examples={_Entry: "such as {{address: 10.0.0.1, port: 8080}}"},
    missing={"address": "every instance has an address and a port", "port": "every instance has a port"},
)


@dataclass(frozen=True, slots=True)
class ParsedInstances:
    """The instances of a file, or None and what is wrong with it."""

    instances: tuple[Instance, ...] | None
    problems: tuple[Problem, ...] = ()


def parse_instances(
    document: str, content: bytes, localities: LocalitySources = DEFAULT_LOCALITIES
) -> ParsedInstances:
    """Read an instance file. It raises nothing, and tells all that is wrong at once."""
    try:
        root, found = tree.compose(decode(content, MAX_BYTES), _MAX_VALUES)
    except UnreadableError as error:
        return ParsedInstances(None, (Problem(document, *error.mark, "", error.message, error.hint),))
    entries, defects = _READER.read(root, _values(root))
    defects += _duplicates(entries or [])
    found += [(tree.locate(root, one.path, at_key=one.at_key), one) for one in defects]
    if entries is None or found:
        problems = sorted(_problem(document, mark, one) for mark, one in found)
        return ParsedInstances(None, tuple(problems[:_MAX_PROBLEMS]))
    return ParsedInstances(tuple(_built(entry, localities) for entry in entries))


def _built(entry: _Entry, localities: LocalitySources) -> Instance:
    return Instance(**entry.model_dump(), locality=localities.of(entry.metadata))


def _values(root: tree.Node) -> tree.Data:
    """Return the plain values of the file; those of metadata are the texts that they are written as."""
    if not isinstance(root, tree.Sequence):
        return root.value
    return [_instance(item) if isinstance(item, tree.Mapping) else item.value for item in root.items]


def _instance(item: tree.Mapping) -> dict[str, tree.Data]:
    metadata = item.items.get("metadata")
    if not isinstance(metadata, tree.Mapping):
        return item.value
    texts: dict[str, tree.Data] = {
        key: value.text if isinstance(value, tree.Scalar) else value.value
        for key, value in metadata.items.items()
    }
    return {**item.value, "metadata": texts}


def _duplicates(entries: list[_Entry]) -> Iterator[Defect]:
    seen: set[tuple[str, int]] = set()
    for index, entry in enumerate(entries):
        endpoint = (entry.address, entry.port)
        if endpoint in seen:
            yield Defect((index,), f"{entry.address}:{entry.port} is already in the list", "keep one")
        seen.add(endpoint)


def _problem(document: str, mark: Mark, defect: Defect) -> Problem:
    return Problem(document, *mark, render(defect.path), defect.message, defect.hint)
