"""A run of any size: `python -m tests.chaos --promise P1 --kills 300 --orders 100000`."""

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from services import history
from tests.chaos.databases import service_databases
from tests.chaos.plan import CLOCKS, Plan
from tests.chaos.run import run
from tests.conftest import postgres_server


def main() -> None:
    """Runs a plan, and says what the checker says of its history."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--promise", choices=("P1", "P2", "P19"), required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=0)
    told = parser.parse_args()
    jumps = CLOCKS if told.promise == "P19" else ()
    plan = Plan(told.promise, told.seed, told.orders, told.kills, jumps)
    folder = Path(tempfile.mkdtemp(prefix=f"tillbridge-chaos-{plan.promise}-"))
    with ExitStack() as stack:
        url = ""
        if plan.promise != "P1":
            url = stack.enter_context(service_databases(stack.enter_context(postgres_server())))
        path = asyncio.run(run(plan, folder, url))
    print(path)
    sys.exit(history.tell(path, print))


if __name__ == "__main__":
    main()
