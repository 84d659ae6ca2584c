"""What an HTTP request says beside its content: who calls, under which id, for how long."""

import re
import secrets

from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from gateway.errors import HttpError
from services.chassis.errors import DomainError, invalid

CALL_ID_HEADER = "X-Request-Id"
TIMEOUT_HEADER = "X-Timeout-Ms"
MERCHANT_HEADER = "tillbridge-merchant"
CALL_ID_METADATA = "tillbridge-call-id"

TIMEOUT_DEFAULT_MS = 30_000
TIMEOUT_MAX_MS = 120_000

_CALL_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_METADATA_VALUE = re.compile(r"[\x20-\x7e]*")
_CALL_ID_KEY = "tillbridge.call_id"


def call_id_of(scope: Scope) -> str:
    """The id under which the request is logged everywhere: the caller's, if it is fit, else ours.

    It is kept in the scope, so that everybody who asks gets the same one.
    """
    known: str | None = scope.get(_CALL_ID_KEY)
    if known is None:
        given = HTTPConnection(scope).headers.get(CALL_ID_HEADER, "")
        known = given if _CALL_ID.fullmatch(given) else secrets.token_hex(16)
        scope[_CALL_ID_KEY] = known
    return known


def metadata_of(request: Request) -> tuple[tuple[str, str], ...]:
    """The call metadata that goes with the request.

    Raises:
        DomainError: there are two tokens or merchants, or one that no service could read.
    """
    metadata = [(CALL_ID_METADATA, call_id_of(request.scope))]
    tokens = request.headers.getlist("authorization")
    if len(tokens) > 1:
        raise DomainError("TOKEN_MISSING", "send exactly one Authorization header")
    if tokens and not _METADATA_VALUE.fullmatch(tokens[0]):
        raise DomainError("TOKEN_INVALID", "the Authorization header holds what no token holds")
    metadata += [("authorization", token) for token in tokens]
    merchants = request.headers.getlist(MERCHANT_HEADER)
    if len(merchants) > 1 or not all(_METADATA_VALUE.fullmatch(name) for name in merchants):
        raise invalid(MERCHANT_HEADER, "send at most one, of printable ASCII characters")
    metadata += [(MERCHANT_HEADER, merchant) for merchant in merchants]
    return tuple(metadata)


def timeout_ms_of(request: Request, default_ms: int) -> int:
    """How long the caller waits at most.

    Raises:
        HttpError: the header holds no number of milliseconds in range.
    """
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return default_ms
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 0 < int(text) <= TIMEOUT_MAX_MS:
        message = f"{TIMEOUT_HEADER}: takes milliseconds from 1 to {TIMEOUT_MAX_MS}"
        raise HttpError(400, "INVALID_FIELD", message, field=TIMEOUT_HEADER)
    return int(text)
