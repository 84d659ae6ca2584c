"""Channels: what their profiles preset and which outlets may feed them, case by case."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.chassis.errors import DomainError
from services.inventory.rules.channels import (
    PRESETS,
    AllocationPolicy,
    AvailabilityMode,
    Channel,
    DisconnectedMethods,
    FulfillmentPolicy,
    OutletPolicy,
    Policies,
    PostingPolicy,
    Profile,
    Register,
    connect,
    create,
    set_primary,
    set_register,
)
from tillbridge.inventory.v1 import channels_pb2

MAIN, HARBOUR, THIRD = "main", "harbour", "third"
TILL = Register("till-main", "Till", MAIN)
OTHER_TILL = Register("till-harbour", "Till", HARBOUR)
R, X, ECWID = Profile.RETAIL_R_ECOM, Profile.RETAIL_X_ECOM, Profile.RETAIL_X_ECWID


def channel(profile: Profile, *connected: str) -> Channel:
    """A channel at Main, fed by these outlets beside it."""
    primary = profile is R
    return create(
        "ch-1",
        "Web",
        profile,
        register=None if primary else TILL,
        primary_outlet_id=MAIN if primary else "",
        wanted=connected,
        external_pos=True,
    )


def answer(change: Callable[[], Channel]) -> tuple[str, ...] | str:
    """The outlets that feed the channel then, or the reason of the refusal."""
    try:
        return change().connected_outlet_ids
    except DomainError as refusal:
        return refusal.reason


# The profile table of the rulebook.
@pytest.mark.rule("ORD-10")
@pytest.mark.parametrize(
    ("profile", "outlets", "allocation", "posting", "fulfillment", "label", "disconnected"),
    [
        (R,     "PRIMARY",         "PRIMARY",     "ON_PAYMENT", "ECOM", "Out of stock", "DISABLE"),
        (X,     "REGISTER_LOCKED", "WHOLE_ORDER", "ON_PLACEMENT", "POS",  "Sold out",     "KEEP"),
        (ECWID, "REGISTER_ONLY",   "REGISTER",    "ON_PAYMENT",   "ECOM", "Sold out",     "KEEP"),
    ],
)  # fmt: skip
def test_a_profile_is_a_set_of_policies(
    profile: Profile,
    *,
    outlets: str,
    allocation: str,
    posting: str,
    fulfillment: str,
    label: str,
    disconnected: str,
) -> None:
    expected = Policies(
        OutletPolicy[outlets],
        AllocationPolicy[allocation],
        PostingPolicy[posting],
        FulfillmentPolicy[fulfillment],
        label,
        DisconnectedMethods[disconnected],
    )
    assert expected == PRESETS[profile] == channel(profile).policies


@pytest.mark.parametrize(
    ("values", "contract"),
    [
        (Profile, channels_pb2.Profile),
        (OutletPolicy, channels_pb2.OutletPolicy),
        (AllocationPolicy, channels_pb2.AllocationPolicy),
        (PostingPolicy, channels_pb2.PostingPolicy),
        (FulfillmentPolicy, channels_pb2.FulfillmentPolicy),
        (AvailabilityMode, channels_pb2.AvailabilityMode),
        (DisconnectedMethods, channels_pb2.DisconnectedMethods),
    ],
)
def test_the_numbers_are_those_of_the_contract(values: type[Profile], contract: type) -> None:
    prefix = "".join(f"_{part}" if part.isupper() else part for part in values.__name__)
    prefix = prefix.lstrip("_").upper()
    named = dict(contract.items())  # type: ignore[attr-defined]  # an enum's wrapper
    expected = {name.removeprefix(f"{prefix}_"): number for name, number in named.items() if number}
    assert expected == {value.name: value.value for value in values}


# Profile, register, primary outlet, outlets asked for, and those connected, or the refusal.
@pytest.mark.rule("INV-08")
@pytest.mark.rule("INV-09")
@pytest.mark.parametrize(
    ("profile", "register", "primary", "wanted", "expected"),
    [
        (R,     None, MAIN, [],                (MAIN,)),
        (R,     None, MAIN, [HARBOUR],         (MAIN, HARBOUR)),
        (R,     None, MAIN, [HARBOUR, MAIN],   (MAIN, HARBOUR)),
        (R,     TILL, HARBOUR, [],             (HARBOUR,)),         # its register locks nothing
        (R,     None, "",   [MAIN],            "INVALID_FIELD"),
        (X,     TILL, "",   [],                (MAIN,)),            # pre-selected
        (X,     TILL, "",   [HARBOUR],         (MAIN, HARBOUR)),
        (X,     TILL, "",   [HARBOUR, MAIN],   (MAIN, HARBOUR)),
        (X,     TILL, MAIN, [],                "INVALID_FIELD"),
        (X,     None, "",   [MAIN],            "REGISTER_MISSING"),
        (ECWID, TILL, "",   [],                (MAIN,)),
        (ECWID, TILL, "",   [MAIN],            (MAIN,)),
        (ECWID, TILL, "",   [HARBOUR],         "FIXED_BY_POLICY"),
        (ECWID, None, "",   [],                "REGISTER_MISSING"),
        (ECWID, TILL, MAIN, [],                "INVALID_FIELD"),
    ],
)  # fmt: skip
def test_a_new_channel_has_its_locked_outlet(
    profile: Profile,
    register: Register | None,
    primary: str,
    wanted: list[str],
    expected: tuple[str, ...] | str,
) -> None:
    assert expected == answer(
        lambda: create(
            "ch-1",
            "Web",
            profile,
            register=register,
            primary_outlet_id=primary,
            wanted=wanted,
            external_pos=False,
        )
    )


# Profile, the outlets that are to feed the channel at Main, and those that do, or the refusal.
@pytest.mark.rule("INV-05")
@pytest.mark.rule("INV-06")
@pytest.mark.rule("INV-07")
@pytest.mark.rule("INV-08")
@pytest.mark.rule("INV-09")
@pytest.mark.parametrize(
    ("profile", "asked", "expected"),
    [
        (R,     [MAIN],                 (MAIN,)),
        (R,     [HARBOUR, MAIN],        (HARBOUR, MAIN)),      # in the order of preference
        (R,     [HARBOUR],              "OUTLET_IS_PRIMARY"),
        (R,     [],                     "OUTLET_IS_PRIMARY"),
        (X,     [MAIN, HARBOUR, THIRD], (MAIN, HARBOUR, THIRD)),
        (X,     [THIRD, MAIN],          (THIRD, MAIN)),
        (X,     [HARBOUR, THIRD],       "OUTLET_LOCKED_BY_REGISTER"),
        (X,     [],                     "OUTLET_LOCKED_BY_REGISTER"),
        (ECWID, [MAIN],                 (MAIN,)),
        (ECWID, [MAIN, HARBOUR],        "FIXED_BY_POLICY"),
        (ECWID, [HARBOUR],              "FIXED_BY_POLICY"),
        (ECWID, [],                     "FIXED_BY_POLICY"),
    ],
)  # fmt: skip
def test_the_locked_outlet_stays_connected(
    profile: Profile, asked: list[str], expected: tuple[str, ...] | str
) -> None:
    assert expected == answer(lambda: connect(channel(profile), asked))


@pytest.mark.rule("INV-07")
@pytest.mark.parametrize("profile", [R, X])
def test_connecting_again_is_as_if_it_had_never_left(profile: Profile) -> None:
    before = channel(profile, HARBOUR)
    assert before == connect(connect(before, [MAIN]), [MAIN, HARBOUR])


@pytest.mark.rule("INV-08")
def test_the_refusal_names_the_way_out() -> None:
    with pytest.raises(DomainError, match="SetRegister") as found:
        connect(channel(X), [HARBOUR])
    assert found.value.facts == {"outlet_id": MAIN, "register_id": "till-main"}
    with pytest.raises(DomainError, match="SetPrimaryOutlet") as found:
        connect(channel(R), [HARBOUR])
    assert found.value.facts == {"outlet_id": MAIN}


# Profile, the outlets beside Main, the outlet to make the primary, and the locked one, or why not.
@pytest.mark.rule("INV-09")
@pytest.mark.parametrize(
    ("profile", "connected", "primary", "expected"),
    [
        (R,     [HARBOUR], HARBOUR, HARBOUR),
        (R,     [HARBOUR], MAIN,    MAIN),
        (R,     [HARBOUR], THIRD,   "OUTLET_NOT_CONNECTED"),
        (X,     [HARBOUR], HARBOUR, "FIXED_BY_POLICY"),
        (ECWID, [],        MAIN,    "FIXED_BY_POLICY"),
    ],
)  # fmt: skip
def test_a_connected_outlet_becomes_the_primary(
    profile: Profile, connected: list[str], primary: str, expected: str
) -> None:
    before = channel(profile, *connected)

    def change() -> Channel:
        nonlocal before
        before = set_primary(before, primary)
        return before

    outlets = answer(change)
    if isinstance(outlets, str):
        assert expected == outlets
        return
    assert (expected, outlets) == (before.locked_outlet_id, (MAIN, *connected))


# Profile, the outlets beside Main, the new register, and (connected, locked) afterwards.
@pytest.mark.rule("INV-08")
@pytest.mark.parametrize(
    ("profile", "connected", "register", "expected"),
    [
        (X,     [],               OTHER_TILL, ((HARBOUR, MAIN),        HARBOUR)),   # swapped
        (X,     [THIRD],          OTHER_TILL, ((HARBOUR, MAIN, THIRD), HARBOUR)),
        (X,     [THIRD, HARBOUR], OTHER_TILL, ((MAIN, THIRD, HARBOUR), HARBOUR)),   # order kept
        (X,     [HARBOUR],        TILL,       ((MAIN, HARBOUR),        MAIN)),
        (ECWID, [],               OTHER_TILL, ((HARBOUR,),             HARBOUR)),
        (R,     [],               OTHER_TILL, ((MAIN,),                MAIN)),      # locks nothing
    ],
)  # fmt: skip
def test_changing_the_register_swaps_the_locked_outlet(
    profile: Profile,
    connected: list[str],
    register: Register,
    expected: tuple[tuple[str, ...], str],
) -> None:
    found = set_register(channel(profile, *connected), register)
    assert expected == (found.connected_outlet_ids, found.locked_outlet_id)
    assert (found.register_id, found.register_outlet_id) == (
        register.register_id,
        register.outlet_id,
    )


@pytest.mark.rule("INV-08")
def test_the_outlet_that_was_locked_may_leave_after_the_swap() -> None:
    swapped = set_register(channel(X), OTHER_TILL)
    assert connect(swapped, [HARBOUR]).connected_outlet_ids == (HARBOUR,)


def test_a_policy_of_its_own_decides_and_not_the_profile() -> None:
    """No rule asks for the profile: with other policies it does not matter any more."""
    odd = replace(channel(ECWID), policies=PRESETS[X])
    assert connect(odd, [MAIN, HARBOUR]).connected_outlet_ids == (MAIN, HARBOUR)
