"""An independent, simple model that knows what is right.

It reads what was committed by SQL of its own and asks the public RPCs; it imports nothing from the
services but contracts. After every commit of the inventory `Ledger` looks at what has changed; at
every quiet moment `audit` compares everything with everything.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.simulation.book import Book

COUNT, ONLINE_SALE, RESTOCK = 1, 8, 9
HELD, POSTED, COMMITTED, RELEASED, EXPIRED, TAKEN = 1, 2, 3, 4, 5, 6
LIVE = {HELD, POSTED, COMMITTED, TAKEN}
OVER = {RELEASED, EXPIRED}

Place = tuple[str, str, str]
"""Merchant, item, outlet."""


@dataclass(frozen=True, slots=True)
class Movement:
    """A row of the ledger."""

    number: int
    place: Place
    kind: int
    quantity: int
    on_hand: int
    cause: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Hold:
    """What an order still keeps back, or kept back."""

    place: Place
    quantity: int
    held: bool
    pos_version: int | None


HoldKey = tuple[str, str, str, str]
"""Merchant, reservation, line, outlet."""


class Ledger:
    """Follows the inventory's database from commit to commit, and says what is wrong at once."""

    def __init__(self, raw: Any, books: dict[str, Book]) -> None:
        self._raw = raw
        self.books = books
        self.findings: list[str] = []
        self.movements: list[Movement] = []
        self.on_hand: dict[Place, int] = defaultdict(int)
        self.versions: dict[Place, int] = {}
        self.reserved: dict[Place, int] = {}
        self.holds: dict[HoldKey, Hold] = {}
        self.reservations: dict[tuple[str, str], tuple[str, int]] = {}
        """Cause and state, by merchant and id."""
        self.outside: set[str] = set()
        """Merchants with an outside point of sale."""
        self.posted: dict[tuple[str, str], int] = {}
        """Version of the posted sale there, by merchant and cause."""
        self.still: dict[str, dict[str, int]] = {}
        """Versions of the figures, by item, of channels that stand still."""
        self.put_back: dict[tuple[str, str], Counter[str]] = {}
        """What was taken at once and put back, by merchant and cause: how much of which item."""
        self._requests: set[tuple[str, str]] = set()
        self._last = 0

    def look(self) -> None:
        """Looks at what the last commit has changed."""
        movements = self._new_movements()
        most = self._follow(movements)
        levels = self._levels()
        holds = self._holds()
        reservations = {
            (row[0], row[1]): (row[2], row[3])
            for row in self._raw.execute(
                "SELECT merchant_id, reservation_id, cause, state FROM reservations"
            )
        }
        self._check_levels(levels, holds)
        self._check_promises(levels, holds, most)
        self._check_moved(holds)
        self._check_ended(levels, holds, reservations, movements)
        self._check_put_back(holds, reservations, movements)
        self._check_twice(reservations)
        self._check_still()
        self.holds, self.reservations = holds, reservations
        self.versions = {place: level[2] for place, level in levels.items()}
        self.reserved = {place: level[1] for place, level in levels.items()}

    def _say(self, text: str) -> None:
        self.findings.append(text)

    def _new_movements(self) -> list[Movement]:
        rows = self._raw.execute(
            "SELECT movement_id, merchant_id, item_id, outlet_id, kind, quantity, on_hand, cause,"
            " request_id FROM movements WHERE movement_id > ? ORDER BY movement_id",
            (self._last,),
        )
        found = [Movement(row[0], (row[1], row[2], row[3]), *row[4:]) for row in rows]
        if found:
            self._last = found[-1].number
        self.movements += found
        return found

    def _follow(self, movements: Iterable[Movement]) -> dict[Place, int]:
        """Adds movements up; the highest that each place had meanwhile."""
        most: dict[Place, int] = {}
        fresh: set[tuple[str, str]] = set()
        versions = dict(self.versions)
        for one in movements:
            before = self.on_hand[one.place]
            if one.on_hand != before + one.quantity:
                self._say(f"movement {one} does not follow from {before}")
            most[one.place] = max(most.get(one.place, before), before, one.on_hand)
            self.on_hand[one.place] = one.on_hand
            request = (one.place[0], one.request_id)
            if request in self._requests:
                self._say(f"request {one.request_id!r} took effect again: {one}")
            fresh.add(request)
            if one.kind == COUNT:
                self._check_count(one, versions)
        self._requests |= fresh
        return most

    def _check_count(self, one: Movement, versions: dict[Place, int]) -> None:
        sent = self.books[one.place[0]].sent.get(("RecordCounts", one.request_id))
        told = [
            count
            for count in (sent.request.counts if sent else ())
            if (count.item_id, count.outlet_id) == one.place[1:]
        ]
        if not told:
            self._say(f"nobody counted {one}")
            return
        if thousandths(told[0].quantity) != one.on_hand:
            self._say(f"{one} is not what was counted: {told[0].quantity}")
        known, version = versions.get(one.place, 0), told[0].version
        if version and version <= known:
            self._say(f"{one} of version {version} is older than {known}")
        versions[one.place] = max(known, version)

    def _levels(self) -> dict[Place, tuple[int, int, int]]:
        rows = self._raw.execute(
            "SELECT merchant_id, item_id, outlet_id, on_hand, reserved, version FROM levels"
        )
        return {(row[0], row[1], row[2]): (row[3], row[4], row[5]) for row in rows}

    def _holds(self) -> dict[HoldKey, Hold]:
        rows = self._raw.execute(
            "SELECT merchant_id, reservation_id, line_id, outlet_id, item_id, quantity, held,"
            " pos_version FROM holds"
        )
        return {
            (row[0], row[1], row[2], row[3]): Hold(
                (row[0], row[4], row[3]), row[5], bool(row[6]), row[7]
            )
            for row in rows
        }

    def _check_levels(
        self, levels: dict[Place, tuple[int, int, int]], holds: dict[HoldKey, Hold]
    ) -> None:
        held: dict[Place, int] = defaultdict(int)
        for hold in holds.values():
            if hold.held:
                held[hold.place] += hold.quantity
        for place in {*levels, *self.on_hand, *held}:
            on_hand, reserved, version = levels.get(place, (0, 0, 0))
            if on_hand != self.on_hand.get(place, 0):
                self._say(f"{place} is {on_hand}, its movements say {self.on_hand.get(place, 0)}")
            if reserved != held.get(place, 0):
                self._say(f"{place} reserves {reserved}, its holds say {held.get(place, 0)}")
            if version < self.versions.get(place, 0):
                self._say(f"{place} went back from version {self.versions[place]} to {version}")

    def _check_promises(
        self,
        levels: dict[Place, tuple[int, int, int]],
        holds: dict[HoldKey, Hold],
        most: dict[Place, int],
    ) -> None:
        """BEY-04: whoever is promised something finds it there, at that time."""
        for key in holds.keys() - self.holds.keys():
            place = holds[key].place
            on_hand, reserved, _ = levels[place]
            if reserved > max(on_hand, most.get(place, on_hand)):
                self._say(f"{place} has {on_hand}, and {reserved} are promised: {key}")

    def _check_ended(
        self,
        levels: dict[Place, tuple[int, int, int]],
        holds: dict[HoldKey, Hold],
        reservations: dict[tuple[str, str], tuple[str, int]],
        movements: list[Movement],
    ) -> None:
        """A hold ends when it is released, when its stock is taken, or when a level that is newer
        than its sale has come: never before.
        """
        taken = _sold(movements)
        for place, cause, quantity in self._taken_at_once(holds, reservations):
            taken[place, cause] -= quantity
        for key, before in self.holds.items():
            after = holds.get(key, before)  # what is gone was moved, or that is already said
            if after.held and not before.held:
                self._say(f"hold {key} was {before} and is {after}")
                continue
            cause, state = reservations[key[:2]]
            if after.held or not before.held or state in OVER:
                continue
            if key[0] in self.outside:
                version, posted = levels[before.place][2], self.posted.get((key[0], cause))
                if posted is None or version <= posted:
                    self._say(f"hold {key} of {cause} ended early: {posted} at version {version}")
            else:
                taken[before.place, cause] -= before.quantity
        for (place, cause), difference in taken.items():
            if difference:
                self._say(f"{cause} took {difference} more from {place} than it held")

    def _taken_at_once(
        self,
        holds: dict[HoldKey, Hold],
        reservations: dict[tuple[str, str], tuple[str, int]],
    ) -> Iterator[tuple[Place, str, int]]:
        """What was taken without being held before: place, cause and quantity."""
        for key in holds.keys() - self.holds.keys():
            cause, state = reservations[key[:2]]
            if state == TAKEN:
                yield holds[key].place, cause, holds[key].quantity

    def _check_put_back(
        self,
        holds: dict[HoldKey, Hold],
        reservations: dict[tuple[str, str], tuple[str, int]],
        movements: list[Movement],
    ) -> None:
        """What was taken at once stays so, or is put back as a whole, once."""
        back: Counter[tuple[Place, str]] = Counter()
        for key, (cause, state) in reservations.items():
            if state == TAKEN or self.reservations.get(key, (cause, 0))[1] != TAKEN:
                continue
            found = self.put_back.setdefault((key[0], cause), Counter())
            for of, hold in holds.items():
                if of[:2] == key:
                    found[hold.place[1]] += hold.quantity
                    back[hold.place, cause] += hold.quantity
            for one in movements:
                if one.kind == RESTOCK and (one.place[0], one.cause) == (key[0], cause):
                    back[one.place, cause] -= one.quantity
        for (place, cause), difference in back.items():
            if difference:
                self._say(f"{cause} put {difference} too little back to {place}")

    def _check_moved(self, holds: dict[HoldKey, Hold]) -> None:
        """A hold is never more or less than it was, and stays where it is unless an operator has
        asked for it to be moved.
        """
        was, now = _by_line(self.holds), _by_line(holds)
        if changed := [line for line, quantity in was.items() if now[line] != quantity]:
            self._say(f"holds of {changed} are not what they were")
        for key in self.holds.keys() - holds.keys():
            if not self.holds[key].held or not self._may_move(key):
                self._say(f"hold {key} was {self.holds[key]} and is gone")

    def _may_move(self, key: HoldKey) -> bool:
        """Whether an operator has asked for a hold to be moved."""
        return any(
            method == "ResolveIncident"
            and sent.request.reservation_id == key[1]
            and sent.request.to_outlet_id
            for (method, _), sent in self.books[key[0]].sent.items()
        )

    def _check_still(self) -> None:
        """No change of stock reaches a channel while that is switched off (INV-11)."""
        before, self.still = self.still, {}
        for (channel,) in self._raw.execute(
            "SELECT channel_id FROM channels WHERE NOT update_inventory"
        ).fetchall():
            figures = self._raw.execute(
                "SELECT item_id, version FROM online_stock WHERE channel_id = ?", (channel,)
            )
            self.still[channel] = dict(figures.fetchall())
            if self.still[channel] != before.get(channel, self.still[channel]):
                self._say(f"{channel} stands still, and was {before[channel]}")

    def _check_twice(self, reservations: dict[tuple[str, str], tuple[str, int]]) -> None:
        """Nothing is promised twice."""
        live = Counter(
            (key[0], cause) for key, (cause, state) in reservations.items() if state in LIVE
        )
        for (merchant, cause), number in live.items():
            if number > 1:
                self._say(f"{merchant}: {number} reservations for {cause}")


def _sold(movements: Iterable[Movement]) -> Counter[tuple[Place, str]]:
    """What was sold online, by place and cause."""
    found: Counter[tuple[Place, str]] = Counter()
    for one in movements:
        if one.kind == ONLINE_SALE:
            found[one.place, one.cause] -= one.quantity
    return found


def _by_line(holds: dict[HoldKey, Hold]) -> Counter[tuple[str, str, str]]:
    """How much is held, or was, for each line of a reservation."""
    found: Counter[tuple[str, str, str]] = Counter()
    for key, hold in holds.items():
        found[key[:3]] += hold.quantity
    return found


def thousandths(text: str) -> int:
    """Decimal text in thousandths."""
    return round(float(text) * 1000)
