"""Matches: whom an order belongs to, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.chassis.errors import DomainError
from services.customer.rules.profiles import Customer, Key, Origin, Profiles

NAMED_MAX = 20
"""Profiles that a refusal names at most."""

_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


class Rule(StrEnum):
    """Why an order belongs to a customer; the names are the contract's."""

    EMAIL = "EMAIL"
    CREATED = "CREATED"
    AMBIGUOUS = "AMBIGUOUS"


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who bought, as an order tells it; name and phone may be empty."""

    email: str
    name: str
    phone: str
    channel_id: str = ""
    """The order's channel; empty where no order is behind it."""
    order_id: str = ""

    @property
    def has_order(self) -> bool:
        """Whether there is an order to keep with the profile."""
        return bool(self.channel_id and self.order_id)


@dataclass(frozen=True, slots=True)
class Match:
    """An order, and the profile that it was matched to."""

    merchant_id: str
    channel_id: str
    order_id: str
    customer_id: str
    """The profile that carried the address then; empty while the order waits."""
    rule: Rule
    email: str
    email_key: str
    match_time: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """Whom a buyer is matched to."""

    customer: Customer
    """The one to answer."""
    carrier: Customer
    """The profile that carries the address: the customer, or one that was merged into it."""
    created: bool


def find(profiles: Profiles, address: Key) -> Found | None:
    """The customer whom an address (merchant, key) belongs to; None where nobody has it (CUS-01,
    CUS-02).
    """
    owner = next((profiles.get(key) for key in profiles.owners(address)), None)
    if owner is None:
        return None
    carriers = profiles.carriers(address)
    carrier = next((one for one in carriers if one.key == owner.key), carriers[0])
    return Found(owner, carrier, created=False)


def ambiguity(owners: Sequence[Key]) -> DomainError | None:
    """CUSTOMER_AMBIGUOUS where an address belongs to several: none is guessed (BEY-14)."""
    if len(owners) < 2:
        return None
    named = [customer_id for _, customer_id in owners[:NAMED_MAX]]
    more = f", {NAMED_MAX} of them named here" if len(owners) > NAMED_MAX else ""
    return DomainError(
        "CUSTOMER_AMBIGUOUS",
        f"{len(owners)} profiles carry this e-mail address{more}; merge them by MergeCustomers, or"
        " give all but one of them another address in the point of sale",
        field="email",
        customer_ids=",".join(named),
    )


def from_order(merchant_id: str, customer_id: str, buyer: Buyer, now: datetime) -> Customer:
    """The profile of a buyer whom nobody knew (CUS-03); without a name it is called by its address
    (CUS-04).
    """
    email = buyer.email.strip()
    return Customer(
        merchant_id=merchant_id,
        customer_id=customer_id,
        pos_customer_id="",
        pos_version=0,
        email=email,
        name=buyer.name.strip() or email,
        phone=buyer.phone.strip(),
        origin=Origin.ORDER,
        create_time=now,
        update_time=now,
    )


def record(
    address: Key, buyer: Buyer, found: Found | None, known: Match | None, now: datetime
) -> Match:
    """What is kept of an order's match; without `found`, that the order waits (BEY-14). `address`
    is the merchant, and the buyer's address as it is compared.

    An order that had brought its profile, and is matched to it again, is still the one that did.
    """
    match = Match(
        merchant_id=address[0],
        channel_id=buyer.channel_id,
        order_id=buyer.order_id,
        customer_id=found.carrier.customer_id if found else "",
        rule=Rule.AMBIGUOUS if not found else Rule.CREATED if found.created else Rule.EMAIL,
        email=buyer.email,
        email_key=address[1],
        match_time=now,
    )
    same = known and (known.customer_id, known.email_key) == (match.customer_id, match.email_key)
    if known and same and known.rule is Rule.CREATED:
        return replace(match, rule=Rule.CREATED)
    return match


def explanation(
    match: Match, carrier: Customer | None, customer: Customer | None, owners: int
) -> str:
    """Why this order belongs to this customer, in one sentence (BEY-02).

    Args:
        match: what is kept of it.
        carrier: the profile that it was matched to, as it is now; None while it waits.
        customer: whom it belongs to now; None while it waits.
        owners: to how many profiles the address belongs now.
    """
    order, address = f"Order {match.order_id}", match.email_key
    if carrier is None or customer is None:
        tried = f"was last tried at {_shown(match.match_time)}"
        if owners > 1:
            return (
                f"{order} waits, since {counted(owners, 'profile').lower()} carry {address} and"
                f" none is guessed; it {tried}."
            )
        return f"{order} {tried}, when several profiles carried {address}, and goes on by itself."
    if match.rule is Rule.CREATED:
        why = f"nobody carried {address}, and the profile was made of this order"
    else:
        why = f"{_named(carrier)} carried {address}"
    text = f"{order} belongs to {_named(customer)}, since {why} at {_shown(match.match_time)}"
    if carrier.key != customer.key and carrier.merge_time:
        whose = "that profile" if match.rule is Rule.CREATED else carrier.customer_id
        text += f", and {whose} was merged at {_shown(carrier.merge_time)}"
    if carrier.email_key != match.email_key:
        text += "; the profile carries another address by now"
    return text + "."


def counted(count: int, noun: str) -> str:
    """`Two profiles`, `No order`, `12 orders`."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} {noun}{'s' if count > 1 else ''}"


def collision_title(address: str, profiles: int, orders: int) -> str:
    """What is the matter with an address that several profiles carry (BEY-09)."""
    text = f"{counted(profiles, 'profile')} carry {address}"
    return f"{text}: {orders} order{'s wait' if orders > 1 else ' waits'}" if orders else text


def collision_remedy(examples: Sequence[str]) -> str:
    """What to do about it (BEY-09)."""
    stays = examples[0] if examples else "the one that stays"
    return (
        f"Merge them by MergeCustomers, for instance into {stays}, or give all but one of them"
        " another address in the point of sale: the orders then go on by themselves."
    )


def not_found(channel_id: str, order_id: str) -> DomainError:
    """No order was matched under this id."""
    return DomainError(
        "MATCH_NOT_FOUND",
        f"no order {order_id!r} of channel {channel_id!r} was matched to a customer",
        channel_id=channel_id,
        order_id=order_id,
    )


def _named(customer: Customer) -> str:
    return f"{customer.name or 'a profile without a name'} ({customer.customer_id})"


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
