"""The simulated X-Series account as one application."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import format_datetime
from hmac import compare_digest
from pathlib import Path
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.routing import BaseRoute

from gateway.sandbox import shop
from gateway.sandbox.chaos import Chaos
from gateway.sandbox.lightspeed_x.customers import Customers
from gateway.sandbox.lightspeed_x.dated_sales import DatedSales
from gateway.sandbox.lightspeed_x.inventory import Inventory
from gateway.sandbox.lightspeed_x.legacy import (
    legacy_customer,
    legacy_inventory,
    legacy_product,
    legacy_sale,
)
from gateway.sandbox.lightspeed_x.legacy_products import LegacyProductWrites
from gateway.sandbox.lightspeed_x.lists import Lists
from gateway.sandbox.lightspeed_x.product_editor import ProductEditor
from gateway.sandbox.lightspeed_x.product_writes import ProductWrites
from gateway.sandbox.lightspeed_x.products import Products
from gateway.sandbox.lightspeed_x.rate_limit import RateLimit
from gateway.sandbox.lightspeed_x.register_sales import RegisterSales
from gateway.sandbox.lightspeed_x.retailer import Retailer, refusal
from gateway.sandbox.lightspeed_x.sale_rules import DeductOn
from gateway.sandbox.lightspeed_x.sales import Sales
from gateway.sandbox.lightspeed_x.search import Search
from gateway.sandbox.lightspeed_x.seeding import seed_shop
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.lightspeed_x.subscriptions import Subscriptions
from gateway.sandbox.simulator import ApiError, Simulator
from gateway.sandbox.values import Clock, FieldError, Row, utc_now
from gateway.sandbox.webhooks import RetryPolicy

ACK_S_MAX = 5.0
"""A webhook not acknowledged after so many seconds has failed."""

ATTEMPTS_MAX = 21
"""One attempt and 20 retries."""

RETRY_AFTER_S = 1
"""How far ahead the Retry-After date of a 429 lies."""


class LightspeedX(Simulator):
    """A Lightspeed X-Series account, holding the sample shop.

    Args:
        token: the Bearer token every API call must carry.
        secret: the app's client secret, which signs webhooks.
        deduct_on: when orders that wait for pickup or dispatch take stock: `order` or `fulfil`.
        enforce_rate_limit: refuse calls beyond the documented limit; otherwise it is only
            counted in the reply headers.
        new_id: makes ids for new rows.
        chaos: see `Simulator`.
        clock: see `Simulator`.
        data_dir: see `Simulator`.
        retry: see `Simulator`.
    """

    name = "lightspeed_x"
    webhook_timeout = httpx.Timeout(ACK_S_MAX)

    def __init__(
        self,
        *,
        token: str = "sandbox-pos-token",  # noqa: S107 - a simulator's default
        secret: str = "sandbox-pos-secret",  # noqa: S107 - as above
        deduct_on: str = DeductOn.ORDER,
        enforce_rate_limit: bool = False,
        new_id: Callable[[], str] = lambda: str(uuid4()),
        chaos: Chaos | None = None,
        clock: Clock = utc_now,
        data_dir: Path | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        retry = retry or RetryPolicy(attempts_max=ATTEMPTS_MAX)
        super().__init__(chaos=chaos, clock=clock, data_dir=data_dir, retry=retry)
        self._token = token
        self._enforce_rate_limit = enforce_rate_limit
        self._rate_limit = RateLimit(len(shop.REGISTERS), clock)
        self.retailer = Retailer(clock=clock, new_id=new_id, changed=self.changed, emit=self._emit)
        self.stock = Stock(self.retailer)
        self._subscriptions = Subscriptions(self.retailer, secret)
        products = Products(self.retailer, self.stock)
        editor = ProductEditor(self.retailer, self.stock)
        sales = Sales(self.retailer, self.stock, DeductOn(deduct_on))
        register_sales = RegisterSales(self.retailer, sales)
        self._parts = (
            Lists(self.retailer),
            products,
            ProductWrites(self.retailer, editor, products),
            LegacyProductWrites(self.retailer, self.stock, editor),
            Inventory(self.retailer, self.stock),
            Customers(self.retailer),
            sales,
            register_sales,
            DatedSales(self.retailer, register_sales),
            Search(self.retailer, products),
            self._subscriptions,
        )
        self.load()

    def routes(self) -> list[BaseRoute]:
        """The whole API."""
        return [route for part in self._parts for route in part.routes()]

    def accepts_webhook_status(self, status: int) -> bool:
        """Any 2xx counts as received."""
        return 200 <= status < 300

    def authenticate(self, request: Request) -> None:
        """Demands a User-Agent and the Bearer token, and counts the call."""
        within_limit = self._rate_limit.take()
        if self._enforce_rate_limit and not within_limit:
            raise self.rate_limited()
        if not request.headers.get("user-agent"):
            raise refusal(400, "the User-Agent header is required")
        given = request.headers.get("authorization", "")
        if not compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise refusal(401, "Unauthorized")

    def error(self, status: int, detail: str) -> ApiError:
        """`{"error": "..."}`."""
        return refusal(status, detail)

    def field_error(self, error: FieldError) -> ApiError:
        """`{"errors": {"field": ["complaint"]}}` with status 422."""
        return ApiError(422, {"errors": {field: [text] for field, text in error.errors.items()}})

    def rate_limited(self) -> ApiError:
        """429, with a date in Retry-After."""
        moment = self.clock().replace(microsecond=0) + timedelta(seconds=RETRY_AFTER_S)
        body = {"error": "Too Many Requests", "message": "Rate limiting enforced"}
        return ApiError(429, body, {"Retry-After": format_datetime(moment, usegmt=True)})

    def reply_headers(self) -> Mapping[str, str]:
        """How much of the rate limit is left."""
        return {
            "X-RateLimit-Limit": str(self._rate_limit.limit),
            "X-RateLimit-Remaining": str(self._rate_limit.remaining),
        }

    def snapshot(self) -> Row:
        """All tables."""
        return self.retailer.snapshot()

    def restore(self, state: Row) -> None:
        """Takes back all tables."""
        self.retailer.restore(state)
        self.stock.reindex()

    def seed(self) -> None:
        """Fills the account with the sample shop."""
        seed_shop(self.retailer, self.stock)

    def _emit(self, event_type: str, row: Row) -> None:
        webhooks = self._subscriptions.subscribers(event_type)
        if webhooks:
            payload = self._payload(event_type, row)
            for webhook in webhooks:
                self.courier.send(self._subscriptions.message(webhook, payload))

    def _payload(self, event_type: str, row: Row) -> Row:
        match event_type:
            case "product.update":
                return legacy_product(self.retailer, self.stock, row)
            case "inventory.update":
                return legacy_inventory(self.retailer, row)
            case "customer.update":
                return legacy_customer(row)
            case _:
                return legacy_sale(self.retailer, row)
