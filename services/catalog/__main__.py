"""Runs the catalog service: `python -m services.catalog`."""

from services.catalog.service import build
from services.catalog.store import PLUMBING
from services.chassis import run

if __name__ == "__main__":
    run.main("catalog", PLUMBING, build)
