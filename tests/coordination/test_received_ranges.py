"""Received ranges, looked up and written a batch at a time, against sets of numbers."""

import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.received_ranges import Reached, ReceivedRanges
from coordination.team_database import connect, transaction
from exchange.messages import Range, lineage
from tests.coordination.kit import BOX, EPOCH, OTHER_BOX, OTHER_EPOCH, Team

LATER = EPOCH[:16] + OTHER_EPOCH[16:]
"""Another epoch of the database that began as EPOCH."""
NUMBERS = 24
MOST = 6

parts = st.tuples(
    st.sampled_from([1, 2]),
    st.sampled_from([EPOCH, LATER, OTHER_EPOCH]),
    st.integers(0, NUMBERS),
    st.integers(0, MOST),
).map(lambda drawn: (drawn[0], drawn[1], Range(drawn[2], drawn[2] + drawn[3])))
batches = st.lists(st.tuples(st.booleans(), st.lists(parts, min_size=1, max_size=8)), max_size=6)


def whole(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@settings(max_examples=80, deadline=None)
@given(came=batches)
def test_what_is_new_kept_and_said_is_what_sets_of_numbers_say(
    came: list[tuple[bool, list[tuple[int, str, Range]]]],
) -> None:
    assert lineage(LATER) == lineage(EPOCH) != lineage(OTHER_EPOCH)
    there: dict[tuple[int, str], set[int]] = {}
    with tempfile.TemporaryDirectory() as folder, closing(connect(Team(Path(folder)).database)) as connection:
        with transaction(connection):
            connection.execute("INSERT INTO box (id, name) VALUES (1, ?), (2, ?)", (BOX, OTHER_BOX))
        for announced, batch in came:
            with transaction(connection):
                ranges = ReceivedRanges(connection)
                if announced:
                    ranges.expect(batch)
                for box, epoch, part in batch:
                    known = there.setdefault((box, epoch), set())
                    wanted = set(range(part.first, part.last + 1))
                    missing = ranges.take(box, epoch, part)
                    assert whole([(one.first, one.last) for one in missing]) == wanted - known
                    known |= wanted
                asked = {(box, epoch) for box, epoch, _ in batch}
                assert ranges.reached(asked) == {one: reached(there, *one) for one in asked}
            rows = connection.execute(
                "SELECT box_id, epoch, first, last FROM received_range ORDER BY 1, 2, 3"
            ).fetchall()
            for (box, epoch), numbers in there.items():
                kept = [(first, last) for row, of, first, last in rows if (row, of) == (box, epoch)]
                assert whole(kept) == numbers
                assert all(last + 1 < first for (_, last), (first, _) in pairwise(kept))


def reached(there: dict[tuple[int, str], set[int]], box: int, epoch: str) -> Reached:
    high = max(there[box, epoch])
    others = [
        number
        for (other, of), numbers in there.items()
        if other == box and of != epoch and lineage(of) == lineage(epoch)
        for number in numbers
        if number <= high
    ]
    return Reached(high=high, others=max(others, default=-1))


def test_nothing_is_asked_of_nothing(team: Team) -> None:
    with closing(connect(team.database)) as connection, transaction(connection):
        ranges = ReceivedRanges(connection)
        ranges.expect([])
        assert ranges.reached([]) == {}
