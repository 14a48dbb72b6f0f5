"""Which alerts are told, when, and why the others are not: to the millisecond."""

from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerting.acts import Shelf
from alerting.alert import Priority, Reason
from alerting.care_protocol import TellingPolicy
from alerting.life import RAISED_BY_READING, RAISED_BY_TIME, Course, Life, Lives, Turn, live, steps, told_at
from alerting.life_rules import RuleLives
from alerting.rules import LevelRule, RuleLife, Side
from tests.alerting.worlds import DAY, HOUR, PARIS, SYSTOLIC, common, protocol_of

LOW, MEDIUM, HIGH = Priority.LOW, Priority.MEDIUM, Priority.HIGH
TODAY = datetime(2026, 3, 3, tzinfo=PARIS)


def at(hour: int, minute: int = 0, *, day: int = 3) -> int:
    """Return a time of March 2026 in Paris, ms UTC."""
    return int(TODAY.replace(day=day, hour=hour, minute=minute).timestamp() * 1000)


def rule(name: str, priority: Priority, **life: Any) -> LevelRule:
    fields = common(SYSTOLIC, name) | {"priority": priority, "life": RuleLife(**life)}
    return LevelRule(**fields, side=Side.ABOVE, threshold=1, end_threshold=1)


def rules(*found: LevelRule, telling: TellingPolicy | None = None, zone: ZoneInfo = PARIS) -> RuleLives:
    protocol = replace(protocol_of(*found, timings={}), telling=telling or TellingPolicy())
    return RuleLives.of(protocol, zone)


_number = count()


def alert(of: int, begin: int, end: int | None = None, **fields: Any) -> Course:
    """Return an alert that rests on fresh readings, and ends with its condition."""
    number = next(_number)
    known: dict[str, Any] = {
        "alert_id": f"alert {of} at {begin}",
        "rule": of,
        "raised_at": begin,
        "part": RAISED_BY_READING,
        "order": ("quantity", "device", f"{number:06}"),
        "over": end,
        "ended": end,
        "fresh_at": begin,
    }
    return Course(**(known | fields))


def lives(*courses: Course, by: RuleLives, until: int, shelves: tuple[Shelf, ...] = ()) -> Lives:
    return live(courses, by, shelves, start=0, until=until)


def life(*courses: Course, by: RuleLives, until: int, shelves: tuple[Shelf, ...] = ()) -> Life:
    """Return the life of the last alert."""
    return lives(*courses, by=by, until=until, shelves=shelves).lives[-1]


def reasons(found: Life) -> list[tuple[int, Reason | None]]:
    return [(turn.at, turn.reason) for turn in found]


END = at(23, day=9)


# --- quiet hours ----------------------------------------------------------------------------------------------

NIGHT = TellingPolicy(quiet=(22 * 60, 7 * 60))


@pytest.mark.parametrize(
    ("raised_at", "quiet"),
    [(at(22) - 1, False), (at(22), True), (at(22) + 1, True), (at(7) - 1, True), (at(7), False), (at(7) + 1, False)],
)
def test_quiet_hours_begin_and_end_at_their_minute(raised_at: int, *, quiet: bool) -> None:
    found = life(alert(0, raised_at), by=rules(rule("a", MEDIUM), telling=NIGHT), until=raised_at)
    assert (found[0].reason is Reason.QUIET_HOURS) is quiet


def test_what_is_raised_in_quiet_hours_is_told_at_their_end_when_time_has_gone_beyond() -> None:
    night, by = alert(0, at(23)), rules(rule("a", LOW), telling=NIGHT)
    morning = at(7, day=4)
    waiting = lives(night, by=by, until=morning)
    assert waiting.lives == ((Turn(at(23), Reason.QUIET_HOURS, morning),),)
    assert waiting.next_at == morning
    assert reasons(life(night, by=by, until=morning + 1)) == [(at(23), Reason.QUIET_HOURS), (morning, None)]


