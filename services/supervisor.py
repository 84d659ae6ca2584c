"""Keeping the processes of one machine running: start, watch, start again, stop in order."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESTART_PAUSE_MAX_S = 5.0
SETTLED_S = 10.0
"""A process that has run for this long is restarted at once when it dies."""
STOP_S = 12.0
"""How long a process may take to stop before it is killed."""


@dataclass(slots=True)
class Process:
    """One process, its log in a file of its own."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    """All of its environment; None: ours, and what the supervisor adds to it."""
    restarts: int = 0
    running: asyncio.subprocess.Process | None = None

    @classmethod
    def of(cls, name: str, module: str) -> "Process":
        """The process `python -m <module>`."""
        return cls(name, (sys.executable, "-m", module))


@dataclass(slots=True)
class Supervisor:
    """Starts processes in order, restarts what dies, and stops them the other way round."""

    environment: Mapping[str, str]
    log_dir: Path
    processes: list[Process]
    on_restart: Callable[[Process, int], None]
    """Told of each process that died, with its exit code."""
    _watchers: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Starts all processes."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        for process in self.processes:
            await self._start(process)

    async def add(self, process: Process) -> None:
        """Starts one more process."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.processes.append(process)
        await self._start(process)

    async def stop(self) -> None:
        """Stops all processes; the last started first, and each has finished before the next."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for process in reversed(self.processes):
            running = process.running
            if running is None or running.returncode is not None:
                continue
            running.terminate()
            try:
                await asyncio.wait_for(running.wait(), STOP_S)
            except TimeoutError:
                running.kill()
                await running.wait()

    async def _start(self, process: Process) -> None:
        await self._spawn(process)
        self._watchers.append(asyncio.create_task(self._watch(process)))

    async def _spawn(self, process: Process) -> None:
        environment = process.environment
        if environment is None:
            environment = {**os.environ, **self.environment}
        with (self.log_dir / f"{process.name}.log").open("ab") as log:
            process.running = await asyncio.create_subprocess_exec(
                *process.command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )

    async def _watch(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        pause_s = 0.0
        while True:
            began = loop.time()
            assert process.running is not None
            code = await process.running.wait()
            process.restarts += 1
            self.on_restart(process, code)
            short_lived = loop.time() - began < SETTLED_S
            pause_s = min(max(0.1, pause_s * 2), RESTART_PAUSE_MAX_S) if short_lived else 0.0
            await asyncio.sleep(pause_s)
            await self._spawn(process)


async def until(condition: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Whether the condition came true in time."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
