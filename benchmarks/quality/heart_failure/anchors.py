"""What studies measured on real people, measured the same way on simulated ones.

The rules here are written from the studies' own words and share nothing with `detectors`, so that a mistake there
cannot make people acceptable. Weight changes of single readings are taken after leaving out those that lie more than
4.5 kg from the median of the fortnight before: somebody else on the scale.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.heart_failure import windows
from benchmarks.quality.heart_failure.cohort import Cohort
from benchmarks.quality.heart_failure.comparison import Ends, area_under_curve, controls, events, window_area
from benchmarks.quality.heart_failure.outcomes import EXPLAINED, SEEN, before_events, raise_alerts
from benchmarks.quality.heart_failure.windows import Days

POUND = 0.45359237
_HALF_A_GRAM = 0.0005
"""Below a reading's step: 72.4 - 70.4 is 2 kg, whatever binary fractions make of it."""


def measure(cohort: Cohort) -> dict[str, float]:
    """Return every anchor by the name that `acceptance` gives it."""
    cases, others = events(cohort), controls(cohort)
    weight = own_weight(cohort.weight)
    return {
        **dict(_life(cohort)),
        **dict(_missing(cohort, cases, others)),
        **dict(_changes(weight, cases, others)),
        **dict(_odds(weight, cases, others)),
        **dict(_rules(cohort, weight, cases, others)),
        **dict(_areas(cohort, weight)),
    }


def own_weight(weight: Days) -> Days:
    usual = windows.median(windows.trailing(weight, 1, 14), at_least=3)
    return np.asarray(np.where(np.abs(weight - usual) > 4.5, np.nan, weight))


def rise_above_lowest(weight: Days, days: int) -> Days:
    """Return today less the lowest of the `days` before, NaN without either."""
    lowest = np.full(weight.shape, np.nan)
    for lag in range(1, days + 1):
        lowest[:, lag:] = np.fmin(lowest[:, lag:], weight[:, :-lag])
    return np.asarray(weight - lowest)


def either_rule(weight: Days) -> Days:
    """Return 1 where 3 lb in a day or 5 lb in three days were gained (FAST), 0 elsewhere."""
    a_day = rise_above_lowest(weight, 1) >= 3 * POUND - _HALF_A_GRAM
    three_days = rise_above_lowest(weight, 3) >= 5 * POUND - _HALF_A_GRAM
    return (a_day | three_days).astype(float)


def above_four_weeks(weight: Days) -> Days:
    """Return today less the mean of the 28 days before, of which at least 10 have a reading."""
    return weight - windows.mean(windows.trailing(weight, 1, 28), at_least=10)


def fast_less_slow(weight: Days) -> Days:
    """Return the average of about 3 readings less that of about 14, once there are 14."""
    begun = np.cumsum(np.isfinite(weight), axis=1) >= 14
    gap = windows.exponential(weight, 3) - windows.exponential(weight, 14)
    return np.where(begun & np.isfinite(weight), gap, np.nan)


def plain_score(cohort: Cohort, weight: Days) -> Days:
    """Return the sum of how far each signal's last 3 days lie from its four weeks before, in usual deviations.

    Usual deviations (kg, /min, %, mm[Hg]) are round numbers, fitted to nothing.
    """
    total = np.zeros(weight.shape)
    for values, usual, sign in (
        (weight, 0.8, 1),
        (cohort.heart_rate, 5.0, 1),
        (cohort.spo2, 1.0, -1),
        (cohort.systolic, 8.0, 0),
    ):
        now = windows.mean(windows.trailing(values, 0, 2), at_least=1)
        before = windows.mean(windows.trailing(values, 7, 34), at_least=8)
        apart = (now - before) / usual
        total += np.clip(np.nan_to_num(sign * apart if sign else np.abs(apart) - 1), 0, 4)
    return total


def _life(cohort: Cohort) -> Iterator[tuple[str, float]]:
    yield "admissions", cohort.event_day.size / float(cohort.patient_years.sum())
    took = np.isfinite(cohort.weight).sum(axis=1) / cohort.at_home.sum(axis=1)
    yield "days with readings", 100 * float(took.mean())
    yield "days with readings, between patients", 100 * float(took.std())
    half_year = own_weight(cohort.weight)[:, :168]
    week = windows.mean(windows.trailing(half_year, 0, 6), at_least=4)[:, 6:]
    ever = np.isfinite(week).any(axis=1)
    spread = np.nanmax(week[ever], axis=1) - np.nanmin(week[ever], axis=1)
    yield "weekly mean ranges over 2 kg", 100 * float((spread > 2).mean())


