"""What both simulated platforms share: the front door, chaos, webhooks and saved state."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from gateway.sandbox.chaos import CallFate, Chaos, ChaosSettings
from gateway.sandbox.ledger import Entry, Ledger
from gateway.sandbox.state_file import StateFile
from gateway.sandbox.values import Clock, FieldError, Row, utc_now
from gateway.sandbox.webhooks import Courier, RetryPolicy

CONTROL_PREFIX = "/sandbox/"
"""Paths below it steer the simulator itself; they need no token and are never chaotic."""


class ApiError(Exception):
    """An answer the platform gives instead of doing what it was asked.

    Attributes:
        status: the HTTP status.
        body: the JSON body, in the platform's own shape.
        headers: further headers, such as Retry-After.
    """

    def __init__(self, status: int, body: Row, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        super().__init__(f"{status} {body}")

    def response(self) -> Response:
        """The error as an HTTP response."""
        return JSONResponse(self.body, self.status, self.headers)


class Simulator(ABC):
    """A simulated platform: an ASGI application with state, chaos and outgoing webhooks.

    Args:
        chaos: shared or own; by default one that does nothing.
        clock: gives the time for timestamps.
        data_dir: where the state file lives; None keeps state in memory only.
        retry: when refused webhooks are tried again.
    """

    name: str
    """File name stem of the saved state."""

    webhook_timeout: httpx.Timeout
    """How long the platform waits for a receiver."""

    def __init__(
        self,
        *,
        chaos: Chaos | None = None,
        clock: Clock = utc_now,
        data_dir: Path | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.clock = clock
        self.chaos = chaos or Chaos()
        self.ledger = Ledger(clock)
        self.courier = Courier(
            accepts=self.accepts_webhook_status,
            timeout=self.webhook_timeout,
            retry=retry or RetryPolicy(),
            chaos=self.chaos,
            clock=clock,
        )
        path = data_dir / f"sandbox-{self.name}.json" if data_dir else None
        self._file = StateFile(path, self._snapshot) if path else None

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """The platform's API."""

    @abstractmethod
    def accepts_webhook_status(self, status: int) -> bool:
        """Whether the platform takes this HTTP status as a webhook received."""

    @abstractmethod
    def authenticate(self, request: Request) -> None:
        """Raises ApiError when the call does not carry what the platform demands."""

    @abstractmethod
    def error(self, status: int, detail: str) -> ApiError:
        """The platform's answer for a plain HTTP error, such as 404 for an unknown path."""

    @abstractmethod
    def field_error(self, error: FieldError) -> ApiError:
        """The platform's answer for a body that is not acceptable."""

    @abstractmethod
    def rate_limited(self) -> ApiError:
        """The platform's answer for too many calls."""

    @abstractmethod
    def snapshot(self) -> Row:
        """The whole state as one JSON object."""

    @abstractmethod
    def restore(self, state: Row) -> None:
        """Takes back what `snapshot` gave."""

    @abstractmethod
    def seed(self) -> None:
        """Fills an empty state with the sample shop."""

    def control_routes(self) -> list[BaseRoute]:
        """The routes below /sandbox/; platforms may add their own."""
        return [
            Route("/sandbox/chaos", self._get_chaos, methods=["GET"]),
            Route("/sandbox/chaos", self._put_chaos, methods=["PUT"]),
            Route("/sandbox/log", self._get_log, methods=["GET"]),
            Route("/sandbox/deliveries", self._get_deliveries, methods=["GET"]),
        ]

    def reply_headers(self) -> Mapping[str, str]:
        """Headers the platform adds to every API answer."""
        return {}

    def load(self) -> None:
        """Fills the state: from the state file where there is one, else from the sample shop.

        Call it once, last thing in the constructor of a platform.
        """
        self._app = self._build_app()
        saved = self._file.load() if self._file else None
        if saved is None:
            self.seed()
        else:
            self.courier.restore(saved["pending_deliveries"])
            self.restore(saved["state"])

    def changed(self) -> None:
        """Says that the state has changed, so that it gets saved."""
        if self._file:
            self._file.touch()

    async def start(self) -> None:
        """Begins sending webhooks and saving state; needs a running event loop."""
        if self._file:
            self._file.start()
        await self.courier.start()

    async def stop(self) -> None:
        """Stops sending webhooks and saves the state a last time."""
        await self.courier.close()
        if self._file:
            await self._file.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request: noted in the ledger, authenticated, perhaps spoiled by chaos."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        entry = self.ledger.note(request, body)
        await self._serve(request, body, self._noting(entry, send))

    async def _serve(self, request: Request, body: bytes, send: Send) -> None:
        scope, receive = request.scope, _replay(body)
        fate = self.chaos.fate_of_call()
        try:
            if fate is CallFate.RATE_LIMITED:
                raise self.rate_limited()
            if fate is CallFate.ERROR:
                raise self.error(HTTPStatus.INTERNAL_SERVER_ERROR, "the sandbox's chaos knob")
            self.authenticate(request)
        except ApiError as refusal:
            await refusal.response()(scope, receive, send)
            return
        if fate is CallFate.LOST_REPLY:
            await self._app(scope, receive, _nowhere)
            lost = self.error(HTTPStatus.INTERNAL_SERVER_ERROR, "done, but the reply got lost")
            await lost.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _noting(self, entry: Entry, send: Send) -> Send:
        async def noting_send(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                extra = [(k.encode(), v.encode()) for k, v in self.reply_headers().items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        return noting_send

    def _build_app(self) -> Starlette:
        # Starlette wants handlers of plain exceptions; each gets only what it is registered for.
        async def on_api_error(_: Request, error: Exception) -> Response:
            if not isinstance(error, ApiError):
                raise error
            return error.response()

        async def on_field_error(_: Request, error: Exception) -> Response:
            if not isinstance(error, FieldError):
                raise error
            return self.field_error(error).response()

        async def on_http_error(_: Request, error: Exception) -> Response:
            if not isinstance(error, HTTPException):
                raise error
            return self.error(error.status_code, error.detail).response()

        return Starlette(
            routes=[*self.control_routes(), *self.routes()],
            exception_handlers={
                ApiError: on_api_error,
                FieldError: on_field_error,
                HTTPException: on_http_error,
            },
        )

    def _snapshot(self) -> Row:
        return {"state": self.snapshot(), "pending_deliveries": self.courier.pending_rows()}

    async def _get_chaos(self, _: Request) -> Response:
        return JSONResponse(self.chaos.settings.model_dump())

    async def _put_chaos(self, request: Request) -> Response:
        try:
            self.chaos.set(ChaosSettings.model_validate_json(await request.body()))
        except ValidationError as error:
            complaints = json.loads(error.json(include_url=False, include_input=False))
            return JSONResponse({"errors": complaints}, HTTPStatus.UNPROCESSABLE_ENTITY)
        return JSONResponse(self.chaos.settings.model_dump())

    async def _get_log(self, request: Request) -> Response:
        return JSONResponse({"entries": self.ledger.rows(request.query_params.get("method"))})

    async def _get_deliveries(self, _: Request) -> Response:
        return JSONResponse({"deliveries": self.courier.rows()})


def created(body: Any) -> Response:
    """An answer with status 201."""
    return JSONResponse(body, HTTPStatus.CREATED)


def _replay(body: bytes) -> Receive:
    # The body is here already, so handlers never wait for anything: each runs from its first
    # line to its last with no other in between, which is all the locking a simulator needs.
    async def receive() -> AsgiMessage:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _nowhere(_: AsgiMessage) -> None:
    """Takes the messages of a reply that is to get lost."""
