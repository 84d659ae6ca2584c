"""What people do in the store: seen, recorded, and put right, through everything."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.records import money
from gateway.sandbox import shop
from gateway.sandbox.chaos import ChaosSettings
from services.chassis.errors import DomainError
from tests.gateway.installation import MAIN, MUG, Installation, gateway, installation
from tests.harness import eventually
from tillbridge.catalog.v1 import catalog_pb2, drift_pb2

TEE = shop.product_id("TEE-S-NAVY")
CHART = shop.product_id("CHART")
THEIRS = "https://images.example/theirs.jpg"
WITHIN_S = 20.0
LISTINGS = 17


@pytest.fixture
async def shop_open(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation whose channel sells mugs and tees online, and whose store has them."""
    async with installation(tmp_path) as installed, gateway(installed):
        await installed.connect()

        async def has_listings() -> None:
            assert len(await listings(installed)) == LISTINGS

        await eventually(has_listings, WITHIN_S)
        await installed.sell_online(MUG, TEE)
        await settled(installed, MUG)
        await settled(installed, TEE)
        yield installed


async def listings(installed: Installation) -> Sequence[catalog_pb2.Listing]:
    owners = installed.owners
    request = catalog_pb2.ListListingsRequest(channel_id=installed.channel_id, page_size=1000)
    try:
        return (await owners.call(owners.catalog.ListListings, request)).listings
    except DomainError as error:
        raise AssertionError(error.message) from error


async def listing(installed: Installation, product_id: str = MUG) -> catalog_pb2.Listing:
    owners = installed.owners
    request = catalog_pb2.GetListingRequest(channel_id=installed.channel_id, product_id=product_id)
    return (await owners.call(owners.catalog.GetListing, request)).listing


async def settled(installed: Installation, product_id: str = MUG, since: int = 0) -> None:
    """Returns when the store holds a listing as it is, in a later version than `since`."""

    async def is_written() -> None:
        found = await listing(installed, product_id)
        assert found.version > since
        assert (found.pushed_version, found.push_error) == (found.version, "")

    await eventually(is_written, WITHIN_S)


async def drift(
    installed: Installation,
    state: drift_pb2.DriftState.ValueType = drift_pb2.DRIFT_STATE_UNSPECIFIED,
) -> Sequence[drift_pb2.Drift]:
    owners = installed.owners
    request = drift_pb2.ListDriftRequest(
        channel_id=installed.channel_id, state=state, page_size=1000
    )
    return (await owners.call(owners.catalog.ListDrift, request)).drift


async def healed(
    installed: Installation, kind: drift_pb2.EditKind.ValueType, field: str = ""
) -> drift_pb2.Drift:
    """The one drift of this kind and field, as soon as it is healed."""
    found: list[drift_pb2.Drift] = []

    async def is_healed() -> None:
        found[:] = [one for one in await drift(installed) if (one.kind, one.field) == (kind, field)]
        assert [one.state for one in found] == [drift_pb2.DRIFT_STATE_HEALED]

    await eventually(is_healed, WITHIN_S)
    return found[0]


async def product(installed: Installation, product_id: str = MUG) -> dict[str, Any]:
    found = await installed.in_store(product_id)
    assert found is not None
    return found


async def edit(installed: Installation, product_id: str = MUG, **fields: Any) -> None:
    """Somebody edits a product in the store."""
    shelf = (await product(installed, product_id))["id"]
    (await installed.store_api.put(f"products/{shelf}", json=fields)).raise_for_status()


async def in_pos(installed: Installation, product_id: str = MUG) -> dict[str, Any]:
    """What the till has, but for the stock, which online orders may change."""
    answer = await installed.pos_api.get(f"/api/2.0/products/{product_id}")
    return dict(answer.json()["data"])


async def change_pos(installed: Installation, product_id: str = MUG, **body: Any) -> None:
    """Somebody changes a product in the till; returns when the store has it."""
    before = (await listing(installed, product_id)).version
    path = f"/api/2.1/products/{product_id}"
    (await installed.pos_api.put(path, json=body)).raise_for_status()
    await settled(installed, product_id, before)


