"""A small MQTT 5 client for very many connections in one event loop: a simulated fleet has thousands.

The box's own connection gives each client a thread (exchange/connection), which no machine has thousands of. This one
speaks just what a box speaks: QoS 1, mutual TLS, one will, subscriptions, reason codes. Packets as MQTT 5.0, section 3.

Not here: connecting again, and what messages mean (fleet).
"""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 14
_QOS_1, _RETAIN = 0b0010, 0b0001
_CLEAN, _WILL, _WILL_QOS_1, _WILL_RETAIN = 0x02, 0x04, 0x08, 0x20
_SESSION_EXPIRY, _RECEIVE_MAXIMUM = 0x11, 0x21
_REFUSED = 0x80
_ANSWER_WITHIN_S = 60.0
_LARGEST = 1 << 20


class MqttError(Exception):
    """The connection is over; `code` is the broker's reason, None when it gave none."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a broker is, and what is shown to it."""

    host: str
    port: int
    context: ssl.SSLContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a client says of itself as it connects.

    Attributes:
        client_id: of its session.
        will: topic and payload, retained, QoS 1.
        keepalive_s: the broker drops who is silent for one and a half times as long.
        session_expiry_s: how long the broker keeps the session.
        receive_maximum: messages that may wait for this client's acknowledgement.
    """

    client_id: str
    will: tuple[str, bytes]
    keepalive_s: int = 30
    session_expiry_s: int = 3600
    receive_maximum: int = 100


class MqttClient:
    """One connection, made once; an async context manager.

    `on_message` is told topic and payload of what arrives, which is acknowledged when it returns.
    """

    def __init__(self, address: Address, hello: Hello, on_message: Callable[[str, bytes], None]) -> None:
        self._address = address
        self._hello = hello
        self._on_message = on_message
        self._answers: dict[tuple[int, int], asyncio.Future[int]] = {}
        self._next_id = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._writer: asyncio.StreamWriter | None = None
        self._broken: str | None = None
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            MqttError: it was refused, or nobody answered.
        """
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                reader, writer = await asyncio.open_connection(
                    self._address.host, self._address.port, ssl=self._address.context, limit=1 << 16
                )
                self._writer = writer
                writer.write(_connect(self._hello))
                kind, _, body = await _packet(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, MqttError) as error:
            self._close()
            raise MqttError(f"no connection: {error}") from error
        if kind != CONNACK or body[1] >= _REFUSED:
            self._close()
            raise MqttError("the broker refuses the connection", body[1] if kind == CONNACK else None)
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._ping())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Break the connection without a word, as a cut does."""
        for task in self._tasks:
            task.cancel()
        self._break("closed here")
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def broken(self) -> bool:
        """Whether the connection is over."""
        return self._broken is not None

    async def wait_over(self) -> None:
        """Return when the connection is over."""
        await self._over.wait()

    async def subscribe(self, *topics: str) -> None:
        """Subscribe at QoS 1.

        Raises:
            MqttError: refused, or the connection broke.
        """
        number = self._number()
        body = struct.pack("!HB", number, 0) + b"".join(_text(topic) + b"\x01" for topic in topics)
        await self._asked(SUBACK, number, _framed(SUBSCRIBE << 4 | 0b0010, body))

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish at QoS 1 and return the reason code of the PUBACK.

        Raises:
            MqttError: the connection broke.
        """
        number = self._number()
        flags = PUBLISH << 4 | _QOS_1 | (_RETAIN if retain else 0)
        return await self._asked(PUBACK, number, _framed(flags, _text(topic) + struct.pack("!HB", number, 0) + payload))

    async def _asked(self, kind: int, number: int, packet: bytes) -> int:
        if self._broken is not None or self._writer is None:
            raise MqttError(self._broken or "not connected")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[kind, number] = answer
        self._writer.write(packet)
        try:
            return await answer
        finally:
            self._answers.pop((kind, number), None)

    def _number(self) -> int:
        self._next_id = self._next_id % 0xFFFF + 1
        return self._next_id

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                kind, flags, body = await _packet(reader)
                if kind == PUBLISH:
                    self._received(flags, body)
                elif kind in {PUBACK, SUBACK}:
                    self._answered(kind, body)
                elif kind == DISCONNECT:
                    self._break(f"the broker takes leave ({body[0] if body else 0})")
                    return
        except (OSError, asyncio.IncompleteReadError, MqttError) as error:
            self._break(str(error))

    def _received(self, flags: int, body: bytes) -> None:
        (length,) = struct.unpack_from("!H", body)
        topic = body[2 : 2 + length].decode("utf-8")
        at = 2 + length
        number = None
        if flags & _QOS_1:
            (number,) = struct.unpack_from("!H", body, at)
            at += 2
        size, at = _varint(body, at)
        self._on_message(topic, body[at + size :])
        if number is not None and self._writer is not None:
            self._writer.write(_framed(PUBACK << 4, struct.pack("!H", number)))

    def _answered(self, kind: int, body: bytes) -> None:
        (number,) = struct.unpack_from("!H", body)
        answer = self._answers.get((kind, number))
        if answer is None or answer.done():
            return
        if kind == PUBACK:
            answer.set_result(body[2] if len(body) > 2 else 0)
        elif body[-1] >= _REFUSED:
            answer.set_exception(MqttError("the broker refuses the subscription", body[-1]))
        else:
            answer.set_result(body[-1])

    async def _ping(self) -> None:
        while self._writer is not None:
            await asyncio.sleep(self._hello.keepalive_s)
            self._writer.write(bytes((PINGREQ << 4, 0)))

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = why
            self._over.set()
        self._close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(MqttError(why))
                # Whoever asked may be gone as well.
                answer.exception()

    def _close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.transport.abort()


def _connect(hello: Hello) -> bytes:
    topic, payload = hello.will
    properties = struct.pack("!BIBH", _SESSION_EXPIRY, hello.session_expiry_s, _RECEIVE_MAXIMUM, hello.receive_maximum)
    flags = _CLEAN | _WILL | _WILL_QOS_1 | _WILL_RETAIN
    body = _text("MQTT") + struct.pack("!BBH", 5, flags, hello.keepalive_s) + bytes((len(properties),)) + properties
    body += _text(hello.client_id) + b"\x00" + _text(topic) + struct.pack("!H", len(payload)) + payload
    return _framed(CONNECT << 4, body)


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("!H", len(data)) + data


def _framed(first: int, body: bytes) -> bytes:
    return bytes((first, *_length(len(body)))) + body


def _length(length: int) -> Iterator[int]:
    """Yield a length as a variable byte integer (1.5.5)."""
    while True:
        length, digit = divmod(length, 128)
        yield digit | (0x80 if length else 0)
        if not length:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable byte integer and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        if not data[at] & 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7


async def _packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """Return kind, flags and body of the next packet."""
    (first,) = await reader.readexactly(1)
    length = shift = 0
    while True:
        (digit,) = await reader.readexactly(1)
        length |= (digit & 0x7F) << shift
        if not digit & 0x80:
            break
        shift += 7
    if length > _LARGEST:
        raise MqttError(f"a packet of {length} bytes")
    return first >> 4, first & 0x0F, await reader.readexactly(length)
