"""A process that adds one by one and says which requests were acknowledged, until it is killed.

`python -m tests.chassis.acknowledging URL FIRST`: request ids are the numbers from FIRST on, so
that the next process repeats what this one may have committed without saying so.
"""

import asyncio
import sys

from services.chassis.auth import Caller
from services.chassis.database import Call, Database
from tests.chassis.counter import PLUMBING, Counter, message

CALLERS = 8


async def main(url: str, first: int) -> None:
    """Adds forever, a few calls at a time."""
    database, counter = Database(url, PLUMBING), Counter()
    numbers = iter(range(first, 10**9))
    caller = Caller("test", "m", frozenset())

    async def add() -> None:
        for number in numbers:
            request = message("AddRequest", request_id=str(number), name="n", amount=1)
            await database.write("Add", counter.add, Call(caller, request))
            print(number, flush=True)

    await asyncio.gather(*(add() for _ in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
