"""One reading through: keep it first (transaction A), then hand it to judging.

- Transaction A keeps a reading and its sealed entry before anything judges it; only then does its source go on: a
  device is told to forget, its clock is set.
- A disk that refuses is waited out: the device still has the reading, and its source waits.
- What is kept is handed to judging, which never holds keeping up; what is nobody's is told and not judged.
- What devices say about themselves is kept too, on the side: no reading waits for it.

Not here: whose a reading is (attribution), what it means (judging), and sending (forwarder).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.attribution import Attribution, moment_ms, out_of_range
from agent.counts import Counts
from agent.device_facts import FactKeeper
from agent.handed import Handed
from agent.judging import Judging
from agent.reading_time import doubted, not_ahead
from agent.settings import Watched
from agent.store import Arrival, Store
from agent.store_reader import Kept
from agent.store_thread import StoreThread
from devices.clock import Clock, may_set_others
from devices.reading import Reading
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts
from exchange.messages import UNATTRIBUTED
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

QUEUE = 64
"""Batches of all devices that may wait to be kept; then sources wait."""


@dataclass(frozen=True, slots=True)
class _Work:
    device: Watched
    batch: Batch
    kept: asyncio.Future[None]


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
    ) -> None:
        """`on_kept` is called whenever something new waits in the outbox."""
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

    async def start(self) -> None:
        """Learn where each device's history is resumed from, and since when it is known."""
        for device in self._devices:
            reading = await self._store.call(Store.last_reading, device.address)
            if reading is not None:
                self._last[device.address] = reading
            met_at = None if reading is None else reading.received_at
            self._attribution[device.address] = Attribution(device, met_at=met_at)
        await self._facts.start([device.address for device in self._devices])

    async def ingest(self, device: Watched, batch: Batch) -> None:
        """Return when the batch is safe."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Work(device, batch, kept))
        await kept

    def notice(self, *events: DeviceEvent) -> None:
        """Let what happened to the box as a whole, such as to its adapter, be told in its turn."""
        for event in events:
            self._counts.add(f"device.{event.kind}")
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

    async def _keep_on(self) -> None:
        while True:
            works = [await self._queue.get()]
            while not self._queue.empty():
                works.append(self._queue.get_nowait())
            await self._keep(works)

    async def _keep(self, works: Sequence[_Work]) -> None:
        arrivals = [arrival for work in works for arrival in self._arrivals(work)]
        kept: dict[str, list[Kept]] = {}
        if arrivals:
            kept = await self._store.persist(Store.accept, arrivals, self._sealer, now_ms=self._clock.now_ms())
            self._on_kept()
        for arrival in arrivals:
            before = self._last.get(arrival.reading.device)
            if before is None or before.order < arrival.reading.order:
                self._last[arrival.reading.device] = arrival.reading
        nobodys = [item.reading for item in kept.pop(UNATTRIBUTED, ())]
        batches = [self._told(work, nobodys) for work in works]
        for work, batch in zip(works, batches, strict=True):
            for event in batch.events:
                self._counts.add(f"device.{event.kind}")
            # A source cancelled meanwhile no longer waits.
            if not work.kept.done():
                work.kept.set_result(None)
            if batch.facts is not None:
                self._facts.learn(work.device.address, batch.facts)
        devices = (work.device for work in works)
        self._judging.hand_over(Handed(tuple(zip(devices, batches, strict=True)), kept))

    def _arrivals(self, work: _Work) -> list[Arrival]:
        """Say whose each reading of a batch is, and how far its time can be trusted."""
        readings = [not_ahead(reading, self._clock.now_ms()) for reading in work.batch.readings]
        owners = self._attribution[work.device.address].owners(readings)
        sure = may_set_others(self._clock)
        return [
            Arrival(patient=UNATTRIBUTED, reading=reading, attributed=False)
            if owner is None
            else Arrival(patient=owner.pseudonym, reading=reading if sure else doubted(reading))
            for reading, owner in zip(readings, owners, strict=True)
        ]

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
