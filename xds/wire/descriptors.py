"""Descriptors for Google's protobuf runtime, made from the message classes of ``envoy_data_plane``.

The runtime decodes in C, knows the JSON mapping of every message (``Any``, ``Duration``, ``Struct``, …) and
serves reflection, all from descriptors. The package that ships those of Envoy cannot be installed beside
``envoy-data-plane``; but betterproto2's field metadata says the same: names, numbers, types, oneofs.

One file per protobuf package is made when it is first needed, so types that nobody uses cost nothing. What
the metadata does not have is missing: comments, options, the split into files. The name of an enum is known
only as one word with the names of the messages around it; it is put into the longest of those there is.
"""

import dataclasses
import importlib
import inspect
import threading
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import betterproto2
import envoy_data_plane
from envoy_data_plane.message_pool import default_message_pool
from google.protobuf import (
    any_pb2,
    descriptor,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

# The runtime's own: it treats these messages specially, by the names of their files too.
_WELL_KNOWN_FILES: tuple[descriptor.FileDescriptor, ...] = (
    any_pb2.DESCRIPTOR,
    duration_pb2.DESCRIPTOR,
    empty_pb2.DESCRIPTOR,
    field_mask_pb2.DESCRIPTOR,
    struct_pb2.DESCRIPTOR,
    timestamp_pb2.DESCRIPTOR,
    wrappers_pb2.DESCRIPTOR,
)
_ROOT = envoy_data_plane.__name__ + "."
_FIELD_TYPES: dict[str, Any] = {
    name.lower(): number for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
}


class RpcMethod(NamedTuple):
    """A method of a gRPC service, as reflection describes it; messages by their full names."""

    service: str
    name: str
    request: str
    response: str
    client_streaming: bool = True
    server_streaming: bool = True


def new_pool(
    methods: Iterable[RpcMethod] = (), files: Iterable[descriptor.FileDescriptor] = ()
) -> descriptor_pool.DescriptorPool:
    """Return a pool that knows all messages of ``envoy_data_plane``, the services of the methods, and files.

    Not safe to be asked for something new by two threads at once.
    """
    return descriptor_pool.DescriptorPool(_Database(methods, files))


def message_class(
    full_name: str, pool: descriptor_pool.DescriptorPool | None = None
) -> type[message.Message]:
    """Return the runtime's class of a message in a pool, by default one that any thread may use through this.

    Raise ``KeyError`` if there is none of this name. The first class of a package takes some 100 ms.
    """
    if pool is not None:
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))
    with _LOCK:
        return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(full_name))


class _Database:
    """Makes files on demand (the interface that ``DescriptorPool`` asks of a database)."""

    def __init__(self, methods: Iterable[RpcMethod], files: Iterable[descriptor.FileDescriptor]) -> None:
        ready = (*_WELL_KNOWN_FILES, *files)
        self._files = {
            file.name: descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb) for file in ready
        }
        self._symbols = dict(_symbols(ready))
        self._methods: dict[str, list[RpcMethod]] = {}
        for method in methods:
            self._methods.setdefault(method.service.rpartition(".")[0], []).append(method)

    def FindFileContainingSymbol(self, symbol: str) -> descriptor_pb2.FileDescriptorProto:  # noqa: N802
        return self.FindFileByName(self._symbols.get(symbol) or _file_name(_package_of(symbol)))

    def FindFileByName(self, name: str) -> descriptor_pb2.FileDescriptorProto:  # noqa: N802
        if name not in self._files:
            package = name.removesuffix(".proto").replace("/", ".")
            self._files[name] = _File(package, self._methods.get(package, ())).proto
        return self._files[name]


