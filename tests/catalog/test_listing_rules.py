"""A product's place in a channel, and what belongs to the store there, case by case."""

from dataclasses import replace

import pytest

from services.catalog.rules import listings
from services.catalog.rules.listings import OWN_FIELDS, Placement, StoreFields
from services.catalog.rules.mapping import Owner
from services.catalog.rules.products import Change, Image, Money, Product, Variant
from services.catalog.rules.provenance import Source
from services.chassis.errors import DomainError
from tests.catalog.samples import LATER, NOON, PRICE, SHIRT, known, plain

ASKED = Source("console", "r-1", LATER)
STORE = Source("store", "r-2", LATER)
OLD = Source("store", "r-0", NOON)
OWN = StoreFields(Money("EUR", 20_000_000_000), "Soft", 3)


def place(**changes: object) -> Placement:
    at = Placement(
        "mug-shop", "web", "mug", sell_online=False, version=1, deleted=False, update_time=NOON
    )
    return replace(at, **changes)  # type: ignore[arg-type]  # fields of Placement


FULL = place(
    sell_online=True,
    version=5,
    push_time=NOON,
    pushed_version=5,
    own=OWN,
    store_image_urls=("https://store/1", "https://store/2"),
    images_version=2,
    provenance={"subtitle": OLD},
)


@pytest.mark.rule("CAT-10")
@pytest.mark.rule("CAT-12")
@pytest.mark.parametrize(
    ("active", "variants", "sell_online", "shown", "available"),
    [
        (True, (None, None), True, "ab", True),
        (True, (None, None), False, "ab", False),
        (True, (None, False), True, "a", True),
        (True, (False, True), True, "b", True),
        (True, (False, False), True, "ab", False),
        (False, (None, None), True, "ab", False),
        (False, (None, None), False, "ab", False),
        (False, (True, False), True, "a", False),
        (False, (False, False), True, "ab", False),
    ],
)
def test_a_listing_is_available_while_sold_online_and_active(
    active: bool,
    variants: tuple[bool | None, bool | None],
    sell_online: bool,
    shown: str,
    available: bool,
) -> None:
    product = plain(
        active=active,
        attribute_names=("Size",),
        variants=tuple(
            Variant(item_id, attribute_values=(item_id,), retail_price=PRICE, active=one)
            for item_id, one in zip("ab", variants, strict=True)
        ),
    )
    listing = listings.listing_of(product, place(sell_online=sell_online))
    assert ("".join(one.item_id for one in listing.shown.variants), listing.available) == (
        shown,
        available,
    )


# --- Places in channels -------------------------------------------------------------------------


@pytest.mark.rule("CAT-01")
@pytest.mark.rule("CAT-02")
@pytest.mark.rule("CAT-06")
@pytest.mark.rule("CAT-11")
@pytest.mark.parametrize(
    ("before", "product", "reborn", "expected"),
    [
        # place before, product after -> (sell_online, version, deleted)
        (None, True, False, (False, 1, False)),
        (None, False, False, None),
        ((True, 3, False), True, False, (True, 4, False)),
        ((False, 3, False), True, False, (False, 4, False)),
        ((True, 3, False), False, False, (False, 4, True)),
        ((False, 4, True), False, False, (False, 4, True)),
        ((False, 4, True), True, False, (False, 5, False)),
        ((True, 3, False), True, True, (False, 5, False)),
    ],
)
def test_a_place_follows_its_product(
    before: tuple[bool, int, bool] | None,
    product: bool,
    reborn: bool,
    expected: tuple[bool, int, bool] | None,
) -> None:
    at = place(sell_online=before[0], version=before[1], deleted=before[2]) if before else None
    change = Change(known(plain()), known(plain(name="New") if product else None), reborn)
    after = listings.kept_in_step(at, change, "web", LATER)
    assert (after and (after.sell_online, after.version, after.deleted)) == expected


