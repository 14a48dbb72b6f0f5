"""Schedules, quality, heart failure and composites in the oracle, worked by hand."""

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerting.care_protocol import Rule, Timing
from alerting.rules import LevelRule, Side
from alerting.scheduled_rules import CompositeRule, Concern, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from devices.reading import Quality, Quantity, Reading, Validity
from tests.alerting.oracle import Expected, expected_alerts, expected_values
from tests.alerting.worlds import (
    CGM,
    DAY,
    HOUR,
    MINUTE,
    PARIS,
    PULSE,
    SPO2,
    START,
    SYSTOLIC,
    WEIGHT,
    cgm,
    common,
    protocol_of,
    reading,
)

MORNING_AND_EVENING = ((6 * 60, 10 * 60), (18 * 60, 22 * 60))


def at(text: str, zone: ZoneInfo = PARIS) -> int:
    """Return a local time as ms UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def alerts(rule: Rule, readings: list[Reading], *, since: int, until: int) -> list[Expected]:
    return expected_alerts(protocol_of(rule), readings, since=since, until=until)


def mean_722(**settings: Any) -> MeanRule:
    known: dict[str, Any] = {
        "side": Side.AT_LEAST,
        "threshold": 1_350,
        "end_threshold": 1_300,
        "days": 7,
        "occasions": MORNING_AND_EVENING,
        "per_occasion": 2,
        "drop_first": True,
        "min_readings": 12,
    } | settings
    return MeanRule(**common(SYSTOLIC), **known)


def test_home_pressure_over_seven_days_drops_the_first_and_the_third_of_an_occasion() -> None:
    readings = []
    for day in range(1, 8):
        for clock, counts in (("07:00", (1_400, 1_380)), ("20:00", (1_340, 1_320))):
            for number, count in enumerate((*counts, 2_000)):
                moment = at(f"2026-02-{day:02}T{clock}") + number * MINUTE
                readings.append(reading(SYSTOLIC, 2_200 if day == 1 else count, moment, key=f"{moment}"))
    values = expected_values(protocol_of(mean_722()), readings, "rule")
    # The first day of the series never counts. At the last reading 24 are counted, of days 2 to 7:
    # (1400 + 1380 + 1340 + 1320) / 4 = 1360; so are the twelve of days 2 to 4, and a reading earlier there are 11.
    assert values[-1] == 1_360
    assert values[4 * 6 - 2] == 1_360
    assert values[4 * 6 - 3] is None


def test_a_reading_outside_every_occasion_has_no_value_and_does_not_count() -> None:
    rule = mean_722(min_readings=1, drop_first=False)
    noon = [
        reading(SYSTOLIC, count, at(f"2026-02-03T{clock}"))
        for clock, count in (("07:00", 1_300), ("10:00", 2_000), ("18:00", 1_401), ("21:59", 1_401), ("22:00", 900))
    ]
    # (1300 + 2 * 1401) / 3 = 1367.3, cut.
    assert expected_values(protocol_of(rule), noon, "rule") == [1_300, None, 1_350, 1_367, None]


def test_a_day_of_the_mean_is_the_patient_s_own() -> None:
    rule = mean_722(days=1, occasions=((0, 1_440),), per_occasion=9, drop_first=False, min_readings=1)
    # 23:30 UTC is the next day in Paris in winter; in Halifax it is not.
    late = [reading(SYSTOLIC, 1_200, utc("2026-02-03T20:00")), reading(SYSTOLIC, 1_400, utc("2026-02-03T23:30"))]
    assert expected_values(protocol_of(rule), late, "rule") == [1_200, 1_400]
    assert expected_values(protocol_of(rule), late, "rule", ZoneInfo("America/Halifax")) == [1_200, 1_300]


def due(by: str, grace: int = 0, **settings: Any) -> MissingRule:
    hour, minute = (int(part) for part in by.split(":"))
    return MissingRule(**common(WEIGHT), expected=0, grace=grace, by=hour * 60 + minute, **settings)


def test_a_weighing_due_by_eleven_is_missing_after_its_grace_and_until_the_next() -> None:
    rule = due("11:00", 30 * MINUTE)
    since = at("2026-02-02T10:59")
    weighed = reading(WEIGHT, 70_000, at("2026-02-02T08:00"))
    # Monday's came before watching began and counts all the same; Tuesday's came at 18:00, Wednesday's in time.
    tuesday = reading(WEIGHT, 70_000, at("2026-02-03T18:00"))
    wednesday = reading(WEIGHT, 70_000, at("2026-02-04T11:30"))
    found = alerts(rule, [weighed, tuesday, wednesday], since=since, until=at("2026-02-05T11:30"))
    raised = at("2026-02-03T11:30")
    assert found == [Expected("rule", raised, raised, tuesday.measured_at, ((weighed.device, weighed.key),))]
    later = alerts(rule, [weighed, tuesday, wednesday], since=since, until=at("2026-02-05T11:30") + 1)
    assert [one.raised_at for one in later] == [raised, at("2026-02-05T11:30")]
    assert later[-1].resolved_at is None


def test_a_reading_after_midnight_within_the_grace_is_the_day_s_all_the_same() -> None:
    rule = due("23:00", 3 * HOUR)
    late = reading(WEIGHT, 70_000, at("2026-02-04T01:59"))
    found = alerts(rule, [late], since=at("2026-02-03T12:00"), until=at("2026-02-06T02:00") + 1)
    # Tuesday's came at two, and is one of Wednesday too; Thursday's did not come.
    assert [one.raised_at for one in found] == [at("2026-02-06T02:00")]


def test_a_day_on_which_watching_began_too_late_is_not_asked_for() -> None:
    until = at("2026-02-02T23:59")
    assert len(alerts(due("11:00"), [], since=at("2026-02-02T10:59"), until=until)) == 1
    assert alerts(due("11:00"), [], since=at("2026-02-02T11:00"), until=until) == []


def test_only_the_days_of_the_schedule_are_asked_for() -> None:
    rule = due("11:00", days=0b0000100)  # Wednesdays
    found = alerts(rule, [], since=at("2026-02-02T00:00"), until=at("2026-02-20T00:00"))
    assert [one.raised_at for one in found] == [at("2026-02-04T11:00")]


def test_a_reading_of_the_next_day_ends_no_absence_before_it_came() -> None:
    rule = due("23:30", HOUR)
    too_late = reading(WEIGHT, 70_000, at("2026-02-03T00:31"))
    found = alerts(rule, [too_late], since=at("2026-02-02T12:00"), until=at("2026-02-03T12:00"))
    assert [(one.raised_at, one.resolved_at) for one in found] == [(at("2026-02-03T00:30"), too_late.measured_at)]


@pytest.mark.parametrize(
    ("day", "by", "deadline"),
    [
        ("2026-03-28", "11:00", "2026-03-28T10:00"),
        ("2026-03-29", "11:00", "2026-03-29T09:00"),
        # 02:30 does not exist that night: taken in the offset before, an hour and a half after 00:00 UTC.
        ("2026-03-29", "02:30", "2026-03-29T01:30"),
        ("2026-03-29", "03:00", "2026-03-29T01:00"),
        ("2025-10-25", "11:00", "2025-10-25T09:00"),
        ("2025-10-26", "11:00", "2025-10-26T10:00"),
        # 02:30 is shown twice that night: the first time counts.
        ("2025-10-26", "02:30", "2025-10-26T00:30"),
        ("2025-10-26", "03:00", "2025-10-26T02:00"),
    ],
)
def test_a_time_is_due_by_the_clock_on_the_wall_on_both_nights_it_moves(day: str, by: str, deadline: str) -> None:
    since = at(f"{day}T00:00")
    found = alerts(due(by), [], since=since, until=since + 13 * HOUR)
    assert [one.raised_at for one in found] == [utc(deadline)]


def quality(concern: Concern, quantity: Quantity = CGM, **settings: Any) -> QualityRule:
    return QualityRule(**common(quantity), concern=concern, **settings)


def values(rule: QualityRule, readings: list[Reading]) -> list[int | None]:
    timings = {CGM: Timing(cadence=5 * MINUTE, gap=45 * MINUTE)}
    return expected_values(protocol_of(rule, timings=timings), readings, "rule")


def test_flags_are_counted_on_questionable_readings_too() -> None:
    rule = quality(Concern.FLAGS, SYSTOLIC, flags=Quality.CUFF_TOO_LOOSE | Quality.BODY_MOVEMENT, times=2, window=DAY)
    loose, none = Quality.CUFF_TOO_LOOSE | Quality.IRREGULAR_PULSE, Quality.IRREGULAR_PULSE
    marks = [
        (loose, Validity.QUESTIONABLE),
        (none, Validity.VALID),
        (loose, Validity.CALIBRATING),
        (loose, Validity.INVALID),
        (loose, Validity.VALID),
    ]
    seen = [
        reading(SYSTOLIC, 1_200, START + hour * HOUR, quality=mark, validity=validity)
        for hour, (mark, validity) in enumerate(marks)
    ]
    assert values(rule, seen) == [1, 1, 2]
    alone = quality(Concern.FLAGS, SYSTOLIC, flags=Quality.CUFF_TOO_LOOSE)
    assert values(alone, seen) == [1, 0, 1]


def test_a_value_is_stuck_since_it_last_changed_and_a_silence_begins_anew() -> None:
    rule = quality(Concern.STUCK, window=HOUR)
    seen = [*cgm([100, 101, 101, 101]), *cgm([101, 101], START + HOUR), *cgm([101], START + HOUR + 51 * MINUTE)]
    assert values(rule, seen) == [0, 0, 5 * MINUTE, 10 * MINUTE, 55 * MINUTE, 60 * MINUTE, 0]


def test_a_jump_is_counted_from_the_reading_before() -> None:
    rule = quality(Concern.JUMP, window=5 * MINUTE, delta=300)
    assert values(rule, [*cgm([100, 131, "100.5"]), *cgm([200], START + 15 * MINUTE + 1)]) == [None, 310, 305, None]


def test_a_steep_fall_at_night_that_is_soon_regained_is_a_compression_low() -> None:
    rule = quality(Concern.COMPRESSION_LOW, per_minute=50_000, window=HOUR)
    night = at("2026-02-03T03:00")
    # 120 to 90 in 5 min is 6 mg/dL a minute. Down to 70, so 50 lost: three quarters are regained at 107.5.
    assert values(rule, cgm([120, 90, 70, 107, "107.5", 120], night)) == [0, 0, 0, 0, 1, 0]
    # By day, at 5 mg/dL a minute less a quantum, or regained too late, it is none; at 5 exactly it is.
    assert values(rule, cgm([120, 90, 120], night + 9 * HOUR)) == [0, 0, 0]
    assert values(rule, cgm([120, "95.1", 120], night)) == [0, 0, 0]
    assert values(rule, cgm([120, 95, 120], night)) == [0, 0, 1]
    fallen = [*cgm([120, 90], night), *cgm([90], night + 35 * MINUTE)]
    assert values(rule, [*fallen, *cgm([120], night + 65 * MINUTE)]) == [0, 0, 0, 1]
    assert values(rule, [*fallen, *cgm([120], night + 65 * MINUTE + 1)]) == [0, 0, 0, 0]
    # After a silence longer than the gap of 45 minutes nobody knows what happened in between.
    assert values(rule, [*cgm([120, 90], night), *cgm([120], night + 50 * MINUTE)]) == [0, 0, 1]
    assert values(rule, [*cgm([120, 90], night), *cgm([120], night + 50 * MINUTE + 1)]) == [0, 0, 0]


def test_heart_failure_adds_evidence_and_forgets_half_of_it_each_day() -> None:
    rule = ScoreRule(
        **common(WEIGHT),
        score=Score.HEART_FAILURE,
        of=(WEIGHT, PULSE),
        threshold=5_650,
        end_threshold=2_000,
        freshness=DAY,
    )
    days = 16
    readings = [reading(WEIGHT, 70_000, START + day * DAY) for day in range(days)]
    # The pulse comes a minute before each weighing: 60 /min until two last days of 80.
    readings += [reading(PULSE, "80" if day >= days - 2 else "60", START + day * DAY - MINUTE) for day in range(days)]
    # Steady weight: z of MACD is 0, so 1.7 * 0 - 1.445 is clipped to -0.6. The pulse's spread: own 0, 20 expected
    # of 5.5 /min. On the day before last (8 weighings lie 5 days and more before since day 12): n = 10 pulses from 5 to
    # 35 days ago, s = sqrt(20 * 5.5^2 / 29) = 4.568, z = 4.379, 0.5 z - 0.125 = 2.064.
    spread = math.sqrt(20 * 5.5**2 / 29)
    first = max(0.0, 0.5 * 20 / spread - 0.125 - 0.6)
    second = first / 2 + 0.5 * 20 / math.sqrt(20 * 5.5**2 / 30) - 0.125 - 0.6
    found = [value for value in expected_values(protocol_of(rule), readings, "rule") if value is not None]
    assert found == [0, math.trunc(1000 * first), math.trunc(1000 * second)]


def test_heart_failure_is_judged_at_the_first_weighing_of_a_day() -> None:
    rule = ScoreRule(
        **common(WEIGHT), score=Score.HEART_FAILURE, of=(WEIGHT, SPO2), threshold=1, end_threshold=1, freshness=DAY
    )
    readings = [reading(WEIGHT, 70_000, START + hour * HOUR) for hour in range(0, 15 * 24, 12)]
    found = expected_values(protocol_of(rule), readings, "rule")
    # 08:11 and 20:11 each day: the fourteenth first weighing is reading 26.
    assert [index for index, value in enumerate(found) if value is not None] == [26, 28]


def level(rule_id: str, threshold: int, quantity: Quantity = SYSTOLIC) -> LevelRule:
    return LevelRule(**common(quantity, rule_id), side=Side.AT_LEAST, threshold=threshold, end_threshold=threshold)


def both(*of: str, at_least: int = 2, window: int = DAY) -> CompositeRule:
    return CompositeRule(
        **common(SYSTOLIC, "both"), of=of, at_least=at_least, window=window, of_quantities=(SYSTOLIC, PULSE)
    )


def test_missing_is_not_false() -> None:
    protocol = protocol_of(level("high", 1_800), level("fast", 1_100, PULSE), both("high", "fast"))
    high = reading(SYSTOLIC, 1_800, START)
    fast = reading(PULSE, 1_100, START + HOUR)
    calm = reading(PULSE, 700, START + 2 * HOUR)
    # After the first the pulse is unknown: one true and one unknown decide nothing.
    assert expected_values(protocol, [high], "both") == [None]
    assert expected_values(protocol, [high, fast], "both") == [None, 2]
    # The pulse was fast within the last day: still true. A day and more later it is false, the pressure unknown.
    assert expected_values(protocol, [high, fast, calm], "both") == [None, 2, 2]
    late = reading(PULSE, 700, START + HOUR + DAY + 1)
    assert expected_values(protocol, [high, fast, late], "both") == [None, 2, 0]
    # A false pulse alone decides that two of two are not true.
    assert expected_values(protocol, [calm], "both") == [0]


def test_a_composite_is_looked_at_when_a_missing_rule_is_raised() -> None:
    missing = MissingRule(**common(WEIGHT, "unweighed"), expected=DAY, grace=0)
    protocol = protocol_of(level("high", 1_800), missing, both("high", "unweighed", window=2 * DAY))
    high = reading(SYSTOLIC, 1_800, START + HOUR)
    found = expected_alerts(protocol, [high], since=START, until=START + 2 * DAY)
    assert [(one.rule, one.raised_at) for one in found] == [
        ("high", START + HOUR),
        ("both", START + DAY),
        ("unweighed", START + DAY),
    ]
    # A weighing ends the absence; the composite, to which weight was added, ends with it.
    weighed = reading(WEIGHT, 70_000, START + DAY + HOUR)
    ended = expected_alerts(protocol, [high, weighed], since=START, until=START + DAY + 2 * HOUR)
    assert {one.rule: one.resolved_at for one in ended} == {
        "high": None,
        "both": START + DAY + HOUR,
        "unweighed": START + DAY + HOUR,
    }
