"""What boxes say of themselves among their records: that their time was wrong, and that their chain holds.

A correction moves what its box had dated by its arrival: the observations that are here, and those still to come
(`Corrections`). The row says by how much, so that what travelled can be told from it. A box's signs of life are
believed only when they are later than those before; one whose time was ahead says by its correction that earlier ones
are news again.

Functions of one open transaction.
"""

from collections.abc import Collection, Iterator

import msgspec

from coordination.attribution import Assignment
from coordination.bulk_rows import marks, parts
from coordination.canary import CANARY_MISSING, Sung
from coordination.sql import Sql
from coordination.sql_alerts import Alerts
from devices.reading import ClockTrust
from exchange.box_records import CanaryRecord, ClockCorrection
from exchange.messages import ObservationRecord, Range, is_by_arrival

KEPT_CANARIES = 40
"""Canaries of one box that are kept; the older ones have said what they had to."""


def keep_correction(connection: Sql, box: int, record: ClockCorrection, *, stored_at: int) -> None:
    """Keep a correction that a box (its row) found out, and apply it to what is here; one of no record is nothing."""
    if record.last < record.first:
        return
    new = connection.execute(
        "INSERT INTO clock_correction"
        ' (box_id, epoch, first, last, "offset", boot, mono_from, mono_to, at, stored_at)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            box,
            record.epoch,
            record.first,
            record.last,
            record.offset,
            record.boot,
            record.mono_from,
            record.mono_to,
            record.at,
            stored_at,
        ),
    ).rowcount
    if not new:
        return
    connection.execute(
        "UPDATE observation SET received_at = received_at + :offset,"
        " t = CASE WHEN clock = 'unknown' OR t = received_at THEN t + :offset ELSE t END,"
        " clock = CASE WHEN clock = 'unknown' OR t = received_at THEN 'corrected' ELSE clock END"
        # The patients are named for their index: a correction must not read what every other box measured.
        " WHERE patient_id IN (SELECT patient_id FROM box_assignment WHERE box_id = :box)"
        " AND box_id = :box AND epoch = :epoch AND seq BETWEEN :first AND :last",
        {"offset": record.offset, "box": box, "epoch": record.epoch, "first": record.first, "last": record.last},
    )
    connection.execute("UPDATE box SET status_at = ? WHERE id = ? AND status_at > ?", (record.at, box, record.at))
    connection.execute("UPDATE box_status SET at = ? WHERE box_id = ? AND at > ?", (record.at, box, record.at))


class Corrections:
    """What boxes found out about their time, as known in one open transaction; read once for each epoch."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection
        self._known: dict[tuple[int, str], list[tuple[int, int, int]]] = {}

    def forget(self) -> None:
        """Read anew: another one was kept."""
        self._known.clear()

    def expect(self, epochs: Collection[tuple[int, str]]) -> None:
        """Read, in one go, what was found out about some epochs: (row of a box, epoch)."""
        self._known.update({epoch: [] for epoch in epochs})
        for some in parts(sorted(epochs)):
            places, values = marks(some)
            for box, epoch, *part in self._connection.execute(
                'SELECT box_id, epoch, first, last, "offset" FROM clock_correction'  # noqa: S608 - places of values
                f" WHERE (box_id, epoch) IN (VALUES {places})",
                values,
            ):
                self._known[box, epoch].append((part[0], part[1], part[2]))

    def applied(self, box: int, epoch: str, seq: int, record: ObservationRecord) -> ObservationRecord:
        """Return an observation of a box (its row) by the time that its box has found out since."""
        known = self._known.get((box, epoch))
        if known is not None and not known:
            return record
        offset = self.offset(box, epoch, seq)
        if offset is None:
            return record
        received_at = record.received_at + offset
        if not is_by_arrival(record):
            return msgspec.structs.replace(record, received_at=received_at)
        return msgspec.structs.replace(
            record, received_at=received_at, measured_at=record.measured_at + offset, clock=ClockTrust.CORRECTED
        )

    def offset(self, box: int, epoch: str, seq: int) -> int | None:
        """Return what the time lacked (ms) when a box (its row) gave a number; None: nobody found it wrong."""
        return next((by for first, last, by in self.within(box, epoch) if first <= seq <= last), None)

    def covers(self, box: int, epoch: str, part: Range) -> bool:
        """Return whether all of these numbers were given in one wrong time."""
        return any(first <= part.first and part.last <= last for first, last, _ in self.within(box, epoch))

    def touches(self, box: int, epoch: str, part: Range) -> bool:
        """Return whether any of these numbers was given in a wrong time."""
        return any(first <= part.last and part.first <= last for first, last, _ in self.within(box, epoch))

    def within(self, box: int, epoch: str) -> list[tuple[int, int, int]]:
        """Return (first, last, offset) of what was found out about one epoch of a box (its row)."""
        if (box, epoch) not in self._known:
            self.expect([(box, epoch)])
        return self._known[box, epoch]


def keep_canary(connection: Sql, box: int, epoch: str, seq: int, record: CanaryRecord, *, stored_at: int) -> None:
    """Keep a canary of a box (its row)."""
    connection.execute(
        "INSERT INTO canary (box_id, epoch, seq, at, count, asked, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (box, epoch, seq, record.at, record.count, record.asked, stored_at),
    )
    connection.execute(
        "DELETE FROM canary WHERE box_id = ? AND id NOT IN"
        " (SELECT id FROM canary WHERE box_id = ? ORDER BY stored_at DESC, seq DESC LIMIT ?)",
        (box, box, KEPT_CANARIES),
    )


def sung(connection: Sql, alerts: Alerts, assignments: Iterator[Assignment], at: int) -> list[Sung]:
    """Return what is known of the canaries of the boxes that somebody has at `at` (ms UTC), or whose alert stands."""
    standing = {team.box: team.change for team in alerts.standing(CANARY_MISSING)}
    held = {item.box for item in assignments if item.since <= at and (item.until is None or at < item.until)}
    found: list[Sung] = []
    rows = connection.execute(
        "SELECT name, canary_at, heard_listened, greatest(coalesce(back_listened, 0), coalesce(canary_listened,"
        " (SELECT coalesce(max(listened), 0) FROM box_assignment WHERE box_id = box.id))) FROM box ORDER BY name"
    )
    for box, sung_at, heard, due_since in rows:
        if box in held or box in standing:
            found.append(
                Sung(
                    box=box,
                    sung_at=sung_at,
                    due_since=due_since,
                    heard_listened=heard,
                    standing=standing.get(box),
                )
            )
    return found
