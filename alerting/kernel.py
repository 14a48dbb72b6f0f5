"""The Numba functions: rules over readings, on flat arrays of int64.

`layout` says where each number lies. Every function is exact integer arithmetic and writes only the arrays that it is
given; nothing here knows a clock, a patient or a float. Run with NUMBA_DISABLE_JIT=1 the same source is plain Python.

The compiled code is kept on disk where a place can be written (beside this file, NUMBA_CACHE_DIR or the user's own
cache directory), and compiled again at each start where none can.
"""
# ruff: noqa: PLR0917 - compiled functions take their arguments by position

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from alerting.layout import (
    ENDING,
    IDLE,
    KIND_CHANGE,
    KIND_MISSING,
    LAYOUT,
    NEVER,
    O_AT,
    O_FIRST,
    O_LAST,
    O_ONSET,
    O_RAISED,
    O_RULE,
    P_HEADER,
    P_LAYOUT,
    P_QUANTITIES,
    P_RULES,
    PENDING,
    Q_GAP,
    Q_WIDTH,
    R_AGE,
    R_COLUMN,
    R_COUNT,
    R_END,
    R_END_PERSIST,
    R_KIND,
    R_PERSIST,
    R_RAISE,
    R_RING,
    R_SIGN,
    R_WIDTH,
    R_WINDOW,
    RING_ENTRY,
    RING_HEAD,
    RING_HEADER,
    RING_SIZE,
    S_EVENT_TIME,
    S_HEADER,
    S_LAYOUT,
    S_SINCE,
    SQ_JUDGED,
    SQ_LAST,
    SQ_WIDTH,
    SR_ENDING,
    SR_FIRST,
    SR_ONSET,
    SR_PHASE,
    SR_WIDTH,
    STANDING,
)

Words = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(signature: str) -> Callable[[Function], Function]:
    """Compile at import for one signature, keeping the result on disk where that is possible."""

    def compile_function(function: Function) -> Function:
        try:
            return cast("Function", numba.njit(signature, nogil=True, cache=True)(function))
        except (RuntimeError, OSError):  # no place for the cache can be written, or its disk is full
            return cast("Function", numba.njit(signature, nogil=True)(function))

    return compile_function


@_compiled("int64(int64[:, ::1], int64, int64, int64, int64, int64, int64, int64)")
def _put(out: Words, rows: int, at: int, rule: int, raised: int, onset: int, first: int, last: int) -> int:
    out[rows, O_AT] = at
    out[rows, O_RULE] = rule
    out[rows, O_RAISED] = raised
    out[rows, O_ONSET] = onset
    out[rows, O_FIRST] = first
    out[rows, O_LAST] = last
    return rows + 1


@_compiled("int64(int64[::1], int64[::1], int64, int64[:, ::1], int64)")
def _pass_deadlines(program: Words, state: Words, now: int, out: Words, rows: int) -> int:
    """Raise each missing rule whose deadline lies strictly before `now`; return how many rows `out` holds."""
    quantities = program[P_QUANTITIES]
    rules = program[P_RULES]
    row = P_HEADER + quantities * Q_WIDTH
    mine = S_HEADER + quantities * SQ_WIDTH
    for rule in range(rules):
        if program[row + R_KIND] == KIND_MISSING and state[mine + SR_PHASE] == IDLE:
            seen = S_HEADER + program[row + R_COLUMN] * SQ_WIDTH
            deadline = max(state[seen + SQ_LAST], state[S_SINCE]) + program[row + R_AGE]
            if deadline < now:
                state[mine + SR_PHASE] = STANDING
                state[mine + SR_ONSET] = deadline
                last = state[seen + SQ_JUDGED] - 1
                rows = _put(out, rows, deadline, rule, 1, deadline, last, last)
        row += R_WIDTH
        mine += SR_WIDTH
    return rows


