"""The RPCs that watch over stock: whether it is right, and who has to decide what."""

from collections.abc import Sequence

from services.chassis import pages
from services.chassis.database import Call, Transaction
from services.chassis.errors import DomainError, invalid
from services.chassis.rpc import View, command_each, query
from services.inventory.rules import checks, incidents, reservations
from services.inventory.rules.checks import Finding, Sums, Wrong
from services.inventory.rules.incidents import Choice, Incident, State
from services.inventory.service.attention import AttentionRpcs
from services.inventory.service.work import ReservationWork, Work
from services.inventory.store import channels as channel_store
from services.inventory.store import incidents as incident_store
from services.inventory.store import items as item_store
from services.inventory.store import reservations as reservation_store
from services.inventory.store import stock as stock_store
from services.inventory.wire import audit as wire
from services.inventory.wire.stock import page_key, page_time, reservation_changed
from tillbridge.inventory.v1 import audit_pb2 as pb

ITEMS_A_PAGE = 1000
"""Items that one call checks unless it says how many."""


class AuditService(AttentionRpcs):
    """Serves `tillbridge.inventory.v1.AuditService`."""

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
        page = (size + 1, self._database.clock())
        found = incident_store.list_incidents(
            view.connection, view.merchant, int(request.state), before, page
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
        request = call.request
        incident = _find(View(transaction.connection, call.merchant), request.incident_id)
        if request.reservation_id:
            _resolve(transaction, call, incident)
        elif request.to_outlet_id:
            raise invalid("reservation_id", "say what is to be moved to to_outlet_id")
        elif incident.state is State.OPEN:
            place = (call.merchant, incident.item_id, incident.outlet_id)
            incident_store.end_incidents(transaction.connection, [place], transaction.now)
        view = View(transaction.connection, call.merchant)
        (shown,) = _incidents(view, [_find(view, request.incident_id)])
        return pb.ResolveIncidentResponse(incident=shown)


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
    transaction.emit(
        call.merchant,
        f"reservation/{after.reservation_id}",
        reservation_changed(after, incident.incident_id),
        after.channel_id,
    )


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
    open_ones = [one for one in found if one.state is State.OPEN]
    item_ids = sorted({one.item_id for one in open_ones})
    promises = incident_store.load_promises(connection, merchant, item_ids)
    sold = incident_store.load_sold(connection, merchant, open_ones)
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
        taken = sum(part.quantity for part in one.sold)
        missing = sum(
            incidents.missing(level, taken)
            for level in mine
            if level.outlet_id == one.outlet_id and one.state is State.OPEN
        )
        choice = Choice(channels, mine, siblings.get(one.item_id, ()))
        promised = [
            *promises.get((one.item_id, one.outlet_id), ()),
            *sold.get(one.incident_id, ()),
        ]
        shown.append(wire.incident(one, missing, incidents.hits(missing, promised, choice)))
    return shown
