"""The outbox: sealed envelopes that wait for the team's receipt, and the sequence numbers they carry.

An entry covers the records `first` to `last`, both included. Entries are added inside the store's transactions;
they stop waiting by `free`, and stay a while longer so that a restored team database can ask again. Only `drop`, for a
dense lane in a full buffer, takes away what nobody has: whoever calls it declares the gap.

A receipt leaves an entry as long as it was: `spare` gives up the bytes that `receipted_at` takes. SQLite then writes
the head of the row alone; one that changes its length it writes anew, with the whole envelope (docs/adr/0032).
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from exchange.errors import EnvelopeError
from exchange.messages import MAX_RECORDS, Range, Record
from exchange.sealing import LANE_ALERTS, LANE_DENSE, Sealer

_LATEST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One sealed envelope, ready to be sent."""

    first: int
    last: int
    lane: int
    body: bytes


def next_seq(connection: sqlite3.Connection) -> int:
    """Return the sequence number that the next record of a database will carry."""
    row = connection.execute("select value from meta where name = 'next_seq'").fetchone()
    return 0 if row is None else int(bytes(row[0]))


class Outbox:
    """The outbox table of one open database."""

    def __init__(self, connection: sqlite3.Connection, *, epoch: str) -> None:
        """`epoch` is the one that numbers are given under, 32 hexadecimal digits."""
        self._connection = connection
        self.epoch = epoch

    def next_seq(self) -> int:
        """Return the sequence number that the next record will carry."""
        return next_seq(self._connection)

    def add(self, records: Sequence[Record], lane: int, sealer: Sealer, *, now_ms: int) -> None:
        """Number the records and seal them into as few envelopes as hold them; inside a transaction.

        Raises:
            EnvelopeError: a single record does not fit an envelope.
        """
        if not records:
            return
        first = self.next_seq()
        for at in range(0, len(records), MAX_RECORDS):
            self._seal(records[at : at + MAX_RECORDS], first + at, lane, sealer, now_ms)
        self._connection.execute(
            "insert into meta(name, value) values ('next_seq', ?)"
            " on conflict(name) do update set value = excluded.value",
            (str(first + len(records)).encode(),),
        )

    def _seal(self, records: Sequence[Record], first: int, lane: int, sealer: Sealer, now_ms: int) -> None:
        try:
            body = sealer.seal(epoch=self.epoch, first=first, lane=lane, created=now_ms, records=records)
        except EnvelopeError as error:
            if error.reason != "oversize" or len(records) == 1:
                raise
            half = len(records) // 2
            self._seal(records[:half], first, lane, sealer, now_ms)
            self._seal(records[half:], first + half, lane, sealer, now_ms)
            return
        self._connection.execute(
            "insert into outbox(first, last, lane, created, body) values (?, ?, ?, ?, ?)",
            (first, first + len(records) - 1, lane, now_ms, body),
        )

    def waiting(
        self,
        *,
        limit: int,
        sent: Sequence[int] = (),
        lanes: tuple[int, int] = (LANE_ALERTS, LANE_DENSE),
        size: int | None = None,
    ) -> list[Entry]:
        """Return entries without receipt: alerts, then sparse readings, then dense ones, the newest of each first.

        Args:
            limit: how many at most.
            sent: the first sequence numbers of those that are left out.
            lanes: of the lanes from the one to the other, both included.
            size: of no more bytes in all; None: of any.
        """
        skip = set(sent)
        chosen: list[int] = []
        for first, length in self._connection.execute(
            "select first, length(body) from outbox where receipted_at is null and lane between ? and ?"
            " order by lane, first desc limit ?",
            (*lanes, limit + len(skip)),
        ):
            if first in skip:
                continue
            if size is not None:
                size -= length
            if len(chosen) == limit or (size is not None and size < 0):
                break
            chosen.append(first)
        return [self._entry(first) for first in chosen]

    def _entry(self, number: int) -> Entry:
        query = "select first, last, lane, body from outbox where first = ?"
        first, last, lane, body = self._connection.execute(query, (number,)).fetchone()
        # What a damaged row gives in place of bytes is no envelope, and is told to be none.
        return Entry(first=first, last=last, lane=lane, body=body if isinstance(body, bytes) else b"")

    def free(self, ranges: Sequence[Range], *, now_ms: int) -> list[int]:
        """Mark the entries wholly inside one of `ranges` as receipted; return their `first`, known before or not."""
        freed: list[int] = []
        for item in ranges:
            rows = self._connection.execute(
                "select first from outbox where first >= ? and last <= ?", (item.first, item.last)
            ).fetchall()
            freed += [first for (first,) in rows]
            self._connection.execute(
                "update outbox set receipted_at = ?, spare = x''"
                " where first >= ? and last <= ? and receipted_at is null",
                (now_ms, item.first, item.last),
            )
        return freed

    def give_up(self, entry: Entry) -> tuple[Range, int] | None:
        """Remember that these numbers will never be sent, in place of the entry.

        Returns:
            Its numbers as far as this database gave them and no other entry has them, and when (ms UTC) it was
            sealed; None when there are none: such a row never was an entry.
        """
        execute = self._connection.execute
        row = execute("select created from outbox where first = ?", (entry.first,)).fetchone()
        execute("delete from outbox where first = ?", (entry.first,))
        if row is None or not 0 <= entry.first < self.next_seq():
            return None
        # The row may be as altered as what lies in it.
        after = execute("select min(first) from outbox where first > ?", (entry.first,)).fetchone()[0]
        end = self.next_seq() if after is None else min(after, self.next_seq())
        part = Range(first=entry.first, last=max(entry.first, min(entry.last, end - 1)))
        execute(
            "insert or ignore into unsendable(first, last, lane) values (?, ?, ?)", (part.first, part.last, entry.lane)
        )
        created = row[0] if isinstance(row[0], int) and 0 <= row[0] <= _LATEST else 0
        return part, created

    def unsendable(self) -> int:
        """Return how many records were given up: altered before they could be sent, or sealed under a lost key."""
        query = "select coalesce(sum(last - first + 1), 0) from unsendable"
        return int(self._connection.execute(query).fetchone()[0])

    def resend(self, ranges: Sequence[Range]) -> list[Range]:
        """Let what is kept of these numbers wait again; return the parts that no entry covers, in order."""
        lacking: list[Range] = []
        for item in ranges:
            rows = self._connection.execute(
                "select first, last from outbox where last >= ? and first <= ? order by first", (item.first, item.last)
            ).fetchall()
            self._connection.execute(
                "update outbox set receipted_at = null, spare = x'000000000000' where last >= ? and first <= ?",
                (item.first, item.last),
            )
            at = item.first
            for first, last in rows:
                if first > at:
                    lacking.append(Range(at, first - 1))
                at = last + 1
            if at <= item.last:
                lacking.append(Range(at, item.last))
        return lacking

    def drop(self, first: int, last: int, *, lane: int) -> list[Range]:
        """Delete a lane's entries of the records `first` to `last`, both included; return those without a receipt."""
        within = (first, last, lane)
        rows = self._connection.execute(
            "select first, last from outbox where first >= ? and last <= ? and lane = ? and receipted_at is null"
            " order by first",
            within,
        ).fetchall()
        self._connection.execute("delete from outbox where first >= ? and last <= ? and lane = ?", within)
        return [Range(first=low, last=high) for low, high in rows]

    def forget(self, *, before_ms: int) -> int:
        """Delete entries receipted before `before_ms` (exclusive); return how many."""
        return self._connection.execute("delete from outbox where receipted_at < ?", (before_ms,)).rowcount

    def last_receipt(self) -> int | None:
        """Return when (ms UTC) the last receipt that freed something came, of those still remembered; None: never."""
        query = "select max(receipted_at) from outbox where receipted_at is not null"
        at: int | None = self._connection.execute(query).fetchone()[0]
        return at

    def lane_waits_since(self, lane: int) -> int | None:
        """Return when (ms UTC) the oldest entry of a lane without receipt was made; None when none waits."""
        query = "select min(created) from outbox where receipted_at is null and lane = ?"
        at: int | None = self._connection.execute(query, (lane,)).fetchone()[0]
        return at

    def waits_since(self) -> int | None:
        """Return when (ms UTC) the oldest entry without receipt was made; None when none waits."""
        query = "select min(created) from outbox where receipted_at is null"
        at: int | None = self._connection.execute(query).fetchone()[0]
        return at

    def depth(self) -> dict[int, int]:
        """Return how many records wait, by lane."""
        rows = self._connection.execute(
            "select lane, sum(last - first + 1) from outbox where receipted_at is null group by lane order by lane"
        )
        return {lane: int(total) for lane, total in rows}
