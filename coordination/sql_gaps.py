"""Declared gaps: what a box says that it no longer has, and what is missing all the same.

A declared range is one row; what was never numbered is one row without a range. What was declared may still have
arrived: a message can be on its way while its box makes room. So what is missing is always asked of the received
ranges, and a gap only explains it.

When it was is moved when its box finds out that its time was wrong: of what was dated by arrival, and declared while
the time was wrong. What a box declares later it has dated right.
"""

from collections.abc import Sequence

from coordination.ranges import without
from coordination.sql import Sql
from coordination.sql_of_boxes import Corrections
from exchange.gaps import GapRecord
from exchange.messages import Range


def keep_gap(connection: Sql, gap: GapRecord, *, box: int, patient: int | None, at: int, said: tuple[str, int]) -> None:
    """Store a gap once, inside a transaction.

    Args:
        connection: the team's database.
        gap: as it travelled.
        box: row of the box that sent it.
        patient: row of its patient, None when they were never given this box.
        at: when it is stored, ms UTC.
        said: epoch and sequence number of the record that says it.
    """
    for first, last in gap.ranges or ((None, None),):
        if first is not None and last is not None and last < first:
            # Of no number: a box that says so is wrong or malicious, and stops nobody by it.
            continue
        connection.execute(
            "INSERT INTO declared_gap"
            ' (box_id, patient_id, lane, epoch, first, last, "from", "to", readings, reason, stored_at, clock,'
            " said_epoch, said_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                box,
                patient,
                gap.lane,
                gap.epoch,
                first,
                last,
                gap.measured_from,
                gap.measured_to,
                gap.readings if first is None or last is None else last - first + 1,
                gap.reason.value,
                at,
                "arrival" if gap.by_arrival else "device",
                *said,
            ),
        )


def move_gaps(connection: Sql, corrections: Corrections, *, box: int) -> None:
    """Move the gaps of a box (its row) that rest on a time which it has found wrong, inside a transaction.

    A range that was given in the wrong time only in part is widened: some of it was dated right.
    """
    rows = connection.execute(
        'SELECT id, epoch, first, last, "from", "to", said_epoch, said_seq FROM declared_gap'
        " WHERE box_id = ? AND clock = 'arrival'",
        (box,),
    ).fetchall()
    for row, epoch, first, last, begin, end, said_epoch, said_seq in rows:
        offset = corrections.offset(box, said_epoch, said_seq)
        if offset is None:
            continue
        if first is None or corrections.covers(box, epoch, Range(first=first, last=last)):
            times = (begin + offset, end + offset)
        elif corrections.touches(box, epoch, Range(first=first, last=last)):
            times = (min(begin, begin + offset), max(end, end + offset))
        else:
            continue
        connection.execute(
            'UPDATE declared_gap SET "from" = ?, "to" = ?, clock = ? WHERE id = ?', (*times, "corrected", row)
        )


def unexplained(received: Sequence[Range], declared: Sequence[Range], *, begins: int = 0) -> tuple[Range, ...]:
    """Return the numbers of a database below the highest received that were neither received nor declared.

    They may be on their way: a box sends the newest first.

    Args:
        received: at least one; in any order, without overlap.
        declared: in any order; they may overlap what was received and each other.
        begins: the first number.
    """
    last = max(part.last for part in received)
    return without(Range(first=begins, last=last), [*received, *declared])
