"""Which service answers an RPC, and the calls to it."""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from gateway.transcode.bindings import Binding
from services.chassis.errors import DomainError
from tillbridge.events.v1 import events_pb2

FEED_SERVICE: str = events_pb2.DESCRIPTOR.services_by_name["EventFeed"].full_name
"""Every backend has one; which one is meant, the request says in `feed`."""

Call = Any
"""A grpc.aio multi-callable: unary or streaming, as its RPC is."""


class Backends:
    """The calls of all bindings, each on the channel of the service that owns its RPC.

    Args:
        channels: a channel per context: `catalog`, `inventory`, `order`, `customer`.
        bindings: what will be called.

    Raises:
        ValueError: an RPC belongs to a context without a channel.
    """

    def __init__(
        self, channels: Mapping[str, grpc.aio.Channel], bindings: Iterable[Binding]
    ) -> None:
        self._calls: dict[tuple[str, str], Call] = {}
        for binding in bindings:
            for owner in _owners(binding.method, channels):
                key = (owner, binding.method.full_name)
                self._calls[key] = _call(channels[owner], binding)

    def call(self, binding: Binding, request: Message) -> Call:
        """The call that carries out `binding` for this request.

        Raises:
            DomainError: the request names a feed that no service owns.
        """
        owner = _context(binding.method)
        if binding.method.containing_service.full_name == FEED_SERVICE:
            owner = getattr(request, "feed")  # noqa: B009  (which request it is, is not known here)
        try:
            return self._calls[owner, binding.method.full_name]
        except KeyError:
            feeds = ", ".join(sorted({name for name, _ in self._calls}))
            message = f"there is no feed {owner!r}; the feeds are {feeds}"
            raise DomainError("FEED_NOT_FOUND", message, feed=owner) from None


def _owners(method: MethodDescriptor, channels: Mapping[str, grpc.aio.Channel]) -> list[str]:
    if method.containing_service.full_name == FEED_SERVICE:
        return list(channels)
    context = _context(method)
    if context not in channels:
        raise ValueError(f"{method.full_name} needs a channel to the {context} service")
    return [context]


def _context(method: MethodDescriptor) -> str:
    """`tillbridge.inventory.v1` belongs to `inventory`."""
    package: str = method.containing_service.file.package
    return package.split(".")[1]


def _call(channel: grpc.aio.Channel, binding: Binding) -> Call:
    make = channel.unary_stream if binding.method.server_streaming else channel.unary_unary
    return make(
        binding.rpc_path,
        request_serializer=binding.request_class.SerializeToString,
        response_deserializer=binding.response_class.FromString,
    )
