"""The ledger tells what a simulator was told."""

import httpx
import pytest

from gateway.sandbox import ledger
from gateway.sandbox.lightspeed_x import LightspeedX


async def test_calls_are_noted_with_body_and_status(pos_api: httpx.AsyncClient) -> None:
    await pos_api.get("/api/2.0/outlets?page_size=1")
    await pos_api.post("/api/2.0/customers", json={"email": 5})
    await pos_api.post("/api/2.0/customers", content=b"not json")
    entries = (await pos_api.get("/sandbox/log")).json()["entries"]
    assert [(e["method"], e["path"], e["status"]) for e in entries] == [
        ("GET", "/api/2.0/outlets", 200),
        ("POST", "/api/2.0/customers", 422),
        ("POST", "/api/2.0/customers", 422),
    ]
    assert [e["body"] for e in entries] == [None, {"email": 5}, "not json"]
    assert entries[0]["query"] == [["page_size", "1"]]
    posts = (await pos_api.get("/sandbox/log?method=POST")).json()["entries"]
    assert posts == entries[1:]


async def test_only_the_last_calls_are_kept(
    monkeypatch: pytest.MonkeyPatch, pos: LightspeedX, pos_api: httpx.AsyncClient
) -> None:
    assert ledger.ENTRIES_MAX == 10_000
    monkeypatch.setattr(ledger, "ENTRIES_MAX", 2)
    pos.ledger = ledger.Ledger(pos.clock)
    for number in range(3):
        await pos_api.get(f"/api/2.0/outlets?page_size={number + 1}")
    entries = (await pos_api.get("/sandbox/log")).json()["entries"]
    assert [e["query"] for e in entries] == [[["page_size", "2"]], [["page_size", "3"]]]
