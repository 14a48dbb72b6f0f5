"""Shadows: a second protocol a patient, judged beside the one that is applied, that tells nobody.

- It comes after: a reading is a shadow's once the protocol that is applied has judged it (`follow`), so that one which
  makes judging fail is quarantined before. What came together is judged together, as there: it is no less late here.
- Nothing waits for a shadow: what is to be judged is read from the store, and what waits is a few numbers.
- It tells nobody: what it would have told lies in tables of its own. It has no sealer and knows no outbox.
- It harms nobody: a fault of any kind, or a step that takes longer than `LONGEST_S`, switches it off until the next
  start, says so in one line and in `veilleur status`.
- It begins when it is first set, or ordered by the team. What was kept before is its history; it raises nothing before
  it began. Another one begins anew; one that the settings no longer name is erased at the next start, one that the team
  ends at once.
- Once the box's time is put right it judges again what is kept, by the right time (`shadow_retiming`), after the
  protocol that is applied has; what it came to by the wrong one is not kept any more.
- It knows no acts: nobody can acknowledge what nobody was told.

Not here: when time passes (watch), what a fault is caught by (daemon), comparing (shadow_comparison), and telling the
team what it came to (shadow_reports).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.logs import EVENT, REASON
from agent.reach import begun
from agent.retiming import is_ahead
from agent.settings import Patient
from agent.shadow_retiming import not_after
from agent.shadow_store import Fault, Pair, ShadowJudgement, ShadowState
from agent.store import Store
from agent.store_reader import Kept
from agent.store_thread import StoreThread
from alerting.alert import AlertChange
from alerting.care_protocol import CareProtocol
from alerting.engine import Engine, Lateness
from alerting.errors import SnapshotError
from devices.clock import Clock
from devices.reading import Reading

logger = logging.getLogger(__name__)

PART = 256
"""Readings read from the store in one call: others have their turn in between."""
BEHIND = 256
"""Steps that may wait; beyond, they become one."""
CURSOR_LAG = 64
"""Readings judged without consequence before the cursor is kept all the same."""
KEEP_MS = 3_600_000
"""How far time goes before how far it went is kept all the same."""
LONGEST_S = 120.0
"""Real seconds that one step may take: far more than a year of history takes on the smallest box."""

Attempt = Callable[[Callable[[], Awaitable[None]]], Awaitable[Exception | None]]
"""Awaits what it is given; returns what it failed by, whatever that is, None when it went well."""

T = TypeVar("T")


@dataclass(slots=True)
class _Course:
    """A shadow on its way: its engine has judged up to row `cursor`, `lag` readings beyond what `state` was kept of."""

    engine: Engine
    state: ShadowState
    cursor: int
    lag: int = 0


@dataclass(slots=True, kw_only=True)
class _Shadow:
    """One patient's; `row` is how far the protocol that is applied has judged, `steps` are those it took since.

    A step is a row up to which readings are judged, then a time (ms UTC) up to which it passes; 0: neither.
    """

    patient: Patient
    protocol: CareProtocol
    row: int = 0
    steps: deque[tuple[int, int]] = field(default_factory=deque)
    off: bool = False
    course: _Course | None = None

    @property
    def name(self) -> str:
        return self.patient.pseudonym

    @property
    def pair(self) -> Pair:
        return Pair(
            name=self.protocol.name,
            version=self.protocol.version,
            protocol_hash=self.protocol.protocol_hash,
            beside=self.patient.protocol.protocol_hash,
        )

    def add(self, row: int, now: int) -> None:
        """Let a step wait its turn."""
        self.row = max(self.row, row)
        if len(self.steps) >= BEHIND:
            last_row, last_now = self.steps.pop()
            row, now = max(row, last_row), max(now, last_now)
        self.steps.append((row, now))

    def beginning(self, now: int) -> ShadowState:
        """Return it as it is when it begins at `now` (ms UTC)."""
        return ShadowState(pair=self.pair, since=now, counted_from=now, until=now, cursor=self.row, snapshot=b"")


class Shadows:
    """The shadows of the box, one a patient at most."""

    def __init__(self, *, store: StoreThread, patients: Sequence[Patient], clock: Clock, attempt: Attempt) -> None:
        """`attempt` runs all that may fail here."""
        self._store = store
        self._clock = clock
        self._attempt = attempt
        self._shadows = {
            patient.pseudonym: _Shadow(patient=patient, protocol=patient.shadow)
            for patient in patients
            if patient.shadow is not None
        }
        self._followed: set[str] = set()
        self._gone: set[str] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._wake.set()

    # --- what judging calls: nothing of it waits or fails ---------------------------------------------------

    def follow(self, patient: str, row: int) -> None:
        """Let a patient's shadow judge too what was judged, up to `row`."""
        shadow = self._shadows.get(patient)
        if shadow is not None:
            self._followed.add(patient)
            self._add(shadow, row, 0)

    def pass_time(self, now: int) -> None:
        """Let time pass for every shadow up to `now` (ms UTC), after all that was judged before."""
        for shadow in self._shadows.values():
            self._add(shadow, 0, now)

    def stands_beside(self, patient: Patient) -> None:
        """Count a patient's shadow anew beside the protocol that is applied from now on."""
        shadow = self._shadows.get(patient.pseudonym)
        if shadow is not None and not shadow.off:
            shadow.patient, shadow.course = patient, None

    def change(self, patient: Patient) -> None:
        """Judge a patient beside by the shadow that they have now, by none when they have none.

        One that is judged already goes on; of another one all is erased before the new one begins.
        """
        before, protocol = self._shadows.get(patient.pseudonym), patient.shadow
        if before is not None:
            if protocol is not None and not before.off and before.protocol.protocol_hash == protocol.protocol_hash:
                return
            before.off, before.course = True, None
            before.steps.clear()
            del self._shadows[patient.pseudonym]
        if protocol is not None:
            self._shadows[patient.pseudonym] = _Shadow(patient=patient, protocol=protocol)
        self._gone.add(patient.pseudonym)
        self._idle.clear()
        self._wake.set()

    def judge_anew(self) -> None:
        """Take up the time that is right now: the protocols that are applied have."""
        for shadow in self._shadows.values():
            self._drop(shadow)

    def _drop(self, shadow: _Shadow) -> None:
        """Let a shadow go on from what is kept, up to where it had come."""
        shadow.course = None
        self._add(shadow, shadow.row, 0)

    def _add(self, shadow: _Shadow, row: int, now: int) -> None:
        if not shadow.off:
            shadow.add(row, now)
            self._idle.clear()
            self._wake.set()

    # --- judging ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Judge what is to be judged, until cancelled."""
        error = await self._attempt(self._erase_others)
        if error is not None:
            _say("what is kept of former shadow protocols could not be erased", error)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._gone:
                error = await self._attempt(partial(self._store.persist, Store.erase_shadow, self._gone.pop()))
                if error is not None:
                    _say("what is kept of a former shadow protocol could not be erased", error)
            for shadow in tuple(self._shadows.values()):
                if not shadow.off and shadow.name in self._followed:
                    error = await self._attempt(partial(self._step, shadow))
                    if error is not None:
                        await self._switch_off(shadow, error)
            if not self._wake.is_set():
                self._idle.set()

    async def settled(self) -> None:
        """Return when everything that was to be judged so far has been."""
        await self._idle.wait()

    async def _erase_others(self) -> None:
        if await self._store.persist(Store.erase_shadows_but, tuple(self._shadows)):
            logger.info("a shadow protocol is no longer set: what it came to is erased", extra={EVENT: "shadow_erased"})

    async def _switch_off(self, shadow: _Shadow, error: Exception) -> None:
        shadow.off, shadow.course = True, None
        shadow.steps.clear()
        _say("a shadow protocol failed and is off until the next start; the one that is applied goes on", error)
        now = self._clock.now_ms()
        fault = Fault(kind=type(error).__name__, at=now)
        keeping = partial(
            self._store.persist, Store.keep_shadow_fault, shadow.name, shadow.beginning(now), fault, now_ms=now
        )
        error_in_keeping = await self._attempt(keeping)
        if error_in_keeping is not None:
            _say("that a shadow protocol is off could not be kept", error_in_keeping)

    async def _step(self, shadow: _Shadow) -> None:
        course = shadow.course
        if course is None:
            if await self._store.persist(Store.must_retime) is not None:
                # What a right time leaves out is not left out yet; `judge_anew` is called once it is.
                return
            course = shadow.course = await self._take_up(shadow)
        while shadow.steps and shadow.course is course:
            row, now = shadow.steps.popleft()
            kept = await self._unjudged(shadow, after=course.cursor, until=row)
            if kept:
                await self._judge(shadow, course, kept)
            if now > course.engine.event_time:
                await self._keep(shadow, course, await _in_time(partial(course.engine.tick, now)))

    async def _judge(self, shadow: _Shadow, course: _Course, kept: Sequence[Kept]) -> None:
        engine, row = course.engine, kept[-1].row
        places = await _in_time(partial(_places, engine, kept))
        too_late = [item for item, place in places if place is Lateness.NOT_JUDGED]
        if any(place is Lateness.LATE for _, place in places):
            left_out = {item.row for item in too_late}
            needed = engine.history_needed([item.reading for item in kept if item.row not in left_out])
            history = await self._history(shadow, since=needed, until_row=row)
            readings = [item.reading for item in history if item.row not in left_out]
            forgotten = (await self._store.persist(Store.stream, shadow.name)).forgotten_to
            changes = await _in_time(partial(engine.rejudge, readings, whole_from=forgotten))
        else:
            changes = await _in_time(partial(engine.feed, [item.reading for item in kept]))
        course.cursor = row
        course.lag += len(kept)
        # What no window reaches needs no remembering.
        marked = tuple(item.row for item in too_late if item.reading.measured_at >= engine.history_from)
        await self._keep(shadow, course, changes, left_out=marked)

    async def _unjudged(self, shadow: _Shadow, *, after: int, until: int) -> list[Kept]:
        """Return the readings of the rows after `after` up to `until`, read in parts."""
        found: list[Kept] = []
        while after < until:
            part = await self._store.persist(Store.shadow_unjudged, shadow.name, after=after, until=until, limit=PART)
            found += part
            after = until if len(part) < PART else part[-1].row
        return found

    async def _history(self, shadow: _Shadow, *, since: int, until_row: int) -> list[Kept]:
        """Return the readings from `since` (ms UTC, inclusive) on, read in parts: others use the store in between."""
        found: list[Kept] = []
        after = (since, -1)
        while True:
            part = await self._store.persist(
                Store.shadow_history, shadow.name, after=after, until_row=until_row, limit=PART
            )
            found += part
            if len(part) < PART:
                return found
            after = (part[-1].reading.measured_at, part[-1].row)

    # --- keeping ----------------------------------------------------------------------------------------------

    async def _keep(
        self,
        shadow: _Shadow,
        course: _Course,
        changes: tuple[AlertChange, ...],
        *,
        left_out: tuple[int, ...] = (),
    ) -> None:
        """Keep where judging stands, when that is worth a commit."""
        passed = course.engine.event_time - course.state.until >= KEEP_MS
        if changes or left_out or passed or course.lag >= CURSOR_LAG:
            await self._keep_now(shadow, course, changes, left_out=left_out)

    async def _keep_now(
        self,
        shadow: _Shadow,
        course: _Course,
        changes: tuple[AlertChange, ...] = (),
        *,
        left_out: tuple[int, ...] = (),
        replaces: bool = False,
    ) -> None:
        engine = course.engine
        snapshot = await _in_time(engine.snapshot)
        state = replace(course.state, until=engine.event_time, cursor=course.cursor, snapshot=snapshot)
        judgement = ShadowJudgement(state=state, changes=changes, left_out=left_out, replaces=replaces)
        now = self._clock.now_ms()
        counted_from = await self._store.persist(Store.keep_shadow, shadow.name, judgement, now_ms=now)
        if counted_from is None:
            # The time was put right meanwhile: this was judged by the wrong one.
            self._drop(shadow)
            return
        course.state, course.lag = replace(state, counted_from=counted_from, snapshot=b""), 0

    # --- taking up --------------------------------------------------------------------------------------------

    async def _take_up(self, shadow: _Shadow) -> _Course:
        """Go on where the store says that judging had come to, or begin."""
        now = self._clock.now_ms()
        right = await self._store.persist(Store.right_time)
        known = await self._store.persist(Store.shadow_state, shadow.name)
        if known is None or known.pair.protocol_hash != shadow.protocol.protocol_hash:
            await self._store.persist(Store.erase_shadow, shadow.name)
            logger.info("a shadow protocol begins; it tells nobody", extra={EVENT: "shadow"})
            return await self._judge_history(shadow, replace(shadow.beginning(now), right=right))
        if known.pair != shadow.pair:
            # Beside another protocol, counting begins again; what the shadow knows holds.
            known = replace(known, pair=shadow.pair, counted_from=now)
        if known.right != right:
            # It came to this by a time that was wrong; when it began was moved with the readings.
            return await self._judge_history(shadow, replace(known, right=right))
        try:
            engine = await _in_time(partial(Engine.restore, shadow.protocol, known.snapshot, zone=shadow.patient.zone))
        except SnapshotError:
            # Another version of the engine wrote it: everything since it began is judged again by this one.
            return await self._judge_history(shadow, known)
        if is_ahead(engine, now):
            return await self._judge_history(shadow, not_after(known, now))
        course = _Course(engine, known, known.cursor)
        # Kept at once: whatever switched it off last time is over.
        await self._keep_now(shadow, course)
        return course

    async def _judge_history(self, shadow: _Shadow, state: ShadowState) -> _Course:
        forgotten = (await self._store.persist(Store.stream, shadow.name)).forgotten_to
        engine = begun(shadow.patient, shadow.protocol, since=state.since, forgotten_to=forgotten)
        history = await self._history(shadow, since=engine.history_from, until_row=state.cursor)
        changes = await _in_time(partial(_in_order, engine, [item.reading for item in history], state.until))
        course = _Course(engine, state, state.cursor)
        await self._keep_now(shadow, course, changes, replaces=True)
        return course


def _places(engine: Engine, kept: Sequence[Kept]) -> list[tuple[Kept, Lateness]]:
    return [(item, engine.lateness(item.reading)) for item in kept]


def _in_order(engine: Engine, readings: Sequence[Reading], until: int) -> tuple[AlertChange, ...]:
    return (*engine.feed(readings), *engine.tick(until))


async def _in_time(work: Callable[[], T]) -> T:
    """Run a step beside the loop.

    Raises:
        TimeoutError: it took too long; it is not waited for any more.
    """
    async with asyncio.timeout(LONGEST_S):
        return await asyncio.to_thread(work)


def _say(sentence: str, error: Exception) -> None:
    """Log one line: what failed and where, never a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    logger.error(sentence, extra={EVENT: "shadow_failed", REASON: f"{type(error).__name__}{where}"})
