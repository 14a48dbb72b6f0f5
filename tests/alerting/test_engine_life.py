"""What an engine tells of an alert besides that it began and ended."""

from dataclasses import replace
from typing import Any

import pytest

from alerting.alert import AlertChange, Audience, ChangeKind, Outcome, Priority, Reason, Suppression
from alerting.care_protocol import CareProtocol, Step, TellingPolicy, Timing
from alerting.engine import Engine
from alerting.errors import ShelfError, SnapshotError, UnknownAlertError, UnknownRuleError
from alerting.rules import ChangeRule, Direction, LevelRule, RuleLife, Side, Statistic
from alerting.scheduled_rules import CompositeRule, MissingRule
from devices.reading import Quality
from tests.alerting.tellings import LOOSE_CUFF
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
)

SENSOR = {CGM: Timing(cadence=5 * MINUTE, gap=45 * MINUTE)}


def low(threshold: int = 700, *, name: str = "low", priority: Priority = Priority.MEDIUM, **life: Any) -> LevelRule:
    own = {"priority": priority, "life": RuleLife(**life), "audience": Audience.PATIENT_NOW}
    return LevelRule(**(common(CGM, name) | own), side=Side.BELOW, threshold=threshold, end_threshold=threshold)


ABSENCE = MissingRule(**common(CGM, "absence"), expected=12 * HOUR, grace=0)


def judged_by(*rules: LevelRule | ChangeRule | CompositeRule, telling: TellingPolicy | None = None) -> CareProtocol:
    return replace(protocol_of(*rules, ABSENCE, timings=SENSOR), telling=telling or TellingPolicy())


def engine_of(protocol: CareProtocol) -> Engine:
    return Engine(protocol, patient=PATIENT, zone=PARIS, since=START)


def seen(changes: tuple[AlertChange, ...]) -> list[tuple[str, str]]:
    return [(change.kind.value, change.rule) for change in changes]


# --- content --------------------------------------------------------------------------------------------------


def test_an_alert_says_all_that_is_known_of_it() -> None:
    graver = low(540, name="very_low", priority=Priority.HIGH)
    gain = ChangeRule(
        **common(WEIGHT, "gain"),
        direction=Direction.RISE,
        delta=2_000,
        end_delta=1_000,
        window=3 * DAY,
        statistic=Statistic.LOWEST,
    )
    engine = engine_of(judged_by(low(), graver, gain, telling=TellingPolicy(due={Priority.MEDIUM: HOUR})))
    engine.feed([reading(WEIGHT, "71.2", START - HOUR), *cgm([100] * 20)])
    first, _ = engine.feed(cgm([60, 90], START + 2 * HOUR))
    engine.dispose(first.alert_id, Outcome.ACTION, "nurse", START + 3 * HOUR)
    (raised,) = engine.feed(cgm([65], START + 4 * HOUR))
    assert (raised.audience, raised.due_by) == (Audience.PATIENT_NOW, START + 5 * HOUR)
    assert (raised.told_at, raised.suppressed) == (START + 4 * HOUR, None)
    assert raised.check.en == "look"
    assert (raised.finding.measure, raised.finding.value, raised.finding.threshold) == ("quanta", 650, 700)
    assert (raised.finding.readings, raised.finding.span) == (1, 0)
    assert [one.count for one in raised.recent] == [1000] * 11 + [600, 900, 650]
    assert [(one.quantity, one.count) for one in raised.signals] == [(WEIGHT, 71_200)]
    assert raised.higher is not None
    assert raised.lacking is None
    assert raised.similar is not None
    assert (raised.similar.alert_id, raised.similar.raised_at) == (first.alert_id, START + 2 * HOUR)
    assert (raised.similar.outcome, first.similar) == (Outcome.ACTION, None)
    assert not raised.improving


def test_an_absence_has_no_numbers_and_nothing_graver() -> None:
    (raised,) = engine_of(judged_by(low())).tick(START + 13 * HOUR)
    assert (raised.finding.measure, raised.finding.value, raised.higher, raised.due_by) == ("", None, None, None)


