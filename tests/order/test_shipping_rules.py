"""What a buyer may choose at checkout, and what shipping methods are like, case by case."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from services.chassis.errors import DomainError
from services.order.rules import shipping
from services.order.rules.checkout import (
    Cart,
    CartLine,
    Offer,
    Quote,
    Reason,
    Stock,
    check_cart,
    quote,
)
from services.order.rules.document import FulfillmentKind, Money
from services.order.rules.pickup import Opening
from services.order.rules.rates import Basis, Rate, Table
from services.order.rules.shipping import Method, MethodKey, Storefront, Terms
from services.order.rules.zones import Zone
from tests.order.test_shipping_terms import NOON, NORWAY, OSLO, OSLO_HOURS, codes, eur, hours, rows

SHIPPING, DELIVERY, PICKUP = (
    FulfillmentKind.SHIPPING,
    FulfillmentKind.DELIVERY,
    FulfillmentKind.PICKUP,
)
MAIN, HARBOUR, THIRD = "main", "harbour", "third"


def line(item_id: str, pieces: int, cents: int = 1000, grams: int = 0) -> CartLine:
    return CartLine(item_id, item_id.upper(), pieces * 1000, eur(cents), grams * 1000)


def method(
    method_id: str, kind: FulfillmentKind = PICKUP, outlet_id: str = "", **terms: object
) -> Method:
    return Method(
        MethodKey("m", "web", method_id),
        method_id.title(),
        kind,
        Terms(**terms),  # type: ignore[arg-type]  # named by each case
        outlet_id,
        enabled=True,
    )


def stock(**outlets: dict[str, int]) -> Stock:
    """What outlets have, in pieces; Main is the register's, Third is not connected."""
    return Stock(
        {
            outlet: {item: pieces * 1000 for item, pieces in has.items()}
            for outlet, has in outlets.items()
        },
        frozenset(outlets) - {THIRD},
        frozenset({"voucher"}),
        MAIN,
        NOON,
    )


def ask(
    cart: Cart,
    methods: Sequence[Method],
    has: Stock,
    *restricted: FulfillmentKind,
) -> Quote:
    return quote(cart, map(Offer, methods), has, restricted, NOON)


TWO_MUGS = Cart((line("mug", 1), line("mug", 1)))
STOCKS = {
    "all at main": stock(main={"mug": 2}, harbour={}),
    "all at harbour": stock(main={"mug": 1}, harbour={"mug": 2}),
    "split": stock(main={"mug": 1}, harbour={"mug": 1}),
    "none": stock(main={"mug": 1}, harbour={}),
    "third alone": stock(main={}, harbour={}, third={"mug": 2}),
}


@pytest.mark.rule("SHP-03")
@pytest.mark.rule("SHP-04")
@pytest.mark.parametrize(
    ("has", "outlet_id", "restrict", "expected"),
    [
        ("all at main", "", True, True),  # SHP-02: the register's outlet is behind it
        ("all at main", MAIN, True, True),
        ("all at main", HARBOUR, True, False),
        ("all at main", HARBOUR, False, True),  # SHP-04
        ("all at harbour", "", True, False),
        ("all at harbour", HARBOUR, True, True),
        ("all at harbour", MAIN, False, True),
        ("split", "", True, False),
        ("split", MAIN, True, False),
        ("split", "", False, True),
        ("none", "", False, False),
        ("none", MAIN, True, False),
        ("third alone", THIRD, True, True),  # disconnected, and still offered (SHP-05)
        ("third alone", THIRD, False, False),
        ("third alone", "", False, False),
    ],
)
def test_stock_behind_a_method(has: str, outlet_id: str, restrict: bool, expected: bool) -> None:
    kinds = [PICKUP] if restrict else []
    found = ask(TWO_MUGS, [method("pickup", PICKUP, outlet_id)], STOCKS[has], *kinds)
    assert expected == bool(found.options)
    assert [one.reason for one in found.unavailable] == ([] if expected else [Reason.SHORT_STOCK])


@pytest.mark.rule("SHP-04")
def test_one_kind_may_be_restricted_and_another_not() -> None:
    methods = [method("pickup", PICKUP, MAIN), method("post", SHIPPING, MAIN)]
    found = ask(TWO_MUGS, methods, STOCKS["all at harbour"], PICKUP)
    assert [one.method.key.method_id for one in found.options] == ["post"]


@pytest.mark.rule("SHP-02")
def test_the_outlet_behind_a_method_that_is_tied_to_none_is_the_channels_own() -> None:
    found = ask(TWO_MUGS, [method("pickup"), method("far", PICKUP, HARBOUR)], STOCKS["split"])
    assert [one.outlet_id for one in found.options] == [MAIN, HARBOUR]


