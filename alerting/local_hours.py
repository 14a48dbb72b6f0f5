"""Hours of the day in a patient's time zone, as moments: when quiet ends or begins next, when the digest is due.

Everything is a pure function of a time zone's table (`local_time.offsets`), ms UTC and minutes after local midnight.
On the nights on which the clock changes the local clock decides: hours that occur twice are quiet both times, hours
left out are not waited for.
"""

import numpy as np
from numpy.typing import NDArray

from alerting.local_time import DAY_MINUTES, MINUTE_MS, local_minutes, utc_ms

Hours = tuple[int, int]
"""From (inclusive) and to (exclusive), minutes after local midnight; may pass midnight; equal ones hold no hour."""


def end_of(table: NDArray[np.int64], hours: Hours, at: int) -> int | None:
    """Return the first moment after `at` (ms UTC) that does not lie in `hours`; None when `at` does not."""
    return _leave(table, hours, at) if _inside(table, hours, at) else None


def next_start_of(table: NDArray[np.int64], hours: Hours, at: int) -> int:
    """Return the first moment after `at` (ms UTC) that lies in `hours`, for an `at` that does not."""
    begin, end = hours
    return _leave(table, (end, begin), at)


def next_time_of_day(table: NDArray[np.int64], minutes: int, at: int) -> int:
    """Return the first moment from `at` (ms UTC, inclusive) on at which the local clock shows `minutes`."""
    day = local_minutes(table, at) // DAY_MINUTES
    return next(moment for days in range(3) if (moment := utc_ms(table, (day + days) * DAY_MINUTES + minutes)) >= at)


def _inside(table: NDArray[np.int64], hours: Hours, at: int) -> bool:
    begin, end = hours
    return (local_minutes(table, at) - begin) % DAY_MINUTES < (end - begin) % DAY_MINUTES


def _leave(table: NDArray[np.int64], hours: Hours, at: int) -> int:
    """Return the first moment after `at`, which lies in `hours`, that does not; hours never last a whole day."""
    while True:
        left = (hours[1] - local_minutes(table, at)) % DAY_MINUTES
        # Between two changes of the clock minutes pass as they are counted.
        row = int(np.searchsorted(table[:, 0], at, side="right"))
        at = (at // MINUTE_MS + left) * MINUTE_MS
        if row < len(table) and at > table[row, 0]:
            at = int(table[row, 0])
        if not _inside(table, hours, at):
            return at
