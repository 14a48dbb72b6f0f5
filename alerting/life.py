"""Life: which of a patient's alerts are told, when, and why the others are not.

A pure function of the alerts, the protocol, the patient's local time and what people did. Rules of this room:

- Nothing here makes, ends or hides an alert. One that is not told stands all the same, is recorded and sent.
- An alert is held back for one `Reason` at a time, the first of: shelved, stale, absorbed, digest, quiet hours,
  refractory, too many. When nothing holds it back any more, and it still stands, it is told.
- An alert of high priority is held back only when it is shelved, rests on stale readings, is absorbed, or is in the
  refractory time of its own rule: never by quiet hours, a digest or a number.
- Once told, an alert is silent again only while it is shelved or absorbed.
- *Absorbed*: an alert that is being told, of a rule that absorbs this one (or absorbs one that does) and is no less
  grave. What is itself held back absorbs nothing: or setting the graver rule aside would silence both.
- *Stale*: from when it was raised until a reading that was received in good time shows it still standing. "Good time"
  is `RuleLives.fresh`; an alert whose every reading came later than that is told as late, never as now.
- *Refractory* counts from the end of the last alert of the rule that was told; what nobody heard of delays nothing.
- *Too many* counts first tellings of low and medium alerts that wait for no digest.

Order within one millisecond, so that any cut gives the same: first what readings raised, in their canonical order
(an alert that ends then still stands); then what was raised because nothing came; then everything else (what holds
an alert back ends, begins or is ended), which is known once time has gone beyond that millisecond.

What is not here: staleness of readings and latching (engine says from when an alert is fresh and until when it
stands), and repeating to others (escalation).
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from msgspec import Struct

from alerting.acts import Shelf
from alerting.alert import Reason
from alerting.life_rules import DAY_MS, RuleLives
from alerting.local_hours import end_of, next_start_of, next_time_of_day

RAISED_BY_READING, RAISED_BY_TIME, AFTERWARDS = range(3)
"""Parts of one millisecond, in this order."""


class Turn(Struct, array_like=True, frozen=True):
    """From `at` (ms UTC) on an alert is told (`reason` None) or held back; `until` and `by` as in `Suppression`."""

    at: int
    reason: Reason | None = None
    until: int | None = None
    by: str = ""


Life = tuple[Turn, ...]
"""The turns of an alert in order, the first when it was raised; the last holds until it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """An alert, as far as its life needs it; times in ms UTC.

    Attributes:
        alert_id: of the alert.
        rule: index in the protocol.
        raised_at: when the rule was satisfied.
        part: RAISED_BY_READING or RAISED_BY_TIME.
        order: place among what was raised by readings at the same time: (quantity, device, key).
        over: when the condition ended, None while it lasts.
        ended: when the alert ended: `over`, or when it was seen if later, for a latched one.
        fresh_at: from when on it rests on readings that were received in good time, None until then.
        life: its turns before the time from which on they are to be found.
    """

    alert_id: str
    rule: int
    raised_at: int
    part: int
    order: tuple[str, str, str]
    over: int | None
    ended: int | None
    fresh_at: int | None
    life: Life = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """What became of alerts.

    Attributes:
        lives: of each course, in their order.
        next_at: the moment (ms UTC) after which the next one begins or ceases to be told if nothing else happens,
            None when none would.
    """

    lives: tuple[Life, ...]
    next_at: int | None


def told_at(life: Life) -> int | None:
    """Return when an alert was first told (ms UTC), None when it never was."""
    return next((turn.at for turn in life if turn.reason is None), None)


def steps(life: Life) -> Iterator[Turn]:
    """Yield the turns at which an alert that had been raised began or ceased to be told."""
    for before, turn in pairwise(life):
        if (before.reason is None) is not (turn.reason is None):
            yield turn


def live(courses: Sequence[Course], rules: RuleLives, shelves: Sequence[Shelf], *, start: int, until: int) -> Lives:
    """Find the lives of alerts from `start` (ms UTC, inclusive) to `until`.

    Of `until` itself only what readings and passing time raised is settled, see above.

    Args:
        courses: the alerts whose end lies at or after `start`, and those before that limits still count, in any order.
        rules: of the protocol.
        shelves: of any rule, in order.
        start: before it the `life` of each course is settled.
        until: how far time went.
    """
    passing = _Passing(courses, rules, shelves, start)
    passing.run(until)
    # Lives are taken before looking ahead, which goes on with them.
    lives = tuple(tuple(one.turns) for one in passing.runs)
    return Lives(lives=lives, next_at=passing.next_change())


@dataclass(slots=True)
class _Run:
    """One alert on its way; `raised` once time has come to it."""

    course: Course
    turns: list[Turn]
    raised: bool
    rank: tuple[int, int, int, int]
    first_told: int | None = None

    @property
    def telling(self) -> bool:
        return self.turns[-1].reason is None


