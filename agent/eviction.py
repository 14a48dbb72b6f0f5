"""What gives way when the buffer is full, in the order of docs/buffer.md.

1. copies of dense readings that the team has receipted, oldest first;
2. copies of everything else that the team has receipted, from the oldest to two days old: what a team database that
   is restored from yesterday asks for again stays;
3. dense readings, oldest first, sent or not; of those without a receipt a gap is declared, in the same transaction and
   among the alerts, so that it travels and stays;
4. the copies of two days.

A sparse reading or an alert without a receipt never gives way, nor do the readings that are kept to judge with.

Not here: when room is needed (room).
"""

import sqlite3
from collections import defaultdict

from agent.audit_log import AuditLog
from agent.database import immediate
from agent.epochs import EpochReader
from agent.eviction_acts import evicted
from agent.missing import Missing
from agent.outbox import Outbox
from agent.segments import Segments
from exchange.gaps import MOST_RANGES, GapReason, GapRecord
from exchange.messages import UNATTRIBUTED, Range
from exchange.sealing import LANE_ALERTS, LANE_DENSE, Sealer

SPARED_MS = 2 * 86_400_000
"""How old a receipted copy is at least that goes before dense readings which only the box has."""
_ANY_TIME = 2**62
_AT_ONCE = 32
"""Rows that are deleted before it is looked whether that is enough."""


class _AllMissing:
    """What is dropped in one transaction, by patient and by the epoch that its numbers count in."""

    def __init__(self, epochs: EpochReader, epoch: str) -> None:
        self._epochs = epochs
        self._epoch = epoch
        self._found: defaultdict[tuple[str, str, bool], Missing] = defaultdict(Missing)
        self.readings = 0
        self.unsent = 0

    def add(self, patient: str, part: Range, begin: int, end: int, *, by_arrival: bool) -> None:
        # Apart: a correction of the time moves the ones and not the others.
        item = self._found[patient, self._epochs.of(part.first) or self._epoch, by_arrival]
        item.number(part)
        item.add(begin, end, part.last - part.first + 1, by_arrival=by_arrival)
        self.unsent += part.last - part.first + 1

    def records(self) -> list[GapRecord]:
        return [
            item.record(patient, epoch=epoch, reason=GapReason.EVICTED)
            for (patient, epoch, _), item in self._found.items()
        ]


class Eviction:
    """Makes room in one open database."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        outbox: Outbox,
        segments: Segments,
        epochs: EpochReader,
        audit: AuditLog,
    ) -> None:
        self._audit = audit
        self._epochs = epochs
        self._connection = connection
        self._outbox = outbox
        self._segments = segments

    def relieve(self, pages: int, *, sealer: Sealer, now_ms: int) -> bool:
        """Free about `pages` pages in one transaction, with the gap that they leave; return whether any was freed."""
        with immediate(self._connection):
            return (
                self._copies(pages, "lane = 2", _ANY_TIME)
                or self._copies(pages, "lane < 2", now_ms - SPARED_MS)
                or self._dense(pages, sealer, now_ms)
                or self._copies(pages, "lane < 2", _ANY_TIME)
            )

    def _copies(self, pages: int, lanes: str, before_ms: int) -> bool:
        """Delete receipted envelopes of some lanes, receipted before a time (ms UTC, excluded), oldest first."""
        goal = self._free_pages() + pages
        gone = 0
        while self._free_pages() < goal:
            rows = self._connection.execute(
                f"select first from outbox where receipted_at < ? and {lanes}"  # noqa: S608 one of two constants
                " order by receipted_at, first limit ?",
                (before_ms, _AT_ONCE),
            ).fetchall()
            if not rows:
                break
            self._connection.executemany("delete from outbox where first = ?", rows)
            gone += len(rows)
        return gone > 0

    def _dense(self, pages: int, sealer: Sealer, now_ms: int) -> bool:
        goal = self._free_pages() + pages
        missing = _AllMissing(self._epochs, self._outbox.epoch)
        gone = 0
        while self._free_pages() < goal and gone < MOST_RANGES - _AT_ONCE:
            dropped = self._drop_segments(missing) or self._drop_entries(missing)
            if not dropped:
                break
            gone += dropped
        self._outbox.add(missing.records(), LANE_ALERTS, sealer, now_ms=now_ms)
        if gone:
            evicted(self._connection, self._audit, readings=missing.readings, unsent=missing.unsent, at=now_ms)
        return gone > 0

    def _drop_segments(self, missing: "_AllMissing") -> int:
        segments = self._segments.oldest(limit=_AT_ONCE)
        for segment in segments:
            # Altered, nobody can say whose it was; that it is gone is said all the same.
            patient, by_arrival = self._segments.origin(segment.first) or (UNATTRIBUTED, False)
            for part in self._outbox.drop(segment.first_seq, segment.last_seq, lane=LANE_DENSE):
                missing.add(patient, part, segment.measured_from, segment.measured_to, by_arrival=by_arrival)
            self._segments.delete(segment.first)
            missing.readings += segment.last_seq - segment.first_seq + 1
        return len(segments)

    def _drop_entries(self, missing: "_AllMissing") -> int:
        """Drop dense entries without a segment, as a damaged database leaves them: whose they were only the team knows.

        The time told is that at which they were sealed.
        """
        rows = self._connection.execute(
            "select first, last, created from outbox where lane = ? and receipted_at is null order by first limit ?",
            (LANE_DENSE, _AT_ONCE),
        ).fetchall()
        for first, last, created in rows:
            for part in self._outbox.drop(first, last, lane=LANE_DENSE):
                missing.add(UNATTRIBUTED, part, created, created, by_arrival=True)
            missing.readings += last - first + 1
        return len(rows)

    def _free_pages(self) -> int:
        return int(self._connection.execute("pragma freelist_count").fetchone()[0])
