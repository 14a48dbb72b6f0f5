"""The log-odds of a decompensation, from weight, heart rate, saturation and systolic pressure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from alerting.scheduled_rules import ScoreRule
from devices.reading import Quantity, Reading
from tests.alerting.oracle.baseline import macd, variance, without_spikes
from tests.alerting.oracle.exact import middle
from tests.alerting.oracle.local_clock import day_of
from tests.alerting.oracle.sight import MOST, Setting

DAY = 86_400_000
_SPIKE = 4_500
_WEIGHINGS = 14
_READINGS = 8


@dataclass(frozen=True)
class _Input:
    """What is expected of one input, in quanta, and how much it separates."""

    expected_sd: int
    min_sd: int
    distance: float
    highest: float = 2.5


_MACD = _Input(360, 200, 1.7, 8.0)
_BEATS = _Input(55, 25, 0.5)
_SPO2 = _Input(12, 7, 0.9)
_SYSTOLIC = _Input(105, 50, 0.6)


def values(rule: ScoreRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return thousandths of a logarithm of odds at the first weighing of each local day."""
    found: list[int | None] = [None] * len(readings)
    score = 0.0
    daily = _daily_weighings(readings, setting)
    trend = list(macd([readings[index].count for index in daily], 3, 14))
    for number, index in enumerate(daily):
        score = max(0.0, score / 2 + _evidence(rule, readings, daily, trend, number))
        if number + 1 >= _WEIGHINGS:
            found[index] = math.trunc(1000 * score)
    return found


def _daily_weighings(readings: Sequence[Reading], setting: Setting) -> list[int]:
    """Return the places of the first weighing of each day that is no spike."""
    weighings = without_spikes([one for one in readings if one.quantity is Quantity.BODY_WEIGHT], _SPIKE)
    first: dict[date, Reading] = {}
    for one in weighings:
        first.setdefault(day_of(one.measured_at, setting.zone), one)
    return [readings.index(one) for one in first.values()]


def _evidence(
    rule: ScoreRule, readings: Sequence[Reading], daily: Sequence[int], trend: Sequence[int], number: int
) -> float:
    index = daily[number]
    now = readings[index].measured_at
    total = 0.0
    own = [value for place, value in zip(daily[:number], trend, strict=False) if _past(readings[place], now)]
    if number + 1 >= _WEIGHINGS and len(own) >= _READINGS:
        total += _odds(_MACD, trend[number] / _deviation(_MACD, own))
    beats = _z(_BEATS, rule, readings[: index + 1], (Quantity.HEART_RATE, Quantity.PULSE_RATE))
    total += 0.0 if beats is None else _odds(_BEATS, beats)
    spo2 = _z(_SPO2, rule, readings[: index + 1], (Quantity.SPO2,))
    total += 0.0 if spo2 is None else _odds(_SPO2, -spo2)
    systolic = _z(_SYSTOLIC, rule, readings[: index + 1], (Quantity.BLOOD_PRESSURE_SYSTOLIC,))
    total += 0.0 if systolic is None else _odds(_SYSTOLIC, abs(systolic) - 0.8)
    return total


def _odds(kind: _Input, z: float) -> float:
    return min(max(kind.distance * z - kind.distance**2 / 2, -0.6), kind.highest)


def _z(kind: _Input, rule: ScoreRule, readings: Sequence[Reading], quantities: tuple[Quantity, ...]) -> float | None:
    """Return how far the last reading of these lies from its own past, None without enough of it or a fresh one."""
    now = readings[-1].measured_at
    mine = [one for one in readings if one.quantity in quantities]
    own = [one.count for one in mine[-MOST:] if _past(one, now)]
    if not mine or now - mine[-1].measured_at > rule.freshness or len(own) < _READINGS:
        return None
    return float(mine[-1].count - middle(own)) / _deviation(kind, own)


def _past(reading: Reading, now: int) -> bool:
    return now - 35 * DAY <= reading.measured_at <= now - 5 * DAY


def _deviation(kind: _Input, counts: Sequence[int]) -> float:
    return math.sqrt(variance(counts, expected_sd=kind.expected_sd, expected_readings=20, min_sd=kind.min_sd))