@_compiled("UniTuple(int64, 2)(int64[::1], int64, int64[::1], int64, int64, int64)")
def _rise(program: Words, row: int, state: Words, t: int, x: int, ordinal: int) -> tuple[int, int]:
    """Return x minus the least value of the window that ends at `t`, and the ordinal of the latest such value.

    The ring holds the window's candidates for the least value: times and values increase from its head on.
    """
    ring = program[row + R_RING]
    entries = ring + RING_HEADER
    count = program[row + R_COUNT]
    head = state[ring + RING_HEAD]
    size = state[ring + RING_SIZE]
    oldest = t - program[row + R_WINDOW]
    while size > 0 and (
        state[entries + head * RING_ENTRY] < oldest or state[entries + head * RING_ENTRY + 2] <= ordinal - count
    ):
        head = (head + 1) % count
        size -= 1
    while size > 0 and state[entries + (head + size - 1) % count * RING_ENTRY + 1] >= x:
        size -= 1
    new = entries + (head + size) % count * RING_ENTRY
    state[new] = t
    state[new + 1] = x
    state[new + 2] = ordinal
    state[ring + RING_HEAD] = head
    state[ring + RING_SIZE] = size + 1
    least = entries + head * RING_ENTRY
    return x - state[least + 1], state[least + 2]


@_compiled(
    "int64(int64[::1], int64, int64, int64[::1], int64, int64, int64, int64, int64, int64, int64[:, ::1], int64)"
)
def _step(
    program: Words,
    row: int,
    rule: int,
    state: Words,
    mine: int,
    t: int,
    x: int,
    reference: int,
    ordinal: int,
    silent: int,
    out: Words,
    rows: int,
) -> int:
    """Take one value through a rule's life: idle, pending, standing, ending.

    `reference` is the ordinal of the first reading to show, -1 for the first of the run; `silent` is 1 after a gap.
    """
    phase = state[mine + SR_PHASE]
    if phase in (IDLE, PENDING):
        # A run never begins at the very time at which an alert ended: two alerts of a rule have two onsets.
        if x < program[row + R_RAISE] or (phase == IDLE and t == state[mine + SR_ENDING]):
            state[mine + SR_PHASE] = IDLE
            return rows
        if phase == IDLE or silent == 1:
            state[mine + SR_PHASE] = PENDING
            state[mine + SR_ONSET] = t
            state[mine + SR_FIRST] = ordinal
        onset = state[mine + SR_ONSET]
        # Nothing is raised before watching begins; what is already true then is raised at the first reading after.
        if t - onset >= program[row + R_PERSIST] and t >= state[S_SINCE]:
            state[mine + SR_PHASE] = STANDING
            first = state[mine + SR_FIRST] if reference < 0 else reference
            return _put(out, rows, t, rule, 1, onset, first, ordinal)
        return rows
    if x >= program[row + R_END]:
        state[mine + SR_PHASE] = STANDING
        return rows
    if phase == STANDING or silent == 1:
        state[mine + SR_PHASE] = ENDING
        state[mine + SR_ENDING] = t
    if t - state[mine + SR_ENDING] >= program[row + R_END_PERSIST]:
        state[mine + SR_PHASE] = IDLE
        state[mine + SR_ENDING] = t
        return _put(out, rows, t, rule, 0, state[mine + SR_ONSET], ordinal, ordinal)
    return rows


