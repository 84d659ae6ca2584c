"""Those who follow the services' feeds: one of the run's own for each, and the services'."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import grpc

from services.chassis.client import connect
from tests.chaos.history import History
from tests.chaos.installation import Installation
from tests.chaos.plan import SERVICES
from tests.flows.stack import token
from tillbridge.events.v1 import events_pb2
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

CONSUMER = "chaos"
BATCH = 1000
WAIT_MS = 1000
PAUSE_S = 0.1
"""Between two looks: fewer and larger ones leave the machine to those who are looked at."""


class Followers:
    """Read every feed from its beginning, event by event, as long as the run lasts."""

    def __init__(
        self,
        installation: Installation,
        history: History,
        hear: Callable[[events_pb2.Event], None],
    ) -> None:
        self._installation = installation
        self._history = history
        self._hear = hear
        self._metadata = (("authorization", f"Bearer {token()}"),)

    async def run(self) -> None:
        """Reads forever."""
        async with asyncio.TaskGroup() as group:
            for service in SERVICES:
                group.create_task(self._follow(service))

    async def _follow(self, service: str) -> None:
        async with connect(self._installation.address(service)) as channel:
            while True:
                with suppress(grpc.aio.AioRpcError):
                    await self._step(service, channel)
                await asyncio.sleep(PAUSE_S)

    async def _step(self, service: str, channel: grpc.aio.Channel) -> None:
        stub = EventFeedStub(channel)
        found = await stub.ReadEvents(
            events_pb2.ReadEventsRequest(
                feed=service, consumer=CONSUMER, max_events=BATCH, wait_ms_max=WAIT_MS
            ),
            metadata=self._metadata,
            timeout=10.0,
        )
        if not found.events:
            return
        for event in found.events:
            self._hear(event)
        told = [[event.cursor, event.id] for event in found.events]
        self._history.write("read", feed=service, events=told)
        await stub.AckEvents(
            events_pb2.AckEventsRequest(feed=service, consumer=CONSUMER, cursor=found.next_cursor),
            metadata=self._metadata,
            timeout=10.0,
        )
