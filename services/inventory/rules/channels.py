"""Channels: what their profiles preset, and which outlets may feed them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from services.chassis.errors import DomainError, invalid

HEARD_EVERY_S = 5.0


class Profile(IntEnum):
    """Presets; the numbers are the contract's (`Profile`). No rule asks for the profile."""

    RETAIL_R_ECOM = 1
    RETAIL_X_ECOM = 2
    RETAIL_X_ECWID = 3


class OutletPolicy(IntEnum):
    """Which outlets may feed a channel; numbers as in the contract."""

    PRIMARY = 1
    REGISTER_LOCKED = 2
    REGISTER_ONLY = 3


class AllocationPolicy(IntEnum):
    """Which outlet an order takes its stock from; numbers as in the contract."""

    PRIMARY = 1
    WHOLE_ORDER = 2
    REGISTER = 3
    FEWEST_SPLITS = 4
    PRIORITY = 5


class PostingPolicy(IntEnum):
    """Which orders become sales, and when; numbers as in the contract."""

    ON_PLACEMENT = 1
    ON_PAYMENT = 2


class FulfillmentPolicy(IntEnum):
    """Where fulfillment is managed; numbers as in the contract."""

    POS = 1
    ECOM = 2


class AvailabilityMode(IntEnum):
    """When a shipping method may be chosen as to stock; numbers as in the contract."""

    ALLOW_ALL = 1
    RESTRICT = 2


class DisconnectedMethods(IntEnum):
    """What becomes of the shipping methods of an outlet that is disconnected; numbers as in the
    contract.
    """

    DISABLE = 1
    KEEP = 2


@dataclass(frozen=True, slots=True)
class Policies:
    """What a channel does."""

    outlets: OutletPolicy
    allocation: AllocationPolicy
    posting: PostingPolicy
    fulfillment: FulfillmentPolicy
    out_of_stock_label: str
    disconnected_methods: DisconnectedMethods
    """What becomes of the shipping methods of an outlet that is disconnected (SHP-05)."""
    update_inventory: bool = True
    """Whether changes of stock reach the store (INV-11)."""
    accept_store_stock_edits: bool = False
    """Whether a level typed in the store becomes an adjustment (INV-10)."""
    silent_after_s: int = 0
    """After how long without any word of it an outlet counts as silent; 0: never (BEY-12)."""
    silent_quantity: int = 0
    """What a silent outlet gives at most, of each item."""
    post_sales: bool = True
    """Whether orders become sales (ORD-09)."""
    shipping_availability: AvailabilityMode = AvailabilityMode.ALLOW_ALL
    delivery_availability: AvailabilityMode = AvailabilityMode.ALLOW_ALL
    pickup_availability: AvailabilityMode = AvailabilityMode.ALLOW_ALL
    """Whether the outlet behind a method must have all of a cart (SHP-03, SHP-04)."""


PRESETS: Mapping[Profile, Policies] = {
    Profile.RETAIL_R_ECOM: Policies(
        OutletPolicy.PRIMARY,
        AllocationPolicy.PRIMARY,
        PostingPolicy.ON_PAYMENT,
        FulfillmentPolicy.ECOM,
        "Out of stock",
        DisconnectedMethods.DISABLE,
    ),
    Profile.RETAIL_X_ECOM: Policies(
        OutletPolicy.REGISTER_LOCKED,
        AllocationPolicy.WHOLE_ORDER,
        PostingPolicy.ON_PLACEMENT,
        FulfillmentPolicy.POS,
        "Sold out",
        DisconnectedMethods.KEEP,
    ),
    Profile.RETAIL_X_ECWID: Policies(
        OutletPolicy.REGISTER_ONLY,
        AllocationPolicy.REGISTER,
        PostingPolicy.ON_PAYMENT,
        FulfillmentPolicy.ECOM,
        "Sold out",
        DisconnectedMethods.KEEP,
    ),
}

SWITCHES: Mapping[Profile, frozenset[str]] = {
    Profile.RETAIL_R_ECOM: frozenset(),
    Profile.RETAIL_X_ECOM: frozenset(),
    Profile.RETAIL_X_ECWID: frozenset({"update_inventory", "post_sales"}),
}
"""The policies that are a switch of the merchant's in some profiles only."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """A shop or warehouse that holds stock."""

    outlet_id: str
    display_name: str


@dataclass(frozen=True, slots=True)
class KnownOutlet:
    """An outlet, and where it is known from (SOR-04)."""

    outlet: Outlet
    cause: str
    """What told of it last; empty: somebody did by hand."""
    create_time: datetime
    sync_time: datetime
    """When it was last told of."""


@dataclass(frozen=True, slots=True)
class Register:
    """A till; it belongs to exactly one outlet."""

    register_id: str
    display_name: str
    outlet_id: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One connection between a point of sale and one online store."""

    channel_id: str
    display_name: str
    profile: Profile
    policies: Policies
    external_pos: bool
    register_id: str
    register_outlet_id: str
    primary_outlet_id: str
    connected_outlet_ids: tuple[str, ...]
    draining_outlet_ids: tuple[str, ...] = ()
    """Connected ones that are being disconnected (BEY-06)."""
    silent_outlet_ids: tuple[str, ...] = ()
    """Connected ones that have been silent for too long (BEY-12)."""

    @property
    def stands_still(self) -> bool:
        """Whether no change of stock reaches it (INV-11)."""
        return not self.policies.update_inventory

    @property
    def allocation(self) -> AllocationPolicy:
        """Which outlet an order takes its stock from."""
        return self.policies.allocation

    @property
    def locked_outlet_id(self) -> str:
        """The outlet that cannot be disconnected now; empty when there is none."""
        if self.policies.outlets is OutletPolicy.PRIMARY:
            return self.primary_outlet_id
        return self.register_outlet_id