@pytest.mark.rule("CAT-02")
@pytest.mark.parametrize(
    ("before", "asked", "version"), [(False, True, 2), (True, False, 2), (True, True, 1)]
)
def test_a_switch_that_moves_is_a_change(before: bool, asked: bool, version: int) -> None:
    after = listings.switched(place(sell_online=before), asked, 7, ASKED, LATER)
    assert (after.sell_online, after.version) == (asked, version)
    assert after.switch_version == (7 if before != asked else 0)
    assert after.provenance == ({"sell_online": ASKED} if before != asked else {})


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("CAT-02")
@pytest.mark.parametrize(
    ("sell_online", "switch_version", "expected"),
    [
        # deleted in version 4 -> (sell_online, version)
        (True, 3, (False, 2)),
        (True, 0, (False, 2)),
        (True, 5, (True, 1)),
        (False, 3, (False, 1)),
    ],
)
def test_a_switch_does_not_outlive_a_deletion_that_comes_late(
    sell_online: bool, switch_version: int, expected: tuple[bool, int]
) -> None:
    before = replace(
        place(sell_online=sell_online),
        switch_version=switch_version,
        provenance={"sell_online": ASKED, "subtitle": ASKED},
    )
    change = Change(known(plain()), known(plain()), reborn=False, outlived_version=4)
    after = listings.kept_in_step(before, change, "web", LATER)
    assert after is not None
    assert (after.sell_online, after.version) == expected
    assert after == before or after.provenance == {"subtitle": ASKED}


@pytest.mark.rule("SOR-04")
@pytest.mark.parametrize(
    ("version", "error", "expected"),
    [
        # the listing is at 5, the store holds 3 -> (pushed_version, push_time, push_error)
        (5, "", (5, LATER, "")),
        (4, "", (4, LATER, "")),
        (3, "", (3, LATER, "")),
        (2, "", (3, NOON, "old")),
        (5, "no such category", (3, NOON, "no such category")),
        (2, "no such category", (3, NOON, "old")),
        (6, "", "version"),
    ],
)
def test_a_listing_tells_what_became_of_its_pushes(
    version: int, error: str, expected: object
) -> None:
    before = place(version=5, pushed_version=3, push_time=NOON, push_error="old")
    if expected == "version":
        with pytest.raises(DomainError) as refusal:
            listings.pushed(before, version, error, LATER)
        assert refusal.value.violations[0][0] == expected
    else:
        after = listings.pushed(before, version, error, LATER)
        assert (after.pushed_version, after.push_time, after.push_error) == expected
        assert after.version == 5


# --- What belongs to the store --------------------------------------------------------------------


@pytest.mark.rule("CAT-05")
@pytest.mark.rule("CAT-08")
@pytest.mark.parametrize(
    ("images", "store_images", "images_version"),
    [
        # images of the point of sale after -> images of the store that stay, version of images
        (SHIRT.images, 2, 2),
        (tuple(replace(one, image_id="x") for one in SHIRT.images), 2, 2),
        ((*SHIRT.images, Image("", "https://img.example/3.jpg")), 0, 6),
        (SHIRT.images[::-1], 0, 6),
        ((Image("1", "https://img.example/1b.jpg"), SHIRT.images[1]), 0, 6),
        (SHIRT.images[:1], 0, 6),
        ((), 0, 6),
    ],
)
def test_an_update_of_the_product_touches_no_own_field_and_store_images_only_by_new_images(
    images: tuple[Image, ...], store_images: int, images_version: int
) -> None:
    after = replace(SHIRT, name="New", images=images)
    change = Change(known(SHIRT), known(after), reborn=False)
    found = listings.kept_in_step(FULL, change, "web", LATER)
    assert found is not None
    assert (found.own, found.provenance, found.version) == (OWN, {"subtitle": OLD}, 6)
    assert (len(found.store_image_urls), found.images_version) == (store_images, images_version)
    goes = listings.images_that_go(SHIRT, after, [FULL, place(channel_id="fair")])
    assert goes == ({} if store_images else {"web": FULL.store_image_urls})


