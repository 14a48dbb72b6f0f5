"""The enrolment office: where boxes connect to become part of the team, and to renew their certificates.

Rules of this room:

- TLS 1.2 or later, with a certificate of the team's own CA. A box that enrols shows none; one that renews must show
  the one that it has, and OpenSSL has checked it before a byte is read.
- Whoever connects is a stranger: frames are small, every wait is bounded, and only so many talk at once.
- What a stranger learns before a nurse has said yes is the CA's certificate, which is public, and a hash.
- What was decided is read from the database, whoever wrote it there: this terminal, another one, later the desk.

Not here: what a code is worth (`enrolments`), what is said in which order and why (`exchange.enrolment`), and what a
revocation does at the broker (`broker_control`).
"""

import asyncio
import errno
import hashlib
import logging
import secrets
import ssl
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TypeVar

from coordination.authority import BOX_LIFETIME, Authority, Issued, tls_key_of
from coordination.authority_errors import AuthorityError
from coordination.box_identity import Listed, Revoked
from coordination.enrolments import Enrolments
from coordination.errors import CoordinationError
from coordination.place import Place
from exchange.certificates import Certificate
from exchange.durable_file import write_durably
from exchange.enrolment import (
    NONCE_LENGTH,
    AuthorityAnswer,
    AuthorityRequest,
    Done,
    EnrolmentError,
    Given,
    Grant,
    Hello,
    Offer,
    Opening,
    Reason,
    Refusal,
    RenewalAnswer,
    RenewalRequest,
    commitment,
    digits,
    encode_given,
    proof_of,
    receive,
    receive_any,
    renewal_proof,
    send,
    transcript,
)
from exchange.identity import TlsKey, verify

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 64
HANDSHAKE_S = 10.0
ANSWER_S = 30.0
"""How long a box may take to say the next thing."""
NURSE_S = 900.0
"""How long the nurse may take to compare the digits."""
LOOK_S = 0.25
STRANGER_BYTES = 16_384
"""Of one frame from somebody who has shown nothing yet."""

_T = TypeVar("_T")


