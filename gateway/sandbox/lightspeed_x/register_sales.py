"""The 0.9 sale write, `POST /api/register_sales`: the way online orders reach the POS."""

import re
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.legacy import legacy_sale
from gateway.sandbox.lightspeed_x.retailer import Retailer, refusal
from gateway.sandbox.lightspeed_x.sale_rules import STATUSES
from gateway.sandbox.lightspeed_x.sales import Sales, totals
from gateway.sandbox.values import (
    FieldError,
    Kind,
    Row,
    json_object,
    list_of,
    loose_flag,
    nullable,
    number,
    one_of,
    read,
    record_of,
    text,
    tidy,
)

SOURCES = ("USER", "SHOPIFY", "ECOMMERCE", "QUOTE")


class RegisterSales:
    """Creates a sale, or replaces the one whose `id` the body carries.

    As on the platform a sale is always posted whole: lines and payments that an update leaves
    out are gone. A client may choose the `id` of a new sale, which makes repeats harmless;
    `source_id` is only kept, so a repeat without `id` is a second sale.
    """

    def __init__(self, retailer: Retailer, sales: Sales) -> None:
        self._retailer = retailer
        self._sales = sales
        # A sale outlives what it names, so an old one can still be posted again.
        customer = retailer.reference("customers", deleted_too=True)
        line: dict[str, Kind] = {
            "id": uuid_text,
            "product_id": retailer.reference("products", deleted_too=True),
            "quantity": number,
            "price": number,
            "tax": number,
            "tax_id": retailer.reference("taxes"),
            "discount": number,
            "cost": number,
            "loyalty_value": number,
            "price_set": loose_flag,
            "sequence": number,
            "status": one_of("SAVED", "CONFIRMED", "VOIDED"),
            "note": nullable(text),
            "fulfillment_type": text,
        }
        payment: dict[str, Kind] = {
            "id": uuid_text,
            "retailer_payment_type_id": retailer.reference("payment_types"),
            "amount": number,
            "payment_date": moment,
            "register_id": retailer.reference("registers"),
        }
        lines = list_of(record_of(line, required=("product_id", "quantity", "price")))
        payments = list_of(record_of(payment, required=("retailer_payment_type_id", "amount")))
        self._fields: dict[str, Kind] = {
            "id": uuid_text,
            "register_id": retailer.reference("registers"),
            "user_id": nullable(retailer.reference("users")),
            "customer_id": nullable(optional(customer)),
            "status": one_of(*STATUSES),
            "sale_date": moment,
            "source": one_of(*SOURCES),
            "source_id": nullable(text),
            "note": nullable(text),
            "short_code": text,
            "invoice_number": nullable(text),
            "return_for": nullable(retailer.reference("sales")),
            "ecom_custom_charges": charges,
            "register_sale_products": lines,
            "register_sale_payments": payments,
        }

    def routes(self) -> list[BaseRoute]:
        """Where sales are written; clients that always send a version use the second path."""
        return [
            Route("/api/register_sales", self._post, methods=["POST"]),
            Route("/api/0.9/register_sales", self._post, methods=["POST"]),
        ]

    async def _post(self, request: Request) -> Response:
        body = await json_object(request)
        missing = [name for name in ("register_id", "status") if not body.get(name)]
        if missing:
            raise FieldError(dict.fromkeys(missing, "is required; a sale is posted whole"))
        sale = self.write(read(body, self._fields))
        return JSONResponse({"register_sale": legacy_sale(self._retailer, sale)})

    def write(self, fields: Row) -> Row:
        """Saves a sale from its 0.9 fields, whole.

        A line's `fulfilment_outlet_id`, which 0.9 has no field for, says which outlet fulfills it;
        without one it is the sale's.
        """
        existing = self._retailer.find("sales", fields.get("id"))
        if existing and existing["status"] == "VOIDED" and fields["status"] != "VOIDED":
            raise refusal(422, "the sale is voided, which is final")
        sale = self._sale(fields, existing)
        outlets = {
            line["id"]: line.pop("fulfilment_outlet_id", None) for line in sale["line_items"]
        }
        self._sales.fulfilled_at(outlets)
        return self._sales.save(sale)

    def _sale(self, fields: Row, existing: Row | None) -> Row:
        retailer = self._retailer
        now = retailer.now()
        register = retailer.get("registers", fields["register_id"])
        sale_date = fields.get("sale_date") or (existing or {}).get("sale_date") or now
        lines = [
            self._line(line, index, existing)
            for index, line in enumerate(fields.get("register_sale_products", []))
        ]
        payments = [
            self._payment(payment, register, sale_date)
            for payment in fields.get("register_sale_payments", [])
        ]
        meaning = STATUSES[fields["status"]]
        sale: Row = {
            "id": fields.get("id") or retailer.new_id(),
            "outlet_id": register["outlet_id"],
            "register_id": register["id"],
            "user_id": fields.get("user_id") or shop.USER_ID,
            "customer_id": fields.get("customer_id"),
            "status": fields["status"],
            "state": meaning.state,
            "attributes": list(meaning.attributes),
            "source": fields.get("source", "USER"),
            "source_id": fields.get("source_id"),
            "note": fields.get("note") or "",
            "return_for": fields.get("return_for"),
            "sale_date": sale_date,
            "created_at": existing["created_at"] if existing else now,
            "line_items": lines,
            # Voiding takes the payments away.
            "payments": [] if fields["status"] == "VOIDED" else payments,
            "adjustments": [],
            "deleted_at": None,
            **self._numbers(fields, existing, register),
        }
        if "ecom_custom_charges" in fields:
            sale["ecom_custom_charges"] = fields["ecom_custom_charges"]
        return {**sale, **totals(sale)}

    def _numbers(self, fields: Row, existing: Row | None, register: Row) -> Row:
        """Invoice number and short code: given, kept, or the register's next."""
        if existing:
            number_, sequence = existing["invoice_number"], existing["invoice_sequence"]
            code = existing["short_code"]
        else:
            number_, sequence = self._sales.next_invoice(register)
            code = self._sales.new_short_code()
        invoice = fields.get("invoice_number") or number_
        return {
            "invoice_number": invoice,
            "receipt_number": invoice,
            "invoice_sequence": sequence,
            "receipt_sequence": sequence,
            "short_code": fields.get("short_code") or code,
        }

    def _line(self, fields: Row, index: int, existing: Row | None) -> Row:
        product = self._retailer.get("products", fields["product_id"])
        known = existing["line_items"] if existing else []
        same = index < len(known) and known[index]["product_id"] == product["id"]
        line_id = fields.get("id") or (known[index]["id"] if same else self._retailer.new_id())
        return self._sales.line(
            {"cost": product["supply_price"], "sequence": index, **fields, "id": line_id}
        )

    def _payment(self, fields: Row, register: Row, sale_date: str) -> Row:
        kind = self._retailer.get("payment_types", fields["retailer_payment_type_id"])
        return {
            "id": fields.get("id") or self._retailer.new_id(),
            "register_id": fields.get("register_id", register["id"]),
            "outlet_id": register["outlet_id"],
            "retailer_payment_type_id": kind["id"],
            "payment_type_id": str(kind["type_id"]),
            "name": kind["name"],
            "amount": fields["amount"],
            "payment_date": fields.get("payment_date", sale_date),
            "external_attributes": [],
        }


