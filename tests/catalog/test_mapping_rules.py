"""What becomes of each field on its way from the point of sale to a store, case by case."""

from dataclasses import fields, replace
from decimal import ROUND_HALF_UP, Context, Decimal

import iso4217
import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.rules import currencies, listings, mapping
from services.catalog.rules.mapping import (
    EDITED_VARIANT_FIELDS,
    LISTED_OWNERS,
    PRODUCT_FIELDS,
    VARIANT_FIELDS,
    DimensionsCm,
    Option,
    Owner,
    Shown,
    ShownVariant,
)
from services.catalog.rules.products import (
    Change,
    Dimensions,
    Image,
    LengthUnit,
    Money,
    Product,
    Variant,
    Weight,
    WeightUnit,
)
from tests.catalog.samples import PRICE, SHIRT, known
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import events_pb2


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
    assert mapping.to_kg(Weight(value, unit)) == expected


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
    shown = mapping.to_cm(Dimensions(value, "0", value, unit))
    assert shown == DimensionsCm(expected, "0", expected)


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    assert (mapping.to_kg(None), mapping.to_cm(None)) == ("", None)


@pytest.mark.rule("CAT-03")
def test_a_store_shows_the_values_of_the_point_of_sale() -> None:
    assert mapping.shown_of(SHIRT) == Shown(
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
    assert "secret" not in repr(mapping.shown_of(SHIRT)).lower()


@pytest.mark.rule("CAT-05")
def test_no_field_of_a_product_becomes_one_of_the_stores_own() -> None:
    own = {name for name, owner in LISTED_OWNERS.items() if owner is Owner.STORE}
    assert own == {"compare_to_price", "subtitle", "low_stock_threshold", "store_image_urls"}
    assert not [row for row in (*PRODUCT_FIELDS, *VARIANT_FIELDS) if row.listed in own]
    names = field_names(pb.Product.DESCRIPTOR)
    assert not [name for name in names if "compare" in name or "subtitle" in name]
    assert not [name for name in names if "threshold" in name or "limit" in name]


def test_every_field_of_a_listing_has_somebody_who_owns_it() -> None:
    keys = {"channel_id", "product_id"}
    bookkeeping = {
        *("version", "update_time", "push_time", "pushed_version", "push_error"),
        *("unpushed_fields", "images_version", "provenance"),
    }
    names = {one.name for one in pb.Listing.DESCRIPTOR.fields}
    assert set(LISTED_OWNERS) == names - keys - bookkeeping
    variant = {one.name for one in pb.ListingVariant.DESCRIPTOR.fields}
    assert variant == EDITED_VARIANT_FIELDS
    assert {f"FIELD_OWNER_{owner.name}" for owner in LISTED_OWNERS.values()} == {
        one.name for one in pb.FieldOwner.DESCRIPTOR.values if one.number
    }


ODD = "<p onclick='x()'>5 &lt; 6 &amp; <b>ümlaut</b> \N{SNOWMAN}\n\t<script>1</script></p>"


@pytest.mark.rule("CAT-03")
@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"name": "Shirt <II>"}, "name", "Shirt <II>"),
        ({"description": ODD}, "description", ODD),
        ({"description": ""}, "description", ""),
        ({"category": "Clothes / Shirts"}, "category", "Clothes / Shirts"),
        ({"brand": "Ö & Co"}, "brand", "Ö & Co"),
        ({"active": False}, "active", False),
        (
            {"attribute_names": ("Size", "Colour")},
            "options",
            (Option("Size", ("L", "S")), Option("Colour", ("Red",))),
        ),
        ({"images": ()}, "image_urls", ()),
        ({"images": (Image("9", "http://a/9"),)}, "image_urls", ("http://a/9",)),
    ],
)
def test_each_field_of_a_product_becomes_the_field_of_the_listing(
    changes: dict[str, object], field: str, expected: object
) -> None:
    product = replace(SHIRT, **changes)  # type: ignore[arg-type]  # fields of Product
    assert expected == getattr(mapping.shown_of(product), field)


