"""What alerts were worth: events seen, alerts that nothing explains, lead, each with its interval.

Definitions:

- An alert is raised on a day at home whose score is at or above the threshold, and not within 7 days of the last one.
- An event is seen when an alert lies 1 to 14 days before it (30 for `seen_30`); lead is from the first of them.
- An alert is unexplained when no admission follows within 30 days. Nobody is followed after the last day, so alerts of
  the last month may count as unexplained although an admission would have followed: that is on the strict side.
- Intervals are 95 %, from drawing whole patients with replacement: days of one patient are no independent facts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.heart_failure.cohort import Cohort

REFRACTORY = 7
SEEN = 14
EXPLAINED = 30
_DRAWS = 500
_NEVER = -(10**6)

AlertDays = NDArray[np.bool_]
"""(patients, days), True on a day on which an alert is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its 95 % interval; NaN when there is nothing to divide by."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What one way of raising alerts was worth.

    Attributes:
        seen: % of events with an alert 1 to 14 days before.
        seen_30: % with one 1 to 30 days before.
        unexplained: alerts a patient-year at home without an admission within 30 days.
        alerts: a patient-year at home.
        precision_14: % of alerts followed by an admission within 14 days.
        precision_30: % within 30 days.
        lead: days from the first alert of the fortnight to its admission: median, with the quartiles as low and high.
        alerts_a_day: that a nurse receives, a patient-day at home.
        by_course: % of events seen, for each `courses.Course`, in its order.
    """

    seen: Estimate
    seen_30: Estimate
    unexplained: Estimate
    alerts: Estimate
    precision_14: Estimate
    precision_30: Estimate
    lead: Estimate
    alerts_a_day: float
    by_course: tuple[float, ...]


def raise_alerts(score: NDArray[np.float64], threshold: float, at_home: NDArray[np.bool_]) -> AlertDays:
    """Return the days on which an alert is raised; a NaN score raises none."""
    due = np.ascontiguousarray(((score >= threshold) & at_home).T)
    raised = np.zeros_like(due)
    last = np.full(due.shape[1], _NEVER)
    for day in range(len(due)):
        now = due[day] & (day - last >= REFRACTORY)
        raised[day] = now
        last[now] = day
    return np.ascontiguousarray(raised.T)


def before_events(cohort: Cohort, days: int) -> NDArray[np.bool_]:
    """Return the days that lie 1 to `days` before an admission."""
    near = np.zeros(cohort.in_hospital.shape, dtype=bool)
    for patient, day in zip(cohort.event_patient, cohort.event_day, strict=True):
        near[patient, max(day - days, 0) : day] = True
    return near


def threshold_for(
    cohort: Cohort, score: NDArray[np.float64], *, unexplained: float | None = None, alerts: float | None = None
) -> float:
    """Return the lowest threshold that keeps either rate (a patient-year) at or below what is wanted."""
    counted = cohort.at_home if unexplained is None else ~before_events(cohort, EXPLAINED)
    wanted = alerts if unexplained is None else unexplained
    if wanted is None:
        raise ValueError("say which rate is wanted")
    levels = np.unique(score[np.isfinite(score)])
    years = cohort.patient_years.sum()
    low, high = 0, levels.size - 1
    while low < high:
        middle = (low + high) // 2
        rate = np.count_nonzero(raise_alerts(score, levels[middle], cohort.at_home) & counted) / years
        low, high = (middle + 1, high) if rate > wanted else (low, middle)
    return float(levels[high])


def outcomes(cohort: Cohort, raised: AlertDays, *, draws: int = _DRAWS, seed: int = 0) -> Outcomes:
    """Return what these alerts were worth on these people."""
    counts = _Counts.of(cohort, raised)
    weights = np.random.default_rng(seed).multinomial(
        cohort.patients, np.full(cohort.patients, 1 / cohort.patients), draws
    )
    years = cohort.patient_years

    def share(part: NDArray[np.float64], of: NDArray[np.float64], scale: float = 100.0) -> Estimate:
        return _ratio(part, of, weights, scale)

    leads = counts.leads[counts.seen]
    quartiles = np.percentile(leads, [50, 25, 75]) if leads.size else [np.nan] * 3
    alerts = share(counts.alerts, years, 1.0)
    return Outcomes(
        seen=share(counts.of_patient(counts.seen), counts.events),
        seen_30=share(counts.of_patient(counts.seen_30), counts.events),
        unexplained=share(counts.unexplained, years, 1.0),
        alerts=alerts,
        precision_14=share(counts.within_14, counts.alerts),
        precision_30=share(counts.alerts - counts.unexplained, counts.alerts),
        lead=Estimate(value=float(quartiles[0]), low=float(quartiles[1]), high=float(quartiles[2])),
        alerts_a_day=alerts.value / 365.25,
        by_course=tuple(
            float(100 * counts.seen[cohort.event_course == course].mean())
            if (cohort.event_course == course).any()
            else np.nan
            for course in range(4)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Per patient, so that patients can be drawn; `seen`, `seen_30` and `leads` per event."""

    events: NDArray[np.float64]
    alerts: NDArray[np.float64]
    unexplained: NDArray[np.float64]
    within_14: NDArray[np.float64]
    event_patient: NDArray[np.int64]
    seen: NDArray[np.bool_]
    seen_30: NDArray[np.bool_]
    leads: NDArray[np.float64]

    @classmethod
    def of(cls, cohort: Cohort, raised: AlertDays) -> "_Counts":
        leads = np.zeros(cohort.event_day.size)
        seen_30 = np.zeros(cohort.event_day.size, dtype=bool)
        for place, (patient, day) in enumerate(zip(cohort.event_patient, cohort.event_day, strict=True)):
            seen_30[place] = raised[patient, max(day - EXPLAINED, 0) : day].any()
            found = np.flatnonzero(raised[patient, max(day - SEEN, 0) : day])
            if found.size:
                leads[place] = min(day, SEEN) - found[0]
        return cls(
            events=np.bincount(cohort.event_patient, minlength=cohort.patients).astype(float),
            alerts=raised.sum(axis=1).astype(float),
            unexplained=(raised & ~before_events(cohort, EXPLAINED)).sum(axis=1).astype(float),
            within_14=(raised & before_events(cohort, SEEN)).sum(axis=1).astype(float),
            event_patient=cohort.event_patient,
            seen=leads > 0,
            seen_30=seen_30,
            leads=leads,
        )

    def of_patient(self, flags: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(self.event_patient[flags], minlength=self.events.size).astype(float)


def _ratio(part: NDArray[np.float64], of: NDArray[np.float64], weights: NDArray[np.int64], scale: float) -> Estimate:
    if not of.sum():
        return Estimate(value=np.nan, low=np.nan, high=np.nan)
    below = weights @ of
    drawn = (weights @ part)[below > 0] / below[below > 0]
    low, high = scale * np.percentile(drawn, [2.5, 97.5])
    return Estimate(value=float(scale * part.sum() / of.sum()), low=float(low), high=float(high))
