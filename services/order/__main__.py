"""Runs the order service: `python -m services.order`."""

from services.chassis import run
from services.order.service import build
from services.order.store import PLUMBING

if __name__ == "__main__":
    run.main("order", PLUMBING, build)