def test_a_composite_names_its_members_and_a_lesser_alert_what_it_lacks() -> None:
    both = CompositeRule(
        **(common(CGM, "both") | {"priority": Priority.HIGH}),
        of=("low", "very_low"),
        at_least=2,
        window=HOUR,
        of_quantities=(CGM,),
    )
    engine = engine_of(judged_by(low(name="low"), low(540, name="very_low", priority=Priority.LOW), both))
    (raised,) = engine.feed(cgm([60]))
    assert raised.higher is not None
    changes = engine.feed(cgm([50], START + 5 * MINUTE))
    assert seen(changes) == [("raised", "very_low"), ("raised", "both")]
    assert changes[1].finding.value == 2


# --- told, and not --------------------------------------------------------------------------------------------


def test_an_alert_in_quiet_hours_is_released_at_their_end_which_is_a_deadline() -> None:
    # START is 08:11 in Paris.
    quiet = TellingPolicy(quiet=(8 * 60, 9 * 60), due={Priority.MEDIUM: HOUR})
    engine = engine_of(judged_by(low(), telling=quiet))
    (raised,) = engine.feed(cgm([60]))
    nine = START + 49 * MINUTE
    assert raised.suppressed == Suppression(reason=Reason.QUIET_HOURS, since=START, until=nine)
    assert (raised.told_at, raised.due_by) == (None, None)
    assert engine.next_deadline() == nine + 1
    assert engine.tick(nine) == ()
    (released,) = engine.tick(nine + 1)
    assert (released.kind, released.told_at, released.suppressed) == (ChangeKind.RELEASED, nine, None)
    assert (released.due_by, released.late) == (nine + HOUR, False)
    assert engine.open_alerts[0].told_at == nine


def test_an_alert_that_ended_untold_is_resolved_all_the_same_and_says_why_it_was_not_told() -> None:
    engine = engine_of(judged_by(low(), telling=TellingPolicy(quiet=(8 * 60, 9 * 60))))
    raised, resolved = engine.feed(cgm([60, 90]))
    assert (raised.kind, resolved.kind) == (ChangeKind.RAISED, ChangeKind.RESOLVED)
    assert resolved.suppressed == raised.suppressed


def test_level_2_silences_level_1_and_gives_it_back() -> None:
    engine = engine_of(judged_by(low(), low(540, name="very_low", priority=Priority.HIGH, absorbs=("low",))))
    engine.feed(cgm([60]))
    changes = engine.feed(cgm([50], START + 5 * MINUTE))
    assert seen(changes) == [("suppressed", "low"), ("raised", "very_low")]
    assert changes[0].suppressed is not None
    assert changes[0].suppressed.by == changes[1].alert_id
    ended = START + 10 * MINUTE
    assert seen(engine.feed(cgm([60], ended))) == [("resolved", "very_low")]
    assert engine.next_deadline() == ended + 1
    (released,) = engine.tick(ended + 1)
    assert (released.kind, released.rule, released.told_at) == (ChangeKind.RELEASED, "low", ended)


def test_one_a_day_is_told_of_many_that_stand_and_each_is_looked_at_once_a_moment() -> None:
    rules = [low(700 + number, name=f"low_{number:02}") for number in range(14)]
    engine = engine_of(judged_by(*rules, telling=TellingPolicy(quiet=(22 * 60, 7 * 60), at_most=1, within=DAY)))
    engine.feed(cgm([60]))
    # Was a moment looked at as often as it was asked for, the second week would never end.
    changes = engine.tick(START + 20 * DAY)
    told = [(one.rule, one.told_at) for one in changes if one.kind is ChangeKind.RELEASED and one.rule != "absence"]
    assert told == [(f"low_{number:02}", START + number * DAY) for number in range(1, 14)]


def test_what_was_low_hours_ago_is_told_as_late_and_never_as_now() -> None:
    engine = engine_of(judged_by(low(priority=Priority.HIGH)))
    arrived = START + 2 * HOUR
    history = [reading(CGM, value, START + n * 5 * MINUTE, received_at=arrived) for n, value in enumerate(("60", "90"))]
    raised, resolved = engine.feed(history)
    assert (raised.late, raised.suppressed) == (True, Suppression(reason=Reason.STALE, since=START, until=None))
    assert resolved.kind is ChangeKind.RESOLVED


