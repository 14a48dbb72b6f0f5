"""The encrypted buffer of the box: SQLite in WAL, every commit synchronous.

- A reading and its sealed outbox entry are one transaction (`accept`, or `accept_streamed` for many of a stream at
  once); alert changes, their entries, the engine's snapshot and the cursor are another (`keep_judgement`).
- Sequence numbers are given here, inside those transactions: they have no hole. Each opening gives them under a
  random epoch of its own, so that a copy of the file that is put back gives none twice (`epochs`).
- An outbox entry stops waiting only by a verified receipt; or it was dense and gave way in a full buffer, with a gap
  in its place.
- Readings and shadows leave the alerts their reserve (`room`); alerts and what ends them may take it.
- The database refuses to be used when its pragmas did not take, or when a newer program has migrated it.

Not here: what a reading means, and sending. One thread uses a Store (`StoreThread`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import dropwhile, islice

import msgspec

from agent import command_acts
from agent.command_store import Finished
from agent.database import immediate
from agent.erasure import Erased, Eraser
from agent.missing import Missing
from agent.segments import LONGEST
from agent.shadow_store import Fault, ShadowJudgement, ShadowState
from agent.store_clock import UNDATED
from agent.store_reader import Kept
from agent.store_writer import StoreWriter, nothing_gives_way
from alerting.alert import AlertChange, ChangeKind
from devices.reading import Reading
from exchange import messages
from exchange.gaps import GapReason
from exchange.messages import ObservationRecord
from exchange.sealing import LANE_ALERTS, LANE_DENSE, LANE_SPARSE, Sealer

WAITED_MS = 86_400_000
KNOWN_MS = 400 * 86_400_000
"""For so long a device may hold a reading and hand it over again."""


class ReadingState(IntEnum):
    """What may be done with a kept reading."""

    JUDGEABLE = 0
    UNATTRIBUTED = 1
    TOO_LATE = 2
    QUARANTINED = 3
    UNDATED = UNDATED
    FORGOTTEN = 5
    """Beyond every window: only its digest stays, by which it is known should its device hand it over again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A reading on its way in; `attributed` is False when nobody can say whose it is."""

    patient: str
    reading: Reading
    attributed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What the store remembers of one patient.

    Attributes:
        number: of its row.
        since: ms UTC from which the patient is watched, 0 before the first start.
        cursor: row of the newest reading judged.
        attempts: how often judging what comes after was begun.
        snapshot: the engine as it was at the cursor.
        forgotten_to: ms UTC up to which (exclusive) readings were forgotten; None: none was.
    """

    number: int
    since: int
    cursor: int
    attempts: int
    snapshot: bytes | None
    forgotten_to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What judging one stream up to `cursor` (a reading's row, inclusive) came to, by command or not."""

    patient: str
    cursor: int
    snapshot: bytes
    changes: tuple[AlertChange, ...] = ()
    marked: tuple[tuple[int, ReadingState], ...] = ()
    finished: Finished | None = None


_JUDGED = (ReadingState.JUDGEABLE,)
_FOR_SHADOWS = (ReadingState.JUDGEABLE, ReadingState.TOO_LATE)
_ANY_ROW = 2**62


class Store(StoreWriter):
    """One open database, to write. Every method is called from the one thread that opened it."""

    def this_epoch(self) -> str:
        """Return the epoch of this database: 32 hexadecimal digits."""
        return self.epoch

    # --- readings -----------------------------------------------------------------------------------------

    def accept(self, arrivals: Sequence[Arrival], sealer: Sealer, *, now_ms: int) -> dict[str, list[Kept]]:
        """Transaction A: keep the readings that are new, with the sealed entries that will carry them.

        Returns:
            The new readings by patient, in order of arrival; repeats are left out.

        Raises:
            BufferFullError: nothing was kept.
        """

        def write() -> dict[str, list[Kept]]:
            kept: dict[str, list[Kept]] = {}
            records: list[ObservationRecord] = []
            with self._ordinary(now_ms):
                for arrival in arrivals:
                    record = messages.observation(arrival.patient, arrival.reading)
                    row = self._insert(arrival, record)
                    if row is None:
                        continue
                    records.append(record)
                    kept.setdefault(arrival.patient, []).append(Kept(row=row, reading=arrival.reading))
                self.outbox.add(records, LANE_SPARSE, sealer, now_ms=now_ms)
                self._remember_devices([arrival.reading for arrival in arrivals])
            return kept

        return self._unless_full(write, sealer, now_ms)

    def accept_streamed(
        self, arrivals: Sequence[Arrival], lost: Mapping[str, Missing], sealer: Sealer, *, now_ms: int
    ) -> dict[str, list[Kept]]:
        """Transaction A for values of streams: the same, in a few sealed rows and entries, one a patient.

        Args:
            arrivals: in order of arrival.
            lost: what could not be kept before, by patient, and is declared with them.
            sealer: seals to the team.
            now_ms: ms UTC.

        Returns:
            The new readings by patient, in order of arrival; repeats are left out.

        Raises:
            BufferFullError: nothing was kept.
        """

        def write() -> dict[str, list[Kept]]:
            kept: dict[str, list[Kept]] = {}
            with self._ordinary(now_ms):
                for patient in dict.fromkeys(arrival.patient for arrival in arrivals):
                    theirs = [arrival for arrival in arrivals if arrival.patient == patient]
                    kept[patient] = self._add_segments(patient, theirs, sealer, now_ms)
                self._declare(lost, sealer, now_ms)
                self._remember_devices([arrival.reading for arrival in arrivals])
            return kept

        return self._unless_full(write, sealer, now_ms)

    def _add_segments(self, patient: str, arrivals: Sequence[Arrival], sealer: Sealer, now_ms: int) -> list[Kept]:
        number = self._stream(patient)
        state = ReadingState.JUDGEABLE if arrivals[0].attributed else ReadingState.UNATTRIBUTED
        readings = self._segments.fresh(number, [arrival.reading for arrival in arrivals])
        kept: list[Kept] = []
        for at in range(0, len(readings), LONGEST):
            part = readings[at : at + LONGEST]
            records = [messages.observation(patient, reading) for reading in part]
            first_seq = self.outbox.next_seq()
            self.outbox.add(records, LANE_DENSE, sealer, now_ms=now_ms)
            times = [reading.measured_at for reading in part]
            rows = self._segments.add(number, records, times=times, first_seq=first_seq, state=state)
            kept += [Kept(row=row, reading=reading) for row, reading in zip(rows, part, strict=True)]
        return kept

    def declare(self, lost: Mapping[str, Missing], sealer: Sealer, *, now_ms: int) -> None:
        """Keep what could not be kept, by patient, as gaps to be sent among the alerts."""

        def write() -> None:
            with self._transaction(now_ms):
                self._declare(lost, sealer, now_ms)

        self._with_room(write, sealer, now_ms)

    def _declare(self, lost: Mapping[str, Missing], sealer: Sealer, now_ms: int) -> None:
        gaps = [item.record(patient, epoch=self.epoch, reason=GapReason.REFUSED) for patient, item in lost.items()]
        self.outbox.add(gaps, LANE_ALERTS, sealer, now_ms=now_ms)

    def _insert(self, arrival: Arrival, record: ObservationRecord) -> int | None:
        reading = arrival.reading
        digest = self._vault.digest("reading", reading.device, reading.key, reading.quantity)
        execute = self._connection.execute
        if execute("select 1 from reading where digest = ?", (digest,)).fetchone():
            return None
        state = ReadingState.JUDGEABLE if arrival.attributed else ReadingState.UNATTRIBUTED
        sealed = self._vault.seal("reading", digest.hex(), msgspec.msgpack.encode(record))
        added = execute(
            "insert into reading(stream, digest, measured_at, state, body) values (?, ?, ?, ?, ?)",
            (self._stream(arrival.patient), digest, reading.measured_at, state, sealed),
        )
        return added.lastrowid

    def unjudged(self, patient: str) -> list[Kept]:
        """Return the readings after the stream's cursor, in order of arrival."""
        stream = self.stream(patient)
        return list(self._arrived(stream.number, after=stream.cursor, until=_ANY_ROW, states=_JUDGED))

    def history(self, patient: str, *, since: int, until_row: int) -> list[Kept]:
        """Return every judgeable reading measured at or after `since` (ms UTC) and kept no later than `until_row`."""
        return list(self._measured(self._stream(patient), since=since, until_row=until_row, states=_JUDGED))

    def too_late(self, patient: str, *, since: int, until_row: int) -> list[Kept]:
        """Return what came too late to be judged, measured at or after `since` (ms UTC), kept until `until_row`."""
        states = (ReadingState.TOO_LATE,)
        return list(self._measured(self._stream(patient), since=since, until_row=until_row, states=states))

    def forget_readings(self, patient: str, *, before_ms: int, now_ms: int, limit: int) -> int:
        """Let up to `limit` judged readings measured before `before_ms` (exclusive) go; return how many.

        None goes while something has waited for the team for more than a day: what it may ask for is then kept.
        """
        stream = self.stream(patient)
        with immediate(self._connection):
            execute = self._connection.execute
            waits = "select 1 from outbox where receipted_at is null and created < ? limit 1"
            if execute(waits, (now_ms - WAITED_MS,)).fetchone():
                return 0
            rows = execute(
                "select id from reading where stream = ? and measured_at < ? and id <= ? and state <> ?"
                " order by measured_at limit ?",
                (stream.number, before_ms, stream.cursor, ReadingState.FORGOTTEN, limit),
            ).fetchall()
            if rows:
                (newest,) = execute("select max(measured_at) from reading where id = ?", (rows[-1][0],)).fetchone()
                execute(
                    "update stream set forgotten_to = max(forgotten_to, ?) where id = ?", (newest + 1, stream.number)
                )
            forget = "update reading set state = ?, body = x'' where id = ?"
            self._connection.executemany(forget, [(ReadingState.FORGOTTEN, row) for (row,) in rows])
            execute(
                "delete from reading where stream = ? and measured_at < ? and state = ?",
                (stream.number, now_ms - KNOWN_MS, ReadingState.FORGOTTEN),
            )
            gone, ended = self._segments.forget(
                stream.number, before_ms=before_ms, until_row=stream.cursor, limit=limit - len(rows)
            )
            if ended is not None:
                execute(
                    "update stream set forgotten_to = max(forgotten_to, ?) where id = ?", (ended + 1, stream.number)
                )
        return len(rows) + gone

    # --- streams ------------------------------------------------------------------------------------------

    def stream(self, patient: str) -> Stream:
        """Return what is remembered of a patient; a new patient has cursor 0 and no snapshot."""
        number = self._stream(patient)
        since, cursor, attempts, body, forgotten_to = self._connection.execute(
            "select since, cursor, attempts, body, forgotten_to from stream where id = ?", (number,)
        ).fetchone()
        # An altered one is no snapshot of any engine: what is kept is judged again from the beginning.
        snapshot = None if body is None else self._opened("stream", number, body) or b""
        return Stream(
            number=number,
            since=since or 0,
            cursor=cursor,
            attempts=attempts,
            snapshot=snapshot,
            forgotten_to=forgotten_to or None,
        )

    def begin_watching(self, patient: str, *, since: int) -> None:
        """Keep from when on (ms UTC) a patient is judged by the protocol of today."""
        self._connection.execute("update stream set since = ? where id = ?", (since, self._stream(patient)))

    def count_attempt(self, patient: str) -> int:
        """Count one more attempt at judging what is unjudged, and return how many there were."""
        number = self._stream(patient)
        execute = self._connection.execute
        execute("update stream set attempts = attempts + 1 where id = ?", (number,))
        return int(execute("select attempts from stream where id = ?", (number,)).fetchone()[0])

    def keep_judgement(self, judgement: Judgement, sealer: Sealer, *, now_ms: int) -> None:
        """Transaction B: the alert changes, their sealed entries, the engine's snapshot and the cursor, or nothing."""

        def write() -> None:
            with self._transaction(now_ms):
                number = self._stream(judgement.patient)
                self._keep_changes(number, judgement.changes, sealer, now_ms=now_ms)
                execute = self._connection.execute
                execute(
                    "update stream set cursor = max(cursor, ?), attempts = 0, body = ? where id = ?",
                    (judgement.cursor, self._vault.seal("stream", number, judgement.snapshot), number),
                )
                for row, state in judgement.marked:
                    if not execute("update reading set state = ? where id = ?", (state, row)).rowcount:
                        self._segments.mark(row, state)
                    if state is ReadingState.JUDGEABLE:
                        self._shadows.take_back(row)
                apart = [row for row, state in judgement.marked if state is ReadingState.QUARANTINED]
                self.audit.quarantined(judgement.patient, apart, at=now_ms)
                if judgement.finished is not None:
                    self._commands.finish(judgement.finished)
                    command_acts.finished(self.audit, judgement.finished, at=now_ms)

        self._with_room(write, sealer, now_ms)

    def keep_technical(self, patient: str, changes: Sequence[AlertChange], sealer: Sealer, *, now_ms: int) -> None:
        """Keep technical alert changes of the box itself with their sealed entries; known ones are left out."""

        def write() -> None:
            with self._transaction(now_ms):
                fresh = [change for change in changes if self._is_news(change)]
                self._keep_changes(self._stream(patient), fresh, sealer, now_ms=now_ms)

        self._with_room(write, sealer, now_ms)

    def _is_news(self, change: AlertChange) -> bool:
        known = self._alert(self._vault.digest("alert", change.alert_id))
        return known is None or known.kind is not change.kind

    def _keep_changes(self, stream: int, changes: Sequence[AlertChange], sealer: Sealer, *, now_ms: int) -> None:
        records = [messages.alert(change) for change in changes]
        for number, (change, record) in enumerate(zip(changes, records, strict=True), self.outbox.next_seq()):
            digest = self._vault.digest("alert", change.alert_id)
            standing = change.resolved_at is None and change.kind is not ChangeKind.RETRACTED
            told_at = change.told_at
            if change.supersedes is not None:
                gone = self._vault.digest("alert", change.supersedes)
                told_at = self._superseded(gone) or told_at
            sealed = self._vault.seal("alert", digest.hex(), msgspec.msgpack.encode(record))
            # When it was told first stays: an alert may be silent again by the time it ends.
            self._connection.execute(
                "insert into alert(digest, stream, standing, told_at, body, seq) values (?, ?, ?, ?, ?, ?)"
                " on conflict(digest) do update set standing = excluded.standing, body = excluded.body,"
                " told_at = coalesce(alert.told_at, excluded.told_at), seq = excluded.seq",
                (digest, stream, standing, told_at, sealed, number),
            )
        self.outbox.add(records, LANE_ALERTS, sealer, now_ms=now_ms)

    def _superseded(self, digest: bytes) -> int | None:
        """Let an alert stand no more that goes on under another onset, and return when it was first told."""
        execute = self._connection.execute
        execute("update alert set standing = 0 where digest = ?", (digest,))
        found = execute("select told_at from alert where digest = ?", (digest,)).fetchone()
        return None if found is None else found[0]

    # --- shadows ------------------------------------------------------------------------------------------

    def shadow_unjudged(self, patient: str, *, after: int, until: int, limit: int) -> list[Kept]:
        """Return up to `limit` readings for a shadow, of the rows after `after` up to `until`, in order of arrival.

        What came too late for the protocol that is applied is among them: a shadow decides by itself.
        """
        found = self._arrived(self._stream(patient), after=after, until=until, states=_FOR_SHADOWS)
        return list(islice(found, limit))

    def shadow_history(self, patient: str, *, after: tuple[int, int], until_row: int, limit: int) -> list[Kept]:
        """Return up to `limit` readings of a shadow's history, in order of (`measured_at`, row), later than `after`.

        Those that came too late for the shadow, and those kept after `until_row`, are left out.
        """
        number = self._stream(patient)
        query = "select reading from shadow_left_out where stream = ?"
        left_out = {row for (row,) in self._connection.execute(query, (number,))} | self._segments.left_out(number)
        found = self._measured(number, since=after[0], until_row=until_row, states=_FOR_SHADOWS)
        later = dropwhile(lambda kept: (kept.reading.measured_at, kept.row) <= after, found)
        return list(islice((kept for kept in later if kept.row not in left_out), limit))

    def right_time(self) -> bytes:
        """Return what names the last correction of the box's time, see `ShadowState`."""
        return self._shadows.right_time()

    def keep_shadow(self, patient: str, judgement: ShadowJudgement, *, now_ms: int) -> int | None:
        """Keep what a patient's shadow came to: its alerts, its snapshot and its cursor, or nothing; none is sent.

        Returns:
            From when on (ms UTC, inclusive) what it came to is all there; None: nothing was kept, since it was judged
            by a time that was found wrong meanwhile.

        Raises:
            BufferFullError: nothing was kept; no reading gives way to a shadow.
        """

        def write() -> int | None:
            with self._ordinary(now_ms):
                return self._shadows.keep(self._stream(patient), judgement)

        return self._room.run_ordinary(write, nothing_gives_way)

    def keep_shadow_fault(self, patient: str, state: ShadowState, fault: Fault, *, now_ms: int) -> None:
        """Keep why a patient's shadow judges no more, see `ShadowBuffer.keep_fault`."""
        with self._transaction(now_ms):
            self._shadows.keep_fault(self._stream(patient), state, fault)

    def erase_shadow(self, patient: str) -> None:
        """Erase all that a patient's shadow came to."""
        with immediate(self._connection):
            self._shadows.erase([self._stream(patient)])

    def erase_shadows_but(self, patients: Collection[str]) -> int:
        """Erase all that the shadows of others than these patients came to; return of how many others."""
        with immediate(self._connection):
            gone = self._shadows.others(patients)
            self._shadows.erase(gone)
        return len(gone)

    def erase_patient(self, patient: str, kek: bytes, *, in_use: Collection[str], now_ms: int) -> Erased:
        """Erase a patient, and put all that stays under another key of the box, see `Eraser.erase`."""
        done = Eraser(self._connection, self._vault, self._segments).erase(patient, kek, in_use=in_use, now_ms=now_ms)
        self._streams.pop(patient, None)
        return done
