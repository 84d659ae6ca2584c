"""Keeping a simulator's state across restarts: one JSON file, replaced atomically."""

import asyncio
import contextlib
import json
import os
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
        """Stops the background writing, then writes the final state."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
            self._writer = None
        await asyncio.to_thread(_replace, self.path, self._serialized())

    def _serialized(self) -> str:
        return json.dumps(self._snapshot(), ensure_ascii=False, separators=(",", ":"))

    async def _write_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._debounce_s)
            self._changed.clear()
            # Serialized on the event loop, where nothing else can be half-way through a change.
            await asyncio.to_thread(_replace, self.path, self._serialized())


def _replace(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f"{path.suffix}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
