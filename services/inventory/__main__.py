"""Runs the inventory service: `python -m services.inventory`."""

from services.chassis import run
from services.inventory.service import build
from services.inventory.store import PLUMBING

if __name__ == "__main__":
    run.main("inventory", PLUMBING, build)
