"""Checkpoints: an engine's earlier states, kept in memory so that late readings are judged from shortly before them.

A checkpoint serves readings that are all later than it, and what was judged since must be later too: judging on from
it then equals judging from the start. After a restart there is the one of what was restored, until time has passed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerting.kept import Kept
from alerting.stream import Stream
from alerting.told import Told

_HOUR = 3_600_000
CLOSE = 6 * _HOUR
"""Between two recent checkpoints lie at least so many ms."""
_RECENT = 30 * _HOUR
_WEEK = 7 * 24 * _HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What an engine knew at a moment.

    Attributes:
        at: ms UTC, event time: everything up to it (inclusive) was judged, nothing after it.
        state: see `Stream`, as the following.
        tails: one list a row.
        ledgers: one a row.
        told: the alerts then.
    """

    at: int
    state: NDArray[np.int64]
    tails: list[list[Kept]]
    ledgers: list[dict[int, int]]
    told: list[Told]

    @classmethod
    def of(cls, stream: Stream, told: Iterable[Told]) -> "Checkpoint":
        """Return a copy of what an engine knows now."""
        return cls(
            at=stream.event_time,
            state=stream.state.copy(),
            tails=[list(tail) for tail in stream.tails],
            ledgers=[dict(ledger) for ledger in stream.ledgers],
            told=[one.copy() for one in told],
        )


def thinned(checkpoints: Iterable[Checkpoint], *, now: int, reach: int) -> list[Checkpoint]:
    """Return which checkpoints to keep: those of the last 30 h, the first of each week before, none too old.

    Args:
        checkpoints: in order.
        now: event time, ms UTC.
        reach: ms before `now` at which the oldest late reading may lie; one checkpoint from before that is kept.
    """
    chosen: list[Checkpoint] = []
    weeks: set[int] = set()
    for one in checkpoints:
        week = one.at // _WEEK
        if one.at > now - _RECENT or week not in weeks:
            chosen.append(one)
        weeks.add(week)
    beyond = [one for one in chosen if one.at < now - reach]
    return [*beyond[-1:], *(one for one in chosen if one.at >= now - reach)]


def latest_before(checkpoints: Iterable[Checkpoint], first: int) -> Checkpoint | None:
    """Return the last checkpoint (in order) from which a reading measured at `first` (ms UTC) can still be judged."""
    return max((one for one in checkpoints if one.at < first), key=lambda one: one.at, default=None)


def planned(*, since: int, until: int, reach: int) -> list[int]:
    """Return when a replay from `since` to `until` (ms UTC) should leave checkpoints, in order."""
    every = {until - step * CLOSE for step in range(1, _RECENT // CLOSE + 1)}
    first = (until - reach) // _WEEK * _WEEK
    every |= set(range(first, until - _RECENT, _WEEK))
    return sorted(at for at in every if since < at < until)
