# mypy: disable-error-code="import-not-found,import-untyped,misc,untyped-decorator"
"""One reading at a time, by the four rules of `engine_rules`: what passes from a reading to its alerts, p50 and p99.

- `engine`: `Engine.feed` of one reading, all of it: order, ledger, lives, evidence and sentences.
- `kernel`: the compiled call alone, on arrays of one.
- `oracle`: the tests' slow oracle, asked at each reading about the readings of the last two days, as it has no state.
- `river`: its rolling window for the rate, with the state of each rule written beside it, as river has none.

At each reading all must tell the same rules as raised and ended, or nothing is said. Readings are made beforehand.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from alerting import compiled, layout
from alerting.alert import ChangeKind
from alerting.engine import Engine
from alerting.local_time import offsets
from alerting.program import compile_program
from benchmarks.batch import history_of
from benchmarks.engine_rules import FOUR_RULES, MINUTE, Trace, four, traces
from benchmarks.figure import say
from benchmarks.kernel import UnequalError
from devices.reading import Reading
from tests.alerting.oracle import expected_alerts

READINGS = int(os.environ.get("LIVE_READINGS", "6000"))
ORACLE_READINGS = 300
ORACLE_WINDOW = 576
PARIS = ZoneInfo("Europe/Paris")

Told = set[tuple[str, bool]]
"""Rules that were raised (True) or ended at a reading."""
Step = Callable[[int], Told]


def figures() -> None:
    (trace,) = traces(1, days=READINGS // 280 + 1)
    trace = Trace(times=trace.times[:READINGS], counts=trace.counts[:READINGS])
    readings = history_of(trace, "simulated").readings()
    told, times = timed(by_engine(readings), range(len(readings)))
    others = {
        "kernel": (by_kernel(trace), range(len(readings))),
        "river": (by_river(trace), range(len(readings))),
        "oracle": (by_oracle(readings), range(len(readings) - ORACLE_READINGS, len(readings))),
    }
    found = {"engine": times}
    for name, (step, places) in others.items():
        its, found[name] = timed(step, places)
        if its != [told[place] for place in places]:
            raise UnequalError(f"{name} does not tell what the engine tells")
    for name, taken in found.items():
        say("live.reading", "us", taken, who=name, rules=len(FOUR_RULES), changes=sum(len(one) for one in told))


def timed(step: Step, places: Sequence[int]) -> tuple[list[Told], list[float]]:
    """Return what each reading told, and how long it took in us."""
    told, times = [], []
    for place in places:
        began = time.perf_counter_ns()
        one = step(place)
        times.append((time.perf_counter_ns() - began) / 1000)
        told.append(one)
    return told, times


def by_engine(readings: Sequence[Reading]) -> Step:
    engine = Engine(four(), patient="simulated", zone=PARIS, since=readings[0].measured_at)

    def step(place: int) -> Told:
        changes = engine.feed([readings[place]])
        return {(one.rule, one.kind is not ChangeKind.RESOLVED) for one in changes} if changes else set()

    return step


def by_kernel(trace: Trace) -> Step:
    program = compile_program(four())
    state, zone = program.fresh_state(int(trace.times[0])), offsets(PARIS).copy()
    out = np.zeros((8 * program.rules.shape[0], layout.O_WIDTH), np.int64)
    column = np.zeros(1, np.int64)

    def step(place: int) -> Told:
        end = place + 1
        rows, _ = compiled.judge(
            program.words, zone, state, trace.times[place:end], column, trace.counts[place:end], out
        )
        return {(FOUR_RULES[row[layout.O_RULE]], bool(row[layout.O_RAISED])) for row in out[:rows]} if rows else set()

    return step


def by_oracle(readings: Sequence[Reading]) -> Step:
    protocol = four()

    def step(place: int) -> Told:
        seen = readings[max(0, place + 1 - ORACLE_WINDOW) : place + 1]
        at = seen[-1].measured_at
        alerts = expected_alerts(protocol, seen, since=seen[0].measured_at, until=at)
        return {(one.rule, True) for one in alerts if one.raised_at == at} | {
            (one.rule, False) for one in alerts if one.resolved_at == at
        }

    return step


class _Rule:
    """Raised at `>=`, ended at `<`, of a value negated where low ones are beyond; as `batch_peers` has it."""

    def __init__(self, name: str, sign: int, raises: int, ends: int, persist: int) -> None:
        self._name, self._sign, self._raises, self._ends, self._persist = name, sign, raises, ends, persist
        self._stands = False
        self._onset: int | None = None

    def take(self, value: float, at: int, *, apart: bool, told: Told) -> None:
        value *= self._sign
        if self._stands:
            if value < self._ends:
                self._stands = False
                told.add((self._name, False))
            return
        if value < self._raises:
            self._onset = None
            return
        if self._onset is None or apart:
            self._onset = at
        if at - self._onset >= self._persist:
            self._stands, self._onset = True, None
            told.add((self._name, True))


class _Oldest:
    """What river's rolling window keeps: its oldest reading, and how many there are."""

    def __init__(self) -> None:
        self.held: deque[tuple[int, int]] = deque()

    def update(self, count: int, at: int) -> None:
        self.held.append((count, at))

    def revert(self, count: int, at: int) -> None:
        del count, at
        self.held.popleft()


def by_river(trace: Trace) -> Step:
    # Only `make bench` installs river.
    from river.utils import TimeRolling  # noqa: PLC0415

    # It leaves out what is exactly as old as the window, the rule does not.
    window = TimeRolling(_Oldest, period=timedelta(milliseconds=15 * MINUTE + 1))
    levels = [
        _Rule("very_high", 1, 2500, 2400, 0),
        _Rule("low", -1, -700, -750, 450_000),
        _Rule("high", 1, 1800, 1700, 3_150_000),
    ]
    falling = _Rule("falling", -1, 20, 15, 0)
    times, counts = trace.times.tolist(), trace.counts.tolist()
    moments = [datetime.fromtimestamp(at / 1000, UTC).replace(tzinfo=None) for at in times]
    last = times[0]

    def step(place: int) -> Told:
        nonlocal last
        at, count = times[place], counts[place]
        apart = at - last > 45 * MINUTE
        last = at
        window.update(count, at, t=moments[place])
        held = window.obj.held
        oldest, began = held[0]
        told: Told = set()
        for rule in levels:
            rule.take(count, at, apart=apart, told=told)
        if len(held) >= 3 and 2 * (at - began) >= 15 * MINUTE:
            falling.take((count - oldest) * MINUTE / (at - began), at, apart=apart, told=told)
        return told

    return step