@dataclass(frozen=True, slots=True)
class _Hold:
    reason: Reason
    end: int | None
    by: str = ""


@dataclass(order=True, slots=True)
class _Wake:
    """A moment at which an alert is looked at."""

    at: int
    part: int
    order: tuple[str, str, str]
    rank: tuple[int, int, int, int]
    run: _Run = field(compare=False)


class _Passing:
    """Time passing over alerts."""

    def __init__(self, courses: Sequence[Course], rules: RuleLives, shelves: Sequence[Shelf], start: int) -> None:
        self._rules = rules
        self._shelves: dict[int, list[Shelf]] = {}
        for shelf in shelves:
            if shelf.rule in rules.indices:
                self._shelves.setdefault(rules.indices[shelf.rule], []).append(shelf)
        self._wakes: list[_Wake] = []
        self._awaited: set[tuple[int, int]] = set()
        self._changes = 0
        self._now = (start, RAISED_BY_READING)
        self._tellings: dict[int, list[int]] = {}
        self._counted: list[int] = []
        self.runs = [self._run(course, start) for course in courses]
        self._of_rule: dict[int, list[_Run]] = {}
        for run in sorted(self.runs, key=lambda one: one.rank):
            self._of_rule.setdefault(run.course.rule, []).append(run)
        for at, run in sorted(
            ((run.first_told, run) for run in self.runs if run.first_told is not None), key=lambda one: one[0]
        ):
            self._count(run, at)
        for run in self.runs:
            self._begin(run, start)

    def _run(self, course: Course, start: int) -> _Run:
        rule = self._rules.rules[course.rule]
        turns = [turn for turn in course.life if turn.at < start]
        return _Run(
            course=course,
            turns=turns,
            raised=course.raised_at < start,
            rank=(-rule.gravity, len(rule.absorbed_by), course.rule, course.raised_at),
            first_told=told_at(tuple(turns)),
        )

    def _begin(self, run: _Run, start: int) -> None:
        course = run.course
        if not run.raised:
            heapq.heappush(self._wakes, _Wake(course.raised_at, course.part, course.order, run.rank, run))
        elif course.ended is None or course.ended >= start:
            self._wake(run, start)
        for at in (course.over, course.fresh_at):
            # What ends with this alert: its hold over others is looked at when it is over.
            if at is not None and at >= start:
                self._wake(run, at)
        for shelf in self._shelves.get(course.rule, ()):
            if shelf.at >= start and (course.ended is None or shelf.at < course.ended):
                self._wake(run, shelf.at)

    def run(self, until: int) -> None:
        """Let time pass to `until`, all of it but what comes afterwards in that millisecond."""
        while self._wakes and (self._wakes[0].at, self._wakes[0].part) < (until, AFTERWARDS):
            self._step()

    def next_change(self) -> int | None:
        """Return the moment of the next change of what is told, letting time pass as far as that."""
        before = self._changes
        while self._wakes:
            at = self._wakes[0].at
            self._step()
            if self._changes != before:
                return at
        return None

    def _step(self) -> None:
        wake = heapq.heappop(self._wakes)
        if wake.part == AFTERWARDS:
            self._awaited.discard((id(wake.run), wake.at))
        else:
            wake.run.raised = True
        self._now = (wake.at, wake.part)
        if wake.run.course.over == wake.at and wake.part == AFTERWARDS:
            self._look_at_absorbed(wake.run, wake.at, wake.part)
        self._look(wake.run, wake.at, wake.part)

    def _wake(self, run: _Run, at: int) -> None:
        # Once each: what is looked at twice asks for all that follows twice, and that again, without end.
        if (id(run), at) in self._awaited:
            return
        self._awaited.add((id(run), at))
        heapq.heappush(self._wakes, _Wake(at, AFTERWARDS, ("", "", ""), run.rank, run))

    def _look(self, run: _Run, at: int, part: int) -> None:
        """Decide what holds an alert back at a moment, and what follows for those that it absorbs."""
        ended = run.course.ended
        if not run.raised or (ended is not None and (ended < at or (ended == at and part == AFTERWARDS))):
            return
        told_before = bool(run.turns) and run.telling
        holds = self._holds(run, at, part)
        first = holds[0] if holds else None
        now = Turn(at) if first is None else Turn(at, first.reason, self._foretold(run, at, holds), first.by)
        last = run.turns[-1] if run.turns else None
        if last is None or (last.reason, last.by) != (now.reason, now.by):
            run.turns.append(now)
        if first is None and run.first_told is None:
            run.first_told = at
            self._count(run, at)
        self._look_again(run, at, holds)
        if last is not None and told_before != run.telling:
            self._changes += 1
        if told_before != run.telling:
            self._look_at_absorbed(run, at, part)

    def _look_at_absorbed(self, run: _Run, at: int, part: int) -> None:
        for rule in self._rules.rules[run.course.rule].absorbs:
            for other in self._of_rule.get(rule, ()):
                if other is not run and other.turns:
                    self._look(other, at, part)

    def _look_again(self, run: _Run, at: int, holds: Sequence[_Hold]) -> None:
        if any(hold.end is None for hold in holds):
            # Before that ends only what comes first among reasons can change.
            holds = [hold for hold in holds if hold.reason is Reason.SHELVED]
        elif holds and run.first_told is None and self._waits_for_day(run):
            quiet = self._rules.quiet
            if quiet is not None and end_of(self._rules.table, quiet, at) is None:
                self._wake(run, next_start_of(self._rules.table, quiet, at))
        for end in (hold.end for hold in holds if hold.end is not None):
            self._wake(run, end)

    def _waits_for_day(self, run: _Run) -> bool:
        return not self._rules.rules[run.course.rule].high

    def _count(self, run: _Run, at: int) -> None:
        rule = self._rules.rules[run.course.rule]
        self._tellings.setdefault(run.course.rule, []).append(at)
        if not rule.high and not rule.digest:
            self._counted.append(at)

    def _foretold(self, run: _Run, at: int, holds: Sequence[_Hold]) -> int | None:
        """Return when an alert will be told if nothing else happens, None when that depends on something else."""
        while holds:
            ends = [hold.end for hold in holds if hold.end is not None]
            if len(ends) < len(holds):
                return None
            at = max(ends)
            holds = self._holds(run, at, AFTERWARDS)
        return at

    # --- what holds an alert back, in the order in which it is said -----------------------------------------

    def _holds(self, run: _Run, at: int, part: int) -> list[_Hold]:
        found = [*self._shelved(run, at), *self._stale(run, at), *self._absorbed(run, at, part)]
        if run.first_told is None:
            if self._waits_for_day(run):
                found += [*self._digest(run, at), *self._quiet(at)]
            found += self._refractory(run, at)
            found += self._too_many(run, at)
        return found

    def _shelved(self, run: _Run, at: int) -> Iterator[_Hold]:
        # What people did in a millisecond comes after what readings raised in it; what they did later is not foretold.
        known = [one for one in self._shelves.get(run.course.rule, ()) if (one.at, AFTERWARDS) <= self._now]
        if known and at < known[-1].until:
            yield _Hold(Reason.SHELVED, known[-1].until, known[-1].by)

    def _stale(self, run: _Run, at: int) -> Iterator[_Hold]:
        fresh_at = run.course.fresh_at
        if fresh_at is None or at < fresh_at:
            yield _Hold(Reason.STALE, None)

    def _absorbed(self, run: _Run, at: int, part: int) -> Iterator[_Hold]:
        for rule in self._rules.rules[run.course.rule].absorbed_by:
            for other in self._of_rule.get(rule, ()):
                over = other.course.over
                lasts = over is None or over > at or (over == at and part != AFTERWARDS)
                if other.turns and other.telling and lasts:
                    yield _Hold(Reason.ABSORBED, None, other.course.alert_id)
                    return

    def _digest(self, run: _Run, at: int) -> Iterator[_Hold]:
        if self._rules.rules[run.course.rule].digest:
            due = next_time_of_day(self._rules.table, self._rules.digest_at, run.course.raised_at)
            if at < due:
                yield _Hold(Reason.DIGEST, due)

    def _quiet(self, at: int) -> Iterator[_Hold]:
        if self._rules.quiet is not None:
            end = end_of(self._rules.table, self._rules.quiet, at)
            if end is not None:
                yield _Hold(Reason.QUIET_HOURS, end)

    def _refractory(self, run: _Run, at: int) -> Iterator[_Hold]:
        refractory = self._rules.rules[run.course.rule].refractory
        ends = [
            other.course.over
            for other in self._of_rule[run.course.rule]
            if other.course.over is not None
            and other.course.over <= run.course.raised_at
            and other.first_told is not None
            and other.first_told <= run.course.raised_at
            and other is not run
        ]
        if ends and at < max(ends) + refractory:
            yield _Hold(Reason.REFRACTORY, max(ends) + refractory)

    def _too_many(self, run: _Run, at: int) -> Iterator[_Hold]:
        rule = self._rules.rules[run.course.rule]
        if rule.high or rule.digest:
            return
        of_rule = self._tellings.get(run.course.rule, [])
        for tellings, most, within in (
            (of_rule, rule.per_day, DAY_MS),
            (self._counted, self._rules.at_most, self._rules.within),
        ):
            if 0 < most <= len(tellings) and at < tellings[-most] + within:
                yield _Hold(Reason.TOO_MANY, tellings[-most] + within)
