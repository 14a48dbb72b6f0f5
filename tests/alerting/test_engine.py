"""The life of alerts, story by story."""

import pytest

from alerting.alert import AlertChange, Category, ChangeKind, Priority, alert_id
from alerting.engine import ENGINE_VERSION, Engine, Lateness
from alerting.errors import HistoryError, OrderError
from alerting.rules import Side
from alerting.scheduled_rules import MeanRule
from devices.reading import Quantity, Validity
from tests.alerting.worlds import (
    CGM,
    DAY,
    HOUR,
    MINUTE,
    PARIS,
    PATIENT,
    START,
    SYSTOLIC,
    WEIGHT,
    cgm,
    common,
    protocol_of,
    reading,
    small,
)

DIABETES = small("diabetes_cgm")
HEART = small("heart_failure")


def diabetes(since: int = START) -> Engine:
    return Engine(DIABETES, patient=PATIENT, zone=PARIS, since=since)


def heart(since: int = START) -> Engine:
    return Engine(HEART, patient=PATIENT, zone=PARIS, since=since)


def seen(changes: tuple[AlertChange, ...]) -> list[tuple[str, str]]:
    return [(change.kind.value, change.rule) for change in changes]


def minutes(ms: int | None) -> float | None:
    return None if ms is None else (ms - START) / MINUTE


def test_three_low_readings_are_fifteen_minutes_at_a_cadence_of_five() -> None:
    engine = diabetes()
    assert engine.feed(cgm([72, 69, 68])) == ()
    (raised,) = engine.feed(cgm([65], START + 15 * MINUTE))
    assert (raised.kind, raised.rule) == (ChangeKind.RAISED, "hypo_level_1")
    assert (minutes(raised.onset), minutes(raised.raised_at), raised.resolved_at) == (5, 15, None)
    assert [item.count for item in raised.evidence] == [690, 680, 650]
    assert raised.alert_id == alert_id(
        patient=PATIENT, protocol="diabetes_cgm", rule="hypo_level_1", onset=raised.onset
    )
    assert (raised.priority, raised.category) == (Priority.MEDIUM, Category.CLINICAL)
    assert (raised.protocol_hash, raised.engine_version) == (DIABETES.protocol_hash, ENGINE_VERSION)


def test_one_reading_is_fifteen_minutes_at_a_cadence_of_fifteen() -> None:
    timings = {CGM: type(DIABETES.timings[CGM])(cadence=15 * MINUTE, gap=45 * MINUTE)}
    protocol = type(DIABETES)(**{name: getattr(DIABETES, name) for name in DIABETES.__slots__} | {"timings": timings})
    engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    assert seen(engine.feed(cgm([69]))) == [("raised", "hypo_level_1")]


def test_exactly_seventy_is_not_low_and_ends_an_alert() -> None:
    engine = diabetes()
    assert engine.feed(cgm([70, 70, 70, 70])) == ()
    engine.feed(cgm(["69.9"] * 3, START + HOUR))
    (resolved,) = engine.feed(cgm(["70"] * 3, START + HOUR + 15 * MINUTE))
    assert (resolved.kind, minutes(resolved.resolved_at)) == (ChangeKind.RESOLVED, 85)


def test_a_level_between_threshold_and_end_threshold_neither_raises_nor_ends() -> None:
    engine = heart()
    assert engine.feed([reading(SYSTOLIC, "90", START)]) == ()
    assert seen(engine.feed([reading(SYSTOLIC, "89.9", START + 1)])) == [("raised", "systolic_low")]
    assert engine.feed([reading(SYSTOLIC, "94.9", START + 2)]) == ()
    assert seen(engine.feed([reading(SYSTOLIC, "95", START + 3)])) == [("resolved", "systolic_low")]


def test_exactly_180_is_a_crisis() -> None:
    engine = heart()
    assert engine.feed([reading(SYSTOLIC, "179.9", START)]) == ()
    assert seen(engine.feed([reading(SYSTOLIC, "180", START + 1)])) == [("raised", "systolic_crisis")]


def test_silence_breaks_a_pending_run_and_leaves_a_standing_alert_standing() -> None:
    engine = diabetes()
    assert engine.feed([*cgm([69, 69]), *cgm([69], START + 5 * MINUTE + 45 * MINUTE + 1)]) == ()
    later = START + 55 * MINUTE + 1
    assert seen(engine.feed(cgm([69, 69], later))) == [("raised", "hypo_level_1")]
    assert engine.feed(cgm([68, 68, 68], later + 2 * HOUR)) == ()
    assert len(engine.open_alerts) == 1


