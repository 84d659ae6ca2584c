"""What a sale's status means: its state, its attributes, and whether it takes stock."""

from dataclasses import dataclass
from enum import StrEnum


class DeductOn(StrEnum):
    """When an online order waiting for pickup or dispatch takes its stock.

    The platform's help center says at placement, its API documentation at fulfillment; both can
    be simulated.
    """

    ORDER = "order"
    FULFIL = "fulfil"


@dataclass(frozen=True)
class Meaning:
    """What a legacy status stands for in the newer vocabulary.

    Attributes:
        state: `parked`, `pending`, `closed` or `voided`.
        attributes: such as `pickup`.
        takes_stock: whether the lines are off the shelf; None where `DeductOn` decides.
    """

    state: str
    attributes: tuple[str, ...]
    takes_stock: bool | None


STATUSES: dict[str, Meaning] = {
    "SAVED": Meaning("parked", (), False),
    "CLOSED": Meaning("closed", (), True),
    "ONACCOUNT": Meaning("pending", ("onaccount",), True),
    "ONACCOUNT_CLOSED": Meaning("closed", ("onaccount",), True),
    "LAYBY": Meaning("pending", ("layby",), True),
    "LAYBY_CLOSED": Meaning("closed", ("layby",), True),
    "AWAITING_DISPATCH": Meaning("pending", ("delivery",), None),
    "DISPATCHED_CLOSED": Meaning("closed", ("delivery",), True),
    "AWAITING_PICKUP": Meaning("pending", ("pickup",), None),
    "PICKED_UP_CLOSED": Meaning("closed", ("pickup",), True),
    # Service orders move no stock that the documentation tells of.
    "SERVICE": Meaning("pending", ("service",), False),
    "SERVICE_CLOSED": Meaning("closed", ("service",), False),
    "VOIDED": Meaning("voided", (), False),
}

FULFILLED: dict[str, tuple[str, str]] = {
    "SHIPPED": ("AWAITING_DISPATCH", "DISPATCHED_CLOSED"),
    "PICKED_UP": ("AWAITING_PICKUP", "PICKED_UP_CLOSED"),
}
"""Fulfillment type to the sale's status before and after it."""


def takes_stock(status: str, deduct_on: DeductOn) -> bool:
    """Whether a sale of this status has its lines taken off the shelf."""
    decided = STATUSES[status].takes_stock
    return deduct_on is DeductOn.ORDER if decided is None else decided
