"""Sealed messages between a box and its team: seal, open, and the two signed notes (receipt, status).

An envelope is four parts, one after the other, with nothing between them to vary:

    header length (2 bytes, big-endian) | header
    one wrap per recipient, in the header's order: 80 bytes in version 1, 1168 in version 2
    body: nonce (12) | AES-256-GCM of: content length (4, big-endian) | zlib content | zeros
    Ed25519 signature (64) over a label and everything before it

Rules of this room:

- The header is in clear and says no more than the broker already knows. It is bound to the body (as AAD), to each
  wrap (its SHA-256 in HPKE's info, since base mode here takes no AAD) and to the sender (by the signature), and it
  is always checked over the bytes received, never over an encoding made again.
- Nothing is decrypted, unpacked or believed before the signature of a known signer has been verified.
- A content key serves one envelope. An envelope is exactly 1, 4, 16 or 64 KiB, so that its size tells little.
- Whatever can grow is bounded before it is read.

Suite: HPKE base mode, HKDF-SHA256, AES-256-GCM (RFC 9180); its KEM is DHKEM(X25519, HKDF-SHA256) in version 1, and
MLKEM768-X25519 (draft-ietf-hpke-pq) in version 2, which is what a team with hybrid keys is sealed to. One classic
recipient would undo what the others gain, so that they are never mixed.

What is not here: which signer belongs to which box and until when (the caller's `signer_of`), and whether a record
was seen before (the inbox's ranges).
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from msgspec import Meta, Struct

from exchange.errors import UNDECODABLE, EnvelopeError, ReceiptError
from exchange.identity import (
    KEY_ID_LENGTH,
    SIGNATURE_LENGTH,
    KeyId,
    OpeningKey,
    Recipient,
    SealingKey,
    SigningKey,
    fault_of,
    sealing_key,
    verify,
)
from exchange.messages import MAX_RECORDS, SCHEMA, Milliseconds, Name, Record, Status
from exchange.packing import pack, unpack
from exchange.receipts import Receipt

VERSION = 1
HYBRID_VERSION = 2
CONTENT_TYPE = "records"

LANE_ALERTS = 0
LANE_SPARSE = 1
LANE_DENSE = 2

BUCKETS = (1024, 4096, 16384, 65536)
"""Sizes in bytes that an envelope can have."""
MAX_MESSAGE_BYTES = BUCKETS[-1]
MAX_RECIPIENTS = 8

_ENVELOPE_LABEL = b"veilleur/v1/envelope\x00"
_WRAP_LABEL = b"veilleur/v1/wrap\x00"
_RECEIPT_LABEL = b"veilleur/v1/receipt\x00"
_STATUS_LABEL = b"veilleur/v1/status\x00"

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HYBRID_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MAX_HEADER_BYTES = 512
_CONTENT_KEY_LENGTH = 32
_WRAP_LENGTH = 32 + _CONTENT_KEY_LENGTH + 16  # encapsulated key, content key, tag
_HYBRID_WRAP_LENGTH = 1120 + _CONTENT_KEY_LENGTH + 16  # ML-KEM-768 ciphertext (1088) and X25519 key, content key, tag
_NONCE_LENGTH = 12
_TAG_LENGTH = 16
_STATES = frozenset({"online", "offline"})


class Header(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, kw_only=True):
    """What an envelope says in clear. Encoded as a MessagePack array in this order, integers in their shortest form.

    Attributes:
        v: version of the envelope; it fixes the suite and the layout.
        box: who sealed it.
        epoch: of the box's database, 32 hexadecimal digits.
        first: sequence number of the first record.
        last: of the last record, included.
        lane: 0 alerts, 1 sparse readings, 2 dense streams.
        created: ms UTC by the box's clock.
        signer: id of the key that signed.
        recipients: ids of the keys that can open it, unique, in the order of the wraps.
        content_type: "records".
        schema: `messages.SCHEMA` of the content.
    """

    v: int
    box: Name
    epoch: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    first: Annotated[int, Meta(ge=0, le=2**53)]
    last: Annotated[int, Meta(ge=0, le=2**53)]
    lane: Annotated[int, Meta(ge=LANE_ALERTS, le=LANE_DENSE)]
    created: Milliseconds
    signer: KeyId
    recipients: Annotated[tuple[KeyId, ...], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    content_type: Name
    schema: Annotated[int, Meta(ge=1)]


class _Versioned(Struct, array_like=True):
    """The one field that a header of any version begins with."""

    v: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An envelope that was verified and decrypted; `records[i]` has sequence number `header.first + i`."""

    header: Header
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipients:
    """To whom to seal, at one moment."""

    version: int
    ids: tuple[str, ...]
    keys: tuple[SealingKey, ...]

    @classmethod
    def of(cls, recipients: Sequence[Recipient]) -> "_Recipients":
        ids = tuple(recipient.id for recipient in recipients)
        if not 1 <= len(set(ids)) == len(ids) <= MAX_RECIPIENTS:
            raise ValueError(f"an envelope needs 1 to {MAX_RECIPIENTS} different recipients")
        if (fault := fault_of(recipients)) is not None:
            raise ValueError(fault)
        version = HYBRID_VERSION if recipients[0].hybrid else VERSION
        return cls(version=version, ids=ids, keys=tuple(sealing_key(recipient) for recipient in recipients))


