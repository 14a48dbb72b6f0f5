"""The rules that look at a schedule, at how a measurement was taken, or at several quantities and rules together.

They keep the rules of `alerting.rules`.
"""

from dataclasses import dataclass
from enum import StrEnum

from alerting.alert import Category
from alerting.rules import CommonRule, Limits, Measure, Side
from devices.reading import Quality, Quantity

ALL_DAYS = 0b1111111
"""Bit 0 is Monday."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRule(CommonRule):
    """The mean over a schedule: home blood pressure on 7 days, 2 occasions a day, 2 readings each ("722").

    At each judged reading: the readings of the last `days` local days, this one's day included; with `drop_first` the
    earliest of those days on which any counts left out (the first of a series, or of the days looked at in a longer
    one); of each (day, occasion) the first `per_occasion`. Readings outside every occasion do not count, and have no
    value themselves.

    Attributes:
        occasions: (from inclusive, to exclusive), minutes after local midnight, not overlapping, in order; at most 4.
        min_readings: fewer counted: no value.
    """

    side: Side
    threshold: int
    end_threshold: int
    days: int
    occasions: tuple[tuple[int, int], ...]
    per_occasion: int
    drop_first: bool
    min_readings: int

    @property
    def limits(self) -> Limits:
        """On the mean."""
        return Limits(side=self.side, threshold=self.threshold, end_threshold=self.end_threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRule(CommonRule):
    """No judged reading for longer than expected: raised when a deadline has passed, ended by the next reading.

    By age: the deadline is the last reading, or the start of watching when later, plus `expected` and `grace`.
    By schedule (`by` not None): on each local day of `days` a reading of that day is due at `by`, and missing after
    `grace` more; a reading of the day counts before and after `by`, and so does one of the next day that comes within
    the grace. A day on which watching began at or after `by` is not asked for.

    Attributes:
        expected: ms within which the next reading is due; 0 by schedule.
        grace: ms allowed beyond that.
        by: minutes after local midnight, None by age.
        days: bits of the days of the week, Monday lowest.
    """

    expected: int
    grace: int
    by: int | None = None
    days: int = ALL_DAYS

    @property
    def category(self) -> Category:
        """About what watches the patient."""
        return Category.TECHNICAL

    @property
    def measure(self) -> Measure:
        """It has no value but the time that passed."""
        return Measure.MILLISECONDS


class Concern(StrEnum):
    """What makes a measurement doubtful."""

    FLAGS = "flags"
    """How many readings of the window carry one of `flags`, whatever their validity but CALIBRATING and INVALID; those
    of a sensor that warms up are not looked at."""
    STUCK = "stuck"
    """ms since the value last changed; a pause longer than the quantity's gap begins anew."""
    JUMP = "jump"
    """|value - the value before|, in quanta, when that lies at most `window` ago; otherwise no value."""
    COMPRESSION_LOW = "compression_low"
    """1 at the reading that shows a sensor low which lying on the sensor explains, 0 otherwise: between `night` hours a
    fall of at least `per_minute` from one reading to the next, of which three quarters of what was lost since is
    regained within `window` of it, without a silence longer than the quantity's gap. Annotates; suppresses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRule(CommonRule):
    """Signal quality: raised when the concern's value reaches `times`, `delta` or `window`, ended when it does not.

    Attributes:
        flags: for FLAGS.
        times: for FLAGS.
        window: ms; for STUCK how long the same value may last; for FLAGS 0 means this reading alone.
        delta: quanta, for JUMP.
        per_minute: thousandths of a quantum, positive, for COMPRESSION_LOW.
        night: (from inclusive, to exclusive) minutes after local midnight, may pass midnight; for COMPRESSION_LOW.
    """

    concern: Concern
    flags: Quality = Quality.NONE
    times: int = 1
    window: int = 0
    delta: int = 0
    per_minute: int = 0
    night: tuple[int, int] = (22 * 60, 7 * 60)

    @property
    def category(self) -> Category:
        """About what watches the patient."""
        return Category.TECHNICAL

    @property
    def measure(self) -> Measure:
        """How many, how long or how much."""
        return {Concern.STUCK: Measure.MILLISECONDS, Concern.JUMP: Measure.QUANTA}.get(self.concern, Measure.POINTS)

    @property
    def limits(self) -> Limits:
        """At least what is tolerated no more; back at anything less."""
        reached = {Concern.FLAGS: self.times, Concern.STUCK: self.window, Concern.JUMP: self.delta}.get(self.concern, 1)
        return Limits(side=Side.AT_LEAST, threshold=reached, end_threshold=reached)


class Score(StrEnum):
    """Which score."""

    NEWS2 = "news2"
    """RCP 2017."""
    HEART_FAILURE = "heart_failure"
    """Log-odds of weight, heart rate, saturation and systolic pressure against the patient's own past."""


