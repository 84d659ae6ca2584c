"""Which stores may be connected: the plans and origins that each profile takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from services.chassis.errors import DomainError
from services.inventory.rules.channels import Profile


@dataclass(frozen=True, slots=True)
class Admission:
    """Which stores may be connected."""

    plans: tuple[str, ...] = ()
    """The plans that include the connection; empty where it is an option of any plan."""
    since: datetime | None = None
    """From then on, a store that the eCom app creates belongs to the `successor`."""
    successor: Profile | None = None


ADMISSIONS: Mapping[Profile, Admission] = {
    Profile.RETAIL_R_ECOM: Admission(
        plans=("Pro", "Standard", "Advanced", "Enterprise", "Core", "Plus")
    ),
    Profile.RETAIL_X_ECOM: Admission(),
    Profile.RETAIL_X_ECWID: Admission(
        plans=("Business", "Unlimited"),
        since=datetime(2022, 2, 3, tzinfo=UTC),
        successor=Profile.RETAIL_X_ECOM,
    ),
}

ECOM_OPTION = "any plan that includes eCom"


@dataclass(frozen=True, slots=True)
class StoreTerms:
    """What is known of a store's plan and origin."""

    plan: str = ""
    """Empty when it is not known."""
    includes_ecom: bool | None = None
    """Whether the plan includes eCom as an option; None when that is not known."""
    by_ecom_app: bool = False
    create_time: datetime | None = None
    """None when it is not known."""


def admit(profile: Profile, store: StoreTerms) -> None:
    """Refuses a store that may not be connected with this profile; what is not known is not
    checked.

    Raises:
        DomainError: PLAN_NOT_INCLUDED (SOR-02), PROFILE_DOES_NOT_FIT (SOR-03).
    """
    admission = ADMISSIONS[profile]
    plan = store.plan.strip()
    included = not plan or plan.casefold() in {one.casefold() for one in admission.plans}
    if not admission.plans:
        included = store.includes_ecom is not False
    if not included:
        plans = ", ".join(admission.plans) or ECOM_OPTION
        raise DomainError(
            "PLAN_NOT_INCLUDED",
            f"{f'plan {plan!r}' if plan else 'the plan'} does not include this connection; these"
            f" do: {plans}",
            field="plan",
            plan=plan,
            plans=plans,
        )
    fits, since = admission.successor, admission.since
    if fits and since and store.by_ecom_app and store.create_time and store.create_time >= since:
        raise DomainError(
            "PROFILE_DOES_NOT_FIT",
            f"the eCom app created this store on {store.create_time:%Y-%m-%d}; a store that it"
            f" created since {since:%Y-%m-%d} is connected as {fits.name}: ask for that profile",
            field="profile",
            profile=fits.name,
        )
