"""Customer profiles: read, created, changed, deleted."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.paging import page
from gateway.sandbox.lightspeed_x.retailer import Retailer, not_found
from gateway.sandbox.simulator import created
from gateway.sandbox.values import (
    FieldError,
    Kind,
    Row,
    flag,
    json_object,
    nullable,
    number,
    read,
    text,
)

OPTIONAL_TEXTS = (
    "first_name",
    "last_name",
    "email",
    "note",
    "gender",
    "date_of_birth",
    "company_name",
    "phone",
    "mobile",
    "fax",
    "twitter",
    "website",
    *(
        f"{kind}_{part}"
        for kind in ("physical", "postal")
        for part in (
            "address_1",
            "address_2",
            "suburb",
            "city",
            "postcode",
            "state",
            "country_id",
        )
    ),
    "custom_field_1",
    "custom_field_2",
    "custom_field_3",
    "custom_field_4",
)

FIELDS: dict[str, Kind] = {
    **{name: nullable(text) for name in OPTIONAL_TEXTS},
    "customer_code": text,
    "customer_group_id": text,
    "enable_loyalty": flag,
    "do_not_email": flag,
    "on_account_limit": nullable(number),
}
"""What a client may write."""

NEW_CUSTOMER: Row = {
    **dict.fromkeys(OPTIONAL_TEXTS),
    "customer_group_id": shop.CUSTOMER_GROUP_ID,
    "enable_loyalty": False,
    "do_not_email": False,
    "on_account_limit": None,
    "year_to_date": 0,
    "balance": 0,
    "loyalty_balance": 0,
}
"""What a profile is before anything is said about it."""


class Customers:
    """`/api/2.0/customers`."""

    def __init__(self, retailer: Retailer) -> None:
        self._retailer = retailer

    def routes(self) -> list[BaseRoute]:
        """Where customers are read and written."""
        one = "/api/2.0/customers/{customer_id}"
        return [
            Route("/api/2.0/customers", self._list, methods=["GET"]),
            Route("/api/2.0/customers", self._create, methods=["POST"]),
            Route(one, self._get, methods=["GET"]),
            Route(one, self._update, methods=["PUT"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        rows = (
            row
            for row in self._retailer.tables["customers"].values()
            if not query.get("email") or _same(row["email"], query["email"])
        )
        return JSONResponse(page(rows, query))

    async def _get(self, request: Request) -> Response:
        return JSONResponse({"data": self._row(request)})

    async def _create(self, request: Request) -> Response:
        fields = read(await json_object(request), FIELDS)
        now = self._retailer.now()
        row = {**NEW_CUSTOMER, "id": self._retailer.new_id(), "created_at": now, **fields}
        row["name"] = _name(row)
        row["deleted_at"] = None
        row.setdefault("customer_code", _code(row))
        return created({"data": self._save(row)})

    async def _update(self, request: Request) -> Response:
        row = self._row(request)
        if row["deleted_at"] is not None:
            raise not_found(f"customers/{row['id']}")
        row.update(read(await json_object(request), FIELDS))
        row["name"] = _name(row)
        return JSONResponse({"data": self._save(row)})

    async def _delete(self, request: Request) -> Response:
        row = self._row(request)
        if row["deleted_at"] is None:
            self._retailer.remove("customers", row)
            self._retailer.emit("customer.update", row)
        return Response(status_code=204)

    def _row(self, request: Request) -> Row:
        return self._retailer.get("customers", request.path_params["customer_id"])

    def _save(self, row: Row) -> Row:
        rows = self._retailer.live("customers")
        codes = {other["customer_code"] for other in rows if other is not row}
        if row["customer_code"] in codes:
            raise FieldError({"customer_code": "is already taken"})
        row["updated_at"] = self._retailer.now()
        self._retailer.put("customers", row)
        self._retailer.emit("customer.update", row)
        return row


def _name(row: Row) -> str | None:
    parts = [part for part in (row["first_name"], row["last_name"]) if part]
    return " ".join(parts) or None


def _code(row: Row) -> str:
    """A code such as `Mere-4K2T`; a profile without a name gets `UNNAMED-669D`."""
    return f"{row['first_name'] or 'UNNAMED'}-{row['id'].replace('-', '')[-6:].upper()}"


def _same(email: str | None, wanted: str) -> bool:
    return (email or "").lower() == wanted.strip().lower()
