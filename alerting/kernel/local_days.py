"""Local days and hours inside the kernel: `alerting.local_time` over a table of offsets, shape (n, 2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.kernel.compiling import compiled

_MS_A_MINUTE = 60_000
_MINUTES_A_DAY = 1_440

Zone = NDArray[np.int64]


@compiled("int64(int64[:, ::1], int64)")
def row_at(zone: Zone, at: int) -> int:
    """Return the row of the table that holds at a time (ms UTC), the first one before its beginning."""
    low, high = 0, zone.shape[0]
    while high - low > 1:
        middle = (low + high) // 2
        if zone[middle, 0] <= at:
            low = middle
        else:
            high = middle
    return low


@compiled("int64(int64[:, ::1], int64)")
def local_minutes(zone: Zone, at: int) -> Any:  # noqa: ANN401 - an int64 of the table's
    """Return the minutes between 1970-01-01 00:00 local time and `at` (ms UTC)."""
    return at // _MS_A_MINUTE + zone[row_at(zone, at), 1]


@compiled("int64(int64[:, ::1], int64)")
def utc_ms(zone: Zone, minutes: int) -> Any:  # noqa: ANN401 - an int64 of the table's
    """Return the ms UTC at which the local clock shows `minutes` after 1970-01-01 00:00; of two the earlier."""
    row = row_at(zone, (minutes - _MINUTES_A_DAY) * _MS_A_MINUTE)
    at = (minutes - zone[row, 1]) * _MS_A_MINUTE
    while row + 1 < zone.shape[0] and at >= zone[row + 1, 0]:
        later = (minutes - zone[row + 1, 1]) * _MS_A_MINUTE
        if later < zone[row + 1, 0]:
            break
        row += 1
        at = later
    return at


@compiled("boolean(int64[:, ::1], int64, int64, int64)")
def within_hours(zone: Zone, at: int, begin: int, end: int) -> bool:
    """Return whether a time lies between two times of day, `begin` included and `end` not; they may pass midnight."""
    minute = local_minutes(zone, at) % _MINUTES_A_DAY
    if begin <= end:
        return bool(begin <= minute < end)
    return bool(minute >= begin or minute < end)
