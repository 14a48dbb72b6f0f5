"""The MQTT link, used by both sides: a connection that is made again whenever it breaks.

Rules of this room:

- Nothing is queued while the link is down: `publish` raises at once, and the outbox keeps what was not sent.
- Subscriptions stand across connections; a link counts as up only once they do.
- The same cause is said once, then counted. Pauses are real time, doubled and jittered.

Not here: what the messages mean, when to send again, and paho (`connection`).
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self

from exchange.connection import REFUSED, Connection, LinkSettings, Message
from exchange.errors import LinkError
from exchange.tls_refusals import told

MOST_ARRIVED_BYTES = 64 << 20
"""What may have arrived that nobody has taken yet. The broker was told how many messages may be on their way without an
acknowledgement, and may send more all the same: mosquitto 2.0.11 was seen with 4 300 where 200 were allowed."""
LEAST_SHARE = 0.1
"""The shortest pause is this part of the first bound."""
_STEADY_S = 2.0
_TOO_MUCH = "more arrives than is taken"
_log = logging.getLogger(__name__)


def pause(settings: LinkSettings, failures: int, drawn: float) -> float:
    """Return how many seconds to wait before connecting again.

    Drawn between nothing and a bound that doubles with each failure, and is capped: boxes that lost the same broker
    come back one by one, not in step. At least a tenth of the first bound, so that no failure is met with a rush.

    Args:
        settings: with the first and the longest bound.
        failures: in a row, 0 after a connection that had lasted.
        drawn: 0 to 1.
    """
    bound = min(settings.retry_cap_s, settings.retry_first_s * 2.0 ** min(failures, 20))
    return max(LEAST_SHARE * settings.retry_first_s, bound * drawn)


class Link:
    """A link to the broker that is made again whenever it breaks, for as long as the `async with` block lasts.

    All methods belong to the event loop in which the block was entered.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._topics: list[str] = []
        self._current: Connection | None = None
        self._generation = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._arrived: deque[Message] = deque()
        self._arrived_bytes = 0
        self._failures = 0
        self._said: set[str] = set()
        self.refused_on_dates = False
        """Whether the last attempt failed on a certificate's dates."""

    async def __aenter__(self) -> Self:
        """Begin to connect; returns before the link is up."""
        self._task = asyncio.create_task(self._keep_connected(), name=f"link {self._settings.client_id}")
        self._task.add_done_callback(lambda _: self._announce())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Say goodbye to the broker, which then does not publish the will, and end `messages`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and all subscriptions stand."""
        return self._current is not None

    @property
    def generation(self) -> int:
        """How many times the link has been made; 0 before the first."""
        return self._generation

    async def wait_connected(self) -> None:
        """Return once the link is up.

        Raises:
            LinkError: the `async with` block has ended.
        """
        while self._current is None:
            await self._change()

    async def wait_generation_after(self, seen: int) -> int:
        """Return the present generation once the link is up and was made again after generation `seen`.

        Raises:
            LinkError: the `async with` block has ended.
        """
        while self._current is None or self._generation <= seen:
            await self._change()
        return self._generation

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish at QoS 1 and return the PUBACK's reason code: `SUCCESS` or `NO_MATCHING_SUBSCRIBERS`.

        Waits while `WINDOW` messages, or as many as the broker allows, are on their way. A retained message that
        nobody hears yet is kept all the same.

        Raises:
            LinkError: the link is down or broke before the PUBACK, or the broker refused the message; then
                `reason_code` is 0x80 or above, 0x87 when an ACL forbids the topic.
        """
        if self._current is None:
            raise LinkError("the link to the broker is down")
        code = await self._current.publish(topic, payload, retain=retain)
        if code.value >= REFUSED:
            raise LinkError(f"the broker refused a message on {topic}: {code}", reason_code=code.value)
        return code.value

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe at QoS 1, now when the link is up, and at each further connection before it counts as up.

        A link that is down, or breaks meanwhile, is no error: the next connection subscribes.

        Raises:
            LinkError: the broker refused; the topics are forgotten.
        """
        added = [topic for topic in topics if topic not in self._topics]
        self._topics.extend(added)
        if self._current is None or not added:
            return
        try:
            await self._current.subscribe(added)
        except LinkError as error:
            if error.reason_code is not None:
                self._topics = [topic for topic in self._topics if topic not in added]
                raise

    async def reconnect(self) -> None:
        """Make the link anew, with the certificate that now lies in its file; nothing happens while it is down.

        Whoever waits for a PUBACK is told that the link broke, as at any other time.
        """
        if self._current is not None:
            await self._current.close()

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield messages in the order of their arrival, across connections, until the `async with` block ends.

        For one consumer. What arrived over a lost connection may come again, over the next one or never.
        """
        while True:
            while self._arrived:
                message = self._arrived.popleft()
                self._arrived_bytes -= _weight(message)
                yield message
            try:
                await self._change()
            except LinkError:
                return

    async def _change(self) -> None:
        if self._task is not None and not self._task.done():
            await self._changed.wait()
            return
        if self._task is not None and not self._task.cancelled():
            self._task.result()
        raise LinkError("the link has ended")

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _deliver(self, message: Message) -> None:
        if self._arrived_bytes + _weight(message) > MOST_ARRIVED_BYTES:
            # It is not acknowledged, so whoever sent it learns that it did not get through.
            if _TOO_MUCH not in self._said:
                self._said.add(_TOO_MUCH)
                _log.warning("%s: what does not fit is left", _TOO_MUCH)
            return
        self._arrived.append(message)
        self._arrived_bytes += _weight(message)
        self._announce()

    async def _keep_connected(self) -> None:
        while True:
            connection = Connection(self._settings, self._deliver)
            try:
                await connection.open()
                await self._subscribe_all(connection)
                self._current = connection
                self._up()
                since = asyncio.get_running_loop().time()
                await connection.ended()
                # A broker that soon drops us again, such as for another client with our id, is not hurried back to.
                lasted = asyncio.get_running_loop().time() - since
                self._failures = 0 if lasted >= _STEADY_S else self._failures + 1
                self._say(connection.cause)
            except LinkError as error:
                self._failures += 1
                self.refused_on_dates = error.on_dates
                self._say(str(error))
            finally:
                self._current = None
                self._announce()
                await connection.close()
            await asyncio.sleep(pause(self._settings, self._failures, random.random()))  # noqa: S311 - jitter

    async def _subscribe_all(self, connection: Connection) -> None:
        done: list[str] = []
        while missing := [topic for topic in self._topics if topic not in done]:
            await connection.subscribe(missing)
            done.extend(missing)

    def _up(self) -> None:
        self._generation += 1
        _log.info(
            "connected to %s:%d after %d failed attempts", self._settings.host, self._settings.port, self._failures
        )
        self._said.clear()
        self.refused_on_dates = False
        self._announce()

    def _say(self, cause: str) -> None:
        if cause not in self._said:
            self._said.add(cause)
            _log.warning("no link to %s:%d: %s", self._settings.host, self._settings.port, told(cause))


def _weight(message: Message) -> int:
    """Return about how many bytes a message takes."""
    return len(message.payload) + len(message.topic) + 500
