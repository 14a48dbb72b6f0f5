"""Change per minute over a window."""

from collections.abc import Sequence

from alerting.rules import RateRule
from devices.reading import Reading
from tests.alerting.oracle.exact import cut
from tests.alerting.oracle.sight import Setting, window

MINUTE = 60_000


def values(rule: RateRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return thousandths of a quantum a minute at each reading."""
    return [_value(rule, readings, index, setting) for index in range(len(readings))]


def _value(rule: RateRule, readings: Sequence[Reading], index: int, setting: Setting) -> int | None:
    seen = window(readings, index, rule.window, setting)
    first, last = seen[0], seen[-1]
    span = last.measured_at - first.measured_at
    if len(seen) < rule.min_readings or 2 * span < rule.window or span == 0:
        return None
    return cut((last.count - first.count) * 1000 * MINUTE, span)
