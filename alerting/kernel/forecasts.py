"""Features that look ahead: least squares, pairwise slopes, AR2, a damped trend, and a Kalman filter.

They take what `windows` takes. A pause longer than F_BREAK begins each of them anew. Glucose models reckon in mg/dL,
a tenth of which is one count. F_A is -1 when low values are dreaded and 1 when high ones are, F_B the horizon in ms.
A float in a state lies as its bits.
"""

import numpy as np

from alerting.kernel.arithmetic import exponential, logarithm, normal
from alerting.kernel.compiling import Floats, Words, compiled
from alerting.kernel.rings import place, slid
from alerting.kernel.windows import FEATURE
from alerting.layout import (
    F_A,
    F_B,
    F_BREAK,
    F_C,
    F_COUNT,
    F_KIND,
    F_MIN,
    F_WINDOW,
    HOLT_AR2,
    NEVER,
)

_COUNTS = 10.0
_SECOND = 1_000
"""A mg/dL."""
_MS_A_MINUTE = 60_000.0
_STEP_MS = 300_000
_PAIRS_OF = 12
_CENTRE = 1_400.0
"""AR2 reckons from 140 mg/dL; Nightscout, lib/plugins/ar2.js."""
_AR2_LAST, _AR2_BEFORE = 1.716, -0.723
_AR2_STEPS = 6
_HOLT_TAU = 15.0
_HOLT_KEEP = -0.2231435513142097
"""ln 0.8: what is kept of the trend in 5 min."""
_DAMPED_20_MIN = 11.0460429282641
"""15 (1 - exp(-20 / 15))."""
_KALMAN_TAU = 20.0
_KALMAN_NOISE = 0.06
_KALMAN_R, _KALMAN_R_LEAST, _KALMAN_R_MOST = 4.0, 1.0, 60.0
_KALMAN_SURPRISE = 100.0
_PROBABILITY = 10_000.0


@compiled("int64(float64)")
def rounded(x: float) -> int:
    """Return the nearest whole number, halves upwards."""
    return int(np.floor(x + 0.5))


@compiled(FEATURE)
def least_squares(
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
    """The line through the window's readings, F_B ms ahead.

    Its words: head, the time of the last reading, and sums over the window of x, x^2, y and xy, with x in whole seconds
    before that time: moving on shifts them exactly, and the longest window that may be written keeps them in int64.
    """
    window, count, least = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_MIN]
    horizon, longest = program[row + F_B], program[row + F_BREAK]
    head, last = state[own], state[own + 1]
    sum_x, sum_xx, sum_y, sum_xy = state[own + 2], state[own + 3], state[own + 4], state[own + 5]
    for index in range(times.shape[0]):
        at, ordinal, value = times[index], first + index, values[index]
        if ordinal == head or at - last > longest:
            head = ordinal
            sum_x, sum_xx, sum_y, sum_xy = 0, 0, 0, 0
        held = ordinal - head
        step = at // _SECOND - last // _SECOND if held > 0 else 0
        # What the window leaves goes before the others move on, so that no sum grows beyond the window's own.
        while head < ordinal and (head < ordinal + 1 - count or state[place(ring, mask, head)] < at - window):
            x = state[place(ring, mask, head)] // _SECOND - last // _SECOND
            y = state[place(ring, mask, head) + 1]
            sum_x -= x
            sum_xx -= x * x
            sum_y -= y
            sum_xy -= x * y
            head += 1
            held -= 1
        if held > 0:
            sum_xx += held * step * step - 2 * step * sum_x
            sum_xy -= step * sum_y
            sum_x -= held * step
        sum_y += value
        held += 1
        last = at
        spread = held * sum_xx - sum_x * sum_x
        oldest = state[place(ring, mask, head)]
        if held >= least and 2 * (at - oldest) >= window and spread > 0:
            slope = (held * sum_xy - sum_x * sum_y) / spread
            column[index] = rounded(sum_y / held + slope * (horizon / _SECOND - sum_x / held))
        else:
            column[index] = NEVER
    state[own], state[own + 1] = head, last
    state[own + 2], state[own + 3], state[own + 4], state[own + 5] = sum_x, sum_xx, sum_y, sum_xy


