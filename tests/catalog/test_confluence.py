"""Any order, repetition and loss of what the point of sale tells ends in the same listings."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, groupby

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.catalog.rules import shelf as shelves
from services.catalog.rules.mapping import shown_of
from services.catalog.rules.products import Image, Known, Money, Product, Stamp, Variant
from services.catalog.rules.provenance import Source
from services.catalog.rules.shelf import Shelf
from services.catalog.wire import products as product_wire
from tests.catalog.conftest import Shop
from tests.catalog.samples import NOON
from tests.harness import metadata
from tillbridge.catalog.v1 import catalog_pb2 as pb

SHOP = "mug-shop"
IDS = ("cup", "mug")


@dataclass(frozen=True, slots=True)
class Event:
    """What the point of sale once said of a product."""

    product_id: str
    version: int
    product: Product | None
    """None: that it was deleted."""


def states(product_id: str) -> st.SearchStrategy[Product | None]:
    variants = st.lists(
        st.builds(
            lambda size, price, active: Variant(
                f"{product_id}-{size}",
                sku=f"SKU-{size}",
                attribute_values=(size,),
                retail_price=Money("EUR", price),
                active=active,
            ),
            st.sampled_from("SML"),
            st.integers(0, 3),
            st.sampled_from([None, True, False]),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda variant: variant.item_id,
    )
    product = st.builds(
        lambda name, active, sizes, images: Product(
            product_id,
            name=name,
            active=active,
            attribute_names=("Size",),
            variants=tuple(sizes),
            images=tuple(Image("", f"https://img.example/{image}") for image in images),
        ),
        st.sampled_from(["Mug", "Big mug"]),
        st.booleans(),
        variants,
        st.lists(st.sampled_from("ab"), max_size=2, unique=True),
    )
    return st.one_of(product, product, product, st.none())


HISTORIES = st.tuples(*(st.lists(states(one), min_size=1, max_size=4) for one in IDS)).map(
    lambda found: [
        Event(product_id, version, state)
        for product_id, listed in zip(IDS, found, strict=True)
        for version, state in enumerate(listed, 1)
    ]
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """A history, and how it arrives: some of it lost, some of it more than once, in any order; but
    what was last said of each product arrives at some time, since everything is read again.
    """
    history = draw(HISTORIES)
    last = list({event.product_id: event for event in history}.values())
    arrived = draw(st.lists(st.sampled_from(history), max_size=8))
    return history, draw(st.permutations([*last, *arrived]))


@pytest.mark.rule("BEY-08")
@settings(max_examples=300, deadline=None)
@given(deliveries())
def test_reports_in_any_order_end_in_the_same_products(
    delivery: tuple[list[Event], list[Event]],
) -> None:
    history, arrived = delivery
    last = {event.product_id: event for event in history}
    for events in (history, arrived):
        shelf = Shelf.of({}, {})
        for event in events:
            tell(shelf, event)
        for product_id, event in last.items():
            known = shelf.get(SHOP, product_id)
            assert isinstance(known, Known)
            assert known.product == event.product
            assert known.stamp.version == event.version


def tell(shelf: Shelf, event: Event) -> None:
    stamp = Stamp(event.version, NOON)
    source = Source("x", f"{event.product_id}-{event.version}", NOON)
    step = (
        shelves.upserted(shelf, SHOP, event.product, stamp, source, now=NOON)
        if event.product
        else shelves.deleted(shelf, SHOP, event.product_id, stamp, source, now=NOON)
    )
    shelf.put(step.after)


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("CAT-06")
@pytest.mark.rule("CAT-10")
@pytest.mark.rule("CAT-11")
async def test_events_in_any_order_end_in_the_same_listings(shop: Shop) -> None:
    merchants = (Shop(shop.catalog, shop.inventory, f"shop-{number}") for number in count())

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(deliveries())
    def cases(delivery: tuple[list[Event], list[Event]]) -> None:
        collected.append(delivery)

    collected: list[tuple[list[Event], list[Event]]] = []
    cases()
    for history, arrived in collected:
        expected, found = [await outcome(next(merchants), events) for events in (history, arrived)]
        assert found == expected, (history, arrived)
        last = {event.product_id: event.product for event in history}
        assert list(found) == [one for one in IDS if last[one]]
        for product_id, (_, listing) in found.items():
            product = last[product_id]
            assert product
            assert listing.name == product.name
            assert len(listing.variants) == len(shown_of(product).variants)


async def outcome(shop: Shop, events: Sequence[Event]) -> dict[str, tuple[pb.Product, pb.Listing]]:
    """What a merchant's catalog and listings are after these events, but for what counts them."""
    await shop.open_channel("web")
    for deletion, run in groupby(events, lambda event: event.product is None):
        listed = list(run)
        if deletion:
            for event in listed:
                await shop.delete(event.product_id, event.version)
        else:
            await shop.upsert(*(message(event) for event in listed))
    answer = await shop.stub.ListProducts(
        pb.ListProductsRequest(), metadata=metadata(shop.merchant)
    )
    products = {one.product_id: one for one in answer.products}
    listings = {one.product_id: one for one in await shop.listings("web")}
    assert products.keys() == listings.keys()
    for product in products.values():
        product.ClearField("update_time")
        product.ClearField("observe_time")
    for listing in listings.values():
        for name in ("version", "update_time", "images_version"):
            listing.ClearField(name)
    return {one: (products[one], listings[one]) for one in sorted(products)}


def message(event: Event) -> pb.Product:
    assert event.product
    known = Known(SHOP, event.product_id, event.product, Stamp(event.version, NOON), 1, NOON)
    reported = product_wire.known(known)
    reported.ClearField("observe_time")
    return reported
