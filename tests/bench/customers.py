"""What the benchmark matches: orders of 100,000 customers whom the shop knows."""

import random
from datetime import UTC, datetime
from uuid import uuid4

from services.chassis import migrate
from services.chassis.engines import open_engine
from services.chassis.plumbing import batches
from services.customer import store
from services.customer.rules.profiles import PosCustomer, from_pos
from tests.bench.stock import MERCHANT
from tillbridge.customer.v1 import customer_pb2

PATH = "/tillbridge.customer.v1.CustomerService/MatchCustomer"
CUSTOMERS = 100_000
BATCH = 5_000

_random = random.Random(3)


def request() -> bytes:
    """A MatchCustomerRequest of a new order, by a customer that is known, as bytes."""
    return customer_pb2.MatchCustomerRequest(
        request_id=uuid4().hex,
        email=f"Buyer-{_random.randrange(CUSTOMERS)}@example.com",
        name="Somebody Else",
        phone="0123456",
        channel_id="web",
        order_id=uuid4().hex[:12],
    ).SerializeToString()


def prepare(url: str) -> None:
    """Creates the tables, and the customers as if the point of sale had reported them."""
    migrate.upgrade("customer", url)
    now = datetime.now(UTC)
    engine = open_engine(url, writing=True)
    for numbers in batches(range(CUSTOMERS), BATCH):
        told = [
            PosCustomer(f"p-{one}", f"buyer-{one}@example.com", f"Buyer {one}", "", 1)
            for one in numbers
        ]
        with engine.begin() as connection:
            known = [from_pos(MERCHANT, uuid4().hex, one, now) for one in told]
            store.save(connection, known, [])
    engine.dispose()
