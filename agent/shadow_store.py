"""What the box keeps of shadow protocols: how far each has judged, and the alerts that nobody was told of.

- Apart from everything that is told: tables of their own, never the outbox, never among the alerts that stand.
- Sealed like all the rest, bound to these tables: a shadow's alert copied among those of the patient does not open.
- Bounded: `MOST_ALERTS` a patient and `KEEP_MS`; an alert that stands is dropped only for their number. What is
  dropped is said: both sides are counted from `counted_from` on.

Not here: judging (shadow), opening transactions (store), and comparing (shadow_comparison).
"""

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from agent.errors import VaultError
from agent.segments import Segments
from agent.vault import Vault
from alerting.alert import AlertChange, ChangeKind
from exchange import messages
from exchange.messages import AlertRecord

DAY_MS = 86_400_000
KEEP_MS = 90 * DAY_MS
MOST_ALERTS = 1000
_TURNS = frozenset({ChangeKind.SUPPRESSED, ChangeKind.RELEASED})
"""Changes that say of an alert only whether it is told."""


class Pair(Struct, frozen=True, kw_only=True):
    """Which two protocols are beside each other.

    Attributes:
        name: of the shadow.
        version: of the shadow.
        protocol_hash: of the shadow, SHA-256, hexadecimal.
        beside: hash of the protocol that is applied.
    """

    name: str
    version: int
    protocol_hash: str
    beside: str


class Fault(Struct, frozen=True, kw_only=True):
    """Why a shadow judges no more until the next start: the error's name, never a value, and when (ms UTC)."""

    kind: str
    at: int


class _Body(Struct, frozen=True, kw_only=True):
    pair: Pair
    snapshot: bytes
    fault: Fault | None = None
    right: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowState:
    """What is remembered of one patient's shadow; times in ms UTC.

    Attributes:
        pair: the two protocols.
        since: when it began.
        counted_from: from when on the alerts of both protocols can be counted, inclusive.
        until: how far it has judged.
        cursor: row of the newest reading that it has judged.
        snapshot: its engine, as it was at the cursor.
        fault: why it judges no more, None while it does.
        right: names the correction of the box's time that it has judged by, empty before the first.
    """

    pair: Pair
    since: int
    counted_from: int
    until: int
    cursor: int
    snapshot: bytes
    fault: Fault | None = None
    right: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowJudgement:
    """What judging by a shadow came to.

    Attributes:
        state: as it is now.
        changes: what it would have told.
        left_out: rows of readings that came too late for it.
        replaces: these changes are all there are: what was kept before goes.
    """

    state: ShadowState
    changes: tuple[AlertChange, ...] = ()
    left_out: tuple[int, ...] = ()
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAlert:
    """An alert as it was last told, or would have been.

    Attributes:
        record: its last change.
        told_at: when it was first told, ms UTC; None when it never was.
        standing: it stands; one that neither stands nor ended was taken back, or goes on as another one.
    """

    record: AlertRecord
    told_at: int | None
    standing: bool


