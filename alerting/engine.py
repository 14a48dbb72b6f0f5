"""Engine: readings and passing time in, alert changes out, for one patient under one protocol.

Rules of this room:

- No IO, no clock: time is event time, an argument. The same history gives the same alerts and the same snapshot,
  however it is cut, and whether it came live or in one batch.
- `feed` takes readings in order. A reading that is late by its quantity's watermark goes to `rejudge` with the whole
  history, which tells what differs from what was told: added, confirmed, revised, retracted, resolved.
- Raised means satisfied: `onset` is when the run began, `raised_at` when it had lasted, `resolved_at` when its end
  had lasted. A silence neither resolves nor raises again.
- Nothing is raised before `since`. What is already true then is raised by the first reading after it.
- Only validities in `devices.reading.JUDGED` are judged, move time, or end an absence.

What is not here: who is told and when (acknowledgement, escalation), and keeping readings.

    engine = Engine(protocol, patient="patient-7f3a", zone=ZoneInfo("Europe/Paris"), since=begun)
    late = [reading for reading in batch if engine.lateness(reading) is Lateness.LATE]
    changes = engine.feed([reading for reading in batch if engine.lateness(reading) is Lateness.IN_ORDER])
    if late:
        changes += engine.rejudge(kept_readings)
    changes += engine.tick(now)
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from zoneinfo import ZoneInfo

from alerting import layout, snapshot
from alerting.alert import AlertChange, ChangeKind, Evidence, alert_id
from alerting.care_protocol import CareProtocol
from alerting.errors import HistoryError, OrderError, SnapshotError
from alerting.explain import Telling, explain
from alerting.local_time import offsets
from alerting.program import compile_program
from alerting.reading_order import canonical
from alerting.scheduled_rules import MissingRule
from alerting.stream import DAY_MS, Event, Place, Stream, fingerprint, lateness_bound
from alerting.told import Difference, Told, compare, record
from devices.reading import Reading

ENGINE_VERSION = "1"


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
        zone: the patient's time zone, for the sentences.
        since: ms UTC at which watching begins; missing-deadlines count from it.
    """

    def __init__(self, protocol: CareProtocol, *, patient: str, zone: ZoneInfo, since: int) -> None:
        self._protocol = protocol
        self._hash = protocol.protocol_hash
        self._program = compile_program(protocol)
        self._patient = patient
        self._zone = zone
        self._offsets = offsets(zone)
        self._stream = Stream.begin(protocol, self._program, self._offsets, since)
        self._told: list[Told] = []

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
        engine._stream = Stream(protocol, engine._program, engine._offsets, kept.words(), kept.tails, kept.books())
        engine._told = kept.told
        return engine

    def snapshot(self) -> bytes:
        """Return everything this engine knows; the same history gives the same bytes."""
        return snapshot.write(
            snapshot.Snapshot(
                engine_version=ENGINE_VERSION,
                patient=self._patient,
                protocol_hash=self._hash,
                state=self._stream.state.tolist(),
                tails=self._stream.tails,
                ledgers=[[word for entry in ledger.items() for word in entry] for ledger in self._stream.ledgers],
                told=self._told,
            )
        )

    @property
    def protocol(self) -> CareProtocol:
        """The protocol that is judged by."""
        return self._protocol

    @property
    def history_from(self) -> int:
        """From when on (ms UTC, inclusive) `rejudge` needs readings: `since`, less what the longest window reaches."""
        return self._stream.since - max(self._program.preludes)

    @property
    def open_alerts(self) -> tuple[AlertChange, ...]:
        """The alerts that stand, as they were first told (RAISED or ADDED), in order of (raised_at, rule)."""
        return tuple(
            self._change(
                Difference(kind=ChangeKind.ADDED if told.added else ChangeKind.RAISED, told=told, late=told.late)
            )
            for told in self._told
            if told.resolved_at is None
        )

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
        return self._record(self._stream.judge(ordered))

    def tick(self, now: int) -> tuple[AlertChange, ...]:
        """Let time pass to `now` (ms UTC): tells what was expected strictly before it and did not come.

        Raises:
            KernelError: the compiled kernel is of another version.
        """
        return self._record(self._stream.advance(now))

    def next_deadline(self) -> int | None:
        """Return the first `now` (ms UTC) at which `tick` would tell something, None when nothing is awaited."""
        return self._stream.next_deadline()

    def rejudge(self, history: Sequence[Reading]) -> tuple[AlertChange, ...]:
        """Judge everything again, now that late readings are there, and tell what differs.

        Args:
            history: every reading of the patient from `history_from` on, in any order, except those that were
                NOT_JUDGED on arrival.

        Raises:
            HistoryError: readings that were judged before are not there.
            KernelError: the compiled kernel is of another version.
        """
        before = self._stream
        replay = Stream.begin(self._protocol, self._program, self._offsets, before.since)
        ordered = [reading for reading in canonical(history) if replay.place(reading) is Place.NEXT]
        new_times = self._new_times(ordered)
        events = replay.judge(ordered) + replay.advance(before.event_time)
        after = [one.told for one in record(events, {}) if one.kind is ChangeKind.RAISED]

        def seen(rule: int) -> int:
            if isinstance(self._protocol.rules[rule], MissingRule):
                return before.event_time
            return before.watermark(self._column(rule))

        differences = compare(
            self._told,
            [told for told in after if self._may_change(told, before.event_time)],
            seen=seen,
            touched=lambda told: any(told.onset <= at <= seen(told.rule) for at in new_times[self._column(told.rule)]),
        )
        self._stream = replay
        self._told = after
        return self._tell(differences)

    def _new_times(self, history: Sequence[Reading]) -> list[list[int]]:
        """Return each row's times (ms UTC) of readings that were never judged.

        Raises:
            HistoryError: readings that were judged before are not there.
        """
        lacking = [set(ledger) for ledger in self._stream.ledgers]
        times: list[list[int]] = [[] for _ in lacking]
        for reading in history:
            column = self._program.columns.get(reading.quantity)
            if column is None or reading.measured_at < self._stream.event_time - lateness_bound(reading.quantity):
                continue
            known = fingerprint(reading)
            if known in self._stream.ledgers[column]:
                lacking[column].discard(known)
            else:
                times[column].append(reading.measured_at)
        if any(lacking):
            raise HistoryError(sum(len(one) for one in lacking))
        return times

    def _column(self, rule: int) -> int:
        return self._program.columns[self._protocol.rules[rule].quantity]

    def _may_change(self, told: Told, event_time: int) -> bool:
        """Return whether an alert stands or ended so lately that a late reading may still change it."""
        bound = lateness_bound(self._protocol.rules[told.rule].quantity)
        return told.resolved_at is None or told.resolved_at >= event_time - bound - DAY_MS

    def _record(self, events: Iterable[Event]) -> tuple[AlertChange, ...]:
        standing = {told.rule: told for told in self._told if told.resolved_at is None}
        differences = record(events, standing)
        self._told += [one.told for one in differences if one.kind is ChangeKind.RAISED]
        return self._tell(differences)

    def _tell(self, differences: Iterable[Difference]) -> tuple[AlertChange, ...]:
        """Return the changes in canonical order, and forget the alerts that nothing can change any more."""
        event_time = self._stream.event_time
        self._told = sorted(
            (told for told in self._told if self._may_change(told, event_time)),
            key=lambda told: (told.raised_at, told.rule),
        )
        return tuple(self._change(one) for one in sorted(differences, key=_canonical_order))

    def _change(self, difference: Difference) -> AlertChange:
        told, rule = difference.told, self._protocol.rules[difference.told.rule]
        evidence = tuple(
            Evidence(
                quantity=kept.quantity,
                count=kept.count,
                measured_at=kept.measured_at,
                received_at=kept.received_at,
                device=kept.device,
                key=kept.key,
                quality=kept.quality,
            )
            for kept in told.evidence
        )
        telling = Telling(
            rule=rule,
            onset=told.onset,
            raised_at=told.raised_at,
            evidence=evidence,
            late=told.late,
            withdrawn=difference.kind is ChangeKind.RETRACTED,
        )
        return AlertChange(
            kind=difference.kind,
            alert_id=self._id(rule.id, told.onset),
            patient=self._patient,
            rule=rule.id,
            priority=rule.priority,
            category=rule.category,
            onset=told.onset,
            raised_at=told.raised_at,
            resolved_at=None if difference.kind is ChangeKind.RAISED else told.resolved_at,
            evidence=evidence,
            why=explain(telling, self._zone),
            late=difference.late,
            supersedes=None if told.supersedes is None else self._id(rule.id, told.supersedes),
            protocol=self._protocol.name,
            protocol_version=self._protocol.version,
            protocol_hash=self._hash,
            engine_version=ENGINE_VERSION,
        )

    def _id(self, rule: str, onset: int) -> str:
        return alert_id(patient=self._patient, protocol=self._protocol.name, rule=rule, onset=onset)


def _canonical_order(difference: Difference) -> tuple[int, int]:
    told = difference.told
    at = told.resolved_at if difference.kind is ChangeKind.RESOLVED else None
    return (told.raised_at if at is None else at, told.rule)
