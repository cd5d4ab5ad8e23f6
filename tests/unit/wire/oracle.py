"""An independent opinion on bytes: Google's protobuf runtime."""

from typing import Any

import betterproto2
from betterproto2 import FieldMetadata, Message
from envoy_data_plane.google.protobuf import Duration, Timestamp

from tests.unit.wire.messages import fields_of
from xds.wire import type_url
from xds.wire.descriptors import message_class


def oracle_class(cls: type[Message]) -> Any:
    """Class of Google's runtime for the message type of a betterproto2 class."""
    return message_class(type_url(cls).rpartition("/")[2])


def to_oracle(message: Message) -> Any:
    """Copy a message into the oracle's class, value by value: no bytes are involved."""
    target = oracle_class(type(message))()
    _fill(target, message)
    return target


def _fill(target: Any, message: Message) -> None:
    target.SetInParent()
    for field in fields_of(type(message)):
        value = getattr(message, field.name)
        if value is not None:
            _fill_field(target, field.name.rstrip("_"), field.meta, value)


def _fill_field(target: Any, name: str, meta: FieldMetadata, value: Any) -> None:
    if meta.map_meta is not None:
        for key, item in value.items():
            if meta.map_meta[1].proto_type == betterproto2.TYPE_MESSAGE:
                _fill_message(getattr(target, name)[key], meta.map_meta[1], item)
            else:
                getattr(target, name)[key] = item
    elif meta.proto_type == betterproto2.TYPE_MESSAGE:
        if meta.repeated:
            for item in value:
                _fill_message(getattr(target, name).add(), meta, item)
        else:
            _fill_message(getattr(target, name), meta, value)
    elif meta.repeated:
        getattr(target, name).extend(value)
    else:
        setattr(target, name, value)


def _fill_message(target: Any, meta: FieldMetadata, value: Any) -> None:
    target.SetInParent()
    wrapper = meta.unwrap() if meta.unwrap else None
    if wrapper is None:
        _fill(target, value)
    elif wrapper is Duration:
        target.FromTimedelta(value)
    elif wrapper is Timestamp:
        target.FromDatetime(value)
    else:
        target.value = value
