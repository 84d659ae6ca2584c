"""Following another service's feed: read, handle, acknowledge, again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import structlog

from services.chassis import failpoints, metrics
from services.chassis.client import Identity
from services.chassis.errors import DomainError
from services.chassis.status import from_rpc_error
from tillbridge.events.v1 import events_pb2 as pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

if TYPE_CHECKING:
    from tillbridge.events.v1.events_pb2_grpc import EventFeedAsyncStub

WAIT_MS = 20_000
BACKOFF_MAX_S = 2.0
REASON_MAX = 500
PASSED_EVERY_S = 60.0
"""How often a follower says at most that it has passed events which it did not ask for. That costs
the feed's owner a write, and its feed goes on all day.
"""

log = structlog.get_logger()

Handle = Callable[[Sequence[pb.Event]], Awaitable[None]]


@dataclass(slots=True)
class _Place:
    """Where the owner of the feed knows a follower to be, and when that was said."""

    cursor: int
    time_s: float


async def follow(
    channel: grpc.aio.Channel,
    identity: Identity,
    request: pb.ReadEventsRequest,
    handle: Handle,
) -> None:
    """Gives every event that `request` asks for to `handle`, in order, at least once, forever.

    A batch is acknowledged when `handle` returns. When it raises because something is not to be
    had now (a service, a database), or when the feed cannot be reached, the same batch is tried
    again after a pause, and the log and the lag say so: nothing is skipped.

    When it raises for another reason, the events that it cannot handle are found, and the others
    go on. Those are reported to the owner of the feed, who delivers them again later, alone, and
    after five deliveries keeps them as dead letters. So `handle` has to cope with an event that
    comes behind younger ones of its subject: by reading what is now, or by comparing revisions.

    Events that `request` leaves out are acknowledged as well, once in a while: the owner of the
    feed keeps what a consumer has not passed.
    """
    stub = EventFeedStub(channel)
    request.wait_ms_max = WAIT_MS
    pause_s = 0.05
    place = _Place(0, asyncio.get_running_loop().time())
    while True:
        try:
            await _step(stub, identity, request, handle, place)
            pause_s = 0.05
        except grpc.aio.AioRpcError as error:
            log.info("feed not reached", feed=request.feed, code=error.code().name)
        except Exception as error:
            tell = log.warning if _may_pass(error) else log.exception
            why = f"{type(error).__name__}: {error}"
            tell("events wait", feed=request.feed, consumer=request.consumer, why=why)
        else:
            continue
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, BACKOFF_MAX_S)


async def _step(
    stub: "EventFeedAsyncStub",
    identity: Identity,
    request: pb.ReadEventsRequest,
    handle: Handle,
    place: _Place,
) -> None:
    found = await stub.ReadEvents(
        request, metadata=identity.metadata(), timeout=WAIT_MS / 1000 + 10
    )
    metrics.FOLLOW_LAG.labels(request.feed).set(len(found.events) + found.lag)
    now_s = asyncio.get_running_loop().time()
    again: Mapping[int, Exception] = {}
    failed: Mapping[int, Exception] = {}
    if found.events or found.again:
        failpoints.at("follow.read")
        again = await _failures(found.again, handle)
        failed = {**again, **await _failures(found.events, handle)}
        failpoints.at("follow.handled")
    elif found.next_cursor <= place.cursor or now_s - place.time_s < PASSED_EVERY_S:
        return
    await stub.AckEvents(
        pb.AckEventsRequest(
            feed=request.feed,
            consumer=request.consumer,
            cursor=found.next_cursor,
            failed=[
                pb.FailedEvent(cursor=cursor, reason=_reason(error))
                for cursor, error in failed.items()
            ],
            done=[event.cursor for event in found.again if event.cursor not in again],
        ),
        metadata=identity.metadata(),
        timeout=10,
    )
    place.cursor, place.time_s = found.next_cursor, now_s
    failpoints.at("follow.acknowledged")


async def _failures(events: Sequence[pb.Event], handle: Handle) -> dict[int, Exception]:
    """Handles events; returns those that cannot be, by their cursors. They are found by halving, so
    that a few of them among a thousand cost little, and the order of the others is kept.

    Raises:
        Exception: something is not to be had now; then none of them counts as handled.
    """
    if not events:
        return {}
    try:
        await handle(events)
    except Exception as error:
        if _may_pass(error):
            raise
        if len(events) == 1:
            log.warning("event not handled", event_id=events[0].id, exc_info=error)
            return {events[0].cursor: error}
    else:
        return {}
    half = len(events) // 2
    return await _failures(events[:half], handle) | await _failures(events[half:], handle)


def _may_pass(error: Exception) -> bool:
    """Whether the same event may be handled later with nobody changing anything. A fault, ours or
    that of another service, need not pass.
    """
    if isinstance(error, grpc.RpcError):
        error = from_rpc_error(error)
    if isinstance(error, DomainError):
        return error.transient and error.reason != "INTERNAL"
    return isinstance(error, OSError)  # of the network; TimeoutError is one


def _reason(error: Exception) -> str:
    """Why an event was not handled, as text that every service takes."""
    kind = error.reason if isinstance(error, DomainError) else type(error).__name__
    text = f"{kind}: {error}"[:REASON_MAX]
    return "".join(letter if letter.isprintable() else " " for letter in text)
