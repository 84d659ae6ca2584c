"""State survives a restart; the process starts and stops as it should."""

import asyncio
import json
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.sandbox import shop
from gateway.sandbox.ecwid import Ecwid
from gateway.sandbox.lightspeed_x import LightspeedX
from gateway.sandbox.server import SandboxServer
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.state_file import StateFile
from gateway.sandbox.webhooks import RetryPolicy
from tests.gateway.sandbox.receiver import Receiver, api_client, eventually

ROOT = Path(__file__).resolve().parents[3]
POS_TOKEN = "sandbox-pos-token"
STORE_TOKEN = "secret_sandbox_store_token"
MUG = f"/api/2.0/products/{shop.product_id('MUG')}/inventory"


def saved_states(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text())["state"] for path in folder.iterdir()}


async def test_the_pos_remembers_everything(tmp_path: Path) -> None:
    body = {
        "register_id": shop.REGISTER_MAIN_ID,
        "status": "CLOSED",
        "register_sale_products": [
            {"product_id": shop.product_id("MUG"), "quantity": 2, "price": 20}
        ],
    }
    async with (
        SandboxServer(LightspeedX(data_dir=tmp_path)) as server,
        api_client(server.url, POS_TOKEN) as api,
    ):
        sale = (await api.post("/api/register_sales", json=body)).json()["register_sale"]
        levels = (await api.get(MUG)).json()
    async with (
        SandboxServer(LightspeedX(data_dir=tmp_path)) as server,
        api_client(server.url, POS_TOKEN) as api,
    ):
        assert (await api.get(MUG)).json() == levels
        # The sale's hold on the stock is remembered too: voiding it gives back two, once.
        voided = {**body, "id": sale["id"], "status": "VOIDED"}
        await api.post("/api/register_sales", json=voided)
        rows = (await api.get(MUG)).json()["data"]
        assert {r["outlet_id"]: r["inventory_level"] for r in rows} == {
            shop.OUTLET_MAIN_ID: 12,
            shop.OUTLET_HARBOUR_ID: 5,
        }
        assert max(r["version"] for r in rows) > levels["version"]["max"]


def test_a_state_that_knows_one_outlet_for_each_sale_is_still_read() -> None:
    pos = LightspeedX()
    before = pos.snapshot()
    old = {name: value for name, value in before.items() if name != "line_outlets"}
    held = {"outlet_id": shop.OUTLET_MAIN_ID, "taken": {"mug": 2}}
    pos.restore({**old, "sale_stock": {"s": held}})
    after = pos.snapshot()
    assert after["sale_stock"] == {"s": {shop.OUTLET_MAIN_ID: {"mug": 2}}}
    assert after["line_outlets"] == {}


async def test_the_store_remembers_everything(tmp_path: Path) -> None:
    async with (
        SandboxServer(Ecwid(data_dir=tmp_path, webhook_url="http://127.0.0.1:9/")) as server,
        api_client(f"{server.url}/api/v3/1003", STORE_TOKEN) as api,
    ):
        mug = (await api.post("products", json={"name": "Mug", "sku": "MUG", "quantity": 5})).json()
        order = {"subtotal": 1, "total": 1, "email": "a@b.nz", "items": [{"productId": mug["id"]}]}
        order_id = (await api.post("orders", json=order)).json()["orderid"]
    revived = Ecwid(data_dir=tmp_path)
    assert revived.webhook_url == "http://127.0.0.1:9/"
    async with (
        SandboxServer(revived) as server,
        api_client(f"{server.url}/api/v3/1003", STORE_TOKEN) as api,
    ):
        await api.put(f"orders/{order_id}", json={"paymentStatus": "CANCELLED"})
        assert (await api.get(f"products/{mug['id']}")).json()["quantity"] == 5
        again = await api.post("products", json={"name": "Jug", "sku": "MUG"})
        assert again.json()["errorCode"] == "SKU_ALREADY_EXISTS"
        other = (await api.post("products", json={"name": "Jug"})).json()
        assert other["id"] > mug["id"]


async def test_pending_webhooks_go_out_after_the_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    patient = RetryPolicy(first_delay_s=60, delay_s_max=60)
    receiver.answers.append(503)
    store = Ecwid(data_dir=tmp_path, webhook_url=receiver.url, retry=patient)
    async with (
        SandboxServer(store) as server,
        api_client(f"{server.url}/api/v3/1003", STORE_TOKEN) as api,
    ):
        await api.post("categories", json={"name": "Kitchen"})
        await receiver.until(lambda calls: len(calls) == 1)
    async with SandboxServer(Ecwid(data_dir=tmp_path)):
        first, second = await receiver.until(lambda calls: len(calls) == 2)
    assert first.body == second.body


async def test_changes_are_written_soon_and_atomically(tmp_path: Path) -> None:
    state: dict[str, Any] = {"n": 0}
    file = StateFile(tmp_path / "deep" / "state.json", lambda: state, debounce_s=0.01)
    assert file.load() is None
    file.start()
    state["n"] = 1
    file.touch()
    await eventually(lambda: file.load() == {"n": 1})
    state["n"] = 2
    await file.close()
    assert file.load() == {"n": 2}
    assert [path.name for path in file.path.parent.iterdir()] == ["state.json"]


def test_versions_start_at_the_clock_and_never_go_back() -> None:
    noon = datetime(2026, 7, 4, 12, tzinfo=UTC)
    first = LightspeedX(clock=lambda: noon).retailer.version
    later = LightspeedX(clock=lambda: noon.replace(second=5)).retailer.version
    assert int(noon.timestamp() * 1000) < first < later


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_serves_both_and_stops_when_asked(
    tmp_path: Path, signum: signal.Signals
) -> None:
    settings = {
        "TILLBRIDGE_DATA_DIR": str(tmp_path),
        "TILLBRIDGE_SANDBOX_POS_PORT": "0",
        "TILLBRIDGE_SANDBOX_STORE_PORT": "0",
        "TILLBRIDGE_SANDBOX_POS_TOKEN": "till",
        "TILLBRIDGE_SANDBOX_STORE_TOKEN": "secret_shop",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.sandbox"),
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    pos_url, store_url = re.findall(r"http://127\.0\.0\.1:\d+", line)
    async with api_client(pos_url, "till") as api:
        assert (await api.get("/api/2.0/outlets")).status_code == 200
    async with httpx.AsyncClient() as client:
        profile = await client.get(f"{store_url}/api/v3/1003/profile?token=secret_shop")
        assert profile.status_code == 200
    process.send_signal(signum)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert set(saved_states(tmp_path)) == {"sandbox-lightspeed_x", "sandbox-ecwid"}


def test_a_store_token_must_look_like_one() -> None:
    with pytest.raises(ValueError, match="secret_"):
        SandboxSettings(sandbox_store_token="public_x")
