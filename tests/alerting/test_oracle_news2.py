"""NEWS2 in the oracle, against every edge of the chart of the Royal College of Physicians (2017)."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from alerting.scheduled_rules import Score, ScoreRule
from devices.reading import Quantity, Reading
from tests.alerting.oracle import expected_values
from tests.alerting.worlds import HOUR, MINUTE, PULSE, SPO2, START, SYSTOLIC, TEMPERATURE, common, protocol_of, reading

RESPIRATION = Quantity.RESPIRATORY_RATE
HEART = Quantity.HEART_RATE

# (from, to, points), both edges as the chart prints them, in its own steps.
CHART: list[tuple[Quantity, dict[str, Any], str, list[tuple[str, str, int]]]] = [
    (RESPIRATION, {}, "1", [("2", "8", 3), ("9", "11", 1), ("12", "20", 0), ("21", "24", 2), ("25", "60", 3)]),
    (SPO2, {}, "1", [("60", "91", 3), ("92", "93", 2), ("94", "95", 1), ("96", "100", 0)]),
    (SPO2, {"scale": 2}, "1", [("60", "83", 3), ("84", "85", 2), ("86", "87", 1), ("88", "92", 0), ("93", "100", 0)]),
    (
        SPO2,
        {"scale": 2, "oxygen": True},
        "1",
        [
            ("60", "83", 5),
            ("84", "85", 4),
            ("86", "87", 3),
            ("88", "92", 2),
            ("93", "94", 3),
            ("95", "96", 4),
            ("97", "100", 5),
        ],
    ),
    (SYSTOLIC, {}, "1", [("60", "90", 3), ("91", "100", 2), ("101", "110", 1), ("111", "219", 0), ("220", "280", 3)]),
    (
        PULSE,
        {},
        "1",
        [("25", "40", 3), ("41", "50", 1), ("51", "90", 0), ("91", "110", 1), ("111", "130", 2), ("131", "200", 3)],
    ),
    (
        TEMPERATURE,
        {},
        "0.1",
        [("34.0", "35.0", 3), ("35.1", "36.0", 1), ("36.1", "38.0", 0), ("38.1", "39.0", 1), ("39.1", "41.0", 2)],
    ),
]
EDGES = [
    (quantity, settings, edge, points)
    for quantity, settings, _, bands in CHART
    for low, high, points in bands
    for edge in (low, high)
]


def news2(*of: Quantity, **settings: Any) -> ScoreRule:
    known: dict[str, Any] = {"threshold": 5, "end_threshold": 3, "freshness": 12 * HOUR, "single": False} | settings
    return ScoreRule(**common(of[0]), score=Score.NEWS2, of=of, **known)


def values(rule: ScoreRule, *readings: Reading) -> list[int | None]:
    return expected_values(protocol_of(rule), readings, rule.id)


def test_the_bands_of_the_chart_leave_nothing_out() -> None:
    for _, _, step, bands in CHART:
        for (_, high, _), (low, _, _) in pairwise(bands):
            assert Decimal(low) - Decimal(high) == Decimal(step)


@pytest.mark.parametrize(("quantity", "settings", "value", "points"), EDGES)
def test_each_edge_of_the_chart(quantity: Quantity, settings: dict[str, Any], value: str, points: int) -> None:
    assert values(news2(quantity, **settings), reading(quantity, value, START)) == [points]


def test_points_add_up_once_every_input_is_fresh() -> None:
    rule = news2(SYSTOLIC, PULSE, SPO2, TEMPERATURE)
    # 105 mm[Hg]: 1; 115 /min: 2; 93 %: 2; 38.5 Cel: 1. Under 5 nothing is known while one of them is lacking.
    seen = [
        reading(SYSTOLIC, "105", START),
        reading(PULSE, "115", START + 1),
        reading(SPO2, "93", START + 2),
        reading(TEMPERATURE, "38.5", START + 3),
    ]
    assert values(rule, *seen) == [None, None, 5, 6]
    # Twelve hours after the saturation it still counts; a millisecond later it does not: 4 and an input lacking.
    later = [
        reading(one.quantity, one.count, one.measured_at + 12 * HOUR - 5, key="2")
        for one in seen
        if one.quantity is not SPO2
    ]
    assert values(rule, *seen, *later, reading(SYSTOLIC, "105", START + 2 + 12 * HOUR, key="3"))[-1] == 6
    assert values(rule, *seen, *later, reading(SYSTOLIC, "105", START + 3 + 12 * HOUR, key="3"))[-1] is None


def test_a_single_three_raises_when_asked_and_supplemental_oxygen_is_none() -> None:
    assert values(news2(SYSTOLIC, single=True), reading(SYSTOLIC, "90", START)) == [5]
    assert values(news2(SYSTOLIC, single=True), reading(SYSTOLIC, "91", START)) == [2]
    assert values(news2(SYSTOLIC, oxygen=True, single=True), reading(SYSTOLIC, "105", START)) == [3]
    assert values(news2(SYSTOLIC, SPO2, single=True), reading(SYSTOLIC, "90", START)) == [5]


def test_the_fresher_of_pulse_and_heart_rate_counts() -> None:
    rule = news2(PULSE, HEART)
    seen = [
        reading(PULSE, "131", START),
        reading(HEART, "70", START + MINUTE),
        reading(PULSE, "45", START + 2 * MINUTE),
    ]
    assert values(rule, *seen) == [3, 0, 1]
