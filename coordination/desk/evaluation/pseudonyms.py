"""Names for one export alone: made under a key that is thrown away, or kept where exports must be linked to each other.

HMAC-SHA-256 of what is named, under a key of 256 bits: without the key nobody goes back, or on to another export.
"""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from exchange.key_file import read_private, write_new

LINK_KEY = "link.key"
_DIGITS = 16
"""Characters of a pseudonym: 80 bits, so that no two of a million meet."""


class Pseudonyms:
    """The names of one export."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def patient(self, name: str) -> str:
        """Return what stands for a patient."""
        return self._made("P", name)

    def box(self, name: str) -> str:
        """Return what stands for a box."""
        return self._made("B", name)

    def alert(self, name: str) -> str:
        """Return what stands for an alert."""
        return self._made("A", name)

    def _made(self, kind: str, name: str) -> str:
        digest = hmac.new(self._key, f"{kind}\x00{name}".encode(), hashlib.sha256).digest()
        return f"{kind}-{base64.b32encode(digest).decode().lower()[:_DIGITS]}"


def fresh() -> Pseudonyms:
    """Return names that no other export has, and that nobody can go back from: the key is kept nowhere."""
    return Pseudonyms(secrets.token_bytes(32))


def linked(folder: Path) -> Pseudonyms:
    """Return the names that every linked export has, under the key that lies in a folder (made there, mode 0600).

    Raises:
        IdentityError: the key cannot be read or written.
    """
    path = folder / LINK_KEY
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(path, secrets.token_hex(32).encode())
    return Pseudonyms(bytes.fromhex(read_private(path).decode()))
