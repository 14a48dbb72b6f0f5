"""The packaged protocols that judge answers: what each rule takes, what it leaves alone, and how it is said."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from alerting.alert import Priority
from alerting.backtest import AlertOutcome, backtest
from alerting.care_protocol import CareProtocol
from alerting.protocol_bounds import places
from alerting.protocol_file import check_protocol
from alerting.recordings import read_recording
from devices.reading import SYMPTOMS, Quantity, facts
from tests.alerting.protocols import packaged, shipped
from tests.alerting.worlds import DAY, HOUR, PARIS, START

PACKS = ("heart_failure_symptoms", "mood_follow_up", "oral_chemotherapy_symptoms")
DYSPNOEA, WEIGHT, MOOD = Quantity.SYMPTOM_DYSPNOEA, Quantity.BODY_WEIGHT, Quantity.SYMPTOM_MOOD

Course = tuple[tuple[Quantity, dict[int, str]], ...]
"""Quantity -> day -> value, as a recording writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What raises a rule, and the nearest that does not."""

    rule: str
    raises: Course
    does_not: Course = ()


def one(quantity: str, day: int, value: str) -> Course:
    return ((Quantity(quantity), {day: value}),)


STEADY = dict.fromkeys(range(10), "71.0")
STORIES = {
    "heart_failure_symptoms": (
        Story(rule="dyspnoea_marked", raises=one(DYSPNOEA, 1, "3"), does_not=one(DYSPNOEA, 1, "2")),
        Story(rule="dyspnoea_at_rest", raises=one(DYSPNOEA, 1, "4"), does_not=one(DYSPNOEA, 1, "3")),
        Story(
            rule="dyspnoea_worse",
            raises=((DYSPNOEA, {1: "1", 8: "2"}),),
            does_not=((DYSPNOEA, {1: "2", 8: "2"}),),
        ),
        Story(
            rule="orthopnoea_marked",
            raises=one("symptom_orthopnoea", 1, "2"),
            does_not=one("symptom_orthopnoea", 1, "1"),
        ),
        Story(rule="oedema_marked", raises=one("symptom_oedema", 1, "2"), does_not=one("symptom_oedema", 1, "1")),
        Story(
            rule="weight_up",
            raises=((WEIGHT, STEADY | {10: "72.5"}),),
            does_not=((WEIGHT, STEADY | {10: "72.4"}),),
        ),
        Story(
            rule="two_symptoms",
            raises=((DYSPNOEA, {1: "1", 8: "2"}), (Quantity.SYMPTOM_OEDEMA, {8: "2"})),
            does_not=((DYSPNOEA, {1: "1", 8: "1"}), (Quantity.SYMPTOM_OEDEMA, {8: "2"})),
        ),
        Story(
            rule="breathless_and_heavier",
            raises=((DYSPNOEA, {1: "1", 9: "2"}), (WEIGHT, STEADY | {10: "72.5"})),
            does_not=((DYSPNOEA, {1: "1", 9: "1"}), (WEIGHT, STEADY | {10: "72.5"})),
        ),
        Story(
            rule="no_answers", raises=one(DYSPNOEA, 1, "1"), does_not=((DYSPNOEA, {1: "1", 9: "1", 17: "1", 19: "1"}),)
        ),
        Story(
            rule="no_weight_here",
            raises=one(WEIGHT, 1, "71.0"),
            does_not=((WEIGHT, {1: "71.0", 10: "71.0", 19: "71.0"}),),
        ),
    ),
    "mood_follow_up": (
        Story(rule="thoughts_of_death", raises=one("symptom_urge", 1, "1"), does_not=one("symptom_urge", 1, "0")),
        Story(rule="mood_low", raises=one(MOOD, 1, "3"), does_not=one(MOOD, 1, "2")),
        Story(rule="mood_worse", raises=((MOOD, {1: "0", 8: "2"}),), does_not=((MOOD, {1: "1", 8: "2"}),)),
        Story(rule="sleep_bad", raises=one("symptom_sleep", 1, "3"), does_not=one("symptom_sleep", 1, "2")),
        Story(rule="no_answers", raises=one(MOOD, 1, "0"), does_not=((MOOD, {1: "0", 9: "0", 17: "0", 19: "0"}),)),
    ),
    "oral_chemotherapy_symptoms": (
        Story(rule="shivering", raises=one("symptom_fever_signs", 1, "2"), does_not=one("symptom_fever_signs", 1, "1")),
        Story(rule="pain_severe", raises=one("symptom_pain", 1, "7"), does_not=one("symptom_pain", 1, "6")),
        Story(rule="pain_moderate", raises=one("symptom_pain", 1, "5"), does_not=one("symptom_pain", 1, "4")),
        Story(rule="nothing_stays", raises=one("symptom_nausea", 1, "3"), does_not=one("symptom_nausea", 1, "2")),
        Story(rule="vomiting", raises=one("symptom_nausea", 1, "2"), does_not=one("symptom_nausea", 1, "1")),
        Story(
            rule="appetite_lost",
            raises=((Quantity.SYMPTOM_APPETITE, {1: "2", 3: "3"}),),
            does_not=((Quantity.SYMPTOM_APPETITE, {1: "2", 3: "1"}),),
        ),
        Story(
            rule="no_answers",
            raises=one("symptom_fever_signs", 1, "0"),
            does_not=((Quantity.SYMPTOM_FEVER_SIGNS, {1: "0", 9: "0", 17: "0", 19: "0"}),),
        ),
    ),
}
EACH = [pytest.param(name, story, id=f"{name}-{story.rule}") for name, several in STORIES.items() for story in several]


def protocol_of(name: str) -> CareProtocol:
    return packaged(name)


def recording(folder: Path, course: Course) -> Path:
    """Write a course as a nurse may have it: a CSV of points and kilograms."""
    lines = ["patient,time,quantity,value,unit"]
    for quantity, days in course:
        unit = "kg" if quantity is WEIGHT else "points"
        lines += [f"p,2026-03-{3 + day:02d}T08:00:00Z,{quantity},{value},{unit}" for day, value in days.items()]
    path = folder / "course.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def outcomes(name: str, path: Path) -> list[AlertOutcome]:
    readings = read_recording(path).readings
    return list(backtest(protocol_of(name), readings, zone=PARIS, since=START, until=START + 20 * DAY + HOUR))


@pytest.mark.parametrize("name", PACKS)
def test_it_has_no_fault_no_remark_and_its_sources_are_cited(name: str) -> None:
    checked = check_protocol(shipped(name), packs=shipped)
    assert (checked.faults, checked.remarks) == ((), ())
    protocol = protocol_of(name)
    assert {source for rule in protocol.rules for source in rule.words.sources} == protocol.sources.keys()
    assert protocol.asked
    assert {story.rule for story in STORIES[name]} == {rule.id for rule in protocol.rules}
    for bound in protocol.bounds:
        value = places(protocol)[bound.rule].values[bound.key]
        assert isinstance(value, int)
        assert bound.low <= value <= bound.high


@pytest.mark.parametrize(("name", "story"), EACH)
def test_a_rule_is_raised_by_what_it_says_and_not_by_the_nearest_less(tmp_path: Path, name: str, story: Story) -> None:
    raised = outcomes(name, recording(tmp_path, story.raises))
    assert story.rule in {alert.rule for alert in raised}
    assert story.rule not in {alert.rule for alert in outcomes(name, recording(tmp_path, story.does_not))}


@pytest.mark.parametrize(("name", "story"), EACH)
def test_a_sentence_says_points_of_how_many_and_never_a_sensors_range(tmp_path: Path, name: str, story: Story) -> None:
    told = next(one for one in outcomes(name, recording(tmp_path, story.raises)) if one.rule == story.rule)
    for text in (told.why.fr, told.why.en):
        assert "sensor" not in text
        assert "capteur" not in text
        assert len(text) <= 1000
    rule = next(rule for rule in protocol_of(name).rules if rule.id == story.rule)
    if rule.quantity in SYMPTOMS and not story.rule.startswith(("no_", "two_", "breathless_")):
        most = facts(rule.quantity).high
        assert f"sur {most}" in told.why.fr
        assert f"of {most}" in told.why.en
    if story.rule == "no_answers":
        assert "aucune réponse" in told.why.fr
        assert "no answer" in told.why.en


def test_what_is_graver_tells_and_the_rest_stays_silent(tmp_path: Path) -> None:
    course = ((DYSPNOEA, {1: "1", 9: "4"}), (Quantity.SYMPTOM_OEDEMA, {9: "3"}), (WEIGHT, STEADY | {10: "73.0"}))
    told = [one for one in outcomes("heart_failure_symptoms", recording(tmp_path, course)) if one.told_at is not None]
    high = {one.rule for one in told if one.priority is Priority.HIGH}
    assert high == {"dyspnoea_at_rest", "breathless_and_heavier"}
    assert not {one.rule for one in told} & {"dyspnoea_marked", "dyspnoea_worse", "weight_up"}


def test_a_nurse_tries_it_on_a_history_with_the_usual_command(tmp_path: Path) -> None:
    path = recording(tmp_path, ((DYSPNOEA, {1: "1", 8: "3"}),))
    done = CliRunner().invoke(main, ["backtest", "--protocol", "heart_failure_symptoms", "--readings", str(path)])
    assert done.exit_code == 0, done.output
    assert "dyspnoea_marked" in done.output
