"""A region's server on one machine, with a simulated fleet of boxes: folder, certificates, settings and processes.

The broker is mosquitto with the shipped settings, the inbox's workers are the shipped program, the database is a file
or a PostgreSQL that is started here. The boxes (fleet) run in the process that asks for them.
"""

import asyncio
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from coordination.place import Place
from coordination.team_database import connect_to_read
from devices.clock import SystemClock
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.tls import client_context
from simulators.broker import Broker
from simulators.errors import SimulatorError
from simulators.fleet import PROTOCOL, FleetBox, FleetServer
from simulators.postgres import Postgres

READY_WITHIN_S = 120.0
WORKERS = ("inbox-1", "inbox-2")
"""Those that the shipped access list knows."""
_STOP_WITHIN_S = 20.0


class RegionError(SimulatorError):
    """The region could not be made or started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSettings:
    """How large a region is.

    Attributes:
        folder: for everything that it writes; must not hold a region yet.
        boxes: how many, each with a patient.
        workers: of the inbox, 1 or 2.
        postgresql: whether the team's database is on a PostgreSQL started here; otherwise it is a file.
        say: is told what is being done, for whoever waits.
    """

    folder: Path
    boxes: int
    workers: int
    postgresql: bool
    say: Callable[[str], None]


class Region:
    """The server under way, and the boxes, not connected yet. An async context manager that leaves nothing running."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self.boxes: Sequence[FleetBox] = ()
        self.workers: list[asyncio.subprocess.Process] = []
        self.database: Place = settings.folder / "desk.db"

    async def __aenter__(self) -> Self:
        """Make and start it.

        Raises:
            SimulatorError: a part did not come up.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it all."""
        await self._stack.aclose()

    async def _start(self) -> None:
        folder, say = self._settings.folder, self._settings.say
        self.broker = self._stack.enter_context(Broker(folder / "broker"))
        if self._settings.postgresql:
            server = self._stack.enter_context(
                Postgres(folder / "postgres", settings={"shared_buffers": "256MB", "max_wal_size": "2GB"})
            )
            self.database = server.new_database("region")
        opening, receipt = OpeningKey.generate(), SigningKey.generate()
        opening.save(folder / "opening.key")
        receipt.save(folder / "receipt.key")
        known = FleetServer(
            host=self.broker.host,
            port=self.broker.port,
            recipients=[Recipient.of(opening, RecipientRole.TEAM)],
            receipt_signers={receipt.id: receipt.public},
        )
        say(f"{self._settings.boxes} certificates are made")
        keys = [SigningKey.generate() for _ in range(self._settings.boxes)]
        self.boxes = await asyncio.to_thread(self._boxes, keys, known)
        self._write_settings(folder, keys)
        say(f"{self._settings.workers} workers are started")
        for number in range(self._settings.workers):
            process = await self._worker(folder, WORKERS[number])
            self.workers.append(process)
            self._stack.push_async_callback(_end, process)

    def _boxes(self, keys: Sequence[SigningKey], known: FleetServer) -> list[FleetBox]:
        clock = SystemClock()
        return [
            FleetBox(
                name=box_name(number),
                patient=patient_name(number),
                key=key,
                server=known,
                context=self._context(box_name(number)),
                clock=clock,
            )
            for number, key in enumerate(keys)
        ]

    def _context(self, name: str) -> ssl.SSLContext:
        files = self.broker.certificates.client(name)
        context = client_context(ca=files.ca, certificate=files.certificate, key=files.key)
        # asyncio's TLS makes no sockets of its own.
        context.sslsocket_class = ssl.SSLSocket
        return context

    def _write_settings(self, folder: Path, keys: Sequence[SigningKey]) -> None:
        place = {self.broker.certificates.client(name).certificate.parent for name in WORKERS}.pop()
        first = (
            f"[broker]\nhost = '{self.broker.host}'\nport = {self.broker.port}\n"
            f"ca = '{self.broker.certificates.ca}'\n"
            f"certificate = '{place}/{{worker}}.pem'\nkey = '{place}/{{worker}}.key'\n\n"
            f"[inbox]\ndatabase = '{self.database}'\nopening_keys = ['opening.key']\nreceipt_key = 'receipt.key'\n"
        )
        lines = [first]
        for number, key in enumerate(keys):
            lines.append(f"[[boxes]]\nid = '{box_name(number)}'\nsigning_keys = ['{key.public.hex()}']\n")
            lines.append(
                f"[[patients]]\npseudonym = '{patient_name(number)}'\nbox = '{box_name(number)}'\n"
                f"from = 2025-01-01T00:00:00Z\nprotocol = '{PROTOCOL}'\n"
            )
        (folder / "desk.toml").write_text("\n".join(lines), encoding="utf-8")

    async def _worker(self, folder: Path, name: str) -> asyncio.subprocess.Process:
        code = "from coordination.cli import main; main()"
        arguments = ("inbox", "--config", str(folder / "desk.toml"), "--worker", name)
        with (folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments, stderr=log)
        said = folder / f"{name}.log"
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                # Its log is all that it says.
                while b"ready" not in said.read_bytes() and process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except BaseException:
            await _end(process)
            raise
        if process.returncode is not None:
            raise RegionError(f"the worker {name} ended: {said.read_text(errors='replace')[-400:]}")
        return process

    def count(self, query: str, *values: object) -> int:
        """Return a number that the team's database has."""
        connection = connect_to_read(self.database)
        try:
            return int(connection.execute(query, values).fetchone()[0])
        finally:
            connection.close()


def box_name(number: int) -> str:
    """Return the id of a box of the fleet."""
    return f"fleet-{number:05d}"


def patient_name(number: int) -> str:
    """Return the pseudonym of its patient."""
    return f"simulated-{number:05d}"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()
