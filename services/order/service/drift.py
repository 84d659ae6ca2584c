"""What is kept of drift of orders, as it is found and as it is healed."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from services.chassis.database import Transaction
from services.order.rules import drift
from services.order.rules.case import Case
from services.order.rules.drift import Difference, Drift
from services.order.rules.order import OrderKey
from services.order.store import drift as drift_rows


def note_found(transaction: Transaction, found: Mapping[OrderKey, Sequence[Difference]]) -> None:
    """Keeps what was found to differ."""
    if not found:
        return
    known = drift_rows.of_orders(transaction.connection, list(found))
    drift_rows.save(
        transaction.connection,
        [
            drift.observed(known.get(key, {}).get(one.field), one, key, transaction.now)
            for key, differences in sorted(found.items())
            for one in differences
        ],
    )


def note_told(transaction: Transaction, keys: Collection[OrderKey]) -> None:
    """These orders are known as their stores have them."""
    _note_healed(transaction, keys, drift.told)


def note_in_point_of_sale(
    transaction: Transaction, found: Mapping[OrderKey, Sequence[Difference]]
) -> None:
    """Keeps how the outside point of sale has the sales of these orders, and what it has as it is
    here again.
    """

    def stands(known: Iterable[Drift], now: datetime) -> list[Drift]:
        return drift.stands(known, found, now)

    _note_healed(transaction, found, stands)
    note_found(transaction, {key: differs for key, differs in found.items() if differs})


def note_shown(
    transaction: Transaction, before: Mapping[OrderKey, Case], after: Mapping[OrderKey, Case]
) -> None:
    """Keeps what was changed in stores of what they should show, and what they show again."""
    edited: dict[OrderKey, Sequence[Difference]] = {}
    shown: list[OrderKey] = []
    for key, case in after.items():
        if found := drift.edited(before[key], case):
            edited[key] = found
        elif case.order.store_update is None and before[key].order.store_update is not None:
            shown.append(key)
    note_found(transaction, edited)
    _note_healed(transaction, shown, drift.shown)


def _note_healed(
    transaction: Transaction,
    keys: Collection[OrderKey],
    heal: Callable[[Iterable[Drift], datetime], list[Drift]],
) -> None:
    known = drift_rows.open_of_orders(transaction.connection, keys)
    healed = [one for key in sorted(known) for one in heal(known[key].values(), transaction.now)]
    drift_rows.save(transaction.connection, healed)
