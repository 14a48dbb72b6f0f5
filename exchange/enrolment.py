"""What a new box and its team say to each other until the box has a certificate: frames, transcript, six digits.

    box                                                    team (enrolment office)
     |  AuthorityRequest                ->                  |   first connection: nothing is believed of it but
     |                                  <-  AuthorityAnswer |   a CA that has the code's fingerprint
     |--- a new connection: that CA alone is believed, the host's name is checked -----------------------------
     |  Hello: code, commitment         ->                  |   the code is checked and counted
     |                                  <-  Offer           |   box id, nonce, hash of what will be given
     |  Opening: nonce, public keys     ->                  |   must be what was committed to; the code is theirs now
     |        both sides show the same six digits; the nurse compares, and so does whoever stands at the box
     |                                  <-  Grant           |   certificate, CA, team list, broker
     |  Done                            ->                  |

Rules of this room, and why the digits say what they say:

- The digits are a hash of the whole transcript: the CA as each side knows it, the code, both nonces, all public keys
  and what will be given. Two sides that show the same digits have seen the same conversation.
- Six digits can be guessed at one in a million, so nobody may try many times. A man in the middle who photographed
  the code and put his own in its place holds two conversations, and wants both to show the same digits. The box
  commits to its nonce and keys (a hash) before it sees the team's nonce, and the team gives its nonce before it sees
  the box's: whichever conversation he ends last, his own part in it was fixed before the last unknown of it was
  known to him. He cannot choose; he can only try again, and each nonce that the team gives is counted against the code.
- The proof is the box's signature over the transcript: whoever has the code but not the keys cannot take them over.
- Frames are bounded before they are read, and unknown fields are refused.

The same office renews: a box that still has a valid certificate shows it (mutual TLS) and signs its request with its
signing key. Private keys are in no message. Not here: sockets and files (agent.enrolling, coordination.office).
"""

import hashlib
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from exchange.enrolment_code import PLACE_LENGTH, SECRET_LENGTH, whole_fingerprint
from exchange.errors import UNDECODABLE, ExchangeError
from exchange.identity import PublicHex
from exchange.messages import Name

NONCE_LENGTH = 32
DIGITS = 6
MAX_FRAME_BYTES = 1 << 17
MAX_GIVEN_BYTES = 96 << 10

