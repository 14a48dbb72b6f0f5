"""Worlds arranged by hand for forecasts, for the filter of spikes, and for windows that are just full."""

from collections.abc import Iterator
from random import Random

from alerting.care_protocol import CareProtocol, Timing
from alerting.program import SPARSE_READINGS
from alerting.rules import Baseline, BaselineRule, Direction, ForecastRule, Model, Side
from alerting.scheduled_rules import MeanRule, Score, ScoreRule
from devices.reading import Reading
from tests.alerting.worlds import (
    CGM,
    DAY,
    HOUR,
    MARCH,
    MINUTE,
    PULSE,
    START,
    SYSTOLIC,
    WEIGHT,
    World,
    common,
    protocol_of,
    reading,
)

_OFF = (0, 0, 1, -1)


def of_models(size: int) -> Iterator[tuple[str, list[World]]]:
    """Yield names and worlds, the same in every run."""
    yield "models", [models(number) for number in range(16 * size)]
    yield "spikes", [spikes(number) for number in range(8 * size)]
    yield "full windows", list(full_windows())


def models(number: int) -> World:
    """Return readings at the edges of a forecast: of its window, of the pause that breaks a run, of 5 min ago."""
    chance = Random(number)
    model = list(Model)[number % len(Model)]
    line = model in {Model.LINEAR, Model.ROBUST_LINEAR}
    # A window of some ms, or s where times are cut to them, in which the value moves so fast that the horizon's last ms
    # shows.
    window = (
        chance.choice((2, 3, 9, 11, 2_000, 2_001, 3_001, 9_001, 11_000, 30 * MINUTE, 30 * MINUTE, HOUR)) if line else 0
    ) or 5 * MINUTE
    side = chance.choice(list(Side))
    kalman = model is Model.KALMAN
    rule = ForecastRule(
        **common(CGM),
        model=model,
        side=side,
        threshold=700,
        end_threshold=700,
        probability=3_600 if kalman else 0,
        end_probability=3_000 if kalman else 0,
        horizon=chance.choice((5 * MINUTE, 30 * MINUTE)) if model is Model.AR2 else 20 * MINUTE,
        window=window if line else 0,
        min_readings=chance.choice((2, 3, 4)),
    )
    cadence = chance.choice((0, 0, 5 * MINUTE, 15 * MINUTE))
    timings = {CGM: Timing(cadence=cadence, gap=45 * MINUTE)} if chance.random() < 0.7 else {}
    longest = max(20 * MINUTE, 22 * cadence // 10 if timings else 0)
    halves = [window // 2, window // 2 + 1, (window + 1) // 2 - 1]
    pauses = [
        longest,
        longest + 1,
        longest - 1,
        *halves,
        window,
        5 * MINUTE,
        5 * MINUTE - 1,
        5 * MINUTE + 1,
        0,
        1,
        1,
        2,
    ]
    if line and window > longest:
        pauses = halves = [longest, longest + 1, longest - 1, 5 * MINUTE]
    at, found = START, list[Reading]()
    for place in range(chance.choice((8, 20, 40))):
        at += chance.choice(
            (*pauses, *((999, 1_000, 1_001) if window >= 1_000 else ())) if chance.random() < 0.6 else halves
        )
        found.append(reading(CGM, chance.randint(500, 3_000), at, key=f"k{place:02}"))
    if chance.random() < 0.2:
        found += [reading(CGM, 900 + place, at + window, key=f"l{place:02}") for place in range(14)]
    return World(protocol_of(rule, timings=timings), tuple(found), START)


def spikes(number: int) -> World:
    """Return weighings at the limit of the filter, from exactly 14 days ago on."""
    chance = Random(number)
    despike = chance.choice((500, 500, 1))
    filters = [
        BaselineRule(
            **common(WEIGHT, f"r{place}"),
            statistic=statistic,
            direction=Direction.RISE,
            delta=500,
            end_delta=1,
            window=0 if statistic in {Baseline.DRY_WEIGHT, Baseline.MACD} else 7 * DAY,
            min_readings=chance.choice((1, 2, 3)),
            despike=despike,
            reference=70_000,
            short=2,
            long=4,
            expected_sd=100,
            expected_readings=2,
            min_sd=10,
        )
        for place, statistic in enumerate(chance.sample(list(Baseline), 2))
    ]
    at, found = START, list[Reading]()
    for place in range(25):
        at += max(0, chance.choice((DAY, DAY, 2 * DAY, 6 * DAY, 6 * DAY, 7 * DAY, 14 * DAY)) + chance.choice(_OFF))
        count = 70_000 + chance.choice((0, 0, 1, despike - 1, despike, despike + 1, -despike, -despike - 1, 250))
        found.append(reading(WEIGHT, count, at, key=f"k{place:02}"))
    return World(protocol_of(*filters), tuple(found), START)


def full_windows() -> Iterator[World]:
    """Yield worlds with as many readings as a window over a quantity measured now and then may hold."""
    score = ScoreRule(
        **common(WEIGHT),
        score=Score.HEART_FAILURE,
        of=(WEIGHT, PULSE),
        threshold=500,
        end_threshold=1,
        freshness=DAY,
    )
    beats = [
        reading(PULSE, 500 + (place * 37) % 90 + 200 * (place % 2), MARCH + place * 23 * DAY // 384, key=f"p{place:04}")
        for place in range(SPARSE_READINGS)
    ]
    daily = [
        reading(WEIGHT, 70_000 + (place * 83) % 400, MARCH + 8 * HOUR + place * DAY, key=f"w{place:02}")
        for place in range(24)
    ]
    yield World(protocol_of(score), (*beats, *daily), MARCH)


def full_schedule() -> tuple[CareProtocol, list[Reading]]:
    """Return a mean over a schedule, and more readings of it than the engine looks at."""
    mean = MeanRule(
        **common(SYSTOLIC),
        side=Side.AT_LEAST,
        threshold=1_210,
        end_threshold=1_205,
        days=7,
        occasions=((0, 1_439),),
        per_occasion=1_000,
        drop_first=False,
        min_readings=2,
    )
    readings = [
        reading(SYSTOLIC, 100_000 - 211 * place, MARCH + HOUR + place * 100 * 1_000, key=f"k{place:04}")
        for place in range(SPARSE_READINGS + 1)
    ]
    return protocol_of(mean), readings


def full_filter(most: int) -> tuple[CareProtocol, list[Reading]]:
    """Return two filters of spikes that look back at `most` readings, and weighings of which there are two more.

    The last two lie `most` + 1 quanta from the median of so many before; with one weighing more or less in that median
    it would be one quantum more or less. `most` is 128, 384 for want of a cadence, or 384 for the filter's own limit.
    """
    filters = [
        BaselineRule(
            **common(WEIGHT, f"r{despike}"),
            statistic=Baseline.DRY_WEIGHT,
            direction=Direction.FALL,
            delta=1,
            end_delta=1,
            reference=70_000,
            despike=despike,
        )
        for despike in (most, most + 1)
    ]
    readings = [
        reading(WEIGHT, 70_000 - 2 * place, MARCH + place * 10 * MINUTE, key=f"k{place:04}")
        for place in range(most + 2)
    ]
    return protocol_of(*filters), readings


def full_past() -> tuple[CareProtocol, list[Reading], list[Reading]]:
    """Return a score at its first value, and its readings: weighings, and pulses, the latest 384 of which count."""
    score = ScoreRule(
        **common(WEIGHT),
        score=Score.HEART_FAILURE,
        of=(WEIGHT, PULSE),
        threshold=500,
        end_threshold=1,
        freshness=DAY,
    )
    beats = [
        reading(PULSE, 500 + (place * 37) % 90 + 200 * (place % 2), MARCH + place * 14 * DAY // 390, key=f"p{place:04}")
        for place in range(SPARSE_READINGS + 6)
    ]
    weights = [
        reading(WEIGHT, 70_000 + (place * 83) % 400, MARCH + DAY + place * DAY, key=f"w{place:02}")
        for place in range(14)
    ]
    return protocol_of(score), weights, beats
