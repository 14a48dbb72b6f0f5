"""The adapter's links are shared: brief devices first, sensors in turn, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest

from devices.errors import RadioError
from devices.radio import Advertisement, Connection
from devices.slots import SlottedRadio

CARE = 5.0
"""Seconds after which something that should happen has failed to."""
SENSORS = tuple(f"C4:B0:00:00:00:{number:02X}" for number in range(10))
SCALES = tuple(f"C4:B0:00:00:01:{number:02X}" for number in range(10))
NEVER = 10_000.0


class OneLink:
    """Answers everything, and ends when the test says so."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.told: list[object] = []

    def has(self, characteristic: int) -> bool:
        return characteristic == 0x2A9D

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset({"indicate"}) if self.has(characteristic) else frozenset()

    async def read(self, characteristic: int) -> bytes:
        return characteristic.to_bytes(2, "big")

    async def write(self, characteristic: int, value: bytes) -> None:
        self.told.append((characteristic, value))

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        on_value(b"value")

    async def pair(self) -> None:
        self.told.append("pair")

    async def wait_closed(self) -> None:
        await self.closed.wait()


class CountingRadio:
    """Opens any link, and knows how many are open."""

    def __init__(self) -> None:
        self.links: dict[str, OneLink] = {}
        self.most = 0
        self.refuses = False

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        return Advertisement(address=address, rssi=-int(within))

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        async def heard() -> AsyncIterator[Advertisement]:
            yield Advertisement(address=address or "anybody")

        yield heard()

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator[Connection]:
        if self.refuses:
            raise RadioError("not reachable", device=address)
        link = self.links[address] = OneLink()
        self.most = max(self.most, len(self.links))
        try:
            yield link
        finally:
            del self.links[address]


class Visitor:
    """A device's session: connects, stays until the link ends, and leaves."""

    def __init__(self, radio: SlottedRadio, address: str) -> None:
        self.opened, self.wanted = asyncio.Event(), asyncio.Event()
        self.leave = asyncio.Event()
        self.then: Callable[[], object] = lambda: None
        self._radio, self._address = radio, address
        self.task = asyncio.create_task(self._visit())

    async def _visit(self) -> None:
        try:
            async with self._radio.connect(self._address, within=1.0) as link:
                self.opened.set()
                await link.wait_closed()
                self.wanted.set()
                await self.leave.wait()
        finally:
            self.then()

    async def is_open(self) -> None:
        async with asyncio.timeout(CARE):
            await self.opened.wait()

    async def gives_way(self) -> None:
        """Return when the link has ended, and the device is gone."""
        async with asyncio.timeout(CARE):
            await self.wanted.wait()
            self.leave.set()
            await self.task


