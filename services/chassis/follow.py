"""Following another service's feed: read, handle, acknowledge, again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import grpc
import structlog

from services.chassis import metrics
from services.chassis.client import Identity
from tillbridge.events.v1 import events_pb2 as pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

if TYPE_CHECKING:
    from tillbridge.events.v1.events_pb2_grpc import EventFeedAsyncStub

WAIT_MS = 20_000
BACKOFF_MAX_S = 2.0

log = structlog.get_logger()

Handle = Callable[[Sequence[pb.Event]], Awaitable[None]]


async def follow(
    channel: grpc.aio.Channel,
    identity: Identity,
    request: pb.ReadEventsRequest,
    handle: Handle,
) -> None:
    """Gives every event that `request` asks for to `handle`, in order, at least once, forever.

    A batch is acknowledged when `handle` returns. When it raises, or the feed cannot be reached,
    the same batch is tried again after a pause, and the log and the lag say so: nothing is skipped.
    """
    stub = EventFeedStub(channel)
    request.wait_ms_max = WAIT_MS
    pause_s = 0.05
    while True:
        try:
            await _step(stub, identity, request, handle)
            pause_s = 0.05
        except grpc.aio.AioRpcError as error:
            log.info("feed not reached", feed=request.feed, code=error.code().name)
        except Exception:
            log.exception("event not handled", feed=request.feed, consumer=request.consumer)
        else:
            continue
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, BACKOFF_MAX_S)


async def _step(
    stub: "EventFeedAsyncStub", identity: Identity, request: pb.ReadEventsRequest, handle: Handle
) -> None:
    found = await stub.ReadEvents(
        request, metadata=identity.metadata(), timeout=WAIT_MS / 1000 + 10
    )
    metrics.FOLLOW_LAG.labels(request.feed).set(len(found.events) + found.lag)
    if not found.events:
        return
    await handle(found.events)
    await stub.AckEvents(
        pb.AckEventsRequest(feed=request.feed, consumer=request.consumer, cursor=found.next_cursor),
        metadata=identity.metadata(),
        timeout=10,
    )
