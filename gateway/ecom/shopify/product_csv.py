"""Shopify's product CSV: rows of a handle are one product; further ones add variants or images."""

from collections.abc import Mapping, Sequence

from gateway.imports.rows import (
    BadCellError,
    Columns,
    Row,
    flag,
    item_id,
    price,
    short_id,
    shown,
    tags,
)
from gateway.records import decimal, measure_text
from tillbridge.catalog.v1 import catalog_pb2

NAME = "shopify"
TITLE = "a Shopify product CSV"
NEEDED = ("Handle", "Title", "Variant Price")
_OPTIONS = tuple((f"Option{number} Name", f"Option{number} Value") for number in (1, 2, 3))
_READ = (
    *NEEDED,
    *(column for pair in _OPTIONS for column in pair),
    *("Body (HTML)", "Vendor", "Type", "Tags", "Published", "Status", "Variant SKU"),
    *("Variant Grams", "Variant Weight Unit", "Variant Inventory Tracker", "Variant Barcode"),
    *("Image Src", "Image Position", "Cost per item"),
)
_NO_OPTION = ("Title", "Default Title")
_PER_VARIANT = ("Variant SKU", "Variant Price", "Variant Barcode", *(v for _, v in _OPTIONS))
_PER_KILO = 1000
POSITION_DEFAULT = 10_000
"""Images without a position come last, in the order of their rows."""


def columns(header: Sequence[str]) -> Columns:
    """The columns of a file."""
    return Columns(header)


class ProductCsv:
    """What the columns mean; a `Layout`."""

    def __init__(self, found: Columns) -> None:
        self.names = found.names
        self.unread = found.unread(_READ)
        self._at = {name: found.place(name) for name in _READ}
        self._per_variant = [p for name in _PER_VARIANT if (p := found.place(name)) >= 0]

    def family(self, cells: Sequence[str]) -> str:
        """Its handle."""
        return cells[self._at["Handle"]]

    def id(self, _cells: Sequence[str]) -> str:
        """There are no ids."""
        return ""

    def sku(self, cells: Sequence[str]) -> str:
        """Its SKU, without the apostrophe that keeps spreadsheets from making it a number."""
        return _without_apostrophe(self._cell(cells, "Variant SKU"))

    def product(self, rows: Sequence[Row], currency: str) -> catalog_pb2.Product:
        """The product of a family.

        Raises:
            BadCellError: it makes no sense.
        """
        head = rows[0]
        handle = self.family(head.cells)
        if not handle:
            raise BadCellError(head.number, "Handle", "is empty; each product needs one")
        product_id = short_id(handle)
        named = {value: self._cell(head.cells, name) for name, value in _OPTIONS}
        if (named["Option1 Value"], self._cell(head.cells, "Option1 Value")) == _NO_OPTION:
            named["Option1 Value"] = ""
        return catalog_pb2.Product(
            product_id=product_id,
            name=self._cell(head.cells, "Title"),
            description=self._cell(head.cells, "Body (HTML)"),
            category=self._cell(head.cells, "Type"),
            brand=self._cell(head.cells, "Vendor"),
            active=self._active(head),
            attribute_names=[name for name in named.values() if name],
            variants=[
                self._variant(row, product_id, named, currency)
                for row in rows
                if row is head or self._is_variant(row.cells)
            ],
            images=self._images(rows),
            handle=handle,
            tags=tags(self._cell(head.cells, "Tags")),
        )

    def _active(self, head: Row) -> bool:
        published = flag(head, "Published", self._cell(head.cells, "Published"))
        status = self._cell(head.cells, "Status").strip().lower()
        if status not in {"", "active", "draft", "archived", "unlisted"}:
            what = f"must be active, draft, archived or unlisted; got {shown(status)}"
            raise BadCellError(head.number, "Status", what)
        return published is not False and status in {"", "active", "unlisted"}

    def _variant(
        self, row: Row, product_id: str, named: Mapping[str, str], currency: str
    ) -> catalog_pb2.Variant:
        cells = row.cells
        values = self._values(row, named)
        retail_price = price(row, "Variant Price", self._cell(cells, "Variant Price"), currency)
        if retail_price is None:
            what = "is empty; write the price, also when it is zero"
            raise BadCellError(row.number, "Variant Price", what)
        tracker = self._at["Variant Inventory Tracker"] >= 0
        return catalog_pb2.Variant(
            item_id=item_id(product_id, values),
            sku=self.sku(cells),
            upc=_without_apostrophe(self._cell(cells, "Variant Barcode")),
            attribute_values=values,
            retail_price=retail_price,
            weight=self._weight(row),
            track_inventory=(
                bool(self._cell(cells, "Variant Inventory Tracker")) if tracker else None
            ),
            supply_price=price(row, "Cost per item", self._cell(cells, "Cost per item"), currency),
        )

    def _values(self, row: Row, named: Mapping[str, str]) -> list[str]:
        """The value of each attribute of the product, by the columns that its first row names."""
        values = []
        for column, name in named.items():
            value = self._cell(row.cells, column)
            if name and not value:
                what = f"is empty, but the product's variants differ in {shown(name)}"
                raise BadCellError(row.number, column, what)
            if name:
                values.append(value)
            elif value and value != _NO_OPTION[1]:
                what = f"is {shown(value)}, but the product's first row does not name that option"
                raise BadCellError(row.number, column, what)
        return values

    def _weight(self, row: Row) -> catalog_pb2.Weight | None:
        """The weight, which the file has in grams whatever its unit; 0 stands where nobody weighed.

        What was typed in kilograms is kilograms here as well; other units stay grams, since they
        could not be told exactly.
        """
        cell = self._cell(row.cells, "Variant Grams").strip()
        if not cell:
            return None
        grams = decimal(cell)
        if grams is None or grams < 0:
            raise BadCellError(row.number, "Variant Grams", f"must be a number; got {shown(cell)}")
        if grams == 0:
            return None
        if self._cell(row.cells, "Variant Weight Unit").strip().lower() == "kg":
            kilograms = measure_text(grams / _PER_KILO)
            return catalog_pb2.Weight(value=kilograms, unit=catalog_pb2.WEIGHT_UNIT_KG)
        return catalog_pb2.Weight(value=measure_text(grams), unit=catalog_pb2.WEIGHT_UNIT_G)

    def _images(self, rows: Sequence[Row]) -> list[catalog_pb2.Image]:
        """The images by position, each address once."""
        placed: list[tuple[int, str]] = []
        for row in rows:
            url = self._cell(row.cells, "Image Src").strip()
            if url:
                cell = self._cell(row.cells, "Image Position").strip()
                if cell and not (cell.isascii() and cell.isdigit()):
                    what = f"must be a whole number; got {shown(cell)}"
                    raise BadCellError(row.number, "Image Position", what)
                placed.append((int(cell) if cell else POSITION_DEFAULT, url))
        placed.sort(key=lambda image: image[0])
        return [catalog_pb2.Image(url=url) for url in dict.fromkeys(url for _, url in placed)]

    def _is_variant(self, cells: Sequence[str]) -> bool:
        """Whether a further row is a variant; else it adds an image."""
        return any(cells[place] for place in self._per_variant)

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._at[name]
        return cells[place] if place >= 0 else ""


def _without_apostrophe(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].isdigit() else cell
