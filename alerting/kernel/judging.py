"""The walk of readings through columns, features and rules.

Readings of one column that follow each other are judged in blocks of up to Q_BLOCK: each feature becomes a column of
values with its least and greatest, and a rule whose limits lie outside them is not even looked at. A block of one is
the same code: one reading or many, the state is the same to the last bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from alerting.kernel.compiling import Words, compiled
from alerting.kernel.forecasts import ar2, kalman, least_squares, pairwise_slopes
from alerting.kernel.local_days import Zone
from alerting.kernel.machine import compose, deadline_of, first_life, first_rule, pass_deadlines, put, walk
from alerting.kernel.memories import compression_low, jump, macd, offset, smoothed, stuck
from alerting.kernel.scores import heart_failure, is_spike, news2, scheduled_mean
from alerting.kernel.windows import extreme, flagged, from_mean, rate, share, since_first
from alerting.layout import (
    AR2,
    BLOCK,
    COMPOSITE,
    COMPRESSION,
    CUSUM,
    EWMA,
    F_DESPIKE,
    F_INPUTS,
    F_KIND,
    F_MASK,
    F_RING,
    F_WIDTH,
    FIRST,
    FLAGS,
    HEART_FAILURE,
    HIGHEST,
    HOLT_AR2,
    IDLE,
    JUDGED_VALUE,
    JUMP,
    KALMAN,
    LAYOUT,
    LINEAR,
    LOWEST,
    MACD,
    MEAN,
    MISSING,
    NEVER,
    NEWS2,
    OFFSET,
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
    R_AGE,
    R_COLUMN,
    R_END,
    R_FEATURE,
    R_KIND,
    R_MEMBER,
    R_OF,
    R_RAISE,
    R_SIGN,
    R_WIDTH,
    R_WINDOW,
    RATE,
    RING_ENTRY,
    ROBUST_LINEAR,
    S_EVENT_TIME,
    S_HEADER,
    S_LAYOUT,
    S_SINCE,
    SCHEDULE,
    SF_OWN,
    SF_WIDTH,
    SHARE,
    SPC,
    SQ_JUDGED,
    SQ_LAST,
    SQ_WIDTH,
    SR_KNOWN_AT,
    SR_ONSET,
    SR_PHASE,
    SR_TRUE_AT,
    SR_VALUE,
    SR_WIDTH,
    STANDING,
    STUCK,
    VALUE,
)

JUDGE = "UniTuple(int64, 2)(int64[::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[:, ::1])"
ADVANCE = "int64(int64[::1], int64[:, ::1], int64[::1], int64, int64[:, ::1])"
NEXT_DEADLINE = "int64(int64[::1], int64[:, ::1], int64[::1])"


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
        state[ring + (first & mask) * RING_ENTRY] = times[0]
        state[ring + (first & mask) * RING_ENTRY + 1] = values[0]
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


@compiled("UniTuple(int64, 3)(int64[::1])")
def range_of(column: Words) -> tuple[int, int, int]:
    """Return the least and the greatest value of a column, and the place of the last; -1 when it has none."""
    least, greatest, last = -NEVER, NEVER, -1
    for index in range(column.shape[0]):
        value = column[index]
        if value != NEVER:
            least = min(least, value)
            greatest = max(greatest, value)
            last = index
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


@compiled("int64(int64[::1], int64[::1], int64, int64, int64[::1], int64[:, ::1], int64)")
def end_absence(program: Words, state: Words, judged_in: int, first: int, times: Words, out: Words, rows: int) -> int:
    """End the absences that stand, and tell those between the readings of the block; return the rows of `out`.

    Absences before the block's first reading were raised already; within a block they are by age.
    """
    row, mine = first_rule(program), first_life(program)
    for rule in range(program[P_RULES]):
        if program[row + R_KIND] == MISSING and program[row + R_COLUMN] == judged_in:
            for index in range(times.shape[0]):
                if index > 0:
                    deadline = max(times[index - 1], state[S_SINCE]) + program[row + R_AGE]
                    if deadline < times[index]:
                        last = first + index - 1
                        state[mine + SR_PHASE] = STANDING
                        state[mine + SR_ONSET] = deadline
                        rows = put(out, rows, deadline, rule, 1, deadline, -1, last, last, NEVER, 0)
                if state[mine + SR_PHASE] == STANDING:
                    state[mine + SR_PHASE] = IDLE
                    onset, here = state[mine + SR_ONSET], first + index
                    rows = put(out, rows, times[index], rule, 0, onset, judged_in, here, here, NEVER, 0)
        row += R_WIDTH
        mine += SR_WIDTH
    return rows


@compiled("boolean(int64[::1], int64, int64[::1], int64, int64)")
def may_matter(program: Words, rule: int, state: Words, begin: int, acted: int) -> bool:
    """Return whether a composite could change in a block.

    Args:
        begin: time (ms UTC) of the block's first reading.
        acted: a bit for each member that stood somewhere in the block.
    """
    row, life = first_rule(program) + rule * R_WIDTH, first_life(program)
    if state[life + rule * SR_WIDTH + SR_PHASE] != IDLE:
        return True
    possible = 0
    for member in range(program[P_RULES]):
        if program[row + R_OF] >> member & 1 and (
            acted >> member & 1 or state[life + member * SR_WIDTH + SR_TRUE_AT] >= begin - program[row + R_WINDOW]
        ):
            possible += 1
    return bool(possible >= program[row + R_RAISE])


@compiled(
    "int64(int64[::1], int64[::1], int64, int64, int64, int64[::1], int64[::1], int64[::1], int64[:, ::1], int64)"
)
def judge_composites(
    program: Words,
    state: Words,
    judged_in: int,
    first: int,
    looked_at: int,
    times: Words,
    acts: Words,
    knowns: Words,
    out: Words,
    rows: int,
) -> int:
    """Take what the members did in a block through the composites that ask for them; return the rows of `out`.

    Args:
        looked_at: a bit for each rule whose readings the block holds.
        acts: shape (n,), a bit for each member that stood with a value at that reading; `knowns` that had one.
    """
    begin, life = first_rule(program), first_life(program)
    size, rules = times.shape[0], program[P_RULES]
    acted, matters = 0, size == 1
    for index in range(size):
        acted |= acts[index]
    for rule in range(rules):
        row = begin + rule * R_WIDTH
        if program[row + R_KIND] == COMPOSITE and program[row + R_OF] & looked_at and not matters:
            matters = may_matter(program, rule, state, times[0], acted)
    for index in range(size):
        if knowns[index] != 0:
            for member in range(rules):
                if knowns[index] >> member & 1:
                    state[life + member * SR_WIDTH + SR_KNOWN_AT] = times[index]
                    if acts[index] >> member & 1:
                        state[life + member * SR_WIDTH + SR_TRUE_AT] = times[index]
        if matters:
            for rule in range(rules):
                row = begin + rule * R_WIDTH
                if program[row + R_KIND] == COMPOSITE and program[row + R_OF] & looked_at:
                    rows = compose(program, rule, state, times[index], judged_in, first + index, out, rows)
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
        scratch: shape (3, BLOCK): a feature's values, and what members of composites did.
    """
    size = times.shape[0]
    seen, facts = S_HEADER + judged_in * SQ_WIDTH, P_HEADER + judged_in * Q_WIDTH
    ring, mask = program[facts + Q_RING], program[facts + Q_MASK]
    first, before = state[seen + SQ_JUDGED], state[seen + SQ_LAST]
    for index in range(size):
        entry = ring + ((first + index) & mask) * RING_ENTRY
        state[entry] = times[index]
        state[entry + 1] = values[index]
    state[seen + SQ_JUDGED] = first + size
    state[seen + SQ_LAST] = times[size - 1]
    column, acts, knowns = scratch[0, :size], scratch[1, :size], scratch[2, :size]
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
        rows = judge_composites(program, state, judged_in, first, looked_at, times, acts, knowns, out, rows)
    return rows