def test_an_end_that_silence_interrupts_begins_again() -> None:
    engine = diabetes()
    engine.feed(cgm([69, 69, 69, 75, 75]))
    assert engine.feed(cgm([75, 75], START + 2 * HOUR)) == ()
    assert seen(engine.feed(cgm([75], START + 2 * HOUR + 10 * MINUTE))) == [("resolved", "hypo_level_1")]


def test_two_kilograms_in_three_days_exactly_raise_and_a_gram_less_does_not() -> None:
    engine = heart()
    engine.feed([reading(WEIGHT, value, START + day * DAY) for day, value in enumerate(("82.100", "82.900", "82.900"))])
    assert seen(engine.feed([reading(WEIGHT, "84.099", START + 3 * DAY)])) == []
    (raised,) = engine.feed([reading(WEIGHT, "84.100", START + 3 * DAY + HOUR)])
    assert (raised.rule, raised.onset) == ("weight_gain_3_days", START + 3 * DAY + HOUR)
    assert [item.count for item in raised.evidence] == [82_100, 84_100]


def test_a_weighing_a_little_more_than_three_days_ago_counts_and_one_beyond_the_slack_does_not() -> None:
    window = 3 * DAY + 12 * HOUR
    for ago, expected in ((window, [("raised", "weight_gain_3_days")]), (window + 1, [])):
        engine = heart()
        engine.feed([reading(WEIGHT, "70", START)])
        changes = engine.feed([reading(WEIGHT, "72", START + ago)])
        assert [one for one in seen(changes) if one[1].startswith("weight")] == expected


def test_the_reference_is_the_latest_of_the_lowest_weights() -> None:
    engine = heart()
    values = ("70", "70", "70.5", "72")
    changes = engine.feed([reading(WEIGHT, value, START + day * DAY) for day, value in enumerate(values)])
    (raised,) = [one for one in changes if one.rule == "weight_gain_3_days"]
    assert raised.evidence[0].measured_at == START + DAY


def test_a_fast_gain_ends_when_the_window_has_forgotten_it() -> None:
    engine = heart()
    values = ("70", "72", "72", "72", "72", "72")
    changes = engine.feed([reading(WEIGHT, value, START + day * DAY) for day, value in enumerate(values)])
    assert ("resolved", "weight_gain_3_days") in seen(changes)
    (end,) = [one for one in changes if one.rule == "weight_gain_3_days" and one.kind is ChangeKind.RESOLVED]
    assert end.resolved_at == START + 4 * DAY


def test_an_absence_is_told_strictly_after_its_deadline_and_once() -> None:
    engine = diabetes()
    assert engine.next_deadline() == START + 3 * HOUR + 1
    assert engine.tick(START + 3 * HOUR) == ()
    (raised,) = engine.tick(START + 5 * HOUR)
    assert (raised.rule, raised.category, raised.evidence) == ("no_glucose", Category.TECHNICAL, ())
    assert raised.onset == raised.raised_at == START + 3 * HOUR
    assert engine.tick(START + 9 * HOUR) == ()
    assert engine.next_deadline() is None
    (resolved,) = engine.feed(cgm([100], START + 10 * HOUR))
    assert (resolved.kind, resolved.resolved_at) == (ChangeKind.RESOLVED, START + 10 * HOUR)
    assert engine.next_deadline() == START + 13 * HOUR + 1


def test_a_reading_of_another_quantity_lets_time_pass() -> None:
    engine = heart()
    changes = engine.feed([reading(SYSTOLIC, "120", START + DAY), reading(SYSTOLIC, "120", START + 2 * DAY)])
    assert seen(changes) == [("raised", "no_weight")]
    assert engine.feed([reading(Quantity.SPO2, "97", START + 3 * DAY)]) == ()
    assert seen(engine.feed([reading(Quantity.SPO2, "97", START + 4 * DAY)])) == [("raised", "no_blood_pressure")]


def test_what_no_threshold_may_judge_neither_raises_nor_ends_an_absence() -> None:
    engine = diabetes()
    for number, validity in enumerate((Validity.INVALID, Validity.CALIBRATING, Validity.QUESTIONABLE)):
        strange = reading(CGM, "40", START + number * HOUR, validity=validity)
        assert engine.lateness(strange) is Lateness.IN_ORDER
        assert engine.feed([strange]) == ()
    assert seen(engine.tick(START + 4 * HOUR)) == [("raised", "no_glucose")]


