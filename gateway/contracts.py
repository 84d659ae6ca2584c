"""The contracts as the gateway reads them at run time: descriptors, and the comments beside them.

Generated code carries no comments, so `protos/generate.py` writes the contracts once more, with
their comments, as `tillbridge/contracts.binpb`. That file also says which modules there are: a
new contract file is served by the gateway without being named anywhere.
"""

import importlib
import importlib.resources
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from google.rpc import error_details_pb2

from tillbridge.options.v1 import options_pb2

__all__ = ["Contracts", "load"]

_TYPES_IN_ERRORS = (error_details_pb2, options_pb2)
"""Imported so that the default pool knows what errors and options are made of."""

_Path = tuple[int, ...]


@dataclass(frozen=True)
class Contracts:
    """Every contract of ours.

    Attributes:
        files: the files, by name.
        services: the services, in the order of the files.
        comments: what stands above a declaration, by its full name, as one Markdown text.
    """

    files: tuple[FileDescriptor, ...]
    services: tuple[ServiceDescriptor, ...]
    comments: Mapping[str, str]


@cache
def load() -> Contracts:
    """Imports every generated module and reads the comments."""
    image = importlib.resources.files("tillbridge").joinpath("contracts.binpb").read_bytes()
    protos = FileDescriptorSet.FromString(image).file
    files = tuple(_import(proto.name) for proto in protos)
    services = tuple(service for file in files for service in file.services_by_name.values())
    comments = {name: text for proto in protos for name, text in _comments(proto)}
    return Contracts(files, services, comments)


def _import(file_name: str) -> FileDescriptor:
    module = importlib.import_module(file_name.removesuffix(".proto").replace("/", ".") + "_pb2")
    descriptor: FileDescriptor = module.DESCRIPTOR
    return descriptor


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Full names of the file's declarations, each with its comment."""
    names = dict(_names(file))
    for location in file.source_code_info.location:
        name = names.get(tuple(location.path))
        if name and location.leading_comments:
            lines = location.leading_comments.splitlines()
            yield name, "\n".join(line.removeprefix(" ") for line in lines).strip()


def _names(file: FileDescriptorProto) -> Iterator[tuple[_Path, str]]:
    """Where each declaration stands in its file (as source info counts), and its full name."""
    package = file.package
    for index, message in enumerate(file.message_type):
        yield from _message_names((4, index), message, package)
    for index, enum in enumerate(file.enum_type):
        yield from _enum_names((5, index), enum, package)
    for index, service in enumerate(file.service):
        yield from _service_names((6, index), service, package)


def _message_names(
    path: _Path, message: DescriptorProto, scope: str
) -> Iterator[tuple[_Path, str]]:
    name = f"{scope}.{message.name}"
    yield path, name
    for index, field in enumerate(message.field):
        yield (*path, 2, index), f"{name}.{field.name}"
    for index, nested in enumerate(message.nested_type):
        yield from _message_names((*path, 3, index), nested, name)
    for index, enum in enumerate(message.enum_type):
        yield from _enum_names((*path, 4, index), enum, name)


def _enum_names(path: _Path, enum: EnumDescriptorProto, scope: str) -> Iterator[tuple[_Path, str]]:
    yield path, f"{scope}.{enum.name}"
    for index, value in enumerate(enum.value):
        yield (*path, 2, index), f"{scope}.{value.name}"  # values live in the enum's own scope


def _service_names(
    path: _Path, service: ServiceDescriptorProto, scope: str
) -> Iterator[tuple[_Path, str]]:
    name = f"{scope}.{service.name}"
    yield path, name
    for index, method in enumerate(service.method):
        yield (*path, 2, index), f"{name}.{method.name}"
