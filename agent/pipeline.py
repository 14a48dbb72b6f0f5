"""One reading through: keep it first (transaction A), then hand it to judging.

- Transaction A keeps a reading and its sealed entry before anything judges it; only then does its source go on: a
  device is told to forget, its clock is set.
- Values of a stream are kept together, `group_commit` seconds of them at a time: their source does not wait, and what
  is not kept yet is lost with the power. What else their device says, what is noticed about them, and what another
  device of the same person says has them kept, and so judged, first.
- A disk that refuses is waited out: the device still has the reading, and its source waits. So it is when the buffer is
  full; values of streams, which are nowhere else, are then dropped and declared.
- What is kept is handed to judging, which never holds keeping up; what is nobody's is told and not judged.
- What devices say about themselves is kept too, on the side: no reading waits for it.

Not here: whose a reading is (attribution), what it means (judging), and sending (forwarder).
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.attribution import Attribution, moment_ms, out_of_range
from agent.counts import Counts
from agent.device_facts import FactKeeper
from agent.errors import BufferFullError
from agent.handed import Handed
from agent.judging import Judging
from agent.reading_time import doubted, not_ahead
from agent.refusal import Refusal
from agent.segments import LONGEST
from agent.settings import Watched
from agent.store import Arrival, Store
from agent.store_reader import Kept
from agent.store_thread import DISK_PAUSE_S, StoreThread
from devices.clock import Clock, may_set_others
from devices.reading import Reading
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts
from exchange.messages import UNATTRIBUTED
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

QUEUE = 64
"""Batches of all devices that may wait to be kept; then sources wait."""
DECLARE_S = 3600.0
"""Real seconds that what was lost of streams may wait to be declared."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A batch on its way; `arrivals`, its readings with whose they are, once it is taken up."""

    device: Watched
    batch: Batch
    kept: asyncio.Future[None]
    arrivals: tuple[Arrival, ...] = ()


