"""The simulated people are the same by seed, and measure as devices do."""

from dataclasses import fields

import numpy as np
import pytest

from benchmarks.quality.heart_failure.cohort import Cohort, noise, pooled, simulate, with_another_future
from benchmarks.quality.heart_failure.courses import Course
from benchmarks.quality.heart_failure.parameters import SCENARIOS, SHIPPED, TEXTBOOK, UNRELATED, Parameters, sources
from tests.quality.heart_failure.kit import few, people

READINGS = ("weight", "heart_rate", "systolic", "spo2")


def same(one: Cohort, two: Cohort) -> bool:
    arrays = [field.name for field in fields(Cohort) if field.name not in {"parameters", "seeds"}]
    return all(np.array_equal(getattr(one, name), getattr(two, name), equal_nan=name in READINGS) for name in arrays)


def test_the_same_seed_gives_the_same_people_and_another_seed_others() -> None:
    assert same(simulate(patients=40, seed=1), few(1))
    assert not same(few(1), few(2))


def test_pooled_people_are_those_of_each_seed() -> None:
    both = pooled((1, 2), patients=40)
    assert (both.patients, both.days, both.seeds) == (80, 365, (1, 2))
    assert np.array_equal(both.weight[40:], few(2).weight, equal_nan=True)
    second = both.event_patient >= 40
    assert np.array_equal(both.event_patient[second] - 40, few(2).event_patient)
    assert np.array_equal(both.event_day[second], few(2).event_day)


def test_a_cohort_of_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        pooled((), patients=40)


def test_nobody_measures_in_hospital_and_everybody_is_there_from_the_admission_on() -> None:
    cohort = people()
    for name in READINGS:
        assert np.isnan(getattr(cohort, name)[cohort.in_hospital]).all()
    assert cohort.event_day.size > 100
    assert cohort.in_hospital[cohort.event_patient, cohort.event_day].all()
    assert not cohort.in_hospital[cohort.event_patient, cohort.event_day - 1].any()


def test_readings_are_what_devices_show() -> None:
    cohort = people()
    for name, step in (("weight", 0.1), ("heart_rate", 1), ("systolic", 1), ("spo2", 1)):
        values = getattr(cohort, name)
        shown = values[np.isfinite(values)] / step
        assert np.abs(shown - np.round(shown)).max() < 1e-6


def test_gain_comes_before_slow_and_fast_admissions_alone() -> None:
    cohort = people()
    gain = {course: [] for course in Course}  # type: dict[Course, list[float]]
    for patient, day, course in zip(cohort.event_patient, cohort.event_day, cohort.event_course, strict=True):
        if day >= 40:
            last, before = cohort.weight[patient, day - 3 : day], cohort.weight[patient, day - 40 : day - 33]
            if np.isfinite(last).any() and np.isfinite(before).any():
                gain[Course(course)].append(float(np.nanmedian(last) - np.nanmedian(before)))
    assert np.median(gain[Course.SLOW]) > 1.5
    assert np.median(gain[Course.FAST]) > 1
    assert abs(np.median(gain[Course.WITHOUT_GAIN])) < 0.6
    assert abs(np.median(gain[Course.ABRUPT])) < 0.6


def test_courses_come_in_the_shares_that_were_assumed() -> None:
    shares = np.bincount(people().event_course, minlength=4) / people().event_course.size
    assert np.abs(shares - SHIPPED.courses).max() < 0.1
    assert set(people(TEXTBOOK).event_course) == {Course.SLOW}
    assert set(people(UNRELATED).event_course) == {Course.ABRUPT}


def test_shares_sum_to_one_in_every_scenario() -> None:
    for parameters in (SHIPPED, TEXTBOOK, UNRELATED, *SCENARIOS.values()):
        assert sum(parameters.courses) == pytest.approx(1)


def test_every_parameter_says_where_it_comes_from() -> None:
    assert set(sources()) == {field.name for field in fields(Parameters)}
    assert all(sources().values())
    assert "assumed" in sources()["abrupt"]


def test_noise_has_the_deviation_and_the_memory_asked_for() -> None:
    made = noise(np.random.default_rng(5), 400, 300, deviation=2.0, memory=0.6)
    assert made.std() == pytest.approx(2.0, rel=0.03)
    assert np.corrcoef(made[:, 1:].ravel(), made[:, :-1].ravel())[0, 1] == pytest.approx(0.6, abs=0.02)
    assert made[:, 0].std() == pytest.approx(2.0, rel=0.15)


def test_another_future_leaves_the_past() -> None:
    mixed = with_another_future(few(1), few(2), since=200)
    assert np.array_equal(mixed.spo2[:, :200], few(1).spo2[:, :200], equal_nan=True)
    assert np.array_equal(mixed.spo2[:, 200:], few(2).spo2[:, 200:], equal_nan=True)
    assert np.array_equal(mixed.in_hospital[:, 200:], few(2).in_hospital[:, 200:])
