"""Dense readings, those of a stream: some seconds of one patient in one sealed and compressed row.

- A row of its own for each reading would cost the card twenty times as much (docs/adr/0022). Each reading still has its
  number among all readings of the box, taken from the same sequence, so that cursors and orders need not know of it.
- A reading belongs to one lane by what sent it, so that a repeat of a dense one is looked for here alone, and only in
  the segments that hold the time at which it was measured: no index of digests is kept for it.
- What becomes of one reading (too late, quarantined, left out by a shadow) is a row beside its segment; a segment is
  written once, but when the time of its readings is put right, and deleted whole.
- In the clear, as for other readings: numbers, and when the oldest and newest of a segment were measured.

Not here: opening transactions and the outbox (store), what is evicted (eviction).
"""

import heapq
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from agent.errors import VaultError
from agent.vault import Vault
from devices.reading import Reading
from exchange import messages
from exchange.messages import MAX_RECORDS, ObservationRecord, is_by_arrival

LONGEST = MAX_RECORDS
"""Readings in one segment at most: what one envelope holds."""
_LARGEST_BYTES = 1 << 21
"""What a segment may unpack to: far more than `LONGEST` records of the largest size."""

Numbered = tuple[int, Reading]
"""A reading with its row: the number that orders the readings of a box by arrival."""
_Identity = tuple[str, str, str]
Opened = Callable[[str, int | str, bytes], bytes | None]
"""Returns what the row of a table says; None when it was altered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What is known of a segment without opening it; times in ms UTC, all bounds included."""

    first: int
    last: int
    first_seq: int
    last_seq: int
    measured_from: int
    measured_to: int


