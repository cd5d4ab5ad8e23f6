"""Hypothesis strategies for instances of any ``envoy_data_plane`` message class, from its field metadata."""

import dataclasses
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import betterproto2
from envoy_data_plane.google.protobuf import Duration, Timestamp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

M = TypeVar("M", bound=betterproto2.Message)

INTEGER_BITS = {
    betterproto2.TYPE_INT32: (True, 32),
    betterproto2.TYPE_SINT32: (True, 32),
    betterproto2.TYPE_SFIXED32: (True, 32),
    betterproto2.TYPE_INT64: (True, 64),
    betterproto2.TYPE_SINT64: (True, 64),
    betterproto2.TYPE_SFIXED64: (True, 64),
    betterproto2.TYPE_UINT32: (False, 32),
    betterproto2.TYPE_FIXED32: (False, 32),
    betterproto2.TYPE_UINT64: (False, 64),
    betterproto2.TYPE_FIXED64: (False, 64),
}


# Time is no reason to fail: pydantic completes classes on first use, and machines are busy.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class MessageField:
    """One field of a message class. ``types`` are the Python types in its annotation: one, for maps two."""

    name: str
    meta: betterproto2.FieldMetadata
    types: tuple[Any, ...]


@cache
def fields_of(message_class: type[betterproto2.Message]) -> tuple[MessageField, ...]:
    return tuple(_fields(message_class))


def _fields(message_class: type[betterproto2.Message]) -> Iterator[MessageField]:
    hints = typing.get_type_hints(message_class, vars(sys.modules[message_class.__module__]), {})
    for field in dataclasses.fields(message_class):  # type: ignore[arg-type]  # the base class is not one
        hint = hints[field.name]
        types = tuple(each for each in typing.get_args(hint) if each is not type(None)) or (hint,)
        yield MessageField(field.name, betterproto2.FieldMetadata.get(field), types)


# Neither NaN, which is unequal to itself inside lists, nor -0.0, which stock encoding takes for zero:
# both have a test of their own.
def _floats(width: typing.Literal[32, 64]) -> st.SearchStrategy[float]:
    return st.floats(width=width, allow_nan=False).map(lambda value: value + 0.0)


def _integers(signed: bool, bits: int) -> st.SearchStrategy[int]:
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.sampled_from([0, 1, 127, 128, lowest, highest]) | st.integers(lowest, highest)


_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    betterproto2.TYPE_BOOL: st.booleans(),
    betterproto2.TYPE_STRING: st.text(max_size=8) | st.just("x" * 128),
    betterproto2.TYPE_BYTES: st.binary(max_size=8),
    betterproto2.TYPE_FLOAT: _floats(32),
    betterproto2.TYPE_DOUBLE: _floats(64),
    **{proto_type: _integers(*bits) for proto_type, bits in INTEGER_BITS.items()},
}


@dataclass(frozen=True)
class Messages:
    """What the generated messages may hold."""

    durations: st.SearchStrategy[timedelta]
    map_size: int = 3
    depth: int = 3

    def of(self, message_class: type[M]) -> st.SearchStrategy[M]:
        return _message(self, message_class, self.depth)

    def _value(
        self, meta: betterproto2.FieldMetadata, python_type: Any, depth: int
    ) -> st.SearchStrategy[Any]:
        if meta.proto_type == betterproto2.TYPE_ENUM:
            known = st.sampled_from(list(python_type))
            return known | _integers(signed=True, bits=32).map(python_type)
        if meta.proto_type != betterproto2.TYPE_MESSAGE:
            return _SCALARS[meta.proto_type]
        if meta.unwrap is None:
            return _message(self, python_type, depth - 1)
        wrapper = meta.unwrap()
        if wrapper is Duration:
            return self.durations
        if wrapper is Timestamp:
            return st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
        (field,) = fields_of(wrapper)
        return _SCALARS[field.meta.proto_type]

    def field(self, field: MessageField, depth: int) -> st.SearchStrategy[Any]:
        if field.meta.map_meta is not None:
            key_meta, value_meta = field.meta.map_meta
            return st.dictionaries(
                self._value(key_meta, field.types[0], depth),
                self._value(value_meta, field.types[1], depth),
                max_size=self.map_size,
            )
        value = self._value(field.meta, field.types[0], depth)
        return st.lists(value, max_size=3) if field.meta.repeated else value


@st.composite
def _message(draw: st.DrawFn, messages: Messages, message_class: type[M], depth: int) -> M:
    fields = [field for field in fields_of(message_class) if depth > 0 or not _holds_messages(field)]
    if not fields:
        return message_class()
    chosen = draw(
        st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda field: field.meta.group or field.name)
    )
    return message_class(**{field.name: draw(messages.field(field, depth)) for field in chosen})


def _holds_messages(field: MessageField) -> bool:
    metas = field.meta.map_meta or (field.meta,)
    return any(meta.proto_type == betterproto2.TYPE_MESSAGE and meta.unwrap is None for meta in metas)


PLAIN = Messages(durations=st.timedeltas(timedelta(0), timedelta(days=10_000)), map_size=1)
"""Only what stock encoding writes deterministically and right: no two entries in a map, no negative duration,
none that does not fit into the double that stock encoding computes with."""

ANY = Messages(durations=st.timedeltas(-timedelta(days=3_652_500), timedelta(days=3_652_500)))
"""All that protobuf allows; of durations, what ``google.protobuf.Duration`` is documented to hold."""
