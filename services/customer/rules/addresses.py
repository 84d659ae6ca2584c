"""Which e-mail addresses are the same (CUS-01)."""

import unicodedata

import idna

from services.chassis.errors import DomainError, invalid


def email_key(email: str) -> str:
    """What all spellings of one address have in common (CUS-01).

    Case, surrounding space and Unicode form do not matter, nor whether a domain is written in its
    own letters or as `xn--...` (UTS-46). Nothing is guessed: `a+b@c` is not `a@c`, `a.b@c` is not
    `ab@c`.

    Raises:
        DomainError: INVALID_FIELD; it is no address.
    """
    local, _, domain = unicodedata.normalize("NFC", email.strip()).partition("@")
    if not local.strip() or not domain.strip() or "@" in domain:
        raise invalid("email", "must hold one @ with something on both sides")
    return f"{unicodedata.normalize('NFC', local.casefold())}@{_ascii_domain(domain)}"


def key_if_any(email: str) -> str:
    """As `email_key`; empty for what is no address, such as the `-` that people type."""
    try:
        return email_key(email)
    except DomainError:
        return ""


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:  # not a domain that could exist; it is still equal to itself
        return unicodedata.normalize("NFC", domain.casefold())
