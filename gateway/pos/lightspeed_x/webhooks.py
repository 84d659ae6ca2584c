"""Webhooks of X-Series: a signed form whose field `payload` is the entity, in its 0.9 shape."""

import base64
import binascii
import hashlib
import hmac
from urllib.parse import parse_qs

from gateway.pos import Event
from gateway.records import Record, parse_json
from services.chassis.errors import DomainError, invalid

SIGNATURE_HEADER = "X-Signature"
_ALGORITHM = "HMAC-SHA256"
_FIELDS_MAX = 50


def read_webhook(body: bytes, signature: str, secret: str) -> Event:
    """The event in a webhook.

    Args:
        body: the raw form.
        signature: the header `X-Signature`; empty when it is missing.
        secret: the app's client secret.

    Raises:
        DomainError: SIGNATURE_INVALID, or INVALID_FIELD naming what is malformed.
    """
    if not signature_fits(body, signature, secret):
        raise DomainError(
            "SIGNATURE_INVALID",
            f"{SIGNATURE_HEADER}: must be `signature=<hex>,algorithm={_ALGORITHM}` over the raw "
            "body, under the secret of this channel's connection",
        )
    form = _form(body)
    payload_text = form.get("payload")
    if payload_text is None:
        raise invalid("payload", "the form must have this field")
    try:
        payload = parse_json(payload_text)
    except ValueError as error:
        raise invalid("payload", f"must be JSON: {error}") from None
    if not isinstance(payload, dict):
        raise invalid("payload", "must be a JSON object")
    return Event(form.get("type") or _kind_of(payload), payload)


def signature_fits(body: bytes, header: str, secret: str) -> bool:
    """Whether the header signs this body: hex as the platform is known to send, or base64."""
    parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
    given = parts.get("signature", "").strip()
    if not given or parts.get("algorithm", _ALGORITHM).strip().upper() != _ALGORITHM:
        return False
    expected = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return any(hmac.compare_digest(expected, one) for one in _digests(given))


def _digests(given: str) -> list[bytes]:
    """What a signature may stand for; always two, so that neither spelling is faster to refuse."""
    try:
        from_hex = bytes.fromhex(given)
    except ValueError:
        from_hex = b""
    try:
        from_base64 = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        from_base64 = b""
    return [from_hex, from_base64]


def _form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError as error:  # also UnicodeDecodeError
        raise invalid("body", f"must be a form in UTF-8 (urlencoded): {error}") from None
    return {name: values[-1] for name, values in fields.items()}


def _kind_of(payload: Record) -> str:
    """The type of an event that does not say it, told by what only such an entity has."""
    if "register_sale_products" in payload:
        return "sale.update"
    if "outlet_id" in payload and "product_id" in payload:
        return "inventory.update"
    if "customer_code" in payload:
        return "customer.update"
    if "handle" in payload or "sku" in payload:
        return "product.update"
    return "unknown"
