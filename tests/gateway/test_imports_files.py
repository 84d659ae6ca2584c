"""Product files: what is read of them, and what is refused, row by row (BEY-15)."""

import csv
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.imports.files import FAMILY_ROWS_MAX, Draft, ProductFile
from gateway.imports.rows import BadFileError
from gateway.records import amount
from tillbridge.catalog.v1 import catalog_pb2

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogs"
HEADER = (
    *("id", "handle", "sku", "name", "description", "product_category"),
    *("variant_option_one_name", "variant_option_one_value"),
    *("variant_option_two_name", "variant_option_two_value"),
    *("tags", "supply_price", "retail_price", "brand_name", "supplier_name", "supplier_code"),
    *("active", "track_inventory", "inventory_Main", "reorder_point_Main"),
)
MUG = {"handle": "mug", "sku": "MUG", "name": "Mug", "retail_price": "12.50"}
SHOPIFY = (
    *("Handle", "Title", "Option1 Name", "Option1 Value", "Variant SKU", "Variant Price"),
    *("Variant Grams", "Variant Weight Unit", "Variant Inventory Tracker", "Variant Barcode"),
    *("Image Src", "Image Position", "Published", "Cost per item"),
)


def written(path: Path, rows: Sequence[Mapping[str, str]], header: Sequence[str] = HEADER) -> Path:
    """A file with these rows."""
    file = path / "products.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return file


def drafts(path: Path, next_row: int = 1, format_name: str = "") -> list[Draft]:
    return list(ProductFile(path, format_name, "EUR").drafts(next_row))


def refused(found: Sequence[Draft]) -> list[tuple[int, str]]:
    return [(row.row, row.message) for draft in found for row in draft.refused]


def products(found: Sequence[Draft]) -> list[catalog_pb2.Product]:
    return [draft.product for draft in found if draft.product]


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data is not beside the repository")
@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    ("name", "counts", "prices"),
    [
        (
            "shopify-apparel.csv",
            (22, 20, 22, 20),
            {"ocean-blue-shirt": "50", "classic-varsity-top": "60", "led-high-tops": "80"},
        ),
        (
            "shopify-home-and-garden.csv",
            (21, 20, 21, 21),
            {"clay-plant-pot": "9.99", "pink-armchair": "750", "bedside-table": "69.99"},
        ),
    ],
)
def test_a_real_file_is_read_whole(
    name: str, counts: tuple[int, int, int, int], prices: Mapping[str, str]
) -> None:
    rows, count, variants, images = counts
    found = drafts(REAL / name)
    assert refused(found) == []
    assert sum(draft.row_count for draft in found) == rows
    read = {product.product_id: product for product in products(found)}
    assert len(read) == count
    assert sum(len(product.variants) for product in read.values()) == variants
    assert sum(len(product.images) for product in read.values()) == images
    for product_id, price in prices.items():
        assert amount(read[product_id].variants[0].retail_price) == Decimal(price)


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data is not beside the repository")
def test_a_real_product_with_variants_is_as_its_rows_say() -> None:
    pot = products(drafts(REAL / "shopify-home-and-garden.csv"))[0]
    assert (pot.product_id, pot.name, pot.brand, pot.category, pot.active) == (
        "clay-plant-pot",
        "Clay Plant Pot",
        "Company 123",
        "Outdoor",
        True,
    )
    assert pot.description == "<p>Classic blown clay pot for plants</p>"
    assert (list(pot.attribute_names), list(pot.tags)) == (["Size"], ["Pot", "Plants"])
    assert [
        (one.item_id, *one.attribute_values, amount(one.retail_price), one.track_inventory)
        for one in pot.variants
    ] == [
        ("clay-plant-pot:Regular", "Regular", Decimal("9.99"), False),
        ("clay-plant-pot:Large", "Large", Decimal("15.99"), False),
    ]
    assert [image.url.rsplit("/", 1)[1] for image in pot.images] == [
        "single-sprout-in-a-pot_925x.jpg",
        "pot-with-a-single-sprout_925x.jpg",
    ]


