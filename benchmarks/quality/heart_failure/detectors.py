"""Scores a day, over (patients, days), none of which looks ahead: day t is scored from the readings up to day t.

A score of NaN raises nothing. Sizes that were chosen by trying (spans, memories, weights) were chosen on other people
than those who are scored; thresholds come from yet others, unless the rule itself says them.

What is not here: what scikit-learn fits (learned), and the box's own engine (engine_rows).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.heart_failure import windows
from benchmarks.quality.heart_failure.cohort import Cohort
from benchmarks.quality.heart_failure.windows import Days

GRAMS_A_POUND = 453.59237
_CHUNK = 256
"""Patients at a time: windows of all of them would not fit where they are fast."""

EWMA_SPAN = 5
CUSUM_ALLOWANCE = 1.0
CUSUM_MEMORY = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """How much a signal varies between a patient's own days.

    Attributes:
        deviation: in most patients; counts as 20 readings of one's own.
        least: nobody's is taken for smaller.
    """

    deviation: float
    least: float


USUAL = {
    "weight": Usual(deviation=0.60, least=0.30),
    "heart_rate": Usual(deviation=5.5, least=2.5),
    "systolic": Usual(deviation=10.5, least=5.0),
    "spo2": Usual(deviation=1.2, least=0.7),
    "macd": Usual(deviation=0.36, least=0.20),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the detectors look at; arrays are (patients, days).

    Attributes:
        grams: weight in whole grams as the scale showed it.
        weight: kg, without readings that only somebody else can explain.
        macd: kg, average over about 3 readings less that over about 14, on days with a weight.
        macd_z: the same in the patient's own deviations.
        weight_z: the day's distance from the patient's own baseline, in deviations; so the other three.
        weight_z3: of the mean of the last 3 days; so the other three.
        weight_z7: of the mean of the last 7 days; so the other three.
        absent: share of the last 4 days without a weight, less the patient's usual share.
        since_discharge: days, 999 before the first discharge that was seen.
        at_home: days on which an alert may be raised.
    """

    grams: Days
    weight: Days
    macd: Days
    macd_z: Days
    weight_z: Days
    heart_rate_z: Days
    systolic_z: Days
    spo2_z: Days
    weight_z3: Days
    heart_rate_z3: Days
    systolic_z3: Days
    spo2_z3: Days
    weight_z7: Days
    heart_rate_z7: Days
    systolic_z7: Days
    spo2_z7: Days
    absent: Days
    since_discharge: Days
    at_home: NDArray[np.bool_]


Detector = Callable[[Signals], Days]


def signals(cohort: Cohort) -> Signals:
    """Return what the detectors look at, from readings and stays alone."""
    parts = [
        _signals(
            weight=cohort.weight[rows],
            heart_rate=cohort.heart_rate[rows],
            systolic=cohort.systolic[rows],
            spo2=cohort.spo2[rows],
            in_hospital=cohort.in_hospital[rows],
        )
        for rows in _chunks(cohort.patients)
    ]
    return Signals(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Signals)})


def despiked(weight: Days) -> Days:
    """Return the weights within 4.5 kg of the median of the 14 days before (3 readings at least)."""
    usual = windows.median(windows.trailing(weight, 1, 14), at_least=3)
    return np.asarray(np.where(np.abs(weight - usual) > 4.5, np.nan, weight))


def macd(weight: Days, short: float = 3, long: float = 14) -> Days:
    """Return the average of span `short` less that of span `long`, on days with a weight, from the 14th on."""
    begun = np.cumsum(np.isfinite(weight), axis=1) >= 14
    return np.asarray(np.where(begun, _averages_apart(weight, short, long), np.nan))


def gain(grams: Days, days: int) -> Days:
    """Return grams above the lowest weight of the `days` before; exact, as grams are whole."""
    return np.asarray(grams - windows.lowest(windows.trailing(grams, 1, days)))


def pounds(seen: Signals) -> Days:
    """3 lb in a day or 5 lb in three days: reaches 1 when either does."""
    return np.fmax(gain(seen.grams, 1) / round(3 * GRAMS_A_POUND), gain(seen.grams, 3) / round(5 * GRAMS_A_POUND))


def three_days(seen: Signals) -> Days:
    """Grams gained in three days."""
    return gain(seen.grams, 3)


def four_weeks(seen: Signals) -> Days:
    """Weight above the mean of the 28 days before, of which at least 10 have one, in kg."""
    return np.asarray(seen.weight - windows.mean(windows.trailing(seen.weight, 1, 28), at_least=10))


def weight_macd(seen: Signals) -> Days:
    return seen.macd


def weight_ewma(seen: Signals) -> Days:
    """Exponential mean of the weight's z, each clipped to -4..6, on days with a weight."""
    mean = windows.exponential(np.clip(seen.weight_z, -4, 6), EWMA_SPAN)
    return np.asarray(np.where(np.isfinite(seen.weight), mean, np.nan))


def weight_cusum(seen: Signals) -> Days:
    """Sum of what the weight's z exceeds the allowance by, never below 0, forgetting a little each time."""
    total = np.zeros(len(seen.weight_z))
    score: Days = np.zeros(seen.weight_z.shape)
    for day in range(score.shape[1]):
        value = seen.weight_z[:, day]
        added = np.maximum(0, CUSUM_MEMORY * total + np.clip(np.nan_to_num(value), -4, 4) - CUSUM_ALLOWANCE)
        total = np.where(np.isnan(value), total, added)
        score[:, day] = total
    return score


