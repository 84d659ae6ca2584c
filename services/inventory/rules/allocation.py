"""Which outlets give an order its stock (ORD-10)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.chassis.errors import DomainError
from services.chassis.values import value
from services.inventory.rules.channels import AllocationPolicy, Channel
from services.inventory.rules.stock import text


@value(frozen=True, slots=True)
class Line:
    """A line of what is to be held."""

    line_id: str
    item_id: str
    quantity: int


@value(frozen=True, slots=True)
class Allocation:
    """Which part of a line an outlet gives."""

    line_id: str
    item_id: str
    outlet_id: str
    quantity: int


Free = dict[tuple[str, str], int]
"""What may be promised, by (item, outlet)."""
Divide = Callable[[Sequence[Line], Sequence[str], Free], list[Allocation]]
"""Divides an order's lines over outlets, the preferred one first, of which all together have enough
of every item.
"""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a policy finds the outlets that give an order its stock."""

    outlets: Callable[[Channel], tuple[str, ...]]
    """Those that may give, the preferred one first."""
    divide: Divide
    text: str
    """Why these outlets, for people."""


def candidates(channel: Channel, tied_outlet_id: str) -> tuple[str, ...]:
    """The outlets that may give stock to an order, the preferred one first (ORD-10).

    An outlet that the order's method is tied to is the only one; pickup is always such a case. An
    outlet that is being disconnected promises nothing new (BEY-06).

    Raises:
        DomainError: REGISTER_MISSING where the register's outlet decides and there is none.
    """
    found = (tied_outlet_id,) if tied_outlet_id else STRATEGIES[channel.allocation].outlets(channel)
    return tuple(outlet for outlet in found if outlet not in channel.draining_outlet_ids)


def _register(channel: Channel) -> tuple[str, ...]:
    if not channel.register_outlet_id:
        raise DomainError(
            "REGISTER_MISSING",
            "the channel has no register; set one by SetRegister",
            channel_id=channel.channel_id,
        )
    return (channel.register_outlet_id,)


def _register_first(channel: Channel) -> tuple[str, ...]:
    connected = channel.connected_outlet_ids
    first = [channel.register_outlet_id] if channel.register_outlet_id in connected else []
    return (*first, *(outlet for outlet in connected if outlet not in first))


def allocate(
    lines: Sequence[Line], outlets: Sequence[str], free: Free, divide: Divide
) -> list[Allocation]:
    """Divides an order's lines over outlets: all of it, or nothing (ORD-10). Two lines of one item
    draw on the same stock.

    Returns allocations that add up to exactly what was asked, and to no more than is free anywhere.

    Raises:
        DomainError: INSUFFICIENT_STOCK, with the first short item.
        RuntimeError: the strategy gave another quantity than was asked, or what is not free.
    """
    check_total(lines, outlets, free)
    given = divide(lines, outlets, free)
    missing = {line.line_id: line.quantity for line in lines}
    left = dict(free)
    for one in given:
        place = (one.item_id, one.outlet_id)
        left[place] = left.get(place, 0) - one.quantity
        missing[one.line_id] = missing.get(one.line_id, 0) - one.quantity
    if any(missing.values()) or any(left[one.item_id, one.outlet_id] < 0 for one in given):
        raise RuntimeError("the strategy gave more or less than was asked")
    return given


def whole_order(lines: Sequence[Line], outlets: Sequence[str], free: Free) -> list[Allocation]:
    """One outlet that fills the whole order is best, the first such one; else whole lines are split
    over outlets; else a line is divided.
    """
    for outlet_id in outlets:
        left = dict(free)
        whole = [_take_whole(line, [outlet_id], left) for line in lines]
        if all(whole):
            return [allocation for allocation in whole if allocation]
    left = dict(free)
    given: dict[str, list[Allocation]] = {}
    # The largest lines first: they are the hardest to keep in one piece.
    for line in sorted(lines, key=lambda line: -line.quantity):
        whole_line = _take_whole(line, outlets, left)
        given[line.line_id] = [whole_line] if whole_line else []
    for line in lines:
        given[line.line_id] = given[line.line_id] or _take_divided(line, outlets, left)
    return [allocation for line in lines for allocation in given[line.line_id]]


def fewest_splits(lines: Sequence[Line], outlets: Sequence[str], free: Free) -> list[Allocation]:
    """As few outlets as possible; of equals those that come first. Among them, lines stay in one
    piece where they can.
    """
    return whole_order(lines, _fewest(_asked(lines), outlets, free), free)


def priority(lines: Sequence[Line], outlets: Sequence[str], free: Free) -> list[Allocation]:
    """Each line from the outlets in their order, as far as each goes."""
    left = dict(free)
    return [given for line in lines for given in _take_divided(line, outlets, left)]


LOOKS_MAX = 20_000
"""Sets of outlets that are looked at for the smallest one; then a good one has to do."""


