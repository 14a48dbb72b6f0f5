"""Feature: what a rule has the kernel work out of the readings before it compares; rules with the same one share it."""

from collections.abc import Mapping
from dataclasses import dataclass

from alerting import layout
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
    Statistic,
)
from alerting.scheduled_rules import CompositeRule, Concern, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from devices.reading import Quantity

_MINUTE = 60_000
_DAY = 86_400_000
_LONGEST_DAY = _DAY + 3_600_000
"""The day on which the clocks go back."""
_SETTLED = 5
"""Time constants after which an exponential mean has forgotten where it began (to 1 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What is worked out, in the terms of `layout`.

    Attributes:
        kind: a feature kind.
        column: the column that it is filed under.
        inputs: a bit for each column at whose readings it has a value.
        window: ms.
        least: fewest readings for a value.
        lag: ms.
        despike: quanta.
        longest_pause: ms; a longer one begins anew.
        numbers: F_A and so on.
        shown: whether an alert shows single readings of the window, or counts them.
        slow: its readings are judged one at a time.
    """

    kind: int
    column: int
    inputs: int
    window: int = 0
    least: int = 1
    lag: int = 0
    despike: int = 0
    longest_pause: int = 0
    numbers: tuple[int, ...] = ()
    shown: bool = False
    slow: bool = False


_MODELS = {
    Model.LINEAR: layout.LINEAR,
    Model.ROBUST_LINEAR: layout.ROBUST_LINEAR,
    Model.AR2: layout.AR2,
    Model.HOLT_AR2: layout.HOLT_AR2,
    Model.KALMAN: layout.KALMAN,
}
_STATISTICS = {
    Statistic.LOWEST: layout.LOWEST,
    Statistic.HIGHEST: layout.HIGHEST,
    Statistic.MEAN: layout.MEAN,
    Statistic.FIRST: layout.FIRST,
}
_BASELINES = {
    Baseline.MEAN: layout.MEAN,
    Baseline.EWMA: layout.EWMA,
    Baseline.SPC: layout.SPC,
    Baseline.MACD: layout.MACD,
    Baseline.CUSUM: layout.CUSUM,
}


def feature_of(
    rule: Rule, timing: Timing | None, columns: Mapping[Quantity, int], flag_columns: Mapping[Quantity, int]
) -> Feature | None:
    """Return what a rule needs worked out; None for one that looks at time or at other rules only."""
    match rule:
        case MissingRule() | CompositeRule():
            return None
        case ScoreRule():
            return _score(rule, columns)
        case QualityRule():
            return _quality(rule, timing, columns, flag_columns)
        case _:
            column = columns[rule.quantity]
            return _of_values(rule, column, timing)


def _of_values(  # noqa: PLR0911 - one return a kind
    rule: LevelRule | RateRule | ForecastRule | ChangeRule | BaselineRule | ShareRule | MeanRule,
    column: int,
    timing: Timing | None,
) -> Feature:
    inputs = 1 << column
    match rule:
        case LevelRule():
            return Feature(kind=layout.VALUE, column=column, inputs=inputs)
        case RateRule():
            return Feature(
                kind=layout.RATE,
                column=column,
                inputs=inputs,
                window=rule.window,
                least=rule.min_readings,
                shown=True,
            )
        case ForecastRule():
            return Feature(
                kind=_MODELS[rule.model],
                column=column,
                inputs=inputs,
                window=rule.window,
                least=rule.min_readings,
                longest_pause=longest_pause(timing),
                numbers=(-1 if rule.side.low else 1, rule.horizon, rule.threshold if rule.model is Model.KALMAN else 0),
                shown=True,
            )
        case ChangeRule():
            window = rule.window + rule.slack
            return Feature(
                kind=_STATISTICS[rule.statistic],
                column=column,
                inputs=inputs,
                window=window,
                numbers=(int(rule.relative),),
                shown=True,
            )
        case BaselineRule():
            return _baseline(rule, column)
        case ShareRule():
            # On integers `v < a` is `-v >= 1 - a` and `v > a` is `v >= a + 1`.
            sign = -1 if rule.side.low else 1
            limit = sign * rule.threshold + (1 if rule.side.strict else 0)
            return Feature(
                kind=layout.SHARE,
                column=column,
                inputs=inputs,
                window=rule.window,
                least=rule.min_readings,
                numbers=(sign, limit),
                shown=True,
            )
        case _:
            hours = tuple(begin * layout.SPAN + end for begin, end in rule.occasions)
            return Feature(
                kind=layout.SCHEDULE,
                column=column,
                inputs=inputs,
                window=(rule.days + 1) * _DAY,
                least=rule.min_readings,
                numbers=(rule.days, rule.per_occasion, int(rule.drop_first), 0, *hours, *(-1,) * (4 - len(hours))),
                shown=True,
                slow=True,
            )


