"""A value against the lowest, highest, mean or first of its window."""

from collections.abc import Sequence
from fractions import Fraction
from math import trunc

from alerting.rules import ChangeRule, Statistic
from devices.reading import Reading
from tests.alerting.oracle.sight import Setting, window


def values(rule: ChangeRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return quanta, or basis points when relative, at each reading."""
    return [_value(rule, readings, index, setting) for index in range(len(readings))]


def reference(rule: ChangeRule, readings: Sequence[Reading], index: int, setting: Setting) -> Reading | None:
    """Return the reading that a value is compared with, None for a mean."""
    seen = window(readings, index, rule.window + rule.slack, setting)
    if rule.statistic is Statistic.MEAN:
        return None
    if rule.statistic is Statistic.FIRST:
        return seen[0]
    extreme = (min if rule.statistic is Statistic.LOWEST else max)(one.count for one in seen)
    return [one for one in seen if one.count == extreme][-1]


def _value(rule: ChangeRule, readings: Sequence[Reading], index: int, setting: Setting) -> int | None:
    *earlier, last = window(readings, index, rule.window + rule.slack, setting)
    if rule.statistic in (Statistic.MEAN, Statistic.FIRST) and not earlier:
        return None
    compared = reference(rule, readings, index, setting)
    statistic = (
        Fraction(sum(one.count for one in earlier), len(earlier)) if compared is None else Fraction(compared.count)
    )
    difference = last.count - statistic
    if not rule.relative:
        return trunc(difference)
    return None if statistic == 0 else trunc(difference * 10_000 / statistic)
