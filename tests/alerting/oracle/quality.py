"""How a measurement was taken: flags, stuck values, jumps, and lows that lying on the sensor explains."""

from collections.abc import Sequence

from alerting.scheduled_rules import Concern, QualityRule
from devices.reading import Reading
from tests.alerting.oracle.local_clock import minute_of
from tests.alerting.oracle.sight import Setting, window

MINUTE = 60_000


def values(rule: QualityRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return how many, how long, how much, or whether, at each reading."""
    match rule.concern:
        case Concern.FLAGS:
            return [_flags(rule, readings, index, setting) for index in range(len(readings))]
        case Concern.STUCK:
            return [_stuck(rule, readings, index, setting) for index in range(len(readings))]
        case Concern.JUMP:
            return [_jump(rule, readings, index) for index in range(len(readings))]
        case Concern.COMPRESSION_LOW:
            return _compression_lows(rule, readings, setting)


def _flags(rule: QualityRule, readings: Sequence[Reading], index: int, setting: Setting) -> int:
    seen = window(readings, index, rule.window, setting) if rule.window else [readings[index]]
    return sum(1 for one in seen if one.quality & rule.flags)


def _stuck(rule: QualityRule, readings: Sequence[Reading], index: int, setting: Setting) -> int:
    gap = setting.gap(rule.quantity)
    first = index
    while (
        first > 0
        and readings[first - 1].count == readings[index].count
        and (gap is None or readings[first].measured_at - readings[first - 1].measured_at <= gap)
    ):
        first -= 1
    return readings[index].measured_at - readings[first].measured_at


def _jump(rule: QualityRule, readings: Sequence[Reading], index: int) -> int | None:
    if index == 0 or readings[index].measured_at - readings[index - 1].measured_at > rule.window:
        return None
    return abs(readings[index].count - readings[index - 1].count)


def _compression_lows(rule: QualityRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Follow one fall at a time: until three quarters of what was lost are regained, or `window` has passed."""
    found: list[int | None] = []
    fall: int | None = None
    for index, reading in enumerate(readings):
        if fall is not None and (
            reading.measured_at - readings[fall].measured_at > rule.window
            or not _near(rule, readings[index - 1], reading, setting)
        ):
            fall = None
        shown = 0
        if fall is not None:
            before = readings[fall - 1].count
            lowest = min(one.count for one in readings[fall : index + 1])
            if 4 * (reading.count - lowest) >= 3 * (before - lowest):
                shown, fall = 1, None
        elif index and _falls(rule, readings[index - 1], reading, setting):
            fall = index
        found.append(shown)
    return found


def _falls(rule: QualityRule, before: Reading, after: Reading, setting: Setting) -> bool:
    pause = after.measured_at - before.measured_at
    lost = before.count - after.count
    return (
        _at_night(rule, after, setting)
        and _near(rule, before, after, setting)
        and pause > 0
        and lost * 1000 * MINUTE >= rule.per_minute * pause
    )


def _near(rule: QualityRule, before: Reading, after: Reading, setting: Setting) -> bool:
    gap = setting.gap(rule.quantity)
    return gap is None or after.measured_at - before.measured_at <= gap


def _at_night(rule: QualityRule, reading: Reading, setting: Setting) -> bool:
    minute = minute_of(reading.measured_at, setting.zone)
    begin, end = rule.night
    return begin <= minute < end if begin < end else minute >= begin or minute < end
