"""The RPCs that watch over stock: whether it is right, and who has to decide what."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from services.chassis import pages
from services.chassis.database import Call, Transaction
from services.chassis.errors import DomainError, invalid
from services.chassis.rpc import View, command_each, query
from services.inventory.rules import checks, incidents, reservations
from services.inventory.rules.checks import Finding, Sums, Wrong
from services.inventory.rules.incidents import Choice, Incident, State
from services.inventory.rules.transfers import LATE_AFTER
from services.inventory.service.work import ReservationWork, Work
from services.inventory.store import channels as channel_store
from services.inventory.store import incidents as incident_store
from services.inventory.store import items as item_store
from services.inventory.store import reservations as reservation_store
from services.inventory.store import stock as stock_store
from services.inventory.store import transfers as transfer_store
from services.inventory.wire import audit as wire
from services.inventory.wire.stock import page_key, page_time
from tillbridge.attention.v1 import attention_pb2
from tillbridge.inventory.v1 import audit_pb2 as pb

ITEMS_A_PAGE = 1000
"""Items that one call checks unless it says how many."""


class AuditService:
    """Serves `tillbridge.inventory.v1.AuditService`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    @command_each
    def check_stock(
        self, transaction: Transaction, call: Call[pb.CheckStockRequest, pb.CheckStockResponse]
    ) -> pb.CheckStockResponse:
        """Compares what is kept with what it is the sum of, and sets it right if asked to."""
        asked = pb.CheckStockRequest(page_token=call.request.page_token, repair=call.request.repair)
        (after,) = pages.key_before(asked, str) or ("",)
        size = call.request.page_size or ITEMS_A_PAGE
        found = item_store.list_item_ids(transaction.connection, call.merchant, after, size + 1)
        item_ids = found[:size]
        work = Work(transaction, [call], lambda _: item_ids)
        wrong = _check(transaction, call, work, item_ids)
        if call.request.repair:
            work.save()
        answer = pb.CheckStockResponse(
            findings=[wire.finding(one, repaired=call.request.repair) for one in wrong],
            checked_items=len(item_ids),
        )
        if len(found) > size:
            answer.next_page_token = pages.token_after(asked, item_ids[-1])
        return answer

    @query
    def list_incidents(
        self, view: View, request: pb.ListIncidentsRequest
    ) -> pb.ListIncidentsResponse:
        """Lists oversell incidents, the latest first."""
        key, size = pages.key_before(request, int, str), pages.page_size(request)
        before = (page_time(key[0]), key[1]) if key else None
        found = incident_store.list_incidents(
            view.connection, view.merchant, int(request.state), before, size + 1
        )
        shown = _incidents(view, found[:size])
        answer = pb.ListIncidentsResponse(incidents=shown)
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = pages.token_after(
                request, page_key(last.create_time), last.incident_id
            )
        return answer

    @command_each
    def resolve_incident(
        self,
        transaction: Transaction,
        call: Call[pb.ResolveIncidentRequest, pb.ResolveIncidentResponse],
    ) -> pb.ResolveIncidentResponse:
        """Moves or releases what one order holds, or ends the incident."""
        request, view = call.request, View(transaction.connection, call.merchant)
        incident = _find(view, request.incident_id)
        if request.reservation_id:
            _resolve(transaction, call, incident)
        elif request.to_outlet_id:
            raise invalid("reservation_id", "say what is to be moved to to_outlet_id")
        elif incident.state is State.OPEN:
            place = (call.merchant, incident.item_id, incident.outlet_id)
            incident_store.end_incidents(view.connection, [place], transaction.now)
        incident = _find(view, request.incident_id)
        (shown,) = _incidents(view, [incident])
        return pb.ResolveIncidentResponse(incident=shown)

    @query
    def list_attention(
        self, view: View, request: pb.ListAttentionRequest
    ) -> pb.ListAttentionResponse:
        """Lists what waits for an operator, by cause and key."""
        after, size = pages.key_before(request, int, str) or (0, ""), pages.page_size(request)
        late = self._clock() - LATE_AFTER
        groups = [*_oversold(view), *_silent(view), *_late(view, late)]
        found = [group for group in groups if (int(group.cause), group.key) > after]
        answer = pb.ListAttentionResponse(groups=found[:size])
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = pages.token_after(request, int(last.cause), last.key)
        return answer


def _check(
    transaction: Transaction,
    call: Call[pb.CheckStockRequest, pb.CheckStockResponse],
    work: Work,
    item_ids: Sequence[str],
) -> list[Finding]:
    """What is wrong with these items. In `work` it is right afterwards, figures included."""
    keys = [(call.merchant, item_id) for item_id in item_ids]
    sums = Sums(*incident_store.expected_sums(transaction.connection, keys))
    draft = work.draft(call)
    found: list[Finding] = []
    for level, right in checks.wrong_levels(sums, work.levels(call.merchant).values()):
        found += checks.findings(level, right)
        checks.repair(draft, level, right, transaction.now)
    work.accept(call, draft, "check")
    for figure, expected in work.wrong_figures(call.merchant):
        item_id, channel_id, kept = figure.item_id, figure.channel_id, str(figure.quantity)
        found.append(Finding(Wrong.ONLINE_STOCK, item_id, "", channel_id, kept, str(expected)))
        work.tell_again(call.merchant, channel_id, item_id)
    return sorted(found, key=lambda one: (one.item_id, one.kind, one.outlet_id, one.channel_id))


