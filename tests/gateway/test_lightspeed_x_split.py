"""Sales of X-Series that more than one outlet gives, or takes back."""

import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pos import SaleToPost
from gateway.pos.lightspeed_x import LightspeedX
from gateway.pos.lightspeed_x.dated import Tax, dated_sale, is_given_elsewhere
from gateway.pos.lightspeed_x.posting import PaymentType, register_for, register_sale
from gateway.pos.lightspeed_x.returns import by_outlet, is_part
from gateway.records import BadRecordError, Record, amount, money
from gateway.sandbox import lightspeed_x as sandbox
from gateway.sandbox import shop
from gateway.sandbox.server import SandboxServer
from tests.gateway.pos_sales import MUG, PLACES, SALE_ID, posting
from tillbridge.order.v1 import order_pb2

GOLDEN = Path(__file__).parent / "golden"
MAIN, HARBOUR = shop.OUTLET_MAIN_ID, shop.OUTLET_HARBOUR_ID
TAXES = [Tax("gst", "GST", True), Tax("none", "No Tax", False)]

DOCUMENTED = json.loads(
    """
{"source":{"author_id":"u","register_id":"r","id":"XJ12H","type":"ECOMMERCE"},"state":"pending",
 "attributes":["delivery"],"customer_id":"c","date":"2026-07-04T07:22:09Z",
 "line_items":[{"product":{"id":"p"},"quantity":2,
  "pricing":{"price":25.0,"discount":0,"cost":10},"tax":{"id":"t","amount":3.75},
  "status":"CONFIRMED","fulfilment_outlet_id":"o",
  "_metadata":{"fulfillment_method":"DISPATCH"}}],
 "payments":[{"amount":57.5,"type":{"config_id":"w"},"date":"d","source":{"register_id":"r"}}],
 "fulfillment_outlet_id":"o"}
"""
)
"""The fields that the platform documents for a sale, and that we write."""

OURS = {
    "id",
    "note",
    "ecom_custom_charges",
    "line_items.id",
    "line_items._metadata.sequence",
    "line_items._metadata.is_price_override",
    "payments.id",
}
"""What else we write: fields of its schema that the example leaves out."""


def split(**changes: Any) -> SaleToPost:
    """Three mugs with GST in their price: two from Main, one from Harbour; shipping; paid."""
    found = posting(register_id="reg-main", kind=order_pb2.FULFILLMENT_KIND_SHIPPING, **changes)
    sale = found.sale
    sale.lines.add(
        item_id=MUG,
        quantity="1",
        unit_price=money(Decimal(23), "NZD"),
        tax=money(Decimal(3), "NZD"),
        outlet_id="harbour",
    )
    sale.total.CopyFrom(money(Decimal("76.5"), "NZD"))
    sale.tax.CopyFrom(money(Decimal("9.98"), "NZD"))
    sale.payments.add(method="Stripe", amount=sale.total)
    sale.sale_time.FromJsonString("2026-07-04T07:22:09Z")
    return found


def comes_back(*outlets: str, total: str, paid: str) -> SaleToPost:
    """A mug to each outlet, and one that is damaged; so much of it given back."""
    found = posting()
    sale = found.sale
    [line] = sale.lines
    line.quantity, line.outlet_id = "-1", ""
    line.tax.CopyFrom(money(Decimal(-3), "NZD"))
    sale.ClearField("shipping_price")
    for outlet_id in outlets:
        sale.lines.add().CopyFrom(line)
        sale.lines[-1].outlet_id = outlet_id
    sale.lines.add().CopyFrom(line)
    sale.lines[-1].not_restocked = True
    apart = Decimal(total) + 23 * len(sale.lines)
    if apart:
        sale.charges.add(kind=order_pb2.CHARGE_KIND_REFUND, amount=money(apart, "NZD"))
    sale.tax.CopyFrom(money(Decimal(-3 * len(sale.lines)), "NZD"))
    sale.total.CopyFrom(money(Decimal(total), "NZD"))
    if Decimal(paid):
        sale.payments.add(method="Stripe", amount=money(Decimal(paid) / 2, "NZD"))
        sale.payments.add(method="Gift card", amount=money(Decimal(paid) / 2, "NZD"))
    sale.state, sale.return_for = order_pb2.SALE_STATE_COMPLETED, "s-1"
    sale.note = "Refund r-1 of online order XJ12H"
    sale.sale_time.FromJsonString("2026-07-04T07:22:09Z")
    return found


