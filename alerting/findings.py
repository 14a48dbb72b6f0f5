"""What an alert shows of the readings that made it: drawn from the stream, never worked out by the rule again.

Everything here is as of the reading that made the event, however many came with it: the same history gives the same
findings, wherever it was cut.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alerting import layout
from alerting.care_protocol import CareProtocol, Rule
from alerting.kept import Kept
from alerting.program import RUN_EVIDENCE, RuleProgram
from alerting.rules import Baseline, BaselineRule, ChangeRule, LevelRule, Statistic
from alerting.scheduled_rules import CompositeRule, Concern, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from devices.reading import Quantity

_NEWS2_INPUTS = (
    (Quantity.SPO2,),
    (Quantity.BLOOD_PRESSURE_SYSTOLIC,),
    (Quantity.PULSE_RATE, Quantity.HEART_RATE),
    (Quantity.BODY_TEMPERATURE,),
    (Quantity.RESPIRATORY_RATE,),
)
_HEART_FAILURE_INPUTS = (
    (Quantity.PULSE_RATE, Quantity.HEART_RATE),
    (Quantity.SPO2,),
    (Quantity.BLOOD_PRESSURE_SYSTOLIC,),
)


_LAST = "\uffff"
"""After every quantity: passing time comes after what was read at the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an event shows; see `alerting.stream.Event`."""

    evidence: tuple[Kept, ...] = ()
    baseline: int | None = None
    readings: int = 0
    span: int = 0
    recent: tuple[Kept, ...] = ()
    signals: tuple[Kept, ...] = ()
    lacking: tuple[Quantity, ...] = ()
    members: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()


class Tails:
    """The readings of each column, oldest first, and the ordinal of each column's first."""

    def __init__(self, tails: Sequence[list[Kept]], bases: Sequence[int]) -> None:
        self._tails = tails
        self._bases = bases

    def one(self, column: int, ordinal: int) -> Kept:
        """Return the reading of an ordinal."""
        return self._tails[column][ordinal - self._bases[column]]

    def some(self, column: int, first: int, last: int) -> tuple[Kept, ...]:
        """Return the readings of ordinals from `first` to `last`, both included, as far as they are kept."""
        base = self._bases[column]
        return tuple(self._tails[column][max(0, first - base) : last - base + 1])

    def until(self, column: int, limit: tuple[object, ...]) -> int:
        """Return how many readings of a column are kept that do not come after `limit` in canonical order."""
        return bisect_right(self._tails[column], limit, key=_order)

    def before(self, column: int, end: int, most: int) -> tuple[Kept, ...]:
        """Return the last `most` of the first `end` kept readings of a column."""
        return tuple(self._tails[column][max(0, end - most) : end])


def find(protocol: CareProtocol, program: RuleProgram, tails: Tails, row: Sequence[int]) -> Findings:
    """Return what one row of the kernel's output shows, of an alert that is raised."""
    at, judged_in, last = row[layout.O_AT], row[layout.O_COLUMN], row[layout.O_LAST]
    rule = protocol.rules[row[layout.O_RULE]]
    limit: tuple[object, ...] = (at, _LAST, "", "") if judged_in < 0 else _order(tails.one(judged_in, last))
    seen = {quantity: tails.until(column, limit) for quantity, column in program.columns.items()}

    def newest(quantity: Quantity) -> tuple[Kept, ...]:
        return tails.before(program.columns[quantity], seen[quantity], 1) if quantity in seen else ()

    recent: tuple[Kept, ...] = ()
    if rule.quantity in seen:
        recent = tails.before(program.columns[rule.quantity], seen[rule.quantity], RUN_EVIDENCE)
    shared = Findings(
        recent=recent,
        signals=tuple(kept for quantity in seen if quantity != rule.quantity for kept in newest(quantity)),
    )
    if isinstance(rule, CompositeRule):
        return replace(
            shared,
            evidence=tuple(sorted((kept for one in rule.inputs for kept in newest(one)), key=_order)),
            readings=row[layout.O_VALUE],
            members=_bits(row[layout.O_OWN]),
            unknown=_bits(row[layout.O_FIRST]),
        )
    if isinstance(rule, MissingRule):
        return replace(shared, evidence=tails.some(program.columns[rule.quantity], last, last) if last >= 0 else ())
    if isinstance(rule, ScoreRule):
        return _of_score(rule, row, [kept for one in rule.inputs for kept in newest(one)], shared)
    return _of_window(rule, program, tails, row, shared)


