"""What the kernel has to write for a world, by the slow oracle: each row of its output, and what each rule is worth and
whether it stands after each reading.

The oracle says what the rules mean; here is only where each of its facts lies in a row (`alerting.layout`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alerting import layout
from alerting.care_protocol import Rule, ValueRule
from alerting.compiled import Words
from alerting.local_time import offsets
from alerting.program import RuleProgram, compile_program
from alerting.reading_order import canonical
from alerting.scheduled_rules import CompositeRule, Concern, MissingRule, QualityRule, Score, ScoreRule
from alerting.stream import Place, Stream
from devices.reading import Quantity, Reading
from tests.alerting.oracle import composite, expectation
from tests.alerting.oracle.composite import Told
from tests.alerting.oracle.episodes import Step, episodes, moment_of
from tests.alerting.oracle.missing import absences
from tests.alerting.oracle.sight import Setting, looked_at
from tests.alerting.worlds import World
from tests.mutation.beside import told_besides

Row = tuple[int, ...]
"""(at, raised, onset, column, first, last, value, own); of a composite fed by two columns of one quantity, whose order
the rules leave open, (at, raised, onset)."""

_FAR = 40 * 86_400_000
_LOOKS = 6


@dataclass(frozen=True, slots=True)
class After:
    """What is known of a rule after a reading: its last value (NEVER when it had none) and whether it stands."""

    rule: int
    value: int
    stands: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """A world as the kernel takes it, and what has to come of it.

    Attributes:
        program, zone, since, until: of the world.
        times, columns, values: of the entries; a reading is one for each column that it enters.
        ends: of each reading, one more than the place of its last entry.
        rows: of each rule, in order.
        after: of each reading, what is then known of the rules that look at it.
        deadlines: by the number of a reading, the earliest deadline after it, NEVER for none.
        short: rules whose rows are compared by their first three words.
    """

    program: RuleProgram
    zone: Words
    since: int
    until: int
    times: Words
    columns: Words
    values: Words
    ends: tuple[int, ...]
    rows: tuple[tuple[Row, ...], ...]
    after: tuple[tuple[After, ...], ...]
    deadlines: dict[int, int]
    short: frozenset[int]


def foretell(world: World, wait: int = 0) -> Foretold:
    """Return what the oracle expects of a world once time has gone `wait` ms beyond its end."""
    protocol, until = world.protocol, world.end + wait
    program, table = compile_program(protocol), offsets(world.zone)
    stream = Stream.begin(protocol, program, table, world.since)
    taken = [one for one in canonical(world.readings) if stream.place(one) is Place.NEXT]
    entries = [(one, column) for one in taken for column in stream.columns_of(one) or (-1,)]
    flags = set(program.flag_columns.values())
    places = _Places(entries)
    _, told = expectation._judge(protocol, world.readings, world.since, until, world.zone)
    setting = Setting(protocol.timings, world.zone)
    maker = _Maker(world, program, places, told, setting)
    return Foretold(
        program=program,
        zone=table.copy(),
        since=world.since,
        until=until,
        times=np.array([one.measured_at for one, _ in entries], np.int64),
        columns=np.array([column for _, column in entries], np.int64),
        values=np.array([int(one.quality) if column in flags else one.count for one, column in entries], np.int64),
        ends=tuple(places.ends),
        rows=tuple(tuple(maker.rows(place, rule)) for place, rule in enumerate(protocol.rules)),
        after=tuple(maker.after(taken)),
        deadlines=maker.deadlines(taken),
        short=frozenset(place for place, rule in enumerate(protocol.rules) if maker.two_columns(rule)),
    )


Name = tuple[Quantity, str, str]


def _name(reading: Reading) -> Name:
    return (reading.quantity, reading.device, reading.key)


class _Places:
    """Ordinals of readings in their columns."""

    def __init__(self, entries: Sequence[tuple[Reading, int]]) -> None:
        counts: dict[int, int] = {}
        self._ordinals: dict[tuple[Name, int], int] = {}
        self.ends: list[int] = []
        for number, (reading, column) in enumerate(entries):
            self._ordinals[_name(reading), column] = counts.get(column, 0)
            counts[column] = counts.get(column, 0) + 1
            if number and _name(entries[number - 1][0]) == _name(reading):
                self.ends.pop()
            self.ends.append(number + 1)

    def ordinal(self, reading: Reading | None, column: int) -> int:
        return -1 if reading is None else self._ordinals[_name(reading), column]


class _Maker:
    def __init__(self, world: World, program: RuleProgram, places: _Places, told: Told, setting: Setting) -> None:
        self._world = world
        self._rules = world.protocol.rules
        self._program = program
        self._places = places
        self._told = told
        self._setting = setting

    def rows(self, place: int, rule: Rule) -> list[Row]:
        if isinstance(rule, MissingRule):
            return self._absences(rule)
        if isinstance(rule, CompositeRule):
            return self._of_composite(rule)
        return self._of_values(rule)

    def two_columns(self, rule: Rule) -> bool:
        """Whether readings of one quantity feed a composite through two columns."""
        if not isinstance(rule, CompositeRule):
            return False
        fed = self._feeds(rule)
        return len({quantity for quantity, _ in fed}) < len(set(fed))

    def _feeds(self, rule: Rule) -> list[tuple[Quantity, int]]:
        """Return the quantities at whose readings a rule is looked at, each with its column."""
        if isinstance(rule, CompositeRule):
            return [pair for one in self._rules if one.id in rule.of for pair in self._feeds(one)]
        return [(quantity, self._column(rule, quantity)) for quantity in _worth_at(rule)]

    def _column(self, rule: Rule, quantity: Quantity) -> int:
        flags = isinstance(rule, QualityRule) and rule.concern is Concern.FLAGS
        return (self._program.flag_columns if flags else self._program.columns)[quantity]

    def _absences(self, rule: MissingRule) -> list[Row]:
        found: list[Row] = []
        column = self._program.columns[rule.quantity]
        for one in self._told.absences[rule.id]:
            last = self._places.ordinal(one.before, column)
            found.append((one.deadline, 1, one.deadline, -1, last, last, layout.NEVER, 0))
            if one.after is not None:
                here = self._places.ordinal(one.after, column)
                found.append((one.after.measured_at, 0, one.deadline, column, here, here, layout.NEVER, 0))
        return found

    def _of_values(self, rule: ValueRule) -> list[Row]:
        history = self._told.histories[rule.id]
        runs: list[tuple[Step, Step]] = []

        def evidence(run: Sequence[Step]) -> list[Reading]:
            runs.append((run[0], run[-1]))
            return []

        episodes(rule, history, setting=self._setting, since=self._world.since, evidence=evidence)
        mine = [one for step in history if (one := step.reading) is not None]
        besides = told_besides(rule, mine, self._setting)
        found: list[Row] = []
        stood, onset = False, 0
        for step, own in zip(history, besides, strict=True):
            if step.stands == stood or step.reading is None or step.value is None:
                continue
            stood, first = step.stands, step
            if stood:
                first, _ = runs.pop(0)
                onset = first.moment[0]
            column = self._column(rule, step.reading.quantity)
            last = self._places.ordinal(step.reading, column)
            begun = last
            if first.reading is not None:
                begun = self._places.ordinal(first.reading, self._column(rule, first.reading.quantity))
            found.append((step.moment[0], int(stood), onset, column, begun, last, step.value, own))
        return found

    def _of_composite(self, rule: CompositeRule) -> list[Row]:
        members = {place: one for place, one in enumerate(self._rules) if one.id in rule.of}
        columns = dict(self._feeds(rule))
        found: list[Row] = []
        stood, onset = False, 0
        for step in self._told.histories[rule.id]:
            if step.stands == stood or step.value is None:
                continue
            stood = step.stands
            at = step.moment[0]
            onset = at if stood else onset
            states = {
                place: composite._state(rule, one, place, self._told, step.moment) for place, one in members.items()
            }
            column = -1 if step.reading is None else columns[step.reading.quantity]
            last = self._places.ordinal(step.reading, column)
            unknown = sum(1 << place for place, state in states.items() if state is None)
            true = sum(1 << place for place, state in states.items() if state is True)
            found.append((at, int(stood), onset, column, unknown, last, step.value, true))
        return [row[:3] for row in found] if self.two_columns(rule) else found

    def after(self, taken: Sequence[Reading]) -> list[tuple[After, ...]]:
        histories = {
            rule.id: {_name(step.reading): step for step in self._told.histories[rule.id] if step.reading is not None}
            for rule in self._rules
            if not isinstance(rule, MissingRule)
        }
        values = [layout.NEVER] * len(self._rules)
        found: list[tuple[After, ...]] = []
        for reading in taken:
            mine: list[After] = []
            for place, rule in enumerate(self._rules):
                step = histories.get(rule.id, {}).get(_name(reading))
                if step is None or isinstance(rule, CompositeRule):
                    continue
                values[place] = values[place] if step.value is None else step.value
                mine.append(After(place, values[place], step.stands))
            found.append(tuple(mine))
        return found

    def deadlines(self, taken: Sequence[Reading]) -> dict[int, int]:
        """Return the earliest deadline after some of the readings."""
        missing = [rule for rule in self._rules if isinstance(rule, MissingRule)]
        numbers = sorted({len(taken) * part // _LOOKS for part in range(_LOOKS)} | {len(taken) - 1})
        return {
            number: self._earliest(missing, taken[: number + 1])
            for number in numbers
            if missing and taken and moment_of(taken[number])[0] >= self._world.since
        }

    def _earliest(self, missing: Sequence[MissingRule], readings: Sequence[Reading]) -> int:
        now, since = readings[-1].measured_at, self._world.since
        found: list[int] = []
        for rule in missing:
            mine = [one for one in readings if looked_at(rule, one, self._rules)]
            told = absences(rule, mine, self._setting, since=since, newest=now + _FAR)
            # What stands already is awaited no more.
            found += [one.deadline for one in told if one.after is None and one.deadline >= now]
        return min(found, default=layout.NEVER)


def _worth_at(rule: Rule) -> tuple[Quantity, ...]:
    """Return the quantities at whose readings a rule is looked at."""
    if isinstance(rule, ScoreRule) and rule.score is Score.HEART_FAILURE:
        return (Quantity.BODY_WEIGHT,)
    return rule.inputs
