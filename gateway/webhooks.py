"""Webhooks of the platforms: `/webhooks/{platform}/{channel_id}`.

A webhook is acknowledged when the owner of what it says has it durably. A service that is down
means 503: the platform sends the event again, and polling catches what it gives up on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.connections import Connections, Link, connection_missing
from gateway.counters import WEBHOOKS
from gateway.ecom import OrderHint, OtherEvent, ProductHint, Shelf, Store, ecwid
from gateway.inward import Inward
from gateway.platform import PlatformError
from gateway.pos import lightspeed_x
from gateway.push.chores import Turns
from gateway.push.edits import ListingEdits
from gateway.records import BadRecordError, request_id
from services.chassis import failpoints
from services.chassis.errors import DomainError, invalid
from tillbridge.order.v1 import order_pb2

LOOK_S_MAX = 8.0
"""For how long an answer waits for a look at the store: the platform waits for ten seconds."""

log = structlog.get_logger()

Handler = Callable[[Request], Awaitable[str]]
"""Takes a webhook; gives its type."""


class Writer(Protocol):
    """Whoever writes to the stores, and so knows what they hold."""

    def product_at(self, channel_id: str, shelf_id: str) -> str:
        """The product whose listing a channel's store has, or had, under an id of its own; empty
        when that is not known.
        """

    def is_echo(self, channel_id: str, shelf_id: str) -> bool:
        """Whether an event about this counts as the echo of a write."""

    def saw(self, channel_id: str, shelf: Shelf) -> None:
        """Takes what a channel's store was just seen to hold."""


def routes(connections: Connections, writer: Writer | None = None) -> list[Route]:
    """The routes of all platforms.

    Args:
        connections: which channels there are.
        writer: who writes to their stores; None when this process does not.
    """
    webhooks = Webhooks(connections, writer)
    return [
        _route(lightspeed_x.PLATFORM, webhooks.lightspeed_x),
        _route(ecwid.PLATFORM, webhooks.ecwid),
    ]


