"""The share of a window's readings that lie beyond a threshold."""

from collections.abc import Sequence

from alerting.rules import ShareRule
from devices.reading import Reading
from tests.alerting.oracle.exact import cut
from tests.alerting.oracle.limits import far
from tests.alerting.oracle.sight import Setting, window


def values(rule: ShareRule, readings: Sequence[Reading], setting: Setting) -> list[int | None]:
    """Return basis points at each reading."""
    found: list[int | None] = []
    for index in range(len(readings)):
        seen = window(readings, index, rule.window, setting)
        beyond = [one for one in seen if far(rule.side, one.count, rule.threshold)]
        found.append(None if len(seen) < rule.min_readings else cut(len(beyond) * 10_000, len(seen)))
    return found