def test_what_was_low_hours_ago_and_is_low_now_is_told_with_the_first_fresh_reading() -> None:
    engine = engine_of(judged_by(low(priority=Priority.HIGH)))
    arrived = START + 2 * HOUR
    history = [reading(CGM, "60", START + n * 5 * MINUTE, received_at=arrived) for n in range(24)]
    raised, released = engine.feed(history)
    assert (raised.kind, raised.late) == (ChangeKind.RAISED, True)
    assert raised.suppressed == Suppression(reason=Reason.STALE, since=START, until=None)
    # 45 minutes are the sensor's gap: what was measured 45 minutes before it came is of now.
    assert (released.kind, released.late) == (ChangeKind.RELEASED, False)
    assert released.told_at == arrived - 45 * MINUTE


def test_the_first_fresh_reading_alone_tells_what_was_low_hours_ago_and_still_is() -> None:
    engine = engine_of(judged_by(low(priority=Priority.HIGH)))
    arrived = START + 2 * HOUR
    (raised,) = engine.feed([reading(CGM, "60", START, received_at=arrived)])
    assert raised.suppressed == Suppression(reason=Reason.STALE, since=START, until=None)
    assert engine.feed([reading(CGM, "61", arrived)]) == ()
    assert engine.next_deadline() == arrived + 1
    (released,) = engine.tick(arrived + 1)
    assert (released.kind, released.told_at, released.due_by) == (ChangeKind.RELEASED, arrived, None)


def test_a_weighing_of_this_morning_that_comes_in_the_evening_is_told() -> None:
    heavy = LevelRule(**common(WEIGHT, "heavy"), side=Side.ABOVE, threshold=80_000, end_threshold=80_000)
    for delay, told in ((DAY, True), (DAY + 1, False)):
        (raised,) = engine_of(judged_by(heavy)).feed([reading(WEIGHT, "81", START, received_at=START + delay)])
        assert (raised.suppressed is None) is told


def test_a_lesser_alert_is_given_back_when_the_graver_is_taken_back() -> None:
    graver = replace(low(540, name="very_low", priority=Priority.HIGH, absorbs=("low",)), persist=15 * MINUTE)
    engine = engine_of(judged_by(low(), graver))
    history = cgm([50, 50, 50])
    assert seen(engine.feed(history)) == [("raised", "low"), ("suppressed", "low"), ("raised", "very_low")]
    changes = engine.rejudge([*history, reading(CGM, "60", START + 7 * MINUTE, device="second")])
    assert [one for one in seen(changes) if one[1] == "very_low"] == [("retracted", "very_low")]
    assert engine.open_alerts[0].suppressed is None


def test_an_alert_that_is_over_is_told_of_no_more_when_its_past_turns_out_to_have_been_another() -> None:
    graver = low(540, name="very_low", priority=Priority.HIGH, absorbs=("low",))
    engine = engine_of(judged_by(replace(low(800), end_threshold=800), graver))
    history = cgm([100, 75, 80, 80])
    assert seen(engine.feed(history)) == [("raised", "low"), ("resolved", "low")]
    late = reading(CGM, "40", START + 7 * MINUTE, device="second")
    changes = engine.rejudge([*history, late])
    assert [one for one in seen(changes) if one[1] == "low"] == []
    assert {one.rule for one in changes} == {"very_low"}
    assert engine.open_alerts == ()


# --- people ---------------------------------------------------------------------------------------------------


def test_a_rule_set_aside_is_silent_until_the_time_given_and_told_then() -> None:
    engine = engine_of(judged_by(low()))
    engine.feed(cgm([60]))
    (suppressed,) = (*engine.shelve("low", START + HOUR, "nurse", START + 5), *engine.tick(START + MINUTE))
    assert suppressed.suppressed == Suppression(reason=Reason.SHELVED, since=START + 5, until=START + HOUR, by="nurse")
    assert engine.shelve("low", START + HOUR, "nurse", START + 5) == ()
    assert engine.next_deadline() == START + HOUR + 1
    assert seen(engine.tick(START + HOUR + 1)) == [("released", "low")]


