"""Judging what is kept, and keeping the consequences (transaction B).

- Judging restarts from the cursor, so a crash between the two transactions loses nothing and repeats nothing: alert
  ids are deterministic.
- An engine whose changes are not kept yet is never saved: a stop at any moment leaves the engine as it was kept
  last, and the next start judges again.
- A disk that refuses is waited out; it is no fault of a reading. A reading that makes judging itself fail three
  times is quarantined, said so with a high technical alert, and still reaches the team.
- One task (`run`) owns the engines. It lags behind keeping when it must, and never holds it up: beyond a bound
  readings are read from the store, and of what devices did the last of each kind is remembered.

Not here: keeping readings (pipeline), when time passes (watch), and what to do about a fault (daemon's guard).
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from agent.after_the_fact import known_alerts, told_anew
from agent.asked import Asked
from agent.command_store import Finished
from agent.handed import Handed
from agent.logs import EVENT, READINGS
from agent.reach import begun
from agent.retiming import Righting, concerned_since, is_ahead, righted, set_right, taken_back
from agent.settings import Device, Patient, Watched
from agent.shadow import Shadows
from agent.silence import Silence
from agent.store import Judgement, ReadingState, Store
from agent.store_reader import Kept
from agent.store_thread import StoreThread
from agent.technical import TechnicalAlerts
from agent.technical_judging import TechnicalJudging
from agent.turns import Turns
from alerting.alert import AlertChange, ChangeKind
from alerting.engine import Engine, Lateness
from alerting.errors import SnapshotError
from alerting.protocol_change import applied, moved
from devices.clock import Clock
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

BEHIND = 256
"""Batches that may wait to be judged; beyond, judging reads them from the store when it gets there."""
CURSOR_LAG = 64
"""Batches judged without consequence before the cursor is kept all the same; sixteen readings count as one more."""
ATTEMPTS = 3

Guard = Callable[[Callable[[], Awaitable[None]]], Awaitable[bool]]
"""Awaits what it is given; returns whether it went well, after having said why not and paused."""


class Judging(TechnicalJudging):
    """The engines of the box, one a patient, and its technical alerts."""

    def __init__(
        self,
        *,
        box: str,
        store: StoreThread,
        sealer: Sealer,
        patients: Sequence[Patient],
        devices: Sequence[Watched],
        clock: Clock,
        on_kept: Callable[[], None],
        guard: Guard,
        shadows: Shadows | None = None,
        on_alerts: Callable[[Sequence[AlertChange]], None] = lambda _: None,
    ) -> None:
        """`on_kept` hears of what waits in the outbox, `on_alerts` of changes, not kept yet; `guard` runs all."""
        self._on_alerts = on_alerts
        self._box = box
        self._store = store
        self._sealer = sealer
        self._patients: Mapping[str, Patient] = {patient.pseudonym: patient for patient in patients}
        self._devices = devices
        self._clock = clock
        self._on_kept = on_kept
        self._guard = guard
        self._shadows = shadows
        self._queue: asyncio.Queue[Handed | int | Asked] = asyncio.Queue(BEHIND)
        self._behind = False
        self._missed = {}
        self._engines: dict[str, Engine] = {}
        self._unkept: set[str] = set()
        self._ahead: set[str] = set()
        self._righted = righted(clock)
        self._since: dict[str, int] = {}
        self._cursor: dict[str, int] = {}
        self._lag: dict[str, int] = {}
        radio = [device.address for device in devices if isinstance(device, Device)]
        self._technical = TechnicalAlerts(box, radio=radio, kinds={device.address: device.kind for device in devices})
        self._silence = Silence(devices, self._technical, now=clock.now_ms())
        self.turns = Turns()
        self.started = asyncio.Event()
        """Set once what was there at start has been taken up, or could not be."""

    # --- what others call ---------------------------------------------------------------------------------

    def hand_over(self, handed: Handed) -> None:
        """Let these be judged in their turn."""
        # What comes after something that found no place must not overtake it.
        if self._behind or self._queue.full():
            self._behind = True
            self._remember_events(handed)
        else:
            self._queue.put_nowait(handed)

    def tick(self, now: int) -> None:
        """Let time pass up to `now` (ms UTC) after everything handed over before; a later tick serves as well."""
        if not self._behind and not self._queue.full():
            self._queue.put_nowait(now)

    def retime(self) -> None:
        """Judge anew, by the time that is right now, what a wrong one had dated."""
        self.tick(self._clock.now_ms())
        self._behind = True

    def next_deadline(self) -> int | None:
        """Return when passing time will next change something, in ms UTC."""
        deadlines = [at for engine in self._engines.values() for at in (engine.next_deadline(), engine.next_step())]
        deadlines.append(self._silence.next_deadline(self._clock.now_ms(), self._watched_since))
        return min((at for at in deadlines if at is not None), default=None)

    async def run(self) -> None:
        """Judge what is handed over, until cancelled."""
        await self._take_up_again()
        while True:
            self.turns.rest(at_rest=self._queue.empty())
            work = await self._queue.get()
            self.turns.work()
            done = await self._guard(partial(self._do, work))
            if isinstance(work, Asked):
                work.settle(went_well=done)
            if not done or (self._behind and self._queue.empty()):
                await self._take_up_again()
            self._queue.task_done()

    async def settled(self) -> None:
        """Return when everything handed over so far has been judged."""
        await self._queue.join()

    async def stop(self) -> None:
        """Keep the cursor where judging stands, so that the next start has little to judge again."""
        for patient, engine in self._engines.items():
            if self._lag.get(patient) and patient not in self._unkept:
                # Nothing depends on it: a disk that refuses now is not waited for.
                with contextlib.suppress(sqlite3.Error):
                    judgement = Judgement(patient=patient, cursor=self._cursor[patient], snapshot=engine.snapshot())
                    await self._store.call(Store.keep_judgement, judgement, self._sealer, now_ms=self._clock.now_ms())

    async def _do(self, work: Handed | int | Asked) -> None:
        if isinstance(work, int):
            await self._pass_time(work)
            return
        if isinstance(work, Asked):
            await work.run()
            return
        for event in work.of_box:
            await self._keep_technical(self._technical.event(event.device, event))
        for device, batch in work.batches:
            await self._tell(device, batch)
        for patient, readings in work.kept.items():
            await self._judge(patient, readings)

    # --- judging and transaction B ------------------------------------------------------------------------

    async def _judge(self, patient: str, kept: Sequence[Kept], *, keep: bool = False) -> None:
        if not kept:
            return
        engine = self._engines[patient]
        self._unkept.add(patient)
        places = [(item, engine.lateness(item.reading)) for item in kept]
        too_late = [item for item, place in places if place is Lateness.NOT_JUDGED]
        row = max(self._cursor[patient], *(item.row for item in kept))
        if any(place is Lateness.LATE for _, place in places):
            # The kept history holds this batch too: those in order are judged with the late ones, in one go.
            left_out = {item.row for item in too_late}
            since = engine.history_needed([item.reading for item in kept if item.row not in left_out])
            history = await self._store.call(Store.history, patient, since=since, until_row=row)
            readings = [item.reading for item in history if item.row not in left_out]
            forgotten = (await self._store.call(Store.stream, patient)).forgotten_to
            changes = list(await asyncio.to_thread(engine.rejudge, readings, whole_from=forgotten))
        else:
            changes = list(engine.feed([item.reading for item in kept]))
        now = self._clock.now_ms()
        for item in too_late:
            # What a device held before the patient was watched is history, and nobody's delay.
            if item.reading.measured_at >= self._since[patient]:
                changes += self._technical.noticed(patient, "not_judged", item.reading.device, now)
        self._cursor[patient] = row
        self._lag[patient] += 1 + len(kept) // 16
        if keep or changes or too_late or self._lag[patient] >= CURSOR_LAG:
            marked = tuple((item.row, ReadingState.TOO_LATE) for item in too_late)
            await self._keep_judgement(patient, engine, tuple(changes), marked)
        self._unkept.discard(patient)
        self._followed(patient)

    def _followed(self, patient: str) -> None:
        """Let a patient's shadow come after; nothing here waits for it."""
        if self._shadows is not None:
            self._shadows.follow(patient, self._cursor[patient])

    async def _pass_time(self, now: int) -> None:
        if righted(self._clock) != self._righted:
            # By a leap of the time everything would be overdue: judging is about to follow it.
            return
        for patient, engine in self._engines.items():
            if is_ahead(engine, now):
                self._ahead.add(patient)
                self._behind = True
                continue
            self._unkept.add(patient)
            changes = (*engine.tick(now), *engine.escalate(now))
            if changes:
                await self._keep_judgement(patient, engine, changes)
            self._unkept.discard(patient)
        # Silence first: what explains one is noticed still, though the device says nothing.
        silent = self._silence.tick(now, self._watched_since)
        await self._keep_technical(silent + self._technical.tick(now))
        if self._shadows is not None:
            self._shadows.pass_time(now)

    async def _keep_judgement(
        self,
        patient: str,
        engine: Engine,
        changes: tuple[AlertChange, ...],
        marked: tuple[tuple[int, ReadingState], ...] = (),
        finished: Finished | None = None,
    ) -> None:
        self._on_alerts(changes)
        judgement = Judgement(
            patient=patient,
            cursor=self._cursor[patient],
            snapshot=engine.snapshot(),
            changes=changes,
            marked=marked,
            finished=finished,
        )
        await self._store.persist(Store.keep_judgement, judgement, self._sealer, now_ms=self._clock.now_ms())
        self._lag[patient] = 0
        if changes:
            self._on_kept()

    # --- taking up again ----------------------------------------------------------------------------------

    async def _take_up_again(self) -> None:
        """Take up where the store says judging had come to: at start, after a fault, and after falling behind."""
        while not await self._guard(self._take_up):
            # Also what cannot be judged yet must not keep the box from keeping.
            self.started.set()
            self.turns.rest(at_rest=False)
        self.started.set()

    async def _take_up(self) -> None:
        if self._queue.empty():
            # From here on there is room again: what comes now is judged after what is taken up here.
            self._behind = False
        await self._remember()
        if not self._behind:
            await self._tell_missed()
        followed = righted(self._clock)
        anew, ahead = await self._store.call(Store.must_retime), bool(self._ahead)
        if anew is not None:
            self._silence.listen_anew(self._clock.now_ms())
        for patient in self._patients.values():
            self.turns.rest(at_rest=False)
            await self._restore(patient, anew=anew)
            self._followed(patient.pseudonym)
            unjudged = await self._store.call(Store.unjudged, patient.pseudonym)
            if unjudged:
                await self._judge_rest(patient.pseudonym, unjudged)
        if anew is not None:
            await self._store.persist(Store.retimed, anew)
            self._righted = followed
        if self._shadows is not None and (anew is not None or ahead):
            self._shadows.judge_anew()

    async def _judge_rest(self, patient: str, unjudged: list[Kept]) -> None:
        attempts = await self._store.persist(Store.count_attempt, patient)
        if attempts > ATTEMPTS:
            await self._quarantine(patient, unjudged.pop(0))
        if attempts == 1:
            await self._judge(patient, unjudged)
            return
        # A fault somewhere in these: one at a time finds which, and the cursor moves past the good ones.
        for number, kept in enumerate(unjudged):
            if number:
                await self._store.persist(Store.count_attempt, patient)
            await self._judge(patient, [kept], keep=True)

    def _watched_since(self, patient: str) -> int:
        return self._since.get(patient, 0)

    async def _restore(self, patient: Patient, *, anew: bytes | None) -> None:
        name = patient.pseudonym
        stream = await self._store.call(Store.stream, name)
        self._cursor[name], self._lag[name] = stream.cursor, 0
        self._unkept.discard(name)
        self._since[name] = stream.since
        if stream.snapshot is None:
            self._engines[name] = await self._begin(patient)
            # Kept at once: from when on a patient is watched must not depend on when the first reading came.
            await self._keep_judgement(name, self._engines[name], ())
            return
        engine = None
        with contextlib.suppress(SnapshotError):
            engine = self._engines[name] = Engine.restore(patient.protocol, stream.snapshot, zone=patient.zone)
        ahead = name in self._ahead or (engine is not None and is_ahead(engine, self._clock.now_ms()))
        if anew is not None or ahead:
            self._since[name] = await set_right(self._store, name, self._clock)
            await self._apply(patient, stream.snapshot, righting=Righting.of(anew, engine))
            self._ahead.discard(name)
        elif engine is None:
            await self._apply(patient, stream.snapshot)

    async def _begin(self, patient: Patient) -> Engine:
        now = self._clock.now_ms()
        await self._store.persist(Store.begin_watching, patient.pseudonym, since=now)
        self._since[patient.pseudonym] = now
        return Engine(patient.protocol, patient=patient.pseudonym, zone=patient.zone, since=now)

    async def _apply(
        self, patient: Patient, before: bytes, finished: Finished | None = None, *, righting: Righting | None = None
    ) -> None:
        """Apply a protocol to what is kept of the past, and tell what differs from what stood under the one before.

        A rule still true goes on as the same alert; one newly true is raised now; what no longer holds is ended. What
        people did under the one before (the snapshot of its engine) is carried along as far as it can be read. By
        command (`finished`) a protocol that cannot judge the past is not applied at all. Where the time was put right
        (`righting`), what that had hidden is judged too, and told after the fact.
        """
        name, now = patient.pseudonym, self._clock.now_ms()
        if finished is None and await self._store.persist(Store.count_attempt, name) > ATTEMPTS:
            # The past cannot be judged by this protocol: from now on is better than not at all.
            engine = await self._begin(patient)
            device = next((item.address for item in self._devices if item.keeper(now).pseudonym == name), "-")
            changes = list(self._technical.noticed(name, "judging_quarantined", device, now))
            history, back, fed = list[Kept](), list[Kept](), tuple[AlertChange, ...]()
        else:
            forgotten = (await self._store.call(Store.stream, name)).forgotten_to
            engine = begun(patient, patient.protocol, since=self._since[name], forgotten_to=forgotten)
            with contextlib.suppress(SnapshotError):
                engine.inherit(before, done_by=None if righting is None else now)
            until = self._cursor[name]
            history = await self._store.call(Store.history, name, since=engine.history_from, until_row=until)
            back = [] if righting is None else await taken_back(self._store, name, until_row=until, now=now)
            fed = await asyncio.to_thread(engine.feed, [item.reading for item in (*history, *back)])
            engine.tick(now)
            changes = []
        told = await self._store.call(Store.told_alerts, name)
        standing = [change for change, stands in told if stands]
        if righting is None:
            rules = {rule.id for rule in patient.protocol.rules}
            changes += applied(standing, engine.open_alerts, rules=rules, now=now)
            for alert, onset in moved(standing, changes):
                engine.carry_on(alert, onset)
        else:
            changes += told_anew(
                engine,
                known_alerts(told, engine=righting.engine, patient=name),
                patient=name,
                readings=[item.reading for item in (*history, *back)],
                fed=fed,
                since=concerned_since(history, back, righting.from_row),
                now=now,
            )
        newly = {ChangeKind.RAISED, ChangeKind.ADDED}
        told_now = [one.alert_id for one in changes if one.kind in newly and one.resolved_at is None]
        engine.begin_escalating(told_now, now, anew=righting is None)
        self._engines[name] = engine
        marked = tuple((item.row, ReadingState.JUDGEABLE) for item in back)
        await self._keep_judgement(name, engine, tuple(changes), marked, finished)
        logger.info("a protocol is applied to what is kept", extra={EVENT: "protocol", READINGS: len(history)})

    async def _quarantine(self, patient: str, kept: Kept) -> None:
        engine, now = self._engines[patient], self._clock.now_ms()
        changes = self._technical.noticed(patient, "judging_quarantined", kept.reading.device, now)
        self._cursor[patient] = kept.row
        await self._keep_judgement(patient, engine, changes, ((kept.row, ReadingState.QUARANTINED),))
        self._followed(patient)
