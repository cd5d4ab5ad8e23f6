"""The limit of encoding from Python: upb, protobuf's runtime in C, building and encoding the same messages.

Messages are taken apart into the values that they are made of, and put together again by calling the
constructor of every message, as code that builds them does, an ``Any`` from the message within.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from xds.wire.descriptors import message_class

Recipe = Callable[[], Any]
"""Makes a message."""


def decoded(type_url: str, body: bytes) -> Message:
    """Decode a resource with upb."""
    return message_class(type_url.rpartition("/")[2]).FromString(body)


def recipe(message: Message) -> Recipe:
    """Return what makes a message like this one."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        return _any(message)
    cls = type(message)
    plain: dict[str, Any] = {}
    nested: list[tuple[str, Recipe]] = []
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            plain[field.name] = list(value) if field.is_repeated else value
        else:
            nested.append((field.name, _nested(field, value)))
    if not nested:
        return lambda: cls(**plain)
    return lambda: cls(**plain, **{name: make() for name, make in nested})


def _nested(field: FieldDescriptor, value: Any) -> Recipe:
    if not field.is_repeated:
        return recipe(value)
    assert field.message_type
    if field.message_type.GetOptions().map_entry:
        made = {key: recipe(each) for key, each in value.items()}
        return lambda: {key: make() for key, make in made.items()}
    items = [recipe(each) for each in value]
    return lambda: [make() for make in items]


def _any(message: Any) -> Recipe:
    cls, type_url = type(message), message.type_url
    inner = recipe(decoded(type_url, message.value))
    return lambda: cls(type_url=type_url, value=inner().SerializeToString(deterministic=True))
