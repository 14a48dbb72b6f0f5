"""One reading through: keep it first (transaction A), then hand it to judging.

- Transaction A keeps a reading and its sealed entry before anything judges it; only then does its source go on: a
  device is told to forget, its clock is set.
- A disk that refuses is waited out: the device still has the reading, and its source waits.
- What is kept is handed to judging, which never holds keeping up.

Not here: what readings mean (judging), and sending (forwarder).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.counts import Counts
from agent.judging import Handed, Judging
from agent.settings import Device
from agent.store import Arrival, Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from devices.reading import ClockTrust, Reading
from devices.source import Batch
from exchange.messages import UNATTRIBUTED
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

QUEUE = 64
"""Batches of all devices that may wait to be kept; then sources wait."""


@dataclass(frozen=True, slots=True)
class _Work:
    device: Device
    batch: Batch
    kept: asyncio.Future[None]


class Pipeline:
    """The box's only way in for readings."""

    def __init__(
        self,
        *,
        store: StoreThread,
        sealer: Sealer,
        devices: Sequence[Device],
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

    async def start(self) -> None:
        """Learn where each device's history is resumed from."""
        for device in self._devices:
            reading = await self._store.call(Store.last_reading, device.address)
            if reading is not None:
                self._last[device.address] = reading

    async def ingest(self, device: Device, batch: Batch) -> None:
        """Return when the batch is safe."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Work(device, batch, kept))
        await kept

    def last_reading(self, device: str) -> Reading | None:
        """Return the newest reading of a device that is safe."""
        return self._last.get(device)

    async def run(self) -> None:
        """Keep what is handed over, until cancelled."""
        while True:
            works = [await self._queue.get()]
            while not self._queue.empty():
                works.append(self._queue.get_nowait())
            await self._keep(works)

    async def _keep(self, works: Sequence[_Work]) -> None:
        arrivals = [self._arrival(work.device, reading) for work in works for reading in work.batch.readings]
        kept = {}
        if arrivals:
            kept = await self._store.persist(Store.accept, arrivals, self._sealer, now_ms=self._clock.now_ms())
            self._on_kept()
        for arrival in arrivals:
            before = self._last.get(arrival.reading.device)
            if before is None or before.order < arrival.reading.order:
                self._last[arrival.reading.device] = arrival.reading
        for work in works:
            for event in work.batch.events:
                self._counts.add(f"device.{event.kind}")
            # A source cancelled meanwhile no longer waits.
            if not work.kept.done():
                work.kept.set_result(None)
        self._judging.hand_over(Handed(tuple((work.device, work.batch) for work in works), kept))

    def _arrival(self, device: Device, reading: Reading) -> Arrival:
        """Say whose a reading is: nobody's, when the device may have taken it for the patient before."""
        attributed = reading.measured_at >= device.given_on
        if reading.clock is ClockTrust.UNKNOWN and device.address not in self._last:
            # Undated, at the first meeting with the device: it may have lain in its memory since anybody.
            attributed = False
        patient = device.patient.pseudonym if attributed else UNATTRIBUTED
        return Arrival(patient=patient, reading=reading, attributed=attributed)
