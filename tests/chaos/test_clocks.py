"""P19: what time a process thinks it is decides nothing."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.ecom.ecwid import SIGNATURE_HEADER
from gateway.sandbox.ecwid.events import signature
from services import history
from tests.chaos.clients import Clients
from tests.chaos.conftest import KILLED
from tests.chaos.databases import service_databases
from tests.chaos.errands import opening
from tests.chaos.history import History
from tests.chaos.installation import Installation, installed
from tests.chaos.plan import CLOCKS, HOUR, MINUTES, Jump, Plan
from tests.chaos.run import run
from tests.flows.stack import token
from tests.harness import eventually

pytestmark = pytest.mark.long

SECRET, STORE_ID = "the store's client secret", 1003


def test_clocks_that_are_wrong_or_jump_change_nothing(
    tmp_path: Path, postgres: str, killed: Path
) -> None:
    """Ten minutes ahead, ten behind, an hour back: holds end by the database's clock, and the
    state is the one without.
    """
    plan = Plan("P19", KILLED.seed, KILLED.orders, jumps=CLOCKS)
    with service_databases(postgres) as url:
        found = history.read(asyncio.run(run(plan, tmp_path, url)))
    print(history.summary(found))
    assert history.check(found) == []
    assert history.state(found) == history.state(history.read(killed))


def test_orders_go_on_when_the_clock_of_the_machine_is_set_back(tmp_path: Path) -> None:
    """On SQLite, where the machine's clock is all there is."""
    plan = Plan("P19", seed=1, orders=500, kills=2, jumps=(Jump(0.5, "order", -HOUR),))
    found = history.read(asyncio.run(run(plan, tmp_path)))
    print(history.summary(found))
    assert history.check(found) == []


async def test_a_gateway_whose_clock_is_wrong_says_so_to_the_store(tmp_path: Path) -> None:
    async with installed(tmp_path, clocks=["gateway"]) as installation:
        with History(tmp_path / "history.jsonl") as told:
            async with Clients(installation, told, seed=1) as clients:
                for errand in opening():
                    answer = await clients.ask(errand)
        path = await _connect_store(installation, answer.channel.channel_id)
        for off_s, expected in (
            (0, httpx.codes.OK),
            (-10 * MINUTES, httpx.codes.UNAUTHORIZED),
            (10 * MINUTES, httpx.codes.OK),
            (-HOUR, httpx.codes.UNAUTHORIZED),
        ):
            installation.set_clock("gateway", off_s)

            async def is_taken_or_not(expected: int = expected) -> None:
                answer = await _tell(installation, path)
                assert answer.status_code == expected
                if expected != httpx.codes.OK:
                    assert "Check both clocks" in answer.json()["error"]["message"]
                    assert "WEBHOOK_STALE" in answer.text

            await eventually(is_taken_or_not, within_s=30.0)


async def _connect_store(installation: Installation, channel_id: str) -> str:
    """Connects an Ecwid store that is not there; gives the path of its webhooks."""
    connection = {
        "side": "CONNECTION_SIDE_STORE",
        "platform": "ecwid",
        "base_url": "http://127.0.0.1:1",
        "account": str(STORE_ID),
        "access_token": "secret_x",
        "webhook_secret": SECRET,
    }
    body: dict[str, Any] = {"request_id": "connect", "connection": connection}
    async with _http(installation) as http:
        answer = await http.post(f"/v1/channels/{channel_id}:setConnection", json=body)
    answer.raise_for_status()
    return f"/webhooks/ecwid/{channel_id}"


async def _tell(installation: Installation, path: str) -> httpx.Response:
    """Tells of an order, as the store does: at the true time."""
    created, event_id = int(time.time()), "event-1"
    event = {
        "eventId": event_id,
        "eventCreated": created,
        "storeId": STORE_ID,
        "entityId": 1,
        "eventType": "order.created",
        "data": {"orderId": "XJ12H"},
    }
    async with _http(installation) as http:
        return await http.post(
            path, json=event, headers={SIGNATURE_HEADER: signature(SECRET, created, event_id)}
        )


def _http(installation: Installation) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://{installation.address('gateway')}",
        headers={"Authorization": f"Bearer {token()}"},
        timeout=10.0,
    )
