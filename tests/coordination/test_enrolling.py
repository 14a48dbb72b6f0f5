"""A new box joins its team over real TLS, and everybody else who tries does not."""

import asyncio
import contextlib
import secrets
import signal
import sqlite3
import ssl
import stat
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.enrolled_box import Places
from agent.enrolment_errors import EnrolmentFailedError
from agent.settings_file import read_settings
from agent.team_keeper import read_believed
from coordination.authority import Authority
from coordination.enrol_command import given_to
from coordination.enrolments import FAILURES, FAILURES_MS, MOST_OFFERS, MOST_WRONG, Known
from coordination.errors import CoordinationError
from coordination.office import now_ms
from coordination.revoking import revoke_at_inbox
from exchange.certificates import Certificate
from exchange.enrolment import (
    AuthorityAnswer,
    AuthorityRequest,
    EnrolmentError,
    Grant,
    Hello,
    Machine,
    Offer,
    Opening,
    Reason,
    commitment,
    decode_given,
    digits,
    proof_of,
    receive,
    send,
    transcript,
)
from exchange.enrolment_code import EnrolmentCode, fingerprint, hashed
from exchange.identity import SigningKey, TlsKey
from tests.coordination.enrolment_kit import BOX, HOST, PATIENCE_S, Desk, NewBox, join, reason_of, until
from tests.coordination.kit import rows


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


@pytest.fixture
def box(tmp_path: Path) -> NewBox:
    return NewBox(tmp_path / "box")


async def refused(work: "asyncio.Future[object] | object") -> EnrolmentFailedError:
    with pytest.raises(EnrolmentFailedError) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await work  # type: ignore[misc]
    assert caught.value.why.fr != caught.value.why.en
    return caught.value


async def alone(desk: Desk, box: NewBox, code: EnrolmentCode, *, yes: bool) -> EnrolmentFailedError:
    """Let a box try while the nurse decides; return why it did not come about."""
    nurse = asyncio.create_task(desk.nurse(yes=yes))
    try:
        return await refused(box.enrol(code))
    finally:
        nurse.cancel()
        await asyncio.gather(nurse, return_exceptions=True)


# --- it works -------------------------------------------------------------------------------------


async def test_a_box_joins_when_both_sides_show_the_same_digits(desk: Desk, box: NewBox) -> None:
    decided = "SELECT state, decided_by FROM enrolment"
    async with desk.open_office():
        enrolled = await join(desk, box, desk.code())
        # That the box has it all is kept when its last word has come.
        await until(lambda: rows(desk.folder / "desk.db", decided) == [("done", "Anne")])
    assert enrolled.box == BOX
    settings = read_settings(box.config)
    assert settings.box == BOX
    assert [patient.pseudonym for patient in settings.patients] == ["patient-0007"]
    assert settings.enrolment is not None
    assert settings.enrolment.port == desk.port
    assert settings.identity.team_roots == (desk.root.public.hex(),)
    believed = read_believed(settings.identity, settings.state, now_ms=now_ms())
    assert dict(believed.signers) == {desk.receipt.id: desk.receipt.public}
    assert believed.signed is not None
    assert settings.identity.opening_key == box.places.opening_key
    held = Certificate.load(settings.broker.certificate)
    assert (held.name, held.not_after) == (BOX, enrolled.certificate.not_after)
    signing = SigningKey.load(settings.identity.signing_key)
    kept = rows(desk.folder / "desk.db", "SELECT key, revoked_at FROM box_key WHERE purpose = 'signing'")
    assert kept == [(signing.id, None)]


async def test_only_a_request_and_public_keys_leave_the_box(desk: Desk, box: NewBox) -> None:
    """25: every byte that the box sends, as the office decrypts it, holds no private key."""
    sent: list[bytes] = []
    true_read = StreamReader.readexactly

    async def noted(self: StreamReader, count: int) -> bytes:
        data = await true_read(self, count)
        sent.append(data)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamReader, "readexactly", noted)
        async with desk.open_office():
            await join(desk, box, desk.code())
    everything = b"".join(sent)
    places = box.places
    for path in (places.tls_key, places.signing_key, places.opening_key):
        pem = path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        inner = ssl.PEM_cert_to_DER_cert(pem.decode().replace("PRIVATE KEY", "CERTIFICATE").strip())
        secret = inner[-32:] if path is not places.tls_key else inner[36:68]
        assert secret not in everything
        assert pem not in everything
        assert b"PRIVATE" not in everything
    assert SigningKey.load(places.signing_key).public.hex().encode() in everything
    desk_files = [path.read_bytes() for path in desk.folder.rglob("*") if path.is_file()]
    assert not any(places.tls_key.read_bytes() in content for content in desk_files)


