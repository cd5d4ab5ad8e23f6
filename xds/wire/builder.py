"""Messages made without the checks of their constructors.

A constructor of ``envoy_data_plane`` validates every field with pydantic and asks of every deprecated one
whether it is set: some 25 µs a message, twenty times what it takes to encode one. That is well spent on what
comes from outside; what the compiler makes of a validated rule document, it makes right or has a bug that
validating would only turn into another error. ``encode`` reads either kind alike.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import betterproto2

P = ParamSpec("P")
MessageT = TypeVar("MessageT", bound=betterproto2.Message)


def build(message_class: Callable[P, MessageT], /, *_: P.args, **fields: P.kwargs) -> MessageT:
    """Make a message as ``message_class(**fields)`` does, unchecked but for the type checker's eyes."""
    known = cast("type[MessageT]", message_class)
    message = known.__new__(known)
    constants, containers = _DEFAULTS[known]
    values = message.__dict__
    values.update(constants)
    for name, make in containers:
        values[name] = make()
    values.update(fields)
    return message


class _Defaults(dict[type[betterproto2.Message], tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]]):
    """Of each class: the defaults that instances may share, and how to make those that they may not."""

    def __missing__(
        self, message_class: type[betterproto2.Message]
    ) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
        constants: dict[str, Any] = {"_unknown_fields": b""}
        containers: list[tuple[str, Callable[[], Any]]] = []
        for field in dataclasses.fields(message_class):  # type: ignore[arg-type]
            make = cast("Callable[[], Any]", field.default_factory)
            if make in {list, dict}:
                containers.append((field.name, make))
            else:
                constants[field.name] = make()
        self[message_class] = constants, containers
        return self[message_class]


_DEFAULTS = _Defaults()
