"""Manifests of Kubernetes, read so that nothing in them is passed over in silence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, Any]
"""The plain values of a document or of a part of one."""


@dataclass(slots=True)
class Imported:
    """What came of manifests.

    ``documents`` are rule documents by name. ``notes`` say what could not be carried over, and what means
    something else here.
    """

    documents: dict[str, Values] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Fields:
    """A mapping of a manifest. Whoever reads a field takes it out; what is left was not carried over."""

    def __init__(self, values: object, path: str) -> None:
        self._values: Values = dict(values) if isinstance(values, Mapping) else {}
        # The fields inside these. Written by ``_add``.
        self._inner: list[Fields] = []
        self.path = path

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, default: Any = None) -> Any:
        """Take out a plain value."""
        return self._values.pop(key, default)

    def put(self, key: str, value: object) -> None:
        """Put back what could not be carried over after all."""
        self._values[key] = value

    def forget(self) -> None:
        """Leave nothing: a note says already that none of this was carried over."""
        self._values, self._inner = {}, []

    def within(self, key: str) -> "Fields":
        """Take out a mapping; an empty one if it is not there."""
        return self._add(Fields(self._values.pop(key, None), f"{self.path}.{key}" if self.path else key))

    def each(self, key: str) -> "list[Fields]":
        """Take out a list of mappings."""
        values = self._values.pop(key, None) or []
        return [self._add(Fields(one, f"{self.path}.{key}[{index}]")) for index, one in enumerate(values)]

    def items(self, key: str) -> "list[tuple[str, Fields]]":
        """Take out a mapping of mappings."""
        values = self._values.pop(key, None) or {}
        return [(name, self._add(Fields(one, f"{self.path}.{key}.{name}"))) for name, one in values.items()]

    def left(self) -> Iterator[str]:
        """Yield the paths of what nobody took."""
        for key in self._values:
            yield f"{self.path}.{key}" if self.path else key
        for inner in self._inner:
            yield from inner.left()

    def _add(self, inner: "Fields") -> "Fields":
        self._inner.append(inner)
        return inner


def without_nothing(values: Values) -> Values:
    """Return the fields that have a value."""
    return {
        key: value
        for key, value in values.items()
        if value is not None and (value or not isinstance(value, dict | list))
    }


def baseline_of(service: str, rules: list[Values], subsets: Values, notes: list[str]) -> str:
    """Take the last rule that is for everybody as the baseline, or, if there is none, choose a subset."""
    last = rules[-1] if rules else {}
    if last and "match" not in last and len(last.get("route", [])) == 1 and set(last) == {"name", "route"}:
        rules.pop()
        return str(last["route"][0]["subset"])
    if last and "match" not in last and "route" in last:
        return str(max(last["route"], key=lambda one: one.get("weight", 1))["subset"])
    first = next(iter(subsets))
    if not (last and "match" not in last):
        notes.append(f"{service}: requests that no rule matches were answered 404; they go to {first} here")
    return str(first)