async def test_a_power_cut_after_the_nurse_said_yes_costs_nothing_but_new_digits(desk: Desk, box: NewBox) -> None:
    """The box dies while it writes; begun again with the same code it has the same keys and certificate."""
    code = desk.code()
    places = box.places

    def cut(*_: object, **__: object) -> bool:
        raise OSError(5, "power cut")

    async with desk.open_office():
        broken = NewBox(box.folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Places, "keep", cut)
            nurse = asyncio.create_task(desk.nurse())
            await refused(broken.enrol(code))
            first_claim = await nurse
        assert not box.config.exists()
        keys = [path.read_bytes() for path in (places.tls_key, places.signing_key, places.opening_key)]
        assert rows(desk.folder / "desk.db", "SELECT state FROM enrolment") == [("confirmed",)]
        await join(desk, box, code)
    assert [path.read_bytes() for path in (places.tls_key, places.signing_key, places.opening_key)] == keys
    assert box.digits != first_claim.digits
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_certificate") == [(1,)]
    assert Certificate.load(places.certificate).name == BOX


@pytest.mark.process
@pytest.mark.parametrize("after", ["ca.pem", "team-list", "certificate.pem", "agent.toml"])
async def test_a_box_killed_after_any_file_is_enrolled_by_running_it_again(desk: Desk, box: NewBox, after: str) -> None:
    """A real process, ended by SIGKILL right after it renamed a file into place."""
    code = desk.code()
    box.folder.mkdir()
    program = f"""
import asyncio, os, signal
from pathlib import Path
import exchange.durable_file, agent.enrolled_box
from agent.enrolled_box import Places
from agent.enrolling import enrol
from exchange.enrolment_code import EnrolmentCode
real = exchange.durable_file.write_durably
def dying(path, content, *, mode):
    real(path, content, mode=mode)
    if path.name == {after!r}:
        os.kill(os.getpid(), signal.SIGKILL)
agent.enrolled_box.write_durably = dying
async def compare(box, digits):
    return True
config = Path({str(box.config)!r})
places = Places.new(config, state=config.parent / "state")
asyncio.run(enrol(EnrolmentCode.read({str(code)!r}), places, compare=compare))
"""
    async with desk.open_office():
        nurse = asyncio.create_task(desk.nurse())
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
        assert await process.wait() == -signal.SIGKILL
        await nurse
        assert box.config.exists() == (after == "agent.toml")
        if after != "agent.toml":
            await join(desk, box, code)
        else:
            # Enrolled: it has all, and only the team does not know that yet.
            assert rows(desk.folder / "desk.db", "SELECT state FROM enrolment") == [("confirmed",)]
    settings = read_settings(box.config)
    assert Certificate.load(settings.broker.certificate).name == BOX
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_certificate") == [(1,)]


# --- 24: single use, 24 hours, few tries ----------------------------------------------------------


async def test_a_code_that_was_used_is_worth_nothing(desk: Desk, box: NewBox, tmp_path: Path) -> None:
    code = desk.code()
    other = NewBox(tmp_path / "other")
    async with desk.open_office():
        await join(desk, box, code)
        assert reason_of(await refused(other.enrol(code))) is Reason.USED
        assert reason_of(await refused(NewBox(box.folder / "again").enrol(code))) is Reason.USED
    assert not other.config.exists()
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_certificate") == [(1,)]


async def test_of_two_boxes_with_one_code_the_second_is_refused(desk: Desk, box: NewBox, tmp_path: Path) -> None:
    code, second = desk.code(), NewBox(tmp_path / "second")
    async with desk.open_office():
        first = asyncio.create_task(box.enrol(code))
        claim = await desk.claim()
        assert reason_of(await refused(second.enrol(code))) is Reason.USED
        with desk.kept() as kept:
            assert kept.waiting() == (claim,), "the first one's digits still stand"
            assert kept.decide(claim, yes=True, by="Anne", at=now_ms())
        await first
    assert box.config.exists()
    assert not second.config.exists()