@pytest.mark.rule("CAT-07")
@pytest.mark.rule("SOR-01")
@pytest.mark.parametrize(
    ("field", "item_id", "change", "values"),
    [
        ("name", "", {"name": "Cup"}, ("Cup", "Mug")),
        ("price", MUG, {"price": 1}, ("1", "23")),
        ("sku", MUG, {"sku": "CUP"}, ("CUP", "MUG")),
        ("weight_kg", MUG, {"weight": 9}, ("9", "0.35")),
        ("category", "", {"categoryIds": []}, ("", "Kitchen")),
    ],
)
async def test_an_edit_in_the_store_is_recorded_and_undone_and_never_reaches_the_till(
    shop_open: Installation,
    field: str,
    item_id: str,
    change: dict[str, Any],
    values: tuple[str, str],
) -> None:
    till, before = await in_pos(shop_open), await product(shop_open)

    await edit(shop_open, **change)

    found = await healed(shop_open, drift_pb2.EDIT_KIND_FIELD_CHANGED, field)
    assert (found.product_id, found.item_id) == (MUG, item_id)
    assert (found.store_value, found.own_value) == values
    [name] = change
    assert (await product(shop_open))[name] == before[name]
    assert await in_pos(shop_open) == till


@pytest.mark.rule("CAT-10")
async def test_a_product_hidden_in_the_store_is_shown_again(shop_open: Installation) -> None:
    await edit(shop_open, enabled=False)

    found = await healed(shop_open, drift_pb2.EDIT_KIND_FIELD_CHANGED, "available")
    assert (found.store_value, found.own_value) == ("false", "true")
    assert (await product(shop_open))["enabled"] is True
    assert (await in_pos(shop_open))["is_active"] is True


@pytest.mark.rule("CAT-10")
async def test_the_till_switches_the_listing_off_and_on(shop_open: Installation) -> None:
    await change_pos(shop_open, details={"is_active": False})
    assert (await product(shop_open))["enabled"] is False

    await change_pos(shop_open, details={"is_active": True})
    assert (await product(shop_open))["enabled"] is True
    assert list(await drift(shop_open)) == []


@pytest.mark.rule("CAT-11")
async def test_a_product_deleted_in_the_store_is_made_again(shop_open: Installation) -> None:
    await edit(shop_open, subtitle="Hot", warningLimit=2)

    async def is_known() -> None:
        assert (await listing(shop_open)).subtitle == "Hot"

    await eventually(is_known, WITHIN_S)
    till, gone = await in_pos(shop_open), await product(shop_open)

    (await shop_open.store_api.delete(f"products/{gone['id']}")).raise_for_status()

    found = await healed(shop_open, drift_pb2.EDIT_KIND_LISTING_DELETED)
    assert found.cause == drift_pb2.DRIFT_CAUSE_DELETED_IN_STORE
    again = await product(shop_open)
    assert again["id"] != gone["id"]
    kept = ("name", "sku", "price", "quantity", "enabled", "subtitle", "warningLimit")
    assert {name: again[name] for name in kept} == {name: gone[name] for name in kept}
    assert await in_pos(shop_open) == till


@pytest.mark.rule("CAT-09")
async def test_a_variant_added_in_the_store_is_recorded_and_removed(
    shop_open: Installation,
) -> None:
    till, before = await in_pos(shop_open, TEE), await product(shop_open, TEE)
    size, color = before["options"]
    larger = {**size, "choices": [*size["choices"], {"text": "XXL"}]}
    shop_open.store.chaos.set(ChaosSettings(drop=1))  # lest the option goes before it is used
    await edit(shop_open, TEE, options=[larger, color])
    shop_open.store.chaos.set(ChaosSettings())
    chosen = [
        {"name": size["name"], "value": "XXL"},
        {"name": color["name"], "value": color["choices"][0]["text"]},
    ]
    path = f"products/{before['id']}/combinations"
    body = {"options": chosen, "sku": "TEE-XXL", "quantity": 9}
    (await shop_open.store_api.post(path, json=body)).raise_for_status()

    found = await healed(shop_open, drift_pb2.EDIT_KIND_VARIANT_ADDED)

    assert (found.product_id, found.store_value) == (TEE, "TEE-XXL")
    await healed(shop_open, drift_pb2.EDIT_KIND_FIELD_CHANGED, "options")
    after = await product(shop_open, TEE)
    assert [c["id"] for c in before["combinations"]] == [c["id"] for c in after["combinations"]]
    assert await in_pos(shop_open, TEE) == till


@pytest.mark.rule("CAT-08")
async def test_an_image_added_in_the_store_stays_until_the_till_changes_its_images(
    shop_open: Installation,
) -> None:
    till, before = await in_pos(shop_open), await product(shop_open)
    path = f"products/{before['id']}/gallery"
    (await shop_open.store_api.post(path, params={"externalUrl": THEIRS})).raise_for_status()

    async def is_known() -> None:
        assert list((await listing(shop_open)).store_image_urls) == [THEIRS]

    await eventually(is_known, WITHIN_S)
    assert await in_pos(shop_open) == till
    await change_pos(shop_open, common={"name": "Big mug"})
    assert [*urls(before), THEIRS] == urls(await product(shop_open))

    new = "https://images.example/new.jpg"
    await change_pos(shop_open, details={"images": [{"url": new}]})

    assert [new] == urls(await product(shop_open))
    assert list(await drift(shop_open)) == []