def weight_spc(seen: Signals) -> Days:
    """Mean weight of three days, in the patient's own deviations."""
    return seen.weight_z3


def log_odds(seen: Signals) -> Days:
    """Evidence of all four signals, half forgotten at each weighing; a signal without a reading says nothing.

    On days with a weight, from the 14th on: what earlier days said is not counted.
    """
    evidence = (
        _evidence(seen.macd_z, 1.7, high=8.0)
        + _evidence(seen.heart_rate_z, 0.5)
        + _evidence(-seen.spo2_z, 0.9)
        + _evidence(np.abs(seen.systolic_z) - 0.8, 0.6)
    )
    weighed = np.isfinite(seen.weight)
    weighed &= np.cumsum(weighed, axis=1) >= 14
    total = np.zeros(len(evidence))
    score: Days = np.zeros(evidence.shape)
    for day in range(score.shape[1]):
        total = np.where(weighed[:, day], np.maximum(0, 0.5 * total + evidence[:, day]), total)
        score[:, day] = total
    return np.asarray(np.where(weighed, score, np.nan))


def discharge_alone(seen: Signals, *, seed: int) -> Days:
    """How lately the patient was discharged, and nothing else; ties are broken by chance."""
    chance = np.random.default_rng(seed).random(seen.since_discharge.shape)
    return np.asarray(1e-6 * chance - seen.since_discharge)


def daily(seen: Signals) -> Days:
    """An alert whenever one may be raised."""
    return np.ones(seen.weight.shape)


def chance(seen: Signals, *, seed: int) -> Days:
    """Nothing but chance: the same draw for any people of that number."""
    return np.random.default_rng(seed).random(seen.weight.shape)


def detectors(seed: int) -> dict[str, Detector]:
    """Return the detectors whose threshold is to be found, by name; `seed` is of the chance in two of them."""
    return {
        "random": partial(chance, seed=seed),
        "days since discharge alone": partial(discharge_alone, seed=seed),
        "weight, MACD 3/14": weight_macd,
        "weight, EWMA": weight_ewma,
        "weight, CUSUM": weight_cusum,
        "weight, personal SPC": weight_spc,
        "log-odds of four signals": log_odds,
    }


RULES: dict[str, tuple[Detector, float]] = {
    "alarm daily": (daily, 0.5),
    "3 lb in 1 day or 5 lb in 3 days": (pounds, 1.0),
    "2 kg in 3 days": (three_days, 2000),
    "2 kg over 28 days": (four_weeks, 2.0 - 1e-9),
}
"""The detectors that say their threshold themselves."""


def _signals(*, weight: Days, heart_rate: Days, systolic: Days, spo2: Days, in_hospital: NDArray[np.bool_]) -> Signals:
    own = despiked(weight)
    gap = macd(own)
    z: dict[str, Days] = {}
    for name, values in (("weight", own), ("heart_rate", heart_rate), ("systolic", systolic), ("spo2", spo2)):
        centre, deviation = _baseline(values, USUAL[name])
        z[f"{name}_z"] = (values - centre) / deviation
        for days in (3, 7):
            mean = windows.mean(windows.trailing(values, 0, days - 1), at_least=1)
            z[f"{name}_z{days}"] = (mean - centre) / deviation
    return Signals(
        grams=np.round(1000 * weight),
        weight=own,
        macd=gap,
        # Averages are apart from the first weighing on; only what is alerted on waits for the 14th.
        macd_z=np.asarray(gap / _baseline(_averages_apart(own, 3, 14), USUAL["macd"])[1]),
        absent=_absent(weight, in_hospital),
        since_discharge=_since_discharge(in_hospital),
        at_home=~in_hospital,
        **z,
    )


def _averages_apart(weight: Days, short: float, long: float) -> Days:
    apart = windows.exponential(weight, short) - windows.exponential(weight, long)
    return np.asarray(np.where(np.isfinite(weight), apart, np.nan))


def _baseline(values: Days, usual: Usual) -> tuple[Days, Days]:
    """Return the median of 5 to 35 days ago (8 readings at least), and the deviation there, drawn to the usual one."""
    past = windows.trailing(values, 5, 35)
    freedom = np.maximum(windows.count(past) - 1, 0)
    squares = windows.sum_of_squares(past) + 20 * usual.deviation**2
    return windows.median(past, at_least=8), np.maximum(np.sqrt(squares / (freedom + 20)), usual.least)


def _evidence(z: Days, shift: float, *, high: float = 2.5) -> Days:
    return np.nan_to_num(np.clip(shift * z - shift**2 / 2, -0.6, high))


def _absent(weight: Days, in_hospital: NDArray[np.bool_]) -> Days:
    missing = np.where(in_hospital, np.nan, np.isnan(weight).astype(float))
    now = windows.mean(windows.trailing(missing, 0, 3), at_least=1)
    return np.nan_to_num(now - windows.mean(windows.trailing(missing, 5, 42), at_least=8))


def _since_discharge(in_hospital: NDArray[np.bool_]) -> Days:
    since = np.full(len(in_hospital), 999.0)
    days = np.zeros(in_hospital.shape)
    for day in range(in_hospital.shape[1]):
        since = np.where(in_hospital[:, day], 0.0, since + 1)
        days[:, day] = since
    return days


def _chunks(patients: int) -> Iterator[slice]:
    for start in range(0, patients, _CHUNK):
        yield slice(start, start + _CHUNK)
