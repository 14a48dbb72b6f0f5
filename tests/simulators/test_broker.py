"""The simulated team's broker: a real mosquitto that can be killed, and certificates that hold up to a strict look."""

import contextlib
import itertools
import random
import socket
import ssl
import stat
from base64 import encodebytes
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from coordination.authority_errors import AuthorityError
from exchange.identity import TlsKey
from simulators.broker import HOST, SHIPPED, Broker, Certificates
from simulators.mosquitto import BrokerUnavailableError

pytestmark = pytest.mark.broker

_boxes = itertools.count(1)


@pytest.fixture(scope="module")
def only_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def broker(only_broker: Broker) -> Broker:
    only_broker.start()
    return only_broker


def handshake(broker: Broker, name: str) -> ssl.SSLSocket:
    """Shake hands as strictly as OpenSSL can, and wait for the broker to have accepted our side too."""
    files = broker.certificates.client(name)
    context = ssl.create_default_context(cafile=files.ca)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_cert_chain(files.certificate, files.key)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((broker.host, broker.port), timeout=10))
        connection = stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
        connect = bytes.fromhex("1013 0004 4d515454 05 02 001e 00 0006") + b"strict"
        connection.sendall(connect)
        assert connection.recv(1) == b"\x20", "a CONNACK"
        stack.pop_all()
    return connection


def test_brokers_whose_dice_were_seeded_alike_take_ports_of_their_own(tmp_path: Path) -> None:
    ports = []
    for number in range(3):
        # As each test's are, in every run of it: two runs on one machine would meet.
        random.seed(7)
        ports.append(Broker(tmp_path / str(number)).port)
    assert len(set(ports)) > 1


def test_it_accepts_a_strictly_checked_client_and_listens_on_loopback_only(broker: Broker) -> None:
    handshake(broker, "box-0001").close()
    listening = [line for line in broker.log.read_text().splitlines() if "listen socket" in line]
    assert listening
    assert all(line.endswith(f"Opening ipv4 listen socket on port {broker.port}.") for line in listening)
    assert broker.host == "127.0.0.1"


def test_it_comes_back_on_the_same_port_after_a_kill_and_after_a_stop(broker: Broker) -> None:
    port, pids = broker.port, {broker.pid}
    for end in (broker.kill, broker.stop, broker.kill):
        end()
        end()  # ending what has ended is nothing
        assert not broker.running
        assert broker.pid is None
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((HOST, port), timeout=5)
        broker.start()
        broker.start()  # starting what runs is nothing
        assert (broker.running, broker.port) == (True, port)
        handshake(broker, "box-0001").close()
        pids.add(broker.pid)
    assert len(pids) == 4


def test_it_keeps_its_data_over_a_stop(broker: Broker) -> None:
    broker.stop()
    saved = list((broker.log.parent / "data").iterdir())
    assert [path.name for path in saved] == ["mosquitto.db"]


def test_another_program_on_its_port_is_not_taken_for_it(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    with socket.create_server((HOST, broker.port)), pytest.raises(BrokerUnavailableError) as caught:
        broker.start()
    assert not broker.running
    assert str(broker.log) in caught.value.hint


def test_its_secrets_are_for_its_owner_only(broker: Broker) -> None:
    folder = broker.log.parent
    broker.certificates.client("box-0001")
    keys = list((folder / "certificates").glob("*.key"))
    assert {path.name for path in keys} >= {"server.key", "box-0001.key"}
    for path in [*keys, folder / "acl"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_shipped_configuration_is_the_one_that_runs(broker: Broker) -> None:
    shipped = (Path(__file__).parents[2] / "configs" / "broker" / "mosquitto.conf").read_text()
    used = (broker.log.parent / "mosquitto.conf").read_text()
    kept = {line for line in shipped.splitlines() if line and not line.startswith("#")} & set(used.splitlines())
    assert {"require_certificate true", "use_identity_as_username true", "allow_anonymous false"} <= kept
    assert {"max_inflight_messages 100", "max_packet_size 131072", "tls_version tlsv1.2"} <= kept
    assert "/etc/" not in "".join(line for line in used.splitlines() if not line.startswith("#"))
    assert "/var/" not in used


# Certificates.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ca") / "certificates")


def test_a_client_s_certificate_names_it_and_is_made_once(certificates: Certificates) -> None:
    files = certificates.client("box-0001")
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=box-0001"
    assert certificates.client("box-0001") == files
    assert x509.load_pem_x509_certificate(files.certificate.read_bytes()) == certificate
    issuer = x509.load_pem_x509_certificate(certificates.ca.read_bytes())
    certificate.verify_directly_issued_by(issuer)


def test_a_client_s_certificate_cannot_serve_nor_sign(certificates: Certificates) -> None:
    certificate = x509.load_pem_x509_certificate(certificates.client("box-0001").certificate.read_bytes())
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_a_signing_request_born_on_the_box_becomes_its_certificate(certificates: Certificates) -> None:
    key = TlsKey.generate()
    certificate = x509.load_pem_x509_certificate(certificates.sign(key.csr("box-0042"), name="box-0042"))
    assert certificate.subject.rfc4514_string() == "CN=box-0042"
    request = x509.load_pem_x509_csr(key.csr("box-0042"))
    assert certificate.public_key() == request.public_key()


def test_a_signing_request_that_its_key_did_not_sign_is_refused(certificates: Certificates) -> None:
    request = x509.load_pem_x509_csr(TlsKey.generate().csr("box-0042"))
    forged = request.public_bytes(Encoding.DER).replace(b"box-0042", b"box-0001")
    text = b"-----BEGIN CERTIFICATE REQUEST-----\n%b-----END CERTIFICATE REQUEST-----\n" % encodebytes(forged)
    assert x509.load_pem_x509_csr(text).subject.rfc4514_string() == "CN=box-0001"
    with pytest.raises(AuthorityError, match="own P-256 key"):
        certificates.sign(text, name="box-0001")


def test_every_worker_of_the_shipped_access_list_may_do_the_same() -> None:
    """They share what boxes send: what one of them may not hear is lost whenever it is its turn, and nobody is told."""
    blocks: dict[str, list[str]] = {}
    for line in (SHIPPED / "acl").read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "user":
            blocks[rest] = []
        elif word == "topic":
            blocks[list(blocks)[-1]].append(rest)
    assert len(blocks) > 1
    (rules,) = {tuple(sorted(rules)) for rules in blocks.values()}
    topics = {verb: {rule.rpartition("/")[2] for rule in rules if rule.startswith(verb)} for verb in ("read", "write")}
    assert topics == {"read": {"obs", "alert", "status", "cmdack"}, "write": {"receipt", "cmd"}}
