"""Features of several quantities, or of a schedule: judged one reading at a time, seldom, by looking back.

No value is NEVER. What an alert tells besides its value goes to the feature's word SF_OWN.
"""

import numpy as np

from alerting.kernel.arithmetic import quotient
from alerting.kernel.compiling import Words, compiled
from alerting.kernel.forecasts import middle
from alerting.kernel.local_days import Zone, local_minutes
from alerting.kernel.rings import place
from alerting.kernel.windows import spread_of
from alerting.layout import (
    F_A,
    F_B,
    F_C,
    F_COUNT,
    F_D,
    F_DESPIKE,
    F_E,
    F_F,
    F_G,
    F_H,
    F_MASK,
    F_MIN,
    F_RING,
    F_WINDOW,
    NEVER,
    P_HEADER,
    Q_MASK,
    Q_RING,
    Q_WIDTH,
    S_HEADER,
    SF_OWN,
    SPAN,
    SQ_JUDGED,
    SQ_LAST,
    SQ_WIDTH,
)

_MINUTES_A_DAY = 1_440
_DAY_MS = 86_400_000
_SPIKE_DAYS, _SPIKE_READINGS = 14, 3
_MOST_OCCASIONS = 4
_MOST_LOOKED_AT = 384
_UNIT = 65_536
_UNKNOWN = 1.0e9


@compiled("boolean(int64[::1], int64, int64[::1], int64, int64, int64, int64, int64)", allocates=True)
def is_spike(program: Words, row: int, state: Words, ring: int, mask: int, ordinal: int, at: int, value: int) -> bool:
    """Return whether a reading lies further than F_DESPIKE from the median of the 14 days before it."""
    numbers = np.empty(_MOST_LOOKED_AT, np.float64)
    held = 0
    earlier = ordinal - 1
    while earlier >= 0 and held < min(_MOST_LOOKED_AT, program[row + F_COUNT]):
        here = place(ring, mask, earlier)
        if state[here] < at - _SPIKE_DAYS * _DAY_MS:
            break
        numbers[held] = state[here + 1]
        held += 1
        earlier -= 1
    if held < _SPIKE_READINGS:
        return False
    return bool(abs(value - middle(numbers, held)) > program[row + F_DESPIKE])


@compiled("int64(int64[::1], int64, int64)")
def occasion_of(program: Words, row: int, minute: int) -> int:
    """Return which occasion a minute of the day belongs to, -1 for none."""
    for occasion in range(_MOST_OCCASIONS):
        hours = program[row + F_E + occasion]
        if hours >= 0 and hours // SPAN <= minute < hours % SPAN:
            return occasion
    return -1


@compiled("int64(int64[::1], int64, int64[::1], int64, int64[:, ::1], int64, int64, int64, int64)")
def scheduled_mean(
    program: Words, row: int, state: Words, own: int, zone: Zone, ring: int, mask: int, ordinal: int, at: int
) -> int:
    """Return the mean over F_A local days of the first F_B readings of each occasion.

    F_C: the first of these days on which anything counts is left out. F_E to F_H: the occasions, each as from * SPAN +
    to. SF_OWN: how many readings were counted.
    """
    today = local_minutes(zone, at) // _MINUTES_A_DAY
    earliest = today - program[row + F_A] + 1
    if occasion_of(program, row, local_minutes(zone, at) % _MINUTES_A_DAY) < 0:
        state[own + SF_OWN] = 0
        return NEVER
    oldest = ordinal
    while oldest > 0 and ordinal - oldest + 1 < program[row + F_COUNT]:
        here = place(ring, mask, oldest - 1)
        if local_minutes(zone, state[here]) // _MINUTES_A_DAY < earliest:
            break
        oldest -= 1
    total, counted = 0, 0
    day, occasion, taken = NEVER, -1, 0
    left_out = NEVER
    for one in range(oldest, ordinal + 1):
        here = place(ring, mask, one)
        minutes = local_minutes(zone, state[here])
        mine = occasion_of(program, row, minutes % _MINUTES_A_DAY)
        if mine >= 0 and program[row + F_C] == 1 and left_out == NEVER:
            left_out = minutes // _MINUTES_A_DAY
        if mine < 0 or minutes // _MINUTES_A_DAY == left_out:
            continue
        if minutes // _MINUTES_A_DAY != day or mine != occasion:
            day, occasion, taken = minutes // _MINUTES_A_DAY, mine, 0
        if taken < program[row + F_B]:
            taken += 1
            counted += 1
            total += state[here + 1]
    state[own + SF_OWN] = counted
    return quotient(total, counted) if counted > 0 and counted >= program[row + F_MIN] else NEVER


