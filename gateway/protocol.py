"""HTTP/1.1 as uvicorn speaks it, with two gaps closed that no application can close.

A request whose head is malformed, endless or never complete does not reach an application: uvicorn
answers the first in plain text, collects the second and waits for the third without end. Here all
of them get an error body like any other, and the connection is closed.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import HttpError, error_response

HEAD_BYTES_MAX = 64 * 1024
HEAD_WAIT_S = 10.0


class Protocol(HttpToolsProtocol):
    """Pass it to uvicorn as `http=Protocol`.

    Attributes:
        head_wait_s: how long the head of a request may take to arrive, from the connection or,
            on one that was used before, from its first byte on.
    """

    head_wait_s: ClassVar[float] = HEAD_WAIT_S

    _head_is_open = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request."""
        super().connection_made(transport)
        self._open_head()

    def on_message_begin(self) -> None:
        """Begins to wait for the rest of a head."""
        super().on_message_begin()
        self._open_head()

    def on_headers_complete(self) -> None:
        """Hands the request to the application."""
        self._close_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        self._close_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what came, unless it is more than a head may hold."""
        super().data_received(data)
        if self._head_is_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                message = f"the head of a request may hold at most {HEAD_BYTES_MAX} bytes"
                self._refuse(HttpError(431, "INVALID_FIELD", message, field="headers"))

    def send_400_response(self, msg: str) -> None:
        """Refuses what is not HTTP."""
        self._refuse(HttpError(400, "INVALID_FIELD", msg))

    def _open_head(self) -> None:
        self._close_head()
        self._head_is_open, self._head_bytes = True, 0
        self._head_timer = self.loop.call_later(self.head_wait_s, self._give_up)

    def _close_head(self) -> None:
        self._head_is_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        message = f"no complete request head came within {self.head_wait_s:g} s"
        self._refuse(HttpError(408, "DEADLINE_PASSED", message))

    def _refuse(self, error: HttpError) -> None:
        if self.transport.is_closing():
            return
        self._close_head()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an earlier request is being answered: nothing may be mixed in
            return
        answer = error_response(error)
        head = b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers)
        line = STATUS_LINE[error.http_status]
        self.transport.write(line + head + b"connection: close\r\n\r\n" + bytes(answer.body))
        self.transport.close()
