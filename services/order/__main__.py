"""`python -m services.order`: the order service as a process."""

from services.chassis import run
from services.order import store
from services.order.service import build

run.main("order", store.PLUMBING, build)
