"""What happens to the processes of a run, spread over its errands."""

import asyncio
import random

from services.supervisor import until
from tests.chaos.clients import Clients
from tests.chaos.history import History
from tests.chaos.installation import Installation
from tests.chaos.plan import PROCESSES, Plan

RUN_S_MAX = 6 * 3600.0


class Hazards:
    """Kills processes and sets clocks, while clients run their errands."""

    def __init__(
        self, plan: Plan, installation: Installation, clients: Clients, history: History
    ) -> None:
        self._plan = plan
        self._installation = installation
        self._clients = clients
        self._history = history
        self._dice = random.Random(f"hazards {plan.seed}")
        self._ready = set(PROCESSES)

    async def run(self) -> None:
        """Does all that the plan says, and waits until everybody is ready again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._jump())
            for at in sorted(self._dice.random() for _ in range(self._plan.kills)):
                await self._reach(at)
                name = self._dice.choice(sorted(self._ready))
                self._ready.discard(name)
                group.create_task(self._kill(name))

    async def _reach(self, progress: float) -> None:
        """Waits until so much of the run is done, and somebody is ready to be hit."""

        async def is_reached() -> bool:
            return self._clients.progress >= progress and bool(self._ready)

        if not await until(is_reached, RUN_S_MAX):
            raise TimeoutError(f"only {self._clients.progress:.0%} done in {RUN_S_MAX} s")

    async def _kill(self, name: str) -> None:
        """Kills a process; it is not killed again before it is ready again."""
        self._history.write("killed", process=name)
        began_s = self._history.at_s
        killed = self._installation.kill(name)
        await self._installation.wait_until_ready(name, other_than=killed)
        took_s = round(self._history.at_s - began_s, 3)
        self._history.write("ready", process=name, took_s=took_s)
        self._ready.add(name)

    async def _jump(self) -> None:
        for jump in self._plan.jumps:
            await self._reach(jump.at)
            self._installation.set_clock(jump.process, jump.off_s)
            self._history.write("clock", process=jump.process, off_s=jump.off_s)
