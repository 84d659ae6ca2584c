"""Channels: what their profiles preset, and which outlets may feed them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from services.chassis.errors import DomainError, invalid


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


class PostingPolicy(IntEnum):
    """Which orders become sales, and when; numbers as in the contract."""

    ON_PLACEMENT = 1
    ON_PAYMENT = 2


class FulfillmentPolicy(IntEnum):
    """Where fulfillment is managed; numbers as in the contract."""

    POS = 1
    ECOM = 2


@dataclass(frozen=True, slots=True)
class Policies:
    """What a channel does."""

    outlets: OutletPolicy
    allocation: AllocationPolicy
    posting: PostingPolicy
    fulfillment: FulfillmentPolicy
    out_of_stock_label: str


PRESETS: Mapping[Profile, Policies] = {
    Profile.RETAIL_R_ECOM: Policies(
        OutletPolicy.PRIMARY,
        AllocationPolicy.PRIMARY,
        PostingPolicy.ON_PAYMENT,
        FulfillmentPolicy.ECOM,
        "Out of stock",
    ),
    Profile.RETAIL_X_ECOM: Policies(
        OutletPolicy.REGISTER_LOCKED,
        AllocationPolicy.WHOLE_ORDER,
        PostingPolicy.ON_PLACEMENT,
        FulfillmentPolicy.POS,
        "Sold out",
    ),
    Profile.RETAIL_X_ECWID: Policies(
        OutletPolicy.REGISTER_ONLY,
        AllocationPolicy.REGISTER,
        PostingPolicy.ON_PAYMENT,
        FulfillmentPolicy.ECOM,
        "Sold out",
    ),
}


@dataclass(frozen=True, slots=True)
class Outlet:
    """A shop or warehouse that holds stock."""

    outlet_id: str
    display_name: str


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
    return replace(channel, connected_outlet_ids=tuple(outlet_ids))


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
        raise DomainError(
            "OUTLET_NOT_CONNECTED",
            f"outlet {outlet_id!r} does not feed this channel; connect it first",
            outlet_id=outlet_id,
            channel_id=channel.channel_id,
        )
    return replace(channel, primary_outlet_id=outlet_id)


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
    others = [outlet for outlet in channel.connected_outlet_ids if outlet != register.outlet_id]
    if register.outlet_id in channel.connected_outlet_ids:
        return changed
    return connect(changed, [register.outlet_id, *others])
