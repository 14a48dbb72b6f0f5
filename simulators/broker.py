"""A real mosquitto with mutual TLS and the shipped ACL, on loopback, started, killed and started again at will.

The configuration is `configs/broker`, with paths, port and log replaced. Certificates are made on the spot, for
this folder only. Port and data survive a kill, as they do for a real broker; what mosquitto had not saved does not.
"""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from coordination.authority import PROGRAMS, Authority
from exchange.identity import TlsKey
from simulators.mosquitto import BrokerUnavailableError, Mosquitto, find_mosquitto

HOST = "127.0.0.1"
SHIPPED = Path(__file__).resolve().parents[1] / "configs" / "broker"

_START_TIMEOUT_S = 20.0
_HANDSHAKE_TIMEOUT_S = 1.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFiles:
    """What one client needs to speak TLS to the broker; PEM files."""

    ca: Path
    certificate: Path
    key: Path


class Certificates:
    """A team's authority in a folder of its own, with a certificate for the broker and one for each client asked for.

    Args:
        folder: created when missing; must not hold an authority yet.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self.authority = Authority.create(folder / "authority", at=_now(), name="Veilleur simulated CA")
        self.ca = self.authority.ca
        key, files = self._born("server")
        issued = self.authority.server(key.csr("server"), name="server", hosts=("localhost", HOST), at=_now())
        files.certificate.write_bytes(issued.pem)
        self.server = files

    def client(self, name: str) -> ClientFiles:
        """Return key and certificate of the client whose common name is `name`, made at the first call."""
        files = self._files(name)
        if not files.certificate.exists():
            key, files = self._born(name)
            files.certificate.write_bytes(self.sign(key.csr(name), name=name))
        return files

    def sign(self, csr: bytes, *, name: str) -> bytes:
        """Return a client certificate, PEM, for the signing request of a box or a program of the team's.

        Raises:
            AuthorityError: the request is malformed or not signed by its own key.
        """
        issue = self.authority.program if name.startswith(PROGRAMS) else self.authority.box
        return issue(csr, name, at=_now()).pem

    def _born(self, name: str) -> tuple[TlsKey, ClientFiles]:
        key, files = TlsKey.generate(), self._files(name)
        key.save(files.key)
        return key, files

    def _files(self, name: str) -> ClientFiles:
        return ClientFiles(ca=self.ca, certificate=self._folder / f"{name}.pem", key=self._folder / f"{name}.key")


class Broker:
    """One mosquitto on loopback. Usable as a context manager, which starts and stops it.

    Args:
        folder: for its configuration, certificates, data and log; created when missing.
        mosquitto: the program; searched for, or unpacked, when None.

    Attributes:
        host: address it listens on.
        port: TCP port, the same for every start.
        log: its log file.
        certificates: its CA.

    Raises:
        BrokerUnavailableError: there is no mosquitto to run.
    """

    def __init__(self, folder: Path, *, mosquitto: Mosquitto | None = None) -> None:
        self._mosquitto = mosquitto or find_mosquitto()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.host = HOST
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self.certificates = Certificates(folder / "certificates")
        (folder / "data").mkdir(exist_ok=True)
        acl = folder / "acl"
        shutil.copyfile(SHIPPED / "acl", acl)
        # Later versions of mosquitto refuse an ACL file that others can read.
        acl.chmod(0o600)
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(self._adapt((SHIPPED / "mosquitto.conf").read_text()))

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    def start(self) -> None:
        """Start and return once connections are accepted; nothing happens when it runs.

        Raises:
            BrokerUnavailableError: it ended at once, or accepts no connection.
        """
        if self.running:
            return
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own configuration
                [self._mosquitto.binary, "-c", self._configuration],
                env=self._mosquitto.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            try:
                self._process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
                self.kill()
            raise BrokerUnavailableError(
                f"mosquitto does not start: {self._last_words()}", hint=f"Read {self.log} for the reason."
            )

    def log_messages(self) -> None:
        """Let it log each message that it receives and sends, from its next start on."""
        with self._configuration.open("a") as configuration:
            configuration.write("log_type debug\n")

    def reload(self) -> None:
        """Have it read its access list, certificates and revocation list again (SIGHUP), as `systemctl reload` does."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would; what it had not saved is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in order; with SIGKILL when it does not end within 10 s."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        # A handshake, not a mere connection: it is our broker and no other that has this port.
        context = ssl.create_default_context(cafile=self.certificates.ca)
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), timeout=_HANDSHAKE_TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=self.host),
        ):
            return True
        return False

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it left no message"

    def _adapt(self, shipped: str) -> str:
        """Return the shipped configuration with this machine's places in it."""
        server = self.certificates.server
        ours = {
            "listener": f"{self.port} {self.host}",
            "cafile": str(server.ca),
            "certfile": str(server.certificate),
            "keyfile": str(server.key),
            "crlfile": str(self.certificates.authority.crl),
            "acl_file": str(self._folder / "acl"),
            "persistence_location": f"{self._folder / 'data'}/",
            "log_dest": f"file {self.log}",
        }
        lines = [f"{key} {ours[key]}" if (key := line.split(" ")[0]) in ours else line for line in shipped.splitlines()]
        if os.geteuid() == 0:
            # mosquitto would drop to a user who may not enter this folder, or who does not exist.
            lines.append(f"user {pwd.getpwuid(0).pw_name}")
        return "\n".join(lines) + "\n"


def _now() -> int:
    """Return ms UTC, real time: certificates know no other."""
    return time.time_ns() // 1_000_000


def free_port() -> int:
    """Return a free TCP port below the ephemeral ones.

    A client that keeps trying an ephemeral port on loopback while the broker is down can be given that same port as
    its own, connect to itself, and keep the broker from coming back. The dice are the system's: programs that were
    seeded alike, as a test is in each of its runs, would throw the same port at the same moment.
    """
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(15000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
