"""The catalog as its callers see it."""

import asyncio
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from google.protobuf.timestamp_pb2 import Timestamp

from services.catalog.service import build
from services.catalog.store import PLUMBING, Row
from services.chassis.engines import open_engine
from tests.catalog.conftest import Shop
from tests.catalog.samples import money, mug, shirt
from tests.harness import metadata, refused, running
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import events_pb2
from tillbridge.errors.v1 import errors_pb2


@pytest.mark.rule("CAT-01")
@pytest.mark.rule("CAT-02")
async def test_every_product_has_a_listing_in_every_channel_switched_off(shop: Shop) -> None:
    await shop.upsert(mug("mug"), mug("cup"))
    await shop.open_channel("web")
    await shop.upsert(mug("pot"))
    await shop.open_channel("fair")
    for channel in ("web", "fair"):
        found = await shop.listings(channel)
        assert [(one.product_id, one.sell_online, one.available, one.version) for one in found] == [
            ("cup", False, False, 1),
            ("mug", False, False, 1),
            ("pot", False, False, 1),
        ]


@pytest.mark.rule("CAT-01")
async def test_a_channel_that_is_told_of_again_changes_nothing(shop: Shop) -> None:
    await shop.upsert(mug())
    await shop.open_channel("web")
    await shop.sell("web", "mug")
    before = await shop.told()
    await shop.open_channel("web")
    await shop.open_channel("other")
    assert (await shop.listing("web", "mug")).sell_online
    assert len(await shop.told()) == len(before) + 1


@pytest.mark.rule("CAT-03")
@pytest.mark.rule("CAT-04")
async def test_a_listing_shows_the_point_of_sales_values_and_nothing_private(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt())
    await shop.sell("web", "shirt")
    listing = await shop.listing("web", "shirt")
    assert "secret" not in str(listing.provenance)
    listing.ClearField("provenance")
    assert listing == pb.Listing(
        channel_id="web",
        product_id="shirt",
        sell_online=True,
        available=True,
        name="Shirt",
        description="<p>Linen</p>",
        category="Clothes",
        brand="Fjord",
        options=[
            pb.ListingOption(name="Size", values=["L", "S"]),
            pb.ListingOption(name="Color", values=["Red"]),
        ],
        variants=[
            pb.ListingVariant(
                item_id="shirt-l-red",
                sku="S-L-R",
                upc="0001",
                option_values=["L", "Red"],
                price=money("25"),
                weight_kg="0.226796",
                dimensions_cm=pb.DimensionsCm(length="25.4", width="20.32", height="1.27"),
                track_inventory=True,
            ),
            pb.ListingVariant(
                item_id="shirt-s-red",
                sku="S-S-R",
                option_values=["S", "Red"],
                price=money("24.99"),
                track_inventory=False,
            ),
        ],
        image_urls=["https://img.example/1.jpg", "https://img.example/2.jpg"],
        version=2,
        update_time=listing.update_time,
    )
    shown = [listing.SerializeToString()]
    shown += [event.SerializeToString() for event in await shop.told()]
    assert not [one for one in shown if b"secret" in one.lower()]


async def test_a_product_comes_back_as_it_was_reported(shop: Shop) -> None:
    await shop.upsert(shirt())
    found = await shop.product("shirt")
    expected = shirt(observe_time=found.observe_time, update_time=found.update_time)
    expected.variants[0].track_inventory = True
    expected.variants[2].track_inventory = True
    assert found == expected


@pytest.mark.rule("INV-01")
async def test_tracking_is_on_unless_the_point_of_sale_says_otherwise(shop: Shop) -> None:
    await shop.upsert(shirt())
    (change,) = await shop.changes()
    assert isinstance(change, events_pb2.ProductChanged)
    assert [(one.item_id, one.sku, one.track_inventory) for one in change.items] == [
        ("shirt-l-red", "S-L-R", True),
        ("shirt-s-red", "S-S-R", False),
        ("shirt-l-blue", "S-L-B", True),
    ]


