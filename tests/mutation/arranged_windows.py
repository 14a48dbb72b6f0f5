"""Worlds arranged by hand at the edges of windows: of some ms, of small values, of more readings than they may hold."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from alerting.care_protocol import Rule, Timing
from alerting.rules import (
    Baseline,
    BaselineRule,
    ChangeRule,
    Direction,
    ForecastRule,
    LevelRule,
    Model,
    RateRule,
    ShareRule,
    Side,
    Statistic,
)
from alerting.scheduled_rules import Concern, QualityRule
from devices.reading import Quality, Reading
from tests.alerting.worlds import CGM, HOUR, MARCH, MINUTE, START, SYSTOLIC, World, common, protocol_of, reading

_OFF = (0, 0, 1, -1)
_FLAGS = (Quality.NONE, Quality.CUFF_TOO_LOOSE, Quality.IRREGULAR_PULSE, Quality.BODY_MOVEMENT)
_MANY = 600
_COPRIME = 42_857_143


def of_windows(size: int) -> Iterator[tuple[str, list[World]]]:
    """Yield names and worlds, the same in every run."""
    for kind in _KINDS:
        yield f"moments of {kind}", [moments(kind, number) for number in range(6 * size)]
    yield "sensor lows", [lows(number) for number in range(16 * size)]
    for kind in _KINDS:
        yield f"many for {kind}", [many(kind, number) for number in range(4 + size // 8)]


def _rate(chance: Random, window: int) -> Rule:
    return RateRule(
        **common(SYSTOLIC),
        direction=chance.choice(list(Direction)),
        per_minute=60_000,
        end_per_minute=60_000,
        window=window,
        min_readings=chance.choice((2, 2, 3)),
    )


def _change(chance: Random, window: int) -> Rule:
    return ChangeRule(
        **common(SYSTOLIC),
        direction=chance.choice(list(Direction)),
        statistic=chance.choice(list(Statistic)),
        delta=2,
        end_delta=1,
        window=window,
        relative=chance.random() < 0.5,
    )


def _baseline(chance: Random, window: int) -> Rule:
    statistic = chance.choice((Baseline.SPC, Baseline.SPC, Baseline.MEAN, Baseline.EWMA, Baseline.CUSUM))
    exponential = statistic in {Baseline.EWMA, Baseline.CUSUM}
    return BaselineRule(
        **common(SYSTOLIC),
        statistic=statistic,
        direction=chance.choice(list(Direction)),
        delta=2,
        end_delta=1,
        window=chance.choice((1_000, 1_999, 2_000, 2_001)) if exponential else window,
        lag=0 if exponential else min(window, chance.choice((0, 1, 2, window // 2))),
        min_readings=chance.choice((1, 1, 2)),
        expected_sd=chance.choice((17, 19)),
        expected_readings=chance.choice((0, 0, 1, 2)),
        min_sd=chance.choice((7, 11, 13)),
        allowance=chance.choice((0, 1)),
    )


def _share(chance: Random, window: int) -> Rule:
    return ShareRule(
        **common(SYSTOLIC),
        side=chance.choice(list(Side)),
        threshold=2,
        share=5_000,
        end_share=3_333,
        window=window,
        min_readings=chance.choice((1, 2, 3)),
    )


def _flags(chance: Random, window: int) -> Rule:
    return QualityRule(
        **common(SYSTOLIC),
        concern=Concern.FLAGS,
        flags=chance.choice((_FLAGS[1], _FLAGS[1] | _FLAGS[2])),
        times=chance.choice((1, 2, 3)),
        window=chance.choice((0, 1, window, window)),
    )


def _steady(chance: Random, window: int) -> Rule:
    concern = chance.choice((Concern.STUCK, Concern.JUMP))
    return QualityRule(**common(SYSTOLIC), concern=concern, window=window, delta=1)


def _line(chance: Random, window: int) -> Rule:
    return ForecastRule(
        **common(SYSTOLIC),
        model=chance.choice((Model.LINEAR, Model.ROBUST_LINEAR)),
        side=chance.choice(list(Side)),
        threshold=2,
        end_threshold=2,
        horizon=20 * MINUTE,
        window=window,
        min_readings=chance.choice((2, 2, 3)),
    )


_KINDS: Mapping[str, Callable[[Random, int], Rule]] = {
    "rate": _rate,
    "change": _change,
    "baseline": _baseline,
    "share": _share,
    "flags": _flags,
    "steadiness": _steady,
    "line": _line,
}


def moments(kind: str, number: int) -> World:
    """Return a rule with a window of some ms, or pauses of some s, and the smallest values that there are."""
    chance = Random(number)
    # A line reckons in whole seconds.
    scale = chance.choice((1, 1_000)) if kind == "line" else 1
    window = chance.choice((1, 2, 3, 4, 9, 10, 11)) * scale
    rule = _KINDS[kind](chance, window)
    exponential = isinstance(rule, BaselineRule) and rule.statistic in {Baseline.EWMA, Baseline.CUSUM}
    pauses = (
        (1_000, 1_999, 2_000, 3_000)
        if exponential
        else (0, scale, scale, 2 * scale, window // 2, window // 2 + 1, window, window + 1)
    )
    counts = chance.choice(((0, 1, 2), (1, 2, 3), (0, 1), (2, 2, 2, 3), (900, 1_800, 2_600)))
    at, found = START, list[Reading]()
    for place in range(chance.choice((3, 12, 30))):
        at += chance.choice(pauses)
        quality = chance.choice(_FLAGS)
        found.append(reading(SYSTOLIC, chance.choice(counts), at, key=f"k{place:02}", quality=quality))
    if chance.random() < 0.2:
        found += [reading(SYSTOLIC, counts[0], at + window, key=f"l{place:02}") for place in range(14)]
    timings = {SYSTOLIC: Timing(cadence=0, gap=chance.choice((1, 2, window)))} if chance.random() < 0.4 else {}
    # A rule on the value makes a column of it beside that of the flags.
    level = LevelRule(**common(SYSTOLIC, "level"), side=Side.AT_LEAST, threshold=2, end_threshold=2, persist=window)
    return World(protocol_of(rule, level, timings=timings), tuple(found), START)


def lows(number: int) -> World:
    """Return falls of a glucose sensor at the edges: of their steepness, the night, the pause, the time to recover."""
    chance = Random(number)
    per_minute = chance.choice((1_000, 5_000))
    window = chance.choice((15 * MINUTE, HOUR))
    gap = chance.choice((5 * MINUTE, 10 * MINUTE))
    # Paris is an hour ahead of UTC in March: the night is that of the wall.
    begin, end = chance.choice(((1_320, 420), (0, 360), (480, 540), (61, 60)))
    rule = QualityRule(
        **common(CGM),
        concern=Concern.COMPRESSION_LOW,
        per_minute=per_minute,
        window=window,
        night=(begin, end),
    )
    edge = chance.choice((begin, end, begin + 60, begin + 60)) - 60
    at = MARCH + (edge + chance.choice((-1, 0, 0, 1))) * MINUTE + chance.choice((0, 0, -1, 1))
    pause = chance.choice((MINUTE, 5 * MINUTE, 5 * MINUTE, gap)) + chance.choice(_OFF)
    steep = -(-per_minute * pause // (1_000 * MINUTE))
    if number % 12 == 0:
        # 7 * _COPRIME is one more than what a fall of 5 quanta in so long comes to.
        per_minute, pause, steep, begin, end = 7, _COPRIME, 5, 0, 1_439
        rule = replace(rule, per_minute=per_minute, night=(begin, end))
        at += 10 * HOUR
    found: list[Reading] = []
    level = 3_000
    # Mostly the second reading is the one that falls, for there begins what may be seen.
    before = at - pause - (5 * MINUTE if chance.random() < 0.3 else 0)
    found.append(reading(CGM, level, before, key="a0"))
    if before < at - pause:
        found.append(reading(CGM, level, at - pause, key="a1"))
    depth = steep + (chance.choice((0, 0, -1, 1, 100)) if pause != _COPRIME else 0)
    low = level - depth
    found.append(reading(CGM, low, at, key="b"))
    for place in range(chance.choice((1, 2, 4))):
        at += max(0, chance.choice((0, MINUTE, gap, window, window, 5 * MINUTE)) + chance.choice(_OFF))
        part = chance.choice((0, 0, depth // 2, 3 * depth // 4, -(-3 * depth // 4), depth))
        low = min(low, found[-1].count)
        found.append(reading(CGM, low + part - chance.choice((0, 0, 1)), at, key=f"c{place}"))
    timings = {CGM: Timing(cadence=0, gap=gap)} if chance.random() < 0.5 and pause != _COPRIME else {}
    return World(protocol_of(rule, timings=timings), tuple(found), found[0].measured_at)


def many(kind: str, number: int) -> World:
    """Return more readings than a window may hold, then fewer: a walk that rises or falls for long."""
    chance = Random(number)
    rule = _KINDS[kind](chance, HOUR)
    changed: dict[str, Any] = {"window": HOUR}
    if isinstance(rule, BaselineRule):
        # With a lag longer than what a full window spans, and without one.
        changed |= {"statistic": Baseline.MEAN, "lag": 55 * MINUTE if number % 2 else 0}
    if isinstance(rule, ForecastRule):
        changed |= {"model": (Model.LINEAR, Model.ROBUST_LINEAR)[number // 2 % 2]}
    if isinstance(rule, ChangeRule):
        changed |= {"statistic": list(Statistic)[number % 4]}
    if isinstance(rule, ShareRule):
        changed |= {"side": Side.AT_LEAST, "threshold": 1_260}
    rule = replace(rule, **changed)
    # A line needs readings that span half its window: 128 of them just do, or just do not.
    step = (14_229, 14_117)[number % 2] if kind == "line" else 24_000
    at, count = START, 1_200
    # Even values, for the median of two of them is a count; and mostly rising, so that the oldest one matters.
    slope, found = chance.choice((-2, 2)) if number > 1 and kind != "share" else 2, list[Reading]()
    for place in range(_MANY if number == 0 and kind == "change" else 240):
        at += step if place % 200 < 170 else 5 * MINUTE
        count = min(max(count + slope * chance.choice((0, 1, 2)), 0), 3_000)
        quality = chance.choice(_FLAGS)
        found.append(reading(SYSTOLIC, count, at, key=f"k{place:03}", quality=quality))
    timings = {SYSTOLIC: Timing(cadence=5 * MINUTE, gap=45 * MINUTE)}
    return World(protocol_of(rule, timings=timings), tuple(found), START)
