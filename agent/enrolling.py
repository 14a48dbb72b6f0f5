"""The box's side of an enrolment: connect out, believe one CA, show six digits, keep what is given.

Rules of this room:

- The keys are born here and stay here; what leaves is a signing request and two public keys.
- Nothing is believed before the CA has the code's fingerprint, and from then on nothing but that CA. Of the first
  connection, which fetches it, nothing else is kept.
- What is given must be what was offered, its certificate must be for this very key and box, and the team list must be
  signed by the root that came with it; then it is written, the settings last: a box without settings is not enrolled.
- Begun again after a power cut, with the same code, it goes on with the same keys.
- The box listens on nothing: every connection goes out.

Not here: why the digits can be trusted (`exchange.enrolment`), and who is asked (`enrol_command`).
"""

import asyncio
import hashlib
import secrets
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.enrolled_box import BoxKeys, Places
from agent.enrolment_errors import EnrolmentFailedError, impostor, refused, unreachable
from alerting.alert import Sentence
from exchange.certificates import Certificate, accepted
from exchange.enrolment import (
    NONCE_LENGTH,
    AuthorityAnswer,
    AuthorityRequest,
    Done,
    EnrolmentError,
    Given,
    Grant,
    Hello,
    Machine,
    Offer,
    Opening,
    Reason,
    RenewalAnswer,
    RenewalRequest,
    commitment,
    decode_given,
    digits,
    proof_of,
    receive,
    renewal_proof,
    send,
    transcript,
)
from exchange.enrolment_code import CodeError, EnrolmentCode, fingerprint
from exchange.errors import IdentityError, TeamListError
from exchange.identity import SigningKey, TlsKey, key_id
from exchange.team_list import verify_team_list

CONNECT_S = 20.0
ANSWER_S = 30.0
NURSE_S = 960.0
"""A little longer than the team waits for its nurse, so that the box hears what became of it."""
AUTHORITY_BYTES = 16_384
OFFER_BYTES = 16_384

Compare = Callable[[str, str], Awaitable[bool]]
"""(box, six digits) -> whether the team shows the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What came of it.

    Attributes:
        box: the box's id.
        certificate: until when it may speak to the broker.
        first: whether settings were written; an enrolled box that comes again keeps its own.
    """

    box: str
    certificate: Certificate
    first: bool


async def enrol(code: EnrolmentCode, places: Places, *, compare: Compare, nurse_s: float = NURSE_S) -> Enrolled:
    """Enrol this box, or enrol it again with the keys that it has.

    Args:
        code: as given by the team.
        places: where things are kept.
        compare: asked while the team's nurse compares, too; both must say yes.
        nurse_s: real seconds that the nurse may take.

    Raises:
        EnrolmentFailedError: why, and what to do next. Nothing was written but the box's own keys.
        IdentityError: a key of the box cannot be used.
    """
    try:
        ca = await _fetch_authority(code)
        keys = places.born()
        return await _converse(code, places, ca=ca, keys=keys, compare=compare, nurse_s=nurse_s)
    except EnrolmentError as error:
        raise refused(error.reason) from error
    except CodeError as error:
        raise impostor(code.host, code.port) from error
    except OSError as error:
        raise unreachable(code.host, code.port, error) from error


async def renew(*, host: str, port: int, ca: Path, certificate: Path, key: Path, signing: SigningKey) -> bytes:
    """Return the box's next certificate, PEM, checked; for the same key. Nothing is written.

    Raises:
        EnrolmentFailedError: why, and what to do next.
        IdentityError: a file of the box cannot be used, or what came is not for it.
    """
    held = Certificate.load(certificate)
    authority = await asyncio.to_thread(ca.read_bytes)
    csr = TlsKey.load(key).csr(held.name)
    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key, password="")  # never ask a terminal
        async with _connected(host, port, context) as (reader, writer):
            proof = signing.sign(renewal_proof(serial=held.serial, csr=csr))
            await send(writer, RenewalRequest(csr=csr, signer=signing.public.hex(), proof=proof))
            async with asyncio.timeout(ANSWER_S):
                answer = await receive(reader, RenewalAnswer, most=AUTHORITY_BYTES)
    except EnrolmentError as error:
        raise refused(error.reason) from error
    except OSError as error:
        raise unreachable(host, port, error) from error
    accepted(answer.certificate, ca=authority, csr=csr, box=held.name)
    return answer.certificate


