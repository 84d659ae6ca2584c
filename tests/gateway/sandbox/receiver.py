"""A real HTTP receiver of webhooks, for tests: keeps what comes, answers what it is told to."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

WAIT_S_MAX = 10.0


@dataclass
class Received:
    """One webhook call as it arrived."""

    body: bytes
    headers: dict[str, str]
    query: dict[str, str]

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Receiver:
    """Answers with the statuses in `answers` first, then 200."""

    url: str = ""
    calls: list[Received] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/hook", self._hook, methods=["POST"])])

    async def until(self, enough: Callable[[list[Received]], bool]) -> list[Received]:
        """Waits until the calls so far are enough, or fails after ten seconds."""
        async with asyncio.timeout(WAIT_S_MAX), self._arrived:
            await self._arrived.wait_for(lambda: enough(self.calls))
        return self.calls

    async def _hook(self, request: Request) -> Response:
        call = Received(await request.body(), dict(request.headers), dict(request.query_params))
        async with self._arrived:
            self.calls.append(call)
            self._arrived.notify_all()
        return Response(status_code=self.answers.popleft() if self.answers else 200)


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds, or fails after ten seconds."""
    async with asyncio.timeout(WAIT_S_MAX):
        while not condition():  # noqa: ASYNC110 - the condition has no event to wait for
            await asyncio.sleep(0.005)


def api_client(url: str, token: str) -> httpx.AsyncClient:
    """A client of a simulator that carries the token."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "tillbridge-tests"}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False)


def silent_config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False)
