"""Forecasts in the oracle, against the same worked by hand or with mpmath."""

from typing import Any

import mpmath

from alerting.care_protocol import Timing
from alerting.rules import ForecastRule, Model, Side
from devices.reading import Reading
from tests.alerting.oracle import expected_values
from tests.alerting.worlds import CGM, MINUTE, START, cgm, common, protocol_of, reading

mpmath.mp.dps = 50


def forecast(model: Model, **settings: Any) -> ForecastRule:
    known: dict[str, Any] = {
        "side": Side.BELOW,
        "threshold": 700,
        "end_threshold": 700,
        "horizon": 20 * MINUTE,
    } | settings
    return ForecastRule(**common(CGM), model=model, **known)


def values(rule: ForecastRule, readings: list[Reading], cadence: int = 5) -> list[int | None]:
    timings = {CGM: Timing(cadence=cadence * MINUTE, gap=45 * MINUTE)}
    return expected_values(protocol_of(rule, timings=timings), readings, rule.id)


def rounded(value: Any) -> int:
    return int(mpmath.floor(value + mpmath.mpf(1) / 2))


def test_a_straight_line_goes_on() -> None:
    rule = forecast(Model.LINEAR, window=15 * MINUTE)
    # 2 mg/dL a minute down: 100 - 20 * 2 = 60. Two readings are too few.
    assert values(rule, cgm([120, 110, 100])) == [None, None, 600]


def test_least_squares_by_hand() -> None:
    rule = forecast(Model.LINEAR, window=15 * MINUTE)
    # x = -10, -5, 0 min and y = 1000, 970, 980: slope = (-5 * 16.67 + 5 * -3.33) / 50 = -2 a minute, level 973.33;
    # twenty minutes on: 933.33.
    assert values(rule, cgm(["100", "97", "98"])) == [None, None, 933]
    # y = 1000, 970, 981: slope -1.9, mean 983.67, level 974.17, twenty minutes on 936.17.
    assert values(rule, cgm(["100", "97", "98.1"])) == [None, None, 936]


