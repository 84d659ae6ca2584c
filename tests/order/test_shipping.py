"""Shipping methods and checkout over the wire, on both databases."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay

from services.chassis.errors import DomainError
from services.order.rules.checkout import Cart, CartLine, Stock
from services.order.rules.document import Money
from services.order.service.quotes import Quotes
from tests.harness import MERCHANT, eventually, metadata, refused
from tests.order.fakes import Fault
from tests.order.shop import CHANNEL, Shop, eur, request_id
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.order.v1 import events_pb2, order_pb2
from tillbridge.order.v1 import shipping_pb2 as pb
from tillbridge.order.v1.shipping_pb2_grpc import ShippingServiceStub

if TYPE_CHECKING:
    from tillbridge.order.v1.shipping_pb2_grpc import ShippingServiceAsyncStub

pytestmark = pytest.mark.asyncio

PICKUP, SHIPPING = order_pb2.FULFILLMENT_KIND_PICKUP, order_pb2.FULFILLMENT_KIND_SHIPPING
RESTRICT = channels_pb2.AVAILABILITY_MODE_RESTRICT
DISABLE, KEEP = channels_pb2.DISCONNECTED_METHODS_DISABLE, channels_pb2.DISCONNECTED_METHODS_KEEP


def stub(shop: Shop) -> "ShippingServiceAsyncStub":
    return ShippingServiceStub(shop.service.channel)


def method(method_id: str, **changes: Any) -> pb.ShippingMethod:
    """A pickup that is on."""
    values = {"name": method_id.title(), "kind": PICKUP, "enabled": True} | changes
    return pb.ShippingMethod(method_id=method_id, **cast("dict[str, Any]", values))


async def create(shop: Shop, method_id: str, **changes: Any) -> pb.ShippingMethod:
    request = pb.CreateShippingMethodRequest(
        request_id=request_id(), channel_id=CHANNEL, method=method(method_id, **changes)
    )
    return (await stub(shop).CreateShippingMethod(request, metadata=metadata())).method


async def update(shop: Shop, method_id: str, version: int = 0, **changes: Any) -> pb.ShippingMethod:
    told = pb.ShippingMethod(channel_id=CHANNEL, method_id=method_id, **changes)
    request = pb.UpdateShippingMethodRequest(
        request_id=request_id(),
        method=told,
        update_mask=FieldMask(paths=list(changes)),
        version=version,
    )
    return (await stub(shop).UpdateShippingMethod(request, metadata=metadata())).method


async def methods(shop: Shop, **asked: Any) -> list[pb.ShippingMethod]:
    request = pb.ListShippingMethodsRequest(channel_id=CHANNEL, **asked)
    return list((await stub(shop).ListShippingMethods(request, metadata=metadata())).methods)


async def quote(shop: Shop, *lines: tuple[str, str], **asked: Any) -> pb.QuoteCheckoutResponse:
    """Asks for a cart of (item, quantity)."""
    request = pb.QuoteCheckoutRequest(
        channel_id=CHANNEL,
        lines=[
            pb.CartLine(item_id=item_id, quantity=quantity, unit_price=eur(10))
            for item_id, quantity in lines
        ],
        **asked,
    )
    return await stub(shop).QuoteCheckout(request, metadata=metadata())


WHOLE = pb.ShippingMethod(
    name="Post",
    kind=SHIPPING,
    zones=[
        pb.Zone(
            name="North",
            country_codes=["NO"],
            region_codes=["03"],
            postal_codes=["0150-0199", "9*"],
        )
    ],
    minimum_subtotal=eur(5),
    time_zone="Europe/Oslo",
    preparation_minutes=30,
    closed_dates=[Date(year=2026, month=12, day=24), Date(year=2026, month=12, day=25)],
    instruction="Ring twice.",
    enabled=True,
    position=2,
)


def table() -> pb.ShippingRate:
    rate = pb.Rate(per_order=eur(4), percent="7.5", per_item=eur(1), per_kilogram=eur(0, 500000000))
    row, last = pb.RateTableRow(to="49.5", rate=rate), pb.RateTableRow(rate=pb.Rate())
    setattr(row, "from", "0.25")
    setattr(last, "from", "49.5")
    return pb.ShippingRate(
        table=pb.RateTable(basis=pb.RATE_TABLE_BASIS_DISCOUNTED_SUBTOTAL, rows=[row, last])
    )


@pytest.mark.rule("SHP-01")
async def test_a_method_is_kept_as_it_was_told(shop: Shop) -> None:
    shop.stock()
    told = pb.ShippingMethod()
    told.CopyFrom(WHOLE)
    told.MergeFrom(pb.ShippingMethod(channel_id=CHANNEL, method_id="post", rate=table()))
    request = pb.CreateShippingMethodRequest(
        request_id=request_id(), channel_id=CHANNEL, method=told
    )
    made = (await stub(shop).CreateShippingMethod(request, metadata=metadata())).method
    again = (await stub(shop).CreateShippingMethod(request, metadata=metadata())).method

    assert made == again == (await methods(shop))[0]
    assert made.version == 1
    assert made.HasField("create_time")
    made.ClearField("version")
    made.ClearField("create_time")
    made.ClearField("update_time")
    assert made == told
    (event,) = await shop.events(events_pb2.ShippingMethodChanged)
    assert event[0].subject == "shipping/web/post"


async def test_a_pickup_has_hours(shop: Shop) -> None:
    shop.stock()
    hours = pb.PickupHours(
        day=1, open_time=TimeOfDay(hours=9, minutes=30), close_time=TimeOfDay(hours=24)
    )
    made = await create(shop, "shop", pickup_hours=[hours], outlet_id="harbour")
    assert list(made.pickup_hours) == [hours]
    async with refused("INVALID_FIELD") as facts:
        hours.close_time.hours = 25
        await create(shop, "other", pickup_hours=[hours])
    assert "method.pickup_hours[0].close_time" in facts


@pytest.mark.rule("SHP-01")
async def test_only_a_connected_outlet_may_be_tied(shop: Shop) -> None:
    shop.stock()
    async with refused("OUTLET_NOT_CONNECTED") as facts:
        await create(shop, "pier", outlet_id="pier")
    assert facts["outlet_id"] == "pier"
    await create(shop, "far", outlet_id="harbour")
    async with refused("OUTLET_NOT_CONNECTED"):
        await update(shop, "far", outlet_id="pier")
    assert (await update(shop, "far", outlet_id="main")).outlet_id == "main"
    assert (await update(shop, "far", outlet_id="")).outlet_id == ""


async def test_what_cannot_be_is_refused(shop: Shop) -> None:
    async with refused("CHANNEL_NOT_FOUND"):
        await create(shop, "shop")
    shop.stock()
    await create(shop, "shop")
    async with refused("SHIPPING_METHOD_EXISTS"):
        await create(shop, "shop")
    async with refused("INVALID_FIELD") as facts:
        await create(shop, "other", channel_id="elsewhere")
    assert "method.channel_id" in facts
    async with refused("SHIPPING_METHOD_NOT_FOUND"):
        await update(shop, "nowhere", name="Somewhere")
    async with refused("INVALID_FIELD") as facts:
        await update(shop, "shop", version=0, disabled_reason="because")
    assert "update_mask" in facts
    async with refused("INVALID_FIELD"):
        await update(shop, "shop", name="")
    changed = await update(shop, "shop", version=1, name="Shop by the sea")
    assert (changed.version, changed.name, changed.kind) == (2, "Shop by the sea", PICKUP)
    async with refused("VERSION_CONFLICT"):
        await update(shop, "shop", version=1, name="Shop on the hill")


async def test_a_deleted_method_is_gone(shop: Shop) -> None:
    shop.stock()
    await create(shop, "shop")
    request = pb.DeleteShippingMethodRequest(
        request_id=request_id(), channel_id=CHANNEL, method_id="shop"
    )
    for _ in range(2):  # the same call twice
        await stub(shop).DeleteShippingMethod(request, metadata=metadata())
    assert await methods(shop) == []
    async with refused("SHIPPING_METHOD_NOT_FOUND"):
        request.request_id = request_id()
        await stub(shop).DeleteShippingMethod(request, metadata=metadata())
    told = [one for _, one in await shop.events(events_pb2.ShippingMethodChanged)]
    assert [one.deleted for one in told] == [False, True]


@pytest.mark.rule("BEY-03")
async def test_methods_are_listed_by_position_and_by_outlet(shop: Shop) -> None:
    shop.stock()
    for number, (method_id, outlet_id) in enumerate(
        [("d", "main"), ("c", ""), ("b", "harbour"), ("a", "main")]
    ):
        await create(shop, method_id, outlet_id=outlet_id, position=number // 2)

    async def pages(**asked: Any) -> list[str]:
        found, token = [], ""
        while True:
            request = pb.ListShippingMethodsRequest(
                channel_id=CHANNEL, page_size=1, page_token=token, **asked
            )
            answer = await stub(shop).ListShippingMethods(request, metadata=metadata())
            found += [one.method_id for one in answer.methods]
            token = answer.next_page_token
            if not token:
                return found

    assert await pages() == ["c", "d", "a", "b"]
    assert await pages(outlet_id="main") == ["d", "a"]  # what its disconnection would concern


@pytest.mark.rule("SHP-06")
@pytest.mark.rule("SHP-03")
async def test_at_checkout_the_buyer_sees_what_may_be_chosen(shop: Shop) -> None:
    shop.stock(pickup_availability=RESTRICT)  # 5 mugs at Main, 3 at Harbour
    await create(shop, "main", outlet_id="main", instruction="At the back.")
    await create(shop, "harbour", outlet_id="harbour", position=1)
    flat = pb.ShippingRate(flat=pb.Rate(per_order=eur(4, 900000000)))
    zone = pb.Zone(country_codes=["NO"])
    await create(shop, "post", kind=SHIPPING, rate=flat, zones=[zone], position=2)
    address = order_pb2.Address(country_code="NO")

    answer = await quote(shop, ("mug-1", "3"), ("mug-1", "1"), address=address)

    assert [one.method_id for one in answer.options] == ["main", "post"]
    main, post = answer.options
    assert (main.outlet_id, main.price, main.instruction) == ("main", eur(0), "At the back.")
    assert (post.outlet_id, post.price, post.kind) == ("main", eur(4, 900000000), SHIPPING)
    assert main.HasField("ready_time")
    assert answer.HasField("stock_time")
    (harbour,) = answer.unavailable
    assert harbour.reason == pb.UNAVAILABLE_REASON_SHORT_STOCK
    assert [(one.item_id, one.asked, one.available) for one in harbour.short_items] == [
        ("mug-1", "4", "3")
    ]
    assert list(harbour.outlets_with_all) == ["main"]
    assert list(harbour.methods_instead) == ["main"]
    assert harbour.help == "Choose Main instead, or take 1 x mug-1 out of the cart."

    other = await quote(shop, ("mug-1", "1"), address=order_pb2.Address(country_code="SE"))
    assert [one.reason for one in other.unavailable] == [pb.UNAVAILABLE_REASON_ADDRESS]
    unknown = await quote(shop, ("mug-1", "1"))
    assert not unknown.unavailable  # where it goes is not known yet
    assert not shop.world.reservations  # nothing is held


@pytest.mark.rule("SHP-04")
async def test_what_is_together_at_all_outlets_is_enough_where_all_are_allowed(shop: Shop) -> None:
    shop.stock()
    shop.world.items["card"] = "CARD"
    shop.world.untracked.add("card")
    await create(shop, "harbour", outlet_id="harbour")
    assert (await quote(shop, ("mug-1", "8"), ("card", "99"))).options
    (short,) = (await quote(shop, ("mug-1", "9"))).unavailable
    assert short.short_items[0].available == "8"
    assert not short.outlets_with_all


@pytest.mark.rule("SHP-06")
async def test_a_quote_goes_by_the_methods_as_they_are(shop: Shop) -> None:
    async def offered() -> list[tuple[str, str]]:
        found = await quote(shop, ("mug-1", "1"))
        return [(one.method_id, one.name) for one in found.options]

    shop.stock()
    assert await offered() == []
    await create(shop, "post", name="Post")
    assert await offered() == [("post", "Post")]
    await update(shop, "post", name="Parcel")
    assert await offered() == [("post", "Parcel")]
    gone = pb.DeleteShippingMethodRequest(
        request_id=request_id(), channel_id=CHANNEL, method_id="post"
    )
    await stub(shop).DeleteShippingMethod(gone, metadata=metadata())
    await create(shop, "post", name="Bike")
    await update(shop, "post", name="Big bike")  # as often as the one before
    assert await offered() == [("post", "Big bike")]


@pytest.mark.rule("SHP-02")
async def test_a_method_tied_to_none_uses_the_registers_outlet(shop: Shop) -> None:
    shop.stock(shipping_availability=RESTRICT)
    await create(shop, "post", kind=SHIPPING)
    (option,) = (await quote(shop, ("mug-1", "5"))).options
    assert option.outlet_id == "main"
    assert not (await quote(shop, ("mug-1", "6"))).options


@pytest.mark.rule("SHP-02")
async def test_a_method_tied_to_none_uses_the_primary_outlet(shop: Shop) -> None:
    shop.stock(shipping_availability=RESTRICT)
    channel = shop.world.channels[CHANNEL]
    channel.register_outlet_id, channel.primary_outlet_id = "", "harbour"
    await create(shop, "post", kind=SHIPPING)
    (option,) = (await quote(shop, ("mug-1", "3"))).options
    assert option.outlet_id == "harbour"
    assert not (await quote(shop, ("mug-1", "4"))).options


async def test_the_catalog_is_asked_for_skus_only(shop: Shop) -> None:
    shop.stock()
    await create(shop, "shop")
    assert (await quote(shop, ("mug-1", "1"))).options
    assert not shop.world.asked("ResolveItems")

    async def by_sku(sku: str) -> pb.QuoteCheckoutResponse:
        line = pb.CartLine(sku=sku, quantity="1", unit_price=eur(10))
        request = pb.QuoteCheckoutRequest(channel_id=CHANNEL, lines=[line])
        return await stub(shop).QuoteCheckout(request, metadata=metadata())

    assert (await by_sku("MUG")).options
    async with refused("ITEM_NOT_FOUND") as facts:
        await by_sku("PLATE")
    assert "lines[0].sku" in facts
    shop.world.items["mug-2"] = "MUG"
    async with refused("SKU_AMBIGUOUS"):
        await by_sku("MUG")
    async with refused("INVALID_FIELD"):
        await by_sku("")


async def test_a_cart_that_cannot_be_is_refused(shop: Shop) -> None:
    async with refused("CHANNEL_NOT_FOUND"):
        await quote(shop, ("mug-1", "1"))
    shop.stock()
    await create(shop, "shop")
    async with refused("ITEM_NOT_FOUND"):
        await quote(shop, ("plate", "1"))
    async with refused("INVALID_FIELD") as facts:
        await quote(shop, ("mug-1", "1"), discount=pb.CartLine().unit_price)
    assert "discount.currency_code" in facts
    shop.world.fail("GetAvailability", 99, Fault("SERVICE_UNAVAILABLE"))
    async with refused("SERVICE_UNAVAILABLE"):
        await quote(shop, ("mug-1", "1"))


@dataclass(slots=True)
class SlowInventory:
    """Answers when it is told to; knows mugs and bowls only."""

    asked: list[list[str]] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def availability(
        self, _merchant: str, _channel_id: str, item_ids: list[str], _outlet_ids: list[str]
    ) -> Stock:
        self.asked.append(item_ids)
        await self.go_on.wait()
        if "plate" in item_ids:
            raise DomainError("ITEM_NOT_FOUND", "no plates")
        return Stock({}, (), (), "main", datetime(2026, 7, 4, tzinfo=UTC))


async def test_carts_that_come_together_are_looked_up_together(shop: Shop) -> None:
    inventory = SlowInventory()
    quotes = Quotes(shop.service.database, cast("Any", inventory))

    def ask(*item_ids: str) -> asyncio.Future[Any]:
        price = Money("EUR", 10**10)
        cart = Cart(tuple(CartLine(item_id, item_id, 1000, price) for item_id in item_ids))
        return asyncio.ensure_future(quotes.ask(MERCHANT, CHANNEL, cart))

    async def first_is_asked() -> None:
        assert inventory.asked == [["mug"]]

    first = ask("mug")
    await eventually(first_is_asked)
    second, third, unknown = ask("bowl", "mug"), ask("bowl"), ask("plate")
    await asyncio.sleep(0)  # they are waiting now
    inventory.go_on.set()

    await asyncio.gather(first, second, third)
    with pytest.raises(DomainError):  # which does not concern the others
        await unknown
    assert inventory.asked == [
        ["mug"],
        ["bowl", "mug", "plate"],
        ["bowl", "mug"],
        ["bowl"],
        ["plate"],
    ]


async def is_on(shop: Shop, method_id: str, *, expected: bool) -> pb.ShippingMethod:
    """The method, once it is on, or off."""
    found: list[pb.ShippingMethod] = []

    async def reached() -> None:
        found[:] = [one for one in await methods(shop) if one.method_id == method_id]
        assert found[0].enabled is expected

    await eventually(reached)
    return found[0]


@pytest.mark.rule("SHP-05")
async def test_disconnecting_switches_off_where_the_policy_says_so(shop: Shop) -> None:
    shop.stock(disconnected_methods=DISABLE)  # R-Series
    await create(shop, "far", outlet_id="harbour")
    await create(shop, "near", outlet_id="main")
    await create(shop, "post", kind=SHIPPING)

    shop.world.connect(CHANNEL, "main")
    off = await is_on(shop, "far", expected=False)
    assert "was disconnected" in off.disabled_reason
    assert [one.method_id for one in await methods(shop) if one.enabled] == ["near", "post"]
    (unavailable,) = (await quote(shop, ("mug-1", "1"))).unavailable
    assert unavailable.reason == pb.UNAVAILABLE_REASON_DISABLED
    async with refused("OUTLET_NOT_CONNECTED"):
        await update(shop, "far", enabled=True)

    shop.world.connect(CHANNEL, "main", "harbour")  # it stays off
    shop.world.connect(CHANNEL, "harbour", "main")
    shop.world.connect(CHANNEL, "harbour")  # when this was seen, so were the ones before
    await is_on(shop, "near", expected=False)
    assert [one.method_id for one in await methods(shop) if one.enabled] == ["post"]
    on = await update(shop, "far", enabled=True)
    assert (on.enabled, on.disabled_reason) == (True, "")


async def preview(shop: Shop, *outlet_ids: str) -> tuple[list[pb.ShippingMethod], list[str]]:
    """The methods that would be off if these outlets fed the channel, and the ids of those kept."""
    request = pb.PreviewShippingMethodsRequest(
        channel_id=CHANNEL, connected_outlet_ids=list(outlet_ids)
    )
    answer = await stub(shop).PreviewShippingMethods(request, metadata=metadata())
    return list(answer.disabled), [one.method_id for one in answer.kept]


@pytest.mark.rule("BEY-03")
@pytest.mark.rule("SHP-05")
async def test_a_preview_says_which_methods_are_lost_and_the_change_loses_just_those(
    shop: Shop,
) -> None:
    shop.stock(disconnected_methods=DISABLE)
    await create(shop, "far", outlet_id="harbour")
    await create(shop, "off", outlet_id="harbour", enabled=False)
    await create(shop, "near", outlet_id="main")
    await create(shop, "post", kind=SHIPPING)
    assert await preview(shop, "main", "harbour") == ([], [])
    ([far], kept) = await preview(shop, "main")
    assert (far.method_id, far.enabled, kept) == ("far", False, [])
    assert [one.method_id for one in await methods(shop) if one.enabled] == ["far", "near", "post"]
    shop.world.connect(CHANNEL, "main")
    off = await is_on(shop, "far", expected=False)
    off.update_time.CopyFrom(far.update_time)
    assert off == far
    assert await preview(shop, "main", "harbour") == ([], [])
    async with refused("CHANNEL_NOT_FOUND"):
        request = pb.PreviewShippingMethodsRequest(channel_id="nowhere")
        await stub(shop).PreviewShippingMethods(request, metadata=metadata())


@pytest.mark.rule("BEY-03")
@pytest.mark.rule("SHP-05")
async def test_a_preview_says_which_methods_stay_though_their_outlet_is_gone(shop: Shop) -> None:
    shop.stock(disconnected_methods=KEEP)
    await create(shop, "far", outlet_id="harbour")
    assert await preview(shop, "main") == ([], ["far"])


@pytest.mark.rule("SHP-05")
async def test_an_outlet_that_was_gone_for_a_moment_takes_its_methods_along(shop: Shop) -> None:
    shop.stock(disconnected_methods=DISABLE)
    await create(shop, "far", outlet_id="harbour")
    shop.world.connect(CHANNEL, "main")
    shop.world.connect(CHANNEL, "main", "harbour")  # before anybody has looked
    await is_on(shop, "far", expected=False)


@pytest.mark.rule("SHP-05")
async def test_an_old_event_does_not_undo_what_was_done_by_hand_since(shop: Shop) -> None:
    shop.stock(disconnected_methods=DISABLE)
    await create(shop, "far", outlet_id="harbour")
    await create(shop, "near", outlet_id="main")
    shop.world.connect(CHANNEL, "main")
    await is_on(shop, "far", expected=False)
    shop.world.connect(CHANNEL, "main", "harbour")
    await update(shop, "far", enabled=True)
    shop.world.inventory_events.append(shop.world.inventory_events[0])  # it comes once more
    shop.world.connect(CHANNEL, "harbour")
    await is_on(shop, "near", expected=False)
    await is_on(shop, "far", expected=True)


@pytest.mark.rule("SHP-05")
async def test_methods_stay_where_the_policy_keeps_them(shop: Shop) -> None:
    shop.stock(disconnected_methods=KEEP, pickup_availability=RESTRICT)  # X-Series
    await create(shop, "far", outlet_id="harbour")
    asked = len(shop.world.asked("GetChannel"))
    shop.world.connect(CHANNEL, "main")

    async def seen() -> bool:
        return len(shop.world.asked("GetChannel")) > asked

    await eventually(seen)
    (far,) = await methods(shop)
    assert far.enabled
    (option,) = (await quote(shop, ("mug-1", "3"))).options  # and is still offered
    assert option.outlet_id == "harbour"
