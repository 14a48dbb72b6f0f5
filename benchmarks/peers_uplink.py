"""The team at the other end, and the way to it, which can be shut: alike for everybody who is measured.

The others send to a plain mosquitto, with one subscriber who counts what arrives; ours to a mosquitto with mutual TLS
and a worker of the inbox with its database. Neither drops anything of its own accord.
"""

import asyncio
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from benchmarks.drain import BOX, Team
from benchmarks.peers_record import TOPIC, number_at, number_of
from simulators.broker import HOST, Broker, free_port
from simulators.mosquitto import Mosquitto, find_mosquitto

READY_S = 30.0
POLL_S = 0.02


class Gate:
    """A TCP relay on loopback: open, it hands on; shut, it refuses and cuts what it had."""

    def __init__(self, target: int) -> None:
        """`target` is the port behind it; the gate's own never changes."""
        self._target = target
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._relay, HOST, self.port)

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in tuple(self._ends):
            end.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._ends |= ends
        try:
            await asyncio.wait(
                {asyncio.ensure_future(_pump(reader, back)), asyncio.ensure_future(_pump(there, writer))},
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()


class Uplink(ABC):
    """The team, behind a gate; an async context manager."""

    gate: Gate

    @abstractmethod
    async def received(self) -> Counter[int]:
        """Return how often each record has arrived by now."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(self, *_: object) -> None: ...


class PlainMosquitto:
    """One mosquitto with a few lines of configuration, on loopback, started and killed at will."""

    def __init__(self, folder: Path, lines: str, *, mosquitto: Mosquitto | None = None) -> None:
        self.port = free_port()
        self._mosquitto = mosquitto or find_mosquitto()
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = folder / "mosquitto.conf"
        common = f"listener {self.port} {HOST}\nallow_anonymous true\nuser root\nlog_dest none\n"
        self._configuration.write_text(common + lines, encoding="utf-8")

    def version(self) -> str:
        told = subprocess.run(
            [self._mosquitto.binary, "-h"],
            env=self._mosquitto.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.splitlines()[0].removeprefix("mosquitto version ")

    async def start(self) -> None:
        """Start it, and return once it takes connections."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for by its port
            [str(self._mosquitto.binary), "-c", str(self._configuration)],
            env=self._mosquitto.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(READY_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, self.port)
                    writer.close()
                    return
                if self._process.poll() is not None:
                    raise RuntimeError(f"mosquitto ended with {self._process.returncode}: {self._configuration}")
                await asyncio.sleep(POLL_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(READY_S)
            except subprocess.TimeoutExpired:
                self.kill()


class PlainTeam(Uplink):
    """A mosquitto without limits of its own, and one subscriber."""

    def __init__(self, folder: Path) -> None:
        self._broker = PlainMosquitto(folder, "max_queued_messages 0\npersistence false\n")
        self._counts: Counter[int] = Counter()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="team", protocol=MQTTv5)

    async def received(self) -> Counter[int]:
        return self._counts.copy()

    async def __aenter__(self) -> Self:
        await self._broker.start()
        self.gate = Gate(self._broker.port)
        subscribed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def connected(client: Client, _: object, __: ConnectFlags, ___: ReasonCode, ____: Properties | None) -> None:
            client.subscribe(TOPIC, qos=1)

        def take(_: Client, __: object, message: MQTTMessage) -> None:
            # Out of paho's thread: `received` copies what may not grow meanwhile.
            loop.call_soon_threadsafe(self._take, bytes(message.payload))

        def granted(*_: object) -> None:
            loop.call_soon_threadsafe(subscribed.set)

        self._client.on_connect = connected
        self._client.on_message = take
        self._client.on_subscribe = granted
        self._client.connect(HOST, self._broker.port)
        self._client.loop_start()
        async with asyncio.timeout(READY_S):
            await subscribed.wait()
        return self

    def _take(self, payload: bytes) -> None:
        # One record a line; some send many at once.
        self._counts.update(number_of(record) for record in payload.splitlines())

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self.gate.shut()
        self._broker.stop()


class VeilleurTeam(Uplink):
    """The team's broker with mutual TLS, and one worker of its inbox."""

    def __init__(self, folder: Path) -> None:
        self.broker = Broker(folder / "broker")
        self.database = folder / "desk.db"
        self.team = Team(folder, self.broker, self.database)
        self.files = self.broker.certificates.client(BOX)
        self._stack = AsyncExitStack()

    async def received(self) -> Counter[int]:
        return await asyncio.to_thread(self._stored)

    def _stored(self) -> Counter[int]:
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            rows = connection.execute("SELECT t, count(*) FROM observation GROUP BY t").fetchall()
        finally:
            connection.close()
        return Counter({number_at(at): count for at, count in rows})

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.broker.start)
        self._stack.callback(self.broker.stop)
        self.gate = Gate(self.broker.port)
        self._stack.callback(self.gate.shut)
        worker = await self.team.worker(1)
        self._stack.push_async_callback(_end, worker)
        async with asyncio.timeout(READY_S):
            # The database is made by the worker.
            while not self._has_tables():  # noqa: ASYNC110 - of another process
                await asyncio.sleep(POLL_S)
        return self

    def _has_tables(self) -> bool:
        if not self.database.exists():
            return False
        try:
            self._stored()
        except sqlite3.Error:
            return False
        return True

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.wait()