class Webhooks:
    """Takes the webhooks of each platform."""

    def __init__(self, connections: Connections, writer: Writer | None) -> None:
        self._connections = connections
        self._writer = writer
        self._looks = Looks()

    async def lightspeed_x(self, request: Request) -> str:
        """Takes an event of X-Series: its body is signed, so it is believed.

        Raises:
            DomainError: why it is refused, or could not be taken.
        """
        body = await request.body()  # of limited size: see `gateway.edge`
        link = await self._connections.of(request.path_params["channel_id"])
        if link.pos is None or link.pos_side is None:
            raise connection_missing(link.channel_id, "point of sale")
        signature = request.headers.get(lightspeed_x.SIGNATURE_HEADER, "")
        event = lightspeed_x.read_webhook(body, signature, link.pos_side.webhook_secret)
        inward = Inward(link.owners, link.pos, lightspeed_x.PLATFORM)
        failpoints.at("webhook.read")
        try:
            await inward.take(await link.pos.change(event))
        except PlatformError as error:
            log.warning("point of sale not read", channel_id=link.channel_id, why=str(error))
            message = "the point of sale cannot be read now; send the event again"
            raise DomainError("SERVICE_UNAVAILABLE", message, retry_after_ms=5000) from error
        except (TypeError, ValueError) as error:  # what is missing, or text that nobody can hold
            raise invalid("payload", str(error)) from None
        return event.kind

    async def ecwid(self, request: Request) -> str:
        """Takes an event of Ecwid: its body is not signed, so it is only a hint.

        Raises:
            DomainError: why it is refused, or could not be taken.
        """
        body = await request.body()  # of limited size: see `gateway.edge`
        link = await self._connections.of(request.path_params["channel_id"])
        if link.store_side is None:
            raise connection_missing(link.channel_id, "store")
        side = link.store_side
        signature = request.headers.get(ecwid.SIGNATURE_HEADER, "")
        event = ecwid.read_webhook(
            body, signature, side.webhook_secret, side.account, datetime.now(UTC)
        )
        failpoints.at("webhook.read")
        match event:
            case OrderHint():
                await self._report_order(link, event)
                return "order"
            case ProductHint() if link.store is not None:
                await self._look(link, link.store, event)
                return "product"
            case ProductHint() | OtherEvent():
                log.info("event acknowledged", channel_id=link.channel_id, what=repr(event))
        return "other"

    async def _report_order(self, link: Link, event: OrderHint) -> None:
        report = order_pb2.ReportOrderChangeRequest(
            # The order is part of the id: whoever altered it in the unsigned body must not keep
            # the true event out.
            request_id=request_id(ecwid.PLATFORM, event.event_id, event.order_id),
            channel_id=link.channel_id,
            order_id=event.order_id,
        )
        await link.owners.call(link.owners.orders.ReportOrderChange, report)

    async def _look(self, link: Link, store: Store, event: ProductHint) -> None:
        """Looks at a product that the store says it has changed (CAT-07 to CAT-11). The echo of our
        own write finds nothing new (BEY-16). Its stock is judged by who wrote it (INV-10).

        Raises:
            DomainError: the catalog cannot be reached, or the store cannot be read now.
        """
        edits = ListingEdits(link.channel_id, link.owners, store)
        about, writer = (link.channel_id, event.shelf_id), self._writer
        if writer and not event.gone and writer.is_echo(*about):
            return

        async def look() -> None:
            held = await edits.look_at(event.shelf_id, event.event_id)
            if held is not None:
                if writer and held.shelf.product_id:
                    writer.saw(link.channel_id, held.shelf)
                return
            # One that is not ours, or that we removed ourselves, is not known; neither is any
            # where another process does the channel's work: its sweep finds what is missing.
            product_id = writer.product_at(*about) if writer else ""
            if product_id:
                await edits.look(product_id, event.event_id)

        try:
            await asyncio.wait_for(self._looks.look(about, look), LOOK_S_MAX)
        except (PlatformError, TimeoutError) as error:
            log.warning("store not read", channel_id=link.channel_id, why=str(error))
            message = "the store cannot be read now; send the event again"
            raise DomainError("SERVICE_UNAVAILABLE", message, retry_after_ms=5000) from error
        except BadRecordError as error:
            log.warning("product not read", channel_id=link.channel_id, why=str(error))


class Looks:
    """Looks at things that many events may be about. One look serves all events that came before
    it began, so that a burst of them costs two.
    """

    def __init__(self) -> None:
        self._turns = Turns()
        self._next: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def look(self, key: tuple[str, str], do: Callable[[], Awaitable[None]]) -> None:
        """Returns when a look that began after this call has been had."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._in_turn(key, do))
        await asyncio.shield(task)  # others may wait for it as well

    async def _in_turn(self, key: tuple[str, str], do: Callable[[], Awaitable[None]]) -> None:
        async with self._turns.of(":".join(key)):
            del self._next[key]
            await do()


def _route(platform: str, handle: Handler) -> Route:
    async def answer(request: Request) -> Response:
        try:
            kind = await handle(request)
        except DomainError as error:
            WEBHOOKS.labels(platform, "", error.reason).inc()
            log.warning(
                "webhook refused",
                platform=platform,
                channel_id=request.path_params["channel_id"],
                reason=error.reason,
                why=error.message,
            )
            raise _answerable(error) from error
        failpoints.at("webhook.taken")
        WEBHOOKS.labels(platform, kind, "OK").inc()
        return JSONResponse({"status": "taken"})

    return Route(f"/webhooks/{platform}/{{channel_id}}", answer, methods=["POST"])


def _answerable(error: DomainError) -> DomainError:
    """The refusal as the platform should see it: whatever may pass later is 503, so that it sends
    the event again.
    """
    if not error.transient:
        return error
    message = "the service that owns this cannot take it now; send the event again"
    return DomainError("SERVICE_UNAVAILABLE", message, retry_after_ms=1000)