def test_a_shelf_taken_back_tells_what_stands() -> None:
    engine = engine_of(judged_by(low()))
    engine.shelve("low", START + HOUR, "nurse", START)
    engine.feed(cgm([90, 60]))
    engine.shelve("low", START + 6 * MINUTE, "nurse", START + 6 * MINUTE)
    assert seen(engine.tick(START + 7 * MINUTE)) == [("released", "low")]


def test_a_shelf_that_was_told_of_late_silences_what_was_told() -> None:
    engine = engine_of(judged_by(low()))
    engine.feed(cgm([90, 60, 60]))
    assert seen(engine.shelve("low", START + HOUR, "nurse", START + MINUTE)) == [("suppressed", "low")]


@pytest.mark.parametrize(
    ("priority", "until", "by", "reason"),
    [
        (Priority.MEDIUM, START + 7 * DAY + 1, "nurse", ""),
        (Priority.MEDIUM, START - 1, "nurse", ""),
        (Priority.MEDIUM, START + HOUR, " ", ""),
        (Priority.HIGH, START + HOUR, "nurse", " "),
        (Priority.HIGH, START + DAY + 1, "nurse", "sensor is being changed"),
    ],
)
def test_a_shelf_has_an_end_a_name_and_for_a_high_alert_a_reason(
    priority: Priority, until: int, by: str, reason: str
) -> None:
    engine = engine_of(judged_by(low(priority=priority)))
    with pytest.raises(ShelfError) as caught:
        engine.shelve("low", until, by, START, reason)
    assert caught.value.longest == (DAY if priority is Priority.HIGH else 7 * DAY)


def test_a_high_alert_is_set_aside_for_a_day_with_a_reason_and_the_shelf_ended_without_one() -> None:
    engine = engine_of(judged_by(low(priority=Priority.HIGH)))
    engine.shelve("low", START + DAY, "nurse", START, "sensor is being changed")
    (raised,) = engine.feed(cgm([60], START + MINUTE))
    assert raised.suppressed is not None
    engine.shelve("low", START + HOUR, "nurse", START + HOUR)
    assert seen(engine.tick(START + HOUR + 1)) == [("released", "low")]


def test_what_is_not_known_is_refused_by_name() -> None:
    engine = engine_of(judged_by(low()))
    with pytest.raises(UnknownRuleError, match="lwo"):
        engine.shelve("lwo", START + HOUR, "nurse", START)
    with pytest.raises(UnknownRuleError, match="lwo"):
        engine.judged("lwo")
    for ask in (
        lambda: engine.acknowledge("0" * 32, "nurse", START),
        lambda: engine.dispose("0" * 32, Outcome.ACTION, "nurse", START),
        lambda: engine.improving("0" * 32),
    ):
        with pytest.raises(UnknownAlertError, match="0" * 32):
            ask()


def test_a_protocol_of_flags_alone_has_nothing_to_show_beside_them() -> None:
    engine = engine_of(protocol_of(replace(LOOSE_CUFF, flags=Quality.CUFF_TOO_LOOSE)))
    loose = replace(reading(SYSTOLIC, "120", START), quality=Quality.CUFF_TOO_LOOSE)
    (alert,) = engine.feed([loose])
    assert alert.rule == LOOSE_CUFF.id
    assert alert.recent == ()


def test_a_latched_alert_ends_when_it_is_over_and_seen() -> None:
    engine = engine_of(judged_by(low(latched=True)))
    raised, *more = engine.feed(cgm([60, 90]))
    assert more == []
    assert [one.alert_id for one in engine.open_alerts] == [raised.alert_id]
    (resolved,) = engine.acknowledge(raised.alert_id, "nurse", START + HOUR)
    assert (resolved.kind, resolved.resolved_at) == (ChangeKind.RESOLVED, START + HOUR)
    assert not engine.open_alerts
    assert engine.acknowledge(raised.alert_id, "nurse", START + HOUR) == ()
    (earlier,) = engine.acknowledge(raised.alert_id, "carer", START + HOUR - 1)
    assert earlier.resolved_at == START + HOUR - 1
    assert engine.acknowledge(raised.alert_id, "nurse", START + HOUR) == ()


