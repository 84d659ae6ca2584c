"""What every call of the order service keeps: input, pages, merchants, request ids."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.chassis.engines import open_engine
from services.order.store import Row
from tests.harness import (
    metadata,
    refused,
    service_metadata,
)
from tests.order.shop import (
    CHANNEL,
    Shop,
    document,
    line,
    request_id,
)
from tillbridge.order.v1 import order_pb2 as pb

POSTED = pb.ORDER_STATE_POSTED


async def test_lists_are_paged_newest_first_and_filtered(shop: Shop) -> None:
    shop.stock()
    shop.stock("other")
    for number in range(5):
        await shop.ingest(document(f"A{number}", source_document="{}"))
    await shop.ingest(document("B", lines=[line("CUP")]), channel_id="other")
    for number in range(5):
        await shop.becomes(f"A{number}", POSTED)
    await shop.becomes("B", pb.ORDER_STATE_RECEIVED, "ITEM_NOT_FOUND", "other")
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListOrdersRequest(page_size=2, page_token=token, state=POSTED)
        page = await shop.orders.ListOrders(request, metadata=metadata())
        assert not any(order.document.source_document for order in page.orders)
        found += [order.document.order_id for order in page.orders]
        token = page.next_page_token
        if not token:
            break
    assert found == ["A4", "A3", "A2", "A1", "A0"]
    waiting = pb.ListOrdersRequest(waiting=True, channel_id="other")
    page = await shop.orders.ListOrders(waiting, metadata=metadata())
    assert [order.document.order_id for order in page.orders] == ["B"]
    assert (await shop.order("A1")).document.source_document == "{}"
    tills = pb.ListSalesRequest(origin=pb.SALE_ORIGIN_TILL)
    assert not (await shop.orders.ListSales(tills, metadata=metadata())).sales
    one = await shop.orders.ListSales(pb.ListSalesRequest(page_size=1), metadata=metadata())
    rest = pb.ListSalesRequest(page_token=one.next_page_token)
    assert len((await shop.orders.ListSales(rest, metadata=metadata())).sales) == 4
    async with refused("INVALID_PAGE_TOKEN"):
        stolen = pb.ListOrdersRequest(page_token=one.next_page_token)
        await shop.orders.ListOrders(stolen, metadata=metadata())


async def test_what_is_not_there_is_said_to_be_not_there(shop: Shop) -> None:
    shop.stock()
    async with refused("CHANNEL_NOT_FOUND") as facts:
        await shop.ingest(document("A"), channel_id="nowhere")
    assert facts["channel_id"] == "nowhere"
    async with refused("CHANNEL_NOT_FOUND"):
        hint = pb.ReportOrderChangeRequest(
            request_id=request_id(), channel_id="nowhere", order_id="A"
        )
        await shop.orders.ReportOrderChange(hint, metadata=metadata())
    async with refused("ORDER_NOT_FOUND"):
        await shop.order("A", "nowhere")
    async with refused("ORDER_NOT_FOUND"):
        await shop.order("A")
    async with refused("ORDER_NOT_FOUND"):
        retry = pb.RetryOrderRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
        await shop.orders.RetryOrder(retry, metadata=metadata())
    async with refused("SALE_NOT_FOUND"):
        await shop.sale("S")
    async with refused("SALE_NOT_FOUND"):
        report = pb.ReportSalePostedRequest(request_id=request_id(), sale_id="S", revision=1)
        await shop.orders.ReportSalePosted(report, metadata=service_metadata())


async def test_another_merchant_sees_nothing_of_it(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A"))
    sale = await shop.posted("A")
    other = metadata("book-shop")
    async with refused("ORDER_NOT_FOUND"):
        found = pb.GetOrderRequest(channel_id=CHANNEL, order_id="A")
        await shop.orders.GetOrder(found, metadata=other)
    async with refused("SALE_NOT_FOUND"):
        await shop.orders.GetSale(pb.GetSaleRequest(sale_id=sale.sale_id), metadata=other)
    assert not (await shop.orders.ListSales(pb.ListSalesRequest(), metadata=other)).sales
    assert not (await shop.orders.ListOrders(pb.ListOrdersRequest(), metadata=other)).orders


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"lines": [line("MUG", "0.000")]}, "document.lines[0].quantity"),
        ({"lines": [line("MUG", "-1")]}, "document.lines[0].quantity"),
        ({"lines": [line("MUG", "1.2345")]}, "document.lines[0].quantity"),
        ({"lines": [line("MUG"), line("MUG")]}, "document.lines[1].line_id"),
        ({"total": {"currency_code": "euro"}}, "document.total.currency_code"),
        ({"total": {"units": 9_000_000_001}}, "document.total.units"),
        ({"total": {"nanos": -5}}, "document.total.nanos"),
        ({"discount": {"currency_code": "USD"}}, "document.total"),
        ({"place_time": {"seconds": 10**15}}, "document.place_time"),
        ({"buyer_name": "A\0nn"}, "document.buyer_name"),
    ],
)
async def test_bad_documents_are_refused_by_field(
    shop: Shop, changes: dict[str, Any], field: str
) -> None:
    shop.stock()
    async with refused("INVALID_FIELD") as facts:
        await shop.ingest(document("A", **changes))
    assert field in facts
    async with refused("ORDER_NOT_FOUND"):
        await shop.order("A")


async def test_an_ingest_is_answered_again_with_the_same_bytes(shop: Shop) -> None:
    shop.stock()
    request = pb.IngestOrderRequest(
        request_id=request_id(), channel_id=CHANNEL, document=document("A")
    )
    first = await shop.orders.IngestOrder(request, metadata=metadata())
    await shop.posted("A")
    again = await shop.orders.IngestOrder(request, metadata=metadata())
    assert first.SerializeToString() == again.SerializeToString()
    request.document.version = 2
    async with refused("REQUEST_ID_REUSED"):
        await shop.orders.IngestOrder(request, metadata=metadata())


async def test_the_migrations_make_what_the_tables_say(shop: Shop) -> None:
    engine = open_engine(shop.service.database.url, writing=True)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []
    engine.dispose()
