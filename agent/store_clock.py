"""The part of the store that is the box's own: its time, its canaries, and from when on a receipt is believed.

What is kept of the time, and put right, is `clock_store`; here are its transactions.
"""

from agent import clock_store, shadow_retiming
from agent.box_clock import Found, Stretch
from agent.clock_store import Place
from agent.database import immediate
from agent.store_transactions import StoreTransactions
from exchange.audit_chain import Act, Detail
from exchange.box_records import CanaryRecord
from exchange.sealing import LANE_ALERTS, LANE_SPARSE, Sealer

UNDATED = 4
"""`ReadingState` of a reading dated after a time that is known to be right: kept and sent, judged no more."""


class ClockBook(StoreTransactions):
    """What the store keeps of the box itself."""

    def clock_state(self) -> tuple[Stretch | None, int]:
        """Return the last stretch of the box's time, and the latest time (ms UTC) that it is known to have reached."""
        return clock_store.last_stretch(self._connection), clock_store.last_time(self._connection)

    def place(self) -> Place:
        """Return how far this database has come."""
        return Place(epoch=self.outbox.epoch, seq=self.outbox.next_seq(), row=self._segments.next_row())

    def begin_stretch(self, stretch: Stretch, *, now_ms: int) -> None:
        """Keep that the box's time runs from here on as `stretch` says."""
        with immediate(self._connection):
            clock_store.begin_stretch(self._connection, stretch, self.place())
            clock_store.keep_time(self._connection, now_ms, seq=self.outbox.next_seq())

    def keep_time(self, *, now_ms: int) -> None:
        """Keep that the box's time has come so far."""
        with immediate(self._connection):
            clock_store.keep_time(self._connection, now_ms, seq=self.outbox.next_seq())

    def keep_correction(self, found: Found, sealer: Sealer, *, since: Place | None, now_ms: int) -> None:
        """Keep what a correction changes, and what tells the team of it, or nothing.

        Args:
            found: the correction.
            sealer: seals what travels.
            since: where the database stood when the time was last known to be right; None when it never was.
            now_ms: ms UTC, by the right time.
        """
        with self._transaction(now_ms):
            place, correction = self.place(), found.correction
            if since is None:
                parts = clock_store.doubtful(self._connection, correction.boot, place)
            else:
                parts = [(since, place.seq)]
            if parts:
                from_row = min(part.row for part, _ in parts)
                clock_store.redate(
                    self._connection,
                    self._vault,
                    correction,
                    from_row=from_row,
                    began=found.before.at(correction.mono_from),
                )
                self._segments.rewrite(from_row, lambda record: clock_store.moved(record, correction.offset))
                shadow_retiming.move(
                    self._connection,
                    self._vault,
                    offset=correction.offset,
                    began=found.before.at(correction.mono_from),
                    from_seq=min(part.seq for part, _ in parts),
                    now=now_ms,
                )
            told = list(clock_store.records(correction, parts, at=now_ms))
            clock_store.put_right(self._connection, correction.boot)
            clock_store.name_right_time(self._connection, min((part.row for part, _ in parts), default=place.row))
            clock_store.begin_stretch(self._connection, found.after, place)
            self.outbox.add(told, LANE_ALERTS, sealer, now_ms=now_ms)
            detail: Detail = {"offset_ms": correction.offset, "records": sum(one.last - one.first + 1 for one in told)}
            self.audit.enter(Act.CLOCK_CORRECTED, at=now_ms, by="box", reference=correction.boot, detail=detail)
            clock_store.keep_time(self._connection, now_ms, seq=self.outbox.next_seq())

    def must_retime(self) -> bytes | None:
        """Return what names the right time that judging has not taken up yet; None when there is none."""
        return clock_store.must_retime(self._connection)

    def retimed(self, right: bytes) -> None:
        """Keep that judging has taken up the time that `right` names."""
        self._connection.execute("delete from meta where name = 'retime' and value = ?", (right,))

    def set_aside_after(self, patient: str, at_ms: int) -> int:
        """Judge no more what is dated after `at_ms` (ms UTC, exclusive): nothing is; return how many readings."""
        digest = self._vault.digest("stream", patient)
        row = self._connection.execute("select id from stream where digest = ?", (digest,)).fetchone()
        if row is None:
            return 0
        with immediate(self._connection):
            sparse = self._connection.execute(
                "update reading set state = ? where state = 0 and measured_at > ? and stream = ?",
                (UNDATED, at_ms, row[0]),
            ).rowcount
            return sparse + self._segments.set_aside_after(row[0], at_ms, UNDATED)

    # --- the canary ---------------------------------------------------------------------------------------

    def canary_at(self) -> int | None:
        """Return when (ms UTC) the last daily canary was made; None when none ever was."""
        row = self._connection.execute("select value from meta where name = 'canary_at'").fetchone()
        return None if row is None else int(bytes(row[0]))

    def keep_canary(self, record: CanaryRecord, sealer: Sealer, *, now_ms: int) -> None:
        """Keep a canary with its sealed entry; one that nobody asked for is the day's."""
        with self._transaction(now_ms):
            self.outbox.add([record], LANE_SPARSE, sealer, now_ms=now_ms)
            if not record.asked:
                self._connection.execute(
                    "insert into meta(name, value) values ('canary_at', ?)"
                    " on conflict(name) do update set value = excluded.value",
                    (str(record.at).encode(),),
                )

    # --- receipts -----------------------------------------------------------------------------------------

    def receipts_from(self) -> int:
        """Return from when on (ms UTC by the team's clock, inclusive) a receipt frees anything; 0: from ever."""
        row = self._connection.execute("select value from meta where name = 'receipts_from'").fetchone()
        return 0 if row is None else int(bytes(row[0]))

    def distrust_receipts_before(self, at_ms: int) -> None:
        """Let no receipt older than `at_ms` (ms UTC by the team's clock) free anything: the team lost what it had.

        Whoever makes receipted entries wait again calls this too, or a receipt of before, sent once more, would free
        them a second time.
        """
        with immediate(self._connection):
            self._connection.execute(
                "insert into meta(name, value) values ('receipts_from', ?)"
                " on conflict(name) do update set value = excluded.value",
                (str(max(at_ms, self.receipts_from())).encode(),),
            )
