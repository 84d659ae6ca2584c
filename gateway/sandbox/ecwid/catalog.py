"""The store's products and combinations: saving them by the rules, and showing them."""

import re

from gateway.sandbox.ecwid.catalog_fields import (
    COMBINATION,
    apply_fields,
    merged_attributes,
)
from gateway.sandbox.ecwid.catalog_rules import (
    Claims,
    check_combinations,
    check_request_size,
    option_key,
)
from gateway.sandbox.ecwid.item_stock import has_stock, set_stock
from gateway.sandbox.ecwid.store import Store, date_text, not_found
from gateway.sandbox.values import Row, read

NEW_PRODUCT: Row = {
    "price": 0,
    "enabled": True,
    "isShippingRequired": True,
    "weight": 0,
    "description": "",
    "options": [],
    "combinations": [],
    "attributes": [],
    "categoryIds": [],
    "defaultCategoryId": 0,
    "productClassId": 0,
    "dimensions": {"length": 0, "width": 0, "height": 0},
    "volume": 0,
    "tax": {"taxable": True, "enabledManualTaxes": [], "taxClassCode": "default"},
    "outOfStockVisibilityBehaviour": "SHOW",
    "discountsAllowed": True,
    "images": [],
}
"""What a product is before anything is said about it."""

SCRIPT = re.compile(r"<script\b.*?</script\s*>", re.IGNORECASE | re.DOTALL)
"""What the store takes out of descriptions."""