@compiled(JUDGE)
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
        out: shape (m, O_WIDTH) with m at least four times the number of rules.

    Returns:
        How many rows of `out` were written, a rule's own in order of time, and how many readings were judged: fewer
        than n when `out` is full. -1 and 0 when program, state and compiled code do not belong together.
    """
    if program[P_LAYOUT] != LAYOUT or state[S_LAYOUT] != LAYOUT:
        return -1, 0
    rules, total, room = program[P_RULES], times.shape[0], out.shape[0]
    scratch = np.empty((3, BLOCK), np.int64)
    rows, done = 0, 0
    while done < total:
        judged_in, size = columns[done], 1
        if judged_in >= 0:
            most = min(program[P_HEADER + judged_in * Q_WIDTH + Q_BLOCK], total - done)
            while size < most and columns[done + size] == judged_in:
                size += 1
        if rows + (2 * size + 2) * rules > room:
            size = 1
            if rows + 4 * rules > room:
                break
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


@compiled(ADVANCE)
def advance(program: Words, zone: Zone, state: Words, now: int, out: Words) -> int:
    """Let time pass to `now` (ms UTC); an earlier `now` than the state's changes nothing.

    Returns:
        How many rows of `out` were written; -1 when program, state and compiled code do not belong together.
    """
    if program[P_LAYOUT] != LAYOUT or state[S_LAYOUT] != LAYOUT:
        return -1
    state[S_EVENT_TIME] = max(state[S_EVENT_TIME], now)
    return int(pass_deadlines(program, state, zone, state[S_EVENT_TIME], -1, out, 0))


@compiled(NEXT_DEADLINE)
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
