"""Only people as hard as published ones may be scored."""

import numpy as np
import pytest

from benchmarks.quality.heart_failure.acceptance import ANCHORS, CohortRefusedError, Verdict, accept, judge
from benchmarks.quality.heart_failure.anchors import (
    above_four_weeks,
    either_rule,
    fast_less_slow,
    measure,
    rise_above_lowest,
)
from benchmarks.quality.heart_failure.comparison import area_under_curve, controls, events
from benchmarks.quality.heart_failure.detectors import RULES, macd, signals
from benchmarks.quality.heart_failure.parameters import TEXTBOOK, UNRELATED, Parameters
from tests.quality.heart_failure.kit import NOBODY, few, people, written


def test_the_shipped_people_are_accepted() -> None:
    verdicts = accept(people(), patients=600, seeds=4)
    assert len(verdicts) == 23
    assert all(one.passed for one in verdicts)


@pytest.mark.parametrize("parameters", [TEXTBOOK, UNRELATED], ids=["textbook", "null"])
def test_people_who_are_too_easy_or_tell_nothing_fail_ten_measures(parameters: Parameters) -> None:
    with pytest.raises(CohortRefusedError) as refused:
        accept(people(parameters), patients=600, seeds=4)
    assert len(refused.value.reasons) >= 10


def test_too_few_people_or_seeds_are_refused_whatever_they_measure() -> None:
    with pytest.raises(CohortRefusedError, match="600 patients of 4 seeds, at least 2000 of 4"):
        accept(people())
    with pytest.raises(CohortRefusedError, match="of 4 seeds, at least 600 of 5"):
        accept(people(), patients=600, seeds=5)


def test_a_measure_that_is_not_a_number_does_not_pass() -> None:
    assert not Verdict(anchor=ANCHORS[0], value=float("nan")).passed
    assert Verdict(anchor=ANCHORS[0], value=ANCHORS[0].low).passed
    assert Verdict(anchor=ANCHORS[0], value=ANCHORS[0].high).passed


def test_every_anchor_is_measured_once() -> None:
    assert set(measure(people())) == {one.name for one in ANCHORS}
    assert [one.anchor for one in judge(people())] == list(ANCHORS)


def test_rules_written_twice_agree() -> None:
    """The anchors share no code with the detectors, and mean the same."""
    cohort, seen = few(), signals(few())
    detector, threshold = RULES["3 lb in 1 day or 5 lb in 3 days"]
    assert np.array_equal(detector(seen) >= threshold, either_rule(cohort.weight) == 1)
    detector, threshold = RULES["2 kg in 3 days"]
    assert np.array_equal(detector(seen) >= threshold, rise_above_lowest(cohort.weight, 3) >= 1.9995)
    detector, threshold = RULES["2 kg over 28 days"]
    assert np.allclose(detector(seen), above_four_weeks(seen.weight), equal_nan=True)
    assert np.allclose(macd(seen.weight), fast_less_slow(seen.weight), equal_nan=True)


def test_a_rise_is_counted_from_the_lowest_of_the_days_before() -> None:
    weight = np.array([[70.0, NOBODY, 71.4, 71.0, 72.0]])
    assert rise_above_lowest(weight, 1)[0] == pytest.approx([NOBODY, NOBODY, NOBODY, -0.4, 1.0], nan_ok=True)
    assert rise_above_lowest(weight, 3)[0] == pytest.approx([NOBODY, NOBODY, 1.4, 1.0, 1.0], nan_ok=True)


def test_exactly_two_kilograms_is_two_kilograms() -> None:
    kilograms = [[round(60 + step / 10, 1), round(62 + step / 10, 1)] for step in range(200)]
    seen = signals(written(weight=kilograms))
    detector, threshold = RULES["2 kg in 3 days"]
    assert (detector(seen)[:, 1] >= threshold).all()
    assert (rise_above_lowest(np.array(kilograms), 3)[:, 1] >= 2 - 0.0005).all()


def test_control_windows_are_at_home_and_far_from_admissions() -> None:
    cohort = people()
    ends = controls(cohort)
    assert ends.day.size > 3 * cohort.event_day.size
    for patient, day in zip(ends.patient[:200], ends.day[:200], strict=True):
        assert not cohort.in_hospital[patient, day - 14 : day].any()
        own = cohort.event_day[cohort.event_patient == patient]
        assert not ((own > day - 30) & (own < day + 17)).any()


def test_windows_are_cut_before_their_ends() -> None:
    cohort = written(weight=[[float(day) for day in range(20)]], events=[(0, 10)])
    ends = events(cohort)
    assert ends.cut(cohort.weight, 1, 3).tolist() == [[7, 8, 9]]
    assert ends.highest(cohort.weight).tolist() == [9]
    assert np.isnan(ends.cut(cohort.weight, 1, 12)[0, :2]).all()
    assert ends.later_than(11).day.size == 0


def test_area_counts_ties_as_half() -> None:
    assert area_under_curve(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx((1.5 + 2) / 4)
    assert area_under_curve(np.array([-np.inf]), np.array([-np.inf, 1.0])) == pytest.approx(0.25)
