"""Rules made of other rules: k of n within a window, three-valued (missing is not false)."""

from alerting.kernel.compiling import Words, compiled
from alerting.kernel.machine import first_life, first_rule, put
from alerting.layout import (
    COMPOSITE,
    IDLE,
    MISSING,
    P_RULES,
    R_KIND,
    R_MEMBER,
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

W_COLUMN, W_ACTS, W_KNOWNS, W_MEMBERS, W_COMPOSITES = range(5)
"""Rows of the scratch of a block: a feature's values; what members did, by reading; which rules to look at."""
W_HEIGHT = 5


@compiled("int64(int64[::1], int64, int64[::1], int64, int64, int64, int64[:, ::1], int64)")
def compose(
    program: Words, rule: int, state: Words, at: int, judged_in: int, ordinal: int, out: Words, rows: int
) -> int:
    """Look at a composite at a time (ms UTC), after the reading given by column and ordinal (-1 when time passed)."""
    begin, life = first_rule(program), first_life(program)
    row, mine = begin + rule * R_WIDTH, life + rule * SR_WIDTH
    oldest = at - program[row + R_WINDOW]
    true_ones, unknown_ones, trues, unknowns = 0, 0, 0, 0
    left, member = program[row + R_OF], -1
    while left != 0:
        asked, left, member = left & 1, left >> 1, member + 1
        if asked == 0:
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
            rows = put(out, rows, at, rule, 1, at, judged_in, unknown_ones, ordinal, trues, true_ones)
    elif trues + unknowns < needed:
        state[mine + SR_PHASE] = IDLE
        state[mine + SR_ENDING] = at
        state[mine + SR_VALUE] = trues
        onset = state[mine + SR_ONSET]
        rows = put(out, rows, at, rule, 0, onset, judged_in, unknown_ones, ordinal, trues, true_ones)
    if program[row + R_MEMBER] == 1 and (trues >= needed or trues + unknowns < needed):
        state[mine + SR_KNOWN_AT] = at
        if state[mine + SR_PHASE] == STANDING:
            state[mine + SR_TRUE_AT] = at
    return int(rows)


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


@compiled("int64(int64[::1], int64, int64)")
def last_with(bits: Words, size: int, member: int) -> int:
    """Return the last of `size` places at which a member's bit is set, -1 for none."""
    for index in range(size - 1, -1, -1):
        if bits[index] >> member & 1:
            return index
    return -1


@compiled("int64(int64[::1], int64[::1], int64, int64, int64, int64[::1], int64[:, ::1], int64[:, ::1], int64)")
def judge_composites(
    program: Words,
    state: Words,
    judged_in: int,
    first: int,
    looked_at: int,
    times: Words,
    scratch: Words,
    out: Words,
    rows: int,
) -> int:
    """Take what the members did in a block through the composites that ask for them; return the rows of `out`.

    Args:
        looked_at: a bit for each rule whose readings the block holds.
        scratch: shape (W_HEIGHT, BLOCK); W_ACTS has a bit for each member that stood with a value at a reading,
            W_KNOWNS for each that had one.
    """
    begin, life = first_rule(program), first_life(program)
    size = times.shape[0]
    acts, knowns = scratch[W_ACTS], scratch[W_KNOWNS]
    members, composites = scratch[W_MEMBERS], scratch[W_COMPOSITES]
    acted, matters = 0, size == 1
    for index in range(size):
        acted |= acts[index]
    held, asking = 0, 0
    for rule in range(program[P_RULES]):
        row = begin + rule * R_WIDTH
        if looked_at >> rule & 1:
            members[held] = rule
            held += 1
        if program[row + R_KIND] == COMPOSITE and program[row + R_OF] & looked_at:
            composites[asking] = rule
            asking += 1
            if not matters:
                # What others are made of must be known at each reading.
                matters = program[row + R_MEMBER] == 1 or may_matter(program, rule, state, times[0], acted)
    for index in range(size if matters else 0):
        known, true, at = knowns[index], acts[index], times[index]
        for place in range(held):
            member = members[place]
            if known >> member & 1:
                state[life + member * SR_WIDTH + SR_KNOWN_AT] = at
                if true >> member & 1:
                    state[life + member * SR_WIDTH + SR_TRUE_AT] = at
        for place in range(asking):
            rows = compose(program, composites[place], state, at, judged_in, first + index, out, rows)
    for place in range(0 if matters else held):
        member = members[place]
        last = last_with(knowns, size, member)
        if last >= 0:
            state[life + member * SR_WIDTH + SR_KNOWN_AT] = times[last]
        last = last_with(acts, size, member) if acted >> member & 1 else -1
        if last >= 0:
            state[life + member * SR_WIDTH + SR_TRUE_AT] = times[last]
    return rows