@compiled("float64(float64[::1], int64)")
def middle(numbers: Floats, held: int) -> float:
    """Return the median of the first `held` numbers, which it sorts."""
    for upper in range(1, held):
        number = numbers[upper]
        place = upper
        while place > 0 and numbers[place - 1] > number:
            numbers[place] = numbers[place - 1]
            place -= 1
        numbers[place] = number
    half = held // 2
    return float(numbers[half]) if held % 2 else 0.5 * (numbers[half - 1] + numbers[half])


@compiled(FEATURE, allocates=True)
def pairwise_slopes(
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
    """The median slope between all pairs of the window's latest 12 readings, and the median level, F_B ms ahead.

    Its words: head, the time of the last reading.
    """
    window, count, least = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_MIN]
    horizon, longest = program[row + F_B], program[row + F_BREAK]
    numbers = np.empty(_PAIRS_OF * (_PAIRS_OF - 1) // 2, np.float64)
    head, last = state[own], state[own + 1]
    for index in range(times.shape[0]):
        at, ordinal = times[index], first + index
        if at - last > longest:
            head = ordinal
        last = at
        head = slid(state, ring, mask, head, at - window, ordinal + 1 - count)
        column[index] = NEVER
        span = at - state[place(ring, mask, head)]
        if ordinal + 1 - head < least or 2 * span < window:
            continue
        begin = max(head, ordinal + 1 - _PAIRS_OF)
        pairs = 0
        for later in range(begin + 1, ordinal + 1):
            there = place(ring, mask, later)
            for earlier in range(begin, later):
                here = place(ring, mask, earlier)
                if state[there] > state[here]:
                    numbers[pairs] = (state[there + 1] - state[here + 1]) / (state[there] - state[here])
                    pairs += 1
        if pairs == 0:
            continue
        slope = middle(numbers, pairs)
        for level in range(begin, ordinal + 1):
            here = place(ring, mask, level)
            numbers[level - begin] = state[here + 1] + slope * (at - state[here])
        column[index] = rounded(middle(numbers, ordinal + 1 - begin) + slope * horizon)
    state[own], state[own + 1] = head, last


@compiled("float64(int64[::1], int64, int64, int64, int64, int64)")
def five_minutes_ago(state: Words, ring: int, mask: int, begin: int, ordinal: int, at: int) -> float:
    """Return the value 5 min before `at` between the run's readings; its oldest when the run is shorter."""
    then = at - _STEP_MS
    earlier = ordinal
    while earlier > begin and state[place(ring, mask, earlier)] > then:
        earlier -= 1
    here = place(ring, mask, earlier)
    if state[here] >= then or earlier == ordinal:
        return float(state[here + 1])
    there = place(ring, mask, earlier + 1)
    part = (then - state[here]) / (state[there] - state[here])
    return float(state[here + 1] + (state[there + 1] - state[here + 1]) * part)


@compiled("float64(float64, float64, int64, int64)")
def ar2_path(last: float, before: float, steps: int, sign: int) -> float:
    """Return the most dreaded count on the way of `steps` times 5 min."""
    current, previous = logarithm(last / _CENTRE), logarithm(before / _CENTRE)
    worst = 0.0
    for step in range(steps):
        current, previous = _AR2_LAST * current + _AR2_BEFORE * previous, current
        if step == 0 or sign * current > sign * worst:
            worst = current
    # Beyond e^7 times 140 mg/dL nothing is a glucose: a hundred readings of noise must not overflow.
    return _CENTRE * exponential(min(max(worst, -7.0), 7.0))


@compiled(FEATURE)
def ar2(
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
    """AR2 alone, or its mean with a damped trend (HOLT_AR2).

    Its words: readings so far, the run's first ordinal, the time and value of the last, the trend in counts a minute.
    """
    kind, sign, longest = program[row + F_KIND], program[row + F_A], program[row + F_BREAK]
    steps = _AR2_STEPS if kind == HOLT_AR2 else program[row + F_B] // _STEP_MS
    floats = state.view(np.float64)
    seen, begin, last, before, trend = state[own], state[own + 1], state[own + 2], state[own + 3], floats[own + 4]
    for index in range(times.shape[0]):
        at, ordinal, value = times[index], first + index, values[index]
        if seen == 0 or at - last > longest:
            begin, trend = ordinal, 0.0
        elif kind == HOLT_AR2 and at > last:
            minutes = (at - last) / _MS_A_MINUTE
            learnt = 1.0 - exponential(_HOLT_KEEP * minutes / 5.0)
            trend = (1.0 - learnt) * exponential(-minutes / _HOLT_TAU) * trend + learnt * (value - before) / minutes
        seen += 1
        last, before = at, value
        path = ar2_path(value * 1.0, five_minutes_ago(state, ring, mask, begin, ordinal, at), steps, sign)
        if kind == HOLT_AR2:
            path = (value + _DAMPED_20_MIN * trend + path) / 2.0
        column[index] = rounded(path)
    state[own], state[own + 1], state[own + 2], state[own + 3] = seen, begin, last, before
    floats[own + 4] = trend


@compiled(FEATURE)
def kalman(
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
    """The greatest probability, over 5, 10, 15 and 20 min, of being beyond F_C counts, in basis points.

    Its words: readings so far, the time of the last, and as floats level, velocity, P00, P01, P11, R.
    """
    sign, limit, longest = program[row + F_A], program[row + F_C] / _COUNTS, program[row + F_BREAK]
    floats = state.view(np.float64)
    seen, last = state[own], state[own + 1]
    x, v, p00 = floats[own + 2], floats[own + 3], floats[own + 4]
    p01, p11, noise = floats[own + 5], floats[own + 6], floats[own + 7]
    for index in range(times.shape[0]):
        at, y = times[index], values[index] / _COUNTS
        if seen == 0 or at - last > longest:
            x, v, p00, p01, p11, noise = y, 0.0, _KALMAN_R, 0.0, 1.0, _KALMAN_R
        else:
            dt = (at - last) / _MS_A_MINUTE
            kept = exponential(-dt / _KALMAN_TAU)
            f = _KALMAN_TAU * (1.0 - kept)
            x, v = x + f * v, kept * v
            n00 = p00 + 2.0 * f * p01 + f * f * p11 + _KALMAN_NOISE * dt * dt * dt / 3.0
            n01 = kept * (p01 + f * p11) + _KALMAN_NOISE * dt * dt / 2.0
            n11 = kept * kept * p11 + _KALMAN_NOISE * dt
            off = y - x
            surprise = min(max(off * off - n00, 0.0), _KALMAN_SURPRISE)
            noise = min(max(0.95 * noise + 0.05 * surprise, _KALMAN_R_LEAST), _KALMAN_R_MOST)
            whole = n00 + noise
            k0, k1 = n00 / whole, n01 / whole
            x, v = x + k0 * off, v + k1 * off
            p00, p01, p11 = (1.0 - k0) * n00, (1.0 - k0) * n01, n11 - k1 * n01
        seen += 1
        last = at
        nearest = -1.0e9
        for quarter in range(1, 5):
            h = 5.0 * quarter
            f = _KALMAN_TAU * (1.0 - exponential(-h / _KALMAN_TAU))
            variance = p00 + 2.0 * f * p01 + f * f * p11 + _KALMAN_NOISE * h * h * h / 3.0 + noise
            nearest = max(nearest, sign * (x + f * v - limit) / np.sqrt(variance))
        column[index] = rounded(_PROBABILITY * normal(nearest))
    state[own], state[own + 1] = seen, last
    floats[own + 2], floats[own + 3], floats[own + 4] = x, v, p00
    floats[own + 5], floats[own + 6], floats[own + 7] = p01, p11, noise
