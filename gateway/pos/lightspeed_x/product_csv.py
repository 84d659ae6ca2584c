"""The product export of X-Series, as CSV: one row per variant, those of a product together."""

from collections.abc import Sequence

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
from gateway.pos.lightspeed_x.products import WEIGHT_UNITS
from gateway.records import decimal, measure_text
from tillbridge.catalog.v1 import catalog_pb2

NAME = "lightspeed-x"
TITLE = "an X-Series product export"
NEEDED = ("handle", "sku", "name", "retail_price")
_OPTIONS = tuple(
    (f"variant_option_{number}_name", f"variant_option_{number}_value")
    for number in ("one", "two", "three")
)
_READ = (
    *NEEDED,
    *(column for pair in _OPTIONS for column in pair),
    *("id", "description", "product_category", "tags", "supply_price", "brand_name"),
    *("supplier_name", "supplier_code", "active", "track_inventory", "weight", "weight_unit"),
)
_COMPONENTS = ("composite_handle", "composite_sku", "composite_name")
_WEIGHT_UNITS = {name.lower(): unit for name, unit in WEIGHT_UNITS.items()}


def columns(header: Sequence[str]) -> Columns:
    """The columns of a file."""
    return Columns(header, fold=True)


class ProductCsv:
    """What the columns mean; a `Layout`."""

    def __init__(self, found: Columns) -> None:
        self.names = found.names
        self.unread = found.unread(_READ)
        self._at = {name: found.place(name) for name in _READ}
        self._components = [p for name in _COMPONENTS if (p := found.place(name)) >= 0]
        self._options = [
            (found.place(name), found.place(value))
            for name, value in _OPTIONS
            if found.place(name) >= 0 and found.place(value) >= 0
        ]

    def family(self, cells: Sequence[str]) -> str:
        """Its handle."""
        return cells[self._at["handle"]]

    def id(self, cells: Sequence[str]) -> str:
        """Its id, where the file has that column."""
        return self._cell(cells, "id")

    def sku(self, cells: Sequence[str]) -> str:
        """Its SKU."""
        return cells[self._at["sku"]]

    def product(self, rows: Sequence[Row], currency: str) -> catalog_pb2.Product:
        """The product of a family.

        Raises:
            BadCellError: it makes no sense.
        """
        rows = [rows[0], *(row for row in rows[1:] if not self._is_component(row))]
        head = rows[0].cells
        product_id = short_id(self.id(head) or self.family(head))
        if not product_id:
            raise BadCellError(rows[0].number, "handle", "is empty; each product needs one")
        names = [head[name] for name, _ in self._options if head[name]]
        flags = [flag(row, "active", self._cell(row.cells, "active")) for row in rows]
        variants = [self._variant(row, product_id, names, currency) for row in rows]
        for variant, active in zip(variants, flags, strict=True):
            if active is not None:
                variant.active = active
        return catalog_pb2.Product(
            product_id=product_id,
            name=self._cell(head, "name"),
            description=self._cell(head, "description"),
            category=self._cell(head, "product_category"),
            brand=self._cell(head, "brand_name"),
            active=any(active is not False for active in flags),
            attribute_names=names,
            variants=variants,
            handle=self.family(head),
            tags=tags(self._cell(head, "tags")),
            supplier=self._cell(head, "supplier_name"),
        )

    def _variant(
        self, row: Row, product_id: str, names: Sequence[str], currency: str
    ) -> catalog_pb2.Variant:
        cells = row.cells
        values = self._values(row, names)
        retail_price = price(row, "retail_price", self._cell(cells, "retail_price"), currency)
        if retail_price is None:
            what = "is empty; write the price, also when it is zero"
            raise BadCellError(row.number, "retail_price", what)
        return catalog_pb2.Variant(
            item_id=self.id(cells) or item_id(product_id, values),
            sku=self.sku(cells),
            attribute_values=values,
            retail_price=retail_price,
            supply_price=price(row, "supply_price", self._cell(cells, "supply_price"), currency),
            supplier_code=self._cell(cells, "supplier_code"),
            track_inventory=flag(row, "track_inventory", self._cell(cells, "track_inventory")),
            weight=self._weight(row),
        )

    def _values(self, row: Row, names: Sequence[str]) -> list[str]:
        """The value of each attribute of the product; a row may name them again, or not."""
        values = []
        for index, (place, value_place) in enumerate(self._options):
            name, value = row.cells[place], row.cells[value_place]
            if index >= len(names):
                if value or name:
                    what = (
                        f"has {shown(name)} {shown(value)}, which the product's first row has not"
                    )
                    raise BadCellError(row.number, _OPTIONS[index][0], what)
            elif name and name != names[index]:
                what = f"is {shown(name)}, but {shown(names[index])} in the product's first row"
                raise BadCellError(row.number, _OPTIONS[index][0], what)
            elif not value:
                what = f"is empty, but the product's variants differ in {shown(names[index])}"
                raise BadCellError(row.number, _OPTIONS[index][1], what)
            else:
                values.append(value)
        return values

    def _weight(self, row: Row) -> catalog_pb2.Weight | None:
        """The weight; 0 is what stands where nobody weighed it."""
        cell = self._cell(row.cells, "weight").strip()
        if not cell:
            return None
        value, unit = decimal(cell), self._cell(row.cells, "weight_unit").strip().lower()
        if value is None or value < 0:
            raise BadCellError(row.number, "weight", f"must be a number; got {shown(cell)}")
        if value == 0:
            return None
        if unit not in _WEIGHT_UNITS:
            what = f"must be one of {', '.join(_WEIGHT_UNITS)}; got {shown(unit)}"
            raise BadCellError(row.number, "weight_unit", what)
        return catalog_pb2.Weight(value=measure_text(value), unit=_WEIGHT_UNITS[unit])

    def _is_component(self, row: Row) -> bool:
        """Whether a row only says what a composite product is made of."""
        cells = row.cells
        return (
            any(cells[place] for place in self._components)
            and not self.sku(cells)
            and not self._cell(cells, "name")
        )

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._at[name]
        return cells[place] if place >= 0 else ""
