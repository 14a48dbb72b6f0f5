"""The life of a rule in the kernel: idle, pending, standing, ending; absences; rules made of other rules.

A value of a rule whose low values are beyond is negated before it is compared, as its limits were. No value (NEVER)
changes nothing, but that a pause still breaks a run that was waiting to persist.
"""

from alerting.kernel.compiling import Words, compiled
from alerting.kernel.local_days import Zone, local_minutes, utc_ms
from alerting.layout import (
    COMPOSITE,
    ENDING,
    F_WIDTH,
    IDLE,
    MISSING,
    NEVER,
    O_AT,
    O_COLUMN,
    O_FIRST,
    O_LAST,
    O_ONSET,
    O_OWN,
    O_RAISED,
    O_RULE,
    O_VALUE,
    P_COLUMNS,
    P_FEATURES,
    P_HEADER,
    P_RULES,
    PENDING,
    Q_WIDTH,
    R_AGE,
    R_BY,
    R_COLUMN,
    R_DAYS,
    R_END,
    R_END_PERSIST,
    R_KIND,
    R_OF,
    R_PERSIST,
    R_RAISE,
    R_SIGN,
    R_WIDTH,
    R_WINDOW,
    S_HEADER,
    S_SINCE,
    SF_WIDTH,
    SQ_JUDGED,
    SQ_LAST,
    SQ_WIDTH,
    SR_ENDING,
    SR_FIRST,
    SR_KNOWN_AT,
    SR_ONSET,
    SR_PHASE,
    SR_TRUE_AT,
    SR_VALUE,
    SR_WIDTH,
    STANDING,
)

_MINUTES_A_DAY = 1_440
_THURSDAY = 3
"""Of 1970-01-01, Monday being 0."""


@compiled("int64(int64[::1])")
def first_rule(program: Words) -> int:
    """Return where the rules begin in a program."""
    return int(P_HEADER + program[P_COLUMNS] * Q_WIDTH + program[P_FEATURES] * F_WIDTH)


@compiled("int64(int64[::1])")
def first_life(program: Words) -> int:
    """Return where the rules begin in a state."""
    return int(S_HEADER + program[P_COLUMNS] * SQ_WIDTH + program[P_FEATURES] * SF_WIDTH)


@compiled("int64(int64[:, ::1], int64, int64, int64, int64, int64, int64, int64, int64, int64, int64)")
def put(
    out: Words,
    rows: int,
    at: int,
    rule: int,
    raised: int,
    onset: int,
    column: int,
    first: int,
    last: int,
    value: int,
    own: int,
) -> int:
    """Write one row of the output; return how many it holds now."""
    out[rows, O_AT] = at
    out[rows, O_RULE] = rule
    out[rows, O_RAISED] = raised
    out[rows, O_ONSET] = onset
    out[rows, O_COLUMN] = column
    out[rows, O_FIRST] = first
    out[rows, O_LAST] = last
    out[rows, O_VALUE] = value
    out[rows, O_OWN] = own
    return rows + 1


