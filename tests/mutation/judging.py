"""A world taken through the kernel, and the first thing in which it differs from what was foretold.

The kernel judges it three times: reading by reading, with time passing in between; in one piece, which makes blocks;
and in pieces of any length with as little room for rows as it needs. Each time the same rows must come out, and the
same state to the last byte.
"""

from random import Random

import numpy as np

from alerting import kernel, layout
from alerting.compiled import Words
from alerting.program import RuleProgram
from tests.mutation.foretold import Foretold, Row

_ROOM = 20_000


def difference(world: Foretold, seed: int) -> str | None:
    """Return what the kernel that is loaded does otherwise than foretold, None when nothing."""
    rules = len(world.program.rules)
    out = np.zeros((_ROOM, layout.O_WIDTH), np.int64)
    state = world.program.fresh_state(world.since)
    found = _Rows(rules)
    wrong = _one_by_one(world, state, out, found)
    if wrong is not None:
        return wrong
    for rule in range(rules):
        wrong = _compare(world, rule, found.of[rule])
        if wrong is not None:
            return wrong
    whole, again = world.program.fresh_state(world.since), _Rows(rules)
    rows, done = kernel.judge(world.program.words, world.zone, whole, world.times, world.columns, world.values, out)
    if done != len(world.times):
        return f"{done} of {len(world.times)} judged in one piece"
    again.take(out, rows)
    if world.times.size and again.before(int(world.times[-1])) != found.before(int(world.times[-1])):
        return "in one piece something is told too late"
    again.take(out, kernel.advance(world.program.words, world.zone, whole, world.until, out))
    if again.of != found.of or whole.tobytes() != state.tobytes():
        return "in one piece another outcome than one by one"
    pieces, third = world.program.fresh_state(world.since), _Rows(rules)
    wrong = _in_pieces(world, pieces, third, Random(seed))
    if wrong is not None:
        return wrong
    if third.of != found.of or pieces.tobytes() != state.tobytes():
        return "in pieces another outcome than one by one"
    return None


def least_room(program: RuleProgram) -> int:
    """Return how many rows the kernel asks for at least."""
    kinds = [int(row[layout.R_KIND]) for row in program.rules]
    return 4 * len(kinds) + kinds.count(layout.MISSING) * (1 + kinds.count(layout.COMPOSITE))


class _Rows:
    """The rows of each rule."""

    def __init__(self, rules: int) -> None:
        self.of: list[list[Row]] = [[] for _ in range(rules)]

    def before(self, at: int) -> list[list[Row]]:
        """Return the rows of before a time (ms UTC)."""
        return [[row for row in rows if row[0] < at] for rows in self.of]

    def take(self, out: Words, rows: int) -> None:
        for at, rule, *rest in out[:rows].tolist():
            self.of[rule].append((at, *rest))


def _one_by_one(world: Foretold, state: Words, out: Words, found: _Rows) -> str | None:
    program, zone, begin = world.program.words, world.zone, 0
    for number, end in enumerate(world.ends):
        rows, done = kernel.judge(
            program, zone, state, world.times[begin:end], world.columns[begin:end], world.values[begin:end], out
        )
        if done != end - begin:
            return f"{done} of {end - begin} judged"
        found.take(out, rows)
        wrong = _known(world, number, state)
        if wrong is not None:
            return wrong
        later = int(world.times[end]) if end < len(world.times) else world.until
        found.take(out, kernel.advance(program, zone, state, (int(world.times[end - 1]) + later) // 2, out))
        begin = end
    found.take(out, kernel.advance(program, zone, state, world.until, out))
    if state[layout.S_EVENT_TIME] != world.until:
        return "time did not go to its end"
    return None


def _known(world: Foretold, number: int, state: Words) -> str | None:
    """Return in what the state after a reading differs."""
    at = int(world.times[world.ends[number] - 1])
    if state[layout.S_EVENT_TIME] != max(world.since, at):
        return f"time is not that of reading {number}"
    for one in world.after[number]:
        mine = world.program.first_life + one.rule * layout.SR_WIDTH
        value, phase = int(state[mine + layout.SR_VALUE]), int(state[mine + layout.SR_PHASE])
        if value != one.value:
            return f"rule {one.rule} is worth {value}, not {one.value}, at reading {number}"
        if (phase in {layout.STANDING, layout.ENDING}) is not one.stands:
            return f"rule {one.rule} is in phase {phase} at reading {number}"
    wanted = world.deadlines.get(number)
    if wanted is not None:
        deadline = int(kernel.next_deadline(world.program.words, world.zone, state))
        if deadline != wanted:
            return f"the next deadline is {deadline}, not {wanted}, at reading {number}"
    return None


def _compare(world: Foretold, rule: int, rows: list[Row]) -> str | None:
    wanted = list(world.rows[rule])
    shown = [row[:3] for row in rows] if rule in world.short else rows
    if shown != wanted:
        return f"rule {rule} wrote {shown}, not {wanted}"
    return None


def _in_pieces(world: Foretold, state: Words, found: _Rows, chance: Random) -> str | None:
    program, zone, rules = world.program.words, world.zone, len(world.program.rules)
    begin = 0
    while begin < len(world.times):
        end = min(len(world.times), begin + chance.choice((1, 3, 20, 150)))
        out = np.zeros((least_room(world.program) + chance.choice((0, 0, 1, 5, 36)) * rules, layout.O_WIDTH), np.int64)
        while begin < end:
            rows, done = kernel.judge(
                program, zone, state, world.times[begin:end], world.columns[begin:end], world.values[begin:end], out
            )
            if not 0 < done <= end - begin:
                return f"{done} of {end - begin} judged"
            found.take(out, rows)
            begin += done
    out = np.zeros((2 * rules * rules + rules, layout.O_WIDTH), np.int64)
    found.take(out, kernel.advance(program, zone, state, world.until, out))
    return None
