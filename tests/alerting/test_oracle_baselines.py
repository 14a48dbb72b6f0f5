"""Rates, changes, shares and baselines in the oracle, worked by hand."""

from typing import Any

from alerting.rules import (
    Baseline,
    BaselineRule,
    ChangeRule,
    Direction,
    RateRule,
    ShareRule,
    Side,
    Statistic,
)
from devices.reading import Quality, Reading, Validity
from tests.alerting.oracle import expected_values
from tests.alerting.worlds import CGM, DAY, HOUR, MINUTE, START, WEIGHT, cgm, common, protocol_of, reading


def weights(*grams: int, step: int = DAY) -> list[Reading]:
    return [reading(WEIGHT, value, START + index * step, key=f"{index:03}") for index, value in enumerate(grams)]


def change(statistic: Statistic, **settings: Any) -> ChangeRule:
    known: dict[str, Any] = {"direction": Direction.RISE, "delta": 1, "end_delta": 1, "window": 3 * DAY} | settings
    return ChangeRule(**common(WEIGHT), statistic=statistic, **known)


def baseline(statistic: Baseline, **settings: Any) -> BaselineRule:
    known: dict[str, Any] = {"direction": Direction.RISE, "delta": 1, "end_delta": 1} | settings
    return BaselineRule(**common(WEIGHT), statistic=statistic, **known)


def values(rule: ChangeRule | BaselineRule | RateRule | ShareRule, readings: list[Reading]) -> list[int | None]:
    return expected_values(protocol_of(rule), readings, rule.id)


def test_a_rate_is_the_way_from_the_oldest_reading_of_the_window() -> None:
    rule = RateRule(**common(CGM), direction=Direction.FALL, per_minute=1, end_per_minute=1, window=15 * MINUTE)
    # From 1000 to 970 quanta in 10 min: -3 a minute. From 1000 to 955 in 15 min: -3. From 990 (the first has left
    # the window, by 5 min) to 890 in 15 min: -6.666 a minute, cut.
    assert values(rule, cgm(["100", "99", "97", "95.5", "89"])) == [None, None, -3000, -3000, -6666]
    # Three readings within 7 min span less than half of 15 min; within 7.5 min they do not.
    assert values(rule, cgm([100, 100, 99], step=210_000)) == [None, None, None]
    assert values(rule, cgm([100, 100, 99], step=225_000)) == [None, None, -1333]


def test_changes_are_counted_from_each_statistic() -> None:
    seen = weights(72_000, 70_000, 71_000, 71_500, 70_500)
    # The window of the last one begins at the second, exactly 3 days before.
    assert values(change(Statistic.LOWEST), seen) == [0, 0, 1_000, 1_500, 500]
    assert values(change(Statistic.HIGHEST), seen) == [0, -2_000, -1_000, -500, -1_000]
    # Means of the earlier ones: 72 000; 71 000; 71 000; (70 000 + 71 000 + 71 500) / 3 = 70 833.33.
    assert values(change(Statistic.MEAN), seen) == [None, -2_000, 0, 500, -333]
    assert values(change(Statistic.FIRST), seen) == [None, -2_000, -1_000, -500, 500]
    assert values(change(Statistic.FIRST, window=DAY - 1), seen) == [None] * 5
    assert values(change(Statistic.FIRST, window=DAY - 1, slack=1), seen) == [None, -2_000, 1_000, 500, -1_000]


def test_relative_changes_are_basis_points_of_the_statistic() -> None:
    seen = weights(80_000, 76_000, 72_001)
    # -4 000 / 80 000 = -5 %; -7 999 / 80 000 = -9.998 %, cut.
    assert values(change(Statistic.FIRST, relative=True), seen) == [None, -500, -999]
    # -4 000 / 80 000; then -5 999 / 78 000 = -7.691 %.
    assert values(change(Statistic.MEAN, relative=True), seen) == [None, -500, -769]


def test_a_share_counts_the_readings_beyond() -> None:
    rule = ShareRule(
        **common(CGM),
        side=Side.ABOVE,
        threshold=2_500,
        share=7_500,
        end_share=5_000,
        window=10 * MINUTE,
        min_readings=2,
    )
    # 1 of 2; 2 of 3; and of the last three (10 min ago is still in) 2 of 3 and 1 of 3.
    assert values(rule, cgm([250, "250.1", 251, 100, 100])) == [None, 5_000, 6_666, 6_666, 3_333]


def test_readings_that_no_threshold_may_judge_are_not_there() -> None:
    seen = weights(70_000, 90_000, 71_000)
    doubtful = reading(WEIGHT, 90_000, START + DAY, key="q", validity=Validity.QUESTIONABLE)
    warming = reading(WEIGHT, 90_000, START + DAY, key="w", quality=Quality.WARMING_UP)
    rule = change(Statistic.LOWEST)
    assert values(rule, [seen[0], doubtful, warming, seen[2]]) == [0, 1_000]


def test_a_mean_of_earlier_days_leaves_out_the_latest_ones() -> None:
    rule = baseline(Baseline.MEAN, window=4 * DAY, lag=2 * DAY, min_readings=2)
    # At day 3: days 0 and 1, 70 500. At day 4: days 0 to 2, 71 000. At day 5: days 1 to 3, 71 666.67.
    seen = weights(70_000, 71_000, 72_000, 72_000, 75_000, 72_000)
    assert values(rule, seen) == [None, None, None, 1_500, 4_000, 333]


