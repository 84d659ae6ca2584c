"""One run, from the first process to the last line of its history."""

import asyncio
from pathlib import Path

from tests.chaos.clients import Clients
from tests.chaos.dump import dump, opened
from tests.chaos.errands import opening, stories
from tests.chaos.followers import CONSUMER, Followers
from tests.chaos.hazards import Hazards
from tests.chaos.history import History
from tests.chaos.installation import installed
from tests.chaos.plan import SERVICES, Plan

QUIET_S_MAX = 120.0
"""How long is waited for quiet; the checker decides whether that was too long."""
LOOK_EVERY_S = 0.5

_DUE = {
    "inventory": "SELECT count(*) FROM reservations WHERE cause LIKE 'short cart %' AND state = 1",
    "order": "SELECT (SELECT count(*) FROM orders WHERE due_time IS NOT NULL)"
    " + (SELECT count(*) FROM sales WHERE due_time IS NOT NULL)",
}
_BEHIND = (
    "SELECT coalesce(max(cursor), 0) - coalesce((SELECT cursor FROM consumers"
    f" WHERE consumer = '{CONSUMER}'), 0) FROM outbox"
)


async def run(plan: Plan, folder: Path, database_url: str = "") -> Path:
    """Runs a plan in a folder that is empty; gives the path of its history.

    Args:
        plan: what is to happen.
        folder: for the history, logs and SQLite files.
        database_url: of PostgreSQL, with `{service}` in it; empty means SQLite.
    """
    with History(folder / "history.jsonl") as history:
        kind = "postgresql" if database_url else "sqlite"
        facts = {"seed": plan.seed, "orders": plan.orders, "kills": plan.kills}
        history.write("run", promise=plan.promise, database=kind, **facts)
        async with (
            installed(folder, database_url, plan.clocks) as installation,
            Clients(installation, history, plan.seed) as clients,
        ):
            followers = Followers(installation, history, clients.hear)
            following = asyncio.create_task(followers.run())
            for errand in opening():
                answer = await clients.ask(errand)
            told = stories(plan, answer.channel.channel_id)
            async with asyncio.TaskGroup() as group:
                group.create_task(Hazards(plan, installation, clients, history).run())
                group.create_task(clients.run(told))
            history.write("over")
            await _be_quiet(folder, database_url)
            history.write("quiet")
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await asyncio.to_thread(dump, folder, database_url, history)
    return history.path


async def _be_quiet(folder: Path, database_url: str) -> None:
    """Waits until nothing is due and everybody has read everything; but not forever."""
    deadline_s = asyncio.get_running_loop().time() + QUIET_S_MAX
    while asyncio.get_running_loop().time() < deadline_s:
        if await asyncio.to_thread(_left, folder, database_url) == 0:
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _left(folder: Path, database_url: str) -> int:
    """How much is still to be done, or to be read."""
    left = 0
    for service in SERVICES:
        with opened(folder, database_url, service) as query:
            left += int(query(_BEHIND)[0][0])
            if service in _DUE:
                left += int(query(_DUE[service])[0][0])
    return left
