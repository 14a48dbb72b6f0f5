"""Features over a window of past readings: each turns a block of readings into a column of values.

Every function here takes (program, feature's row, state, feature's words, ring, mask, ordinal of the block's first
reading, times, values, the column to write). The block's readings lie in the ring already, and the ring keeps as many
older ones as the feature counts. A window holds the latest F_COUNT readings at most, with both its ends; windows slide
by a head (the ordinal of the oldest reading), so that a block costs one step a reading. No value is NEVER.
"""

import numpy as np

from alerting.kernel.arithmetic import quotient
from alerting.kernel.compiling import Words, compiled
from alerting.kernel.rings import place, queued, slid
from alerting.layout import (
    F_A,
    F_B,
    F_C,
    F_COUNT,
    F_KIND,
    F_LAG,
    F_MIN,
    F_WINDOW,
    LOWEST,
    NEVER,
    SPC,
)

FEATURE = "void(int64[::1], int64, int64[::1], int64, int64, int64, int64, int64[::1], int64[::1], int64[::1])"
_MS_A_MINUTE = 60_000
_BASIS_POINTS = 10_000
_THOUSAND = 1_000


@compiled("int64(int64, int64, int64)")
def moved(value: int, reference: int, relative: int) -> int:
    """Return value - reference, in basis points of the reference when `relative` is 1."""
    if relative == 0:
        return value - reference
    if reference <= 0:
        return NEVER
    return quotient((value - reference) * _BASIS_POINTS, reference)


@compiled(FEATURE)
def rate(
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
    """Change per minute since the oldest reading of the window, in thousandths of a quantum."""
    window, count, least = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_MIN]
    head = state[own]
    for index in range(times.shape[0]):
        at, ordinal = times[index], first + index
        head = slid(state, ring, mask, head, at - window, ordinal + 1 - count)
        oldest = place(ring, mask, head)
        span = at - state[oldest]
        if ordinal + 1 - head >= least and span > 0 and 2 * span >= window:
            column[index] = quotient((values[index] - state[oldest + 1]) * _MS_A_MINUTE * _THOUSAND, span)
        else:
            column[index] = NEVER
    state[own] = head


@compiled(FEATURE)
def extreme(
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
    """Value minus the lowest (LOWEST) or highest value of the window.

    A queue in the feature's own ring holds the ordinals of the candidates: times and values increase (or decrease)
    from its head on.
    """
    window, count, relative = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_A]
    sign = 1 if program[row + F_KIND] == LOWEST else -1
    queue = program[row + F_B]
    head, end = state[own], state[own + 1]
    for index in range(times.shape[0]):
        at, ordinal, value = times[index], first + index, values[index]
        while end > head and sign * state[place(ring, mask, state[queued(queue, mask, end - 1)]) + 1] >= (sign * value):
            end -= 1
        state[queued(queue, mask, end)] = ordinal
        end += 1
        while (
            state[queued(queue, mask, head)] < ordinal + 1 - count
            or state[place(ring, mask, state[queued(queue, mask, head)])] < at - window
        ):
            head += 1
        column[index] = moved(value, state[place(ring, mask, state[queued(queue, mask, head)]) + 1], relative)
    state[own], state[own + 1] = head, end


@compiled(FEATURE)
def since_first(
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
    """Value minus the oldest one of the window."""
    window, count, relative = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_A]
    head = state[own]
    for index in range(times.shape[0]):
        at, ordinal = times[index], first + index
        head = slid(state, ring, mask, head, at - window, ordinal + 1 - count)
        if head == ordinal:
            column[index] = NEVER
        else:
            column[index] = moved(values[index], state[place(ring, mask, head) + 1], relative)
    state[own] = head


@compiled("float64(int64, int64, int64, int64, float64, float64)")
def spread_of(held: int, total: int, squares: int, expected: int, prior: float, least: float) -> float:
    """Return s: s^2 = ((n - 1) s_i^2 + p s_p^2) / (n - 1 + p), not under `least`, which is positive."""
    within = (held * squares - total * total) / held if held > 1 else 0.0
    weight = max(held - 1, 0) + expected
    spread = np.sqrt((within + expected * prior * prior) / weight) if weight > 0 else 0.0
    return max(spread, least)


@compiled("int64(int64[::1], int64, int64, int64, int64, int64)")
def deviation(program: Words, row: int, value: int, held: int, total: int, squares: int) -> int:
    """Return (value - mean) / s in thousandths; F_A readings of the deviation F_B are expected, F_C is the least s."""
    spread = spread_of(held, total, squares, program[row + F_A], program[row + F_B] * 1.0, program[row + F_C] * 1.0)
    return int((value - total / held) / spread * _THOUSAND)


@compiled(FEATURE)
def from_mean(
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
    """Value minus the mean of the earlier readings from F_WINDOW to F_LAG ago; SPC: in thousandths of a deviation.

    Its words: head, the first ordinal not yet entered, their sum, the sum of their squares.
    """
    window, count, lag = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_LAG]
    least, kind, relative = program[row + F_MIN], program[row + F_KIND], program[row + F_A]
    head, entered, total, squares = state[own], state[own + 1], state[own + 2], state[own + 3]
    for index in range(times.shape[0]):
        at, ordinal, value = times[index], first + index, values[index]
        lowest = ordinal + 1 - count
        while entered < ordinal and state[place(ring, mask, entered)] <= at - lag:
            past = state[place(ring, mask, entered) + 1]
            total += past
            squares += past * past
            entered += 1
        while head < entered and (head < lowest or state[place(ring, mask, head)] < at - window):
            past = state[place(ring, mask, head) + 1]
            total -= past
            squares -= past * past
            head += 1
        entered = max(entered, head)
        held = entered - head
        if held < least:
            column[index] = NEVER
        elif kind == SPC:
            column[index] = deviation(program, row, value, held, total, squares)
        elif relative == 1:
            column[index] = NEVER if total <= 0 else quotient((value * held - total) * _BASIS_POINTS, total)
        else:
            column[index] = quotient(value * held - total, held)
    state[own], state[own + 1], state[own + 2], state[own + 3] = head, entered, total, squares


@compiled(FEATURE)
def share(
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
    """Share of the window's readings whose value times F_A (its sign) is at least F_B, in basis points."""
    window, count, least = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_MIN]
    sign, limit = program[row + F_A], program[row + F_B]
    head, beyond = state[own], state[own + 1]
    for index in range(times.shape[0]):
        at, ordinal = times[index], first + index
        beyond += 1 if sign * values[index] >= limit else 0
        while head < ordinal + 1 - count or state[place(ring, mask, head)] < at - window:
            beyond -= 1 if sign * state[place(ring, mask, head) + 1] >= limit else 0
            head += 1
        held = ordinal + 1 - head
        column[index] = NEVER if held < least else beyond * _BASIS_POINTS // held
    state[own], state[own + 1] = head, beyond


@compiled(FEATURE)
def flagged(
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
    """How many readings of the window carry one of the flags F_A; without a window, whether this one does."""
    window, count, flags = program[row + F_WINDOW], program[row + F_COUNT], program[row + F_A]
    head, found = state[own], state[own + 1]
    for index in range(times.shape[0]):
        at, ordinal = times[index], first + index
        mine = 1 if values[index] & flags else 0
        if window == 0:
            column[index] = mine
            continue
        found += mine
        while head < ordinal + 1 - count or state[place(ring, mask, head)] < at - window:
            found -= 1 if state[place(ring, mask, head) + 1] & flags else 0
            head += 1
        column[index] = found
    state[own], state[own + 1] = head, found
