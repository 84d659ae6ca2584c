"""Listings through the life of their products, and what the store has of its own, as callers see
them.
"""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from services.catalog.store import listings as listing_rows
from tests.catalog.conftest import Shop
from tests.catalog.samples import money, mug, shirt
from tests.harness import metadata, refused
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import drift_pb2, events_pb2

_ids = (f"l-{number}" for number in count(1))


async def update(shop: Shop, listing: pb.Listing, *paths: str, roles: str = "ecom") -> pb.Listing:
    """Changes fields of a listing, as a store does."""
    request = pb.UpdateListingRequest(
        request_id=next(_ids), listing=listing, update_mask=FieldMask(paths=paths)
    )
    answer = await shop.stub.UpdateListing(request, metadata=metadata(shop.merchant, [roles]))
    return answer.listing


async def pushed(shop: Shop, channel: str, product: str) -> pb.Listing:
    """Reports that the store has the listing as it is now."""
    listing = await shop.listing(channel, product)
    await shop.report(channel, product, listing.version)
    return await shop.listing(channel, product)


async def tell_images(shop: Shop, channel: str, product: str, *urls: str) -> None:
    """Lets the store report the images that were added in it."""
    listing = await shop.listing(channel, product)
    request = drift_pb2.ReportListingEditRequest(
        request_id=next(_ids),
        channel_id=channel,
        product_id=product,
        version=listing.version,
        store_fields=drift_pb2.StoreFields(
            compare_to_price=listing.compare_to_price
            if listing.HasField("compare_to_price")
            else None,
            subtitle=listing.subtitle,
        ),
        store_image_urls=urls,
    )
    answer = await shop.stub.ReportListingEdit(request, metadata=metadata(shop.merchant))
    assert answer.taken_fields == ["store_image_urls"]


async def switch(shop: Shop, channel: str = "web", **filters: object) -> int:
    """Sets switches, on unless told otherwise; gives how many moved."""
    fields: dict[str, object] = {"sell_online": True, "channel_id": channel}
    request = pb.SetSellOnlineRequest(
        request_id=next(_ids),
        **fields | filters,  # type: ignore[arg-type]  # fields of the request
    )
    answer = await shop.stub.SetSellOnline(request, metadata=metadata(shop.merchant))
    return answer.changed_count


async def found(shop: Shop, *, page_size: int = 0, **filters: object) -> list[str]:
    """The products of the listings that fit, over all pages."""
    request = pb.ListListingsRequest(
        channel_id="web",
        page_size=page_size,
        **filters,  # type: ignore[arg-type]  # fields of the request
    )
    ids: list[str] = []
    while True:
        page = await shop.stub.ListListings(request, metadata=metadata(shop.merchant))
        ids += [one.product_id for one in page.listings]
        if not page.next_page_token:
            return ids
        request.page_token = page.next_page_token


# --- Fields of the store's own --------------------------------------------------------------------


