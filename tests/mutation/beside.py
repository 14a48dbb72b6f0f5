"""What a row of the kernel's output tells besides its value, counted as slowly as the oracle counts."""

from collections.abc import Sequence

from alerting.care_protocol import ValueRule
from alerting.rules import BaselineRule
from alerting.scheduled_rules import MeanRule, Score, ScoreRule
from devices.reading import Quantity, Reading
from tests.alerting.oracle import heart_failure
from tests.alerting.oracle.baseline import without_spikes
from tests.alerting.oracle.local_clock import day_of, minute_of
from tests.alerting.oracle.sight import Setting

_BEATS = (Quantity.PULSE_RATE, Quantity.HEART_RATE)
_NEWS2 = (
    (Quantity.SPO2,),
    (Quantity.BLOOD_PRESSURE_SYSTOLIC,),
    _BEATS,
    (Quantity.BODY_TEMPERATURE,),
    (Quantity.RESPIRATORY_RATE,),
)


def told_besides(rule: ValueRule, readings: Sequence[Reading], setting: Setting) -> list[int]:
    """Return at each reading that a rule looks at: how many it kept or counted, or which inputs it lacked; else 0."""
    match rule:
        case BaselineRule() if rule.despike:
            kept = {(one.device, one.key) for one in without_spikes(readings, rule.despike, setting)}
            passed = [(one.device, one.key) in kept for one in readings]
            return [sum(passed[: index + 1]) for index in range(len(readings))]
        case MeanRule():
            return [_counted(rule, readings[: index + 1], setting) for index in range(len(readings))]
        case ScoreRule(score=Score.NEWS2):
            return [_not_fresh(rule, readings[: index + 1]) for index in range(len(readings))]
        case ScoreRule():
            return [_without_part(rule, readings[: index + 1]) for index in range(len(readings))]
        case _:
            return [0] * len(readings)


def _counted(rule: MeanRule, readings: Sequence[Reading], setting: Setting) -> int:
    today = day_of(readings[-1].measured_at, setting.zone)
    minute = minute_of(readings[-1].measured_at, setting.zone)
    if not any(begin <= minute < end for begin, end in rule.occasions):
        return 0
    taken: dict[tuple[int, int], int] = {}
    for one in readings:
        ago = (today - day_of(one.measured_at, setting.zone)).days
        minute = minute_of(one.measured_at, setting.zone)
        for number, (begin, end) in enumerate(rule.occasions):
            if ago < rule.days and begin <= minute < end:
                taken[ago, number] = min(taken.get((ago, number), 0) + 1, rule.per_occasion)
    first = max(ago for ago, _ in taken) if rule.drop_first else None
    return sum(count for (ago, _), count in taken.items() if ago != first)


def _not_fresh(rule: ScoreRule, readings: Sequence[Reading]) -> int:
    now, lacking = readings[-1].measured_at, 0
    for number, quantities in enumerate(_NEWS2):
        asked = set(quantities) & set(rule.of)
        fresh = any(one.quantity in asked and now - one.measured_at <= rule.freshness for one in readings)
        lacking |= 1 << number if asked and not fresh else 0
    return lacking


def _without_part(rule: ScoreRule, readings: Sequence[Reading]) -> int:
    now = readings[-1].measured_at
    beats = [one.quantity for one in readings if one.quantity in _BEATS]
    known = [
        bool(beats) and heart_failure._z(heart_failure._BEATS, rule, readings, beats[-1], now) is not None,
        heart_failure._z(heart_failure._SPO2, rule, readings, Quantity.SPO2, now) is not None,
        heart_failure._z(heart_failure._SYSTOLIC, rule, readings, Quantity.BLOOD_PRESSURE_SYSTOLIC, now) is not None,
    ]
    return sum(1 << number for number, one in enumerate(known) if not one)
