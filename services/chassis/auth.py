"""Who calls: bearer tokens with a merchant and roles."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from services.chassis.errors import DomainError
from tillbridge.options.v1 import options_pb2

AUDIENCE = "tillbridge"
MERCHANT_KEY = "tillbridge-merchant"
SERVICE = options_pb2.ROLE_SERVICE
_ROLES = {
    name.removeprefix("ROLE_").lower(): number
    for name, number in options_pb2.Role.items()
    if number
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and for which merchant; an empty merchant is a service that named none."""

    subject: str
    merchant: str
    roles: frozenset[int]


@dataclass(slots=True)
class Tokens:
    """Issues and checks tokens under one key.

    A token that was checked is remembered until it expires, up to a limit, since checking one costs
    as much as the rest of a small call.
    """

    key: str
    _known: dict[str, tuple[float, Caller]] = field(default_factory=dict)

    def issue(self, subject: str, merchant: str, roles: Iterable[str], ttl: timedelta) -> str:
        """A token for `subject`, such as a till, valid for `ttl`. `roles` are lower-case names."""
        numbers = sorted(roles)
        unknown = [role for role in numbers if role not in _ROLES]
        if unknown:
            raise ValueError(f"unknown roles {unknown}; known are {sorted(_ROLES)}")
        claims = {
            "sub": subject,
            "merchant": merchant,
            "roles": numbers,
            "aud": AUDIENCE,
            "exp": datetime.now(UTC) + ttl,
        }
        return jwt.encode(claims, self.key, algorithm="HS256")

    def check(self, metadata: Sequence[tuple[str, str | bytes]]) -> Caller:
        """The caller of a call with this metadata.

        Raises:
            DomainError: TOKEN_MISSING, TOKEN_INVALID, or ROLE_NOT_ALLOWED where another merchant is
                named by a token that is no service's.
        """
        headers = [str(value) for name, value in metadata if name == "authorization"]
        named = [str(value) for name, value in metadata if name == MERCHANT_KEY]
        if len(headers) != 1:
            raise DomainError(
                "TOKEN_MISSING",
                f"expected one `authorization: Bearer <token>` header, got {len(headers)}",
            )
        caller = self._caller(headers[0])
        if not named:
            return caller
        if SERVICE not in caller.roles or len(named) != 1:
            raise DomainError(
                "ROLE_NOT_ALLOWED",
                f"only one `{MERCHANT_KEY}`, and only with role service",
                roles="service",
            )
        return Caller(caller.subject, named[0], caller.roles)

    def _caller(self, header: str) -> Caller:
        now = datetime.now(UTC).timestamp()
        known = self._known.get(header)
        if known and known[0] > now:
            return known[1]
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise DomainError("TOKEN_MISSING", "expected `authorization: Bearer <token>`")
        try:
            claims = jwt.decode(
                token,
                self.key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                options={"require": ["sub", "exp", "aud"]},
            )
            roles = frozenset(_ROLES[role] for role in claims["roles"])
            caller = Caller(str(claims["sub"]), str(claims["merchant"]), roles)
        except (jwt.InvalidTokenError, KeyError, TypeError) as error:
            raise DomainError("TOKEN_INVALID", f"the token does not hold: {error}") from error
        if not caller.merchant and SERVICE not in roles:
            raise DomainError("TOKEN_INVALID", "the token names no merchant")
        if len(self._known) >= 10_000:
            self._known.clear()
        self._known[header] = (float(claims["exp"]), caller)
        return caller


def write_key(path: Path) -> None:
    """Writes a new random signing key, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(secrets.token_urlsafe(48) + "\n")
