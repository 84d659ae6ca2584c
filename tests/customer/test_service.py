"""The customer service as its callers see it."""

import asyncio
from itertools import count
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.chassis.engines import open_engine
from services.customer.service import build
from services.customer.store import PLUMBING, Row
from tests.harness import Running, metadata, refused, running, service_metadata
from tillbridge.customer.v1 import customer_pb2 as pb
from tillbridge.customer.v1 import events_pb2
from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceStub
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

if TYPE_CHECKING:
    from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceAsyncStub

_ids = (f"r-{number}" for number in count(1))


async def match(
    customers: "CustomerServiceAsyncStub", email: str, name: str = "", *, merchant: str = "mug-shop"
) -> pb.MatchCustomerResponse:
    request = pb.MatchCustomerRequest(request_id=next(_ids), email=email, name=name)
    return await customers.MatchCustomer(request, metadata=metadata(merchant))


async def upsert(
    customers: "CustomerServiceAsyncStub", *profiles: pb.PosCustomer
) -> list[pb.Customer]:
    request = pb.BatchUpsertCustomersRequest(request_id=next(_ids), customers=profiles)
    return list((await customers.BatchUpsertCustomers(request, metadata=metadata())).customers)


async def told(service: Running) -> list[str]:
    """The customers that the feed tells of, in order."""
    found = await EventFeedStub(service.channel).ReadEvents(
        feed_pb.ReadEventsRequest(consumer="test", max_events=1000), metadata=service_metadata()
    )
    changes = []
    for event in found.events:
        change = events_pb2.CustomerChanged()
        assert event.data.Unpack(change)
        assert (f"customer/{change.customer_id}", "") == (event.subject, event.channel_id)
        changes.append(change.customer_id)
    return changes


@pytest.mark.rule("CUS-01")
@pytest.mark.rule("CUS-02")
async def test_a_second_order_finds_the_profile_and_leaves_it_as_it_is(
    service: Running, customers: "CustomerServiceAsyncStub"
) -> None:
    first = await match(customers, "ann@example.com", "Ann Lee")
    second = await match(customers, "  ANN@Example.com ", "Somebody Else")
    assert (first.created, second.created) == (True, False)
    assert first.customer == second.customer
    assert second.customer.origin == pb.CUSTOMER_ORIGIN_ORDER
    assert [first.customer.customer_id] == await told(service)


@pytest.mark.rule("CUS-02")
async def test_a_profile_of_the_point_of_sale_keeps_its_name(
    customers: "CustomerServiceAsyncStub",
) -> None:
    profile = pb.PosCustomer(pos_customer_id="p-1", email="Ann@example.com", name="Ann Lee")
    (known,) = await upsert(customers, profile)
    found = await match(customers, "ann@EXAMPLE.com", "A. L.")
    assert (known, False) == (found.customer, found.created)
    assert found.customer.origin == pb.CUSTOMER_ORIGIN_POS


@pytest.mark.rule("CUS-05")
async def test_sixty_four_orders_of_a_new_address_at_once_make_one_profile(
    service: Running, customers: "CustomerServiceAsyncStub"
) -> None:
    spellings = ["new@example.com", "NEW@example.com", " new@Example.com", "New@EXAMPLE.COM "]
    answers = await asyncio.gather(
        *(match(customers, spellings[n % 4], f"Name {n}") for n in range(64))
    )
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.customer.SerializeToString() for answer in answers}) == 1
    assert len(await told(service)) == 1


@pytest.mark.rule("CUS-05")
async def test_two_processes_make_one_profile(service: Running) -> None:
    if not service.settings.database_url:
        pytest.skip("SQLite has one writing process")
    async with running("customer", PLUMBING, build, service.settings) as other:
        stubs = [CustomerServiceStub(one.channel) for one in (service, other)]
        for n in range(5):
            answers = await asyncio.gather(
                *(match(stub, f"buyer-{n}@example.com") for stub in stubs * 32)
            )
            assert sum(answer.created for answer in answers) == 1
            assert len({answer.customer.customer_id for answer in answers}) == 1


async def test_the_same_request_id_gives_the_same_bytes(
    customers: "CustomerServiceAsyncStub",
) -> None:
    request = pb.MatchCustomerRequest(request_id="once", email="ann@example.com")
    first = await customers.MatchCustomer(request, metadata=metadata())
    assert first == await customers.MatchCustomer(request, metadata=metadata())
    request.name = "Ann"
    async with refused("REQUEST_ID_REUSED"):
        await customers.MatchCustomer(request, metadata=metadata())


@pytest.mark.rule("BEY-14")
async def test_two_profiles_with_one_address_both_stay_and_no_order_is_guessed(
    customers: "CustomerServiceAsyncStub",
) -> None:
    both = await upsert(
        customers,
        pb.PosCustomer(pos_customer_id="p-1", email="family@example.com", name="Ann"),
        pb.PosCustomer(pos_customer_id="p-2", email="Family@example.com", name="Bob"),
    )
    async with refused("CUSTOMER_AMBIGUOUS") as facts:
        await match(customers, "family@example.com")
    assert {one.customer_id for one in both} == set(facts["customer_ids"].split(","))
    assert "MergeCustomers" in facts["message"]


