"""The RPCs of the attention list."""

from collections.abc import Iterator, Sequence

import structlog

from services.chassis import pages
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View, command_each, query
from services.inventory.rules import attention
from services.inventory.rules import held as held_rules
from services.inventory.rules.attention import Cause
from services.inventory.rules.held import Held
from services.inventory.service.work import Work
from services.inventory.store import attention as attention_store
from services.inventory.store import channels as channel_store
from services.inventory.store import held as held_store
from services.inventory.wire import attention as wire
from tillbridge.attention.v1 import attention_pb2
from tillbridge.inventory.v1 import audit_pb2 as pb

CHUNK = 500
"""How many held counts go on at a time, so that many of them need little memory."""

log = structlog.get_logger()

ResolveCall = Call[pb.ResolveAttentionRequest, pb.ResolveAttentionResponse]


class AttentionRpcs:
    """The RPCs of `AuditService` that are about what waits for an operator (BEY-09, BEY-10)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @query
    def list_attention(
        self, view: View, request: pb.ListAttentionRequest
    ) -> pb.ListAttentionResponse:
        """What waits, by cause and key."""
        begin, after = pages.key_before(request, int, str) or (0, "")
        size, now = pages.page_size(request), self._database.clock()
        found: list[attention.Waiting] = []
        for cause in Cause:
            missing = size + 1 - len(found)
            if cause >= begin and missing:
                page = (after if cause == begin else "", missing)
                found += attention_store.groups(view.connection, view.merchant, cause, page, now)
        last = found[size - 1] if found[size:] else None
        token = pages.token_after(request, int(last.cause), last.key) if last else ""
        return wire.page(found[:size], token)

    @command_each
    def resolve_attention(
        self, transaction: Transaction, call: ResolveCall
    ) -> pb.ResolveAttentionResponse:
        """Lets all held counts of an outlet go on, or drops them (BEY-10)."""
        request = call.request
        cause = wire.cause(request.cause)
        if cause is not Cause.COUNTS_HELD:
            raise attention.no_action()
        # Nothing else of the merchant's stock changes meanwhile, whatever is held.
        channel_store.lock_channels(transaction, [call.merchant], shared=False)
        go_on = request.decision == attention_pb2.ATTENTION_DECISION_GO_ON
        decide = _take_in if go_on else _drop
        count = 0
        for chunk in _held(transaction, call):
            count += len(chunk)
            decide(transaction, call, chunk)
        if not count:
            raise attention.nothing_waits(cause, request.key)
        if go_on and not request.validate_only:
            held_store.approve(transaction.connection, call.merchant, request.key, transaction.now)
        return pb.ResolveAttentionResponse(resolved_count=count)


def _held(transaction: Transaction, call: ResolveCall) -> Iterator[list[Held]]:
    after, outlet_id = "", call.request.key
    while found := held_store.held_group(
        transaction.connection, call.merchant, outlet_id, after, CHUNK
    ):
        after = found[-1].told.item_id
        yield found


def _take_in(transaction: Transaction, call: ResolveCall, chunk: Sequence[Held]) -> None:
    """Records counts as they came. One of an item that the catalog has no more is dropped."""
    work = Work(transaction, [call], lambda _: [held.told.item_id for held in chunk])
    deltas = work.deltas_since(call.merchant, [held.told for held in chunk])
    for held in chunk:
        told, draft = held.told, work.draft(call)
        try:
            held_rules.take_in(draft, told, deltas.get((told.item_id, told.outlet_id), ()))
        except DomainError as error:
            log.warning("held count dropped", item_id=told.item_id, reason=error.reason)
        else:
            work.accept(call, draft, held.cause)
    if not call.request.validate_only:
        work.save()
        _forget(transaction, call, chunk)


def _drop(transaction: Transaction, call: ResolveCall, chunk: Sequence[Held]) -> None:
    if not call.request.validate_only:
        _forget(transaction, call, chunk)
        log.warning(
            "counts dropped",
            merchant_id=call.merchant,
            outlet_id=call.request.key,
            items=[(one.told.item_id, one.told.version, one.request_id) for one in chunk],
        )


def _forget(transaction: Transaction, call: ResolveCall, chunk: Sequence[Held]) -> None:
    gone = [(call.merchant, one.told.item_id, one.told.outlet_id) for one in chunk]
    held_store.save_held(transaction.connection, dict.fromkeys(gone))
