"""One connection to the broker: the only file that imports paho.

Rules of this room:

- MQTT 5, QoS 1, mutual TLS 1.2 or later, the private CA and nothing else believed, the host's name checked. There is
  no setting that turns any of it off. Certificates are read again at each connection, so that they can be replaced
  under a running program.
- A publish succeeds when its PUBACK says so. paho calls a refused one published, so the reason code decides.
- A received message is acknowledged by whoever made it durable, and only over the connection that brought it.
- A connection is one paho client, used once and dropped: no state of a broken connection reaches the next.
- paho lives in a thread of its own; whatever it says comes to the event loop through `call_soon_threadsafe`.

Timeouts and keepalive are real time. Not here: making the connection again when it breaks (`link`).
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from exchange.errors import LinkError
from exchange.tls import client_context, refused_on_dates

SUCCESS = 0x00
NO_MATCHING_SUBSCRIBERS = 0x10
"""The broker took the message and nobody was there to receive it: send it again later."""
REFUSED = 0x80
"""Reason codes from here on are refusals (MQTT 5, 2.4)."""
WINDOW = 100
"""Messages that may wait for their PUBACK at once; more was measured to be slower."""

_MAX_PACKET_BYTES = 1 << 17
_DIAL_TIMEOUT_S = 10.0
_FAREWELL_S = 2.0
_KEEPALIVE_TIMEOUT = 0x8D

_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How to reach the broker, and as whom.

    Attributes:
        host: name or address that the broker's certificate carries.
        port: TCP port.
        client_id: MQTT client id; two links with the same one throw each other out.
        ca: PEM file of the private CA.
        certificate: PEM file; its common name is the user name at the broker.
        key: PEM file.
        keepalive_s: seconds of silence after which the link is probed; lost after twice as long.
        session_expiry_s: seconds the broker keeps subscriptions and undelivered messages of a lost link; 0 for none.
        clean_start: True to begin each connection without what the broker kept.
        receive_maximum: messages that may wait for `Message.acknowledge` at once, 1 to 65535.
        will: asked before each attempt to connect: topic and payload of the retained message that the broker
            publishes when the link is lost. None for no will.
        retry_first_s: pause after a first failure; doubled at each further one, with jitter.
        retry_cap_s: longest pause.
        answer_timeout_s: how long the broker may take to answer before the link counts as broken.
    """

    host: str
    port: int
    client_id: str
    ca: Path
    certificate: Path
    key: Path
    session_expiry_s: int
    clean_start: bool
    keepalive_s: int = 30
    receive_maximum: int = 100
    will: Callable[[], tuple[str, bytes]] | None = None
    retry_first_s: float = 0.5
    retry_cap_s: float = 30.0
    answer_timeout_s: float = 20.0


