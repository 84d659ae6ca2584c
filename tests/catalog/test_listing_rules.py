"""What a store shows of a product, and its place in a channel, case by case."""

from dataclasses import fields, replace

import pytest
from google.protobuf.descriptor import Descriptor

from services.catalog.rules import listings
from services.catalog.rules.listings import (
    PRODUCT_FIELDS,
    VARIANT_FIELDS,
    DimensionsCm,
    Option,
    Owner,
    Placement,
    Shown,
    ShownVariant,
)
from services.catalog.rules.products import (
    Change,
    Dimensions,
    LengthUnit,
    Money,
    Product,
    Variant,
    Weight,
    WeightUnit,
)
from services.chassis.errors import DomainError
from tests.catalog.samples import LATER, NOON, PRICE, SHIRT, known, plain
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import events_pb2


def place(**changes: object) -> Placement:
    at = Placement(
        "mug-shop", "web", "mug", sell_online=False, version=1, deleted=False, update_time=NOON
    )
    return replace(at, **changes)  # type: ignore[arg-type]  # fields of Placement


@pytest.mark.rule("CAT-03")
@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("1", WeightUnit.KG, "1"),
        ("0.750", WeightUnit.KG, "0.75"),
        ("1", WeightUnit.G, "0.001"),
        ("340", WeightUnit.G, "0.34"),
        ("0.5", WeightUnit.G, "0.0005"),
        ("1", WeightUnit.LB, "0.453592"),
        ("2.5", WeightUnit.LB, "1.133981"),
        ("16", WeightUnit.OZ, "0.453592"),
        ("1", WeightUnit.OZ, "0.02835"),
        ("5", WeightUnit.CT, "0.001"),
        ("0.01", WeightUnit.CT, "0.000002"),
        ("0", WeightUnit.LB, "0"),
        ("0.000001", WeightUnit.G, "0"),
        ("1000", WeightUnit.KG, "1000"),
        ("999999999.999999", WeightUnit.KG, "999999999.999999"),
        ("999999999.999999", WeightUnit.LB, "453592370"),
    ],
)
def test_a_weight_is_shown_in_kilograms(value: str, unit: WeightUnit, expected: str) -> None:
    assert listings.to_kg(Weight(value, unit)) == expected


@pytest.mark.rule("CAT-03")
@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("10", LengthUnit.CM, "10"),
        ("10", LengthUnit.MM, "1"),
        ("0.1", LengthUnit.MM, "0.01"),
        ("1", LengthUnit.IN, "2.54"),
        ("0.333333", LengthUnit.IN, "0.846666"),
        ("2", LengthUnit.YD, "182.88"),
        ("999999999.999999", LengthUnit.YD, "91439999999.999909"),
    ],
)
def test_dimensions_are_shown_in_centimeters(value: str, unit: LengthUnit, expected: str) -> None:
    shown = listings.to_cm(Dimensions(value, "0", value, unit))
    assert shown == DimensionsCm(expected, "0", expected)


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    assert (listings.to_kg(None), listings.to_cm(None)) == ("", None)


@pytest.mark.rule("CAT-03")
def test_a_store_shows_the_values_of_the_point_of_sale() -> None:
    assert listings.shown_of(SHIRT) == Shown(
        name="Shirt",
        description="<p>Linen</p>",
        category="Clothes",
        brand="Fjord",
        active=True,
        options=(Option("Size", ("L", "S")), Option("Color", ("Red",))),
        variants=(
            ShownVariant(
                item_id="shirt-l-red",
                sku="S-L-R",
                upc="0001",
                option_values=("L", "Red"),
                price=PRICE,
                weight_kg="0.226796",
                dimensions_cm=DimensionsCm("25.4", "20.32", "1.27"),
                track_inventory=True,
            ),
            ShownVariant("shirt-s-red", "S-S-R", "", ("S", "Red"), PRICE, "", None, False),
        ),
        image_urls=("https://img.example/1.jpg", "https://img.example/2.jpg"),
    )


@pytest.mark.rule("CAT-03")
@pytest.mark.rule("CAT-04")
def test_every_field_of_a_product_is_either_shown_or_named_as_private() -> None:
    names = {"version", "observe_time", "update_time", "product_id"}
    of_products = [row.field for row in PRODUCT_FIELDS]
    assert len(of_products) == len(set(of_products))
    assert set(of_products) == {one.name for one in fields(Product)} - names
    assert set(of_products) == {one.name for one in pb.Product.DESCRIPTOR.fields} - names
    of_variants = [row.field for row in VARIANT_FIELDS]
    assert len(of_variants) == len(set(of_variants))
    assert {*of_variants, "active"} == {one.name for one in fields(Variant)}
    assert {*of_variants, "active"} == {one.name for one in pb.Variant.DESCRIPTOR.fields}