class Pipeline:
    """The box's only way in for readings."""

    def __init__(
        self,
        *,
        store: StoreThread,
        sealer: Sealer,
        devices: Sequence[Watched],
        clock: Clock,
        judging: Judging,
        counts: Counts,
        on_kept: Callable[[], None],
        group_commit: float = 0.0,
    ) -> None:
        """Take what it needs.

        Args:
            store: keeps the readings.
            sealer: seals to the team.
            devices: everything that gives readings.
            clock: tells the time that alerts and readings are dated by.
            judging: is handed what is kept.
            counts: counts what happened to devices.
            on_kept: called whenever something new waits in the outbox.
            group_commit: real seconds for which values of streams may wait to be kept.
        """
        self._store = store
        self._sealer = sealer
        self._devices = devices
        self._clock = clock
        self._judging = judging
        self._counts = counts
        self._on_kept = on_kept
        self._queue: asyncio.Queue[_Work] = asyncio.Queue(QUEUE)
        self._last: dict[str, Reading] = {}
        self._attribution: dict[str, Attribution] = {}
        self._facts = FactKeeper(store, clock)
        self._group_commit = group_commit
        self._waiting: list[_Work] = []
        self._held: list[_Work] = []
        self._held_until = 0.0
        self._retry_at = 0.0
        self._declare_at = 0.0
        self._refusal = Refusal(clock.now_ms())

    async def start(self) -> None:
        """Learn where each device's history is resumed from, and since when it is known."""
        for device in self._devices:
            await self._meet(device)

    async def take_up(self, device: Watched) -> None:
        """Take in readings of this device too, in place of the one before with its address."""
        await self._meet(device)
        self._devices = (*(one for one in self._devices if one.address != device.address), device)

    async def _meet(self, device: Watched) -> None:
        reading = await self._store.call(Store.last_reading, device.address)
        if reading is not None:
            self._last[device.address] = reading
        if device.address not in self._attribution:
            await self._facts.start([device.address])
        met_at = None if reading is None else reading.received_at
        self._attribution[device.address] = Attribution(device, met_at=met_at)

    async def ingest(self, device: Watched, batch: Batch) -> None:
        """Return when the batch is safe, or taken up if it is of a stream."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Work(device, batch, kept))
        await kept

    def notice(self, *events: DeviceEvent) -> None:
        """Let what happened to the box as a whole, such as to its adapter, be told in its turn."""
        for event in events:
            self._counts.add(f"device.{event.kind}")
        if events:
            self._judging.hand_over(Handed((), {}, events))

    def last_reading(self, device: str) -> Reading | None:
        """Return the newest reading of a device that is safe."""
        return self._last.get(device)

    def key_was_kept(self, device: str) -> bool:
        """Return whether the box ever kept a key of a device."""
        return bool(self._facts.known(device).key_kept)

    def note_key(self, device: str) -> None:
        """Take note, for good, that the box keeps a key of a device."""
        self._facts.learn(device, DeviceFacts(key_kept=True))

    async def run(self) -> None:
        """Keep what is handed over, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._facts.run(), name="device facts")
            await self._keep_on()

    async def keep_held(self) -> None:
        """Return when everything that came so far of streams is kept, or declared lost."""
        for device in self._devices:
            await self.ingest(device, Batch())

    async def stop(self) -> None:
        """Keep what is held of streams, and declare what was lost; a disk that refuses now is not waited for."""
        arrivals = [arrival for work in self._held for arrival in work.arrivals]
        now, lost = self._clock.now_ms(), self._refusal.lost
        with contextlib.suppress(sqlite3.Error, BufferFullError):
            if arrivals or lost:
                await self._store.call(Store.accept_streamed, arrivals, lost, self._sealer, now_ms=now)

    async def _keep_on(self) -> None:
        time = asyncio.get_running_loop().time
        while True:
            await self._take()
            if self._held and time() >= self._held_until:
                await self._keep_held()
            if self._waiting and time() >= self._retry_at:
                await self._keep_waiting()
            if self._refusal.lost and time() >= self._declare_at:
                await self._declare()

    async def _take(self) -> None:
        """Take up what comes, until something that was taken up before is due."""
        due = [self._held_until] if self._held else []
        due += [self._retry_at] if self._waiting else []
        due += [self._declare_at] if self._refusal.lost else []
        try:
            async with asyncio.timeout_at(min(due, default=None)):
                self._take_up(await self._queue.get())
        except TimeoutError:
            return
        while not self._queue.empty():
            self._take_up(self._queue.get_nowait())

    def _take_up(self, work: _Work) -> None:
        # By the clock of now: when it is put right, what is held was still received by the wrong one.
        work = replace(work, arrivals=self._arrivals(work))
        now = asyncio.get_running_loop().time()
        if not work.batch.streamed:
            self._waiting.append(work)
            if any(_comes_after(work, held) for held in self._held):
                self._held_until = now
            return
        if not self._held:
            self._held_until = now + self._group_commit
        self._held.append(work)
        if work.batch.events or sum(len(held.batch.readings) for held in self._held) >= LONGEST:
            self._held_until = now
        _go_on(work)

    async def _keep_waiting(self) -> None:
        works = self._waiting
        arrivals = [arrival for work in works for arrival in work.arrivals]
        kept: dict[str, list[Kept]] = {}
        now = self._clock.now_ms()
        if arrivals:
            try:
                kept = await self._store.persist(Store.accept, arrivals, self._sealer, now_ms=now)
            except BufferFullError:
                self.notice(*self._refusal.refused(now))
                self._retry_at = asyncio.get_running_loop().time() + DISK_PAUSE_S
                self._waiting = [work for work in works if work.batch.readings]
                self._hand_over([work for work in works if not work.batch.readings], kept)
                return
            self._kept(arrivals, now)
        self._waiting, self._retry_at = [], 0.0
        self._hand_over(works, kept)

    async def _keep_held(self) -> None:
        # Held on to until they are kept: a stop meanwhile keeps them, and repeats are recognised.
        works, now = self._held, self._clock.now_ms()
        arrivals = [arrival for work in works for arrival in work.arrivals]
        kept: dict[str, list[Kept]] = {}
        try:
            kept = await self._accept_streamed(arrivals, now)
        except BufferFullError:
            self.notice(*self._refusal.refused(now))
            if not self._refusal.lost:
                self._declare_at = asyncio.get_running_loop().time() + DECLARE_S
            self._refusal.lose(arrivals)
            works = [replace(work, batch=replace(work.batch, readings=())) for work in works]
        else:
            self._refusal.declared()
            self._kept(arrivals, now)
        self._held = []
        self._hand_over(works, kept)

    async def _accept_streamed(self, arrivals: Sequence[Arrival], now: int) -> dict[str, list[Kept]]:
        if self._waiting and self._retry_at:
            # The sparse readings that wait for room would only push them out again.
            raise BufferFullError
        lost = self._refusal.lost
        return await self._store.persist(Store.accept_streamed, arrivals, lost, self._sealer, now_ms=now)

    async def _declare(self) -> None:
        """Declare what was lost of streams, should none of them go on for long."""
        lost, now = self._refusal.lost, self._clock.now_ms()
        await self._store.persist(Store.declare, lost, self._sealer, now_ms=now)
        self._refusal.declared()
        self._on_kept()

    def _kept(self, arrivals: Sequence[Arrival], now: int) -> None:
        self._on_kept()
        self.notice(*self._refusal.kept(now))
        for arrival in arrivals:
            before = self._last.get(arrival.reading.device)
            if before is None or before.order < arrival.reading.order:
                self._last[arrival.reading.device] = arrival.reading

    def _hand_over(self, works: Sequence[_Work], kept: dict[str, list[Kept]]) -> None:
        """Let the sources of these go on, and judging have what is kept of them."""
        nobodys = [item.reading for item in kept.pop(UNATTRIBUTED, ())]
        batches = [self._told(work, nobodys) for work in works]
        for work, batch in zip(works, batches, strict=True):
            for event in batch.events:
                self._counts.add(f"device.{event.kind}")
            _go_on(work)
            if batch.facts is not None:
                self._facts.learn(work.device.address, batch.facts)
        devices = (work.device for work in works)
        self._judging.hand_over(Handed(tuple(zip(devices, batches, strict=True)), kept))

    def _arrivals(self, work: _Work) -> tuple[Arrival, ...]:
        """Say whose each reading of a batch is, and how far its time can be trusted."""
        readings = [not_ahead(reading, self._clock.now_ms()) for reading in work.batch.readings]
        owners = self._attribution[work.device.address].owners(readings)
        sure = may_set_others(self._clock)
        return tuple(
            Arrival(patient=UNATTRIBUTED, reading=reading, attributed=False)
            if owner is None
            else Arrival(patient=owner.pseudonym, reading=reading if sure else doubted(reading))
            for reading, owner in zip(readings, owners, strict=True)
        )

    def _told(self, work: _Work, nobodys: Sequence[Reading]) -> Batch:
        """Return a batch that also says that new readings of its device are nobody's, and whether weight is why."""
        device, now = work.device, self._clock.now_ms()
        readings = [reading for reading in nobodys if reading.device == device.address]
        weighed = {moment_ms(reading) for reading in readings if out_of_range(device, reading)}
        kinds = [DeviceEventKind.WEIGHT_OUT_OF_RANGE] if weighed else []
        if any(moment_ms(reading) not in weighed for reading in readings):
            kinds.append(DeviceEventKind.TO_BE_ATTRIBUTED)
        events = (DeviceEvent(kind=kind, device=device.address, at=now) for kind in kinds)
        return replace(work.batch, events=(*work.batch.events, *events))


def _comes_after(work: _Work, held: _Work) -> bool:
    """Return whether what is held is to be kept, and so judged, first: it is of the same device or person."""
    if work.device is held.device:
        return True
    people = {person.patient.pseudonym for person in held.device.people}
    return bool(work.batch.readings) and any(person.patient.pseudonym in people for person in work.device.people)


def _go_on(work: _Work) -> None:
    """Let the source of a batch go on."""
    # A source cancelled meanwhile no longer waits.
    if not work.kept.done():
        work.kept.set_result(None)