@pytest.mark.rule("CAT-03")
@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"item_id": "other"}, "item_id", "other"),
        ({"sku": "s l/ü"}, "sku", "s l/ü"),
        ({"upc": "4006381333931"}, "upc", "4006381333931"),
        ({"attribute_values": ("XL", "Red")}, "option_values", ("XL", "Red")),
        ({"retail_price": Money("EUR", 0)}, "price", Money("EUR", 0)),
        ({"weight": Weight("3", WeightUnit.LB)}, "weight_kg", "1.360777"),
        ({"weight": None}, "weight_kg", ""),
        (
            {"dimensions": Dimensions("1", "2", "3", LengthUnit.YD)},
            "dimensions_cm",
            DimensionsCm("91.44", "182.88", "274.32"),
        ),
        ({"dimensions": None}, "dimensions_cm", None),
        ({"track_inventory": False}, "track_inventory", False),
    ],
)
def test_each_field_of_a_variant_becomes_the_field_of_the_listing(
    changes: dict[str, object], field: str, expected: object
) -> None:
    variant = replace(SHIRT.variants[0], **changes)  # type: ignore[arg-type]  # of Variant
    shown = mapping.shown_of(replace(SHIRT, variants=(variant, SHIRT.variants[1])))
    assert expected == getattr(shown.variants[0], field)


@pytest.mark.rule("CAT-03")
@pytest.mark.parametrize(
    ("currency", "nanos", "expected"),
    [
        ("EUR", 12_500_000_000, 12_500_000_000),
        ("EUR", 12_504_999_999, 12_500_000_000),
        ("EUR", 12_505_000_000, 12_510_000_000),
        ("EUR", 1, 0),
        ("USD", 999_999_999, 1_000_000_000),
        ("JPY", 1_499_999_999, 1_000_000_000),
        ("JPY", 1_500_000_000, 2_000_000_000),
        ("KRW", 12_000_000_000_000, 12_000_000_000_000),
        ("KWD", 1_234_500_000, 1_235_000_000),
        ("KWD", 1_234_499_999, 1_234_000_000),
        ("BHD", 1_000_000, 1_000_000),
        ("CLF", 1_234_550_000, 1_234_600_000),
        ("UYW", 49_999, 0),
        ("XXX", 5_000_000, 10_000_000),
        ("EUR", -12_505_000_000, -12_510_000_000),
    ],
)
def test_a_price_is_shown_with_the_decimals_of_its_currency(
    currency: str, nanos: int, expected: int
) -> None:
    assert currencies.rounded(Money(currency, nanos)) == Money(currency, expected)
    product = replace(
        SHIRT, variants=(replace(SHIRT.variants[0], retail_price=Money(currency, nanos)),)
    )
    assert mapping.shown_of(product).variants[0].price == Money(currency, expected)


@pytest.mark.rule("CAT-03")
def test_decimals_are_those_of_iso_4217() -> None:
    for currency in iso4217.Currency:
        exponent = currency.exponent
        assert currencies.decimals(currency.value) == (2 if exponent is None else exponent)


@pytest.mark.rule("CAT-03")
@given(
    st.sampled_from(["EUR", "JPY", "KWD", "CLF"]),
    st.integers(min_value=0, max_value=9 * 10**18),
)
def test_rounding_is_half_up(currency: str, nanos: int) -> None:
    step = Decimal(1).scaleb(-currencies.decimals(currency))
    exact = Decimal(nanos).scaleb(-9).quantize(step, ROUND_HALF_UP, Context(prec=40))
    assert currencies.rounded(Money(currency, nanos)) == Money(currency, int(exact.scaleb(9)))


@pytest.mark.rule("SOR-04")
def test_each_value_that_is_shown_has_a_path_in_its_product() -> None:
    found = dict(mapping.paths(mapping.shown_of(SHIRT)))
    assert found["image_urls"] == "images"
    assert found["available"] == "active"
    assert found["variants[shirt-l-red].price"] == "variants[shirt-l-red].retail_price"
    assert len(found) == 7 + 2 * 8


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (Money("EUR", 12_500_000_000), "12.5 EUR"),
        (DimensionsCm("1", "2", "3"), "1 x 2 x 3"),
        (("a", "b"), "a, b"),
        ((Option("Size", ("L", "S")), Option("Color", ("Red",))), "Size: L, S; Color: Red"),
        ((), ""),
    ],
)
def test_a_value_reads_as_text(value: object, expected: str) -> None:
    assert mapping.text(value) == expected


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
        {"images": SHIRT.images[::-1]},
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