NEWS2_QUANTITIES = (
    Quantity.SPO2,
    Quantity.BLOOD_PRESSURE_SYSTOLIC,
    Quantity.PULSE_RATE,
    Quantity.HEART_RATE,
    Quantity.BODY_TEMPERATURE,
    Quantity.RESPIRATORY_RATE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRule(CommonRule):
    """A score of the freshest readings of several quantities.

    NEWS2: at each judged reading of one of `of`, the points of each quantity whose last reading is at most `freshness`
    old, plus 2 with `oxygen`. PULSE_RATE and HEART_RATE are one input: the fresher counts. With `single`, any input of
    3 points makes the value at least `threshold`. While an input of `of` is not fresh the value is a lower bound: it
    can raise, and when it is under the threshold there is no value. What no device of `of` measures (consciousness, and
    respiration unless named) counts nothing and is always named as lacking.

    HEART_FAILURE: at the first weighing of each local day, after the weight filter (`despike` 4.5 kg as in
    BaselineRule); S = max(0, S/2 + sum of clip(d z - d^2/2, -0.6, 2.5)) with d = 1.7 (MACD 3/14 of weight in its own
    s, clip up to 8), 0.5 (heart rate), 0.9 (minus saturation), 0.6 (|z of systolic| - 0.8); z = (last reading not
    older than `freshness` - median over 5 to 35 days ago, 8 readings at least) / s, s as in SPC with p = 20 and
    s_p = .60 kg, 5.5 /min, 1.2 %, 10.5 mm[Hg], .36 kg (MACD), at least .30, 2.5, .7, 5, .2; an input without z adds
    0. No value before 14 weighings.

    Attributes:
        score: which.
        of: quantities that feed it.
        threshold: points, or thousandths; raised at `>=`.
        end_threshold: ended at `<`.
        freshness: ms.
        scale: 1 or 2, of saturation (NEWS2; 2 for hypercapnic respiratory failure, as the physician decided).
        oxygen: the patient breathes supplemental oxygen (NEWS2).
        single: any single 3 raises (NEWS2).
    """

    score: Score
    of: tuple[Quantity, ...]
    threshold: int
    end_threshold: int
    freshness: int
    scale: int = 1
    oxygen: bool = False
    single: bool = True

    @property
    def measure(self) -> Measure:
        """Points, or thousandths of a logarithm of odds."""
        return Measure.POINTS if self.score is Score.NEWS2 else Measure.THOUSANDTHS

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """All it reads."""
        return self.of

    @property
    def limits(self) -> Limits:
        """On the score."""
        return Limits(side=Side.AT_LEAST, threshold=self.threshold, end_threshold=self.end_threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeRule(CommonRule):
    """k of n of other rules within a window, three-valued: missing is not false.

    A member is *true* when it stood, with a value, at a reading at most `window` ago, the judged one included; *false*
    when it is not true and had a value at a reading at most `window` ago; otherwise *unknown*. A missing rule is true
    while it stands, false otherwise. The composite is true when at least `at_least` members are; false when the true
    and the unknown together are fewer; otherwise it holds. It is looked at after each judged reading of a member's
    quantity and when a member that is a missing rule is raised; it raises when true and ends when false. Its
    value is how many are true.

    Attributes:
        of: ids of rules written before this one.
        at_least: k.
        window: ms.
        of_quantities: the members' quantities, each once.
    """

    of: tuple[str, ...]
    at_least: int
    window: int
    of_quantities: tuple[Quantity, ...]

    @property
    def measure(self) -> Measure:
        """How many members are true."""
        return Measure.POINTS

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """All its members read."""
        return self.of_quantities

    @property
    def limits(self) -> Limits:
        """On the number of true members."""
        return Limits(side=Side.AT_LEAST, threshold=self.at_least, end_threshold=self.at_least)
