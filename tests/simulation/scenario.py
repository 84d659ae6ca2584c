"""One seed from beginning to end."""

import asyncio
import gc
import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from structlog.testing import capture_logs

from services.chassis.errors import DomainError
from services.chassis.settings import Context
from tests.simulation.accounts import KeptBack
from tests.simulation.audit import Audit
from tests.simulation.auditor import Ledger
from tests.simulation.book import GaveUpError
from tests.simulation.clock import StandstillError, VirtualLoop, virtual
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Faults
from tests.simulation.office import ACTIONS
from tests.simulation.outside import Follower, OutsidePos, Storefront
from tests.simulation.people import Action, Scene
from tests.simulation.shop import open_shop, stock_up
from tests.simulation.storage import storages

ROUNDS = (1, 1, 2)
"""How often people are busy before everybody goes quiet: one of these."""
BUSY_S = 4.0
QUIET_S = 4.0
"""Nothing may be committed for so long for a moment to be quiet."""
SETTLE_S_MAX = 120.0
LATER_S = 4000
"""Longer than any pause between two tries, and than clocks are off."""
LOOKS_MAX = 4
"""How often clocks are moved on to what is due later."""


@dataclass(slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    trace_hash: str = ""
    findings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    """Those that were carried out."""
    trace: list[str] = field(default_factory=list)
    commits: int = 0


def plan(seed: int) -> list[Action]:
    """What people do, by time."""
    dice = random.Random(f"plan {seed}")
    names = [name for name in ACTIONS if dice.random() < 0.75] or ["order"]
    names += ["order"]
    weights = [ACTIONS[name][0] for name in names]
    chosen = dice.choices(names, weights, k=dice.choice((4, 8, 16)))
    rounds = dice.choice(ROUNDS)
    times = sorted((dice.randrange(rounds) + dice.random() * 0.999) for _ in chosen)
    return [
        Action(number, at, name, dice.randrange(2))
        for number, (at, name) in enumerate(zip(times, chosen, strict=True))
    ]


def simulate(seed: int, skip: Collection[int] = (), no: Collection[str] = ()) -> Outcome:
    """Runs a seed.

    Args:
        seed: what everything is drawn from.
        skip: actions to leave out, by number.
        no: kinds of faults to leave out.
    """
    with virtual(seed) as loop, capture_logs() as logs, _no_collections():
        faults = Faults(seed, loop.time)
        for kind in no:
            faults.rates.pop(kind, None)
        run = Run(seed, loop, faults, skip)
        try:
            loop.run_until_complete(run.main())
        except StandstillError:
            run.outcome.findings.append("everything waits for something that never comes")
        except Exception as error:
            run.outcome.findings.append(f"broken off: {error!r}")
        _cancel_all(loop)
        outcome = run.outcome
        outcome.findings += loop.findings
        for entry in logs:
            if entry["log_level"] == "error" and not _of_outside(entry):
                found = f"log: {_said(entry)}"
                if found not in outcome.findings:
                    outcome.findings.append(found)
    outcome.trace_hash = faults.trace_hash
    outcome.trace = faults.trace
    outcome.faults = [f"{kind} {rate:g}" for kind, rate in faults.rates.items()]
    return outcome


@contextmanager
def _no_collections() -> Iterator[None]:
    """Leaves garbage where it is: there is little of it, and looking for more takes a while."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _of_outside(entry: structlog.typing.EventDict) -> bool:
    """Whether this is a machine outside that has trouble with a fault, and will try again."""
    return str(entry.get("consumer", "")).startswith("gateway/")


def _said(entry: structlog.typing.EventDict) -> str:
    rest = {name: value for name, value in entry.items() if name not in {"event", "log_level"}}
    return f"{entry['event']} {rest}"


def _cancel_all(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class Run:
    """A seed while it runs."""

    def __init__(self, seed: int, loop: VirtualLoop, faults: Faults, skip: Collection[int]) -> None:
        self.outcome = Outcome(seed)
        self._seed = seed
        self._loop = loop
        self._faults = faults
        self._cluster = Cluster(loop, faults)
        self._scenes: list[Scene] = []
        self._followers: list[Follower] = []
        self._ledger = Ledger(storages()["inventory"].raw, {})
        orders = storages()["order"].raw
        self._kept_back = KeptBack(storages()["inventory"].raw, orders, loop.time)
        self._cluster.on_commit = self._look
        self._actions = [one for one in plan(seed) if one.number not in skip]

    def _look(self, context: Context) -> None:
        if context == "inventory":
            self._ledger.look()
            self._kept_back.look_at_channels()
        elif context == "order":
            self._kept_back.look_at_sales()

    async def main(self) -> None:
        """From the first start to the last look."""
        self._cluster.start()
        dice = random.Random(f"shops {self._seed}")
        for number in range(dice.choice((1, 1, 2))):
            await self._open(f"m{number}", dice)
        await asyncio.sleep(0.5)
        for number in range(1 + int(max((one.at_s for one in plan(self._seed)), default=0))):
            await self._busy(number)
            await self._calm_down()
            if self._found():
                break
        self.outcome.commits = self._cluster.commits
        self._stop()

    async def _open(self, merchant: str, dice: random.Random) -> None:
        shop = await open_shop(self._cluster, merchant, dice)
        self._ledger.books[merchant] = shop.book
        await asyncio.sleep(0.5)  # until the inventory knows the items
        pos = None
        if shop.outside_pos:
            self._ledger.outside.add(merchant)
            pos = OutsidePos(self._cluster, shop, dice, self._ledger.posted)
        stores = {one: Storefront(self._cluster, shop, one, dice) for one in shop.channels}
        if pos:
            await pos.sweep()
        else:
            await stock_up(shop, dice)
        self._scenes.append(Scene(self._cluster, shop, stores, pos))
        self._followers += [*stores.values(), *([pos] if pos else [])]
        for follower in self._followers:
            follower.start()

    async def _busy(self, number: int) -> None:
        self._faults.active = True
        doing = [
            asyncio.ensure_future(self._do(one)) for one in self._actions if int(one.at_s) == number
        ]
        troubles = [asyncio.ensure_future(self._jump()), asyncio.ensure_future(self._break_off())]
        await asyncio.gather(*doing)
        for trouble in troubles:
            trouble.cancel()

    async def _do(self, action: Action) -> None:
        scene = self._scenes[action.shop % len(self._scenes)]
        await asyncio.sleep(action.at_s % 1 * BUSY_S)
        self._faults.note(f"#{action.number} {action.name}")
        self.outcome.actions.append(action)
        try:
            await ACTIONS[action.name][1](scene, action.dice(self._seed))
        except DomainError as error:
            self._faults.note(f"#{action.number} was refused: {error.reason}")
        except GaveUpError:
            self._faults.note(f"#{action.number} was given up")

    async def _jump(self) -> None:
        """Clocks jump now and then."""
        while True:
            await asyncio.sleep(0.5)
            if self._faults.rates.get("clock", 0) and self._faults.moment(1) < 0.4:
                name = self._faults.choose(self._cluster.names)
                self._cluster.jump(name, int(self._faults.moment(7200)) - 3600)

    async def _break_off(self) -> None:
        """The gateway's followers die now and then."""
        while True:
            await asyncio.sleep(0.5)
            for follower in self._followers:
                if self._faults.strikes("crash"):
                    self._faults.note("CRASH a follower")
                    follower.stop()
                    follower.start()

    async def _calm_down(self) -> None:
        """Faults cease, the outside is asked for what was lost, and everybody gets up to date."""
        self._faults.active = False
        self._cluster.later(0)
        await self._settle()
        asked = [scene.pos for scene in self._scenes if scene.pos]
        for pos in asked:
            await pos.sweep()
        if asked:
            await self._settle()
        for scene in self._scenes:
            audit = Audit(scene, self._ledger, storages()["inventory"].raw)
            self.outcome.findings += await audit.run()

    def _found(self) -> bool:
        for found in (self._ledger.findings, self._kept_back.findings, self._cluster.findings):
            self.outcome.findings += found
            found.clear()
        return bool(self.outcome.findings)

    async def _settle(self) -> None:
        """Waits until nothing happens any more, then moves all clocks on to what is due later."""
        before: object = None
        for _ in range(LOOKS_MAX):
            await self._quiet()
            now = _progress()
            if now == before:
                return
            before = now
            self._cluster.later(LATER_S)
        await self._quiet()

    async def _quiet(self) -> None:
        until_s = self._loop.time() + SETTLE_S_MAX
        commits, since_s = -1, 0.0
        while self._loop.time() < until_s:
            busy = self._cluster.in_flight or not self._cluster.whole
            if busy or commits != self._cluster.commits:
                commits, since_s = self._cluster.commits, self._loop.time()
            elif self._loop.time() - since_s >= QUIET_S:
                return
            await asyncio.sleep(0.5)
        self.outcome.findings.append(f"no rest within {SETTLE_S_MAX} s")

    def _stop(self) -> None:
        for follower in self._followers:
            follower.stop()
        self._cluster.stop()


def _progress() -> object:
    """How far orders and sales have got, whatever was tried in between, and when outlets were heard
    of: one that the last look has made speak is not silent yet.
    """
    raw, outlets = storages()["order"].raw, storages()["inventory"].raw
    return (
        raw.execute("SELECT count(*) FROM sales").fetchall(),
        raw.execute("SELECT order_id, waiting_reason FROM orders ORDER BY 1").fetchall(),
        outlets.execute("SELECT outlet_id, heard_time FROM outlets ORDER BY 1").fetchall(),
    )
