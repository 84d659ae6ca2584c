"""The inventory service as it always runs, and the empty RPC on the same server.

Run as `python -m tests.bench.server`, with the environment of `python -m services.inventory`.
"""

from services.chassis import run
from services.inventory.service import build
from services.inventory.store import PLUMBING
from tests.bench.empty import EmptyService, contract


def _build(parts: run.Parts) -> run.Wiring:
    real = build(parts)
    return run.Wiring({**real.contracts, contract(): EmptyService()}, real.background)


if __name__ == "__main__":
    run.main("inventory", PLUMBING, _build)