def _baseline(rule: BaselineRule, column: int) -> Feature:
    if rule.statistic is Baseline.DRY_WEIGHT:
        return Feature(
            kind=layout.OFFSET,
            column=column,
            inputs=1 << column,
            least=rule.min_readings,
            despike=rule.despike,
            numbers=(rule.reference,),
            slow=rule.despike > 0,
        )
    sign = 1 if rule.direction is Direction.RISE else -1
    numbers = {
        Baseline.SPC: (rule.expected_readings, rule.expected_sd, max(1, rule.min_sd)),
        Baseline.MACD: (rule.short, rule.long),
        Baseline.CUSUM: (sign, rule.allowance),
    }
    return Feature(
        kind=_BASELINES[rule.statistic],
        column=column,
        inputs=1 << column,
        window=rule.window,
        least=rule.min_readings,
        lag=rule.lag,
        despike=rule.despike,
        numbers=numbers.get(rule.statistic, (0,)),
        shown=True,
        slow=rule.despike > 0,
    )


def _quality(
    rule: QualityRule, timing: Timing | None, columns: Mapping[Quantity, int], flag_columns: Mapping[Quantity, int]
) -> Feature:
    if rule.concern is Concern.FLAGS:
        column = flag_columns[rule.quantity]
        return Feature(
            kind=layout.FLAGS,
            column=column,
            inputs=1 << column,
            window=rule.window,
            numbers=(int(rule.flags),),
            shown=True,
        )
    column = columns[rule.quantity]
    gap = 0 if timing is None else timing.gap
    if rule.concern is Concern.STUCK:
        return Feature(kind=layout.STUCK, column=column, inputs=1 << column, longest_pause=gap)
    if rule.concern is Concern.JUMP:
        return Feature(kind=layout.JUMP, column=column, inputs=1 << column, window=rule.window)
    return Feature(
        kind=layout.COMPRESSION,
        column=column,
        inputs=1 << column,
        window=rule.window,
        longest_pause=gap,
        numbers=(rule.per_minute, *rule.night),
        shown=True,
    )


def _score(rule: ScoreRule, columns: Mapping[Quantity, int]) -> Feature:
    def column(quantity: Quantity) -> int:
        return columns[quantity] if quantity in rule.of else -1

    home = columns[rule.quantity]
    if rule.score is Score.NEWS2:
        settings = (rule.scale - 1) | int(rule.oxygen) << 1 | int(rule.single) << 2
        return Feature(
            kind=layout.NEWS2,
            column=home,
            inputs=sum(1 << columns[quantity] for quantity in rule.of),
            window=rule.freshness,
            numbers=(
                column(Quantity.SPO2),
                column(Quantity.BLOOD_PRESSURE_SYSTOLIC),
                column(Quantity.PULSE_RATE),
                column(Quantity.BODY_TEMPERATURE),
                column(Quantity.RESPIRATORY_RATE),
                column(Quantity.HEART_RATE),
                settings,
                rule.threshold,
            ),
            slow=True,
        )
    weight = columns[Quantity.BODY_WEIGHT]
    return Feature(
        kind=layout.HEART_FAILURE,
        column=weight,
        inputs=1 << weight,
        window=rule.freshness,
        least=14,
        despike=4_500,
        numbers=(
            weight,
            column(Quantity.PULSE_RATE),
            column(Quantity.HEART_RATE),
            column(Quantity.SPO2),
            column(Quantity.BLOOD_PRESSURE_SYSTOLIC),
        ),
        slow=True,
    )


def longest_pause(timing: Timing | None) -> int:
    """Return the ms after which a forecast begins anew: 20 min, or 2.2 cadences when longer."""
    return max(20 * _MINUTE, 0 if timing is None else timing.cadence * 22 // 10)


def reach_of(rule: Rule, timing: Timing | None) -> int:  # noqa: PLR0911 - one return a kind
    """Return how many ms before the start of watching a reading still matters to a rule."""
    gap = 0 if timing is None else timing.gap
    match rule:
        case MissingRule():
            # Somebody who weighed in the morning and is watched from ten on has weighed today.
            return 0 if rule.by is None else _LONGEST_DAY
        case LevelRule():
            return rule.persist + gap
        case RateRule():
            return rule.window + rule.persist + gap
        case ForecastRule():
            return max(rule.window, 2 * longest_pause(timing)) + rule.persist + gap
        case ChangeRule():
            return rule.window + rule.slack
        case BaselineRule():
            return _reach_of_baseline(rule)
        case MeanRule():
            return (rule.days + 1) * _DAY
        case ScoreRule():
            return 60 * _DAY if rule.score is Score.HEART_FAILURE else rule.freshness
        case _:
            return rule.window + gap


def _reach_of_baseline(rule: BaselineRule) -> int:
    filtered = 14 * _DAY if rule.despike else 0
    match rule.statistic:
        case Baseline.EWMA | Baseline.CUSUM:
            return _SETTLED * rule.window + filtered
        case Baseline.MACD:
            return _SETTLED * rule.long * _DAY + filtered
        case _:
            return rule.window + filtered
