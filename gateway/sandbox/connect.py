"""Connects the sample shop to a running Tillbridge, as its operator would over HTTP.

`python -m gateway.sandbox.connect` does it with the token in `TILLBRIDGE_TOKEN` and switches all
listings on. Doing it again changes nothing.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

import httpx

from gateway.sandbox import shop
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.shop_products import FAMILIES

CHANNEL_NAME = "Saltmarsh web shop"
IMPORT_S_MAX = 60.0


async def connect(api: httpx.AsyncClient, sandbox: SandboxSettings) -> str:
    """Creates outlets, register and channel, and connects both sides of it.

    Args:
        api: Tillbridge's HTTP bridge, with an operator's token; its base URL is where the store's
            webhooks will be sent.
        sandbox: where the simulated point of sale and store listen, and their secrets.

    Returns:
        The channel's id.

    Raises:
        httpx.HTTPError: something was refused or not reached; running it again goes on.
    """
    for channel in (await _get(api, "/v1/channels"))["channels"]:
        if channel["displayName"] == CHANNEL_NAME:
            return str(channel["channelId"])
    for outlet in shop.OUTLETS:
        body = {"outletId": outlet.id, "displayName": outlet.name}
        await _post(api, "/v1/outlets", f"outlet-{outlet.id}", {"outlet": body})
    for register in shop.REGISTERS:
        body = {
            "registerId": register.id,
            "displayName": register.name,
            "outletId": register.outlet_id,
        }
        await _post(api, "/v1/registers", f"register-{register.id}", {"register": body})
    created = await _post(
        api,
        "/v1/channels",
        "sample-channel",
        {
            "displayName": CHANNEL_NAME,
            "profile": "PROFILE_RETAIL_X_ECOM",
            "registerId": shop.REGISTER_ONLINE_ID,
            "connectedOutletIds": [shop.OUTLET_HARBOUR_ID],
            "externalPos": True,
        },
    )
    channel_id = str(created["channel"]["channelId"])
    await _connect_sides(api, sandbox, channel_id)
    return channel_id


async def _connect_sides(api: httpx.AsyncClient, sandbox: SandboxSettings, channel_id: str) -> None:
    pos_url = f"http://127.0.0.1:{sandbox.sandbox_pos_port}"
    store_url = f"http://127.0.0.1:{sandbox.sandbox_store_port}"
    path = f"/v1/channels/{channel_id}:setConnection"
    store = {
        "side": "CONNECTION_SIDE_STORE",
        "platform": "ecwid",
        "baseUrl": store_url,
        "account": str(sandbox.sandbox_store_id),
        "accessToken": sandbox.sandbox_store_token,
        "webhookSecret": sandbox.sandbox_store_secret,
    }
    answer = await _post(api, path, f"{channel_id}-store", {"connection": store})
    webhook = {"url": str(api.base_url.join(answer["webhookPath"]))}
    (await api.put(f"{store_url}/sandbox/webhook", json=webhook)).raise_for_status()
    pos = {
        "side": "CONNECTION_SIDE_POS",
        "platform": "lightspeed-x",
        "baseUrl": pos_url,
        "account": shop.DOMAIN_PREFIX,
        "accessToken": sandbox.sandbox_pos_token,
        "webhookSecret": sandbox.sandbox_pos_secret,
    }
    await _post(api, path, f"{channel_id}-pos", {"connection": pos})


async def _get(api: httpx.AsyncClient, path: str) -> Any:
    answer = await api.get(path)
    return answer.raise_for_status().json()


async def _post(api: httpx.AsyncClient, path: str, request_id: str, body: Mapping[str, Any]) -> Any:
    answer = await api.post(path, json=body, headers={"Idempotency-Key": request_id})
    return answer.raise_for_status().json()


async def main() -> int:
    """Connects the shop, waits for its catalog and switches it on; 0 when all went well."""
    port = os.environ.get("TILLBRIDGE_HTTP_PORT", "8080")
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {os.environ['TILLBRIDGE_TOKEN']}"},
        timeout=30.0,
    ) as api:
        channel_id = await connect(api, SandboxSettings())
        listings = f"/v1/channels/{channel_id}/listings"
        async with asyncio.timeout(IMPORT_S_MAX):
            while not await _all_listed(api, listings):  # noqa: ASYNC110  (it is told nowhere else)
                await asyncio.sleep(0.1)
        on = {"sellOnline": True}
        await _post(api, f"{listings}:setSellOnline", f"{channel_id}-on", on)
    return 0


async def _all_listed(api: httpx.AsyncClient, path: str) -> bool:
    answer = await api.get(path, params={"pageSize": 1000})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return False  # the catalog has not heard of the channel yet
    return len(answer.raise_for_status().json()["listings"]) >= len(FAMILIES)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