def test_a_sensor_that_says_lower_than_it_can_measure_is_judged() -> None:
    low = [reading(CGM, 100, START + n * 5 * MINUTE, validity=Validity.UNDERFLOW) for n in range(3)]
    changes = diabetes().feed(low)
    assert seen(changes) == [("raised", "hypo_level_1"), ("raised", "hypo_level_2")]
    assert "sous la plage du capteur" in changes[0].why.fr


def test_what_is_already_true_when_watching_begins_is_raised_by_the_first_reading_after() -> None:
    engine = heart(since=START + 3 * DAY)
    assert engine.feed([reading(WEIGHT, "70", START), reading(WEIGHT, "73", START + 2 * DAY)]) == ()
    (raised,) = engine.feed([reading(WEIGHT, "73", START + 3 * DAY)])
    assert (raised.rule, raised.onset, raised.raised_at) == ("weight_gain_3_days", START + 2 * DAY, START + 3 * DAY)


def test_lateness_is_by_the_watermark_of_the_quantity() -> None:
    engine = heart()
    engine.feed([reading(WEIGHT, "70", START + 2 * HOUR, key="a"), reading(SYSTOLIC, "120", START + HOUR)])
    assert engine.lateness(reading(SYSTOLIC, "120", START + 90 * MINUTE)) is Lateness.IN_ORDER
    assert engine.lateness(reading(WEIGHT, "70", START + 90 * MINUTE)) is Lateness.LATE
    assert engine.lateness(reading(WEIGHT, "70", START + 2 * HOUR, key="a")) is Lateness.IN_ORDER
    assert engine.lateness(reading(WEIGHT, "71", START + 2 * HOUR, key="Z")) is Lateness.LATE
    assert engine.lateness(reading(WEIGHT, "71", START + 2 * HOUR, key="b")) is Lateness.IN_ORDER


def test_a_reading_before_a_deadline_that_was_told_is_late() -> None:
    engine = diabetes()
    engine.tick(START + 4 * HOUR)
    assert engine.lateness(reading(CGM, "100", START + 3 * HOUR)) is Lateness.LATE
    assert engine.lateness(reading(CGM, "100", START + 3 * HOUR + 1)) is Lateness.IN_ORDER


@pytest.mark.parametrize(
    ("quantity", "age", "place"),
    [
        (CGM, DAY, Lateness.IN_ORDER),
        (CGM, DAY + 1, Lateness.NOT_JUDGED),
        (WEIGHT, 35 * DAY, Lateness.IN_ORDER),
        (WEIGHT, 35 * DAY + 1, Lateness.NOT_JUDGED),
    ],
)
def test_the_lateness_bound_depends_on_how_often_a_quantity_is_measured(
    quantity: Quantity, age: int, place: Lateness
) -> None:
    engine = heart(since=START - 50 * DAY)
    engine.feed([reading(SYSTOLIC, "120", START)])
    assert engine.lateness(reading(quantity, "100", START - age)) is place


def test_what_no_window_reaches_back_to_is_not_judged() -> None:
    engine = heart()
    reach = 3 * DAY + 12 * HOUR
    assert engine.history_from == START - reach
    assert engine.lateness(reading(WEIGHT, "70", START - reach)) is Lateness.IN_ORDER
    too_old = reading(WEIGHT, "70", START - reach - 1)
    assert engine.lateness(too_old) is Lateness.NOT_JUDGED
    before = engine.snapshot()
    assert engine.feed([too_old]) == ()
    assert engine.snapshot() == before


def test_a_late_reading_is_refused_by_feed() -> None:
    engine = diabetes()
    engine.feed(cgm([100, 100]))
    with pytest.raises(OrderError):
        engine.feed(cgm([100], START + MINUTE))


def test_duplicates_change_nothing() -> None:
    engine = diabetes()
    engine.feed(cgm([69, 69, 69]))
    before = engine.snapshot()
    assert engine.feed(cgm([69, 69, 69])) == ()
    assert engine.rejudge(cgm([69, 69, 69])) == ()
    assert engine.snapshot() == before


