"""An independent opinion on bytes: Google's protobuf runtime, with descriptors made from field metadata.

Only what a schema says (numbers, types, labels) is taken from betterproto2. Fields are named ``f<number>``,
and enums are ``int32``, which is the same on the wire.
"""

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import betterproto2
from envoy_data_plane.google.protobuf import Duration, Timestamp
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    timestamp_pb2,
)

from .messages import MessageField, fields_of

_Field = descriptor_pb2.FieldDescriptorProto
_file_numbers = itertools.count()


@cache
def oracle_class(message_class: type[betterproto2.Message]) -> Any:
    """Class of Google's runtime for the same schema as a betterproto2 class."""
    file = descriptor_pb2.FileDescriptorProto(name=f"oracle{next(_file_numbers)}.proto", syntax="proto3")
    file.package = file.name.removesuffix(".proto")
    waiting, seen = [message_class], {message_class}
    while waiting:
        current = waiting.pop()
        used = _describe(current, file.message_type.add(name=_name(current)), file.package)
        waiting += used - seen
        seen |= used
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{file.package}.{_name(message_class)}")
    )


def _name(message_class: type[betterproto2.Message]) -> str:
    return f"{message_class.__module__}.{message_class.__name__}".replace(".", "_")


def _describe(
    message_class: type[betterproto2.Message], target: descriptor_pb2.DescriptorProto, package: str
) -> set[type[betterproto2.Message]]:
    """Fill in the descriptor of one class; return the classes of its fields."""
    used = set()

    def add(owner: Any, name: str, meta: betterproto2.FieldMetadata, python_type: Any) -> Any:
        field = owner.field.add(name=name, number=meta.number, label=_Field.LABEL_OPTIONAL)
        if meta.proto_type == betterproto2.TYPE_MESSAGE:
            field_class = meta.unwrap() if meta.unwrap else python_type
            used.add(field_class)
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{_name(field_class)}"
        elif meta.proto_type == betterproto2.TYPE_ENUM:
            field.type = _Field.TYPE_INT32
        else:
            field.type = _Field.Type.Value(f"TYPE_{meta.proto_type.upper()}")
        return field

    oneofs: dict[str, int] = {}
    for each in fields_of(message_class):
        meta, name = each.meta, f"f{each.meta.number}"
        if meta.map_meta is not None:
            entry = target.nested_type.add(name=f"F{meta.number}Entry")
            entry.options.map_entry = True
            for entry_meta, entry_name, python_type in zip(
                meta.map_meta, ("key", "value"), each.types, strict=True
            ):
                add(entry, entry_name, entry_meta, python_type)
            target.field.add(
                name=name,
                number=meta.number,
                label=_Field.LABEL_REPEATED,
                type=_Field.TYPE_MESSAGE,
                type_name=f".{package}.{_name(message_class)}.{entry.name}",
            )
            continue
        field = add(target, name, meta, each.types[0])
        if meta.repeated:
            field.label = _Field.LABEL_REPEATED
        if meta.group:
            if meta.group not in oneofs:
                oneofs[meta.group] = len(oneofs)
                target.oneof_decl.add(name=meta.group)
            field.oneof_index = oneofs[meta.group]
    return used


def to_oracle(message: betterproto2.Message) -> Any:
    """Copy a message into the oracle's class, value by value: no bytes are involved."""
    target = oracle_class(type(message))()
    _fill(target, message)
    return target


def _fill(target: Any, message: betterproto2.Message) -> None:
    for field in fields_of(type(message)):
        value = getattr(message, field.name)
        if value is not None:
            _fill_field(target, field, value)


def _fill_field(target: Any, field: MessageField, value: Any) -> None:
    name = f"f{field.meta.number}"
    if field.meta.map_meta is not None:
        _fill_map(getattr(target, name), field.meta.map_meta[1], value)
    elif field.meta.proto_type != betterproto2.TYPE_MESSAGE:
        if field.meta.repeated:
            getattr(target, name).extend(value)
        else:
            setattr(target, name, value)
    elif field.meta.repeated:
        for item in value:
            _fill_message(getattr(target, name).add(), field.meta.unwrap, item)
    else:
        getattr(target, name).SetInParent()
        _fill_message(getattr(target, name), field.meta.unwrap, value)


def _fill_map(target: Any, meta: betterproto2.FieldMetadata, entries: dict[Any, Any]) -> None:
    for key, value in entries.items():
        if meta.proto_type == betterproto2.TYPE_MESSAGE:
            _fill_message(target[key], meta.unwrap, value)
        else:
            target[key] = value


def _fill_message(target: Any, unwrap: Callable[[], type] | None, value: Any) -> None:
    wrapper = unwrap() if unwrap else None
    if wrapper is None:
        _fill(target, value)
    elif wrapper is Duration:
        duration = duration_pb2.Duration()
        duration.FromTimedelta(value)
        target.f1, target.f2 = duration.seconds, duration.nanos
    elif wrapper is Timestamp:
        timestamp = timestamp_pb2.Timestamp()
        timestamp.FromDatetime(value)
        target.f1, target.f2 = timestamp.seconds, timestamp.nanos
    else:
        target.f1 = value
