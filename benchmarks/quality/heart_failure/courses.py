"""What happens to the simulated people: admissions, what came before each, and what only looked like it.

Rules of this room:

- Admissions are drawn first, from a hazard that is high after a discharge and differs between patients; then a course
  is laid backwards from each. So the share of admissions that can be seen at all is an assumption that stands in
  `parameters`, and no consequence of a model.
- Nothing here knows how anybody would detect it: the generator shares no code with detectors, anchors or outcomes.

What is not here: noise, scales and missing days (cohort).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.heart_failure.parameters import Parameters

Days = NDArray[np.float64]
"""One value a patient and day: (patients, days)."""


class Course(IntEnum):
    """What came before an admission."""

    SLOW = 0
    FAST = 1
    WITHOUT_GAIN = 2
    ABRUPT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """One admission for heart failure.

    Attributes:
        patient: row.
        day: of the admission; the last reading at home is on the day before at the latest.
        course: what came before.
        stay: days in hospital.
        at_home: days since the discharge before, at most 40; no course begins earlier.
    """

    patient: int
    day: int
    course: Course
    stay: int
    at_home: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amplitudes:
    """What a congestion does to each signal at its height; to weight nothing."""

    heart_rate: float
    spo2: float
    systolic: float


class Disturbances:
    """What happens is added here, to be added to what a patient would measure otherwise.

    Attributes:
        weight: kg, fluid gained or lost.
        heart_rate: /min.
        spo2: %.
        systolic: mm[Hg].
        reluctance: logit, added to that of taking a reading.
        infected: 0 to 1.
        in_hospital: whole days.
    """

    def __init__(self, patients: int, days: int) -> None:
        self.weight, self.heart_rate, self.spo2, self.systolic, self.reluctance, self.infected = (
            np.zeros((patients, days)) for _ in range(6)
        )
        self.in_hospital = np.zeros((patients, days), dtype=bool)

    @property
    def days(self) -> int:
        return self.in_hospital.shape[1]

    def congest(self, patient: int, start: int, shape: NDArray[np.float64], heights: Amplitudes) -> None:
        add(self.heart_rate, patient, start, heights.heart_rate * shape)
        add(self.spo2, patient, start, heights.spo2 * shape)
        add(self.systolic, patient, start, heights.systolic * shape)


def add(rows: Days, patient: int, start: int, shape: NDArray[np.float64]) -> None:
    """Add `shape` to a patient's days from `start` on; what lies before the first or after the last day is lost."""
    begin, end = max(start, 0), min(start + shape.size, rows.shape[1])
    if begin < end:
        rows[patient, begin:end] += shape[begin - start : end - start]


def rise(days: int, curve: float) -> NDArray[np.float64]:
    """Return the rise from 0 that would reach 1 on the day after its last."""
    return (np.arange(days) / max(days, 1)) ** curve


def hump(up: int, down: int) -> NDArray[np.float64]:
    """Return a rise over `up` days and a fall over `down`."""
    days = np.arange(up + down)
    return np.minimum(days / up, 1 - (days - up) / down)


def admissions(
    random: np.random.Generator, parameters: Parameters, *, discharged: NDArray[np.bool_], days: int
) -> list[Admission]:
    """Draw the admissions, day by day.

    Args:
        random: where chance comes from.
        parameters: rates.
        discharged: (patients,) who is enrolled on the day of a discharge.
        days: followed from day 0 on; nobody is admitted on the first three.

    Returns:
        In order of day; nobody is admitted again within three days of a discharge.
    """
    patients = discharged.size
    frailty = random.gamma(parameters.frailty_shape, 1 / parameters.frailty_shape, patients)
    last = np.where(discharged, 0, -200)
    resume = np.full(patients, 3)
    found: list[Admission] = []
    for day in range(days):
        excess = parameters.early_excess * np.exp(-(day - last) / parameters.early_excess_days)
        hazard = parameters.admission_rate / 365 * frailty * (1 + excess)
        for patient in np.flatnonzero((random.random(patients) < hazard) & (day >= resume)):
            stay = int(random.uniform(*parameters.stay))
            found.append(
                Admission(
                    patient=int(patient),
                    day=day,
                    course=Course(int(random.choice(4, p=parameters.courses))),
                    stay=stay,
                    at_home=int(min(day - last[patient], 40)),
                )
            )
            last[patient] = day + stay
            resume[patient] = day + stay + 3
    return found


def lay_admission(
    random: np.random.Generator, parameters: Parameters, admission: Admission, into: Disturbances
) -> None:
    """Lay what came before an admission, the stay, and what is different after it."""
    patient, day = admission.patient, admission.day
    _lay_course(random, parameters, admission, into)
    if admission.course is not Course.ABRUPT:
        length = parameters.before_admission_days
        add(
            into.reluctance,
            patient,
            day - length,
            parameters.before_admission * np.linspace(0.4, 1.3, length),
        )
    home_again = day + admission.stay
    into.in_hospital[patient, day:home_again] = True
    after = np.arange(max(into.days - home_again, 0))
    loss = random.gamma(2, parameters.loss_after_discharge / 2) * np.exp(-after / parameters.loss_after_discharge_days)
    add(into.weight, patient, home_again, random.normal(*parameters.weight_step_after_stay) + loss)
    step = np.ones(after.size)
    add(into.heart_rate, patient, home_again, random.normal(*parameters.heart_rate_step_after_stay) * step)
    add(into.systolic, patient, home_again, random.normal(*parameters.systolic_step_after_stay) * step)