def urls(shown: dict[str, Any]) -> list[str]:
    return [image["imageOriginalUrl"] for image in shown["media"]["images"]]


@pytest.mark.rule("CAT-05")
async def test_the_store_s_own_fields_are_kept_through_every_update(
    shop_open: Installation,
) -> None:
    await edit(shop_open, compareToPrice=40, subtitle="Theirs", warningLimit=5)

    async def is_known() -> None:
        found = await listing(shop_open)
        assert (found.subtitle, found.low_stock_threshold, found.compare_to_price.units) == (
            "Theirs",
            5,
            40,
        )

    await eventually(is_known, WITHIN_S)
    await change_pos(shop_open, common={"name": "Big mug"})
    assert own(await product(shop_open)) == (40, "Theirs", 5)

    owners, before = shop_open.owners, (await listing(shop_open)).version
    changed = catalog_pb2.Listing(
        channel_id=shop_open.channel_id,
        product_id=MUG,
        compare_to_price=money(Decimal("29.5"), "NZD"),
    )
    mask = FieldMask(paths=["compare_to_price", "low_stock_threshold"])
    await owners.call(
        owners.catalog.UpdateListing,
        catalog_pb2.UpdateListingRequest(request_id="own", listing=changed, update_mask=mask),
    )
    await settled(shop_open, MUG, before)
    assert own(await product(shop_open)) == (29.5, "Theirs", None)
    assert list((await listing(shop_open)).unpushed_fields) == []

    await change_pos(shop_open, details={"price_including_tax": 27.6})
    assert own(await product(shop_open)) == (29.5, "Theirs", None)
    assert list(await drift(shop_open)) == []


def own(shown: dict[str, Any]) -> tuple[Any, Any, Any]:
    return shown.get("compareToPrice"), shown["subtitle"], shown.get("warningLimit")


@pytest.mark.rule("CAT-06")
async def test_a_sku_that_changes_in_the_till_keeps_the_link(shop_open: Installation) -> None:
    before = await product(shop_open)

    await change_pos(shop_open, details={"sku": "MUG-2"})

    after = await product(shop_open)
    assert (after["id"], after["sku"]) == (before["id"], "MUG-2")
    assert list(await drift(shop_open)) == []


@pytest.mark.rule("BEY-16")
async def test_the_echoes_of_our_own_writes_change_nothing(shop_open: Installation) -> None:
    await change_pos(shop_open, common={"name": "Big mug"})
    await change_pos(shop_open, TEE, common={"description": "<p>New</p>"})
    versions = [one.version for one in await listings(shop_open)]
    await quiet(shop_open)

    assert [one.version for one in await listings(shop_open)] == versions
    assert list(await drift(shop_open)) == []


async def quiet(installed: Installation) -> None:
    """Returns when every webhook of the store is delivered, and nothing was written since."""

    async def is_quiet() -> None:
        rows = installed.store.courier.rows()
        assert all(row["outcome"] != "pending" for row in rows)

    await eventually(is_quiet, WITHIN_S)
    await asyncio.sleep(0.3)
    await eventually(is_quiet, WITHIN_S)


def writes(installed: Installation) -> int:
    return sum(len(installed.store.ledger.rows(name)) for name in ("PUT", "POST", "DELETE"))


async def swept(installed: Installation) -> dict[str, Any]:
    """Has the store swept; gives what the sweep found."""
    assert installed.workers is not None
    with structlog.testing.capture_logs() as logs:
        assert installed.workers.sweep(installed.channel_id)

        async def is_done() -> None:
            assert any(one["event"] == "sweep" for one in logs)

        await eventually(is_done, 60.0)
    return dict(next(one for one in logs if one["event"] == "sweep"))


DRIFTS = 200


@pytest.mark.rule("BEY-07")
async def test_one_sweep_heals_all_that_lost_webhooks_did_not_tell(
    shop_open: Installation,
) -> None:
    """Two hundred random edits that no webhook tells of; the second sweep writes nothing."""
    every = [one.product_id for one in await listings(shop_open)]
    await shop_open.sell_online(*every)
    for product_id in every:
        await settled(shop_open, product_id)
    await quiet(shop_open)
    before = {name: await product(shop_open, name) for name in every}
    chance = random.Random(7)
    shop_open.store.chaos.set(ChaosSettings(drop=1))
    for number in range(DRIFTS):
        await spoil(shop_open, before[chance.choice(every)]["id"], number, chance)

    first = await swept(shop_open)

    async def is_restored() -> None:
        for name in every:
            assert shown(before[name]) == shown(await product(shop_open, name)), name
        assert not list(await drift(shop_open, drift_pb2.DRIFT_STATE_OPEN))

    await eventually(is_restored, 60.0)
    assert first["edited"] > LISTINGS // 2
    for name in every:
        await settled(shop_open, name)
    written = writes(shop_open)
    second = await swept(shop_open)
    assert (second["edited"], second["listings"], second["stocks"]) == (0, 0, 0)
    assert second["compared"] == LISTINGS
    assert writes(shop_open) == written


