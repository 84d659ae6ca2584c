"""Server-streaming RPCs as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from starlette.responses import StreamingResponse

from gateway.errors import HTTP_STATUS, error_json, rpc_status_of

FIRST_MESSAGE_WAIT_S = 0.5
"""How long a refusal may take to come and still be answered with its own status code."""


async def event_stream(
    call: Any, to_json: Callable[[Message], bytes], call_id: str
) -> StreamingResponse:
    """Answers with one `data:` line of JSON per message.

    A failure later on is sent as `event: error` with an AIP-193 body, since the status code is
    gone by then. When the deadline passes the stream just ends: the reader connects again.

    Args:
        call: a running grpc.aio unary-stream call.
        to_json: makes the text of one message.
        call_id: goes into the error.

    Raises:
        grpc.aio.AioRpcError: the call was refused before it gave anything.
    """
    first = asyncio.ensure_future(call.read())
    done, _ = await asyncio.wait({first}, timeout=FIRST_MESSAGE_WAIT_S)
    if done:
        first.result()
    return StreamingResponse(
        _events(call, first, to_json, call_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    call: Any, first: asyncio.Future[Any], to_json: Callable[[Message], bytes], call_id: str
) -> AsyncIterator[bytes]:
    try:
        yield b": open\n\n"
        message = await first
        while message is not grpc.aio.EOF:
            yield b"data: " + to_json(message) + b"\n\n"
            message = await call.read()
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            status = rpc_status_of(error, call_id)
            body = error_json(status, HTTP_STATUS.get(status.code, 500))
            yield b"event: error\ndata: " + body + b"\n\n"
    finally:
        call.cancel()