async def test_a_refused_call_does_not_spoil_its_neighbors(
    customers: "CustomerServiceAsyncStub",
) -> None:
    answers = await asyncio.gather(
        match(customers, "no address"),
        match(customers, "ann@example.com"),
        match(customers, "a@b@c"),
        return_exceptions=True,
    )
    assert [isinstance(one, pb.MatchCustomerResponse) for one in answers] == [False, True, False]


async def test_the_point_of_sale_adopts_the_profile_that_an_order_brought(
    service: Running, customers: "CustomerServiceAsyncStub"
) -> None:
    ordered = (await match(customers, "ann@example.com")).customer
    adopted, second = await upsert(
        customers,
        pb.PosCustomer(pos_customer_id="p-1", email="ANN@example.com", name="Ann Lee", version=4),
        pb.PosCustomer(pos_customer_id="p-2", email="ann@example.com", version=5),
    )
    assert (ordered.customer_id, "p-1", "Ann Lee", pb.CUSTOMER_ORIGIN_POS) == (
        adopted.customer_id,
        adopted.pos_customer_id,
        adopted.name,
        adopted.origin,
    )
    assert ordered.create_time == adopted.create_time
    assert ordered.customer_id != second.customer_id
    assert sorted([ordered.customer_id, ordered.customer_id, second.customer_id]) == sorted(
        await told(service)
    )


async def test_reports_may_come_twice_and_out_of_order(
    service: Running, customers: "CustomerServiceAsyncStub"
) -> None:
    old = pb.PosCustomer(pos_customer_id="p-1", email="old@example.com", name="Old", version=1)
    new = pb.PosCustomer(pos_customer_id="p-1", email="new@example.com", name="New", version=2)
    answers = [await upsert(customers, *batch) for batch in ([new], [old], [new], [old, new, old])]
    assert {"New"} == {one.name for batch in answers for one in batch}
    for batch in answers:
        for one in batch:
            one.ClearField("sync_time")  # the second report of the newer version is a report too
    assert len({one.SerializeToString() for batch in answers for one in batch}) == 1
    assert len(await told(service)) == 1
    assert (await match(customers, "old@example.com")).created
    assert not (await match(customers, "new@example.com")).created


async def test_a_profile_without_a_proper_address_is_kept_and_never_matched(
    customers: "CustomerServiceAsyncStub",
) -> None:
    kept = await upsert(
        customers,
        pb.PosCustomer(pos_customer_id="p-1", name="Walk-in"),
        pb.PosCustomer(pos_customer_id="p-2", email="none", name="No mail"),
    )
    assert [one.email for one in kept] == ["", "none"]
    assert len({one.customer_id for one in kept}) == 2


async def test_merchants_do_not_share_customers(customers: "CustomerServiceAsyncStub") -> None:
    mine = (await match(customers, "ann@example.com", merchant="mug-shop")).customer
    other = await match(customers, "ann@example.com", merchant="tea-shop")
    assert other.created
    async with refused("CUSTOMER_NOT_FOUND") as facts:
        await customers.GetCustomer(
            pb.GetCustomerRequest(customer_id=mine.customer_id), metadata=metadata("tea-shop")
        )
    assert mine.customer_id in facts["message"]
    listed = await customers.ListCustomers(pb.ListCustomersRequest(), metadata=metadata("tea-shop"))
    assert [other.customer] == list(listed.customers)


async def test_a_profile_is_read_by_its_id(customers: "CustomerServiceAsyncStub") -> None:
    created = (await match(customers, "ann@example.com", "Ann")).customer
    found = await customers.GetCustomer(
        pb.GetCustomerRequest(customer_id=created.customer_id), metadata=metadata()
    )
    assert created == found.customer


async def test_profiles_are_listed_page_by_page_and_by_address(
    customers: "CustomerServiceAsyncStub",
) -> None:
    reports = [
        pb.PosCustomer(pos_customer_id=f"p-{n}", email=f"buyer-{n % 2}@example.com")
        for n in range(7)
    ]
    created = await upsert(customers, *reports)
    seen: list[pb.Customer] = []
    request = pb.ListCustomersRequest(page_size=3)
    sizes = []
    while True:
        page = await customers.ListCustomers(request, metadata=metadata())
        seen += page.customers
        sizes.append(len(page.customers))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert sizes == [3, 3, 1]
    assert {one.customer_id for one in created} == {one.customer_id for one in seen}
    by_address = await customers.ListCustomers(
        pb.ListCustomersRequest(email=" BUYER-1@example.com"), metadata=metadata()
    )
    assert {"p-1", "p-3", "p-5"} == {one.pos_customer_id for one in by_address.customers}
    async with refused("INVALID_PAGE_TOKEN"):
        other = pb.ListCustomersRequest(email="a@b", page_token=request.page_token)
        await customers.ListCustomers(other, metadata=metadata())


async def test_the_tables_are_what_the_migrations_make(service: Running) -> None:
    assert await asyncio.to_thread(differences, service.settings.database("customer")) == []


def differences(url: str) -> list[object]:
    """What autogenerate would still migrate."""
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Row.metadata)
    engine.dispose()
    return list(found)
