"""The store's webhooks: one URL per app, a signature over the event's head, never its body."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx

from gateway.sandbox.values import Row
from gateway.sandbox.webhooks import Message

ACCEPTED = frozenset({200, 201, 202, 204, 209})
"""The only statuses that count as received; every other 2xx and 3xx is a failure."""


def event_message(
    *,
    url: str,
    secret: str,
    store_id: int,
    event_type: str,
    entity_id: Any,
    data: Row | None,
    created: int,
    new_id: Callable[[], str],
) -> Message:
    """A signed event.

    Args:
        url: the app's webhook URL; the event type is added to its query.
        secret: the app's client secret.
        store_id: the store's number.
        event_type: such as `order.created`.
        entity_id: of the entity; for orders the internal number.
        data: what the event says beyond that; None where this type says nothing.
        created: when it happened, unix seconds.
        new_id: makes the event id, by which receivers tell copies apart.
    """
    event_id = new_id()
    body: Row = {
        "eventId": event_id,
        "eventCreated": created,
        "storeId": store_id,
        "entityId": entity_id,
        "eventType": event_type,
    }
    if data is not None:
        body["data"] = data
    target = httpx.URL(url).copy_merge_params({"eventtype": event_type})
    headers = {
        "Content-Type": "application/json;charset=UTF-8",
        "X-Ecwid-Webhook-Signature": signature(secret, created, event_id),
    }
    return Message(event_type, str(target), json.dumps(body), headers)


def signature(secret: str, created: int, event_id: str) -> str:
    """The base64 HMAC-SHA256 of `{eventCreated}.{eventId}` under the client secret."""
    digest = hmac.new(secret.encode(), f"{created}.{event_id}".encode(), hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()