class _File:
    """The file of one package."""

    def __init__(self, package: str, methods: Iterable[RpcMethod]) -> None:
        try:
            module = importlib.import_module(_ROOT + package)
        except (ImportError, ValueError):
            raise KeyError(package) from None
        self._package = package
        # The files that this one names. Written by ``_refer``.
        self._dependencies: set[str] = set()
        self.proto = descriptor_pb2.FileDescriptorProto(
            name=_file_name(package), package=package, syntax="proto3"
        )
        for full_name, cls in sorted(_messages_of(module)):
            self._add_message(full_name, cls)
        for enum in _enums_of(module):
            self._add_enum(enum)
        for method in methods:
            self._add_method(method)
        self.proto.dependency.extend(sorted(self._dependencies))

    def _add_message(self, full_name: str, cls: type[betterproto2.Message]) -> None:
        described = self._scope(full_name)
        hints = typing.get_type_hints(cls, vars(inspect.getmodule(cls)))
        oneofs: dict[str, int] = {}
        synthetic: list[descriptor_pb2.FieldDescriptorProto] = []
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            meta = betterproto2.FieldMetadata.get(field)
            # A trailing underscore keeps the name from being a keyword of Python.
            proto = described.field.add(name=field.name.rstrip("_"), number=meta.number)
            self._describe(proto, meta, hints[field.name], described, full_name)
            if meta.group:
                if meta.group not in oneofs:
                    oneofs[meta.group] = len(oneofs)
                    described.oneof_decl.add(name=meta.group)
                proto.oneof_index = oneofs[meta.group]
            elif meta.optional and proto.type != proto.TYPE_MESSAGE:
                proto.proto3_optional = True
                synthetic.append(proto)
        for number, proto in enumerate(synthetic, len(oneofs)):
            described.oneof_decl.add(name=f"_{proto.name}")
            proto.oneof_index = number

    def _describe(
        self,
        proto: descriptor_pb2.FieldDescriptorProto,
        meta: betterproto2.FieldMetadata,
        hint: Any,
        parent: descriptor_pb2.DescriptorProto,
        parent_name: str,
    ) -> None:
        if meta.map_meta is not None:
            name = "".join(word.capitalize() for word in proto.name.split("_")) + "Entry"
            entry = parent.nested_type.add(name=name)
            entry.options.map_entry = True
            for number, (part, part_meta, part_hint) in enumerate(
                zip(("key", "value"), meta.map_meta, typing.get_args(hint), strict=True), 1
            ):
                inner = entry.field.add(name=part, number=number)
                self._describe(inner, part_meta, part_hint, entry, f"{parent_name}.{name}")
            proto.label, proto.type = proto.LABEL_REPEATED, proto.TYPE_MESSAGE
            proto.type_name = f".{parent_name}.{name}"
            return
        proto.label = proto.LABEL_REPEATED if meta.repeated else proto.LABEL_OPTIONAL
        proto.type = _FIELD_TYPES[f"type_{meta.proto_type}"]
        if proto.type in {proto.TYPE_MESSAGE, proto.TYPE_ENUM}:
            proto.type_name = "." + self._refer(meta.unwrap() if meta.unwrap else _class_in(hint))

    def _refer(self, cls: Any) -> str:
        """Return the full name of a message or enum class, and have its file imported."""
        full_name = _enum_name(cls) if issubclass(cls, betterproto2.Enum) else _full_name(cls)
        file = _WELL_KNOWN.get(full_name) or _file_name(_package_of(full_name))
        if file != self.proto.name:
            self._dependencies.add(file)
        return full_name

    def _add_enum(self, cls: type[betterproto2.Enum]) -> None:
        full_name = _enum_name(cls)
        parent, _, name = full_name.rpartition(".")
        described = (self.proto if parent == self._package else self._scope(parent)).enum_type.add(name=name)
        renamed = cls.betterproto_value_to_renamed_proto_names()
        for name, value in cls.__members__.items():
            is_alias = name != value.name
            described.value.add(name=name if is_alias else renamed.get(value, name), number=value)
        for alias, number in cls.betterproto_renamed_proto_names_to_value().items():
            if all(known.name != alias for known in described.value):
                described.value.add(name=alias, number=number)
        numbers = [value.number for value in described.value]
        described.options.allow_alias = len(numbers) != len(set(numbers))

    def _add_method(self, method: RpcMethod) -> None:
        name = method.service.rpartition(".")[2]
        service = next((one for one in self.proto.service if one.name == name), None)
        service = service or self.proto.service.add(name=name)
        for used in (method.request, method.response):
            if _file_name(_package_of(used)) != self.proto.name:
                self._dependencies.add(_file_name(_package_of(used)))
        service.method.add(
            name=method.name,
            input_type=f".{method.request}",
            output_type=f".{method.response}",
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
        )

    def _scope(self, full_name: str) -> descriptor_pb2.DescriptorProto:
        """Return the message of this name, made with the messages around it if it is not there."""
        within: Any = self.proto.message_type
        for name in full_name.removeprefix(f"{self._package}.").split("."):
            found = next((one for one in within if one.name == name), None)
            described = found or within.add(name=name)
            within = described.nested_type
        return described  # type: ignore[no-any-return]


def _symbols(files: Iterable[descriptor.FileDescriptor]) -> Iterator[tuple[str, str]]:
    """Yield what files define, by full name, and the name of the file."""
    for file in files:
        for named in (file.message_types_by_name, file.enum_types_by_name, file.services_by_name):
            for one in named.values():
                yield one.full_name, file.name


def _file_name(package: str) -> str:
    return package.replace(".", "/") + ".proto"


def _package_of(symbol: str) -> str:
    """Return the package of a symbol: packages are written small, what is in them is not."""
    parts = symbol.split(".")
    end = next((place for place, part in enumerate(parts) if not part[:1].islower()), len(parts))
    return ".".join(parts[:end])


def _messages_of(module: types.ModuleType) -> Iterator[tuple[str, type[betterproto2.Message]]]:
    for cls in _classes_of(module):
        if issubclass(cls, betterproto2.Message):
            yield _full_name(cls), cls


def _enums_of(module: types.ModuleType) -> Iterator[type[betterproto2.Enum]]:
    for cls in _classes_of(module):
        if issubclass(cls, betterproto2.Enum):
            yield cls


def _classes_of(module: types.ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield value


def _full_name(cls: type[betterproto2.Message]) -> str:
    return default_message_pool.type_to_url[cls].rpartition("/")[2]


def _enum_name(cls: type[betterproto2.Enum]) -> str:
    """Guess the full name: in the longest message whose name the enum's begins with."""
    module = inspect.getmodule(cls)
    assert module is not None
    around = [
        (name, other.__name__)
        for name, other in _messages_of(module)
        if cls.__name__.startswith(other.__name__) and cls.__name__ != other.__name__
    ]
    scope, prefix = max(
        around, key=lambda one: len(one[1]), default=(module.__name__.removeprefix(_ROOT), "")
    )
    return f"{scope}.{cls.__name__.removeprefix(prefix)}"


def _class_in(hint: Any) -> type:
    """Return the class in ``X``, ``X | None``, ``list[X]`` or an annotated one of these."""
    if typing.get_origin(hint) is typing.Annotated:
        return _class_in(typing.get_args(hint)[0])
    for inner in typing.get_args(hint):
        if inner is not type(None):
            return _class_in(inner)
    assert isinstance(hint, type)
    return hint


_WELL_KNOWN = dict(_symbols(_WELL_KNOWN_FILES))
_POOL = new_pool()
_LOCK = threading.Lock()