def written(one: SaleToPost, status: str = "AWAITING_DISPATCH") -> Record:
    types = [PaymentType("web", "Ecwid Payments", "5")]
    return register_sale(
        one,
        status=status,
        register_id=register_for(one, PLACES.outlet_of),
        customer_id="c",
        payment_types=types,
    )


def paths(value: Any, name: str = "") -> set[str]:
    """The names of all fields; those of the elements of a list are the list's."""
    if isinstance(value, list):
        return set().union({name}, *(paths(element, name) for element in value))
    if not isinstance(value, Mapping):
        return {name}
    below = (paths(inner, f"{name}.{key}" if name else key) for key, inner in value.items())
    return set().union(*below)


@pytest.mark.rule("ORD-01")
@pytest.mark.rule("ORD-10")
def test_a_split_sale_is_the_golden_one_and_has_documented_fields_only() -> None:
    found = dated_sale(split(), written(split()), author_id="u", taxes=TAXES)
    assert json.loads((GOLDEN / "sale_split.json").read_text()) == json.loads(json.dumps(found))
    ours = {path for path in paths(found) if not path.startswith("ecom_custom_charges.")}
    optional = {"line_items.pricing.cost", "line_items.pricing.discount"}
    assert ours - paths(DOCUMENTED) == OURS
    assert paths(DOCUMENTED) - ours == optional


@pytest.mark.rule("ORD-13")
def test_what_goes_back_to_two_outlets_is_two_golden_returns() -> None:
    parts = by_outlet(comes_back("harbour", total="-60", paid="-60"))
    bodies = [written(part, "CLOSED") for part in parts]
    golden = json.loads((GOLDEN / "sale_split_return.json").read_text())
    assert golden == json.loads(json.dumps(bodies))


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["main", "harbour", "pier"]), max_size=4),
    st.integers(-20000, 0),
    st.booleans(),
)
def test_returns_at_several_outlets_come_to_what_was_given_back(
    outlets: list[str], cents: int, paid: bool
) -> None:
    total = Decimal(cents).scaleb(-2)
    back = comes_back(*outlets, total=str(total), paid=str(total if paid else 0))
    parts = by_outlet(back)
    assert [part.sale.outlet_id for part in parts] == sorted(
        {"main", *outlets}, key=lambda outlet_id: (outlet_id != "main", outlet_id)
    )
    assert sum(amount(part.sale.total) for part in parts) == total
    assert sum(amount(part.sale.tax) for part in parts) == amount(back.sale.tax)
    for part in parts:
        body = written(part, "CLOSED")
        payments = sum(Decimal(str(row["amount"])) for row in body["register_sale_payments"])
        assert payments == (amount(part.sale.total) if paid else 0)
        assert worth(body) == amount(part.sale.total)
        assert {line.outlet_id or "main" for line in part.sale.lines if not line.not_restocked} == {
            part.sale.outlet_id
        }
        assert is_part(body) == (part.sale.sale_id != SALE_ID)
    assert len({part.sale.sale_id for part in parts}) == len(parts)
    assert parts[0].sale.sale_id == SALE_ID


def worth(body: Record) -> Decimal:
    """What the platform makes of a body."""
    lines = (
        (Decimal(str(line["price"])) + Decimal(str(line["tax"]))) * Decimal(str(line["quantity"]))
        for line in body["register_sale_products"]
    )
    rows = (Decimal(str(row["total_incl"])) for row in body["ecom_custom_charges"])
    return sum(lines, Decimal(0)) + sum(rows, Decimal(0))


def test_only_what_another_outlet_gives_is_written_anew() -> None:
    assert is_given_elsewhere(split().sale, "main")
    assert not is_given_elsewhere(posting().sale, "main")
    assert is_given_elsewhere(posting().sale, "harbour")
    assert not is_given_elsewhere(comes_back("harbour", total="0", paid="0").sale, "main")


