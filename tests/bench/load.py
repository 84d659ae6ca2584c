"""The process that calls: 32 callers on one channel, each waiting for its answer.

Run as `python -m tests.bench.load ADDRESS TOKEN`. It reads one JSON object a line, `{"kind",
"seconds", "callers", "channel", "items"}`, and writes one, `{"rate", "seconds"}`: answers per
second, and how long it took. It makes its requests before it begins, hands bytes to grpc and looks
at no answer, to leave the machine to the server.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable

import grpc
import uvloop

from tests.bench import customers, empty, online, orders, stock

Next = Callable[[], bytes]

_web = online.Web()
_store = orders.Store()

_KINDS: dict[str, tuple[str, Next]] = {
    "empty": (empty.PATH, bytes),
    "count": (stock.PATH, lambda: stock.request(1)),
    "batch": (stock.PATH, lambda: stock.request(stock.BATCH)),
    "match": (customers.PATH, customers.request),
    "reserve_random": (online.RESERVE, _web.reserve_random),
    "reserve_hot": (online.RESERVE, _web.reserve_hot),
    "read": (online.READ, _web.read),
    "list": (online.LIST, _web.read_list),
    "ingest": (orders.INGEST, _store.ingest),
    "replay": (orders.INGEST, _store.replay),
    "quote": (orders.QUOTE, _store.quote),
}

_A_SECOND = {"empty": 0, "batch": 300, "list": 500, "ingest": 500, "replay": 2000, "quote": 2000}
"""Requests made beforehand for each second, 4,000 of the others; should they not do, more are made
on the way.
"""


async def _run(
    channel: grpc.aio.Channel, token: str, order: dict[str, float | str]
) -> dict[str, float]:
    """Calls for the time asked for."""
    kind = str(order["kind"])
    path, body = _KINDS[kind]
    _web.channel_id = _store.channel_id = str(order["channel"])
    stock.ITEMS.how_many = int(order["items"])
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    metadata = (("authorization", f"Bearer {token}"),)
    seconds = float(order["seconds"])
    bodies = [body() for _ in range(int(seconds * _A_SECOND.get(kind, 4000)))]
    begin = time.monotonic()
    answered = 0

    async def caller() -> None:
        nonlocal answered
        while time.monotonic() - begin < seconds:
            await method(bodies.pop() if bodies else body(), metadata=metadata, timeout=30)
            answered += 1

    await asyncio.gather(*(caller() for _ in range(int(order["callers"]))))
    took_s = time.monotonic() - begin
    return {"rate": answered / took_s, "seconds": took_s}


async def _main(address: str, token: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        for line in sys.stdin:  # nothing else runs while it waits for the next order
            print(json.dumps(await _run(channel, token, json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:3]))
