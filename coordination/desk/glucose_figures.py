"""The figures of a glucose sensor over a period: mean, variation, GMI and times in ranges; or why there are none.

- Below 24 h of readings there are no figures, and the page says how much there was. From there on each reading stands
  for one cadence of its device, so that a sensor of one value in 15 min needs no more readings than one in 5 min.
- 70 % of the period is what makes figures representative (Battelino et al., Diabetes Care 2019: 14 days, 70 %); below
  it they are shown with that said.
- GMI = 3.31 + 0.02392 x mean in mg/dL (Bergenstal et al., Diabetes Care 2018). CV = standard deviation (n - 1) / mean;
  36 % or less is called stable (Battelino 2019).
- A share is of the readings, ranges as Battelino 2019 has them: < 54, 54-69, 70-180, 181-250, > 250 mg/dL.

Not a number is never returned.
"""

from dataclasses import dataclass

import numpy as np

from coordination.desk.readings import Series

DAY = 86_400_000
MINUTE = 60_000
ENOUGH = 0.70
STABLE_PERCENT = 36.0
EDGES = (540, 700, 1800, 2500)
"""Quanta of glucose: 54, 70, 180 and 250 mg/dL; the upper two are still in the range below them."""
_LONGEST_CADENCE = 30 * MINUTE
"""What comes more rarely is no continuous sensor's cadence, but its holes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one period.

    Attributes:
        mean: mg/dL.
        deviation: standard deviation, mg/dL.
        variation: coefficient of variation, percent.
        gmi: glucose management indicator, percent.
        shares: percent of the readings below 54, 54-69, 70-180, 181-250 and above 250 mg/dL.
        received: ms that readings stand for.
        active: share of the period that they stand for, from 0 to 1.
    """

    mean: float
    deviation: float
    variation: float
    gmi: float
    shares: tuple[float, float, float, float, float]
    received: int
    active: float

    @property
    def enough(self) -> bool:
        """Whether there is as much as makes them representative."""
        return self.active >= ENOUGH


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFew:
    """Why there are no figures: ms received, and ms that are needed."""

    received: int
    needed: int = DAY


def received(series: Series) -> int:
    """Return for how long (ms) the readings stand: each for one cadence."""
    cadence = series.cadence
    if cadence <= 0:
        return 0
    return round(len(series) * min(cadence, _LONGEST_CADENCE))


def figures_of(series: Series, *, period: int) -> Figures | TooFew:
    """Return the figures of a sensor's readings over a period (ms), or how much is missing for any."""
    there = received(series)
    if there < DAY:
        return TooFew(received=there)
    counts = series.counts
    glucose = counts / 10
    mean, deviation = float(glucose.mean()), float(glucose.std(ddof=1))
    low, target, high, very_high = EDGES
    found = np.histogram(counts, [-(2**53), low, target, high + 1, very_high + 1, 2**53])[0] / len(counts) * 100
    return Figures(
        mean=mean,
        deviation=deviation,
        variation=deviation / mean * 100 if mean else 0.0,
        gmi=3.31 + 0.02392 * mean,
        shares=(float(found[0]), float(found[1]), float(found[2]), float(found[3]), float(found[4])),
        received=there,
        active=min(1.0, there / period) if period > 0 else 0.0,
    )
