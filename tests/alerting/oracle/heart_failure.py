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
from tests.alerting.oracle.sight import Setting

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
    """Return thousandths of a logarithm of odds at the first weighing of each local day, from the fourteenth on."""
    found: list[int | None] = [None] * len(readings)
    daily = _daily_weighings(readings, setting)
    trend = list(macd([one.count for one in daily], 3, 14))
    score = 0.0
    for number in range(_WEIGHINGS - 1, len(daily)):
        now = daily[number].measured_at
        index = readings.index(daily[number])
        own = [value for one, value in zip(daily[:number], trend, strict=False) if _is_past(one, now)]
        score = score / 2 + _odds(_MACD, trend[number] / _deviation(_MACD, own))
        score = max(0.0, score + _signs(rule, readings[: index + 1], now))
        found[index] = math.trunc(1000 * score)
    return found


def _daily_weighings(readings: Sequence[Reading], setting: Setting) -> list[Reading]:
    """Return the first weighing of each day that is no spike."""
    weighings = without_spikes([one for one in readings if one.quantity is Quantity.BODY_WEIGHT], _SPIKE, setting)
    first: dict[date, Reading] = {}
    for one in weighings:
        first.setdefault(day_of(one.measured_at, setting.zone), one)
    return list(first.values())


def _signs(rule: ScoreRule, readings: Sequence[Reading], now: int) -> float:
    """Return what the other inputs say."""
    beats = [one.quantity for one in readings if one.quantity in (Quantity.HEART_RATE, Quantity.PULSE_RATE)]
    rate = _z(_BEATS, rule, readings, beats[-1], now) if beats else None
    spo2 = _z(_SPO2, rule, readings, Quantity.SPO2, now)
    systolic = _z(_SYSTOLIC, rule, readings, Quantity.BLOOD_PRESSURE_SYSTOLIC, now)
    total = 0.0 if rate is None else _odds(_BEATS, rate)
    total += 0.0 if spo2 is None else _odds(_SPO2, -spo2)
    total += 0.0 if systolic is None else _odds(_SYSTOLIC, abs(systolic) - 0.8)
    return total


def _odds(kind: _Input, z: float) -> float:
    return min(max(kind.distance * z - kind.distance**2 / 2, -0.6), kind.highest)


def _z(kind: _Input, rule: ScoreRule, readings: Sequence[Reading], quantity: Quantity, now: int) -> float | None:
    """Return how far the last reading lies from its own past; None without enough of it or a fresh one."""
    mine = [one for one in readings if one.quantity is quantity]
    own = [one.count for one in mine if _is_past(one, now)]
    if not mine or now - mine[-1].measured_at > rule.freshness or len(own) < _READINGS:
        return None
    return float(mine[-1].count - middle(own)) / _deviation(kind, own)


def _is_past(reading: Reading, now: int) -> bool:
    return now - 35 * DAY <= reading.measured_at <= now - 5 * DAY


def _deviation(kind: _Input, counts: Sequence[int]) -> float:
    return math.sqrt(variance(counts, expected_sd=kind.expected_sd, expected_readings=20, min_sd=kind.min_sd))
