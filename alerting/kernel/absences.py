"""Rules that miss readings: their deadlines, by age or by schedule, and what passing time raises."""

from alerting.kernel.compiling import Words, compiled
from alerting.kernel.composites import compose
from alerting.kernel.local_days import Zone, local_minutes, utc_ms
from alerting.kernel.machine import first_life, first_rule, put
from alerting.layout import (
    COMPOSITE,
    IDLE,
    MISSING,
    NEVER,
    P_RULES,
    R_AGE,
    R_BY,
    R_COLUMN,
    R_DAYS,
    R_KIND,
    R_OF,
    R_WIDTH,
    S_HEADER,
    S_SINCE,
    SQ_JUDGED,
    SQ_LAST,
    SQ_WIDTH,
    SR_ONSET,
    SR_PHASE,
    SR_WIDTH,
    STANDING,
)

_MINUTES_A_DAY = 1_440
_THURSDAY = 3
"""Of 1970-01-01, Monday being 0."""


@compiled("int64(int64[::1], int64, int64[::1], int64[:, ::1])")
def deadline_of(program: Words, row: int, state: Words, zone: Zone) -> int:
    """Return when (ms UTC) a missing rule's next reading will have been due, grace included."""
    seen = S_HEADER + program[row + R_COLUMN] * SQ_WIDTH
    last, since = state[seen + SQ_LAST], state[S_SINCE]
    if program[row + R_BY] < 0:
        return int(max(last, since) + program[row + R_AGE])
    # The first day that is asked for and has no reading yet.
    minutes = local_minutes(zone, max(last, since))
    day = minutes // _MINUTES_A_DAY
    if (
        last >= since
        or (last != NEVER and local_minutes(zone, last) // _MINUTES_A_DAY == day)
        or utc_ms(zone, day * _MINUTES_A_DAY + program[row + R_BY]) <= since
    ):
        day += 1
    while program[row + R_DAYS] >> (day + _THURSDAY) % 7 & 1 == 0:
        day += 1
    return int(utc_ms(zone, day * _MINUTES_A_DAY + program[row + R_BY]) + program[row + R_AGE])


@compiled("int64(int64[::1], int64[::1], int64[:, ::1], int64, int64, int64[:, ::1], int64)")
def pass_deadlines(program: Words, state: Words, zone: Zone, now: int, but: int, out: Words, rows: int) -> int:
    """Raise each missing rule whose deadline lies strictly before `now`, the earliest first; not those of column `but`.

    Returns:
        How many rows `out` holds.
    """
    begin, life = first_rule(program), first_life(program)
    while True:
        found, earliest = -1, now
        for rule in range(program[P_RULES]):
            row = begin + rule * R_WIDTH
            if (
                program[row + R_KIND] == MISSING
                and program[row + R_COLUMN] != but
                and state[life + rule * SR_WIDTH + SR_PHASE] == IDLE
            ):
                deadline = deadline_of(program, row, state, zone)
                if deadline < earliest:
                    found, earliest = rule, deadline
        if found < 0:
            return rows
        mine = life + found * SR_WIDTH
        state[mine + SR_PHASE] = STANDING
        state[mine + SR_ONSET] = earliest
        column = program[begin + found * R_WIDTH + R_COLUMN]
        last = state[S_HEADER + column * SQ_WIDTH + SQ_JUDGED] - 1
        rows = put(out, rows, earliest, found, 1, earliest, -1, last, last, NEVER, 0)
        for rule in range(program[P_RULES]):
            row = begin + rule * R_WIDTH
            if program[row + R_KIND] == COMPOSITE and program[row + R_OF] >> found & 1:
                rows = compose(program, rule, state, earliest, -1, -1, out, rows)


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
