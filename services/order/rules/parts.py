"""Which outlets gave what of an order, so that it can be taken back from them, or not asked of them
any more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from services.order.rules.accounting import AskedLine, Part
from services.order.rules.case import Case
from services.order.rules.order import Order, open_lines


def open_parts(case: Case) -> Iterator[Part]:
    """All that was not handed over, back to the outlets that gave it."""
    open_here = open_lines(case.order)
    for line_id, outlet_id, quantity in _given(case, to_come=True):
        part = min(quantity, open_here.get(line_id, 0))
        if part:
            yield _part(case.order, line_id, part, outlet_id, outlet_id, canceled=True)


def parts_of(case: Case, line: AskedLine, outlet_id: str) -> Iterator[Part]:
    """What comes back of a line: first what was not handed over yet; damaged goods are of what was,
    as far as that goes. Where the store manages that, all counts as handed over.
    """
    assert case.order.accounts
    sources = [
        (to_come, given_by, quantity)
        for to_come in ((False,) if case.order.accounts.by_store else (True, False))
        for name, given_by, quantity in _given(case, to_come=to_come)
        if name == line.line_id
    ]
    missing, taken = line.quantity, []
    for to_come, given_by, quantity in sources:
        part = min(missing, quantity)
        missing -= part
        if part:
            taken.append((to_come, given_by, part))
    damaged = line.not_restocked
    for to_come, given_by, quantity in reversed(taken):
        lost = min(damaged, quantity)
        damaged -= lost
        back = outlet_id or given_by
        if lost:
            yield replace(
                _part(case.order, line.line_id, lost, given_by, back, canceled=to_come),
                restocked=False,
            )
        if quantity > lost:
            yield _part(case.order, line.line_id, quantity - lost, given_by, back, canceled=to_come)


def parts_out(case: Case) -> Iterator[Part]:
    """All that was handed over and did not come back, on its way back to where it came from."""
    assert case.order.accounts
    left = {one.line_id: one.fulfilled - one.returned for one in case.order.accounts.lines}
    for line_id, given_by, quantity in _given(case, to_come=False):
        part = min(quantity, left[line_id])
        left[line_id] -= part
        if part > 0:
            yield _part(case.order, line_id, part, given_by, given_by, canceled=False)


def _part(
    order: Order, line_id: str, quantity: int, given_by: str, outlet_id: str, *, canceled: bool
) -> Part:
    assert order.accounts
    account = order.accounts.of(line_id)
    assert account
    restocked = tracked(order, line_id)
    return Part(line_id, account.item_id, quantity, given_by, outlet_id, canceled, restocked)


def tracked(order: Order, line_id: str) -> bool:
    """Whether stock was held for a line."""
    held = order.reservation.allocations if order.reservation else ()
    return any(part.line_id == line_id for part in held)


def _given(case: Case, *, to_come: bool) -> Iterator[tuple[str, str, int]]:
    """Line, outlet and quantity of what outlets have handed over and not got back; or, `to_come`,
    have still to hand over. Where the store manages that, all is both to come and handed over: its
    word says which.
    """
    if case.fulfillments:
        for one in case.fulfillments:
            for line in one.lines:
                gone = line.fulfilled - _came_back(case.order, line.line_id, one.outlet_id)
                yield line.line_id, one.outlet_id, line.left if to_come else gone
        return
    accounts = case.order.accounts
    assert accounts
    if to_come and not accounts.by_store:
        return
    for (line_id, outlet_id), quantity in _allocated(case).items():
        back = _came_back(case.order, line_id, outlet_id, canceled=True)
        yield line_id, outlet_id, quantity - back


def _came_back(order: Order, line_id: str, outlet_id: str, *, canceled: bool = False) -> int:
    """What came back of what an outlet gave of a line; with `canceled`, what never left it too."""
    return sum(
        part.quantity
        for refund in order.refunds
        for part in refund.parts
        if (part.line_id, part.given_by) == (line_id, outlet_id) and (canceled or not part.canceled)
    )


def _allocated(case: Case) -> Mapping[tuple[str, str], int]:
    """How much each outlet gave of each line; what is not tracked came from the sale's."""
    order, sale = case.order, case.sale
    assert order.accounts
    assert sale
    found: dict[tuple[str, str], int] = {}
    for part in order.reservation.allocations if order.reservation else ():
        key = (part.line_id, part.outlet_id)
        found[key] = found.get(key, 0) + part.quantity
    for account in order.accounts.lines:
        if not tracked(order, account.line_id):
            found[account.line_id, sale.outlet_id] = account.ordered
    return found
