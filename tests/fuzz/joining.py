"""How a box joins a team: what strangers send to the office, what an office sends to a box, codes, and PEM."""

import asyncio
import base64
import random
import re
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, derive_private_key
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from coordination.authority import tls_key_of
from coordination.authority_errors import AuthorityError
from exchange.certificates import accepted
from exchange.enrolment import (
    AuthorityAnswer,
    AuthorityRequest,
    Done,
    EnrolmentError,
    Frame,
    Given,
    GivenPatient,
    Grant,
    Hello,
    Machine,
    Offer,
    Opening,
    Reason,
    Refusal,
    RenewalAnswer,
    RenewalRequest,
    commitment,
    decode_given,
    digits,
    encode_given,
    receive_any,
    transcript,
)
from exchange.enrolment_code import CodeError, EnrolmentCode
from exchange.errors import IdentityError
from exchange.identity import verify
from tests.agent.kit import BOX
from tests.fuzz.case import Case
from tests.fuzz.keys import OPENING, SIGNING
from tests.fuzz.orders import LIST
from tests.fuzz.trees import packed_mutant

_CA_KEY = derive_private_key(7, SECP256R1())
_BOX_KEY = derive_private_key(11, SECP256R1())
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----\n(.*?)-----END", re.DOTALL)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(name: str, key: EllipticCurvePublicKey) -> bytes:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("team"))
        .public_key(key)
        .serial_number(17)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=90))
        .sign(_CA_KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


CA = _certificate("team", _CA_KEY.public_key())
CERTIFICATE = _certificate(BOX, _BOX_KEY.public_key())
REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(_name(BOX))
    .sign(_BOX_KEY, hashes.SHA256())
    .public_bytes(serialization.Encoding.PEM)
)
MACHINE = Machine(csr=REQUEST, signing=SIGNING.public.hex(), opening=OPENING.public.hex())
HELLO = Hello(v=1, place="0123", secret="0" * 16, commitment=bytes(32))
OFFER = Offer(box=BOX, nonce=bytes(32), given=bytes(32))
GIVEN = Given(
    box=BOX,
    ca=CA,
    root=SIGNING.public.hex(),
    team=LIST,
    broker="broker.example.org",
    broker_port=8883,
    office="desk.example.org",
    office_port=8884,
    relay="the team's on-call line",
    patients=(GivenPatient(pseudonym="patient-7f3a", protocol="heart_failure", time_zone="Europe/Paris"),),
)
FRAMES: tuple[Frame, ...] = (
    AuthorityRequest(),
    AuthorityAnswer(CA),
    HELLO,
    OFFER,
    Opening(nonce=bytes(32), machine=MACHINE, proof=bytes(64)),
    Grant(given=encode_given(GIVEN), certificate=CERTIFICATE),
    Done(),
    Refusal(Reason.CODE),
    RenewalRequest(csr=REQUEST, signer=SIGNING.public.hex(), proof=bytes(64)),
    RenewalAnswer(CERTIFICATE),
)
# Everything that is read is there already, so that no loop has to run.
_LOOP = asyncio.new_event_loop()
_LOOP.close()


def received(data: bytes, *, most: int = 16_384) -> Frame:
    """Return what a side makes of these bytes when they are all that comes."""
    reader = asyncio.StreamReader(loop=_LOOP)
    reader.feed_data(data)
    reader.feed_eof()
    work = receive_any(reader, most=most)
    try:
        work.send(None)
    except StopIteration as done:
        frame: Frame = done.value
        return frame
    work.close()
    raise ValueError("it waits for bytes that cannot come")


def looked_at(payload: bytes) -> None:
    """Do what either side does with a frame before it believes it."""
    frame = received(len(payload).to_bytes(4, "big") + payload, most=1 << 17)
    match frame:
        case Opening():
            commitment(frame.nonce, frame.machine)
            said = transcript(ca=CA, hello=HELLO, offer=OFFER, nonce=frame.nonce, machine=frame.machine)
            if verify(bytes.fromhex(frame.machine.signing), said, frame.proof) or len(digits(said)) != 6:
                raise ValueError("a proof of nothing")
            tls_key_of(frame.machine.csr)
        case Offer():
            transcript(ca=CA, hello=HELLO, offer=frame, nonce=bytes(32), machine=MACHINE)
        case Grant():
            decode_given(frame.given)
            accepted(frame.certificate, ca=CA, csr=REQUEST, box=BOX)
        case RenewalAnswer():
            accepted(frame.certificate, ca=CA, csr=REQUEST, box=BOX)
        case RenewalRequest():
            verify(bytes.fromhex(frame.signer), b"", frame.proof)
            tls_key_of(frame.csr)


