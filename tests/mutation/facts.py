"""What single functions of the kernel are held to: by arithmetic of other precision, the handbook's formula, the
calendar of zoneinfo, and the chart of NEWS2.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import mpmath
import numpy as np

from alerting import kernel, layout
from alerting.care_protocol import CareProtocol, Timing
from alerting.compiled import Words
from alerting.kernel import arithmetic, forecasts, local_days, memories, scores
from alerting.local_time import offsets
from alerting.program import LEAST_READINGS, SPARSE_READINGS, compile_program
from alerting.rules import Baseline, BaselineRule, Direction, LevelRule, Side
from alerting.scheduled_rules import CompositeRule, MissingRule
from devices.reading import Quantity, Reading
from tests.alerting.oracle import expected_values
from tests.alerting.oracle.exact import cut, middle, nearest
from tests.alerting.oracle.local_clock import day_of, local, minute_of, utc_of
from tests.alerting.oracle.news2 import points_of
from tests.alerting.worlds import MARCH, PARIS, START, common, packaged, protocol_of, reading
from tests.mutation.arranged import change_of
from tests.mutation.arranged_models import full_filter, full_past, full_schedule
from tests.mutation.judging import least_room

MINUTE = 60_000
DAY = 86_400_000
_ZONES = ("Europe/Paris", "America/St_Johns", "Pacific/Chatham", "Pacific/Apia", "UTC")
_BASIS = 2.0**-52
_INPUTS = (
    Quantity.SPO2,
    Quantity.BLOOD_PRESSURE_SYSTOLIC,
    Quantity.PULSE_RATE,
    Quantity.BODY_TEMPERATURE,
    Quantity.RESPIRATORY_RATE,
)
_REACHES = ((780, 1_000), (880, 2_230), (380, 1_340), (3_480, 3_930), (60, 270))
"""Of each input, in quanta: beyond the chart's first and last limit."""

Wrong = str | None


def _quotients() -> Wrong:
    for dividend in (*range(-12, 13), 10**15, -(10**15) - 1):
        for divisor in (1, 2, 3, 7, 60_000):
            if arithmetic.quotient(dividend, divisor) != cut(dividend, divisor):
                return f"{dividend} / {divisor}"
    return None


def _spread(low: float, high: float, count: int) -> Iterator[float]:
    yield from (low + (high - low) * number / (count - 1) for number in range(count))


_LOGARITHMS = [
    (x, float(mpmath.log(x)))
    for x in (
        *(math.exp(power) for power in _spread(-14, 14, 300)),
        *(math.sqrt(2) * (1 + step * _BASIS) for step in range(-3, 4)),
        *(math.sqrt(0.5) * (1 + step * _BASIS) for step in range(-3, 4)),
        1.0,
        1 + _BASIS,
    )
]
_EXPONENTIALS = [
    (x, float(mpmath.exp(x)))
    for x in (*_spread(-40, 40, 400), *_spread(-1, 1, 200), 0.0, -0.0, math.log(2) / 2, -math.log(2) / 2, 7.0, -7.0)
]
_NORMALS = (*_spread(-9, 9, 301), 8.0, -8.0, 8.0 + 1e-12, -8.0 - 1e-12, 0.0, 1e-9, -1e-9)


def _logarithm() -> Wrong:
    for x, wanted in _LOGARITHMS:
        if abs(arithmetic.logarithm(x) - wanted) > 4e-16 * max(1.0, abs(wanted)):
            return f"ln {x}"
    return None


def _exponential() -> Wrong:
    for x, wanted in _EXPONENTIALS:
        if abs(arithmetic.exponential(x) / wanted - 1) > 5e-16:
            return f"e^{x}"
    return None


def _handbook(z: float) -> float:
    """Abramowitz & Stegun 26.2.17."""
    t = 1 / (1 + 0.2316419 * abs(z))
    coefficients = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    tail = density * math.fsum(factor * t**power for power, factor in enumerate(coefficients, 1))
    return 1 - tail if z >= 0 else tail


def _normal() -> Wrong:
    for z in _NORMALS:
        if abs(arithmetic.normal(z) - _handbook(z)) > 1e-14:
            return f"below {z}"
    return None


def _rounded_and_middle() -> Wrong:
    for x in (-2.5, -1.5, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.5, 2.5, 7.0, 1_000.49):
        if forecasts.rounded(x) != nearest(Fraction(x)):
            return f"{x} rounded"
    for numbers in ((3,), (1, 2), (2, 1), (3, 1, 2), (5, 5, 1, 5), (4, 3, 2, 1), (9, 1, 8, 2, 7), (1, 1, 1, 2, 2, 3)):
        array = np.array([*numbers, 1_000.0], np.float64)
        if forecasts.middle(array, len(numbers)) != float(middle(numbers)):
            return f"the middle of {numbers}"
    return None


def _edges(zone: Words) -> list[int]:
    """Return times beside each change of the clocks for ten years, and around it."""
    changes = [int(at) for at in zone[1:, 0] if abs(at - START) < 10 * 365 * DAY]
    offs = (-1, 0, 1, -MINUTE, MINUTE, -DAY, DAY, -61 * MINUTE, 61 * MINUTE)
    return [at + off for at in changes for off in offs] + [START + number * 7_919_000 for number in range(40)]


