"""Secrets at rest: sealed under a key that is derived from the installation's token key."""

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Sealer:
    """Seals text so that only this installation can open it."""

    def __init__(self, signing_key: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"tillbridge secrets at rest")
        self._fernet = Fernet(base64.urlsafe_b64encode(derived.derive(signing_key.encode())))

    def seal(self, text: str) -> bytes:
        """The text, encrypted and authenticated."""
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """The text that was sealed.

        Raises:
            cryptography.fernet.InvalidToken: it was sealed under another key, or altered.
        """
        return self._fernet.decrypt(sealed).decode()
