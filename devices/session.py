"""Session: one bonded device's life, from one visit to the next (`devices.source.Source`).

Find it, connect, bond, follow the link to its end (`visit`), pause, begin again; for ever, and without raising for
what a radio or a device does. What is worth knowing comes out as `DeviceEvent`s among the readings.

A device that cannot be read by its driver is left alone for long. One that lost its bond is tried again, because
an installer may have bonded it anew; a box never removes a bond by itself: whoever answers to the address of a
medical device without its key may be anybody.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from zoneinfo import ZoneInfo

from devices.about import About
from devices.backoff import Backoff, Patience
from devices.charge import Charge
from devices.clock import Clock
from devices.consent import Consent, Consents
from devices.course import Course
from devices.driver import Driver, Resume
from devices.echo import Echoes
from devices.errors import DriverError, RadioError
from devices.quirks import Quirk, quirk_named, quirk_of
from devices.radio import Advertisement, Radio
from devices.remarks import Remarks
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts
from devices.visit import Visit

_log = logging.getLogger(__name__)
_Emit = Callable[[Batch], Awaitable[None]]


class Session:
    """Yields what one device has to say, until cancelled."""

    def __init__(
        self,
        *,
        radio: Radio,
        driver: Driver,
        device: str,
        zone: ZoneInfo,
        clock: Clock,
        resume: Callable[[], Resume],
        consents: tuple[Consent, ...] = (),
        by_user: bool = False,
        patience: Patience | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Take charge of a device.

        Args:
            radio: the adapter that reaches it.
            driver: what reads it.
            device: its Bluetooth address, such as "C4:B0:00:00:00:01".
            zone: the patient's time zone.
            clock: the box's time; pauses and timeouts are real time.
            resume: answers at each connection which record is the newest in the store.
            consents: what lets the box read its users' results.
            by_user: whether the user that the device names decides whose a record is.
            patience: durations and bounds.
            rng: where the jitter of the pauses comes from.
        """
        self._radio = radio
        self._driver = driver
        self._device = device.upper()
        self._clock = clock
        self._patience = patience or Patience()
        self._charge = Charge(
            device=self._device,
            driver=driver,
            zone=zone,
            resume=resume,
            course=Course(),
            about=About(within=self._patience.about),
            echoes=Echoes(by_user=by_user),
            consents=Consents(consents),
        )
        self._bond_lost = False
        self._quirk_by_name: Quirk | None = None
        self._last_failure, self._same = "", 0
        cap = self._patience.cap if driver.always_on else self._patience.cap_brief
        self._backoff = Backoff(first=self._patience.first, cap=cap, rng=rng)

    @property
    def device(self) -> str:
        """Stable identity of the device, as in `Reading.device`."""
        return self._device

    async def batches(self) -> AsyncGenerator[Batch]:
        """Yield batches for ever; asking for the next one says that the last one is persisted.

        Closing the generator (`contextlib.aclosing`), or cancelling whoever waits for it, closes the link.
        """
        offers: asyncio.Queue[Batch | None] = asyncio.Queue()

        async def emit(batch: Batch) -> None:
            offers.put_nowait(batch)
            await offers.join()

        worker = asyncio.create_task(self._live(emit), name=f"session {self._device}")
        # A worker that ends has met a fault of the house, which is not to be kept quiet.
        worker.add_done_callback(lambda _: offers.put_nowait(None))
        try:
            while (batch := await offers.get()) is not None:
                yield batch
                offers.task_done()
            await worker
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    async def _live(self, emit: _Emit) -> None:
        while True:
            pause = await self._attempt(emit)
            await asyncio.sleep(pause)

    async def _attempt(self, emit: _Emit) -> float:
        """Visit the device once, if it is there; return the pause in seconds before the next attempt."""
        remarks = Remarks(self._device)
        visited = fruitful = False
        heard_at: int | None = None

        async def watched(batch: Batch) -> None:
            nonlocal visited, fruitful
            if any(event.kind is DeviceEventKind.CONNECTED for event in batch.events):
                visited, self._bond_lost = True, False
            if batch.readings:
                fruitful = True
                self._backoff.reset()
            await emit(batch)

        reason = "the device closed the link"
        try:
            heard = await self._radio.find(self._device, within=self._patience.find)
            if heard is None:
                return self._patience.unheard
            # Heard is within reach, whether or not it lets the box in.
            heard_at = self._clock.now_ms()
            await self._visit(self._quirk_of(heard), watched, remarks)
            pause = self._patience.after_visit if fruitful else self._backoff.next()
        except RadioError as error:
            reason = str(error)
            pause = self._backoff.next()
            self._say(reason)
            await self._note_bond(lost=error.bond_lost, emit=emit)
        except DriverError as error:
            reason = str(error)
            pause = self._patience.refused
            await emit(Batch(events=(self._event(DeviceEventKind.DRIVER_REFUSED, reason),)))
        events = remarks.counts(self._clock.now_ms())
        if visited:
            events += (self._event(DeviceEventKind.DISCONNECTED, reason),)
        if events or heard_at is not None:
            await emit(Batch(events=events, facts=DeviceFacts(seen_at=heard_at)))
        return pause

    def _quirk_of(self, heard: Advertisement) -> Quirk | None:
        """Return what is known of the device by its name, now or before, or else by its model.

        What is heard of a device that is still connected has no name, and many names lie in a scan response.
        """
        self._quirk_by_name = quirk_of(heard) or self._quirk_by_name
        return self._quirk_by_name or quirk_named(self._charge.about.model)

    async def _visit(self, quirk: Quirk | None, emit: _Emit, remarks: Remarks) -> None:
        visit: Visit | None = None
        try:
            async with self._radio.connect(self._device, within=self._patience.connect) as link:
                await link.pair()
                visit = Visit(
                    link=link,
                    charge=self._charge,
                    quirk=quirk,
                    clock=self._clock,
                    patience=self._patience,
                    remarks=remarks,
                    emit=emit,
                )
                await visit.run()
        except RadioError:
            if visit is not None:
                await visit.take_rest()
            raise
        await visit.take_rest()

    def _say(self, reason: str) -> None:
        """Log a failure when it is another than the last one; the same one over and over is said once."""
        if reason == self._last_failure:
            self._same += 1
            return
        if self._same:
            _log.info("device %s: as before, %d times more", self._device[-5:], self._same)
        self._last_failure, self._same = reason, 0
        # The end of the address is enough for an installer, and too little to follow a person.
        _log.info("device %s: %s", self._device[-5:], reason)

    async def _note_bond(self, *, lost: bool, emit: _Emit) -> None:
        """Say once that the bond is lost, until the device lets us in again."""
        if lost and not self._bond_lost:
            self._bond_lost = True
            detail = "the device does not know this box any more; pair it again"
            await emit(Batch(events=(self._event(DeviceEventKind.BOND_LOST, detail),)))

    def _event(self, kind: DeviceEventKind, detail: str) -> DeviceEvent:
        return DeviceEvent(kind=kind, device=self._device, at=self._clock.now_ms(), detail=detail)
