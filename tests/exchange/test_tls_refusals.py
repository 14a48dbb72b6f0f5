"""What must not be spoken to is not spoken to, at a real mosquitto, and whoever must put it right reads what to do."""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from exchange.connection import LinkSettings
from exchange.link import Link
from exchange.tls_refusals import meaning, told
from simulators.broker import HOST, Broker, ClientFiles
from tests.exchange.authority import Authority

BOX = "box-0001"
PATIENCE_S = 20.0
CONNECT = bytes.fromhex("1015 0004 4d515454 05 02 001e 00 0008") + BOX.encode()


class OddBroker(Broker):
    """The shipped mosquitto with another certificate than its own; it counts as started when it shakes hands at all."""

    def __init__(self, folder: Path, server: ClientFiles) -> None:
        super().__init__(folder)
        text = self._configuration.read_text()
        for key, path in (
            ("cafile", server.ca),
            ("certfile", server.certificate),
            ("keyfile", server.key),
            ("crlfile", server.ca.with_name("crl.pem")),
        ):
            text = "\n".join(f"{key} {path}" if line.startswith(f"{key} ") else line for line in text.splitlines())
        self._configuration.write_text(text + "\n")

    def _answers(self) -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), timeout=1) as plain,
            context.wrap_socket(plain),
        ):
            return True
        return False


class Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.put_nowait(record.getMessage())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def broker(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with OddBroker(tmp_path_factory.mktemp("broker"), authority.server("good")) as started:
        yield started


def settings(port: int, files: ClientFiles, *, host: str = HOST, ca: Path | None = None) -> LinkSettings:
    return LinkSettings(
        host=host,
        port=port,
        client_id=BOX,
        ca=ca or files.ca,
        certificate=files.certificate,
        key=files.key,
        session_expiry_s=0,
        clean_start=True,
        retry_first_s=0.02,
        retry_cap_s=0.1,
    )


async def complaint(chosen: LinkSettings, *, but: str = "lost") -> str:
    """Return what is said of a link that does not come up; what came before the reason did is passed over."""
    complaints, logger = Complaints(), logging.getLogger("exchange.link")
    logger.addHandler(complaints)
    try:
        async with asyncio.timeout(PATIENCE_S), Link(chosen) as link:
            while " / " not in (said := await complaints.said.get()):
                assert but in said, said
            assert (link.connected, link.generation) == (False, 0)
    finally:
        logger.removeHandler(complaints)
    return said


async def connects(chosen: LinkSettings) -> bool:
    async with asyncio.timeout(PATIENCE_S), Link(chosen) as link:
        await link.wait_connected()
        return link.connected


@pytest.mark.broker
async def test_the_same_broker_is_spoken_to_when_all_is_well(broker: Broker, authority: Authority) -> None:
    assert await connects(settings(broker.port, authority.client(BOX)))


SERVERS: Mapping[str, tuple[Mapping[str, object], tuple[str, str]]] = {
    "expired": ({"begins": -3, "ends": -1}, ("certificat du serveur a expiré", "broker's certificate has expired")),
    "not yet valid": ({"begins": 1, "ends": 3}, ("n'est pas encore valable", "not valid yet")),
    "another address": ({"host": "127.0.0.2"}, ("n'est pas celui que nomment", "not the broker that the settings")),
}


@pytest.mark.broker
@pytest.mark.parametrize("kind", SERVERS)
async def test_a_broker_with_a_certificate_that_does_not_hold_is_not_spoken_to(
    kind: str, authority: Authority, tmp_path: Path
) -> None:
    how, words = SERVERS[kind]
    server = authority.server(kind.replace(" ", "-"), **how)  # type: ignore[arg-type]
    with OddBroker(tmp_path / "broker", server) as odd:
        said = await complaint(settings(odd.port, authority.client(BOX)))
    for word in words:
        assert word in said


@pytest.mark.broker
async def test_a_broker_of_another_authority_is_not_spoken_to(
    broker: Broker, authority: Authority, stranger: Authority
) -> None:
    said = await complaint(settings(broker.port, authority.client(BOX), ca=stranger.ca))
    assert "n'a pas de certificat de l'autorité de l'équipe" in said
    assert "no certificate of the team's authority" in said


CLIENTS = {
    "expired": ({"begins": -3, "ends": -1}, ("notre certificat a expiré", "our certificate has expired")),
    "not yet valid": ({"begins": 1, "ends": 3}, ("pas encore valable, ou abîmé", "not valid yet, or damaged")),
}


@pytest.mark.broker
@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_box_whose_certificate_does_not_hold_is_refused(
    kind: str, broker: Broker, authority: Authority
) -> None:
    how, words = CLIENTS[kind]
    said = await complaint(settings(broker.port, authority.client(BOX, **how)))
    for word in words:
        assert word in said


@pytest.mark.broker
async def test_a_box_of_another_authority_is_refused(broker: Broker, authority: Authority, stranger: Authority) -> None:
    said = await complaint(settings(broker.port, stranger.client(BOX), ca=authority.ca))
    assert "ne connaît pas l'autorité de notre certificat" in said
    assert "does not know the authority of our certificate" in said


def spoken(broker: Broker, context: ssl.SSLContext, say: bytes = CONNECT) -> bytes:
    """Return the broker's first two bytes after `say`; SSLError when it says why it hangs up."""
    with (
        socket.create_connection((broker.host, broker.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=broker.host) as connection,
    ):
        connection.sendall(say)
        return connection.recv(2)


@pytest.mark.broker
def test_whoever_shows_no_certificate_is_refused_and_told(broker: Broker, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.ca)
    with pytest.raises(ssl.SSLError):
        spoken(broker, context)
    with pytest.raises(ssl.SSLError) as caught:
        # Who says nothing hears why before the broker hangs up.
        spoken(broker, context, b"")
    assert "broker.certificate" in told(str(caught.value))
    files = authority.client(BOX)
    context.load_cert_chain(files.certificate, files.key)
    assert spoken(broker, context)[:1] == b"\x20", "the same bytes with a certificate do get a CONNACK"


def outdated(side: int) -> ssl.SSLContext:
    """TLS 1.1 and nothing better; OpenSSL offers it at security level 0 only."""
    context = ssl.SSLContext(side)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.broker
def test_a_client_that_speaks_tls_1_1_only_is_refused_by_the_broker(broker: Broker, authority: Authority) -> None:
    files, context = authority.client(BOX), outdated(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.ca)
    context.load_cert_chain(files.certificate, files.key)
    with pytest.raises(ssl.SSLError) as caught:
        spoken(broker, context)
    assert "ALERT_PROTOCOL_VERSION" in str(caught.value)
    assert meaning(str(caught.value)) is not None


async def test_a_broker_that_speaks_tls_1_1_only_is_not_spoken_to(authority: Authority) -> None:
    """mosquitto 2 does not offer it: another server of the same OpenSSL does, which an outdated client proves."""
    server, files = authority.server("outdated"), authority.client(BOX)
    context = outdated(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.create_server((HOST, 0)))
        port = door.getsockname()[1]
        agreed: list[str | None] = []

        def serve() -> None:
            while True:
                try:
                    plain, _ = door.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
                    agreed.append(connection.version())

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        stack.callback(door.shutdown, socket.SHUT_RDWR)
        said = await complaint(settings(port, files))
        assert "1.2" in said
        assert agreed == []
        old = outdated(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(files.ca)
        with socket.create_connection((HOST, port), timeout=10) as plain, old.wrap_socket(plain, server_hostname=HOST):
            pass
    assert agreed == ["TLSv1.1"]


async def test_a_key_of_another_certificate_is_told(authority: Authority) -> None:
    files, other = authority.client(BOX), authority.client("box-0002")
    mixed = ClientFiles(ca=files.ca, certificate=files.certificate, key=other.key)
    assert "belongs to another key" in await complaint(settings(1, mixed))


def test_what_is_not_tls_s_is_told_as_it_came() -> None:
    assert meaning("[Errno 111] Connection refused") is None
    assert told("[Errno 111] Connection refused") == "[Errno 111] Connection refused"