class Segments:
    """The segments of one open database; whatever writes is called inside a transaction of the store."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault, opened: Opened | None = None) -> None:
        """Take over an open connection.

        Args:
            connection: the box's database.
            vault: seals its rows.
            opened: opens them, and takes note of one that was altered; None: the vault does, and nobody notes it.
        """
        self._connection = connection
        self._vault = vault
        self._open = opened or self._opened_by_vault

    # --- writing ------------------------------------------------------------------------------------------

    def fresh(self, stream: int, readings: Sequence[Reading]) -> list[Reading]:
        """Return those of a stream's readings that are not kept yet, each once, in their order."""
        if not readings:
            return []
        times = [reading.measured_at for reading in readings]
        rows = self._connection.execute(
            "select first, state, body from segment where stream = ? and measured_to >= ? and measured_from <= ?",
            (stream, min(times), max(times)),
        ).fetchall()
        known = {_identity(reading) for first, _, body in rows for reading in self._opened(first, body)}
        new: list[Reading] = []
        for reading in readings:
            if _identity(reading) not in known:
                known.add(_identity(reading))
                new.append(reading)
        return new

    def add(
        self, stream: int, records: Sequence[ObservationRecord], *, times: Sequence[int], first_seq: int, state: int
    ) -> range:
        """Keep up to `LONGEST` records as one segment, and return their rows.

        Args:
            stream: number of the patient's stream.
            records: in order of arrival, at least one.
            times: when each was measured, ms UTC.
            first_seq: sequence number of the first; the others follow it.
            state: what may be done with all of them.
        """
        execute = self._connection.execute
        # The numbers come from the sequence of the other readings, which SQLite lets a program move.
        first = self.next_row()
        last = first + len(records) - 1
        if not execute("update sqlite_sequence set seq = ? where name = 'reading'", (last,)).rowcount:
            execute("insert into sqlite_sequence(name, seq) values ('reading', ?)", (last,))
        sealed = self._sealed(first, records)
        execute(
            "insert into segment(first, last, stream, state, first_seq, last_seq, measured_from, measured_to, body)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (first, last, stream, state, first_seq, first_seq + len(records) - 1, min(times), max(times), sealed),
        )
        return range(first, last + 1)

    def mark(self, row: int, state: int) -> None:
        """Keep what may be done with one reading; without effect for a row that no segment holds any more."""
        self._connection.execute(
            "insert into segment_mark(row, segment, state)"
            " select ?, first, ? from segment where first <= ? and last >= ? order by first desc limit 1"
            " on conflict(row) do update set state = excluded.state",
            (row, state, row, row),
        )

    def leave_out(self, row: int, stream: int) -> None:
        """Keep that a shadow leaves a reading out; without effect for a row that no segment holds any more."""
        self._connection.execute(
            "insert or ignore into segment_left_out(row, segment, stream)"
            " select ?, first, ? from segment where first <= ? and last >= ? order by first desc limit 1",
            (row, stream, row, row),
        )

    def set_aside_after(self, stream: int, at: int, state: int) -> int:
        """Keep another state of what may be judged and was measured after `at` (ms UTC, excluded); return how many."""
        numbers = self._connection.execute(
            "select first from segment where stream = ? and measured_to > ?", (stream, at)
        ).fetchall()
        rows = [row for (first,) in numbers for row, reading in self._in(first, (0,)) if reading.measured_at > at]
        for row in rows:
            self.mark(row, state)
        return len(rows)

    def rewrite(self, from_row: int, change: Callable[[ObservationRecord], ObservationRecord]) -> None:
        """Change the records of every row from `from_row` on, included."""
        kept = self._connection.execute("select first, body from segment where last >= ?", (from_row,)).fetchall()
        for first, body in kept:
            before = self._records(first, body)
            if not before:
                continue
            records = [change(record) if row >= from_row else record for row, record in enumerate(before, first)]
            times = [record.measured_at for record in records]
            self._connection.execute(
                "update segment set measured_from = ?, measured_to = ?, body = ? where first = ?",
                (min(times), max(times), self._sealed(first, records), first),
            )

    def erase(self, stream: int) -> int:
        """Delete all that is kept of a stream; return how many readings it was."""
        query = "select coalesce(sum(last - first + 1), 0) from segment where stream = ?"
        (readings,) = self._connection.execute(query, (stream,)).fetchone()
        self._connection.execute("delete from segment where stream = ?", (stream,))
        return int(readings)

    def delete(self, first: int) -> None:
        """Forget a segment, and what was kept beside it."""
        self._connection.execute("delete from segment where first = ?", (first,))

    def next_row(self) -> int:
        """Return the row that the next reading gets, whichever lane it comes by."""
        row = self._connection.execute("select seq from sqlite_sequence where name = 'reading'").fetchone()
        return 1 if row is None else int(row[0]) + 1

    def forget(self, stream: int, *, before_ms: int, until_row: int, limit: int) -> tuple[int, int | None]:
        """Delete judged segments of a stream that were measured before a time, whole, oldest first.

        Args:
            stream: number of the patient's stream.
            before_ms: ms UTC, exclusive.
            until_row: those kept later are not judged yet.
            limit: about how many readings to delete at most.

        Returns:
            How many readings went, and when (ms UTC) the newest of them was measured.
        """
        gone, newest = 0, None
        rows = self._connection.execute(
            "select first, last, measured_to from segment where stream = ? and measured_to < ? and last <= ?"
            " order by measured_to limit ?",
            (stream, before_ms, until_row, max(0, limit)),
        ).fetchall()
        for first, last, measured_to in rows:
            if gone >= limit:
                break
            self.delete(first)
            gone, newest = gone + last - first + 1, measured_to
        return gone, newest

    # --- reading ------------------------------------------------------------------------------------------

    def oldest(self, *, limit: int) -> list[Segment]:
        """Return up to `limit` segments, those that arrived first before the others."""
        rows = self._connection.execute(
            "select first, last, first_seq, last_seq, measured_from, measured_to from segment order by first limit ?",
            (limit,),
        )
        return [
            Segment(first=first, last=last, first_seq=low, last_seq=high, measured_from=begin, measured_to=end)
            for first, last, low, high, begin, end in rows.fetchall()
        ]

    def of_numbers(self, first_seq: int, last_seq: int) -> Segment | None:
        """Return the segment that has these sequence numbers, both included; None when none has all of them."""
        row = self._connection.execute(
            "select first, last, first_seq, last_seq, measured_from, measured_to from segment"
            " where first_seq <= ? and last_seq >= ? limit 1",
            (first_seq, last_seq),
        ).fetchone()
        if row is None:
            return None
        first, last, low, high, begin, end = row
        return Segment(first=first, last=last, first_seq=low, last_seq=high, measured_from=begin, measured_to=end)

    def origin(self, first: int) -> tuple[str, bool] | None:
        """Return whose a segment is, and whether all of it was dated by arrival; None when altered: nobody can say."""
        (body,) = self._connection.execute("select body from segment where first = ?", (first,)).fetchone()
        records = self._records(first, body)
        return (records[0].patient, all(map(is_by_arrival, records))) if records else None

    def devices(self, stream: int) -> set[str]:
        """Return the addresses of the devices that gave a stream's readings."""
        rows = self._connection.execute("select first, body from segment where stream = ?", (stream,)).fetchall()
        return {record.device for first, body in rows for record in self._records(first, body)}

    def arrived(self, stream: int, *, after: int, until: int, states: Collection[int]) -> Iterator[Numbered]:
        """Yield the readings in these states of the rows after `after` up to `until` (included), in order of arrival.

        A segment that was altered is left out, here and below.
        """
        numbers = self._connection.execute(
            "select first from segment where stream = ? and last > ? and first <= ? order by first",
            (stream, after, until),
        ).fetchall()
        for (first,) in numbers:
            yield from ((row, reading) for row, reading in self._in(first, states) if after < row <= until)

    def measured(self, stream: int, *, since: int, until_row: int, states: Collection[int]) -> Iterator[Numbered]:
        """Yield the readings in these states measured at or after `since`, by (`measured_at`, row).

        Args:
            stream: number of the patient's stream.
            since: ms UTC, included.
            until_row: those kept later are left out.
            states: those in others are left out.
        """
        begun = self._connection.execute(
            "select measured_from, first from segment where stream = ? and measured_to >= ? and first <= ?"
            " order by measured_from, first",
            (stream, since, until_row),
        ).fetchall()
        waiting: list[tuple[int, int, Reading]] = []
        # Segments may overlap in time: one is opened when the next reading in order may be in it.
        for (_, first), (next_from, _) in pairwise([*begun, (2**63, 0)]):
            for row, reading in self._in(first, states):
                if reading.measured_at >= since and row <= until_row:
                    heapq.heappush(waiting, (reading.measured_at, row, reading))
            while waiting and waiting[0][0] < next_from:
                _, row, reading = heapq.heappop(waiting)
                yield row, reading

    def left_out(self, stream: int) -> frozenset[int]:
        """Return the rows that a shadow leaves out."""
        rows = self._connection.execute("select row from segment_left_out where stream = ?", (stream,))
        return frozenset(row for (row,) in rows)

    def count(self, stream: int, begin: int, end: int, *, states: Collection[int]) -> int:
        """Return how many readings in these states were measured from `begin` to `end` (ms UTC, both included)."""
        numbers = self._connection.execute(
            "select first from segment where stream = ? and measured_to >= ? and measured_from <= ?",
            (stream, begin, end),
        ).fetchall()
        return sum(
            begin <= reading.measured_at <= end for (first,) in numbers for _, reading in self._in(first, states)
        )

    def _in(self, first: int, states: Collection[int]) -> list[Numbered]:
        """Return the readings of a segment that are in these states, with their rows; none when it is gone."""
        found = self._connection.execute("select state, body from segment where first = ?", (first,)).fetchone()
        if found is None:
            return []
        marks = dict(self._connection.execute("select row, state from segment_mark where segment = ?", (first,)))
        return [
            (row, reading)
            for row, reading in enumerate(self._opened(first, found[1]), first)
            if marks.get(row, found[0]) in states
        ]

    def _sealed(self, first: int, records: Sequence[ObservationRecord]) -> bytes:
        return self._vault.seal("segment", first, zlib.compress(msgspec.msgpack.encode(list(records))))

    def _opened(self, first: int, body: bytes) -> list[Reading]:
        return [messages.reading(record) for record in self._records(first, body)]

    def _records(self, first: int, body: bytes) -> list[ObservationRecord]:
        """Return the records of a segment; none when it was altered."""
        packed = self._open("segment", first, body)
        if packed is None:
            return []
        plain = zlib.decompressobj().decompress(packed, _LARGEST_BYTES)
        return msgspec.msgpack.decode(plain, type=list[ObservationRecord])

    def _opened_by_vault(self, table: str, row: int | str, body: bytes) -> bytes | None:
        try:
            return self._vault.open(table, row, body)
        except VaultError:
            return None


def _identity(reading: Reading) -> _Identity:
    return reading.device, reading.key, reading.quantity.value
