"""Sales that several outlets give, as X-Series takes them: whole, in the shape of API 2026-07.

A sale in the 0.9 shape is fulfilled by the outlet of its register. Only the newer write says for
each line which outlet fulfills it; the platform then makes a fulfillment for each of them and takes
the stock there, and it is still one sale with one version. The amounts are those of the 0.9 body.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.pos import SaleToPost
from gateway.pos.lightspeed_x.posting import moves_stock
from gateway.records import BadRecordError, Record
from tillbridge.order.v1 import order_pb2

SALES = "/api/2026-07/sales"

_STATES: Mapping[str, tuple[str, list[str]]] = {
    "CLOSED": ("closed", []),
    "ONACCOUNT_CLOSED": ("closed", ["onaccount"]),
    "LAYBY_CLOSED": ("closed", ["layby"]),
    "AWAITING_DISPATCH": ("pending", ["delivery"]),
    "DISPATCHED_CLOSED": ("closed", ["delivery"]),
    "AWAITING_PICKUP": ("pending", ["pickup"]),
    "PICKED_UP_CLOSED": ("closed", ["pickup"]),
    "SERVICE_CLOSED": ("closed", ["service"]),
    "VOIDED": ("voided", []),
}
"""State and attributes for each status of old that is written."""

_SAME = ("id", "customer_id", "note", "ecom_custom_charges")
"""Fields that are written alike in both shapes."""

_METHODS = {order_pb2.FULFILLMENT_KIND_PICKUP: "PICKUP"}


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax that the account knows."""

    tax_id: str
    name: str
    is_default: bool


def is_given_elsewhere(sale: order_pb2.Sale, register_outlet_id: str) -> bool:
    """Whether another outlet than the register's gives some of a sale. A return names its sale,
    which the newer write cannot; see `returns`.
    """
    return not sale.return_for and any(
        _outlet(sale, line) != register_outlet_id for line in sale.lines
    )


def dated_sale(
    posting: SaleToPost, body: Record, *, author_id: str, taxes: Sequence[Tax]
) -> Record:
    """The 2026-07 body that says the same as a sale's 0.9 body, and who fulfills each line.

    Raises:
        BadRecordError: the account has no tax to name, which a line must.
    """
    sale = posting.sale
    state, attributes = _STATES[body["status"]]
    given = [line for line in sale.lines if moves_stock(line)]
    return {
        **{name: body[name] for name in _SAME if name in body},
        "source": {
            "author_id": author_id,
            "register_id": body["register_id"],
            "id": body["source_id"],
            "type": body["source"],
        },
        "state": state,
        "attributes": attributes,
        "date": body["sale_date"],
        "fulfillment_outlet_id": sale.outlet_id,
        "line_items": [
            {
                **_priced(row, taxes),
                "fulfilment_outlet_id": _outlet(sale, line),
                "_metadata": {
                    "sequence": row["sequence"],
                    "is_price_override": row["price_set"],
                    "fulfillment_method": _METHODS.get(posting.kind, "DISPATCH"),
                },
            }
            for row, line in zip(body["register_sale_products"], given, strict=True)
        ],
        "payments": [
            {
                "id": row["id"],
                "amount": row["amount"],
                "type": {"config_id": row["retailer_payment_type_id"]},
                "date": row["payment_date"],
                "source": {"register_id": body["register_id"]},
            }
            for row in body["register_sale_payments"]
        ],
    }


def _priced(row: Record, taxes: Sequence[Tax]) -> Record:
    """What is sold, and for how much."""
    return {
        "id": row["id"],
        "product": {"id": row["product_id"]},
        "quantity": row["quantity"],
        "pricing": {name: row[name] for name in ("price", "discount") if name in row},
        "tax": {"id": _tax_id(row, taxes), "amount": row["tax"]},
        "status": row["status"],
    }


def _outlet(sale: order_pb2.Sale, line: order_pb2.SaleLine) -> str:
    return line.outlet_id or sale.outlet_id


def _tax_id(row: Record, taxes: Sequence[Tax]) -> str:
    """The tax that a line names: the default one; of a line without tax, the one for that. How much
    it is stands beside it.
    """
    free = [tax for tax in taxes if tax.name.strip().casefold() == "no tax"]
    default = [tax for tax in taxes if tax.is_default]
    chosen = [*free, *default] if Decimal(str(row["tax"])) == 0 else [*default, *taxes]
    if not [*chosen, *taxes]:
        raise BadRecordError("the account has no tax to book a line under")
    return [*chosen, *taxes][0].tax_id
