"""A network that misbehaves, between one client and the broker: it reads MQTT and loses, repeats, swaps and holds back.

It ends the client's TLS with a certificate of the broker's own CA, and speaks to the broker with the client's own
certificate: to both it is the other. So it can do what a cable cannot: take a single PUBLISH away, send it twice, send
it after the next one, or answer for a broker that never saw it. What it does is decided by `Weather`, or by a test,
packet by packet; the dice are seeded.

Only PUBLISH packets are touched, in either direction; all else passes as it came. In a test nothing is secret here.
"""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Self

from simulators.broker import HOST, Broker, ClientFiles

_PUBLISH = 3
_PUBACK = bytes((0x40,))
_LONGEST = 1 << 20


class Fate(Enum):
    """What becomes of one PUBLISH."""

    PASS = auto()
    DROP = auto()
    """It is lost."""
    TWICE = auto()
    """It arrives twice."""
    LATER = auto()
    """It arrives after the next one, or with the next packet of any kind."""
    SWALLOW = auto()
    """It is lost, and the sender is told by a PUBACK that it arrived."""
    CUT = auto()
    """The connection breaks in the middle of it."""


class Way(Enum):
    """Where a packet goes."""

    UP = auto()
    """From the client to the broker."""
    DOWN = auto()


Decide = Callable[[Way, bytes], Fate]
"""What becomes of a PUBLISH with this whole packet."""


@dataclass
class Weather:
    """How often each fate befalls a PUBLISH, as shares of 1; the rest pass.

    Attributes:
        seed: of the dice.
        shares: by fate.
    """

    seed: int
    shares: dict[Fate, float]
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 - to be repeated, not to be kept secret

    def __call__(self, way: Way, packet: bytes) -> Fate:
        """Decide by the dice alone."""
        del way, packet
        drawn = self._dice.random()
        for fate, share in self.shares.items():
            if drawn < share:
                return fate
            drawn -= share
        return Fate.PASS


class Proxy:
    """Listens on loopback for one client of a broker. Usable as an asynchronous context manager.

    Args:
        broker: where it forwards to.
        client: files of the client that it speaks as.
        decide: what becomes of each PUBLISH.

    Attributes:
        port: that the client has to connect to, on `HOST`; known once it has been entered.
        befell: how often each fate befell a PUBLISH.
    """

    def __init__(self, broker: Broker, client: ClientFiles, decide: Decide) -> None:
        self._broker = broker
        self._client = client
        self.decide = decide
        self.befell = dict.fromkeys(Fate, 0)
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        server = self._broker.certificates.server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.certificate, server.key)
        context.load_verify_locations(server.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._serve, HOST, 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        self.cut()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Break the connections that stand."""
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            if task is not None:
                self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = ssl.create_default_context(cafile=self._client.ca)
        context.load_cert_chain(self._client.certificate, self._client.key)
        up, down = await asyncio.open_connection(self._broker.host, self._broker.port, ssl=context)
        try:
            ways = [
                asyncio.create_task(self._carry(Way.UP, reader, down, back=writer)),
                asyncio.create_task(self._carry(Way.DOWN, up, writer, back=down)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            down.transport.abort()

    async def _carry(
        self, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back: asyncio.StreamWriter
    ) -> None:
        held = b""
        async for packet in _packets(source):
            fate = self.decide(way, packet) if packet[0] >> 4 == _PUBLISH else Fate.PASS
            if packet[0] >> 4 == _PUBLISH:
                self.befell[fate] += 1
            match fate:
                case Fate.PASS:
                    sink.write(packet + held)
                    held = b""
                case Fate.TWICE:
                    sink.write(packet + packet + held)
                    held = b""
                case Fate.LATER:
                    sink.write(held)
                    held = packet
                case Fate.SWALLOW:
                    back.write(puback(packet))
                case Fate.CUT:
                    sink.write(packet[: len(packet) // 2])
                    await sink.drain()
                    return
                case Fate.DROP:
                    pass
            await sink.drain()


async def _packets(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    """Yield whole MQTT packets (MQTT 5, 2.1: type and flags, the remaining length in 1 to 4 bytes, the rest)."""
    while True:
        head = await reader.readexactly(1)
        length, shift = 0, 0
        while True:
            byte = await reader.readexactly(1)
            head += byte
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                break
        if length > _LONGEST:
            raise EOFError
        yield head + await reader.readexactly(length)


def puback(publish: bytes) -> bytes:
    """Return the PUBACK of a PUBLISH at QoS 1, reason code success (MQTT 5, 3.4)."""
    return _PUBACK + b"\x02" + _identifier(publish)


def topic_of(publish: bytes) -> str:
    """Return the topic of a PUBLISH."""
    at = _body(publish)
    length = int.from_bytes(publish[at : at + 2], "big")
    return publish[at + 2 : at + 2 + length].decode()


def _identifier(publish: bytes) -> bytes:
    at = _body(publish)
    end = at + 2 + int.from_bytes(publish[at : at + 2], "big")
    return publish[end : end + 2]


def _body(packet: bytes) -> int:
    """Return where a packet's variable header begins."""
    return 2 + next(number for number, byte in enumerate(packet[1:5]) if byte < 0x80)
