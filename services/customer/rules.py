"""What customer decides: which addresses are the same, whom an order belongs to, what is new."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.chassis.errors import DomainError, invalid


class Origin(StrEnum):
    """Where a profile came from; the names are the contract's."""

    POS = "POS"
    ORDER = "ORDER"


@dataclass(frozen=True, slots=True)
class Customer:
    """A profile."""

    merchant_id: str
    customer_id: str
    pos_customer_id: str
    """Empty until the point of sale has the profile."""
    pos_version: int
    """The newest version known of the point of sale; 0 when it gave none."""
    email: str
    """As it was typed; may be empty for a profile of the point of sale."""
    name: str
    phone: str
    origin: Origin
    create_time: datetime
    update_time: datetime

    @property
    def email_key(self) -> str:
        """What it is found by; empty where the address is none that an order could have."""
        return key_if_any(self.email)


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who bought, as an order tells it; name and phone may be empty."""

    email: str
    name: str
    phone: str


@dataclass(frozen=True, slots=True)
class PosCustomer:
    """A profile as the point of sale reports it."""

    pos_customer_id: str
    email: str
    name: str
    phone: str
    version: int
    """0 when it has none."""


@dataclass(slots=True)
class Profiles:
    """The profiles that a group of calls is decided on, as they are after the calls so far."""

    _by_id: dict[tuple[str, str], Customer] = field(default_factory=dict)
    _by_pos_id: dict[tuple[str, str], str] = field(default_factory=dict)
    _by_key: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _created: set[tuple[str, str]] = field(default_factory=set)
    _written: set[tuple[str, str]] = field(default_factory=set)
    _news: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, customers: Iterable[Customer]) -> "Profiles":
        """The profiles as they were loaded."""
        profiles = cls()
        for customer in customers:
            profiles._place(customer)
        return profiles

    def get(self, merchant_id: str, customer_id: str) -> Customer:
        """The profile, as it is now."""
        return self._by_id[merchant_id, customer_id]

    def with_key(self, merchant_id: str, key: str) -> list[Customer]:
        """The profiles with this address, by id; none for the empty key."""
        ids = self._by_key.get((merchant_id, key), set()) if key else set()
        return [self._by_id[merchant_id, customer_id] for customer_id in sorted(ids)]

    def with_pos_id(self, merchant_id: str, pos_customer_id: str) -> Customer | None:
        """The profile that the point of sale knows under this id."""
        customer_id = self._by_pos_id.get((merchant_id, pos_customer_id))
        return self._by_id[merchant_id, customer_id] if customer_id else None

    def put(self, customer: Customer) -> None:
        """Takes in what a call decided."""
        key = (customer.merchant_id, customer.customer_id)
        before = self._by_id.get(key)
        if before == customer:
            return
        if before is None:
            self._created.add(key)
        elif key not in self._created:
            self._written.add(key)
        if before is None or _is_news(before, customer):
            self._news.add(key)
        self._place(customer)

    @property
    def created(self) -> list[Customer]:
        """The profiles that are new."""
        return [self._by_id[key] for key in sorted(self._created)]

    @property
    def written(self) -> list[Customer]:
        """The profiles that were there and are not as they were."""
        return [self._by_id[key] for key in sorted(self._written)]

    @property
    def news(self) -> list[Customer]:
        """The profiles that others have to hear of: new, or different in more than a version."""
        return [self._by_id[key] for key in sorted(self._news)]

    def _place(self, customer: Customer) -> None:
        merchant_id, customer_id = customer.merchant_id, customer.customer_id
        before = self._by_id.get((merchant_id, customer_id))
        if before:
            self._by_key[merchant_id, before.email_key].discard(customer_id)
        self._by_id[merchant_id, customer_id] = customer
        self._by_key.setdefault((merchant_id, customer.email_key), set()).add(customer_id)
        if customer.pos_customer_id:
            self._by_pos_id[merchant_id, customer.pos_customer_id] = customer_id


def email_key(email: str) -> str:
    """What two spellings of one address have in common (CUS-01).

    Case and surrounding space do not matter, nor whether a domain is written in its own letters or
    as `xn--...`.

    Raises:
        DomainError: INVALID_FIELD; it is no address.
    """
    folded = unicodedata.normalize("NFC", email.strip()).casefold()
    local, _, domain = unicodedata.normalize("NFC", folded).partition("@")
    if not local.strip() or not domain.strip() or "@" in domain:
        raise invalid("email", "must hold one @ with something on both sides")
    return f"{local}@{_ascii_domain(domain)}"


def key_if_any(email: str) -> str:
    """As `email_key`; empty for what is no address, such as the `-` that people type."""
    try:
        return email_key(email)
    except DomainError:
        return ""


def match(profiles: Sequence[Customer]) -> Customer | None:
    """The one profile with the buyer's address, if there is one (CUS-01, CUS-02), of all the
    `profiles` that have it.

    Raises:
        DomainError: CUSTOMER_AMBIGUOUS; there are several, and none is guessed (BEY-14).
    """
    if len(profiles) > 1:
        raise DomainError(
            "CUSTOMER_AMBIGUOUS",
            f"{len(profiles)} profiles carry this e-mail address; give all but one of them another"
            " address in the point of sale, or merge them there",
            field="email",
            customer_ids=",".join(profile.customer_id for profile in profiles),
        )
    return profiles[0] if profiles else None


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


def from_pos(merchant_id: str, customer_id: str, reported: PosCustomer, now: datetime) -> Customer:
    """A new profile of the point of sale."""
    return Customer(
        merchant_id=merchant_id,
        customer_id=customer_id,
        pos_customer_id=reported.pos_customer_id,
        pos_version=reported.version,
        email=reported.email,
        name=reported.name or reported.email,
        phone=reported.phone,
        origin=Origin.POS,
        create_time=now,
        update_time=now,
    )


def adoptable(profiles: Sequence[Customer]) -> Customer | None:
    """Of the profiles with one address, the one that an order had brought and that the point of
    sale did not know so far.
    """
    waiting = [
        profile
        for profile in profiles
        if profile.origin is Origin.ORDER and not profile.pos_customer_id
    ]
    return min(waiting, key=lambda profile: profile.create_time, default=None)


def updated(known: Customer, reported: PosCustomer, now: datetime) -> Customer:
    """The known profile as the point of sale now has it; itself when that is no news.

    The point of sale owns what it reports, so its values replace those of an adopted profile.
    """
    if 0 < reported.version < known.pos_version:
        return known
    after = replace(
        known,
        pos_customer_id=reported.pos_customer_id,
        pos_version=reported.version or known.pos_version,
        email=reported.email,
        name=reported.name or reported.email,
        phone=reported.phone,
        origin=Origin.POS,
    )
    return replace(after, update_time=now) if _is_news(known, after) else after


def _is_news(before: Customer, after: Customer) -> bool:
    return replace(before, pos_version=after.pos_version) != after


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:  # not a domain that could exist; it is still equal to itself
        return domain