def test_a_latched_alert_seen_while_it_lasts_ends_with_its_condition() -> None:
    engine = engine_of(judged_by(low(latched=True)))
    (raised,) = engine.feed(cgm([60]))
    assert engine.acknowledge(raised.alert_id, "nurse", START + MINUTE) == ()
    (resolved,) = engine.feed(cgm([90], START + 5 * MINUTE))
    assert resolved.resolved_at == START + 5 * MINUTE


def test_a_latched_alert_in_quiet_hours_is_told_after_them_though_it_is_over() -> None:
    engine = engine_of(judged_by(low(latched=True), telling=TellingPolicy(quiet=(8 * 60, 9 * 60))))
    engine.feed(cgm([60, 90]))
    assert seen(engine.tick(START + HOUR)) == [("released", "low")]


def test_who_saw_an_alert_is_carried_along_when_its_onset_moves() -> None:
    rule = replace(low(latched=True), persist=15 * MINUTE, end_persist=15 * MINUTE)
    engine = engine_of(judged_by(rule))
    history = cgm([100, 69, 69, 69])
    (raised,) = engine.feed(history)
    engine.acknowledge(raised.alert_id, "nurse", START + 16 * MINUTE)
    engine.dispose(raised.alert_id, Outcome.ARTEFACT, "nurse", START + 16 * MINUTE)
    late = reading(CGM, "69", START + 2 * MINUTE, device="second")
    (revised,) = engine.rejudge([*history, late])
    assert (revised.kind, revised.supersedes) == (ChangeKind.REVISED, raised.alert_id)
    engine = Engine.restore(engine.protocol, engine.snapshot(), zone=PARIS)
    (resolved,) = engine.feed(cgm([90] * 3, START + 20 * MINUTE))
    assert resolved.kind is ChangeKind.RESOLVED
    (again,) = engine.feed(cgm([60] * 3, START + 2 * HOUR))
    assert again.similar is not None
    assert again.similar.outcome is Outcome.ARTEFACT


def test_the_last_word_on_an_alert_counts() -> None:
    engine = engine_of(judged_by(low()))
    first, _ = engine.feed(cgm([60, 90]))
    engine.dispose(first.alert_id, Outcome.ACTION, "nurse", START + 2 * HOUR)
    engine.dispose(first.alert_id, Outcome.ARTEFACT, "nurse", START + HOUR)
    engine.dispose(first.alert_id, Outcome.ACTION, "nurse", START + 2 * HOUR)
    (second,) = engine.feed(cgm([60], START + 3 * HOUR))
    assert second.similar is not None
    assert second.similar.outcome is Outcome.ACTION


def test_what_people_did_survives_a_new_version_of_the_protocol() -> None:
    engine = engine_of(judged_by(low(latched=True)))
    history = cgm([60, 90])
    (raised,) = engine.feed(history)
    engine.acknowledge(raised.alert_id, "nurse", START + HOUR)
    engine.shelve("low", START + DAY, "nurse", START + HOUR)
    newer = replace(engine.protocol, version=2)
    after = engine_of(newer)
    after.inherit(engine.snapshot())
    after.feed(history)
    assert after.open_alerts == ()
    (raised,) = after.feed(cgm([60], START + 2 * HOUR))
    assert raised.suppressed is not None
    with pytest.raises(SnapshotError):
        after.inherit(b"veilleur engine 1\n")


def test_a_value_on_its_way_back_improves() -> None:
    engine = engine_of(judged_by(low()))
    (raised,) = engine.feed(cgm([60]))
    assert not engine.improving(raised.alert_id)
    engine.feed(cgm([59], START + 5 * MINUTE))
    assert not engine.improving(raised.alert_id)
    engine.feed(cgm([61], START + 10 * MINUTE))
    assert engine.improving(raised.alert_id)
    assert engine.open_alerts[0].improving
    engine.feed(cgm([90], START + 15 * MINUTE))
    assert not engine.improving(raised.alert_id)


