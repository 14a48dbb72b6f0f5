"""The walk of readings through columns, features and rules.

Readings of one column that follow each other are judged in blocks of up to Q_BLOCK: each feature becomes a column of
values with its least and greatest, and a rule whose limits lie outside them is not even looked at. A block of one is
the same code: one reading or many, the state is the same to the last bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from alerting.kernel.absences import deadline_of, end_absence, pass_deadlines
from alerting.kernel.compiling import Words, compiled
from alerting.kernel.composites import W_ACTS, W_COLUMN, W_HEIGHT, W_KNOWNS, judge_composites
from alerting.kernel.features import evaluate
from alerting.kernel.local_days import Zone
from alerting.kernel.machine import first_life, first_rule, walk
from alerting.kernel.rings import place
from alerting.layout import (
    BLOCK,
    COMPOSITE,
    F_INPUTS,
    F_KIND,
    F_WIDTH,
    IDLE,
    JUDGED_VALUE,
    LAYOUT,
    MISSING,
    NEVER,
    P_COLUMNS,
    P_FEATURES,
    P_HEADER,
    P_LAYOUT,
    P_RULES,
    Q_BLOCK,
    Q_GAP,
    Q_MASK,
    Q_RING,
    Q_RULES,
    Q_WIDTH,
    R_END,
    R_FEATURE,
    R_KIND,
    R_MEMBER,
    R_RAISE,
    R_SIGN,
    R_WIDTH,
    S_EVENT_TIME,
    S_HEADER,
    S_LAYOUT,
    SF_OWN,
    SF_WIDTH,
    SQ_JUDGED,
    SQ_LAST,
    SQ_WIDTH,
    SR_PHASE,
    SR_VALUE,
    SR_WIDTH,
    STANDING,
    VALUE,
)

JUDGE = "UniTuple(int64, 2)(int64[::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[:, ::1])"
ADVANCE = "int64(int64[::1], int64[:, ::1], int64[::1], int64, int64[:, ::1])"
NEXT_DEADLINE = "int64(int64[::1], int64[:, ::1], int64[::1])"


@compiled("UniTuple(int64, 3)(int64[::1])")
def range_of(column: Words) -> tuple[int, int, int]:
    """Return the least and the greatest value of a column, and the place of the last; -1 when it has none."""
    # Without a branch a reading: NEVER is under every value.
    least, greatest = -NEVER, NEVER
    for index in range(column.shape[0]):
        value = column[index]
        greatest = max(greatest, value)
        least = min(least, value if value != NEVER else -NEVER)
    last = column.shape[0] - 1
    while last >= 0 and column[last] == NEVER:
        last -= 1
    return least, greatest, last


@compiled(
    "int64(int64[::1], int64, int64[::1], int64, int64, int64, int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[:, ::1], int64)"
)
def judge_feature(
    program: Words,
    feature: int,
    state: Words,
    judged_in: int,
    before: int,
    first: int,
    times: Words,
    column: Words,
    acts: Words,
    knowns: Words,
    out: Words,
    rows: int,
) -> int:
    """Take a feature's column through the rules that share it; return how many rows `out` holds."""
    least, greatest, last = range_of(column)
    gap = program[P_HEADER + judged_in * Q_WIDTH + Q_GAP]
    own = state[S_HEADER + program[P_COLUMNS] * SQ_WIDTH + feature * SF_WIDTH + SF_OWN]
    row, mine = first_rule(program), first_life(program)
    for rule in range(program[P_RULES]):
        if program[row + R_KIND] == JUDGED_VALUE and program[row + R_FEATURE] == feature:
            member = program[row + R_MEMBER]
            if member == 1:
                for index in range(times.shape[0]):
                    if column[index] != NEVER:
                        knowns[index] |= 1 << rule
            highest = greatest if program[row + R_SIGN] > 0 else -least
            lowest = least if program[row + R_SIGN] > 0 else -greatest
            phase = state[mine + SR_PHASE]
            if phase == STANDING and (last < 0 or lowest >= program[row + R_END]):
                if member == 1:
                    for index in range(times.shape[0]):
                        if column[index] != NEVER:
                            acts[index] |= 1 << rule
            elif not (phase == IDLE and (last < 0 or highest < program[row + R_RAISE])):
                rows = walk(
                    program,
                    row,
                    rule,
                    state,
                    mine,
                    before,
                    times,
                    column,
                    gap,
                    judged_in,
                    first,
                    own,
                    acts,
                    member,
                    out,
                    rows,
                )
            if last >= 0:
                state[mine + SR_VALUE] = column[last]
        row += R_WIDTH
        mine += SR_WIDTH
    return rows


