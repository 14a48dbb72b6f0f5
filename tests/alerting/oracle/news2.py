"""NEWS2 as the Royal College of Physicians' chart has it, of what is fresh."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from alerting.scheduled_rules import ScoreRule
from devices.reading import Quantity, Reading, facts
from tests.alerting.oracle.sight import Setting

_BEATS = (Quantity.HEART_RATE, Quantity.PULSE_RATE)


def values(rule: ScoreRule, readings: Sequence[Reading], _setting: Setting) -> list[int | None]:
    """Return the points at each reading."""
    return [_value(rule, readings[: index + 1]) for index in range(len(readings))]


def _value(rule: ScoreRule, readings: Sequence[Reading]) -> int | None:
    now = readings[-1].measured_at
    inputs = {frozenset(_BEATS) if quantity in _BEATS else frozenset((quantity,)) for quantity in rule.of}
    points: list[int] = []
    for quantities in inputs:
        fresh = [one for one in readings if one.quantity in quantities and now - one.measured_at <= rule.freshness]
        if fresh:
            points.append(points_of(fresh[-1], scale=rule.scale, oxygen=rule.oxygen))
    total = sum(points) + (2 if rule.oxygen else 0)
    if rule.single and 3 in points:
        total = max(total, rule.threshold)
    complete = len(points) == len(inputs)
    return total if complete or total >= rule.threshold else None


def points_of(reading: Reading, *, scale: int, oxygen: bool) -> int:
    """Return the points of one reading by the chart, rounded to its step: 0.1 Cel, 1 of anything else."""
    step = Decimal("0.1") if reading.quantity is Quantity.BODY_TEMPERATURE else Decimal(1)
    value = (reading.count * facts(reading.quantity).quantum).quantize(step, rounding=ROUND_HALF_UP)
    match reading.quantity:
        case Quantity.RESPIRATORY_RATE:
            bands = [(8, 3), (11, 1), (20, 0), (24, 2)]
            above = 3
        case Quantity.SPO2 if scale == 1:
            bands = [(91, 3), (93, 2), (95, 1)]
            above = 0
        case Quantity.SPO2 if oxygen:
            bands = [(83, 3), (85, 2), (87, 1), (92, 0), (94, 1), (96, 2)]
            above = 3
        case Quantity.SPO2:
            bands = [(83, 3), (85, 2), (87, 1)]
            above = 0
        case Quantity.BLOOD_PRESSURE_SYSTOLIC:
            bands = [(90, 3), (100, 2), (110, 1), (219, 0)]
            above = 3
        case Quantity.PULSE_RATE | Quantity.HEART_RATE:
            bands = [(40, 3), (50, 1), (90, 0), (110, 1), (130, 2)]
            above = 3
        case Quantity.BODY_TEMPERATURE:
            return _first([(35, 3), (36, 1), (38, 0), (39, 1)], value, 2)
        case _:
            return 0
    return _first(bands, value, above)


def _first(bands: Sequence[tuple[int, int]], value: Decimal, above: int) -> int:
    return next((points for highest, points in bands if value <= highest), above)
