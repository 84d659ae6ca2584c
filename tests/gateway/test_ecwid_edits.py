"""What a store shows otherwise than a listing would have it, edit by edit."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.ecom import Figure
from gateway.ecom.ecwid.edits import report_of
from gateway.ecom.ecwid.listings import Units, image_mark, own_fields, product_body
from gateway.records import BadRecordError, amount, money, parse_json
from tillbridge.catalog.v1 import catalog_pb2, drift_pb2

UNITS = Units("NZD", Decimal(1), Decimal(1))
POUNDS = Units("NZD", Decimal("0.45359237"), Decimal("2.54"))
GOLDEN = Path(__file__).parent / "golden"
DATA = Path(__file__).parents[3] / "shared/data/ecwid"
URL = "https://images.example/mug.jpg"
OWN_FIELDS = ("compare_to_price", "subtitle", "low_stock_threshold")

Product = dict[str, Any]
CHANGED = drift_pb2.EDIT_KIND_FIELD_CHANGED
ADDED = drift_pb2.EDIT_KIND_VARIANT_ADDED
REMOVED = drift_pb2.EDIT_KIND_VARIANT_REMOVED


def variant(item_id: str, *values: str, **changes: Any) -> catalog_pb2.ListingVariant:
    return catalog_pb2.ListingVariant(
        **{
            "item_id": item_id,
            "sku": item_id.upper(),
            "upc": "0614121182479",
            "option_values": values,
            "price": money(Decimal("23.5"), "NZD"),
            "weight_kg": "0.35",
            "dimensions_cm": catalog_pb2.DimensionsCm(length="12", width="9", height="10"),
            "track_inventory": True,
            **changes,
        }
    )


MUG = catalog_pb2.Listing(
    channel_id="ch",
    product_id="mug",
    name="Mug",
    description='<p class="a" id="b">Hand &amp; made<br/></p>',
    category="Kitchen",
    brand="Saltmarsh",
    available=True,
    sell_online=True,
    variants=[variant("mug-item")],
    image_urls=[URL],
    version=4,
    pushed_version=4,
    images_version=1,
)
TEE = catalog_pb2.Listing(
    channel_id="ch",
    product_id="tee",
    name="Tee",
    description="<p>Soft</p>",
    category="Clothing",
    brand="Saltmarsh",
    available=True,
    sell_online=True,
    options=[
        catalog_pb2.ListingOption(name="Size", values=["S", "M"]),
        catalog_pb2.ListingOption(name="Color", values=["Navy"]),
    ],
    variants=[
        variant("tee-s", "S", "Navy"),
        variant("tee-m", "M", "Navy", price=money(Decimal("25.25"), "NZD"), weight_kg="0.4"),
    ],
    image_urls=[URL, "https://images.example/back.jpg"],
    version=7,
    pushed_version=7,
    images_version=2,
    compare_to_price=money(Decimal("29.9"), "NZD"),
    subtitle="New",
    low_stock_threshold=3,
)


def in_store(listing: catalog_pb2.Listing, units: Units = UNITS) -> Product:
    """What the store holds after the listing was written: its own reading of our body."""
    body = product_body(listing, {}, None, units, 7)
    for item in (body, *body["combinations"]):
        item["attributes"] = [
            {"id": 1, "type": attribute["alias"], "name": attribute["alias"], "show": "DESCR"}
            | {"value": attribute["value"]}
            for attribute in item["attributes"]
            if attribute["value"]
        ]
    product: Product = {
        **body,
        "id": 692730761,
        "categories": [{"id": 7, "name": listing.category, "enabled": True}],
        "media": {"images": [image(url, index, ours=True) for index, url in enumerate(URLS)]},
        "updateTimestamp": 1725434412,
    }
    for index, combination in enumerate(product["combinations"]):
        combination["id"] = index + 1
    product["media"]["images"] = product["media"]["images"][: len(listing.image_urls)]
    read: Product = parse_json(json.dumps(product))
    return read


URLS = list(TEE.image_urls)


def image(url: str, index: int = 0, *, ours: bool = False) -> Product:
    mark = {"externalId": image_mark(url)} if ours else {}
    return {"id": str(index), "isMain": index == 0, "imageOriginalUrl": url, **mark}


Change = Callable[[Product], object]


def compared(
    listing: catalog_pb2.Listing, change: Change = lambda _: None, units: Units = UNITS
) -> drift_pb2.ReportListingEditRequest:
    product = in_store(listing, units)
    change(product)
    return report_of(listing, product, units)


def told(
    report: drift_pb2.ReportListingEditRequest,
) -> list[tuple[int, str, str, str, str]]:
    return [(e.kind, e.field, e.item_id, e.store_value, e.own_value) for e in report.edits]


@pytest.mark.rule("BEY-16")
@pytest.mark.parametrize("units", [UNITS, POUNDS])
@pytest.mark.parametrize("listing", [MUG, TEE])
def test_what_we_wrote_ourselves_is_no_edit(listing: catalog_pb2.Listing, units: Units) -> None:
    report = compared(listing, units=units)

    assert not report.edits
    assert (listing.channel_id, listing.product_id, listing.version) == (
        report.channel_id,
        report.product_id,
        report.version,
    )
    assert report.store_update_time.seconds == 1725434412


def put(name: str, value: Any) -> Change:
    return lambda product: product.update({name: value})


def put_variant(index: int, name: str, value: Any) -> Change:
    return lambda product: product["combinations"][index].update({name: value})


BRAND = [{"type": "BRAND", "value": "Acme"}, {"type": "UPC", "value": "0614121182479"}]
NO_UPC = [{"type": "BRAND", "value": "Saltmarsh"}]
TWO_CATEGORIES = [{"name": "Kitchen"}, {"name": "Sale"}]
LARGE = {"type": "SELECT", "name": "Size", "choices": [{"text": "L", "priceModifier": 5}]}
FLAT = {"length": 12, "width": 9, "height": 1}


@pytest.mark.rule("CAT-07")
@pytest.mark.rule("CAT-10")
@pytest.mark.parametrize(
    ("change", "field", "item_id", "store_value", "own_value"),
    [
        (put("name", "Cup"), "name", "", "Cup", "Mug"),
        (put("description", "<p>Cheap</p>"), "description", "", "<p>Cheap</p>", MUG.description),
        (put("attributes", BRAND), "brand", "", "Acme", "Saltmarsh"),
        (put("enabled", False), "available", "", "false", "true"),
        (put("options", [LARGE]), "options", "", "Size: L (+5)", ""),
        (put("categories", []), "category", "", "", "Kitchen"),
        (put("categories", TWO_CATEGORIES), "category", "", "Kitchen, Sale", "Kitchen"),
        (put("sku", "CUP"), "sku", "mug-item", "CUP", "MUG-ITEM"),
        (put("attributes", NO_UPC), "upc", "mug-item", "", "0614121182479"),
        (put("price", Decimal("23.49")), "price", "mug-item", "23.49", "23.5"),
        (put("weight", Decimal("0.4")), "weight_kg", "mug-item", "0.4", "0.35"),
        (put("weight", None), "weight_kg", "mug-item", "0", "0.35"),
        (put("dimensions", FLAT), "dimensions_cm", "mug-item", "12 x 9 x 1", "12 x 9 x 10"),
        (put("media", {"images": []}), "image_urls", "", "", URL),
    ],
)
def test_an_edit_of_a_product_is_told_with_both_values(
    change: Change, field: str, item_id: str, store_value: str, own_value: str
) -> None:
    assert [(CHANGED, field, item_id, store_value, own_value)] == told(compared(MUG, change))


S_NAVY = [{"name": "Size", "value": "S"}, {"name": "Color", "value": "Red"}]


@pytest.mark.rule("CAT-07")
@pytest.mark.parametrize(
    ("change", "field", "item_id", "store_value", "own_value"),
    [
        (put_variant(0, "sku", "X"), "sku", "tee-s", "X", "TEE-S"),
        (put_variant(1, "price", 20), "price", "tee-m", "20", "25.25"),
        (put_variant(1, "price", None), "price", "tee-m", "23.5", "25.25"),
        (put_variant(1, "weight", 1), "weight_kg", "tee-m", "1", "0.4"),
        (put_variant(1, "attributes", []), "upc", "tee-m", "", "0614121182479"),
        (
            put_variant(0, "options", S_NAVY),
            "option_values",
            "tee-s",
            "Color: Red, Size: S",
            "Color: Navy, Size: S",
        ),
        (put("price", 1), "price", "tee-s", "1", "23.5"),
        (put("options", []), "options", "", "", "Size: S, M; Color: Navy"),
    ],
)
def test_an_edit_of_a_variant_is_told_with_both_values(
    change: Change, field: str, item_id: str, store_value: str, own_value: str
) -> None:
    assert [(CHANGED, field, item_id, store_value, own_value)] == told(compared(TEE, change))


@pytest.mark.parametrize(
    ("listing", "change"),
    [
        (MUG, put("name", " Mug ")),
        (MUG, put("description", "<P id=b class=a> Hand &#38;\n made<br></P>")),
        (MUG, put("description", MUG.description + "<script>alert('x')</script>")),
        (MUG, put("price", Decimal("23.504"))),
        (MUG, put("weight", Decimal("0.350004"))),
        (MUG, lambda product: product.pop("categories")),
        (MUG, put("quantity", 99)),
        (TEE, put("sku", "00042")),
        (TEE, lambda product: product["combinations"].reverse()),
        (TEE, lambda product: product["combinations"][0]["options"].reverse()),
        (TEE, lambda product: product["combinations"][0].pop("price")),
        (TEE, lambda product: product["media"]["images"].reverse()),
        (TEE, put_variant(0, "quantity", 99)),
    ],
)
def test_what_the_platform_does_to_what_it_is_given_is_no_edit(
    listing: catalog_pb2.Listing, change: Change
) -> None:
    assert told(compared(listing, change)) == []


def test_markup_that_is_shown_as_text_is_not_the_same() -> None:
    report = compared(MUG, put("description", "&lt;p&gt;Hand &amp; made&lt;/p&gt;"))

    assert [edit.field for edit in report.edits] == ["description"]


@pytest.mark.rule("CAT-09")
@pytest.mark.parametrize(
    ("combination", "told_as"),
    [
        ({"sku": "TEE-L", "options": []}, "TEE-L"),
        ({"options": [{"name": "Size", "value": "L"}]}, "Size: L"),
        ({"sku": "X", "externalReferenceId": "unknown"}, "X"),
        ({"sku": "TWICE", "externalReferenceId": "tee-s"}, "TWICE"),
    ],
)
def test_a_variant_that_was_added_is_told_by_its_sku_or_options(
    combination: Product, told_as: str
) -> None:
    report = compared(TEE, lambda product: product["combinations"].append({"id": 9, **combination}))

    assert [(ADDED, "", "", told_as, "")] == told(report)


@pytest.mark.rule("CAT-09")
def test_a_variant_that_was_added_to_a_product_without_options_is_told() -> None:
    report = compared(MUG, put("combinations", [{"id": 1, "sku": "MUG-XL"}]))

    assert told(report) == [(ADDED, "", "", "MUG-XL", "")]


def test_a_variant_that_was_removed_is_told() -> None:
    report = compared(TEE, lambda product: product["combinations"].pop())

    assert told(report) == [(REMOVED, "", "tee-m", "", "TEE-M")]


@pytest.mark.rule("CAT-08")
def test_an_image_that_was_added_is_the_store_s_own() -> None:
    theirs = "https://images.example/theirs.jpg"
    report = compared(MUG, lambda product: product["media"]["images"].append(image(theirs, 1)))

    assert (list(report.edits), list(report.store_image_urls)) == ([], [theirs])


@pytest.mark.rule("CAT-05")
def test_the_store_s_own_fields_are_told_and_are_no_edit() -> None:
    nothing = compared(MUG)
    own = {"compareToPrice": Decimal("29.95"), "subtitle": "Hot", "warningLimit": 2}
    report = compared(MUG, lambda product: product.update(own))

    assert nothing.store_fields == drift_pb2.StoreFields()
    assert nothing.HasField("store_fields")
    fields = report.store_fields
    assert not report.edits
    assert (amount(fields.compare_to_price), fields.compare_to_price.currency_code) == (
        Decimal("29.95"),
        "NZD",
    )
    assert (fields.subtitle, fields.low_stock_threshold) == ("Hot", 2)


@pytest.mark.parametrize(
    "own",
    [
        {"compareToPrice": None, "subtitle": None, "warningLimit": None},
        {"compareToPrice": 0, "subtitle": "", "warningLimit": -1},
        {"compareToPrice": -5, "subtitle": "\x00", "warningLimit": 2**31},
        {"compareToPrice": "x", "subtitle": [], "warningLimit": "many"},
    ],
)
def test_own_fields_that_say_nothing_are_absent(own: Mapping[str, Any]) -> None:
    report = compared(MUG, lambda product: product.update(own))

    assert report.store_fields == drift_pb2.StoreFields()


def test_text_that_no_service_stores_is_taken_out_and_what_is_long_is_cut() -> None:
    report = compared(MUG, put("name", "\x00C\u202eup" + "x" * 20_000))

    assert report.edits[0].store_value.startswith("Cup")
    assert len(report.edits[0].store_value) == 10_000


def test_a_listing_that_the_store_cannot_hold_is_not_compared() -> None:
    listing = deepcopy(MUG)
    listing.variants[0].price.currency_code = "EUR"
    with pytest.raises(BadRecordError, match="EUR"):
        report_of(listing, in_store(MUG), UNITS)


# Golden files: a listing as the API wants it, beside the platform's documented example.


def written(listing: catalog_pb2.Listing) -> Product:
    figures = {one.item_id: Figure(8) for one in listing.variants}
    names = OWN_FIELDS if listing.subtitle else ()
    return product_body(listing, figures, None, UNITS, 7) | own_fields(listing, names, UNITS)


@pytest.mark.rule("CAT-03")
@pytest.mark.rule("CAT-04")
@pytest.mark.parametrize(("name", "listing"), [("simple", MUG), ("variants", TEE)])
def test_the_body_we_write_is_the_golden_one(name: str, listing: catalog_pb2.Listing) -> None:
    golden = json.loads((GOLDEN / f"listing_{name}.json").read_text())

    assert golden == json.loads(json.dumps(written(listing)))


REFERENCE: Mapping[str, Any] = {
    "externalReferenceId": "text",
    "quantity": 1,
    "categoryIds": [1],
    "subtitle": "text",
    "attributes": [{"alias": "UPC", "value": "text"}],
    "combinations": [
        {
            "externalReferenceId": "text",
            "sku": "text",
            "price": 1,
            "weight": 1,
            "quantity": 1,
            "attributes": [{"alias": "UPC", "value": "text"}],
        }
    ],
}
"""Fields of the API's reference that the documented examples, which have few of them, lack."""


@pytest.mark.skipif(not DATA.exists(), reason="the reference data is not here")
@pytest.mark.parametrize("name", ["simple", "variants"])
def test_every_key_we_write_is_the_platform_s_own_and_of_its_type(name: str) -> None:
    golden = json.loads((GOLDEN / f"listing_{name}.json").read_text())
    product = json.loads((DATA / "products__get-product.json").read_text())
    found = json.loads((DATA / "products__search-products.json").read_text())["items"]
    documented: dict[str, str] = {}
    for example in (product, *found, REFERENCE):
        documented.update(_kinds(example))

    assert {path: documented.get(path, "missing") for path in _kinds(golden)} == _kinds(golden)


def _kinds(value: Any, path: str = "") -> dict[str, str]:
    """The JSON type behind each path of a value; elements of a list share one."""
    if isinstance(value, dict):
        kinds = {path: "object"}
        for key, inner in value.items():
            kinds |= _kinds(inner, f"{path}.{key}")
        return kinds
    if isinstance(value, list):
        kinds = {path: "list"}
        for element in value:
            kinds |= _kinds(element, f"{path}[]")
        return kinds
    if isinstance(value, bool):
        return {path: "boolean"}
    return {path: "number" if isinstance(value, int | float) else "text"}