class Sealer:
    """Seals one box's records to its recipients. Safe to call from several threads.

    Raises:
        ValueError: no recipient, more than 8, one twice, hybrid and classic ones, or one to whom nothing can be sealed.
    """

    def __init__(self, *, box: str, signing_key: SigningKey, recipients: Sequence[Recipient]) -> None:
        self._box = box
        self._signing_key = signing_key
        self._to = _Recipients.of(recipients)

    def use(self, recipients: Sequence[Recipient]) -> None:
        """Seal to these from the next envelope on.

        Raises:
            ValueError: as for a new sealer; the earlier recipients stay.
        """
        self._to = _Recipients.of(recipients)

    def seal(self, *, epoch: str, first: int, lane: int, created: int, records: Sequence[Record]) -> bytes:
        """Return the envelope of `records`, which take the sequence numbers from `first` on, in order.

        Args:
            epoch: 32 hexadecimal digits.
            first: sequence number of the first record.
            lane: `LANE_ALERTS`, `LANE_SPARSE` or `LANE_DENSE`.
            created: ms UTC.
            records: 1 to `MAX_RECORDS` of them.

        Raises:
            EnvelopeError: "oversize" when the records do not fit into one envelope and must be split; "content" when
                a record, or the absence of any, would be refused at the other end; "malformed" when another
                argument would be.
        """
        packed = pack(records)
        to = self._to
        header = msgspec.msgpack.encode(
            Header(
                v=to.version,
                box=self._box,
                epoch=epoch,
                first=first,
                last=first + len(records) - 1,
                lane=lane,
                created=created,
                signer=self._signing_key.id,
                recipients=to.ids,
                content_type=CONTENT_TYPE,
                schema=SCHEMA,
            )
        )
        _decode_header(header)
        overhead = (
            2 + len(header) + len(to.keys) * _wrap_length(to.version) + _NONCE_LENGTH + _TAG_LENGTH + SIGNATURE_LENGTH
        )
        size = next((bucket for bucket in BUCKETS if bucket >= overhead + len(packed)), None)
        if size is None:
            raise EnvelopeError("oversize", f"{len(records)} records do not fit into {MAX_MESSAGE_BYTES} bytes")
        content_key = AESGCM.generate_key(bit_length=8 * _CONTENT_KEY_LENGTH)
        info = _wrap_info(header)
        suite = _suite(to.version)
        wraps = b"".join(suite.encrypt(content_key, key, info=info) for key in to.keys)
        nonce = os.urandom(_NONCE_LENGTH)
        body = nonce + AESGCM(content_key).encrypt(nonce, packed.ljust(size - overhead, b"\x00"), header)
        unsigned = len(header).to_bytes(2, "big") + header + wraps + body
        return unsigned + self._signing_key.sign(_ENVELOPE_LABEL + unsigned)


