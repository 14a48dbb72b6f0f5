"""A box that was taken out: refused at a real mosquitto and at the inbox, thrown out where it stands; others go on."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coordination.authority import Authority
from coordination.box_identity import BoxKeys, opening_key, signing_key
from coordination.broker_control import BrokerControlError
from coordination.enrol_command import office_of
from coordination.errors import CoordinationError
from coordination.fleet import Standing, boxes
from coordination.inbox import run as run_inbox
from coordination.office import now_ms
from coordination.revoking import control, revoke, revoke_at_inbox
from coordination.sqlite_file import connect
from devices.clock import SystemClock
from exchange.certificates import Certificate
from exchange.connection import LinkSettings
from exchange.errors import LinkError
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.link import Link
from exchange.messages import Status
from exchange.sealing import Sealer, sign_status
from exchange.topics import COMMANDS, OBSERVATIONS, RECEIPTS, STATUS, topic
from simulators.broker import Broker, ClientFiles
from tests.coordination.enrolment_kit import BOX, PATIENCE_S, Desk, NewBox, join, until
from tests.coordination.kit import EPOCH, glucose, rows

pytestmark = pytest.mark.broker
FIVE_MINUTES_S = 300.0


@pytest.fixture(scope="module")
def only_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def broker(only_broker: Broker) -> Broker:
    only_broker.start()
    return only_broker


@pytest.fixture
def desk(broker: Broker, tmp_path: Path) -> Desk:
    """A team whose authority is the broker's, and that reloads it as `systemctl reload` would."""
    return Desk(
        tmp_path / "desk",
        broker_port=broker.port,
        reload=("kill", "-HUP", str(broker.pid)),
        acl=broker.log.parent / "acl",
        authority_folder=broker.certificates.authority.ca.parent,
    )


def link_settings(broker: Broker, files: ClientFiles, client_id: str, **other: object) -> LinkSettings:
    arguments: dict[str, object] = {
        "host": broker.host,
        "port": broker.port,
        "client_id": client_id,
        "ca": files.ca,
        "certificate": files.certificate,
        "key": files.key,
        "session_expiry_s": 0,
        "clean_start": True,
        "retry_first_s": 0.02,
        "retry_cap_s": 0.1,
        **other,
    }
    return LinkSettings(**arguments)  # type: ignore[arg-type]


def files_of(box: NewBox) -> ClientFiles:
    places = box.places
    return ClientFiles(ca=places.ca, certificate=places.certificate, key=places.tls_key)


async def enrolled(desk: Desk, folder: Path, name: str) -> NewBox:
    box = NewBox(folder)
    async with desk.open_office():
        await join(desk, box, desk.code(name))
    return box


async def gone(link: Link) -> None:
    await until(lambda: not link.connected)


# --- 27 -------------------------------------------------------------------------------------------


