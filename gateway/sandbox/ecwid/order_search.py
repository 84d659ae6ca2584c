"""How orders are searched."""

import json

from gateway.sandbox.ecwid.listing import (
    TIME_FILTERS,
    Filter,
    any_of,
    equals,
    flagged,
    number,
    since,
    timestamp,
    until,
)
from gateway.sandbox.values import Row


def _keywords(row: Row, text: str) -> bool:
    names = ("id", "email", "trackingNumber", "privateAdminNotes", "externalTransactionId")
    parts = [row.get(name) for name in names]
    parts += [row.get("billingPerson"), row.get("shippingPerson"), row["items"]]
    return text.lower() in json.dumps(parts, ensure_ascii=False).lower()


def _ids(row: Row, text: str) -> bool:
    wanted = {part.strip().upper() for part in text.split(",")}
    return bool(wanted & {row["id"], str(row["internalId"])})


def _product_ids(row: Row, text: str) -> bool:
    wanted = {part.strip() for part in text.split(",")}
    return bool(wanted & {str(item.get("productId")) for item in row["items"]})


def _pickup(compare: Filter) -> Filter:
    def passes(row: Row, text: str) -> bool:
        moment = row.get("pickupTime")
        return bool(moment) and compare({"pickup": timestamp(str(moment))}, text)

    return passes


FILTERS: dict[str, Filter] = {
    **TIME_FILTERS,
    "ids": _ids,
    "vendorOrderNumber": equals("id"),
    "keywords": _keywords,
    "email": lambda row, text: text.strip().lower() in row["email"].lower(),
    "customerId": equals("customerId"),
    "productId": _product_ids,
    "paymentStatus": any_of("paymentStatus"),
    "fulfillmentStatus": any_of("fulfillmentStatus"),
    "paymentMethod": equals("paymentMethod"),
    "paymentModule": equals("paymentModule"),
    "shippingMethod": lambda row, text: (
        row.get("shippingOption", {}).get("shippingMethodName") == text
    ),
    "totalFrom": lambda row, text: bool(row["total"] >= number(text)),
    "totalTo": lambda row, text: bool(row["total"] <= number(text)),
    "pickupTimeFrom": _pickup(since("pickup")),
    "pickupTimeTo": _pickup(until("pickup")),
    "acceptMarketing": flagged("acceptMarketing"),
    "containsPreorderItems": lambda row, text: (
        any(item.get("isPreorder") for item in row["items"]) is (text.lower() == "true")
    ),
    "refererId": equals("refererId"),
}
"""Search parameters of `GET /orders`."""