def _fewest(asked: Mapping[str, int], outlets: Sequence[str], free: Free) -> Sequence[str]:
    """The first smallest set of outlets that has all that is asked, in their order."""
    useful = [
        outlet for outlet in outlets if any(free.get((item, outlet), 0) > 0 for item in asked)
    ]
    search = _Search(useful, free)
    for size in range(1, len(useful) + 1):
        found = search.find(0, size, asked)
        if found is not None:
            return found
    return useful


@dataclass(slots=True)
class _Search:
    """Looks for a smallest set of outlets; gives up when it has looked at too many."""

    outlets: Sequence[str]
    free: Free
    looks: int = 0

    def find(self, begin: int, size: int, missing: Mapping[str, int]) -> list[str] | None:
        """The first so many outlets from `begin` on that have what is missing; None without any."""
        self.looks += 1
        if not missing:
            return []
        if self.looks > LOOKS_MAX or not self._can(begin, size, missing):
            return None
        for index, outlet in enumerate(self.outlets[begin:], begin):
            found = self.find(index + 1, size - 1, _less(missing, outlet, self.free))
            if found is not None:
                return [outlet, *found]
        return None

    def _can(self, begin: int, size: int, missing: Mapping[str, int]) -> bool:
        """Whether so many outlets could do, each item by itself."""
        for item, quantity in missing.items():
            there = [self.free.get((item, outlet), 0) for outlet in self.outlets[begin:]]
            if sum(sorted(there, reverse=True)[:size]) < quantity:
                return False
        return True


def _less(missing: Mapping[str, int], outlet: str, free: Free) -> dict[str, int]:
    """What is missing still once an outlet has given what it can."""
    left = {item: quantity - free.get((item, outlet), 0) for item, quantity in missing.items()}
    return {item: quantity for item, quantity in left.items() if quantity > 0}


STRATEGIES: Mapping[AllocationPolicy, Strategy] = {
    AllocationPolicy.PRIMARY: Strategy(
        lambda channel: (channel.primary_outlet_id,),
        priority,
        "orders of this channel are filled from its primary outlet",
    ),
    AllocationPolicy.WHOLE_ORDER: Strategy(
        _register_first,
        whole_order,
        "the first outlet that has the whole order fills it, the register's before the others; else"
        " whole lines are split; else a line is divided",
    ),
    AllocationPolicy.REGISTER: Strategy(
        _register, priority, "orders of this channel are filled from its register's outlet"
    ),
    AllocationPolicy.FEWEST_SPLITS: Strategy(
        lambda channel: channel.connected_outlet_ids,
        fewest_splits,
        "as few outlets as possible fill an order",
    ),
    AllocationPolicy.PRIORITY: Strategy(
        lambda channel: channel.connected_outlet_ids,
        priority,
        "each line is filled from the channel's outlets in their order, as far as each goes",
    ),
}
"""What each policy does; a new one is a row here."""


def explain(channel: Channel, tied_outlet_id: str, given: Sequence[Allocation]) -> str:
    """Why these outlets, in one sentence (BEY-02)."""
    outlets = ", ".join(dict.fromkeys(one.outlet_id for one in given))
    if not outlets:
        return "Nothing is held, since the stock of what was ordered is not tracked."
    if tied_outlet_id:
        return f"From {outlets}, since the chosen method is tied to it."
    return f"From {outlets}: {STRATEGIES[channel.allocation].text}."


def _asked(lines: Sequence[Line]) -> dict[str, int]:
    asked: dict[str, int] = defaultdict(int)
    for line in lines:
        asked[line.item_id] += line.quantity
    return asked


def check_total(lines: Sequence[Line], outlets: Sequence[str], free: Free) -> None:
    """Finds that these outlets together have all that is asked.

    Raises:
        DomainError: INSUFFICIENT_STOCK, with the first short item.
    """
    for item_id, quantity in _asked(lines).items():
        available = sum(free.get((item_id, outlet_id), 0) for outlet_id in outlets)
        if quantity > available:
            raise DomainError(
                "INSUFFICIENT_STOCK",
                f"item {item_id!r}: {text(quantity)} asked, {text(available)} available at"
                f" {', '.join(outlets) or 'no outlet'}; it goes on when stock arrives",
                item_id=item_id,
                asked=text(quantity),
                available=text(available),
            )


def _take_whole(line: Line, outlets: Iterable[str], left: Free) -> Allocation | None:
    for outlet_id in outlets:
        if left.get((line.item_id, outlet_id), 0) >= line.quantity:
            left[line.item_id, outlet_id] -= line.quantity
            return Allocation(line.line_id, line.item_id, outlet_id, line.quantity)
    return None


def _take_divided(line: Line, outlets: Iterable[str], left: Free) -> list[Allocation]:
    missing = line.quantity
    parts = []
    for outlet_id in outlets:
        part = min(missing, left.get((line.item_id, outlet_id), 0))
        if part:
            left[line.item_id, outlet_id] -= part
            missing -= part
            parts.append(Allocation(line.line_id, line.item_id, outlet_id, part))
    return parts