@pytest.mark.rule("CAT-04")
def test_private_fields_are_in_no_row_of_what_is_shown() -> None:
    private = {
        row.field for row in (*PRODUCT_FIELDS, *VARIANT_FIELDS) if row.owner is Owner.POS_ONLY
    }
    assert private == {"handle", "tags", "supplier", "supply_price", "supplier_code"}
    assert not any(row.shown for row in PRODUCT_FIELDS if row.field in private)
    assert not any(row.shown for row in VARIANT_FIELDS if row.field in private)


@pytest.mark.rule("CAT-04")
@pytest.mark.parametrize(
    "message",
    [
        pb.Listing.DESCRIPTOR,
        events_pb2.ListingChanged.DESCRIPTOR,
        events_pb2.ProductChanged.DESCRIPTOR,
    ],
    ids=lambda message: message.name,
)
def test_no_message_for_a_channel_has_a_private_field(message: Descriptor) -> None:
    words = ("handle", "suppl", "reorder", "tax", "tag")
    names = set(field_names(message))
    assert names
    assert not [name for name in names if any(word in name for word in words)]


def field_names(message: Descriptor) -> list[str]:
    names = []
    for field in message.fields:
        names.append(field.name)
        if field.message_type and field.message_type.full_name.startswith("tillbridge."):
            names += field_names(field.message_type)
    return names


@pytest.mark.rule("CAT-04")
def test_a_change_of_private_fields_is_not_to_be_seen_in_a_listing() -> None:
    changed = replace(
        SHIRT,
        handle="h",
        tags=("t",),
        supplier="s",
        variants=(
            replace(SHIRT.variants[0], supply_price=None, supplier_code="c"),
            *SHIRT.variants[1:],
        ),
    )
    assert changed != SHIRT
    assert not listings.shows_anew(Change(known(SHIRT), known(changed), reborn=False))
    assert "secret" not in repr(listings.shown_of(SHIRT)).lower()


@pytest.mark.rule("CAT-05")
def test_the_catalog_has_no_field_that_belongs_to_the_store() -> None:
    names = {*field_names(pb.Listing.DESCRIPTOR), *field_names(pb.Product.DESCRIPTOR)}
    assert not [name for name in names if "compare" in name or "subtitle" in name]
    assert not [name for name in names if "threshold" in name or "limit" in name]


@pytest.mark.rule("CAT-06")
@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Shirt II"},
        {"description": "<p>Silk</p>"},
        {"category": "Shirts"},
        {"brand": ""},
        {"active": False},
        {"attribute_names": ("Size", "Colour")},
        {"images": SHIRT.images[:1]},
        {"variants": SHIRT.variants[:1]},
        {"variants": (SHIRT.variants[1], SHIRT.variants[0], SHIRT.variants[2])},
        {"variants": (replace(SHIRT.variants[0], sku="NEW"), *SHIRT.variants[1:])},
        {"variants": (replace(SHIRT.variants[0], upc="2"), *SHIRT.variants[1:])},
        {"variants": (replace(SHIRT.variants[0], weight=None), *SHIRT.variants[1:])},
        {"variants": (replace(SHIRT.variants[0], dimensions=None), *SHIRT.variants[1:])},
        {
            "variants": (
                replace(SHIRT.variants[0], retail_price=Money("EUR", 1)),
                *SHIRT.variants[1:],
            )
        },
        {"variants": (replace(SHIRT.variants[0], track_inventory=False), *SHIRT.variants[1:])},
        {"variants": (*SHIRT.variants[:2], replace(SHIRT.variants[2], active=True))},
    ],
)
def test_a_change_of_any_shown_field_is_to_be_seen(changes: dict[str, object]) -> None:
    changed = replace(SHIRT, **changes)  # type: ignore[arg-type]  # fields of Product
    assert listings.shows_anew(Change(known(SHIRT), known(changed), reborn=False))


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
    after = listings.switched(place(sell_online=before), asked, LATER)
    assert (after.sell_online, after.version) == (asked, version)


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
