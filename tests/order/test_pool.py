"""How a pool takes what is due."""

import asyncio
from collections.abc import Sequence

import pytest

from services.order import pool
from services.order.pool import Pool
from tests.harness import eventually

pytestmark = pytest.mark.asyncio


async def test_what_comes_while_others_are_under_way_is_begun_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what comes alone is begun at once."""
    monkeypatch.setattr(pool, "GATHER_BUSY_S", 0.2)
    due: list[int] = []
    taken: list[list[int]] = []
    go_on = asyncio.Event()

    async def take(count: int) -> Sequence[int]:
        found = due[:count]
        del due[:count]
        if found:
            taken.append(found)
        return found

    async def do(_one: int) -> None:
        await go_on.wait()

    found: Pool[int] = Pool("numbers", 10, take, do)
    running = asyncio.ensure_future(found.run())

    async def tell(number: int) -> None:
        due.append(number)
        found.wake()
        await asyncio.sleep(0.03)

    async def begun(*groups: list[int]) -> None:
        async def so_far() -> None:
            assert taken == list(groups)

        await eventually(so_far)

    await asyncio.sleep(0)  # it has found nothing yet
    await tell(1)
    await begun([1])
    for number in (2, 3, 4):
        await tell(number)
    assert taken == [[1]]
    await begun([1], [2, 3, 4])
    go_on.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
