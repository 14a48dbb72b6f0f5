"""Keys that are always the same, so that bytes that did it do it again."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from exchange.identity import OpeningKey, SigningKey


def _signing(number: int) -> SigningKey:
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(number, number + 32))))


SIGNING = _signing(0)
"""Of the box, of the team's programs and of its root, in the case where each speaks."""
PRESENT = _signing(2)
"""Of a box whose key of before was SIGNING."""
OPENING = OpeningKey(X25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
NURSE, PHYSICIAN, OPERATOR = _signing(40), _signing(80), _signing(120)
