"""Page tokens: where the next page begins, bound to the filters that it was given out for."""

import base64
import hashlib
import json
from typing import Any

from google.protobuf.message import Message

from services.chassis.errors import DomainError

SIZE_DEFAULT = 100


def page_size(request: Any) -> int:
    """How many rows a page of this list request has."""
    return int(request.page_size) or SIZE_DEFAULT


def token_after(request: Message, *key: str | int) -> str:
    """The token of the page that begins behind the row with this key."""
    text = json.dumps([_digest(request), *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def key_before(request: Any, *kinds: type[str | int]) -> tuple[Any, ...] | None:
    """The key behind which the requested page begins; None for the first page.

    Args:
        request: of a list.
        kinds: what the parts of a key are; a token is only text, and anybody can make one up.

    Raises:
        DomainError: INVALID_PAGE_TOKEN.
    """
    if not request.page_token:
        return None
    token = str(request.page_token)
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        digest, *key = json.loads(text)
    except (TypeError, ValueError):  # no base64, no JSON, or no list
        digest, key = None, []
    fits = [type(part) for part in key] == list(kinds) and all(map(_storable, key))
    if digest != _digest(request) or not fits:
        raise DomainError(
            "INVALID_PAGE_TOKEN",
            "page_token: use a next_page_token of the same method and filters, unchanged",
            field="page_token",
        )
    return tuple(key)


def _storable(part: str | int) -> bool:
    """Whether a database can compare with it."""
    if isinstance(part, int):
        return abs(part) < 2**63
    return "\x00" not in part and not any("\ud800" <= letter <= "\udfff" for letter in part)


def _digest(request: Message) -> str:
    """Of the method and its filters; the size of pages may change between them."""
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_token")
    filters.ClearField("page_size")
    body = filters.SerializeToString(deterministic=True)
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.blake2b(name + body, digest_size=6).hexdigest()
