"""Sealed notes: one small message between a team and one box, for its reader's eyes only: a command, or its answer.

A note is four parts, one after the other, with nothing between them to vary:

    header length (2 bytes, big-endian) | header
    one wrap per recipient, in the header's order: 80 bytes in version 1, 1168 in version 2
    body: nonce (12) | AES-256-GCM of: content length (4, big-endian) | zlib content | zeros
    Ed25519 signature (64) over a label and everything before it

Rules of this room:

- It is an envelope (sealing.py) without a place in a box's sequence, so it can never be taken for one: its labels and
  its header are others. Its purpose is in the header, so that an answer is no command.
- A note is read (sizes and form), then verified, then opened. A `Note` that was not verified does not open, but for
  `open_unverified`, which has one caller and says why.
- A note is exactly 1, 4, 16 or 64 KiB. Whatever can grow is bounded before it is read.

Suites: those of sealing.py: HPKE base mode with X25519 in version 1, with ML-KEM-768 and X25519 in version 2, which is
what a reader with a hybrid key is sealed to.

What is not here: what a note says (commands.py, command_answers.py), and who may say it.
"""

import hashlib
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from msgspec import Meta, Struct

from exchange.errors import UNDECODABLE, EnvelopeError
from exchange.identity import (
    SIGNATURE_LENGTH,
    KeyId,
    OpeningKey,
    Recipient,
    RecipientRole,
    SigningKey,
    fault_of,
    sealing_key,
    verify,
)
from exchange.messages import Name
from exchange.sealing import BUCKETS, MAX_MESSAGE_BYTES, MAX_RECIPIENTS

VERSION = 1
HYBRID_VERSION = 2
MAX_NOTE_CONTENT_BYTES = 1 << 18
"""What a note may unpack to."""

_LABEL = b"veilleur/v1/note\x00"
_WRAP_LABEL = b"veilleur/v1/note-wrap\x00"
_SUITES = {
    VERSION: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    HYBRID_VERSION: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
}
_MAX_HEADER_BYTES = 512
_KEY_LENGTH = 32
_WRAP_LENGTHS = {VERSION: 32 + _KEY_LENGTH + 16, HYBRID_VERSION: 1120 + _KEY_LENGTH + 16}
"""Encapsulated key, content key, tag."""
_NONCE_LENGTH = 12
_TAG_LENGTH = 16


class Purpose(StrEnum):
    """Which way a note goes."""

    COMMAND = "command"
    """From the team to a box."""
    ANSWER = "answer"
    """From a box to its team."""
    KEPT = "kept"
    """From a box to itself: what must outlive its database. It never travels."""


class NoteHeader(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, kw_only=True):
    """What a note says in clear. Encoded as a MessagePack array in this order.

    Attributes:
        v: version of the note; it fixes the suite and the layout.
        purpose: which way it goes.
        box: to whom, or from whom.
        hint: "" or "team_list": such a command may bring the very key that it is signed with.
        signer: id of the key that signed.
        recipients: ids of the keys that can open it, unique, in the order of the wraps.
    """

    v: int
    purpose: Purpose
    box: Name
    hint: Annotated[str, Meta(max_length=16)]
    signer: KeyId
    recipients: Annotated[tuple[KeyId, ...], Meta(min_length=1, max_length=MAX_RECIPIENTS)]


class _Versioned(Struct, array_like=True):
    """The one field that a header of any version begins with."""

    v: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A key that a note is sealed to: its id and its raw public key, see `identity.OpeningKey`."""

    id: str
    public: bytes

    @classmethod
    def of(cls, key: Recipient | OpeningKey) -> "Reader":
        """Return the public half of a key."""
        return cls(id=key.id, public=key.public if isinstance(key.public, bytes) else bytes.fromhex(key.public))

    def recipient(self) -> Recipient:
        """Return it as `identity` knows keys that something is sealed to."""
        return Recipient(id=self.id, public=self.public.hex(), role=RecipientRole.TEAM)


def seal_note(
    content: bytes, *, purpose: Purpose, box: str, signer: SigningKey, readers: Sequence[Reader], hint: str = ""
) -> bytes:
    """Return a note of `content`.

    Args:
        content: at most `MAX_NOTE_CONTENT_BYTES`.
        purpose: which way it goes.
        box: to whom, or from whom.
        signer: who answers for it.
        readers: 1 to 8, ids unique, all hybrid or none.
        hint: see `NoteHeader`.

    Raises:
        EnvelopeError: "oversize" when it does not fit into 64 KiB; "malformed" when an argument would be refused.
    """
    packed = zlib.compress(content)
    packed = len(packed).to_bytes(4, "big") + packed
    recipients = [reader.recipient() for reader in readers]
    if (fault := fault_of(recipients)) is not None:
        raise EnvelopeError("malformed", fault)
    version = HYBRID_VERSION if any(recipient.hybrid for recipient in recipients) else VERSION
    ids = tuple(recipient.id for recipient in recipients)
    header = msgspec.msgpack.encode(
        NoteHeader(v=version, purpose=purpose, box=box, hint=hint, signer=signer.id, recipients=ids)
    )
    _decode_header(header)
    overhead = 2 + len(header) + len(ids) * _WRAP_LENGTHS[version] + _NONCE_LENGTH + _TAG_LENGTH + SIGNATURE_LENGTH
    size = next((bucket for bucket in BUCKETS if bucket >= overhead + len(packed)), None)
    if size is None or len(content) > MAX_NOTE_CONTENT_BYTES:
        raise EnvelopeError("oversize", f"{len(content)} bytes do not fit into a note")
    key = AESGCM.generate_key(bit_length=8 * _KEY_LENGTH)
    info = _wrap_info(header)
    wraps = b"".join(_SUITES[version].encrypt(key, sealing_key(one), info=info) for one in recipients)
    nonce = os.urandom(_NONCE_LENGTH)
    body = nonce + AESGCM(key).encrypt(nonce, packed.ljust(size - overhead, b"\x00"), header)
    unsigned = len(header).to_bytes(2, "big") + header + wraps + body
    return unsigned + signer.sign(_LABEL + unsigned)


def read_note(data: bytes, *, purpose: Purpose, box: str) -> "Note":
    """Return a note whose size and form hold; nothing of it is believed yet.

    Raises:
        EnvelopeError: "oversize", "malformed", "version" or "box", looked for in this order.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise EnvelopeError("oversize", f"{len(data)} bytes")
    if len(data) not in BUCKETS:
        raise EnvelopeError("malformed", f"no note has {len(data)} bytes")
    length = int.from_bytes(data[:2], "big")
    if not 1 <= length <= _MAX_HEADER_BYTES:
        raise EnvelopeError("malformed", f"a header of {length} bytes")
    header = _decode_header(data[2 : 2 + length])
    smallest_body = _NONCE_LENGTH + 4 + _TAG_LENGTH
    if 2 + length + len(header.recipients) * _WRAP_LENGTHS[header.v] + smallest_body + SIGNATURE_LENGTH > len(data):
        raise EnvelopeError("malformed", "the parts do not fit")
    if header.purpose is not purpose:
        raise EnvelopeError("malformed", f"a note that is no {purpose}")
    if header.box != box:
        raise EnvelopeError("box", f"of {header.box}, arrived on a topic of {box}")
    return Note(header, data)


