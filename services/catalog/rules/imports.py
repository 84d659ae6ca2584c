"""Imports: how far a run got, whether it may go on, and how it is undone (BEY-15)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.catalog.rules.breaker import ITEMS_MIN, SHARE_PERCENT, Limit
from services.catalog.rules.products import Known, Outcome, Product, Stamp
from services.catalog.rules.provenance import Source
from services.catalog.rules.shelf import Shelf, upserted
from services.chassis.errors import DomainError, invalid

ROWS_MAX = 10_000
"""Rows that the products of one call may take in all."""
MESSAGE_MAX = 4000


class State(StrEnum):
    """Where a run stands; the names are the contract's."""

    RUNNING = "RUNNING"
    HELD = "HELD"
    DONE = "DONE"
    CANCELED = "CANCELED"
    UNDONE = "UNDONE"


OPEN = (State.RUNNING, State.HELD)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of an import."""

    merchant_id: str
    import_id: str
    source_name: str
    source_digest: str
    row_count: int
    """Number of the source's last row; 0 when that is not known."""
    breaker_share_percent: int
    breaker_items_min: int
    create_time: datetime
    """All of its values count as read then."""
    update_time: datetime
    state: State = State.RUNNING
    next_row: int = 1
    cursor: str = ""
    created_count: int = 0
    updated_count: int = 0
    unchanged_count: int = 0
    refused_count: int = 0
    deactivated_count: int = 0
    """How many products it has deactivated."""
    held_count: int = 0
    """How many more the rows that it is held for would deactivate."""
    approved: bool = False
    """Whether an operator has said yes: it is not held again."""
    undone_count: int = 0
    kept_count: int = 0
    end_time: datetime | None = None

    @property
    def cause(self) -> str:
        """What its values say that brought them."""
        return f"import {self.source_name}"[:200]


@dataclass(frozen=True, slots=True)
class Line:
    """A row that was not taken as it stood."""

    row: int
    product_id: str
    """Empty when that cannot be told."""
    outcome: Outcome
    message: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a product stands in its source."""

    row: int
    row_count: int
    """How many rows it takes, the first included."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a product was before a run, to undo it by."""

    product_id: str
    product: Product | None
    """None: there was none."""
    version: int
    """The point of sale's, of the product or of its deletion; 0 when it has none."""
    row: int
    """Where the run first changed it."""
    revision: int
    """That the run gave it: while it has it, nobody has changed it since."""


@dataclass(frozen=True, slots=True)
class Undoing:
    """What became of one product of a run that is undone."""

    product_id: str
    kept_because: str
    """Why it stays as it is; empty when it is as it was before."""


def begun(
    merchant_id: str,
    import_id: str,
    source: tuple[str, str],
    row_count: int,
    limit: tuple[int, int],
    *,
    now: datetime,
) -> Run:
    """A new run.

    Args:
        merchant_id: whose catalog is imported.
        import_id: of the run.
        source: its name and its digest.
        row_count: number of its last row; 0 when that is not known.
        limit: from which share, in percent, and from how many items on deactivations hold it; 0
            means the usual.
        now: all of its values count as read now.
    """
    name, digest = source
    share, items_min = limit
    return Run(
        merchant_id=merchant_id,
        import_id=import_id,
        source_name=name,
        source_digest=digest,
        row_count=row_count,
        breaker_share_percent=share or SHARE_PERCENT,
        breaker_items_min=items_min or ITEMS_MIN,
        create_time=now,
        update_time=now,
    )


def check_moving(run: Run) -> None:
    """Checks that rows may be taken.

    Raises:
        DomainError: IMPORT_ENDED, CIRCUIT_OPEN.
    """
    check_open(run)
    if run.state is State.HELD:
        raise circuit_open(run)


def check_open(run: Run) -> None:
    """Checks that a run has not ended.

    Raises:
        DomainError: IMPORT_ENDED.
    """
    if run.state not in OPEN:
        raise DomainError(
            "IMPORT_ENDED",
            f"the import is {run.state.lower()}; begin another one of the same source",
            import_id=run.import_id,
            state=run.state,
        )


def circuit_open(run: Run) -> DomainError:
    """That a run is held (BEY-10)."""
    total = run.deactivated_count + run.held_count
    limit = f"{run.breaker_share_percent} % of the active products"
    return DomainError(
        "CIRCUIT_OPEN",
        f"the import would deactivate {total} products, which is more than {limit} and more than"
        f" {run.breaker_items_min}; an operator has to approve it, or to cancel it",
        import_id=run.import_id,
        deactivated=total,
        limit=f"{limit}, at least {run.breaker_items_min}",
    )


