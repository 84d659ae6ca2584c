"""Profiles: where they come from, what changes them, and which ones stand for an address."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.customer.rules.addresses import key_if_any

Key = tuple[str, str]
"""A merchant and something of theirs."""


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
    sync_time: datetime | None = None
    """When the point of sale last reported it (SOR-04); None when it never has."""
    merged_into: str = ""
    """The profile that it was merged into; empty when it stands for itself."""
    survivor_id: str = ""
    """Whom its orders and addresses belong to, at the end of the chain of merges; empty when it
    stands for itself.
    """
    merge_time: datetime | None = None

    @property
    def key(self) -> Key:
        """Its merchant and its id."""
        return self.merchant_id, self.customer_id

    @property
    def survivor_key(self) -> Key:
        """Merchant and id of the one whom its orders belong to."""
        return self.merchant_id, self.survivor_id or self.customer_id

    @property
    def email_key(self) -> str:
        """What it is found by; empty where the address is none that an order could have."""
        return key_if_any(self.email)


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
    """The profiles that a group of calls is decided on, as they are after the calls so far.

    All carriers of an address that a call looks at or changes have to be among them, and those whom
    the carriers were merged into.
    """

    _by_id: dict[Key, Customer] = field(default_factory=dict)
    _by_pos_id: dict[Key, str] = field(default_factory=dict)
    _by_key: dict[Key, set[str]] = field(default_factory=dict)
    _created: set[Key] = field(default_factory=set)
    _written: set[Key] = field(default_factory=set)
    _news: set[Key] = field(default_factory=set)
    _shared_before: dict[Key, bool] = field(default_factory=dict)
    """Of each address whose carriers changed: whether it was shared as it was loaded."""

    @classmethod
    def of(cls, customers: Iterable[Customer]) -> "Profiles":
        """The profiles as they were loaded."""
        profiles = cls()
        for customer in customers:
            profiles._place(customer)
        return profiles

    def get(self, key: Key) -> Customer | None:
        """The profile, as it is now."""
        return self._by_id.get(key)

    def carriers(self, address: Key) -> list[Customer]:
        """The profiles with this address (merchant, key), by id; none for the empty key."""
        merchant_id, email_key = address
        ids = self._by_key.get(address, set()) if email_key else set()
        return [self._by_id[merchant_id, customer_id] for customer_id in sorted(ids)]

    def owners(self, address: Key) -> list[Key]:
        """Whom this address belongs to: its carriers, or whom they were merged into."""
        return sorted({one.survivor_key for one in self.carriers(address)})

    def with_pos_id(self, merchant_id: str, pos_customer_id: str) -> Customer | None:
        """The profile that the point of sale knows under this id."""
        customer_id = self._by_pos_id.get((merchant_id, pos_customer_id))
        return self._by_id[merchant_id, customer_id] if customer_id else None

    def put(self, customer: Customer) -> None:
        """Takes in what a call decided."""
        key = customer.key
        before = self._by_id.get(key)
        if before == customer:
            return
        for one in filter(None, (before, customer)):
            address = (one.merchant_id, one.email_key)
            self._shared_before.setdefault(address, self._shared(address))
        if before is None:
            self._created.add(key)
        elif key not in self._created:
            self._written.add(key)
        if before is None or is_news(before, customer):
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
        """The profiles that others have to hear of: new, or different in what people see."""
        return [self._by_id[key] for key in sorted(self._news)]

    @property
    def collided(self) -> list[Key]:
        """The addresses that several profiles carry now and did not before (BEY-14)."""
        return sorted(
            address
            for address, before in self._shared_before.items()
            if not before and self._shared(address)
        )

    @property
    def cleared(self) -> list[Key]:
        """The addresses that several profiles carried before and do not now (BEY-14)."""
        return sorted(
            address
            for address, before in self._shared_before.items()
            if before and not self._shared(address)
        )

    def _shared(self, address: Key) -> bool:
        return len(self.owners(address)) > 1

    def _place(self, customer: Customer) -> None:
        merchant_id, customer_id = customer.key
        before = self._by_id.get(customer.key)
        if before:
            self._by_key[merchant_id, before.email_key].discard(customer_id)
        self._by_id[customer.key] = customer
        self._by_key.setdefault((merchant_id, customer.email_key), set()).add(customer_id)
        if customer.pos_customer_id:
            self._by_pos_id[merchant_id, customer.pos_customer_id] = customer_id


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
        sync_time=now,
    )


def adoptable(carriers: Sequence[Customer]) -> Customer | None:
    """Of the profiles with one address, the one that the address belongs to, if an order had
    brought it and the point of sale did not know it so far.

    Where the address belongs to several, or to one by a merge alone, it would be a guess whose
    orders are whose.
    """
    standing = [one for one in carriers if not one.merged_into]
    if len({one.survivor_key for one in carriers}) != 1 or not standing:
        return None
    (only,) = standing
    return only if only.origin is Origin.ORDER and not only.pos_customer_id else None


def updated(known: Customer, reported: PosCustomer, now: datetime) -> Customer:
    """The known profile as the point of sale now has it; itself when the report is an older one.

    The point of sale owns what it reports, so its values replace those of an adopted profile. A
    profile that was merged stays so.
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
        sync_time=now,
    )
    return replace(after, update_time=now) if is_news(known, after) else after


def is_news(before: Customer, after: Customer) -> bool:
    """Whether a profile differs in more than in what the point of sale counts and when."""
    return replace(before, pos_version=after.pos_version, sync_time=after.sync_time) != after
