"""Keeping a simulator's state across restarts: one JSON file, replaced atomically."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class StateFile:
    """Writes snapshots of a state to a file, at most once per debounce time, and on close.

    The file is written beside its final place, flushed to disk and renamed, so a reader (and a
    restart after a crash at any moment) sees either the old state or the new one.
    """

    def __init__(
        self, path: Path, snapshot: Callable[[], Any], *, debounce_s: float = 0.25
    ) -> None:
        self.path = path
        self._snapshot = snapshot
        self._debounce_s = debounce_s
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def load(self) -> Any | None:
        """The state saved last, or None when there is none yet."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def start(self) -> None:
        """Starts writing in the background of the running event loop."""
        self._writer = asyncio.create_task(self._write_changes())

    def touch(self) -> None:
        """Says that the state has changed."""
        self._changed.set()

    async def close(self) -> None:
        """Writes the final state and stops."""
        # The writer ends by itself: canceled in a write, it could overtake the final one.
        self._closing.set()
        self._changed.set()
        if self._writer is None:
            await self._write()
        else:
            await self._writer

    async def _write_changes(self) -> None:
        pause_s = self._debounce_s
        while not self._closing.is_set():
            await self._changed.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause_s)
            # A big state is written less often, so that it takes a tenth of the loop at most.
            pause_s = max(self._debounce_s, 9 * await self._write())

    async def _write(self) -> float:
        """Writes the state; gives the seconds that this kept the event loop busy."""
        self._changed.clear()
        started_s = time.perf_counter()
        # Serialized on the event loop, where nothing else can be half-way through a change.
        content = json.dumps(self._snapshot(), ensure_ascii=False, separators=(",", ":"))
        busy_s = time.perf_counter() - started_s
        await asyncio.to_thread(_replace, self.path, content)
        return busy_s


def _replace(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f"{path.suffix}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
