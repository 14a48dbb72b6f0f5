"""The kinds of rules a care protocol is made of, as values: what each means, exactly.

At each judged reading of its quantity a rule has a *value*, or none: too few readings, too old ones, a sensor not
ready. A rule without a value holds: it neither raises nor ends. A value is an integer count of its rule's `Measure`,
and so are its limits; a quotient is cut towards zero. The rule is *beyond* when its value is on the far side of
`threshold`, and *back* when it is not on the far side of `end_threshold`. It raises once it has been beyond for
`persist`, and ends once it has been back for `end_persist`: at a cadence these count readings, 15 min at one reading
every 5 min being three of them (iglu: ceil(15/dt) points; Battelino 2023), with half a cadence allowed for jitter.

A window ends at the judged reading and includes it and both its ends, unless said otherwise; it holds at most
`alerting.program.window_readings` readings, the latest ones. Durations are ms, a day is 24 h, times of day are
minutes after midnight in the patient's time zone.

What is not here: how a file is written (protocol_schema), what contradicts what (contradictions), and judging.
"""

from dataclasses import dataclass
from enum import StrEnum

from alerting.alert import Audience, Category, Priority, Sentence
from devices.reading import Quantity


class Side(StrEnum):
    """Which values are beyond a threshold: `<`, `<=`, `>=` or `>` it."""

    BELOW = "below"
    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    ABOVE = "above"

    @property
    def low(self) -> bool:
        """Whether low values are beyond."""
        return self in {Side.BELOW, Side.AT_MOST}

    @property
    def strict(self) -> bool:
        """Whether the threshold itself is not beyond."""
        return self in {Side.BELOW, Side.ABOVE}


class Direction(StrEnum):
    """Which way a change counts."""

    RISE = "rise"
    FALL = "fall"

    @property
    def side(self) -> Side:
        """Where a signed change is beyond."""
        return Side.AT_LEAST if self is Direction.RISE else Side.AT_MOST


