"""The RPCs of imports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from secrets import token_hex
from typing import TypeAlias

from services.catalog.rules import imports
from services.catalog.rules.imports import Before, Line, Place, Run, Undoing
from services.catalog.rules.products import Outcome
from services.catalog.rules.provenance import Source
from services.catalog.rules.shelf import Shelf, Step
from services.catalog.service.intake import Arrival, decide, load, read, warnings
from services.catalog.service.upkeep import lock, save
from services.catalog.store import Key
from services.catalog.store import held as held_rows
from services.catalog.store import imports as import_rows
from services.catalog.store import products as product_rows
from services.catalog.store.imports import ChangeKept
from services.catalog.wire import imports as wire
from services.catalog.wire import products as product_wire
from services.chassis import pages
from services.chassis.database import Call, Calls, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View, command, command_each, query
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

UNDO_MAX = 500

ProductsCall: TypeAlias = Call[pb.ImportProductsRequest, pb.ImportProductsResponse]


class ImportService:
    """Implements `tillbridge.catalog.v1.ImportService`."""

    @command_each
    def create_import(
        self,
        transaction: Transaction,
        call: Call[pb.CreateImportRequest, pb.CreateImportResponse],
    ) -> pb.CreateImportResponse:
        """A new run, or the unfinished one of the same source (BEY-15)."""
        request = call.request
        lock(transaction, [call.merchant])
        key = (call.merchant, request.source_digest)
        found = import_rows.unfinished(transaction.connection, [key]).get(key)
        if found is None:
            run = imports.begun(
                call.merchant,
                f"{transaction.now:%Y%m%dT%H%M%S%f}-{token_hex(3)}",
                (request.source_name, request.source_digest),
                request.row_count,
                (request.breaker_share_percent, request.breaker_items_min),
                now=transaction.now,
            )
            import_rows.save_runs(transaction.connection, [run])
        return pb.CreateImportResponse(
            **{"import": wire.run(found or run)}, resumed=found is not None
        )

    @command
    def import_products(
        self,
        transaction: Transaction,
        calls: Calls[pb.ImportProductsRequest, pb.ImportProductsResponse],
    ) -> None:
        """Takes in the next rows of runs, each product for itself (BEY-15, BEY-10).

        A run that is to be held is held although its call is refused.
        """
        desk = _Desk.open(transaction, calls)
        for call in calls:
            with call:
                call.reply(desk.take(call))
        desk.close()

    @command_each
    def finish_import(
        self,
        transaction: Transaction,
        call: Call[pb.FinishImportRequest, pb.FinishImportResponse],
    ) -> pb.FinishImportResponse:
        """Ends a run whose rows are all taken."""
        run = imports.finished(_run(transaction, call.merchant, call.request), transaction.now)
        import_rows.save_runs(transaction.connection, [run])
        return pb.FinishImportResponse(**{"import": wire.run(run)})

    @command_each
    def approve_import(
        self,
        transaction: Transaction,
        call: Call[pb.ApproveImportRequest, pb.ApproveImportResponse],
    ) -> pb.ApproveImportResponse:
        """Takes an operator's yes or no (BEY-10)."""
        run = imports.decided(
            _run(transaction, call.merchant, call.request),
            transaction.now,
            approved=call.request.approved,
        )
        import_rows.save_runs(transaction.connection, [run])
        return pb.ApproveImportResponse(**{"import": wire.run(run)})

    @command_each
    def undo_import(
        self,
        transaction: Transaction,
        call: Call[pb.UndoImportRequest, pb.UndoImportResponse],
    ) -> pb.UndoImportResponse:
        """Brings the last products of a run back to what they were before it (BEY-15)."""
        connection = transaction.connection
        run = _run(transaction, call.merchant, call.request)
        kept = import_rows.changes_last_first(connection, run, UNDO_MAX)
        before = [
            Before(
                one.product_id,
                wire.unpacked(one.before),
                one.before_version,
                one.row,
                one.revision,
            )
            for one in kept
        ]
        shelf = _shelf(transaction, run, before)
        source = Source(f"undo of {run.cause}"[:200], call.request.request_id, transaction.now)
        undoings = [imports.undo(shelf, run, one, source, transaction.now) for one in before]
        remaining = import_rows.change_count(connection, run)
        if not call.request.validate_only:
            remaining -= len(undoings)
            run = imports.undone(run, undoings, remaining, transaction.now)
            _save_undone(transaction, shelf, run, undoings)
        return wire.undone(run, remaining, undoings)

    @query
    def get_import(self, view: View, request: pb.GetImportRequest) -> pb.GetImportResponse:
        """One run."""
        run = _known(view, request.import_id)
        return pb.GetImportResponse(**{"import": wire.run(run)})

    @query
    def list_imports(self, view: View, request: pb.ListImportsRequest) -> pb.ListImportsResponse:
        """Runs, the latest first."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = import_rows.page(view.connection, view.merchant, after, size + 1)
        token = pages.token_after(request, found[size - 1].import_id) if found[size:] else ""
        return wire.page(found[:size], token)

    @query
    def list_import_rows(
        self, view: View, request: pb.ListImportRowsRequest
    ) -> pb.ListImportRowsResponse:
        """The rows of a run that were not taken as they stood."""
        run = _known(view, request.import_id)
        (after,) = pages.key_before(request, int) or (0,)
        size = pages.page_size(request)
        found = import_rows.lines(view.connection, view.merchant, run.import_id, after, size + 1)
        token = pages.token_after(request, found[size - 1].row) if found[size:] else ""
        return wire.lines(found[:size], token)


@dataclass(slots=True)
class _Desk:
    """What a group of calls with rows is decided on, as it is after the calls so far."""

    transaction: Transaction
    began: dict[Key, Run]
    """The runs as they were before the group."""
    runs: dict[Key, Run]
    arrivals: dict[int, list[Arrival]]
    """The products of each call, by its place in memory."""
    shelf: Shelf
    lines: list[tuple[Run, Line]] = field(default_factory=list)
    changes: dict[tuple[str, str, str], tuple[Run, ChangeKept]] = field(default_factory=dict)

    @classmethod
    def open(cls, transaction: Transaction, calls: Sequence[ProductsCall]) -> "_Desk":
        """Loads what these calls are about; no other process may change it until commit."""
        lock(transaction, {call.merchant for call in calls})
        runs = import_rows.runs(
            transaction.connection, {(call.merchant, call.request.import_id) for call in calls}
        )
        arrivals = {id(call): list(_arrivals(call, runs)) for call in calls}
        shelf = load(transaction, [one for listed in arrivals.values() for one in listed])
        return cls(transaction, dict(runs), runs, arrivals, shelf)

    def take(self, call: ProductsCall) -> pb.ImportProductsResponse:
        """Takes in a call's rows, all of them or none.

        Raises:
            DomainError: INVALID_FIELD, IMPORT_NOT_FOUND, IMPORT_ENDED, CIRCUIT_OPEN.
        """
        request = call.request
        key = (call.merchant, request.import_id)
        run = self.runs.get(key)
        if run is None:
            raise not_found(request.import_id)
        imports.check_moving(run)
        places, refused = wire.places(request), wire.refused(request)
        imports.check_rows(
            run, request.first_row, request.next_row, places, [line.row for line in refused]
        )
        if request.next_row <= run.next_row:
            return wire.taken(run, ())
        batch = _Batch(self.transaction, run, self.shelf.copy())
        batch.lines += [line for line in refused if line.row >= run.next_row]
        batch.refused_count = len(batch.lines)
        for place, arrival in zip(places, self.arrivals[id(call)], strict=True):
            batch.take(place, arrival)
        deactivated = sum(step.deactivates for step in batch.steps)
        if not imports.allows(run, deactivated, partial(self._active_count, key)):
            self.runs[key] = imports.held(run, deactivated, self.transaction.now)
            raise imports.circuit_open(self.runs[key])
        self.shelf = batch.shelf
        self.runs[key] = run = replace(
            imports.moved(
                run, request.next_row, request.cursor, batch.outcomes, self.transaction.now
            ),
            refused_count=run.refused_count + batch.refused_count,
            deactivated_count=run.deactivated_count + deactivated,
        )
        results = batch.results()
        self.lines += [(run, line) for line in batch.lines]
        for kept in batch.changes:
            change = (*key, kept.product_id)
            first = self.changes[change][1] if change in self.changes else kept
            self.changes[change] = (run, replace(first, revision=kept.revision))
        return wire.taken(run, results)

    def close(self) -> None:
        """Saves and tells what was decided."""
        connection = self.transaction.connection
        save(self.transaction, self.shelf)
        import_rows.save_runs(
            connection, [run for key, run in self.runs.items() if run != self.began[key]]
        )
        import_rows.save_lines(connection, self.lines)
        import_rows.save_changes(connection, list(self.changes.values()))

    def _active_count(self, key: Key) -> int:
        """How many products were active before the run."""
        now = held_rows.active_count(self.transaction.connection, key[0])
        return now + self.began[key].deactivated_count


@dataclass(slots=True)
class _Batch:
    """The products of one call, tried on a shelf of their own."""

    transaction: Transaction
    run: Run
    shelf: Shelf
    refused_count: int = 0
    """Rows."""
    steps: list[Step] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    """Of the products that were not refused."""
    lines: list[Line] = field(default_factory=list)
    changes: list[ChangeKept] = field(default_factory=list)
    _results: list[tuple[Place, Arrival, Outcome, str]] = field(default_factory=list)

    def take(self, place: Place, arrival: Arrival) -> None:
        """Takes in a product, or notes why not; one that the run has behind it changes nothing."""
        outcome, message = Outcome.UNCHANGED, ""
        if place.row >= self.run.next_row:
            try:
                step = decide(self.shelf, arrival, self.transaction.now)
            except DomainError as error:
                outcome, message = Outcome.REFUSED, wire.why(error)
                self._refuse(place, arrival.product_id[:128], message)
            else:
                outcome = step.outcome
                self._put(place, step)
        self._results.append((place, arrival, outcome, message))

    def results(self) -> list[catalog_pb2.ProductResult]:
        """What became of each product; those with a warning are noted."""
        warned = warnings(self.transaction, self.steps)
        for place, arrival, outcome, _ in self._results:
            if outcome is not Outcome.REFUSED and arrival.product_id in warned:
                text = "; ".join(warned[arrival.product_id])[: imports.MESSAGE_MAX]
                self.lines.append(Line(place.row, arrival.product_id, outcome, text))
        return [
            product_wire.result(
                arrival.product_id,
                outcome,
                message,
                () if outcome is Outcome.REFUSED else warned.get(arrival.product_id, ()),
            )
            for _, arrival, outcome, message in self._results
        ]

    def _refuse(self, place: Place, product_id: str, message: str) -> None:
        """Every row of a product that is refused is listed."""
        text = message[: imports.MESSAGE_MAX]
        self.refused_count += place.row_count
        self.lines.append(Line(place.row, product_id, Outcome.REFUSED, text))
        self.lines += [
            Line(row, product_id, Outcome.REFUSED, f"as row {place.row}, its product's first")
            for row in range(place.row + 1, place.row + place.row_count)
        ]

    def _put(self, place: Place, step: Step) -> None:
        self.steps.append(step)
        self.outcomes.append(step.outcome)
        self.shelf.put(step.after)
        if step.outcome is Outcome.UNCHANGED:
            return
        before = step.before
        self.changes.append(
            ChangeKept(
                product_id=step.after.product_id,
                before=wire.packed(before) if before and before.product else None,
                before_version=before.stamp.version if before else 0,
                row=place.row,
                revision=step.after.revision,
            )
        )


def _arrivals(call: ProductsCall, runs: dict[Key, Run]) -> Iterable[Arrival]:
    """The products of a call; all of a run's values count as read when it began."""
    request = call.request
    run = runs.get((call.merchant, request.import_id))
    for one in request.products if run else ():
        assert run is not None
        yield Arrival(
            merchant_id=call.merchant,
            product_id=one.product.product_id,
            report=read(one.product, run.create_time),
            message=one.product,
            cause=run.cause,
            request_id=request.request_id,
        )