class Message:
    """A message that the broker delivered at QoS 1.

    Attributes:
        topic: where it was published.
        payload: as received.
        retained: True when the broker had kept it from before the subscription.
    """

    __slots__ = ("_connection", "_mid", "payload", "retained", "topic")

    def __init__(self, *, topic: str, payload: bytes, retained: bool, connection: "Connection", mid: int) -> None:
        self.topic = topic
        self.payload = payload
        self.retained = retained
        self._connection: Connection | None = connection
        self._mid = mid

    def acknowledge(self) -> None:
        """Tell the broker that the message is safe here; without effect the second time or on another connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.acknowledge(self._mid)


class Connection:
    """One connection: a paho client, its thread, and the answers that are awaited from the broker.

    `_serve` and the `_on_...` methods run in the thread; all others in the event loop.
    """

    def __init__(self, settings: LinkSettings, deliver: Callable[[Message], None]) -> None:
        self._settings = settings
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._abandoned = threading.Event()
        self._pubacks: dict[int, asyncio.Future[ReasonCode | None]] = {}
        self._subacks: dict[int, asyncio.Future[list[ReasonCode] | None]] = {}
        self._window = asyncio.Semaphore(WINDOW)
        self._largest = _MAX_PACKET_BYTES
        self.cause = ""
        self.on_dates = False

    async def open(self) -> None:
        """Connect and wait for the CONNACK.

        Raises:
            LinkError: files, network, TLS or broker said no.
        """
        client = self._make_client()
        self._client = client
        threading.Thread(
            target=self._serve, args=(client,), name=f"mqtt {self._settings.client_id}", daemon=True
        ).start()
        try:
            async with asyncio.timeout(_DIAL_TIMEOUT_S + self._settings.answer_timeout_s):
                await asyncio.wait([self._accepted, self._over], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise LinkError("the broker does not answer") from error
        if not self._accepted.done():
            raise LinkError(self.cause, on_dates=self.on_dates)

    async def ended(self) -> None:
        """Return when the connection is over; `cause` says why."""
        await asyncio.shield(self._over)

    async def close(self) -> None:
        """Take leave of the broker when there is one, and make sure that the thread ends."""
        client = self._client
        if client is not None and self._accepted.done():
            client.disconnect()
            await asyncio.wait([self._over], timeout=_FAREWELL_S)
        self._abandon()
        if self._accepted.done():
            await asyncio.wait([self._over], timeout=_FAREWELL_S)

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> ReasonCode:
        """Publish and wait for the PUBACK; LinkError when the connection breaks before."""
        if len(topic) + len(payload) + 16 > self._largest:
            raise LinkError(f"the broker takes packets of {self._largest} bytes at most", reason_code=0x95)
        await self._window.acquire()
        client = self._client
        info = None if client is None else client.publish(topic, payload, qos=1, retain=retain)
        if info is None or info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._window.release()
            raise LinkError("the link to the broker is down")
        answer: asyncio.Future[ReasonCode | None] = self._loop.create_future()
        # The place in the window is the broker's to give back: a caller who stops waiting does not free it.
        answer.add_done_callback(lambda _: self._window.release())
        self._pubacks[info.mid] = answer
        return await self._answer(answer, "PUBACK")

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe and wait for the SUBACK; LinkError when one topic is refused or the connection breaks."""
        client = self._client
        mid = None
        if client is not None:
            _, mid = client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in topics])
        if mid is None:
            raise LinkError("the link to the broker is down")
        answer: asyncio.Future[list[ReasonCode] | None] = self._loop.create_future()
        self._subacks[mid] = answer
        codes = await self._answer(answer, "SUBACK")
        for topic, code in zip(topics, codes, strict=True):
            if code.value >= REFUSED:
                raise LinkError(f"the broker refused the subscription to {topic}: {code}", reason_code=code.value)

    def acknowledge(self, mid: int) -> None:
        """Send the PUBACK of a message that this connection brought, if it still stands."""
        if self._client is not None:
            self._client.ack(mid, 1)

    async def _answer(self, answer: asyncio.Future[_Answer | None], word: str) -> _Answer:
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                value = await asyncio.shield(answer)
        except TimeoutError as error:
            self.cause = f"no {word} within {self._settings.answer_timeout_s} s"
            self._abandon()
            raise LinkError(self.cause) from error
        if value is None:
            raise LinkError(f"the link broke before the {word}: {self.cause}")
        return value

    def _abandon(self) -> None:
        """Make the thread end, wherever it is; while it dials, within the dial's own timeout."""
        self._abandoned.set()
        open_socket = self._client.socket() if self._client is not None else None
        if isinstance(open_socket, socket.socket):
            with contextlib.suppress(OSError):
                # Not SSLSocket's own shutdown, which would pull the TLS state from under the thread.
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)

    def _make_client(self) -> Client:
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.tls_set_context(client_context(ca=settings.ca, certificate=settings.certificate, key=settings.key))
        client.connect_timeout = _DIAL_TIMEOUT_S
        client.max_inflight_messages = WINDOW
        if settings.will is not None:
            topic, payload = settings.will()
            client.will_set(topic, payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_log = self._on_log
        # With this hook set, paho only enqueues in the caller's thread and leaves all writing to `loop`: an SSL socket
        # must not be written by one thread while another reads it.
        client.on_socket_register_write = _leave_writing_to_the_loop
        client.on_socket_open = _send_at_once
        return client

    def _serve(self, client: Client) -> None:
        settings = self._settings
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = settings.session_expiry_s
        properties.ReceiveMaximum = settings.receive_maximum
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        try:
            client.connect(
                settings.host,
                settings.port,
                settings.keepalive_s,
                clean_start=settings.clean_start,
                properties=properties,
            )
            while not self._abandoned.is_set() and client.loop() is MQTTErrorCode.MQTT_ERR_SUCCESS:
                pass
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that cannot be a name
            self.cause = self.cause or str(error)
            self.on_dates = isinstance(error, OSError) and refused_on_dates(error)
        finally:
            # The client closes its sockets when nobody holds it any more.
            self._client = None
            self._post(self._finish)

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self.cause = f"the broker refused us: {code}"
        else:
            self._post(self._accept, properties)

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.cause = f"the broker sent us away: {code}"
        elif code.value == _KEEPALIVE_TIMEOUT:
            self.cause = "the broker fell silent"

    def _on_publish(self, _client: Client, _data: object, mid: int, code: ReasonCode, _properties: Properties) -> None:
        self._post(self._resolve, self._pubacks, mid, code)

    def _on_subscribe(
        self, _client: Client, _data: object, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._post(self._resolve, self._subacks, mid, codes)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        # Ours are all QoS 1; QoS 0 would come outside the window that bounds what waits here.
        if message.qos == 1:
            ours = Message(
                topic=message.topic,
                payload=bytes(message.payload),
                retained=message.retain,
                connection=self,
                mid=message.mid,
            )
            self._post(self._deliver, ours)

    def _on_log(self, _client: Client, _data: object, level: int, text: str) -> None:
        # Why a broker hung up, such as for want of a client certificate, is nowhere but here.
        if level == LogLevel.MQTT_LOG_ERR:
            self.cause = self.cause or text

    def _post(self, function: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - passed through
        # RuntimeError: the event loop is closed, and nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _accept(self, properties: Properties | None) -> None:
        allowed = getattr(properties, "ReceiveMaximum", WINDOW)
        self._window = asyncio.Semaphore(min(WINDOW, allowed))
        self._largest = min(_MAX_PACKET_BYTES, getattr(properties, "MaximumPacketSize", _MAX_PACKET_BYTES))
        if not self._accepted.done():
            self._accepted.set_result(None)

    def _resolve(self, answers: dict[int, asyncio.Future[Any]], mid: int, value: object) -> None:
        answer = answers.pop(mid, None)
        if answer is not None:
            answer.set_result(value)

    def _finish(self) -> None:
        self.cause = self.cause or "the connection was lost"
        if not self._over.done():
            self._over.set_result(None)
        for answers in (self._pubacks, self._subacks):
            while answers:
                answers.popitem()[1].set_result(None)


def _send_at_once(_client: Client, _data: object, opened: object) -> None:
    """Do not let a small packet wait for the acknowledgement of the one before (40 ms on Linux)."""
    if isinstance(opened, socket.socket):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _leave_writing_to_the_loop(_client: Client, _data: object, _socket: object) -> None:
    """Do nothing; that it is set is what counts."""
