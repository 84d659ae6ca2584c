"""The RPCs of drift between orders and their stores: which there is, and what heals it (BEY-07)."""

from services.chassis import pages
from services.chassis.database import Call, Transaction
from services.chassis.rpc import View, command_each, query
from services.chassis.values import replace
from services.order.rules import drift, returns
from services.order.rules import order as order_rules
from services.order.rules.drift import Cause, Drift, Remedy
from services.order.rules.order import OrderKey
from services.order.service.cases import Cases
from services.order.service.told import ask_for_document, tell_order
from services.order.store import drift as drift_rows
from services.order.store import orders
from services.order.wire import drift as drift_wire
from tillbridge.order.v1 import drift_pb2 as pb

ORDERS_MAX = 1000
"""Orders that one call heals where none are named."""
_REASONS = {
    Cause.DELETED_IN_STORE: "deleted in the store",
    Cause.VOIDED_IN_POINT_OF_SALE: "voided in the point of sale",
}
"""Why an order is canceled."""


class Healing:
    """The part of `tillbridge.order.v1.OrderService` that is about drift."""

    @query
    def list_order_drift(
        self, view: View, request: pb.ListOrderDriftRequest
    ) -> pb.ListOrderDriftResponse:
        """Drift of a channel's orders, by order and field."""
        after = pages.key_before(request, str, int)
        size = pages.page_size(request)
        found = drift_rows.page(
            view.connection,
            view.merchant,
            request.channel_id,
            order_id=request.order_id,
            state=drift_wire.state(request),
            after=(after[0], after[1]) if after else None,
            count=size + 1,
        )
        shown = found[:size]
        known = orders.orders(view.connection, {one.key for one in shown})
        token = ""
        if found[size:]:
            token = pages.token_after(request, shown[-1].key.order_id, int(shown[-1].field))
        return pb.ListOrderDriftResponse(
            drift=drift_wire.messages((one, drift.remedy(one, known[one.key])) for one in shown),
            next_page_token=token,
        )

    @command_each
    def heal_order_drift(
        self,
        transaction: Transaction,
        call: Call[pb.HealOrderDriftRequest, pb.HealOrderDriftResponse],
    ) -> pb.HealOrderDriftResponse:
        """Has orders fetched, shown, canceled or posted, as heals their drift."""
        request, connection = call.request, transaction.connection
        channel = (call.merchant, request.channel_id)
        named = [OrderKey(*channel, order_id) for order_id in request.order_ids]
        keys = named or drift_rows.open_orders(connection, *channel, drift.BY_ITSELF, ORDERS_MAX)
        cases = Cases(transaction, keys)
        for key in keys:
            if key not in cases.known:
                raise order_rules.order_not_found(key)
        known = drift_rows.open_of_orders(connection, keys)
        plan = [
            (one, drift.remedy(one, cases.known[key].order))
            for key in sorted(known)
            for one in _in_order(known[key])
            if named or one.found.cause in drift.BY_ITSELF
        ]
        if not request.validate_only:
            _heal(transaction, cases, plan)
        return pb.HealOrderDriftResponse(
            drift=drift_wire.messages(plan), order_count=len({one.key for one, _ in plan})
        )


def _heal(transaction: Transaction, cases: Cases, plan: list[tuple[Drift, Remedy]]) -> None:
    now = transaction.now
    wanted = {(one.key, remedy): one.found.cause for one, remedy in plan}
    for (key, remedy), cause in wanted.items():
        case = cases.going[key]
        if remedy is Remedy.FETCH:
            ask_for_document(transaction, key)
        elif remedy is Remedy.SHOW:
            tell_order(transaction, case.order)
        elif remedy is Remedy.CANCEL:
            case = returns.canceled(case, _REASONS[cause], now)
        elif remedy is Remedy.POST and case.sale:
            sale = replace(case.sale, revision=case.sale.revision + 1)
            case = replace(case, sale=sale)
        if cause is Cause.DELETED_IN_STORE:
            case = returns.gone(case)
        cases.going[key] = case
    cases.save()
    # What is fetched, shown or posted is healed by what the other side has then.
    settled = [one for one, remedy in plan if remedy in {Remedy.CANCEL, Remedy.KEEP}]
    drift_rows.save(transaction.connection, [drift.healed(one, now) for one in settled])


def _in_order(found: dict[drift.Field, Drift]) -> list[Drift]:
    return [found[field] for field in sorted(found)]