@dataclass(slots=True)
class Note:
    """A note whose form holds.

    Attributes:
        header: what it says in clear.
        data: as it travelled.
    """

    header: NoteHeader
    data: bytes = field(repr=False)
    _verified: bool = False

    def verify(self, public: bytes | None) -> None:
        """Check that the key with this raw public half signed it; None: its signer is nobody's.

        Raises:
            EnvelopeError: "signer" or "signature".
        """
        if public is None:
            raise EnvelopeError("signer", f"{self.header.signer} may sign nothing here")
        if not verify(public, _LABEL + self.data[:-SIGNATURE_LENGTH], self.data[-SIGNATURE_LENGTH:]):
            raise EnvelopeError("signature", f"not signed by {self.header.signer}")
        self._verified = True

    def open(self, keys: Sequence[OpeningKey]) -> bytes:
        """Return what a verified note says.

        Raises:
            EnvelopeError: "signature" when it was not verified; "recipient", "decrypt" or "content".
        """
        if not self._verified:
            raise EnvelopeError("signature", "not verified yet")
        return self.open_unverified(keys)

    def open_unverified(self, keys: Sequence[OpeningKey]) -> bytes:
        """Return what a note says before anybody knows who says it: only to find its signer in it.

        A box that was away while the team's keys were replaced is told so in a note of a key that it cannot know.

        Raises:
            EnvelopeError: "recipient", "decrypt" or "content".
        """
        length = int.from_bytes(self.data[:2], "big")
        header = self.data[2 : 2 + length]
        ours = {key.id: key for key in keys}
        index, key = next(
            ((index, ours[name]) for index, name in enumerate(self.header.recipients) if name in ours), (0, None)
        )
        if key is None:
            raise EnvelopeError("recipient", "sealed to none of our keys")
        wraps, each = 2 + length, _WRAP_LENGTHS[self.header.v]
        wrap = self.data[wraps + index * each : wraps + (index + 1) * each]
        body = self.data[wraps + len(self.header.recipients) * each : -SIGNATURE_LENGTH]
        if key.hybrid is not (self.header.v == HYBRID_VERSION):
            raise EnvelopeError("decrypt", f"the key {key.id} is of another kind")
        try:
            content_key = _SUITES[self.header.v].decrypt(wrap, key.private, info=_wrap_info(header))
            packed = AESGCM(content_key).decrypt(body[:_NONCE_LENGTH], body[_NONCE_LENGTH:], header)
        except (InvalidTag, ValueError) as error:
            raise EnvelopeError("decrypt", f"the key {key.id} does not open it") from error
        return _unpack(packed)


def _wrap_info(header: bytes) -> bytes:
    return _WRAP_LABEL + hashlib.sha256(header).digest()


def _decode_header(raw: bytes) -> NoteHeader:
    try:
        version = msgspec.msgpack.decode(raw, type=_Versioned).v
        if version not in _SUITES:
            raise EnvelopeError("version", f"note version {version} is not known")
        header = msgspec.msgpack.decode(raw, type=NoteHeader)
    except UNDECODABLE as error:
        raise EnvelopeError("malformed", str(error)) from error
    if len(set(header.recipients)) != len(header.recipients):
        raise EnvelopeError("malformed", "a recipient is named twice")
    return header


def _unpack(packed: bytes) -> bytes:
    end = 4 + int.from_bytes(packed[:4], "big")
    if len(packed) < 4 or end > len(packed) or any(packed[end:]):
        raise EnvelopeError("content", "the padding is not what was sealed")
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(packed[4:end], MAX_NOTE_CONTENT_BYTES + 1)
    except zlib.error as error:
        raise EnvelopeError("content", "not zlib") from error
    if len(content) > MAX_NOTE_CONTENT_BYTES:
        raise EnvelopeError("content", f"unpacks to more than {MAX_NOTE_CONTENT_BYTES} bytes")
    if not inflate.eof or inflate.unused_data:
        raise EnvelopeError("content", "not one whole zlib stream")
    return content
