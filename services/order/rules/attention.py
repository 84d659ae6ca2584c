"""Attention: what waits for an operator here, grouped by cause, in plain words (BEY-09)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.chassis.errors import DomainError, invalid

EXAMPLES_MAX = 10


class Cause(IntEnum):
    """Why something cannot go on; numbers as in the contract (`AttentionCause`)."""

    ORDER_WAITING = 10
    SALE_NOT_POSTED = 11
    SALE_STOCK_NOT_TAKEN = 12
    SALE_DIFFERS = 13
    SALE_REFUSED = 15
    STORE_UPDATE_REFUSED = 16


@dataclass(frozen=True, slots=True)
class Group:
    """Things that cannot go on for one cause."""

    cause: Cause
    key: str
    """Tells the groups of one cause apart: of orders, the reason and what it is about."""
    waiting_count: int
    since: datetime
    message: str
    """What one of them says of it; may be empty."""
    examples: Sequence[str]


def key_of(reason: str, about: str) -> str:
    """The key of a group of orders."""
    return f"{reason}/{about}"


def reason_of(key: str) -> tuple[str, str]:
    """The reason in a key of a group of orders, and what it is about."""
    reason, _, about = key.partition("/")
    return reason, about


_TITLES: Mapping[str, Callable[[str], str]] = {
    "ITEM_NOT_FOUND": lambda about: f"{about or 'An item'} is in no catalog",
    "SKU_AMBIGUOUS": lambda about: f"Several items carry {about or 'one SKU'}",
    "INSUFFICIENT_STOCK": lambda about: f"There is too little of {about or 'an item'} in stock",
    "CUSTOMER_AMBIGUOUS": lambda about: f"Several customers have the address {about}".strip(),
    "OUTLET_NOT_FOUND": lambda about: f"There is no {about or 'such outlet'}",
    "REGISTER_MISSING": lambda about: f"{about.capitalize() or 'A channel'} has no register",
    "CHANNEL_NOT_FOUND": lambda about: f"There is no {about or 'such channel'} any more",
    "DOCUMENT_MISSING": lambda _: "The store's document has not been fetched yet",
    "CANCELED_AFTER_POSTING": lambda _: (
        "The store canceled or restored them after they were posted"
    ),
    "LINES_CHANGED_AFTER_HOLD": lambda _: "The store changed them after their stock was held",
    "MOVED_AFTER_POSTING": lambda _: (
        "What they hold was moved to another outlet after they were posted, and not all followed"
    ),
    "SERVICE_UNAVAILABLE": lambda _: "A service cannot be reached",
}
"""What is the matter with orders, in a few words, by reason; other reasons say it themselves."""

_REMEDIES: Mapping[str, str] = {
    "ITEM_NOT_FOUND": (
        "Create the product in the point of sale: the orders then go on by themselves"
    ),
    "SKU_AMBIGUOUS": (
        "Give all but one of the items another SKU in the point of sale: the orders then go on by"
        " themselves"
    ),
    "INSUFFICIENT_STOCK": (
        "Receive or count stock, or have the orders changed or canceled: the orders then go on by"
        " themselves"
    ),
    "CUSTOMER_AMBIGUOUS": "Merge the profiles: the orders then go on by themselves",
    "OUTLET_NOT_FOUND": "Create the outlet, or tie the store's shipping method to another one",
    "REGISTER_MISSING": "Set the channel's register",
    "CHANNEL_NOT_FOUND": "Connect the channel again",
    "DOCUMENT_MISSING": "The gateway fetches it by itself: see whether it reaches the store",
    "CANCELED_AFTER_POSTING": "Look at each: it says what would put it right",
    "LINES_CHANGED_AFTER_HOLD": (
        "Have each restored in the store, or canceled there and placed again"
    ),
    "MOVED_AFTER_POSTING": "Look at each: it says what stayed behind, and is to be seen to there",
    "SERVICE_UNAVAILABLE": "They go on by themselves once it can be",
}
_RETRY = "RetryOrders with this cause and key tries all of them now"


def title(group: Group) -> str:
    """What is the matter, as one sentence: `SKU X is in no catalog: 41 orders wait`."""
    count, one = group.waiting_count, group.waiting_count == 1
    sales = "1 sale" if one else f"{count} sales"
    match group.cause:
        case Cause.ORDER_WAITING:
            reason, about = reason_of(group.key)
            known = _TITLES.get(reason)
            what = known(about) if known else group.message or reason
            return f"{what}: {'1 order waits' if one else f'{count} orders wait'}"
        case Cause.SALE_NOT_POSTED:
            return f"The point of sale did not take {sales}: {group.key}"
        case Cause.SALE_STOCK_NOT_TAKEN:
            return f"The stock of {sales} made at tills could not be taken: {group.key}"
        case Cause.SALE_DIFFERS:
            verb = "differs from the sum of its" if one else "differ from the sum of their"
            total = "The total" if one else "The totals"
            return f"{total} of {sales} of channel {group.key} {verb} parts"
        case Cause.SALE_REFUSED:
            verb = "could not be copied"
            return f"{sales} of the point of sale {verb} ({group.key}): {group.message}"
        case Cause.STORE_UPDATE_REFUSED:
            orders, stand = ("1 order", "stands") if one else (f"{count} orders", "stand")
            return f"The store refuses to show how {orders} {stand} here: {group.key}"


def remedy(group: Group) -> str:
    """What to do about it, as one sentence."""
    match group.cause:
        case Cause.ORDER_WAITING:
            known = _REMEDIES.get(reason_of(group.key)[0], "Put right what they wait for")
            return f"{known}; {_RETRY}"
        case Cause.SALE_NOT_POSTED:
            return f"Put right what the point of sale complains of; {_RETRY}"
        case Cause.SALE_STOCK_NOT_TAKEN:
            return f"Put right what is in the way: they go on by themselves; {_RETRY}"
        case Cause.SALE_DIFFERS:
            return (
                "They were posted with the store's total: look at each, and have the order put"
                " right in the store if it is wrong there"
            )
        case Cause.SALE_REFUSED:
            return (
                "Put each right in the point of sale: it is then copied by itself; RetryOrders with"
                " this cause and key lets them go as they are"
            )
        case Cause.STORE_UPDATE_REFUSED:
            return f"Put right what the store complains of; {_RETRY}"


def nothing_waits(cause: Cause, key: str) -> DomainError:
    """ATTENTION_NOT_FOUND for this group."""
    return DomainError(
        "ATTENTION_NOT_FOUND",
        f"nothing waits for {cause.name} under the key {key!r}; ListAttention shows what does",
        field="key",
        cause=cause.name,
        key=key,
    )


def no_action() -> DomainError:
    """That trying again would change nothing."""
    return invalid(
        "cause", "cannot be tried again: what was posted stands; have the store put it right"
    )


def not_here() -> DomainError:
    """That a cause belongs to another service."""
    return invalid("cause", "is none of the order service's; see the service that listed it")
