"""One patient's short story for a rule: readings with which it is raised and ends, or all but raised.

The readings follow from what the rule says of itself. `inside` makes the story that stays just this side: one quantum,
one reading or one millisecond less, and nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from alerting.care_protocol import CareProtocol, Rule
from alerting.rules import ChangeRule, Direction, ForecastRule, LevelRule, RateRule, ShareRule, Side, Statistic
from alerting.scheduled_rules import Concern, MeanRule, MissingRule, QualityRule
from devices.reading import Quality, Quantity, Reading
from tests.alerting.oracle import expected_values
from tests.alerting.worlds import CGM, DAY, HOUR, MINUTE, SYSTOLIC, WEIGHT, reading

MIDNIGHT = 1_772_492_400_000  # 2026-03-03T00:00 in Paris, a Tuesday
NORMAL = {
    CGM: 1100,
    Quantity.GLUCOSE_CAPILLARY: 1100,
    SYSTOLIC: 1200,
    Quantity.BLOOD_PRESSURE_DIASTOLIC: 750,
    WEIGHT: 100_000,
}
"""In quanta; a weight of 100 kg makes a hundredth of a percent ten grams."""


@dataclass(frozen=True)
class Story:
    """Readings, and until when time passes (ms UTC)."""

    readings: tuple[Reading, ...]
    until: int


def story(protocol: CareProtocol, rule: Rule, *, inside: bool = False, begin: int = MIDNIGHT) -> Story:
    """Return the story of a rule, its first reading at `begin` (ms UTC) or on that day."""
    timing = protocol.timings.get(rule.quantity)
    step = HOUR if timing is None else timing.cadence
    match rule:
        case MissingRule():
            return _missing(rule, inside=inside, begin=begin)
        case MeanRule():
            found = _mean(rule, inside=inside, begin=begin)
        case QualityRule():
            found = _quality(rule, step, inside=inside, begin=begin)
        case LevelRule():
            found = _series(rule.quantity, _level(rule, step, inside=inside), begin, step)
        case RateRule():
            found = _series(rule.quantity, _rate(rule, step, inside=inside), begin, step)
        case ForecastRule():
            found = _series(rule.quantity, _forecast(protocol, rule, step, inside=inside), begin, step)
        case ChangeRule():
            found = _series(rule.quantity, _change(rule, inside=inside), begin, DAY)
        case ShareRule():
            sparse = rule.window // (2 * rule.min_readings)
            values = _share(rule, step if timing else sparse, inside=inside)
            found = _series(rule.quantity, values, begin, step if timing else sparse)
        case _:
            raise TypeError(rule)
    return Story(tuple(found), max(one.measured_at for one in found))


def _series(quantity: Quantity, values: Iterable[int], begin: int, step: int) -> list[Reading]:
    return [reading(quantity, value, begin + place * step) for place, value in enumerate(values)]


def _edge(rule: LevelRule | ShareRule | MeanRule, *, inside: bool) -> int:
    """Return the value nearest to normal that is beyond the threshold, or the next one that is not."""
    outward = -1 if rule.side.low else 1
    first = rule.threshold + (outward if rule.side in {Side.BELOW, Side.ABOVE} else 0)
    return first - outward if inside else first


def _level(rule: LevelRule, step: int, *, inside: bool) -> list[int]:
    normal = NORMAL[rule.quantity]
    held, back = (max(1, -(-time // step)) for time in (rule.persist, rule.end_persist))
    return [normal] * 3 + [_edge(rule, inside=inside)] * held + [normal] * back


def _rate(rule: RateRule, step: int, *, inside: bool) -> list[int]:
    assert rule.direction is Direction.FALL
    steps = rule.window // step
    fall = rule.per_minute * rule.window // MINUTE // 1000
    down = [2500 - fall * number // steps for number in range(1, steps + 1)]
    down[-1] += inside
    return [2500] * (steps + 1) + down + [down[-1]] * steps


def _forecast(protocol: CareProtocol, rule: ForecastRule, step: int, *, inside: bool) -> list[int]:
    """A flat trace at the highest value from which a low is expected, as the oracle counts it."""
    beyond, not_beyond = 400, NORMAL[rule.quantity]
    while not_beyond - beyond > 1:
        middle = (beyond + not_beyond) // 2
        values = expected_values(protocol, _series(rule.quantity, [middle] * 8, MIDNIGHT, step), rule.id)
        if any(_is_beyond(rule, value) for value in values if value is not None):
            beyond = middle
        else:
            not_beyond = middle
    return [not_beyond if inside else beyond] * 8 + [NORMAL[rule.quantity]] * 6


def _is_beyond(rule: ForecastRule, value: int) -> bool:
    limits = rule.limits
    return {
        Side.BELOW: value < limits.threshold,
        Side.AT_MOST: value <= limits.threshold,
        Side.AT_LEAST: value >= limits.threshold,
        Side.ABOVE: value > limits.threshold,
    }[limits.side]


def _change(rule: ChangeRule, *, inside: bool) -> list[int]:
    normal = NORMAL[rule.quantity]
    size = (normal * rule.delta // 10_000 if rule.relative else rule.delta) - inside
    sign = 1 if rule.direction is Direction.RISE else -1
    assert rule.statistic in {Statistic.LOWEST, Statistic.HIGHEST, Statistic.MEAN}
    return [normal] * 3 + [normal + sign * size] + [normal] * 2


def _share(rule: ShareRule, step: int, *, inside: bool) -> list[int]:
    normal, count = NORMAL[rule.quantity], rule.min_readings
    beyond = -(-rule.share * count // 10_000)
    edge = _edge(rule, inside=False)
    low = [edge] * (beyond - 1) + [_edge(rule, inside=inside)]
    return low + [normal] * (count - beyond) + [normal] * (rule.window // step + beyond + 1)


def _mean(rule: MeanRule, *, inside: bool, begin: int) -> list[Reading]:
    midnight = begin - (begin - MIDNIGHT) % DAY
    normal = NORMAL[rule.quantity]
    days = [_edge(rule, inside=inside)] * (rule.days + 1) + [normal] * (rule.days + 1)
    return [
        reading(rule.quantity, value, midnight + day * DAY + (start + 2 * number) * MINUTE)
        for day, value in enumerate(days)
        for start, _ in rule.occasions
        for number in range(rule.per_occasion)
    ]


def _missing(rule: MissingRule, *, inside: bool, begin: int) -> Story:
    """A reading, and the next one a minute after the deadline, or just at it."""
    normal = NORMAL[rule.quantity]
    if rule.by is None:
        due = begin + rule.expected + rule.grace
    else:
        midnight = begin - (begin - MIDNIGHT) % DAY
        ahead = next(days for days in range(1, 8) if rule.days >> (1 + days) % 7 & 1)
        due = midnight + ahead * DAY + rule.by * MINUTE + rule.grace
    found = [reading(rule.quantity, normal, begin)]
    if rule.by is not None and inside:
        # The last millisecond of the day that was asked for.
        found.append(reading(rule.quantity, normal, due - rule.grace - rule.by * MINUTE + DAY - 1))
    last = due if inside and rule.by is None else due + MINUTE
    return Story((*found, reading(rule.quantity, normal, last)), last)


def _quality(rule: QualityRule, step: int, *, inside: bool, begin: int) -> list[Reading]:
    normal = NORMAL[rule.quantity]
    match rule.concern:
        case Concern.FLAGS:
            flag = next(one for one in Quality if one in rule.flags)
            flags = [flag] * (rule.times - inside) + [Quality.NONE] * inside
            apart = rule.window // (rule.times + 1)
            times = [begin + place * apart for place in range(rule.times)]
            found = [reading(rule.quantity, normal, at, quality=one) for at, one in zip(times, flags, strict=True)]
            return [*found, reading(rule.quantity, normal, times[-1] + rule.window + HOUR)]
        case Concern.STUCK:
            count = rule.window // step
            values = [normal + 50, *[normal] * count, normal + inside, normal + 70]
        case Concern.JUMP:
            values = [normal, normal + rule.delta - inside, normal + rule.delta]
            step = min(step, rule.window)
        case _:
            fall = rule.per_minute * step // MINUTE // 1000
            values = [normal, normal, normal - fall + inside, normal - fall + inside, normal, normal]
    return _series(rule.quantity, values, begin, step)
