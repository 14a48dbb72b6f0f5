"""The mean over a schedule of days and occasions."""

from collections.abc import Sequence
from datetime import date, timedelta

from alerting.scheduled_rules import MeanRule
from devices.reading import Reading
from tests.alerting.oracle.exact import cut
from tests.alerting.oracle.local_clock import day_of, minute_of
from tests.alerting.oracle.sight import Setting


def values(rule: MeanRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return the mean in quanta at each reading of an occasion."""
    return [_value(rule, readings[: index + 1], setting) for index in range(len(readings))]


def _value(rule: MeanRule, readings: Sequence[Reading], setting: Setting) -> int | None:
    if _occasion(rule, readings[-1], setting) is None:
        return None
    today = day_of(readings[-1].measured_at, setting.zone)
    days = [today - timedelta(days=ago) for ago in range(rule.days)]
    inside = [one for one in readings if _occasion(rule, one, setting) is not None]
    measured = {day_of(one.measured_at, setting.zone) for one in inside}.intersection(days)
    if rule.drop_first:
        days.remove(min(measured))
    counted: dict[tuple[date, int], list[int]] = {}
    for one in readings:
        occasion = _occasion(rule, one, setting)
        day = day_of(one.measured_at, setting.zone)
        if occasion is None or day not in days:
            continue
        seen = counted.setdefault((day, occasion), [])
        if len(seen) < rule.per_occasion:
            seen.append(one.count)
    found = [count for seen in counted.values() for count in seen]
    return None if not found or len(found) < rule.min_readings else cut(sum(found), len(found))


def _occasion(rule: MeanRule, reading: Reading, setting: Setting) -> int | None:
    minute = minute_of(reading.measured_at, setting.zone)
    for number, (begin, end) in enumerate(rule.occasions):
        if begin <= minute < end:
            return number
    return None
