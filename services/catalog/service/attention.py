"""The RPCs of the attention list."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import structlog

from services.catalog.rules import attention, imports, listings
from services.catalog.rules.attention import Cause
from services.catalog.rules.held import Held
from services.catalog.rules.products import Outcome
from services.catalog.service.intake import Arrival, Desk, Report, read
from services.catalog.service.upkeep import lock, tell_listings
from services.catalog.store import attention as attention_rows
from services.catalog.store import held as held_rows
from services.catalog.store import imports as import_rows
from services.catalog.store import listings as listing_rows
from services.catalog.wire import attention as attention_wire
from services.chassis import pages
from services.chassis.database import Call, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View, command_each, query
from tillbridge.attention.v1 import attention_pb2
from tillbridge.catalog.v1 import attention_pb2 as pb
from tillbridge.catalog.v1 import catalog_pb2

CHUNK = 500
"""How many of a group are let go on at a time, so that a large one needs little memory."""

log = structlog.get_logger()

Answer = pb.ResolveAttentionResponse


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator said to a group."""

    transaction: Transaction
    merchant: str
    cause: Cause
    key: str
    go_on: bool
    validate_only: bool


class AttentionRpcs:
    """The RPCs of `CatalogService` that are about what waits for an operator (BEY-09)."""

    @query
    def list_attention(
        self, view: View, request: pb.ListAttentionRequest
    ) -> pb.ListAttentionResponse:
        """What waits, by cause and key."""
        causes = list(Cause)
        place, after = pages.key_before(request, int, str) or (0, None)
        size = pages.page_size(request)
        found: list[attention.Waiting] = []
        for cause in causes[max(place, 0) :]:
            missing = size + 1 - len(found)
            found += attention_rows.groups(view.connection, view.merchant, cause, after, missing)
            if len(found) > size:
                break
            after = None
        last = found[size - 1] if found[size:] else None
        token = pages.token_after(request, causes.index(last.cause), last.key) if last else ""
        return attention_wire.page(found[:size], token)

    @command_each
    def resolve_attention(
        self,
        transaction: Transaction,
        call: Call[pb.ResolveAttentionRequest, pb.ResolveAttentionResponse],
    ) -> pb.ResolveAttentionResponse:
        """Lets all of a group go on, or drops them."""
        request = call.request
        cause = attention_wire.cause(request.cause)
        if cause is None:
            raise attention.not_here()
        lock(transaction, [call.merchant])
        answer = _RESOLVE[cause](
            Decision(
                transaction=transaction,
                merchant=call.merchant,
                cause=cause,
                key=request.key,
                go_on=request.decision == attention_pb2.ATTENTION_DECISION_GO_ON,
                validate_only=request.validate_only,
            )
        )
        if not answer.resolved_count and not answer.waiting_count:
            raise attention.nothing_waits(cause, request.key)
        return answer


def _listings(decision: Decision) -> Answer:
    """Has listings that the store did not take written again."""
    if not decision.go_on:
        raise attention.no_action(decision.cause)
    transaction, after, count = decision.transaction, ("", ""), 0
    while found := attention_rows.listings_not_pushed(
        transaction.connection, decision.merchant, decision.key, after, CHUNK
    ):
        after = found[-1]
        count += len(found)
        if decision.validate_only:
            continue
        keys = [(decision.merchant, *one) for one in found]
        places = listing_rows.placements(transaction.connection, keys)
        again = [
            replace(listings.changed(places[key], transaction.now), push_error="")
            for key in sorted(places)
        ]
        listing_rows.save_placements(transaction.connection, [], again)
        tell_listings(transaction, again)
    return Answer(resolved_count=count)


def _reports(decision: Decision) -> Answer:
    """Takes in what was refused or held, or drops it."""
    take = _take_in if decision.go_on else _drop
    resolved = waiting = 0
    for chunk in _held(decision):
        done = take(decision, chunk)
        resolved += done
        waiting += len(chunk) - done
    if decision.go_on and decision.cause is Cause.CIRCUIT_OPEN and not decision.validate_only:
        _approve(decision)
    return Answer(resolved_count=resolved, waiting_count=waiting)


def _held(decision: Decision) -> Iterator[list[Held]]:
    after = ""
    while found := attention_rows.held_group(
        decision.transaction.connection,
        decision.merchant,
        decision.cause,
        decision.key,
        after=after,
        count=CHUNK,
    ):
        after = found[-1].product_id
        yield found


def _take_in(decision: Decision, chunk: list[Held]) -> int:
    arrivals = [_arrival(held) for held in chunk]
    desk = Desk.open(decision.transaction, arrivals)
    verdicts = [desk.take(arrival, unasked=False) for arrival in arrivals]
    if not decision.validate_only:
        desk.close()
    return sum(verdict.outcome is not Outcome.REFUSED for verdict in verdicts)


def _drop(decision: Decision, chunk: list[Held]) -> int:
    if not decision.validate_only:
        connection = decision.transaction.connection
        held_rows.save_held(connection, {(one.merchant_id, one.product_id): None for one in chunk})
        log.warning(
            "reports dropped",
            merchant_id=decision.merchant,
            cause=decision.cause,
            key=decision.key,
            products=[(one.product_id, one.stamp.version, one.request_id) for one in chunk],
        )
    return len(chunk)


def _approve(decision: Decision) -> None:
    connection, key = decision.transaction.connection, (decision.merchant, decision.key)
    breakers = Desk.open_breakers(decision.transaction, [key])
    breakers.approve(*key)
    held_rows.save_breakers(connection, breakers.changed.values())


def _arrival(held: Held) -> Arrival:
    """A report as it came, which is as new as it was then."""
    message = None
    report: Report | DomainError = Report(held.product_id, None, held.stamp)
    if held.report is not None:
        message = catalog_pb2.Product.FromString(held.report)
        report = read(message, held.record_time)
        if isinstance(report, Report):
            report = replace(report, stamp=held.stamp)
    return Arrival(
        merchant_id=held.merchant_id,
        product_id=held.product_id if message is None else message.product_id,
        report=report,
        message=message,
        cause=held.cause,
        request_id=held.request_id,
    )


def _import(decision: Decision) -> Answer:
    """Says yes or no to an import that is held."""
    connection, key = decision.transaction.connection, (decision.merchant, decision.key)
    run = import_rows.runs(connection, [key]).get(key)
    if run is None or run.state is not imports.State.HELD:
        return Answer()
    if not decision.validate_only:
        decided = imports.decided(run, decision.transaction.now, approved=decision.go_on)
        import_rows.save_runs(connection, [decided])
    return Answer(resolved_count=1)


def _skus(decision: Decision) -> Answer:
    raise attention.no_action(decision.cause)


_RESOLVE: dict[Cause, Callable[[Decision], Answer]] = {
    Cause.LISTING_NOT_PUSHED: _listings,
    Cause.PRODUCT_REFUSED: _reports,
    Cause.CIRCUIT_OPEN: _reports,
    Cause.IMPORT_HELD: _import,
    Cause.SKU_AMBIGUOUS: _skus,
}
