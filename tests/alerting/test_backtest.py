"""A protocol over recorded readings."""

import dataclasses
import json

from alerting.alert import ChangeKind, Reason, Suppression
from alerting.backtest import AlertOutcome, _Outcomes, backtest, line
from alerting.care_protocol import TellingPolicy
from alerting.engine import Engine
from alerting.rules import RuleLife
from devices.reading import Reading
from tests.alerting.worlds import CGM, DAY, HOUR, MINUTE, PARIS, START, WEIGHT, cgm, reading, small

DIABETES = small("diabetes_cgm")
HEART = small("heart_failure")
TRACE = [*cgm([100, 60, 60, 60, 60]), *cgm([90, 90, 90], START + 25 * MINUTE), *cgm([200] * 4, START + 5 * HOUR)]


def rules(outcomes: list[AlertOutcome]) -> list[tuple[str, str, bool]]:
    return [(one.patient, one.rule, one.resolved_at is None) for one in outcomes]


def test_alerts_come_by_patient_then_time_then_rule() -> None:
    found = list(backtest(DIABETES, {"b": TRACE, "a": cgm([40] * 3), "none": []}, zone=PARIS))
    assert rules(found) == [
        ("a", "hypo_level_1", True),
        ("a", "hypo_level_2", True),
        ("b", "hypo_level_1", False),
        ("b", "no_glucose", False),
        ("b", "hyper_level_1", True),
    ]


def test_a_line_says_everything_in_units_and_utc() -> None:
    found = next(backtest(DIABETES, {"b": TRACE}, zone=PARIS))
    told = json.loads(json.dumps(line(found)))
    assert told.pop("why").keys() == {"fr", "en"}
    assert told.pop("evidence") == [
        {
            "quantity": "glucose_interstitial",
            "value": 60.0,
            "unit": "mg/dL",
            "measured_at": f"2026-03-03T07:{minute}:00Z",
        }
        for minute in (16, 21, 26)
    ]
    assert told == {
        "patient": "b",
        "rule": "hypo_level_1",
        "priority": "medium",
        "audience": "patient_now",
        "onset": "2026-03-03T07:16:00Z",
        "raised_at": "2026-03-03T07:26:00Z",
        "resolved_at": "2026-03-03T07:46:00Z",
        "told_at": "2026-03-03T07:26:00Z",
        "suppressed": None,
    }


def test_an_alert_that_stands_has_no_end_and_milliseconds_are_kept() -> None:
    weighings = [reading(WEIGHT, "70", START + 7), reading(WEIGHT, "72", START + HOUR + 7)]
    outcomes = list(backtest(HEART, {"a": weighings}, zone=PARIS))
    assert [one.rule for one in outcomes] == ["weight_gain_1_day", "weight_gain_3_days"]
    assert line(outcomes[0])["resolved_at"] is None
    assert line(outcomes[0])["onset"] == "2026-03-03T08:11:00.007Z"


def test_time_ends_with_the_last_reading_unless_said_otherwise() -> None:
    assert list(backtest(DIABETES, {"a": cgm([100])}, zone=PARIS)) == []
    (absence,) = backtest(DIABETES, {"a": cgm([100])}, zone=PARIS, until=START + 4 * HOUR)
    assert (absence.rule, absence.raised_at) == ("no_glucose", START + 3 * HOUR)


def test_readings_after_the_end_are_left_out() -> None:
    found = list(backtest(DIABETES, {"b": TRACE}, zone=PARIS, until=START + 15 * MINUTE))
    assert rules(found) == [("b", "hypo_level_1", True)]


def test_watching_begins_when_said() -> None:
    (absence,) = backtest(DIABETES, {"a": []}, zone=PARIS, since=START, until=START + DAY)
    assert absence.raised_at == START + 3 * HOUR
    later = list(backtest(DIABETES, {"b": TRACE}, zone=PARIS, since=START + 4 * HOUR))
    assert rules(later) == [("b", "hyper_level_1", True)]


def test_progress_counts_every_reading() -> None:
    long: list[Reading] = [reading(CGM, "100", START + n * MINUTE) for n in range(20_000)]
    seen: list[tuple[int, int]] = []
    list(backtest(DIABETES, {"a": cgm([100]), "b": long}, zone=PARIS, progress=lambda *done: seen.append(done)))
    assert seen == [(1, 20_001), (8193, 20_001), (16_385, 20_001), (20_001, 20_001)]


def test_the_ids_are_those_of_the_box() -> None:
    engine = Engine(DIABETES, patient="b", zone=PARIS, since=START)
    told = {change.alert_id for change in engine.feed(TRACE)}
    assert {one.alert_id for one in backtest(DIABETES, {"b": TRACE}, zone=PARIS)} == told


def test_what_was_suppressed_is_told_when_it_is_released_or_never() -> None:
    (raised,) = Engine(DIABETES, patient="b", zone=PARIS, since=START).feed(cgm([100, 60, 60, 60]))
    quiet = Suppression(reason=Reason.QUIET_HOURS, since=raised.raised_at, until=START + DAY)
    hushed = dataclasses.replace(raised, suppressed=quiet, told_at=None)
    released = dataclasses.replace(raised, kind=ChangeKind.RELEASED, told_at=START + DAY)
    ended = dataclasses.replace(raised, kind=ChangeKind.RESOLVED, resolved_at=START + HOUR)
    for changes, told in (([hushed, released, ended], START + DAY), ([hushed, ended], None)):
        outcomes = _Outcomes(DIABETES)
        outcomes.follow(changes)
        (one,) = outcomes.in_order()
        assert (one.told_at, one.suppressed, one.resolved_at) == (told, Reason.QUIET_HOURS, START + HOUR)
    outcomes = _Outcomes(DIABETES)
    outcomes.follow([raised, dataclasses.replace(hushed, kind=ChangeKind.SUPPRESSED), released])
    assert [(one.told_at, one.suppressed) for one in outcomes.in_order()] == [(raised.raised_at, None)]


def test_an_absorbed_alert_is_told_when_the_graver_one_has_ended_whichever_is_said_first() -> None:
    graver = RuleLife(absorbs=("hypo_level_1",))
    rules = tuple(
        dataclasses.replace(rule, life=graver) if rule.id == "hypo_level_2" else rule for rule in DIABETES.rules
    )
    absorbing = dataclasses.replace(DIABETES, rules=rules)
    lows = cgm([100, 50, 50, 50, 60, 60, 60, 60, 60])
    told = {one.rule: (one.told_at, one.suppressed) for one in backtest(absorbing, {"a": lows}, zone=PARIS)}
    ended = START + 6 * 5 * MINUTE
    assert told == {"hypo_level_1": (ended, Reason.ABSORBED), "hypo_level_2": (START + 15 * MINUTE, None)}


def test_quiet_hours_delay_what_is_told_in_a_backtest() -> None:
    night = dataclasses.replace(DIABETES, telling=TellingPolicy(quiet=(0, 23 * 60 + 59)))
    lows = cgm([100, *[60] * 4, *[100] * 4])
    found = list(backtest(night, {"a": lows}, zone=PARIS))
    assert [(one.rule, one.told_at, one.suppressed) for one in found] == [("hypo_level_1", None, Reason.QUIET_HOURS)]
