"""Which numbers came of each epoch of a box: looked up and kept for a whole batch, and what a receipt says of them.

A batch has envelopes of hundreds of boxes. What is known near their numbers is read in one go, ranges grow in memory,
and what changed is written in one go.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from coordination.bulk_rows import delete, marks, write
from coordination.ranges import add
from coordination.sql import Sql
from exchange.messages import Range, lineage

_COLUMNS = ("box_id", "epoch", "first", "last")

Epoch = tuple[int, str]
"""(row of a box, epoch of its database)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a receipt says of an epoch besides its ranges.

    Attributes:
        high: the highest number that came of it.
        others: the highest number up to there that came under another epoch of the same database; -1 for none.
    """

    high: int
    others: int


class ReceivedRanges:
    """The received ranges in one open transaction."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection
        self._window: dict[Epoch, Range] = {}
        self._kept: dict[Epoch, frozenset[Range]] = {}
        self._now: dict[Epoch, list[Range]] = {}

    def expect(self, parts: Iterable[tuple[int, str, Range]]) -> None:
        """Read what is known near numbers that will come: (row of a box, epoch, range)."""
        self.flush()
        self._window.clear()
        for box, epoch, part in parts:
            known = self._window.get((box, epoch), part)
            self._window[box, epoch] = Range(min(known.first, part.first), max(known.last, part.last))
        self._now = {epoch: [] for epoch in self._window}
        if self._window:
            asked, values = marks([(*epoch, part.first - 1, part.last + 1) for epoch, part in self._window.items()])
            for box, epoch, first, last in self._connection.execute(
                f"WITH asked (box, epoch, low, high) AS (VALUES {asked})"  # noqa: S608 - places of values
                " SELECT box, asked.epoch, first, last FROM asked JOIN received_range ON box_id = box"
                " AND received_range.epoch = asked.epoch AND first <= high AND last >= low ORDER BY first",
                values,
            ):
                self._now[box, epoch].append(Range(first, last))
        self._kept = {epoch: frozenset(ranges) for epoch, ranges in self._now.items()}

    def take(self, box: int, epoch: str, part: Range) -> tuple[Range, ...]:
        """Add a range to what came of an epoch of a box, and return what of it is new."""
        window = self._window.get((box, epoch))
        if window is None or part.first < window.first or part.last > window.last:
            self.expect([(box, epoch, part)])
        ranges = self._now[box, epoch]
        # They are in order and disjoint: those that it touches are neighbours.
        begin = bisect_left(ranges, part.first - 1, key=lambda known: known.last)
        end = bisect_right(ranges, part.last + 1, key=lambda known: known.first)
        whole, missing = add(ranges[begin:end], part)
        if missing:
            ranges[begin:end] = [whole]
        return missing

    def flush(self) -> None:
        """Keep what changed."""
        gone: list[tuple[int, str, int]] = []
        new: list[tuple[int, str, int, int]] = []
        for (box, epoch), ranges in self._now.items():
            before, after = self._kept[box, epoch], frozenset(ranges)
            gone += [(box, epoch, known.first) for known in before - after]
            new += [(box, epoch, known.first, known.last) for known in after - before]
            self._kept[box, epoch] = after
        delete(self._connection, "received_range", _COLUMNS[:3], gone)
        write(self._connection, "received_range", _COLUMNS, new)

    def reached(self, epochs: Collection[Epoch]) -> Mapping[Epoch, Reached]:
        """Return how far each of these epochs has come, of which something has."""
        self.flush()
        if not epochs:
            return {}
        # The others are between the lineage and the first text after it, so that the index of the key finds them.
        asked, values = marks([(box, epoch, lineage(epoch), lineage(epoch) + "g") for box, epoch in epochs])
        found = self._connection.execute(
            f"WITH asked (box, epoch, stem, beyond) AS (VALUES {asked})"  # noqa: S608 - places of values
            " SELECT box, epoch, high, (SELECT coalesce(max(least(last, high)), -1) FROM received_range AS other"
            " WHERE box_id = box AND other.epoch >= stem AND other.epoch < beyond AND other.epoch <> reached.epoch"
            " AND first <= high) FROM (SELECT box, epoch, stem, beyond, (SELECT max(last) FROM received_range AS own"
            " WHERE own.box_id = box AND own.epoch = asked.epoch) AS high FROM asked) AS reached",
            values,
        )
        return {(box, epoch): Reached(high=high, others=others) for box, epoch, high, others in found}
