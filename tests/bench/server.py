"""A service as it always runs, and the empty RPC on the same server.

Run as `python -m tests.bench.server CONTEXT`, with the environment of `python -m services.CONTEXT`.
"""

import importlib
import sys
from typing import cast

from services.chassis import run
from services.chassis.settings import Context
from tests.bench.empty import EmptyService, contract


def main(context: Context) -> None:
    """Serves until it is told to stop."""
    service = importlib.import_module(f"services.{context}.service")
    store = importlib.import_module(f"services.{context}.store")

    def build(parts: run.Parts) -> run.Wiring:
        real: run.Wiring = service.build(parts)
        return run.Wiring({**real.contracts, contract(): EmptyService()}, real.background)

    run.main(context, store.PLUMBING, build)


if __name__ == "__main__":
    main(cast("Context", sys.argv[1]))
