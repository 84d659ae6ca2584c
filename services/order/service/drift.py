"""What is kept of drift between orders and their stores, as it is found and as it is healed."""

from collections.abc import Collection, Mapping, Sequence

from services.chassis.database import Transaction
from services.order.rules import drift
from services.order.rules.case import Case
from services.order.rules.drift import Difference
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
    known = drift_rows.open_of_orders(transaction.connection, keys)
    healed = [
        one for key in sorted(known) for one in drift.told(known[key].values(), transaction.now)
    ]
    drift_rows.save(transaction.connection, healed)


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
    if shown:
        known = drift_rows.open_of_orders(transaction.connection, shown)
        healed = [
            one
            for key in sorted(known)
            for one in drift.shown(known[key].values(), transaction.now)
        ]
        drift_rows.save(transaction.connection, healed)