def test_half_a_quantum_is_rounded_up() -> None:
    rule = forecast(Model.LINEAR, window=5 * MINUTE, min_readings=2, horizon=5 * MINUTE // 2)
    assert values(rule, cgm(["70.0", "70.1"])) == [None, 702]  # 701 + 0.5
    assert values(rule, cgm(["70.1", "70.0"])) == [None, 700]  # 700 - 0.5


def test_a_line_needs_half_its_window_and_no_pause_in_it() -> None:
    rule = forecast(Model.LINEAR, window=30 * MINUTE, min_readings=2)
    assert values(rule, cgm([100, 100, 100, 100])) == [None, None, None, 1000]
    apart = [*cgm([100, 100, 100, 100]), *cgm([90, 90, 90, 90], START + 36 * MINUTE)]
    assert values(rule, apart) == [None, None, None, 1000, None, None, None, 900]
    joined = [*cgm([100, 100, 100, 100]), *cgm([100], START + 35 * MINUTE)]
    assert values(rule, joined)[-1] == 1000  # a pause of exactly 20 min breaks nothing
    # At a cadence of 15 min a pause of up to 33 min breaks nothing.
    assert values(rule, cgm([100, 100], step=33 * MINUTE), cadence=15) == [None, None]
    wide = forecast(Model.LINEAR, window=60 * MINUTE, min_readings=2)
    assert values(wide, cgm([100, 100], step=33 * MINUTE), cadence=15) == [None, 1000]
    assert values(wide, cgm([100, 100], step=33 * MINUTE + 1), cadence=15) == [None, None]


def test_the_middle_slope_ignores_one_wild_reading() -> None:
    rule = forecast(Model.ROBUST_LINEAR, window=20 * MINUTE)
    # Down 1 mg/dL a minute but for one reading: the six other slopes of ten are -10 quanta a minute, the levels of
    # four of five readings 1000 now, so 800 in twenty minutes.
    assert values(rule, cgm(["120", "115", "400", "105", "100"]))[-1] == 800
    # Twelve readings at most: of thirteen, the first one is not looked at.
    long = forecast(Model.ROBUST_LINEAR, window=60 * MINUTE)
    flat = cgm([300, *([100] * 12)])
    assert values(long, flat)[-1] == 1000
    # Four readings: slopes -30, 20, 5, -5, 11.67, 30 quanta in 5 min have the middle 8.33 = (5 + 11.67) / 2;
    # levels 1000 + 25, 970 + 16.67, 990 + 8.33, 1020: the middle of 1009.17 = (998.33 + 1020) / 2 and so on.
    four = cgm(["100", "97", "99", "102"])
    slopes = sorted([-30 / 1, (990 - 1000) / 2, (1020 - 1000) / 3, 20 / 1, (1020 - 970) / 2, 30 / 1])
    slope = (slopes[2] + slopes[3]) / 2
    levels = sorted([1000 + 3 * slope, 970 + 2 * slope, 990 + slope, 1020])
    assert values(rule, four)[-1] == round((levels[1] + levels[2]) / 2 + 4 * slope)


def ar2(now: str, before: Any, steps: int) -> list[Any]:
    current, previous = mpmath.log(mpmath.mpf(now) / 140), mpmath.log(mpmath.mpf(before) / 140)
    path = []
    for _ in range(steps):
        current, previous = mpmath.mpf("1.716") * current - mpmath.mpf("0.723") * previous, current
        path.append(140 * mpmath.exp(current))
    return path


def test_ar2_against_mpmath() -> None:
    falling = cgm([110, 100, 92])
    low = forecast(Model.AR2, horizon=30 * MINUTE)
    high = forecast(Model.AR2, horizon=30 * MINUTE, side=Side.ABOVE)
    expected = [("110", "110"), ("100", "110"), ("92", "100")]
    assert values(low, falling) == [rounded(min(ar2(*one, 6)) * 10) for one in expected]
    assert values(high, falling) == [rounded(max(ar2(*one, 6)) * 10) for one in expected]
    assert values(forecast(Model.AR2, horizon=5 * MINUTE), falling) == [
        rounded(ar2(*one, 1)[0] * 10) for one in expected
    ]
    # The same by hand: c = 1.716 ln(92/140) - 0.723 ln(100/140) = -0.4772, and 140 e^c = 86.87.
    assert values(forecast(Model.AR2, horizon=5 * MINUTE), falling)[-1] == 869


def test_ar2_takes_the_value_of_five_minutes_ago_between_two_readings() -> None:
    rule = forecast(Model.AR2, horizon=5 * MINUTE)
    uneven = cgm([110, 104, 92], step=4 * MINUTE)
    # Eight minutes of run: five minutes before the last lies a quarter of the way back from 104 to 110.
    assert values(rule, uneven)[-1] == rounded(ar2("92", mpmath.mpf("105.5"), 1)[0] * 10)
    # Four minutes of run: the oldest value stands in.
    assert values(rule, uneven)[1] == rounded(ar2("104", "110", 1)[0] * 10)


def test_holt_and_ar2_against_mpmath() -> None:
    low = forecast(Model.HOLT_AR2)
    seen = cgm([110, 100, 92])
    reach = 15 * (1 - mpmath.exp(mpmath.mpf(-20) / 15))
    damping, beta = mpmath.exp(mpmath.mpf(-5) / 15), 1 - mpmath.mpf("0.8")
    first = beta * (100 - 110) / 5
    second = (1 - beta) * damping * first + beta * (92 - 100) / 5
    assert values(low, seen) == [
        rounded((110 + min(ar2("110", "110", 6))) / 2 * 10),
        rounded((100 + reach * first + min(ar2("100", "110", 6))) / 2 * 10),
        rounded((92 + reach * second + min(ar2("92", "100", 6))) / 2 * 10),
    ]


def test_two_readings_at_once_leave_the_trend_and_a_pause_forgets_it() -> None:
    low = forecast(Model.HOLT_AR2)
    twice = [*cgm([110, 100]), reading(CGM, "90", START + 5 * MINUTE, device="z")]
    reach = 15 * (1 - mpmath.exp(mpmath.mpf(-20) / 15))
    trend = (1 - mpmath.mpf("0.8")) * (100 - 110) / 5
    assert values(low, twice)[-1] == rounded((90 + reach * trend + min(ar2("90", "110", 6))) / 2 * 10)
    apart = [*cgm([110, 100]), *cgm([90], START + 25 * MINUTE + 1)]
    assert values(low, apart)[-1] == rounded((90 + min(ar2("90", "90", 6))) / 2 * 10)


def kalman(glucose: list[int], minutes: list[int], threshold: int, sign: int) -> list[int]:
    """Return basis points, by matrices."""
    x = mpmath.matrix([glucose[0], 0])
    p = mpmath.matrix([[4, 0], [0, 1]])
    noise = mpmath.mpf(4)
    found = []
    for index, (value, dt) in enumerate(zip(glucose, minutes, strict=True)):
        if index:
            decay = mpmath.exp(-mpmath.mpf(dt) / 20)
            move = mpmath.matrix([[1, 20 * (1 - decay)], [0, decay]])
            added = mpmath.mpf("0.06") * mpmath.matrix(
                [[mpmath.mpf(dt) ** 3 / 3, mpmath.mpf(dt) ** 2 / 2], [mpmath.mpf(dt) ** 2 / 2, dt]]
            )
            x, p = move * x, move * p * move.T + added
            surprise = value - x[0]
            noise = mpmath.mpf("0.95") * noise + mpmath.mpf("0.05") * min(max(surprise**2 - p[0, 0], 0), 100)
            noise = min(max(noise, 1), 60)
            look = mpmath.matrix([[1, 0]])
            gain = p * look.T / (p[0, 0] + noise)
            x, p = x + gain * surprise, p - gain * look * p
        chances = []
        for ahead in (5, 10, 15, 20):
            f = 20 * (1 - mpmath.exp(-mpmath.mpf(ahead) / 20))
            spread = p[0, 0] + 2 * f * p[0, 1] + f**2 * p[1, 1] + mpmath.mpf("0.06") * ahead**3 / 3 + noise
            chances.append(mpmath.ncdf(sign * (threshold - x[0] - f * x[1]) / mpmath.sqrt(spread)))
        found.append(rounded(10_000 * max(chances)))
    return found


def test_kalman_against_matrices_in_fifty_digits() -> None:
    glucose, minutes = [120, 104, 91, 95, 60], [0, 15, 15, 20, 15]
    readings = [reading(CGM, str(one), START + sum(minutes[: index + 1]) * MINUTE) for index, one in enumerate(glucose)]
    low = forecast(Model.KALMAN, probability=3_600, end_probability=3_600)
    high = forecast(Model.KALMAN, probability=3_600, end_probability=3_600, side=Side.ABOVE)
    assert values(low, readings, cadence=15) == kalman(glucose, minutes, 70, 1)
    assert values(high, readings, cadence=15) == kalman(glucose, minutes, 70, -1)


def test_kalman_begins_anew_after_a_pause() -> None:
    low = forecast(Model.KALMAN, probability=3_600, end_probability=3_600)
    apart = [*cgm([100, 90], step=15 * MINUTE), *cgm([80], START + 48 * MINUTE + 1)]
    assert values(low, apart, cadence=15)[-1] == kalman([80], [0], 70, 1)[0]