def _of_score(rule: ScoreRule, row: Sequence[int], newest: Sequence[Kept], shared: Findings) -> Findings:
    inputs = _NEWS2_INPUTS if rule.score is Score.NEWS2 else _HEART_FAILURE_INPUTS
    lacking = [quantity for bit in _bits(row[layout.O_OWN]) for quantity in inputs[bit] if quantity in rule.of]
    fresh = sorted((kept for kept in newest if row[layout.O_AT] - kept.measured_at <= rule.freshness), key=_order)
    return replace(shared, evidence=tuple(fresh), readings=len(fresh), lacking=tuple(lacking))


def _of_window(rule: Rule, program: RuleProgram, tails: Tails, row: Sequence[int], shared: Findings) -> Findings:
    at, judged_in, first, last = (row[place] for place in (layout.O_AT, layout.O_COLUMN, layout.O_FIRST, layout.O_LAST))
    if isinstance(rule, LevelRule):
        evidence = tails.some(judged_in, max(first, last - RUN_EVIDENCE + 1), last)
        return replace(shared, evidence=evidence, readings=last - first + 1, span=at - row[layout.O_ONSET])
    feature = program.features[int(program.rules[row[layout.O_RULE], layout.R_FEATURE])]
    window, count = int(feature[layout.F_WINDOW]), int(feature[layout.F_COUNT])
    held = [kept for kept in tails.some(judged_in, last - count + 1, last) if kept.measured_at >= at - window] or [
        tails.one(judged_in, last)
    ]
    latest = held[-1]
    if isinstance(rule, QualityRule) and rule.concern is Concern.JUMP:
        held = held[-2:]
    if isinstance(rule, ChangeRule) and rule.statistic is not Statistic.MEAN:
        reference = _reference(rule, held)
        return replace(
            shared,
            evidence=(reference, latest),
            baseline=reference.count,
            readings=len(held),
            span=at - held[0].measured_at,
        )
    if isinstance(rule, BaselineRule | ChangeRule):
        return _of_baseline(rule, latest, held, row[layout.O_VALUE], shared)
    readings = row[layout.O_OWN] if isinstance(rule, MeanRule) else len(held)
    return replace(shared, evidence=tuple(held[-RUN_EVIDENCE:]), readings=readings, span=at - held[0].measured_at)


def _reference(rule: ChangeRule, held: Sequence[Kept]) -> Kept:
    """Return the reading of the window that a change counts from; of several as low or high the latest."""
    if rule.statistic is Statistic.FIRST:
        return held[0]
    lowest = rule.statistic is Statistic.LOWEST
    extreme = (min if lowest else max)(kept.count for kept in held)
    return next(kept for kept in reversed(held) if kept.count == extreme)


def _of_baseline(
    rule: BaselineRule | ChangeRule,
    latest: Kept,
    held: Sequence[Kept],
    value: int,
    shared: Findings,
) -> Findings:
    """Say what the value was counted from, and how many earlier readings that rests on (spikes among them)."""
    lag = rule.lag if isinstance(rule, BaselineRule) else 0
    earlier = [kept for kept in held[:-1] if kept.measured_at <= latest.measured_at - lag]
    statistic = rule.statistic
    baseline: int | None = None
    if statistic in {Baseline.MACD, Baseline.CUSUM}:
        earlier = list(held)
    elif statistic is Baseline.SPC or (isinstance(rule, ChangeRule) and rule.relative):
        baseline = round(sum(kept.count for kept in earlier) / len(earlier)) if earlier else None
    else:
        baseline = latest.count - value
    span = latest.measured_at - earlier[0].measured_at if earlier else 0
    return replace(shared, evidence=(latest,), baseline=baseline, readings=len(earlier), span=span)


def _order(kept: Kept) -> tuple[object, ...]:
    return (kept.measured_at, kept.quantity.value, kept.device, kept.key)


def _bits(mask: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(layout.MOST_RULES) if mask >> bit & 1)
