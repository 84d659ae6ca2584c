"""The chaos knob: set in both places, seeded, and felt by webhooks and callers alike."""

import json
from email.utils import parsedate_to_datetime

import httpx
import pytest

from gateway.sandbox import shop
from gateway.sandbox.chaos import CallFate, Chaos, ChaosSettings
from gateway.sandbox.ecwid import Ecwid
from gateway.sandbox.lightspeed_x import LightspeedX
from gateway.sandbox.server import SandboxServer
from gateway.sandbox.simulator import Simulator
from tests.gateway.sandbox.receiver import Receiver, api_client, eventually

NOISY = ChaosSettings(
    duplicate=0.3, drop=0.2, delay=0.5, delay_seconds_max=2, reorder=0.4, fail=0.3, seed=7
)


def test_the_same_seed_gives_the_same_fates() -> None:
    first, second = Chaos(NOISY), Chaos(NOISY)
    # Calls in between do not shift the fate of webhooks.
    calls = [first.fate_of_call() for _ in range(100)]
    fates = [first.fates_of_webhook() for _ in range(100)]
    assert fates == [second.fates_of_webhook() for _ in range(100)]
    assert calls == [second.fate_of_call() for _ in range(100)]
    other = Chaos(NOISY.model_copy(update={"seed": 8}))
    assert fates != [other.fates_of_webhook() for _ in range(100)]
    first.set(NOISY)
    assert fates == [first.fates_of_webhook() for _ in range(100)]


def test_every_kind_of_fate_is_drawn_about_as_often_as_asked() -> None:
    chaos = Chaos(NOISY.model_copy(update={"lost_reply": 0.5}))
    fates = [chaos.fates_of_webhook() for _ in range(4000)]
    copies = [fate for copies in fates for fate in copies if not fate.dropped]
    dropped = sum(copies[0].dropped for copies in fates)
    assert dropped / len(fates) == pytest.approx(0.2, abs=0.03)
    assert len(copies) / (len(fates) - dropped) == pytest.approx(1.3, abs=0.03)
    assert sum(fate.held for fate in copies) / len(copies) == pytest.approx(0.4, abs=0.03)
    assert 1.9 < max(fate.delay_s for fate in copies) <= 2
    calls = [chaos.fate_of_call() for _ in range(4000)]
    shares = {fate: calls.count(fate) / len(calls) for fate in CallFate}
    assert shares == pytest.approx(
        {"served": 0.35, "error": 0.15, "rate_limited": 0.15, "lost_reply": 0.35}, abs=0.03
    )


@pytest.mark.parametrize("simulator", [LightspeedX(), Ecwid()], ids=lambda s: s.name)
async def test_the_knob_is_turned_over_http(simulator: Simulator) -> None:
    async with SandboxServer(simulator) as server, httpx.AsyncClient() as client:
        url = f"{server.url}/sandbox/chaos"
        assert (await client.get(url)).json()["drop"] == 0
        changed = (await client.put(url, json={"drop": 0.25, "seed": 3})).json()
        assert changed == (await client.get(url)).json()
        assert (changed["drop"], changed["seed"], changed["fail"]) == (0.25, 3, 0)
        for wrong in ({"drop": 2}, {"rain": 1}, {"delay_seconds_max": -1}):
            refused = await client.put(url, json=wrong)
            assert refused.status_code == 422
            assert refused.json()["errors"]
        assert (await client.get(url)).json() == changed


async def test_a_failing_pos_answers_as_the_platform_does() -> None:
    chaos = Chaos(ChaosSettings(fail=1))
    async with (
        SandboxServer(LightspeedX(chaos=chaos)) as server,
        api_client(server.url, "sandbox-pos-token") as api,
    ):
        answers = [await api.get("/api/2.0/outlets") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {500, 429}
    limited = next(answer for answer in answers if answer.status_code == 429)
    assert limited.json() == {
        "error": "Too Many Requests",
        "message": "Rate limiting enforced",
    }
    assert limited.headers["Retry-After"].endswith(" GMT")
    assert parsedate_to_datetime(limited.headers["Retry-After"]).tzinfo is not None


async def test_a_failing_store_answers_as_the_platform_does() -> None:
    chaos = Chaos(ChaosSettings(fail=1))
    async with (
        SandboxServer(Ecwid(chaos=chaos)) as server,
        api_client(server.url, "secret_sandbox_store_token") as api,
    ):
        answers = [await api.get("/api/v3/1003/profile") for _ in range(20)]
    by_status = {answer.status_code: answer for answer in answers}
    assert {s: a.json()["errorCode"] for s, a in by_status.items()} == {
        429: "RATE_LIMITED",
        500: "INTERNAL_ERROR",
    }
    assert by_status[429].headers["Retry-After"] == "1"


async def test_a_lost_reply_has_done_its_work(pos: LightspeedX, pos_api: httpx.AsyncClient) -> None:
    pos.chaos.set(ChaosSettings(lost_reply=1))
    customer = {"first_name": "Ana", "email": "a@b.nz"}
    assert (await pos_api.post("/api/2.0/customers", json=customer)).status_code == 500
    pos.chaos.set(ChaosSettings())
    found = await pos_api.get("/api/2.0/search?type=customers&email=a@b.nz")
    assert [row["first_name"] for row in found.json()["data"]] == ["Ana"]


async def counts_as_received(
    api: httpx.AsyncClient, receiver: Receiver, expected: int
) -> list[str]:
    """Counts mugs down from 9 to 0, and says in what order the counts arrived."""
    body = {"type": "inventory.update", "url": receiver.url}
    await api.post("/api/2.0/webhooks", json=body)
    path = f"/api/2.1/products/{shop.product_id('MUG')}"
    for amount in range(9, -1, -1):
        levels = [{"outlet_id": shop.OUTLET_MAIN_ID, "current_amount": amount}]
        await api.put(path, json={"details": {"inventory": levels}})
    calls = await receiver.until(lambda calls: len(calls) == expected)
    return [json.loads(call.form()["payload"])["count"][0] for call in calls]


async def test_dropped_webhooks_never_come(
    pos: LightspeedX, pos_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    pos.chaos.set(ChaosSettings(drop=1))
    assert await counts_as_received(pos_api, receiver, 0) == []
    assert {row["outcome"] for row in pos.courier.rows()} == {"dropped"}


async def test_duplicated_webhooks_come_twice(
    pos: LightspeedX, pos_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    pos.chaos.set(ChaosSettings(duplicate=1))
    assert sorted(await counts_as_received(pos_api, receiver, 20)) == sorted("9876543210" * 2)


@pytest.mark.parametrize(
    "settings",
    [
        ChaosSettings(reorder=0.5, seed=1),
        ChaosSettings(delay=0.7, delay_seconds_max=0.3, seed=1),
    ],
    ids=["reorder", "delay"],
)
async def test_held_and_delayed_webhooks_come_out_of_order(
    pos: LightspeedX, pos_api: httpx.AsyncClient, receiver: Receiver, settings: ChaosSettings
) -> None:
    pos.chaos.set(settings)
    received = await counts_as_received(pos_api, receiver, 10)
    assert sorted(received) == list("0123456789")
    assert received != list("9876543210")
    await eventually(lambda: {r["outcome"] for r in pos.courier.rows()} == {"delivered"})
