"""Cohort: simulated people with heart failure and what their devices at home say, day by day.

Rules of this room:

- The same seed, numbers and parameters give the same people.
- A day has at most one reading of each quantity, NaN when there is none; none in hospital.
- Readings are what a device shows: 0.1 kg, 1 /min, 1 mm[Hg], 1 %.
- Nothing here is patient data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.heart_failure.courses import (
    Admission,
    Days,
    Disturbances,
    admissions,
    lay_admission,
    lay_confounders,
)
from benchmarks.quality.heart_failure.parameters import SHIPPED, Parameters

_SETTLED = 60
"""Days before day 0 that a noise with memory needs to forget how it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Simulated people; arrays are (patients, days).

    Attributes:
        weight: kg, as the scale shows it, whoever stands on it.
        heart_rate: /min.
        systolic: mm[Hg].
        spo2: %.
        in_hospital: whole days.
        in_the_evening: days whose weight was taken in the evening, dressed and fed.
        event_patient: (events,) row of each admission.
        event_day: (events,) its day.
        event_course: (events,) `courses.Course`.
        parameters: what was assumed.
        seeds: of what was pooled.
    """

    weight: Days
    heart_rate: Days
    systolic: Days
    spo2: Days
    in_hospital: NDArray[np.bool_]
    in_the_evening: NDArray[np.bool_]
    event_patient: NDArray[np.int64]
    event_day: NDArray[np.int64]
    event_course: NDArray[np.int64]
    parameters: Parameters
    seeds: tuple[int, ...]

    @property
    def patients(self) -> int:
        return len(self.weight)

    @property
    def days(self) -> int:
        return int(self.weight.shape[1])

    @property
    def at_home(self) -> NDArray[np.bool_]:
        return ~self.in_hospital

    @property
    def patient_years(self) -> NDArray[np.float64]:
        """(patients,) years at home."""
        return np.asarray(np.count_nonzero(self.at_home, axis=1) / 365.25)


def simulate(*, patients: int, seed: int, days: int = 365, parameters: Parameters = SHIPPED) -> Cohort:
    """Return people who live through `days`, with what they measured."""
    random = np.random.default_rng(seed)
    first_day = random.integers(0, 365, patients)
    discharged = random.random(patients) < parameters.enrolled_at_discharge
    into = Disturbances(patients, days)
    found = admissions(random, parameters, discharged=discharged, days=days)
    for admission in found:
        lay_admission(random, parameters, admission, into)
    lay_confounders(random, parameters, into, first_day=first_day)
    season = random.normal(1, 0.5, (patients, 1)) * np.cos((first_day[:, None] + np.arange(days)) / 365 * 2 * np.pi)
    took = _took_readings(random, parameters, into, first_day)
    evening = random.random((patients, days)) < parameters.evening
    weight = _weight(random, parameters, into, discharged=discharged, season=season, evening=evening)
    return Cohort(
        weight=np.where(took, weight, np.nan),
        heart_rate=_heart_rate(random, parameters, into, took),
        systolic=_systolic(random, parameters, into, took, season),
        spo2=_spo2(random, parameters, into, took),
        in_hospital=into.in_hospital,
        in_the_evening=evening & took,
        event_patient=_of_each(found, "patient"),
        event_day=_of_each(found, "day"),
        event_course=_of_each(found, "course"),
        parameters=parameters,
        seeds=(seed,),
    )


def pooled(seeds: Sequence[int], *, patients: int, days: int = 365, parameters: Parameters = SHIPPED) -> Cohort:
    """Return the people of several seeds, `patients` of each, as one cohort."""
    parts = [simulate(patients=patients, seed=seed, days=days, parameters=parameters) for seed in seeds]
    if len({part.days for part in parts}) != 1:
        raise ValueError("a cohort needs at least one seed")
    return Cohort(
        weight=np.concatenate([part.weight for part in parts]),
        heart_rate=np.concatenate([part.heart_rate for part in parts]),
        systolic=np.concatenate([part.systolic for part in parts]),
        spo2=np.concatenate([part.spo2 for part in parts]),
        in_hospital=np.concatenate([part.in_hospital for part in parts]),
        in_the_evening=np.concatenate([part.in_the_evening for part in parts]),
        event_patient=np.concatenate([part.event_patient + place * patients for place, part in enumerate(parts)]),
        event_day=np.concatenate([part.event_day for part in parts]),
        event_course=np.concatenate([part.event_course for part in parts]),
        parameters=parameters,
        seeds=tuple(seeds),
    )


def with_another_future(lived: Cohort, other: Cohort, *, since: int) -> Cohort:
    """Return the readings and stays of `lived` until the day before `since`, and of `other` from then on."""

    def spliced(one: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([one[:, :since], two[:, since:]], axis=1)

    return replace(
        lived,
        weight=spliced(lived.weight, other.weight),
        heart_rate=spliced(lived.heart_rate, other.heart_rate),
        systolic=spliced(lived.systolic, other.systolic),
        spo2=spliced(lived.spo2, other.spo2),
        in_hospital=spliced(lived.in_hospital, other.in_hospital),
        in_the_evening=spliced(lived.in_the_evening, other.in_the_evening),
    )


def noise(
    random: np.random.Generator, patients: int, days: int, *, deviation: float | NDArray[np.float64], memory: float
) -> Days:
    """Return a stationary first-order autoregression.

    Args:
        random: where chance comes from.
        patients: rows.
        days: columns.
        deviation: its standard deviation, one or (patients,).
        memory: correlation of a day with the day before, below 1.
    """
    shocks = random.normal(size=(days + _SETTLED, patients)) * np.sqrt(1 - memory**2)
    shocks[0] /= np.sqrt(1 - memory**2)
    for day in range(1, days + _SETTLED):
        shocks[day] += memory * shocks[day - 1]
    return np.ascontiguousarray((shocks[_SETTLED:] * deviation).T)


def _weight(
    random: np.random.Generator,
    parameters: Parameters,
    into: Disturbances,
    *,
    discharged: NDArray[np.bool_],
    season: Days,
    evening: NDArray[np.bool_],
) -> Days:
    patients, days = shape = into.weight.shape
    day = np.arange(days)
    own = np.clip(random.normal(parameters.weight_mean, parameters.weight_spread, (patients, 1)), 45, 150)
    drift = np.cumsum(random.normal(0, parameters.weight_walk, shape), axis=1)
    drift += random.normal(0, parameters.weight_trend, (patients, 1)) * day / 365 + parameters.weight_season * season
    drift += noise(random, *shape, deviation=parameters.weight_wander, memory=parameters.weight_wander_memory)
    lost = random.gamma(2, parameters.loss_after_discharge / 2, (patients, 1)) * discharged[:, None]
    drift += lost * (np.exp(-day / parameters.loss_after_discharge_days) - 0.15)
    between = parameters.weight_noise * np.exp(random.normal(0, parameters.weight_noise_between, patients))
    shown = own + drift + into.weight
    shown += noise(random, *shape, deviation=between, memory=parameters.weight_noise_memory)
    shown += (random.random(shape) < parameters.clothes) * random.uniform(*parameters.clothes_weight, shape)
    shown += evening * random.uniform(*parameters.evening_weight, shape)
    shared = random.random((patients, 1)) < parameters.second_person
    other = random.uniform(*parameters.second_person_weight, (patients, 1)) * random.choice([-1, 1], (patients, 1))
    shown += other * (shared & (random.random(shape) < parameters.second_person_days))
    return np.round(np.round(shown / parameters.scale_step) * parameters.scale_step, 3)


def _heart_rate(
    random: np.random.Generator, parameters: Parameters, into: Disturbances, took: NDArray[np.bool_]
) -> Days:
    patients, days = shape = into.heart_rate.shape
    fibrillating = random.random(patients) < parameters.fibrillation
    deviation = parameters.heart_rate_noise * np.where(fibrillating, parameters.fibrillation_noise, 1.0)
    shown = random.normal(*parameters.heart_rate_level, (patients, 1)) + into.heart_rate
    shown += noise(random, patients, days, deviation=deviation, memory=parameters.heart_rate_memory)
    shown += noise(random, patients, days, deviation=parameters.heart_rate_slow, memory=0.98)
    taken = took & (random.random(shape) >= parameters.heart_rate_missing)
    return np.where(taken, np.round(np.clip(shown, 38, 160)), np.nan)


def _systolic(
    random: np.random.Generator, parameters: Parameters, into: Disturbances, took: NDArray[np.bool_], season: Days
) -> Days:
    patients, days = shape = into.systolic.shape
    shown = random.normal(*parameters.systolic_level, (patients, 1)) + into.systolic
    shown += parameters.systolic_season * season
    shown += noise(random, patients, days, deviation=parameters.systolic_noise, memory=parameters.systolic_memory)
    shown += noise(random, patients, days, deviation=parameters.systolic_slow, memory=0.98)
    taken = took & (random.random(shape) >= parameters.systolic_missing)
    return np.where(taken, np.round(np.clip(shown, 75, 210)), np.nan)


def _spo2(random: np.random.Generator, parameters: Parameters, into: Disturbances, took: NDArray[np.bool_]) -> Days:
    patients, days = shape = into.spo2.shape
    shown = np.clip(random.normal(*parameters.spo2_level, (patients, 1)), 91, 98.5) + into.spo2
    shown += noise(random, patients, days, deviation=parameters.spo2_noise, memory=parameters.spo2_memory)
    shown += noise(random, patients, days, deviation=parameters.spo2_slow, memory=0.97)
    shown -= (random.random(shape) < parameters.cold_finger) * random.uniform(*parameters.cold_finger_spo2, shape)
    taken = took & (random.random(shape) >= parameters.spo2_missing)
    return np.where(taken, np.round(np.clip(shown, 75, 100)), np.nan)


def _took_readings(
    random: np.random.Generator, parameters: Parameters, into: Disturbances, first_day: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return the days with readings: people who fall ill measure less, and nobody does in hospital."""
    patients, days = shape = into.reluctance.shape
    logit = random.normal(parameters.adherence, parameters.adherence_between, (patients, 1)) + into.reluctance
    logit += parameters.during_infection * np.minimum(into.infected, 1)
    logit += parameters.weekend * ((first_day[:, None] + np.arange(days)) % 7 >= 5)
    return (random.random(shape) < 1 / (1 + np.exp(-logit))) & ~into.in_hospital


def _of_each(found: Sequence[Admission], name: str) -> NDArray[np.int64]:
    return np.array([int(getattr(one, name)) for one in found], dtype=np.int64)
