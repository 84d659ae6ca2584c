"""Running simulators, clients of them, and a receiver of their webhooks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.sandbox.ecwid import Ecwid
from gateway.sandbox.lightspeed_x import LightspeedX
from gateway.sandbox.server import QuietServer, SandboxServer, listening_socket
from gateway.sandbox.webhooks import RetryPolicy
from tests.gateway.sandbox.receiver import Receiver, api_client, eventually, silent_config

POS_TOKEN = "pos-token"
POS_SECRET = "pos-secret"
STORE_TOKEN = "secret_store_token"
STORE_SECRET = "store-secret"

QUICK = RetryPolicy(first_delay_s=0.02, delay_s_max=0.1, attempts_max=5)

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("the published reference data (shared/data) is not here")
    return DATA


@pytest.fixture
def pos() -> LightspeedX:
    return LightspeedX(token=POS_TOKEN, secret=POS_SECRET, retry=QUICK)


@pytest.fixture
async def pos_server(pos: LightspeedX) -> AsyncIterator[SandboxServer]:
    async with SandboxServer(pos) as server:
        yield server


@pytest.fixture
async def pos_api(pos_server: SandboxServer) -> AsyncIterator[httpx.AsyncClient]:
    async with api_client(pos_server.url, POS_TOKEN) as client:
        yield client


@pytest.fixture
def store() -> Ecwid:
    return Ecwid(token=STORE_TOKEN, secret=STORE_SECRET, retry=QUICK)


@pytest.fixture
async def store_server(store: Ecwid) -> AsyncIterator[SandboxServer]:
    async with SandboxServer(store) as server:
        yield server


@pytest.fixture
async def store_api(store_server: SandboxServer) -> AsyncIterator[httpx.AsyncClient]:
    """Its paths are relative to the store's base."""
    async with api_client(f"{store_server.url}/api/v3/1003", STORE_TOKEN) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    listening = listening_socket("127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
    server = QuietServer(silent_config(receiver.app()))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await eventually(lambda: server.started)
    yield receiver
    server.should_exit = True
    await serving