def test_a_rise_improves_by_falling_and_an_absence_never_does() -> None:
    high = LevelRule(**common(SYSTOLIC, "high"), side=Side.ABOVE, threshold=1_600, end_threshold=1_400)
    engine = engine_of(judged_by(high))
    (raised,) = engine.feed([reading(SYSTOLIC, "170", START)])
    engine.feed([reading(SYSTOLIC, "150", START + HOUR)])
    assert engine.improving(raised.alert_id)
    (absence,) = engine.tick(START + 13 * HOUR)
    assert not engine.improving(absence.alert_id)


def test_acts_long_past_are_forgotten_and_a_replaced_shelf_does_not_come_back() -> None:
    engine = engine_of(judged_by(low()))
    engine.shelve("low", START + 7 * DAY, "nurse", START)
    engine.shelve("low", START + HOUR, "nurse", START + HOUR)
    first, _ = engine.feed(cgm([60, 90], START + 2 * HOUR))
    engine.acknowledge(first.alert_id, "nurse", START + 3 * HOUR)
    engine.dispose(first.alert_id, Outcome.ACTION, "nurse", START + 3 * HOUR)
    for days in (4, 8, 12):
        (raised, _) = [one for one in engine.feed(cgm([60, 90], START + days * DAY)) if one.rule == "low"]
        assert raised.suppressed is None
    acts = engine._teller.acts
    assert (acts.shelves, acts.all_seen, acts.all_disposed) == ([], [], [])
    with pytest.raises(UnknownAlertError):
        engine.acknowledge(first.alert_id, "nurse", START + 3 * HOUR)


# --- escalation -----------------------------------------------------------------------------------------------

STEPS = TellingPolicy(
    steps={
        Priority.MEDIUM: (
            Step(after=20 * MINUTE, audience=Audience.PATIENT_NOW),
            Step(after=HOUR, audience=Audience.NURSE),
        )
    }
)


def told_to(changes: tuple[AlertChange, ...]) -> list[tuple[int, Audience]]:
    return [(one.at - START, one.audience) for change in changes for one in change.escalated]


def test_an_alert_that_nobody_has_seen_is_told_to_whom_the_protocol_names_next_each_once() -> None:
    engine = engine_of(judged_by(low(), telling=STEPS))
    (raised,) = engine.feed(cgm([60]))
    assert raised.escalated == ()
    assert engine.next_step() == START + 20 * MINUTE
    assert engine.escalate(START + 20 * MINUTE - 1) == ()
    (first,) = engine.escalate(START + 20 * MINUTE)
    assert (first.kind, first.alert_id, first.audience) == (ChangeKind.ESCALATED, raised.alert_id, Audience.PATIENT_NOW)
    assert (first.due_by, first.resolved_at, first.late) == (raised.due_by, None, False)
    engine = Engine.restore(engine.protocol, engine.snapshot(), zone=PARIS)
    assert engine.escalate(START + 20 * MINUTE) == ()
    assert engine.next_step() == START + HOUR
    assert told_to(engine.escalate(START + HOUR + 1)) == [
        (20 * MINUTE, Audience.PATIENT_NOW),
        (HOUR + 1, Audience.NURSE),
    ]
    assert engine.next_step() is None
    (resolved,) = engine.feed(cgm([90], START + 2 * HOUR))
    assert [one.audience for one in resolved.escalated] == [Audience.PATIENT_NOW, Audience.NURSE]


def test_what_was_seen_goes_no_further_and_what_is_over_neither() -> None:
    engine = engine_of(judged_by(low(), telling=STEPS))
    (raised,) = engine.feed(cgm([60]))
    engine.acknowledge(raised.alert_id, "nurse", START + MINUTE)
    assert (engine.next_step(), engine.escalate(START + HOUR)) == (None, ())
    other = engine_of(judged_by(low(), telling=STEPS))
    other.feed(cgm([60, 90]))
    assert (other.next_step(), other.escalate(START + HOUR)) == (None, ())


def test_steps_that_came_due_while_the_box_was_off_are_told_together() -> None:
    engine = engine_of(judged_by(low(), telling=STEPS))
    engine.feed(cgm([60]))
    (change,) = engine.escalate(START + 5 * HOUR)
    assert told_to((change,)) == [(5 * HOUR, Audience.PATIENT_NOW), (5 * HOUR, Audience.NURSE)]
    assert engine.escalate(START + 5 * HOUR) == ()


