"""The whole of Tillbridge as an operator runs it: real processes on free ports, with a sandbox."""

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from gateway.sandbox.settings import SandboxSettings
from services.chassis.auth import Tokens
from services.chassis.settings import CONTEXTS, Context
from services.supervisor import Process, Supervisor, until
from tests.ports import free_ports

KEY = "the key of a stack that lives for one story only"
MERCHANT = "saltmarsh"
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A running installation, reached by what it shows to the outside and by nothing else."""

    supervisor: Supervisor
    ports: Mapping[str, int]
    sandbox: SandboxSettings
    api: httpx.AsyncClient
    """Tillbridge's HTTP bridge, with the operator's token."""
    pos: httpx.AsyncClient
    """The simulated point of sale, in its own wire format."""
    store: httpx.AsyncClient
    """The simulated store, in its own wire format."""

    @property
    def gateway_url(self) -> str:
        """Where the gateway listens."""
        return f"http://127.0.0.1:{self.ports['http']}"

    def address(self, context: Context) -> str:
        """Where a service listens, as `host:port`."""
        return f"127.0.0.1:{self.ports[context]}"

    def kill(self, name: str) -> int:
        """Kills a process with SIGKILL; the supervisor starts it again. Returns its process id."""
        for process in self.supervisor.processes:
            if process.name == name:
                assert process.running is not None
                os.kill(process.running.pid, signal.SIGKILL)
                return process.running.pid
        raise KeyError(name)

    async def get(self, path: str, **params: Any) -> Any:
        """What Tillbridge answers to a GET."""
        answer = await self.api.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    async def post(self, path: str, request_id: str, body: Mapping[str, Any]) -> Any:
        """What Tillbridge answers to a POST."""
        answer = await self.api.post(path, json=body, headers={"Idempotency-Key": request_id})
        answer.raise_for_status()
        return answer.json()


def token(merchant: str = MERCHANT, roles: tuple[str, ...] = ("pos", "ecom", "operator")) -> str:
    """A token that the stack takes."""
    return Tokens(KEY).issue("story", merchant, roles, timedelta(hours=1))


@asynccontextmanager
async def running_stack(
    data_dir: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """Starts everything, waits until it is ready, and stops it in the end."""
    ports = free_ports([*CONTEXTS, "http", "pos", "store"])
    sandbox = SandboxSettings(
        data_dir=data_dir, sandbox_pos_port=ports["pos"], sandbox_store_port=ports["store"]
    )
    supervisor = Supervisor(
        _environment(data_dir, ports) | dict(environment or {}),
        data_dir / "log",
        [
            Process.of("sandbox", "gateway.sandbox"),
            *(Process.of(context, f"services.{context}") for context in CONTEXTS),
            Process.of("gateway", "gateway"),
        ],
        lambda _process, _code: None,
    )
    async with reached(supervisor, ports, sandbox) as stack:
        await supervisor.start()
        try:
            if not await until(lambda: _answers(stack.api), READY_S):
                raise TimeoutError(f"not ready within {READY_S} s: {last_words(supervisor)}")
            yield stack
        finally:
            await supervisor.stop()


@asynccontextmanager
async def reached(
    supervisor: Supervisor, ports: Mapping[str, int], sandbox: SandboxSettings
) -> AsyncIterator[Stack]:
    """The stack that runs, or soon will, at these ports, and clients to reach it with."""
    pos_url, store_url = (f"http://127.0.0.1:{ports[side]}" for side in ("pos", "store"))
    async with (
        _client(f"http://127.0.0.1:{ports['http']}", token()) as api,
        _client(pos_url, sandbox.sandbox_pos_token) as pos,
        _client(
            f"{store_url}/api/v3/{sandbox.sandbox_store_id}/", sandbox.sandbox_store_token
        ) as store,
    ):
        yield Stack(supervisor, ports, sandbox, api, pos, store)


def _environment(data_dir: Path, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "TILLBRIDGE_DATA_DIR": str(data_dir),
        "TILLBRIDGE_TOKEN_KEY": KEY,
        "TILLBRIDGE_HTTP_PORT": str(ports["http"]),
        "TILLBRIDGE_SANDBOX_POS_PORT": str(ports["pos"]),
        "TILLBRIDGE_SANDBOX_STORE_PORT": str(ports["store"]),
        **{f"TILLBRIDGE_{context.upper()}_PORT": str(ports[context]) for context in CONTEXTS},
    }


def _client(base_url: str, bearer: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {bearer}", "User-Agent": "tillbridge-story"},
        timeout=30.0,
        limits=httpx.Limits(max_connections=32),
    )


async def _answers(api: httpx.AsyncClient) -> bool:
    try:
        return (await api.get("/readyz")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def last_words(supervisor: Supervisor) -> str:
    """The end of each process's log: why it is not ready stands there."""
    logs = sorted(supervisor.log_dir.glob("*.log"))
    return "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in logs)