@compiled("int64(int64, int64, int64, int64, int64, int64)")
def banded(value: int, three_low: int, two_low: int, one_low: int, one_high: int, two_high: int) -> int:
    """Return NEWS2's points of a value: at or under a low limit, at or over a high one. Never 3 for a high value."""
    if value <= three_low:
        return 3
    if value <= two_low:
        return 2
    if value <= one_low:
        return 1
    if value >= two_high:
        return 2
    return 1 if value >= one_high else 0


@compiled("int64(int64, int64, int64)")
def saturation_points(percent: int, scale: int, oxygen: int) -> int:
    """Return NEWS2's points of a saturation (RCP 2017), in whole %; scale 2 depends on oxygen above 92 %."""
    if scale == 1:
        return banded(percent, 91, 93, 95, 1_000, 1_000)
    if oxygen == 1 and percent >= 97:
        return 3
    if percent <= 87:
        return banded(percent, 83, 85, 87, 1_000, 1_000)
    return banded(percent, 0, 0, 0, 93, 95) if oxygen == 1 else 0


@compiled("int64(int64, int64, int64, int64)")
def points(which: int, count: int, scale: int, oxygen: int) -> int:
    """Return NEWS2's points of one input (RCP 2017), from quanta rounded to the chart's step, halves upwards.

    0 saturation, 1 systolic pressure, 2 pulse, 3 temperature, 4 respiratory rate.
    """
    whole = (count + 5) // 10
    if which == 0:
        return saturation_points(whole, scale, oxygen)
    if which == 1:
        return 3 if whole >= 220 else banded(whole, 90, 100, 110, 1_000, 1_000)
    if which == 2:
        return 3 if whole >= 131 else banded(whole, 40, 40, 50, 91, 111)
    if which == 3:
        return banded(whole, 350, 350, 360, 381, 391)
    return 3 if whole >= 25 else banded(whole, 8, 8, 11, 21, 21)


@compiled("int64(int64[::1], int64[::1], int64, int64, int64)")
def freshest(program: Words, state: Words, column: int, at: int, freshness: int) -> int:
    """Return the value of a column's last reading, NEVER when there is none or it is older than `freshness`."""
    if column < 0:
        return NEVER
    seen = S_HEADER + column * SQ_WIDTH
    if state[seen + SQ_JUDGED] == 0 or at - state[seen + SQ_LAST] > freshness:
        return NEVER
    held = P_HEADER + column * Q_WIDTH
    last = state[seen + SQ_JUDGED] - 1
    return int(state[place(program[held + Q_RING], program[held + Q_MASK], last) + 1])


@compiled("int64(int64[::1], int64, int64[::1], int64, int64)")
def news2(program: Words, row: int, state: Words, own: int, at: int) -> int:
    """Return NEWS2 over the fresh inputs; NEVER under the threshold F_H while one of them is not fresh.

    F_A to F_F: the columns of saturation, systolic pressure, pulse, temperature, respiratory rate and heart rate, -1
    for none; F_G: scale 2, oxygen and "any single 3" as bits. SF_OWN: a bit for each input that is not fresh.
    """
    settings, threshold = program[row + F_G], program[row + F_H]
    scale, oxygen, single = 1 + (settings & 1), (settings >> 1) & 1, (settings >> 2) & 1
    total, lacking, gravest = 2 * oxygen, 0, 0
    pulse, heart = program[row + F_C], program[row + F_F]
    # The fresher of pulse and heart rate; at the same time the pulse.
    if heart >= 0 and (
        pulse < 0 or state[S_HEADER + heart * SQ_WIDTH + SQ_LAST] > state[S_HEADER + pulse * SQ_WIDTH + SQ_LAST]
    ):
        pulse = heart
    for which in range(5):
        column = pulse if which == 2 else program[row + F_A + which]
        if column < 0:
            continue
        count = freshest(program, state, column, at, program[row + F_WINDOW])
        if count == NEVER:
            lacking |= 1 << which
            continue
        mine = points(which, count, scale, oxygen)
        total += mine
        gravest = max(gravest, mine)
    if single == 1 and gravest == 3:
        total = max(total, threshold)
    state[own + SF_OWN] = lacking
    return NEVER if lacking != 0 and total < threshold else total


