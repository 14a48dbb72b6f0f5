"""A secret of a few bytes as the team's database keeps it: sealed under a key that is not in the database.

AES-256-GCM (NIST SP 800-38D) with a random nonce; the key is derived from a file's secret by HKDF-SHA-256 (RFC 5869)
for one purpose, which is bound to what was sealed.

Not here: what is sealed (the desk's second factors), and the file (`exchange.key_file`).
"""

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_LENGTH = 12


class SealedSecretError(ValueError):
    """It was sealed under another key, for another purpose, or was changed."""


def _key(secret: str, purpose: str) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret.encode()))


def seal(text: str, *, secret: str, purpose: str) -> str:
    """Return a text sealed, as ASCII."""
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    sealed = _key(secret, purpose).encrypt(nonce, text.encode(), purpose.encode())
    return base64.b64encode(nonce + sealed).decode()


def unseal(sealed: str, *, secret: str, purpose: str) -> str:
    """Return the text again.

    Raises:
        SealedSecretError: it cannot be opened with this key for this purpose.
    """
    try:
        raw = base64.b64decode(sealed, validate=True)
        opened = _key(secret, purpose).decrypt(raw[:_NONCE_LENGTH], raw[_NONCE_LENGTH:], purpose.encode())
    except (binascii.Error, InvalidTag, ValueError) as error:
        raise SealedSecretError from error
    return opened.decode()