@pytest.mark.parametrize(("end", "told"), [(at(7, day=4) - 1, False), (at(7, day=4), False), (at(7, day=4) + 1, True)])
def test_what_ended_in_quiet_hours_is_never_told(end: int, *, told: bool) -> None:
    found = life(alert(0, at(23), end), by=rules(rule("a", LOW), telling=NIGHT), until=END)
    assert told_at(found) == (at(7, day=4) if told else None)


def test_a_high_alert_waits_for_no_quiet_hours_no_digest_and_no_number() -> None:
    telling = replace(NIGHT, at_most=1, within=DAY)
    by = rules(rule("a", HIGH, per_day=1, digest=True), telling=telling)
    found = lives(*(alert(0, at(23, minute), at(23, minute + 1)) for minute in range(0, 50, 10)), by=by, until=END)
    assert [told_at(one) for one in found.lives] == [at(23, minute) for minute in range(0, 50, 10)]


def test_hours_from_equal_to_are_no_hours() -> None:
    by = rules(rule("a", LOW), telling=TellingPolicy(quiet=(420, 420)))
    assert told_at(life(alert(0, at(7)), by=by, until=END)) == at(7)


# --- refractory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "held"), [(2 * HOUR - 1, True), (2 * HOUR, False), (2 * HOUR + 1, False)])
def test_refractory_counts_from_the_end_of_the_last_that_was_told(after: int, *, held: bool) -> None:
    by = rules(rule("a", HIGH, refractory=2 * HOUR))
    found = life(alert(0, at(8), at(9)), alert(0, at(9) + after), by=by, until=END)
    assert (found[0].reason is Reason.REFRACTORY) is held
    assert told_at(found) == max(at(9) + after, at(11))


def test_what_nobody_heard_of_makes_nothing_wait() -> None:
    by = rules(rule("a", LOW, refractory=12 * HOUR), telling=NIGHT)
    found = life(alert(0, at(5), at(6)), alert(0, at(8)), by=by, until=END)
    assert reasons(found) == [(at(8), None)]


# --- numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("begin", "held"), [(DAY - 1, True), (DAY, False), (DAY + 1, False)])
def test_so_many_a_day_are_told_and_the_next_when_a_day_has_gone(begin: int, *, held: bool) -> None:
    by = rules(rule("a", MEDIUM, per_day=2))
    earlier = [alert(0, at(8), at(8, 5)), alert(0, at(9), at(9, 5))]
    found = life(*earlier, alert(0, at(8) + begin), by=by, until=END)
    assert (found[0].reason is Reason.TOO_MANY) is held
    assert told_at(found) == max(at(8) + begin, at(8) + DAY)


def test_the_patient_s_number_counts_low_and_medium_of_all_rules_but_no_high_and_no_digest() -> None:
    telling = TellingPolicy(at_most=2, within=HOUR)
    by = rules(rule("a", LOW), rule("b", MEDIUM), rule("c", HIGH), rule("d", LOW, digest=True), telling=telling)
    found = lives(
        alert(2, at(8, 0)),
        alert(3, at(8, 0)),
        alert(0, at(8, 1)),
        alert(1, at(8, 2)),
        alert(2, at(8, 3)),
        alert(1, at(8, 4)),
        alert(0, at(8, 5)),
        by=by,
        until=END,
    )
    told = [told_at(one) for one in found.lives]
    assert told == [at(8), at(8), at(8, 1), at(8, 2), at(8, 3), at(9, 1), at(9, 2)]
    assert found.lives[-1][0] == Turn(at(8, 5), Reason.TOO_MANY, at(9, 1))


def test_of_those_that_wait_the_graver_is_told_first() -> None:
    telling = replace(NIGHT, at_most=1, within=HOUR)
    by = rules(rule("a", LOW), rule("b", MEDIUM), telling=telling)
    found = lives(alert(0, at(23)), alert(1, at(23, 30)), by=by, until=END)
    assert [told_at(one) for one in found.lives] == [at(8, day=4), at(7, day=4)]


# --- absorbed -------------------------------------------------------------------------------------------------

LEVELS = rules(rule("level_1", MEDIUM), rule("level_2", HIGH, absorbs=("level_1",)))


