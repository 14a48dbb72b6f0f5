"""Who is measured: what takes a producer's records and says that they are safe, each as a process that can be killed.

Each has its documented settings as they come, and those that make it keep the most.
"""

import asyncio
import json
import os
import shutil
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from paho.mqtt.client import Client, ConnectFlags, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from benchmarks.peers_account import Account
from benchmarks.peers_record import TOPIC, text
from benchmarks.peers_uplink import READY_S, PlainMosquitto, VeilleurTeam
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, TeamKeys, write_team_keys
from simulators.broker import HOST

ROOT = Path(__file__).resolve().parents[1]
REFUSED = 0x80
NOBODY = 0x10


class Buffer(ABC):
    """A buffering process, and what its producer was told.

    Attributes:
        account: of its records.
        alive: whether it takes records.
        open: those that were given since it was started and are not answered.
    """

    quiet_s = 20.0
    """When nothing more has arrived for so long although the way is open, nothing will."""

    def __init__(self) -> None:
        self.account = Account()
        self.alive = False
        self.open: set[int] = set()

    def give(self, number: int) -> None:
        """Hand a record over; it is answered later, or never."""
        self.account.give(number)
        self.open.add(number)
        self._give(number, text(number))

    def _answered(self, number: int, *, safe: bool) -> None:
        self.open.discard(number)
        self.account.tell(number, safe=safe)

    async def start(self) -> None:
        """Start the process and return when it takes records."""
        self.open.clear()
        await self._start()
        self.alive = True

    async def kill(self) -> None:
        """SIGKILL."""
        self.alive = False
        await self._kill()

    async def stop(self) -> None:
        """End it in order."""
        if self.alive:
            self.alive = False
            await self._stop()

    @abstractmethod
    def _give(self, number: int, record: str) -> None: ...

    @abstractmethod
    async def _start(self) -> None: ...

    @abstractmethod
    async def _kill(self) -> None: ...

    @abstractmethod
    async def _stop(self) -> None: ...


class Program(Buffer):
    """One of `peers_programs`: a record a line in, an answer a line out."""

    def __init__(self, name: str, *arguments: str, python: Path | None = None) -> None:
        """`python` runs it; this one when None."""
        super().__init__()
        module = f"benchmarks.peers_programs.{name}"
        self._command = (str(python or sys.executable), "-m", module, *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    def _give(self, number: int, record: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{number} {record}\n".encode())

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read(self._process, ready), name="answers")
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({waiting, self._reader}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not ready.is_set():
            await self._kill()
            raise RuntimeError(f"did not start: {' '.join(self._command)}")

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            if not line.endswith(b"\n"):
                # The kill fell into the middle of an answer.
                return
            if line == b"ready\n":
                ready.set()
                continue
            number, safe = line.split()
            self._answered(int(number), safe=safe == b"1")

    async def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self._ended()

    async def _stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                async with asyncio.timeout(READY_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._ended()

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()
        if self._reader is not None:
            # What it had answered before its end was told.
            await self._reader


class ThingsBoard(Program):
    """One of the gateway's three storages."""

    def __init__(self, kind: str, folder: Path, port: int, settings: dict[str, object], python: Path) -> None:
        place = f"{folder}/"
        super().__init__(
            "thingsboard",
            kind,
            str(port),
            json.dumps({**settings, "data_file_path": place, "data_folder_path": place}),
            python=python,
        )


class Box(Program):
    """Our store, forwarder and link."""

    quiet_s = 40.0
    """Longer than a receipt is waited for before a record is sent again (30 s)."""

    def __init__(self, folder: Path, uplink: VeilleurTeam) -> None:
        team = uplink.team
        for source, name in (
            (uplink.files.ca, "ca.pem"),
            (uplink.files.certificate, "box.pem"),
            (uplink.files.key, "box.key"),
        ):
            shutil.copy(source, folder / name)
        team.box.save(folder / "signing.key")
        (folder / "kek").write_bytes(os.urandom(32))
        others = [OpeningKey.generate() for _ in (RecipientRole.ON_CALL, RecipientRole.ESCROW)]
        keys = zip((team.opening, *others), RecipientRole, strict=True)
        write_team_keys(
            folder / "team.json",
            TeamKeys(
                recipients=tuple(Recipient.of(key, role) for key, role in keys),
                receipt_signers=(ReceiptSigner.of(team.receipt),),
            ),
        )
        super().__init__("box", str(folder), str(uplink.gate.port))


class MosquittoBridge(Buffer):
    """A local mosquitto that bridges to the team's; told safe: PUBACK, with a reason code that is no refusal."""

    quiet_s = 60.0
    """One that saves at each change has been seen to need 20 s before it connects."""

    def __init__(self, folder: Path, port: int, lines: str) -> None:
        super().__init__()
        bridge = (
            "connection team\n"
            f"address {HOST}:{port}\n"
            f"topic {TOPIC} out 1\n"
            "cleansession false\n"
            "notifications false\n"
            "remote_clientid bridge\n"
            "bridge_protocol_version mqttv50\n"
            "restart_timeout 1\n"
        )
        persistence = f"persistence true\npersistence_location {folder}/\n"
        self._broker = PlainMosquitto(folder, persistence + lines + bridge)
        self.version = self._broker.version()
        self._client: Client | None = None
        self._numbers: dict[int, int] = {}
        self._early: dict[int, bool] = {}

    def _give(self, number: int, record: str) -> None:
        if self._client is None:
            return
        mid = self._client.publish(TOPIC, record, qos=1).mid
        if mid in self._early:
            self._answered(number, safe=self._early.pop(mid))
        else:
            self._numbers[mid] = number

    def _puback(self, client: Client, mid: int, code: int) -> None:
        if client is not self._client:
            return
        safe = code < REFUSED and code != NOBODY
        number = self._numbers.pop(mid, None)
        if number is None:
            self._early[mid] = safe
        else:
            self._answered(number, safe=safe)

    async def _start(self) -> None:
        await self._broker.start()
        loop, connected = asyncio.get_running_loop(), asyncio.Event()
        client = Client(CallbackAPIVersion.VERSION2, client_id="producer", protocol=MQTTv5)
        # The broker says how many it takes at once; paho does not ask.
        client.max_inflight_messages_set(20)

        def greeted(_: Client, __: object, ___: ConnectFlags, ____: ReasonCode, _____: Properties | None) -> None:
            loop.call_soon_threadsafe(connected.set)

        def confirmed(it: Client, _: object, mid: int, code: ReasonCode, __: Properties) -> None:
            loop.call_soon_threadsafe(self._puback, it, mid, code.value)

        client.on_connect = greeted
        client.on_publish = confirmed
        self._numbers.clear()
        self._early.clear()
        self._client = client
        client.connect(HOST, self._broker.port)
        client.loop_start()
        async with asyncio.timeout(READY_S):
            await connected.wait()

    async def _kill(self) -> None:
        self._broker.kill()
        await self._let_go()

    async def _stop(self) -> None:
        self._broker.stop()
        await self._let_go()

    async def _let_go(self) -> None:
        """End the producer: what it had not sent dies with it, what it was told by now counts."""
        client = self._client
        if client is not None:
            with suppress(OSError):
                client.disconnect()
            await asyncio.to_thread(client.loop_stop)
            # The last answers are on their way through the loop.
            await asyncio.sleep(0)
        self._client = None
