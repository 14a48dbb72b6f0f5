"""The kill suite: worlds and facts that the kernel is held to, the same in every run.

Worlds are drawn once from a fixed seed by the strategies of `tests.alerting.worlds`, whose thresholds are met to the
count, with readings on the edges of windows; then come worlds with more readings than a window may hold. What the
oracle says of each is worked out once, before any mutant is tried.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from alerting.care_protocol import Rule, Timing
from alerting.rules import Baseline, BaselineRule, ForecastRule, LevelRule, Model, ShareRule
from alerting.scheduled_rules import Score, ScoreRule
from devices.reading import Quantity, Reading
from tests.alerting.drawn_rules import ENGINE_KINDS, LEVELS
from tests.alerting.oracle import baseline, expected_values, forecast, heart_failure
from tests.alerting.oracle.baseline import variance
from tests.alerting.worlds import (
    CGM,
    HOUR,
    MINUTE,
    World,
    dense_worlds,
    reading,
    sparse_worlds,
    worlds,
    worlds_about,
)
from tests.mutation.arranged import arranged
from tests.mutation.arranged_models import of_models
from tests.mutation.arranged_windows import of_windows
from tests.mutation.facts import FACTS
from tests.mutation.foretold import foretell
from tests.mutation.judging import difference

SEED = 20_260_303
WAITS = (40 * HOUR, 0, HOUR)
_MANY = 140
_DURATIONS = ("persist", "end_persist", "window", "slack", "lag", "freshness", "expected")
_NEAR = Fraction(1, 1_000_000)
_KALMAN_NEAR = Fraction(1, 1_000)
"""The normal distribution is good to 1e-7, and a probability is told in ten thousandths."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the kernel is held to: `run` returns what it does otherwise, None when nothing."""

    name: str
    run: Callable[[], str | None]


def checks(size: int) -> list[Check]:
    """Return the kill suite from `size` drawn worlds of each kind of rule, less those that tell nothing."""
    found = [Check(name, run) for name, run in FACTS.items()]
    for name, several in _kinds(size):
        for number, world in enumerate(several):
            if tells(world):
                foretold = foretell(world, WAITS[number % len(WAITS)])
                found.append(Check(f"{name} {number}", partial(difference, foretold, number)))
    return found


def _kinds(size: int) -> Iterator[tuple[str, list[World]]]:
    for kind in ENGINE_KINDS:
        yield kind, drawn(worlds_about(kind), size)
    yield from arranged(size)
    yield from of_windows(size)
    yield from of_models(size)
    for name, strategy in (("hours", worlds()), ("days", sparse_worlds()), ("sensor", dense_worlds())):
        yield name, drawn(strategy, size)
    for kind in ENGINE_KINDS:
        yield f"edges of {kind}", [edged(one, number) for number, one in enumerate(drawn(worlds_about(kind), 2 * size))]
    for kind in ENGINE_KINDS:
        yield f"timed {kind}", [timed(one, number) for number, one in enumerate(drawn(worlds_about(kind), 2 * size))]
    for kind in ("rate", "line", "change", "change_from", "baseline", "share", "quality"):
        yield f"crowded {kind}", list(_crowds(kind, size))


def drawn(strategy: st.SearchStrategy[World], size: int) -> list[World]:
    """Return so many worlds, always the same ones."""
    found: list[World] = []

    @seed(SEED)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(world: World) -> None:
        found.append(world)

    collect()
    return found


def timed(world: World, number: int) -> World:
    """Return a world whose durations are met to the ms: by the time between two of its readings, or one ms off it."""
    chance = Random(number)
    found: list[Rule] = []
    for rule in world.protocol.rules:
        spans = _spans([one for one in world.readings if one.quantity in rule.inputs])
        least = 1_000 if isinstance(rule, BaselineRule) else 1
        met: dict[str, Any] = {
            name: max(least, chance.choice(spans) + chance.choice((0, 0, 1, -1)))
            for name in _DURATIONS
            if spans
            if getattr(rule, name, 0)
        }
        if met.get("lag", 0) > met.get("window", 0):
            met["lag"], met["window"] = met["window"], met["lag"]
        found.append(replace(rule, **met))
    timings = {}
    for quantity in {quantity for rule in found for quantity in rule.inputs}:
        pauses = _pauses([one for one in world.readings if one.quantity is quantity])
        if pauses and chance.random() < 0.7:
            timings[quantity] = Timing(
                cadence=0, gap=max(1, chance.choice(pauses) + chance.choice((0, 0, 1, -1, -(9**9))))
            )
    times = [one.measured_at for one in world.readings] or [world.since]
    since = world.since if chance.random() < 0.5 else chance.choice(times) + chance.choice((0, 0, 1, -1))
    return replace(world, since=since, protocol=replace(world.protocol, rules=tuple(found), timings=timings))


