"""Sales as API 2.0 shows them, with their return and fulfillment actions."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.paging import page
from gateway.sandbox.lightspeed_x.retailer import Retailer, refusal
from gateway.sandbox.lightspeed_x.sale_rules import FULFILLED, STATUSES, DeductOn, takes_stock
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.values import Row, json_object, one_of, read, tidy

SHORT_CODE_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Sales:
    """`/api/2.0/sales`, and the one place that saves a sale.

    Args:
        retailer: the account.
        stock: takes what sales take.
        deduct_on: when orders that wait for pickup or dispatch take stock.
    """

    def __init__(self, retailer: Retailer, stock: Stock, deduct_on: DeductOn) -> None:
        self._retailer = retailer
        self._stock = stock
        self._deduct_on = deduct_on

    def routes(self) -> list[BaseRoute]:
        """Where sales are read, returned and fulfilled."""
        one = "/api/2.0/sales/{sale_id}"
        return [
            Route("/api/2.0/sales", self._list, methods=["GET"]),
            Route(one, self._get, methods=["GET"]),
            Route(f"{one}/actions/return", self._return, methods=["PUT"]),
            Route(f"{one}/fulfill", self._fulfill, methods=["POST"]),
            Route(f"{one}/fulfillments", self._fulfillments, methods=["GET"]),
        ]

    def fulfilled_at(self, outlets: Mapping[str, str | None]) -> None:
        """Notes by which outlet lines are fulfilled; None is the sale's."""
        known = self._retailer.line_outlets
        for line_id, outlet_id in outlets.items():
            known.pop(line_id, None)
            if outlet_id:
                known[line_id] = outlet_id

    def save(self, sale: Row) -> Row:
        """Writes a sale, then moves the stock by what has changed.

        The order matters: the sale's version comes first, so a level with a higher version
        includes the sale, and one with a lower version does not.
        """
        sale["updated_at"] = self._retailer.now()
        self._retailer.put("sales", sale)
        self._retailer.emit("sale.update", sale)
        self._stock.settle_sale(sale, takes_stock(sale["status"], self._deduct_on))
        return sale

    def next_invoice(self, register: Row) -> tuple[str, int]:
        """Takes the register's next invoice number, with its sequence."""
        sequence = register["invoice_sequence"]
        register["invoice_sequence"] = sequence + 1
        self._retailer.put("registers", register)
        prefix, suffix = register["invoice_prefix"], register["invoice_suffix"]
        return f"{prefix}{sequence}{suffix}", sequence

    def new_short_code(self) -> str:
        """Six letters for the receipt, drawn from a new id."""
        digits = self._retailer.new_id().replace("-", "")
        return "".join(SHORT_CODE_LETTERS[int(d, 16)] for d in digits[:6])

    def line(self, fields: Row) -> Row:
        """A line with both spellings of its amounts, from the amounts per unit.

        The price excludes tax. Discount and tax are per unit too.
        """
        line: Row = {
            "discount": 0,
            "loyalty_value": 0,
            "tax": 0,
            "price_set": False,
            "status": "CONFIRMED",
            "note": None,
            **fields,
        }
        line.setdefault("tax_id", self._default_tax()["id"])
        line["is_return"] = line["quantity"] < 0
        for name in ("price", "discount", "cost", "tax", "loyalty_value"):
            line[f"unit_{name}"] = line[name]
            line[f"total_{name}"] = tidy(line[name] * line["quantity"])
        for name in ("price", "discount", "cost", "tax"):
            line[f"{name}_total"] = line[f"total_{name}"]
        rates = self._retailer.get("taxes", line["tax_id"])["rates"]
        line["tax_components"] = [{"rate_id": rates[0]["id"], "total_tax": line["tax_total"]}]
        return line

    async def _list(self, request: Request) -> Response:
        rows = self._retailer.tables["sales"].values()
        return JSONResponse(page(rows, request.query_params))

    async def _get(self, request: Request) -> Response:
        return JSONResponse({"data": self._sale(request)})

    async def _return(self, request: Request) -> Response:
        """A new parked sale with everything negative; completing it returns the stock."""
        sale = self._sale(request)
        if STATUSES[sale["status"]].state not in ("pending", "closed"):
            raise refusal(422, f"a sale that is {sale['status']} cannot be returned")
        register = self._retailer.get("registers", sale["register_id"])
        number, sequence = self.next_invoice(register)
        now = self._retailer.now()
        returned: Row = {
            **sale,
            "id": self._retailer.new_id(),
            "invoice_number": number,
            "receipt_number": number,
            "invoice_sequence": sequence,
            "receipt_sequence": sequence,
            "short_code": self.new_short_code(),
            "status": "SAVED",
            "state": "parked",
            "attributes": [],
            "source": "USER",
            "source_id": None,
            "return_for": sale["id"],
            "sale_date": now,
            "created_at": now,
            "line_items": [self._reversed(line) for line in sale["line_items"]],
            "payments": [],
            "adjustments": [],
        }
        returned.pop("ecom_custom_charges", None)
        return JSONResponse({"data": self.save({**returned, **totals(returned)})})

    async def _fulfill(self, request: Request) -> Response:
        sale = self._sale(request)
        kinds = {"fulfillment_type": one_of(*FULFILLED)}
        fields = read({"fulfillment_type": None, **await json_object(request)}, kinds)
        awaiting, done = FULFILLED[fields["fulfillment_type"]]
        if sale["status"] != awaiting:
            raise refusal(422, f"only a sale that is {awaiting} can be fulfilled so")
        if paid(sale) < due(sale):
            raise refusal(422, "an unpaid sale cannot be fulfilled")
        fulfillments = [
            self._retailer.add(
                "fulfillments",
                {
                    "sale_id": sale["id"],
                    "outlet_id": outlet_id,
                    "user_id": sale["user_id"],
                    "status": fields["fulfillment_type"],
                    "created_at": self._retailer.now(),
                    "line_items": [
                        {name: line[name] for name in ("id", "product_id", "quantity")}
                        for line in lines
                    ],
                },
            )
            for outlet_id, lines in self._by_outlet(sale).items()
        ]
        self.save({**sale, "status": done, "state": STATUSES[done].state})
        return JSONResponse({"data": _fulfillment(fulfillments[0])})

    async def _fulfillments(self, request: Request) -> Response:
        sale = self._sale(request)
        rows = self._retailer.live("fulfillments")
        return JSONResponse({"data": [_fulfillment(r) for r in rows if r["sale_id"] == sale["id"]]})

    def _by_outlet(self, sale: Row) -> dict[str, list[Row]]:
        """The lines of a sale by the outlet that fulfills them; the sale's own comes first."""
        found: dict[str, list[Row]] = {sale["outlet_id"]: []}
        for line in sale["line_items"]:
            outlet_id = str(self._retailer.line_outlets.get(line["id"], sale["outlet_id"]))
            found.setdefault(outlet_id, []).append(line)
        return {outlet_id: lines for outlet_id, lines in found.items() if lines} or found

    def _sale(self, request: Request) -> Row:
        return self._retailer.get("sales", request.path_params["sale_id"])

    def _reversed(self, line: Row) -> Row:
        fields = {**line, "id": self._retailer.new_id(), "quantity": -line["quantity"]}
        return self.line({**fields, "status": "SAVED", "price_set": True})

    def _default_tax(self) -> Row:
        return next(row for row in self._retailer.live("taxes") if row["is_default"])