def told_again(
    outlet: Outlet, before: KnownOutlet | None, cause: str, now: datetime
) -> KnownOutlet:
    """The outlet, as it is known after it was told of.

    Raises:
        DomainError: OUTLET_EXISTS; it is known with other details.
    """
    if before and before.outlet != outlet:
        raise DomainError(
            "OUTLET_EXISTS",
            f"outlet {outlet.outlet_id!r} exists as {before.outlet.display_name!r}",
            field="outlet.outlet_id",
        )
    return KnownOutlet(outlet, cause, before.create_time if before else now, now)


def create(
    channel_id: str,
    display_name: str,
    profile: Profile,
    *,
    register: Register | None,
    primary_outlet_id: str,
    wanted: Sequence[str],
    external_pos: bool,
) -> Channel:
    """A new channel with the policies of its profile and its locked outlet connected.

    The register's outlet is pre-selected and locked (INV-08), or the primary one is (INV-09).

    Raises:
        DomainError: REGISTER_MISSING, INVALID_FIELD, FIXED_BY_POLICY.
    """
    policies = PRESETS[profile]
    if policies.outlets is OutletPolicy.PRIMARY:
        if not primary_outlet_id:
            raise invalid("primary_outlet_id", f"{profile.name} needs a primary outlet")
    elif primary_outlet_id:
        raise invalid("primary_outlet_id", f"{profile.name} knows no primary outlet; leave it out")
    elif not register:
        raise DomainError(
            "REGISTER_MISSING",
            f"register_id: {profile.name} needs the register that online orders are posted to",
            field="register_id",
            channel_id="",
        )
    channel = Channel(
        channel_id=channel_id,
        display_name=display_name,
        profile=profile,
        policies=policies,
        external_pos=external_pos,
        register_id=register.register_id if register else "",
        register_outlet_id=register.outlet_id if register else "",
        primary_outlet_id=primary_outlet_id,
        connected_outlet_ids=(),
    )
    locked = channel.locked_outlet_id
    return connect(channel, [locked, *(outlet for outlet in wanted if outlet != locked)])


def connect(channel: Channel, outlet_ids: Sequence[str]) -> Channel:
    """The channel fed by exactly these outlets (INV-05, INV-06, INV-07).

    Raises:
        DomainError: OUTLET_LOCKED_BY_REGISTER (INV-08), OUTLET_IS_PRIMARY (INV-09),
            FIXED_BY_POLICY where the register's outlet is the only one that may feed it.
    """
    locked = channel.locked_outlet_id
    if channel.policies.outlets is OutletPolicy.REGISTER_ONLY and set(outlet_ids) != {locked}:
        raise DomainError(
            "FIXED_BY_POLICY",
            f"this channel is fed by its register's outlet {locked!r} alone;"
            " change the register to change the outlet",
            policy="outlets",
        )
    if locked and locked not in outlet_ids:
        raise _locked(channel)
    return replace(
        channel,
        connected_outlet_ids=tuple(outlet_ids),
        draining_outlet_ids=_those_in(channel.draining_outlet_ids, outlet_ids),
        silent_outlet_ids=_those_in(channel.silent_outlet_ids, outlet_ids),
    )


