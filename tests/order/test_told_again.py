"""Orders that a store tells again just as they are known, and how lists show them."""

from typing import Any

import pytest
import sqlalchemy as sa

from services.chassis.database import Transaction
from services.order.store import PLUMBING
from services.order.store.tables import ORDERS
from tests.harness import eventually, metadata
from tests.order.shop import PAID, Shop, document, line
from tillbridge.order.v1 import order_pb2 as pb


async def remembered(shop: Shop) -> int:
    """How many answers are remembered: one more for each call that wrote something."""
    count = sa.select(sa.func.count()).select_from(PLUMBING.requests)
    return await shop.service.database.read(lambda c: int(c.execute(count).scalar_one()))


async def grow_old(shop: Shop) -> None:
    """Makes orders such as an older version wrote them."""

    def forget(transaction: Transaction) -> None:
        transaction.connection.execute(sa.update(ORDERS).values(document_message=None))

    await shop.service.database.apply("grow old", forget)


async def listed(shop: Shop) -> list[pb.Order]:
    return list((await shop.orders.ListOrders(pb.ListOrdersRequest(), metadata=metadata())).orders)


def as_listed(order: pb.Order) -> pb.Order:
    """An order without what lists do not show."""
    order.document.ClearField("source_document")
    order.ClearField("line_accounts")
    order.ClearField("return_sale_ids")
    return order


@pytest.mark.rule("ORD-11")
@pytest.mark.parametrize("old", [False, True])
async def test_an_order_that_is_known_is_answered_as_it_stands_and_nothing_is_written(
    shop: Shop, old: bool
) -> None:
    shop.stock()
    told = document("A", 5, PAID, source_document='{"id": "A"}')
    await shop.ingest(told)
    stands = as_listed(await shop.settled("A"))
    if old:
        await grow_old(shop)
    before = await remembered(shop)
    for source in ('{"id": "A"}', '{"id": "A", "refreshed": true}'):
        told.source_document = source
        answer = await shop.ingest(told)
        assert (answer.changed, answer.order) == (False, stands)
    assert await listed(shop) == [stands]
    assert before == await remembered(shop)


@pytest.mark.rule("ORD-11")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lines": [line("MUG", "1.0")]}, False),  # the same in other words
        ({"version": 6}, True),
        ({"buyer_comment": "Thanks"}, True),
        ({"buyer_comment": ""}, False),
    ],
)
async def test_an_order_that_is_not_quite_as_it_is_known_is_looked_at(
    shop: Shop, change: dict[str, Any], expected: bool
) -> None:
    shop.stock()
    await shop.ingest(document("A", 5, PAID))
    stands = as_listed(await shop.settled("A"))
    answer = await shop.ingest(document("A", **({"version": 5, "payment_status": PAID} | change)))
    assert answer.changed is expected
    if not expected:
        assert answer.order == stands


@pytest.mark.rule("SOR-04")
@pytest.mark.parametrize("old", [False, True])
async def test_a_list_shows_why_an_order_waits(shop: Shop, old: bool) -> None:
    shop.stock()
    await shop.ingest(document("A", lines=[line("UNKNOWN")]))
    await shop.becomes("A", pb.ORDER_STATE_RECEIVED, "ITEM_NOT_FOUND")
    if old:
        await grow_old(shop)

    async def listed_as_it_is() -> None:
        """Between two reads it may have been tried again."""
        found = await listed(shop)
        assert found == [as_listed(await shop.order("A"))]
        assert found[0].waiting_message
        assert found[0].next_try_time.seconds

    await eventually(listed_as_it_is)