@compiled(
    "int64(int64[::1], int64, int64, int64[::1], int64, int64, int64[::1], int64[::1], int64, int64, int64, int64,"
    " int64[::1], int64, int64[:, ::1], int64)"
)
def walk(
    program: Words,
    row: int,
    rule: int,
    state: Words,
    mine: int,
    before: int,
    times: Words,
    values: Words,
    gap: int,
    judged_in: int,
    first: int,
    own: int,
    acts: Words,
    member: int,
    out: Words,
    rows: int,
) -> int:
    """Take a block of values through a rule's life.

    Args:
        before: the time (ms UTC) of the column's reading before the block, NEVER when there is none.
        gap: a longer pause breaks a run; 0 for none.
        judged_in: the column; `first` the ordinal of the block's first reading, `own` the feature's SF_OWN.
        acts: bit of a member: it stood, with a value, at this reading. Only written when `member` is 1.
    """
    sign, raises, ends = program[row + R_SIGN], program[row + R_RAISE], program[row + R_END]
    persist, end_persist = program[row + R_PERSIST], program[row + R_END_PERSIST]
    phase, since = state[mine + SR_PHASE], state[S_SINCE]
    last = before
    for index in range(times.shape[0]):
        at, value = times[index], values[index]
        if gap > 0 and last != NEVER and at - last > gap:
            # A run that was waiting begins anew.
            if phase == PENDING:
                phase = IDLE
            elif phase == ENDING:
                phase = STANDING
        last = at
        if value == NEVER:
            continue
        x = sign * value
        if phase in (IDLE, PENDING):
            # A run never begins at the very time at which an alert ended: two alerts of a rule have two onsets.
            if x < raises or (phase == IDLE and at == state[mine + SR_ENDING]):
                phase = IDLE
                continue
            if phase == IDLE:
                phase = PENDING
                state[mine + SR_ONSET] = at
                state[mine + SR_FIRST] = first + index
            # Nothing is raised before watching begins; what is already true then is raised at the first reading after.
            if at - state[mine + SR_ONSET] >= persist and at >= since:
                phase = STANDING
                rows = put(
                    out,
                    rows,
                    at,
                    rule,
                    1,
                    state[mine + SR_ONSET],
                    judged_in,
                    state[mine + SR_FIRST],
                    first + index,
                    value,
                    own,
                )
        elif x >= ends:
            phase = STANDING
        else:
            if phase == STANDING:
                phase = ENDING
                state[mine + SR_ENDING] = at
            if at - state[mine + SR_ENDING] >= end_persist:
                phase = IDLE
                state[mine + SR_ENDING] = at
                rows = put(
                    out, rows, at, rule, 0, state[mine + SR_ONSET], judged_in, first + index, first + index, value, own
                )
        if member == 1 and phase in (STANDING, ENDING):
            acts[index] |= 1 << rule
    state[mine + SR_PHASE] = phase
    return rows


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


@compiled("int64(int64[::1], int64, int64[::1], int64, int64, int64, int64[:, ::1], int64)")
def compose(
    program: Words, rule: int, state: Words, at: int, judged_in: int, ordinal: int, out: Words, rows: int
) -> int:
    """Look at a composite at a time (ms UTC), after the reading given by column and ordinal (-1 when time passed)."""
    begin, life = first_rule(program), first_life(program)
    row, mine = begin + rule * R_WIDTH, life + rule * SR_WIDTH
    oldest = at - program[row + R_WINDOW]
    true_ones, unknown_ones, trues, unknowns = 0, 0, 0, 0
    for member in range(program[P_RULES]):
        if program[row + R_OF] >> member & 1 == 0:
            continue
        its = life + member * SR_WIDTH
        if program[begin + member * R_WIDTH + R_KIND] == MISSING:
            true = state[its + SR_PHASE] == STANDING
            known = True
        else:
            true = state[its + SR_TRUE_AT] >= oldest
            known = true or state[its + SR_KNOWN_AT] >= oldest
        if true:
            trues += 1
            true_ones |= 1 << member
        elif not known:
            unknowns += 1
            unknown_ones |= 1 << member
    needed = program[row + R_RAISE]
    if state[mine + SR_PHASE] == IDLE:
        if trues >= needed and at >= state[S_SINCE] and at != state[mine + SR_ENDING]:
            state[mine + SR_PHASE] = STANDING
            state[mine + SR_ONSET] = at
            state[mine + SR_VALUE] = trues
            return int(put(out, rows, at, rule, 1, at, judged_in, unknown_ones, ordinal, trues, true_ones))
    elif trues + unknowns < needed:
        state[mine + SR_PHASE] = IDLE
        state[mine + SR_ENDING] = at
        state[mine + SR_VALUE] = trues
        onset = state[mine + SR_ONSET]
        return int(put(out, rows, at, rule, 0, onset, judged_in, unknown_ones, ordinal, trues, true_ones))
    return rows


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
