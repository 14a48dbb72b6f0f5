"""Rules made of other rules: k of n within a window, three-valued (missing is not false)."""

from alerting.kernel.compiling import Words, compiled
from alerting.kernel.machine import first_life, first_rule, put
from alerting.layout import (
    COMPOSITE,
    IDLE,
    MISSING,
    P_RULES,
    R_KIND,
    R_OF,
    R_RAISE,
    R_WIDTH,
    R_WINDOW,
    S_SINCE,
    SR_ENDING,
    SR_KNOWN_AT,
    SR_ONSET,
    SR_PHASE,
    SR_TRUE_AT,
    SR_VALUE,
    SR_WIDTH,
    STANDING,
)


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


@compiled("int64(int64[::1], int64)")
def last_with(bits: Words, member: int) -> int:
    """Return the last place at which a member's bit is set, -1 for none."""
    for index in range(bits.shape[0] - 1, -1, -1):
        if bits[index] >> member & 1:
            return index
    return -1


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
    for index in range(size if matters else 0):
        for member in range(rules):
            if knowns[index] >> member & 1:
                state[life + member * SR_WIDTH + SR_KNOWN_AT] = times[index]
                if acts[index] >> member & 1:
                    state[life + member * SR_WIDTH + SR_TRUE_AT] = times[index]
        for rule in range(rules):
            row = begin + rule * R_WIDTH
            if program[row + R_KIND] == COMPOSITE and program[row + R_OF] & looked_at:
                rows = compose(program, rule, state, times[index], judged_in, first + index, out, rows)
    for member in range(0 if matters else rules):
        if looked_at >> member & 1:
            last = last_with(knowns, member)
            if last >= 0:
                state[life + member * SR_WIDTH + SR_KNOWN_AT] = times[last]
            last = last_with(acts, member) if acted >> member & 1 else -1
            if last >= 0:
                state[life + member * SR_WIDTH + SR_TRUE_AT] = times[last]
    return rows
