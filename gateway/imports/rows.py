"""What the layouts of all vendors share: rows, cells, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from google.type import money_pb2

from gateway.records import decimal, money, printable
from tillbridge.catalog.v1 import catalog_pb2

ID_LENGTH_MAX = 128
PRICE_DIGITS_MAX = 9
VALUES_SHOWN_MAX = 60

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class BadCellError(ValueError):
    """A cell that makes no sense, so that its product cannot be taken.

    Attributes:
        row: its row.
        message: its column, what stands there, and what would pass.
    """

    def __init__(self, row: int, column: str, what: str) -> None:
        super().__init__(f"{column}: {what}")
        self.row = row
        self.message = f"{column}: {what}"


class BadFileError(ValueError):
    """A file that cannot be imported at all; says why, and what would help."""


class Columns:
    """Where each column of a file stands.

    Args:
        header: the first row.
        fold: whether upper and lower case are the same.
    """

    def __init__(self, header: Sequence[str], *, fold: bool = False) -> None:
        names = [name.strip().lower() if fold else name.strip() for name in header]
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            raise BadFileError(f"the header has {', '.join(twice)} more than once")
        self.names = names
        self._places = {name: place for place, name in enumerate(names) if name}

    def missing(self, needed: Sequence[str]) -> list[str]:
        """Which of these columns there are not."""
        return [name for name in needed if name not in self._places]

    def place(self, name: str) -> int:
        """Where a column stands; -1 when there is none."""
        return self._places.get(name, -1)

    def unread(self, read: Sequence[str]) -> list[str]:
        """The columns that are not among these."""
        known = set(read)
        return [name for name in self.names if name and name not in known]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file, with as many cells as the header has."""

    number: int
    cells: Sequence[str]


class Layout(Protocol):
    """What the columns of a file mean."""

    @property
    def unread(self) -> Sequence[str]:
        """The columns that are not read."""

    @property
    def names(self) -> Sequence[str]:
        """All columns."""

    def family(self, cells: Sequence[str]) -> str:
        """What the rows of one product have in common; empty when a row is a product of its own."""

    def id(self, cells: Sequence[str]) -> str:
        """The id that a row has in the point of sale; empty when it has none."""

    def sku(self, cells: Sequence[str]) -> str:
        """The SKU of a row; empty when it has none."""

    def product(self, rows: Sequence[Row], currency: str) -> catalog_pb2.Product:
        """The product of a family, with ids of its own.

        Raises:
            BadCellError: it makes no sense.
        """


def check_text(row: Row, names: Sequence[str]) -> None:
    """Checks that the cells of a row can be stored as they are.

    Raises:
        BadCellError: one of them cannot.
    """
    joined = "\n".join(row.cells)
    if printable(joined) == joined:
        return
    for name, cell in zip(names, row.cells, strict=False):
        bad = next((letter for letter in cell if printable(letter) != letter), "")
        if bad:
            raise BadCellError(row.number, name, f"must not contain the character U+{ord(bad):04X}")


def flag(row: Row, name: str, cell: str) -> bool | None:
    """A yes or no; None when the cell is empty.

    Raises:
        BadCellError: it is neither.
    """
    text = cell.strip().lower()
    if not text:
        return None
    if text not in _FLAGS:
        raise BadCellError(row.number, name, f"must be 1 or 0, true or false; got {shown(cell)}")
    return _FLAGS[text]


def price(row: Row, name: str, cell: str, currency: str) -> money_pb2.Money | None:
    """An amount of money; None when the cell is empty.

    Raises:
        BadCellError: it is none.
    """
    if not cell or cell.isspace():
        return None
    found = _price(cell, currency)
    if isinstance(found, str):
        raise BadCellError(row.number, name, found)
    return found


@lru_cache(maxsize=8192)
def _price(cell: str, currency: str) -> money_pb2.Money | str:
    """An amount, or why it is none; prices repeat a lot."""
    text = cell.strip()
    found = decimal(text)
    if found is None:
        return (
            f"must be a number such as 12.50, without a currency or a thousands separator; got"
            f" {shown(cell)}"
        )
    if found < 0:
        return f"must not be negative; got {shown(cell)}"
    exponent = found.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > PRICE_DIGITS_MAX:
        return f"must have at most {PRICE_DIGITS_MAX} decimals; got {shown(cell)}"
    return money(found, currency)


def shown(cell: str) -> str:
    """A cell as a message quotes it."""
    text = cell if len(cell) <= VALUES_SHOWN_MAX else cell[:VALUES_SHOWN_MAX] + "…"
    return f"`{text}`"


def short_id(text: str) -> str:
    """Text as an id: as it is when it is short enough, else cut, with a digest."""
    if len(text) <= ID_LENGTH_MAX:
        return text
    digest = blake2b(text.encode(), digest_size=12).hexdigest()
    return f"{text[: ID_LENGTH_MAX - len(digest) - 1]}~{digest}"


def item_id(product_id: str, values: Sequence[str]) -> str:
    """The id of a variant that has none of its own: of its product and what it differs in."""
    return short_id(":".join((product_id, "/".join(values))) if values else product_id)


def tags(cell: str) -> list[str]:
    """The tags in a cell, which stand there separated by commas."""
    return [tag for part in cell.split(",") if (tag := part.strip())]
