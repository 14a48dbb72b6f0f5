"""The link over a real mosquitto with mutual TLS and the shipped ACL, and over a cable that can be cut or held."""

import asyncio
import contextlib
import itertools
import logging
import shutil
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import pytest

from exchange.connection import NO_MATCHING_SUBSCRIBERS, SUCCESS, WINDOW, Connection, LinkSettings, Message
from exchange.errors import LinkError
from exchange.link import Link
from exchange.topics import ALERTS, COMMAND_ACKS, COMMANDS, OBSERVATIONS, RECEIPTS, STATUS, every_box, topic
from simulators.broker import HOST, Broker, Certificates

pytestmark = pytest.mark.broker

PATIENCE_S = 20.0
Settle = Callable[..., LinkSettings]

_boxes = itertools.count(1)


@pytest.fixture(scope="module")
def only_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def broker(only_broker: Broker) -> Broker:
    only_broker.start()
    return only_broker


@pytest.fixture
def box() -> str:
    """A box that the broker has not met."""
    return f"box-{next(_boxes):04d}"


@pytest.fixture
def settle(broker: Broker) -> Settle:
    def make(name: str, **other: object) -> LinkSettings:
        files = broker.certificates.client(name)
        arguments: dict[str, object] = {
            "host": broker.host,
            "port": broker.port,
            "client_id": name,
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

    return make


@contextlib.asynccontextmanager
async def up(settings: LinkSettings, *topics: str) -> AsyncIterator[Link]:
    async with asyncio.timeout(PATIENCE_S), Link(settings) as link:
        await link.subscribe(topics)
        await link.wait_connected()
        yield link


async def take(link: Link, count: int, *, acknowledge: bool = True) -> list[Message]:
    taken: list[Message] = []
    async with aclosing(link.messages()) as stream:
        while len(taken) < count:
            taken.append(await anext(stream))
            if acknowledge:
                taken[-1].acknowledge()
    return taken


async def refusal(link: Link, topic_name: str) -> int | None:
    with pytest.raises(LinkError) as caught:
        await link.publish(topic_name, b"x")
    return caught.value.reason_code


class Warnings(logging.Handler):
    """What the link complains of, as it comes."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.put_nowait(record.getMessage())


@pytest.fixture
def warnings() -> Iterator[Warnings]:
    handler = Warnings()
    logger = logging.getLogger("exchange.link")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


class Cable:
    """A TCP path to the broker that can be cut, or held without being cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Cable"]:
        server = await asyncio.start_server(self._join, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            self.release()
            self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(HOST, self._to)
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


@pytest.fixture
def cable(broker: Broker) -> AbstractAsyncContextManager[Cable]:
    return Cable(broker.port).laid()


# Messages.


async def test_what_a_box_publishes_reaches_the_inbox(settle: Settle, box: str) -> None:
    async with up(settle("inbox-1"), every_box(OBSERVATIONS), every_box(ALERTS)) as inbox, up(settle(box)) as sender:
        assert await sender.publish(topic(box, OBSERVATIONS), b"sealed") == SUCCESS
        assert await sender.publish(topic(box, ALERTS), bytes(65536)) == SUCCESS
        first, second = await take(inbox, 2)
        assert (first.topic, first.payload, first.retained) == (topic(box, OBSERVATIONS), b"sealed", False)
        assert (second.topic, second.payload) == (topic(box, ALERTS), bytes(65536))


async def test_a_receipt_and_a_command_reach_their_box(settle: Settle, box: str) -> None:
    receiver = up(settle(box), topic(box, RECEIPTS), topic(box, COMMANDS))
    async with receiver as listener, up(settle("inbox-1")) as inbox:
        assert await inbox.publish(topic(box, RECEIPTS), b"stored") == SUCCESS
        assert await inbox.publish(topic(box, COMMANDS), b"resend") == SUCCESS
        assert [message.payload for message in await take(listener, 2)] == [b"stored", b"resend"]


async def test_a_message_that_nobody_hears_says_so(settle: Settle, box: str) -> None:
    async with up(settle(box)) as sender:
        assert await sender.publish(topic(box, OBSERVATIONS), b"sealed") == NO_MATCHING_SUBSCRIBERS


async def test_a_status_is_kept_for_those_who_come_later(settle: Settle, box: str) -> None:
    async with up(settle(box)) as sender:
        await sender.publish(topic(box, STATUS), b"birth", retain=True)
    async with up(settle("inbox-1"), topic(box, STATUS)) as inbox:
        (message,) = await take(inbox, 1)
        assert (message.payload, message.retained) == (b"birth", True)


async def test_an_unacknowledged_message_comes_again_to_a_session_that_is_kept(settle: Settle, box: str) -> None:
    settings = settle(box, clean_start=False, session_expiry_s=300)
    async with up(settle("inbox-1")) as inbox:
        async with up(settings, topic(box, RECEIPTS)) as listener:
            await inbox.publish(topic(box, RECEIPTS), b"first")
            await inbox.publish(topic(box, RECEIPTS), b"second")
            first, second = await take(listener, 2, acknowledge=False)
            first.acknowledge()
        second.acknowledge()  # too late: over a connection that is gone
        await inbox.publish(topic(box, RECEIPTS), b"third")
        async with up(settings, topic(box, RECEIPTS)) as listener:
            assert [message.payload for message in await take(listener, 2)] == [b"second", b"third"]
        async with up(settings, topic(box, RECEIPTS)) as listener:
            await inbox.publish(topic(box, RECEIPTS), b"fourth")
            assert [message.payload for message in await take(listener, 1)] == [b"fourth"]


async def test_no_more_messages_wait_for_acknowledgement_than_agreed(settle: Settle, box: str) -> None:
    async with (
        up(settle("inbox-1", receive_maximum=5), topic(box, OBSERVATIONS)) as inbox,
        up(settle(box)) as sender,
    ):
        for number in range(12):
            await sender.publish(topic(box, OBSERVATIONS), bytes([number]))
        first = await take(inbox, 5, acknowledge=False)
        await inbox.subscribe([topic(box, ALERTS)])  # the broker answers in order: had there been more, they were here
        assert not inbox._arrived
        for message in first:
            message.acknowledge()
            message.acknowledge()
        assert [message.payload[0] for message in await take(inbox, 7)] == list(range(5, 12))


async def test_of_more_than_was_agreed_nothing_is_lost_until_memory_would_be(
    settle: Settle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker may send more than it was told to (mosquitto 2.0.11 does, to a shared subscription under load)."""
    monkeypatch.setattr("exchange.link.MOST_ARRIVED_BYTES", 300_000)
    link = Link(settle("inbox-1", receive_maximum=5))
    connection = Connection(settle("inbox-1"), link._deliver)

    def arrive(number: int, size: int) -> None:
        body = b"%d " % number + bytes(size)
        link._deliver(
            Message(topic="veilleur/v1/box/alert", payload=body, retained=False, connection=connection, mid=1)
        )

    async def taken() -> list[int]:
        return [int(message.payload.split(b" ")[0]) async for message in link.messages()]

    for number in range(200):
        arrive(number, 500)
    # The link was never made, so that its messages end.
    assert await taken() == list(range(200))
    for number in range(200, 500):
        arrive(number, 1000)
    kept = await taken()
    assert kept == list(range(200, 200 + len(kept)))
    assert 150 < len(kept) < 300
    assert caplog.text.count("more arrives than is taken") == 1
    arrive(500, 1000)
    assert await taken() == [500]


async def test_a_thousand_messages_at_once_all_arrive_in_order(settle: Settle, box: str) -> None:
    async with up(settle("inbox-1"), topic(box, OBSERVATIONS)) as inbox, up(settle(box)) as sender:
        numbers = range(1000)
        taken = asyncio.create_task(take(inbox, len(numbers)))
        codes = await asyncio.gather(*(sender.publish(topic(box, OBSERVATIONS), b"%d" % number) for number in numbers))
        assert set(codes) == {SUCCESS}
        assert [int(message.payload) for message in await taken] == list(numbers)


# Who may say what.


async def test_a_box_cannot_speak_as_another(settle: Settle, box: str) -> None:
    other = f"{box}-other"
    heard = up(settle("inbox-1"), every_box(OBSERVATIONS), every_box(ALERTS), every_box(STATUS))
    async with heard as inbox, up(settle(box)) as liar, up(settle(other)) as honest:
        for channel in (OBSERVATIONS, ALERTS, STATUS):
            assert await refusal(liar, topic(other, channel)) == 0x87
        assert liar.connected
        await honest.publish(topic(other, OBSERVATIONS), b"mine")
        await liar.publish(topic(box, OBSERVATIONS), b"mine too")
        ours = [message for message in await take(inbox, 2 + _retained(inbox)) if not message.retained]
        assert [(message.topic, message.payload) for message in ours] == [
            (topic(other, OBSERVATIONS), b"mine"),
            (topic(box, OBSERVATIONS), b"mine too"),
        ]


def _retained(link: Link) -> int:
    return sum(message.retained for message in link._arrived)


async def test_a_box_hears_nothing_meant_for_another_or_said_by_one(settle: Settle, box: str) -> None:
    other = f"{box}-other"
    everything = ["veilleur/v1/+/receipt", "veilleur/v1/+/obs", topic(other, RECEIPTS), topic(other, COMMANDS), "#"]
    async with (
        up(settle(box), *everything, topic(box, RECEIPTS)) as spy,
        up(settle("inbox-1")) as inbox,
        up(settle(other)) as victim,
    ):
        await inbox.publish(topic(other, RECEIPTS), b"not yours")
        await inbox.publish(topic(other, COMMANDS), b"not yours")
        await victim.publish(topic(other, OBSERVATIONS), b"not yours")
        await inbox.publish(topic(box, RECEIPTS), b"yours")
        (first, *_) = await take(spy, 1)
        assert first.payload == b"yours"
        assert {message.payload for message in spy._arrived} <= {b"yours"}


async def test_a_box_cannot_receipt_itself_nor_command(settle: Settle, box: str) -> None:
    async with up(settle(box)) as sender:
        for channel in (RECEIPTS, COMMANDS):
            assert await refusal(sender, topic(box, channel)) == 0x87
        # It answers for itself, and for nobody else.
        assert await sender.publish(topic(box, COMMAND_ACKS), b"answer") in {SUCCESS, NO_MATCHING_SUBSCRIBERS}
        assert await refusal(sender, topic("box-0099", COMMAND_ACKS)) == 0x87
        assert await refusal(sender, "elsewhere") == 0x87


async def test_a_message_larger_than_the_broker_takes_is_refused_without_losing_the_link(
    settle: Settle, box: str
) -> None:
    async with up(settle(box)) as sender:
        with pytest.raises(LinkError) as caught:
            await sender.publish(topic(box, OBSERVATIONS), bytes(131072))
        assert caught.value.reason_code == 0x95
        assert await sender.publish(topic(box, OBSERVATIONS), b"small") == NO_MATCHING_SUBSCRIBERS
        assert sender.generation == 1


# A link that is down.


async def test_nothing_is_queued_before_the_link_is_up(broker: Broker, settle: Settle, box: str) -> None:
    broker.stop()
    async with Link(settle(box)) as link:
        await link.subscribe([topic(box, RECEIPTS)])
        with pytest.raises(LinkError, match="down"):
            await link.publish(topic(box, OBSERVATIONS), b"x")
        assert (link.connected, link.generation) == (False, 0)


async def test_a_killed_broker_is_found_again_and_all_subscriptions_stand(
    broker: Broker, settle: Settle, box: str
) -> None:
    async with (
        up(settle("inbox-1"), topic(box, OBSERVATIONS)) as inbox,
        up(settle(box, clean_start=False, session_expiry_s=300), topic(box, RECEIPTS)) as sender,
    ):
        await inbox.subscribe([topic(box, ALERTS)])
        for life in (1, 2):
            assert (inbox.generation, sender.generation) == (life, life)
            broker.kill()
            with pytest.raises(LinkError):
                await sender.publish(topic(box, OBSERVATIONS), b"into the void")
            broker.start()
            assert await inbox.wait_generation_after(life) == life + 1
            assert await sender.wait_generation_after(life) == life + 1
            for channel in (OBSERVATIONS, ALERTS):
                assert await sender.publish(topic(box, channel), channel.encode()) == SUCCESS
            assert await inbox.publish(topic(box, RECEIPTS), b"stored") == SUCCESS
            assert [message.payload for message in await take(inbox, 2)] == [b"obs", b"alert"]
            assert [message.payload for message in await take(sender, 1)] == [b"stored"]


async def test_a_publish_that_was_not_acknowledged_when_the_link_broke_raises(
    cable: AbstractAsyncContextManager[Cable], settle: Settle, box: str
) -> None:
    async with cable as path, up(settle(box, port=path.port)) as sender:
        path.hold()
        waiting = [asyncio.create_task(sender.publish(topic(box, OBSERVATIONS), b"x")) for _ in range(WINDOW + 50)]
        await asyncio.sleep(0)
        assert sender._current is not None
        assert len(sender._current._pubacks) == WINDOW
        path.cut()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, LinkError) for result in results)
        path.release()
        await sender.wait_generation_after(1)
        assert await sender.publish(topic(box, OBSERVATIONS), b"x") == NO_MATCHING_SUBSCRIBERS


async def test_a_held_link_delivers_what_waited_when_it_moves_again(
    cable: AbstractAsyncContextManager[Cable], settle: Settle, box: str
) -> None:
    async with cable as path, up(settle(box, port=path.port)) as sender:
        path.hold()
        waiting = [asyncio.create_task(sender.publish(topic(box, OBSERVATIONS), b"x")) for _ in range(WINDOW + 50)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[-1].cancel()
        path.release()
        results = await asyncio.gather(*waiting[1:-1])
        assert set(results) == {NO_MATCHING_SUBSCRIBERS}
        assert sender._current is not None
        assert sender._current._window._value == WINDOW
        assert sender.generation == 1


async def test_a_broker_that_does_not_answer_counts_as_lost(
    cable: AbstractAsyncContextManager[Cable], settle: Settle, box: str, warnings: Warnings
) -> None:
    async with cable as path, up(settle(box, port=path.port, answer_timeout_s=0.2)) as sender:
        path.hold()
        with pytest.raises(LinkError, match="no PUBACK within"):
            await sender.publish(topic(box, OBSERVATIONS), b"x")
        assert "no PUBACK within" in await warnings.said.get()
        path.release()
        assert await sender.wait_generation_after(1) == 2


async def test_a_silence_longer_than_the_keepalive_counts_as_lost(
    cable: AbstractAsyncContextManager[Cable], settle: Settle, box: str, warnings: Warnings
) -> None:
    async with cable as path, up(settle(box, port=path.port, keepalive_s=1)) as link:
        path.hold()
        assert "the broker fell silent" in await warnings.said.get()
        path.release()
        assert await link.wait_generation_after(1) == 2


async def test_the_will_of_the_connection_that_was_lost_is_published(
    cable: AbstractAsyncContextManager[Cable], settle: Settle, box: str
) -> None:
    sessions = itertools.count(1)

    def will() -> tuple[str, bytes]:
        return topic(box, STATUS), b"offline %d" % next(sessions)

    async with (
        up(settle("inbox-1"), topic(box, STATUS)) as inbox,
        cable as path,
        up(settle(box, port=path.port, will=will)) as sender,
    ):
        for life in (1, 2):
            await sender.publish(topic(box, STATUS), b"online %d" % life, retain=True)
            path.cut()
            born, dead = await take(inbox, 2)
            assert (born.payload, dead.payload) == (b"online %d" % life, b"offline %d" % life)
            await sender.wait_generation_after(life)


async def test_a_link_that_takes_leave_leaves_no_will(settle: Settle, box: str) -> None:
    async with up(settle("inbox-1"), topic(box, STATUS), topic(box, OBSERVATIONS)) as inbox:
        async with up(settle(box, will=lambda: (topic(box, STATUS), b"offline"))):
            pass
        async with up(settle(box)) as sender:
            await sender.publish(topic(box, OBSERVATIONS), b"after")
        assert [message.payload for message in await take(inbox, 1)] == [b"after"]


async def test_the_same_cause_is_said_once(
    broker: Broker, settle: Settle, box: str, warnings: Warnings, caplog: pytest.LogCaptureFixture
) -> None:
    broker.stop()
    attempts = itertools.count(1)
    fifth = asyncio.Event()

    def will() -> tuple[str, bytes]:
        if next(attempts) == 5:
            fifth.set()
        return topic(box, STATUS), b"offline"

    caplog.set_level(logging.INFO, "exchange.link")
    async with asyncio.timeout(PATIENCE_S), Link(settle(box, will=will)) as link:
        await fifth.wait()
        broker.start()
        await link.wait_connected()
    assert warnings.said.qsize() == 1
    assert "Connection refused" in warnings.said.get_nowait()
    (counted,) = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert int(counted.split("after ")[1].split()[0]) >= 4


async def test_two_links_with_one_name_do_not_chase_each_other(settle: Settle, box: str, warnings: Warnings) -> None:
    async with up(settle(box, retry_first_s=60, retry_cap_s=60)) as first:
        async with up(settle(box)) as second:
            await warnings.said.get()
            assert (first.connected, second.connected) == (False, True)
        assert first._failures == 1


async def test_a_broker_that_sends_us_away_says_why(
    broker: Broker, settle: Settle, box: str, warnings: Warnings
) -> None:
    """Mosquitto 2.0.11 often hangs up before its DISCONNECT is out; a broker that says one word more is made here."""

    async def send_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        connack, session_taken_over = bytes.fromhex("20 03 00 00 00"), bytes.fromhex("e0 02 8e 00")
        writer.write(connack + session_taken_over)
        await reader.read()
        writer.close()

    files = broker.certificates.server
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = await asyncio.start_server(send_away, HOST, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.timeout(PATIENCE_S), Link(settle(box, port=port, retry_first_s=60)) as link:
        assert "sent us away: Session taken over" in await warnings.said.get()
        assert link.generation == 1
        assert link._failures == 1


CONNACK = "20 03 00 00 00"
PUBLISH = "32 1a 00 0f" + b"veilleur/v1/box".hex() + "00 01"


@pytest.mark.parametrize(
    "said",
    [
        "20 00",
        "20 03 00 77 00",
        "20 06 00 00 03 7f 00 01",
        f"{CONNACK} 90 05 00 01 00 77 77",
        f"{CONNACK} 40 03 00 01 77",
        f"{CONNACK} 32 07 00 02 ff fe 00 01 00",
        f"{CONNACK} {PUBLISH} 7f 26 00 03 61",
        f"{CONNACK} e0 02 77 00",
        f"{CONNACK} e0 05 00 03 7f 00 00",
    ],
    ids=str,
)
async def test_a_broker_that_speaks_no_mqtt_is_a_broken_link(
    broker: Broker, settle: Settle, box: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it ends a thread with a stack trace, and the link tries again for as long as it is wanted."""
    fallen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", fallen.append)
    files = broker.certificates.server
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(PATIENCE_S)

        def babble() -> None:
            for _ in range(3):
                plain, _ = server.accept()
                with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as met:
                    met.settimeout(PATIENCE_S)
                    met.recv(1024)
                    met.sendall(bytes.fromhex(said))
                    met.shutdown(socket.SHUT_WR)
                    met.recv(1024)

        settings = settle(box, port=server.getsockname()[1], retry_first_s=0.01, retry_cap_s=0.02)
        async with Link(settings):
            await asyncio.to_thread(babble)
        assert not fallen


async def test_a_link_that_has_ended_says_so_to_whoever_waits(settle: Settle, box: str) -> None:
    async with up(settle(box)) as link:
        waiting = asyncio.create_task(link.wait_generation_after(1))
        listening = asyncio.create_task(take(link, 1))
        await asyncio.sleep(0)
    with pytest.raises(LinkError, match="ended"):
        await waiting
    with pytest.raises(StopAsyncIteration):
        await listening
    with pytest.raises(LinkError, match="ended"):
        await link.wait_connected()
    with pytest.raises(LinkError, match="down"):
        await link.publish(topic(box, OBSERVATIONS), b"x")


async def test_a_link_leaves_no_thread_behind(cable: AbstractAsyncContextManager[Cable], settle: Settle) -> None:
    async with cable as path, up(settle("box-threads", port=path.port)) as link:
        for life in (1, 2, 3):
            path.cut()
            await link.wait_generation_after(life)
        assert len(threads()) <= 2
    for thread in threads():
        thread.join(5)
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mqtt box-threads"]


async def test_an_error_of_our_own_ends_the_block_instead_of_hanging(settle: Settle, box: str) -> None:
    def will() -> tuple[str, bytes]:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        async with Link(settle(box, will=will)) as link:
            await link.wait_connected()


# TLS.


async def cause(settings: LinkSettings, warnings: Warnings) -> str:
    async with asyncio.timeout(PATIENCE_S), Link(settings) as link:
        said = await warnings.said.get()
        assert (link.connected, link.generation) == (False, 0)
    return said


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA that the broker does not know, and that does not know the broker."""
    return Certificates(tmp_path_factory.mktemp("others"))


async def test_a_broker_of_another_ca_is_refused(
    settle: Settle, box: str, others: Certificates, warnings: Warnings
) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in await cause(settle(box, ca=others.ca), warnings)


async def test_a_box_of_another_ca_is_refused(
    settle: Settle, box: str, others: Certificates, warnings: Warnings
) -> None:
    files = others.client(box)
    said = await cause(settle(box, certificate=files.certificate, key=files.key), warnings)
    assert "UNKNOWN_CA" in said or "lost" in said


async def test_a_broker_by_another_name_is_refused(settle: Settle, box: str, warnings: Warnings) -> None:
    said = await cause(settle(box, host="127.1"), warnings)
    assert "Hostname mismatch" in said


def answer_to_connect(broker: Broker, context: ssl.SSLContext) -> bytes:
    connect = bytes.fromhex("1013 0004 4d515454 05 02 001e 00 0006") + b"nobody"
    with (
        socket.create_connection((broker.host, broker.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=broker.host) as connection,
        contextlib.suppress(OSError),
    ):
        connection.sendall(connect)
        return connection.recv(2)
    return b""


def test_a_client_without_a_certificate_gets_no_answer(broker: Broker, box: str) -> None:
    context = ssl.create_default_context(cafile=broker.certificates.ca)
    assert answer_to_connect(broker, context) == b""
    files = broker.certificates.client(box)
    context.load_cert_chain(files.certificate, files.key)
    assert answer_to_connect(broker, context)[:1] == b"\x20", "the same bytes with a certificate do get a CONNACK"


async def test_files_that_are_missing_or_unusable_are_told_and_tried_again(
    settle: Settle, box: str, tmp_path: Path, warnings: Warnings
) -> None:
    settings = settle(box)
    moved = tmp_path / "moved.key"
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    assert "TLS files" in await cause(settle(box, certificate=garbage), warnings)
    async with asyncio.timeout(PATIENCE_S), Link(settle(box, key=moved)) as link:
        assert "TLS files" in await warnings.said.get()
        shutil.copy(settings.key, moved)
        await link.wait_connected()


async def test_certificates_are_read_again_at_each_connection(
    cable: AbstractAsyncContextManager[Cable],
    settle: Settle,
    box: str,
    others: Certificates,
    tmp_path: Path,
    warnings: Warnings,
) -> None:
    ours, theirs = settle(box), others.client(box)
    certificate, key = tmp_path / "box.pem", tmp_path / "box.key"
    shutil.copy(ours.certificate, certificate)
    shutil.copy(ours.key, key)
    async with cable as path, up(settle(box, port=path.port, certificate=certificate, key=key)) as link:
        shutil.copy(theirs.certificate, certificate)
        shutil.copy(theirs.key, key)
        path.cut()
        while "UNKNOWN_CA" not in await warnings.said.get():
            pass
        assert not link.connected
        shutil.copy(ours.certificate, certificate)
        shutil.copy(ours.key, key)
        await link.wait_generation_after(1)
