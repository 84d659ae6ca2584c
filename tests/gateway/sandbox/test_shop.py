"""The sample shop is what tests and visitors count on."""

from gateway.sandbox import shop
from gateway.sandbox.shop_products import FAMILIES, barcode


def test_it_has_something_of_every_kind() -> None:
    assert len(FAMILIES) >= 14
    assert {family.weight_unit for family in FAMILIES} == {"G", "KG", "LB", "OZ"}
    assert {"IN", "CM"} <= {family.size_unit for family in FAMILIES}
    assert {len(family.attributes) for family in FAMILIES} == {0, 1, 2, 3}
    assert [f.handle for f in FAMILIES if not f.active] == ["ferry-model"]
    assert [f.handle for f in FAMILIES if not f.tracked] == ["gift-wrapping"]
    only_harbour = [
        variant.sku
        for family in FAMILIES
        for variant in family.variants
        if len(family.variants) == 1 and variant.stock[0] == 0 < variant.stock[1]
    ]
    assert only_harbour == ["CHART"]
    assert [outlet.name for outlet in shop.OUTLETS] == ["Main", "Harbour"]


def test_skus_and_barcodes_are_unique_and_valid() -> None:
    variants = [variant for family in FAMILIES for variant in family.variants]
    codes = [barcode(variant.barcode) for variant in variants]
    assert len({variant.sku for variant in variants}) == len(variants)
    assert len(set(codes)) == len(codes)
    assert {kind for kind, _ in codes} == {"UPC", "EAN"}
    # The check digit of a well-known code.
    assert barcode("03600029145") == ("UPC", "036000291452")


def test_ids_are_the_same_in_every_run() -> None:
    assert shop.product_id("MUG") == "0e7ef03f-8b30-5b01-82ba-c91f515adfbd"
    assert shop.OUTLET_MAIN_ID == "5a17ab1e-0001-4000-8000-000000000001"
