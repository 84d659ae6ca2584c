"""Writing listings to a store that people edit as well, over its own API."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gateway.ecom import Figure, Held
from gateway.ecom.ecwid import Ecwid
from gateway.platform import PlatformError
from gateway.records import money
from gateway.sandbox import ecwid as sandbox
from gateway.sandbox.server import SandboxServer
from tests.gateway.test_ecwid_edits import MUG, TEE, variant
from tillbridge.catalog.v1 import catalog_pb2

TOKEN = "secret_sandbox_store_token"
THEIRS = "https://images.example/theirs.jpg"


@dataclass
class Shop:
    """A store, as we write it and as its owner sees it."""

    store: Ecwid
    raw: httpx.AsyncClient

    async def write(self, listing: catalog_pb2.Listing, **changes: Any) -> dict[str, Any]:
        """Writes a listing; gives what the store shows of it then."""
        written = changed(listing, **changes)
        figures = {one.item_id: Figure(8) for one in written.variants}
        shelf = await self.store.write_listing(written, figures)
        return await self.show(shelf.shelf_id)

    async def show(self, shelf_id: str) -> dict[str, Any]:
        return dict((await self.raw.get(f"products/{shelf_id}")).json())

    async def put(self, product: dict[str, Any], **fields: Any) -> None:
        """Somebody edits a product in the store."""
        (await self.raw.put(f"products/{product['id']}", json=fields)).raise_for_status()

    async def post(self, path: str, **rest: Any) -> int:
        """Somebody adds something in the store."""
        answer = await self.raw.post(path, **rest)
        answer.raise_for_status()
        return int(answer.json()["id"])

    async def edits(self, listing: catalog_pb2.Listing) -> list[str]:
        """The fields in which the store differs from a listing."""
        held = await self.store.held_of(listing.product_id)
        assert held is not None
        return [edit.field or str(edit.kind) for edit in held.report(listing).edits]


def changed(listing: catalog_pb2.Listing, **changes: Any) -> catalog_pb2.Listing:
    """The listing with these fields in place of its own."""
    made = catalog_pb2.Listing()
    made.CopyFrom(listing)
    for name in changes:
        made.ClearField(name)  # type: ignore[arg-type]
    made.MergeFrom(catalog_pb2.Listing(**changes))
    return made


@pytest.fixture
async def open_shop() -> AsyncIterator[Shop]:
    async with SandboxServer(sandbox.Ecwid()) as server:
        store = Ecwid(server.url, "1003", TOKEN, 60_000)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{server.url}/api/v3/1003/"
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as raw:
            yield Shop(store, raw)
        await store.close()


@pytest.mark.rule("CAT-05")
async def test_only_own_fields_that_were_set_here_are_written(open_shop: Shop) -> None:
    made = await open_shop.write(MUG)
    await open_shop.put(made, compareToPrice=40, subtitle="Theirs", warningLimit=5)

    kept = await open_shop.write(MUG, name="Cup", subtitle="Stale", low_stock_threshold=1)
    assert (kept["compareToPrice"], kept["subtitle"], kept["warningLimit"]) == (40, "Theirs", 5)

    ours = await open_shop.write(
        MUG,
        compare_to_price=money(Decimal("29.9"), "NZD"),
        subtitle="Ours",
        unpushed_fields=["compare_to_price", "subtitle"],
    )
    assert (ours["compareToPrice"], ours["subtitle"], ours["warningLimit"]) == (29.9, "Ours", 5)

    names = ["compare_to_price", "subtitle", "low_stock_threshold"]
    cleared = await open_shop.write(MUG, unpushed_fields=names)
    assert ("compareToPrice" in cleared, cleared["subtitle"], "warningLimit" in cleared) == (
        False,
        "",
        False,
    )


@pytest.mark.rule("CAT-05")
@pytest.mark.rule("CAT-11")
async def test_a_listing_that_is_made_anew_has_its_own_fields_back(open_shop: Shop) -> None:
    made = await open_shop.write(TEE)
    (await open_shop.raw.delete(f"products/{made['id']}")).raise_for_status()

    again = await open_shop.write(TEE)

    assert again["id"] != made["id"]
    assert (again["compareToPrice"], again["subtitle"], again["warningLimit"]) == (29.9, "New", 3)
    assert [c["externalReferenceId"] for c in again["combinations"]] == ["tee-s", "tee-m"]


@pytest.mark.rule("CAT-08")
async def test_an_image_that_was_added_stays_until_the_point_of_sale_changes_its_own(
    open_shop: Shop,
) -> None:
    made = await open_shop.write(TEE)
    await open_shop.post(f"products/{made['id']}/gallery", params={"externalUrl": THEIRS})

    kept = await open_shop.write(TEE, name="Better tee", version=8)
    assert [*TEE.image_urls, THEIRS] == _urls(kept)

    new = "https://images.example/new.jpg"
    replaced = await open_shop.write(TEE, image_urls=[new], version=9, images_version=9)
    assert [new] == _urls(replaced)

    none = await open_shop.write(TEE, image_urls=[], version=10, images_version=10)
    assert _urls(none) == []


@pytest.mark.rule("CAT-08")
async def test_of_our_images_only_what_is_missing_is_added(open_shop: Shop) -> None:
    made = await open_shop.write(TEE)
    path = f"products/{made['id']}"
    await open_shop.post(f"{path}/image", params={"externalUrl": THEIRS})  # in place of our main
    assert await open_shop.edits(TEE) == ["image_urls"]

    healed = await open_shop.write(TEE)
    assert {*TEE.image_urls, THEIRS} == {*_urls(healed)}
    assert _urls(healed)[0] == THEIRS

    await open_shop.raw.delete(f"{path}/gallery")
    await open_shop.raw.delete(f"{path}/image")
    assert list(TEE.image_urls) == _urls(await open_shop.write(TEE))
    assert await open_shop.edits(TEE) == []


@pytest.mark.rule("CAT-09")
async def test_a_variation_that_was_added_goes_when_the_listing_is_written(
    open_shop: Shop,
) -> None:
    made = await open_shop.write(TEE)
    sizes = [{"text": name} for name in ("S", "M", "L")]
    options = [{**made["options"][0], "choices": sizes}, made["options"][1]]
    await open_shop.put(made, options=options)
    large = [{"name": "Size", "value": "L"}, {"name": "Color", "value": "Navy"}]
    body = {"options": large, "sku": "TEE-L", "quantity": 50}
    await open_shop.post(f"products/{made['id']}/combinations", json=body)
    assert await open_shop.edits(TEE) == ["options", "2"]

    again = await open_shop.write(TEE)

    assert {c["id"] for c in made["combinations"]} == {c["id"] for c in again["combinations"]}
    assert [c["text"] for c in again["options"][0]["choices"]] == ["S", "M"]
    assert await open_shop.edits(TEE) == []


@pytest.mark.rule("CAT-03")
@pytest.mark.rule("CAT-09")
async def test_a_product_may_get_options_and_lose_them_again(open_shop: Shop) -> None:
    """The first variant goes on under the SKU that the product had."""
    simple = changed(TEE, options=[], variants=[variant("tee-s", price=TEE.variants[0].price)])
    made = await open_shop.write(simple)
    assert (made["sku"], made["combinations"]) == ("TEE-S", [])

    grown = await open_shop.write(TEE, version=8)
    assert grown["id"] == made["id"]
    assert [(c["sku"], c["quantity"]) for c in grown["combinations"]] == [
        ("TEE-S", 8),
        ("TEE-M", 8),
    ]
    assert (grown["quantity"], [a["type"] for a in grown["attributes"]]) == (0, ["BRAND"])
    assert await open_shop.edits(TEE) == []

    shrunk = await open_shop.write(simple, version=9)
    assert (shrunk["sku"], shrunk["options"], shrunk["combinations"]) == ("TEE-S", [], [])
    assert (shrunk["quantity"], await open_shop.edits(simple)) == (8, [])


@pytest.mark.rule("CAT-03")
async def test_what_the_point_of_sale_has_no_more_goes(open_shop: Shop) -> None:
    await open_shop.write(MUG)
    bare = changed(MUG, category="", brand="", description="", image_urls=[], images_version=5)
    bare.variants[0].CopyFrom(variant("mug-item", upc="", weight_kg="", dimensions_cm=None))

    shown = await open_shop.write(bare, version=5)

    assert (shown["categoryIds"], shown["attributes"], shown["description"]) == ([], [], "")
    assert (shown["weight"], set(shown["dimensions"].values())) == (0, {0})
    assert await open_shop.edits(bare) == []


@pytest.mark.rule("CAT-03")
@pytest.mark.parametrize("was_deleted", [True, False])
async def test_a_category_that_was_renamed_or_deleted_in_the_store_is_made_again(
    open_shop: Shop, was_deleted: bool
) -> None:
    made = await open_shop.write(MUG)
    path = f"categories/{made['categoryIds'][0]}"
    if was_deleted:
        await open_shop.raw.delete(path)
    else:
        await open_shop.raw.put(path, json={"name": "Theirs"})
    assert await open_shop.edits(MUG) == ["category"]

    shown = await open_shop.write(MUG)

    assert [category["name"] for category in shown["categories"]] == ["Kitchen"]
    assert await open_shop.edits(MUG) == []


@pytest.mark.rule("CAT-03")
async def test_a_category_whose_white_space_the_store_squeezes_is_not_made_twice(
    open_shop: Shop,
) -> None:
    """Else every write would make another one."""
    await open_shop.post("categories", json={"name": "Salt and pepper"})

    for _ in range(2):
        await open_shop.write(MUG, category="Salt  and pepper ")

    shown = (await open_shop.raw.get("categories")).json()["items"]
    assert [category["name"] for category in shown] == ["Salt and pepper"]


@pytest.mark.rule("CAT-03")
async def test_a_category_and_a_brand_that_are_renamed_follow(open_shop: Shop) -> None:
    await open_shop.write(MUG)

    shown = await open_shop.write(MUG, category="Tableware", brand="Salt & Marsh")

    assert [category["name"] for category in shown["categories"]] == ["Tableware"]
    assert {a["value"] for a in shown["attributes"] if a["type"] == "BRAND"} == {"Salt & Marsh"}


async def test_a_sku_that_the_store_has_elsewhere_is_refused_by_name(open_shop: Shop) -> None:
    await open_shop.post("products", json={"name": "Theirs", "sku": "MUG-ITEM"})

    with pytest.raises(PlatformError, match="SKU_ALREADY_EXISTS"):
        await open_shop.write(MUG)


async def test_a_product_that_is_linked_to_something_else_is_not_ours(open_shop: Shop) -> None:
    """An id that no service takes must not keep the others from being compared."""
    for number, theirs in enumerate(("x" * 129, "bell\x07")):
        body = {"name": "Theirs", "sku": f"T-{number}", "externalReferenceId": theirs}
        await open_shop.post("products", json=body)
    await open_shop.write(MUG)

    pages = [page async for page in open_shop.store.held()]

    assert [held.shelf.product_id for page in pages for held in page] == ["", "", "mug"]


async def test_everything_that_the_store_shows_is_read_in_pages(open_shop: Shop) -> None:
    for number in range(53):
        one = changed(MUG, product_id=f"mug-{number}", image_urls=[])
        one.variants[0].CopyFrom(variant(f"mug-{number}"))
        await open_shop.store.write_listing(one, {})

    pages = [page async for page in open_shop.store.held()]

    assert [len(page) for page in pages] == [50, 3]
    found: dict[str, Held] = {held.shelf.product_id: held for page in pages for held in page}
    assert not found["mug-52"].report(one).edits
    assert await open_shop.store.held_at("1") is None


def _urls(product: dict[str, Any]) -> list[str]:
    return [image["imageOriginalUrl"] for image in product["media"]["images"]]
