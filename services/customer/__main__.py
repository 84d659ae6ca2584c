"""Runs the customer service: `python -m services.customer`."""

from services.chassis import run
from services.customer.service import build
from services.customer.store import PLUMBING

if __name__ == "__main__":
    run.main("customer", PLUMBING, build)