_COMMITMENT_LABEL = b"veilleur/v1/enrolment/commitment\x00"
_TRANSCRIPT_LABEL = b"veilleur/v1/enrolment/transcript\x00"
_DIGITS_LABEL = b"veilleur/v1/enrolment/digits\x00"
_PROOF_LABEL = b"veilleur/v1/enrolment/proof\x00"
_RENEWAL_LABEL = b"veilleur/v1/renewal\x00"

Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Pem = Annotated[bytes, Meta(min_length=1, max_length=8192)]
Csr = Annotated[bytes, Meta(min_length=1, max_length=4096)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class EnrolmentError(ExchangeError):
    """The other side does not say what it must say here, or ended the conversation.

    Attributes:
        reason: what it said when it refused; `Reason.MALFORMED` for anything that is no message of ours.
    """

    def __init__(self, reason: "Reason", detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Reason(StrEnum):
    """Why the office ends a conversation."""

    CODE = "code"
    """No such code, or a wrong secret: which of both is not said."""
    USED = "used"
    EXPIRED = "expired"
    TOO_MANY = "too_many"
    """Too many tries, with this code or from this address."""
    COMMITMENT = "commitment"
    PROOF = "proof"
    REVOKED = "revoked"
    """These keys were revoked and are believed no more."""
    OTHER_BOX = "other_box"
    """These keys are another box's."""
    REFUSED = "refused"
    """The nurse said no."""
    NOBODY = "nobody"
    """Nobody compared the digits in time."""
    CERTIFICATE = "certificate"
    """A renewal without a certificate that stands."""
    BUSY = "busy"
    """The office cannot do it now; later it may."""
    MALFORMED = "malformed"


class AuthorityRequest(Struct, frozen=True, forbid_unknown_fields=True, tag="authority?"):
    """Asks for the CA's certificate: public, and believed for its fingerprint only."""


class AuthorityAnswer(Struct, frozen=True, forbid_unknown_fields=True, tag="authority"):
    """The CA's certificate, PEM."""

    ca: Pem


class Hello(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="hello"):
    """The box has a code, and commits to a nonce and keys that it does not show yet.

    Attributes:
        v: 1.
        place: which enrolment is meant.
        secret: of the code.
        commitment: see `commitment`.
    """

    v: Annotated[int, Meta(ge=1, le=255)]
    place: Annotated[str, Meta(min_length=PLACE_LENGTH, max_length=PLACE_LENGTH)]
    secret: Annotated[str, Meta(min_length=SECRET_LENGTH, max_length=SECRET_LENGTH)]
    commitment: Bytes32


class Offer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="offer"):
    """What the team would make of it.

    Attributes:
        box: the box's id from now on.
        nonce: random.
        given: SHA-256 of `Grant.given`, so that nothing else can be given later.
    """

    box: Name
    nonce: Bytes32
    given: Bytes32


class Machine(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The public half of what was born on the box.

    Attributes:
        csr: signing request of its TLS key, PEM. It was committed to before the box knew what it would be called, so
            the name in it says nothing.
        signing: Ed25519, hexadecimal.
        opening: X25519, hexadecimal.
    """

    csr: Csr
    signing: PublicHex
    opening: PublicHex


class Opening(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="opening"):
    """What the box had committed to, and its signature over everything said so far."""

    nonce: Bytes32
    machine: Machine
    proof: Signature


class GivenPatient(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One patient that the box is for; `protocol` is the name of a packaged one."""

    pseudonym: Name
    protocol: Name
    time_zone: Name


class Given(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a new box needs to know.

    Attributes:
        box: its id.
        ca: PEM.
        root: the team's root key, hexadecimal, to be pinned; None where the team has none (simulations).
        team: the signed team list; where there is no root, the unsigned team.json.
        broker: host name of the broker.
        broker_port: its TCP port.
        office: host name of the enrolment office, which renews the certificate.
        office_port: its TCP port.
        relay: who tells patients and carers at once; None where nobody does.
        patients: for its first settings.
    """

    box: Name
    ca: Pem
    root: PublicHex | None
    team: Annotated[bytes, Meta(min_length=1, max_length=1 << 16)]
    broker: Host
    broker_port: Port
    office: Host
    office_port: Port
    relay: Annotated[str, Meta(min_length=1, max_length=200)] | None
    patients: Annotated[tuple[GivenPatient, ...], Meta(max_length=60)]


class Grant(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="grant"):
    """The nurse said yes: `given` is an encoded `Given`, `certificate` is PEM.

    Attributes:
        given: what the box needs to know.
        certificate: its own.
        earlier: its signing keys of before, hexadecimal, whose envelopes it may still hand over.
    """

    given: Annotated[bytes, Meta(min_length=1, max_length=MAX_GIVEN_BYTES)]
    certificate: Pem
    earlier: Annotated[tuple[PublicHex, ...], Meta(max_length=64)] = ()


class Done(Struct, frozen=True, forbid_unknown_fields=True, tag="done"):
    """The box has everything on its disk."""


class Refusal(Struct, frozen=True, forbid_unknown_fields=True, tag="refusal"):
    """The conversation ends here."""

    reason: Reason


class RenewalRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="renewal?"):
    """A box whose certificate still stands wants the next one; `proof` is `renewal_proof` signed by its signing key."""

    csr: Csr
    signer: PublicHex
    proof: Signature


class RenewalAnswer(Struct, frozen=True, forbid_unknown_fields=True, tag="renewal"):
    """The next certificate, PEM."""

    certificate: Pem


Frame = (
    AuthorityRequest
    | AuthorityAnswer
    | Hello
    | Offer
    | Opening
    | Grant
    | Done
    | Refusal
    | RenewalRequest
    | RenewalAnswer
)

_F = TypeVar("_F", bound=Struct)


def commitment(nonce: bytes, machine: Machine) -> bytes:
    """Return what a box that keeps `nonce` and `machine` to itself shows of them: 32 bytes."""
    return hashlib.sha256(_COMMITMENT_LABEL + nonce + msgspec.msgpack.encode(machine)).digest()


def transcript(*, ca: bytes, hello: Hello, offer: Offer, nonce: bytes, machine: Machine) -> bytes:
    """Return the hash of a whole conversation, 32 bytes; `ca` is the certificate (PEM) that this side knows.

    Raises:
        CodeError: `ca` is not PEM.
    """
    parts = [whole_fingerprint(ca), nonce, *(msgspec.msgpack.encode(part) for part in (hello, offer, machine))]
    # Each part with its length: nothing can be moved from one into the next.
    return hashlib.sha256(_TRANSCRIPT_LABEL + b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def digits(conversation: bytes) -> str:
    """Return the six digits of a transcript."""
    number = int.from_bytes(hashlib.sha256(_DIGITS_LABEL + conversation).digest(), "big")
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def shown(six: str) -> str:
    """Return six digits as people read them out: 123 456."""
    return f"{six[:3]} {six[3:]}"


def proof_of(conversation: bytes) -> bytes:
    """Return what the box signs to show that the keys of `Opening` are its own."""
    return _PROOF_LABEL + conversation


def renewal_proof(*, serial: str, csr: bytes) -> bytes:
    """Return what a box signs to have its certificate `serial` (hexadecimal, lower case) renewed."""
    return _RENEWAL_LABEL + serial.encode() + b"\x00" + csr


def encode_given(given: Given) -> bytes:
    """Return what a box will be given, as it travels."""
    return msgspec.msgpack.encode(given)


def decode_given(data: bytes) -> Given:
    """Return what a box is given.

    Raises:
        EnrolmentError: malformed.
    """
    try:
        return msgspec.msgpack.decode(data, type=Given)
    except UNDECODABLE as error:
        raise EnrolmentError(Reason.MALFORMED, str(error)) from error


async def send(writer: StreamWriter, frame: Frame) -> None:
    """Send one frame.

    Raises:
        OSError: the connection broke.
    """
    data = msgspec.msgpack.encode(frame)
    writer.write(len(data).to_bytes(4, "big") + data)
    await writer.drain()


async def receive(reader: StreamReader, kind: type[_F], *, most: int = MAX_FRAME_BYTES) -> _F:
    """Return the next frame, which must be a `kind`, of at most `most` bytes.

    Raises:
        EnrolmentError: it is another, malformed, too long, or a refusal.
        OSError: the connection broke or ended.
    """
    frame = await receive_any(reader, most=most)
    if isinstance(frame, Refusal):
        raise EnrolmentError(frame.reason, "the other side refuses")
    if not isinstance(frame, kind):
        raise EnrolmentError(Reason.MALFORMED, f"{type(frame).__name__} is not expected here")
    return frame


async def receive_any(reader: StreamReader, *, most: int = MAX_FRAME_BYTES) -> Frame:
    """Return the next frame, whatever it is.

    Raises:
        EnrolmentError: malformed or too long.
        OSError: the connection broke or ended.
    """
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > most:
            raise EnrolmentError(Reason.MALFORMED, f"a frame of {length} bytes")
        data = await reader.readexactly(length)
    except IncompleteReadError as error:
        raise ConnectionResetError("the other side ended the conversation") from error
    try:
        frame: Frame = msgspec.msgpack.decode(data, type=Frame)
    except UNDECODABLE as error:
        raise EnrolmentError(Reason.MALFORMED, "not a message of an enrolment") from error
    return frame