class Catalog:
    """Saves products whole or not at all, and fires their events.

    Args:
        store: the state.
        store_id: the store's number, for links.
        unique_skus: whether two products may share a SKU.
    """

    def __init__(self, store: Store, store_id: int, *, unique_skus: bool) -> None:
        self._store = store
        self._store_id = store_id
        self._claims = Claims(unique_skus=unique_skus)

    def reindex(self) -> None:
        """Learns the products anew, after the tables have been replaced."""
        self._claims.replace(self._store.rows("products"))

    def create(self, fields: Row, combinations: list[Row]) -> Row:
        """Makes a product from checked fields, with its combinations."""
        product_id = self._store.next_id()
        # A store that wants SKUs makes them up where they are missing.
        draft: Row = {**NEW_PRODUCT, "id": product_id, "sku": f"{product_id % 100_000:05d}"}
        return self._write(draft, fields, combinations, "product.created")

    def update(self, product: Row, fields: Row, combinations: list[Row] | None = None) -> Row:
        """Changes a product; `combinations` replaces them all, None leaves them alone."""
        return self._write({**product}, fields, combinations, "product.updated")

    def save(self, product: Row, event_type: str = "product.updated") -> Row:
        """Checks a changed draft against the rules, and writes it or refuses it."""
        check_combinations(product)
        self._claims.check(product)
        self._claims.move(self._store.find("products", product["id"]), product)
        write = self._store.add if event_type == "product.created" else self._store.put
        write("products", product)
        self._store.fire(event_type, product["id"])
        return product

    def delete(self, product: Row) -> None:
        """Deletes a product with its combinations."""
        self._claims.move(product, None)
        self._store.remove("products", product)
        self._store.fire("product.deleted", product["id"])

    def combination(self, product: Row, combination_id: int) -> Row:
        """A combination of a product.

        Raises:
            ApiError: 404 COMBINATION_NOT_FOUND.
        """
        found = (c for c in product["combinations"] if c["id"] == combination_id)
        combination: Row | None = next(found, None)
        if combination is None:
            raise not_found("combinations")
        return combination

    def write_combination(self, product: Row, known: Row | None, fields: Row) -> Row:
        """Adds a combination (`known` is None) or changes one, and saves the product."""
        changed = self._combination(product, known or {}, fields)
        siblings = [c for c in product["combinations"] if c is not known]
        position = product["combinations"].index(known) if known else len(siblings)
        siblings.insert(position, changed)
        self.save({**product, "combinations": siblings})
        return changed

    def _write(
        self, draft: Row, fields: Row, combinations: list[Row] | None, event_type: str
    ) -> Row:
        set_stock(draft, fields)
        attributes = fields.pop("attributes", None)
        if attributes is not None:
            draft["attributes"] = merged_attributes(draft["attributes"], attributes)
        apply_fields(draft, fields)
        draft["description"] = SCRIPT.sub("", draft.get("description", ""))
        if combinations is not None:
            check_request_size(combinations)
            draft["combinations"] = self._replaced(draft, combinations)
        return self.save(draft, event_type)

    def _replaced(self, product: Row, bodies: list[Row]) -> list[Row]:
        """The new list; a combination that was there, by id or options, keeps its id."""
        by_id = {c["id"]: c for c in product["combinations"]}
        by_options = {option_key(c): c for c in product["combinations"]}
        replaced: list[Row] = []
        for body in bodies:
            fields = read(body, COMBINATION)
            key = option_key({"options": fields.get("options", [])})
            known = by_id.get(fields.get("id", 0)) or by_options.get(key) or {}
            draft = {**product, "combinations": replaced}
            replaced.append(self._combination(draft, known, fields))
        return replaced

    def _combination(self, product: Row, known: Row, fields: Row) -> Row:
        fields.pop("id", None)
        combination: Row = {"options": [], "attributes": [], **known}
        combination.setdefault("id", self._store.next_id())
        numbers = (c["combinationNumber"] for c in product["combinations"])
        combination.setdefault("combinationNumber", max(numbers, default=0) + 1)
        set_stock(combination, fields)
        attributes = fields.pop("attributes", None)
        if attributes is not None:
            merged = merged_attributes(combination["attributes"], attributes)
            combination["attributes"] = merged
        apply_fields(combination, fields)
        return combination

    def view(self, product: Row) -> Row:
        """A product as the API shows it: what is stored, and what follows from it."""
        hidden = ("images",)
        price = product["price"]
        return {
            "subtitle": "",
            "nameTranslated": {"en": product["name"]},
            "descriptionTranslated": {"en": product["description"]},
            "seoTitle": product["name"],
            "seoDescription": "",
            "customSlug": "",
            **{name: value for name, value in product.items() if name not in hidden},
            "combinations": [self.combination_view(product, c) for c in product["combinations"]],
            "inStock": any(map(has_stock, (product, *product["combinations"]))),
            "priceInProductList": price,
            "defaultDisplayedPrice": price,
            "defaultDisplayedPriceFormatted": f"${price:.2f}",
            "lowestPrice": price,
            "lowestPriceSettings": {"lowestPriceEnabled": False},
            "defaultCombinationId": 0,
            "categories": self._categories(product),
            "url": f"https://store{self._store_id}.company.site/products/{product['id']}",
            "autogeneratedSlug": str(product["id"]),
            "created": date_text(product["createTimestamp"]),
            "updated": date_text(product["updateTimestamp"]),
            **_images(product),
        }

    def combination_view(self, product: Row, combination: Row) -> Row:
        """A combination as the API shows it; a price it does not have is the product's."""
        price = combination.get("price", product["price"])
        return {
            "dimensions": {"length": 0, "width": 0, "height": 0},
            "volume": 0,
            "outOfStockVisibilityBehaviour": "SHOW",
            **combination,
            "inStock": has_stock(combination),
            "defaultDisplayedPrice": price,
            "defaultDisplayedPriceFormatted": f"${price:.2f}",
            "lowestPrice": price,
            "lowestPriceSettings": {"lowestPriceEnabled": False},
            "alt": {"translated": {}},
        }

    def _categories(self, product: Row) -> list[Row]:
        rows = (self._store.find("categories", i) for i in product["categoryIds"])
        return [{k: row[k] for k in ("id", "name", "enabled")} for row in rows if row]


def _images(product: Row) -> Row:
    """Everything a product tells about its images; the sizes are all the recorded original."""
    images = product["images"]
    listed = [
        {
            "id": image["id"],
            "isMain": image["isMain"],
            "orderBy": index,
            "image160pxUrl": image["url"],
            "image400pxUrl": image["url"],
            "image800pxUrl": image["url"],
            "image1500pxUrl": image["url"],
            "imageOriginalUrl": image["url"],
            **({"externalId": image["externalId"]} if "externalId" in image else {}),
        }
        for index, image in enumerate(images)
    ]
    gallery = [{"id": int(i["id"]), "url": i["url"]} for i in images if not i["isMain"]]
    shown: Row = {"media": {"images": listed, "videos": []}, "galleryImages": gallery}
    main = next((image["url"] for image in images if image["isMain"]), None)
    if main:
        names = ("imageUrl", "thumbnailUrl", "smallThumbnailUrl", "hdThumbnailUrl")
        shown.update(dict.fromkeys((*names, "originalImageUrl"), main))
    return shown