@pytest.mark.rule("CAT-05")
async def test_the_stores_own_fields_are_kept_through_every_update(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.open_channel("fair")
    await shop.upsert(shirt(version=1))
    wanted = pb.Listing(
        channel_id="web",
        product_id="shirt",
        compare_to_price=money("30"),
        subtitle="Soft",
        low_stock_threshold=4,
    )
    paths = ["compare_to_price", "subtitle", "low_stock_threshold"]
    updated = await update(shop, wanted, *paths)
    assert updated.compare_to_price == money("30")
    assert (updated.version, list(updated.unpushed_fields)) == (2, paths)
    await shop.upsert(shirt(version=2, name="New", brand="", active=False))
    kept = await shop.listing("web", "shirt")
    assert (kept.name, kept.subtitle, kept.low_stock_threshold) == ("New", "Soft", 4)
    assert (kept.compare_to_price, kept.version) == (money("30"), 3)
    other = await shop.listing("fair", "shirt")
    assert (other.subtitle, other.HasField("compare_to_price")) == ("", False)
    assert not other.HasField("low_stock_threshold")
    cleared = await update(shop, pb.Listing(channel_id="web", product_id="shirt"), *paths[::2])
    assert (cleared.subtitle, cleared.HasField("compare_to_price")) == ("Soft", False)
    assert not cleared.HasField("low_stock_threshold")


@pytest.mark.rule("CAT-05")
async def test_what_is_set_here_waits_until_it_is_written(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug())
    soft = pb.Listing(channel_id="web", product_id="mug", subtitle="Soft", low_stock_threshold=1)
    await update(shop, soft, "subtitle")
    await update(shop, soft, "low_stock_threshold")
    before = len(await shop.told())
    assert (await update(shop, soft, "subtitle")).version == 3
    assert len(await shop.told()) == before
    await shop.report("web", "mug", 2)
    assert (await shop.listing("web", "mug")).unpushed_fields == ["low_stock_threshold"]
    await shop.report("web", "mug", 3, error="no")
    assert (await shop.listing("web", "mug")).unpushed_fields == ["low_stock_threshold"]
    await shop.report("web", "mug", 3)
    assert (await shop.listing("web", "mug")).unpushed_fields == []
    changes = [one for one in await shop.changes() if isinstance(one, events_pb2.ListingChanged)]
    assert [one.version for one in changes] == [1, 2, 3]


async def test_an_own_field_that_is_none_is_refused(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug())
    at: dict[str, Any] = {"channel_id": "web", "product_id": "mug"}
    dear = pb.Listing(**at, compare_to_price=money("1.005"))
    async with refused("INVALID_FIELD") as facts:
        await update(shop, dear, "compare_to_price")
    assert "at most 2 decimals" in facts["listing.compare_to_price"]
    odd = pb.Listing(**at, compare_to_price=money("1"))
    odd.compare_to_price.nanos = -1
    async with refused("INVALID_FIELD") as facts:
        await update(shop, odd, "compare_to_price")
    assert "listing.compare_to_price.nanos" in facts
    async with refused("INVALID_FIELD") as facts:
        await update(shop, pb.Listing(**at), "sell_online", roles="operator")
    assert "SetSellOnline" in facts["update_mask"]
    async with refused("INVALID_FIELD") as facts:
        await update(shop, pb.Listing(**at), "stock")
    assert "compare_to_price, subtitle, low_stock_threshold" in facts["update_mask"]
    async with refused("INVALID_FIELD"):
        await update(shop, pb.Listing(**at))
    async with refused("LISTING_NOT_FOUND"):
        await update(shop, pb.Listing(channel_id="web", product_id="cup"), "subtitle")
    async with refused("LISTING_NOT_FOUND"):
        await update(shop, pb.Listing(channel_id="fair", product_id="mug"), "subtitle")
    assert (await shop.listing("web", "mug")).version == 1


@pytest.mark.rule("SOR-04")
async def test_each_value_tells_where_it_came_from(shop: Shop) -> None:
    await shop.open_channel("web")
    first = pb.BatchUpsertProductsRequest(
        request_id="webhook-1", products=[shirt(version=1)], cause="lightspeed_x"
    )
    await shop.stub.BatchUpsertProducts(first, metadata=metadata())
    second = pb.BatchUpsertProductsRequest(
        request_id="webhook-2", products=[shirt(version=2, name="New")], cause="lightspeed_x"
    )
    second.products[0].variants[0].retail_price.units = 26
    await shop.stub.BatchUpsertProducts(second, metadata=metadata())
    at: dict[str, Any] = {"channel_id": "web", "product_id": "shirt"}
    await update(shop, pb.Listing(**at, subtitle="Soft"), "subtitle")
    await shop.sell("web", "shirt")
    listing = await shop.listing("web", "shirt")
    told = {
        one.field: (pb.FieldOwner.Name(one.owner)[12:], one.cause, one.source_request_id)
        for one in listing.provenance
    }
    assert len(told) == len(listing.provenance) == 7 + 2 * 8 + 5
    assert told["name"] == ("POS", "lightspeed_x", "webhook-2")
    assert told["brand"] == told["image_urls"] == ("POS", "lightspeed_x", "webhook-1")
    assert told["variants[shirt-l-red].price"] == ("POS", "lightspeed_x", "webhook-2")
    assert told["variants[shirt-s-red].price"] == ("POS", "lightspeed_x", "webhook-1")
    assert told["subtitle"][:2] == ("STORE", "test")
    assert told["sell_online"][:2] == ("MERCHANT", "test")
    assert told["compare_to_price"] == ("STORE", "", "")
    assert all(one.HasField("observe_time") for one in listing.provenance if one.cause)
    (listed,) = await shop.listings("web")
    assert not listed.provenance


# --- The life of a product ------------------------------------------------------------------------


@pytest.mark.rule("CAT-09")
@pytest.mark.rule("CAT-06")
async def test_variants_come_change_and_go_with_the_point_of_sale(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt(version=1))
    more = shirt(version=2)
    more.variants.add(
        item_id="shirt-xl", sku="S-XL", attribute_values=["XL", "Red"], retail_price=money("27")
    )
    more.variants[0].sku = "NEW-SKU"
    await shop.upsert(more)
    listing = await shop.listing("web", "shirt")
    assert [(one.item_id, one.sku) for one in listing.variants] == [
        ("shirt-l-red", "NEW-SKU"),
        ("shirt-s-red", "S-S-R"),
        ("shirt-xl", "S-XL"),
    ]
    assert list(listing.options[0].values) == ["L", "S", "XL"]
    fewer = shirt(version=3)
    del fewer.variants[0]
    await shop.upsert(fewer)
    listing = await shop.listing("web", "shirt")
    assert [one.item_id for one in listing.variants] == ["shirt-s-red"]
    assert listing.version == 3


@pytest.mark.rule("CAT-10")
@pytest.mark.rule("CAT-12")
async def test_each_channel_has_its_own_switch_and_all_follow_the_point_of_sale(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.open_channel("fair")
    await shop.upsert(mug(version=1))
    await shop.sell("web", "mug")
    assert [(await shop.listing(one, "mug")).available for one in ("web", "fair")] == [True, False]
    await shop.upsert(mug(version=2, active=False))
    assert [(await shop.listing(one, "mug")).available for one in ("web", "fair")] == [False, False]
    await shop.upsert(mug(version=3))
    assert [(await shop.listing(one, "mug")).available for one in ("web", "fair")] == [True, False]
    await shop.sell("web", "mug", on=False)
    await shop.sell("fair", "mug")
    assert [(await shop.listing(one, "mug")).available for one in ("web", "fair")] == [False, True]
    assert (await shop.product("mug")).active


@pytest.mark.rule("CAT-11")
@pytest.mark.rule("CAT-02")
async def test_a_product_made_anew_with_the_same_sku_is_another_one(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug("old", version=1))
    await update(shop, pb.Listing(channel_id="web", product_id="old", subtitle="Old"), "subtitle")
    await shop.sell("web", "old")
    assert await shop.delete("old", version=2)
    again = mug("new", version=3)
    again.variants[0].sku = "SKU-old"
    await shop.upsert(again)
    async with refused("LISTING_NOT_FOUND"):
        await shop.listing("web", "old")
    listing = await shop.listing("web", "new")
    assert (listing.sell_online, listing.subtitle, listing.version) == (False, "", 1)
    (item,) = await shop.resolve(pb.ItemReference(item_id="old-item", sku="SKU-old"))
    assert item.item_id == "new-item"


@pytest.mark.rule("CAT-06")
async def test_links_hold_by_id_when_a_sku_changes(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug("mug", version=1), mug("cup", version=1))
    await shop.sell("web", "mug")
    swapped = [mug("mug", version=2), mug("cup", version=2)]
    swapped[0].variants[0].sku, swapped[1].variants[0].sku = "SKU-cup", "SKU-mug"
    await shop.upsert(*swapped)
    mugs, cups = await shop.listing("web", "mug"), await shop.listing("web", "cup")
    assert (mugs.sell_online, mugs.variants[0].item_id, mugs.variants[0].sku) == (
        True,
        "mug-item",
        "SKU-cup",
    )
    assert (cups.sell_online, cups.variants[0].sku) == (False, "SKU-mug")
    (item,) = await shop.resolve(pb.ItemReference(item_id="mug-item", sku="SKU-mug"))
    assert item.item_id == "mug-item"


@pytest.mark.rule("CAT-06")
async def test_a_category_and_a_brand_that_are_renamed_reach_all_their_listings(shop: Shop) -> None:
    await shop.open_channel("web")
    ids = ["a", "b", "c"]
    await shop.upsert(*(mug(one, category="Cups", brand="Tor", version=1) for one in ids))
    await shop.upsert(*(mug(one, category="Mugs", brand="Thor", version=2) for one in ids[:2]))
    assert await found(shop, category="Mugs") == await found(shop, brand="Thor") == ["a", "b"]
    assert await found(shop, category="Cups") == await found(shop, brand="Tor") == ["c"]
    listing = await shop.listing("web", "a")
    assert (listing.category, listing.brand, listing.version) == ("Mugs", "Thor", 2)


@pytest.mark.rule("CAT-08")
@pytest.mark.rule("CAT-05")
async def test_images_of_the_store_stay_until_the_point_of_sale_changes_its_own(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.open_channel("fair")
    await shop.upsert(shirt(version=1))
    first = await pushed(shop, "web", "shirt")
    assert (first.images_version, first.pushed_version) == (0, 1)
    await tell_images(shop, "web", "shirt", "https://store/1", "https://store/2")
    product = await shop.product("shirt")
    assert [one.url for one in product.images] == [one.url for one in shirt().images]
    await shop.upsert(shirt(version=2, name="New"))
    kept = await shop.listing("web", "shirt")
    assert kept.store_image_urls == ["https://store/1", "https://store/2"]
    assert (kept.images_version, kept.version) == (0, 2)
    images = list(shirt().images)
    changed = [
        [*images, pb.Image(url="https://img.example/3.jpg")],
        [images[1], images[0]],
        [pb.Image(image_id="9", url="https://img.example/9.jpg"), images[1]],
    ]
    for version, urls in enumerate(changed, start=3):
        await shop.upsert(shirt(version=version, name="New", images=urls))
        listing = await shop.listing("web", "shirt")
        assert listing.store_image_urls == []
        assert list(listing.image_urls) == [one.url for one in urls]
        assert listing.images_version == listing.version == version
        assert (await pushed(shop, "web", "shirt")).pushed_version == version
        await tell_images(shop, "web", "shirt", f"https://store/{version}")
    other = await shop.listing("fair", "shirt")
    assert (list(other.store_image_urls), other.images_version) == ([], 5)


# --- Filters --------------------------------------------------------------------------------------


@pytest.fixture
async def shelf(shop: Shop) -> Shop:
    """A shop with products to be found by filters."""
    await shop.open_channel("web")
    tags = ["100%", "a_b", 'quo"te', "back\\slash", "größe", "red", "dark red", "[]", "a,b"]
    products = [
        mug(
            f"p{number}",
            category="Cups" if number % 2 else "Plates",
            brand="Tor" if number < 4 else "",
            tags=[tag, "all"],
        )
        for number, tag in enumerate(tags)
    ]
    products[8].variants[0].sku = "SKU-p7"
    await shop.upsert(*products)
    await shop.sell("web", "p1", "p2", "p3")
    await shop.report("web", "p3", 2, error="no such category")
    await shop.report("web", "p5", 1, error="too long")
    return shop


ALL = [f"p{number}" for number in range(9)]


async def test_listings_are_found_by_what_all_filters_say(shelf: Shop) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ALL),
        ({"sell_online": True}, ["p1", "p2", "p3"]),
        ({"sell_online": False}, ["p0", *ALL[4:]]),
        ({"category": "Cups"}, ["p1", "p3", "p5", "p7"]),
        ({"category": "cups"}, []),
        ({"brand": "Tor"}, ["p0", "p1", "p2", "p3"]),
        ({"category": "Cups", "brand": "Tor"}, ["p1", "p3"]),
        ({"category": "Cups", "brand": "Tor", "push_failed": True}, ["p3"]),
        ({"push_failed": True}, ["p3", "p5"]),
        ({"push_failed": True, "sell_online": False}, ["p5"]),
        ({"skus": ["SKU-p7", "SKU-p0", "none"]}, ["p0", "p7", "p8"]),
        ({"skus": ["SKU-p7"], "category": "Cups"}, ["p7"]),
        ({"product_ids": ["p5", "p1", "vase"]}, ["p1", "p5"]),
        ({"product_ids": ["p5", "p8"], "skus": ["SKU-p7"]}, ["p8"]),
        ({"product_ids": ["p5"], "skus": ["SKU-p7"]}, []),
        ({"product_ids": ["p1", "p5"], "sell_online": True, "brand": "Tor"}, ["p1"]),
    ]
    for filters, expected in cases:
        assert await found(shelf, **filters) == expected, filters
        assert await found(shelf, page_size=1, **filters) == expected, filters
    async with refused("INVALID_PAGE_TOKEN"):
        page = await shelf.stub.ListListings(
            pb.ListListingsRequest(channel_id="web", brand="Tor", page_size=1), metadata=metadata()
        )
        other = pb.ListListingsRequest(
            channel_id="web", brand="", page_size=1, page_token=page.next_page_token
        )
        await shelf.stub.ListListings(other, metadata=metadata())


@pytest.mark.rule("CAT-02")
async def test_switches_are_set_by_filter(shelf: Shop) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"category": "Cups"}, ["p1", "p3", "p5", "p7"]),
        ({"brand": "Tor", "category": "Plates"}, ["p0", "p2"]),
        ({"tag": "100%"}, ["p0"]),
        ({"tag": "1__%"}, []),
        ({"tag": "a_b"}, ["p1"]),
        ({"tag": "a%b"}, []),
        ({"tag": 'quo"te'}, ["p2"]),
        ({"tag": "back\\slash"}, ["p3"]),
        ({"tag": "größe"}, ["p4"]),
        ({"tag": "red"}, ["p5"]),
        ({"tag": "[]"}, ["p7"]),
        ({"tag": "a,b"}, ["p8"]),
        ({"tag": "all", "skus": ["SKU-p7"]}, ["p7", "p8"]),
        ({"product_ids": ["p4", "p5"], "category": "Cups"}, ["p5"]),
    ]
    for filters, expected in cases:
        await switch(shelf, sell_online=False)
        assert await switch(shelf, **filters, validate_only=True) == len(expected), filters
        assert await found(shelf, sell_online=True) == []
        assert await switch(shelf, **filters) == len(expected), filters
        assert await found(shelf, sell_online=True) == expected, filters
        assert await switch(shelf, **filters) == 0
    async with refused("LISTING_NOT_FOUND") as facts:
        await switch(shelf, product_ids=["p1", "vase"], category="Plates", validate_only=True)
    assert facts["product_id"] == "vase"


