"""The simulated store as one application."""

from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from gateway.sandbox.chaos import Chaos
from gateway.sandbox.ecwid.catalog import Catalog
from gateway.sandbox.ecwid.categories import Categories
from gateway.sandbox.ecwid.customers import Customers
from gateway.sandbox.ecwid.deletions import Deletions
from gateway.sandbox.ecwid.events import ACCEPTED, event_message
from gateway.sandbox.ecwid.images import Images
from gateway.sandbox.ecwid.orders import Orders
from gateway.sandbox.ecwid.products import Products
from gateway.sandbox.ecwid.profile import Profile
from gateway.sandbox.ecwid.store import Store, refusal
from gateway.sandbox.simulator import ApiError, Simulator
from gateway.sandbox.values import Clock, FieldError, Row, json_object, utc_now
from gateway.sandbox.webhooks import RetryPolicy

CONNECT_S_MAX = 3.0
RESPONSE_S_MAX = 10.0
"""How long the store waits for a receiver to be reached, and to answer."""

ATTEMPTS_MAX = 28
"""One attempt and 27 retries."""

RETRY_AFTER_S = 1
"""What the Retry-After header of a 429 says."""

_ERROR_CODES = {
    404: (422, "WRONG_URL", "There is no such URL"),
    405: (405, "METHOD_NOT_ALLOWED", "Method not allowed"),
    500: (500, "INTERNAL_ERROR", "Internal error"),
}


class Ecwid(Simulator):
    """An Ecwid store: empty of products, with a few shipping options.

    Args:
        store_id: the store's number, part of every path.
        token: the access token, as Bearer or `?token=`.
        secret: the app's client secret, which signs webhooks.
        webhook_url: where events go; None sends none. Settable by `PUT /sandbox/webhook`.
        unique_skus: whether the store refuses a SKU that is taken.
        new_id: makes event ids.
        chaos: see `Simulator`.
        clock: see `Simulator`.
        data_dir: see `Simulator`.
        retry: see `Simulator`.
    """

    name = "ecwid"
    webhook_timeout = httpx.Timeout(RESPONSE_S_MAX, connect=CONNECT_S_MAX)

    def __init__(
        self,
        *,
        store_id: int = 1003,
        token: str = "secret_sandbox_store_token",  # noqa: S107 - a simulator's default
        secret: str = "sandbox-store-secret",  # noqa: S107 - as above
        webhook_url: str | None = None,
        unique_skus: bool = True,
        new_id: Callable[[], str] = lambda: str(uuid4()),
        chaos: Chaos | None = None,
        clock: Clock = utc_now,
        data_dir: Path | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        retry = retry or RetryPolicy(attempts_max=ATTEMPTS_MAX)
        super().__init__(chaos=chaos, clock=clock, data_dir=data_dir, retry=retry)
        self.store_id = store_id
        self.webhook_url = webhook_url
        self._token = token
        self._secret = secret
        self._new_id = new_id
        self.store = Store(clock=clock, changed=self.changed, fire=self._fire)
        self._catalog = Catalog(self.store, store_id, unique_skus=unique_skus)
        customers = Customers(self.store)
        self._profile = Profile(self.store, store_id)
        self._parts = (
            Deletions(self.store),
            Products(self.store, self._catalog),
            Images(self.store, self._catalog),
            Orders(self.store, customers),
            customers,
            Categories(self.store),
            self._profile,
        )
        self.load()

    def routes(self) -> list[BaseRoute]:
        """The whole API, below the store's base."""
        routes = [route for part in self._parts for route in part.routes()]
        return [Mount("/api/v3/{store_id}", routes=routes)]

    def control_routes(self) -> list[BaseRoute]:
        """What every simulator has, and the one webhook URL."""
        return [
            *super().control_routes(),
            Route("/sandbox/webhook", self._get_webhook, methods=["GET"]),
            Route("/sandbox/webhook", self._put_webhook, methods=["PUT"]),
        ]

    def accepts_webhook_status(self, status: int) -> bool:
        """Only 200, 201, 202, 204 and 209 count as received."""
        return status in ACCEPTED

    def authenticate(self, request: Request) -> None:
        """Demands this store's id in the path, and the token in either place."""
        parts = request.url.path.split("/")
        if parts[1:3] == ["api", "v3"] and parts[3:4] != [str(self.store_id)]:
            raise refusal(404, "STORE_NOT_FOUND", "Store not found")
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else request.query_params.get("token", "")
        if not compare_digest(given.encode(), self._token.encode()):
            raise refusal(403, "INVALID_API_TOKEN", "The access token is not valid")

    def error(self, status: int, detail: str) -> ApiError:
        """`{"errorMessage", "errorCode"}`."""
        status, code, message = _ERROR_CODES.get(status, (status, "WRONG_PARAMETER", detail))
        return refusal(status, code, message)

    def field_error(self, error: FieldError) -> ApiError:
        """400 WRONG_PARAMETER, with every complaint in the message."""
        return refusal(400, "WRONG_PARAMETER", str(error))

    def rate_limited(self) -> ApiError:
        """429 RATE_LIMITED, with seconds in Retry-After."""
        limited = refusal(429, "RATE_LIMITED", "Too many requests")
        return ApiError(limited.status, limited.body, {"Retry-After": str(RETRY_AFTER_S)})

    def snapshot(self) -> Row:
        """All rows, and where webhooks go."""
        return {"store": self.store.snapshot(), "webhook_url": self.webhook_url}

    def restore(self, state: Row) -> None:
        """Takes back all rows; a URL given to the constructor wins over the saved one."""
        self.store.restore(state["store"])
        self._catalog.reindex()
        self.webhook_url = self.webhook_url or state["webhook_url"]

    def seed(self) -> None:
        """Gives the store its shipping options."""
        self._profile.seed()

    def _fire(self, event_type: str, entity_id: Any, data: Row | None) -> None:
        if self.webhook_url is None:
            return
        message = event_message(
            url=self.webhook_url,
            secret=self._secret,
            store_id=self.store_id,
            event_type=event_type,
            entity_id=entity_id,
            data=data,
            created=self.store.now(),
            new_id=self._new_id,
        )
        self.courier.send(message)

    async def _get_webhook(self, _: Request) -> Response:
        return JSONResponse({"url": self.webhook_url})

    async def _put_webhook(self, request: Request) -> Response:
        url = (await json_object(request)).get("url")
        if url is not None and not str(url).startswith(("http://", "https://")):
            raise FieldError({"url": "must be an http(s) URL or null"})
        self.webhook_url = url
        self.changed()
        return JSONResponse({"url": url})