def totals(sale: Row) -> Row:
    """The sums of a sale: `total_price` is without tax and includes eCom charges."""
    lines = [line for line in sale["line_items"] if line["status"] != "VOIDED"]
    extra = sale.get("ecom_custom_charges", {"total": 0, "total_tax": 0})
    tax_by_rate: dict[str, float] = {}
    for line in lines:
        for part in line["tax_components"]:
            rate_id = part["rate_id"]
            tax_by_rate[rate_id] = tax_by_rate.get(rate_id, 0) + part["total_tax"]
    return {
        "total_price": _sum(lines, _price_after_discount) + extra["total"],
        "total_tax": _sum(lines, lambda line: float(line["tax_total"])) + extra["total_tax"],
        "total_loyalty": _sum(lines, lambda line: float(line["total_loyalty_value"])),
        "taxes": [{"id": rate, "amount": tidy(tax)} for rate, tax in tax_by_rate.items()],
    }


def due(sale: Row) -> float:
    """What the customer owes in all, with tax."""
    return round(float(sale["total_price"]) + float(sale["total_tax"]), 2)


def paid(sale: Row) -> float:
    """What the customer has paid."""
    return round(sum(float(payment["amount"]) for payment in sale["payments"]), 2)


def _price_after_discount(line: Row) -> float:
    # The price of a line is what is charged: its discount is already off, and kept for reports.
    return float(line["price_total"])


def _sum(lines: list[Row], amount: Callable[[Row], float]) -> int | float:
    return tidy(sum(amount(line) for line in lines))


def _fulfillment(row: Row) -> Row:
    names = ("id", "sale_id", "outlet_id", "user_id", "status", "created_at", "line_items")
    return {name: row[name] for name in names}
