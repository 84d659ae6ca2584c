"""A till sells what was promised to orders, and what is done then, on both databases."""

from datetime import timedelta
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from services.inventory.rules.incidents import IN_FLIGHT
from services.inventory.store.tables import TRANSFERS
from tests.harness import metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, THIRD, Client, Shop, request_id
from tests.inventory.test_online import Clock
from tests.inventory.test_transfers import Transfers
from tillbridge.attention.v1 import attention_pb2
from tillbridge.inventory.v1 import audit_pb2 as pb
from tillbridge.inventory.v1 import events_pb2, inventory_pb2
from tillbridge.inventory.v1.audit_pb2_grpc import AuditServiceStub

if TYPE_CHECKING:
    from tillbridge.inventory.v1.audit_pb2_grpc import AuditServiceAsyncStub

pytestmark = pytest.mark.asyncio


def audit(shop: Client) -> "AuditServiceAsyncStub":
    """The shop's AuditService."""
    stub: AuditServiceAsyncStub = AuditServiceStub(shop.channel)
    return stub


async def sell(shop: Shop, item_id: str, outlet_id: str, quantity: str, cause: str = "") -> None:
    """A till's sale; a negative one is a return."""
    line = inventory_pb2.Adjustment(item_id=item_id, outlet_id=outlet_id, quantity=f"-{quantity}")
    await shop.stock.AdjustStock(
        inventory_pb2.AdjustStockRequest(
            request_id=request_id(),
            kind=inventory_pb2.MOVEMENT_KIND_POS_SALE,
            lines=[line],
            cause=cause,
        ),
        metadata=metadata(),
    )


async def incidents(
    shop: Client, state: pb.IncidentState.ValueType = pb.INCIDENT_STATE_OPEN
) -> list[pb.Incident]:
    """The shop's incidents."""
    answer = await audit(shop).ListIncidents(
        pb.ListIncidentsRequest(state=state), metadata=metadata()
    )
    return list(answer.incidents)


async def resolve(
    shop: Client, incident: pb.Incident, reservation_id: str = "", to_outlet_id: str = ""
) -> pb.Incident:
    """Does something about an incident."""
    answer = await audit(shop).ResolveIncident(
        pb.ResolveIncidentRequest(
            request_id=request_id(),
            incident_id=incident.incident_id,
            reservation_id=reservation_id,
            to_outlet_id=to_outlet_id,
        ),
        metadata=metadata(),
    )
    return answer.incident


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("INV-13")
async def test_a_till_that_sells_a_promised_piece_makes_an_incident(shop: Shop) -> None:
    channel = await shop.open()
    await shop.catalog.tell(["mug", "mug-blue"], product_id="mugs")
    await shop.learn("pot")
    await shop.count("mug", MAIN, "5")
    await shop.count("mug", HARBOUR, "2")
    await shop.count("mug", THIRD, "9")
    await shop.count("mug-blue", MAIN, "4")
    older = await shop.reserve(channel.channel_id, ("mug", "3"), outlet_id=MAIN)
    newer = await shop.reserve(channel.channel_id, ("mug", "2"), outlet_id=MAIN)
    await sell(shop, "mug", MAIN, "3", cause="sale 1708")

    (found,) = await incidents(shop)
    assert (found.item_id, found.outlet_id, found.missing, found.cause) == (
        "mug",
        MAIN,
        "3",
        "sale 1708",
    )
    assert [(hit.reservation_id, hit.quantity) for hit in found.orders] == [
        (newer.reservation_id, "2"),
        (older.reservation_id, "1"),
    ]
    assert [(one.kind, one.outlet_id) for one in found.orders[0].proposals] == [
        (pb.PROPOSAL_KIND_OTHER_OUTLET, HARBOUR),
        (pb.PROPOSAL_KIND_TRANSFER, THIRD),
        (pb.PROPOSAL_KIND_SUBSTITUTE, ""),
        (pb.PROPOSAL_KIND_REFUND, ""),
    ]
    assert "mug-blue" in found.orders[0].proposals[2].text
    assert [one.kind for one in found.orders[1].proposals] == [  # 3 pieces: Harbour has too few
        pb.PROPOSAL_KIND_TRANSFER,
        pb.PROPOSAL_KIND_SUBSTITUTE,
        pb.PROPOSAL_KIND_REFUND,
    ]
    assert (await shop.online(channel.channel_id, "mug")).quantity == 2

    after = await resolve(shop, found, newer.reservation_id, HARBOUR)
    assert (after.missing, after.state) == ("1", pb.INCIDENT_STATE_OPEN)
    assert (await shop.level("mug", HARBOUR)).reserved == "2"
    after = await resolve(shop, found, older.reservation_id)
    assert (after.missing, after.state) == ("0", pb.INCIDENT_STATE_ENDED)
    assert after.HasField("end_time")
    level = await shop.level("mug", MAIN)
    assert (level.on_hand, level.reserved) == ("2", "0")
    moved = await shop.commit(newer.reservation_id)
    assert [(one.outlet_id, one.quantity) for one in moved.allocations] == [(HARBOUR, "2")]
    assert (await shop.level("mug", HARBOUR)).on_hand == "0"
    told = [event for event in await shop.events() if event.subject.startswith("reservation/")]
    changes = [events_pb2.ReservationChanged.FromString(event.data.value) for event in told]
    assert [(one.reservation.reservation_id, one.incident_id) for one in changes] == [
        (newer.reservation_id, found.incident_id),
        (older.reservation_id, found.incident_id),
    ]
    assert [one.outlet_id for one in changes[0].reservation.allocations] == [HARBOUR]
    assert changes[1].reservation.state == inventory_pb2.RESERVATION_STATE_RELEASED
    assert {event.channel_id for event in told} == {channel.channel_id}


