"""The ambulatory glucose profile: what a day looks like, from all days of a glucose sensor together.

Median, 25th to 75th and 5th to 95th percentiles by local time of day (Johnson M. et al., Diabetes Technol Ther 2019,
as Battelino 2023 asks for), each from the readings within half an hour. Days of less than 12 h of readings do not count
as days; fewer than five days make no profile.

Not here: drawing it (agent.backtest_agp, the desk).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerting.care_protocol import CareProtocol
from alerting.local_time import DAY_MINUTES, MINUTE_MS
from alerting.rules import LevelRule
from devices.reading import Quantity

QUANTITY = Quantity.GLUCOSE_INTERSTITIAL
FEWEST_DAYS = 5
PERCENTILES = (5, 25, 50, 75, 95)
STEP = 15
"""Minutes between two points of the profile."""
_REACH = 30
_HALF_A_DAY = 12 * 60
_FEWEST_READINGS = 10
_USUAL_TARGET = (700, 1800)
"""70 to 180 mg/dL, in quanta (Battelino 2019)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """A day of a patient.

    Attributes:
        minutes: local time of day of each point, from 0 to 1440 inclusive.
        bands: shape (5, points): `PERCENTILES` in quanta, NaN where there are too few readings.
        counts: all readings, in quanta.
        days: how many days it is made of.
    """

    minutes: NDArray[np.int64]
    bands: NDArray[np.float64]
    counts: NDArray[np.int64]
    days: int


def profile(times: NDArray[np.int64], local: NDArray[np.int64], counts: NDArray[np.int64]) -> Profile | None:
    """Return the profile of a sensor's readings, None with fewer than five days of them.

    Args:
        times: shape (n,): ms UTC, increasing.
        local: shape (n,): the same times, as minutes after 1970-01-01 00:00 of the local clock.
        counts: shape (n,): in quanta.
    """
    if len(times) < 2:
        return None
    _, readings = np.unique(local // DAY_MINUTES, return_counts=True)
    days = int(np.count_nonzero(readings * (np.median(np.diff(times)) / MINUTE_MS) >= _HALF_A_DAY))
    if days < FEWEST_DAYS:
        return None
    of_day = local % DAY_MINUTES
    minutes = np.arange(0, DAY_MINUTES + 1, STEP)
    bands = np.full((len(PERCENTILES), len(minutes)), np.nan)
    for place, minute in enumerate(minutes.tolist()):
        apart = np.abs(of_day - minute)
        near = counts[np.minimum(apart, DAY_MINUTES - apart) <= _REACH]
        if len(near) >= _FEWEST_READINGS:
            bands[:, place] = np.percentile(near, PERCENTILES)
    return Profile(minutes=minutes, bands=bands, counts=counts, days=days)


def target_of(protocol: CareProtocol) -> tuple[int, int]:
    """Return the range (quanta) between a protocol's highest low threshold and its lowest high one; 70-180 without."""
    rules = [rule for rule in protocol.rules if isinstance(rule, LevelRule) and rule.quantity is QUANTITY]
    low = max((rule.threshold for rule in rules if rule.side.low), default=_USUAL_TARGET[0])
    high = min((rule.threshold for rule in rules if not rule.side.low), default=_USUAL_TARGET[1])
    return (low, high) if low < high else _USUAL_TARGET