def _resolve(
    transaction: Transaction,
    call: Call[pb.ResolveIncidentRequest, pb.ResolveIncidentResponse],
    incident: Incident,
) -> None:
    """Moves what an order holds at the place of an incident, or releases the order's holds."""
    request, place = call.request, (incident.item_id, incident.outlet_id)
    if request.to_outlet_id == incident.outlet_id:
        raise invalid("to_outlet_id", "must be another outlet than the incident's")
    work = ReservationWork(transaction, [call])
    draft = work.draft(call)
    reservation, holds = work.find(call.merchant, request.reservation_id)
    if request.to_outlet_id:
        after, left = reservations.move(draft, reservation, holds, place, request.to_outlet_id)
        work.changes.moved.add((call.merchant, request.reservation_id))
        work.changes.held += reservation_store.hold_rows(call.merchant, after)
    else:
        after, left = reservations.release(draft, reservation, holds), []
    work.accept(call, draft, f"incident {incident.incident_id}")
    work.keep(call.merchant, after, left)
    work.save()


def _find(view: View, incident_id: str) -> Incident:
    found = incident_store.find_incident(view.connection, view.merchant, incident_id)
    if found is None:
        raise DomainError(
            "INCIDENT_NOT_FOUND", f"there is no incident {incident_id!r}", incident_id=incident_id
        )
    return found


def _incidents(view: View, found: Sequence[Incident]) -> list[pb.Incident]:
    """Incidents with the orders that they hit, and what can be done for each (BEY-04)."""
    connection, merchant = view.connection, view.merchant
    item_ids = sorted({one.item_id for one in found if one.state is State.OPEN})
    promises = incident_store.load_promises(connection, merchant, item_ids)
    siblings = incident_store.load_siblings(connection, merchant, item_ids)
    levels = [
        level
        for _, level in stock_store.load_levels(connection, [(merchant, one) for one in item_ids])
    ]
    known = channel_store.load_channels(connection, [merchant])[merchant]
    channels = {channel.channel_id: channel for channel, _ in known}
    shown = []
    for one in found:
        mine = [level for level in levels if level.item_id == one.item_id]
        missing = sum(
            level.missing
            for level in mine
            if level.outlet_id == one.outlet_id and one.state is State.OPEN
        )
        choice = Choice(channels, mine, siblings.get(one.item_id, ()))
        held = promises.get((one.item_id, one.outlet_id), ())
        shown.append(wire.incident(one, missing, incidents.hits(missing, held, choice)))
    return shown


def _oversold(view: View) -> Iterator[attention_pb2.AttentionGroup]:
    """Open incidents, by outlet."""
    found = incident_store.list_incidents(
        view.connection, view.merchant, int(State.OPEN), None, None
    )
    for outlet_id in sorted({one.outlet_id for one in found}):
        there = [one for one in reversed(found) if one.outlet_id == outlet_id]
        yield wire.attention(
            attention_pb2.ATTENTION_CAUSE_OVERSOLD,
            outlet_id,
            f"{len(there)} items at outlet {outlet_id} are promised to orders and were sold at the"
            " till",
            "ListIncidents says which orders are hit and what can be done; ResolveIncident does it",
            [one.incident_id for one in there],
            there[0].create_time,
        )


def _silent(view: View) -> Iterator[attention_pb2.AttentionGroup]:
    """Outlets that are silent, with the channels that count less of them (BEY-12)."""
    known = channel_store.load_channels(view.connection, [view.merchant])[view.merchant]
    heard = channel_store.load_heard(view.connection, view.merchant)
    for outlet_id in sorted({one for channel, _ in known for one in channel.silent_outlet_ids}):
        channels = [
            channel.channel_id for channel, _ in known if outlet_id in channel.silent_outlet_ids
        ]
        yield wire.attention(
            attention_pb2.ATTENTION_CAUSE_OUTLET_SILENT,
            outlet_id,
            f"outlet {outlet_id} has been silent for too long; {len(channels)} channels count it"
            " only as far as their policies say",
            "see to its connection; it comes back by itself as soon as anything is heard of it",
            channels,
            heard.get(outlet_id),
        )


def _late(view: View, before: datetime) -> Iterator[attention_pb2.AttentionGroup]:
    """Transfers that were sent before this time and have not arrived, by where they go."""
    found = transfer_store.late_transfers(view.connection, view.merchant, before)
    for outlet_id in sorted({row[0] for row in found}):
        there = [row for row in found if row[0] == outlet_id]
        yield wire.attention(
            attention_pb2.ATTENTION_CAUSE_TRANSFER_LATE,
            outlet_id,
            f"{len(there)} transfers to outlet {outlet_id} have been on their way for more than"
            f" {LATE_AFTER.days} days",
            "ReceiveTransfer what has arrived, and CloseTransfer what will not",
            [row[1] for row in there],
            there[0][2],
        )