def test_late_lows_add_an_alert_that_is_never_shown_as_now() -> None:
    engine = diabetes()
    history = cgm([100] * 12)
    engine.feed(history)
    lows = [reading(CGM, "60", START + 61 * MINUTE + n * 5 * MINUTE, device="second") for n in range(3)]
    rest = cgm([100] * 12, START + 90 * MINUTE)
    engine.feed(rest)
    (added,) = engine.rejudge([*history, *rest, *lows])
    assert (added.kind, added.rule, added.late) == (ChangeKind.ADDED, "hypo_level_1", True)
    assert minutes(added.resolved_at) == 100
    assert "reçue en retard" in added.why.fr
    assert "received late" in added.why.en


def test_a_late_reading_that_breaks_a_run_retracts_and_says_so() -> None:
    engine = diabetes()
    history = cgm([69, 69, 69])
    (raised,) = engine.feed(history)
    (retracted,) = engine.rejudge([*history, reading(CGM, "100", START + 7 * MINUTE, device="second")])
    assert (retracted.kind, retracted.alert_id, retracted.late) == (ChangeKind.RETRACTED, raised.alert_id, True)
    assert "retirée" in retracted.why.fr
    assert engine.open_alerts == ()


def test_a_late_low_moves_the_onset_and_revises_what_was_told() -> None:
    engine = diabetes()
    history = cgm([100, 69, 69, 69])
    (raised,) = engine.feed(history)
    (revised,) = engine.rejudge([*history, reading(CGM, "69", START + 2 * MINUTE, device="second")])
    assert (revised.kind, revised.supersedes) == (ChangeKind.REVISED, raised.alert_id)
    assert minutes(revised.onset) == 2
    (still,) = engine.open_alerts
    assert (still.kind, still.alert_id, still.late) == (ChangeKind.ADDED, revised.alert_id, True)


def test_late_readings_within_a_standing_alert_confirm_it_once() -> None:
    engine = diabetes()
    history = cgm([69, 69, 69, 69, 69])
    (raised,) = engine.feed(history)
    history += [reading(CGM, "66", START + n * MINUTE, device="second") for n in (12, 13)]
    (confirmed,) = engine.rejudge(history)
    assert (confirmed.kind, confirmed.alert_id) == (ChangeKind.CONFIRMED, raised.alert_id)
    assert engine.open_alerts[0].kind is ChangeKind.RAISED


def test_late_readings_before_a_standing_alert_leave_it_untold() -> None:
    engine = diabetes()
    history = [*cgm([100, 100]), *cgm([69, 69, 69], START + HOUR)]
    engine.feed(history)
    assert engine.rejudge([*history, reading(CGM, "110", START + MINUTE)]) == ()


def test_a_late_low_reopens_an_alert_that_had_been_resolved() -> None:
    engine = diabetes()
    history = cgm([69, 69, 69, 75, 75, 75])
    engine.feed(history)
    assert engine.open_alerts == ()
    (confirmed,) = engine.rejudge([*history, reading(CGM, "60", START + 22 * MINUTE, device="second")])
    assert (confirmed.kind, confirmed.resolved_at) == (ChangeKind.CONFIRMED, None)
    assert len(engine.open_alerts) == 1


def test_a_late_reading_that_moves_an_end_tells_the_end_again() -> None:
    engine = diabetes()
    history = cgm([69, 69, 69, 69, 75, 75, 75, 75, 75])
    engine.feed(history)
    (resolved,) = engine.rejudge([*history, reading(CGM, "60", START + 22 * MINUTE, device="second")])
    assert (resolved.kind, resolved.late) == (ChangeKind.RESOLVED, True)
    assert minutes(resolved.resolved_at) == 35


def test_a_late_weighing_moves_an_absence() -> None:
    engine = heart()
    engine.feed([reading(WEIGHT, "70", START)])
    engine.tick(START + 40 * HOUR)
    late = reading(WEIGHT, "70", START + 2 * HOUR)
    assert engine.lateness(late) is Lateness.LATE
    (revised,) = [one for one in engine.rejudge([reading(WEIGHT, "70", START), late]) if one.rule == "no_weight"]
    assert (revised.kind, revised.onset) == (ChangeKind.REVISED, START + 38 * HOUR)