@pytest.mark.rule("CAT-06")
async def test_a_change_reaches_every_listing_by_itself(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.open_channel("fair")
    await shop.upsert(mug(version=1))
    await shop.upsert(mug(name="Big mug", version=2))
    for channel in ("web", "fair"):
        listing = await shop.listing(channel, "mug")
        assert (listing.name, listing.version) == ("Big mug", 2)
    events = await shop.told()
    assert [(one.subject, one.channel_id) for one in events[-3:]] == [
        ("product/mug", ""),
        ("listing/fair/mug", "fair"),
        ("listing/web/mug", "web"),
    ]
    change = (await shop.changes())[-3]
    assert isinstance(change, events_pb2.ProductChanged)
    assert (change.revision, change.deleted) == (2, False)


@pytest.mark.rule("CAT-04")
async def test_a_change_of_private_fields_reaches_no_listing(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt())
    before = await shop.listing("web", "shirt")
    assert await shop.upsert(shirt(supplier="Another", tags=[], handle="h")) == ["UPDATED"]
    assert await shop.listing("web", "shirt") == before
    assert [type(one).__name__ for one in (await shop.changes())[2:]] == ["ProductChanged"]


async def test_the_same_contents_are_no_change(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt(version=3))
    before = await shop.told()
    assert await shop.upsert(shirt(version=3)) == ["UNCHANGED"]
    assert await shop.upsert(shirt(version=5)) == ["UNCHANGED"]
    assert await shop.told() == before
    assert (await shop.listing("web", "shirt")).version == 1
    assert await shop.upsert(shirt(name="Late", version=4)) == ["UNCHANGED"]
    assert ((await shop.product("shirt")).name, (await shop.product("shirt")).version) == (
        "Shirt",
        5,
    )


@pytest.mark.rule("CAT-11")
async def test_a_deleted_product_has_no_listing_and_does_not_come_back_late(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug(version=5))
    await shop.sell("web", "mug")
    assert not await shop.delete("mug", version=4)
    assert await shop.delete("mug", version=6)
    assert not await shop.delete("mug", version=6)
    async with refused("PRODUCT_NOT_FOUND"):
        await shop.product("mug")
    async with refused("LISTING_NOT_FOUND"):
        await shop.listing("web", "mug")
    assert await shop.listings("web") == []
    product, listing = (await shop.changes())[-2:]
    assert isinstance(product, events_pb2.ProductChanged)
    assert isinstance(listing, events_pb2.ListingChanged)
    assert (product.deleted, list(product.items), product.revision) == (True, [], 2)
    assert (listing.deleted, listing.version) == (True, 3)
    assert await shop.upsert(mug(version=5), mug(version=6)) == ["UNCHANGED", "UNCHANGED"]
    assert await shop.upsert(mug(version=7)) == ["CREATED"]
    again = await shop.listing("web", "mug")
    assert (again.sell_online, again.version) == (False, 4)


async def test_a_deletion_that_overtakes_the_product_holds(shop: Shop) -> None:
    assert not await shop.delete("mug", version=6)
    assert await shop.upsert(mug(version=5)) == ["UNCHANGED"]
    assert await shop.told() == []
    async with refused("PRODUCT_NOT_FOUND"):
        await shop.product("mug")


async def test_each_product_of_a_batch_stands_for_itself(shop: Shop) -> None:
    await shop.upsert(mug("cup"))
    twins = shirt(product_id="twins")
    for index, item in enumerate(twins.variants):
        item.item_id = f"twin-{index}"
    twins.variants[1].attribute_values[:] = ["L", "Red"]
    loose = mug("loose")
    loose.variants[0].attribute_values.append("L")
    free = mug("free")
    free.variants[0].ClearField("retail_price")
    sly = mug("sly")
    sly.variants[0].retail_price.nanos = -1
    stolen = mug("thief")
    stolen.variants[0].item_id = "cup-item"
    heavy = mug("heavy")
    heavy.variants[0].weight.value = "1e3"
    odd = mug("odd", observe_time=Timestamp(seconds=10**12))
    results = await shop.results(
        mug("good"),
        twins,
        loose,
        free,
        sly,
        stolen,
        heavy,
        mug(""),
        mug("blank", name=" "),
        odd,
        mug("fine"),
    )
    outcomes = [pb.UpsertOutcome.Name(one.outcome).rsplit("_", 1)[1] for one in results]
    assert outcomes == ["CREATED", *["REFUSED"] * 9, "CREATED"]
    expected = [
        "",
        "products[1].variants[0].attribute_values: ",
        "products[2].variants[0].attribute_values: ",
        "products[3].variants[0].retail_price: ",
        "products[4].variants[0].retail_price.nanos: ",
        "products[5].variants[0].item_id: 'cup-item' belongs to product 'cup'",
        "products[6].variants[0].weight.value: ",
        "products[7].product_id: ",
        "products[8].name: ",
        "products[9].observe_time: ",
        "",
    ]
    assert [
        one.message[: len(text)] for one, text in zip(results, expected, strict=True)
    ] == expected
    listed = await shop.stub.ListProducts(pb.ListProductsRequest(), metadata=metadata())
    assert [one.product_id for one in listed.products] == ["cup", "fine", "good"]


async def test_control_characters_refuse_the_call(shop: Shop) -> None:
    async with refused("INVALID_FIELD") as facts:
        await shop.upsert(mug("good"), mug("bad", name="M\x00g"))
    assert "U+0000" in facts["products[1].name"]
    assert await shop.told() == []


async def test_of_one_product_several_times_in_a_batch_the_newest_wins(shop: Shop) -> None:
    await shop.open_channel("web")
    names = [("Two", 2), ("Three", 3), ("One", 1)]
    outcomes = await shop.upsert(*(mug(name=name, version=version) for name, version in names))
    assert outcomes == ["CREATED", "UPDATED", "UNCHANGED"]
    assert (await shop.product("mug")).name == "Three"
    assert (await shop.listing("web", "mug")).version == 1


async def test_an_item_moves_when_its_product_gives_it_up_in_the_same_batch(shop: Shop) -> None:
    await shop.upsert(mug("cup"), mug("pot"))
    cup, pot = mug("cup"), mug("pot")
    cup.variants[0].item_id, pot.variants[0].item_id = "new-item", "cup-item"
    assert await shop.upsert(cup, pot) == ["UPDATED", "UPDATED"]
    (found,) = await shop.resolve(pb.ItemReference(item_id="cup-item"))
    assert found.product_id == "pot"


@pytest.mark.rule("CAT-02")
@pytest.mark.rule("CAT-12")
async def test_switches_are_set_all_or_none(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug("mug"), mug("cup"), mug("pot", active=False))
    async with refused("LISTING_NOT_FOUND") as facts:
        await shop.sell("web", "mug", "vase")
    assert (facts["channel_id"], facts["product_id"]) == ("web", "vase")
    assert "product_ids[1]" in facts
    assert await shop.listings("web", sell_online=True) == []
    assert await shop.sell("web", "mug", "pot") == 2
    assert await shop.sell("web", "mug", "pot") == 0
    found = await shop.listings("web", sell_online=True)
    assert [(one.product_id, one.available) for one in found] == [("mug", True), ("pot", False)]
    assert (await shop.product("mug")).active
    assert await shop.sell("web") == 1
    assert await shop.sell("web", on=False) == 3
    assert await shop.listings("web", sell_online=True) == []
    assert [one.version for one in await shop.listings("web")] == [3, 3, 3]
    events = await shop.told()
    assert len([one for one in events if one.channel_id == "web"]) == 3 + 2 + 1 + 3


@pytest.mark.rule("CAT-10")
async def test_switching_a_product_off_in_the_point_of_sale_takes_it_offline(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug())
    await shop.sell("web", "mug")
    await shop.upsert(mug(active=False))
    off = await shop.listing("web", "mug")
    assert (off.sell_online, off.available, len(off.variants)) == (True, False, 1)
    await shop.upsert(mug(active=True))
    assert (await shop.listing("web", "mug")).available


async def test_an_unknown_channel_is_refused(shop: Shop) -> None:
    await shop.upsert(mug())
    async with refused("CHANNEL_NOT_FOUND") as facts:
        await shop.listings("nowhere")
    assert "nowhere" in facts["message"]
    async with refused("CHANNEL_NOT_FOUND"):
        await shop.sell("nowhere")
    async with refused("CHANNEL_NOT_FOUND"):
        await shop.sell("nowhere", "mug")
    async with refused("LISTING_NOT_FOUND"):
        await shop.listing("nowhere", "mug")


@pytest.mark.rule("SOR-04")
async def test_a_listing_tells_what_became_of_its_pushes(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug())
    before = len(await shop.told())
    async with refused("LISTING_NOT_FOUND"):
        await shop.report("web", "vase", 1)
    async with refused("INVALID_FIELD") as facts:
        await shop.report("web", "mug", 2)
    assert "version" in facts
    await shop.report("web", "mug", 1, error="no such category")
    failed = await shop.listing("web", "mug")
    assert (failed.pushed_version, failed.push_error) == (0, "no such category")
    assert not failed.HasField("push_time")
    await shop.report("web", "mug", 1)
    done = await shop.listing("web", "mug")
    assert (done.pushed_version, done.push_error, done.version) == (1, "", 1)
    assert done.HasField("push_time")
    assert len(await shop.told()) == before


async def test_items_are_resolved_by_id_and_by_sku(shop: Shop) -> None:
    twin = mug("twin")
    twin.variants[0].sku = "SKU-cup"
    await shop.upsert(shirt(), mug("cup"), twin, mug("gone"))
    await shop.delete("gone")
    found = await shop.resolve(
        pb.ItemReference(item_id="shirt-s-red", sku="whatever"),
        pb.ItemReference(item_id="unknown", sku="S-L-R"),
        pb.ItemReference(sku="SKU-cup"),
        pb.ItemReference(sku="s-l-r"),
        pb.ItemReference(item_id="gone-item", sku="SKU-gone"),
        pb.ItemReference(),
    )
    assert found == [
        pb.ResolvedItem(item_id="shirt-s-red", product_id="shirt", sku="S-S-R", name="Shirt"),
        pb.ResolvedItem(
            item_id="shirt-l-red",
            product_id="shirt",
            sku="S-L-R",
            name="Shirt",
            track_inventory=True,
        ),
        pb.ResolvedItem(reason=errors_pb2.ERROR_REASON_SKU_AMBIGUOUS),
        *[pb.ResolvedItem(reason=errors_pb2.ERROR_REASON_ITEM_NOT_FOUND)] * 3,
    ]


async def test_products_and_listings_are_read_page_by_page(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(*(mug(f"mug-{number}") for number in range(7)))
    await shop.delete("mug-3")
    names = [f"mug-{number}" for number in (0, 1, 2, 4, 5, 6)]
    assert [one.product_id for one in await shop.listings("web", page_size=4)] == names
    request = pb.ListProductsRequest(page_size=4)
    first = await shop.stub.ListProducts(request, metadata=metadata())
    request.page_token = first.next_page_token
    second = await shop.stub.ListProducts(request, metadata=metadata())
    assert [one.product_id for one in [*first.products, *second.products]] == names
    assert second.next_page_token == ""
    async with refused("INVALID_PAGE_TOKEN"):
        other = pb.ListListingsRequest(channel_id="web", page_token=first.next_page_token)
        await shop.stub.ListListings(other, metadata=metadata())


async def test_merchants_share_nothing(shop: Shop) -> None:
    other = replace(shop, merchant="tea-shop")
    await shop.open_channel("web")
    assert await shop.upsert(mug(name="Ours")) == ["CREATED"]
    assert await other.upsert(mug(name="Theirs")) == ["CREATED"]
    async with refused("CHANNEL_NOT_FOUND"):
        await other.listings("web")
    async with refused("LISTING_NOT_FOUND"):
        await other.listing("web", "mug")
    assert await other.delete("mug")
    assert (await shop.product("mug")).name == "Ours"
    assert len(await shop.listings("web")) == 1
    (found,) = await other.resolve(pb.ItemReference(item_id="mug-item", sku="SKU-mug"))
    assert found.reason == errors_pb2.ERROR_REASON_ITEM_NOT_FOUND


async def test_the_same_request_id_gives_the_same_bytes(shop: Shop) -> None:
    request = pb.BatchUpsertProductsRequest(request_id="once", products=[mug()])
    first = await shop.stub.BatchUpsertProducts(request, metadata=metadata())
    assert await shop.stub.BatchUpsertProducts(request, metadata=metadata()) == first
    request.products[0].name = "Other"
    async with refused("REQUEST_ID_REUSED"):
        await shop.stub.BatchUpsertProducts(request, metadata=metadata())


async def test_a_store_may_read_listings_and_no_products(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt())
    as_store = metadata(roles=["ecom"])
    request = pb.GetListingRequest(channel_id="web", product_id="shirt")
    assert (await shop.stub.GetListing(request, metadata=as_store)).listing.name == "Shirt"
    async with refused("ROLE_NOT_ALLOWED"):
        await shop.stub.GetProduct(pb.GetProductRequest(product_id="shirt"), metadata=as_store)


async def test_many_reports_at_once_all_arrive_once(shop: Shop) -> None:
    await shop.open_channel("web")
    await asyncio.gather(
        *(
            shop.upsert(mug(f"mug-{number % 10}", name=f"Name {number}", version=number + 1))
            for number in range(100)
        )
    )
    found = await shop.listings("web")
    assert [one.name for one in found] == [f"Name {number}" for number in range(90, 100)]


async def test_a_channel_and_products_that_meet_leave_no_listing_out(shop: Shop) -> None:
    """Several processes: products arrive at both while one of them learns of the channel."""
    if not shop.catalog.settings.database_url:
        pytest.skip("SQLite has one writing process")
    async with running("catalog", PLUMBING, build, shop.catalog.settings) as second:
        shops = [shop, replace(shop, catalog=second)]
        await asyncio.gather(
            *(
                shops[number % 2].upsert(mug(f"mug-{number:02}"), mug(f"cup-{number:02}"))
                for number in range(40)
            ),
            shop.open_channel("web"),
            shop.open_channel("fair"),
        )
        for channel in ("web", "fair"):
            assert len(await shop.listings(channel)) == 80
        subjects = [one.subject for one in await shop.told()]
        assert len([one for one in subjects if one.startswith("listing/")]) == 160


async def test_the_tables_are_what_the_migrations_make(shop: Shop) -> None:
    url = shop.catalog.settings.database("catalog")
    assert await asyncio.to_thread(differences, url) == []


def differences(url: str) -> list[object]:
    """What autogenerate would still migrate."""
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Row.metadata)
    engine.dispose()
    return list(found)
