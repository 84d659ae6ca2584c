"""Webhooks of the platforms: `/webhooks/{platform}/{channel_id}`.

A webhook is acknowledged when the owner of what it says has it durably. A service that is down
means 503: the platform sends the event again, and polling catches what it gives up on.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.connections import Connections, connection_missing
from gateway.counters import WEBHOOKS
from gateway.ecom import OrderHint, ecwid
from gateway.inward import Inward
from gateway.platform import PlatformError
from gateway.pos import lightspeed_x
from gateway.records import request_id
from services.chassis.errors import DomainError, invalid
from tillbridge.order.v1 import order_pb2

log = structlog.get_logger()

Handler = Callable[[Request], Awaitable[str]]
"""Takes a webhook; gives its type."""


def routes(connections: Connections) -> list[Route]:
    """The routes of all platforms."""
    webhooks = Webhooks(connections)
    return [
        _route(lightspeed_x.PLATFORM, webhooks.lightspeed_x),
        _route(ecwid.PLATFORM, webhooks.ecwid),
    ]


class Webhooks:
    """Takes the webhooks of each platform."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

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
        if not isinstance(event, OrderHint):
            log.info("event acknowledged", channel_id=link.channel_id, type=event.kind)
            return "other"
        report = order_pb2.ReportOrderChangeRequest(
            # The order is part of the id: whoever altered it in the unsigned body must not keep
            # the true event out.
            request_id=request_id(ecwid.PLATFORM, event.event_id, event.order_id),
            channel_id=link.channel_id,
            order_id=event.order_id,
        )
        await link.owners.call(link.owners.orders.ReportOrderChange, report)
        return "order"


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