def _clocks() -> Wrong:
    for name in _ZONES:
        zone = ZoneInfo(name)
        table = offsets(zone).copy()
        for at in _edges(table):
            shown = local(at, zone).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
            if local_days.local_minutes(table, at) != shown.total_seconds() // 60:
                return f"the clock of {name} at {at}"
        first = int(table[0, 0])
        if local_days.local_minutes(table, first - DAY) != (first - DAY) // MINUTE + int(table[0, 1]):
            return f"the clock of {name} before its table"
    return None


def _times_of_day() -> Wrong:
    for name in _ZONES:
        zone = ZoneInfo(name)
        table = offsets(zone).copy()
        for at in _edges(table)[::2]:
            day = day_of(at, zone)
            for minute in {minute_of(at, zone), 0, 1, 59, 60, 119, 120, 121, 150, 165, 179, 180, 1_439}:
                days = (day - datetime(1970, 1, 1, tzinfo=UTC).date()).days
                if local_days.utc_ms(table, days * 1_440 + minute) != utc_of(day, minute, zone):
                    return f"minute {minute} of {day} in {name}"
    return None


def _hours() -> Wrong:
    zone = np.array([[0, 0]], np.int64)
    for begin, end in ((0, 360), (480, 540), (1_320, 420), (1_439, 1), (60, 61), (61, 60), (0, 1_439)):
        for minute in {0, 1_439, *(edge + step for edge in (begin, end) for step in (-1, 0, 1))}:
            at = minute % 1_440 * MINUTE + 59_999
            within = begin <= at // MINUTE < end if begin < end else not end <= at // MINUTE < begin
            if local_days.within_hours(zone, at, begin, end) is not within:
                return f"minute {minute} between {begin} and {end}"
    return None


_CHART = [
    (which, count, scale, oxygen, points_of(reading(quantity, count, START), scale=scale, oxygen=bool(oxygen)))
    for which, (quantity, (low, high)) in enumerate(zip(_INPUTS, _REACHES, strict=True))
    for count in range(low, high)
    for scale, oxygen in (((1, 0), (1, 1), (2, 0), (2, 1)) if which == 0 else ((1, 0),))
]


def _chart() -> Wrong:
    for which, count, scale, oxygen, wanted in _CHART:
        if scores.points(which, count, scale, oxygen) != wanted:
            return f"input {which}, {count} quanta, scale {scale}, oxygen {oxygen}"
    return None


def _refusals() -> Wrong:
    """A program or a state of another layout is refused, and so is less room than what may come of one reading."""
    at, column, count = (np.array([number], np.int64) for number in (START, 0, 1_300))
    zone, enough = offsets(ZoneInfo("UTC")).copy(), np.zeros((1_000, layout.O_WIDTH), np.int64)
    for foreign in (0, 1):
        program = compile_program(packaged("diabetes_cgm"))
        state = program.fresh_state(START)
        (program.words if foreign == 0 else state)[0] += 1
        if kernel.judge(program.words, zone, state, at, column, count, enough) != (-1, 0):
            return "judged by another layout"
        if kernel.advance(program.words, zone, state, START, enough) != -1:
            return "let time pass by another layout"
    level = LevelRule(**common(Quantity.SPO2, "low"), side=Side.BELOW, threshold=900, end_threshold=900)
    missing = MissingRule(**common(Quantity.SPO2, "missing"), expected=DAY, grace=0)
    either = CompositeRule(
        **common(Quantity.SPO2), of=("low", "missing"), at_least=1, window=DAY, of_quantities=(Quantity.SPO2,)
    )
    program = compile_program(protocol_of(level, missing, either))
    for lacking in (1, 0):
        room = np.zeros((least_room(program) - lacking, layout.O_WIDTH), np.int64)
        wanted = (-1, 0) if lacking else (0, 1)
        if kernel.judge(program.words, zone, program.fresh_state(START), at, column, count, room) != wanted:
            return f"{lacking} row less than are asked for"
    return None


def _values_after(protocol: CareProtocol, readings: Sequence[Reading]) -> list[list[int]]:
    """Return what each rule was last worth after the two last readings."""
    program = compile_program(protocol)
    state, out = program.fresh_state(MARCH), np.zeros((64, layout.O_WIDTH), np.int64)
    zone, found = offsets(PARIS).copy(), []
    for one in sorted(readings, key=lambda one: one.measured_at):
        times, counts = np.array([one.measured_at], np.int64), np.array([one.count], np.int64)
        columns = np.array([program.columns[one.quantity]], np.int64)
        kernel.judge(program.words, zone, state, times, columns, counts, out)
        found.append(state[program.first_life + layout.SR_VALUE :: layout.SR_WIDTH][: len(protocol.rules)].tolist())
    return found[-2:]


