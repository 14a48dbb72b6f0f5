"""Detectors: what they score, and that none knows what comes."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.quality.heart_failure import learned
from benchmarks.quality.heart_failure.cohort import with_another_future
from benchmarks.quality.heart_failure.detectors import RULES, Signals, despiked, detectors, gain, macd, signals
from benchmarks.quality.heart_failure.table import LookAheadError, refuse_look_ahead
from tests.quality.heart_failure.kit import NOBODY, few, written

Score = Callable[[Signals], NDArray[np.floating]]
EVERY: dict[str, Score] = {
    **detectors(seed=1),
    **{name: rule for name, (rule, _) in RULES.items()},
    # What the fitted models look at: a model that is fitted to other people adds no day of its own.
    "what the logistic regression sees": learned._plain,
    "what boosting sees": learned._rich,
    "what is seen without discharges": lambda seen: learned._plain(learned.without_discharge(seen)),
}


@pytest.mark.parametrize("name", EVERY)
def test_the_past_of_a_score_stays_when_the_future_changes(name: str) -> None:
    changed = with_another_future(few(1), few(2), since=200)
    before, after = (EVERY[name](signals(life)) for life in (few(1), changed))
    assert np.array_equal(before[:, :200], after[:, :200], equal_nan=True)
    if "alarm daily" not in name and "random" not in name:
        assert not np.array_equal(before[:, 200:], after[:, 200:], equal_nan=True)


def test_a_detector_that_looks_ahead_by_one_day_is_refused() -> None:
    with pytest.raises(LookAheadError, match="tomorrow is refused: its scores before day 200 change"):
        refuse_look_ahead("tomorrow", lambda seen: np.roll(seen.grams, -1, axis=1))


def test_a_detector_that_scales_by_the_whole_year_is_refused() -> None:
    with pytest.raises(LookAheadError, match="scaled"):
        refuse_look_ahead("scaled", lambda seen: seen.weight - np.nanmean(seen.weight, axis=1, keepdims=True))


def test_another_person_on_the_scale_is_left_out_and_the_patient_is_kept() -> None:
    weight = np.array([[80.0, 80.2, 79.9, 55.0, 80.1, 84.4, NOBODY]])
    assert despiked(weight)[0] == pytest.approx([80.0, 80.2, 79.9, NOBODY, 80.1, 84.4, NOBODY], nan_ok=True)


def test_gain_is_from_the_lowest_of_the_days_before() -> None:
    grams = np.array([[70000.0, 69500.0, NOBODY, 71500.0, 71600.0]])
    assert gain(grams, 1)[0] == pytest.approx([NOBODY, -500, NOBODY, NOBODY, 100], nan_ok=True)
    assert gain(grams, 3)[0] == pytest.approx([NOBODY, -500, NOBODY, 2000, 2100], nan_ok=True)


def test_macd_speaks_from_the_fourteenth_weight_on_and_not_on_days_without() -> None:
    kilograms = [70.0] * 13 + [NOBODY, 70.0, 72.0, NOBODY]
    gap = macd(np.array([kilograms]))[0]
    assert np.isnan(gap[:14]).all()
    assert gap[14] == pytest.approx(0)
    assert gap[15] == pytest.approx(2 * (2 / 4 - 2 / 15))
    assert np.isnan(gap[16])


def test_evidence_is_half_forgotten_at_each_weighing_and_none_is_no_evidence() -> None:
    still = [72.0 + 0.1 * (day % 2) for day in range(51)]
    rising = [72.0 + 0.4 * (day + 1) for day in range(9)]
    seen = signals(written(weight=[[*still, *rising, NOBODY, 72.0, 72.0]]))
    score = detectors(seed=1)["log-odds of four signals"](seen)[0]
    assert np.isnan(score[:13]).all()
    assert score[13:50].max() < 1
    assert score[59] > 5.65
    assert np.isnan(score[60])
    evidence = np.clip(1.7 * seen.macd_z[0, 61] - 1.7**2 / 2, -0.6, 8)
    assert score[61] == pytest.approx(score[59] / 2 + evidence)


def test_days_since_discharge_begin_at_a_discharge_that_was_seen() -> None:
    seen = signals(written(days=20, events=[(0, 10)], stay=3))
    assert seen.since_discharge[0, 9:15].tolist() == [1009, 0, 0, 0, 1, 2]


def test_nothing_is_known_without_readings() -> None:
    seen = signals(written(days=50))
    for name in ("weight, MACD 3/14", "weight, EWMA", "weight, personal SPC", "log-odds of four signals"):
        assert np.isnan(detectors(seed=1)[name](seen)).all()
