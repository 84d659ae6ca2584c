"""Webhook subscriptions, and what the platform posts to them."""

import hashlib
import hmac
import json
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.paging import envelope
from gateway.sandbox.lightspeed_x.retailer import Retailer, not_found, refusal
from gateway.sandbox.simulator import created
from gateway.sandbox.values import FieldError, Kind, Row, flag, json_object, one_of, read
from gateway.sandbox.webhooks import Message

TYPES = (
    "sale.update",
    "product.update",
    "customer.update",
    "inventory.update",
    "register_closure.create",
    "consignment.send",
    "consignment.receive",
)


def http_url(value: object) -> str:
    """A field kind: an http or https URL. The platform insists on https; a sandbox cannot."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError("must be an http(s) URL")
    return value


FIELDS: dict[str, Kind] = {"active": flag, "type": one_of(*TYPES), "url": http_url}


class Subscriptions:
    """`/api/2.0/webhooks`, and messages for those who subscribed.

    Args:
        retailer: the account.
        secret: the app's client secret, which signs every message.
    """

    def __init__(self, retailer: Retailer, secret: str) -> None:
        self._retailer = retailer
        self._secret = secret

    def routes(self) -> list[BaseRoute]:
        """Where webhooks are managed."""
        one = "/api/2.0/webhooks/{webhook_id}"
        return [
            Route("/api/2.0/webhooks", self._list, methods=["GET"]),
            Route("/api/2.0/webhooks", self._create, methods=["POST"]),
            Route(one, self._get, methods=["GET"]),
            Route(one, self._update, methods=["PUT"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]

    def subscribers(self, event_type: str) -> list[Row]:
        """The active webhooks for this type of event."""
        rows = self._retailer.live("webhooks")
        return [row for row in rows if row["active"] and row["type"] == event_type]

    def message(self, webhook: Row, payload: Row) -> Message:
        """A signed message: a form whose `payload` field is the entity in its 0.9 shape."""
        body = urlencode(
            {
                "payload": json.dumps(payload),
                "domain_prefix": shop.DOMAIN_PREFIX,
                "environment": "prod",
                "retailer_id": shop.RETAILER_ID,
                "type": webhook["type"],
            }
        )
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Signature": signature(self._secret, body.encode()),
        }
        return Message(webhook["type"], webhook["url"], body, headers)

    async def _list(self, _: Request) -> Response:
        return JSONResponse(envelope([_view(row) for row in self._retailer.live("webhooks")]))

    async def _create(self, request: Request) -> Response:
        fields = read(await json_object(request), FIELDS)
        missing = [name for name in ("type", "url") if name not in fields]
        if missing:
            raise FieldError(dict.fromkeys(missing, "is required"))
        self._refuse_duplicate(fields)
        owner = {"retailer_id": shop.RETAILER_ID, "user_id": shop.USER_ID}
        row = self._retailer.add("webhooks", {"active": True, **fields, **owner})
        return created({"data": _view(row)})

    async def _get(self, request: Request) -> Response:
        return JSONResponse({"data": _view(self._row(request))})

    async def _update(self, request: Request) -> Response:
        row = self._row(request)
        changed = {**row, **read(await json_object(request), FIELDS)}
        self._refuse_duplicate(changed)
        return JSONResponse({"data": _view(self._retailer.put("webhooks", changed))})

    async def _delete(self, request: Request) -> Response:
        self._retailer.remove("webhooks", self._row(request))
        return Response(status_code=204)

    def _row(self, request: Request) -> Row:
        row = self._retailer.get("webhooks", request.path_params["webhook_id"])
        if row["deleted_at"] is not None:
            raise not_found(f"webhooks/{row['id']}")
        return row

    def _refuse_duplicate(self, fields: Row) -> None:
        for row in self._retailer.live("webhooks"):
            same = (row["type"], row["url"]) == (fields["type"], fields["url"])
            if same and row["id"] != fields.get("id"):
                raise refusal(409, "a webhook of this type and URL exists already")


def signature(secret: str, body: bytes) -> str:
    """The value of `X-Signature`: the hex HMAC-SHA256 of the raw form body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return f"signature={digest},algorithm=HMAC-SHA256"


def _view(row: Row) -> Row:
    names = ("id", "retailer_id", "user_id", "active", "type", "url", "version")
    return {name: row[name] for name in names}
