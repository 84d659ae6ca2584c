"""The ledger: what a simulator was told over its API, for tests and for the curious."""

import json
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request

from gateway.sandbox.values import Clock

ENTRIES_MAX = 10_000


@dataclass
class Entry:
    """One API call.

    Attributes:
        time: when it arrived, ISO 8601, UTC.
        method: the HTTP method.
        path: the URL path.
        query: query parameters in order, without the access token.
        body: the JSON body parsed, other bodies as text, None when empty.
        status: the HTTP status answered; None while it is being served.
    """

    time: str
    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any
    status: int | None = None


class Ledger:
    """The last 10,000 calls, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=ENTRIES_MAX)

    def note(self, request: Request, body: bytes) -> Entry:
        """Writes a call down as it arrives; the caller fills in its status later."""
        entry = Entry(
            time=self._clock().isoformat(),
            method=request.method,
            path=request.url.path,
            query=[(k, v) for k, v in request.query_params.multi_items() if k != "token"],
            body=_readable(body),
        )
        self._entries.append(entry)
        return entry

    def rows(self, method: str | None = None) -> list[dict[str, Any]]:
        """The calls as JSON objects, optionally of one HTTP method only."""
        return [asdict(e) for e in self._entries if method in (None, e.method)]


def _readable(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")
