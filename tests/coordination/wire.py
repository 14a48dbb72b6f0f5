"""Links without a broker: what the tests put in arrives, what the inbox acknowledges and publishes is kept.

`links` holds the link of statuses and alerts of each stretch of receiving; its `readings` is the other one.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Self, cast

from exchange.connection import LinkSettings, Message
from exchange.link import Link


class Wire:
    """The broker's side, across every link that the inbox makes."""

    def __init__(self) -> None:
        self.links: list[_WireLink] = []
        self.acknowledged: list[int] = []
        self.published: list[tuple[str, bytes]] = []
        self._changed = asyncio.Condition()
        self._next = 0

    def link(self, settings: LinkSettings) -> Link:
        made = _WireLink(self, settings)
        if settings.client_id.endswith("-obs"):
            self.links[-1].readings = made
        else:
            self.links.append(made)
        return made

    def arrives(self, topic: str, payload: bytes, *, retained: bool = False) -> int:
        """Deliver a message over the present link; return its number."""
        self._next += 1
        message = Message(topic=topic, payload=payload, retained=retained, connection=cast("Any", self), mid=self._next)
        link = self.links[-1]
        if topic.endswith("/obs") and link.readings is not None:
            link = link.readings
        link.arrived.put_nowait(message)
        return self._next

    def acknowledge(self, mid: int) -> None:
        self.acknowledged.append(mid)
        self.changed()

    def changed(self) -> None:
        async def tell() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._telling = asyncio.ensure_future(tell())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; looked at whenever the inbox does something, and every few milliseconds."""
        async with asyncio.timeout(20):
            while not condition():
                try:
                    async with asyncio.timeout(0.01), self._changed:
                        await self._changed.wait()
                except TimeoutError:
                    continue


class _WireLink(Link):
    def __init__(self, wire: Wire, settings: LinkSettings) -> None:
        super().__init__(settings)
        self.wire = wire
        self.settings = settings
        self.readings: _WireLink | None = None
        self.topics: list[str] = []
        self.arrived: asyncio.Queue[Message] = asyncio.Queue()
        self.open = False

    async def __aenter__(self) -> Self:
        self.open = True
        self.wire.changed()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.open = False

    @property
    def connected(self) -> bool:
        return self.open

    @property
    def generation(self) -> int:
        return 1

    @property
    def every_topic(self) -> list[str]:
        """What both links of a stretch are subscribed to."""
        return self.topics + (self.readings.topics if self.readings is not None else [])

    async def wait_connected(self) -> None:
        """It is up for as long as it is open."""

    async def wait_generation_after(self, seen: int) -> int:
        while seen >= self.generation:  # noqa: ASYNC110 - it is never made again
            await asyncio.sleep(1)
        return self.generation

    async def subscribe(self, topics: Sequence[str]) -> None:
        self.topics.extend(topics)
        self.wire.changed()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        assert not retain
        self.wire.published.append((topic, payload))
        self.wire.changed()
        return 0

    async def messages(self) -> AsyncGenerator[Message, None]:
        while True:
            yield await self.arrived.get()