def _lay_course(random: np.random.Generator, parameters: Parameters, admission: Admission, into: Disturbances) -> None:
    patient, day = admission.patient, admission.day
    length = 0
    if admission.course in {Course.SLOW, Course.FAST}:
        slow = admission.course is Course.SLOW
        length = min(int(random.uniform(*(parameters.slow_days if slow else parameters.fast_days))), admission.at_home)
        gain = (parameters.slow_gain if slow else parameters.fast_gain) * _spread(random, parameters.gain_spread)
        curve = parameters.slow_curve if slow else parameters.fast_curve
        add(into.weight, patient, day - length, gain * rise(length, curve))
        length = min(length, parameters.congestion_days_with_gain)
        heights = congestion(random, parameters, parameters.congestion_with_gain)
    else:
        heights = congestion(random, parameters, 1.0)
        if admission.course is Course.WITHOUT_GAIN:
            length = min(int(random.uniform(*parameters.without_gain_days)), admission.at_home)
        if random.random() < parameters.infection_before:
            lay_infection(random, parameters, into, patient=patient, start=day - int(random.integers(2, 9)))
    into.congest(patient, day - length, rise(length, parameters.congestion_curve), heights)


def congestion(random: np.random.Generator, parameters: Parameters, height: float) -> Amplitudes:
    """Draw what one congestion does; each signal may show nothing of it."""
    heart_rate, spo2, systolic = (
        height
        * np.exp(random.normal(0, parameters.congestion_spread, 3))
        * (random.random(3) >= parameters.silent_signal)
    )
    return Amplitudes(
        heart_rate=heart_rate * parameters.congestion_heart_rate,
        spo2=spo2 * parameters.congestion_spo2,
        systolic=systolic * random.normal(0, parameters.congestion_systolic),
    )


def lay_infection(
    random: np.random.Generator, parameters: Parameters, into: Disturbances, *, patient: int, start: int
) -> None:
    """Lay a feverish week: faster heart, lower saturation and pressure, less appetite, fewer readings."""
    shape = hump(int(random.integers(1, 3)), int(random.integers(5, 12))) * _spread(random, 0.4)
    into.congest(
        patient,
        start,
        shape,
        Amplitudes(
            heart_rate=parameters.infection_heart_rate * (random.random() < 0.85),
            spo2=parameters.infection_spo2 * (random.random() < 0.7),
            systolic=parameters.infection_systolic,
        ),
    )
    add(into.weight, patient, start, parameters.infection_weight * shape)
    add(into.infected, patient, start, shape)


def lay_confounders(
    random: np.random.Generator, parameters: Parameters, into: Disturbances, *, first_day: NDArray[np.int64]
) -> None:
    """Lay what is not followed by an admission: gains turned round, too much diuretic, infections, new drugs, holidays.

    Args:
        random: where chance comes from.
        parameters: rates and sizes.
        into: where to add it.
        first_day: (patients,) day of the year of day 0; infections come in winter.
    """
    for patient in _how_often(random, parameters.turned_gain_rate, into):
        shape = hump(int(random.integers(3, 18)), int(random.integers(3, 9)))
        start = int(random.integers(-10, into.days))
        add(into.weight, patient, start, parameters.turned_gain * _spread(random, parameters.gain_spread) * shape)
        into.congest(patient, start, shape, congestion(random, parameters, parameters.turned_congestion))
    for patient in _how_often(random, parameters.overdiuresis_rate, into):
        shape = hump(int(random.integers(2, 6)), int(random.integers(3, 15)))
        start = int(random.integers(-10, into.days))
        add(into.weight, patient, start, -parameters.overdiuresis * _spread(random, 0.4) * shape)
        add(into.systolic, patient, start, parameters.overdiuresis_systolic * shape)
    for patient in _how_often(random, parameters.infection_rate, into):
        start = int(random.integers(0, into.days))
        winter = np.cos((first_day[patient] + start) / 365 * 2 * np.pi)
        if random.random() < 0.65 + 0.35 * winter:
            lay_infection(random, parameters, into, patient=patient, start=start)
    for patient in _how_often(random, parameters.drug_change_rate, into):
        start = int(random.integers(0, into.days))
        step = np.minimum(np.arange(into.days - start), 5) / 5
        add(into.heart_rate, patient, start, random.normal(-1, parameters.drug_heart_rate) * step)
        add(into.systolic, patient, start, random.normal(-2, parameters.drug_systolic) * step)
    for patient in _how_often(random, parameters.holiday_rate, into):
        away = int(random.uniform(*parameters.holiday))
        add(into.reluctance, patient, int(random.integers(0, into.days)), np.full(away, -12.0))


def _how_often(random: np.random.Generator, rate: float, into: Disturbances) -> list[int]:
    """Return each patient as many times as it happens to them."""
    patients = into.in_hospital.shape[0]
    return [int(one) for one in np.repeat(np.arange(patients), random.poisson(rate * into.days / 365, patients))]


def _spread(random: np.random.Generator, deviation: float) -> float:
    return float(np.exp(random.normal(0, deviation)))
