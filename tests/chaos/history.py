"""The history of a run: one JSON object a line, in the order in which things happened."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class History:
    """Writes what happens, with the seconds since it began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w")
        self._began_s = time.monotonic()

    @property
    def at_s(self) -> float:
        """Seconds since the beginning."""
        return round(time.monotonic() - self._began_s, 3)

    def write(self, what: str, **facts: Any) -> None:
        """Adds a line."""
        line = {"what": what, "at_s": self.at_s} | facts
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