@pytest.mark.rule("CAT-02")
async def test_a_filter_never_reaches_another_merchant_or_channel(shelf: Shop) -> None:
    other = replace(shelf, merchant="tea-shop")
    await other.open_channel("web")
    await shelf.open_channel("fair")
    await other.upsert(mug("p1", category="Cups", brand="Tor", tags=["all"]))
    await switch(shelf, tag="all")
    assert await found(other, sell_online=True) == []
    assert await switch(other, category="Cups", brand="Tor", tag="all") == 1
    assert await switch(shelf, "fair", tag="all", validate_only=True) == 9


@pytest.mark.rule("CAT-01")
@pytest.mark.rule("CAT-02")
async def test_what_is_more_than_one_statement_takes_is_done_in_several(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_rows, "PAGE", 2)
    names = [f"m{number}" for number in range(5)]
    await shop.upsert(*(mug(one, tags=["all"]) for one in names))
    await shop.open_channel("web")
    assert await found(shop, page_size=3) == names
    assert await switch(shop, tag="all") == 5
    assert await found(shop, sell_online=True) == names
    assert await switch(shop, sell_online=False, product_ids=names[1:]) == 4
    assert await found(shop, sell_online=True) == names[:1]
    subjects = [one.subject for one in await shop.told() if one.channel_id == "web"]
    assert len(subjects) == 5 + 5 + 4