class Opener:
    """Opens what boxes sealed to any of `keys`.

    Args:
        keys: the recipient's keys, the replaced ones included for as long as a backlog may need them.
        signer_of: (box, signer id) -> raw public key, or None when that box has no such valid signer.
    """

    def __init__(self, *, keys: Sequence[OpeningKey], signer_of: Callable[[str, str], bytes | None]) -> None:
        self._signer_of = signer_of
        self.use(keys)

    def use(self, keys: Sequence[OpeningKey]) -> None:
        """Open with these from the next envelope on."""
        self._keys = {key.id: key for key in keys}

    def open(self, envelope: bytes, *, box: str) -> Opened:
        """Verify, decrypt and decode an envelope that arrived on a topic of `box`.

        Raises:
            EnvelopeError: with its reason: "oversize", "malformed", "version", "box", "signer", "signature",
                "recipient", "decrypt" or "content", looked for in this order.
        """
        raw, header = _split_header(envelope)
        if header.box != box:
            raise EnvelopeError("box", f"sealed by {header.box}, arrived on a topic of {box}")
        public = self._signer_of(box, header.signer)
        if public is None:
            raise EnvelopeError("signer", f"{box} has no valid signing key {header.signer}")
        if not verify(public, _ENVELOPE_LABEL + envelope[:-SIGNATURE_LENGTH], envelope[-SIGNATURE_LENGTH:]):
            raise EnvelopeError("signature", f"not signed by {header.signer}")
        if header.content_type != CONTENT_TYPE or header.schema > SCHEMA:
            raise EnvelopeError("version", f"content {header.content_type!r} of schema {header.schema} is not known")
        packed = self._decrypt(envelope, raw, header)
        return Opened(header=header, records=unpack(packed, count=header.last - header.first + 1))

    def _decrypt(self, envelope: bytes, raw: bytes, header: Header) -> bytes:
        keys, hybrid = self._keys, header.v == HYBRID_VERSION
        index, key = next(
            (
                (index, keys[name])
                for index, name in enumerate(header.recipients)
                if name in keys and keys[name].hybrid == hybrid
            ),
            (None, None),
        )
        if index is None or key is None:
            raise EnvelopeError("recipient", "sealed to none of our keys")
        wraps, length = 2 + len(raw), _wrap_length(header.v)
        wrap = envelope[wraps + index * length : wraps + (index + 1) * length]
        body = envelope[wraps + len(header.recipients) * length : -SIGNATURE_LENGTH]
        try:
            content_key = _suite(header.v).decrypt(wrap, key.private, info=_wrap_info(raw))
            return AESGCM(content_key).decrypt(body[:_NONCE_LENGTH], body[_NONCE_LENGTH:], raw)
        except (InvalidTag, ValueError) as error:
            raise EnvelopeError("decrypt", f"the key {key.id} does not open it") from error


def sealed_by(public: bytes, envelope: bytes) -> Header | None:
    """Return the header of an envelope that the owner of `public` sealed, None when it was altered since."""
    try:
        _, header = _split_header(envelope)
    except EnvelopeError:
        return None
    signed = verify(public, _ENVELOPE_LABEL + envelope[:-SIGNATURE_LENGTH], envelope[-SIGNATURE_LENGTH:])
    return header if signed else None


def claimed_signer(envelope: bytes) -> str | None:
    """Return the id of the key that an envelope says signed it, which nobody has verified; None of what is none."""
    try:
        return _split_header(envelope)[1].signer
    except EnvelopeError:
        return None


def sign_receipt(receipt: Receipt, key: SigningKey) -> bytes:
    """Return a receipt as it travels."""
    return _sign_note(_RECEIPT_LABEL, msgspec.msgpack.encode(receipt), key)


def verify_receipt(data: bytes, *, box: str, signers: Mapping[str, bytes]) -> Receipt:
    """Return a receipt for `box` that one of `signers` (id -> raw public key) signed.

    Raises:
        ReceiptError: "malformed", "signer", "signature" or "box".
    """
    try:
        signer, payload, signature = _split_note(data)
    except ValueError as error:
        raise ReceiptError("malformed", str(error)) from error
    public = signers.get(signer)
    if public is None:
        raise ReceiptError("signer", f"{signer} may not sign receipts")
    if not verify(public, _RECEIPT_LABEL + data[:-SIGNATURE_LENGTH], signature):
        raise ReceiptError("signature", f"not signed by {signer}")
    try:
        receipt = msgspec.msgpack.decode(payload, type=Receipt)
    except UNDECODABLE as error:
        raise ReceiptError("malformed", str(error)) from error
    if receipt.box != box:
        raise ReceiptError("box", f"for {receipt.box}, arrived at {box}")
    if any(part.last < part.first for received in receipt.epochs for part in received.ranges):
        raise ReceiptError("malformed", "a range ends before it begins")
    if len({received.epoch for received in receipt.epochs}) != len(receipt.epochs):
        raise ReceiptError("malformed", "an epoch is named twice")
    return receipt


