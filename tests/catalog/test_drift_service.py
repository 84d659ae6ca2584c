"""What stores show and should not, as callers see it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from tests.catalog.conftest import Shop
from tests.catalog.samples import money, mug, shirt
from tests.harness import metadata, refused
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import drift_pb2, events_pb2
from tillbridge.errors.v1 import errors_pb2

_ids = (f"d-{number}" for number in count(1))

RENAMED = drift_pb2.ListingEdit(
    kind=drift_pb2.EDIT_KIND_FIELD_CHANGED, field="name", store_value="Cup", own_value="Mug"
)
HIDDEN = drift_pb2.ListingEdit(
    kind=drift_pb2.EDIT_KIND_FIELD_CHANGED,
    field="available",
    store_value="false",
    own_value="true",
)
CHEAPER = drift_pb2.ListingEdit(
    kind=drift_pb2.EDIT_KIND_FIELD_CHANGED,
    field="price",
    item_id="mug-item",
    store_value="1",
    own_value="12.5",
)
ADDED = drift_pb2.ListingEdit(kind=drift_pb2.EDIT_KIND_VARIANT_ADDED, store_value="SKU-X")
DELETED = drift_pb2.ListingEdit(kind=drift_pb2.EDIT_KIND_LISTING_DELETED)


async def push(shop: Shop, product: str = "mug", channel: str = "web") -> None:
    """Lets the store have the listing as it is now."""
    listing = await shop.listing(channel, product)
    await shop.report(channel, product, listing.version)


async def report(
    shop: Shop, *edits: drift_pb2.ListingEdit, product: str = "mug", **fields: object
) -> drift_pb2.ReportListingEditResponse:
    """Reports what a store shows of a listing, compared with the listing as it is now."""
    listing = await shop.listing("web", product)
    defaults: dict[str, object] = {"version": listing.version, "request_id": next(_ids)}
    request = drift_pb2.ReportListingEditRequest(
        channel_id="web",
        product_id=product,
        edits=edits,
        **defaults | fields,  # type: ignore[arg-type]  # fields of the request
    )
    return await shop.stub.ReportListingEdit(request, metadata=metadata(shop.merchant, ["ecom"]))


async def drift(shop: Shop, *, page_size: int = 0, **filters: object) -> list[drift_pb2.Drift]:
    """The drift of the channel, over all pages."""
    request = drift_pb2.ListDriftRequest(
        channel_id="web",
        page_size=page_size,
        **filters,  # type: ignore[arg-type]  # fields of the request
    )
    found: list[drift_pb2.Drift] = []
    while True:
        page = await shop.stub.ListDrift(request, metadata=metadata(shop.merchant))
        found += page.drift
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def heal(shop: Shop, *product_ids: str, dry: bool = False) -> drift_pb2.HealDriftResponse:
    request = drift_pb2.HealDriftRequest(
        request_id=next(_ids), channel_id="web", product_ids=product_ids, validate_only=dry
    )
    return await shop.stub.HealDrift(request, metadata=metadata(shop.merchant))


def states(found: Sequence[drift_pb2.Drift]) -> list[tuple[str, str, int]]:
    """Field or kind, state, and how often it was seen."""
    return [
        (
            one.field or drift_pb2.EditKind.Name(one.kind).removeprefix("EDIT_KIND_"),
            drift_pb2.DriftState.Name(one.state).removeprefix("DRIFT_STATE_"),
            one.times,
        )
        for one in found
    ]


async def versions(shop: Shop) -> list[int]:
    """Of the listing events so far."""
    return [
        one.version
        for one in await shop.changes()
        if isinstance(one, events_pb2.ListingChanged) and not one.deleted
    ]


@pytest.fixture
async def sold(shop: Shop) -> Shop:
    """A shop whose store has a mug."""
    await shop.open_channel("web")
    await shop.upsert(mug(version=1))
    await shop.sell("web", "mug")
    await push(shop)
    return shop


@pytest.mark.rule("CAT-07")
@pytest.mark.rule("SOR-01")
@pytest.mark.rule("BEY-07")
async def test_an_edit_in_the_store_is_recorded_and_the_next_push_restores_it(sold: Shop) -> None:
    product = await sold.product("mug")
    answer = await report(sold, RENAMED, CHEAPER)
    assert [(one.outcome, one.reason) for one in answer.results] == [
        (drift_pb2.EDIT_OUTCOME_RESTORED, errors_pb2.ERROR_REASON_FIELD_OWNED_BY_POS)
    ] * 2
    assert "change it there" in answer.results[0].message
    name, price = await drift(sold)
    assert (name.own_value, name.store_value, name.field) == ("Mug", "Cup", "name")
    assert (price.own_value, price.store_value, price.item_id) == ("12.5", "1", "mug-item")
    assert (name.cause, name.state) == (
        drift_pb2.DRIFT_CAUSE_MANUAL_EDIT,
        drift_pb2.DRIFT_STATE_OPEN,
    )
    assert not name.HasField("heal_time")
    listing = await sold.listing("web", "mug")
    assert (listing.version, listing.pushed_version, listing.name) == (3, 2, "Mug")
    assert await versions(sold) == [1, 2, 3]
    assert await sold.product("mug") == product
    await push(sold)
    assert states(await drift(sold)) == [("name", "HEALED", 1), ("price", "HEALED", 1)]
    assert (await drift(sold))[0].HasField("heal_time")


@pytest.mark.rule("BEY-16")
@pytest.mark.rule("BEY-07")
async def test_the_same_report_again_is_in_flight_and_never_loops(sold: Shop) -> None:
    await report(sold, RENAMED)
    again = await report(sold, RENAMED)
    late = await report(sold, RENAMED, HIDDEN, version=2)
    for answer in (again, late):
        assert {one.outcome for one in answer.results} == {drift_pb2.EDIT_OUTCOME_IN_FLIGHT}
        assert {one.reason for one in answer.results} == {errors_pb2.ERROR_REASON_UNSPECIFIED}
    assert await versions(sold) == [1, 2, 3]
    assert states(await drift(sold)) == [("name", "OPEN", 1)]
    await push(sold)
    for _ in range(20):  # a store that keeps nothing of what is written to it
        await report(sold, RENAMED)
        await push(sold)
    assert (await sold.listing("web", "mug")).version == 5
    assert states(await drift(sold)) == [("name", "OPEN", 4)]
    await report(sold)
    assert states(await drift(sold)) == [("name", "HEALED", 4)]


async def test_what_is_not_reported_any_more_is_healed(sold: Shop) -> None:
    await report(sold, RENAMED, HIDDEN)
    listing = await sold.listing("web", "mug")
    await sold.report("web", "mug", listing.version, error="no")
    assert states(await drift(sold)) == [("available", "OPEN", 1), ("name", "OPEN", 1)]
    await push(sold)
    await report(sold, RENAMED)
    assert states(await drift(sold)) == [("available", "HEALED", 1), ("name", "OPEN", 2)]
    assert states(await drift(sold, state=drift_pb2.DRIFT_STATE_OPEN)) == [("name", "OPEN", 2)]


@pytest.mark.rule("BEY-07")
async def test_a_write_that_did_not_come_through_is_told_from_an_edit(sold: Shop) -> None:
    pushed = (await sold.listing("web", "mug")).push_time.ToDatetime()
    await report(sold, RENAMED, store_update_time=timestamp(pushed - timedelta(seconds=1)))
    (found,) = await drift(sold)
    assert found.cause == drift_pb2.DRIFT_CAUSE_LOST_WRITE
    await push(sold)
    await report(sold, RENAMED, store_update_time=timestamp(pushed + timedelta(days=1)))
    (found,) = await drift(sold)
    assert found.cause == drift_pb2.DRIFT_CAUSE_MANUAL_EDIT


def timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


@pytest.mark.rule("CAT-09")
@pytest.mark.rule("CAT-10")
@pytest.mark.rule("CAT-11")
async def test_what_a_store_may_not_do_changes_nothing_but_its_next_push(sold: Shop) -> None:
    product, before = await sold.product("mug"), await sold.listing("web", "mug")
    answer = await report(sold, ADDED, HIDDEN)
    assert "add it in the point of sale" in answer.results[0].message
    assert "SetSellOnline" in answer.results[1].message
    await push(sold)
    answer = await report(sold, DELETED)
    assert "delete it in the point of sale" in answer.results[0].message
    found = {one.kind: one for one in await drift(sold, state=drift_pb2.DRIFT_STATE_OPEN)}
    assert found[drift_pb2.EDIT_KIND_LISTING_DELETED].cause == (
        drift_pb2.DRIFT_CAUSE_DELETED_IN_STORE
    )
    after = await sold.listing("web", "mug")
    assert await sold.product("mug") == product
    assert (after.sell_online, after.available, after.variants) == (
        before.sell_online,
        before.available,
        before.variants,
    )
    assert (after.version, after.images_version) == (4, 4)
    await push(sold)
    assert await drift(sold, state=drift_pb2.DRIFT_STATE_OPEN) == []
    assert [one.store_value for one in await drift(sold)] == ["", "SKU-X", "false"]


@pytest.mark.rule("CAT-05")
@pytest.mark.rule("CAT-08")
async def test_the_stores_own_fields_are_taken_over(sold: Shop) -> None:
    own = drift_pb2.StoreFields(compare_to_price=money("20"), subtitle="Soft")
    answer = await report(sold, store_fields=own, store_image_urls=["https://s/1", "https://s/1"])
    assert answer.taken_fields == ["compare_to_price", "subtitle", "store_image_urls"]
    listing = await sold.listing("web", "mug")
    assert (listing.compare_to_price, listing.subtitle) == (money("20"), "Soft")
    assert list(listing.store_image_urls) == ["https://s/1"]
    assert (listing.version, list(listing.unpushed_fields)) == (2, [])
    told = {one.field: one for one in listing.provenance}
    assert told["subtitle"].cause == told["store_image_urls"].cause == "store"
    assert await versions(sold) == [1, 2]
    assert (
        await report(sold, store_fields=own, store_image_urls=["https://s/1"])
    ).taken_fields == []
    assert (await report(sold, store_image_urls=["https://s/2"])).taken_fields == []
    gone = await report(sold, DELETED, store_fields=drift_pb2.StoreFields())
    assert gone.taken_fields == []
    anew = await sold.listing("web", "mug")
    assert (anew.subtitle, list(anew.store_image_urls)) == ("Soft", [])
    assert list(anew.unpushed_fields) == ["compare_to_price", "subtitle"]


@pytest.mark.rule("CAT-05")
async def test_what_is_set_here_is_not_overwritten_before_it_is_written(sold: Shop) -> None:
    request = pb.UpdateListingRequest(
        request_id=next(_ids),
        listing=pb.Listing(channel_id="web", product_id="mug", subtitle="Ours"),
        update_mask=FieldMask(paths=["subtitle"]),
    )
    await sold.stub.UpdateListing(request, metadata=metadata())
    theirs = drift_pb2.StoreFields(subtitle="Theirs")
    assert (await report(sold, store_fields=theirs)).taken_fields == []
    assert (await report(sold, store_fields=theirs, version=2)).taken_fields == []
    assert (await sold.listing("web", "mug")).subtitle == "Ours"
    await push(sold)
    assert (await report(sold, store_fields=theirs)).taken_fields == ["subtitle"]


async def test_a_report_that_makes_no_sense_is_refused(sold: Shop) -> None:
    async with refused("LISTING_NOT_FOUND"):
        await sold.stub.ReportListingEdit(
            drift_pb2.ReportListingEditRequest(
                request_id="x", channel_id="web", product_id="vase", edits=[RENAMED]
            ),
            metadata=metadata(),
        )
    async with refused("INVALID_FIELD") as facts:
        await report(sold, RENAMED, version=99)
    assert "version 2" in facts["version"]
    own = drift_pb2.ListingEdit(kind=drift_pb2.EDIT_KIND_FIELD_CHANGED, field="subtitle")
    async with refused("INVALID_FIELD") as facts:
        await report(sold, RENAMED, own)
    assert "store_fields" in facts["edits[1].field"]
    odd = drift_pb2.StoreFields(compare_to_price=money("1"))
    odd.compare_to_price.currency_code = "euro"
    async with refused("INVALID_FIELD") as facts:
        await report(sold, RENAMED, store_fields=odd)
    assert "store_fields.compare_to_price.currency_code" in facts
    async with refused("INVALID_FIELD") as facts:
        await report(sold, store_update_time=Timestamp(seconds=10**12))
    assert "store_update_time" in facts
    assert await drift(sold) == []
    assert await versions(sold) == [1, 2]


@pytest.mark.rule("CAT-07")
@pytest.mark.rule("CAT-09")
@pytest.mark.rule("CAT-10")
async def test_an_attempt_is_refused_and_recorded(sold: Shop) -> None:
    wanted = await sold.listing("web", "mug")
    wanted.name, wanted.available, wanted.subtitle = "Cup", False, "Soft"
    wanted.variants.add(sku="SKU-X", price=money())
    request = pb.UpdateListingRequest(
        request_id="attempt",
        listing=wanted,
        update_mask=FieldMask(paths=["subtitle", "name", "available", "variants"]),
    )
    async with refused("FIELD_OWNED_BY_POS") as facts:
        await sold.stub.UpdateListing(request, metadata=metadata(roles=["ecom"]))
    assert facts["field"] == "name"
    assert "in the point of sale" in facts["message"]
    found = await drift(sold)
    assert states(found) == [
        ("VARIANT_ADDED", "REFUSED", 1),
        ("available", "REFUSED", 1),
        ("name", "REFUSED", 1),
    ]
    assert {one.cause for one in found} == {drift_pb2.DRIFT_CAUSE_REFUSED_EDIT}
    assert [(one.own_value, one.store_value) for one in found] == [
        ("", "SKU-X"),
        ("true", "false"),
        ("Mug", "Cup"),
    ]
    listing = await sold.listing("web", "mug")
    assert (listing.name, listing.subtitle, listing.version) == ("Mug", "", 2)
    assert await versions(sold) == [1, 2]
    answer = await heal(sold)
    assert (answer.listing_count, len(answer.drift)) == (0, 0)


async def test_refusals_spoil_no_neighbor(sold: Shop) -> None:
    def ask(path: str, number: int) -> pb.UpdateListingRequest:
        return pb.UpdateListingRequest(
            request_id=f"n-{number}",
            listing=pb.Listing(
                channel_id="web", product_id="mug", name=f"{number}", subtitle=f"S{number}"
            ),
            update_mask=FieldMask(paths=[path]),
        )

    answers = await asyncio.gather(
        *(
            sold.stub.UpdateListing(
                ask("name" if number % 2 else "subtitle", number), metadata=metadata()
            )
            for number in range(20)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, pb.UpdateListingResponse) for one in answers) == 10
    (found,) = await drift(sold)
    assert (found.field, found.times) == ("name", 10)
    assert (await sold.listing("web", "mug")).version == 12


@pytest.mark.rule("BEY-07")
async def test_drift_is_read_page_by_page(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug("mug"), shirt())
    for product in ("mug", "shirt"):
        await push(shop, product)
        await report(shop, RENAMED, HIDDEN, ADDED, product=product)
    everything = await drift(shop)
    assert [(one.product_id, one.field) for one in everything] == [
        *(("mug", field) for field in ("", "available", "name")),
        *(("shirt", field) for field in ("", "available", "name")),
    ]
    assert await drift(shop, page_size=1) == await drift(shop, page_size=4) == everything
    assert await drift(shop, page_size=2, product_id="shirt") == everything[3:]
    assert await drift(shop, product_id="vase") == []
    assert await drift(shop, page_size=5, state=drift_pb2.DRIFT_STATE_OPEN) == everything
    assert await drift(shop, state=drift_pb2.DRIFT_STATE_HEALED) == []
    async with refused("CHANNEL_NOT_FOUND"):
        request = drift_pb2.ListDriftRequest(channel_id="nowhere")
        await shop.stub.ListDrift(request, metadata=metadata())
    async with refused("INVALID_PAGE_TOKEN"):
        await drift(shop, page_token="x")


@pytest.mark.rule("BEY-07")
async def test_healing_shows_first_what_it_would_restore(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug("mug"), mug("cup"), mug("pot"))
    for product in ("mug", "cup", "pot"):
        await push(shop, product)
    await report(shop, RENAMED, product="mug")
    await report(shop, RENAMED, HIDDEN, product="cup")
    before = await versions(shop)
    preview = await heal(shop, dry=True)
    assert [(one.product_id, one.own_value, one.store_value) for one in preview.drift] == [
        ("cup", "true", "false"),
        ("cup", "Mug", "Cup"),
        ("mug", "Mug", "Cup"),
    ]
    assert preview.listing_count == 2
    assert await versions(shop) == before
    only = await heal(shop, "pot", "mug")
    assert ([one.product_id for one in only.drift], only.listing_count) == (["mug"], 1)
    assert (await heal(shop)).listing_count == 2
    assert [(await shop.listing("web", one)).version for one in ("mug", "cup", "pot")] == [4, 3, 1]
    assert len(await versions(shop)) == len(before) + 3
    async with refused("LISTING_NOT_FOUND") as facts:
        await heal(shop, "mug", "vase")
    assert "product_ids[1]" in facts
    async with refused("CHANNEL_NOT_FOUND"):
        request = drift_pb2.HealDriftRequest(request_id="x", channel_id="nowhere")
        await shop.stub.HealDrift(request, metadata=metadata())
    for product in ("mug", "cup"):
        await push(shop, product)
    assert (await heal(shop)).listing_count == 0


@pytest.mark.rule("CAT-11")
async def test_drift_ends_with_its_product(sold: Shop) -> None:
    await report(sold, RENAMED)
    await sold.delete("mug", version=2)
    assert states(await drift(sold)) == [("name", "HEALED", 1)]
    assert (await heal(sold)).listing_count == 0


async def test_who_may_edit_and_who_may_heal(sold: Shop) -> None:
    request = drift_pb2.HealDriftRequest(request_id="x", channel_id="web")
    async with refused("ROLE_NOT_ALLOWED"):
        await sold.stub.HealDrift(request, metadata=metadata(roles=["ecom"]))
    other = metadata("tea-shop")
    async with refused("CHANNEL_NOT_FOUND"):
        await sold.stub.HealDrift(request, metadata=other)
    async with refused("LISTING_NOT_FOUND"):
        await sold.stub.ReportListingEdit(
            drift_pb2.ReportListingEditRequest(
                request_id="x", channel_id="web", product_id="mug", version=2, edits=[RENAMED]
            ),
            metadata=other,
        )
    assert await drift(sold) == []