@pytest.mark.rule("CAT-08")
@pytest.mark.parametrize(
    ("before", "after", "placement"),
    [
        (None, SHIRT, FULL),
        (SHIRT, None, FULL),
        (plain(), SHIRT, replace(FULL, deleted=True)),
        (plain(), SHIRT, replace(FULL, store_image_urls=())),
    ],
)
def test_no_images_of_a_store_go_where_there_are_none_to_keep(
    before: Product | None, after: Product | None, placement: Placement
) -> None:
    assert listings.images_that_go(before, after, [placement]) == {}


@pytest.mark.rule("CAT-11")
def test_what_was_the_stores_own_does_not_outlive_the_product() -> None:
    gone = listings.removed(FULL, LATER)
    assert (gone.own, gone.store_image_urls, gone.provenance) == (StoreFields(), (), {})
    again = listings.placed(gone, "mug-shop", "web", "mug", LATER)
    assert (again.version, again.images_version, again.pushed_version) == (7, 7, 0)


@pytest.mark.rule("CAT-05")
@pytest.mark.rule("CAT-12")
@pytest.mark.parametrize(
    ("mask", "own", "foreign"),
    [
        (["subtitle"], ["subtitle"], []),
        (["subtitle", "subtitle", "compare_to_price"], ["subtitle", "compare_to_price"], []),
        (["low_stock_threshold", "name"], ["low_stock_threshold"], ["name"]),
        (["available"], [], ["available"]),
        (["variants.price", "variants"], [], ["variants"]),
        (["image_urls", "options"], [], ["image_urls", "options"]),
    ],
)
def test_a_mask_names_own_fields_and_those_of_the_point_of_sale(
    mask: list[str], own: list[str], foreign: list[str]
) -> None:
    assert listings.edited_fields(mask) == (own, foreign)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ([], "compare_to_price, subtitle, low_stock_threshold"),
        (["*"], "compare_to_price, subtitle, low_stock_threshold"),
        (["nonsense"], "compare_to_price, subtitle, low_stock_threshold"),
        (["version"], "compare_to_price, subtitle, low_stock_threshold"),
        (["store_image_urls"], "compare_to_price, subtitle, low_stock_threshold"),
        (["compare_to_price.units"], "compare_to_price, subtitle, low_stock_threshold"),
        (["subtitle", "sell_online"], "SetSellOnline"),
    ],
)
def test_a_mask_of_anything_else_is_refused(mask: list[str], expected: str) -> None:
    with pytest.raises(DomainError) as refusal:
        listings.edited_fields(mask)
    assert refusal.value.violations[0][0] == "update_mask"
    assert expected in refusal.value.message


@pytest.mark.rule("CAT-05")
@pytest.mark.rule("SOR-04")
def test_an_own_field_that_is_set_waits_to_be_written() -> None:
    before = replace(FULL, unpushed=(("subtitle", 4),))
    wanted = StoreFields(None, "Softer", 99)
    after = listings.edited(before, wanted, ["subtitle", "compare_to_price"], ASKED, LATER)
    assert after == replace(
        before,
        version=6,
        update_time=LATER,
        own=StoreFields(None, "Softer", 3),
        unpushed=(("subtitle", 6), ("compare_to_price", 6)),
        provenance={"subtitle": ASKED, "compare_to_price": ASKED},
    )
    assert listings.edited(after, wanted, ["subtitle"], ASKED, LATER) is after


