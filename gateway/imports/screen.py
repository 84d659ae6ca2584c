"""What an operator sees of an import."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.imports.runs import Batch, Findings
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

SHOWN_MAX = 20
LINE_EVERY_S = 3.0
VALUE_LENGTH_MAX = 80

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Prints a line as it is."""
    console.print(text, markup=False, emoji=False)


class Meter:
    """How far it got, how fast, and how long it takes: a bar on a screen, else a line now and then.

    Args:
        what: what is done.
        row_count: number of the last row; 0 when that is not known.
        next_row: where it begins.
    """

    def __init__(self, what: str, row_count: int, next_row: int) -> None:
        self._what = what
        self._row_count = row_count
        self._first_row = self._next_row = next_row
        self._began_s = self._told_s = time.monotonic()
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._progress.add_task(
                what, total=row_count or None, completed=next_row - 1, rate=""
            )

    @contextmanager
    def running(self) -> Iterator["Meter"]:
        """Shows it until the block ends."""
        if self._progress:
            with self._progress:
                yield self
        else:
            yield self

    def move(self, next_row: int) -> None:
        """Tells how far it got."""
        self._next_row = next_row
        if self._progress:
            self._progress.update(self._task, completed=next_row - 1, rate=self._rate_text())
        elif time.monotonic() - self._told_s >= LINE_EVERY_S:
            self._told_s = time.monotonic()
            say(self.line())

    def line(self) -> str:
        """How far it got, as one line."""
        done = self._next_row - 1
        if not self._row_count:
            return f"{self._what}: {done} rows, {self._rate_text()}"
        left_s = (self._row_count - done) / max(self._rate(), 0.001)
        share = 100 * done // self._row_count
        return (
            f"{self._what}: row {done} of {self._row_count} ({share} %), {self._rate_text()},"
            f" {left_s:.0f} s left"
        )

    def _rate(self) -> float:
        took_s = max(time.monotonic() - self._began_s, 0.001)
        return (self._next_row - self._first_row) / took_s

    def _rate_text(self) -> str:
        return f"{self._rate():,.0f} rows/s"


class Preview:
    """What a dry run tells while it goes on.

    Args:
        verbose: whether every change is shown, not only the first.
    """

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._changes = self._warnings = 0

    def told(self, batch: Batch, results: Sequence[catalog_pb2.ProductResult]) -> None:
        """Shows what would become of a batch."""
        for row in batch.refused:
            say(f"row {row.row} refused: {row.message}")
        for index, (imported, result) in enumerate(zip(batch.products, results, strict=False)):
            where = f"row {imported.row}, {result.product_id}"
            if result.outcome == catalog_pb2.UPSERT_OUTCOME_REFUSED:
                say(f"{where} refused: {result.message.removeprefix(f'products[{index}].')}")
            elif result.outcome != catalog_pb2.UPSERT_OUTCOME_CREATED:
                self._tell_changes(where, result.changes)
            for warning in result.warnings:
                self._warnings += 1
                if self._verbose or self._warnings <= SHOWN_MAX:
                    say(f"{where}: {warning}")

    def _tell_changes(self, where: str, changes: Iterable[catalog_pb2.FieldChange]) -> None:
        for change in changes:
            self._changes += 1
            if self._verbose or self._changes <= SHOWN_MAX:
                values = f"{_short(change.old_value)} -> {_short(change.new_value)}"
                say(f"{where}: {change.field}: {values}")
            elif self._changes == SHOWN_MAX + 1:
                say("further changes are not shown; --verbose shows them all")


def summary(findings: Findings) -> str:
    """What a dry run found, in short."""
    found = findings.outcomes
    changed = found["UPDATED"] + found["HELD"]
    return (
        f"It would create {found['CREATED']} products, change {changed}, leave"
        f" {found['UNCHANGED']} as they are, and refuse {findings.refused_rows} rows;"
        f" {findings.deactivated_count} products would be deactivated."
    )


def state(run: pb.Import) -> str:
    """The state of a run, for people."""
    return pb.ImportState.Name(run.state).removeprefix("IMPORT_STATE_").lower()


def described(run: pb.Import) -> str:
    """A run in one line."""
    rows = f"{run.next_row - 1}/{run.row_count}" if run.row_count else str(run.next_row - 1)
    undone = f", undone {run.undone_count}, kept {run.kept_count}" if run.undone_count or (
        run.kept_count
    ) else ""  # fmt: skip
    return (
        f"{run.import_id}  {state(run):<8}  rows {rows}: created {run.created_count}, changed"
        f" {run.updated_count}, unchanged {run.unchanged_count}, refused rows {run.refused_count},"
        f" deactivated {run.deactivated_count}{undone}  {run.source_name}"
    )


def _short(value: str) -> str:
    text = value if len(value) <= VALUE_LENGTH_MAX else value[:VALUE_LENGTH_MAX] + "…"
    return repr(text) if text else "nothing"