async def test_a_code_ends_after_24_hours(desk: Desk, box: NewBox) -> None:
    code = desk.code()
    database = desk.folder / "desk.db"
    ((created, expires),) = rows(database, "SELECT created_at, expires_at FROM enrolment")
    assert isinstance(created, int)
    assert expires == created + 24 * 3_600_000
    with desk.kept() as kept:
        offered = kept.offer(code.place, code.secret, source="a", at=created + 24 * 3_600_000 - 1)
        assert offered == BOX
        with pytest.raises(EnrolmentError, match="expired"):
            kept.offer(code.place, code.secret, source="a", at=created + 24 * 3_600_000)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE enrolment SET expires_at = ?", (now_ms(),))
    async with desk.open_office():
        assert reason_of(await refused(box.enrol(code))) is Reason.EXPIRED
    assert not box.config.exists()


async def test_a_newer_code_for_a_box_voids_the_older_one(desk: Desk, box: NewBox) -> None:
    older, newer = desk.code(), desk.code()
    async with desk.open_office():
        assert reason_of(await refused(box.enrol(older))) is Reason.USED
        await join(desk, box, newer)


async def test_five_wrong_secrets_void_a_code(desk: Desk, box: NewBox) -> None:
    code = desk.code()
    async with desk.open_office():
        for number in range(MOST_WRONG):
            wrong = replace(code, secret=f"{number:016d}")
            assert reason_of(await refused(box.enrol(wrong))) is Reason.CODE
        assert reason_of(await refused(box.enrol(code))) is Reason.TOO_MANY
    assert rows(desk.folder / "desk.db", "SELECT state, wrong FROM enrolment") == [("void", MOST_WRONG)]


async def test_an_address_that_fails_ten_times_is_shut_out_and_starting_again_forgives_nothing(
    desk: Desk, box: NewBox
) -> None:
    code = desk.code()
    async with desk.open_office():
        for number in range(FAILURES):
            unknown = replace(code, place=f"{number:04d}")
            assert reason_of(await refused(box.enrol(unknown))) is Reason.CODE
        assert reason_of(await refused(box.enrol(code))) is Reason.TOO_MANY
    async with desk.open_office():
        assert reason_of(await refused(box.enrol(code))) is Reason.TOO_MANY
    with desk.kept() as kept:
        assert kept.offer(code.place, code.secret, source="192.0.2.1", at=now_ms()) == BOX, "others are not shut out"
        later = now_ms() + FAILURES_MS + 1
        assert kept.offer(code.place, code.secret, source=HOST, at=later) == BOX, "nor is it for ever"


def test_the_team_keeps_a_hash_of_a_code_and_not_the_code(desk: Desk) -> None:
    code = desk.code()
    assert rows(desk.folder / "desk.db", "SELECT secret FROM enrolment") == [(hashed(code.place, code.secret),)]
    for path in desk.folder.glob("desk.db*"):
        assert code.secret.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("fault", ["no root", "another root", "no list"])
def test_a_list_that_a_box_would_not_believe_is_not_given(desk: Desk, fault: str) -> None:
    settings = desk.settings()
    assert settings.enrolment is not None
    root = {"no root": "", "another root": SigningKey.generate().public.hex()}.get(fault, settings.enrolment.root)
    if fault == "no list":
        (desk.folder / "team-list").write_bytes(b"{}")
    settings = replace(settings, enrolment=msgspec.structs.replace(settings.enrolment, root=root))
    with pytest.raises(CoordinationError, match="no list that a box would believe"):
        given_to(settings, BOX)


# --- people say no --------------------------------------------------------------------------------


async def test_when_the_nurse_says_no_the_box_is_told_and_has_nothing(desk: Desk, box: NewBox) -> None:
    code = desk.code()
    async with desk.open_office():
        error = await alone(desk, box, code, yes=False)
        assert reason_of(error) is Reason.REFUSED
        assert "six chiffres" in error.hint.fr
        assert reason_of(await refused(box.enrol(code))) is Reason.REFUSED
    assert not box.config.exists()
    assert not box.places.certificate.exists()
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_certificate") == [(0,)]
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_key") == [(0,)]


async def test_when_whoever_stands_at_the_box_says_no_nothing_is_kept(desk: Desk, box: NewBox) -> None:
    code = desk.code()

    async def no(_: str) -> bool:
        return False

    async with desk.open_office():
        error = await refused(box.enrol(code, agrees=no))
    assert "same" in error.why.en
    assert not box.config.exists()