@pytest.mark.rule("BEY-04")
@pytest.mark.parametrize("way", ["sale", "count", "adjustment", "transfer", "sent"])
async def test_whatever_takes_a_promised_piece_makes_an_incident_that_ends_by_itself(
    shop: Shop, way: str
) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "2")
    await shop.reserve(channel.channel_id, ("mug", "2"))
    if way == "count":
        await shop.count("mug", MAIN, "1")
    elif way == "transfer":
        await shop.stock.TransferStock(
            inventory_pb2.TransferStockRequest(
                request_id=request_id(),
                from_outlet_id=MAIN,
                to_outlet_id=THIRD,
                lines=[inventory_pb2.TransferLine(item_id="mug", quantity="1")],
            ),
            metadata=metadata(),
        )
    elif way == "sent":
        await Transfers(shop).send(("mug", "1"))
    else:
        await sell(shop, "mug", MAIN, "1")
    (found,) = await incidents(shop)
    assert found.missing == "1"
    await sell(shop, "mug", MAIN, "2")  # still the same incident, at the same place
    (again,) = await incidents(shop)
    assert (again.incident_id, again.missing) == (found.incident_id, "2")
    await shop.count("mug", MAIN, "2")
    assert await incidents(shop) == []
    (ended,) = await incidents(shop, pb.INCIDENT_STATE_ENDED)
    assert (ended.incident_id, ended.missing, list(ended.orders)) == (found.incident_id, "0", [])


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("BEY-08")
async def test_a_level_that_includes_a_sale_before_its_news_makes_no_incident(
    shop: Shop,
) -> None:
    """Two orders hold nearly all there is, and are posted; the point of sale's levels and the news
    of its sales come in every order.
    """
    clock = Clock(shop.service)
    channel = await shop.open()
    orders = list(permutations(["level 11", "level 21", "news 10", "news 20"]))
    items = [f"mug-{number}" for number in range(len(orders))]
    await shop.learn(*items)
    for item_id, arrivals in zip(items, orders, strict=True):
        await shop.count(item_id, MAIN, "2.5", version=1)  # never to nothing: that might be held
        first, second = [
            (await shop.reserve(channel.channel_id, (item_id, "1"))).reservation_id
            for _ in range(2)
        ]
        for arrival in arrivals:
            match arrival:
                case "level 11":
                    await shop.count(item_id, MAIN, "1.5", version=11)
                case "level 21":
                    await shop.count(item_id, MAIN, "0.5", version=21)
                case "news 10":
                    await shop.commit(first, pos_version=10)
                case _:
                    await shop.commit(second, pos_version=20)
            assert await incidents(shop) == []
        assert (await shop.level(item_id, MAIN)).reserved == "0"
    clock.forward(IN_FLIGHT.total_seconds())
    assert await incidents(shop, pb.INCIDENT_STATE_UNSPECIFIED) == []


