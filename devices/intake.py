"""Frames to readings, and readings to the store: the last steps of a visit.

A frame that is refused never becomes a value, and is told. What is worth noticing about readings goes with them.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from devices.backoff import Patience
from devices.charge import Charge
from devices.clock import Clock
from devices.driver import FrameContext
from devices.errors import FrameError
from devices.frame_queue import Arrival
from devices.reading import Quality, Reading
from devices.remarks import Remarks
from devices.source import Batch, DeviceEvent, DeviceEventKind

_REMEMBERED: Final = 256
"""Records handed on in this visit that are recognised when they come again."""


class Intake:
    """What one visit takes in.

    Attributes:
        context: what its frames are decoded with.
        seen: the identities of the records handed on last.
    """

    def __init__(
        self,
        *,
        charge: Charge,
        clock: Clock,
        patience: Patience,
        remarks: Remarks,
        emit: Callable[[Batch], Awaitable[None]],
    ) -> None:
        self._charge = charge
        self._clock = clock
        self._patience = patience
        self._remarks = remarks
        self._emit = emit
        self.context = FrameContext(device=charge.device, received_at=clock.now_ms(), zone=charge.zone)
        self.seen: deque[tuple[str, bytes]] = deque(maxlen=_REMEMBERED)

    async def readings(self, arrival: Arrival) -> tuple[Reading, ...]:
        """Return what a frame says; nothing when it is refused, and then say so."""
        context = replace(self.context, received_at=arrival.received_at)
        try:
            return self._charge.driver.decode(arrival.characteristic, arrival.frame, context, rest=arrival.rest)
        except FrameError as error:
            await self.say(self.rejected(error))
            return ()

    def reach(self, readings: Sequence[Reading]) -> None:
        """Count records as handed on, in order; the caller does it before anything else is asked of the device."""
        for reading in readings:
            self.seen.append(identity(reading))
            sequence = self._charge.driver.sequence(reading, self.context)
            if sequence is not None:
                self._charge.course.reach(sequence)

    async def hand_on(self, readings: Sequence[Reading], *, streamed: bool = False) -> None:
        """Have readings persisted, in batches, with what is to be noticed about them; echoes are left out.

        Args:
            readings: in the order received.
            streamed: they are values of a stream, see `Batch.streamed`.
        """
        if readings and self._charge.driver.sequence(readings[0], self.context) is None:
            readings = self._charge.echoes.without(readings)
        for start in range(0, len(readings), self._patience.batch):
            batch = tuple(readings[start : start + self._patience.batch])
            await self._emit(Batch(readings=batch, events=self.noticed(batch), streamed=streamed))

    async def hand_on_stored(self, readings: Sequence[Reading]) -> None:
        """Count records as handed on, and have them persisted."""
        self.reach(readings)
        await self.hand_on(readings)

    async def say(self, events: tuple[DeviceEvent, ...]) -> None:
        """Tell events, if there are any."""
        if events:
            await self._emit(Batch(events=events))

    def rejected(self, error: FrameError) -> tuple[DeviceEvent, ...]:
        """Return what is to be told of a refused frame."""
        return self._remarks.note(DeviceEventKind.FRAME_REJECTED, str(error), self._clock.now_ms())

    def noticed(self, readings: Sequence[Reading]) -> tuple[DeviceEvent, ...]:
        """Return what is worth telling about these readings, and about the session that they belong to."""
        events: tuple[DeviceEvent, ...] = ()
        now = self._clock.now_ms()
        for reading in readings:
            if Quality.IMPLAUSIBLE in reading.quality:
                detail = f"{reading.quantity} outside what a living person can have"
                events += (
                    DeviceEvent(
                        kind=DeviceEventKind.VALUE_IMPLAUSIBLE, device=self._charge.device, at=now, detail=detail
                    ),
                )
            if Quality.BATTERY_LOW in reading.quality:
                events += self._remarks.note(DeviceEventKind.BATTERY_LOW, "the device says so", now)
            if Quality.WARMING_UP in reading.quality:
                events += self._remarks.note(DeviceEventKind.SENSOR_WARMING_UP, "it does not measure yet", now)
            if Quality.SESSION_STOPPED in reading.quality:
                events += self._remarks.note(DeviceEventKind.SENSOR_EXPIRED, "its session was stopped", now)
        if self.context.session_end is not None and now >= self.context.session_end:
            events += self._remarks.note(DeviceEventKind.SENSOR_EXPIRED, "its session has run its time", now)
        return events


def identity(reading: Reading) -> tuple[str, bytes]:
    """Return what tells a repeated record from one of a new session, whose sequences begin again."""
    return reading.key, reading.provenance.frame