def uuid_text(value: object) -> str:
    """A field kind: a UUID, in any of its spellings, kept in the usual one."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise ValueError("must be a UUID") from None


def moment(value: object) -> str:
    """A field kind: a time in 2.0 or 0.9 spelling, kept in the 2.0 one; it is in UTC."""
    matched = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", str(value))
    if matched is None:
        raise ValueError("must be a date and time")
    return f"{matched[1]}T{matched[2]}+00:00"


def optional(kind: Kind) -> Kind:
    """Takes the empty text, which 0.9 writes for nothing, as null."""
    return lambda value: None if value == "" else kind(value)


_CHARGE: dict[str, Kind] = {
    "name": text,
    "source_id": text,
    "total": number,
    "total_tax": number,
    "total_incl": number,
    "tax_components": list_of(record_of({"rate_id": text, "total_tax": number})),
}


def charges(value: object) -> Row:
    """A field kind: what an order costs besides its lines, such as shipping.

    The list form and the form with sums around it are both taken; sums are worked out anew.
    """
    listed = value.get("charges") if isinstance(value, dict) else value
    rows = list_of(record_of(_CHARGE, required=("name",)))(listed)
    for row in rows:
        row.setdefault("total", 0)
        row.setdefault("total_tax", 0)
        row["total_incl"] = tidy(row["total"] + row["total_tax"])
        row.setdefault("source_id", "")
        row.setdefault("tax_components", [])
    sums = {
        name: tidy(sum(row[name] for row in rows)) for name in ("total", "total_tax", "total_incl")
    }
    return {**sums, "charges": rows}