@pytest.mark.rule("BEY-04")
async def test_what_the_point_of_sale_has_sold_is_an_incident_when_no_news_explains_it(
    shop: Shop,
) -> None:
    clock = Clock(shop.service)
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "2", version=1)
    held = await shop.reserve(channel.channel_id, ("mug", "2"))
    await shop.count("mug", MAIN, "1", version=2)
    assert await incidents(shop) == []
    assert not await attention_groups(shop)
    clock.forward(IN_FLIGHT.total_seconds())
    (found,) = await incidents(shop)
    assert (found.missing, found.orders[0].reservation_id) == ("1", held.reservation_id)
    (group,) = await attention_groups(shop)
    assert group.cause == attention_pb2.ATTENTION_CAUSE_OVERSOLD
    await shop.count("mug", MAIN, "2", version=3)
    (ended,) = await incidents(shop, pb.INCIDENT_STATE_UNSPECIFIED)
    assert (ended.incident_id, ended.state) == (found.incident_id, pb.INCIDENT_STATE_ENDED)


async def attention_groups(shop: Client) -> list[attention_pb2.AttentionGroup]:
    """What waits for an operator."""
    answer = await audit(shop).ListAttention(pb.ListAttentionRequest(), metadata=metadata())
    return list(answer.groups)


async def test_an_incident_ends_when_an_operator_says_so_and_comes_back_when_it_gets_worse(
    shop: Shop,
) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "3")
    await shop.reserve(channel.channel_id, ("mug", "3"))
    await sell(shop, "mug", MAIN, "1")
    (found,) = await incidents(shop)
    for _ in range(2):
        ended = await resolve(shop, found)
        assert ended.state == pb.INCIDENT_STATE_ENDED
    assert await incidents(shop) == []
    await sell(shop, "mug", MAIN, "1")
    (other,) = await incidents(shop)
    assert (other.missing, other.incident_id == found.incident_id) == ("2", False)