def test_an_exponential_mean_is_compared_with_before_it_moves() -> None:
    rule = baseline(Baseline.EWMA, window=2 * DAY, min_readings=2)
    # m = 70 000; + (73 000 - m) / 3 = 71 000; the third is 0 from it; the next, two days later, (74 000 - m) / 2 on.
    seen = [
        *weights(70_000, 73_000, 71_000),
        reading(WEIGHT, 74_000, START + 4 * DAY),
        reading(WEIGHT, 72_500, START + 5 * DAY),
    ]
    assert values(rule, seen) == [None, 3_000, 0, 3_000, 0]
    assert values(baseline(Baseline.EWMA, window=2 * DAY), seen[:1]) == [0]


def test_an_exponential_mean_is_kept_in_parts_of_a_quantum() -> None:
    # tau 2 s, readings 1 s apart: each moves the mean by a third of 65 536 parts, 21 845 and a bit that is cut off.
    rule = baseline(Baseline.EWMA, window=2_000)
    # m = 0 quanta of 65 536; 1: away 1, m = 21 845; 1: away 43 691 parts, less than a quantum: 0.
    assert values(rule, weights(100, 101, 101, 102, step=1_000)) == [0, 1, 0, 1]


def test_dry_weight_and_the_count_of_readings() -> None:
    rule = baseline(Baseline.DRY_WEIGHT, reference=70_000, min_readings=2)
    assert values(rule, weights(71_000, 69_000, 72_001)) == [None, -1_000, 2_001]


def test_deviations_are_counted_in_the_patient_s_own_spread() -> None:
    rule = baseline(Baseline.SPC, window=10 * DAY, min_readings=2, expected_sd=600, expected_readings=0, min_sd=1)
    # Before the third: 70 000 and 70 200, mean 70 100, s^2 = 2 * 100^2 / 1 = 141.42^2; 400 / 141.42 = 2.828.
    assert values(rule, weights(70_000, 70_200, 70_500)) == [None, None, 2_828]
    assert values(rule, weights(70_000, 70_200, 69_700)) == [None, None, -2_828]
    # Twenty expected readings of 600 g: s^2 = (20 000 + 20 * 360 000) / 21 = 586.38^2; 400 / 586.38 = 0.6821.
    expected = baseline(Baseline.SPC, window=10 * DAY, min_readings=2, expected_sd=600, expected_readings=20)
    assert values(expected, weights(70_000, 70_200, 70_500)) == [None, None, 682]
    # No spread at all: at least 300 g.
    least = baseline(Baseline.SPC, window=10 * DAY, min_sd=300)
    assert values(least, weights(70_000, 70_000, 70_500)) == [None, 0, 1_666]


def test_macd_is_the_short_mean_minus_the_long_one() -> None:
    rule = baseline(Baseline.MACD, short=3, long=14)
    # After 1 500 more: the short one moves by 2/4 = 750, the long one by 2/15 = 200; then 375 and 173.33.
    assert values(rule, weights(70_000, 71_500, 71_500)) == [0, 550, 1_125 - 374]
    assert values(baseline(Baseline.MACD, short=3, long=14, min_readings=3), weights(70_000, 71_500, 71_500))[:2] == [
        None,
        None,
    ]


def test_cusum_adds_up_what_exceeds_the_allowance() -> None:
    rise = baseline(Baseline.CUSUM, window=1_000 * DAY, allowance=100)
    # The mean hardly moves: + 500 - 100, then + 700 - 100 less what it moved (0.5), then - 5 000: back to 0.
    assert values(rise, weights(70_000, 70_500, 70_700, 65_000)) == [0, 400, 999, 0]
    fall = baseline(Baseline.CUSUM, window=1_000 * DAY, allowance=100, direction=Direction.FALL)
    assert values(fall, weights(70_000, 69_500, 69_300, 75_000)) == [0, -400, -999, 0]


def test_another_person_on_the_scale_is_left_out() -> None:
    rule = baseline(Baseline.DRY_WEIGHT, reference=70_000, despike=4_500)
    # Against the middle of the three before, 70 100: 74 600 is just within 4.5 kg, 74 601 is not.
    assert values(rule, weights(70_000, 70_100, 70_200, 74_600)) == [0, 100, 200, 4_600]
    assert values(rule, weights(70_000, 70_100, 70_200, 74_601)) == [0, 100, 200, None]
    # Two before are too few to tell; of four the mean of the middle two counts: 70 150.
    assert values(rule, weights(70_000, 70_100, 90_000)) == [0, 100, 20_000]
    assert values(rule, weights(70_000, 70_100, 70_200, 70_300, 65_650)) == [0, 100, 200, 300, -4_350]
    assert values(rule, weights(70_000, 70_100, 70_200, 70_300, 65_649)) == [0, 100, 200, 300, None]
    # It enters no mean either, and does not count among the readings so far.
    counted = baseline(Baseline.MACD, short=3, long=14, despike=4_500, min_readings=4)
    assert values(counted, weights(70_000, 70_000, 70_000, 90_000, 70_000)) == [None, None, None, None, 0]
    # Readings more than 14 days old say nothing about today.
    old = [*weights(70_000, 70_000, 70_000), reading(WEIGHT, 80_000, START + 14 * DAY + HOUR, key="z")]
    assert values(rule, old)[-1] == 10_000
