"""A forecast that crosses a threshold, by five models.

Glucose in mg/dL, minutes, floats; the two lines are fractions, for they are exact.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from alerting.rules import ForecastRule, Model
from devices.reading import Reading, facts
from tests.alerting.oracle.exact import middle, nearest
from tests.alerting.oracle.sight import Setting, window

MINUTE = 60_000
_LATEST = 12


def values(rule: ForecastRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return quanta, or basis points of a probability, at each reading."""
    found: list[int | None] = []
    for run in _runs(readings, setting.cadence(rule.quantity)):
        match rule.model:
            case Model.LINEAR | Model.ROBUST_LINEAR:
                found += [_line(rule, run, index, setting) for index in range(len(run))]
            case Model.AR2:
                steps = rule.horizon // (5 * MINUTE)
                found += [_counts(rule, _ar2(rule, run, index, steps)) for index in range(len(run))]
            case Model.HOLT_AR2:
                found += _holt_ar2(rule, run)
            case Model.KALMAN:
                found += _kalman(rule, run)
    return found


def _runs(readings: Sequence[Reading], cadence: int) -> list[list[Reading]]:
    longest = max(20 * MINUTE, 22 * cadence // 10)
    runs: list[list[Reading]] = []
    for reading in readings:
        if not runs or reading.measured_at - runs[-1][-1].measured_at > longest:
            runs.append([])
        runs[-1].append(reading)
    return runs


def _line(rule: ForecastRule, run: Sequence[Reading], index: int, setting: Setting) -> int | None:
    seen = window(run, index, rule.window, setting)
    now = run[index].measured_at
    if len(seen) < rule.min_readings or 2 * (now - seen[0].measured_at) < rule.window:
        return None
    if rule.model is Model.ROBUST_LINEAR:
        seen = seen[-_LATEST:]
    points = [(Fraction(one.measured_at - now), Fraction(one.count)) for one in seen]
    if rule.model is Model.LINEAR:
        points = [(Fraction((one.measured_at // 1000 - now // 1000) * 1000), Fraction(one.count)) for one in seen]
    if points[0][0] == 0:
        return None
    slope, level = _theil_sen(points) if rule.model is Model.ROBUST_LINEAR else _least_squares(points)
    return nearest(level + slope * rule.horizon)


def _least_squares(points: Sequence[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    mean_x = sum((x for x, _ in points), Fraction()) / len(points)
    mean_y = sum((y for _, y in points), Fraction()) / len(points)
    above = sum(((x - mean_x) * (y - mean_y) for x, y in points), Fraction())
    below = sum(((x - mean_x) ** 2 for x, _ in points), Fraction())
    slope = above / below
    return slope, mean_y - slope * mean_x


def _theil_sen(points: Sequence[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    slope = middle((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 != x1)
    return slope, middle(y - slope * x for x, y in points)


def _glucose(reading: Reading) -> float:
    return float(reading.count * facts(reading.quantity).quantum)


def _counts(rule: ForecastRule, glucose: float) -> int:
    return nearest(glucose / float(facts(rule.quantity).quantum))


def _before(run: Sequence[Reading], index: int) -> float:
    """Return the glucose 5 min before the reading at `index`, or the run's oldest when the run is shorter."""
    wanted = run[index].measured_at - 5 * MINUTE
    past = [one for one in run[: index + 1] if one.measured_at <= wanted]
    if not past:
        return _glucose(run[0])
    after = next(one for one in run[: index + 1] if one.measured_at > wanted)
    part = (wanted - past[-1].measured_at) / (after.measured_at - past[-1].measured_at)
    return _glucose(past[-1]) + part * (_glucose(after) - _glucose(past[-1]))


def _ar2(rule: ForecastRule, run: Sequence[Reading], index: int, steps: int) -> float:
    """Return the least (side low) or greatest glucose of the coming steps of 5 min."""
    current, previous = math.log(_glucose(run[index]) / 140), math.log(_before(run, index) / 140)
    path: list[float] = []
    for _ in range(steps):
        current, previous = 1.716 * current - 0.723 * previous, current
        path.append(140 * math.exp(current))
    return min(path) if rule.side.low else max(path)


def _holt_ar2(rule: ForecastRule, run: Sequence[Reading]) -> list[int | None]:
    found: list[int | None] = []
    trend = 0.0
    for index, reading in enumerate(run):
        minutes = (reading.measured_at - run[index - 1].measured_at) / MINUTE if index else 0.0
        if minutes > 0:
            beta = 1 - 0.8 ** (minutes / 5)
            slope = (_glucose(reading) - _glucose(run[index - 1])) / minutes
            trend = (1 - beta) * math.exp(-minutes / 15) * trend + beta * slope
        holt = _glucose(reading) + 15 * (1 - math.exp(-20 / 15)) * trend
        found.append(_counts(rule, (holt + _ar2(rule, run, index, 6)) / 2))
    return found


def _kalman(rule: ForecastRule, run: Sequence[Reading]) -> list[int | None]:
    threshold = float(rule.threshold * facts(rule.quantity).quantum)
    x, v = _glucose(run[0]), 0.0
    p00, p01, p11, noise = 4.0, 0.0, 1.0, 4.0
    found: list[int | None] = []
    for index, reading in enumerate(run):
        if index:
            dt = (reading.measured_at - run[index - 1].measured_at) / MINUTE
            decay = math.exp(-dt / 20)
            f = 20 * (1 - decay)
            x, v = x + f * v, decay * v
            p00, p01, p11 = (
                p00 + 2 * f * p01 + f * f * p11 + 0.06 * dt**3 / 3,
                decay * (p01 + f * p11) + 0.06 * dt**2 / 2,
                decay * decay * p11 + 0.06 * dt,
            )
            surprise = _glucose(reading) - x
            noise = min(max(0.95 * noise + 0.05 * min(max(surprise**2 - p00, 0.0), 100.0), 1.0), 60.0)
            gain_x, gain_v = p00 / (p00 + noise), p01 / (p00 + noise)
            x, v = x + gain_x * surprise, v + gain_v * surprise
            p00, p01, p11 = (1 - gain_x) * p00, (1 - gain_x) * p01, p11 - gain_v * p01
        probability = 0.0
        for h in (5, 10, 15, 20):
            f = 20 * (1 - math.exp(-h / 20))
            spread = math.sqrt(p00 + 2 * f * p01 + f * f * p11 + 0.06 * h**3 / 3 + noise)
            away = (threshold - x - f * v) / spread
            probability = max(probability, _normal(away if rule.side.low else -away))
        found.append(nearest(10_000 * probability))
    return found


def _normal(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2