def _missing(cohort: Cohort, cases: Ends, others: Ends) -> Iterator[tuple[str, float]]:
    absent = np.isnan(cohort.weight).astype(float)
    before, control = (ends.later_than(7).cut(absent, 1, 7).mean() for ends in (cases, others))
    yield "missing in the last week", float(before / control)


def _changes(weight: Days, cases: Ends, others: Ends) -> Iterator[tuple[str, float]]:
    for name, ends in (("before events", cases), ("controls", others)):
        ends = ends.later_than(16)  # noqa: PLW2901 - the same ends, those with a fortnight before
        change = _latest(ends.cut(weight, 1, 3)) - _latest(ends.cut(weight, 13, 16))
        yield f"14-day change {name}", float(np.nanmean(change))
        yield f"14-day change {name}, deviation", float(np.nanstd(change))
    late = cases.later_than(40)
    gain = _mean(late.cut(weight, 10, 16)) - _mean(late.cut(weight, 29, 37))
    yield "gain from day -33 to -13", float(np.nanmean(gain))


def _odds(weight: Days, cases: Ends, others: Ends) -> Iterator[tuple[str, float]]:
    """Yield Chaudhry's odds: last week's mean above the first weight, against a gain of 2 lb at most."""
    first = weight[np.arange(len(weight)), np.argmax(np.isfinite(weight), axis=1)]
    gains = []
    for ends in (cases.later_than(14), others.later_than(14)):
        gain = (_mean(ends.cut(weight, 1, 7)) - first[ends.patient]) / POUND
        gains.append(gain[np.isfinite(gain)])
    for low, high, name in ((2, 5, "2-5"), (5, 10, "5-10"), (10, np.inf, "over 10")):
        odds = [
            (np.count_nonzero((gain > low) & (gain <= high)) + 0.5) / (np.count_nonzero(gain <= 2) + 0.5)
            for gain in gains
        ]
        yield f"odds of a gain of {name} lb", odds[0] / odds[1]


def _rules(cohort: Cohort, weight: Days, cases: Ends, others: Ends) -> Iterator[tuple[str, float]]:
    raised = raise_alerts(either_rule(cohort.weight), 1, cohort.at_home)
    seen = cases.highest(raised.astype(float), SEEN)
    yield "either rule sees", 100 * float((seen >= 1).mean())
    unexplained = np.count_nonzero(raised & ~before_events(cohort, EXPLAINED))
    yield "either rule, unexplained", unexplained / float(cohort.patient_years.sum())

    def reached(score: Days, threshold: float) -> float:
        return 100 * float((cases.highest(score) >= threshold).mean())

    yield "1.36 kg in a day", reached(rise_above_lowest(cohort.weight, 1), 3 * POUND - _HALF_A_GRAM)
    yield "2 kg in 3 days", reached(rise_above_lowest(cohort.weight, 3), 2 - _HALF_A_GRAM)
    yield "2 kg over 28 days", reached(above_four_weeks(weight), 2)
    gap = fast_less_slow(weight)
    yield "MACD at 9 % of control windows", reached(gap, float(np.quantile(others.highest(gap), 0.91, method="higher")))


def _areas(cohort: Cohort, weight: Days) -> Iterator[tuple[str, float]]:
    rule = either_rule(cohort.weight)
    hits, others = (ends.highest(rule) for ends in (events(cohort), controls(cohort)))
    yield "Youden of either rule", float(hits.mean() - others.mean())
    yield "window area, either rule", area_under_curve(hits, others)
    yield "window area, several signals", window_area(cohort, plain_score(cohort, weight))
    yield "window area, weight", window_area(cohort, above_four_weeks(weight))


def _mean(cut: NDArray[np.float64]) -> NDArray[np.float64]:
    have = np.count_nonzero(np.isfinite(cut), axis=1)
    return np.where(have > 0, np.nansum(cut, axis=1) / np.maximum(have, 1), np.nan)


def _latest(cut: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the last reading of each window, NaN in an empty one."""
    place = cut.shape[1] - 1 - np.argmax(np.isfinite(cut[:, ::-1]), axis=1)
    return np.asarray(cut[np.arange(len(cut)), place])