@_compiled("int64(int64[::1], int64[::1], int64, int64, int64, int64[:, ::1], int64)")
def _judge_one(program: Words, state: Words, t: int, column: int, count: int, out: Words, rows: int) -> int:
    """Take one reading through every rule of its quantity."""
    quantities = program[P_QUANTITIES]
    seen = S_HEADER + column * SQ_WIDTH
    ordinal = state[seen + SQ_JUDGED]
    last = state[seen + SQ_LAST]
    gap = program[P_HEADER + column * Q_WIDTH + Q_GAP]
    silent = 1 if gap > 0 and last != NEVER and t - last > gap else 0
    row = P_HEADER + quantities * Q_WIDTH
    mine = S_HEADER + quantities * SQ_WIDTH
    for rule in range(program[P_RULES]):
        if program[row + R_COLUMN] == column:
            kind = program[row + R_KIND]
            if kind == KIND_MISSING:
                if state[mine + SR_PHASE] == STANDING:
                    state[mine + SR_PHASE] = IDLE
                    rows = _put(out, rows, t, rule, 0, state[mine + SR_ONSET], ordinal, ordinal)
            elif kind == KIND_CHANGE:
                risen, reference = _rise(program, row, state, t, program[row + R_SIGN] * count, ordinal)
                rows = _step(program, row, rule, state, mine, t, risen, reference, ordinal, silent, out, rows)
            else:
                x = program[row + R_SIGN] * count
                rows = _step(program, row, rule, state, mine, t, x, -1, ordinal, silent, out, rows)
        row += R_WIDTH
        mine += SR_WIDTH
    state[seen + SQ_JUDGED] = ordinal + 1
    state[seen + SQ_LAST] = t
    return rows


@_compiled("UniTuple(int64, 2)(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[:, ::1])")
def judge(program: Words, state: Words, times: Words, columns: Words, counts: Words, out: Words) -> tuple[int, int]:
    """Judge readings in canonical order.

    Args:
        program: see `layout`.
        state: changed in place.
        times: ms UTC, shape (n,).
        columns: row of each reading's quantity, -1 for a quantity that no rule judges, shape (n,).
        counts: values in quanta, shape (n,).
        out: shape (m, O_WIDTH) with m at least twice the number of rules.

    Returns:
        How many rows of `out` were written and how many readings were judged: fewer than n when `out` is full. -1 and
        0 when program, state and compiled code do not belong together.
    """
    if program[P_LAYOUT] != LAYOUT or state[S_LAYOUT] != LAYOUT:
        return -1, 0
    rows = 0
    done = 0
    room = out.shape[0] - 2 * program[P_RULES]
    while done < times.shape[0] and rows <= room:
        t = times[done]
        rows = _pass_deadlines(program, state, t, out, rows)
        if columns[done] >= 0:
            rows = _judge_one(program, state, t, columns[done], counts[done], out, rows)
        state[S_EVENT_TIME] = max(state[S_EVENT_TIME], t)
        done += 1
    return rows, done


@_compiled("int64(int64[::1], int64[::1], int64, int64[:, ::1])")
def advance(program: Words, state: Words, now: int, out: Words) -> int:
    """Let time pass to `now` (ms UTC); an earlier `now` than the state's changes nothing.

    Returns:
        How many rows of `out` were written; -1 when program, state and compiled code do not belong together.
    """
    if program[P_LAYOUT] != LAYOUT or state[S_LAYOUT] != LAYOUT:
        return -1
    state[S_EVENT_TIME] = max(state[S_EVENT_TIME], now)
    return _pass_deadlines(program, state, state[S_EVENT_TIME], out, 0)


@_compiled("int64(int64[::1], int64[::1])")
def next_deadline(program: Words, state: Words) -> int:
    """Return the earliest deadline (ms UTC) of a missing rule that does not stand; NEVER when there is none."""
    quantities = program[P_QUANTITIES]
    row = P_HEADER + quantities * Q_WIDTH
    mine = S_HEADER + quantities * SQ_WIDTH
    earliest = NEVER
    for _ in range(program[P_RULES]):
        if program[row + R_KIND] == KIND_MISSING and state[mine + SR_PHASE] == IDLE:
            seen = S_HEADER + program[row + R_COLUMN] * SQ_WIDTH
            deadline = max(state[seen + SQ_LAST], state[S_SINCE]) + program[row + R_AGE]
            if earliest == NEVER or deadline < earliest:
                earliest = deadline
        row += R_WIDTH
        mine += SR_WIDTH
    return earliest
