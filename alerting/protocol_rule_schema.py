"""What a [[rules]] table of a protocol file may contain: one Struct a form of rule.

A key is the name of the field of `alerting.rules` that it becomes, but `on` of a missing rule, its `days`. A key that
may be left out has the value of its field there. Rules of one kind that need different keys have a table each, told
apart by another key (`FORMS`).

What is not here: how a value is written (protocol_values, protocol_amounts), and the other tables (protocol_schema).
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from alerting.alert import Audience, Priority
from alerting.protocol_amounts import Change, Deviations, Difference, Fraction100, Level, LogOdds, PerMinute, Points
from alerting.protocol_schema import LEFT_OUT, Bilingual, Identifier, Identifiers
from alerting.protocol_values import Days, Duration, Flags, Lasting, Span, TimeOfDay
from alerting.rules import Baseline, Direction, Model, Side, Statistic
from alerting.scheduled_rules import Concern, Score
from devices.reading import Quantity

MOST_READINGS = 1920
"""No window holds more (`alerting.program.window_readings`)."""
Readings = Annotated[int, Meta(ge=1, le=MOST_READINGS)]
Few = Annotated[int, Meta(ge=1, le=31)]
Spans = Annotated[int, Meta(ge=1, le=400)]
Count = Annotated[int, Meta(ge=0, le=1000)]


class RuleTable(Struct, frozen=True, kw_only=True):
    """What every [[rules]] has."""

    id: Identifier
    kind: Literal[
        "level",
        "rate",
        "forecast",
        "change",
        "baseline",
        "share",
        "mean",
        "missing",
        "quality",
        "score",
        "composite",
    ]
    quantity: Quantity
    priority: Priority
    audience: Audience
    title: Bilingual
    check: Bilingual
    sources: Annotated[list[str], Meta(min_length=1, max_length=16)]
    refractory: Duration = LEFT_OUT
    per_day: Annotated[int, Meta(ge=0, le=100)] = LEFT_OUT
    absorbs: Identifiers = LEFT_OUT
    latched: bool = LEFT_OUT
    digest: bool = LEFT_OUT


class LevelTable(RuleTable, frozen=True, kw_only=True):
    """A rule of kind "level"."""

    side: Side
    threshold: Level
    end_threshold: Level
    persist: Duration = LEFT_OUT
    end_persist: Duration = LEFT_OUT


class RateTable(RuleTable, frozen=True, kw_only=True):
    """A rule of kind "rate"."""

    direction: Direction
    per_minute: PerMinute
    end_per_minute: PerMinute
    window: Lasting
    min_readings: Readings = LEFT_OUT
    persist: Duration = LEFT_OUT
    end_persist: Duration = LEFT_OUT


class AnyForecastTable(RuleTable, frozen=True, kw_only=True):
    """What every rule of kind "forecast" has."""

    model: Model
    side: Side
    threshold: Level
    horizon: Lasting
    persist: Duration = LEFT_OUT
    end_persist: Duration = LEFT_OUT


class ForecastTable(AnyForecastTable, frozen=True, kw_only=True):
    """A rule of kind "forecast" with model "ar2" or "holt_ar2"."""

    end_threshold: Level


class LinearTable(ForecastTable, frozen=True, kw_only=True):
    """A rule of kind "forecast" with model "linear" or "robust_linear"."""

    window: Lasting
    min_readings: Readings = LEFT_OUT


class KalmanTable(AnyForecastTable, frozen=True, kw_only=True):
    """A rule of kind "forecast" with model "kalman": its end threshold is its threshold."""

    probability: Fraction100
    end_probability: Fraction100


class ChangeTable(RuleTable, frozen=True, kw_only=True):
    """A rule of kind "change"."""

    direction: Direction
    delta: Change
    end_delta: Change
    window: Lasting
    slack: Duration = LEFT_OUT
    statistic: Statistic = LEFT_OUT
    relative: bool = LEFT_OUT


class AnyBaselineTable(RuleTable, frozen=True, kw_only=True):
    """What every rule of kind "baseline" has."""

    statistic: Baseline
    direction: Direction
    min_readings: Readings = LEFT_OUT
    despike: Difference = LEFT_OUT


class BaselineTable(AnyBaselineTable, frozen=True, kw_only=True):
    """What every rule of kind "baseline" has but those of statistic "spc"."""

    delta: Difference
    end_delta: Difference


class MeanBaselineTable(BaselineTable, frozen=True, kw_only=True):
    """A rule of kind "baseline" with statistic "mean"."""

    window: Lasting
    lag: Duration = LEFT_OUT


class EwmaTable(BaselineTable, frozen=True, kw_only=True):
    """A rule of kind "baseline" with statistic "ewma"."""

    window: Lasting


class DryWeightTable(BaselineTable, frozen=True, kw_only=True):
    """A rule of kind "baseline" with statistic "dry_weight"."""

    reference: Level


class SpcTable(AnyBaselineTable, frozen=True, kw_only=True):
    """A rule of kind "baseline" with statistic "spc"."""

    delta: Deviations
    end_delta: Deviations
    window: Lasting
    lag: Duration = LEFT_OUT
    expected_sd: Difference = LEFT_OUT
    expected_readings: Count = LEFT_OUT
    min_sd: Difference = LEFT_OUT


class MacdTable(BaselineTable, frozen=True, kw_only=True):
    """A rule of kind "baseline" with statistic "macd"."""

    short: Spans
    long: Spans


class CusumTable(BaselineTable, frozen=True, kw_only=True):
    """A rule of kind "baseline" with statistic "cusum"."""

    window: Lasting
    allowance: Difference


class ShareTable(RuleTable, frozen=True, kw_only=True):
    """A rule of kind "share"."""

    side: Side
    threshold: Level
    share: Fraction100
    end_share: Fraction100
    window: Lasting
    min_readings: Readings


class MeanTable(RuleTable, frozen=True, kw_only=True):
    """A rule of kind "mean"."""

    side: Side
    threshold: Level
    end_threshold: Level
    days: Few
    occasions: Annotated[list[Span], Meta(min_length=1, max_length=4)]
    per_occasion: Few
    drop_first: bool
    min_readings: Readings


class AnyMissingTable(RuleTable, frozen=True, kw_only=True):
    """What every rule of kind "missing" has."""

    audience: Audience = Audience.NURSE
    grace: Duration = LEFT_OUT


class MissingTable(AnyMissingTable, frozen=True, kw_only=True):
    """A rule of kind "missing", by age."""

    expected: Lasting


class ScheduledTable(AnyMissingTable, frozen=True, kw_only=True):
    """A rule of kind "missing", by schedule."""

    by: TimeOfDay
    on: Days = LEFT_OUT


class AnyQualityTable(RuleTable, frozen=True, kw_only=True):
    """What every rule of kind "quality" has."""

    concern: Concern


class FlagsTable(AnyQualityTable, frozen=True, kw_only=True):
    """A rule of kind "quality" with concern "flags"."""

    flags: Flags
    times: Annotated[int, Meta(ge=1, le=100)] = LEFT_OUT
    window: Duration = LEFT_OUT


class StuckTable(AnyQualityTable, frozen=True, kw_only=True):
    """A rule of kind "quality" with concern "stuck"."""

    window: Lasting


class JumpTable(AnyQualityTable, frozen=True, kw_only=True):
    """A rule of kind "quality" with concern "jump"."""

    delta: Difference
    window: Lasting


class CompressionTable(AnyQualityTable, frozen=True, kw_only=True):
    """A rule of kind "quality" with concern "compression_low"."""

    per_minute: PerMinute
    window: Lasting
    night: Span = LEFT_OUT


class AnyScoreTable(RuleTable, frozen=True, kw_only=True):
    """What every rule of kind "score" has."""

    score: Score
    of: Annotated[list[Quantity], Meta(min_length=1, max_length=8)]
    freshness: Lasting


class News2Table(AnyScoreTable, frozen=True, kw_only=True):
    """A rule of kind "score" with score "news2"."""

    threshold: Points
    end_threshold: Points
    scale: Literal[1, 2] = LEFT_OUT
    oxygen: bool = LEFT_OUT
    single: bool = LEFT_OUT


class HeartScoreTable(AnyScoreTable, frozen=True, kw_only=True):
    """A rule of kind "score" with score "heart_failure"."""

    threshold: LogOdds
    end_threshold: LogOdds


class CompositeTable(RuleTable, frozen=True, kw_only=True):
    """A rule of kind "composite"."""

    of: Annotated[list[Identifier], Meta(min_length=2, max_length=16)]
    at_least: Annotated[int, Meta(ge=1, le=16)]
    window: Duration


class Forms(NamedTuple):
    """The tables that the rules of one kind may have.

    Attributes:
        key: the key that tells them apart; "" when there is one only.
        shared: what all of them have.
        tables: value of `key` -> table.
    """

    key: str
    shared: type[RuleTable]
    tables: Mapping[str, type[RuleTable]]

    @property
    def keys(self) -> frozenset[str]:
        """Every key of any of them."""
        return frozenset(key for table in self.tables.values() for key in table.__struct_fields__)


FORMS: Mapping[str, Forms] = {
    "level": Forms("", LevelTable, {"": LevelTable}),
    "rate": Forms("", RateTable, {"": RateTable}),
    "change": Forms("", ChangeTable, {"": ChangeTable}),
    "share": Forms("", ShareTable, {"": ShareTable}),
    "mean": Forms("", MeanTable, {"": MeanTable}),
    "composite": Forms("", CompositeTable, {"": CompositeTable}),
    "forecast": Forms(
        "model",
        AnyForecastTable,
        {
            "linear": LinearTable,
            "robust_linear": LinearTable,
            "ar2": ForecastTable,
            "holt_ar2": ForecastTable,
            "kalman": KalmanTable,
        },
    ),
    "baseline": Forms(
        "statistic",
        AnyBaselineTable,
        {
            "mean": MeanBaselineTable,
            "ewma": EwmaTable,
            "dry_weight": DryWeightTable,
            "spc": SpcTable,
            "macd": MacdTable,
            "cusum": CusumTable,
        },
    ),
    "missing": Forms("by", AnyMissingTable, {"age": MissingTable, "schedule": ScheduledTable}),
    "quality": Forms(
        "concern",
        AnyQualityTable,
        {"flags": FlagsTable, "stuck": StuckTable, "jump": JumpTable, "compression_low": CompressionTable},
    ),
    "score": Forms("score", AnyScoreTable, {"news2": News2Table, "heart_failure": HeartScoreTable}),
}
"""Kind -> its tables; a missing rule is by schedule when it says `by`."""


def form_of(table: Mapping[str, object]) -> type[RuleTable]:
    """Return the table that a rule is written as, as far as it says so."""
    kind = table.get("kind")
    forms = FORMS.get(kind) if isinstance(kind, str) else None
    if forms is None:
        return RuleTable
    if kind == "missing":
        return forms.tables["schedule" if "by" in table else "age"]
    word = table.get(forms.key, "")
    return forms.tables.get(word, forms.shared) if isinstance(word, str) else forms.shared
