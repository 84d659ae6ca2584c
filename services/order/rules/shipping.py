"""Shipping, delivery and pickup methods: what they are, and how they change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from services.chassis.errors import DomainError, invalid
from services.order.rules.document import FulfillmentKind, Money
from services.order.rules.pickup import Opening, check_opening
from services.order.rules.rates import Rates, check_rates, currencies
from services.order.rules.zones import Zone, check_zone


class MethodKey(NamedTuple):
    """Whose method it is, and which."""

    merchant_id: str
    channel_id: str
    method_id: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a method takes and when: what checkout is decided by."""

    zones: tuple[Zone, ...] = ()
    minimum_subtotal: Money | None = None
    rates: Rates | None = None
    opening: Opening = field(default_factory=Opening)
    instruction: str = ""

    @property
    def currency_code(self) -> str:
        """The currency of its amounts, which is one once it is checked; empty without any."""
        if self.minimum_subtotal:
            return self.minimum_subtotal.currency_code
        return next(currencies(self.rates), "")


@dataclass(frozen=True, slots=True)
class Method:
    """A way for goods to reach their buyer."""

    key: MethodKey
    name: str
    kind: FulfillmentKind
    terms: Terms
    outlet_id: str = ""
    """The outlet it is tied to (SHP-01); empty means the channel's own (SHP-02)."""
    enabled: bool = False
    disabled_reason: str = ""
    """Why it was switched off by itself (SHP-05)."""
    position: int = 0
    version: int = 0
    create_time: datetime | None = None
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Storefront:
    """What a channel says of its methods."""

    connected: frozenset[str] = frozenset()
    """The outlets that feed it."""
    disables: bool = False
    """Whether methods of an outlet that is disconnected are switched off (SHP-05)."""
    restricted: frozenset[FulfillmentKind] = frozenset()
    """The kinds of methods behind which one outlet must have all of a cart (SHP-03)."""


def check_method(method: Method) -> None:
    """Finds a method well formed.

    Raises:
        DomainError: INVALID_FIELD.
    """
    terms = method.terms
    if not method.name.strip():
        raise invalid("method.name", "must not be empty: it is what buyers see")
    if method.kind is FulfillmentKind.UNSPECIFIED:
        raise invalid("method.kind", "must be shipping, delivery or pickup")
    if method.kind is FulfillmentKind.PICKUP:
        if terms.zones:
            raise invalid("method.zones", "a pickup has none: buyers come to its outlet")
    elif terms.opening.hours:
        raise invalid("method.pickup_hours", "only a pickup has some")
    for index, zone in enumerate(terms.zones):
        check_zone(zone, f"method.zones[{index}]")
    if terms.minimum_subtotal and terms.minimum_subtotal.amount_nanos < 0:
        raise invalid("method.minimum_subtotal", "must not be negative")
    check_rates(terms.rates)
    check_opening(terms.opening)
    other = {code for code in currencies(terms.rates) if code != terms.currency_code}
    if other:
        named = ", ".join(sorted({*other, terms.currency_code}))
        raise invalid("method.rate", f"all amounts must be in one currency, got {named}")


def created(method: Method, storefront: Storefront, now: datetime) -> Method:
    """A new method.

    Raises:
        DomainError: INVALID_FIELD; OUTLET_NOT_CONNECTED (SHP-01).
    """
    check_method(method)
    _check_tied(method, storefront)
    return replace(method, version=1, create_time=now, update_time=now)


def updated(before: Method, after: Method, storefront: Storefront | None, now: datetime) -> Method:
    """A method as it shall be. Switching it on by hand forgets why it was off (SHP-05).

    Args:
        before: the method as it is.
        after: with the new values.
        storefront: the channel's, where the change needs it (`needs_storefront`).
        now: the time.

    Raises:
        DomainError: INVALID_FIELD; OUTLET_NOT_CONNECTED: it would be tied to an outlet that is not
            connected, or be switched on where that would switch it off again.
    """
    check_method(after)
    if storefront:
        switched_on = after.enabled and not before.enabled
        if after.outlet_id != before.outlet_id or (switched_on and storefront.disables):
            _check_tied(after, storefront)
    reason = "" if after.enabled else before.disabled_reason
    return replace(after, disabled_reason=reason, version=before.version + 1, update_time=now)