async def test_when_nobody_compares_the_box_is_told_to_call(desk: Desk, box: NewBox) -> None:
    code = desk.code()
    async with desk.open_office(nurse_s=0.2):
        assert reason_of(await refused(box.enrol(code))) is Reason.NOBODY
    async with desk.open_office():
        await join(desk, box, code)


async def test_a_decision_is_about_the_digits_that_were_compared(desk: Desk, box: NewBox) -> None:
    code = desk.code()
    async with desk.open_office():
        first = asyncio.create_task(box.enrol(code))
        before = await desk.claim()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(box.enrol(code))
        await until(
            lambda: rows(desk.folder / "desk.db", f"SELECT digits = '{before.digits}' FROM enrolment") == [(0,)]
        )
        now = await desk.claim()
        with desk.kept() as kept:
            assert not kept.decide(before, yes=True, by="Anne", at=now_ms())
            assert kept.state(code.place) == "claimed"
            assert kept.decide(now, yes=True, by="Anne", at=now_ms())
        assert (await second).box == BOX


# --- somebody in between --------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(
    authority: Authority, folder: Path, talk: Callable[[StreamReader, StreamWriter], object], *, purpose: str = "server"
) -> AsyncIterator[int]:
    """A TLS server of somebody else's, with a certificate of `authority`."""
    folder.mkdir()  # noqa: ASYNC240 - nobody waits
    key = TlsKey.generate()
    key.save(folder / "key")
    if purpose == "server":
        issued = authority.server(key.csr("impostor"), name="impostor", hosts=(HOST,), at=now_ms())
    else:
        issued = authority.box(key.csr(purpose), purpose, at=now_ms())
    (folder / "pem").write_bytes(issued.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem", folder / "key")

    async def met(reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await talk(reader, writer)  # type: ignore[misc]
        writer.close()

    server = await asyncio.start_server(met, HOST, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_ca_of_another_fingerprint_is_an_impostor_s(desk: Desk, box: NewBox, tmp_path: Path) -> None:
    """Somebody answers at the team's address with a CA of his own."""
    others = Desk(tmp_path / "others", port=desk.port)
    async with others.open_office():
        error = await refused(box.enrol(desk.code()))
    assert "empreinte" in error.why.fr
    assert "numéro connu" in error.hint.fr
    assert not box.folder.joinpath("keys").exists(), "no key is born for him"


async def test_whoever_hands_out_the_true_ca_but_has_no_certificate_of_it_hears_nothing(
    desk: Desk, box: NewBox, tmp_path: Path
) -> None:
    """The CA's certificate is public, so that the first connection proves nothing; the second must."""
    heard: list[bytes] = []
    others = Desk(tmp_path / "others")
    true_ca = desk.authority.ca.read_bytes()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await receive(reader, AuthorityRequest)
        await send(writer, AuthorityAnswer(true_ca))
        heard.append(await reader.read(1000))

    async with serving(others.authority, tmp_path / "impostor", talk) as port:
        code = replace(desk.code(), port=port)
        error = await refused(box.enrol(code))
    assert "n'est pas l'équipe" in error.why.fr
    assert code.secret.encode() not in b"".join(heard)
    assert not box.config.exists()


async def test_another_box_s_certificate_cannot_play_the_team(desk: Desk, box: NewBox, tmp_path: Path) -> None:
    true_ca = desk.authority.ca.read_bytes()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await receive(reader, AuthorityRequest)
        await send(writer, AuthorityAnswer(true_ca))
        await reader.read()

    async with serving(desk.authority, tmp_path / "stolen", talk, purpose="box-0666") as port:
        error = await refused(box.enrol(replace(desk.code(), port=port)))
    assert "n'est pas l'équipe" in error.why.fr


async def test_a_man_in_the_middle_with_the_code_shows_other_digits_on_each_side(
    desk: Desk, box: NewBox, tmp_path: Path
) -> None:
    """He photographed the code and put his own QR in its place: the box believes his CA, the team believes his keys."""
    true_code = desk.code()
    evil = Desk(tmp_path / "evil")
    own_code = evil.code()
    box_context = ssl.create_default_context(cafile=desk.authority.ca)
    async with desk.open_office(), evil.open_office():
        shown_at_box = asyncio.create_task(box.enrol(own_code))
        at_box = await evil.claim()
        reader, writer = await asyncio.open_connection(HOST, desk.port, ssl=box_context)
        signing, tls = SigningKey.generate(), TlsKey.generate()
        machine = Machine(csr=tls.csr("evil"), signing=signing.public.hex(), opening="aa" * 32)
        nonce = secrets.token_bytes(32)
        hello = Hello(v=1, place=true_code.place, secret=true_code.secret, commitment=commitment(nonce, machine))
        await send(writer, hello)
        offer = await receive(reader, Offer)
        conversation = transcript(
            ca=desk.authority.ca.read_bytes(), hello=hello, offer=offer, nonce=nonce, machine=machine
        )
        await send(writer, Opening(nonce=nonce, machine=machine, proof=signing.sign(proof_of(conversation))))
        at_desk = await desk.claim()
        assert at_desk.digits == digits(conversation)
        assert at_box.digits == box.digits
        assert at_desk.digits != at_box.digits, "one in a million that this fails by chance"
        with desk.kept() as kept:
            assert kept.decide(at_desk, yes=at_desk.digits == box.digits, by="Anne", at=now_ms())
        with pytest.raises(EnrolmentError, match="refused"):
            await receive(reader, Grant)
        writer.close()
        shown_at_box.cancel()
        await asyncio.gather(shown_at_box, return_exceptions=True)
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_certificate") == [(0,)]
    assert not box.config.exists()


async def test_whoever_opens_with_other_keys_than_he_committed_to_is_refused(desk: Desk) -> None:
    """He waits for the team's nonce and then looks for keys whose digits suit him: too late."""
    code = desk.code()
    context = ssl.create_default_context(cafile=desk.authority.ca)
    signing = SigningKey.generate()
    async with desk.open_office():
        reader, writer = await asyncio.open_connection(HOST, desk.port, ssl=context)
        committed = Machine(csr=TlsKey.generate().csr("one"), signing=signing.public.hex(), opening="aa" * 32)
        nonce = secrets.token_bytes(32)
        hello = Hello(v=1, place=code.place, secret=code.secret, commitment=commitment(nonce, committed))
        await send(writer, hello)
        offer = await receive(reader, Offer)
        other_nonce = secrets.token_bytes(32)
        conversation = transcript(
            ca=desk.authority.ca.read_bytes(), hello=hello, offer=offer, nonce=other_nonce, machine=committed
        )
        await send(writer, Opening(nonce=other_nonce, machine=committed, proof=signing.sign(proof_of(conversation))))
        with pytest.raises(EnrolmentError, match="commitment"):
            await receive(reader, Grant)
        writer.close()
    with desk.kept() as kept:
        assert kept.waiting() == ()


async def test_whoever_shows_keys_that_he_does_not_hold_is_refused(desk: Desk, box: NewBox) -> None:
    code = desk.code()
    async with desk.open_office():
        await join(desk, box, code)
        theirs = SigningKey.load(box.places.signing_key).public.hex()
        code = desk.code()
        context = ssl.create_default_context(cafile=desk.authority.ca)
        reader, writer = await asyncio.open_connection(HOST, desk.port, ssl=context)
        machine = Machine(csr=TlsKey.generate().csr("thief"), signing=theirs, opening="aa" * 32)
        nonce = secrets.token_bytes(32)
        hello = Hello(v=1, place=code.place, secret=code.secret, commitment=commitment(nonce, machine))
        await send(writer, hello)
        offer = await receive(reader, Offer)
        conversation = transcript(
            ca=desk.authority.ca.read_bytes(), hello=hello, offer=offer, nonce=nonce, machine=machine
        )
        forged = SigningKey.generate().sign(proof_of(conversation))
        await send(writer, Opening(nonce=nonce, machine=machine, proof=forged))
        with pytest.raises(EnrolmentError, match="proof"):
            await receive(reader, Grant)
        writer.close()


async def test_a_man_in_the_middle_may_look_at_few_nonces(desk: Desk, box: NewBox) -> None:
    """Who hangs up whenever the digits would not suit him has used the code up after five."""
    code = desk.code()
    context = ssl.create_default_context(cafile=desk.authority.ca)
    async with desk.open_office():
        for _ in range(MOST_OFFERS):
            reader, writer = await asyncio.open_connection(HOST, desk.port, ssl=context)
            hello = Hello(v=1, place=code.place, secret=code.secret, commitment=secrets.token_bytes(32))
            await send(writer, hello)
            await receive(reader, Offer)
            writer.close()
        assert reason_of(await refused(box.enrol(code))) is Reason.TOO_MANY
    assert rows(desk.folder / "desk.db", "SELECT state FROM enrolment") == [("void",)]


async def test_what_is_given_must_be_what_was_offered(desk: Desk, box: NewBox) -> None:
    """A team that would offer one thing, have it compared, and give another."""
    code = desk.code()
    true_send = send

    async def another(writer: StreamWriter, frame: object) -> None:
        if isinstance(frame, Grant):
            given = msgspec.structs.replace(decode_given(frame.given), broker="evil.example.org")
            frame = Grant(given=msgspec.msgpack.encode(given), certificate=frame.certificate)
        await true_send(writer, frame)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coordination.office.send", another)
        async with desk.open_office():
            nurse = asyncio.create_task(desk.nurse())
            error = await refused(box.enrol(code))
            await nurse
    assert reason_of(error) is Reason.MALFORMED
    assert not box.config.exists()


DEEP = b"\x82\xa1x" + b"\x91" * 10_000 + b"\xc0\xa4type\xa5hello"
DEEP = len(DEEP).to_bytes(4, "big") + DEEP
"""A beginning in which an array is in an array without end, before it says what it is."""


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x05hello", b"\xff\xff\xff\xff", b"\x00\x00\x00\x02\x81\xa1", DEEP, b""],
)
async def test_noise_is_refused_and_the_office_stays_open(desk: Desk, box: NewBox, noise: bytes) -> None:
    context = ssl.create_default_context(cafile=desk.authority.ca)
    async with desk.open_office():
        _, writer = await asyncio.open_connection(HOST, desk.port, ssl=context)
        writer.write(noise)
        await writer.drain()
        await join(desk, box, desk.code())
        writer.close()


# --- a box that was here before -------------------------------------------------------------------


async def test_a_box_that_was_away_too_long_comes_back_with_its_keys_and_its_settings(desk: Desk, box: NewBox) -> None:
    async with desk.open_office():
        await join(desk, box, desk.code())
        box.config.write_text(box.config.read_text() + "\n# a note of the installer\n")
        before = box.config.read_bytes()
        settings = read_settings(box.config)
        old = Certificate.load(settings.broker.certificate)
        places = Places.of(settings, box.config)
        code = desk.code()
        joining = asyncio.create_task(box.enrol(code, places=places))
        claim = await desk.nurse()
        enrolled = await joining
    assert claim.known is Known.SAME
    assert not enrolled.first
    assert box.config.read_bytes() == before
    assert Certificate.load(settings.broker.certificate).serial != old.serial
    assert rows(desk.folder / "desk.db", "SELECT count(*) FROM box_key WHERE revoked_at IS NULL") == [(2,)]


async def test_another_machine_under_the_same_name_is_told_and_replaces_the_old_one(
    desk: Desk, box: NewBox, tmp_path: Path
) -> None:
    other = NewBox(tmp_path / "other")
    async with desk.open_office():
        await join(desk, box, desk.code())
        code = desk.code()
        joining = asyncio.create_task(other.enrol(code))
        claim = await desk.nurse()
        await joining
    assert claim.known is Known.OTHER
    old, new = (SigningKey.load(machine.places.signing_key).id for machine in (box, other))
    query = "SELECT key, ended_at IS NULL, revoked_at IS NULL FROM box_key WHERE purpose = 'signing'"
    assert set(rows(desk.folder / "desk.db", query)) == {(old, 0, 1), (new, 1, 1)}, "replaced is not revoked"
    ((name, taken),) = desk.taken
    assert name == BOX
    assert taken.serials == (Certificate.load(box.places.certificate).serial,)


async def test_revoked_keys_never_come_back_and_new_ones_do(desk: Desk, box: NewBox) -> None:
    async with desk.open_office():
        await join(desk, box, desk.code())
        revoke_at_inbox(desk.folder / "desk.db", BOX, listed={}, reason="stolen", at=now_ms())
        places = Places.of(read_settings(box.config), box.config)
        error = await refused(box.enrol(desk.code(), places=places))
        assert reason_of(error) is Reason.REVOKED
        assert "--new-keys" in error.hint.fr
        moved = places.set_keys_aside()
        assert len(moved) == 3
        code = desk.code()
        joining = asyncio.create_task(box.enrol(code, places=places))
        claim = await desk.nurse()
        await joining
    assert claim.known is Known.NEW, "no other machine has the box's keys"


@pytest.mark.parametrize("spelling", ["{}\n", " {}", "{}\0"])
def test_a_key_has_one_spelling(spelling: str) -> None:
    """Or a revoked key could come back with a line break after it."""
    machine = Machine(csr=b"csr", signing=spelling.format("aa" * 32), opening="bb" * 32)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(machine), type=Machine)


async def test_the_keys_of_one_box_are_not_another_s(desk: Desk, box: NewBox, tmp_path: Path) -> None:
    """A card that was copied: two machines with the same keys."""
    copy = NewBox(tmp_path / "copy")
    async with desk.open_office():
        await join(desk, box, desk.code())
        copy.folder.mkdir()
        (copy.folder / "keys").mkdir(mode=0o700)
        for path in (box.folder / "keys").glob("*.key"):
            target = copy.folder / "keys" / path.name
            target.write_bytes(path.read_bytes())
            target.chmod(0o600)
        error = await refused(copy.enrol(desk.code("box-0008")))
    assert reason_of(error) is Reason.OTHER_BOX
    assert "copiée" in error.why.fr


async def test_a_code_for_another_box_changes_nothing(desk: Desk, box: NewBox) -> None:
    async with desk.open_office():
        await join(desk, box, desk.code())
        before = {path: path.read_bytes() for path in box.folder.rglob("*") if path.is_file()}
        places = Places.of(read_settings(box.config), box.config)
        error = await refused(box.enrol(desk.code("box-0008"), places=places))
        assert "box-0008" in error.why.en
    assert {path: path.read_bytes() for path in box.folder.rglob("*") if path.is_file()} == before


async def test_a_team_whose_list_another_root_signed_is_not_believed_again(desk: Desk, box: NewBox) -> None:
    """Whoever took over the desk, but has not the root, cannot make a box that pinned it believe other people."""
    async with desk.open_office():
        await join(desk, box, desk.code())
        team = box.places.team.read_bytes()
        thief = Desk(desk.folder / "thief")
        (desk.folder / "team-list").write_bytes((thief.folder / "team-list").read_bytes())
        desk.root = thief.root
        places = Places.of(read_settings(box.config), box.config)
        code = desk.code()
        nurse = asyncio.create_task(desk.nurse())
        error = await refused(box.enrol(code, places=places))
        await nurse
    assert reason_of(error) is Reason.MALFORMED
    assert box.places.team.read_bytes() == team


# --- what an installer meets ----------------------------------------------------------------------


async def test_a_box_whose_clock_is_wrong_is_told_so(desk: Desk, box: NewBox, tmp_path: Path) -> None:
    """The team's certificate does not hold yet, as for a box that believes it is 1970."""
    authority = Authority.create(tmp_path / "future", at=now_ms() + 86_400_000)
    desk.authority_folder = tmp_path / "future"
    del authority
    async with desk.open_office():
        error = await refused(box.enrol(desk.code()))
    assert "date" in error.why.fr
    assert "l'heure" in error.hint.fr or "attendre" in error.hint.fr


async def test_a_team_that_does_not_answer_is_told_with_the_next_step(desk: Desk, box: NewBox) -> None:
    error = await refused(box.enrol(desk.code()))
    assert str(desk.port) in error.why.fr
    assert "veilleur-desk enrol" in error.hint.fr


def test_two_installs_share_no_secret(desk: Desk, tmp_path: Path) -> None:
    """23: no key, code or CA of one installation is another's."""
    other = Desk(tmp_path / "other")
    first, second = desk.code(), other.code()
    assert first.secret != second.secret
    assert fingerprint(desk.authority.ca.read_bytes()) != fingerprint(other.authority.ca.read_bytes())
    one, two = (NewBox(tmp_path / name).places.born() for name in ("one", "two"))
    assert one.signing.public != two.signing.public
    assert one.opening.public != two.opening.public
    assert one.csr != two.csr
    files = {}
    for folder in (desk.folder, other.folder, tmp_path / "one", tmp_path / "two"):
        for path in folder.rglob("*.key"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            files[path] = path.read_bytes()
    assert len(set(files.values())) == len(files)