@pytest.mark.rule("BEY-15")
def test_rows_of_a_handle_are_one_product(tmp_path: Path) -> None:
    size = {"variant_option_one_name": "Size", "variant_option_two_name": "Color"}
    tee = {"handle": "tee", "name": "Tee", "retail_price": "20.00000", **size}
    rows = [
        tee | {"sku": "T1", "variant_option_one_value": "S", "variant_option_two_value": "Red",
               "tags": "summer, sale", "brand_name": "Fjord", "supplier_name": "Sup",
               "product_category": "Tops", "supply_price": "8.1", "supplier_code": "C",
               "active": "1", "track_inventory": "0", "description": "a,\n\"b\""},
        tee | {"sku": "T2", "variant_option_one_value": "M", "variant_option_two_value": "Red",
               "active": "0"},
        {"id": "7f", **MUG},
    ]  # fmt: skip
    found = drafts(written(tmp_path, rows))
    first, mug = products(found)
    assert (found[0].first_row, found[0].row_count, found[1].first_row) == (2, 2, 4)
    assert list(first.attribute_names) == ["Size", "Color"]
    assert [(one.item_id, one.sku, list(one.attribute_values)) for one in first.variants] == [
        ("tee:S/Red", "T1", ["S", "Red"]),
        ("tee:M/Red", "T2", ["M", "Red"]),
    ]
    assert (first.active, first.variants[0].active, first.variants[1].active) == (True, True, False)
    assert not first.variants[0].track_inventory
    assert not first.variants[1].HasField("track_inventory")
    assert (first.category, first.brand, first.supplier) == ("Tops", "Fjord", "Sup")
    assert (first.description, list(first.tags)) == ('a,\n"b"', ["summer", "sale"])
    assert amount(first.variants[0].supply_price) == Decimal("8.1")
    assert (mug.product_id, mug.variants[0].item_id, mug.handle) == ("7f", "7f", "mug")


@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("retail_price", "abc", "retail_price: must be a number such as 12.50"),
        ("retail_price", "-1", "retail_price: must not be negative"),
        ("retail_price", "NaN", "retail_price: must be a number"),
        ("retail_price", "1e3", "retail_price: must be a number"),
        ("retail_price", "1,200.00", "retail_price: must be a number"),
        ("retail_price", "1.0000000001", "retail_price: must have at most 9 decimals"),
        ("retail_price", "", "retail_price: is empty"),
        ("supply_price", "€5", "supply_price: must be a number"),
        ("active", "maybe", "active: must be 1 or 0"),
        ("track_inventory", "2", "track_inventory: must be 1 or 0"),
        ("handle", "", "handle: is empty"),
        ("name", "M\x00g", "name: must not contain the character U+0000"),
        ("variant_option_one_value", "S", "variant_option_one_name: has"),
    ],
)
def test_a_bad_value_refuses_its_product_and_no_other(
    tmp_path: Path, column: str, value: str, said: str
) -> None:
    rows = [MUG | {"handle": "a"}, MUG | {"handle": "b", column: value}, MUG | {"handle": "c"}]
    found = drafts(written(tmp_path, rows))
    ((row, message),) = refused(found)
    assert row == 3
    assert message.startswith(said)
    assert [product.product_id for product in products(found)] == ["a", "c"]


def test_every_row_of_a_refused_product_is_named(tmp_path: Path) -> None:
    size = {"handle": "tee", "name": "Tee", "variant_option_one_name": "Size"}
    rows = [
        size | {"variant_option_one_value": "S", "retail_price": "1"},
        size | {"variant_option_one_value": "M", "retail_price": "x"},
        size | {"variant_option_one_value": "L", "retail_price": "1"},
    ]
    found = refused(drafts(written(tmp_path, rows)))
    assert [row for row, _ in found] == [2, 3, 4]
    assert found[1][1].startswith("retail_price: must be")
    assert found[0][1].startswith("as row 3 of its product: retail_price")


@pytest.mark.rule("BEY-15")
def test_a_product_that_stands_in_two_places_is_refused_the_second_time(tmp_path: Path) -> None:
    rows = [MUG, MUG | {"handle": "b"}, MUG, MUG | {"handle": "c"}]
    file = written(tmp_path, rows)
    found = drafts(file)
    ((row, message),) = refused(found)
    assert (row, "stands at row 2 already" in message) == (4, True)
    assert [product.product_id for product in products(found)] == ["mug", "b", "c"]
    assert refused(drafts(file, next_row=4)) == [(row, message)]


def test_a_sku_that_repeats_says_nothing(tmp_path: Path) -> None:
    rows = [MUG, MUG | {"handle": "b", "sku": "B"}, MUG | {"handle": "c"}]
    assert [list(draft.skus) for draft in drafts(written(tmp_path, rows))] == [[""], ["B"], [""]]


