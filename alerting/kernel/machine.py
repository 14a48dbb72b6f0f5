"""The life of a rule in the kernel: idle, pending, standing, ending.

A value of a rule whose low values are beyond is negated before it is compared, as its limits were. No value (NEVER)
changes nothing, but that a pause still breaks a run that was waiting to persist.
"""

from alerting.kernel.compiling import Words, compiled
from alerting.layout import (
    ENDING,
    F_WIDTH,
    IDLE,
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
    PENDING,
    Q_WIDTH,
    R_END,
    R_END_PERSIST,
    R_PERSIST,
    R_RAISE,
    R_SIGN,
    S_HEADER,
    S_SINCE,
    SF_WIDTH,
    SQ_WIDTH,
    SR_ENDING,
    SR_FIRST,
    SR_ONSET,
    SR_PHASE,
    STANDING,
)


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