def now_ms() -> int:
    """Return ms UTC, real time: certificates and codes know no other."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One office.

    Attributes:
        authority: signs.
        database: the team's.
        listed: boxes of desk.toml.
        given: what a box of that id is given; raises CoordinationError when it cannot be.
        replaced: called with (box, what was taken from the machine before) once another machine is that box.
        welcomed: called with a box's id once its keys hold.
        host: the name by which boxes reach the office.
        listen: address to listen on; empty for all.
        port: TCP port; 0 for any.
        lifetime: of boxes' certificates.
        nurse_s: see `NURSE_S`.
    """

    authority: Authority
    database: Place
    listed: Listed
    given: Callable[[str], Given]
    replaced: Callable[[str, Revoked], Awaitable[None]]
    welcomed: Callable[[str], Awaitable[None]]
    host: str
    listen: str
    port: int
    lifetime: timedelta = BOX_LIFETIME
    nurse_s: float = NURSE_S
    _talking: set[StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[int]:
        """Listen for as long as the block lasts; yield the port.

        Raises:
            AuthorityError: the office's own certificate cannot be made.
            OSError: the port cannot be listened on; `busy` tells whether another office has it.
        """
        context = self._context()
        server = await asyncio.start_server(
            self._met, self.listen or None, self.port, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
        )
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            for writer in tuple(self._talking):
                writer.transport.abort()
            await server.wait_closed()

    def _context(self) -> ssl.SSLContext:
        certificate, key = office_certificate(self.authority, self.host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self.authority.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def _met(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._talking) >= MOST_AT_ONCE:
            writer.transport.abort()
            return
        self._talking.add(writer)
        try:
            await self._talk(reader, writer)
        except (OSError, TimeoutError) as error:
            logger.info("an enrolment broke off: %s", str(error) or "nothing was said in time")
        finally:
            self._talking.discard(writer)
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(HANDSHAKE_S):
                    await writer.wait_closed()

    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        source = _source(writer)
        try:
            async with asyncio.timeout(ANSWER_S):
                frame = await receive_any(reader, most=STRANGER_BYTES)
            match frame:
                case AuthorityRequest():
                    await send(writer, AuthorityAnswer(self.authority.ca.read_bytes()))
                case Hello():
                    await self._enrol(frame, reader, writer, source)
                case RenewalRequest():
                    await send(writer, RenewalAnswer(await self._renewed(frame, writer, source)))
                case _:
                    logger.warning("%s from %s is no beginning", type(frame).__name__, source)
                    await send(writer, Refusal(Reason.MALFORMED))
        except EnrolmentError as error:
            logger.warning("an enrolment from %s was refused: %s", source, error)
            await send(writer, Refusal(error.reason))
        except AuthorityError as error:
            logger.warning("a request from %s was refused: %s", source, error.why.en)
            await send(writer, Refusal(Reason.MALFORMED))
        except CoordinationError as error:
            logger.warning("an enrolment cannot go on: %s %s", error.why.en, error.hint.en)
            await send(writer, Refusal(Reason.BUSY))

    # --- a new box ----------------------------------------------------------------------------------------

    async def _enrol(self, hello: Hello, reader: StreamReader, writer: StreamWriter, source: str) -> None:
        box = await self._with(lambda kept: kept.offer(hello.place, hello.secret, source=source, at=now_ms()))
        given = encode_given(self.given(box))
        offer = Offer(box=box, nonce=secrets.token_bytes(NONCE_LENGTH), given=hashlib.sha256(given).digest())
        await send(writer, offer)
        async with asyncio.timeout(ANSWER_S):
            opening = await receive(reader, Opening, most=STRANGER_BYTES)
        machine = opening.machine
        if commitment(opening.nonce, machine) != hello.commitment:
            raise EnrolmentError(Reason.COMMITMENT, f"code {hello.place}")
        conversation = transcript(
            ca=self.authority.ca.read_bytes(), hello=hello, offer=offer, nonce=opening.nonce, machine=machine
        )
        if not verify(bytes.fromhex(machine.signing), proof_of(conversation), opening.proof):
            raise EnrolmentError(Reason.PROOF, f"code {hello.place}")
        tls_key_of(machine.csr)
        six = digits(conversation)
        await self._with(lambda kept: kept.claim(hello.place, machine, digits=six, source=source, at=now_ms()))
        await self._decided(hello.place, six, reader)
        pem, taken = await self._with(lambda kept: kept.grant(hello.place, self._issue, at=now_ms()))
        if taken is not None:
            await self.replaced(box, taken)
        await self.welcomed(box)
        earlier = await self._with(lambda kept: kept.earlier(box, at=now_ms()))
        await send(writer, Grant(given=given, certificate=pem, earlier=earlier))
        async with asyncio.timeout(ANSWER_S):
            await receive(reader, Done)
        await self._with(lambda kept: kept.done(hello.place))
        logger.info("%s is enrolled", box)

    async def _decided(self, place: str, six: str, reader: StreamReader) -> None:
        """Return once the nurse has said yes.

        Raises:
            EnrolmentError: she said no, nobody said anything, or another conversation took the place of this one.
            OSError: the box hung up.
        """
        # A box has nothing to say now: what comes is its end, and the digits on the nurse's screen are nobody's.
        hung_up = asyncio.ensure_future(reader.read(1))
        try:
            async with asyncio.timeout(self.nurse_s):
                while await self._with(lambda kept: kept.decision(place, six)) is None:
                    await asyncio.wait([hung_up], timeout=LOOK_S)
                    if hung_up.done():
                        raise ConnectionResetError("the box hung up before the digits were compared")
        except TimeoutError as error:
            raise EnrolmentError(Reason.NOBODY, f"code {place}") from error
        finally:
            hung_up.cancel()
            await asyncio.wait([hung_up])
            await self._with(lambda kept: kept.withdraw(place, six))

    # --- a certificate that follows -----------------------------------------------------------------------

    async def _renewed(self, request: RenewalRequest, writer: StreamWriter, source: str) -> bytes:
        shown = writer.get_extra_info("peercert")
        if not shown:
            raise EnrolmentError(Reason.CERTIFICATE, "no certificate was shown")
        serial = f"{int(shown['serialNumber'], 16):x}"
        if not verify(bytes.fromhex(request.signer), renewal_proof(serial=serial, csr=request.csr), request.proof):
            raise EnrolmentError(Reason.PROOF, f"certificate {serial[:8]}")
        return await self._with(
            lambda kept: kept.renew(
                serial, request.csr, signer=request.signer, issue=self._issue, source=source, at=now_ms()
            )
        )

    def _issue(self, csr: bytes, box: str) -> Issued:
        return self.authority.box(csr, box, at=now_ms(), lifetime=self.lifetime)

    async def _with(self, work: Callable[[Enrolments], _T]) -> _T:
        def inside() -> _T:
            with Enrolments(self.database, self.listed) as kept:
                return work(kept)

        return await asyncio.to_thread(inside)


def office_certificate(authority: Authority, host: str) -> tuple[Path, Path]:
    """Return the PEM files of the office's certificate and key, made anew when a third of its life is over.

    Raises:
        AuthorityError: they cannot be written.
    """
    folder = authority.ca.parent
    certificate, key = folder / f"office-{host}.pem", folder / f"office-{host}.key"
    if certificate.exists() and key.exists() and now_ms() < Certificate.load(certificate).renew_at:
        return certificate, key
    tls = TlsKey.load(key) if key.exists() else TlsKey.generate()
    if not key.exists():
        tls.save(key)
    issued = authority.server(tls.csr("enrolment-office"), name="enrolment-office", hosts=(host,), at=now_ms())
    write_durably(certificate, issued.pem, mode=0o644)
    return certificate, key


def busy(error: OSError) -> bool:
    """Return whether the port is taken."""
    return error.errno == errno.EADDRINUSE


def _source(writer: StreamWriter) -> str:
    """Return from where somebody speaks: an IPv4 address, or the 64 bits of an IPv6 network, which one house has."""
    peer = writer.get_extra_info("peername")
    address = ip_address(str(peer[0]).partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 64 << 64)) + "/64"
    return str(address)