@pytest.mark.rule("SHP-03")
def test_what_is_short_and_what_would_help() -> None:
    cart = Cart((line("mug", 3), line("voucher", 9), line("plate", 1)))
    has = stock(main={"mug": 1}, harbour={"mug": 3, "plate": 1}, third={"mug": 9, "plate": 9})
    methods = [
        method("pickup main", PICKUP, MAIN),
        method("pickup harbour", PICKUP, HARBOUR),
        method("post", SHIPPING, MAIN),
    ]
    found = ask(cart, methods, has, PICKUP)
    (refused,) = found.unavailable
    assert [(one.item_id, one.asked, one.available) for one in refused.short] == [
        ("mug", 3000, 1000),
        ("plate", 1000, 0),
    ]
    assert refused.outlets_with_all == [HARBOUR]
    assert refused.methods_instead == ["pickup harbour"]
    assert refused.message == (
        "There is too little in stock for Pickup Main: MUG (3 in the cart, 1 left) and PLATE"
        " (1 in the cart, none left)."
    )
    assert refused.help == (
        "Choose Pickup Harbour instead, or take 2 x MUG and 1 x PLATE out of the cart."
    )


SATURDAYS = frozenset(date(2026, 7, 4) + timedelta(days=7 * week) for week in range(54))
NOK = Money("NOK", 10**9)


@pytest.mark.rule("BEY-02")
@pytest.mark.rule("SHP-06")
@pytest.mark.parametrize(
    ("found", "reason", "message", "help_"),
    [
        (
            replace(method("bike", DELIVERY), enabled=False, disabled_reason="for the merchant"),
            Reason.DISABLED,
            "Bike is not offered at the moment.",
            "",
        ),
        (
            method("bike", DELIVERY, zones=(Zone("", ("SE",)),)),
            Reason.ADDRESS,
            "Bike does not go to this address.",
            "Take another address, or another way to get your order.",
        ),
        (
            method("bike", DELIVERY, minimum_subtotal=eur(4999)),
            Reason.MINIMUM_SUBTOTAL,
            "Bike is for orders of 49.99 EUR or more.",
            "Add goods for 29.99 EUR.",
        ),
        (
            method("bike", DELIVERY, rates=Table(Basis.SUBTOTAL, rows((30, None, 100)))),
            Reason.NO_RATE,
            "Bike has no price for an order of this size or weight.",
            "",
        ),
        (
            method("bike", DELIVERY, minimum_subtotal=NOK, rates=Rate(NOK)),
            Reason.NO_RATE,
            "Bike is priced in NOK, and the cart in EUR.",
            "",
        ),
        (
            method("shop", opening=Opening((hours(6, 9, 10),), "", 0, SATURDAYS)),
            Reason.CLOSED,
            "Shop is closed for the next year.",
            "",
        ),
        (
            method("shop", PICKUP, HARBOUR),
            Reason.SHORT_STOCK,
            "There is too little in stock for Shop: MUG (2 in the cart, none left).",
            "Take 2 x MUG out of the cart.",
        ),
    ],
)
def test_why_a_method_may_not_be_chosen(
    found: Method, reason: Reason, message: str, help_: str
) -> None:
    cart = replace(TWO_MUGS, address=OSLO)
    answer = ask(cart, [found], STOCKS["all at main"], PICKUP)
    assert not answer.options
    assert [(one.reason, one.message, one.help) for one in answer.unavailable] == [
        (reason, message, help_)
    ]


@pytest.mark.rule("SHP-06")
def test_of_several_reasons_the_first_of_the_list_is_told() -> None:
    everything = method(
        "bike",
        DELIVERY,
        HARBOUR,
        zones=(Zone("", ("SE",)),),
        minimum_subtotal=eur(4999),
        rates=Table(Basis.SUBTOTAL, rows((30, None, 100))),
    )
    cart, told = replace(TWO_MUGS, address=OSLO), []
    for after in (
        replace(everything, enabled=False),
        everything,
        replace(everything, terms=replace(everything.terms, zones=())),
        replace(everything, terms=Terms(rates=everything.terms.rates)),
        replace(everything, terms=Terms()),
    ):
        (refused,) = ask(cart, [after], STOCKS["all at main"], DELIVERY).unavailable
        told.append(refused.reason)
    assert told == [
        Reason.DISABLED,
        Reason.ADDRESS,
        Reason.MINIMUM_SUBTOTAL,
        Reason.NO_RATE,
        Reason.SHORT_STOCK,
    ]


def refusal(method: Method, storefront: Storefront) -> str:
    """The field or reason that a new method is refused for; empty when it is not."""
    try:
        shipping.created(method, storefront, NOON)
    except DomainError as error:
        return error.violations[0][0] if error.reason == "INVALID_FIELD" else error.reason
    return ""


