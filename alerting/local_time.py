"""Local days and hours of a patient, as numbers: a table of the offsets of a time zone from UTC.

The table is data that the kernel reads too, so that judging needs no clock, no IO and no calendar library. It reaches
from 2000 to 2100; before and after, the first and the last offset hold.

A local time that does not exist (the hour left out in spring) is taken as the same count of minutes after midnight in
the offset that held before; one that exists twice is its first occurrence.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

MINUTE_MS = 60_000
DAY_MINUTES = 1440
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_LAST = datetime(2100, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=64)
def offsets(zone: ZoneInfo) -> NDArray[np.int64]:
    """Return the offsets of a zone, shape (n, 2): from when on (ms UTC, increasing), and the offset (minutes)."""
    rows = [(_milliseconds(_FIRST), _offset(_FIRST, zone))]
    at = _FIRST
    while at < _LAST:
        after = at + _STEP
        if _offset(after, zone) != rows[-1][1]:
            rows.append((_milliseconds(_change(at, after, zone)), _offset(after, zone)))
        at = after
    table = np.array(rows, np.int64)
    table.setflags(write=False)
    return table


def local_minutes(table: NDArray[np.int64], at: int) -> int:
    """Return the minutes between 1970-01-01 00:00 local time and `at` (ms UTC), cut downwards."""
    row = max(0, int(np.searchsorted(table[:, 0], at, side="right")) - 1)
    return at // MINUTE_MS + int(table[row, 1])


def each_local_minutes(table: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `local_minutes` of each of many times (ms UTC)."""
    rows = np.maximum(0, np.searchsorted(table[:, 0], times, side="right") - 1)
    return np.asarray(times // MINUTE_MS + table[rows, 1])


def utc_ms(table: NDArray[np.int64], minutes: int) -> int:
    """Return the ms UTC at which the local clock shows `minutes` after 1970-01-01 00:00."""
    # No offset lies further than a day from UTC: the row that held a day before is the earlier one of two.
    row = max(0, int(np.searchsorted(table[:, 0], (minutes - DAY_MINUTES) * MINUTE_MS, side="right")) - 1)
    at = (minutes - int(table[row, 1])) * MINUTE_MS
    while row + 1 < len(table) and at >= table[row + 1, 0]:
        later = (minutes - int(table[row + 1, 1])) * MINUTE_MS
        if later < table[row + 1, 0]:
            break
        row += 1
        at = later
    return at


def _offset(at: datetime, zone: ZoneInfo) -> int:
    offset = at.astimezone(zone).utcoffset() or timedelta()
    return round(offset / timedelta(minutes=1))


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the minute at which the offset changes between two moments."""
    low, high = 0, int((after - before) / timedelta(minutes=1))
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + timedelta(minutes=middle), zone) == _offset(before, zone):
            low = middle
        else:
            high = middle
    return before + timedelta(minutes=high)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
