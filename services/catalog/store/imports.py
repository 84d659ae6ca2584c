"""Imports: rows and values."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.catalog.rules.imports import OPEN, Line, Run, State
from services.catalog.rules.products import Outcome
from services.catalog.store.tables import IMPORT_CHANGES, IMPORT_ROWS, IMPORTS, Key
from services.chassis.statements import among, keys, upsert

_i, _r, _c = IMPORTS.c, IMPORT_ROWS.c, IMPORT_CHANGES.c

_RUNS = sa.select(IMPORTS).where(among(keys(), _i.merchant_id, _i.import_id)).with_for_update()
_UNFINISHED = sa.select(IMPORTS).where(
    among(keys(), _i.merchant_id, _i.source_digest), _i.state.in_(OPEN)
)
_FORGET = sa.delete(IMPORT_CHANGES).where(
    among(keys(), _c.merchant_id, _c.import_id, _c.product_id)
)


@dataclass(frozen=True, slots=True)
class ChangeKept:
    """A row of what a product was before a run, with the product as its message."""

    product_id: str
    before: bytes | None
    before_version: int
    row: int
    revision: int


def runs(connection: Connection, wanted: Collection[Key]) -> dict[Key, Run]:
    """The runs with these keys, held against other processes until commit."""
    found = connection.execute(_RUNS, {"keys": sorted(set(wanted))})
    return {(row.merchant_id, row.import_id): _run(row) for row in found}


def unfinished(connection: Connection, wanted: Collection[Key]) -> dict[Key, Run]:
    """The runs that have not ended, by merchant and digest of their source."""
    found = connection.execute(_UNFINISHED, {"keys": sorted(set(wanted))})
    return {(row.merchant_id, row.source_digest): _run(row) for row in found}


def one(connection: Connection, merchant_id: str, import_id: str) -> Run | None:
    """A run."""
    asked = sa.select(IMPORTS).where(_i.merchant_id == merchant_id, _i.import_id == import_id)
    row = connection.execute(asked).one_or_none()
    return _run(row) if row else None


def page(connection: Connection, merchant_id: str, after: str, count: int) -> list[Run]:
    """Up to `count` runs, the latest first, behind the id `after`; ids grow with time."""
    asked = sa.select(IMPORTS).where(_i.merchant_id == merchant_id)
    if after:
        asked = asked.where(_i.import_id < after)
    found = connection.execute(asked.order_by(_i.import_id.desc()).limit(count))
    return [_run(row) for row in found]


def lines(
    connection: Connection, merchant_id: str, import_id: str, after: int, count: int
) -> list[Line]:
    """Up to `count` rows of a run that were not taken as they stood, behind the row `after`."""
    asked = sa.select(_r.row, _r.product_id, _r.outcome, _r.message).where(
        _r.merchant_id == merchant_id, _r.import_id == import_id, _r.row > after
    )
    found = connection.execute(asked.order_by(_r.row).limit(count))
    return [Line(row.row, row.product_id, Outcome(row.outcome), row.message) for row in found]


def save_runs(connection: Connection, changed: Collection[Run]) -> None:
    """Writes runs as they are now."""
    upsert(connection, IMPORTS, [_fields(run) for run in changed])


def save_lines(connection: Connection, found: Sequence[tuple[Run, Line]]) -> None:
    """Keeps rows that were not taken as they stood, the last word on each."""
    rows = {
        (run.merchant_id, run.import_id, line.row): {
            "merchant_id": run.merchant_id,
            "import_id": run.import_id,
            **_fields(line),
        }
        for run, line in found
    }
    upsert(connection, IMPORT_ROWS, list(rows.values()))


def save_changes(connection: Connection, changes: Sequence[tuple[Run, ChangeKept]]) -> None:
    """Keeps what products were before their run. Of one that it has changed before, only the
    revision is new.
    """
    rows = {
        (run.merchant_id, run.import_id, kept.product_id): {
            "merchant_id": run.merchant_id,
            "import_id": run.import_id,
            **_fields(kept),
        }
        for run, kept in changes
    }
    upsert(
        connection, IMPORT_CHANGES, list(rows.values()), keep=("before", "before_version", "row")
    )


def changes_last_first(connection: Connection, run: Run, count: int) -> list[ChangeKept]:
    """Up to `count` of the products that a run has changed, the last one first."""
    asked = _of_run(
        sa.select(_c.product_id, _c.before, _c.before_version, _c.row, _c.revision), run
    )
    found = connection.execute(asked.order_by(_c.row.desc(), _c.product_id.desc()).limit(count))
    return [ChangeKept(*row) for row in found]


def change_count(connection: Connection, run: Run) -> int:
    """How many products a run has changed that are not undone."""
    asked = _of_run(sa.select(sa.func.count()).select_from(IMPORT_CHANGES), run)
    return int(connection.execute(asked).scalar_one())


def forget_changes(connection: Connection, run: Run, product_ids: Collection[str]) -> None:
    """Forgets what these products were before the run."""
    listed = [(run.merchant_id, run.import_id, product_id) for product_id in product_ids]
    if listed:
        connection.execute(_FORGET, {"keys": listed})


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _of_run(asked: Any, run: Run) -> Any:
    return asked.where(_c.merchant_id == run.merchant_id, _c.import_id == run.import_id)


def _run(row: sa.Row[Any]) -> Run:
    return Run(**{**row._mapping, "state": State(row.state)})  # noqa: SLF001  (it is its public name)