def check_rows(
    run: Run, first_row: int, next_row: int, products: Sequence[Place], refused: Sequence[int]
) -> None:
    """Checks that a call's rows follow those that the run has taken.

    Raises:
        DomainError: INVALID_FIELD.
    """
    if next_row <= first_row:
        raise invalid("next_row", f"must lie behind first_row, which is {first_row}")
    if first_row > run.next_row:
        raise invalid(
            "first_row",
            f"must be at most {run.next_row}: the rows from there on were not taken yet",
        )
    for index, place in enumerate(products):
        if not first_row <= place.row <= next_row - place.row_count:
            raise invalid(f"products[{index}].row", "must have all of its rows within the call's")
    for index, row in enumerate(refused):
        if not first_row <= row < next_row:
            raise invalid(f"refused[{index}].row", "must be one of the call's rows")
    if sum(place.row_count for place in products) > ROWS_MAX:
        raise invalid("products", f"must not take more than {ROWS_MAX} rows in all")


def allows(run: Run, deactivations: int, active_count: Callable[[], int]) -> bool:
    """Whether a run may deactivate so many products more without asking (BEY-10).

    Args:
        run: as it is so far.
        deactivations: how many it would deactivate next.
        active_count: gives how many were active before any of them; asked only when it matters.
    """
    if run.approved or not deactivations:
        return True
    limit = Limit(run.breaker_share_percent, run.breaker_items_min)
    total = run.deactivated_count + deactivations
    return limit.allows(total, active_count)


def held(run: Run, deactivations: int, now: datetime) -> Run:
    """The run, waiting for a yes."""
    return replace(run, state=State.HELD, held_count=deactivations, update_time=now)


def moved(run: Run, next_row: int, cursor: str, outcomes: Sequence[Outcome], now: datetime) -> Run:
    """The run with more rows behind it.

    Args:
        run: as it was.
        next_row: the first row that is not taken yet.
        cursor: where to read on.
        outcomes: of the products that were not refused.
        now: when.
    """
    return replace(
        run,
        next_row=next_row,
        cursor=cursor,
        created_count=run.created_count + outcomes.count(Outcome.CREATED),
        updated_count=run.updated_count + outcomes.count(Outcome.UPDATED),
        unchanged_count=run.unchanged_count + outcomes.count(Outcome.UNCHANGED),
        update_time=now,
    )


def finished(run: Run, now: datetime) -> Run:
    """The run, ended because all of its rows are dealt with.

    Raises:
        DomainError: IMPORT_ENDED, CIRCUIT_OPEN; INVALID_FIELD: rows are missing.
    """
    if run.state is State.DONE:
        return run
    check_moving(run)
    if run.next_row <= run.row_count:
        raise invalid(
            "import_id", f"the rows from {run.next_row} to {run.row_count} are not taken yet"
        )
    return replace(run, state=State.DONE, update_time=now, end_time=now)


def decided(run: Run, now: datetime, *, approved: bool) -> Run:
    """The run after an operator's yes or no (BEY-10). A yes counts for the whole run, also ahead of
    its being held; a no ends it.

    Raises:
        DomainError: IMPORT_ENDED.
    """
    check_open(run)
    if not approved:
        return canceled(run, now)
    return replace(run, state=State.RUNNING, approved=True, held_count=0, update_time=now)


def canceled(run: Run, now: datetime) -> Run:
    """The run, ended where it is."""
    return replace(run, state=State.CANCELED, held_count=0, update_time=now, end_time=now)


def undone(run: Run, undoings: Sequence[Undoing], remaining: int, now: datetime) -> Run:
    """The run with some of its products undone; it is undone itself once none remains."""
    kept = sum(bool(one.kept_because) for one in undoings)
    if run.state in OPEN:
        run = canceled(run, now)
    return replace(
        run,
        state=run.state if remaining else State.UNDONE,
        undone_count=run.undone_count + len(undoings) - kept,
        kept_count=run.kept_count + kept,
        update_time=now,
    )


def undo(shelf: Shelf, run: Run, before: Before, source: Source, now: datetime) -> Undoing:
    """Brings a product back to what it was before the run, unless somebody has changed it since.

    The old values count as read when the run's were: whatever the point of sale was asked for since
    then is newer, also when it arrives after the undo. A product that the run had made leaves a
    tombstone with the version from before the run, so that the same report may bring it back.
    """
    known = shelf.get(run.merchant_id, before.product_id)
    if known is None or known.revision != before.revision:
        return Undoing(before.product_id, "it was changed since")
    if before.product is None:
        stamp = Stamp(before.version, known.stamp.observe_time)
        shelf.put(_without(known, stamp, source, now))
        return Undoing(before.product_id, "")
    try:
        step = upserted(shelf, run.merchant_id, before.product, known.stamp, source, now=now)
    except DomainError as error:
        return Undoing(before.product_id, error.message[:MESSAGE_MAX])
    shelf.put(step.after)
    return Undoing(before.product_id, "")


def _without(known: Known, stamp: Stamp, source: Source, now: datetime) -> Known:
    return replace(
        known,
        product=None,
        stamp=stamp,
        revision=known.revision + 1,
        update_time=now,
        provenance={"": source},
    )
