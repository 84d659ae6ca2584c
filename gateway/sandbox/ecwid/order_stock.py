"""What orders take from the store's stock, and give back."""

from collections import Counter

from gateway.sandbox.ecwid.item_stock import change_stock
from gateway.sandbox.ecwid.store import Store
from gateway.sandbox.values import Row

HOLDS_NOTHING = ("CANCELLED", "INCOMPLETE")
"""Payment statuses of orders that take no stock; canceling gives it back, a refund does not."""

Key = tuple[int, int]
"""Product id and combination id; 0 for no combination."""


def settle_order(store: Store, order: Row) -> None:
    """Makes the stock reflect an order exactly once, however often it is written.

    What the order held before is compared with what it holds now; only the difference moves.
    Items that name no product of the store, and products of unlimited stock, move nothing.
    """
    before = Counter(
        {
            (held["productId"], held["combinationId"]): held["units"]
            for held in store.order_stock.get(order["id"], [])
        }
    )
    after = _held(order)
    location_id = order.get("shippingOption", {}).get("locationId")
    touched: set[int] = set()
    for key in before.keys() | after.keys():
        delta = before[key] - after[key]
        if delta and _move(store, key, delta, location_id):
            touched.add(key[0])
    store.order_stock[order["id"]] = [
        {"productId": product, "combinationId": combination, "units": units}
        for (product, combination), units in after.items()
    ]
    for product_id in sorted(touched):
        store.put("products", store.get("products", product_id))
        store.fire("product.updated", product_id)


def stock_of(store: Store, item: Row) -> Row | None:
    """The product or combination that an order item is about; None if it is not in the store."""
    return _sellable(store, (item.get("productId", 0), item.get("combinationId", 0)))


def _held(order: Row) -> Counter[Key]:
    held: Counter[Key] = Counter()
    if order["paymentStatus"] not in HOLDS_NOTHING:
        for item in order["items"]:
            key = (item.get("productId", 0), item.get("combinationId", 0))
            held[key] += item["quantity"]
    return held


def _move(store: Store, key: Key, delta: int, location_id: str | None) -> bool:
    item = _sellable(store, key)
    return item is not None and change_stock(item, delta, location_id)


def _sellable(store: Store, key: Key) -> Row | None:
    product_id, combination_id = key
    product = store.find("products", product_id)
    if product is None or not combination_id:
        return product
    return next((c for c in product["combinations"] if c["id"] == combination_id), None)