async def spoil(installed: Installation, shelf: int, number: int, chance: random.Random) -> None:
    """Somebody does one of many things to a product; one that is gone already stays so."""
    found = await installed.store_api.get(f"products/{shelf}")
    if found.status_code == 404:
        return
    path, api = f"products/{shelf}", installed.store_api
    changes: list[dict[str, Any]] = [
        {"name": f"Edited {number}"},
        {"description": f"<b>{number}</b>"},
        {"price": number + 1000},
        {"enabled": chance.random() < 0.5},
        {"weight": number},
        {"categoryIds": []},
        {"attributes": [{"alias": "BRAND", "value": f"Brand {number}"}]},
        {"quantity": number},
    ]
    kind = chance.randrange(len(changes) + 4)
    if kind < len(changes):
        await api.put(path, json=changes[kind])
    elif kind == len(changes):
        await api.delete(f"{path}/gallery")
    elif kind == len(changes) + 1:
        await api.delete(f"{path}/combinations")
    elif kind == len(changes) + 2 and number % 10 == 0:
        await api.delete(path)
    else:
        await api.put(path, json={"options": [], "sku": f"SKU-{number}"})


def shown(product: dict[str, Any]) -> dict[str, Any]:
    """What buyers see of a product, and what it is linked to."""
    names = ("name", "description", "price", "enabled", "weight", "dimensions", "attributes")
    variations = [
        {name: c.get(name) for name in ("externalReferenceId", "sku", "price", "quantity")}
        for c in product["combinations"]
    ]
    return {
        **{name: product[name] for name in names},
        "categories": [category["name"] for category in product["categories"]],
        "images": sorted(urls(product)),
        "options": [(o["name"], [c["text"] for c in o["choices"]]) for o in product["options"]],
        "combinations": variations,
        "quantity": product.get("quantity"),
    }


@pytest.mark.rule("CAT-11")
async def test_a_sweep_makes_again_what_was_deleted_though_it_was_not_sold(
    shop_open: Installation,
) -> None:
    owners, before = shop_open.owners, (await listing(shop_open)).version
    await owners.call(
        owners.catalog.SetSellOnline,
        catalog_pb2.SetSellOnlineRequest(
            request_id="off", channel_id=shop_open.channel_id, product_ids=[MUG], sell_online=False
        ),
    )
    await settled(shop_open, MUG, before)
    shop_open.store.chaos.set(ChaosSettings(drop=1))
    shelf = (await product(shop_open))["id"]
    (await shop_open.store_api.delete(f"products/{shelf}")).raise_for_status()

    assert (await swept(shop_open))["edited"] == 1

    await healed(shop_open, drift_pb2.EDIT_KIND_LISTING_DELETED)
    assert (await product(shop_open))["enabled"] is False


@pytest.mark.rule("CAT-11")
async def test_stock_that_has_nowhere_to_go_finds_what_was_deleted(
    shop_open: Installation,
) -> None:
    shop_open.store.chaos.set(ChaosSettings(drop=1))
    shelf = (await product(shop_open))["id"]
    (await shop_open.store_api.delete(f"products/{shelf}")).raise_for_status()

    await shop_open.count(MUG, MAIN, 3)

    await healed(shop_open, drift_pb2.EDIT_KIND_LISTING_DELETED)
    assert (await product(shop_open))["quantity"] == 8


@pytest.mark.rule("CAT-03")
async def test_what_the_store_cannot_take_is_told_and_goes_on_by_itself(
    shop_open: Installation,
) -> None:
    """Another product of the store has the SKU that a listing needs."""
    sku = {"name": "Theirs", "sku": "CHART"}
    made = await shop_open.store_api.post("products", json=sku)
    await shop_open.sell_online(CHART)

    async def is_told() -> None:
        assert "SKU_ALREADY_EXISTS" in (await listing(shop_open, CHART)).push_error

    await eventually(is_told, WITHIN_S)
    (await shop_open.store_api.delete(f"products/{made.json()['id']}")).raise_for_status()
    await swept(shop_open)
    await settled(shop_open, CHART)
