"""Which stores may be connected: by plan, and by where they come from."""

from datetime import UTC, datetime

import pytest

from services.chassis.errors import DomainError
from services.inventory.rules.admission import StoreTerms, admit
from services.inventory.rules.channels import Profile
from tests.harness import metadata, refused
from tests.inventory.conftest import MAIN, Shop
from tillbridge.inventory.v1 import channels_pb2 as pb

R, X, ECWID = Profile.RETAIL_R_ECOM, Profile.RETAIL_X_ECOM, Profile.RETAIL_X_ECWID
R_PLANS = "Pro, Standard, Advanced, Enterprise, Core, Plus"


def answer(profile: Profile, store: StoreTerms) -> str:
    """The reason of the refusal, with what it names; empty for a store that may be connected."""
    found: DomainError | None = None
    try:
        admit(profile, store)
    except DomainError as refusal:
        found = refusal
    if found is None:
        return ""
    named = found.facts.get("plans") or found.facts["profile"]
    assert named in found.message
    return f"{found.reason}: {named}"


# The profile table of the rulebook.
@pytest.mark.rule("SOR-02")
@pytest.mark.parametrize(
    ("profile", "plan", "includes_ecom", "expected"),
    [
        (R, "Pro", None, ""),
        (R, "Standard", None, ""),
        (R, "Advanced", None, ""),
        (R, "Enterprise", None, ""),
        (R, "Core", None, ""),
        (R, "Plus", None, ""),
        (R, " pLUS ", None, ""),
        (R, "", None, ""),
        (R, "Lean", None, f"PLAN_NOT_INCLUDED: {R_PLANS}"),
        (R, "Business", True, f"PLAN_NOT_INCLUDED: {R_PLANS}"),
        (X, "Whatever", True, ""),
        (X, "Whatever", None, ""),
        (X, "", None, ""),
        (X, "Whatever", False, "PLAN_NOT_INCLUDED: any plan that includes eCom"),
        (X, "", False, "PLAN_NOT_INCLUDED: any plan that includes eCom"),
        (ECWID, "Business", None, ""),
        (ECWID, "UNLIMITED", False, ""),
        (ECWID, "", None, ""),
        (ECWID, "Free", None, "PLAN_NOT_INCLUDED: Business, Unlimited"),
        (ECWID, "Venture", True, "PLAN_NOT_INCLUDED: Business, Unlimited"),
        (ECWID, "Pro", None, "PLAN_NOT_INCLUDED: Business, Unlimited"),
    ],
)
def test_a_plan_that_does_not_include_the_connection_is_refused(
    profile: Profile, plan: str, *, includes_ecom: bool | None, expected: str
) -> None:
    assert expected == answer(profile, StoreTerms(plan=plan, includes_ecom=includes_ecom))


FITS = "PROFILE_DOES_NOT_FIT: RETAIL_X_ECOM"


@pytest.mark.rule("SOR-03")
@pytest.mark.parametrize(
    ("profile", "by_ecom_app", "created", "expected"),
    [
        (ECWID, True, datetime(2022, 2, 1, tzinfo=UTC), ""),
        (ECWID, True, datetime(2022, 2, 2, 23, 59, 59, tzinfo=UTC), ""),
        (ECWID, True, datetime(2022, 2, 3, tzinfo=UTC), FITS),
        (ECWID, True, datetime(2025, 1, 1, tzinfo=UTC), FITS),
        (ECWID, True, None, ""),
        (ECWID, False, datetime(2025, 1, 1, tzinfo=UTC), ""),
        (X, True, datetime(2025, 1, 1, tzinfo=UTC), ""),
        (R, True, datetime(2025, 1, 1, tzinfo=UTC), ""),
    ],
)
def test_a_store_of_the_ecom_app_belongs_to_its_profile(
    profile: Profile, created: datetime | None, *, by_ecom_app: bool, expected: str
) -> None:
    assert expected == answer(profile, StoreTerms(by_ecom_app=by_ecom_app, create_time=created))


async def channels(shop: Shop) -> int:
    listed = await shop.channels.ListChannels(pb.ListChannelsRequest(), metadata=metadata())
    return len(listed.channels)


@pytest.mark.rule("SOR-02")
async def test_a_store_whose_plan_is_refused_is_told_the_plans_and_nothing_is_made(
    shop: Shop,
) -> None:
    async with refused("PLAN_NOT_INCLUDED") as facts:
        await shop.open(
            profile=pb.PROFILE_RETAIL_R_ECOM, primary_outlet_id=MAIN, plan="Lean", register_id=""
        )
    assert facts["plans"] == R_PLANS
    assert "'Lean'" in facts["message"]
    async with refused("PLAN_NOT_INCLUDED") as facts:
        await shop.open(plan="Retail", plan_includes_ecom=False)
    assert facts["plans"] == "any plan that includes eCom"
    assert await channels(shop) == 0
    assert (await shop.open(plan="Retail", plan_includes_ecom=True)).channel_id
    assert (await shop.open(plan="Retail")).channel_id


@pytest.mark.rule("SOR-03")
async def test_a_store_of_the_ecom_app_is_told_the_profile_that_fits(shop: Shop) -> None:
    request = pb.CreateChannelRequest(store_created_by_ecom_app=True, plan="Business")
    request.store_create_time.FromDatetime(datetime(2023, 5, 6, tzinfo=UTC))
    store = {
        "plan": request.plan,
        "store_created_by_ecom_app": True,
        "store_create_time": request.store_create_time,
    }
    ecwid = {"profile": pb.PROFILE_RETAIL_X_ECWID, "connected_outlet_ids": [MAIN]}
    async with refused("PROFILE_DOES_NOT_FIT") as facts:
        await shop.open(**ecwid, **store)
    assert "connected as RETAIL_X_ECOM" in facts["message"]
    assert await channels(shop) == 0
    request.store_create_time.FromDatetime(datetime(2021, 5, 6, tzinfo=UTC))
    assert (await shop.open(**ecwid, **store)).channel_id
