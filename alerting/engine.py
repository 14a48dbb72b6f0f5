"""Engine: readings and passing time in, alert changes out, for one patient under one protocol.

Rules of this room:

- No IO, no clock: time is event time, an argument. The same history gives the same alerts and the same snapshot,
  however it is cut, and whether it came live or in one batch.
- `feed` takes readings in order. A reading that is late by the watermark of its quantity, or of one that a score or a
  composite judges with it, goes to `rejudge` with the history from `history_needed` on, which tells what differs from
  what was told: added, confirmed, revised, retracted, resolved.
- Raised means satisfied: `onset` is when the run began, `raised_at` when it had lasted, `resolved_at` when its end
  had lasted. A silence neither resolves nor raises again.
- Nothing is raised before `since`. What is already true then is raised by the first reading after it.
- Only validities in `devices.reading.JUDGED` are judged, move time, or end an absence.
- Who else is told of an alert that nobody has seen is asked for by whoever lives in real time (`escalate`): it is an
  act, as an acknowledgement is, and no part of what a history gives.
- Every alert is raised and resolved, told or not: `suppressed` says why one is not told, SUPPRESSED and RELEASED when
  that changes (`life`). A latched alert is resolved when its condition is over and somebody has seen it.

What is not here: through what anybody is told (the box), and keeping readings.

    engine = Engine(protocol, patient="patient-7f3a", zone=ZoneInfo("Europe/Paris"), since=begun)
    late = [reading for reading in batch if engine.lateness(reading) is Lateness.LATE]
    if late:
        changes = engine.rejudge(kept_readings_since(engine.history_needed(batch)))
    else:
        changes = engine.feed(batch)
    changes += engine.tick(now)
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from zoneinfo import ZoneInfo

from alerting import layout, snapshot
from alerting.acts import Disposed, Seen, Shelf, checked_shelf
from alerting.alert import AlertChange, ChangeKind, Outcome
from alerting.care_protocol import CareProtocol, Rule
from alerting.checkpoints import CLOSE, Checkpoint, latest_before, thinned
from alerting.content import Content
from alerting.errors import OrderError, SnapshotError, UnknownRuleError
from alerting.layout import NEVER
from alerting.life_rules import RuleLives
from alerting.local_time import offsets
from alerting.program import compile_program
from alerting.reading_order import canonical
from alerting.replay import Book, Origin, arrived, as_it_was, judge_again
from alerting.scheduled_rules import CompositeRule, MissingRule
from alerting.staleness import Freshness
from alerting.stream import Event, Place, Stream
from alerting.teller import Teller
from alerting.told import Difference, Told, compare
from devices.reading import Reading

ENGINE_VERSION = "2"


class Lateness(StrEnum):
    """What to do with a reading."""

    IN_ORDER = "in_order"
    """Hand it to `feed`; one already judged, or that no threshold may judge, changes nothing there."""
    LATE = "late"
    """Keep it, then `rejudge` the history."""
    NOT_JUDGED = "not_judged"
    """Keep and send it: it lies before the lateness bound (24 h for a continuous glucose sensor, 35 days otherwise),
    or so long before watching began that no window reaches it."""


class Engine:
    """Judges one patient's readings by one protocol.

    Args:
        protocol: the rules.
        patient: pseudonym.
        zone: the patient's time zone, for the sentences and for hours of the day.
        since: ms UTC at which watching begins; missing-deadlines count from it.
    """

    def __init__(self, protocol: CareProtocol, *, patient: str, zone: ZoneInfo, since: int) -> None:
        self._protocol = protocol
        self._program = compile_program(protocol)
        self._patient = patient
        self._hash = protocol.protocol_hash
        rules = RuleLives.of(protocol, zone)
        content = Content(protocol, patient=patient, zone=zone, engine_version=ENGINE_VERSION)
        self._teller = Teller(protocol, content, rules)
        self._book = Book(Freshness(protocol), rules.memory)
        self._origin = Origin(protocol, self._program, offsets(zone))
        self._take_over(self._origin.begin(since))

    def _take_over(self, stream: Stream) -> None:
        self._stream = stream
        self._checkpoints: list[Checkpoint] = []
        self._checkpoint_due = stream.event_time + CLOSE

    @classmethod
    def restore(cls, protocol: CareProtocol, data: bytes, *, zone: ZoneInfo) -> "Engine":
        """Return the engine that `snapshot` described.

        Raises:
            SnapshotError: the bytes are damaged, or of another protocol or version of the engine.
        """
        kept = snapshot.read(data)
        if kept.engine_version != ENGINE_VERSION:
            raise SnapshotError(f"the snapshot is of engine version {kept.engine_version}, this is {ENGINE_VERSION}")
        if kept.protocol_hash != protocol.protocol_hash:
            raise SnapshotError("the snapshot is of another protocol or of another version of it")
        engine = cls(protocol, patient=kept.patient, zone=zone, since=0)
        if len(kept.state) != engine._program.state_size or kept.state[layout.S_LAYOUT] != layout.LAYOUT:
            raise SnapshotError("the snapshot has another layout than this version of the engine")
        engine._take_over(engine._origin.resume(kept.words(), kept.tails, kept.books()))
        engine._teller.told, engine._teller.acts = kept.told, kept.acts()
        engine._teller.live(engine.event_time, engine.event_time)
        # What comes late after a restart is mostly later than it: a sensor's history after its newest value.
        engine._checkpoints = [Checkpoint.of(engine._stream, engine._teller.told)]
        return engine

    def snapshot(self) -> bytes:
        """Return everything this engine knows; the same history and acts give the same bytes."""
        self._teller.settle(self.event_time)
        self._teller.forget(self.event_time)
        acts = self._teller.acts
        return snapshot.write(
            snapshot.Snapshot(
                engine_version=ENGINE_VERSION,
                patient=self._patient,
                protocol_hash=self._hash,
                state=self._stream.state.tolist(),
                tails=self._stream.tails,
                ledgers=[[word for entry in ledger.items() for word in entry] for ledger in self._stream.ledgers],
                told=self._teller.told,
                shelves=acts.shelves,
                seen=acts.all_seen,
                disposed=acts.all_disposed,
                escalated=acts.all_escalated,
            )
        )

    def inherit(self, data: bytes, *, done_by: int | None = None) -> None:
        """Take over what people did under another protocol or version of it, from the snapshot of its engine.

        Rules are set aside by id, alerts seen by theirs. To be done before anything is judged.

        Args:
            data: the snapshot.
            done_by: ms UTC; escalating that is said to have begun later began then: the clock was ahead.

        Raises:
            SnapshotError: the bytes are damaged, or of an engine that knew of no acts.
        """
        self._teller.acts = snapshot.read(data).acts(done_by)

    @property
    def protocol(self) -> CareProtocol:
        """The protocol that is judged by."""
        return self._protocol

    @property
    def event_time(self) -> int:
        """How far time went, ms UTC."""
        return self._stream.event_time

    @property
    def prelude(self) -> int:
        """How many ms before judging begins readings matter: what the longest window reaches."""
        return max(self._program.preludes)

    @property
    def history_from(self) -> int:
        """From when on (ms UTC, inclusive) readings matter at all: `since`, less `prelude`."""
        return self._stream.since - self.prelude

    def history_needed(self, arrived: Sequence[Reading]) -> int:
        """Return from when on (ms UTC, inclusive) `rejudge` needs readings, for these to be judged.

        Args:
            arrived: the readings that were never judged, late ones and those in order, without NOT_JUDGED ones.
        """
        first = min((reading.measured_at for reading in arrived), default=self.history_from)
        checkpoint = latest_before(self._checkpoints, first)
        return self.history_from if checkpoint is None else checkpoint.at + 1

    @property
    def open_alerts(self) -> tuple[AlertChange, ...]:
        """The alerts that stand, as RAISED or ADDED, told or not as they are now, in order of (raised_at, rule)."""
        return self._teller.open_alerts(self._stream)

    @property
    def told(self) -> tuple[Told, ...]:
        """The alerts that still matter, in order of (raised_at, rule): for whoever compares lives, not for changing."""
        self._teller.settle(self.event_time)
        return tuple(self._teller.told)

    def judged(self, rule_id: str) -> bool:
        """Return whether a rule ever had a value, so that it could have been raised.

        A missing rule has none: it judges the time that passes. A composite could when as many of its members could as
        it needs.

        Raises:
            UnknownRuleError: the protocol has no such rule.
        """
        for place, rule in enumerate(self._protocol.rules):
            if rule.id == rule_id:
                if isinstance(rule, CompositeRule):
                    return sum(map(self.judged, rule.of)) >= rule.at_least
                return isinstance(rule, MissingRule) or self._stream.value(place) is not None
        raise UnknownRuleError(rule_id)

    def lateness(self, reading: Reading) -> Lateness:
        """Return what to do with a reading, as things stand; changes nothing."""
        match self._stream.place(reading):
            case Place.LATE:
                return Lateness.LATE
            case Place.TOO_OLD:
                return Lateness.NOT_JUDGED
            case _:
                return Lateness.IN_ORDER

    def feed(self, readings: Sequence[Reading]) -> tuple[AlertChange, ...]:
        """Judge readings that are in order; the order within `readings` does not matter.

        Those already judged, not to be judged, or before the lateness bound change nothing. Readings that come
        together (a sensor's history after a reconnection) are best fed together: fed one by one, the absence that
        each leaves behind is told at once.

        Raises:
            OrderError: one of them is late.
            KernelError: the compiled kernel is of another version.
        """
        ordered: list[Reading] = []
        for reading in canonical(readings):
            place = self._stream.place(reading)
            if place is Place.LATE:
                raise OrderError(f"a {reading.quantity} reading is late: rejudge the history instead")
            if place is Place.NEXT:
                ordered.append(reading)
        if not ordered:
            return ()
        # What was judged since a checkpoint must all be later than it.
        first, before = ordered[0].measured_at, self._stream.event_time
        self._checkpoints = [one for one in self._checkpoints if one.at < first]
        return self._record(self._stream.judge(ordered), ordered, before)

    def tick(self, now: int) -> tuple[AlertChange, ...]:
        """Let time pass to `now` (ms UTC): tells what was expected strictly before it and did not come.

        Raises:
            KernelError: the compiled kernel is of another version.
        """
        before = self._stream.event_time
        return self._record(self._stream.advance(now), (), before)

    def next_deadline(self) -> int | None:
        """Return the first `now` (ms UTC) at which `tick` would tell something, None when nothing is awaited."""
        turn = None if self._teller.next_turn is None else self._teller.next_turn + 1
        return min((at for at in (self._stream.next_deadline(), turn) if at is not None), default=None)

    def rejudge(self, history: Sequence[Reading], *, whole_from: int | None = None) -> tuple[AlertChange, ...]:
        """Judge again what late readings may change, and tell what differs.

        Args:
            history: every reading of the patient from `history_needed` on, or from `history_from` on, in any order,
                except those that were NOT_JUDGED on arrival.
            whole_from: ms UTC from which on (inclusive) the history is whole, those before being forgotten: at least
                `memory_of` the protocol before event time, and before the onset of any alert that stands or ended no
                longer ago than that. None: nothing was forgotten.

        Raises:
            HistoryError: readings that were judged before are not there.
            KernelError: the compiled kernel is of another version.
        """
        before, until, teller = self._stream, self.event_time, self._teller
        new = arrived(before, self._origin, history, self._checkpoints)
        if not new:
            return ()
        first = new[0].measured_at
        start = before.since if whole_from is None else max(before.since, whole_from + self.prelude)
        again = judge_again(
            before,
            self._origin,
            history,
            self._checkpoints,
            self._book,
            first=first,
            reach=teller.retention.reach,
            start=start,
        )
        if start > before.since:
            again = as_it_was(again, teller.told, before=first)
        after = teller.retention.of(again.told, until, teller.ended)
        rules = self._protocol.rules
        seen = [_judged_to(before, rule) for rule in rules]
        times = [[one.measured_at for one in new if one.quantity in rule.inputs] for rule in rules]
        differences = compare(
            teller.retention.of(teller.told, until, teller.ended),
            after,
            seen=seen.__getitem__,
            touched=lambda told: any(told.onset <= at <= seen[told.rule] for at in times[told.rule]),
        )
        self._stream, self._checkpoints, teller.told = again.stream, again.checkpoints, after
        for one in differences:
            if one.kind is ChangeKind.REVISED and one.told.supersedes is not None:
                teller.carry(one.told.supersedes, one.told)
        return teller.tell(differences, min(first, until), self._stream)

    # --- what people did ------------------------------------------------------------------------------------

    def shelve(self, rule_id: str, until: int, by: str, at: int, reason: str = "") -> tuple[AlertChange, ...]:
        """Set the alerts of a rule aside from `at` to `until` (ms UTC, exclusive); `until` = `at` ends that.

        They are raised and resolved all the same. An alert of high priority is set aside for 24 h at most and with a
        reason, another one for the protocol's `longest_shelf`. Twice is once.

        Raises:
            UnknownRuleError: the protocol has no such rule.
            ShelfError: too long, without a name, or without the reason that a high priority asks for.
        """
        rule = next((rule for rule in self._protocol.rules if rule.id == rule_id), None)
        if rule is None:
            raise UnknownRuleError(rule_id)
        shelf = checked_shelf(Shelf(rule_id, at, until, by, reason), rule, self._protocol.telling.longest_shelf)
        if not self._teller.acts.shelve(shelf):
            return ()
        return self._teller.tell((), min(at, self.event_time), self._stream)

    def acknowledge(self, alert_id: str, by: str, at: int) -> tuple[AlertChange, ...]:
        """Remember that somebody has seen an alert; a latched one whose condition is over is resolved by that.

        `at` is ms UTC, by whoever's clock saw it; the first to see it counts. The team's acknowledgement reaches the
        box as a disposition and is handed over here: until then a latched alert stands on the box.

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        told = self._teller.known(alert_id)
        before = self._teller.ended(told)
        if not self._teller.acts.see(Seen(alert_id, at, by)):
            return ()
        ended = self._teller.ended(told)
        if ended == before or ended is None:
            return ()
        resolved = Difference(kind=ChangeKind.RESOLVED, told=told, late=False)
        start = min(self.event_time, ended if before is None else min(before, ended))
        return self._teller.tell([resolved], start, self._stream)

    def attended(self, alert_id: str) -> bool:
        """Return whether somebody has seen an alert, or said what came of it."""
        acts = self._teller.acts
        return acts.seen(alert_id) is not None or acts.outcome(alert_id) is not None

    def dispose(self, alert_id: str, outcome: Outcome, by: str, at: int) -> None:
        """Remember what came of an alert, for the next one of its rule to say; the last word (`at`, ms UTC) counts.

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        self._teller.known(alert_id)
        self._teller.acts.dispose(Disposed(alert_id, at, by, outcome))

    def escalate(self, now: int) -> tuple[AlertChange, ...]:
        """Take the steps of escalation that are due at `now` (ms UTC, inclusive), each once.

        To be asked live, after `tick(now)`. Steps that came due together (the box was off) are told together, as one
        ESCALATED change an alert, which says in `escalated` whom it is told from now on.
        """
        return self._teller.escalate(now, self._stream)

    def next_step(self) -> int | None:
        """Return the first `now` (ms UTC) at which `escalate` would tell something, None when no step is to come."""
        return min((step.at for _, step in self._teller.steps_to_come(self._stream)), default=None)

    def begin_escalating(self, alert_ids: Iterable[str], now: int, *, anew: bool = False) -> None:
        """Count steps of alerts that a protocol just applied tells from `now` (ms UTC); `anew`: forget acts on them."""
        self._teller.begin_escalating(alert_ids, now, anew=anew)

    def tell_late(self, alert_id: str) -> AlertChange:
        """Return an alert of a history that was judged silently as ADDED: it is told after the fact, with its end.

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        return self._teller.tell_late(alert_id, self._stream)

    def carry_on(self, alert_id: str, onset: int) -> None:
        """Let an alert have what was done about it while its onset was another (ms UTC).

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        self._teller.carry_on(alert_id, onset)

    def improving(self, alert_id: str) -> bool:
        """Return whether the value of a standing alert has moved towards its end since it was raised.

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        return self._teller.improves(self._teller.known(alert_id), self._stream)

    def _record(self, events: Sequence[Event], readings: Sequence[Reading], before: int) -> tuple[AlertChange, ...]:
        teller, now = self._teller, self.event_time
        teller.told, differences, start = self._book.enter(teller.told, events, readings, since=before)
        if start is None and teller.next_turn is not None and teller.next_turn < now:
            start = before
        changes = () if start is None else teller.tell(differences, start, self._stream)
        if now >= self._checkpoint_due:
            kept = [*self._checkpoints, Checkpoint.of(self._stream, teller.told)]
            self._checkpoints = thinned(kept, now=now, reach=teller.retention.reach)
            self._checkpoint_due = now + CLOSE
        return changes


def _judged_to(stream: Stream, rule: Rule) -> int:
    """Return up to when (ms UTC) a rule had been judged."""
    if isinstance(rule, MissingRule):
        return stream.event_time
    columns = stream.program.columns
    return max((stream.watermark(columns[one]) for one in rule.inputs if one in columns), default=NEVER)