class Measure(StrEnum):
    """What one unit of a rule's value, threshold and end threshold is."""

    QUANTA = "quanta"
    """Quanta of the rule's quantity."""
    MILLIQUANTA_PER_MINUTE = "milliquanta_per_minute"
    BASIS_POINTS = "basis_points"
    """Hundredths of one percent: a share, a relative change, a probability."""
    THOUSANDTHS = "thousandths"
    """Of a standard deviation, or of a natural logarithm of odds."""
    POINTS = "points"
    """Of a score, or how many of something."""
    MILLISECONDS = "milliseconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a rule's value is beyond, and where it is back; both in its `Measure`."""

    side: Side
    threshold: int
    end_threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleWords:
    """What a rule says about itself.

    Attributes:
        title: the condition, as a nurse calls it.
        check: one verification to ask for, never a dose.
        sources: keys of `CareProtocol.sources`.
    """

    title: Sentence
    check: Sentence
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLife:
    """How often, and beside what, an alert of a rule is told; the engine raises it all the same.

    Attributes:
        refractory: ms after an alert of the rule ended during which another one is suppressed; 0 for none.
        per_day: alerts of the rule told within any 24 h, the others suppressed; 0 for no limit.
        absorbs: ids of rules whose alerts are suppressed while an alert of this one stands.
        latched: the alert ends only when somebody has seen it and the condition is over.
        digest: told once a day at the protocol's digest time, as a pattern, not when it is raised.
    """

    refractory: int = 0
    per_day: int = 0
    absorbs: tuple[str, ...] = ()
    latched: bool = False
    digest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonRule:
    """What every rule has.

    Attributes:
        id: unique in its protocol.
        quantity: whose readings it judges; of a score or a composite the one it is filed under.
        priority: how soon somebody must look.
        audience: whom it is for.
    """

    id: str
    quantity: Quantity
    priority: Priority
    audience: Audience
    words: RuleWords
    life: RuleLife = RuleLife()

    @property
    def category(self) -> Category:
        """About the patient."""
        return Category.CLINICAL

    @property
    def measure(self) -> Measure:
        """What its value counts."""
        return Measure.QUANTA

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """The quantities at whose readings it has a value."""
        return (self.quantity,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRule(CommonRule):
    """A value beyond a threshold: the reading's own value, in quanta."""

    side: Side
    threshold: int
    end_threshold: int
    persist: int = 0
    end_persist: int = 0

    @property
    def limits(self) -> Limits:
        """As written."""
        return Limits(side=self.side, threshold=self.threshold, end_threshold=self.end_threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRule(CommonRule):
    """Change per minute: (value - the oldest value of the window) / the minutes between them.

    No value with fewer than `min_readings` in the window, or when they span less than half of it.

    Attributes:
        per_minute: thousandths of a quantum, positive; raised at `>=` it in its direction.
        end_per_minute: ended at `<` it.
        window: ms.
        min_readings: at least 2.
    """

    direction: Direction
    per_minute: int
    end_per_minute: int
    window: int
    min_readings: int = 3
    persist: int = 0
    end_persist: int = 0

    @property
    def measure(self) -> Measure:
        """Thousandths of a quantum a minute, negative when falling."""
        return Measure.MILLIQUANTA_PER_MINUTE

    @property
    def limits(self) -> Limits:
        """Signed, as the value is."""
        return signed(self.direction, self.per_minute, self.end_per_minute)


class Model(StrEnum):
    """How a forecast is made.

    A run of readings is broken by a pause of more than 20 min or 2.2 cadences, whichever is longer; every model
    begins anew after it. The least (side low) or greatest value on the way counts where a model has a path.
    """

    LINEAR = "linear"
    """Least squares over the window, times cut to whole seconds, at the horizon."""
    ROBUST_LINEAR = "robust_linear"
    """Median of the slopes between all pairs of the window's latest 12 readings; median of the levels (Theil, Sen)."""
    AR2 = "ar2"
    """ln(glucose / 140), coefficients 1.716 and -0.723, in steps of 5 min (Nightscout, lib/plugins/ar2.js)."""
    HOLT_AR2 = "holt_ar2"
    """Mean of a damped trend at 20 min and AR2 at 30 min: for a reading every 6 min or oftener."""
    KALMAN = "kalman"
    """Probability of being beyond within 20 min: for a reading every 10 min or more rarely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRule(CommonRule):
    """A forecast that crosses a threshold within a horizon.

    Attributes:
        side: which forecast values are beyond.
        threshold: quanta; raised when the forecast is beyond it.
        end_threshold: quanta. For KALMAN equal to `threshold`.
        probability: basis points; KALMAN raises at `>=` it and the other models ignore it (0).
        end_probability: KALMAN ends at `<` it.
        horizon: ms; 20 min for HOLT_AR2 and KALMAN, a multiple of 5 min for AR2.
        window: ms of readings that LINEAR and ROBUST_LINEAR look at; the others ignore it (0).
        min_readings: LINEAR and ROBUST_LINEAR have no value with fewer, nor when they span less than half the window.
    """

    model: Model
    side: Side
    threshold: int
    end_threshold: int
    horizon: int
    window: int = 0
    min_readings: int = 3
    probability: int = 0
    end_probability: int = 0
    persist: int = 0
    end_persist: int = 0

    @property
    def measure(self) -> Measure:
        """Quanta, or the probability."""
        return Measure.BASIS_POINTS if self.model is Model.KALMAN else Measure.QUANTA

    @property
    def limits(self) -> Limits:
        """On the forecast, or on its probability."""
        if self.model is Model.KALMAN:
            return Limits(side=Side.AT_LEAST, threshold=self.probability, end_threshold=self.end_probability)
        return Limits(side=self.side, threshold=self.threshold, end_threshold=self.end_threshold)


class Statistic(StrEnum):
    """What of a window a value is compared with."""

    LOWEST = "lowest"
    HIGHEST = "highest"
    MEAN = "mean"
    """Of the earlier readings of the window, the judged one left out."""
    FIRST = "first"
    """The oldest reading of the window; no value when the judged one is the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRule(CommonRule):
    """A value minus the lowest, highest, mean or first of its last window.

    Attributes:
        direction: rise or fall.
        delta: positive; quanta, or basis points of the window's statistic when `relative`. Raised at `>=`.
        end_delta: ended at `<`.
        window: ms.
        slack: ms added to the window, so that a weighing a little more than three days ago still counts.
        statistic: LOWEST for a rise and HIGHEST for a fall by default.
        relative: the change is counted as a share of the statistic.
    """

    direction: Direction
    delta: int
    end_delta: int
    window: int
    slack: int = 0
    statistic: Statistic
    relative: bool = False

    @property
    def measure(self) -> Measure:
        """Quanta or basis points, negative when falling."""
        return Measure.BASIS_POINTS if self.relative else Measure.QUANTA

    @property
    def limits(self) -> Limits:
        """Signed, as the value is."""
        return signed(self.direction, self.delta, self.end_delta)


class Baseline(StrEnum):
    """What of the patient's own past a value is compared with."""

    MEAN = "mean"
    """value - mean of the earlier readings that lie from `window` to `lag` ago, both included."""
    EWMA = "ewma"
    """value - m, then m += (value - m) dt / (tau + dt): tau is `window`, dt whole seconds since the reading before."""
    DRY_WEIGHT = "dry_weight"
    """value - `reference`, which the physician set."""
    SPC = "spc"
    """(value - mean) / s over the readings of MEAN; s^2 = ((n - 1) s_i^2 + p s_p^2) / (n - 1 + p), s at least `min_sd`,
    with p = `expected_readings` and s_p = `expected_sd` (ALERTING section 5, personal z)."""
    MACD = "macd"
    """Short minus long exponential mean over readings: m += 2 (value - m) / (span + 1), spans `short` and `long`."""
    CUSUM = "cusum"
    """s = max(0, s + (value - m) - `allowance`) with m as EWMA has it before the value; negated for a fall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRule(CommonRule):
    """Deviation from the patient's own baseline.

    A reading further than `despike` from the median of the readings of the 14 days before it (3 at least; the mean of
    the two middle ones) has no value and enters no baseline: another person on the scale. Means are kept in 1/65536
    quanta.

    Attributes:
        statistic: which baseline.
        direction: rise or fall.
        delta: positive; quanta, or thousandths of a standard deviation for SPC. Raised at `>=`.
        end_delta: ended at `<`.
        window: ms; 0 where the statistic has none (DRY_WEIGHT, MACD).
        lag: ms, MEAN and SPC only.
        min_readings: fewer readings in the window (MEAN, SPC) or judged so far, this one included (others): no value.
        despike: quanta, 0 for no such filter.
    """

    statistic: Baseline
    direction: Direction
    delta: int
    end_delta: int
    window: int = 0
    lag: int = 0
    min_readings: int = 1
    despike: int = 0
    reference: int = 0
    short: int = 0
    long: int = 0
    allowance: int = 0
    expected_sd: int = 0
    expected_readings: int = 0
    min_sd: int = 1

    @property
    def measure(self) -> Measure:
        """Quanta, or thousandths of a standard deviation."""
        return Measure.THOUSANDTHS if self.statistic is Baseline.SPC else Measure.QUANTA

    @property
    def limits(self) -> Limits:
        """Signed, as the value is."""
        return signed(self.direction, self.delta, self.end_delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRule(CommonRule):
    """The share of the window's readings that lie beyond a threshold.

    Attributes:
        side: which readings count.
        threshold: quanta.
        share: basis points; raised at `>=`.
        end_share: ended at `<`.
        window: ms.
        min_readings: fewer in the window: no value.
    """

    side: Side
    threshold: int
    share: int
    end_share: int
    window: int
    min_readings: int

    @property
    def measure(self) -> Measure:
        """A share."""
        return Measure.BASIS_POINTS

    @property
    def limits(self) -> Limits:
        """On the share."""
        return Limits(side=Side.AT_LEAST, threshold=self.share, end_threshold=self.end_share)


def signed(direction: Direction, delta: int, end_delta: int) -> Limits:
    """Return the limits on a signed change, given positive ones in its direction."""
    sign = 1 if direction is Direction.RISE else -1
    return Limits(side=direction.side, threshold=sign * delta, end_threshold=sign * end_delta)