def test_a_graver_alert_silences_the_lesser_until_it_ends() -> None:
    lesser, graver = alert(0, at(8), at(10)), alert(1, at(9), at(9, 30))
    found = life(graver, lesser, by=LEVELS, until=END)
    assert found == (
        Turn(at(8)),
        Turn(at(9), Reason.ABSORBED, None, graver.alert_id),
        Turn(at(9, 30)),
    )
    assert [turn.at for turn in steps(found)] == [at(9), at(9, 30)]


def test_a_lesser_alert_raised_by_the_same_reading_is_never_told_while_the_graver_stands() -> None:
    order = ("quantity", "device", "key")
    lesser, graver = alert(0, at(8), order=order), alert(1, at(8), at(9), order=order)
    assert reasons(life(graver, lesser, by=LEVELS, until=at(9))) == [(at(8), Reason.ABSORBED)]
    assert told_at(life(graver, lesser, by=LEVELS, until=END)) == at(9)


def test_a_lesser_alert_raised_as_the_graver_ends_waits_for_that_millisecond_to_pass() -> None:
    found = life(alert(1, at(8), at(9)), alert(0, at(9)), by=LEVELS, until=END)
    assert reasons(found) == [(at(9), Reason.ABSORBED), (at(9), None)]


def test_what_is_held_back_itself_absorbs_nothing() -> None:
    shelf = Shelf("level_2", at(7), at(12), "nurse", "sensor is being changed")
    found = lives(alert(0, at(8)), alert(1, at(9)), by=LEVELS, until=at(11), shelves=(shelf,))
    assert [reasons(one) for one in found.lives] == [[(at(8), None)], [(at(9), Reason.SHELVED)]]
    later = lives(alert(0, at(8)), alert(1, at(9)), by=LEVELS, until=at(13), shelves=(shelf,))
    assert [reasons(one)[-1] for one in later.lives] == [(at(12), Reason.ABSORBED), (at(12), None)]


def test_absorbing_reaches_through_a_rule_between_and_never_upwards() -> None:
    by = rules(
        rule("one", LOW),
        rule("two", MEDIUM, absorbs=("one",)),
        rule("three", HIGH, absorbs=("two",)),
        rule("least", LOW, absorbs=("three",)),
    )
    found = lives(alert(3, at(7)), alert(2, at(8)), alert(1, at(9)), alert(0, at(10)), by=by, until=END)
    assert [told_at(one) for one in found.lives] == [at(7), at(8), None, None]
    assert {turn.by for turn in found.lives[-1]} == {f"alert 2 at {at(8)}"}


def test_two_rules_that_absorb_each_other_leave_one_told() -> None:
    by = rules(rule("a", MEDIUM, absorbs=("b",)), rule("b", MEDIUM, absorbs=("a",)))
    found = lives(alert(0, at(8), at(10)), alert(1, at(9)), by=by, until=END)
    assert [reasons(one) for one in found.lives] == [[(at(8), None)], [(at(9), Reason.ABSORBED), (at(10), None)]]


# --- shelved, stale, digest -----------------------------------------------------------------------------------


def test_a_shelf_holds_from_its_time_to_its_end_and_the_next_takes_its_place() -> None:
    by = rules(rule("a", LOW))
    first, second = Shelf("a", at(8), at(20), "nurse"), Shelf("a", at(9), at(10), "other")
    found = life(alert(0, at(7)), by=by, until=END, shelves=(first, second))
    assert found == (
        Turn(at(7)),
        Turn(at(8), Reason.SHELVED, at(20), "nurse"),
        Turn(at(9), Reason.SHELVED, at(10), "other"),
        Turn(at(10)),
    )
    assert reasons(life(alert(0, at(7)), by=by, until=at(8), shelves=(first,))) == [(at(7), None)]


