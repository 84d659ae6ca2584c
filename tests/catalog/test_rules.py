"""Which products are taken in, and which item an order means, case by case."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from services.catalog.rules import items
from services.catalog.rules import shelf as shelves
from services.catalog.rules.items import Item, Reference
from services.catalog.rules.products import (
    Image,
    Known,
    Money,
    Outcome,
    Product,
    Stamp,
    Variant,
)
from services.catalog.rules.provenance import Source
from services.catalog.rules.shelf import Shelf, is_old
from services.chassis.errors import DomainError
from tests.catalog.samples import LATER, NOON, PRICE, SHIRT, known, plain

SHOP = "mug-shop"


def shelf_with(*entries: Known) -> Shelf:
    return Shelf.of({(one.merchant_id, one.product_id): one for one in entries}, {})


def upsert(
    shelf: Shelf, product: Product, stamp: Stamp, now: datetime, shop: str = SHOP
) -> Outcome:
    source = Source("till", "r-1", stamp.observe_time)
    step = shelves.upserted(shelf, shop, product, stamp, source, now=now)
    shelf.put(step.after)
    return step.outcome


def delete(shelf: Shelf, version: int, now: datetime) -> bool:
    stamp = Stamp(version, now)
    step = shelves.deleted(shelf, SHOP, "mug", stamp, Source("till", "r-1", now), now=now)
    shelf.put(step.after)
    return step.outcome is Outcome.UPDATED


# --- Which report is the newest -----------------------------------------------------------------

EARLIER = NOON - timedelta(hours=1)


@pytest.mark.rule("BEY-08")
@pytest.mark.parametrize(
    ("known_as", "reported", "old"),
    [
        # (version, observe_time) known; (version, observe_time) reported; deleted is "x"
        ((0, NOON, ""), (0, LATER), False),
        ((0, NOON, ""), (0, NOON), False),
        ((0, NOON, ""), (0, EARLIER), True),
        ((5, NOON, ""), (6, EARLIER), False),
        ((5, NOON, ""), (4, LATER), True),
        ((5, NOON, ""), (5, LATER), False),
        ((5, NOON, ""), (5, EARLIER), True),
        ((5, NOON, ""), (0, LATER), False),
        ((5, NOON, ""), (0, EARLIER), True),
        ((0, NOON, ""), (5, EARLIER), True),
        ((5, NOON, "x"), (5, LATER), True),
        ((5, NOON, "x"), (4, LATER), True),
        ((5, NOON, "x"), (6, EARLIER), False),
        ((0, NOON, "x"), (0, LATER), False),
        ((0, NOON, "x"), (0, EARLIER), True),
    ],
)
def test_an_older_report_changes_nothing(
    known_as: tuple[int, object, str], reported: tuple[int, object], old: bool
) -> None:
    version, observe_time, deleted = known_as
    entry = known(None if deleted else plain(), version, observe_time)  # type: ignore[arg-type]
    assert is_old(Stamp(*reported), entry) == old  # type: ignore[arg-type]


@pytest.mark.rule("BEY-08")
def test_reports_and_deletions_in_any_order_end_in_the_same_product() -> None:
    history = [(1, plain(name="One")), (2, plain(name="Two")), (3, None), (4, plain(name="Four"))]
    for upto in range(1, len(history) + 1):
        expected = history[upto - 1][1]
        for order in permutations(history[:upto]):
            shelf = shelf_with()
            for version, product in [*order, *order]:
                tell(shelf, version, product)
            last = shelf.get(SHOP, "mug")
            assert last is not None
            assert (last.product, last.stamp.version) == (expected, upto), order


def tell(shelf: Shelf, version: int, product: Product | None) -> None:
    if product:
        upsert(shelf, product, Stamp(version, NOON), NOON)
    else:
        delete(shelf, version, NOON)


@pytest.mark.parametrize(
    ("observe_time", "expected"), [(None, NOON), (EARLIER, EARLIER), (LATER, NOON)]
)
def test_nothing_was_read_later_than_it_arrived(observe_time: object, expected: object) -> None:
    assert Stamp.of(1, observe_time, NOON).observe_time == expected  # type: ignore[arg-type]


@pytest.mark.rule("SOR-01")
@pytest.mark.parametrize(
    ("before", "report", "expected"),
    [
        (None, (plain(), 1), (Outcome.CREATED, 1)),
        (known(plain(), 1), (plain(name="New"), 2), (Outcome.UPDATED, 2)),
        (known(plain(), 1), (plain(), 2), (Outcome.UNCHANGED, 1)),
        (known(plain(), 2), (plain(name="Old"), 1), (Outcome.UNCHANGED, 1)),
        (known(None, 2), (plain(), 3), (Outcome.CREATED, 2)),
        (known(None, 2), (plain(), 2), (Outcome.UNCHANGED, 1)),
    ],
)
def test_a_report_creates_updates_or_changes_nothing(
    before: Known | None, report: tuple[Product, int], expected: tuple[Outcome, int]
) -> None:
    shelf = shelf_with(*([before] if before else []))
    outcome = upsert(shelf, report[0], Stamp(report[1], LATER), LATER)
    after = shelf.get(SHOP, "mug")
    assert after is not None
    assert (outcome, after.revision) == expected
    news = [change for change in shelf.changes() if change.is_news]
    assert bool(news) == (outcome is not Outcome.UNCHANGED)


@pytest.mark.rule("CAT-11")
@pytest.mark.parametrize(
    ("before", "version", "deleted"),
    [
        (None, 0, False),
        (None, 7, False),
        (known(plain(), 5), 6, True),
        (known(plain(), 5), 5, True),
        (known(plain(), 5), 0, True),
        (known(plain(), 5), 4, False),
        (known(None, 5), 6, False),
    ],
)
def test_a_deletion_leaves_a_tombstone_unless_it_is_old(
    before: Known | None, version: int, deleted: bool
) -> None:
    shelf = shelf_with(*([before] if before else []))
    assert delete(shelf, version, LATER) == deleted
    after = shelf.get(SHOP, "mug")
    assert after is not None
    old = bool(before and version and version < before.stamp.version)
    assert (after.product is None) == (not old)
    assert after.stamp.version == max(version, before.stamp.version if before else 0)


def test_a_product_that_is_deleted_and_created_in_one_breath_is_news() -> None:
    shelf = shelf_with(known(plain(), 1))
    delete(shelf, 2, LATER)
    upsert(shelf, plain(), Stamp(3, LATER), LATER)
    (change,) = shelf.changes()
    assert (change.reborn, change.is_news) == (True, True)


# --- What can be taken in -----------------------------------------------------------------------


def variant(item_id: str = "i", values: tuple[str, ...] = ("L", "Red"), **more: object) -> Variant:
    made = Variant(item_id, attribute_values=values, retail_price=PRICE)
    return replace(made, **more)  # type: ignore[arg-type]  # fields of Variant


@pytest.mark.parametrize(
    ("changes", "field", "hint"),
    [
        ({"name": "  "}, "name", "give the name"),
        ({"images": (Image("", "javascript:x"),)}, "images[0].url", "https://"),
        (
            {"images": (Image("", "http://a.example"), Image("", "/b.jpg"))},
            "images[1].url",
            "https://",
        ),
        (
            {"attribute_names": (), "variants": (variant("a", ()), variant("b", ()))},
            "attribute_names",
            "name what they differ in",
        ),
        (
            {"variants": (variant(values=("L",)),)},
            "variants[0].attribute_values",
            "one value for each name",
        ),
        (
            {"variants": (variant("a"), variant("b", ("S", "Red", "X")))},
            "variants[1].attribute_values",
            "one value for each name",
        ),
        ({"variants": (variant("a"), variant("a", ("S", "Red")))}, "variants[0].item_id", "own"),
        (
            {"variants": (variant("a"), variant("b", ("S", "Red")), variant("c"))},
            "variants[0].attribute_values",
            "must differ",
        ),
        ({"variants": (variant(retail_price=None),)}, "variants[0].retail_price", "is missing"),
        (
            {"variants": (variant(retail_price=Money("", 1)),)},
            "variants[0].retail_price.currency_code",
            "three capital letters",
        ),
        (
            {"variants": (variant(supply_price=Money("eur", 1)),)},
            "variants[0].supply_price.currency_code",
            "three capital letters",
        ),
        (
            {"variants": (variant(retail_price=Money("EUR", -1)),)},
            "variants[0].retail_price",
            "between 0 and",
        ),
        (
            {"variants": (variant(retail_price=Money("EUR", 9_000_000_001 * 10**9)),)},
            "variants[0].retail_price",
            "between 0 and",
        ),
    ],
)
def test_a_product_that_cannot_be_taken_in_is_told_what_would_pass(
    changes: dict[str, object], field: str, hint: str
) -> None:
    shelf = shelf_with(known(SHIRT))
    product = replace(SHIRT, **changes)  # type: ignore[arg-type]  # fields of Product
    with pytest.raises(DomainError) as refusal:
        upsert(shelf, product, Stamp(9, LATER), LATER)
    ((path, message),) = refusal.value.violations
    assert (refusal.value.reason, path) == ("INVALID_FIELD", field)
    assert hint in message
    assert shelf.changes() == []


@pytest.mark.parametrize(
    "product",
    [
        SHIRT,
        plain(),
        plain(variants=(Variant("i", retail_price=Money("EUR", 0)),)),
        plain(variants=(Variant("i", retail_price=Money("JPY", 9_000_000_000 * 10**9)),)),
    ],
)
def test_a_proper_product_is_taken_in(product: Product) -> None:
    assert upsert(shelf_with(), product, Stamp(0, NOON), NOON) is Outcome.CREATED


@pytest.mark.rule("INV-01")
def test_tracking_is_on_by_default() -> None:
    assert Variant("i").track_inventory


def test_an_item_of_another_product_is_refused_until_that_gives_it_up() -> None:
    shelf = shelf_with(known(plain("cup")))
    stolen = plain("mug", variants=(Variant("cup-item", retail_price=PRICE),))
    with pytest.raises(DomainError) as refusal:
        upsert(shelf, stolen, Stamp(0, LATER), LATER)
    assert refusal.value.violations[0][0] == "variants[0].item_id"
    assert "'cup'" in refusal.value.message
    assert upsert(shelf, stolen, Stamp(0, LATER), LATER, "tea-shop") is Outcome.CREATED
    other = plain("cup", variants=(Variant("cup-2", retail_price=PRICE),))
    upsert(shelf, other, Stamp(0, LATER), LATER)
    assert upsert(shelf, stolen, Stamp(0, LATER), LATER) is Outcome.CREATED
    assert (shelf.owner(SHOP, "cup-item"), shelf.owner(SHOP, "cup-2")) == ("mug", "cup")


# --- Which item an order means ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item_id", "sku", "expected"),
    [
        ("a", "", "a"),
        ("a", "B", "a"),
        ("gone", "B", "b"),
        ("", "B", "b"),
        ("", "b", "ITEM_NOT_FOUND"),
        ("", " B", "ITEM_NOT_FOUND"),
        ("gone", "", "ITEM_NOT_FOUND"),
        ("", "", "ITEM_NOT_FOUND"),
        ("", "TWO", "SKU_AMBIGUOUS"),
        ("gone", "TWO", "SKU_AMBIGUOUS"),
        ("c", "TWO", "c"),
    ],
)
def test_an_order_means_an_item_by_id_or_else_by_sku(item_id: str, sku: str, expected: str) -> None:
    skus = {"a": "A", "b": "B", "c": "TWO", "d": "TWO", "e": "", "f": ""}
    all_items = [Item(one, "p", text, "Name", True) for one, text in skus.items()]
    by_id = {item.item_id: item for item in all_items}
    try:
        found = items.resolve(Reference(item_id, sku), by_id, items.with_sku(all_items)).item_id
    except DomainError as error:
        found = error.reason
    assert found == expected