def test_a_line_names_a_tax_of_the_account() -> None:
    free = split()
    for line in free.sale.lines:
        line.ClearField("tax")
    body = dated_sale(free, written(free), author_id="u", taxes=TAXES)
    assert {line["tax"]["id"] for line in body["line_items"]} == {"none"}
    with pytest.raises(BadRecordError, match="no tax"):
        dated_sale(free, written(free), author_id="u", taxes=[])


@pytest.fixture
async def pos() -> AsyncIterator[LightspeedX]:
    simulator = sandbox.LightspeedX()
    async with SandboxServer(simulator) as server:
        client = LightspeedX(server.url, "sandbox-pos-token")
        yield client
        await client.close()


async def shelves(pos: LightspeedX) -> tuple[str, str]:
    levels = {count.outlet_id: count.quantity for count in await pos.levels(MUG)}
    return levels[MAIN], levels[HARBOUR]


def at_shop(one: SaleToPost, **changes: Any) -> SaleToPost:
    """The same in the outlets of the sandbox."""
    places = {"main": MAIN, "harbour": HARBOUR}
    one.sale.outlet_id = places[one.sale.outlet_id]
    for line in one.sale.lines:
        line.outlet_id = places.get(line.outlet_id, "")
    values = {name: getattr(one, name) for name in SaleToPost.__slots__}
    return SaleToPost(**{**values, "register_id": shop.REGISTER_ONLINE_ID, **changes})


@pytest.mark.rule("INV-03")
@pytest.mark.rule("ORD-10")
@pytest.mark.rule("ORD-13")
async def test_each_shelf_is_right_after_a_split_sale_its_end_and_its_return(
    pos: LightspeedX,
) -> None:
    version = await pos.post_sale(at_shop(split()))
    assert await shelves(pos) == ("10", "4")
    levels = {count.outlet_id: count.version for count in await pos.levels(MUG)}
    assert min(levels[MAIN], levels[HARBOUR]) > version > 0
    done = at_shop(split(posted_before=True))
    done.sale.state = order_pb2.SALE_STATE_COMPLETED
    await pos.post_sale(done)
    assert await shelves(pos) == ("10", "4")
    back = at_shop(comes_back("harbour", total="-60", paid="-60"), posted_before=True)
    back.sale.sale_id, back.sale.return_for = SALE_ID.replace("0001", "0002"), SALE_ID
    for _ in range(2):
        await pos.post_sale(back)
    assert await shelves(pos) == ("11", "5")
    told = [one.sale async for batch in pos.sales_since("") for one in batch.records]
    assert {sale.sale_id for sale in told} == {SALE_ID, back.sale.sale_id}
    [original] = [sale for sale in told if sale.sale_id == SALE_ID]
    assert original.state == order_pb2.SALE_STATE_COMPLETED
    assert amount(original.total) == Decimal("76.5")


@pytest.mark.rule("ORD-13")
async def test_what_another_outlet_alone_takes_back_is_one_return_there(pos: LightspeedX) -> None:
    await pos.post_sale(at_shop(split()))
    back = at_shop(comes_back(total="-46", paid="-46"), posted_before=True)
    back.sale.sale_id, back.sale.return_for = SALE_ID.replace("0001", "0002"), SALE_ID
    back.sale.lines[0].outlet_id = HARBOUR
    assert [part.sale.sale_id for part in by_outlet(back)] == [back.sale.sale_id]
    await pos.post_sale(back)
    assert await shelves(pos) == ("10", "5")


@pytest.mark.rule("ORD-13")
async def test_a_split_sale_that_is_voided_is_back_on_both_shelves(pos: LightspeedX) -> None:
    before = await shelves(pos)
    await pos.post_sale(at_shop(split()))
    void = at_shop(split(posted_before=True))
    void.sale.state = order_pb2.SALE_STATE_VOIDED
    void.sale.ClearField("payments")
    for _ in range(2):
        await pos.post_sale(void)
    assert await shelves(pos) == before