class ShadowReader:
    """The shadows' tables of one open database, to read."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault
        self._segments = Segments(connection, vault)

    def state(self, patient: str) -> ShadowState | None:
        """Return what is remembered of a patient's shadow, None when there is none."""
        number = self._number(patient)
        row = self._connection.execute(
            "select since, counted_from, until, cursor, body from shadow where stream = ?", (number,)
        ).fetchone()
        if row is None or number is None:
            return None
        since, counted_from, until, cursor, sealed = row
        body = msgspec.msgpack.decode(self._vault.open("shadow", number, sealed), type=_Body)
        return ShadowState(
            pair=body.pair,
            since=since,
            counted_from=counted_from,
            until=until,
            cursor=cursor,
            snapshot=body.snapshot,
            fault=body.fault,
            right=body.right,
        )

    def right_time(self) -> bytes:
        """Return what names the last correction of the box's time, empty before the first."""
        row = self._connection.execute("select value from meta where name = 'right_time'").fetchone()
        return b"" if row is None else bytes(row[0])

    def alerts(self, patient: str) -> list[KeptAlert]:
        """Return every kept alert of a patient's shadow, by when it was raised."""
        return self._kept("shadow_alert", patient)

    def active_alerts(self, patient: str) -> list[KeptAlert]:
        """Return every kept alert of a patient that the protocol applied then raised; the box's own are left out."""
        return [one for one in self._kept("alert", patient) if one.record.protocol]

    def readings_within(self, patient: str, begin: int, end: int) -> int:
        """Return how many readings of a patient that may be judged were measured from `begin` to `end` (ms UTC)."""
        query = "select count(*) from reading where stream = ? and measured_at between ? and ? and state in (0, 2)"
        number = self._number(patient)
        if number is None:
            return 0
        sparse = int(self._connection.execute(query, (number, begin, end)).fetchone()[0])
        return sparse + self._segments.count(number, begin, end, states=(0, 2))

    def _number(self, patient: str) -> int | None:
        digest = self._vault.digest("stream", patient)
        row = self._connection.execute("select id from stream where digest = ?", (digest,)).fetchone()
        return None if row is None else int(row[0])

    def _kept(self, table: str, patient: str) -> list[KeptAlert]:
        rows = self._connection.execute(
            f"select digest, told_at, standing, body from {table} where stream = ?",  # noqa: S608 one of two constants
            (self._number(patient),),
        ).fetchall()
        found = []
        for digest, told_at, standing, sealed in rows:
            record = msgspec.msgpack.decode(self._vault.open(table, digest.hex(), sealed), type=AlertRecord)
            # An older program kept an alert without saying when it was first told.
            first = record.told_at if told_at is None else told_at
            found.append(KeptAlert(record=record, told_at=first, standing=bool(standing)))
        return sorted(found, key=lambda one: (one.record.raised_at, one.record.rule, one.record.onset))


