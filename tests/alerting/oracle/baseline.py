"""A value against the patient's own baseline, by six statistics.

Running means are whole numbers of 1/65536 quanta.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import isqrt, trunc

from alerting.rules import Baseline, BaselineRule, Direction
from devices.reading import Reading
from tests.alerting.oracle.exact import cut, middle
from tests.alerting.oracle.sight import Setting, window

DAY = 86_400_000
FINE = 65_536
_LONGEST = 10**8


def values(rule: BaselineRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return quanta, or thousandths of a standard deviation, at each reading."""
    kept = without_spikes(readings, rule.despike, setting)
    found = {(one.device, one.key): value for one, value in zip(kept, _statistic(rule, kept, setting), strict=True)}
    return [found.get((one.device, one.key)) for one in readings]


def without_spikes(readings: Sequence[Reading], despike: int, setting: Setting) -> list[Reading]:
    """Return the readings that do not lie too far from the median of the 14 days before."""
    kept: list[Reading] = []
    for index, reading in enumerate(readings):
        before = window(readings, index, 14 * DAY, setting)[:-1]
        away = abs(reading.count - middle(one.count for one in before)) if len(before) >= 3 else Fraction()
        if despike == 0 or away <= despike:
            kept.append(reading)
    return kept


def past(rule: BaselineRule, readings: Sequence[Reading], index: int, setting: Setting) -> list[int]:
    """Return the values before the one at `index` that lie from the window's length to its lag ago."""
    latest = readings[index].measured_at - rule.lag
    return [one.count for one in window(readings, index, rule.window, setting)[:-1] if one.measured_at <= latest]


def variance(counts: Sequence[int], *, expected_sd: int, expected_readings: int, min_sd: int) -> Fraction:
    """Return the square of the standard deviation that a deviation is counted in."""
    mean = Fraction(sum(counts), max(1, len(counts)))
    own = sum(((one - mean) ** 2 for one in counts), Fraction())
    weight = max(0, len(counts) - 1) + expected_readings
    found = (own + expected_readings * expected_sd**2) / weight if weight else Fraction()
    return max(found, Fraction(min_sd**2))


def mean_after(mean: int, value: int, span: int) -> int:
    """Return an exponential mean over readings, in 1/65536, after one more value."""
    return mean + cut(2 * (value * FINE - mean), span + 1)


def _statistic(rule: BaselineRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    found: list[int]
    match rule.statistic:
        case Baseline.MEAN:
            return [
                _mean(past(rule, readings, index, setting), readings[index].count, rule)
                for index in range(len(readings))
            ]
        case Baseline.SPC:
            return [
                _spc(past(rule, readings, index, setting), readings[index].count, rule)
                for index in range(len(readings))
            ]
        case Baseline.DRY_WEIGHT:
            found = [one.count - rule.reference for one in readings]
        case Baseline.EWMA:
            found = [cut(one.count * FINE - mean, FINE) for one, mean in _ewma(rule, readings)]
        case Baseline.MACD:
            found = list(macd([one.count for one in readings], rule.short, rule.long))
        case _:
            found = list(_cusum(rule, readings))
    return [None if number < rule.min_readings else value for number, value in enumerate(found, start=1)]


def _mean(counts: Sequence[int], value: int, rule: BaselineRule) -> int | None:
    if not counts or len(counts) < rule.min_readings:
        return None
    return trunc(value - Fraction(sum(counts), len(counts)))


def _spc(counts: Sequence[int], value: int, rule: BaselineRule) -> int | None:
    if not counts or len(counts) < rule.min_readings:
        return None
    away = value - Fraction(sum(counts), len(counts))
    square = variance(
        counts, expected_sd=rule.expected_sd, expected_readings=rule.expected_readings, min_sd=rule.min_sd
    )
    # The root of a fraction cut downwards is the root of the fraction's whole part, cut downwards.
    deviations = isqrt(trunc(1_000_000 * away**2 / square))
    return deviations if away >= 0 else -deviations


def _ewma(rule: BaselineRule, readings: Sequence[Reading]) -> Iterator[tuple[Reading, int]]:
    """Yield each reading and the mean before it, for the first one itself."""
    tau = rule.window // 1000
    mean = before = 0
    for index, reading in enumerate(readings):
        if index == 0:
            mean = reading.count * FINE
        yield reading, mean
        if index:
            dt = min((reading.measured_at - before) // 1000, _LONGEST)
            mean += cut((reading.count * FINE - mean) * dt, tau + dt)
        before = reading.measured_at


def macd(counts: Sequence[int], short: int, long: int) -> Iterator[int]:
    """Yield the short mean minus the long one after each value."""
    means = [0, 0]
    for index, count in enumerate(counts):
        means = [
            mean_after(mean, count, span) if index else count * FINE
            for mean, span in zip(means, (short, long), strict=True)
        ]
        yield cut(means[0] - means[1], FINE)


def _cusum(rule: BaselineRule, readings: Sequence[Reading]) -> Iterator[int]:
    sign = 1 if rule.direction is Direction.RISE else -1
    total = 0
    for index, (reading, mean) in enumerate(_ewma(rule, readings)):
        if index:
            total = max(0, total + sign * (reading.count * FINE - mean) - rule.allowance * FINE)
        yield sign * cut(total, FINE)
