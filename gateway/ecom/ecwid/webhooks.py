"""Webhooks of Ecwid. The signature covers the event's id and time, never its body: the body is a
hint, and what it names is fetched.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

from gateway.ecom import OrderHint, OtherEvent, ProductHint
from gateway.records import Record, nested, parse_json, text
from services.chassis.errors import DomainError, invalid

SIGNATURE_HEADER = "X-Ecwid-Webhook-Signature"

AGE_S_MAX = 7 * 24 * 3600
"""The platform sends an event again for a day, always under its first time; a week leaves room for
an outage of its own, and still ends what a copied signature is good for.
"""

AHEAD_S_MAX = 300
ORDER_EVENTS = frozenset({"order.created", "order.updated"})
PRODUCT_GONE = "product.deleted"
PRODUCT_EVENTS = frozenset({"product.created", "product.updated", PRODUCT_GONE})
_ORDER_ID_LENGTH_MAX = 128
_DIGITS_MAX = 18


def read_webhook(
    body: bytes, signature: str, secret: str, store_id: str, now: datetime
) -> OrderHint | ProductHint | OtherEvent:
    """The event in a webhook.

    Args:
        body: the raw body.
        signature: the header `X-Ecwid-Webhook-Signature`; empty when it is missing.
        secret: the app's client secret.
        store_id: of the store that the channel is connected to.
        now: the present time.

    Raises:
        DomainError: SIGNATURE_INVALID, WEBHOOK_STALE, or INVALID_FIELD naming what is malformed.
    """
    event = _event(body)
    created, event_id = text(event, "eventCreated"), text(event, "eventId")
    if not created or not event_id or not signature_fits(created, event_id, signature, secret):
        raise DomainError(
            "SIGNATURE_INVALID",
            f"{SIGNATURE_HEADER}: must sign `eventCreated.eventId` under the secret of this "
            "channel's connection",
        )
    if text(event, "storeId") != store_id:
        raise DomainError(
            "SIGNATURE_INVALID", f"storeId: this channel is connected to store {store_id}"
        )
    _check_age(created, now)
    kind = text(event, "eventType")
    if kind in PRODUCT_EVENTS:
        shelf_id = text(event, "entityId")
        if not (shelf_id.isascii() and shelf_id.isdigit() and len(shelf_id) <= _DIGITS_MAX):
            raise invalid("entityId", "must be the number of the product")
        return ProductHint(event_id, shelf_id, gone=kind == PRODUCT_GONE)
    if kind not in ORDER_EVENTS:
        return OtherEvent(event_id, kind or "unknown")
    order_id = text(nested(event, "data"), "orderId")
    if not order_id or len(order_id) > _ORDER_ID_LENGTH_MAX:
        raise invalid("data.orderId", "must be the public id of the order")
    return OrderHint(event_id, order_id)


def signature_fits(created: str, event_id: str, given: str, secret: str) -> bool:
    """Whether the header signs this event."""
    try:
        found = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False
    message = f"{created}.{event_id}".encode()
    return hmac.compare_digest(found, hmac.new(secret.encode(), message, hashlib.sha256).digest())


def _event(body: bytes) -> Record:
    try:
        event = parse_json(body)
    except ValueError as error:  # also UnicodeDecodeError
        raise invalid("body", f"must be JSON in UTF-8: {error}") from None
    if not isinstance(event, dict):
        raise invalid("body", "must be a JSON object")
    return event


def _check_age(created: str, now: datetime) -> None:
    if not (created.isascii() and created.isdigit() and len(created) <= 12):
        raise invalid("eventCreated", "must be a time in unix seconds")
    age_s = now.timestamp() - int(created)
    if not -AHEAD_S_MAX <= age_s <= AGE_S_MAX:
        raise DomainError(
            "WEBHOOK_STALE",
            f"eventCreated: is {age_s:.0f} s before now; at most {AGE_S_MAX} s before and "
            f"{AHEAD_S_MAX} s after are taken. Check both clocks",
        )
