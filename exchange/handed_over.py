"""Envelopes of before, handed over under the box's present key.

A box that was given a new signing key still holds what it sealed under the one before, and an envelope cannot be
signed anew: its signer is part of what its body is bound to. So the box signs around it:

    ff ff | id of the present key (8 bytes) | the envelope, unchanged | Ed25519 signature (64) over a label and all that

No envelope begins with ff ff, which would be the length of its header.

- A key that was replaced is worth nothing alone, so that whoever finds it can say nothing more in the box's name,
  however he dates it. What the box says of its own time decides nothing here: its clock may have been wrong.
- The outer signature is verified before anything inside is looked at. The inner one is verified by whoever opens.

Not here: which key was a box's when (the caller's `signer_of`).
"""

from collections.abc import Callable
from typing import Final

from exchange.errors import EnvelopeError
from exchange.identity import KEY_ID_LENGTH, SIGNATURE_LENGTH, SigningKey, verify
from exchange.sealing import BUCKETS, MAX_MESSAGE_BYTES

_MARK: Final = b"\xff\xff"
_LABEL: Final = b"veilleur/v1/handed-over\x00"
_HEAD: Final = len(_MARK) + KEY_ID_LENGTH // 2
OVERHEAD: Final = _HEAD + SIGNATURE_LENGTH
"""Bytes that handing over adds."""


def hand_over(envelope: bytes, key: SigningKey) -> bytes:
    """Return an envelope of before as it leaves under the box's present key."""
    unsigned = _MARK + bytes.fromhex(key.id) + envelope
    return unsigned + key.sign(_LABEL + unsigned)


def is_handed_over(data: bytes) -> bool:
    """Return whether a message says that it is an envelope handed over."""
    return data.startswith(_MARK)


def taken_over(data: bytes, *, box: str, signer_of: Callable[[str, str], bytes | None]) -> bytes:
    """Return the envelope inside what arrived on a topic of `box`; it is still to be opened.

    Args:
        data: what arrived.
        box: its id.
        signer_of: (box, signer id) -> raw public key, or None unless it is the box's present one.

    Raises:
        EnvelopeError: "oversize", "malformed", "signer" or "signature", looked for in this order.
    """
    if len(data) > MAX_MESSAGE_BYTES + OVERHEAD:
        raise EnvelopeError("oversize", f"{len(data)} bytes")
    if not is_handed_over(data) or len(data) - OVERHEAD not in BUCKETS:
        raise EnvelopeError("malformed", f"{len(data)} bytes are no envelope handed over")
    signer = data[len(_MARK) : _HEAD].hex()
    public = signer_of(box, signer)
    if public is None:
        raise EnvelopeError("signer", f"{box} has no valid signing key {signer}")
    if not verify(public, _LABEL + data[:-SIGNATURE_LENGTH], data[-SIGNATURE_LENGTH:]):
        raise EnvelopeError("signature", f"not signed by {signer}")
    return data[_HEAD:-SIGNATURE_LENGTH]