class ShadowBuffer(ShadowReader):
    """The same, to write; every method is called inside a transaction of the store."""

    def keep(self, number: int, judgement: ShadowJudgement) -> int | None:
        """Keep what judging came to; `number` is that of the patient's stream. Return what `counted_from` became.

        Nothing is kept of what was judged by a time that was found wrong since: None.
        """
        state, execute = judgement.state, self._connection.execute
        if state.right != self.right_time():
            return None
        if judgement.replaces:
            execute("delete from shadow_alert where stream = ?", (number,))
        for change in judgement.changes:
            self._keep_change(number, change)
        for row in judgement.left_out:
            # It is a row of its own or lies in a segment; the other of the two finds nothing to insert.
            execute(
                "insert or ignore into shadow_left_out(reading, stream) select id, ? from reading where id = ?",
                (number, row),
            )
            self._segments.leave_out(row, number)
        counted_from = max(state.counted_from, self._drop_old(number, state.until))
        self._keep_state(number, state, counted_from=counted_from)
        return counted_from

    def take_back(self, row: int) -> None:
        """Leave out a reading no more: it was late only by a time that was wrong."""
        for table in ("shadow_left_out where reading", "segment_left_out where row"):
            self._connection.execute(f"delete from {table} = ?", (row,))  # noqa: S608 one of two constants

    def keep_fault(self, number: int, state: ShadowState, fault: Fault) -> None:
        """Keep why a shadow judges no more; `state` is what holds where nothing was kept of it yet."""
        known = self._connection.execute("select body from shadow where stream = ?", (number,)).fetchone()
        body = None if known is None else self._opened(number, known[0])
        if body is None:
            self._keep_state(number, state, counted_from=state.counted_from, fault=fault)
            return
        sealed = self._seal(number, msgspec.structs.replace(body, fault=fault))
        self._connection.execute("update shadow set body = ? where stream = ?", (sealed, number))

    def _opened(self, number: int, sealed: bytes) -> _Body | None:
        """Return what is kept, None when that is the very thing which cannot be read."""
        try:
            return msgspec.msgpack.decode(self._vault.open("shadow", number, sealed), type=_Body)
        except (VaultError, msgspec.DecodeError):
            return None

    def erase(self, numbers: Collection[int]) -> None:
        """Erase all that shadows of these streams came to."""
        for table in ("shadow", "shadow_alert", "shadow_left_out", "segment_left_out"):
            self._connection.executemany(
                f"delete from {table} where stream = ?",  # noqa: S608 one of four constants
                [(number,) for number in numbers],
            )

    def others(self, patients: Iterable[str]) -> list[int]:
        """Return the streams of others than these patients of whose shadow something is kept."""
        known = {self._number(patient) for patient in patients}
        rows = self._connection.execute(
            "select stream from shadow union select stream from shadow_alert union select stream from shadow_left_out"
            " union select stream from segment_left_out"
        ).fetchall()
        return [number for (number,) in rows if number not in known]

    def _keep_change(self, number: int, change: AlertChange) -> None:
        execute = self._connection.execute
        digest, told_at = self._vault.digest("shadow_alert", change.alert_id), change.told_at
        if change.supersedes is not None:
            gone = self._vault.digest("shadow_alert", change.supersedes)
            found = execute("select told_at from shadow_alert where digest = ?", (gone,)).fetchone()
            told_at = told_at if found is None or found[0] is None else found[0]
            execute("delete from shadow_alert where digest = ?", (gone,))
        if change.kind in _TURNS and self._is_over(digest):
            # Late readings say how one that is over was told in its time; it stands no more for that.
            execute("update shadow_alert set told_at = coalesce(told_at, ?) where digest = ?", (told_at, digest))
            return
        standing = change.resolved_at is None and change.kind is not ChangeKind.RETRACTED
        record = msgspec.msgpack.encode(messages.alert(change))
        execute(
            "insert into shadow_alert(digest, stream, raised_at, standing, told_at, body) values (?, ?, ?, ?, ?, ?)"
            " on conflict(digest) do update set raised_at = excluded.raised_at, standing = excluded.standing,"
            " body = excluded.body, told_at = coalesce(shadow_alert.told_at, excluded.told_at)",
            (
                digest,
                number,
                change.raised_at,
                standing,
                told_at,
                self._vault.seal("shadow_alert", digest.hex(), record),
            ),
        )

    def _is_over(self, digest: bytes) -> bool:
        row = self._connection.execute("select standing from shadow_alert where digest = ?", (digest,)).fetchone()
        return row is not None and not row[0]

    def _drop_old(self, number: int, until: int) -> int:
        """Drop what is older or more than is kept; return from when on (ms UTC) everything is there."""
        execute, oldest = self._connection.execute, until - KEEP_MS
        execute("delete from shadow_alert where stream = ? and standing = 0 and raised_at < ?", (number, oldest))
        beyond = execute(
            "select raised_at from shadow_alert where stream = ? order by raised_at desc limit 1 offset ?",
            (number, MOST_ALERTS),
        ).fetchone()
        if beyond is None:
            return oldest
        execute("delete from shadow_alert where stream = ? and raised_at <= ?", (number, beyond[0]))
        return max(oldest, int(beyond[0]) + 1)

    def _keep_state(self, number: int, state: ShadowState, *, counted_from: int, fault: Fault | None = None) -> None:
        body = self._seal(number, _Body(pair=state.pair, snapshot=state.snapshot, fault=fault, right=state.right))
        self._connection.execute(
            "insert into shadow(stream, since, counted_from, until, cursor, body) values (?, ?, ?, ?, ?, ?)"
            " on conflict(stream) do update set since = excluded.since, counted_from = excluded.counted_from,"
            " until = excluded.until, cursor = excluded.cursor, body = excluded.body",
            (number, state.since, counted_from, state.until, state.cursor, body),
        )

    def _seal(self, number: int, body: _Body) -> bytes:
        return self._vault.seal("shadow", number, msgspec.msgpack.encode(body))
