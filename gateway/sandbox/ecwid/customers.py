"""`/customers`: profiles that shoppers get with their first order, or over the API."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.ecwid.listing import TIME_FILTERS, Filter, answer, equals, listing
from gateway.sandbox.ecwid.store import Store, date_text, refusal, wrong_parameter
from gateway.sandbox.values import (
    Kind,
    Row,
    flag,
    json_object,
    list_of,
    mapping,
    nullable,
    read,
    text,
    tidy,
    whole,
)

FIELDS: dict[str, Kind] = {
    "email": text,
    "name": text,
    "externalReferenceId": nullable(text),
    "customerGroupId": whole,
    "billingPerson": mapping,
    "shippingAddresses": list_of(mapping),
    "contacts": list_of(mapping),
    "taxId": text,
    "taxExempt": flag,
    "acceptMarketing": nullable(flag),
    "lang": text,
    "privateAdminNotes": text,
    "b2b_b2c": text,
}
"""What may be written about a customer."""

NEW_CUSTOMER: Row = {
    "name": "",
    "customerGroupId": 0,
    "customerGroupName": "General",
    "billingPerson": {},
    "shippingAddresses": [],
    "contacts": [],
    "taxId": "",
    "taxIdValid": True,
    "taxExempt": False,
    "acceptMarketing": False,
    "privateAdminNotes": "",
    "b2b_b2c": "b2c",
    "favorites": [],
}
"""What a profile is before anything is said about it."""


class Customers:
    """Customers over HTTP, and for orders."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        """Paths below the store's base."""
        one = "/customers/{customer_id:int}"
        return [
            Route("/customers", self._search, methods=["GET"]),
            Route("/customers", self._create, methods=["POST"]),
            Route(one, self._get, methods=["GET"]),
            Route(one, self._update, methods=["PUT"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]

    def of_order(self, order: Row) -> Row:
        """The customer with the order's e-mail address, made if there is none."""
        found = self._by_email(order["email"])
        if found is not None:
            return found
        person = order.get("billingPerson") or order.get("shippingPerson") or {}
        return self._add({"email": order["email"], "billingPerson": person})

    async def _search(self, request: Request) -> Response:
        query = request.query_params
        filters = dict(FILTERS)
        if query.get("useExactEmailMatch", "").lower() == "true":
            filters["email"] = lambda row, text: _plain(row["email"]) == _plain(text)
        rows = list(self._store.rows("customers"))
        return listing(request, rows, filters, self._view, {"allCustomerCount": len(rows)})

    async def _create(self, request: Request) -> Response:
        fields = read(await json_object(request), FIELDS)
        if not fields.get("email"):
            raise wrong_parameter("email is required")
        self._refuse_taken(fields["email"], None)
        return JSONResponse({"id": self._add(fields)["id"]})

    async def _get(self, request: Request) -> Response:
        return answer(request, self._view(self._customer(request)))

    async def _update(self, request: Request) -> Response:
        customer = self._customer(request)
        fields = read(await json_object(request), FIELDS)
        if "email" in fields:
            self._refuse_taken(fields["email"], customer["id"])
        self._store.put("customers", {**customer, **fields})
        self._fire("customer.updated", customer["id"])
        return JSONResponse({"updateCount": 1})

    async def _delete(self, request: Request) -> Response:
        customer = self._customer(request)
        self._store.remove("customers", customer)
        data = {"customerEmail": customer["email"]}
        self._store.fire("customer.deleted", customer["id"], data)
        return JSONResponse({"deleteCount": 1})

    def _customer(self, request: Request) -> Row:
        return self._store.get("customers", request.path_params["customer_id"])

    def _add(self, fields: Row) -> Row:
        person = fields.get("billingPerson", {})
        customer: Row = {**NEW_CUSTOMER, "name": person.get("name", ""), **fields}
        customer["id"] = self._store.next_id()
        self._store.add("customers", customer)
        self._fire("customer.created", customer["id"])
        return customer

    def _by_email(self, email: str) -> Row | None:
        rows = self._store.rows("customers")
        return next((row for row in rows if _plain(row["email"]) == _plain(email)), None)

    def _refuse_taken(self, email: str, own_id: int | None) -> None:
        found = self._by_email(email)
        if found is not None and found["id"] != own_id:
            raise refusal(409, "CONSTRAINT_VIOLATION", "A customer with this email exists already")

    def _fire(self, event_type: str, customer_id: int) -> None:
        customer = self._store.get("customers", customer_id)
        self._store.fire(event_type, customer_id, {"customerEmail": customer["email"]})

    def _view(self, customer: Row) -> Row:
        """A customer as the API shows it, with the sums over its orders."""
        placed = (o for o in self._store.rows("orders") if o["paymentStatus"] != "INCOMPLETE")
        totals = [o["total"] for o in placed if o.get("customerId") == customer["id"]]
        registered, updated = customer["createTimestamp"], customer["updateTimestamp"]
        email_contact = {
            "id": customer["id"],
            "contact": customer["email"],
            "type": "EMAIL",
            "default": True,
            "orderBy": 0,
            "timestamp": date_text(registered),
        }
        return {
            **{k: v for k, v in customer.items() if not k.endswith("Timestamp")},
            "contacts": customer["contacts"] or [email_contact],
            "registered": date_text(registered),
            "updated": date_text(updated),
            "totalOrderCount": len(totals),
            "stats": {
                "numberOfOrders": len(totals),
                "salesValue": tidy(sum(totals)),
                "averageOrderValue": tidy(sum(totals) / len(totals)) if totals else 0,
            },
        }


def _plain(email: str) -> str:
    return email.strip().lower()


def _keyword(row: Row, text: str) -> bool:
    parts = [row["email"], row["name"], row["billingPerson"], row["shippingAddresses"]]
    return text.lower() in json.dumps(parts, ensure_ascii=False).lower()


FILTERS: dict[str, Filter] = {
    **TIME_FILTERS,
    "email": lambda row, text: _plain(text) in row["email"].lower(),
    "keyword": _keyword,
    "name": lambda row, text: text.lower() in row["name"].lower(),
    "externalReferenceId": equals("externalReferenceId"),
    "customerGroup": equals("customerGroupId"),
}
"""Search parameters of `GET /customers`."""