async def test_what_cannot_be_done_about_an_incident_is_refused(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug", "pot")
    await shop.count("mug", MAIN, "3")
    await shop.count("pot", MAIN, "3")
    held = await shop.reserve(channel.channel_id, ("mug", "3"))
    other = await shop.reserve(channel.channel_id, ("pot", "1"))
    await sell(shop, "mug", MAIN, "1")
    (found,) = await incidents(shop)
    for reservation_id, outlet_id, reason in (
        ("rs-nobody", HARBOUR, "RESERVATION_NOT_FOUND"),
        (other.reservation_id, HARBOUR, "RESERVATION_NOT_FOUND"),
        (held.reservation_id, HARBOUR, "INSUFFICIENT_STOCK"),
        (held.reservation_id, "nowhere", "OUTLET_NOT_FOUND"),
        (held.reservation_id, MAIN, "INVALID_FIELD"),
        ("", HARBOUR, "INVALID_FIELD"),
    ):
        async with refused(reason):
            await resolve(shop, found, reservation_id, outlet_id)
    async with refused("INCIDENT_NOT_FOUND"):
        await resolve(shop, pb.Incident(incident_id="in-nobody"), held.reservation_id)
    await shop.commit(held.reservation_id, pos_version=7)
    for outlet_id in (HARBOUR, ""):
        async with refused("RESERVATION_ENDED"):
            await resolve(shop, found, held.reservation_id, outlet_id)
    (found,) = await incidents(shop)
    assert [one.kind for one in found.orders[0].proposals] == [pb.PROPOSAL_KIND_REFUND]


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("INV-14")
async def test_a_sale_that_names_other_outlets_does_not_end_what_was_moved_meanwhile(
    shop: Shop,
) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "1", version=1)
    await shop.count("mug", HARBOUR, "1", version=2)
    before = await shop.reserve(channel.channel_id, ("mug", "1"), outlet_id=MAIN)
    await sell(shop, "mug", MAIN, "1")
    (found,) = await incidents(shop)
    await resolve(shop, found, before.reservation_id, HARBOUR)
    request = inventory_pb2.CommitReservationRequest(
        request_id=request_id(),
        reservation_id=before.reservation_id,
        pos_version=10,
        allocations=before.allocations,
    )
    async with refused("VERSION_CONFLICT"):
        await shop.stock.CommitReservation(request, metadata=metadata())
    request.allocations[0].quantity = "all"
    async with refused("INVALID_FIELD"):
        await shop.stock.CommitReservation(request, metadata=metadata())
    request.allocations[0].quantity = "1"
    await shop.count("mug", HARBOUR, "1", version=11)
    assert (await shop.level("mug", HARBOUR)).reserved == "1"
    request.allocations[0].outlet_id = HARBOUR
    for _ in range(2):
        done = await shop.stock.CommitReservation(request, metadata=metadata())
        assert done.reservation.state == inventory_pb2.RESERVATION_STATE_COMMITTED
    request.request_id, request.allocations[0].outlet_id = request_id(), MAIN
    await shop.stock.CommitReservation(request, metadata=metadata())  # it is over, and stays so


async def test_incidents_come_in_pages_the_latest_first(shop: Shop) -> None:
    channel = await shop.open()
    items = [f"item-{number}" for number in range(5)]
    await shop.learn(*items)
    for item_id in items:
        await shop.count(item_id, MAIN, "1")
        await shop.reserve(channel.channel_id, (item_id, "1"))
        await sell(shop, item_id, MAIN, "1")
    seen = []
    request = pb.ListIncidentsRequest(page_size=2)
    while True:
        answer = await audit(shop).ListIncidents(request, metadata=metadata())
        seen += [one.item_id for one in answer.incidents]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert seen == items[::-1]


@pytest.mark.rule("BEY-09")
async def test_what_waits_for_an_operator_is_grouped_by_cause(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug", "pot")
    for item_id in ("mug", "pot"):
        await shop.count(item_id, MAIN, "1")
        await shop.reserve(channel.channel_id, (item_id, "1"))
        await sell(shop, item_id, MAIN, "1")
    late = await Transfers(shop).send(("mug", "1"))
    await Transfers(shop).send(("mug", "1"))
    now = shop.service.database.clock()
    await shop.service.database.apply(
        "make late",
        lambda transaction: transaction.connection.execute(
            update(TRANSFERS)
            .where(TRANSFERS.c.transfer_id == late.transfer_id)
            .values(create_time=now - timedelta(days=8))
        ),
    )
    request = pb.ListAttentionRequest(page_size=1)
    groups: list[attention_pb2.AttentionGroup] = []
    while True:
        answer = await audit(shop).ListAttention(request, metadata=metadata())
        groups += answer.groups
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert [(one.cause, one.key, one.waiting_count) for one in groups] == [
        (attention_pb2.ATTENTION_CAUSE_OVERSOLD, MAIN, 2),
        (attention_pb2.ATTENTION_CAUSE_TRANSFER_LATE, HARBOUR, 1),
    ]
    assert list(groups[1].examples) == [late.transfer_id]
    assert list(groups[0].examples) == [one.incident_id for one in (await incidents(shop))[::-1]]
    nobody = await audit(shop).ListAttention(
        pb.ListAttentionRequest(), metadata=metadata("other-shop")
    )
    assert not nobody.groups