def edged(world: World, number: int) -> World:
    """Return a world with other readings: pauses are the rules' durations, values their thresholds, or one off."""
    chance = Random(number)
    rules = world.protocol.rules
    whole = [getattr(rule, name) for rule in rules for name in _DURATIONS if getattr(rule, name, 0)] or [5 * MINUTE]
    spans = [*whole, *whole, *(one // 2 for one in whole)]
    gap = chance.choice(whole)
    watched = sorted({quantity for rule in rules for quantity in rule.inputs})
    met = {quantity: [*LEVELS[quantity], *_thresholds(rules, quantity)] for quantity in watched}
    near = {quantity: chance.choice(counts) for quantity, counts in met.items()}
    at = begin = world.since
    found: list[Reading] = []
    for place in range(chance.choice((4, 12, 30))):
        quantity = chance.choice(watched)
        at += max(0, chance.choice((0, 1, *((chance.choice(spans),) * 6))) + chance.choice((-1, 0, 0, 1)))
        count = near[quantity] if chance.random() < 0.6 else chance.choice(met[quantity])
        found.append(reading(quantity, count + chance.choice((-1, 0, 0, 1)), at, key=f"k{place:02}"))
    times = [one.measured_at for one in found]
    since = begin if chance.random() < 0.5 else chance.choice(times) + chance.choice((0, 0, 1, -1))
    timings = {quantity: Timing(cadence=0, gap=gap) for quantity in watched if chance.random() < 0.5}
    protocol = replace(world.protocol, timings=timings)
    return replace(world, protocol=protocol, readings=tuple(found), since=since)


def _thresholds(rules: Sequence[Rule], quantity: Quantity) -> list[int]:
    """Return the limits of the rules that compare readings of a quantity, three times each."""
    return [
        limit
        for rule in rules
        if isinstance(rule, LevelRule | ShareRule) and rule.quantity is quantity
        for limit in (rule.threshold, *((rule.end_threshold,) if isinstance(rule, LevelRule) else ()))
    ] * 3


def _spans(readings: Sequence[Reading]) -> list[int]:
    """Return the times between readings that are not far from each other."""
    times = sorted({one.measured_at for one in readings})
    return [later - earlier for place, later in enumerate(times) for earlier in times[max(0, place - 5) : place]]


def _pauses(readings: Sequence[Reading]) -> list[int]:
    times = sorted({one.measured_at for one in readings})
    return [later - earlier for earlier, later in pairwise(times)]


def _crowds(kind: str, size: int) -> Iterator[World]:
    """Yield worlds with more readings than a window of theirs may hold, which at a cadence are 128."""
    long = [one for one in drawn(dense_worlds(about=kind), 3 * size) if len(one.readings) > _MANY]
    for number, world in enumerate(long[: 2 + size // 4]):
        yield crowded(world, (8, 15, 30)[number % 3])


def crowded(world: World, faster: int) -> World:
    """Return a world of its last rule alone, with readings that come so many times as fast as its cadence says.

    Alone, for a full window holds more beside a rule with a longer one (`alerting.program`).
    """
    times = [world.since + (one.measured_at - world.since) // faster for one in world.readings]
    readings = tuple(
        replace(one, measured_at=at, received_at=at) for at, one in zip(times, world.readings, strict=True)
    )
    return replace(
        world,
        readings=readings,
        protocol=replace(
            world.protocol, rules=world.protocol.rules[-1:], timings={CGM: Timing(cadence=5 * MINUTE, gap=45 * MINUTE)}
        ),
    )


def tells(world: World) -> bool:
    """Whether the oracle and the kernel must agree on a world to the count.

    Left out are worlds in which a float lies so near to a step between two counts that either may be told.
    """
    return not any(_near_a_step(world, rule) for rule in world.protocol.rules)


def _near_a_step(world: World, rule: Rule) -> bool:
    """Whether a float that a rule is worth lies so near to a step between two counts that either may be told."""
    found = [
        expected_values(world.protocol, world.readings, rule.id, world.zone, since=world.since)
        for patch in _nudges(rule)
        for _ in _under(patch)
    ]
    return any(one != found[0] for one in found)


def _nudges(rule: Rule) -> list[AbstractContextManager[object]]:
    """Return the oracle's step between counts, a little lower and a little higher; nothing for an exact rule."""
    match rule:
        case ForecastRule():
            near = _KALMAN_NEAR if rule.model is Model.KALMAN else _NEAR
            return [
                mock.patch.object(forecast, "nearest", lambda value, by=by: math.floor(value + Fraction(1, 2) + by))
                for by in (-near, near)
            ]
        case BaselineRule(statistic=Baseline.SPC):
            return [
                mock.patch.object(baseline, "variance", lambda *counts, by=by, **sd: (1 + by) * variance(*counts, **sd))
                for by in (-_NEAR, _NEAR)
            ]
        case ScoreRule(score=Score.HEART_FAILURE):
            return [
                mock.patch.object(
                    heart_failure,
                    "math",
                    SimpleNamespace(sqrt=math.sqrt, trunc=lambda value, by=by: math.trunc(value + by)),
                )
                for by in (-_NEAR, _NEAR)
            ]
        case _:
            return []


def _under(patch: AbstractContextManager[object]) -> Iterator[None]:
    with patch:
        yield
