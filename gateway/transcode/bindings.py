"""Which HTTP request means which RPC: the `google.api.http` rules of the contracts, resolved."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from google.api import annotations_pb2, http_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.message import Message

from gateway.transcode.template import Template

WHOLE_BODY = "*"

FieldPath = tuple[FieldDescriptor, ...]


@dataclass(frozen=True)
class Binding:
    """One way to call an RPC over HTTP.

    Attributes:
        method: the RPC.
        http_method: `GET`, `POST`, ...
        template: the path.
        variables: the fields that the path fills, by their path in the template.
        body: `*` when the body is the request, a field's name, or empty when there is none.
        response_body: the field of the response that is answered; empty means all of it.
    """

    method: MethodDescriptor
    http_method: str
    template: Template
    variables: dict[str, FieldPath]
    body: str
    response_body: str

    @property
    def request_class(self) -> type[Message]:
        """The generated class of the RPC's request."""
        return message_factory.GetMessageClass(self.method.input_type)

    @property
    def response_class(self) -> type[Message]:
        """The generated class of the RPC's response."""
        return message_factory.GetMessageClass(self.method.output_type)

    @property
    def rpc_path(self) -> str:
        """What gRPC calls the method: `/tillbridge.order.v1.OrderService/GetOrder`."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


def bindings_of(services: Iterable[ServiceDescriptor]) -> Iterator[Binding]:
    """Every binding of every annotated RPC, additional ones included.

    Raises:
        ValueError: an annotation names a field that does not exist or cannot stand there.
    """
    for service in services:
        for method in service.methods:
            options = method.GetOptions()
            if options.HasExtension(annotations_pb2.http):
                rule = options.Extensions[annotations_pb2.http]
                for one in (rule, *rule.additional_bindings):
                    yield _binding(method, one)


def _binding(method: MethodDescriptor, rule: http_pb2.HttpRule) -> Binding:
    kind = rule.WhichOneof("pattern")
    if kind is None:
        raise ValueError(f"{method.full_name}: its google.api.http option names no path")
    http_method = rule.custom.kind if kind == "custom" else kind.upper()
    text: str = rule.custom.path if kind == "custom" else getattr(rule, kind)
    template = Template.parse(text)
    request = method.input_type
    if rule.body not in ("", WHOLE_BODY):
        field = request.fields_by_name.get(rule.body)
        if field is None or field.is_repeated or field.message_type is None:
            raise ValueError(f"{method.full_name}: its body field {rule.body} is no message")
    variables = {v.field_path: resolve(request, v.field_path) for v in template.variables}
    for name, path in variables.items():
        if path is None or path[-1].is_repeated or path[-1].message_type is not None:
            raise ValueError(f"{method.full_name}: {name} is no single value that a path can hold")
    known = {name: path for name, path in variables.items() if path is not None}
    return Binding(method, http_method, template, known, rule.body, rule.response_body)


@cache
def fields_of(message: Descriptor) -> dict[str, FieldDescriptor]:
    """A message's fields under both of their names: `channel_id` and `channelId`."""
    by_json_name = {field.json_name: field for field in message.fields}
    return by_json_name | dict(message.fields_by_name)


def resolve(message: Descriptor, dotted: str) -> FieldPath | None:
    """The fields along a dotted path in either spelling; `None` when there is no such field.

    Only the last one may be repeated.
    """
    path: list[FieldDescriptor] = []
    inside: Descriptor | None = message
    for name in dotted.split("."):
        field = fields_of(inside).get(name) if inside is not None else None
        if field is None or (path and path[-1].is_repeated):
            return None
        path.append(field)
        inside = field.message_type
    return tuple(path)