def refusable(
    take: Callable[[bytes], object], *refusals: type[Exception], only: object = None
) -> Callable[[bytes], bool]:
    """Return a `run`; with `only`, it fails when something else comes of an accepted frame."""

    def run(frame: bytes) -> bool:
        try:
            with warnings.catch_warnings():
                # Of a serial number below one: OpenSSL and this library still read such.
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                found = take(frame)
        except refusals:
            return True
        if only not in {None, found}:
            raise ValueError("accepted, and nobody signed it")
        return False

    return run


def pem_mutant(dice: random.Random, seeds: Sequence[bytes], longest: int) -> bytes:
    """Return a PEM text whose DER was spoilt."""
    label, body = _PEM.search(dice.choice(seeds)).groups()  # type: ignore[union-attr]
    der = bytearray(base64.b64decode(body))
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(der))
        match dice.randrange(4):
            case 0:
                der[at] ^= 1 << dice.randrange(8)
            case 1:
                der[at] = dice.choice((0, 1, 0x30, 0x31, 0x7F, 0x80, 0x84, 0xFF))
            case 2:
                der[at:at] = dice.choice((b"\x30\x80", b"\x84\xff\xff\xff\xff", bytes(40), b"\x30\x00"))
            case _:
                del der[at : at + dice.randrange(1, 9)]
        if not der:
            break
    text = base64.encodebytes(bytes(der))
    return (b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, text, label))[:longest]


def code_mutant(dice: random.Random, seeds: Sequence[bytes], longest: int) -> bytes:
    """Return a code as a hand or a camera spoils it."""
    text = dice.choice(seeds).decode()
    at = dice.randrange(len(text))
    bad = ("", "/", ":", "-", " ", "\n", "\0", "²", "١", "ı", "\u202e", "0" * 400, "I", "@", "%", "::1", "99999")
    return (text[:at] + dice.choice(bad) + text[at + dice.randrange(3) :]).encode()[:longest]


def code_read(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return  # neither a terminal nor a camera gives such
    code = EnrolmentCode.read(text)
    if EnrolmentCode.read(str(code)) != code:
        raise ValueError("another code when it is shown and read again")


def cases() -> dict[str, Case]:
    plain = [msgspec.msgpack.encode(frame) for frame in FRAMES]
    framed = [len(one).to_bytes(4, "big") + one for one in plain]
    code = EnrolmentCode(
        host="desk.example.org", port=8884, fingerprint="0" * 32, place="7K3Q", secret="0123456789ABCDEF"
    )
    return {
        "enrolment.stream": Case(framed, refusable(received, EnrolmentError, ConnectionResetError), longest=20_000),
        "enrolment.frame": Case(
            plain,
            refusable(looked_at, EnrolmentError, AuthorityError, IdentityError),
            longest=1 << 17,
            mutants=packed_mutant,
        ),
        "enrolment.given": Case(
            [encode_given(GIVEN)],
            refusable(decode_given, EnrolmentError),
            longest=1 << 17,
            mutants=packed_mutant,
            short=300,
        ),
        "enrolment.request": Case(
            [REQUEST],
            refusable(tls_key_of, AuthorityError, only=tls_key_of(REQUEST)),
            longest=6000,
            mutants=pem_mutant,
            short=500,
        ),
        "enrolment.certificate": Case(
            [CERTIFICATE],
            refusable(
                lambda pem: accepted(pem, ca=CA, csr=REQUEST, box=BOX),
                IdentityError,
                only=accepted(CERTIFICATE, ca=CA, csr=REQUEST, box=BOX),
            ),
            longest=6000,
            mutants=pem_mutant,
            short=500,
        ),
        "enrolment.code": Case(
            [str(code).encode()], refusable(code_read, CodeError), longest=1000, mutants=code_mutant, short=500
        ),
    }