def needs_storefront(names: Collection[str]) -> bool:
    """Whether a change of these fields depends on which outlets are connected."""
    return "outlet_id" in names or "enabled" in names


def _check_tied(method: Method, storefront: Storefront) -> None:
    if method.outlet_id and method.outlet_id not in storefront.connected:
        raise DomainError(
            "OUTLET_NOT_CONNECTED",
            f"outlet {method.outlet_id!r} does not feed channel {method.key.channel_id!r}; connect"
            " it by SetConnectedOutlets, or tie the method to another one",
            field="method.outlet_id",
            outlet_id=method.outlet_id,
            channel_id=method.key.channel_id,
        )


def check_version(method: Method, version: int) -> None:
    """Finds the method as its caller has seen it; version 0 is whatever it is.

    Raises:
        DomainError: VERSION_CONFLICT.
    """
    if version and version != method.version:
        raise DomainError(
            "VERSION_CONFLICT",
            f"the method has version {method.version} by now, not {version}; look at it again",
            field="version",
            version=method.version,
        )


def orphaned(
    methods: Sequence[Method],
    storefront: Storefront,
    left: Collection[str],
    left_time: datetime,
    now: datetime,
) -> list[Method]:
    """The methods that are to be switched off since their outlet was disconnected (SHP-05).

    Args:
        methods: of one channel.
        storefront: the channel's, as it is now.
        left: outlets that were disconnected at `left_time`. Those among them that are connected
            again take along only methods that nobody has touched since: reconnecting an outlet
            switches nothing on, and a method that was switched on by hand since stays on.
        left_time: when that was.
        now: the time.
    """
    if not storefront.disables:
        return []
    found = []
    for method in methods:
        gone = method.outlet_id not in storefront.connected
        untouched = method.update_time is None or method.update_time <= left_time
        if not (method.enabled and method.outlet_id):
            continue
        if gone or (method.outlet_id in left and untouched):
            reason = (
                f"Outlet {method.outlet_id} was disconnected from the channel; connect it again,"
                " then switch the method on by hand."
            )
            found.append(
                replace(
                    method,
                    enabled=False,
                    disabled_reason=reason,
                    version=method.version + 1,
                    update_time=now,
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of methods if other outlets fed their channel."""

    disabled: Sequence[Method]
    """Those that would be switched off, as they would be then."""
    kept: Sequence[Method]
    """Those whose outlet would not feed it and that would still be offered."""


def preview(
    methods: Sequence[Method], storefront: Storefront, connected: Collection[str], now: datetime
) -> Preview:
    """What would become of the methods of a channel if these outlets fed it (BEY-03).

    It is what `orphaned` makes of the change once it is told.
    """
    after = replace(storefront, connected=frozenset(connected))
    disabled = orphaned(methods, after, storefront.connected - after.connected, now, now)
    lost = {method.key for method in disabled}
    kept = [
        method
        for method in methods
        if method.enabled and method.outlet_id and method.outlet_id not in after.connected
    ]
    return Preview(disabled, [method for method in kept if method.key not in lost])


def no_method(key: MethodKey) -> DomainError:
    """There is no such method."""
    return DomainError(
        "SHIPPING_METHOD_NOT_FOUND",
        f"channel {key.channel_id!r} has no shipping method {key.method_id!r}",
        channel_id=key.channel_id,
        method_id=key.method_id,
    )


def method_exists(key: MethodKey) -> DomainError:
    """There is such a method already."""
    return DomainError(
        "SHIPPING_METHOD_EXISTS",
        f"channel {key.channel_id!r} has a shipping method {key.method_id!r}; update it, or take"
        " another id",
        field="method.method_id",
        channel_id=key.channel_id,
        method_id=key.method_id,
    )
