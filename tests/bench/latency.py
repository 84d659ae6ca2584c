"""From a till to the store: a signed webhook in, the quantity at the simulated store out.

Everything runs as an operator runs it: six processes, the sample shop, its public interfaces only.
One webhook goes in at a time, and nothing else happens meanwhile, so this is what the path costs.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import httpx

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.subscriptions import signature
from tests.flows.stack import Stack, running_stack
from tests.flows.story import HARBOUR, MAIN, MUG, Story

WARM_UP = 20
WITHIN_S = 10.0
LOOK_EVERY_S = 0.001
VERSION = 10**15
"""Versions of the levels in our webhooks, above all that the point of sale has given out."""


async def till_to_store_ms(webhooks: int) -> Sequence[float]:
    """Milliseconds from each webhook to the moment that the store shows its level, sorted.

    Raises:
        RuntimeError: the shop could not be set up; what was expected and what was seen.
        TimeoutError: the store never showed a level.
    """
    with tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as folder:
        async with running_stack(Path(folder)) as stack:
            story = Story(stack, within_s=60.0)
            await story.a_merchant_connects_a_store()
            await story.the_catalog_arrives()
            for sight in story.sights:
                if not sight.fits:
                    raise RuntimeError(f"{sight.what}: {sight.expected} expected, {sight.seen}")
            await _send(stack, story, HARBOUR, 0, VERSION)  # the store shows the sum of both
            found = [
                await _time(stack, story, number) for number in range(1, webhooks + WARM_UP + 1)
            ]
    return sorted(took_s * 1000 for took_s in found[WARM_UP:])


async def _time(stack: Stack, story: Story, number: int) -> float:
    """Sends one webhook and looks at the store until it shows the new level; how long that took."""
    product = f"products/{(await story.store_product(sku='MUG'))['id']}"
    level = 1000 + number  # never what the store shows already
    begin = time.monotonic()
    await _send(stack, story, MAIN, level, VERSION + number)
    while await _shown(stack.store, product) != level:
        if time.monotonic() - begin > WITHIN_S:
            raise TimeoutError(f"the store does not show {level}")
        await asyncio.sleep(LOOK_EVERY_S)
    return time.monotonic() - begin


async def _send(stack: Stack, story: Story, outlet_id: str, level: int, version: int) -> None:
    """Sends a level as the point of sale does, as a signed form."""
    payload = {
        "product_id": MUG,
        "outlet_id": outlet_id,
        "count": f"{level}.00000",
        "version": version,
    }
    form = {
        "payload": json.dumps(payload),
        "domain_prefix": shop.DOMAIN_PREFIX,
        "environment": "prod",
        "retailer_id": shop.RETAILER_ID,
        "type": "inventory.update",
    }
    body = urlencode(form).encode()
    answer = await stack.api.post(
        f"/webhooks/lightspeed-x/{story.channel_id}",
        content=body,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Signature": signature(stack.sandbox.sandbox_pos_secret, body),
        },
    )
    answer.raise_for_status()


async def _shown(store: httpx.AsyncClient, product: str) -> int:
    answer = await store.get(product, params={"responseFields": "quantity"})
    return int(answer.raise_for_status().json()["quantity"])