async def settled() -> None:
    """Let whoever can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def visiting(radio: SlottedRadio, *addresses: str) -> AsyncIterator[list[Visitor]]:
    """Devices that want a link, one after the other."""
    visitors = []
    for address in addresses:
        visitors.append(Visitor(radio, address))
        await settled()
    try:
        yield visitors
    finally:
        for visitor in visitors:
            visitor.task.cancel()
        await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)


async def test_no_more_links_are_open_than_the_adapter_has() -> None:
    inner = CountingRadio()
    radio = SlottedRadio(inner, slots=5, turn=NEVER)
    async with visiting(radio, *SCALES) as visitors:
        assert [visitor.opened.is_set() for visitor in visitors] == [True] * 5 + [False] * 5
        for ending, coming in zip(visitors[:5], visitors[5:], strict=True):
            inner.links[SCALES[visitors.index(ending)]].closed.set()
            await ending.gives_way()
            await coming.is_open()
    assert inner.most == 5
    assert inner.links == {}


async def test_a_sensor_gives_way_at_once_to_a_device_that_is_there_for_a_moment() -> None:
    radio = SlottedRadio(CountingRadio(), slots=2, lasting=SENSORS, turn=NEVER)
    async with visiting(radio, *SENSORS[:2], SCALES[0]) as (first, second, scale):
        await first.gives_way()
        await scale.is_open()
        assert not second.wanted.is_set()


async def test_a_sensor_waits_for_its_turn_and_comes_after_devices_that_are_there_for_a_moment() -> None:
    inner = CountingRadio()
    radio = SlottedRadio(inner, slots=1, lasting=SENSORS, turn=NEVER)
    async with visiting(radio, SCALES[0], SENSORS[0], SCALES[1]) as (there, sensor, scale):
        assert not there.wanted.is_set()
        inner.links[SCALES[0]].closed.set()
        await there.gives_way()
        await scale.is_open()
        assert not sensor.opened.is_set()


async def test_more_sensors_than_slots_are_all_heard_in_turn() -> None:
    radio = SlottedRadio(CountingRadio(), slots=2, lasting=SENSORS, turn=0.01)
    async with visiting(radio, *SENSORS[:6]) as visitors:
        for visitor in visitors[:4]:
            await visitor.gives_way()
        for visitor in visitors[4:]:
            await visitor.is_open()
        await settled()
        assert not any(visitor.wanted.is_set() for visitor in visitors[4:])


async def test_whoever_stays_for_longer_than_a_turn_gives_way_too() -> None:
    radio = SlottedRadio(CountingRadio(), slots=1, turn=0.01)
    async with visiting(radio, *SCALES[:2]) as (stayer, other):
        await stayer.gives_way()
        await other.is_open()


async def test_a_sensor_without_a_link_is_missed_and_a_scale_is_not() -> None:
    assert not SlottedRadio(CountingRadio(), slots=2).misses()
    radio = SlottedRadio(CountingRadio(), slots=2, lasting=[SENSORS[0].lower()], turn=NEVER)
    async with visiting(radio, SCALES[0]):
        assert radio.misses()
        async with visiting(radio, SENSORS[0]):
            assert not radio.misses()
        assert radio.misses()


async def test_nobody_gives_way_when_nobody_waits() -> None:
    radio = SlottedRadio(CountingRadio(), slots=3, lasting=SENSORS, turn=0.0)
    async with visiting(radio, *SENSORS[:3]) as visitors:
        await settled()
        assert not any(visitor.wanted.is_set() for visitor in visitors)


async def test_whoever_stops_waiting_leaves_the_slot_to_the_next() -> None:
    inner = CountingRadio()
    radio = SlottedRadio(inner, slots=1, turn=NEVER)
    async with visiting(radio, *SCALES[:4]) as (there, gone, too_late, last):
        gone.task.cancel()
        await asyncio.gather(gone.task, return_exceptions=True)
        # The slot is free, and given to the next, in the very moment in which that one is cancelled.
        there.then = too_late.task.cancel
        there.task.cancel()
        await last.is_open()
        assert not too_late.opened.is_set()
    assert inner.links == {}


async def test_a_device_that_cannot_be_reached_gives_its_slot_back() -> None:
    inner = CountingRadio()
    radio = SlottedRadio(inner, slots=1, turn=NEVER)
    inner.refuses = True
    for address in SCALES:
        with pytest.raises(RadioError, match="not reachable"):
            await enter(radio.connect(address, within=1.0))
    inner.refuses = False
    async with visiting(radio, SCALES[0]) as (scale,):
        await scale.is_open()


async def enter(context: AbstractAsyncContextManager[Connection]) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(context)


async def test_everything_else_is_the_adapters_own() -> None:
    radio = SlottedRadio(CountingRadio(), slots=1)
    found = await radio.find(SCALES[0], within=3.0)
    assert found == Advertisement(address=SCALES[0], rssi=-3)
    async with radio.listen(None) as ear:
        assert (await anext(ear)).address == "anybody"
    values: list[bytes] = []
    async with radio.connect(SCALES[0], within=1.0) as link:
        assert link.has(0x2A9D)
        assert link.properties(0x2A9D) == {"indicate"}
        assert await link.read(0x2A9D) == b"\x2a\x9d"
        await link.write(0x2A2B, b"time")
        await link.subscribe(0x2A9D, values.append)
        await link.pair()
    assert values == [b"value"]
