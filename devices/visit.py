"""One connection with a device, from what it says about itself to its last frame.

The order is the one that works on real devices: read the description; enable measurements and record access;
fetch what was stored since the last record that is safe; then live values; and only when all of that is persisted
and nothing more comes, set the clock.

Rules of this room:

- A record is handed on only when all before it were, as far as the device still has them: so the newest record in
  the store is always where the next fetch may begin. What a gap or a refused frame among live values hides is
  fetched first.
- A frame that is refused never becomes a value. Where the device keeps its records it is asked for again.
- `emit` returns when a batch is persisted; nothing is told to the device before that.

Not here: finding, connecting, pairing and trying again (`session`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from devices.backoff import Patience
from devices.charge import Charge
from devices.clock import Clock
from devices.course import Anchor, Collected
from devices.driver import StoredRecords
from devices.duties import Duties, Duty
from devices.errors import DriverError, FrameError, RadioError
from devices.frame_queue import Arrival, FrameQueue
from devices.gatt import RECORD_ACCESS_CONTROL_POINT, characteristic_name
from devices.history import RecordAccess, RecordAccessError
from devices.intake import Intake, identity
from devices.joining import Joiner
from devices.quirks import Quirk
from devices.radio import Connection
from devices.reading import ClockTrust, Reading
from devices.record_access import RecordRequest, ResponseCode
from devices.remarks import Remarks
from devices.source import Batch, DeviceEventKind
from devices.thinning import STREAMED, Thinning

_FINEST_MS: Final = 60_000
"""A sensor dates its records to the minute: a live value may seem that much older than it is."""

_SURELY_STORED: Final = 4
"""So many records in one fetch are stored ones: live values come minutes apart."""

_LARGEST: Final = 0xFFFF
"""Largest sequence that a request can name."""

_NOT_SELECTIVE: Final = frozenset(
    {
        ResponseCode.INVALID_OPERATOR,
        ResponseCode.OPERATOR_NOT_SUPPORTED,
        ResponseCode.INVALID_OPERAND,
        ResponseCode.OPERAND_NOT_SUPPORTED,
    }
)
"""Answers of a device that cannot choose among its records: it is asked for all of them."""


class Visit:
    """Follows one open and bonded link until it ends."""

    def __init__(
        self,
        *,
        link: Connection,
        charge: Charge,
        quirk: Quirk | None,
        clock: Clock,
        patience: Patience,
        remarks: Remarks,
        emit: Callable[[Batch], Awaitable[None]],
    ) -> None:
        self._link = link
        self._charge = charge
        self._driver = charge.driver
        self._device = charge.device
        self._course = charge.course
        self._clock = clock
        self._patience = patience
        self._remarks = remarks
        self._emit = emit
        self._intake = Intake(charge=charge, clock=clock, patience=patience, remarks=remarks, emit=emit)
        self._thinning = Thinning()
        self._queue = FrameQueue(patience.queue)
        self._joiner = Joiner(charge.driver, self._queue.put, within=patience.join)
        self._history_due = 0.0
        self._anchor = Anchor()
        self._record_access = False
        self._duties = Duties(
            link=link,
            charge=charge,
            quirk=quirk,
            clock=clock,
            patience=patience,
            remarks=remarks,
            emit=emit,
        )

    async def run(self) -> None:
        """Follow the link to its end.

        Raises:
            RadioError: the link or a procedure failed; what was handed on stays.
            DriverError: the device does not offer what its driver needs.
        """
        needed = self._needed()
        await self._describe()
        closing = asyncio.create_task(self._end_with_link(), name=f"end of link {self._device}")
        try:
            learnt = await self._duties.before_listening()
            for characteristic in needed:
                await self._subscribe(characteristic)
            connected = self._remarks.note(DeviceEventKind.CONNECTED, "", self._clock.now_ms())
            await self._emit(Batch(events=connected + learnt.events + self._intake.noticed(()), facts=learnt.facts))
            consents = await self._duties.first_consent()
            if self._record_access:
                await self._catch_up()
            await self._follow(consents)
        finally:
            closing.cancel()

    async def take_rest(self) -> None:
        """Hand on what was not taken when the link ended, or came while it was being closed.

        It was confirmed, and the device may have forgotten it. One that must keep its records gives them next time.
        """
        if self._keeps_all:
            return
        self._joiner.flush()
        self._record_access = False  # Nobody is there any more who could be asked.
        await self._take(self._queue.take(self._patience.queue))

    @property
    def _keeps_all(self) -> bool:
        """Whether whatever the device sends can be asked for again."""
        return self._driver.stored_records is StoredRecords.REQUIRED

    def _needed(self) -> tuple[int, ...]:
        """Return what to listen to.

        Raises:
            DriverError: the device offers too little.
        """
        offered = tuple(number for number in self._driver.measurements if self._link.has(number))
        if not offered:
            names = " or ".join(characteristic_name(number) for number in self._driver.measurements)
            raise DriverError(f"the device has no {names}")
        wanted = self._driver.stored_records
        self._record_access = wanted is not StoredRecords.NONE and self._link.has(RECORD_ACCESS_CONTROL_POINT)
        if wanted is StoredRecords.REQUIRED:
            self._demand(RECORD_ACCESS_CONTROL_POINT)
        return (*offered, RECORD_ACCESS_CONTROL_POINT) if self._record_access else offered

    def _demand(self, characteristic: int) -> None:
        if not self._link.has(characteristic):
            raise DriverError(f"the device has no {characteristic_name(characteristic)}")

    async def _end_with_link(self) -> None:
        await self._link.wait_closed()
        self._joiner.flush()
        self._queue.end()

    async def _subscribe(self, characteristic: int) -> None:
        def on_value(frame: bytes) -> None:
            arrival = Arrival(characteristic=characteristic, frame=frame, received_at=self._clock.now_ms())
            self._joiner.put(arrival)

        await self._link.subscribe(characteristic, on_value)

    # What the device says about itself

    async def _describe(self) -> None:
        """Learn what the driver needs to know, telling the device the time first where it must be told.

        Raises:
            DriverError: the device cannot date its records.
            RadioError: the link failed, or the description is malformed.
        """
        await self._read_description()
        if writes := self._driver.first_writes(self._intake.context):
            for characteristic, value in writes:
                self._demand(characteristic)
                await self._link.write(characteristic, value)
            await self._read_description()
            if self._driver.first_writes(self._intake.context):
                raise DriverError("the device does not say when its session started, even after it was told the time")
        self._course.begin(self._intake.context.session_start, self._charge.resume())

    async def _read_description(self) -> None:
        values = {
            characteristic: await self._link.read(characteristic)
            for characteristic in self._driver.described_by
            if self._link.has(characteristic)
        }
        now = self._clock.now_ms()
        try:
            self._intake.context = self._driver.describe(values, replace(self._intake.context, received_at=now))
        except FrameError as error:
            await self._intake.say(self._intake.rejected(error))
            raise RadioError(f"the description is malformed ({error})", device=self._device) from error

    # Stored records

    async def _catch_up(self) -> None:
        """Fetch what was stored since the last record handed on.

        Raises:
            RadioError: the link failed; or the device does not give its records, which a new connection may cure.
        """
        self._history_due = asyncio.get_running_loop().time() + self._patience.history_retry
        fruitless = 0
        try:
            while True:
                first = self._course.next
                fruitless += 1
                done = await self._fetch(first, tolerate=fruitless >= self._patience.history_attempts)
                if self._course.next != first:
                    fruitless = 0
                elif done and await self._has_restarted():
                    self._course.restart()
                    continue
                if done:
                    break
        except RecordAccessError as error:
            self._course.failures += 1
            if self._course.failures < self._patience.history_attempts:
                raise
            # Live values matter more now than what is stored; that stays owed.
            self._course.owed = self._course.next or 0
            await self._intake.say(self._remarks.note(DeviceEventKind.HISTORY_FAILED, str(error), self._clock.now_ms()))
        else:
            self._course.owed = None
            self._course.failures = 0

    async def _has_restarted(self) -> bool:
        """Return whether a device that numbers its records on and on has begun again, as when it was reset.

        Raises:
            RadioError: the link failed, or the device did not answer.
        """
        last = self._course.last
        if last is None or self._anchor.met or self._intake.context.session_start is not None:
            return False
        sequences: list[int] = []
        # What waits is no answer to this request: a result of a moment ago, which still is to be handed on.
        waiting = self._queue.take(self._patience.queue)

        async def on_record(arrival: Arrival) -> bool:
            readings = await self._intake.readings(arrival)
            sequences.extend(self._driver.sequence(reading, self._intake.context) or 0 for reading in readings)
            return True

        try:
            access = RecordAccess(self._device, self._link, self._queue, self._patience)
            await access.report(RecordRequest.report_last(), on_record)
        except RecordAccessError as error:
            if error.code in _NOT_SELECTIVE:
                return False
            raise
        finally:
            self._queue.put_back(waiting)
        return bool(sequences) and max(sequences) < last

    async def _fetch(self, first: int | None, *, tolerate: bool) -> bool:
        """Fetch the records from `first` on; return whether all that the device sent could be read.

        Args:
            first: None: all.
            tolerate: go on past a record that cannot be read, instead of leaving all after it for another fetch.
        """
        anchor = self._anchor = Anchor() if first is None else self._course.anchor()
        asked_at = self._clock.now_ms()
        stored = Collected(tolerant=tolerate, anchor=anchor)
        # What waits already was not asked for: live values, and perhaps a late answer to an earlier request.
        waiting = self._queue.take(self._patience.queue)
        live = [one for one in waiting if one.characteristic in self._driver.measurements]

        async def on_record(arrival: Arrival) -> bool:
            readings = await self._intake.readings(arrival)
            if self._meets(anchor, readings):
                return True
            if not readings:
                stored.spoil()
            records = [(self._driver.sequence(reading, self._intake.context) or 0, reading) for reading in readings]
            if readings and all(_is_after(reading, asked_at - _FINEST_MS) for reading in readings):
                stored.hold(arrival, records)
                return False
            stored.add(records)
            if stored.settled >= self._patience.batch:
                await self._intake.hand_on_stored(stored.take_settled())
            return bool(readings)

        try:
            access = RecordAccess(self._device, self._link, self._queue, self._patience)
            await access.report(_from(first, anchor), on_record)
        except RadioError as error:
            await self._salvage(stored, [*live, *stored.held])
            if first is not None and isinstance(error, RecordAccessError) and error.code in _NOT_SELECTIVE:
                return await self._fetch(None, tolerate=tolerate)
            raise
        if anchor.lost:
            self._course.restart()
            return await self._fetch(None, tolerate=tolerate)
        await self._intake.hand_on_stored(stored.take_all())
        # Among live values too there may be a gap: they take their turn with those that come later.
        self._queue.put_back([*live, *stored.held])
        return not stored.spoilt

    def _meets(self, anchor: Anchor, readings: Sequence[Reading]) -> bool:
        """Return whether a record was asked for to see whether it still is the one."""
        return any(
            anchor.takes(self._driver.sequence(reading, self._intake.context), reading.key) for reading in readings
        )

    async def _salvage(self, stored: Collected, live: Sequence[Arrival]) -> None:
        """Hand on what a fetch that failed brought, when it can only be stored records that are next.

        A sensor whose session seems to have begun long ago dates live values like stored ones. Handed on, they would
        hide from the next fetch what is stored before them; held back, they are still in the sensor.
        """
        # Without numbers there is no order that the next fetch could depend on.
        readings = stored.take_settled() if self._keeps_all else stored.take_all()
        first = self._driver.sequence(readings[0], self._intake.context) if readings else None
        is_next = first is not None and self._course.follows(first)
        if is_next or len(readings) >= _SURELY_STORED or not self._keeps_all:
            await self._intake.hand_on_stored(readings)
        if not self._keeps_all:
            self._queue.put_back(live)

    # Live values

    async def _follow(self, consents: Sequence[Duty]) -> None:
        """Hand on what comes until the link ends; what else there is to do is done when nothing comes for a moment.

        Args:
            consents: what lets the device give more.

        Raises:
            RadioError: frames came faster than they could be persisted, or fetching missing ones failed.
        """
        duties = deque([*consents, *self._duties.when_quiet()])
        # A device may take its time before it begins to send what it holds, also after each consent; one that was
        # asked for its records has sent them, and may hang up soon.
        pause: float | None = self._patience.quiet if self._keeps_all else self._patience.begin
        while True:
            try:
                first = await self._queue.get(pause)
            except TimeoutError:
                more_to_come = duties.popleft()
                await more_to_come()
                pause = (self._patience.begin if more_to_come in consents else 0.0) if duties else None
                continue
            if first is None:
                break
            pause = self._patience.quiet if duties else None
            await self._take([first, *self._queue.take(self._patience.batch - 1)])
        if self._queue.overflowed:
            raise RadioError("frames came faster than they could be kept", device=self._device)

    async def _take(self, arrivals: Sequence[Arrival]) -> None:
        """Hand on live frames; where one is out of place, what it hides is fetched before it."""
        ready: list[Reading] = []
        for arrival in arrivals:
            if arrival.characteristic not in self._driver.measurements:
                continue
            readings = await self._intake.readings(arrival)
            if arrival.characteristic in STREAMED:
                # Not stored by the device: nothing is fetched for one that is refused.
                await self._intake.hand_on(self._thinning.kept(readings), streamed=True)
                continue
            if self._record_access and self._may_fetch() and self._out_of_place(readings):
                await self._intake.hand_on(ready)
                ready = []
                await self._restore_order(readings)
                # A new session may have begun, in which the same bytes mean another record.
                readings = await self._intake.readings(arrival) if readings else ()
            fresh = [reading for reading in readings if identity(reading) not in self._intake.seen]
            self._intake.reach(fresh)
            ready += fresh
        await self._intake.hand_on(ready)

    def _out_of_place(self, readings: Sequence[Reading]) -> bool:
        """Return whether a frame was refused, or holds records that neither follow the last nor were seen."""
        return not readings or any(
            identity(reading) not in self._intake.seen and not self._course.follows(sequence)
            for reading in readings
            if (sequence := self._driver.sequence(reading, self._intake.context)) is not None
        )

    def _may_fetch(self) -> bool:
        """Return whether to ask for stored records: a device that does not give them is asked again only later."""
        return self._course.owed is None or asyncio.get_running_loop().time() >= self._history_due

    async def _restore_order(self, readings: Sequence[Reading]) -> None:
        """Fetch what is missing before these; a sequence that went back may mean that a new session has begun."""
        sequences = [self._driver.sequence(reading, self._intake.context) for reading in readings]
        if any(sequence is not None and self._course.is_late(sequence) for sequence in sequences):
            await self._read_description()
            if self._intake.context.session_start == self._course.session_start:
                return
            self._course.begin(self._intake.context.session_start, self._charge.resume())
        await self._catch_up()


def _from(first: int | None, anchor: Anchor) -> RecordRequest:
    """Return the request for records from `first` on, and for the one before them when there is one to compare."""
    if first is None:
        return RecordRequest.report_all()
    return RecordRequest.report_from(min(first if anchor.key is None else first - 1, _LARGEST))


def _is_after(reading: Reading, at: int) -> bool:
    """Return whether a reading was certainly taken after `at` (ms UTC)."""
    return reading.clock is not ClockTrust.UNKNOWN and reading.measured_at > at