@compiled(
    "int64(int64[::1], int64[:, ::1], int64[::1], int64, int64[::1], int64[::1], int64[:, ::1], int64[:, ::1], int64)"
)
def judge_block(
    program: Words,
    zone: Zone,
    state: Words,
    judged_in: int,
    times: Words,
    values: Words,
    scratch: Words,
    out: Words,
    rows: int,
) -> int:
    """Judge readings of one column that follow each other; return how many rows `out` holds.

    Args:
        scratch: shape (W_HEIGHT, BLOCK), see `composites`.
    """
    size = times.shape[0]
    seen, facts = S_HEADER + judged_in * SQ_WIDTH, P_HEADER + judged_in * Q_WIDTH
    ring, mask = program[facts + Q_RING], program[facts + Q_MASK]
    first, before = state[seen + SQ_JUDGED], state[seen + SQ_LAST]
    for index in range(size):
        entry = place(ring, mask, first + index)
        state[entry] = times[index]
        state[entry + 1] = values[index]
    state[seen + SQ_JUDGED] = first + size
    state[seen + SQ_LAST] = times[size - 1]
    column, acts, knowns = scratch[W_COLUMN, :size], scratch[W_ACTS, :size], scratch[W_KNOWNS, :size]
    acts[:] = 0
    knowns[:] = 0
    row = P_HEADER + program[P_COLUMNS] * Q_WIDTH
    own = S_HEADER + program[P_COLUMNS] * SQ_WIDTH
    for feature in range(program[P_FEATURES]):
        if program[row + F_INPUTS] >> judged_in & 1:
            if program[row + F_KIND] == VALUE:
                rows = judge_feature(
                    program, feature, state, judged_in, before, first, times, values, acts, knowns, out, rows
                )
            else:
                evaluate(program, row, state, own, zone, ring, mask, first, times, values, column)
                rows = judge_feature(
                    program, feature, state, judged_in, before, first, times, column, acts, knowns, out, rows
                )
        row += F_WIDTH
        own += SF_WIDTH
    rows = end_absence(program, state, judged_in, first, times, out, rows)
    looked_at = program[facts + Q_RULES]
    if looked_at != 0:
        rows = judge_composites(program, state, judged_in, first, looked_at, times, scratch, out, rows)
    return rows


@compiled(
    "UniTuple(int64, 2)(int64[::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[:, ::1],"
    " int64[:, ::1])"
)
def judge_all(
    program: Words, zone: Zone, state: Words, times: Words, columns: Words, values: Words, scratch: Words, out: Words
) -> tuple[int, int]:
    """Do what `judge` says, block by block; `scratch` as in `judge_block`."""
    rules, total, room = program[P_RULES], times.shape[0], out.shape[0]
    begin, absences, composites = first_rule(program), 0, 0
    for rule in range(rules):
        absences += program[begin + rule * R_WIDTH + R_KIND] == MISSING
        composites += program[begin + rule * R_WIDTH + R_KIND] == COMPOSITE
    # Each absence is raised once at most while time passes, and every composite may turn at each.
    room -= absences * (1 + composites)
    if room < 4 * rules:
        return -1, 0
    rows, done = 0, 0
    while done < total:
        judged_in, size = columns[done], 1
        if judged_in >= 0:
            most = min(program[P_HEADER + judged_in * Q_WIDTH + Q_BLOCK], total - done)
            coming = columns[done : done + most]
            while size < most and coming[size] == judged_in:
                size += 1
        # What a block may write at most must find room. Who asked empties `out` and goes on; a small one takes less.
        if rows + (2 * size + 2) * rules > room:
            if rows > 0:
                break
            size = max(1, room // (2 * rules) - 1)
        last = done + size - 1
        rows = pass_deadlines(program, state, zone, times[done], -1, out, rows)
        if judged_in >= 0:
            end = last + 1
            rows = judge_block(program, zone, state, judged_in, times[done:end], values[done:end], scratch, out, rows)
            if size > 1:
                rows = pass_deadlines(program, state, zone, times[last], judged_in, out, rows)
        state[S_EVENT_TIME] = max(state[S_EVENT_TIME], times[last])
        done += size
    return rows, done


@compiled(JUDGE, allocates=True)
def judge(
    program: Words, zone: Zone, state: Words, times: Words, columns: Words, values: Words, out: Words
) -> tuple[int, int]:
    """Judge readings in canonical order.

    Args:
        program: see `layout`.
        zone: offsets of the patient's zone, see `alerting.local_time`.
        state: changed in place.
        times: ms UTC, shape (n,).
        columns: each reading's column, -1 for one that no rule judges, shape (n,).
        values: in quanta, or flags, shape (n,).
        out: shape (m, O_WIDTH) with m at least four times the number of rules, and for each missing rule one more and
            one for each composite.

    Returns:
        How many rows of `out` were written, a rule's own in order of time, and how many readings were judged: fewer
        than n when `out` is full. -1 and 0 when program, state and compiled code do not belong together, or `out` is
        too small.
    """
    if program[P_LAYOUT] != LAYOUT or state[S_LAYOUT] != LAYOUT:
        return -1, 0
    return judge_all(program, zone, state, times, columns, values, np.empty((W_HEIGHT, BLOCK), np.int64), out)


@compiled(ADVANCE, allocates=True)
def advance(program: Words, zone: Zone, state: Words, now: int, out: Words) -> int:
    """Let time pass to `now` (ms UTC); an earlier `now` than the state's changes nothing.

    Returns:
        How many rows of `out` were written; -1 when program, state and compiled code do not belong together.
    """
    if program[P_LAYOUT] != LAYOUT or state[S_LAYOUT] != LAYOUT:
        return -1
    state[S_EVENT_TIME] = max(state[S_EVENT_TIME], now)
    return int(pass_deadlines(program, state, zone, state[S_EVENT_TIME], -1, out, 0))


@compiled(NEXT_DEADLINE, allocates=True)
def next_deadline(program: Words, zone: Zone, state: Words) -> int:
    """Return the earliest deadline (ms UTC) of a missing rule that does not stand; NEVER when there is none."""
    begin, life = first_rule(program), first_life(program)
    earliest = NEVER
    for rule in range(program[P_RULES]):
        row = begin + rule * R_WIDTH
        if program[row + R_KIND] == MISSING and state[life + rule * SR_WIDTH + SR_PHASE] == IDLE:
            deadline = deadline_of(program, row, state, zone)
            if earliest == NEVER or deadline < earliest:
                earliest = deadline
    return earliest


EXPORTS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("judge", JUDGE, judge),
    ("advance", ADVANCE, advance),
    ("next_deadline", NEXT_DEADLINE, next_deadline),
)
"""What is compiled ahead of time: name, signature, function."""