def _run(transaction: Transaction, merchant: str, request: object) -> Run:
    """The run that a call is about; no other process may change the catalog until commit.

    Raises:
        DomainError: IMPORT_NOT_FOUND.
    """
    import_id = str(getattr(request, "import_id", ""))
    lock(transaction, [merchant])
    found = import_rows.runs(transaction.connection, [(merchant, import_id)])
    if not found:
        raise not_found(import_id)
    return found[merchant, import_id]


def _known(view: View, import_id: str) -> Run:
    run = import_rows.one(view.connection, view.merchant, import_id)
    if run is None:
        raise not_found(import_id)
    return run


def not_found(import_id: str) -> DomainError:
    """That there is no such run."""
    return DomainError(
        "IMPORT_NOT_FOUND",
        f"no import {import_id!r}; ListImports shows those that there are",
        field="import_id",
        import_id=import_id,
    )


def _shelf(transaction: Transaction, run: Run, before: Sequence[Before]) -> Shelf:
    return product_rows.shelf(
        transaction.connection,
        [(run.merchant_id, one.product_id) for one in before],
        [
            (run.merchant_id, variant.item_id)
            for one in before
            for variant in (one.product.variants if one.product else ())
        ],
    )


def _save_undone(
    transaction: Transaction, shelf: Shelf, run: Run, undoings: Sequence[Undoing]
) -> None:
    save(transaction, shelf)
    import_rows.forget_changes(transaction.connection, run, [one.product_id for one in undoings])
    import_rows.save_runs(transaction.connection, [run])
