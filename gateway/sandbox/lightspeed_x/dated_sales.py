"""The sale write of API 2026-07, the one that knows several outlets to fulfill a sale."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.register_sales import (
    RegisterSales,
    charges,
    moment,
    optional,
    uuid_text,
)
from gateway.sandbox.lightspeed_x.retailer import Retailer, refusal
from gateway.sandbox.lightspeed_x.sale_rules import STATUSES
from gateway.sandbox.values import (
    FieldError,
    Kind,
    Row,
    flag,
    json_object,
    list_of,
    nullable,
    number,
    one_of,
    read,
    record_of,
    text,
    tidy,
)

BASE = "/api/2026-07/sales"
STATES = ("parked", "pending", "voided", "closed")
_STATUS_OF = {(meaning.state, meaning.attributes): status for status, meaning in STATUSES.items()}


class DatedSales:
    """Creates a sale (POST), or replaces one (PUT). A client may choose the id of a new one.

    Two things are judgment, since the documentation leaves them open: a POST with the id of a sale
    that exists is refused, and lines move the stock of the outlet that fulfills them at the moment
    at which the whole sale does.
    """

    def __init__(self, retailer: Retailer, register_sales: RegisterSales) -> None:
        self._retailer = retailer
        self._register_sales = register_sales
        source: dict[str, Kind] = {
            "author_id": retailer.reference("users"),
            "register_id": retailer.reference("registers"),
            "id": text,
            "type": text,
        }
        customer = retailer.reference("customers", deleted_too=True)
        self._fields: dict[str, Kind] = {
            "id": uuid_text,
            "source": record_of(source, required=("author_id", "register_id")),
            "state": one_of(*STATES),
            "attributes": list_of(text),
            "customer_id": nullable(optional(customer)),
            "date": moment,
            "note": nullable(text),
            "fulfillment_outlet_id": nullable(retailer.reference("outlets")),
            "line_items": list_of(_line(retailer)),
            "payments": list_of(_payment(retailer)),
            "ecom_custom_charges": charges,
        }

    def routes(self) -> list[BaseRoute]:
        """Where sales are written; they are read in their 2.0 shape."""
        return [
            Route(BASE, self._create, methods=["POST"]),
            Route(f"{BASE}/{{sale_id}}", self._update, methods=["PUT"]),
        ]

    async def _create(self, request: Request) -> Response:
        fields = await self._read(request)
        if self._retailer.find("sales", fields.get("id")):
            raise refusal(409, "a sale of this id exists")
        return self._write(fields)

    async def _update(self, request: Request) -> Response:
        fields = await self._read(request)
        sale = self._retailer.get("sales", request.path_params["sale_id"])
        return self._write({**fields, "id": sale["id"]})

    async def _read(self, request: Request) -> Row:
        body = await json_object(request)
        missing = [name for name in ("source", "state") if not body.get(name)]
        if missing:
            raise FieldError(dict.fromkeys(missing, "is required"))
        fields = read(body, self._fields)
        kind = (fields["state"], tuple(fields.get("attributes", ())))
        # A void sale keeps no attributes.
        status = "VOIDED" if fields["state"] == "voided" else _STATUS_OF.get(kind)
        if status is None:
            raise FieldError({"attributes": f"do not go with a sale that is {fields['state']}"})
        return {**fields, "status": status}

    def _write(self, fields: Row) -> Response:
        sale = self._register_sales.write(_legacy_fields(fields))
        return JSONResponse({"data": self._shown(sale)})

    def _shown(self, sale: Row) -> Row:
        """A sale in the shape of 2026-07; the outlets of its lines are not told."""
        extra = sale.get("ecom_custom_charges", {"charges": []})
        price, tax = sale["total_price"], sale["total_tax"]
        return {
            "id": sale["id"],
            "state": sale["state"],
            "attributes": sale["attributes"],
            "source": {
                "id": sale["source_id"],
                "type": sale["source"],
                "outlet_id": sale["outlet_id"],
                "register_id": sale["register_id"],
                "author": {"id": sale["user_id"]},
            },
            "customer_id": sale["customer_id"],
            "date": sale["sale_date"],
            "note": sale["note"],
            "invoice_number": sale["invoice_number"],
            "receipt_number": sale["receipt_number"],
            "short_code": sale["short_code"],
            "line_items": [_shown_line(line) for line in sale["line_items"]],
            "payments": [_shown_payment(payment) for payment in sale["payments"]],
            "ecom_custom_charges": extra["charges"],
            "adjustments": sale["adjustments"],
            "taxes": [{"id": row["id"], "tax": row["amount"]} for row in sale["taxes"]],
            "totals": {
                "price": price,
                "tax": tax,
                "price_incl_tax": tidy(price + tax),
                "loyalty": sale["total_loyalty"],
                "surcharge": 0,
            },
            "return": {
                "is_return": sale["return_for"] is not None,
                "original_sale_id": sale["return_for"],
            },
            "created_at": sale["created_at"],
            "updated_at": sale["updated_at"],
            "deleted_at": sale["deleted_at"],
            "_metadata": {"version": sale["version"]},
        }


def _line(retailer: Retailer) -> Kind:
    """A field kind: a line."""
    line: dict[str, Kind] = {
        "id": uuid_text,
        "product": _object("id", retailer.reference("products", deleted_too=True)),
        "quantity": number,
        "pricing": record_of(
            {"price": number, "cost": number, "discount": number, "loyalty_amount": number},
            required=("price",),
        ),
        "tax": record_of(
            {"id": retailer.reference("taxes"), "amount": number}, required=("id", "amount")
        ),
        "status": one_of("SAVED", "CONFIRMED", "VOIDED"),
        "fulfilment_outlet_id": nullable(retailer.reference("outlets")),
        "_metadata": record_of(
            {
                "sequence": number,
                "is_price_override": flag,
                "fulfillment_method": one_of("DISPATCH", "PICKUP"),
            }
        ),
    }
    return record_of(line, required=("product", "quantity", "pricing", "tax"))


def _payment(retailer: Retailer) -> Kind:
    """A field kind: a payment."""
    payment: dict[str, Kind] = {
        "id": uuid_text,
        "amount": number,
        "type": _object("config_id", retailer.reference("payment_types")),
        "date": moment,
        "source": _object("register_id", retailer.reference("registers")),
    }
    return record_of(payment, required=("amount", "type"))


def _object(name: str, kind: Kind) -> Kind:
    """A field kind: an object that is there for one field, which it must have."""
    return record_of({name: kind}, required=(name,))


def _legacy_fields(fields: Row) -> Row:
    """The same sale in the 0.9 fields, in which it is kept."""
    source = fields["source"]
    whole: Row = {
        "register_id": source["register_id"],
        "user_id": source["author_id"],
        "status": fields["status"],
        "source": source.get("type", "USER"),
        "source_id": source.get("id"),
        "register_sale_products": [
            _legacy_line(line, fields.get("fulfillment_outlet_id"))
            for line in fields.get("line_items", [])
        ],
        "register_sale_payments": [
            _legacy_payment(payment) for payment in fields.get("payments", [])
        ],
    }
    if "date" in fields:
        whole["sale_date"] = fields["date"]
    same = ("id", "customer_id", "note", "ecom_custom_charges")
    return {**whole, **{name: fields[name] for name in same if name in fields}}


def _legacy_line(line: Row, outlet_id: str | None) -> Row:
    metadata = line.get("_metadata", {})
    found: Row = {
        "product_id": line["product"]["id"],
        "quantity": line["quantity"],
        "tax": line["tax"]["amount"],
        "tax_id": line["tax"]["id"],
        "price_set": metadata.get("is_price_override", False),
        "fulfilment_outlet_id": line.get("fulfilment_outlet_id") or outlet_id,
        **line["pricing"],
    }
    found["loyalty_value"] = found.pop("loyalty_amount", 0)
    more = {"id": line.get("id"), "status": line.get("status")}
    more["sequence"] = metadata.get("sequence")
    return {**found, **{name: value for name, value in more.items() if value is not None}}


def _legacy_payment(payment: Row) -> Row:
    found: Row = {
        "retailer_payment_type_id": payment["type"]["config_id"],
        "amount": payment["amount"],
        **payment.get("source", {}),
    }
    if "id" in payment:
        found["id"] = payment["id"]
    if "date" in payment:
        found["payment_date"] = payment["date"]
    return found


def _shown_line(line: Row) -> Row:
    return {
        "id": line["id"],
        "product": {"id": line["product_id"]},
        "quantity": line["quantity"],
        "pricing": {
            "price": line["price"],
            "cost": line["cost"],
            "discount": line["discount"],
            "total": line["price_total"],
            "cost_total": line["cost_total"],
            "discount_total": line["discount_total"],
        },
        "tax": {"id": line["tax_id"], "amount": line["tax"], "total": line["tax_total"]},
        "status": line["status"],
        "return": {"is_return": line["is_return"]},
        "_metadata": {
            "sequence": line["sequence"],
            "is_price_override": line["price_set"],
            "tax_components": line["tax_components"],
        },
    }


def _shown_payment(payment: Row) -> Row:
    return {
        "id": payment["id"],
        "amount": payment["amount"],
        "date": payment["payment_date"],
        "type": {"config_id": payment["retailer_payment_type_id"], "name": payment["name"]},
        "source": {"outlet_id": payment["outlet_id"], "register_id": payment["register_id"]},
    }