def test_readings_in_order_that_come_with_late_ones_are_told_as_now() -> None:
    engine = diabetes()
    history = cgm([100, 100, 100])
    engine.feed(history)
    both = [reading(CGM, "100", START + MINUTE), *cgm([69, 69, 69], START + 15 * MINUTE)]
    changes = engine.rejudge([*history, *both, *cgm([75, 75, 75], START + 30 * MINUTE)])
    assert [(one.kind, one.late) for one in changes] == [(ChangeKind.RAISED, False), (ChangeKind.RESOLVED, False)]
    assert changes[0].resolved_at is None
    more = [reading(CGM, "100", START + 2 * MINUTE), *cgm([69, 69, 69], START + 45 * MINUTE)]
    (standing,) = engine.rejudge([*history, *both, *cgm([75, 75, 75], START + 30 * MINUTE), *more])
    assert (standing.kind, standing.late) == (ChangeKind.RAISED, False)


def test_a_history_that_lacks_judged_readings_is_refused() -> None:
    engine = diabetes()
    history = cgm([69, 69, 69])
    engine.feed(history)
    before = engine.snapshot()
    with pytest.raises(HistoryError) as caught:
        engine.rejudge(history[1:])
    assert caught.value.lacking == 1
    assert engine.snapshot() == before


def test_history_fetched_after_a_long_absence_is_told_as_late() -> None:
    engine = diabetes()
    arrived = START + 4 * HOUR
    history = [reading(CGM, "60", START + n * 5 * MINUTE, received_at=arrived) for n in range(3)] + [
        reading(CGM, "90", START + 15 * MINUTE + n * 5 * MINUTE, received_at=arrived) for n in range(3)
    ]
    raised, resolved = engine.feed(history)
    assert (raised.kind, raised.late, resolved.late) == (ChangeKind.RAISED, True, True)
    assert "reçue en retard" in raised.why.fr


def test_history_fetched_together_after_an_absence_ends_it_once() -> None:
    engine = diabetes()
    engine.tick(START + 5 * HOUR)
    backfill = cgm([100] * 12, START + 4 * HOUR)
    assert seen(engine.feed(backfill)) == [("resolved", "no_glucose")]


def test_history_that_stops_short_of_now_leaves_the_next_absence_told() -> None:
    engine = diabetes()
    engine.tick(START + 10 * HOUR)
    changes = engine.feed(cgm([100] * 3, START + 4 * HOUR))
    assert seen(changes) == [("resolved", "no_glucose"), ("raised", "no_glucose")]
    assert changes[1].onset == START + 4 * HOUR + 10 * MINUTE + 3 * HOUR


def test_two_sensors_that_disagree_at_one_instant_give_alerts_with_distinct_ids() -> None:
    engine = heart()
    values = ("120", "80", "100", "80", "100")
    changes = engine.feed([reading(SYSTOLIC, value, START, key=f"k{n}") for n, value in enumerate(values)])
    assert seen(changes) == [("raised", "systolic_low"), ("resolved", "systolic_low")]


def test_the_protocol_is_the_one_given() -> None:
    assert diabetes().protocol is DIABETES


def test_an_occasion_may_last_until_midnight() -> None:
    rule = MeanRule(
        **common(SYSTOLIC, "evening"),
        side=Side.AT_LEAST,
        threshold=1_350,
        end_threshold=1_350,
        days=1,
        occasions=((17 * 60, 24 * 60),),
        per_occasion=2,
        drop_first=False,
        min_readings=1,
    )
    engine = Engine(protocol_of(rule), patient=PATIENT, zone=PARIS, since=START)
    # START is 08:11 in Paris: 23:59 is 15 h 48 min later.
    changes = engine.feed([reading(SYSTOLIC, "140", START + 15 * HOUR + 48 * MINUTE)])
    assert [change.rule for change in changes] == ["evening"]


def test_what_a_mean_rests_on_is_the_same_however_its_history_was_cut() -> None:
    rule = MeanRule(
        **common(SYSTOLIC, "mean"),
        side=Side.AT_LEAST,
        threshold=1_300,
        end_threshold=1_300,
        days=7,
        occasions=((6 * 60, 10 * 60), (18 * 60, 22 * 60)),
        per_occasion=2,
        drop_first=False,
        min_readings=2,
    )
    # More readings than an alert shows, the first of them as long ago as its days can reach.
    readings = [reading(SYSTOLIC, "300" if half == 16 else "120", START + half * 12 * HOUR) for half in range(17)]
    whole, cut = (Engine(protocol_of(rule), patient=PATIENT, zone=PARIS, since=START) for _ in range(2))
    (at_once,) = whole.feed(readings)
    (one_by_one,) = [change for one in readings for change in cut.feed([one])]
    assert one_by_one == at_once
    assert at_once.finding.span == 8 * DAY
    assert cut.snapshot() == whole.snapshot()
