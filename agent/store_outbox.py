"""The part of the store that sends: what waits, what a receipt frees, what is sent again, and under which epoch.

Not here: what comes in and what is judged (store), and sending itself (forwarder).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.clock_store import Place, begin_stretch, last_stretch
from agent.database import immediate
from agent.epochs import Epochs
from agent.notes import forget_notes, keep_note, notes
from agent.outbox import Entry
from agent.store_transactions import StoreTransactions
from exchange.audit_chain import Act, Detail
from exchange.gaps import GapReason, GapRecord
from exchange.messages import UNATTRIBUTED, Range, lineage
from exchange.receipts import Received
from exchange.sealing import LANE_ALERTS, LANE_DENSE, Sealer

SET_BACK = "database_set_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipted:
    """What a receipt came to.

    Attributes:
        freed: the `first` of every entry that it covers.
        known: its epoch is one of this database.
        ahead: the team has more of this lineage than this database gave, or numbers of it twice: it was set back.
    """

    freed: tuple[int, ...] = ()
    known: bool = True
    ahead: bool = False


class StoreOutbox(StoreTransactions):
    """One open database, to read and to send from."""

    def waiting(
        self,
        *,
        limit: int,
        sent: Sequence[int] = (),
        lanes: tuple[int, int] = (LANE_ALERTS, LANE_DENSE),
        size: int | None = None,
    ) -> list[Entry]:
        """Return up to `limit` entries to send, see `Outbox.waiting`."""
        return self.outbox.waiting(limit=limit, sent=sent, lanes=lanes, size=size)

    def backlog(self) -> tuple[int, int]:
        """Return the next sequence number and how many records wait for a receipt."""
        return self.outbox.next_seq(), sum(self.outbox.depth().values())

    def forget_receipted(self, *, before_ms: int) -> int:
        """Delete entries receipted before `before_ms` (exclusive); return how many."""
        return self.outbox.forget(before_ms=before_ms)

    def receipted(self, part: Received, *, now_ms: int) -> Receipted:
        """Keep that the team has these records, as far as this database gave their numbers under that epoch."""
        ends = self.outbox.next_seq()
        epoch = self.epochs.find(part.epoch, next_seq=ends)
        if epoch is None:
            return Receipted(known=False)
        ours = [own for item in part.ranges if (own := epoch.within(item)) is not None]
        ahead = part.high >= epoch.end or part.others >= epoch.first
        freed = self._free(ours, now_ms=now_ms)
        return Receipted(freed=tuple(freed), ahead=ahead and lineage(part.epoch) == lineage(self.epoch))

    def _free(self, ranges: Sequence[Range], *, now_ms: int) -> list[int]:
        with immediate(self._connection):
            return self.outbox.free(ranges, now_ms=now_ms)

    def give_up(self, entry: Entry, reason: GapReason, sealer: Sealer, *, now_ms: int) -> None:
        """Give up an entry that the team would refuse for ever, and declare the gap that it leaves."""
        with self._transaction(now_ms):
            gone = self.outbox.give_up(entry)
            if gone is not None:
                gap = self._gap(*gone, entry.lane, reason)
                self.outbox.add([gap], LANE_ALERTS, sealer, now_ms=now_ms)
        if reason is GapReason.ALTERED:
            self._note_altered("outbox", entry.first)

    def _gap(self, part: Range, created: int, lane: int, reason: GapReason) -> GapRecord:
        """Return what is missing: whose and of when as far as anything but the envelope says so."""
        segment = self._segments.of_numbers(part.first, part.last)
        patient, by_arrival = UNATTRIBUTED, segment is None
        if segment is not None:
            patient, by_arrival = self._segments.origin(segment.first) or (patient, by_arrival)
        return GapRecord(
            patient=patient,
            lane=lane,
            epoch=self.epochs.of(part.first) or self.epoch,
            ranges=((part.first, part.last),),
            measured_from=created if segment is None else segment.measured_from,
            measured_to=created if segment is None else segment.measured_to,
            readings=part.last - part.first + 1,
            reason=reason,
            by_arrival=by_arrival,
        )

    def resend(self, epoch: str, ranges: Sequence[Range], *, now_ms: int) -> list[Range]:
        """Let what the team asks for again wait again, as far as it is kept; it is an act of the same transaction.

        Args:
            epoch: one of this database's; numbers go on from one to the next, and whichever gave them is sent.
            ranges: sequence numbers, in order.
            now_ms: ms UTC.

        Returns:
            What cannot be given: forgotten, never given, or of an epoch of another database.
        """
        if not self.epochs.knows_lineage(epoch):
            return list(ranges)
        with self._transaction(now_ms):
            gone = self.outbox.resend(ranges)
            detail: Detail = {"asked": _count(ranges), "gone": _count(gone)}
            self.audit.enter(Act.RECORDS_RESENT, at=now_ms, by="team", reference=epoch, detail=detail)
        return gone

    def begin_anew(self, sealer: Sealer, *, now_ms: int) -> str:
        """Go on under a new lineage, because the team showed that this database was set back.

        What was said of alerts since it was opened is said again: under the old lineage its numbers lie below those
        of what was said, and lost, before.

        Returns:
            The new epoch.
        """
        before = self.outbox.epoch
        try:
            with self._transaction(now_ms):
                ends = self.outbox.next_seq()
                opened = self.epochs.find(self.epoch, next_seq=ends)
                epoch = Epochs(self._connection).begin(next_seq=ends, anew=True)
                keep_note(self._connection, SET_BACK)
                stretch = last_stretch(self._connection)
                if stretch is not None:
                    # The box's time runs on as before; what is numbered in it is of another epoch from here on.
                    place = Place(epoch=epoch, seq=ends, row=self._segments.next_row())
                    begin_stretch(self._connection, stretch, place)
                since = ends if opened is None else opened.first
                said = self._connection.execute("select digest from alert where seq >= ? order by seq", (since,))
                found = [self._alert(digest) for (digest,) in said.fetchall()]
                records = [record for record in found if record is not None]
                self.outbox.epoch = epoch
                self.outbox.add(records, LANE_ALERTS, sealer, now_ms=now_ms)
                self.audit.enter(Act.DATABASE_SET_BACK, at=now_ms, by="box", reference=epoch)
        except BaseException:
            # Also when the commit itself fails: what is sealed under an epoch that nobody keeps is never freed.
            self.outbox.epoch = before
            raise
        return epoch

    # --- keys ---------------------------------------------------------------------------------------------

    def next_kek(self) -> bytes | None:
        """Return the key of the box that is to follow, None when none lies ready."""
        return self._vault.next_kek

    def wrap_anew(self, kek: bytes, *, by: str, now_ms: int) -> None:
        """Put every key under another key of the box, as `by` wants it: all of them, or none."""
        with self._transaction(now_ms):
            self.keys.wrap_anew(kek)
            self.audit.enter(Act.KEYS_ROTATED, at=now_ms, by=by, reference="box")
        self._vault.adopt(kek)

    def empty_log(self) -> None:
        """Play the log into the file and empty it, as far as nobody reads it: old pages do not stay in it."""
        self._connection.execute("pragma wal_checkpoint(truncate)")

    # --- what is to be told ---------------------------------------------------------------------------------

    def notes(self) -> tuple[str, ...]:
        """Return what the box has noticed of itself and must still tell."""
        return notes(self._connection)

    def forget_notes(self, rules: Sequence[str]) -> None:
        """Forget what was told."""
        with immediate(self._connection):
            forget_notes(self._connection, rules)


def _count(ranges: Sequence[Range]) -> int:
    return sum(part.last - part.first + 1 for part in ranges)
