"""Whom else to tell of an alert that nobody has seen, and when no more."""

from typing import Any

import pytest

from alerting.alert import Audience, Reason
from alerting.care_protocol import Step
from alerting.escalation import Standing, steps_due, steps_to_come
from alerting.life import Turn
from tests.alerting.worlds import HOUR, MINUTE, START

NURSE, PATIENT = Audience.NURSE, Audience.PATIENT_NOW
STEPS = (
    Step(after=10 * MINUTE, audience=PATIENT),
    Step(after=30 * MINUTE, audience=NURSE),
    Step(after=2 * HOUR, audience=NURSE),
)


def minutes(standing: Standing) -> list[tuple[int, int, Audience]]:
    return [(one.number, (one.at - START) // MINUTE, one.audience) for one in steps_to_come(standing, STEPS)]


def standing(**fields: Any) -> Standing:
    known: dict[str, Any] = {"audience": PATIENT, "life": (Turn(START),)}
    return Standing(**(known | fields))


def test_each_step_is_due_so_long_after_the_alert_was_told() -> None:
    assert minutes(standing()) == [(0, 10, PATIENT), (1, 30, NURSE), (2, 120, NURSE)]


@pytest.mark.parametrize(("now", "due"), [(-1, 0), (0, 1), (1, 1)])
def test_a_step_is_due_from_its_very_millisecond_on(now: int, due: int) -> None:
    assert len(steps_due(standing(), STEPS, now=START + 10 * MINUTE + now)) == due


def test_a_step_is_taken_once() -> None:
    assert [one.number for one in steps_due(standing(taken=1), STEPS, now=START + HOUR)] == [1]


@pytest.mark.parametrize("end", ["seen_at", "ended_at"])
def test_what_was_seen_or_is_over_goes_no_further(end: str) -> None:
    assert minutes(standing(**{end: START + 30 * MINUTE})) == [(0, 10, PATIENT)]
    assert minutes(standing(**{end: START + 10 * MINUTE})) == []


def test_while_it_improves_nobody_is_told_again_and_somebody_new_still_is() -> None:
    assert minutes(standing(improving=True)) == [(1, 30, NURSE)]
    assert minutes(standing(improving=True, taken=2)) == []


def test_what_is_held_back_takes_no_step_until_it_is_told() -> None:
    quiet = Turn(START, Reason.QUIET_HOURS, START + HOUR)
    assert minutes(standing(life=(quiet,))) == []
    assert minutes(standing(life=(quiet, Turn(START + HOUR)))) == [(0, 70, PATIENT), (1, 90, NURSE), (2, 180, NURSE)]


def test_a_step_whose_time_passed_while_it_was_held_back_is_due_when_it_is_told_again() -> None:
    held = (Turn(START), Turn(START + 20 * MINUTE, Reason.ABSORBED, None, "graver"))
    assert minutes(standing(life=held)) == [(0, 10, PATIENT)]
    again = (*held, Turn(START + HOUR))
    assert minutes(standing(life=again)) == [(0, 10, PATIENT), (1, 60, NURSE), (2, 120, NURSE)]
