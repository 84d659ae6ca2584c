"""Merging profiles, and taking it back (BEY-14)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.chassis.errors import DomainError, invalid
from services.customer.rules.addresses import key_if_any
from services.customer.rules.profiles import Customer

_VALUES = ("pos_customer_id", "email", "name", "phone")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A value of a merged profile that is not shown any more."""

    customer_id: str
    field: str
    value: str
    shown_value: str


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge, or its end, comes to."""

    survivor: Customer
    """The profile that stays; of a merge that is taken back: the one that the profile was in."""
    named: tuple[Customer, ...]
    """The profiles that become part of it, or that leaves it, as they are after it."""
    moved: tuple[Customer, ...]
    """All whose orders and addresses change hands, as they are after it: the named ones, and what
    had been merged into them.
    """
    hidden: tuple[Hidden, ...] = ()


def merge(
    survivor: Customer | None,
    named: Sequence[tuple[str, Customer | None]],
    family: Iterable[Customer],
    *,
    survivor_id: str,
    now: datetime,
) -> Merge:
    """What merging profiles into another one comes to.

    Args:
        survivor: the profile that stays, if there is one with that id.
        named: the ids of the others, and their profiles where there are such.
        family: the named ones, and all that were merged into them.
        survivor_id: the id that was asked for.
        now: the time.

    Raises:
        DomainError: CUSTOMER_NOT_FOUND, CUSTOMER_MERGED, INVALID_FIELD.
    """
    stays = _standing(survivor, survivor_id, "customer_id")
    others: list[Customer] = []
    for index, (customer_id, found) in enumerate(named):
        field = f"merged_customer_ids[{index}]"
        if customer_id == survivor_id:
            raise invalid(field, "must not be the profile that stays")
        others.append(_standing(found, customer_id, field))
    keys = {one.key for one in others}
    moved = {
        one.key: _merged(one, stays, now) if one.key in keys else _given(one, stays.customer_id)
        for one in family
    }
    return Merge(
        survivor=stays,
        named=tuple(moved[one.key] for one in others),
        moved=tuple(moved.values()),
        hidden=tuple(value for one in others for value in _hidden(one, stays)),
    )


def unmerge(
    customer: Customer | None,
    family: Sequence[Customer],
    *,
    customer_id: str,
    now: datetime,
) -> Merge:
    """What taking back the merge of a profile comes to.

    Args:
        customer: the profile, if there is one with that id.
        family: the profile that its orders belong to now, and all that were merged into that one.
        customer_id: the id that was asked for.
        now: the time.

    Raises:
        DomainError: CUSTOMER_NOT_FOUND, CUSTOMER_NOT_MERGED.
    """
    if customer is None:
        raise not_found(customer_id)
    if not customer.merged_into:
        raise DomainError(
            "CUSTOMER_NOT_MERGED",
            f"customer {customer_id!r} stands for itself: there is nothing to take back",
            field="customer_id",
        )
    former = next(one for one in family if one.customer_id == customer.merged_into)
    stands = replace(customer, merged_into="", merge_time=None, update_time=now)
    moved = [
        _given(stands if one.key == customer.key else one, customer_id)
        for one in part_of(customer_id, family)
    ]
    return Merge(
        survivor=former,
        named=tuple(one for one in moved if one.key == customer.key),
        moved=tuple(moved),
    )


def part_of(customer_id: str, family: Sequence[Customer]) -> list[Customer]:
    """Of a family of merged profiles: this one, and those that were merged into it."""
    ids = {customer_id}
    while more := {one.customer_id for one in family if one.merged_into in ids} - ids:
        ids |= more
    return [one for one in family if one.customer_id in ids]


def not_found(customer_id: str, field: str = "customer_id") -> DomainError:
    """There is no such profile."""
    return DomainError(
        "CUSTOMER_NOT_FOUND",
        f"no customer {customer_id!r}; ListCustomers shows those that there are",
        field=field,
        customer_id=customer_id,
    )


def _standing(customer: Customer | None, customer_id: str, field: str) -> Customer:
    """The profile, which must be there and stand for itself; so merges never run in a circle."""
    if customer is None:
        raise not_found(customer_id, field)
    if customer.merged_into:
        raise DomainError(
            "CUSTOMER_MERGED",
            f"customer {customer_id!r} was merged into {customer.merged_into!r}; name that one, or"
            " take the merge back by UnmergeCustomers first",
            field=field,
            merged_into=customer.merged_into,
        )
    return customer


def _merged(one: Customer, stays: Customer, now: datetime) -> Customer:
    merged = replace(one, merged_into=stays.customer_id, merge_time=now, update_time=now)
    return _given(merged, stays.customer_id)


def _given(one: Customer, survivor_id: str) -> Customer:
    return replace(one, survivor_id="" if one.customer_id == survivor_id else survivor_id)


def _hidden(one: Customer, stays: Customer) -> Iterable[Hidden]:
    for field in _VALUES:
        value, shown = getattr(one, field), getattr(stays, field)
        same = value == shown
        if field == "email":
            same = same or key_if_any(value) == key_if_any(shown) != ""
        if value and not same:
            yield Hidden(one.customer_id, field, value, shown)
