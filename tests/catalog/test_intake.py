"""Products that come unasked: shown first, warned of, held when they are too many, never lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog.testing

from services.catalog.rules.imports import Run, State
from services.catalog.service import build
from services.catalog.store import PLUMBING
from services.catalog.store import imports as import_rows
from services.chassis.database import utc_now
from tests.catalog.conftest import Shop
from tests.catalog.samples import money, mug, shirt
from tests.harness import metadata, refused, running
from tillbridge.attention.v1 import attention_pb2
from tillbridge.catalog.v1 import attention_pb2 as catalog_attention_pb2
from tillbridge.catalog.v1 import catalog_pb2 as pb

REFUSED = attention_pb2.ATTENTION_CAUSE_PRODUCT_REFUSED
OPEN = attention_pb2.ATTENTION_CAUSE_CIRCUIT_OPEN


def mugs(count: int, version: int = 1, **changes: object) -> list[pb.Product]:
    return [mug(f"mug-{number:03}", version=version, **changes) for number in range(count)]


def groups(found: Sequence[attention_pb2.AttentionGroup]) -> list[tuple[int, str, int]]:
    return [(one.cause, one.key, one.waiting_count) for one in found]


# --- What would be -----------------------------------------------------------------------------


@pytest.mark.rule("CAT-06")
async def test_what_would_change_is_told_field_by_field_and_nothing_changes(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug(version=1))
    before = await shop.product("mug"), await shop.listings("web"), await shop.told()
    dearer = mug(version=2, name="Big mug")
    dearer.variants[0].retail_price.CopyFrom(money("15"))
    found = await shop.results(dearer, mug("cup"), mug("bad", name=" "), validate_only=True)
    assert found == [
        pb.ProductResult(
            product_id="mug",
            outcome=pb.UPSERT_OUTCOME_UPDATED,
            changes=[
                pb.FieldChange(field="name", old_value="Mug", new_value="Big mug"),
                pb.FieldChange(
                    field="variants[mug-item].retail_price",
                    old_value="12.5 EUR",
                    new_value="15 EUR",
                ),
            ],
        ),
        pb.ProductResult(
            product_id="cup",
            outcome=pb.UPSERT_OUTCOME_CREATED,
            changes=[
                pb.FieldChange(field="name", new_value="Cup"),
                pb.FieldChange(field="active", new_value="true"),
                pb.FieldChange(field="variants[cup-item]", new_value="SKU-cup, 12.5 EUR"),
            ],
        ),
        pb.ProductResult(
            product_id="bad",
            outcome=pb.UPSERT_OUTCOME_REFUSED,
            message="products[2].name: is blank; give the name that buyers read",
        ),
    ]
    after = await shop.product("mug"), await shop.listings("web"), await shop.told()
    assert (after, await shop.attention()) == (before, [])
    (real,) = await shop.results(dearer)
    assert (real.outcome, list(real.changes)) == (pb.UPSERT_OUTCOME_UPDATED, [])


@pytest.mark.rule("CAT-03")
async def test_a_wrong_bar_code_is_warned_of_and_passes_as_it_is(shop: Shop) -> None:
    one = mug()
    one.variants[0].upc = "4006381333932"
    (found,) = await shop.results(one)
    assert found.outcome == pb.UPSERT_OUTCOME_CREATED
    (warning,) = found.warnings
    assert warning.startswith("variants[0].upc: the check digit of 4006381333932 is wrong")
    assert warning.endswith("it would be 1")
    assert (await shop.product("mug")).variants[0].upc == "4006381333932"
    (again,) = await shop.results(one)
    assert (again.outcome, list(again.warnings)) == (pb.UPSERT_OUTCOME_UNCHANGED, [])


@pytest.mark.rule("CAT-08")
async def test_images_of_a_store_that_go_are_warned_of_beforehand(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(shirt())
    version = (await shop.listing("web", "shirt")).version
    await shop.report("web", "shirt", version)
    added = ["https://store.example/own.jpg"]
    await shop.report_store_images("web", "shirt", version, added)
    renamed = shirt(version=4, name="Top")
    (found,) = await shop.results(renamed, validate_only=True)
    assert list(found.warnings) == []
    replaced = shirt(version=5, images=[pb.Image(url="https://img.example/3.jpg")])
    expected = [
        "images: channel web loses 1 that were added in its store: https://store.example/own.jpg"
    ]
    (found,) = await shop.results(replaced, validate_only=True)
    assert list(found.warnings) == expected
    assert list((await shop.listing("web", "shirt")).store_image_urls) == added
    (found,) = await shop.results(replaced)
    assert list(found.warnings) == expected
    assert list((await shop.listing("web", "shirt")).store_image_urls) == []


# --- The circuit breaker ------------------------------------------------------------------------


@pytest.mark.rule("BEY-10")
async def test_deactivations_too_many_are_held_and_the_rest_goes_on(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(*mugs(30))
    burst = [*mugs(25, 2, active=False), mug("new"), mug("mug-029", version=2, name="Renamed")]
    outcomes = await shop.upsert(*burst, cause="lightspeed_x")
    assert outcomes == ["UPDATED"] * 20 + ["HELD"] * 5 + ["CREATED", "UPDATED"]
    assert [(await shop.product(f"mug-0{at}")).active for at in (19, 20)] == [False, True]
    (found,) = await shop.attention()
    assert (found.cause, found.key, found.waiting_count) == (OPEN, "lightspeed_x", 5)
    assert found.title == "5 products would be deleted or deactivated by lightspeed_x"
    assert list(found.examples) == [f"mug-02{at}" for at in range(5)]


@pytest.mark.rule("BEY-10")
async def test_deletions_count_like_deactivations_and_each_source_for_itself(shop: Shop) -> None:
    await shop.upsert(*mugs(30))
    await shop.upsert(*mugs(15, 2, active=False), cause="x")
    found = [await shop.deletion(f"mug-{at:03}", 2, "x") for at in range(10, 25)]
    # The first five are inactive already, and take nothing out of sale.
    assert [one.held for one in found] == [False] * 10 + [True] * 5
    assert [one.deleted for one in found] == [True] * 10 + [False] * 5
    assert not (await shop.deletion("mug-025", 2, "y")).held
    assert groups(await shop.attention()) == [(OPEN, "x", 5)]


@pytest.mark.rule("BEY-10")
async def test_a_share_of_a_large_catalog_may_go(shop: Shop) -> None:
    await shop.upsert(*mugs(150))
    outcomes = await shop.upsert(*mugs(40, 2, active=False), cause="x")
    assert outcomes == ["UPDATED"] * 30 + ["HELD"] * 10


@pytest.mark.rule("BEY-10")
async def test_products_that_are_missing_from_a_report_stay_as_they_are(shop: Shop) -> None:
    await shop.upsert(*mugs(30))
    await shop.upsert(mug("mug-000", version=2), cause="x")
    assert all([(await shop.product(f"mug-{at:03}")).active for at in range(30)])


@pytest.mark.rule("BEY-10")
async def test_what_is_only_tried_is_not_counted(shop: Shop) -> None:
    await shop.upsert(*mugs(30))
    off = mugs(22, 2, active=False)
    tried = await shop.upsert(*off, cause="x", validate_only=True)
    assert tried == ["UPDATED"] * 20 + ["HELD"] * 2
    assert await shop.attention() == []
    assert await shop.upsert(*off, cause="x") == tried


@pytest.mark.rule("BEY-10")
@pytest.mark.rule("BEY-09")
async def test_a_yes_lets_all_of_them_go_on_and_the_rest_of_the_burst(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(*mugs(40))
    await shop.sell("web")
    await shop.upsert(*mugs(25, 2, active=False), cause="x")
    await shop.deletion("mug-030", 2, "x")
    await shop.upsert(mug("mug-024", version=3))
    assert await shop.decide("CIRCUIT_OPEN", "x", validate_only=True) == (5, 0)
    assert groups(await shop.attention()) == [(OPEN, "x", 5)]
    assert await shop.decide("CIRCUIT_OPEN", "x") == (5, 0)
    available = {one.product_id for one in await shop.listings("web") if one.available}
    # 24 was reported anew meanwhile, and stays as that report says.
    assert available == {f"mug-{at:03}" for at in range(24, 40)} - {"mug-030"}
    assert await shop.attention() == []
    assert await shop.upsert(*mugs(40, 4, active=False)[31:], cause="x") == ["UPDATED"] * 9
    async with refused("ATTENTION_NOT_FOUND") as facts:
        await shop.decide("CIRCUIT_OPEN", "x")
    assert facts["cause"] == "CIRCUIT_OPEN"
    assert "under the key 'x'" in facts["message"]


@pytest.mark.rule("BEY-10")
async def test_a_no_drops_them_on_record(shop: Shop) -> None:
    await shop.upsert(*mugs(30))
    await shop.upsert(*mugs(22, 2, active=False), cause="x")
    with structlog.testing.capture_logs() as logs:
        assert await shop.decide("CIRCUIT_OPEN", "x", go_on=False) == (2, 0)
    (line,) = [one for one in logs if one["event"] == "reports dropped"]
    assert [product_id for product_id, _, _ in line["products"]] == ["mug-020", "mug-021"]
    assert (await shop.product("mug-020")).active
    assert await shop.attention() == []


async def test_a_newer_report_takes_the_place_of_what_is_held(shop: Shop) -> None:
    await shop.upsert(*mugs(21))
    assert (await shop.upsert(*mugs(21, 2, active=False)))[20:] == ["HELD"]
    assert await shop.upsert(mug("mug-020", version=1, name="Late")) == ["UPDATED"]
    assert groups(await shop.attention()) == [(OPEN, "", 1)]
    assert await shop.upsert(mug("mug-020", version=3)) == ["UPDATED"]
    assert await shop.attention() == []


@pytest.mark.rule("BEY-10")
async def test_what_was_taken_out_of_sale_long_ago_does_not_count(shop: Shop) -> None:
    await shop.upsert(*mugs(41))
    off = mugs(41, 2, active=False)
    assert await shop.upsert(*off[:20], cause="x") == ["UPDATED"] * 20
    shop.catalog.database.clock = lambda: utc_now() + timedelta(hours=2, seconds=1)
    assert await shop.upsert(*off[20:], cause="x") == ["UPDATED"] * 20 + ["HELD"]


@pytest.mark.rule("BEY-10")
async def test_a_burst_of_single_calls_is_held_until_somebody_decides_and_not_for_an_hour(
    shop: Shop,
) -> None:
    await shop.upsert(*mugs(45))
    bursts = [await shop.deletion(f"mug-{at:03}", 2, "x") for at in range(21)]
    assert [one.held for one in bursts] == [False] * 20 + [True]
    shop.catalog.database.clock = lambda: utc_now() + timedelta(hours=3)
    assert (await shop.deletion("mug-030", 2, "x")).held
    assert (await shop.deletion("mug-031", 2, "y")).deleted
    assert await shop.decide("CIRCUIT_OPEN", "x") == (2, 0)
    assert not any([(await shop.deletion(f"mug-{at:03}", 2, "x")).held for at in range(21, 45)])


@pytest.mark.rule("BEY-10")
async def test_several_processes_count_together(shop: Shop) -> None:
    if not shop.catalog.settings.database_url:
        pytest.skip("SQLite has one writing process")
    await shop.upsert(*mugs(40))
    async with running("catalog", PLUMBING, build, shop.catalog.settings) as second:
        shops = [shop, replace(shop, catalog=second)]
        found = await asyncio.gather(
            *(shops[at % 2].deletion(f"mug-{at:03}", 2, "x") for at in range(40))
        )
    assert sum(one.deleted for one in found) == 20
    assert groups(await shop.attention()) == [(OPEN, "x", 20)]


# --- Refused products ---------------------------------------------------------------------------


@pytest.mark.rule("BEY-09")
async def test_refused_products_wait_by_cause_until_they_are_put_right(shop: Shop) -> None:
    blank = [mug(f"blank-{at}", name=" ", version=2) for at in range(12)]
    await shop.upsert(*blank, mug("free", variants=[pb.Variant(item_id="i")]), cause="x")
    found = await shop.attention()
    assert groups(found) == [(REFUSED, "name", 12), (REFUSED, "variants[].retail_price", 1)]
    assert found[0].title == (
        "12 products were refused as they came: name: is blank; give the name that buyers read"
    )
    assert list(found[0].examples) == sorted(f"blank-{at}" for at in range(12))[:10]
    assert found[0].since.seconds
    assert await shop.upsert(mug("blank-0", version=1)) == ["CREATED"]
    assert groups(await shop.attention())[0] == (REFUSED, "name", 12)
    assert await shop.upsert(mug("blank-0", version=2)) == ["UNCHANGED"]
    assert groups(await shop.attention())[0] == (REFUSED, "name", 11)


@pytest.mark.rule("BEY-09")
async def test_refused_products_are_tried_again_on_a_word(shop: Shop) -> None:
    await shop.upsert(mug("owner", variants=[pb.Variant(item_id="i", retail_price=money())]))
    thieves = [
        mug(name, version=7, variants=[pb.Variant(item_id="i", retail_price=money())])
        for name in ("one", "two")
    ]
    assert await shop.upsert(*thieves, cause="x") == ["REFUSED", "REFUSED"]
    key = "variants[].item_id"
    assert await shop.decide("PRODUCT_REFUSED", key, validate_only=True) == (0, 2)
    await shop.delete("owner")
    assert await shop.decide("PRODUCT_REFUSED", key, validate_only=True) == (1, 1)
    assert await shop.decide("PRODUCT_REFUSED", key) == (1, 1)
    assert (await shop.product("one")).version == 7
    assert groups(await shop.attention()) == [(REFUSED, key, 1)]
    assert await shop.decide("PRODUCT_REFUSED", key, go_on=False) == (1, 0)
    assert await shop.attention() == []


@pytest.mark.rule("BEY-09")
async def test_a_report_without_a_usable_id_waits_as_well(shop: Shop) -> None:
    nameless = [mug(product_id="") for _ in range(2)] + [mug(product_id="x" * 129)]
    assert await shop.upsert(*nameless) == ["REFUSED"] * 3
    (found,) = await shop.attention()
    assert (found.key, found.waiting_count) == ("product_id", 2)
    assert all(one.startswith("without an id: ") for one in found.examples)
    assert await shop.decide("PRODUCT_REFUSED", "product_id") == (0, 2)
    assert await shop.decide("PRODUCT_REFUSED", "product_id", go_on=False) == (2, 0)


async def test_a_refused_report_that_is_old_news_does_not_wait(shop: Shop) -> None:
    await shop.upsert(mug(version=5))
    assert await shop.upsert(mug(version=4, name=" ")) == ["REFUSED"]
    assert await shop.attention() == []


# --- The other causes ---------------------------------------------------------------------------


@pytest.mark.rule("BEY-09")
@pytest.mark.rule("SOR-04")
async def test_listings_that_the_store_did_not_take_wait_by_its_complaint(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(mug("a"), mug("b"), mug("c"))
    await shop.report("web", "a", 1, "402 plan limit")
    await shop.report("web", "b", 1, "402 plan limit")
    await shop.report("web", "c", 1, "name too long")
    found = await shop.attention()
    cause = attention_pb2.ATTENTION_CAUSE_LISTING_NOT_PUSHED
    assert groups(found) == [(cause, "402 plan limit", 2), (cause, "name too long", 1)]
    assert found[0].title == "The store did not take 2 listings: 402 plan limit"
    assert list(found[0].examples) == ["web/a", "web/b"]
    told = len(await shop.told())
    assert await shop.decide("LISTING_NOT_PUSHED", "402 plan limit") == (2, 0)
    assert groups(await shop.attention()) == [(cause, "name too long", 1)]
    assert [(await shop.listing("web", one)).version for one in "abc"] == [2, 2, 1]
    assert len(await shop.told()) == told + 2
    async with refused("INVALID_FIELD"):
        await shop.decide("LISTING_NOT_PUSHED", "name too long", go_on=False)


@pytest.mark.rule("BEY-09")
@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(("go_on", "state"), [(True, "RUNNING"), (False, "CANCELED")])
async def test_an_import_that_is_held_is_decided_on(shop: Shop, go_on: bool, state: str) -> None:
    now = utc_now()
    run = Run(
        merchant_id=shop.merchant,
        import_id="i-1",
        source_name="mugs.csv",
        source_digest="d",
        row_count=100,
        breaker_share_percent=20,
        breaker_items_min=20,
        create_time=now,
        update_time=now,
        state=State.HELD,
    )
    database = shop.catalog.database
    await database.apply("hold", lambda one: import_rows.save_runs(one.connection, [run]))
    (found,) = await shop.attention()
    assert (found.cause, found.key) == (attention_pb2.ATTENTION_CAUSE_IMPORT_HELD, "i-1")
    assert "mugs.csv" in found.title
    assert await shop.decide("IMPORT_HELD", "i-1", go_on=go_on, validate_only=True) == (1, 0)
    assert await shop.decide("IMPORT_HELD", "i-1", go_on=go_on) == (1, 0)
    after = await database.read(lambda one: import_rows.one(one, shop.merchant, "i-1"))
    assert after
    assert (after.state, after.approved) == (state, go_on)
    assert await shop.attention() == []
    async with refused("ATTENTION_NOT_FOUND"):
        await shop.decide("IMPORT_HELD", "i-1")


@pytest.mark.rule("BEY-09")
async def test_skus_that_several_items_carry_are_listed_and_changed_elsewhere(shop: Shop) -> None:
    twins = [
        mug(name, variants=[pb.Variant(item_id=name, sku="S", retail_price=money())])
        for name in ("one", "two")
    ]
    await shop.upsert(*twins, mug("three"))
    (found,) = await shop.attention()
    assert (found.key, found.waiting_count, list(found.examples)) == ("S", 2, ["one", "two"])
    assert found.remedy == "Give all but one of them another SKU in the point of sale"
    async with refused("INVALID_FIELD") as facts:
        await shop.decide("SKU_AMBIGUOUS", "S")
    assert "point of sale" in facts["cause"]


@pytest.mark.rule("BEY-09")
async def test_what_waits_is_paged_by_cause_and_key_alike(shop: Shop) -> None:
    await shop.open_channel("web")
    await shop.upsert(*mugs(21), cause="x")
    await shop.upsert(*mugs(21, 2, active=False))
    await shop.upsert(mug("bad", name=" "), mug("free", variants=[pb.Variant(item_id="i")]))
    await shop.report("web", "mug-000", 1, "no")
    every = await shop.attention()
    assert [one.cause for one in every] == sorted(one.cause for one in every)
    assert len(every) == 4
    for size in (1, 2, 3):
        assert await shop.attention(size) == every


async def test_causes_of_other_services_are_no_business_of_the_catalog(shop: Shop) -> None:
    async with refused("INVALID_FIELD"):
        await shop.decide("CUSTOMER_COLLISION", "a@b.example")
    async with refused("INVALID_PAGE_TOKEN"):
        await shop.stub.ListAttention(
            catalog_attention_pb2.ListAttentionRequest(page_token="x"),
            metadata=metadata(shop.merchant),
        )


@pytest.mark.rule("BEY-11")
async def test_what_waits_for_one_merchant_is_not_seen_by_another(shop: Shop) -> None:
    await shop.upsert(mug(name=" "))
    other = Shop(shop.catalog, shop.inventory, "tea-shop")
    assert await other.attention() == []
    async with refused("ATTENTION_NOT_FOUND"):
        await other.decide("PRODUCT_REFUSED", "name")
