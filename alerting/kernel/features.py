"""Which function works out which feature."""

from alerting.kernel.compiling import Words, compiled
from alerting.kernel.forecasts import ar2, kalman, least_squares, pairwise_slopes
from alerting.kernel.local_days import Zone
from alerting.kernel.memories import compression_low, jump, macd, offset, smoothed, stuck
from alerting.kernel.rings import place
from alerting.kernel.scores import heart_failure, is_spike, news2, scheduled_mean
from alerting.kernel.windows import extreme, flagged, from_mean, rate, share, since_first
from alerting.layout import (
    AR2,
    COMPRESSION,
    CUSUM,
    EWMA,
    F_DESPIKE,
    F_KIND,
    F_MASK,
    F_RING,
    FIRST,
    FLAGS,
    HEART_FAILURE,
    HIGHEST,
    HOLT_AR2,
    JUMP,
    KALMAN,
    LINEAR,
    LOWEST,
    MACD,
    MEAN,
    NEVER,
    NEWS2,
    OFFSET,
    RATE,
    ROBUST_LINEAR,
    SCHEDULE,
    SF_OWN,
    SHARE,
    SPC,
    STUCK,
)


@compiled(
    "void(int64[::1], int64, int64[::1], int64, int64[:, ::1], int64, int64, int64, int64[::1], int64[::1], int64[::1])"
)
def evaluate(
    program: Words,
    row: int,
    state: Words,
    own: int,
    zone: Zone,
    ring: int,
    mask: int,
    first: int,
    times: Words,
    values: Words,
    column: Words,
) -> None:
    """Write a feature's values for a block into `column`; those with a filter or several inputs have one."""
    kind = program[row + F_KIND]
    if program[row + F_DESPIKE] > 0 and kind != HEART_FAILURE:
        if is_spike(program, row, state, ring, mask, first, times[0], values[0]):
            column[0] = NEVER
            return
        # What the filter lets pass goes into a ring of its own, which the window is then taken from.
        ring, mask, first = program[row + F_RING], program[row + F_MASK], state[own + SF_OWN]
        state[place(ring, mask, first)] = times[0]
        state[place(ring, mask, first) + 1] = values[0]
        state[own + SF_OWN] = first + 1
    if kind == RATE:
        rate(program, row, state, own, ring, mask, first, times, values, column)
    elif kind in (LOWEST, HIGHEST):
        extreme(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == FIRST:
        since_first(program, row, state, own, ring, mask, first, times, values, column)
    elif kind in (MEAN, SPC):
        from_mean(program, row, state, own, ring, mask, first, times, values, column)
    elif kind in (EWMA, CUSUM):
        smoothed(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == MACD:
        macd(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == SHARE:
        share(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == LINEAR:
        least_squares(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == ROBUST_LINEAR:
        pairwise_slopes(program, row, state, own, ring, mask, first, times, values, column)
    elif kind in (AR2, HOLT_AR2):
        ar2(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == KALMAN:
        kalman(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == FLAGS:
        flagged(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == STUCK:
        stuck(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == JUMP:
        jump(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == OFFSET:
        offset(program, row, state, own, ring, mask, first, times, values, column)
    elif kind == COMPRESSION:
        compression_low(program, row, state, own, zone, times, values, column)
    elif kind == SCHEDULE:
        column[0] = scheduled_mean(program, row, state, own, zone, ring, mask, first, times[0])
    elif kind == NEWS2:
        column[0] = news2(program, row, state, own, times[0])
    else:
        column[0] = heart_failure(program, row, state, own, zone, ring, mask, first, times[0], values[0])