@pytest.mark.rule("CAT-05")
@pytest.mark.parametrize(
    ("version", "error", "expected"),
    [
        (4, "", (("low_stock_threshold", 6), ("subtitle", 5))),
        (5, "", (("low_stock_threshold", 6),)),
        (6, "", ()),
        (6, "no", (("low_stock_threshold", 6), ("subtitle", 5))),
    ],
)
def test_what_was_written_waits_no_more(version: int, error: str, expected: object) -> None:
    before = place(
        version=6, pushed_version=3, unpushed=(("low_stock_threshold", 6), ("subtitle", 5))
    )
    assert listings.pushed(before, version, error, LATER).unpushed == expected


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (StoreFields(Money("EUR", 1_005_000_000)), "listing.compare_to_price"),
        (StoreFields(Money("JPY", 1_500_000_000)), "listing.compare_to_price"),
        (StoreFields(Money("EUR", -1)), "listing.compare_to_price"),
        (StoreFields(Money("EUR", 10**19)), "listing.compare_to_price"),
        (StoreFields(Money("eur", 0)), "listing.compare_to_price.currency_code"),
        (StoreFields(Money("", 0)), "listing.compare_to_price.currency_code"),
        (StoreFields(subtitle="x" * 1001), "listing.subtitle"),
        (StoreFields(low_stock_threshold=-1), "listing.low_stock_threshold"),
    ],
)
def test_an_own_field_that_is_none_is_refused(values: StoreFields, field: str) -> None:
    with pytest.raises(DomainError) as refusal:
        listings.edited(FULL, values, OWN_FIELDS, ASKED, LATER)
    assert refusal.value.violations[0][0] == field


@pytest.mark.rule("CAT-05")
@pytest.mark.parametrize(
    ("values", "images", "waiting", "expected"),
    [
        # what the store has, its images, what waits to be written -> what is taken
        (OWN, FULL.store_image_urls, (), []),
        (replace(OWN, subtitle="Softer"), FULL.store_image_urls, (), ["subtitle"]),
        (replace(OWN, subtitle="Softer"), FULL.store_image_urls, (("subtitle", 5),), []),
        (StoreFields(), (), (), [*OWN_FIELDS, "store_image_urls"]),
        (OWN, ("https://store/3",), (), ["store_image_urls"]),
        (replace(OWN, compare_to_price=Money("EUR", 1)), FULL.store_image_urls, (), OWN_FIELDS[:1]),
    ],
)
def test_what_a_store_has_of_its_own_is_taken_over(
    values: StoreFields,
    images: tuple[str, ...],
    waiting: tuple[tuple[str, int], ...],
    expected: object,
) -> None:
    before = replace(FULL, unpushed=waiting)
    after, taken = listings.taken_over(before, values, images, STORE, LATER)
    assert taken == list(expected)  # type: ignore[call-overload]  # any list
    assert after.version == before.version
    for name in OWN_FIELDS:
        assert getattr(after.own, name) == getattr(values if name in taken else OWN, name)
    assert all(after.provenance[name] == STORE for name in taken)


@pytest.mark.rule("CAT-11")
@pytest.mark.rule("CAT-05")
def test_a_listing_that_the_store_lost_gets_its_own_fields_again() -> None:
    after = listings.lost(replace(FULL, own=StoreFields(subtitle="Soft")), LATER)
    assert (after.version, after.unpushed) == (6, (("subtitle", 6),))
    assert (after.store_image_urls, after.images_version) == ((), 6)


@pytest.mark.rule("SOR-04")
def test_a_listing_tells_whose_each_value_is_and_where_it_came_from() -> None:
    pos, price = Source("lightspeed_x", "w-1", NOON), Source("lightspeed_x", "w-2", LATER)
    found = replace(known(SHIRT), provenance={"": pos, "variants[shirt-s-red].retail_price": price})
    told = list(listings.sources(found, listings.listing_of(SHIRT, FULL)))
    by_field = {one.field: (one.owner, one.source) for one in told}
    assert len(by_field) == len(told)
    assert by_field["name"] == by_field["available"] == (Owner.POS, pos)
    assert by_field["variants[shirt-l-red].price"] == (Owner.POS, pos)
    assert by_field["variants[shirt-s-red].price"] == (Owner.POS, price)
    assert by_field["subtitle"] == (Owner.STORE, OLD)
    assert by_field["compare_to_price"] == (Owner.STORE, None)
    assert by_field["sell_online"] == (Owner.MERCHANT, None)
