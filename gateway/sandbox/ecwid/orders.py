"""`/orders`: placed by shoppers (or over the API), changed, listed."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.ecwid.customers import Customers
from gateway.sandbox.ecwid.listing import answer, listing, timestamp
from gateway.sandbox.ecwid.order_fields import FIELDS, NEW_ORDER
from gateway.sandbox.ecwid.order_search import FILTERS
from gateway.sandbox.ecwid.order_stock import settle_order, stock_of
from gateway.sandbox.ecwid.store import Store, date_text, not_found, wrong_parameter
from gateway.sandbox.values import Row, json_object, read

ID_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""What public order ids are made of; nothing that could be read as something else."""


class Orders:
    """Orders over HTTP; the public text id names them, never the internal number."""

    def __init__(self, store: Store, customers: Customers) -> None:
        self._store = store
        self._customers = customers

    def routes(self) -> list[BaseRoute]:
        """Paths below the store's base."""
        return [
            Route("/orders", self._search, methods=["GET"]),
            Route("/orders", self._create, methods=["POST"]),
            Route("/orders/last", self._last, methods=["GET"]),
            Route("/orders/{order_id}", self._get, methods=["GET"]),
            Route("/orders/{order_id}", self._update, methods=["PUT"]),
            Route("/orders/{order_id}", self._delete, methods=["DELETE"]),
        ]

    def view(self, order: Row) -> Row:
        """An order as the API shows it."""
        return {
            **order,
            "orderNumber": order["internalId"],
            "vendorOrderNumber": order["id"],
            "publicUid": order["id"],
            "createDate": date_text(order["createTimestamp"]),
            "updateDate": date_text(order["updateTimestamp"]),
        }

    async def _search(self, request: Request) -> Response:
        rows = reversed(list(self._store.rows("orders")))
        return listing(request, rows, FILTERS, self.view)

    async def _create(self, request: Request) -> Response:
        body = await json_object(request)
        missing = [name for name in ("subtotal", "total", "email") if body.get(name) is None]
        if missing:
            raise wrong_parameter(f"{missing[0]} is required")
        fields = read(body, FIELDS)
        internal_id = self._store.next_id()
        order: Row = {**NEW_ORDER, "id": self._public_id(internal_id), "internalId": internal_id}
        if "createDate" in fields:
            order["createTimestamp"] = timestamp(fields.pop("createDate"))
        self._apply(order, fields)
        if "customerId" not in order and order["paymentStatus"] != "INCOMPLETE":
            order["customerId"] = self._customers.of_order(order)["id"]
        self._store.add("orders", order)
        settle_order(self._store, order)
        self._fire(order, None)
        return JSONResponse({"id": internal_id, "orderid": order["id"]})

    async def _last(self, request: Request) -> Response:
        rows = list(self._store.rows("orders"))
        if not rows:
            raise not_found("orders")
        return answer(request, self.view(rows[-1]))

    async def _get(self, request: Request) -> Response:
        return answer(request, self.view(self._order(request)))

    async def _update(self, request: Request) -> Response:
        known = self._order(request)
        fields = read(await json_object(request), FIELDS)
        fields.pop("createDate", None)
        order = {**known}
        self._apply(order, fields)
        self._store.put("orders", order)
        settle_order(self._store, order)
        self._fire(order, known)
        return JSONResponse({"updateCount": 1})

    async def _delete(self, request: Request) -> Response:
        """Deletes an order. Its stock stays taken: only canceling gives it back."""
        order = self._order(request)
        self._store.remove("orders", order)
        self._store.fire("order.deleted", order["internalId"], {"orderId": order["id"]})
        return JSONResponse({"deleteCount": 1})

    def _order(self, request: Request) -> Row:
        return self._store.get("orders", request.path_params["order_id"])

    def _apply(self, order: Row, fields: Row) -> None:
        items = fields.pop("items", None)
        for name, value in fields.items():
            if value is None:
                order.pop(name, None)
            else:
                order[name] = value
        if items is not None:
            order["items"] = [self._item(item) for item in items]

    def _item(self, fields: Row) -> Row:
        """An item, with what the store knows about its product filled in."""
        product = self._store.find("products", fields.get("productId", 0)) or {}
        if "combinationId" not in fields and product:
            fields = {**fields, **_chosen(product, fields.get("selectedOptions", []))}
        sold = stock_of(self._store, fields) or {}
        known: Row = {
            "sku": sold.get("sku", product.get("sku", "")),
            "name": product.get("name", ""),
            "price": sold.get("price", product.get("price", 0)),
            "isShippingRequired": product.get("isShippingRequired", True),
            "weight": sold.get("weight", product.get("weight", 0)),
        }
        for link in (sold.get("externalReferenceId"), product.get("externalReferenceId")):
            if link and "externalReferenceId" not in known:
                known["externalReferenceId"] = link
        item = {"quantity": 1, "tax": 0, "taxes": [], "isPreorder": False, **known, **fields}
        item.setdefault("id", self._store.next_id())
        item.setdefault("productPrice", item["price"])
        item["trackQuantity"] = bool(sold) and not sold["unlimited"]
        item["quantityInStock"] = sold.get("quantity", 0)
        if item["quantity"] < 1:
            raise wrong_parameter("items: quantity must be 1 or more")
        return item

    def _fire(self, order: Row, before: Row | None) -> None:
        """Fires what happened: an unfinished order becomes an order when it is placed."""
        internal_id, order_id = order["internalId"], order["id"]
        if order["paymentStatus"] == "INCOMPLETE":
            verb = "updated" if before else "created"
            data = {"orderId": order_id, "cartId": f"cart-{internal_id}"}
            self._store.fire(f"unfinished_order.{verb}", internal_id, data)
            return
        new: Row = {
            "newPaymentStatus": order["paymentStatus"],
            "newFulfillmentStatus": order["fulfillmentStatus"],
        }
        if before is None or before["paymentStatus"] == "INCOMPLETE":
            self._store.fire("order.created", internal_id, {"orderId": order_id, **new})
            return
        old: Row = {
            "oldPaymentStatus": before["paymentStatus"],
            "oldFulfillmentStatus": before["fulfillmentStatus"],
        }
        self._store.fire("order.updated", internal_id, {"orderId": order_id, **old, **new})

    def _public_id(self, internal_id: int) -> str:
        """Five letters and digits that look drawn by lot, and are not taken."""
        # An odd factor makes this a permutation of 2**25, the number of five-letter ids.
        shuffled = internal_id * 9_301_333 % 2**25
        letters = (ID_LETTERS[shuffled >> 5 * place & 31] for place in range(5))
        order_id = "".join(letters)
        return (
            self._public_id(internal_id + 1) if self._store.find("orders", order_id) else order_id
        )


def _chosen(product: Row, selected: list[Row]) -> Row:
    """The combination that the selected options name, as `{"combinationId": id}` or nothing."""
    wanted = {(option.get("name"), option.get("value")) for option in selected}
    for combination in product["combinations"]:
        if {(option["name"], option["value"]) for option in combination["options"]} <= wanted:
            return {"combinationId": combination["id"]}
    return {}
