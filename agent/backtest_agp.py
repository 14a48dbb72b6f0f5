"""The ambulatory glucose profile of a tried protocol, drawn (what it is: alerting.glucose_profile)."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from agent.backtest_panels import name_levels
from agent.backtest_words import Words, in_unit
from alerting.burden import Watched
from alerting.care_protocol import CareProtocol
from alerting.coverage import local_minutes_of
from alerting.explain import shown_unit
from alerting.glucose_profile import PERCENTILES, QUANTITY, Profile, profile, target_of
from alerting.history import CODES, History
from devices.reading import facts


def profile_of(history: History, watched: Watched) -> Profile | None:
    """Return the profile of the watched time, None with fewer than five days of readings."""
    mine = (history.quantities == CODES[QUANTITY]) & history.judged
    mine &= (history.times >= watched.begin) & (history.times <= watched.end)
    times = history.times[mine]
    return profile(times, local_minutes_of(watched, times), history.counts[mine])


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