def _full_schedule() -> Wrong:
    """A mean looks at the latest readings alone when there are more than a window may hold."""
    protocol, readings = full_schedule()
    wanted = expected_values(protocol, readings[-SPARSE_READINGS:], "rule", PARIS, since=MARCH)[-1]
    found = _values_after(protocol, readings)[-1]
    return None if found == [wanted] else f"the mean of {len(readings)} readings is {found}, not {wanted}"


def _full_past() -> Wrong:
    """So does a score at an input's past."""
    protocol, weights, beats = full_past()
    wanted = expected_values(protocol, [*weights, *beats[-SPARSE_READINGS:]], "rule", PARIS, since=MARCH)[-1]
    found = _values_after(protocol, [*weights, *beats])[-1]
    return None if found == [wanted] else f"the score after {len(beats)} pulses is {found}, not {wanted}"


def _full_filter() -> Wrong:
    """A filter of spikes takes the median of as many readings before as a window may hold, 384 at most."""
    for most, cadence, window in (
        (SPARSE_READINGS, 0, 0),
        (LEAST_READINGS, DAY, 0),
        (SPARSE_READINGS, 5 * MINUTE, 28 * DAY),
    ):
        protocol, readings = full_filter(most)
        if cadence:
            protocol = replace(protocol, timings={Quantity.BODY_WEIGHT: Timing(cadence=cadence, gap=cadence)})
        if window:
            longer = change_of(Quantity.BODY_WEIGHT, window)
            protocol = replace(protocol, rules=(*protocol.rules, longer))
        *_, before, last, beyond = (one.count - 70_000 for one in readings)
        found = [values[:2] for values in _values_after(protocol, readings)]
        if found != [[before, last], [before, beyond]]:
            return f"filters of {most} readings let {found} pass"
    return None


def _bounded() -> Wrong:
    """AR2's path ends at e^7 and e^-7 times 140 mg/dL."""
    for last, before, sign in ((4_000.0, 10.0, 1), (10.0, 4_000.0, -1)):
        wanted = 1_400 * math.exp(7 * sign)
        if abs(forecasts.ar2_path(last, before, 6, sign) / wanted - 1) > 1e-12:
            return f"from {before} to {last} the path does not end at {wanted}"
    return None


def _sums() -> Wrong:
    """A sum of deviations that were all within the allowance is nothing, not almost nothing."""
    rule = BaselineRule(
        **common(Quantity.BODY_WEIGHT),
        statistic=Baseline.CUSUM,
        direction=Direction.RISE,
        delta=1,
        end_delta=1,
        window=DAY,
    )
    program = compile_program(protocol_of(rule))
    state, out = program.fresh_state(MARCH), np.zeros((64, layout.O_WIDTH), np.int64)
    times, counts = np.array([MARCH, MARCH + DAY], np.int64), np.array([71_000, 70_000], np.int64)
    kernel.judge(program.words, offsets(PARIS).copy(), state, times, np.zeros(2, np.int64), counts, out)
    total = state[layout.S_HEADER + layout.SQ_WIDTH + 3]
    return None if total == 0 else f"a fall leaves a sum of {total}"


_NAMED = {
    (arithmetic, "_LN_2"): math.log(2),
    (scores, "_UNIT"): 65_536,
    (memories, "_UNIT"): 65_536,
    (memories, "_LONGEST_S"): 100_000_000,
    (memories, "_MS_A_MINUTE"): 60_000,
    (forecasts, "_COUNTS"): 10.0,
    (forecasts, "_MS_A_MINUTE"): 60_000.0,
    (forecasts, "_STEP_MS"): 5 * 60_000,
    (forecasts, "_CENTRE"): 1_400.0,
    (forecasts, "_HOLT_TAU"): 15.0,
    (forecasts, "_HOLT_KEEP"): math.log(0.8),
    (forecasts, "_DAMPED_20_MIN"): 15 * (1 - math.exp(-20 / 15)),
    (forecasts, "_KALMAN_TAU"): 20.0,
    (forecasts, "_KALMAN_NOISE"): 0.06,
    (forecasts, "_KALMAN_SURPRISE"): 100.0,
    (forecasts, "_PROBABILITY"): 10_000.0,
}
"""Numbers of the models (`alerting.rules.Model` and the kernel's own words), whose last digit no count may show."""


def _named() -> Wrong:
    for (module, name), wanted in _NAMED.items():
        if abs(getattr(module, name) - wanted) > 1e-12 * abs(wanted):
            return f"{name} is not {wanted}"
    return None


FACTS: Mapping[str, Callable[[], Wrong]] = {
    "quotients": _quotients,
    "the logarithm": _logarithm,
    "the exponential": _exponential,
    "the normal distribution": _normal,
    "roundings and medians": _rounded_and_middle,
    "clocks": _clocks,
    "times of day": _times_of_day,
    "hours": _hours,
    "the chart of NEWS2": _chart,
    "refusals": _refusals,
    "sums": _sums,
    "bounds of a path": _bounded,
    "numbers of the models": _named,
    "a full schedule": _full_schedule,
    "a full filter": _full_filter,
    "a full past": _full_past,
}
