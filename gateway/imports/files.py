"""Product files: which layout one has, how many rows, and what each of its families is.

A file is read twice, so that what stands in it in two places is known beforehand: once to count,
once to import. Neither keeps more of it than a family at a time.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from gateway.ecom.shopify import product_csv as shopify
from gateway.imports.repeats import Repeats
from gateway.imports.rows import BadCellError, BadFileError, Layout, Row, check_text
from gateway.pos.lightspeed_x import product_csv as lightspeed_x
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

FORMATS: dict[str, ModuleType] = {one.NAME: one for one in (lightspeed_x, shopify)}
FAMILY_ROWS_MAX = 2000
CELL_LENGTH_MAX = 1024 * 1024
MESSAGE_MAX = 1000
_TOO_LONG = f"its product has more than {FAMILY_ROWS_MAX} rows"
_DELIMITERS = (",", ";", "\t")
_OTHER_FILES = {
    b"\xff\xfe": "is text in UTF-16",
    b"\xfe\xff": "is text in UTF-16",
    b"PK": "is a spreadsheet or an archive",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A family as its rows have it: a product, or why it is none.

    `skus` are those of the variants by which the catalog may know them, in their order: empty where
    a SKU stands in the file more than once, and so says nothing.
    """

    first_row: int
    row_count: int
    """How many rows it takes."""
    next_row: int
    """Where the next family begins."""
    product: catalog_pb2.Product | None
    refused: Sequence[pb.ImportRow] = ()
    skus: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """A row, what is wrong with it, or neither when it is blank."""

    number: int
    row: Row | None
    error: BadCellError | None = None


@dataclass(slots=True)
class _Family:
    """Rows that belong together, and what is wrong with them."""

    name: str
    first_row: int
    rows: list[Row] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    errors: list[BadCellError] = field(default_factory=list)
    next_row: int = 0

    def add(self, line: _Line) -> None:
        """Takes in a row."""
        self.numbers.append(line.number)
        if line.row:
            self.rows.append(line.row)
        if line.error:
            self.errors.append(line.error)

    def fail(self, row: int, what: str) -> None:
        """Notes what is wrong with all of it."""
        self.errors.append(BadCellError(row, "row", what))


class ProductFile:
    """A file that can be imported.

    Args:
        path: where it is.
        format_name: of FORMATS; empty to find out.
        currency: of its prices, such as EUR.

    Raises:
        BadFileError: it cannot be.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, format_name: str, currency: str) -> None:
        self.path = path
        self.currency = currency
        with path.open("rb") as file:
            _check_kind(path, file.read(2))
            file.seek(0)
            self.digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        self.layout, self.title, self._delimiter = _recognized(path, format_name)
        self._handles, self._skus = Repeats(), Repeats()
        self._rows_read = 1
        self.row_count = self._scan()
        self._handles_repeated = self._handles.found()
        self._skus_repeated = self._skus.found()

    @property
    def source_digest(self) -> str:
        """What tells this import from others: the file's content, and what its prices are in."""
        return f"csv:{self.digest.hexdigest()}:{self.title}:{self.currency}"

    def is_elsewhere(self, product_id: str) -> bool:
        """Whether a family of the file has this id."""
        return self._handles.seems_known(product_id)

    def drafts(self, next_row: int = 1) -> Iterator[Draft]:
        """The families from a row on, in their order."""
        first_rows: dict[str, int] = {}
        for family in self._families():
            before = family.first_row
            if family.name in self._handles_repeated:
                before = first_rows.setdefault(family.name, family.first_row)
            if family.next_row <= next_row:
                continue
            if before != family.first_row:
                family.fail(
                    family.first_row,
                    f"its product stands at row {before} already; rows of one product must follow"
                    " each other",
                )
            yield self._draft(family)

    def _draft(self, family: _Family) -> Draft:
        first_row, numbers = family.first_row, family.numbers
        row_count = numbers[-1] - first_row + 1
        try:
            if family.errors:
                raise family.errors[0]
            for row in family.rows:
                check_text(row, self.layout.names)
            product = self.layout.product(family.rows, self.currency)
        except BadCellError as error:
            own = {one.row: one for one in (*reversed(family.errors), error)}
            refused = [_refusal(number, own.get(number), error) for number in numbers]
            return Draft(first_row, row_count, family.next_row, None, refused)
        repeated = self._skus_repeated
        skus = ["" if one.sku in repeated else one.sku for one in product.variants]
        return Draft(first_row, row_count, family.next_row, product, skus=skus)

    def _scan(self) -> int:
        """Counts the rows, and finds what stands in more than one place; gives the last row."""
        for name, cells in self._named():
            if name:
                self._handles.see(name)
                if own := self.layout.id(cells):
                    self._handles.note(own)
            if sku := self.layout.sku(cells):
                self._skus.see(sku)
        if self._handles.suspicious or self._skus.suspicious:
            for name, cells in self._named():
                if name:
                    self._handles.count(name)
                if sku := self.layout.sku(cells):
                    self._skus.count(sku)
        return self._rows_read

    def _named(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Each row that can be read, with its family's name where that begins."""
        before = ""
        for line in self._lines():
            if line.row:
                name = self.layout.family(line.row.cells)
                yield ("" if name == before else name), line.row.cells
                before = name

    def _families(self) -> Iterator[_Family]:
        """The families, each with the blank rows behind it.

        A row that cannot be read may belong to the family before it or to the one behind it, and so
        spoils both.
        """
        family: _Family | None = None
        unread = 0
        for line in self._lines():
            if line.row is None and line.error is None:
                continue
            name = self.layout.family(line.row.cells) if line.row else None
            if family and (name is None or (name and name == family.name)):
                if len(family.numbers) < FAMILY_ROWS_MAX:
                    family.add(line)
                    unread = unread if line.row else line.number
                    continue
                family.fail(family.first_row, _TOO_LONG)
            if family:
                family.next_row = line.number
                yield family
            too_long = bool(family and name and name == family.name)
            family = _Family(name or "", line.number)
            family.add(line)
            if too_long:
                family.fail(line.number, _TOO_LONG)
            if unread:
                family.fail(line.number, f"row {unread} cannot be read, and may be part of it")
            unread = 0 if line.row else line.number
        if family:
            family.next_row = self._rows_read + 1
            yield family

    def _lines(self) -> Iterator[_Line]:
        """All rows behind the header."""
        width = len(self.layout.names)
        for number, cells in _records(self.path, self._delimiter):
            self._rows_read = number
            if number == 1:
                continue
            if isinstance(cells, BadCellError):
                yield _Line(number, None, cells)
            elif not any(cells):
                yield _Line(number, None)
            elif len(cells) == width:
                yield _Line(number, Row(number, cells))
            else:
                yield _uneven(number, cells, width)


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | BadCellError]]:
    """The rows of a file, the header included, each with its number.

    Raises:
        BadFileError: it is not UTF-8.
    """
    csv.field_size_limit(CELL_LENGTH_MAX)
    number = 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        while True:
            number += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, BadCellError(number, "row", f"its quotes do not fit: {error}")
            except UnicodeDecodeError as error:
                raise BadFileError(
                    f"{path.name} is not UTF-8 text (byte 0x{error.object[error.start]:02X} behind"
                    f" row {number - 1}); save it as `CSV UTF-8`"
                ) from error
            else:
                yield number, cells