def _those_in(some: Sequence[str], outlet_ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(outlet_id for outlet_id in some if outlet_id in outlet_ids)


def drain(channel: Channel, outlet_id: str, *, draining: bool) -> Channel:
    """The channel with the disconnection of an outlet begun, or taken back (BEY-06).

    Raises:
        DomainError: OUTLET_NOT_CONNECTED, OUTLET_LOCKED_BY_REGISTER, OUTLET_IS_PRIMARY,
            FIXED_BY_POLICY.
    """
    if outlet_id not in channel.connected_outlet_ids:
        raise _not_connected(channel, outlet_id)
    others = tuple(one for one in channel.draining_outlet_ids if one != outlet_id)
    if not draining:
        return replace(channel, draining_outlet_ids=others)
    connect(channel, [one for one in channel.connected_outlet_ids if one != outlet_id])
    return replace(channel, draining_outlet_ids=(*others, outlet_id))


def end_drain(channel: Channel, outlet_ids: Sequence[str]) -> Channel:
    """The channel without these draining outlets, since nothing is held there any more (BEY-06).

    One that has become the register's or the primary outlet meanwhile stays.
    """
    done = set(outlet_ids) & set(channel.draining_outlet_ids) - {channel.locked_outlet_id}
    return connect(channel, [one for one in channel.connected_outlet_ids if one not in done])


def listen(channel: Channel, heard: Mapping[str, datetime | None], now: datetime) -> Channel:
    """The channel with those of its outlets marked that have been silent for too long (BEY-12).

    Args:
        channel: the channel.
        heard: when anything was last told of each outlet; of one that nobody ever told of there is
            nothing to doubt.
        now: the time.
    """
    after = timedelta(seconds=channel.policies.silent_after_s)
    silent = tuple(
        outlet_id
        for outlet_id in channel.connected_outlet_ids
        if after and (last := heard.get(outlet_id)) is not None and now - last > after
    )
    return replace(channel, silent_outlet_ids=silent)


def heard_every(channels: Iterable[Channel]) -> timedelta:
    """How often it is noted at most that something was told of an outlet: now and then, but often
    enough for what these channels call silent.
    """
    limits = [channel.policies.silent_after_s / 4 for channel in channels]
    return timedelta(seconds=min([HEARD_EVERY_S, *filter(None, limits)]))


def set_policies(channel: Channel, changes: Mapping[str, Any]) -> Channel:
    """The channel with some of its policies changed, each given by its name (INV-10, INV-11).

    Raises:
        DomainError: FIXED_BY_POLICY for one that is no switch in the channel's profile;
            INVALID_FIELD for an allocation whose outlet the channel does not have.
    """
    for name in sorted(set().union(*SWITCHES.values()) - SWITCHES[channel.profile]):
        if name in changes:
            raise DomainError(
                "FIXED_BY_POLICY",
                f"policies.{name} is no switch of {channel.profile.name}; leave it out",
                policy=name,
            )
    policies = replace(channel.policies, **changes)
    needed = {
        AllocationPolicy.PRIMARY: channel.primary_outlet_id,
        AllocationPolicy.REGISTER: channel.register_outlet_id,
    }
    if not needed.get(policies.allocation, "any"):
        raise invalid(
            "channel.policies.allocation",
            f"{policies.allocation.name} needs an outlet that this channel does not have",
        )
    return replace(channel, policies=policies)


def _not_connected(channel: Channel, outlet_id: str) -> DomainError:
    return DomainError(
        "OUTLET_NOT_CONNECTED",
        f"outlet {outlet_id!r} does not feed this channel; connect it first",
        outlet_id=outlet_id,
        channel_id=channel.channel_id,
    )


def _locked(channel: Channel) -> DomainError:
    if channel.policies.outlets is OutletPolicy.PRIMARY:
        return DomainError(
            "OUTLET_IS_PRIMARY",
            f"outlet {channel.primary_outlet_id!r} is the primary one; make another outlet the"
            " primary by SetPrimaryOutlet first",
            outlet_id=channel.primary_outlet_id,
        )
    return DomainError(
        "OUTLET_LOCKED_BY_REGISTER",
        f"online orders are posted to register {channel.register_id!r} at outlet"
        f" {channel.register_outlet_id!r}; change the register by SetRegister first",
        outlet_id=channel.register_outlet_id,
        register_id=channel.register_id,
    )


def set_primary(channel: Channel, outlet_id: str) -> Channel:
    """The channel with another primary outlet (INV-09).

    Raises:
        DomainError: FIXED_BY_POLICY where the policies know no primary outlet;
            OUTLET_NOT_CONNECTED.
    """
    if channel.policies.outlets is not OutletPolicy.PRIMARY:
        raise DomainError(
            "FIXED_BY_POLICY",
            "this channel follows its register; change the register by SetRegister",
            policy="outlets",
        )
    if outlet_id not in channel.connected_outlet_ids:
        raise _not_connected(channel, outlet_id)
    channel = replace(channel, primary_outlet_id=outlet_id)
    return _undrain(channel)


def set_register(channel: Channel, register: Register) -> Channel:
    """The channel posting to another register, whose outlet is the locked one now (INV-08).

    The outlet that was locked before stays connected where the policies allow it.
    """
    changed = replace(
        channel, register_id=register.register_id, register_outlet_id=register.outlet_id
    )
    if channel.policies.outlets is OutletPolicy.PRIMARY:
        return changed
    if channel.policies.outlets is OutletPolicy.REGISTER_ONLY:
        return connect(changed, [register.outlet_id])
    changed = _undrain(changed)
    others = [outlet for outlet in channel.connected_outlet_ids if outlet != register.outlet_id]
    if register.outlet_id in channel.connected_outlet_ids:
        return changed
    return connect(changed, [register.outlet_id, *others])


def _undrain(channel: Channel) -> Channel:
    """The channel whose locked outlet gives stock again, if it was being disconnected."""
    locked = channel.locked_outlet_id
    if locked not in channel.draining_outlet_ids:
        return channel
    return drain(channel, locked, draining=False)