@pytest.mark.parametrize(("begin", "held"), [(at(8) - 1, False), (at(8), False), (at(8) + 1, True), (at(9), False)])
def test_what_is_raised_while_its_rule_is_shelved_is_held_back(begin: int, *, held: bool) -> None:
    shelf = Shelf("a", at(8), at(9), "nurse")
    found = life(alert(0, begin), by=rules(rule("a", LOW)), until=begin, shelves=(shelf,))
    assert (found[0].reason is Reason.SHELVED) is held


def test_a_shelf_of_another_rule_or_of_none_holds_nothing() -> None:
    shelves = (Shelf("a", at(8), at(9), "nurse"), Shelf("gone", at(8), at(9), "nurse"))
    by = rules(rule("a", LOW), rule("b", LOW))
    assert reasons(life(alert(1, at(8)), by=by, until=END, shelves=shelves)) == [(at(8), None)]


def test_what_rests_on_stale_readings_is_told_once_a_fresh_one_shows_it_standing() -> None:
    by = rules(rule("a", HIGH))
    assert reasons(life(alert(0, at(8), fresh_at=None), by=by, until=END)) == [(at(8), Reason.STALE)]
    found = life(alert(0, at(8), fresh_at=at(9)), by=by, until=END)
    assert found == (Turn(at(8), Reason.STALE), Turn(at(9)))


def test_a_digest_is_told_at_its_hour_if_it_still_stands() -> None:
    by = rules(rule("a", LOW, digest=True), telling=TellingPolicy(digest_at=8 * 60, at_most=1, within=DAY))
    found = lives(alert(0, at(8)), alert(0, at(8) + 1), alert(0, at(10), at(11)), by=by, until=END)
    assert [told_at(one) for one in found.lives] == [at(8), at(8, day=4), None]
    assert found.lives[1][0].until == at(8, day=4)


def test_the_first_reason_is_said_and_when_all_of_them_have_passed() -> None:
    by = rules(rule("a", LOW, refractory=3 * HOUR), telling=replace(NIGHT, at_most=1, within=12 * HOUR))
    found = life(alert(0, at(20), at(21)), alert(0, at(21, 30)), by=by, until=END)
    assert found == (
        Turn(at(21, 30), Reason.REFRACTORY, at(8, day=4)),
        Turn(at(22), Reason.QUIET_HOURS, at(8, day=4)),
        Turn(at(7, day=4), Reason.TOO_MANY, at(8, day=4)),
        Turn(at(8, day=4)),
    )


def test_a_latched_alert_is_told_after_its_condition_is_over() -> None:
    by = rules(rule("a", LOW, latched=True), telling=NIGHT)
    found = life(alert(0, at(23), at(23, 30), ended=None), by=by, until=END)
    assert told_at(found) == at(7, day=4)


def test_an_absence_raised_in_the_same_millisecond_comes_after_what_readings_raised() -> None:
    by = rules(rule("a", LOW), rule("b", LOW), telling=TellingPolicy(at_most=1, within=HOUR))
    absence = alert(0, at(8), part=RAISED_BY_TIME, order=("", "", ""))
    found = lives(absence, alert(1, at(8)), by=by, until=END)
    assert [told_at(one) for one in found.lives] == [at(9), at(8)]


def test_a_life_found_on_from_any_moment_is_the_same() -> None:
    telling = replace(NIGHT, at_most=1, within=2 * HOUR)
    by = rules(rule("a", LOW, per_day=2), rule("b", MEDIUM, absorbs=("a",)), telling=telling)
    courses = [
        alert(0, at(20), at(21)),
        alert(1, at(21), at(21, 20)),
        alert(0, at(21, 10)),
        alert(1, at(23), at(7, 30, day=4)),
    ]
    shelves = (Shelf("b", at(23, 30), at(6, day=4), "nurse"),)
    all_at_once = lives(*courses, by=by, until=END, shelves=shelves)
    for start in sorted({turn.at + step for one in all_at_once.lives for turn in one for step in (-1, 0, 1)}):
        known = [
            replace(course, life=found if course.raised_at < start else ())
            for course, found in zip(courses, all_at_once.lives, strict=True)
        ]
        assert live(known, by, shelves, start=start, until=END) == all_at_once
