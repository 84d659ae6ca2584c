"""Stores, tills and offices: they ask again and again, until they are answered."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from hashlib import blake2b
from types import TracebackType
from typing import Any

import grpc
import httpx
from google.protobuf import json_format
from google.protobuf.message import Message

from services.chassis.client import connect
from services.chassis.status import from_rpc_error
from tests.chaos.errands import Errand, Story, errands_in
from tests.chaos.history import History
from tests.chaos.installation import Installation
from tests.flows.stack import token
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub
from tillbridge.order.v1 import events_pb2 as order_events_pb2
from tillbridge.order.v1 import order_pb2
from tillbridge.order.v1.order_pb2_grpc import OrderServiceStub

CLIENTS = 64
OPEN_MAX = 512
"""No more orders are placed while so many are on their way: whoever is killed is at work then."""
SETTLE_S_MAX = 120.0
"""How long is waited for the last of them; the checker names those that stand still."""
TIMEOUT_S = 5.0
PAUSE_S = 0.3
TRIES = 300
"""For a minute at least, and for as long as a machine may take to start what was killed."""
PASSING = {"ITEM_NOT_FOUND"}
"""Refusals that pass by themselves: the inventory hears of a new item a moment later."""

_SETTLED = {order_pb2.ORDER_STATE_POSTED, order_pb2.ORDER_STATE_CANCELED}
_STUBS = {
    "BatchUpsertProducts": ("catalog", CatalogServiceStub),
    "CreateOutlet": ("inventory", ChannelServiceStub),
    "CreateChannel": ("inventory", ChannelServiceStub),
    "AdjustStock": ("inventory", InventoryServiceStub),
    "TransferStock": ("inventory", InventoryServiceStub),
    "RecordCounts": ("inventory", InventoryServiceStub),
    "ReserveStock": ("inventory", InventoryServiceStub),
    "IngestOrder": ("order", OrderServiceStub),
    "RecordSale": ("order", OrderServiceStub),
}


class _UnansweredError(Exception):
    """Nobody knows whether it was carried out."""


class Clients:
    """All of them; what they ask for and are told goes into the history."""

    def __init__(self, installation: Installation, history: History, seed: int) -> None:
        self._installation = installation
        self._history = history
        self._dice = random.Random(f"clients {seed}")
        self._bearer = f"Bearer {token()}"
        self._open = AsyncExitStack()
        self._methods: dict[str, Callable[..., Awaitable[Message]]] = {}
        self._http: httpx.AsyncClient
        self._room = asyncio.Semaphore(OPEN_MAX)
        self._settled: set[str] = set()
        """Orders whose runs are over."""
        self.total = 1
        self.done = 0
        """Errands so far."""

    async def __aenter__(self) -> "Clients":
        channels: dict[str, grpc.aio.Channel] = {}
        for method, (service, stub) in _STUBS.items():
            if service not in channels:
                channel = connect(self._installation.address(service))
                channels[service] = await self._open.enter_async_context(channel)
            self._methods[method] = getattr(stub(channels[service]), method)
        gateway = httpx.AsyncClient(
            base_url=f"http://{self._installation.address('gateway')}",
            headers={"Authorization": self._bearer},
            timeout=TIMEOUT_S,
        )
        self._http = await self._open.enter_async_context(gateway)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    @property
    def progress(self) -> float:
        """How much of the run's errands is done."""
        return self.done / self.total

    async def run(self, told: Sequence[Story]) -> None:
        """Runs all errands, and waits until all orders have ended; but not forever."""
        self.total, self.done = errands_in(told), 0
        waiting = iter(told)
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._work(waiting))
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S_MAX):
                for _ in range(OPEN_MAX):
                    await self._room.acquire()

    def hear(self, event: events_pb2.Event) -> None:
        """Takes notice of an event: the run of an order may be over."""
        changed = order_events_pb2.OrderChanged()
        if event.data.Unpack(changed) and changed.state in _SETTLED:
            if changed.order_id not in self._settled:
                self._room.release()
            self._settled.add(changed.order_id)

    async def ask(self, errand: Errand) -> Any:
        """Runs an errand until it is answered, and then perhaps again; gives the answer.

        Raises:
            AssertionError: it was refused, or never answered.
        """
        name, request = errand.method, errand.request
        about = {"method": name, "request_id": request.request_id}
        message = json_format.MessageToDict(request, preserving_proto_field_name=True)
        self._history.write("asked", **about, request=message)
        for _ in range(1 + errand.twice):
            tries, answer, body = await self._insist(errand)
            digest = blake2b(body, digest_size=8).hexdigest()
            self._history.write("told", **about, answer=digest, tries=tries)
        return answer

    async def _work(self, waiting: Iterator[Story]) -> None:
        """Takes the next story when it is done with one.

        Raises:
            TimeoutError: so many orders are open, and none has ended for long.
        """
        for story in waiting:
            if story[0].method == "IngestOrder":
                async with asyncio.timeout(SETTLE_S_MAX):
                    await self._room.acquire()
            for errand in story:
                await self.ask(errand)
                self.done += 1

    async def _insist(self, errand: Errand) -> tuple[int, Any, bytes]:
        """Asks until there is an answer; gives it, and after how many tries."""
        ask = self._by_http if errand.by_http else self._by_grpc
        for tries in range(1, TRIES + 1):
            try:
                return (tries, *await ask(errand))
            except _UnansweredError:
                await asyncio.sleep(PAUSE_S * (0.5 + self._dice.random()))
        raise AssertionError(f"never answered: {errand}")

    async def _by_grpc(self, errand: Errand) -> tuple[Any, bytes]:
        metadata = (("authorization", self._bearer),)
        try:
            answer = await self._methods[errand.method](
                errand.request, metadata=metadata, timeout=TIMEOUT_S
            )
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
            if error.transient or error.reason in PASSING:
                raise _UnansweredError from failure
            raise AssertionError(f"{errand} was refused: {error}") from failure
        return answer, answer.SerializeToString(deterministic=True)

    async def _by_http(self, errand: Errand) -> tuple[Any, bytes]:
        request = errand.request
        try:
            answer = await self._http.post(
                f"/v1/channels/{request.channel_id}/orders:ingest",
                content=json_format.MessageToJson(request),
                headers={"Content-Type": "application/json"},
            )
        except httpx.HTTPError as failure:
            raise _UnansweredError from failure
        if answer.status_code in {429, 502, 503, 504}:
            raise _UnansweredError
        assert answer.status_code == httpx.codes.OK, f"{errand} was refused: {answer.text}"
        return answer.json(), answer.content
