"""Orders that wait for a customer to be told from another, with the real customer service."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.customer import service as customer_service
from services.customer import store as customer_store
from services.order.service import build
from services.order.store import PLUMBING
from tests.harness import metadata, running, settings
from tests.order.fakes import Fakes
from tests.order.shop import CHANNEL, Shop, document, request_id
from tillbridge.customer.v1 import customer_pb2
from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceStub
from tillbridge.order.v1 import order_pb2 as pb

if TYPE_CHECKING:
    from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceAsyncStub

ADDRESS = "fam@example.com"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever waits is not tried again by itself while a test runs."""
    monkeypatch.setattr(
        "services.order.rules.order.pause_seconds", lambda _attempts, *, transient: 300
    )


@pytest.fixture
async def customers(tmp_path: Path, others: Fakes) -> AsyncIterator["CustomerServiceAsyncStub"]:
    """The customer service itself, in place of its fake."""
    folder = tmp_path / "customer"
    folder.mkdir()
    await others.customer.stop()
    async with running(
        "customer", customer_store.PLUMBING, customer_service.build, settings(folder)
    ) as found:
        others.customer.port = found.server.port
        yield CustomerServiceStub(found.channel)


@pytest.fixture
async def real(
    tmp_path: Path,
    database_url: str,
    others: Fakes,
    customers: "CustomerServiceAsyncStub",
    slow: None,
) -> AsyncIterator[Shop]:
    configured = settings(
        tmp_path,
        database_url,
        catalog_address=others.catalog.address,
        customer_address=others.customer.address,
        inventory_address=others.inventory.address,
    )
    async with running("order", PLUMBING, build, configured) as service:
        found = Shop(service, others)
        found.stock()
        yield found


async def two_profiles(customers: "CustomerServiceAsyncStub") -> list[str]:
    request = customer_pb2.BatchUpsertCustomersRequest(
        request_id=request_id(),
        customers=[
            customer_pb2.PosCustomer(pos_customer_id=one, email=ADDRESS) for one in ("p-1", "p-2")
        ],
    )
    answer = await customers.BatchUpsertCustomers(request, metadata=metadata())
    return [one.customer_id for one in answer.customers]


@pytest.mark.rule("BEY-14")
@pytest.mark.rule("BEY-09")
async def test_one_merge_lets_all_orders_of_a_shared_address_go_on(
    real: Shop, customers: "CustomerServiceAsyncStub"
) -> None:
    ann, bob = await two_profiles(customers)
    for order_id in ("A", "B"):
        await real.ingest(document(order_id, email=ADDRESS))
        waiting = await real.becomes(order_id, pb.ORDER_STATE_RESOLVED, "CUSTOMER_AMBIGUOUS")
        assert "MergeCustomers" in waiting.waiting_message
    (group,) = (
        await customers.ListAttention(customer_pb2.ListAttentionRequest(), metadata=metadata())
    ).groups
    assert group.waiting_count == 2
    merge = customer_pb2.MergeCustomersRequest(
        request_id=request_id(), customer_id=ann, merged_customer_ids=[bob]
    )
    assert (await customers.MergeCustomers(merge, metadata=metadata())).unblocked_order_count == 2
    for order_id in ("A", "B"):
        assert ann == (await real.posted(order_id)).customer_id
    listed = await customers.ListMatches(
        customer_pb2.ListMatchesRequest(customer_id=ann), metadata=metadata()
    )
    assert [one.order_id for one in listed.matches] == ["A", "B"]


@pytest.mark.rule("BEY-02")
async def test_an_order_that_changes_its_address_there_and_back_is_explained_by_the_last(
    real: Shop, customers: "CustomerServiceAsyncStub"
) -> None:
    for version, email in enumerate(("ann@x.com", "bob@x.com", "ann@x.com"), 1):
        # Too few, so that the order stays in front of its hold and is matched each time.
        await real.ingest(
            document(
                "A",
                version,
                email=email,
                lines=[pb.OrderLine(line_id="1", sku="MUG", quantity="99", name="Mug")],
            )
        )
        await real.becomes("A", pb.ORDER_STATE_MATCHED, "INSUFFICIENT_STOCK")
        found = await customers.ExplainMatch(
            customer_pb2.ExplainMatchRequest(channel_id=CHANNEL, order_id="A"),
            metadata=metadata(),
        )
        assert (email, email) == (found.match.email, found.customer.email)


@pytest.mark.rule("BEY-14")
async def test_only_orders_that_still_wait_for_a_customer_are_woken(shop: Shop, slow: None) -> None:
    shop.stock()
    shop.world.shared_addresses.add(ADDRESS)
    await shop.ingest(document("A", email=ADDRESS))
    await shop.becomes("A", pb.ORDER_STATE_RESOLVED, "CUSTOMER_AMBIGUOUS")
    await shop.ingest(document("B", email=ADDRESS))
    await shop.becomes("B", pb.ORDER_STATE_RESOLVED, "CUSTOMER_AMBIGUOUS")
    await shop.ingest(document("C"))
    done = await shop.posted("C")
    shop.world.shared_addresses.clear()
    shop.world.unblock(CHANNEL, "A", "C", "unknown")
    shop.world.unblock("another", "B")
    await shop.posted("A")
    await shop.becomes("B", pb.ORDER_STATE_RESOLVED, "CUSTOMER_AMBIGUOUS")
    assert done.revision == (await shop.posted("C")).revision
    (asked, *_) = shop.world.asked("MatchCustomer")
    assert (asked.channel_id, asked.order_id) == (CHANNEL, "A")
