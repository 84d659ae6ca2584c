"""Where counts pass, or are held since they would empty too much of an outlet (BEY-10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.chassis.database import Call, Transaction
from services.inventory.rules import stock
from services.inventory.rules.breaker import Breakers, OutletKey
from services.inventory.rules.held import Held, HeldCounts
from services.inventory.rules.stock import Count, Draft
from services.inventory.service.work import Work
from services.inventory.store import held as held_store


@dataclass(slots=True)
class Gate:
    """What counts that come unasked are decided on, and what is held of them."""

    transaction: Transaction
    held: HeldCounts
    breakers: Breakers

    @classmethod
    def open(
        cls, transaction: Transaction, work: Work, counts: Sequence[tuple[str, Count]]
    ) -> "Gate":
        """The gate for these counts, each with its merchant; no other process may change what they
        are decided on until commit.
        """
        connection = transaction.connection
        outlets = _emptied_maybe(work, counts)
        transaction.lock(f"breaker/{merchant}/{outlet_id}" for merchant, outlet_id in outlets)
        places = [
            (merchant, told.item_id, told.outlet_id)
            for merchant, told in counts
            if told.outlet_id in work.holding(merchant)
        ]
        return cls(
            transaction,
            HeldCounts(held_store.held_at(connection, places)),
            Breakers(
                held_store.load_breakers(connection, outlets, transaction.now),
                held_store.stocked_counter(connection),
            ),
        )

    @property
    def stands_open(self) -> bool:
        """Whether every count passes: none waits, and none empties anything."""
        return not (self.held.known or self.breakers.known)

    def trial(self) -> "Gate":
        """One to decide a call on, in whose place it is put when the call has passed."""
        if self.stands_open:
            return self
        return Gate(self.transaction, self.held.copy(), self.breakers.copy())

    def passes(self, call: Call[Any, Any], draft: Draft, told: Count) -> bool:
        """Whether a count passes; one that does not is held.

        Raises:
            DomainError: ITEM_NOT_FOUND, OUTLET_NOT_FOUND.
        """
        if self.stands_open:
            return True
        place = (told.outlet_id, told.item_id)
        if stock.empties(draft, told) and not self.breakers.allows(call.merchant, *place):
            cause, now = call.request.cause, self.transaction.now
            self.held.hold(call.merchant, Held(told, cause, call.request_id, now))
            return False
        self.held.take_in(call.merchant, told)
        return True

    def close(self) -> None:
        """Saves what is held, and what was emptied."""
        connection = self.transaction.connection
        held_store.save_held(connection, self.held.changed)
        held_store.note_emptied(connection, self.breakers.emptied, self.transaction.now)


def _emptied_maybe(work: Work, counts: Sequence[tuple[str, Count]]) -> set[OutletKey]:
    """Where something may be emptied: a count says that nothing is left where something is, or
    where another count of the group says that there is.
    """
    empty = [(merchant, told) for merchant, told in counts if told.quantity <= 0]
    if not empty:
        return set()
    filled = {
        (merchant, told.item_id, told.outlet_id) for merchant, told in counts if told.quantity > 0
    }
    found = set()
    for merchant, told in empty:
        level = work.levels(merchant).get((told.item_id, told.outlet_id))
        place = (merchant, told.item_id, told.outlet_id)
        if place in filled or (level and level.on_hand > 0):
            found.add((merchant, told.outlet_id))
    return found