@compiled("float64(int64[::1], int64, int64, int64, int64, int64, int64, int64, int64)", allocates=True)
def standardised(
    state: Words, ring: int, mask: int, end: int, count: int, at: int, value: int, prior: int, least: int
) -> float:
    """Return (value - median) / s over a ring's entries before `end` from 35 to 5 days ago.

    Without 8 of them 1e9; with `prior` negative the median is left out, and as few as none will do.
    """
    numbers = np.empty(_MOST_LOOKED_AT, np.float64)
    held, total, squares = 0, 0, 0
    one = end - 1
    while one >= 0 and end - one <= count and state[place(ring, mask, one)] >= at - 35 * _DAY_MS:
        here = place(ring, mask, one)
        if state[here] <= at - 5 * _DAY_MS:
            numbers[held] = state[here + 1]
            total += state[here + 1]
            squares += state[here + 1] * state[here + 1]
            held += 1
        one -= 1
    spread = spread_of(held, total, squares, 20, abs(prior) * 1.0, least * 1.0)
    if prior < 0:
        return value / spread
    return (value - middle(numbers, held)) / spread if held >= 8 else _UNKNOWN


@compiled("float64(float64, float64, float64)")
def likelihood(z: float, shift: float, most: float) -> float:
    """Return the log-likelihood ratio of a shift by `shift` deviations, clipped; 0 for an unknown z."""
    if z == _UNKNOWN:
        return 0.0
    return min(max(shift * z - shift * shift / 2.0, -0.6), most)


@compiled("float64(int64[::1], int64[::1], int64, int64, int64, int64, int64, int64)")
def own_past(
    program: Words, state: Words, column: int, at: int, freshness: int, count: int, prior: int, least: int
) -> float:
    """Return how far a column's fresh value lies from the patient's own past, in its deviations; 1e9 when unknown."""
    value = freshest(program, state, column, at, freshness)
    if value == NEVER:
        return _UNKNOWN
    held = P_HEADER + column * Q_WIDTH
    judged = state[S_HEADER + column * SQ_WIDTH + SQ_JUDGED]
    return float(
        standardised(state, program[held + Q_RING], program[held + Q_MASK], judged, count, at, value, prior, least)
    )


@compiled("int64(int64[::1], int64, int64[::1], int64, int64[:, ::1], int64, int64, int64, int64, int64)")
def heart_failure(
    program: Words,
    row: int,
    state: Words,
    own: int,
    zone: Zone,
    ring: int,
    mask: int,
    ordinal: int,
    at: int,
    value: int,
) -> int:
    """Return the log-odds of decompensation in thousandths, at the first weighing of a local day that is no spike.

    Its words: weighings taken, the short and the long mean of MACD, the sum as a float, the day after the last. F_B to
    F_E: the columns of pulse, heart rate, saturation and systolic pressure, -1 for none; its own ring keeps the MACDs.
    SF_OWN: a bit for each of pulse, saturation and pressure that has no part in it.
    """
    today = local_minutes(zone, at) // _MINUTES_A_DAY
    if today < state[own + 4] or is_spike(program, row, state, ring, mask, ordinal, at, value):
        return NEVER
    state[own + 4] = today + 1
    taken = state[own]
    if taken == 0:
        state[own + 1] = state[own + 2] = value * _UNIT
    state[own + 1] += quotient(2 * (value * _UNIT - state[own + 1]), 4)
    state[own + 2] += quotient(2 * (value * _UNIT - state[own + 2]), 15)
    macd = quotient(state[own + 1] - state[own + 2], _UNIT)
    kept, kept_mask = program[row + F_RING], program[row + F_MASK]
    state[place(kept, kept_mask, taken)] = at
    state[place(kept, kept_mask, taken) + 1] = macd
    state[own] = taken + 1
    if taken + 1 < program[row + F_MIN]:
        return NEVER
    freshness, count = program[row + F_WINDOW], program[row + F_COUNT]
    pulse, heart = program[row + F_B], program[row + F_C]
    if heart >= 0 and (
        pulse < 0 or state[S_HEADER + heart * SQ_WIDTH + SQ_LAST] > state[S_HEADER + pulse * SQ_WIDTH + SQ_LAST]
    ):
        pulse = heart
    rate = own_past(program, state, pulse, at, freshness, count, 55, 25)
    saturation = own_past(program, state, program[row + F_D], at, freshness, count, 12, 7)
    systolic = own_past(program, state, program[row + F_E], at, freshness, count, 105, 50)
    weight = standardised(state, kept, kept_mask, taken, kept_mask, at, macd, -360, 200)
    lacking = (1 if rate == _UNKNOWN else 0) | (2 if saturation == _UNKNOWN else 0)
    state[own + SF_OWN] = lacking | (4 if systolic == _UNKNOWN else 0)
    floats = state.view(np.float64)
    total = 0.5 * floats[own + 3] + likelihood(weight, 1.7, 8.0) + likelihood(rate, 0.5, 2.5)
    total += likelihood(saturation if saturation == _UNKNOWN else -saturation, 0.9, 2.5)
    total += likelihood(systolic if systolic == _UNKNOWN else abs(systolic) - 0.8, 0.6, 2.5)
    floats[own + 3] = max(total, 0.0)
    return int(floats[own + 3] * 1000.0)
