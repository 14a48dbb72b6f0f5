"""A value beyond a threshold: the value itself."""

from collections.abc import Sequence

from alerting.rules import LevelRule
from devices.reading import Reading
from tests.alerting.oracle.sight import Setting


def values(_rule: LevelRule, readings: Sequence[Reading], _setting: Setting) -> list[int | None]:
    """Return the value at each reading."""
    return [one.count for one in readings]
