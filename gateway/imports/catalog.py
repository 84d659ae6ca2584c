"""The catalog, as an import calls it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from services.chassis.client import Metadata
from services.chassis.errors import DomainError
from services.chassis.status import from_rpc_error
from tillbridge.catalog.v1 import imports_pb2 as pb
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.catalog.v1.imports_pb2_grpc import ImportServiceStub

if TYPE_CHECKING:
    from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceAsyncStub
    from tillbridge.catalog.v1.imports_pb2_grpc import ImportServiceAsyncStub

CALL_S_MAX = 60.0
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 10.0)
"""How long an import waits for a service that is away, before it gives up; it can be gone on with
later.
"""
TOLD_FROM_S = 1.0
"""Pauses from which on the operator is told."""

Reply = TypeVar("Reply")


class Catalog:
    """The catalog's RPCs for one merchant.

    Args:
        channel: to the service.
        metadata: who calls.
        say: tells the operator that it has to be waited for.
    """

    def __init__(
        self, channel: grpc.aio.Channel, metadata: Metadata, say: Callable[[str], None]
    ) -> None:
        self.products: CatalogServiceAsyncStub = CatalogServiceStub(channel)
        self.imports: ImportServiceAsyncStub = ImportServiceStub(channel)
        self._metadata = metadata
        self._say = say

    async def call(self, method: Callable[..., Awaitable[Reply]], request: Any) -> Reply:
        """Calls an RPC, again while the service is away: each may be sent twice.

        Raises:
            DomainError: what the service refused, or that it cannot be reached.
        """
        told = False
        for pause_s in (*PAUSES_S, 0.0):
            try:
                return await method(request, metadata=self._metadata, timeout=CALL_S_MAX)
            except grpc.aio.AioRpcError as error:
                refusal = from_rpc_error(error)
                if not refusal.transient or not pause_s:
                    raise refusal from error
                if pause_s >= TOLD_FROM_S and not told:
                    told = True
                    self._say(f"the catalog does not answer ({refusal.reason}); trying again")
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt either returns or raises")


def run_in(answer: object) -> pb.Import:
    """The run in an answer, whose field has a name that Python keeps for itself."""
    found: pb.Import = getattr(answer, "import")
    return found


def refused_as(error: DomainError) -> str:
    """A refusal, for people."""
    return f"{error.message} ({error.reason})"