def _uneven(number: int, cells: Sequence[str], width: int) -> _Line:
    """A row with fewer cells than the header, which are empty then, or with more."""
    row = Row(number, [*cells[:width], *[""] * (width - len(cells))])
    if not any(cells[width:]):
        return _Line(number, row)
    what = (
        f"has {len(cells)} cells, but the header has {width}; text with a comma must stand in"
        " quotes"
    )
    return _Line(number, row, BadCellError(number, "row", what))


def _refusal(number: int, own: BadCellError | None, error: BadCellError) -> pb.ImportRow:
    message = own.message if own else f"as row {error.row} of its product: {error.message}"
    return pb.ImportRow(
        row=number, outcome=catalog_pb2.UPSERT_OUTCOME_REFUSED, message=message[:MESSAGE_MAX]
    )


def _check_kind(path: Path, begin: bytes) -> None:
    if not begin:
        raise BadFileError(f"{path.name} is empty")
    if begin in _OTHER_FILES:
        raise BadFileError(f"{path.name} {_OTHER_FILES[begin]}; save it as `CSV UTF-8`")


def _recognized(path: Path, format_name: str) -> tuple[Layout, str, str]:
    """The layout of a file, its name, and what stands between its cells.

    Raises:
        BadFileError: it has none that is known.
    """
    asked = [FORMATS[format_name]] if format_name else list(FORMATS.values())
    nearest: tuple[int, str] = (0, "")
    for delimiter in _DELIMITERS:
        header = _header(path, delimiter)
        for one in asked:
            columns = one.columns(header)
            missing = columns.missing(one.NEEDED)
            if not missing:
                return one.ProductCsv(columns), one.NAME, delimiter
            found = len(one.NEEDED) - len(missing)
            if found > nearest[0]:
                nearest = (
                    found,
                    (f"{path.name} looks like {one.TITLE}, but has no column {_listed(missing)}"),
                )
    takes = "; ".join(f"{one.TITLE} ({_listed(one.NEEDED)}, ...)" for one in asked)
    raise BadFileError(f"{nearest[1] or f'{path.name} has no known columns'}. It takes {takes}")


def _header(path: Path, delimiter: str) -> list[str]:
    for _, cells in _records(path, delimiter):
        return cells if isinstance(cells, list) else []
    return []


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
