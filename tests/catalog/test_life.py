"""The life of a product, and what its listings make of it."""

import pytest

from tests.catalog.conftest import Shop
from tests.catalog.samples import money, mug, shirt
from tests.harness import refused
from tillbridge.catalog.v1 import catalog_pb2 as pb


def without(product: pb.Product, *item_ids: str) -> pb.Product:
    """The product without some of its variants."""
    kept = [one for one in product.variants if one.item_id not in item_ids]
    changed = pb.Product()
    changed.CopyFrom(product)
    del changed.variants[:]
    changed.variants.extend(kept)
    return changed


@pytest.mark.rule("CAT-06")
@pytest.mark.rule("CAT-09")
async def test_variants_come_change_and_go(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(without(shirt(version=1), "shirt-s-red"))
    await shop.sell("web", "shirt")
    steps = [
        (shirt(version=2), [("shirt-l-red", "25"), ("shirt-s-red", "24.99")]),
        (shirt(version=3), [("shirt-l-red", "25"), ("shirt-s-red", "19.5")]),
        (without(shirt(version=4), "shirt-l-red"), [("shirt-s-red", "24.99")]),
    ]
    steps[1][0].variants[1].retail_price.CopyFrom(money("19.5"))
    for product, expected in steps:
        assert await shop.upsert(product) == ["UPDATED"]
        listing = await shop.listing("web", "shirt")
        found = [(one.item_id, one.price) for one in listing.variants]
        assert found == [(item_id, money(price)) for item_id, price in expected]
        assert listing.available
    assert [one.values for one in listing.options] == [["S"], ["Red"]]


@pytest.mark.rule("CAT-10")
@pytest.mark.rule("CAT-12")
async def test_a_product_is_taken_out_of_sale_and_comes_back(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug(version=1))
    await shop.sell("web", "mug")
    asleep = mug(version=3)
    asleep.variants[0].active = False
    steps = [
        (mug(version=2, active=False), False),
        (asleep, False),
        (mug(version=4), True),
    ]
    for product, available in steps:
        await shop.upsert(product)
        listing = await shop.listing("web", "mug")
        assert (listing.available, listing.sell_online) == (available, True)


@pytest.mark.rule("CAT-06")
async def test_a_sku_changes_and_the_item_stays_what_it_is(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug(version=1))
    await shop.sell("web", "mug")
    renamed = mug(version=2)
    renamed.variants[0].sku = "NEW"
    await shop.upsert(renamed)
    listing = await shop.listing("web", "mug")
    assert [(one.item_id, one.sku) for one in listing.variants] == [("mug-item", "NEW")]
    assert listing.available
    by_id, by_new, by_old = await shop.resolve(
        pb.ItemReference(item_id="mug-item", sku="SKU-mug"),
        pb.ItemReference(sku="NEW"),
        pb.ItemReference(sku="SKU-mug"),
    )
    assert (by_id.sku, by_new.item_id, by_old.item_id) == ("NEW", "mug-item", "")


@pytest.mark.rule("CAT-02")
@pytest.mark.rule("CAT-11")
async def test_a_product_made_anew_with_the_same_sku_is_another_one(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug(version=1))
    await shop.sell("web", "mug")
    await shop.delete("mug", 2)
    anew = mug("mug-2", version=3)
    anew.variants[0].sku = "SKU-mug"
    assert await shop.upsert(anew) == ["CREATED"]
    assert not (await shop.listing("web", "mug-2")).sell_online
    async with refused("LISTING_NOT_FOUND"):
        await shop.listing("web", "mug")
    (found,) = await shop.resolve(pb.ItemReference(sku="SKU-mug"))
    assert found.product_id == "mug-2"


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("CAT-02")
@pytest.mark.parametrize("late", [False, True], ids=["in order", "the deletion comes late"])
async def test_a_product_made_anew_under_its_id_is_switched_off_in_any_order(
    shop: Shop, late: bool
) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug(version=1))
    await shop.sell("web", "mug")
    deletion, again = shop.delete("mug", 2), shop.upsert(mug(version=3))
    for step in (again, deletion) if late else (deletion, again):
        await step
    assert not (await shop.listing("web", "mug")).sell_online
    assert await shop.sell("web", "mug") == 1
    told = await shop.told()
    assert not await shop.delete("mug", 2)
    assert (await shop.listing("web", "mug")).sell_online
    assert await shop.told() == told


@pytest.mark.rule("CAT-03")
@pytest.mark.rule("CAT-06")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Linen shirt"),
        ("description", "<p>A &amp; B <b>ö</b><script>alert(1)</script></p>\n"),
        ("category", "Tops"),
        ("brand", "Fjell"),
    ],
)
async def test_what_is_renamed_in_the_point_of_sale_is_renamed_in_the_store(
    shop: Shop, field: str, value: str
) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt())
    await shop.upsert(shirt(version=4, **{field: value}))
    assert getattr(await shop.listing("web", "shirt"), field) == value


@pytest.mark.rule("CAT-08")
@pytest.mark.parametrize("urls", [["2", "1"], ["1"], [], ["1", "2", "3"], ["3", "2"]], ids="+".join)
async def test_images_are_added_replaced_and_reordered(shop: Shop, urls: list[str]) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt())
    before = await shop.listing("web", "shirt")
    listed = [f"https://img.example/{one}.jpg" for one in urls]
    await shop.upsert(shirt(version=4, images=[pb.Image(url=one) for one in listed]))
    after = await shop.listing("web", "shirt")
    assert list(after.image_urls) == listed
    assert after.images_version == after.version > before.version


@pytest.mark.rule("SOR-04")
async def test_each_value_tells_which_call_brought_it(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt(), cause="lightspeed_x")
    await shop.upsert(shirt(version=4, name="Top"), cause="till 3")
    found = {one.field: one.cause for one in (await shop.listing("web", "shirt")).provenance}
    assert (found["name"], found["brand"]) == ("till 3", "lightspeed_x")
