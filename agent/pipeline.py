"""One reading through: keep, judge, keep the consequences.

- Transaction A keeps a reading and its sealed entry before anything judges it; only then does its source go on.
- Transaction B keeps what judging came to. Judging restarts from the cursor, so a crash between the two loses
  nothing and repeats nothing: alert ids are deterministic.
- A reading that makes judging fail three times is quarantined, said so with a high technical alert, and still
  reaches the team; judging goes on without it.
- One task (`run`) owns the engines; `ingest` and `tick` only hand it work.

Not here: sending (forwarder), when time passes (watch), and the decision to try again after a fault (daemon).
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agent.logs import EVENT, PATIENTS, READINGS, REASON
from agent.settings import Device, Patient
from agent.store import Arrival, Judgement, ReadingState, Store
from agent.store_reader import Kept
from agent.store_thread import StoreThread
from agent.technical import TechnicalAlerts
from alerting.alert import AlertChange, ChangeKind, Sentence
from alerting.engine import Engine, Lateness
from alerting.errors import SnapshotError
from devices.clock import Clock
from devices.reading import Reading
from devices.source import Batch
from exchange.messages import UNATTRIBUTED
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

QUEUE = 64
"""Batches of all devices that may wait to be kept; then sources wait."""
CURSOR_LAG = 64
"""Readings judged without consequence before the cursor is kept all the same."""
ATTEMPTS = 3
DISK_PAUSE_S = 2.0


Guard = Callable[[Callable[[], Awaitable[None]]], Awaitable[bool]]
"""Awaits what it is given; returns whether it went well, after having said why not and paused."""


@dataclass(frozen=True, slots=True)
class _Work:
    device: Device
    batch: Batch
    kept: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class _Tick:
    now: int


class Pipeline:
    """The box's only way in for readings, and the only owner of its engines."""

    def __init__(
        self,
        *,
        store: StoreThread,
        sealer: Sealer,
        patients: Sequence[Patient],
        devices: Sequence[Device],
        clock: Clock,
        on_kept: Callable[[], None],
        guard: Guard,
    ) -> None:
        """`on_kept` is called whenever something new waits in the outbox; `guard` runs all judging."""
        self._guard = guard
        self._store = store
        self._sealer = sealer
        self._patients: Mapping[str, Patient] = {patient.pseudonym: patient for patient in patients}
        self._devices = devices
        self._clock = clock
        self._on_kept = on_kept
        self._queue: asyncio.Queue[_Work | _Tick] = asyncio.Queue(QUEUE)
        self._engines: dict[str, Engine] = {}
        self._since: dict[str, int] = {}
        self._cursor: dict[str, int] = {}
        self._lag: dict[str, int] = {}
        self._technical = TechnicalAlerts()
        self._last: dict[str, Reading] = {}

    # --- what others call ---------------------------------------------------------------------------------

    async def ingest(self, device: Device, batch: Batch) -> None:
        """Return when the batch is safe."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Work(device, batch, kept))
        await kept

    async def tick(self, now: int) -> None:
        """Let time pass up to `now` (ms UTC), after everything handed over before."""
        await self._queue.put(_Tick(now))

    def last_reading(self, device: str) -> Reading | None:
        """Return the newest reading of a device that is safe."""
        return self._last.get(device)

    def next_deadline(self) -> int | None:
        """Return when passing time will next change something, in ms UTC."""
        deadlines = [at for engine in self._engines.values() if (at := engine.next_deadline()) is not None]
        return min(deadlines, default=None)

    # --- the one task -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up where the store says judging had come to: at start, and after a fault in judging."""
        while not await self._guard(self._take_up):
            pass

    async def _take_up(self) -> None:
        await self._remember()
        for patient in self._patients.values():
            await self._restore(patient)
            unjudged = await self._store.call(Store.unjudged, patient.pseudonym)
            if not unjudged:
                continue
            attempts = await self._store.call(Store.count_attempt, patient.pseudonym)
            if attempts > ATTEMPTS:
                await self._quarantine(patient.pseudonym, unjudged.pop(0))
            if attempts == 1:
                await self._judge(patient.pseudonym, unjudged)
                continue
            # A fault somewhere in these: one at a time finds which, and the cursor moves past the good ones.
            for number, kept in enumerate(unjudged):
                if number:
                    await self._store.call(Store.count_attempt, patient.pseudonym)
                await self._judge(patient.pseudonym, [kept], keep=True)

    async def run(self) -> None:
        """Keep and judge what is handed over, until cancelled."""
        while True:
            works = [await self._queue.get()]
            while not self._queue.empty():
                works.append(self._queue.get_nowait())
            kept = await self._keep([work for work in works if isinstance(work, _Work)])
            if not await self._guard(partial(self._consequences, works, kept)):
                await self.start()

    async def _consequences(self, works: Sequence[_Work | _Tick], kept: Mapping[str, Sequence[Kept]]) -> None:
        await self._tell([work for work in works if isinstance(work, _Work)])
        for patient, readings in kept.items():
            await self._judge(patient, readings)
        ticks = [work.now for work in works if isinstance(work, _Tick)]
        if ticks:
            await self._pass_time(max(ticks))

    async def stop(self) -> None:
        """Keep the cursor where judging stands, so that the next start has nothing to judge again."""
        for patient, engine in self._engines.items():
            if self._lag.get(patient):
                await self._keep_judgement(patient, engine, ())

    # --- transaction A ------------------------------------------------------------------------------------

    async def _keep(self, works: Sequence[_Work]) -> dict[str, list[Kept]]:
        arrivals = [_arrival(work.device, reading) for work in works for reading in work.batch.readings]
        kept: dict[str, list[Kept]] = {}
        told = False
        while arrivals:
            try:
                kept = await self._store.call(Store.accept, arrivals, self._sealer, now_ms=self._clock.now_ms())
                break
            except sqlite3.Error as error:
                # The device still has them: its source waits until the disk takes them.
                if not told:
                    logger.error("cannot keep readings, trying again", extra={EVENT: "disk", REASON: str(error)})  # noqa: TRY400
                told = True
                await asyncio.sleep(DISK_PAUSE_S)
        for arrival in arrivals:
            before = self._last.get(arrival.reading.device)
            if before is None or before.order < arrival.reading.order:
                self._last[arrival.reading.device] = arrival.reading
        for work in works:
            # A source cancelled meanwhile no longer waits.
            if not work.kept.done():
                work.kept.set_result(None)
        if kept:
            self._on_kept()
        return kept

    async def _tell(self, works: Sequence[_Work]) -> None:
        for work in works:
            patient = work.device.patient.pseudonym
            changes = [change for event in work.batch.events for change in self._technical.event(patient, event)]
            if work.batch.readings:
                changes += self._technical.read(patient, work.device.address, self._clock.now_ms())
            await self._keep_technical(patient, changes)

    async def _keep_technical(self, patient: str, changes: Sequence[AlertChange]) -> None:
        if changes:
            await self._store.call(Store.keep_technical, patient, changes, self._sealer, now_ms=self._clock.now_ms())
            self._on_kept()

    # --- judging and transaction B ------------------------------------------------------------------------

    async def _judge(self, patient: str, kept: Sequence[Kept], *, keep: bool = False) -> None:
        if not kept:
            return
        engine = self._engines[patient]
        places = [(item, engine.lateness(item.reading)) for item in kept]
        too_late = [item for item, place in places if place is Lateness.NOT_JUDGED]
        row = max(item.row for item in kept)
        if any(place is Lateness.LATE for _, place in places):
            # The kept history holds this batch too: those in order are judged with the late ones, in one go.
            left_out = {item.row for item in too_late}
            history = await self._store.call(Store.history, patient, since=engine.history_from, until_row=row)
            changes = list(engine.rejudge([item.reading for item in history if item.row not in left_out]))
        else:
            changes = list(engine.feed([item.reading for item in kept]))
        now = self._clock.now_ms()
        for item in too_late:
            # What a device held before the patient was watched is history, and nobody's delay.
            if item.reading.measured_at >= self._since[patient]:
                changes += self._technical.noticed(patient, "not_judged", item.reading.device, now)
        self._cursor[patient] = max(row, self._cursor.get(patient, 0))
        self._lag[patient] = self._lag.get(patient, 0) + len(kept)
        if keep or changes or too_late or self._lag[patient] >= CURSOR_LAG:
            marked = tuple((item.row, ReadingState.TOO_LATE) for item in too_late)
            await self._keep_judgement(patient, engine, tuple(changes), marked)

    async def _keep_judgement(
        self,
        patient: str,
        engine: Engine,
        changes: tuple[AlertChange, ...],
        marked: tuple[tuple[int, ReadingState], ...] = (),
    ) -> None:
        judgement = Judgement(
            patient=patient,
            cursor=self._cursor.get(patient, 0),
            snapshot=engine.snapshot(),
            changes=changes,
            marked=marked,
        )
        await self._store.call(Store.keep_judgement, judgement, self._sealer, now_ms=self._clock.now_ms())
        self._lag[patient] = 0
        if changes:
            self._on_kept()

    async def _pass_time(self, now: int) -> None:
        for patient, engine in self._engines.items():
            changes = engine.tick(now)
            if changes:
                await self._keep_judgement(patient, engine, changes)
        for change in self._technical.tick(now):
            await self._keep_technical(change.patient, [change])

    # --- taking up again ----------------------------------------------------------------------------------

    async def _remember(self) -> None:
        owners = {device.address: device.patient.pseudonym for device in self._devices}
        self._technical.restore(await self._store.call(Store.standing_alerts), owners)
        for device in owners:
            reading = await self._store.call(Store.last_reading, device)
            if reading is not None:
                self._last[device] = reading

    async def _restore(self, patient: Patient) -> None:
        stream = await self._store.call(Store.stream, patient.pseudonym)
        self._cursor[patient.pseudonym] = stream.cursor
        self._lag[patient.pseudonym] = 0
        if stream.snapshot is not None:
            try:
                engine = Engine.restore(patient.protocol, stream.snapshot, zone=patient.zone)
            except SnapshotError:
                await self._apply(patient)
            else:
                self._engines[patient.pseudonym] = engine
                self._since[patient.pseudonym] = stream.since
            return
        engine = await self._begin(patient)
        self._engines[patient.pseudonym] = engine
        # Kept at once: from when on a patient is watched must not depend on when the first reading came.
        await self._keep_judgement(patient.pseudonym, engine, ())

    async def _apply(self, patient: Patient) -> None:
        """Apply another protocol than the one judged by so far: what it knows of the past is what the store has."""
        name, now = patient.pseudonym, self._clock.now_ms()
        engine = await self._begin(patient)
        history = await self._store.call(Store.history, name, since=engine.history_from, until_row=self._cursor[name])
        changes = list(engine.feed([item.reading for item in history]))
        goes_on = {change.alert_id for change in engine.open_alerts}
        standing = [change for change in await self._store.call(Store.standing_alerts) if change.protocol]
        changes += [
            _ended_by_protocol(change, now)
            for change in standing
            if change.patient == name and change.alert_id not in goes_on
        ]
        self._engines[name] = engine
        await self._keep_judgement(name, engine, tuple(changes))
        logger.info("a new protocol is applied", extra={EVENT: "protocol", PATIENTS: 1, READINGS: len(history)})

    async def _begin(self, patient: Patient) -> Engine:
        now = self._clock.now_ms()
        await self._store.call(Store.begin_watching, patient.pseudonym, since=now)
        self._since[patient.pseudonym] = now
        return Engine(patient.protocol, patient=patient.pseudonym, zone=patient.zone, since=now)

    async def _quarantine(self, patient: str, kept: Kept) -> None:
        engine, now = self._engines[patient], self._clock.now_ms()
        changes = self._technical.noticed(patient, "judging_quarantined", kept.reading.device, now)
        self._cursor[patient] = kept.row
        await self._keep_judgement(patient, engine, changes, ((kept.row, ReadingState.QUARANTINED),))


def _arrival(device: Device, reading: Reading) -> Arrival:
    attributed = reading.measured_at >= device.given_on
    return Arrival(
        patient=device.patient.pseudonym if attributed else UNATTRIBUTED, reading=reading, attributed=attributed
    )


def _ended_by_protocol(change: AlertChange, now: int) -> AlertChange:
    why = Sentence(
        fr="Le protocole a changé : cette alerte ne vaut plus.", en="The protocol changed: this alert no longer holds."
    )
    return replace(change, kind=ChangeKind.RESOLVED, resolved_at=max(now, change.raised_at), why=why)
