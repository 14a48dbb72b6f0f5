"""Rules of every kind, drawn: thresholds that readings meet to the quantum, windows that they fill, and nasty corners.

What fits together depends on how long the readings go on: a `Scale` says that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from alerting.alert import Audience, Priority, Sentence
from alerting.care_protocol import Rule
from alerting.rules import (
    Baseline,
    BaselineRule,
    ChangeRule,
    Direction,
    ForecastRule,
    LevelRule,
    Model,
    RateRule,
    RuleWords,
    ShareRule,
    Side,
    Statistic,
)
from alerting.scheduled_rules import (
    ALL_DAYS,
    CompositeRule,
    Concern,
    MeanRule,
    MissingRule,
    QualityRule,
    Score,
    ScoreRule,
)
from devices.reading import Quality, Quantity

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
CGM = Quantity.GLUCOSE_INTERSTITIAL
WEIGHT = Quantity.BODY_WEIGHT
SYSTOLIC = Quantity.BLOOD_PRESSURE_SYSTOLIC
PULSE = Quantity.PULSE_RATE
SPO2 = Quantity.SPO2
TEMPERATURE = Quantity.BODY_TEMPERATURE

LEVELS = {
    CGM: (650, 700, 701, 710, 1800),
    WEIGHT: (70_000, 72_000, 72_001, 74_000),
    SYSTOLIC: (890, 900, 950, 1800),
    PULSE: (400, 500, 900, 1_100, 1_300),
    SPO2: (880, 910, 930, 950, 970),
    TEMPERATURE: (3_500, 3_600, 3_800, 3_810, 3_900),
}
"""Values that readings and thresholds are drawn from, in quanta."""

FLAGS = (Quality.CUFF_TOO_LOOSE, Quality.IRREGULAR_PULSE, Quality.CUFF_TOO_LOOSE | Quality.BODY_MOVEMENT)

WORDS = RuleWords(title=Sentence(fr="titre", en="title"), check=Sentence(fr="voir", en="look"), sources=("s",))


@dataclass(frozen=True)
class Scale:
    """How long windows and durations are, in ms, and how far values move, in quanta."""

    windows: tuple[int, ...]
    spans: tuple[int, ...]
    deltas: tuple[int, ...]
    expected: tuple[int, ...]


HOURS = Scale(
    windows=(10 * MINUTE, HOUR, 3 * HOUR),
    spans=(0, 5 * MINUTE, 12 * MINUTE, 15 * MINUTE, 16 * MINUTE, 2 * HOUR),
    deltas=(1, 10, 50, 2_000),
    expected=(30 * MINUTE, 4 * HOUR),
)
DAYS = Scale(
    windows=(DAY, 3 * DAY, 7 * DAY, 28 * DAY),
    spans=(0, DAY, 3 * DAY),
    deltas=(1, 100, 360, 1_360, 2_000),
    expected=(DAY, 4 * DAY),
)
SENSOR = Scale(
    windows=(15 * MINUTE, 20 * MINUTE, HOUR, 2 * HOUR),
    spans=(0, 15 * MINUTE, 16 * MINUTE, 2 * HOUR),
    deltas=(1, 30, 200),
    expected=(30 * MINUTE, 4 * HOUR),
)


@dataclass(frozen=True)
class Place:
    """What a rule is drawn for."""

    common: dict[str, Any]
    quantity: Quantity
    scale: Scale
    earlier: tuple[Rule, ...]
    quantities: tuple[Quantity, ...]


def _level(draw: st.DrawFn, place: Place) -> Rule:
    side, threshold, end_threshold = _thresholds(draw, place.quantity)
    return LevelRule(
        **place.common,
        side=side,
        threshold=threshold,
        end_threshold=end_threshold,
        persist=draw(st.sampled_from(place.scale.spans)),
        end_persist=draw(st.sampled_from(place.scale.spans)),
    )


def _rate(draw: st.DrawFn, place: Place) -> Rule:
    slow, fast = _ordered(draw, (1, 100, 1_000, 10_000, 20_000))
    return RateRule(
        **place.common,
        direction=draw(st.sampled_from(Direction)),
        per_minute=fast,
        end_per_minute=slow,
        window=draw(st.sampled_from(place.scale.windows)),
        min_readings=draw(st.integers(2, 4)),
        persist=draw(st.sampled_from(place.scale.spans)),
        end_persist=draw(st.sampled_from(place.scale.spans)),
    )


def _line(draw: st.DrawFn, place: Place) -> Rule:
    side, threshold, end_threshold = _thresholds(draw, place.quantity)
    return ForecastRule(
        **place.common,
        model=draw(st.sampled_from((Model.LINEAR, Model.ROBUST_LINEAR))),
        side=side,
        threshold=threshold,
        end_threshold=end_threshold,
        horizon=draw(st.sampled_from((20 * MINUTE, HOUR))),
        window=draw(st.sampled_from(place.scale.windows)),
        min_readings=draw(st.integers(2, 5)),
        persist=draw(st.sampled_from(place.scale.spans)),
    )


def _glucose_model(draw: st.DrawFn, place: Place) -> Rule:
    side, threshold, end_threshold = _thresholds(draw, CGM)
    model = draw(st.sampled_from((Model.AR2, Model.HOLT_AR2)))
    return ForecastRule(
        **place.common | {"quantity": CGM},
        model=model,
        side=side,
        threshold=threshold,
        end_threshold=end_threshold,
        horizon=draw(st.sampled_from((5 * MINUTE, 30 * MINUTE))) if model is Model.AR2 else 20 * MINUTE,
        persist=draw(st.sampled_from(place.scale.spans)),
    )


def _kalman(draw: st.DrawFn, place: Place) -> Rule:
    low, high = _ordered(draw, (1, 3_600, 5_300, 10_000))
    threshold = draw(st.sampled_from((700, 1_800)))
    return ForecastRule(
        **place.common | {"quantity": CGM},
        model=Model.KALMAN,
        side=draw(st.sampled_from(Side)),
        threshold=threshold,
        end_threshold=threshold,
        probability=high,
        end_probability=low,
        horizon=20 * MINUTE,
        end_persist=draw(st.sampled_from(place.scale.spans)),
    )


def _change(draw: st.DrawFn, place: Place) -> Rule:
    end_delta, delta = _ordered(draw, place.scale.deltas)
    direction = draw(st.sampled_from(Direction))
    return ChangeRule(
        **place.common,
        direction=direction,
        statistic=Statistic.LOWEST if direction is Direction.RISE else Statistic.HIGHEST,
        delta=delta,
        end_delta=end_delta,
        window=draw(st.sampled_from(place.scale.windows)),
        slack=draw(st.sampled_from((0, MINUTE))),
    )


def _change_from(draw: st.DrawFn, place: Place) -> Rule:
    relative = draw(st.booleans())
    end_delta, delta = _ordered(draw, (1, 5, 100, 500) if relative else place.scale.deltas)
    return ChangeRule(
        **place.common,
        direction=draw(st.sampled_from(Direction)),
        statistic=draw(st.sampled_from(Statistic)),
        delta=delta,
        end_delta=end_delta,
        window=draw(st.sampled_from(place.scale.windows)),
        slack=draw(st.sampled_from((0, MINUTE))),
        relative=relative,
    )


def _baseline(draw: st.DrawFn, place: Place) -> Rule:
    statistic = draw(st.sampled_from(Baseline))
    spc = statistic is Baseline.SPC
    end_delta, delta = _ordered(draw, (1, 999, 1_000, 2_000, 3_000) if spc else place.scale.deltas)
    window = draw(st.sampled_from(place.scale.windows))
    lagged = statistic in (Baseline.MEAN, Baseline.SPC)
    return BaselineRule(
        **place.common,
        statistic=statistic,
        direction=draw(st.sampled_from(Direction)),
        delta=delta,
        end_delta=end_delta,
        window=0 if statistic in (Baseline.DRY_WEIGHT, Baseline.MACD) else window,
        lag=draw(st.sampled_from((0, window // 4))) if lagged else 0,
        min_readings=draw(st.sampled_from((1, 2, 5))),
        despike=draw(st.sampled_from((0, 0, 500, 4_500))),
        reference=draw(st.sampled_from(LEVELS[place.quantity])) if statistic is Baseline.DRY_WEIGHT else 0,
        short=draw(st.sampled_from((1, 3))) if statistic is Baseline.MACD else 0,
        long=draw(st.sampled_from((4, 14))) if statistic is Baseline.MACD else 0,
        allowance=draw(st.sampled_from((0, 1, 50))) if statistic is Baseline.CUSUM else 0,
        expected_sd=draw(st.sampled_from((10, 600))) if spc else 0,
        expected_readings=draw(st.sampled_from((0, 1, 20))) if spc else 0,
        min_sd=draw(st.sampled_from((1, 300))) if spc else 1,
    )


def _share(draw: st.DrawFn, place: Place) -> Rule:
    end_share, share = _ordered(draw, (1, 3_333, 3_334, 5_000, 7_500, 10_000))
    return ShareRule(
        **place.common,
        side=draw(st.sampled_from(Side)),
        threshold=draw(st.sampled_from(LEVELS[place.quantity])),
        share=share,
        end_share=end_share,
        window=draw(st.sampled_from(place.scale.windows)),
        min_readings=draw(st.integers(1, 4)),
    )


def _mean(draw: st.DrawFn, place: Place) -> Rule:
    side, threshold, end_threshold = _thresholds(draw, place.quantity)
    return MeanRule(
        **place.common,
        side=side,
        threshold=threshold,
        end_threshold=end_threshold,
        days=draw(st.sampled_from((2, 3, 7))),
        occasions=draw(
            st.sampled_from((((360, 600), (1_080, 1_320)), ((0, 120), (120, 180), (420, 660)), ((0, 1_440),)))
        ),
        per_occasion=draw(st.integers(1, 3)),
        drop_first=draw(st.booleans()),
        min_readings=draw(st.integers(1, 4)),
    )


def _missing(draw: st.DrawFn, place: Place) -> Rule:
    return MissingRule(
        **place.common,
        expected=draw(st.sampled_from(place.scale.expected)),
        grace=draw(st.sampled_from((0, 15 * MINUTE))),
    )


def _missing_by(draw: st.DrawFn, place: Place) -> Rule:
    return MissingRule(
        **place.common,
        expected=0,
        grace=draw(st.sampled_from((0, HOUR, 13 * HOUR))),
        by=draw(st.sampled_from((0, 150, 540, 660, 1_439))),
        days=draw(st.sampled_from((ALL_DAYS, ALL_DAYS, 0b0010101, 0b1000000))),
    )


def _quality(draw: st.DrawFn, place: Place) -> Rule:
    concern = draw(st.sampled_from((Concern.FLAGS, Concern.STUCK, Concern.JUMP)))
    window = draw(st.sampled_from(place.scale.windows))
    return QualityRule(
        **place.common,
        concern=concern,
        flags=draw(st.sampled_from((*FLAGS, Quality.WARMING_UP))) if concern is Concern.FLAGS else Quality.NONE,
        times=draw(st.integers(1, 3)) if concern is Concern.FLAGS else 1,
        window=draw(st.sampled_from((0, window))) if concern is Concern.FLAGS else window,
        delta=draw(st.sampled_from(place.scale.deltas)) if concern is Concern.JUMP else 0,
    )


def _compression_low(draw: st.DrawFn, place: Place) -> Rule:
    return QualityRule(
        **place.common | {"quantity": CGM},
        concern=Concern.COMPRESSION_LOW,
        per_minute=draw(st.sampled_from((1_000, 5_000, 50_000))),
        window=draw(st.sampled_from((15 * MINUTE, HOUR))),
        night=draw(st.sampled_from(((22 * 60, 7 * 60), (0, 6 * 60), (480, 540)))),
    )


def _news2(draw: st.DrawFn, place: Place) -> Rule:
    of = tuple(one for one in (SYSTOLIC, PULSE, SPO2, TEMPERATURE) if one in place.quantities)
    end_threshold, threshold = _ordered(draw, (1, 2, 3, 5))
    return ScoreRule(
        **place.common | {"quantity": of[0]},
        score=Score.NEWS2,
        of=of,
        threshold=threshold,
        end_threshold=end_threshold,
        freshness=draw(st.sampled_from(place.scale.windows)),
        scale=draw(st.sampled_from((1, 2))),
        oxygen=draw(st.booleans()),
        single=draw(st.booleans()),
    )


def _heart_failure(draw: st.DrawFn, place: Place) -> Rule:
    end_threshold, threshold = _ordered(draw, (1, 500, 2_000, 4_610, 5_650))
    return ScoreRule(
        **place.common | {"quantity": WEIGHT},
        score=Score.HEART_FAILURE,
        of=(WEIGHT, *(one for one in (PULSE, SPO2, SYSTOLIC) if one in place.quantities)),
        threshold=threshold,
        end_threshold=end_threshold,
        freshness=draw(st.sampled_from((DAY, 2 * DAY))),
    )


def _composite(draw: st.DrawFn, place: Place) -> Rule:
    members = draw(st.lists(st.sampled_from(place.earlier), min_size=1, max_size=4, unique_by=lambda one: one.id))
    return CompositeRule(
        **place.common | {"quantity": members[0].quantity},
        of=tuple(one.id for one in members),
        at_least=draw(st.integers(1, len(members))),
        window=draw(st.sampled_from(place.scale.windows)),
        of_quantities=tuple(sorted({quantity for one in members for quantity in one.inputs})),
    )


def _ordered(draw: st.DrawFn, among: Sequence[int]) -> tuple[int, int]:
    low, high = sorted((draw(st.sampled_from(among)), draw(st.sampled_from(among))))
    return low, high


def _thresholds(draw: st.DrawFn, quantity: Quantity) -> tuple[Side, int, int]:
    side = draw(st.sampled_from(Side))
    low, high = _ordered(draw, LEVELS[quantity])
    return (side, low, high) if side.low else (side, high, low)


DRAWERS: dict[str, Callable[[st.DrawFn, Place], Rule]] = {
    "level": _level,
    "change": _change,
    "missing": _missing,
    "rate": _rate,
    "line": _line,
    "glucose_model": _glucose_model,
    "kalman": _kalman,
    "change_from": _change_from,
    "baseline": _baseline,
    "share": _share,
    "mean": _mean,
    "missing_by": _missing_by,
    "quality": _quality,
    "compression_low": _compression_low,
    "news2": _news2,
    "heart_failure": _heart_failure,
    "composite": _composite,
}

FIRST_KINDS = ("level", "change", "missing")
ALL_KINDS = tuple(DRAWERS)
ENGINE_KINDS = ALL_KINDS
"""The kinds that the engine judges."""

NEEDED: dict[str, tuple[Quantity, ...]] = {
    "glucose_model": (CGM,),
    "kalman": (CGM,),
    "compression_low": (CGM,),
    "news2": (SYSTOLIC, SPO2),
    "heart_failure": (WEIGHT, SPO2),
}
"""Without which quantities there is no rule of a kind."""


@st.composite
def rules(
    draw: st.DrawFn,
    quantities: tuple[Quantity, ...],
    kinds: tuple[str, ...],
    scale: Scale,
    *,
    about: str | None = None,
    most: int = 6,
) -> tuple[Rule, ...]:
    """Return up to `most` rules of `kinds` over `quantities`, the last one of the kind `about` if that is not None."""
    fitting = [kind for kind in kinds if set(NEEDED.get(kind, ())) <= set(quantities) and kind != "composite"]
    drawn = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=most - 1))
    if "composite" in kinds and draw(st.booleans()):
        drawn.append("composite")
    if about is not None:
        drawn.append(about)
    found: tuple[Rule, ...] = ()
    for index, kind in enumerate(drawn):
        quantity = draw(st.sampled_from(quantities))
        common = {
            "id": f"rule_{index}",
            "quantity": quantity,
            "priority": draw(st.sampled_from(Priority)),
            "audience": Audience.NURSE,
            "words": WORDS,
        }
        found = (*found, DRAWERS[kind](draw, Place(common, quantity, scale, found, quantities)))
    return found


def meeting(rule: Rule, value: int, ease: int) -> Rule:
    """Return a rule that raises at exactly `value`, and ends `ease` easier than that, where it has a value at all."""
    match rule:
        case LevelRule() | MeanRule() | ForecastRule() if not _is_kalman(rule):
            return replace(rule, threshold=value, end_threshold=value + (ease if rule.side.low else -ease))
        case ForecastRule():
            return replace(rule, probability=value, end_probability=value - ease)
        case RateRule():
            return replace(rule, direction=_way(value), per_minute=abs(value), end_per_minute=abs(value) - ease)
        case ChangeRule() | BaselineRule():
            return replace(rule, direction=_way(value), delta=abs(value), end_delta=abs(value) - ease)
        case ShareRule():
            return replace(rule, share=value, end_share=value - ease)
        case ScoreRule():
            return replace(rule, threshold=value, end_threshold=value - ease)
        case QualityRule(concern=Concern.FLAGS) if value > 0:
            return replace(rule, times=value)
        case QualityRule(concern=Concern.STUCK) if value > 0:
            return replace(rule, window=value)
        case QualityRule(concern=Concern.JUMP) if value > 0:
            return replace(rule, delta=value)
        case _:
            return rule


def _is_kalman(rule: Rule) -> bool:
    return isinstance(rule, ForecastRule) and rule.model is Model.KALMAN


def _way(value: int) -> Direction:
    return Direction.FALL if value < 0 else Direction.RISE
