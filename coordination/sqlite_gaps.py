"""Declared gaps: what a box says that it no longer has, and what is missing all the same.

A declared range is one row; what was never numbered is one row without a range. What was declared may still have
arrived: a message can be on its way while its box makes room. So what is missing is always asked of the received
ranges, and a gap only explains it.
"""

from collections.abc import Sequence

from coordination.ranges import without
from coordination.sql import Sql
from exchange.gaps import GapRecord
from exchange.messages import Range


def keep_gap(connection: Sql, gap: GapRecord, *, box: int, patient: int | None, at: int) -> None:
    """Store a gap once, inside a transaction.

    Args:
        connection: the team's database.
        gap: as it travelled.
        box: row of the box that sent it.
        patient: row of its patient, None when they were never given this box.
        at: when it is stored, ms UTC.
    """
    for first, last in gap.ranges or ((None, None),):
        connection.execute(
            "INSERT INTO declared_gap"
            ' (box_id, patient_id, lane, epoch, first, last, "from", "to", readings, reason, stored_at)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
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
            ),
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
