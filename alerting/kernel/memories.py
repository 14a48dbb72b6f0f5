"""Features that remember: exponential means, sums of deviations, how long a value stands, what it was before.

They take what `windows` takes. Means are kept in 1/65536 quanta. No value is NEVER.
"""

from alerting.kernel.arithmetic import quotient
from alerting.kernel.compiling import Words, compiled
from alerting.kernel.local_days import Zone, within_hours
from alerting.kernel.windows import FEATURE
from alerting.layout import (
    CUSUM,
    F_A,
    F_B,
    F_BREAK,
    F_C,
    F_KIND,
    F_MIN,
    F_WINDOW,
    NEVER,
)

_UNIT = 65_536
_LONGEST_S = 100_000_000
_MS_A_MINUTE = 60_000
_THOUSAND = 1_000


@compiled(FEATURE)
def smoothed(
    program: Words,
    row: int,
    state: Words,
    own: int,
    ring: int,
    mask: int,
    first: int,
    times: Words,
    values: Words,
    column: Words,
) -> None:
    """Value minus its exponential mean in time (EWMA), or the sum of such deviations beyond an allowance (CUSUM).

    Its words: readings so far, the time of the last, the mean, the sum. F_A: the sign of CUSUM's direction, F_B its
    allowance.
    """
    tau, least, kind = program[row + F_WINDOW] // _THOUSAND, program[row + F_MIN], program[row + F_KIND]
    sign, allowance = program[row + F_A], program[row + F_B] * _UNIT
    seen, last, mean, total = state[own], state[own + 1], state[own + 2], state[own + 3]
    for index in range(times.shape[0]):
        at, value = times[index], values[index] * _UNIT
        if seen == 0:
            mean = value
        off = value - mean
        if kind == CUSUM:
            if seen > 0:
                total = max(0, total + sign * off - allowance)
            found = sign * (total // _UNIT)
        else:
            found = quotient(off, _UNIT)
        if seen > 0:
            seconds = min((at - last) // _THOUSAND, _LONGEST_S)
            mean += quotient(off * seconds, tau + seconds)
        seen += 1
        last = at
        column[index] = found if seen >= least else NEVER
    state[own], state[own + 1], state[own + 2], state[own + 3] = seen, last, mean, total


@compiled(FEATURE)
def macd(
    program: Words,
    row: int,
    state: Words,
    own: int,
    ring: int,
    mask: int,
    first: int,
    times: Words,
    values: Words,
    column: Words,
) -> None:
    """Short minus long exponential mean over readings, of the spans F_A and F_B.

    Its words: readings so far, the short mean, the long mean.
    """
    least, short_span, long_span = program[row + F_MIN], program[row + F_A], program[row + F_B]
    seen, short, long = state[own], state[own + 1], state[own + 2]
    for index in range(times.shape[0]):
        value = values[index] * _UNIT
        if seen == 0:
            short = long = value
        short += quotient(2 * (value - short), short_span + 1)
        long += quotient(2 * (value - long), long_span + 1)
        seen += 1
        column[index] = quotient(short - long, _UNIT) if seen >= least else NEVER
    state[own], state[own + 1], state[own + 2] = seen, short, long


@compiled(FEATURE)
def offset(
    program: Words,
    row: int,
    state: Words,
    own: int,
    ring: int,
    mask: int,
    first: int,
    times: Words,
    values: Words,
    column: Words,
) -> None:
    """Value minus a fixed reference, F_A."""
    for index in range(times.shape[0]):
        column[index] = values[index] - program[row + F_A] if first + index + 1 >= program[row + F_MIN] else NEVER


@compiled(FEATURE)
def stuck(
    program: Words,
    row: int,
    state: Words,
    own: int,
    ring: int,
    mask: int,
    first: int,
    times: Words,
    values: Words,
    column: Words,
) -> None:
    """How many ms ago the present value was first read without a break.

    Its words: readings so far, the time of the last, the value, since when.
    """
    gap = program[row + F_BREAK]
    seen, last, value, since = state[own], state[own + 1], state[own + 2], state[own + 3]
    for index in range(times.shape[0]):
        at = times[index]
        if seen == 0 or values[index] != value or (gap > 0 and at - last > gap):
            value, since = values[index], at
        seen += 1
        last = at
        column[index] = at - since
    state[own], state[own + 1], state[own + 2], state[own + 3] = seen, last, value, since


@compiled(FEATURE)
def jump(
    program: Words,
    row: int,
    state: Words,
    own: int,
    ring: int,
    mask: int,
    first: int,
    times: Words,
    values: Words,
    column: Words,
) -> None:
    """How far the value lies from the one before, when that is at most the window ago.

    Its words: readings so far, the time of the last, its value.
    """
    window = program[row + F_WINDOW]
    seen, last, value = state[own], state[own + 1], state[own + 2]
    for index in range(times.shape[0]):
        at = times[index]
        column[index] = abs(values[index] - value) if seen > 0 and at - last <= window else NEVER
        seen += 1
        last, value = at, values[index]
    state[own], state[own + 1], state[own + 2] = seen, last, value


@compiled("void(int64[::1], int64, int64[::1], int64, int64[:, ::1], int64[::1], int64[::1], int64[::1])")
def compression_low(
    program: Words,
    row: int,
    state: Words,
    own: int,
    zone: Zone,
    times: Words,
    values: Words,
    column: Words,
) -> None:
    """1 at the reading that regains three quarters of a steep night fall in time, 0 otherwise.

    F_A: the fall's steepness in thousandths of a quantum a minute; F_B, F_C: the night; F_WINDOW: within how long.
    Its words: readings so far, time and value of the last, when the fall was seen (0: none), the value before it, the
    lowest since.
    """
    steep, begin, end = program[row + F_A], program[row + F_B], program[row + F_C]
    window, gap = program[row + F_WINDOW], program[row + F_BREAK]
    seen, last, value = state[own], state[own + 1], state[own + 2]
    fell_at, before, lowest = state[own + 3], state[own + 4], state[own + 5]
    for index in range(times.shape[0]):
        at, now = times[index], values[index]
        pause = at - last
        close = seen > 0 and pause > 0 and (gap == 0 or pause <= gap)
        found = 0
        if fell_at != 0:
            lowest = min(lowest, now)
            if at - fell_at > window or (pause > 0 and not close):
                fell_at = 0
            elif 4 * (now - lowest) >= 3 * (before - lowest):
                found = 1
                fell_at = 0
        steep_fall = close and (value - now) * _MS_A_MINUTE * _THOUSAND >= steep * pause
        if fell_at == 0 and found == 0 and steep_fall and within_hours(zone, at, begin, end):
            fell_at, before, lowest = at, value, now
        seen += 1
        last, value = at, now
        column[index] = found
    state[own], state[own + 1], state[own + 2] = seen, last, value
    state[own + 3], state[own + 4], state[own + 5] = fell_at, before, lowest
