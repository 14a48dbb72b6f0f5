"""Where a protocol's thresholds lie on a chart: fixed ones as lines, those that follow the patient as curves.

- A level is a line; so is a dry weight, which the physician set, with what may be gained on it.
- A gain counted from the lowest of the last days, or from a usual value, moves with the patient: its threshold is a
  curve of the values that would have raised it, worked out of the readings on the chart. It is a picture: what was
  judged, and when, is the box's to say (alerts are marked).
- At most three are drawn, and of the curves one a side, the gravest first, so that the readings stay visible.

Not here: judging (alerting.engine).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alerting.alert import Priority
from alerting.care_protocol import CareProtocol, Rule
from alerting.rules import Baseline, BaselineRule, ChangeRule, Direction, LevelRule, Statistic
from coordination.desk.charts import Limit, Point
from coordination.desk.pages import DAY, NB, said, span, t
from coordination.desk.readings import Series
from coordination.desk.shown_values import Ruler
from devices.reading import Quantity

MOST = 3
_MOST_READINGS = 5_000
"""Beyond these a quantity streams, and its threshold is no picture that anybody reads."""
_GRAVEST = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A threshold that moves: (ms UTC, place on the axis), and its words."""

    points: tuple[Point, ...]
    words: str
    low: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What is drawn of a protocol on the chart of one quantity."""

    limits: tuple[Limit, ...] = ()
    curves: tuple[Curve, ...] = ()


def thresholds(protocol: CareProtocol | None, quantity: Quantity, series: Series | None, ruler: Ruler) -> Thresholds:
    """Return the thresholds of a protocol on a quantity; `series` are its readings, of which curves are worked out."""
    if protocol is None:
        return Thresholds()
    limits: list[Limit] = []
    curves: list[Curve] = []
    for rule in sorted(_of(protocol, quantity), key=lambda one: _GRAVEST[one.priority]):
        if len(limits) + len(curves) >= MOST:
            break
        match rule:
            case LevelRule():
                words = f"{said(rule.words.title)} : {ruler.bare(rule.threshold)}"
                limits.append(Limit(value=ruler.place(rule.threshold), css=_css(low=rule.side.low), words=words))
            case BaselineRule(statistic=Baseline.DRY_WEIGHT):
                limits += _dry_weight(rule, ruler)
            case ChangeRule() | BaselineRule() if series is not None:
                curve = _curve(rule, series, ruler)
                # One a side: two that nearly touch are read as neither.
                if curve is not None and all(one.low is not curve.low for one in curves):
                    curves.append(curve)
            case _:
                pass
    return Thresholds(limits=tuple(limits), curves=tuple(curves))


def _of(protocol: CareProtocol, quantity: Quantity) -> Iterator[Rule]:
    for rule in protocol.rules:
        if rule.quantity is quantity and rule.priority in _GRAVEST:
            yield rule


def _css(*, low: bool) -> str:
    return "lo2" if low else "hi"


def _dry_weight(rule: BaselineRule, ruler: Ruler) -> list[Limit]:
    sign = -1 if rule.direction is Direction.FALL else 1
    beyond = rule.reference + sign * rule.delta
    words = t(
        "poids de référence {gain} : {value}", "reference weight {gain}: {value}",
        gain=ruler.gain(sign * rule.delta), value=ruler.bare(beyond),
    )  # fmt: skip
    return [
        Limit(
            value=ruler.place(rule.reference),
            css="ref",
            words=t("référence : {value}", "reference: {value}", value=ruler.bare(rule.reference)),
        ),
        Limit(value=ruler.place(beyond), css=_css(low=sign < 0), words=words),
    ]


def _curve(rule: ChangeRule | BaselineRule, series: Series, ruler: Ruler) -> Curve | None:
    sign = -1 if rule.direction is Direction.FALL else 1
    if len(series) > _MOST_READINGS:
        return None
    if isinstance(rule, ChangeRule):
        if rule.relative or rule.statistic not in {Statistic.LOWEST, Statistic.HIGHEST}:
            return None
        points = _from_extreme(rule, series, sign)
        words = t("{gain} en {time}", "{gain} in {time}", gain=ruler.gain(sign * rule.delta), time=_long(rule.window))
    elif rule.statistic is Baseline.MEAN:
        points = _from_mean(rule, series, sign)
        words = t("habituel {gain}", "usual {gain}", gain=ruler.gain(sign * rule.delta))
    else:
        return None
    if not points:
        return None
    return Curve(points=tuple((at, ruler.place(count)) for at, count in points), words=words, low=sign < 0)


def _long(window: int) -> str:
    return f"{window // DAY}{NB}{t('j', 'd')}" if window % DAY == 0 else span(window)


def _from_extreme(rule: ChangeRule, series: Series, sign: int) -> list[tuple[float, float]]:
    """Return which value would have raised it at each reading: beyond the lowest (highest) of the window before."""
    reach = rule.window + rule.slack
    found: list[tuple[float, float]] = []
    for place in range(1, len(series)):
        at = int(series.times[place])
        first = int(np.searchsorted(series.times, at - reach))
        before = series.counts[first:place]
        if len(before):
            extreme = before.min() if sign > 0 else before.max()
            found.append((at, float(extreme) + sign * rule.delta))
    return found


def _from_mean(rule: BaselineRule, series: Series, sign: int) -> list[tuple[float, float]]:
    """Return which value would have raised it at each reading: beyond the mean of those from `window` to `lag` ago."""
    found: list[tuple[float, float]] = []
    for place in range(len(series)):
        at = int(series.times[place])
        first = int(np.searchsorted(series.times, at - rule.window))
        last = min(place, int(np.searchsorted(series.times, at - rule.lag, side="right")))
        if last - first >= max(1, rule.min_readings):
            found.append((at, float(series.counts[first:last].mean()) + sign * rule.delta))
    return found
