import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality.glucose.labels import label
from benchmarks.quality.glucose.operating import Watched
from benchmarks.quality.glucose.scorers import (
    SCORERS,
    Alarm,
    Autoregressive,
    Chance,
    HoltWithAutoregressive,
    Kalman,
    Linear,
    Setting,
    Value,
)
from benchmarks.quality.glucose.traces import MINUTE, Trace

SETTING = Setting(level=70, cadence=5, gap=20)
VALUES = st.lists(st.integers(40, 400), min_size=1, max_size=60)


@given(values=VALUES, steps=st.lists(st.sampled_from([5, 5, 5, 10, 15]), min_size=60, max_size=60))
@settings(max_examples=60, deadline=None)
def test_kalman_is_the_filter_written_with_matrices(values: list[int], steps: list[int]) -> None:
    """The textbook form: predict, innovate, update, with 2x2 matrices."""
    scorer = Kalman(SETTING)
    state, spread, noise = np.zeros(2), np.eye(2), 4.0
    now = 0
    for index, value in enumerate(values):
        if not index:
            state, spread = np.array([value, 0.0]), np.diag([4.0, 1.0])
        else:
            step = steps[index]
            now += step
            state, spread = ahead(state, spread, step)
            surprise = value - state[0]
            noise = float(np.clip(0.95 * noise + 0.05 * np.clip(surprise**2 - spread[0, 0], 0, 100), 1, 60))
            gain = spread[:, 0] / (spread[0, 0] + noise)
            state = state + gain * surprise
            spread = spread - np.outer(gain, spread[0])
        risks = []
        for reach in (5, 10, 15, 20):
            later = ahead_without_acceleration_of_velocity(state, spread, reach)
            risks.append(0.5 * (1 + math.erf((70 - later[0]) / math.sqrt(2 * (later[1] + noise)))))
        assert scorer.risk(float(now), float(value)) == pytest.approx(max(risks), abs=1e-9)


def ahead(state: np.ndarray, spread: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    kept = math.exp(-step / 20)
    matrix = np.array([[1, 20 * (1 - kept)], [0, kept]])
    drift = 0.06 * np.array([[step**3 / 3, step**2 / 2], [step**2 / 2, step]])
    return matrix @ state, matrix @ spread @ matrix.T + drift


def ahead_without_acceleration_of_velocity(state: np.ndarray, spread: np.ndarray, step: float) -> tuple[float, float]:
    later, wider = ahead(state, spread, step)
    return float(later[0]), float(wider[0, 0])


@given(values=VALUES)
@settings(max_examples=60, deadline=None)
def test_linear_is_the_least_squares_line_of_the_last_quarter_of_an_hour(values: list[int]) -> None:
    scorer = Linear(SETTING)
    for index, value in enumerate(values):
        risk = scorer.risk(5.0 * index, float(value))
        window = values[max(0, index - 3) : index + 1]
        if len(window) < 3:
            assert risk == -math.inf
        else:
            slope, here = np.polyfit(5.0 * np.arange(1 - len(window), 1), window, 1)
            assert risk == pytest.approx(-(here + 20 * slope), abs=1e-6)


def test_ar2_takes_six_steps_of_five_minutes() -> None:
    scorer = Autoregressive(SETTING)
    scorer.risk(0.0, 110.0)
    current, before = math.log(100 / 140), math.log(110 / 140)
    path = []
    for _ in range(6):
        current, before = -0.723 * before + 1.716 * current, current
        path.append(140 * math.exp(current))
    assert scorer.risk(5.0, 100.0) == pytest.approx(-min(path))
    assert min(path) == path[-1] < 90


def test_ar2_at_fifteen_minutes_takes_the_value_of_five_minutes_ago_between_two_past_readings() -> None:
    slow, fine = Autoregressive(SETTING), Autoregressive(SETTING)
    slow.risk(0.0, 130.0)
    for time, value in ((0.0, 130.0), (5.0, 120.0), (10.0, 110.0)):
        fine.risk(time, value)
    assert slow.risk(15.0, 100.0) == fine.risk(15.0, 100.0)


def test_holt_keeps_a_fifth_of_each_new_slope_and_damps_the_old_one() -> None:
    values = (150.0, 140.0, 132.0, 121.0)
    mixed, other = HoltWithAutoregressive(SETTING), Autoregressive(SETTING)
    trend = 0.0
    for index, value in enumerate(values):
        if index:
            trend = 0.8 * math.exp(-1 / 3) * trend + 0.2 * (value - values[index - 1]) / 5
        forecast = value + 15 * (1 - math.exp(-4 / 3)) * trend
        low = other.forecast(5.0 * index, value)
        assert mixed.risk(5.0 * index, value) == pytest.approx(-(forecast + low) / 2)


@pytest.mark.parametrize("name", [name for name in SCORERS if name not in {"random", "always", "threshold"}])
def test_a_silence_begins_everything_anew(name: str) -> None:
    interrupted, fresh = SCORERS[name](SETTING), SCORERS[name](SETTING)
    for index in range(12):
        interrupted.risk(5.0 * index, 200.0 - 9 * index)
    after = [interrupted.risk(100.0 + 5 * index, 100.0 - 4 * index) for index in range(4)]
    assert after == pytest.approx([fresh.risk(100.0 + 5 * index, 100.0 - 4 * index) for index in range(4)])


def test_chance_is_even_repeats_by_seed_and_knows_no_glucose() -> None:
    one, again, other = (Chance(Setting(level=70, cadence=5, gap=20, seed=seed)) for seed in (1, 1, 2))
    drawn = [one.risk(5.0 * index, 100.0) for index in range(2000)]
    assert drawn == [again.risk(9.0 * index, 40.0) for index in range(2000)]
    assert drawn != [other.risk(5.0 * index, 100.0) for index in range(2000)]
    assert 0 <= min(drawn) < 0.01
    assert 0.99 < max(drawn) < 1
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.03)


@given(
    values=st.lists(st.integers(45, 95), min_size=1, max_size=80),
    steps=st.lists(st.sampled_from([5, 5, 5, 5, 10, 20, 25, 40]), min_size=80, max_size=80),
    threshold=st.integers(60, 90),
)
@settings(max_examples=150, deadline=None)
def test_the_streaming_alarm_is_the_one_found_looking_back(values: list[int], steps: list[int], threshold: int) -> None:
    """The judge's alarm and the harness's own account of it share no code."""
    minutes = np.cumsum(steps[: len(values)])
    trace = Trace(
        patient="made",
        times=tuple(int(one) * MINUTE for one in minutes),
        counts=tuple(10 * value for value in values),
        cadence=5 * MINUTE,
    )
    alarm = Alarm(SETTING, [-float(threshold)])
    scorer = Value(SETTING)
    streamed = []
    for index, value in enumerate(values):
        time = float(minutes[index])
        if alarm.raised(time, float(value), scorer.risk(time, float(value)))[0]:
            streamed.append(index)
    watched = Watched(labels=label(trace, 70.0), risks=-np.array(values, np.float64))
    assert streamed == watched.alarms(-float(threshold))
