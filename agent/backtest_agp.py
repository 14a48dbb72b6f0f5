"""The ambulatory glucose profile: what a day looks like, from all days of a glucose sensor together.

Median, 25th to 75th and 5th to 95th percentiles by local time of day (Johnson M. et al., Diabetes Technol Ther 2019,
as Battelino 2023 asks for), each from the readings within half an hour. Days of less than 12 h of readings do not count
as days; fewer than five days make no profile.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from agent.backtest_panels import name_levels
from agent.backtest_words import Words, in_unit
from alerting.burden import Watched
from alerting.care_protocol import CareProtocol
from alerting.coverage import local_minutes_of
from alerting.explain import shown_unit
from alerting.history import CODES, History
from alerting.local_time import DAY_MINUTES, MINUTE_MS
from alerting.rules import LevelRule
from devices.reading import Quantity, facts

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


def profile_of(history: History, watched: Watched) -> Profile | None:
    """Return the profile of the watched time, None with fewer than five days of readings."""
    mine = (history.quantities == CODES[QUANTITY]) & history.judged
    mine &= (history.times >= watched.begin) & (history.times <= watched.end)
    times, counts = history.times[mine], history.counts[mine]
    if len(times) < 2:
        return None
    local = local_minutes_of(watched, times)
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


@dataclass(frozen=True, slots=True)
class ProfilePanel:
    """The profile, with the target range of the protocol that is tried."""

    profile: Profile
    protocol: CareProtocol
    words: Words

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        say, words = self.words.say, self.words
        unit = self.protocol.units.get(QUANTITY, facts(QUANTITY).unit)
        low, high = target_of(self.protocol)
        hours = self.profile.minutes / 60
        p5, p25, p50, p75, p95 = (
            np.array([in_unit(QUANTITY, value, unit) for value in band]) for band in self.profile.bands
        )
        bottom, top = (in_unit(QUANTITY, edge, unit) for edge in (low, high))
        axes.axhspan(bottom, top, color="#009E73", alpha=0.10, linewidth=0, zorder=0)
        for edge in (bottom, top):
            axes.axhline(edge, color="#00704F", linewidth=1.0, zorder=1)
        axes.fill_between(hours, p5, p95, color="#0072B2", alpha=0.18, linewidth=0, zorder=2)
        axes.fill_between(hours, p25, p75, color="#0072B2", alpha=0.42, linewidth=0, zorder=2)
        axes.plot(hours, p50, color="#00304D", linewidth=2.0, zorder=3)[0].set_gid("profile-median")
        axes.set_xlim(0, 24)
        axes.set_xticks(range(0, 25, 3), [f"{hour % 24:02d}:00" for hour in range(0, 25, 3)])
        axes.set_ylim(min(np.nanmin(p5), bottom) * 0.88, max(np.nanmax(p95), top) * 1.06)
        axes.yaxis.set_major_formatter(lambda value, _: words.number(value, 0 if top > 20 else 1))
        axes.set_ylabel(shown_unit(unit))
        axes.grid(axis="x", color="#ECECEC", linewidth=0.6)
        days = self.profile.days
        title = say(f"Profil d'une journée ({days} jours)", f"Profile of a day ({days} days)")
        axes.set_title(f"{title} · {self._shares(low, high)}", loc="left", size=9.5, weight="bold", pad=5)
        names = [f"{percentile}{say(' %', '%')}" for percentile in PERCENTILES]
        names[2] = say("médiane", "median")
        ends = zip((p5, p25, p50, p75, p95), names, strict=True)
        name_levels(axes, [(float(band[-1]), text) for band, text in ends if np.isfinite(band[-1])])

    def _shares(self, low: int, high: int) -> str:
        counts, words = self.profile.counts, self.words
        below, above = np.count_nonzero(counts < low) / len(counts), np.count_nonzero(counts > high) / len(counts)
        unit = self.protocol.units.get(QUANTITY, facts(QUANTITY).unit)
        target = f"{words.amount(QUANTITY, low, unit)}-{words.amount(QUANTITY, high, unit)} {shown_unit(unit)}"
        return words.say(
            f"dans la cible {target} {words.percent(1 - below - above)}, au-dessous {words.percent(below)},"
            f" au-dessus {words.percent(above)}",
            f"in range {target} {words.percent(1 - below - above)}, below {words.percent(below)},"
            f" above {words.percent(above)}",
        )
