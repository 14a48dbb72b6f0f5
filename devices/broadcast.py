"""Broadcast: a device that is read from its advertisements alone (`devices.source.Source`).

It costs no connection and no bond; its box only listens. The same result is heard again and again, and handed on once.

Rules of this room:

- A result counts as handed on only when its batch is persisted.
- A result without a date is the same as long as it is heard, however long that is; after a silence it is another.
- What is refused is told once, then counted: anybody nearby can send a wrong advertisement.
- A radio that fails is listened to again after a pause; what it costs is silence, which others judge.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final
from zoneinfo import ZoneInfo

from devices.backoff import Backoff, Patience
from devices.clock import Clock
from devices.driver import BroadcastDriver, FrameContext
from devices.errors import FrameError, RadioError
from devices.quirks import quirk_of
from devices.radio import Advertisement, Radio
from devices.reading import ClockTrust, Quality, Reading
from devices.remarks import Remarks
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts

_log = logging.getLogger(__name__)

_REMEMBERED: Final = 256
"""Results that are recognised when they are heard again; the store recognises older ones."""
_LINGERS_MS: Final = 5 * 60_000
"""A result without a date that was not heard for longer is over."""
_SEEN_EVERY_MS: Final = 60_000
"""That a device was heard is not told more often."""
_COUNTED_EVERY_MS: Final = 3_600_000
"""What was said once is counted for so long; then the count is told and it may be said again."""


class BroadcastSource:
    """Yields what one device advertises, until cancelled."""

    def __init__(
        self,
        *,
        radio: Radio,
        driver: BroadcastDriver,
        device: str,
        zone: ZoneInfo,
        clock: Clock,
        patience: Patience | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Take charge of a device.

        Args:
            radio: the adapter that hears it.
            driver: what reads it.
            device: its Bluetooth address, such as "C4:B0:00:00:00:01".
            zone: the patient's time zone.
            clock: the box's time; pauses are real time.
            patience: durations and bounds.
            rng: where the jitter of the pauses comes from.
        """
        self._radio = radio
        self._driver = driver
        self._device = device.upper()
        self._zone = zone
        self._clock = clock
        patience = patience or Patience()
        self._backoff = Backoff(first=patience.first, cap=patience.cap_brief, rng=rng)
        self._remarks = Remarks(self._device)
        self._handed_on: deque[str] = deque(maxlen=_REMEMBERED)
        self._undated: tuple[int, str | None] | None = None
        self._undated_heard_at = 0
        self._seen_told_at: int | None = None
        self._counted_at = clock.now_ms()
        self._last_failure = ""

    @property
    def device(self) -> str:
        """Stable identity of the device, as in `Reading.device`."""
        return self._device

    async def batches(self) -> AsyncGenerator[Batch]:
        """Yield batches for ever; asking for the next one says that the last one is persisted."""
        while True:
            try:
                async with aclosing(self._hear()) as batches:
                    async for batch in batches:
                        yield batch
                        self._mark(batch)
            except RadioError as error:
                self._say(str(error))
            await asyncio.sleep(self._backoff.next())

    async def _hear(self) -> AsyncGenerator[Batch]:
        """Yield what is worth telling of each advertisement.

        Raises:
            RadioError: the adapter failed.
        """
        async with self._radio.listen(self._device) as heard:
            async for advertisement in heard:
                self._backoff.reset()
                self._last_failure = ""
                batch = self._batch(advertisement, self._clock.now_ms())
                if batch != Batch():
                    yield batch

    def _batch(self, advertisement: Advertisement, now: int) -> Batch:
        """Return what is new in an advertisement; often nothing."""
        readings, events = self._decoded(advertisement, now)
        readings = tuple(reading for reading in readings if self._is_new(reading, now))
        events += tuple(
            self._implausible(reading, now) for reading in readings if Quality.IMPLAUSIBLE in reading.quality
        )
        if abs(now - self._counted_at) >= _COUNTED_EVERY_MS:
            self._counted_at = now
            events += self._remarks.counts(now)
        facts = None
        # A clock that was put back must not silence the device: the distance counts, in either direction.
        if self._seen_told_at is None or abs(now - self._seen_told_at) >= _SEEN_EVERY_MS:
            self._seen_told_at = now
            facts = DeviceFacts(seen_at=now)
        return Batch(readings=readings, events=events, facts=facts)

    def _is_new(self, reading: Reading, now: int) -> bool:
        """Return whether a result was not handed on before."""
        known = reading.key in self._handed_on
        if reading.clock is not ClockTrust.UNKNOWN:
            return not known
        lingers = self._undated == _said(reading) and abs(now - self._undated_heard_at) <= _LINGERS_MS
        if known or lingers:
            self._undated, self._undated_heard_at = _said(reading), now
        return not (known or lingers)

    def _mark(self, batch: Batch) -> None:
        """Remember what is persisted."""
        for reading in batch.readings:
            self._handed_on.append(reading.key)
            if reading.clock is ClockTrust.UNKNOWN:
                self._undated, self._undated_heard_at = _said(reading), reading.received_at

    def _decoded(self, advertisement: Advertisement, now: int) -> tuple[tuple[Reading, ...], tuple[DeviceEvent, ...]]:
        quirk = quirk_of(advertisement)
        if quirk is not None and quirk.refused is not None:
            return (), self._remarks.note(DeviceEventKind.DRIVER_REFUSED, f"the device {quirk.refused.en}", now)
        context = FrameContext(device=self._device, received_at=now, zone=self._zone)
        try:
            return self._driver.decode_advertisement(advertisement, context), ()
        except FrameError as error:
            return (), self._remarks.note(DeviceEventKind.FRAME_REJECTED, str(error), now)

    def _implausible(self, reading: Reading, now: int) -> DeviceEvent:
        detail = f"{reading.quantity} outside what a living person can have"
        return DeviceEvent(kind=DeviceEventKind.VALUE_IMPLAUSIBLE, device=self._device, at=now, detail=detail)

    def _say(self, reason: str) -> None:
        """Log a failure when it is another than the last one."""
        if reason != self._last_failure:
            self._last_failure = reason
            _log.info("device %s: %s", self._device[-5:], reason)


def _said(reading: Reading) -> tuple[int, str | None]:
    """Return what a result without a date says: the value, and what its clock shows."""
    return reading.count, reading.provenance.device_time
