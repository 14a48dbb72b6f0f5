"""What alerts were worth, on lives written by hand."""

import numpy as np
import pytest

from benchmarks.quality.heart_failure.outcomes import (
    before_events,
    outcomes,
    raise_alerts,
    threshold_for,
)
from benchmarks.quality.heart_failure.table import People, chance_at
from tests.quality.heart_failure.kit import NOBODY, people, written


def days(
    *raised: tuple[int, int], patients: int = 1, until: int = 100
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    found = np.zeros((patients, until), dtype=bool)
    for patient, day in raised:
        found[patient, day] = True
    return found


def test_alerts_a_week_apart_at_least_and_none_in_hospital() -> None:
    score = np.ones((1, 20))
    score[0, 1] = NOBODY
    home = np.ones((1, 20), dtype=bool)
    home[0, 8:10] = False
    assert np.flatnonzero(raise_alerts(score, 1, home)[0]).tolist() == [0, 7, 14]
    score[0, 0] = NOBODY
    assert np.flatnonzero(raise_alerts(score, 1, home)[0]).tolist() == [2, 10, 17]


def test_a_life_written_by_hand() -> None:
    """Two events of patient 0; patient 1 has an alert that nothing explains."""
    cohort = written(patients=2, events=[(0, 50), (0, 90)])
    found = outcomes(cohort, days((0, 25), (0, 36), (0, 45), (0, 89), (1, 10), patients=2))
    years = (2 * 100 - 10) / 365.25
    assert found.seen.value == 100
    assert found.seen_30.value == 100
    assert found.lead.value == (14 + 1) / 2
    assert found.alerts.value == pytest.approx(5 / years)
    assert found.alerts_a_day == pytest.approx(5 / 190)
    assert found.unexplained.value == pytest.approx(1 / years)
    assert found.precision_14.value == pytest.approx(60)
    assert found.precision_30.value == pytest.approx(80)
    assert found.by_course[0] == 100
    assert np.isnan(found.by_course[1])


@pytest.mark.parametrize(
    ("alert", "seen", "seen_30", "explained"),
    [
        (49, True, True, True),
        (36, True, True, True),
        (35, False, True, True),
        (20, False, True, True),
        (19, False, False, False),
        (50, False, False, False),
        (56, False, False, False),
    ],
)
def test_an_event_is_seen_one_to_fourteen_days_before(alert: int, seen: bool, seen_30: bool, explained: bool) -> None:  # noqa: FBT001
    found = outcomes(written(events=[(0, 50)]), days((0, alert)))
    assert (found.seen.value == 100) is seen
    assert (found.seen_30.value == 100) is seen_30
    assert (found.precision_30.value == 100) is explained
    assert (found.unexplained.value == 0) is explained
    assert found.lead.value == (50 - alert) if seen else np.isnan(found.lead.value)


def test_an_event_of_the_first_days_is_seen_from_what_there_was() -> None:
    found = outcomes(written(events=[(0, 3)]), days((0, 1)))
    assert (found.seen.value, found.lead.value) == (100, 2)


def test_without_events_or_alerts_there_is_nothing_to_divide_by() -> None:
    found = outcomes(written(), days())
    assert np.isnan(found.seen.value)
    assert np.isnan(found.precision_30.value)
    assert np.isnan(found.lead.value)
    assert found.alerts.value == 0


def test_intervals_draw_patients_not_days() -> None:
    """All alerts on one of forty patients: a patient more or less is all the difference there is."""
    cohort = written(patients=40)
    all_on_one = outcomes(cohort, days(*[(0, day) for day in range(0, 100, 5)], patients=40))
    one_each = outcomes(cohort, days(*[(patient, 5) for patient in range(20)], patients=40))
    assert all_on_one.alerts.value == one_each.alerts.value
    assert all_on_one.alerts.low == 0
    assert all_on_one.alerts.high - all_on_one.alerts.low > 3 * (one_each.alerts.high - one_each.alerts.low)
    assert one_each.alerts.low < one_each.alerts.value < one_each.alerts.high


def test_a_threshold_keeps_its_rate_and_the_next_lower_would_not() -> None:
    cohort = people()
    score = np.random.default_rng(3).random(cohort.weight.shape)
    quiet = ~before_events(cohort, 30)
    threshold = threshold_for(cohort, score, unexplained=0.9)
    levels = np.unique(score)
    lower = levels[np.searchsorted(levels, threshold) - 1]
    rates = [
        np.count_nonzero(raise_alerts(score, level, cohort.at_home) & quiet) / cohort.patient_years.sum()
        for level in (threshold, lower)
    ]
    assert rates[0] <= 0.9 < rates[1]


def test_a_threshold_needs_a_rate() -> None:
    with pytest.raises(ValueError, match="which rate"):
        threshold_for(written(), np.ones((1, 100)))


def test_chance_sees_what_its_rate_lets_it_see() -> None:
    """With r alerts a day at random, 1 - exp(-14 r) of the events have one in the fortnight before, less the stays."""
    cohort = people()
    everybody = People("accepted", cohort)
    score = np.random.default_rng(4).random(cohort.weight.shape)
    for rate in (0.9, 4.6):
        raised = raise_alerts(score, threshold_for(cohort, score, alerts=rate), cohort.at_home)
        assert np.count_nonzero(raised) / cohort.patient_years.sum() == pytest.approx(rate, rel=0.01)
        assert chance_at(everybody, rate) == pytest.approx(100 * (1 - np.exp(-14 * rate / 365.25)), abs=2.5)