def test_reading_goes_on_at_any_product(tmp_path: Path) -> None:
    rows = [MUG | {"handle": f"p{number}"} for number in range(5)]
    file = written(tmp_path, rows)
    assert [draft.first_row for draft in drafts(file, next_row=4)] == [4, 5, 6]
    assert ProductFile(file, "", "EUR").row_count == 6


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x,mug2,S,M,,,,,,,,,1,,,,,,,,extra", "row: has 21 cells, but the header has 20"),
        ('x,"mug"2,S,M', "row: its quotes do not fit"),
    ],
)
def test_a_row_that_is_none_is_refused_with_its_neighbors_only(
    tmp_path: Path, line: str, said: str
) -> None:
    good = [f",{name},,N,,,,,,,,,1,,,,,,," for name in ("a", "b", "c", "d")]
    file = tmp_path / "products.csv"
    file.write_text("\n".join([",".join(HEADER), *good[:2], line, *good[2:]]))
    found = drafts(file)
    assert any(message.startswith(said) for row, message in refused(found) if row == 4)
    kept = [product.product_id for product in products(found)]
    assert kept[0] == "a"
    assert kept[-1] == "d"


def test_blank_rows_count_and_are_nothing(tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_text("handle,sku,name,retail_price\n\na,1,A,1\n,,,\nb,2,B,1\n\n")
    found = drafts(file)
    assert [(draft.first_row, draft.row_count) for draft in found] == [(3, 1), (5, 1)]
    assert ProductFile(file, "", "EUR").row_count == 6


def test_a_family_has_a_limit(tmp_path: Path) -> None:
    rows = [MUG] * (FAMILY_ROWS_MAX + 1) + [MUG | {"handle": "b"}]
    found = drafts(written(tmp_path, rows))
    assert len(refused(found)) == FAMILY_ROWS_MAX + 1
    assert [product.product_id for product in products(found)] == ["b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "is a spreadsheet"),
        ("handle,sku".encode("utf-16"), "UTF-16"),
        (b"handle,sku,name,retail_price\na,1,Caf\xe9,1\n", "byte 0xE9"),
        (b"handle,name\na,1\n", "looks like an X-Series product export, but has no column `sku`"),
        (b"Handle,Title\na,1\n", "looks like"),
        (b"foo,bar\n1,2\n", "has no known columns"),
        (b"handle,sku,name,retail_price,name\n", "has name more than once"),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_would_help(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "products.csv"
    file.write_bytes(content)
    with pytest.raises(BadFileError, match=said.replace("`", ".")):
        drafts(file)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_byte_order_mark_and_other_delimiters_do_no_harm(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "products.csv"
    text = "Handle,SKU,Name,Retail_Price\na,1,Ä,1\n".replace(",", delimiter)
    file.write_text(text, encoding="utf-8-sig")
    (product,) = products(drafts(file))
    assert product.name == "Ä"


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    layout = ProductFile(written(tmp_path, [MUG]), "", "EUR").layout
    assert list(layout.unread) == ["inventory_main", "reorder_point_main"]


@pytest.mark.rule("BEY-15")
def test_further_rows_add_images_or_variants(tmp_path: Path) -> None:
    tee = {"Handle": "tee", "Option1 Value": "S", "Variant Price": "1"}
    rows = [
        tee | {"Title": "Tee", "Option1 Name": "Size", "Image Src": "https://x/2", "Published":
               "TRUE", "Image Position": "2", "Variant Grams": "250", "Variant Weight Unit": "kg",
               "Variant SKU": "'0123", "Variant Barcode": "'4006381333931", "Cost per item": ".5",
               "Variant Inventory Tracker": "shopify"},
        {"Handle": "tee", "Image Src": "https://x/1", "Image Position": "1"},
        tee | {"Option1 Value": "M", "Variant Grams": "100", "Variant Weight Unit": "oz",
               "Image Src": "https://x/2"},
    ]  # fmt: skip
    rows[0]["Cost per item"] = "0.5"
    (tee_product,) = products(drafts(written(tmp_path, rows, SHOPIFY)))
    assert [image.url for image in tee_product.images] == ["https://x/1", "https://x/2"]
    small, medium = tee_product.variants
    assert (small.sku, small.upc, small.track_inventory) == ("0123", "4006381333931", True)
    assert (small.weight.value, small.weight.unit) == ("0.25", catalog_pb2.WEIGHT_UNIT_KG)
    assert (medium.weight.value, medium.weight.unit) == ("100", catalog_pb2.WEIGHT_UNIT_G)
    assert amount(small.supply_price) == Decimal("0.5")
    assert not medium.track_inventory


def test_an_option_that_the_first_row_does_not_name_is_not_lost(tmp_path: Path) -> None:
    rows = [
        {"Handle": "a", "Title": "A", "Variant Price": "1"},
        {"Handle": "a", "Option1 Value": "Red", "Variant Price": "1"},
    ]
    found = refused(drafts(written(tmp_path, rows, SHOPIFY)))
    assert found[1][1].startswith("Option1 Value: is `Red`, but")
