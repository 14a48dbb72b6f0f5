"""The fortnight before each admission beside fortnights that nothing followed: what case-control studies compare.

A control window ends on the same day of follow-up as an admission, in somebody else's life, at home throughout, with
no admission within a month of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.heart_failure.cohort import Cohort

FORTNIGHT = 14
_MONTH = 30
_TRIES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Where windows end: `day` itself is no part of them.

    Attributes:
        patient: (windows,) rows.
        day: (windows,).
    """

    patient: NDArray[np.int64]
    day: NDArray[np.int64]

    def later_than(self, day: int) -> "Ends":
        """Return those that end on `day` or later."""
        kept = self.day >= day
        return Ends(patient=self.patient[kept], day=self.day[kept])

    def cut(self, values: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
        """Return (windows, last - first + 1) values from `last` to `first` days before the end, NaN before day 0."""
        padded = np.concatenate([np.full((len(values), last), np.nan), values], axis=1)
        columns = self.day[:, None] + np.arange(last - first + 1)
        return np.asarray(padded[self.patient[:, None], columns])

    def highest(self, score: NDArray[np.float64], days: int = FORTNIGHT) -> NDArray[np.float64]:
        """Return the highest score of the `days` before each end, -inf where there is none."""
        cut = self.cut(score, 1, days)
        return np.asarray(np.max(np.where(np.isnan(cut), -np.inf, cut), axis=1))


def events(cohort: Cohort) -> Ends:
    return Ends(patient=cohort.event_patient, day=cohort.event_day)


def controls(cohort: Cohort, *, each: int = 5, seed: int = 99) -> Ends:
    """Return up to `each` control windows an admission; admissions of the first 16 days have none."""
    random = np.random.default_rng(seed)
    day = np.repeat(cohort.event_day[cohort.event_day >= FORTNIGHT + 2], each)
    near = cohort.in_hospital.copy()
    for patient, at in zip(cohort.event_patient, cohort.event_day, strict=True):
        near[patient, max(at - _MONTH, 0) : at + _MONTH] = True
    spoilt = np.concatenate([np.zeros((cohort.patients, 1)), np.cumsum(near, axis=1)], axis=1)
    drawn = random.integers(0, cohort.patients, (day.size, _TRIES))
    free = spoilt[drawn, day[:, None]] == spoilt[drawn, day[:, None] - FORTNIGHT]
    found = free.any(axis=1)
    patient = drawn[np.arange(day.size), np.argmax(free, axis=1)]
    return Ends(patient=patient[found], day=day[found])


def area_under_curve(cases: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return how often a case is above another, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, cases, side="left")
    not_above = np.searchsorted(ordered, cases, side="right")
    return float((below + not_above).mean() / 2 / ordered.size)


def window_area(cohort: Cohort, score: NDArray[np.float64]) -> float:
    """Return the area under the curve of a score's highest value in the fortnight, from day 30 on."""
    cases, others = events(cohort).later_than(_MONTH), controls(cohort).later_than(_MONTH)
    return area_under_curve(cases.highest(score), others.highest(score))