async def test_a_revoked_box_is_thrown_out_and_refused_within_five_minutes_and_no_other_is(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    """27: with the shipped configuration, at a real mosquitto that is only sent SIGHUP."""
    stolen = await enrolled(desk, tmp_path / "stolen", "box-0021")
    healthy = await enrolled(desk, tmp_path / "healthy", "box-0022")
    async with (
        Link(link_settings(broker, files_of(stolen), "box-0021")) as thief,
        Link(link_settings(broker, files_of(healthy), "box-0022")) as other,
    ):
        async with asyncio.timeout(PATIENCE_S):
            await thief.wait_connected()
            await other.wait_connected()
        generation = other.generation
        began = time.monotonic()
        taken, outcome = await revoke(desk.settings("box-0021"), "box-0021", reason="volé", serials=(), at=now_ms())
        assert isinstance(outcome, float), outcome
        await gone(thief)
        took = time.monotonic() - began
        assert took < FIVE_MINUTES_S, "the requirement itself, not a figure of speed"
        assert taken.keys == 1
        assert taken.serials == (Certificate.load(stolen.places.certificate).serial,)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await thief.wait_connected()
        assert await other.publish(topic("box-0022", OBSERVATIONS), b"goes on") in {0, 16}
        assert other.generation == generation, "another box was not even disconnected"
    print(f"\nrevocation effective at mosquitto after {took:.2f} s")


async def test_a_thief_with_a_client_id_of_his_own_can_say_and_hear_nothing_any_more(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    """Nobody can throw him out by his id: the broker's access list denies him every topic."""
    stolen = await enrolled(desk, tmp_path / "stolen", "box-0023")
    inbox = broker.certificates.client("inbox-1")
    heard: list[tuple[str, bytes]] = []

    async def listen(link: Link) -> None:
        async for message in link.messages():
            heard.append((message.topic, message.payload))
            message.acknowledge()

    async with (
        Link(link_settings(broker, files_of(stolen), "nobody-s-business")) as thief,
        Link(link_settings(broker, inbox, "inbox-1")) as team,
    ):
        await thief.subscribe([topic("box-0023", RECEIPTS), topic("box-0023", COMMANDS)])
        await team.subscribe(["veilleur/v1/+/obs"])
        async with asyncio.timeout(PATIENCE_S):
            await thief.wait_connected()
            await team.wait_connected()
        listening = [asyncio.create_task(listen(link)) for link in (thief, team)]
        await thief.publish(topic("box-0023", OBSERVATIONS), b"before")
        await team.publish(topic("box-0023", COMMANDS), b"before")
        await until(lambda: len(heard) == 2)
        _, outcome = await revoke(desk.settings("box-0023"), "box-0023", reason="volé", serials=(), at=now_ms())
        assert isinstance(outcome, float), outcome
        assert thief.connected
        with pytest.raises(LinkError) as refused:
            await thief.publish(topic("box-0023", OBSERVATIONS), b"after")
        assert refused.value.reason_code == 0x87
        await team.publish(topic("box-0023", COMMANDS), b"after")
        await team.publish(topic("box-0023", RECEIPTS), b"after")
        # What was said to a box that may hear comes after: had the thief been sent anything, it would be here.
        healthy = await enrolled(desk, tmp_path / "healthy", "box-0024")
        async with Link(link_settings(broker, files_of(healthy), "box-0024")) as other:
            await other.wait_connected()
            await other.publish(topic("box-0024", OBSERVATIONS), b"last")
            await until(lambda: heard[-1][1] == b"last")
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    assert not [item for item in heard if item[1] == b"after"]


async def test_a_second_revocation_in_the_same_second_is_taken_up_too(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    """OpenSSL takes the list of the later date; one dated in the future would have it refuse everybody."""
    names = ["box-0031", "box-0032", "box-0033"]
    machines = [await enrolled(desk, tmp_path / name, name) for name in names]
    at = now_ms()
    for name in names[:2]:
        _, outcome = await revoke(desk.settings(name), name, reason="perdu", serials=(), at=at)
        assert isinstance(outcome, float), outcome
    for name, machine, let_in in zip(names, machines, (False, False, True), strict=True):
        async with Link(link_settings(broker, files_of(machine), name)) as link:
            if let_in:
                async with asyncio.timeout(PATIENCE_S):
                    await link.wait_connected()
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await link.wait_connected()


async def test_a_revocation_that_the_broker_does_not_act_on_is_told_and_can_be_run_again(
    broker: Broker, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = await enrolled(desk, tmp_path / "stolen", "box-0041")
    signing = SigningKey.load(stolen.places.signing_key)
    monkeypatch.setattr("coordination.broker_control.PROOF_S", 0.5)
    for reload, word in (((), "reload"), (("false",), "false"), (("true",), "encore")):
        desk.reload = reload
        _, outcome = await revoke(desk.settings("box-0041"), "box-0041", reason="volé", serials=(), at=now_ms())
        assert isinstance(outcome, BrokerControlError)
        assert word in outcome.why.fr + outcome.hint.fr
        async with BoxKeys(desk.folder / "desk.db", {}) as keys:
            assert keys.signer_of("box-0041", signing.id) is None, "the inbox refuses it whatever the broker does"
    desk.reload = ("kill", "-HUP", str(broker.pid))
    taken, outcome = await revoke(desk.settings("box-0041"), "box-0041", reason="volé", serials=(), at=now_ms())
    assert isinstance(outcome, float), outcome
    assert taken.keys == 0, "it had none left"


async def test_a_broker_that_is_away_is_told(desk: Desk, tmp_path: Path) -> None:
    await enrolled(desk, tmp_path / "stolen", "box-0042")
    desk.broker_port = 1
    _, outcome = await revoke(desk.settings("box-0042"), "box-0042", reason="volé", serials=(), at=now_ms())
    assert isinstance(outcome, BrokerControlError)
    assert "remettre en marche" in outcome.hint.fr


async def test_a_box_that_does_not_exist_is_not_revoked(desk: Desk) -> None:
    connect(desk.folder / "desk.db").close()
    with pytest.raises(CoordinationError, match="no box 'box-9999'"):
        await revoke(desk.settings(), "box-9999", reason="volé", serials=(), at=now_ms())


async def test_a_certificate_made_by_hand_is_revoked_by_its_file(broker: Broker, desk: Desk) -> None:
    files = broker.certificates.client("box-0043")
    desk.listed["box-0043"] = SigningKey.generate()
    serial = Certificate.load(files.certificate).serial
    settings = desk.settings("box-0043")
    taken, outcome = await revoke(settings, "box-0043", reason="retiré", serials=(serial,), at=now_ms())
    assert isinstance(outcome, float), outcome
    assert taken.keys == 1
    async with Link(link_settings(broker, files, "box-0043")) as link:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await link.wait_connected()


async def test_a_name_that_was_denied_can_be_given_to_a_new_machine(broker: Broker, desk: Desk, tmp_path: Path) -> None:
    await enrolled(desk, tmp_path / "old", "box-0044")
    settings = desk.settings("box-0044")
    await revoke(settings, "box-0044", reason="volé", serials=(), at=now_ms())
    assert desk.acl is not None
    assert "user box-0044\ntopic deny #" in desk.acl.read_text()
    mode = desk.acl.stat().st_mode
    new = NewBox(tmp_path / "new")
    code = desk.code("box-0044")
    async with office_of(settings).opened():
        await join(desk, new, code)
    assert "box-0044" not in desk.acl.read_text()
    assert desk.acl.stat().st_mode == mode
    async with Link(link_settings(broker, files_of(new), "box-0044")) as link:
        async with asyncio.timeout(PATIENCE_S):
            await link.wait_connected()
            while True:
                # The broker may not have read its list again yet.
                with contextlib.suppress(LinkError):
                    await link.publish(topic("box-0044", OBSERVATIONS), b"here I am")
                    break


async def test_the_machine_that_was_replaced_is_thrown_out(broker: Broker, desk: Desk, tmp_path: Path) -> None:
    old, new = await enrolled(desk, tmp_path / "old", "box-0045"), NewBox(tmp_path / "new")
    settings = desk.settings("box-0045")
    async with Link(link_settings(broker, files_of(old), "box-0045")) as link:
        async with asyncio.timeout(PATIENCE_S):
            await link.wait_connected()
        async with office_of(settings).opened():
            await join(desk, new, desk.code("box-0045"))
        await gone(link)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await link.wait_connected()
    async with Link(link_settings(broker, files_of(new), "box-0045")) as link:
        async with asyncio.timeout(PATIENCE_S):
            await link.wait_connected()


# --- the inbox ------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def inbox_running(desk: Desk, broker: Broker, name: str) -> AsyncIterator[None]:
    files = broker.certificates.client("inbox-1")
    settings = desk.settings(name)
    settings = replace(
        settings,
        broker=type(settings.broker)(
            host=broker.host,
            port=broker.port,
            ca=str(files.ca),
            certificate=str(files.certificate),
            key=str(files.key),
            client_id="inbox-1",
        ),
    )
    work = asyncio.create_task(run_inbox(settings, SystemClock()))
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def sealed(desk: Desk, box: str, key: SigningKey, first: int) -> bytes:
    sealer = Sealer(box=box, signing_key=key, recipients=[Recipient.of(desk.opening, RecipientRole.TEAM)])
    record = glucose(first, patient=f"patient-{box[4:]}")
    return sealer.seal(epoch=EPOCH, first=first, lane=1, created=now_ms(), records=[record])


def status(box: str, key: SigningKey) -> bytes:
    return sign_status(
        Status(
            state="online",
            box=box,
            epoch=EPOCH,
            session="1" * 32,
            next_seq=1,
            backlog=0,
            version="0.1.0",
            protocols={},
            at=now_ms(),
        ),
        key,
    )


async def test_the_inbox_believes_a_box_from_its_enrolment_to_its_revocation_without_a_restart(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    name = "box-0051"
    database = desk.folder / "desk.db"
    async with inbox_running(desk, broker, name):
        box = await enrolled(desk, tmp_path / "box", name)
        key = SigningKey.load(box.places.signing_key)

        async def counted(query: str, number: int) -> None:
            await until(lambda: rows(database, query) == [(number,)])

        async def publish(channel: str, payload: bytes) -> None:
            while await link.publish(topic(name, channel), payload) != 0:  # noqa: ASYNC110 - no subscriber yet
                await asyncio.sleep(0.02)

        async with Link(link_settings(broker, files_of(box), name)) as link:
            async with asyncio.timeout(PATIENCE_S):
                await link.wait_connected()
                await publish(STATUS, status(name, key))
                await publish(OBSERVATIONS, sealed(desk, name, key, 0))
            await counted("SELECT count(*) FROM observation", 1)
            (line,) = boxes(database, {}, at=now_ms())
            assert (line.box, line.standing, line.state) == (name, Standing.ENROLLED, "online")
            assert line.certificate_until == Certificate.load(box.places.certificate).not_after
            revoke_at_inbox(database, name, listed={}, reason="volé", at=now_ms())
            # The broker was not told yet: it still carries what the box says, and the inbox believes none of it.
            await link.publish(topic(name, OBSERVATIONS), sealed(desk, name, key, 1))
            await counted("SELECT coalesce(sum(count), 0) FROM inbox_dead_letter_count WHERE reason = 'signer'", 1)
            assert rows(database, "SELECT count(*) FROM observation") == [(1,)]
            (line,) = boxes(database, {}, at=now_ms())
            assert line.standing is Standing.REVOKED


async def test_a_box_of_the_settings_that_was_revoked_is_refused_all_the_same(desk: Desk) -> None:
    key = SigningKey.generate()
    listed = {BOX: {key.id: key.public}}
    database = desk.folder / "desk.db"
    connect(database).close()
    async with BoxKeys(database, listed) as keys:
        assert keys.signer_of(BOX, key.id) == key.public
        assert keys.signer_of("box-0008", key.id) is None
        revoke_at_inbox(database, BOX, listed=listed, reason="volé", at=now_ms())
        assert keys.signer_of(BOX, key.id) is None


async def test_what_is_sealed_to_a_box_is_sealed_to_the_key_that_it_holds(desk: Desk, tmp_path: Path) -> None:
    box = await enrolled(desk, tmp_path / "box", "box-0052")
    database = desk.folder / "desk.db"
    with contextlib.closing(connect(database)) as connection:
        signing = SigningKey.load(box.places.signing_key)
        assert opening_key(connection, "box-0052") == OpeningKey.load(box.places.opening_key).public
        assert signing_key(connection, "box-0052", signing.id, listed={}) == signing.public
        assert opening_key(connection, "box-0053") is None
        revoke_at_inbox(database, "box-0052", listed={}, reason="volé", at=now_ms())
        assert opening_key(connection, "box-0052") is None


# --- 28 -------------------------------------------------------------------------------------------


async def test_a_box_can_neither_speak_as_another_nor_hear_what_is_for_it(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    """28, by messages delivered: the broker grants subscriptions that it then serves nothing."""
    a, b = [await enrolled(desk, tmp_path / name, name) for name in ("box-0061", "box-0062")]
    heard: dict[str, list[tuple[str, bytes]]] = {"a": [], "b": [], "team": []}
    inbox = broker.certificates.client("inbox-1")

    async def listen(who: str, link: Link) -> None:
        async for message in link.messages():
            heard[who].append((message.topic, message.payload))
            message.acknowledge()

    async with (
        Link(link_settings(broker, files_of(a), "box-0061")) as link_a,
        Link(link_settings(broker, files_of(b), "box-0062")) as link_b,
        Link(link_settings(broker, inbox, "inbox-1")) as team,
    ):
        links = {"a": link_a, "b": link_b, "team": team}
        with contextlib.suppress(LinkError):
            await link_a.subscribe(["#"])
        with contextlib.suppress(LinkError):
            await link_a.subscribe([topic("box-0062", channel) for channel in (RECEIPTS, COMMANDS, OBSERVATIONS)])
        with contextlib.suppress(LinkError):
            await link_a.subscribe(["veilleur/v1/+/receipt", "$share/inbox/veilleur/v1/+/obs"])
        await link_a.subscribe([topic("box-0061", RECEIPTS)])
        await link_b.subscribe([topic("box-0062", channel) for channel in (RECEIPTS, COMMANDS)])
        await team.subscribe(["veilleur/v1/+/obs", "veilleur/v1/+/alert", "veilleur/v1/+/status"])
        async with asyncio.timeout(PATIENCE_S):
            for link in links.values():
                await link.wait_connected()
        listening = [asyncio.create_task(listen(who, link)) for who, link in links.items()]
        for channel in (OBSERVATIONS, "alert", STATUS, RECEIPTS, COMMANDS, "cmdack"):
            with pytest.raises(LinkError) as refused:
                await link_a.publish(topic("box-0062", channel), b"a as b")
            assert refused.value.reason_code == 0x87
        for channel in (RECEIPTS, COMMANDS):
            with pytest.raises(LinkError):
                await link_a.publish(topic("box-0061", channel), b"a to itself")
        await link_b.publish(topic("box-0062", OBSERVATIONS), b"b as b")
        for channel in (RECEIPTS, COMMANDS):
            await team.publish(topic("box-0062", channel), b"for b")
        await team.publish(topic("box-0061", RECEIPTS), b"the end")
        await until(lambda: (topic("box-0061", RECEIPTS), b"the end") in heard["a"])
        await until(lambda: len(heard["b"]) == 2 and bool(heard["team"]))
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    # Once for each subscription that covers it.
    assert set(heard["a"]) == {(topic("box-0061", RECEIPTS), b"the end")}
    assert sorted(heard["b"]) == sorted((topic("box-0062", channel), b"for b") for channel in (RECEIPTS, COMMANDS))
    assert heard["team"] == [(topic("box-0062", OBSERVATIONS), b"b as b")]


async def test_a_box_that_takes_another_s_client_id_hears_none_of_what_waited_for_it(
    broker: Broker, desk: Desk, tmp_path: Path
) -> None:
    """mosquitto lets any client take any id; what it had kept for the other is checked again, and not handed over."""
    a, b = [await enrolled(desk, tmp_path / name, name) for name in ("box-0063", "box-0064")]
    inbox = broker.certificates.client("inbox-1")
    kept = {"session_expiry_s": 600, "clean_start": False}
    heard: list[tuple[str, bytes]] = []
    async with Link(link_settings(broker, inbox, "inbox-1")) as team:
        async with Link(link_settings(broker, files_of(b), "box-0064", **kept)) as link_b:
            await link_b.subscribe([topic("box-0064", COMMANDS)])
            async with asyncio.timeout(PATIENCE_S):
                await link_b.wait_connected()
                await team.wait_connected()
        assert await team.publish(topic("box-0064", COMMANDS), b"for b") == 0, "the broker keeps it for b"
        async with Link(link_settings(broker, files_of(a), "box-0064", **kept)) as link_a:
            async with asyncio.timeout(PATIENCE_S):
                await link_a.wait_connected()

            async def listen() -> None:
                async for message in link_a.messages():
                    heard.append((message.topic, message.payload))
                    message.acknowledge()

            listening = asyncio.create_task(listen())
            await link_a.subscribe([topic("box-0063", RECEIPTS)])
            await team.publish(topic("box-0064", COMMANDS), b"for b again")
            await team.publish(topic("box-0063", RECEIPTS), b"the end")
            await until(lambda: bool(heard) and heard[-1][1] == b"the end")
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    assert heard == [(topic("box-0063", RECEIPTS), b"the end")]


async def test_a_box_is_never_given_a_worker_s_name(desk: Desk) -> None:
    """The broker's rules give inbox-1 every box's topics."""
    authority = Authority.open(desk.authority_folder or Path())
    csr = NewBox(desk.folder / "box").places.born().csr
    for name in ("inbox-1", "inbox-2", "desk-probe", "box/1", "+", "#", "BOX-1", "ab"):
        with pytest.raises(CoordinationError, match="cannot be a box"):
            authority.box(csr, name, at=now_ms())
    with pytest.raises(CoordinationError, match="cannot be a program"):
        authority.program(csr, "box-0001", at=now_ms())
    assert control(desk.settings()).authority.ca == authority.ca