@pytest.mark.rule("SHP-01")
@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (method("ok", SHIPPING, zones=(NORWAY,), rates=Rate(eur(1)), minimum_subtotal=eur(5)), ""),
        (method("tied", PICKUP, MAIN), ""),
        (method("tied", PICKUP, THIRD), "OUTLET_NOT_CONNECTED"),
        (replace(method("x"), name=" "), "method.name"),
        (replace(method("x"), kind=FulfillmentKind.UNSPECIFIED), "method.kind"),
        (method("x", PICKUP, zones=(NORWAY,)), "method.zones"),
        (method("x", SHIPPING, opening=OSLO_HOURS), "method.pickup_hours"),
        (method("x", SHIPPING, zones=(codes(" "),)), "method.zones[0].postal_codes[0]"),
        (method("x", SHIPPING, zones=(codes("20-10"),)), "method.zones[0].postal_codes[0]"),
        (method("x", minimum_subtotal=eur(-1)), "method.minimum_subtotal"),
        (method("x", rates=Rate(eur(-1))), "method.rate.flat.per_order"),
        (
            method("x", rates=Table(Basis.WEIGHT, rows((0, 1, 5), (1, 2, -5)))),
            "method.rate.table.rows[1].rate.per_order",
        ),
        (method("x", rates=Table(Basis.WEIGHT, rows((2, 2, 5)))), "method.rate.table.rows[0].to"),
        (method("x", rates=Rate(eur(1), 0, NOK)), "method.rate"),
        (method("x", minimum_subtotal=NOK, rates=Rate(eur(1))), "method.rate"),
        (method("x", opening=Opening(time_zone="Europe/Nowhere")), "method.time_zone"),
        (method("x", opening=Opening(time_zone="../../etc/passwd")), "method.time_zone"),
        (method("x", opening=Opening((hours(1, 9, 9),))), "method.pickup_hours[0].close_time"),
    ],
)
def test_what_a_method_must_be_like(made: Method, expected: str) -> None:
    assert expected == refusal(made, Storefront(frozenset({MAIN, HARBOUR})))


@pytest.mark.parametrize(
    ("cart", "expected"),
    [
        (TWO_MUGS, ""),
        (Cart((line("mug", 1), line("mug", 1)._replace(unit_price=NOK))), "lines[1].unit_price"),
        (Cart((line("mug", 1, -1),)), "lines[0].unit_price"),
        (replace(TWO_MUGS, discount=NOK), "discount"),
        (replace(TWO_MUGS, discount=eur(-1)), "discount"),
    ],
)
def test_a_cart_is_in_one_currency(cart: Cart, expected: str) -> None:
    try:
        check_cart(cart)
    except DomainError as error:
        assert [expected] == [field for field, _ in error.violations]  # noqa: PT017
    else:
        assert not expected


BEFORE, AFTER = NOON - timedelta(minutes=1), NOON + timedelta(minutes=1)


@pytest.mark.rule("SHP-05")
@pytest.mark.parametrize(
    ("disables", "connected", "left", "touched", "expected"),
    [
        (True, {MAIN}, {HARBOUR}, BEFORE, False),
        (True, {MAIN}, {HARBOUR}, AFTER, False),  # it is still gone: by hand does not help
        (True, {MAIN}, set(), BEFORE, False),  # the event that told of it was lost
        (True, {MAIN, HARBOUR}, {HARBOUR}, BEFORE, False),  # connected again in between
        (True, {MAIN, HARBOUR}, {HARBOUR}, AFTER, True),  # an old event, and switched on by hand
        (True, {MAIN, HARBOUR}, {MAIN}, BEFORE, True),
        (True, {MAIN, HARBOUR}, set(), BEFORE, True),
        (False, {MAIN}, {HARBOUR}, BEFORE, True),  # X-Series: left as they are
    ],
)
def test_methods_of_an_outlet_that_is_disconnected(
    disables: bool, connected: set[str], left: set[str], touched: datetime, expected: bool
) -> None:
    tied = replace(method("far", PICKUP, HARBOUR), update_time=touched)
    storefront = Storefront(frozenset(connected), disables)
    found = shipping.orphaned([tied, method("post", SHIPPING)], storefront, left, NOON, AFTER)
    assert expected == (not found)
    for one in found:
        assert not one.enabled
        assert one.disabled_reason.startswith("Outlet harbour was disconnected")


@pytest.mark.rule("SHP-05")
@pytest.mark.parametrize(
    ("disables", "connected", "expected"),
    [
        (True, {HARBOUR}, "on"),
        (True, {MAIN}, "OUTLET_NOT_CONNECTED"),
        (False, {MAIN}, "on"),  # left as they are, still offered
    ],
)
def test_a_method_is_switched_on_again_by_hand(
    disables: bool, connected: set[str], expected: str
) -> None:
    off = replace(method("far", PICKUP, HARBOUR), enabled=False, disabled_reason="so", version=3)
    try:
        found = shipping.updated(
            off, replace(off, enabled=True), Storefront(frozenset(connected), disables), NOON
        )
        outcome = "on"
        assert (found.enabled, found.disabled_reason, found.version) == (True, "", 4)
    except DomainError as error:
        outcome = error.reason
    assert expected == outcome