def test_what_is_held_back_is_not_escalated_and_what_improves_is_not_repeated() -> None:
    engine = engine_of(judged_by(low(), telling=replace(STEPS, quiet=(8 * 60, 9 * 60))))
    engine.feed(cgm([60]))
    assert engine.escalate(START + 40 * MINUTE) == ()
    engine.tick(START + 50 * MINUTE)
    assert engine.next_step() == START + (49 + 20) * MINUTE
    engine.feed(cgm([62], START + 55 * MINUTE))
    # Better than it was: the patient, who knows, is left alone; the nurse, who does not, is told.
    assert engine.next_step() == START + 49 * MINUTE + HOUR


def test_a_morning_weighing_that_arrives_in_the_evening_is_due_and_escalates_from_the_evening_on() -> None:
    heavy = LevelRule(
        **(common(WEIGHT, "heavy") | {"priority": Priority.MEDIUM}),
        side=Side.ABOVE,
        threshold=80_000,
        end_threshold=80_000,
    )
    engine = engine_of(judged_by(heavy, telling=replace(STEPS, due={Priority.MEDIUM: HOUR})))
    evening = START + 10 * HOUR
    (raised,) = engine.feed([reading(WEIGHT, "81", START, received_at=evening)])
    assert (raised.told_at, raised.due_by) == (START, evening + HOUR)
    assert engine.next_step() == evening + 20 * MINUTE


def test_an_alert_that_a_new_protocol_raises_escalates_from_when_it_was_applied() -> None:
    engine = engine_of(judged_by(low(), telling=STEPS))
    (raised,) = engine.feed(cgm([60]))
    applied_at = START + 9 * HOUR
    engine.tick(START + 13 * HOUR)
    engine.begin_escalating([raised.alert_id], applied_at)
    engine.begin_escalating([raised.alert_id], applied_at + HOUR)
    assert engine.escalate(applied_at) == ()
    assert engine.next_step() == applied_at + 20 * MINUTE
    after = engine_of(replace(engine.protocol, version=2))
    after.inherit(engine.snapshot())
    after.feed(cgm([60]))
    assert after.next_step() == applied_at + 20 * MINUTE


def test_an_alert_whose_escalating_began_years_ahead_escalates_once_the_time_is_right() -> None:
    engine = engine_of(judged_by(low(), telling=STEPS))
    (raised,) = engine.feed(cgm([60]))
    engine.begin_escalating([raised.alert_id], START + 3 * 365 * DAY)
    now = START + HOUR
    for done_by, first in ((now, now + 20 * MINUTE), (None, START + 3 * 365 * DAY + 20 * MINUTE)):
        righted = engine_of(engine.protocol)
        righted.inherit(engine.snapshot(), done_by=done_by)
        righted.feed(cgm([60]))
        righted.tick(now)
        assert righted.next_step() == first
    righted = engine_of(engine.protocol)
    righted.inherit(engine.snapshot(), done_by=now)
    righted.feed(cgm([60]))
    assert righted.escalate(now + 19 * MINUTE) == ()
    assert told_to(righted.escalate(now + 20 * MINUTE)) == [(80 * MINUTE, Audience.PATIENT_NOW)]


def test_steps_taken_are_carried_along_when_the_onset_moves_and_forgotten_long_after() -> None:
    rule = replace(low(), persist=15 * MINUTE, end_persist=15 * MINUTE)
    engine = engine_of(judged_by(rule, telling=STEPS))
    history = cgm([100, 69, 69, 69])
    engine.feed(history)
    engine.escalate(START + 40 * MINUTE)
    late = reading(CGM, "69", START + 2 * MINUTE, device="second")
    (revised,) = engine.rejudge([*history, late])
    assert (revised.kind, told_to((revised,))) == (ChangeKind.REVISED, [(40 * MINUTE, Audience.PATIENT_NOW)])
    assert engine.escalate(START + 50 * MINUTE) == ()
    engine.feed(cgm([90] * 3, START + HOUR))
    for day in (40, 44, 48):
        engine.feed(cgm([60] * 3 + [90] * 3, START + day * DAY))
    assert engine._teller.acts.all_escalated == []
