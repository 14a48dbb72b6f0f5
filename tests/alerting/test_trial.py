"""What a trial counts, on histories whose figures were worked out by hand."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import Audience, Priority, Reason
from alerting.backtest import AlertOutcome, backtest
from alerting.burden import Burden, BusyDay, Watched, burden_of, middle, total
from alerting.care_protocol import CareProtocol
from alerting.comparison import Verdict, compare
from alerting.coverage import Expectation, expectation, silences_of
from alerting.history import History
from alerting.scheduled_rules import CompositeRule, MissingRule
from alerting.trial import together, trial_of, watching
from devices.reading import Quantity, Reading, Validity
from tests.alerting.worlds import CGM, DAY, HOUR, MINUTE, PARIS, START, SYSTOLIC, WEIGHT, cgm, reading, small

DIABETES = small("diabetes_cgm")
HEART = small("heart_failure")
MIDNIGHT = START - 7 * HOUR - 11 * MINUTE - HOUR  # 2026-03-03T00:00 in Paris
LATE_MARCH = MIDNIGHT + 18 * DAY  # the clocks go forward on 29 March


def outcome(rule: str, raised_at: int, ended: int | None = None, **changes: object) -> AlertOutcome:
    """An alert of `diabetes_cgm`, told at once, raised a quarter of an hour after its onset."""
    known = {one.id: one for one in DIABETES.rules}[rule]
    made = AlertOutcome(
        patient="p",
        alert_id=f"{rule}{raised_at}",
        rule=rule,
        priority=known.priority,
        category=known.category,
        audience=known.audience,
        onset=raised_at - 15 * MINUTE,
        raised_at=raised_at,
        resolved_at=ended,
        told_at=raised_at,
        suppressed=None,
        evidence=(),
        why=known.words.title,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def busy() -> Burden:
    """Four local days: 4 alerts on the first, none on the second, 1 told on the third, 1 that stands on the fourth."""
    at = MIDNIGHT + HOUR
    outcomes = [
        outcome("hyper_level_1", at, at + 30 * MINUTE),
        outcome("hyper_level_1", at + 2 * HOUR, at + 3 * HOUR),
        outcome("hyper_level_2", at + 2 * HOUR + 9 * MINUTE, at + 3 * HOUR),
        outcome("hyper_level_1", at + 23 * HOUR - MINUTE, at + 23 * HOUR),
        outcome("hyper_level_1", at + 49 * HOUR, at + 50 * HOUR, told_at=None, suppressed=Reason.REFRACTORY),
        outcome("hypo_level_1", at + 50 * HOUR, at + 76 * HOUR),
        outcome("no_glucose", at + 80 * HOUR),
    ]
    return burden_of(DIABETES, outcomes, Watched(begin=MIDNIGHT, end=MIDNIGHT + 4 * DAY - 1000, zone=PARIS))


def test_alerts_are_counted_by_rule_told_and_not_told(busy: Burden) -> None:
    assert list(busy.rules) == [rule.id for rule in DIABETES.rules]
    one = busy.rules["hyper_level_1"]
    assert (one.raised, one.told, one.suppressed) == (4, 3, {Reason.REFRACTORY: 1})
    assert (one.priority, one.audience) == (Priority.LOW, Audience.NURSE)
    assert (busy.raised, busy.told, busy.told_to_nurse) == (7, 6, 5)
    assert busy.rules["hypo_level_2"].raised == 0


def test_durations_count_what_stands_up_to_the_end(busy: Burden) -> None:
    assert busy.rules["hyper_level_1"].minutes == {30: 1, 60: 2, 1: 1}
    assert busy.rules["hyper_level_1"].longest_ms == HOUR
    assert (busy.rules["hypo_level_1"].over_a_day, busy.rules["hypo_level_1"].minutes) == (1, {1560: 1})
    silent = busy.rules["no_glucose"]
    assert (silent.standing, silent.longest_ms) == (1, 15 * HOUR - 1000)
    assert silent.minutes == {899: 1}


def test_days_are_local_and_count_what_was_told(busy: Burden) -> None:
    assert busy.days == {4: 1, 0: 1, 1: 2}
    first = (MIDNIGHT + HOUR) // DAY
    assert busy.busiest == [
        BusyDay(told=4, day=first, patient="p"),
        BusyDay(told=1, day=first + 3, patient="p"),
        BusyDay(told=1, day=first + 2, patient="p"),
    ]


def test_bunched_and_chattering_alerts_are_counted(busy: Burden) -> None:
    assert (busy.bunched, busy.most_at_once) == (1, 2)
    # The third hyper_level_1 came 23 h after the first; the fourth 47 h after the second.
    assert busy.rules["hyper_level_1"].chattering == 1


def test_exactly_ten_minutes_and_24_hours_are_outside() -> None:
    alerts = [outcome("hyper_level_1", START + at, START + at + 1) for at in (0, 10 * MINUTE, DAY)]
    one = burden_of(DIABETES, alerts, Watched(begin=START, end=START + 2 * DAY, zone=PARIS))
    assert (one.bunched, one.most_at_once, one.rules["hyper_level_1"].chattering) == (0, 1, 0)
    assert (one.a_week(3), one.nurse_rates) == (10.5, {1500: 1})


def test_what_was_never_watched_has_no_rate() -> None:
    one = burden_of(DIABETES, [], Watched(begin=START, end=START, zone=PARIS))
    assert (one.a_week(0), one.nurse_rates, one.days, one.busiest, one.most_at_once) == (None, {}, {0: 1}, [], 0)


def test_the_burden_of_two_patients_is_the_sum_of_theirs(busy: Burden) -> None:
    both = total([busy, burden_of(DIABETES, [], Watched(begin=START, end=START + DAY, zone=PARIS)), busy])
    assert (both.patients, both.watched_ms) == (3, 2 * busy.watched_ms + DAY)
    assert both.days == {4: 2, 0: 4, 1: 4}
    assert (both.bunched, both.most_at_once, len(both.busiest)) == (2, 2, 5)
    assert both.rules["hyper_level_1"].suppressed == {Reason.REFRACTORY: 2}
    assert both.rules["hyper_level_1"].minutes == {30: 2, 60: 4, 1: 2}
    assert (busy.raised, busy.days) == (7, {4: 1, 0: 1, 1: 2})  # what was added up is left as it was


def test_the_middle_is_the_least_value_that_half_do_not_exceed() -> None:
    assert middle({}) is None
    assert middle({5: 1, 1: 1}) == 1
    assert middle({5: 2, 1: 1}) == 5
    assert middle({3: 9, 7: 1}, 0.95) == 7


def test_coverage_counts_gaps_days_and_what_is_not_judged() -> None:
    readings = [
        *cgm([100] * 10, MIDNIGHT),
        reading(CGM, 1, MIDNIGHT + 50 * MINUTE, validity=Validity.INVALID),
        *cgm([100] * 3, MIDNIGHT + 45 * MINUTE + 45 * MINUTE),  # 45 min are no gap
        *cgm([100], MIDNIGHT + DAY),
        reading(WEIGHT, "70", MIDNIGHT + DAY),
    ]
    found = trial_of(DIABETES, History.of("p", readings), [], Watched(begin=MIDNIGHT, end=MIDNIGHT + DAY, zone=PARIS))
    assert list(found.coverage) == [WEIGHT, CGM]
    glucose = found.coverage[CGM]
    assert (glucose.readings, glucose.not_judged, glucose.days, glucose.days_with) == (15, 1, 2, 2)
    assert (glucose.gaps, glucose.silent_ms) == (1, DAY - 100 * MINUTE)
    assert (glucose.longest_ms, glucose.expected, glucose.ruled) == (DAY - 100 * MINUTE, 288.0, True)
    weight = found.coverage[WEIGHT]
    assert (weight.readings, weight.gaps, weight.longest_ms, weight.expected, weight.ruled) == (1, 0, DAY, None, False)
    assert (found.protocol, found.readings) == ("diabetes_cgm v1", 16)


def test_a_protocol_expects_what_its_cadence_or_its_missing_rules_say() -> None:
    assert expectation(DIABETES, CGM) == Expectation(a_day=288.0, silence=45 * MINUTE, ruled=True)
    assert expectation(HEART, WEIGHT) == Expectation(a_day=1.0, silence=36 * HOUR, ruled=True)
    assert expectation(HEART, Quantity.SPO2) == Expectation(a_day=None, silence=None, ruled=False)
    rules = [
        dataclasses.replace(rule, by=660, days=0b0010101) if isinstance(rule, MissingRule) else rule
        for rule in HEART.rules
    ]
    scheduled = dataclasses.replace(HEART, rules=tuple(rules))
    (asked,) = (rule for rule in rules if isinstance(rule, MissingRule) and rule.quantity is WEIGHT)
    assert expectation(scheduled, WEIGHT) == Expectation(a_day=3 / 7, silence=None, scheduled=(asked,), ruled=True)


def on_days(days: int, *, grace: int = 0) -> CareProtocol:
    """A weighing by 11:00 on each of some days of the week, and nothing else."""
    asked = next(rule for rule in HEART.rules if isinstance(rule, MissingRule) and rule.quantity is WEIGHT)
    return dataclasses.replace(HEART, rules=(dataclasses.replace(asked, by=660, days=days, expected=0, grace=grace),))


MONDAY_WEDNESDAY_FRIDAY = 0b0010101


def weighed(*days: int) -> History:
    """At 08:00 in Paris of days after Tuesday 3 March 2026."""
    return History.of("p", [reading(WEIGHT, "70", MIDNIGHT + 8 * HOUR + day * DAY) for day in days])


@pytest.mark.parametrize(
    ("days", "gaps"),
    [
        ((1, 3, 6, 8, 10, 13), 0),  # Wednesday, Friday, Monday: every appointment
        ((1, 3, 4, 6, 8, 10, 13), 0),  # and a Saturday between
        ((1, 3, 8, 10, 13), 1),  # not on Monday
        ((1, 3, 7, 8, 10, 13), 1),  # on Tuesday instead
        ((1, 13), 1),
    ],
)
def test_an_appointment_that_was_kept_leaves_no_gap(days: tuple[int, ...], gaps: int) -> None:
    watched = Watched(begin=MIDNIGHT, end=MIDNIGHT + 14 * DAY, zone=PARIS)
    found = trial_of(on_days(MONDAY_WEDNESDAY_FRIDAY), weighed(*days), [], watched).coverage[WEIGHT]
    assert (found.gaps, found.silent_ms > 0) == (gaps, gaps > 0)


@given(
    days=st.integers(1, 127),
    grace=st.sampled_from([0, 2 * HOUR, 15 * HOUR]),
    hours=st.lists(st.integers(0, 24 * 30), max_size=25, unique=True),
    since=st.integers(0, 60),
)
def test_gaps_of_a_schedule_are_the_absences_that_the_engine_raises(
    days: int, grace: int, hours: list[int], since: int
) -> None:
    protocol = on_days(days, grace=grace)
    begin, end = LATE_MARCH + since * HOUR, LATE_MARCH + 31 * DAY
    readings = [reading(WEIGHT, "70", LATE_MARCH + hour * HOUR) for hour in sorted(hours)]
    raised = list(backtest(protocol, {"p": readings}, zone=PARIS, since=begin, until=end))
    watched = Watched(begin=begin, end=end, zone=PARIS)
    found = silences_of(protocol, History.of("p", readings), watched, WEIGHT)
    assert found.gaps is not None
    edges = found.edges.tolist()
    gaps = [(edges[place], edges[place + 1]) for place in np.flatnonzero(found.gaps).tolist()]
    assert [one.resolved_at or end for one in raised] == [over for _, over in gaps]
    assert all(begin < one.raised_at for one, (begin, _) in zip(raised, gaps, strict=True))


def test_watching_begins_and_ends_as_a_backtest_does() -> None:
    history = History.of("p", cgm([100] * 3))
    assert watching(history, PARIS, None, None) == Watched(begin=START, end=START + 10 * MINUTE, zone=PARIS)
    assert watching(history, PARIS, START + MINUTE, START + DAY) == Watched(
        begin=START + MINUTE, end=START + DAY, zone=PARIS
    )
    assert watching(history, PARIS, START + DAY, None) == Watched(begin=START + DAY, end=START + DAY, zone=PARIS)
    assert watching(history, PARIS, None, START - 1) is None
    assert watching(history, PARIS, START - DAY, START - 1) == Watched(begin=START - DAY, end=START - 1, zone=PARIS)


def test_trials_of_several_patients_add_up() -> None:
    trace = cgm([100, *[60] * 6, *[100] * 4])
    watched = Watched(begin=START, end=START + 50 * MINUTE, zone=PARIS)
    single = [
        trial_of(DIABETES, History.of(name, trace), list(backtest(DIABETES, {name: trace}, zone=PARIS)), watched)
        for name in ("a", "b")
    ]
    both = together(DIABETES, single)
    assert (both.first_ms, both.last_ms, both.readings) == (START, START + 50 * MINUTE, 22)
    assert both.burden.rules["hypo_level_1"].raised == 2
    glucose = both.coverage[CGM]
    assert (glucose.readings, glucose.days) == (22, 2)
    assert glucose.expected == pytest.approx(20.0)
    nothing = together(DIABETES, [])
    assert (nothing.first_ms, nothing.last_ms, nothing.burden.patients, nothing.coverage) == (None, None, 0, {})


def test_quantities_without_an_expectation_add_up_to_none() -> None:
    watched = Watched(begin=START, end=START + DAY, zone=PARIS)
    one = trial_of(DIABETES, History.of("a", [reading(SYSTOLIC, "120", START)]), [], watched)
    both = together(DIABETES, [one, one])
    assert (both.coverage[SYSTOLIC].expected, both.coverage[SYSTOLIC].readings) == (None, 2)


@pytest.mark.parametrize(
    ("second", "verdict", "by"),
    [
        (outcome("hyper_level_1", START, START + HOUR), Verdict.SAME, 0),
        (outcome("hyper_level_1", START + 5 * MINUTE, START + HOUR), Verdict.EARLIER, 5 * MINUTE),
        (outcome("hyper_level_1", START - 5 * MINUTE, START + HOUR), Verdict.LATER, -5 * MINUTE),
        (outcome("hyper_level_1", START, START + HOUR, priority=Priority.HIGH), Verdict.REGRADED, 0),
        (outcome("hyper_level_1", START, START + HOUR, audience=Audience.PATIENT_NOW), Verdict.REGRADED, 0),
        (outcome("hyper_level_1", START, START + HOUR, told_at=None), Verdict.REGRADED, 0),
        (outcome("hyper_level_1", START, None), Verdict.SAME, 0),
    ],
)
def test_alerts_of_a_rule_that_overlap_are_one(second: AlertOutcome, verdict: Verdict, by: int) -> None:
    first = outcome("hyper_level_1", START, START + HOUR)
    (found,) = compare([first], [second])
    assert (found.verdict, found.by, found.shown) == (verdict, by, (first, second))


def test_alerts_that_only_one_protocol_raises_are_told_in_order() -> None:
    early, late = outcome("hyper_level_1", START, START + HOUR), outcome("hyper_level_1", START + DAY)
    other = outcome("hypo_level_1", START, START + HOUR)
    before = outcome("hyper_level_1", START - DAY, START - DAY + HOUR)
    elsewhere = dataclasses.replace(early, patient="a")
    found = compare([early, other], [before, late, elsewhere])
    assert [(one.verdict, one.shown[0]) for one in found] == [
        (Verdict.ONLY_SECOND, elsewhere),
        (Verdict.ONLY_SECOND, before),
        (Verdict.ONLY_FIRST, early),
        (Verdict.ONLY_FIRST, other),
        (Verdict.ONLY_SECOND, late),
    ]
    assert all(one.by == 0 for one in found)


def test_each_alert_is_paired_once() -> None:
    long = outcome("hyper_level_1", START, START + DAY)
    short = [outcome("hyper_level_1", START + n * HOUR, START + n * HOUR + MINUTE) for n in (0, 2)]
    assert [one.verdict for one in compare([long], short)] == [Verdict.SAME, Verdict.ONLY_SECOND]
    assert [one.verdict for one in compare(short, [long])] == [Verdict.SAME, Verdict.ONLY_FIRST]


def test_columns_of_a_history_are_its_readings() -> None:
    readings: list[Reading] = [*cgm([100, 40]), reading(WEIGHT, 5, START + DAY, validity=Validity.INVALID)]
    history = History.of("p", readings)
    assert len(history) == 3
    assert history.judged.tolist() == [True, True, False]
    assert len(history.until(START + DAY - 1)) == 2
    assert history.until(None) is history


def test_a_rule_without_a_value_to_the_end_was_never_judged() -> None:
    never: dict[str, frozenset[str]] = {}
    weighings = [reading(WEIGHT, "70", START), reading(WEIGHT, "70", START + DAY)]
    list(backtest(HEART, {"once": weighings[:1], "twice": weighings, "none": []}, zone=PARIS, never_judged=never))
    ids = {rule.id for rule in HEART.rules if rule.quantity is SYSTOLIC and not isinstance(rule, MissingRule)}
    assert ids <= never["twice"]
    assert "weight_gain_3_days" not in never["twice"]
    assert not {rule.id for rule in HEART.rules if isinstance(rule, MissingRule)} & never["once"]
    assert "none" not in never  # nobody watched


def test_a_composite_was_judged_when_as_many_members_were_as_it_needs() -> None:
    gain, crisis = (rule for rule in HEART.rules if rule.id in {"weight_gain_3_days", "systolic_crisis"})
    both = CompositeRule(
        id="both",
        quantity=WEIGHT,
        priority=Priority.HIGH,
        audience=Audience.NURSE,
        words=gain.words,
        of=(gain.id, crisis.id),
        at_least=2,
        window=DAY,
        of_quantities=(WEIGHT, SYSTOLIC),
    )
    either = dataclasses.replace(both, id="either", at_least=1)
    protocol = dataclasses.replace(HEART, rules=(gain, crisis, both, either))
    never: dict[str, frozenset[str]] = {}
    list(backtest(protocol, {"p": [reading(WEIGHT, "70", START)]}, zone=PARIS, never_judged=never))
    assert never == {"p": frozenset({"systolic_crisis", "both"})}
    list(
        backtest(
            protocol,
            {"p": [reading(SYSTOLIC, "120", START), reading(WEIGHT, "70", START)]},
            zone=PARIS,
            never_judged=never,
        )
    )
    assert never == {"p": frozenset()}


def test_never_judged_patients_add_up_and_are_not_counted_where_nobody_looked() -> None:
    watched = Watched(begin=START, end=START + DAY, zone=PARIS)
    one, other = (burden_of(DIABETES, [], watched, never) for never in (["hypo_level_1"], []))
    assert total([one, other, one]).rules["hypo_level_1"].never_judged == 2
    assert total([other]).rules["hypo_level_1"].never_judged == 0
    assert total([burden_of(DIABETES, [], watched)]).rules["hypo_level_1"].never_judged is None
