"""R-Series: what its sales come to in the contract."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.pos.lightspeed_r import sale_of, sales_in
from gateway.records import BadRecordError, amount, parse_json
from services.order.rules.money import worth
from services.order.wire.sales import sale as sale_value
from tillbridge.order.v1 import order_pb2

DATA = Path(__file__).parents[3] / "shared/data/lightspeed-r"
"""Recorded answers of a test account."""

LINE: Mapping[str, Any] = {
    "saleLineID": "12",
    "unitQuantity": "2",
    "unitPrice": "1.23",
    "calcLineDiscount": "0.10",
    "calcTransactionDiscount": "0.05",
    "calcTax1": "0.2",
    "calcTax2": "0.01",
    "calcTotal": "2.52",
    "isLayaway": "false",
    "itemID": "7",
    "shopID": "1",
    "Item": {"description": "Brass strip"},
}


def row(**changes: Any) -> dict[str, Any]:
    return {
        "saleID": "121",
        "timeStamp": "2016-02-13T00:49:38+00:00",
        "createTime": "2016-02-13T00:40:00+00:00",
        "completed": "true",
        "archived": "false",
        "voided": "false",
        "isTaxInclusive": "false",
        "ticketNumber": "220000000121",
        "calcTotal": "2.52",
        "taxTotal": "0.21",
        "shopID": "1",
        "registerID": "1",
        "SaleLines": {"SaleLine": LINE},
        "SalePayments": {
            "SalePayment": {
                "amount": "2.52",
                "paymentTypeID": "1",
                "createTime": "2016-02-13T00:49:38+00:00",
                "PaymentType": {"name": "Cash"},
            }
        },
        **changes,
    }


def read(**changes: Any) -> order_pb2.Sale:
    mirrored = sale_of(row(**changes), "USD")
    assert mirrored
    return mirrored.sale


def difference(sale: order_pb2.Sale) -> Decimal:
    """By how much its parts differ from its total."""
    value = sale_value(order_pb2.RecordSaleRequest(sale=sale, mirrored=True), "m")
    return Decimal(worth(value) - value.total.amount_nanos) / 10**9


@pytest.mark.rule("ORD-05")
def test_a_sale_is_read_field_by_field() -> None:
    mirrored = sale_of(row(), "USD")
    assert mirrored
    sale = mirrored.sale
    assert (sale.sale_id, sale.outlet_id, sale.register_id) == ("121", "1", "1")
    assert (mirrored.version, sale.sale_time.seconds) == (1455324578, 1455324000)
    [line] = sale.lines
    assert (line.item_id, line.quantity, line.name) == ("7", "2", "Brass strip")
    assert [amount(line.discount), amount(line.tax)] == [Decimal("0.15"), Decimal("0.21")]
    [payment] = sale.payments
    assert (payment.method, amount(payment.amount)) == ("Cash", Decimal("2.52"))
    assert sale.note == "Ticket 220000000121"
    assert difference(sale) == 0


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "COMPLETED"),
        ({"completed": "false"}, "PARKED"),
        ({"completed": "false", "archived": "true"}, "VOIDED"),
        ({"archived": "true"}, "COMPLETED"),
        ({"voided": "true"}, "VOIDED"),
        (
            {"completed": "false", "SaleLines": {"SaleLine": {**LINE, "isLayaway": "true"}}},
            "LAYBY",
        ),
        (
            {"completed": "false", "SaleLines": {"SaleLine": {**LINE, "isSpecialOrder": "true"}}},
            "OPEN",
        ),
        ({"SaleLines": {"SaleLine": {**LINE, "isLayaway": "true"}}}, "COMPLETED"),
    ],
)
def test_how_far_a_sale_has_got_is_told(changes: Mapping[str, Any], state: str) -> None:
    assert order_pb2.SaleState.Name(read(**changes).state) == f"SALE_STATE_{state}"


def test_lines_may_be_many_give_back_and_be_about_an_amount_alone() -> None:
    returned = {**LINE, "unitQuantity": "-1", "calcTotal": "-1.29", "shopID": "2"}
    returned |= {"calcLineDiscount": "0", "calcTransactionDiscount": "0"}
    returned |= {"calcTax1": "-0.06", "calcTax2": "0"}
    fee: dict[str, Any] = {
        "itemID": "0",
        "unitQuantity": "1",
        "unitPrice": "3",
        "calcTotal": "3.30",
    }
    fee |= {"calcTax1": "0.30", "Note": {"note": "Engraving"}}
    credit = {"itemID": "0", "unitQuantity": "-1", "unitPrice": "1", "calcTotal": "-1"}
    sale = read(
        SaleLines={"SaleLine": [LINE, returned, fee, credit]},
        calcTotal="3.53",
        taxTotal="0.45",
    )
    assert [(line.quantity, line.outlet_id) for line in sale.lines] == [("2", ""), ("-1", "2")]
    [charge] = sale.charges
    assert (charge.name, amount(charge.amount)) == ("Engraving", Decimal("3.30"))
    assert amount(sale.discount) == 1
    assert difference(sale) == 0


@pytest.mark.parametrize(
    "changes",
    [{"SaleLines": ""}, {"SaleLines": {}}, {"SaleLines": {"SaleLine": {**LINE, "itemID": "0"}}}],
)
def test_a_sale_without_goods_is_not_kept(changes: Mapping[str, Any]) -> None:
    assert sale_of(row(**changes), "USD") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"saleID": ""},
        {"calcTotal": None},
        {"SaleLines": {"SaleLine": {"itemID": "7", "unitPrice": "1"}}},
        {"SaleLines": {"SaleLine": {**LINE, "unitPrice": "x"}}},
    ],
)
def test_a_sale_without_what_it_needs_is_named_as_bad(changes: Mapping[str, Any]) -> None:
    with pytest.raises(BadRecordError):
        sale_of(row(**changes), "USD")


@pytest.mark.parametrize("relation", ["", {}, [], {"SalePayment": ""}, {"SalePayment": []}])
def test_a_relation_without_members_is_none(relation: Any) -> None:
    assert not read(SalePayments=relation).payments


@pytest.mark.skipif(not DATA.exists(), reason="the reference data is not here")
@pytest.mark.rule("ORD-05")
@pytest.mark.parametrize(
    ("name", "sale_id", "lines", "total"),
    [
        ("Sales_create", "", 0, ""),
        ("Sales_create.1", "121", 1, "2.46"),
        ("Sales_show", "", 0, ""),
        ("Sales_update", "1", 6, "5.18"),
    ],
)
def test_recorded_sales_are_read_and_add_up(
    name: str, sale_id: str, lines: int, total: str
) -> None:
    [one] = sales_in(parse_json((DATA / f"{name}.json").read_text())["body"])
    mirrored = sale_of(one, "USD")
    assert (mirrored is not None) is bool(sale_id)
    if mirrored:
        sale = mirrored.sale
        assert (sale.sale_id, len(sale.lines), amount(sale.total)) == (
            sale_id,
            lines,
            Decimal(total),
        )
        assert abs(difference(sale)) < Decimal("0.005")
        assert sale.state == order_pb2.SALE_STATE_PARKED


@pytest.mark.skipif(not DATA.exists(), reason="the reference data is not here")
def test_a_recorded_line_of_a_completed_sale_is_read() -> None:
    body = json.loads((DATA / "Sales_sale_lines.json").read_text())["body"]
    sale = read(SaleLines=body, calcTotal="687386.7", taxTotal="56756.7", SalePayments="")
    assert (sale.lines[0].quantity, sale.lines[0].name) == ("90090", "Test Item 001")
    assert difference(sale) == 0


@pytest.mark.parametrize("answer", [None, [], {}, {"Sale": ""}, {"Sale": []}, {"Sale": ["x"]}])
def test_an_answer_may_hold_no_sale(answer: Any) -> None:
    assert sales_in(answer) == []
