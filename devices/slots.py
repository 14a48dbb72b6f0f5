"""A radio that holds no more links open than its adapter can, and lets devices take turns.

- Whoever connects takes a slot first, and gives it back when the link is closed.
- Among those who wait, a device that is there for a moment comes before a sensor that is always there; otherwise the
  first come is the first served.
- A sensor that is always there gives way at once to a device that is there for a moment; and any link that has been
  open for a turn gives way to whoever waits. The one that has been open longest is asked first.
- Giving way looks like a link that the device closed: its visit ends in order, and what it had not handed over is
  fetched the next time. A sensor keeps its records, so that costs time and no reading.

With more sensors than slots each of them is therefore heard in turn, some minutes late. Not here: connections in a
queue (bleak_radio), and when a device is tried again (session).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from devices.radio import Advertisement, Connection, Radio

TURN_S: Final = 60.0
"""Real seconds after which a link gives way to whoever waits."""


class _Slot:
    """One of the adapter's links, taken by a device."""

    def __init__(self, *, address: str, lasting: bool, taken_at: float) -> None:
        self.address = address
        self.lasting = lasting
        self.taken_at = taken_at
        self.give_way = asyncio.Event()


class _Waiter:
    """Somebody who waits for a slot."""

    def __init__(self, *, address: str, lasting: bool) -> None:
        self.address = address
        self.lasting = lasting
        self.slot: asyncio.Future[_Slot] = asyncio.get_running_loop().create_future()


class _HeldConnection:
    """An open link that ends when the device closes it, or when it has to give way."""

    def __init__(self, link: Connection, slot: _Slot) -> None:
        self._link = link
        self._slot = slot

    def has(self, characteristic: int) -> bool:
        return self._link.has(characteristic)

    def properties(self, characteristic: int) -> frozenset[str]:
        return self._link.properties(characteristic)

    async def read(self, characteristic: int) -> bytes:
        return await self._link.read(characteristic)

    async def write(self, characteristic: int, value: bytes) -> None:
        await self._link.write(characteristic, value)

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        await self._link.subscribe(characteristic, on_value)

    async def pair(self) -> None:
        await self._link.pair()

    async def wait_closed(self) -> None:
        """Return when the link is gone, or wanted for another device."""
        ends = [asyncio.ensure_future(self._link.wait_closed()), asyncio.ensure_future(self._slot.give_way.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)


class SlottedRadio:
    """An adapter with a number of links (`devices.radio.Radio`)."""

    def __init__(self, radio: Radio, *, slots: int, lasting: Collection[str] = (), turn: float = TURN_S) -> None:
        """Take a radio.

        Args:
            radio: the adapter.
            slots: links that it holds open at once, at least 1.
            lasting: addresses of the devices that are always there.
            turn: real seconds after which a link gives way to whoever waits.
        """
        self._radio = radio
        self._slots = slots
        self._lasting = frozenset(address.upper() for address in lasting)
        self._turn = turn
        self._taken: list[_Slot] = []
        self._waiting: list[_Waiter] = []
        self._next_turn: asyncio.TimerHandle | None = None

    def expect(self, lasting: Collection[str]) -> None:
        """Know more devices that are always there, by their addresses."""
        self._lasting |= {address.upper() for address in lasting}

    def misses(self) -> bool:
        """Return whether a device that is always there has no link, so that it ought to be heard."""
        return not self._lasting <= {slot.address for slot in self._taken}

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        """Return the device's next advertisement, or None when it was not heard within `within` real seconds.

        Raises:
            RadioError: the adapter failed.
        """
        return await self._radio.find(address, within=within)

    def listen(self, address: str | None) -> AbstractAsyncContextManager[AsyncIterator[Advertisement]]:
        """Hear a device's advertisements, or everybody's when `address` is None: that takes no slot."""
        return self._radio.listen(address)

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator[Connection]:
        """Open a link when a slot is free.

        Args:
            address: a device that `find` has heard.
            within: real seconds, the wait for a slot not counted.

        Raises:
            RadioError: as the adapter's own.
        """
        slot = await self._take(address.upper())
        try:
            async with self._radio.connect(address, within=within) as link:
                yield _HeldConnection(link, slot)
        finally:
            self._taken.remove(slot)
            self._share_out()

    async def _take(self, address: str) -> _Slot:
        waiter = _Waiter(address=address, lasting=address in self._lasting)
        self._waiting.append(waiter)
        self._share_out()
        try:
            return await waiter.slot
        except asyncio.CancelledError:
            if not waiter.slot.cancelled():
                # It was given one in the moment in which it stopped waiting.
                self._taken.remove(waiter.slot.result())
            self._share_out()
            raise

    def _share_out(self) -> None:
        """Give free slots to those who wait; where there are too few, ask links to give way, now or when it is time."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        now = asyncio.get_running_loop().time()
        self._waiting = [waiter for waiter in self._waiting if not waiter.slot.done()]
        while self._waiting and len(self._taken) < self._slots:
            waiter = next((one for one in self._waiting if not one.lasting), self._waiting[0])
            self._waiting.remove(waiter)
            slot = _Slot(address=waiter.address, lasting=waiter.lasting, taken_at=now)
            self._taken.append(slot)
            waiter.slot.set_result(slot)
        self._ask_to_give_way(now)

    def _ask_to_give_way(self, now: float) -> None:
        """Ask as many links as there are who wait."""
        wanted = len(self._waiting) - sum(slot.give_way.is_set() for slot in self._taken)
        brief = sum(not waiter.lasting for waiter in self._waiting)
        staying = [slot for slot in self._taken if not slot.give_way.is_set()]
        for slot in sorted(staying, key=lambda slot: (not slot.lasting, slot.taken_at)):
            if wanted > 0 and (now - slot.taken_at >= self._turn or (slot.lasting and brief > 0)):
                slot.give_way.set()
                wanted, brief = wanted - 1, brief - 1
        if wanted > 0 and (staying := [slot for slot in staying if not slot.give_way.is_set()]):
            due = min(slot.taken_at for slot in staying) + self._turn
            self._next_turn = asyncio.get_running_loop().call_at(due, self._share_out)