def sign_status(status: Status, key: SigningKey) -> bytes:
    """Return a status as it travels: signed, in clear."""
    return _sign_note(_STATUS_LABEL, msgspec.msgpack.encode(status), key)


def verify_status(data: bytes, *, box: str, signer_of: Callable[[str, str], bytes | None]) -> Status:
    """Return the status that arrived on a topic of `box`; `signer_of` is as in `Opener`.

    Raises:
        EnvelopeError: "malformed", "signer", "signature", "content" or "box".
    """
    try:
        signer, payload, signature = _split_note(data)
    except ValueError as error:
        raise EnvelopeError("malformed", str(error)) from error
    public = signer_of(box, signer)
    if public is None:
        raise EnvelopeError("signer", f"{box} has no valid signing key {signer}")
    if not verify(public, _STATUS_LABEL + data[:-SIGNATURE_LENGTH], signature):
        raise EnvelopeError("signature", f"not signed by {signer}")
    try:
        status = msgspec.msgpack.decode(payload, type=Status)
    except UNDECODABLE as error:
        raise EnvelopeError("content", str(error)) from error
    if status.box != box:
        raise EnvelopeError("box", f"of {status.box}, arrived on a topic of {box}")
    if status.state not in _STATES:
        raise EnvelopeError("content", f"{status.state!r} is not a state")
    return status


def _suite(version: int) -> Suite:
    return _HYBRID_SUITE if version == HYBRID_VERSION else _SUITE


def _wrap_length(version: int) -> int:
    return _HYBRID_WRAP_LENGTH if version == HYBRID_VERSION else _WRAP_LENGTH


def _wrap_info(header: bytes) -> bytes:
    return _WRAP_LABEL + hashlib.sha256(header).digest()


def _split_header(envelope: bytes) -> tuple[bytes, Header]:
    """Return the header as bytes and as a value, from an envelope whose layout holds."""
    if len(envelope) > MAX_MESSAGE_BYTES:
        raise EnvelopeError("oversize", f"{len(envelope)} bytes")
    if len(envelope) not in BUCKETS:
        raise EnvelopeError("malformed", f"no envelope has {len(envelope)} bytes")
    length = int.from_bytes(envelope[:2], "big")
    if not 1 <= length <= _MAX_HEADER_BYTES:
        raise EnvelopeError("malformed", f"a header of {length} bytes")
    raw = envelope[2 : 2 + length]
    header = _decode_header(raw)
    smallest_body = _NONCE_LENGTH + 4 + _TAG_LENGTH
    if 2 + length + len(header.recipients) * _wrap_length(header.v) + smallest_body + SIGNATURE_LENGTH > len(envelope):
        raise EnvelopeError("malformed", "the parts do not fit")
    return raw, header


def _decode_header(raw: bytes) -> Header:
    try:
        version = msgspec.msgpack.decode(raw, type=_Versioned).v
        if version not in {VERSION, HYBRID_VERSION}:
            raise EnvelopeError("version", f"envelope version {version} is not known")
        header = msgspec.msgpack.decode(raw, type=Header)
    except UNDECODABLE as error:
        raise EnvelopeError("malformed", str(error)) from error
    if not 0 <= header.last - header.first < MAX_RECORDS:
        raise EnvelopeError("malformed", f"sequence {header.first} to {header.last}")
    if len(set(header.recipients)) != len(header.recipients):
        raise EnvelopeError("malformed", "a recipient is named twice")
    return header


def _sign_note(label: bytes, payload: bytes, key: SigningKey) -> bytes:
    unsigned = bytes.fromhex(key.id) + payload
    return unsigned + key.sign(label + unsigned)


def _split_note(data: bytes) -> tuple[str, bytes, bytes]:
    """Return (signer id, payload, signature); ValueError when there is no room for them or too much."""
    head = KEY_ID_LENGTH // 2
    if not head + SIGNATURE_LENGTH < len(data) <= MAX_MESSAGE_BYTES:
        raise ValueError(f"{len(data)} bytes")
    return data[:head].hex(), data[head:-SIGNATURE_LENGTH], data[-SIGNATURE_LENGTH:]