async def _fetch_authority(code: EnrolmentCode) -> bytes:
    """Return the CA's certificate (PEM): from whomever, since its fingerprint is what is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    # Nothing is said over this connection, and of what comes only that is kept which has the code's fingerprint.
    context.verify_mode = ssl.CERT_NONE
    async with _connected(code.host, code.port, context) as (reader, writer):
        await send(writer, AuthorityRequest())
        async with asyncio.timeout(ANSWER_S):
            answer = await receive(reader, AuthorityAnswer, most=AUTHORITY_BYTES)
    if fingerprint(answer.ca) != code.fingerprint:
        raise impostor(code.host, code.port)
    return answer.ca


async def _converse(
    code: EnrolmentCode, places: Places, *, ca: bytes, keys: BoxKeys, compare: Compare, nurse_s: float
) -> Enrolled:
    machine = Machine(csr=keys.csr, signing=keys.signing.public.hex(), opening=keys.opening.public.hex())
    nonce = secrets.token_bytes(NONCE_LENGTH)
    context = ssl.create_default_context(cadata=ca.decode("ascii"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    async with _connected(code.host, code.port, context) as (reader, writer):
        hello = Hello(v=1, place=code.place, secret=code.secret, commitment=commitment(nonce, machine))
        await send(writer, hello)
        async with asyncio.timeout(ANSWER_S):
            offer = await receive(reader, Offer, most=OFFER_BYTES)
        _same_box(places, offer.box)
        conversation = transcript(ca=ca, hello=hello, offer=offer, nonce=nonce, machine=machine)
        await send(writer, Opening(nonce=nonce, machine=machine, proof=keys.signing.sign(proof_of(conversation))))
        grant = await _both_agree(reader, compare(offer.box, digits(conversation)), nurse_s)
        given, certificate = _checked(grant, offer, ca, keys, roots=places.roots)
        first = places.keep(given, certificate=grant.certificate, earlier=grant.earlier)
        await send(writer, Done())
    return Enrolled(box=given.box, certificate=certificate, first=first)


async def _both_agree(reader: StreamReader, here: Awaitable[bool], nurse_s: float) -> Grant:
    """Return what the team gives once somebody here has said yes as well."""
    asked = asyncio.ensure_future(here)
    granted = asyncio.ensure_future(receive(reader, Grant))
    try:
        async with asyncio.timeout(nurse_s):
            await asyncio.wait([asked, granted], return_when=asyncio.FIRST_COMPLETED)
            if granted.done():
                granted.result()  # what the team refuses need not be asked here any more
            if not await asked:
                raise EnrolmentFailedError(
                    Sentence(fr="Les chiffres ne sont pas les mêmes.", en="The digits are not the same."),
                    Sentence(
                        fr="Quelqu'un s'est peut-être glissé entre les deux : appeler l'équipe par un numéro connu.",
                        en="Somebody may be in between: call the team on a number that you know.",
                    ),
                )
            return await granted
    finally:
        for task in (asked, granted):
            task.cancel()
        await asyncio.gather(asked, granted, return_exceptions=True)


def _checked(
    grant: Grant, offer: Offer, ca: bytes, keys: BoxKeys, *, roots: tuple[str, ...]
) -> tuple[Given, Certificate]:
    """Return what was given once all of it fits together."""
    if hashlib.sha256(grant.given).digest() != offer.given:
        raise EnrolmentError(Reason.MALFORMED, "what is given is not what was offered")
    given = decode_given(grant.given)
    if given.box != offer.box or given.ca != ca:
        raise EnrolmentError(Reason.MALFORMED, "what is given contradicts itself")
    try:
        if given.root is not None:
            # Who comes again goes on to believe the root that was pinned then, or whom it handed over to.
            pinned = [bytes.fromhex(root) for root in roots or (given.root,)]
            verify_team_list(given.team, roots={key_id(root): root for root in pinned})
        certificate = accepted(grant.certificate, ca=ca, csr=keys.csr, box=offer.box)
    except (IdentityError, TeamListError) as error:
        raise EnrolmentError(Reason.MALFORMED, str(error)) from error
    return given, certificate


def _same_box(places: Places, box: str) -> None:
    if places.box is not None and places.box != box:
        raise EnrolmentFailedError(
            Sentence(
                fr=f"Ce boîtier est {places.box}, et ce code est pour {box}.",
                en=f"This box is {places.box}, and this code is for {box}.",
            ),
            Sentence(
                fr=f"Demander un code pour {places.box}, ou partir d'une carte neuve.",
                en=f"Ask for a code for {places.box}, or begin with a new card.",
            ),
        )


@asynccontextmanager
async def _connected(host: str, port: int, context: ssl.SSLContext) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    async with asyncio.timeout(CONNECT_S):
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await writer.wait_closed()
