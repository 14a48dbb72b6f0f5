"""The packaged protocols of heart, blood pressure, lungs, chemotherapy, age and malnutrition: what each one does."""

import json
import re
import tomllib
from dataclasses import replace
from functools import cache

import pytest

from alerting.alert import Audience, Priority, Reason
from alerting.protocol_bounds import places
from alerting.protocol_file import Checked, check_protocol
from alerting.scheduled_rules import MissingRule
from benchmarks.quality.heart_failure.cohort import simulate
from benchmarks.quality.heart_failure.engine_rows import BEGUN, _Life
from devices.reading import Quantity, Reading
from tests.alerting.protocols import packaged, shipped
from tests.alerting.short_stories import DIASTOLIC, Story, at, daily, outcomes, take
from tests.alerting.stories_of_protocols import STEADY, STORIES
from tests.alerting.worlds import DAY, HOUR, MINUTE, PULSE, SPO2, SYSTOLIC, TEMPERATURE, WEIGHT

WAITED_FOR = ("home_systolic", "home_diastolic", "no_")
"""By the clock: a mean over mornings and evenings, and what is missed."""
EACH = [pytest.param(name, story, id=f"{name}-{story.rule}") for name, stories in STORIES.items() for story in stories]
NIGHTS = [
    pytest.param(name, story, id=f"{name}-{story.rule}")
    for name, stories in STORIES.items()
    for story in stories
    if not story.rule.startswith(WAITED_FOR)
]
protocol_of = cache(packaged)


def own(name: str) -> dict[str, object]:
    """Return a packaged file as it is written, its pack not inlined."""
    return tomllib.loads(shipped(name).decode())


def heir(name: str, *lines: str) -> Checked:
    """Return what there is to say about a patient's file that inherits a packaged protocol."""
    head = ("schema = 1", 'name = "mme_d"', "version = 1", f'pack = "{name}"')
    return check_protocol("\n".join((*head, *lines)).encode(), packs=shipped)


@pytest.mark.parametrize("name", STORIES)
def test_a_shipped_protocol_has_no_fault_and_no_remark(name: str) -> None:
    checked = check_protocol(shipped(name), packs=shipped)
    assert (checked.faults, checked.remarks) == ((), ())
    assert checked.protocol is not None
    assert checked.protocol.name == name


@pytest.mark.parametrize("name", STORIES)
def test_every_rule_cites_and_every_source_is_cited(name: str) -> None:
    protocol = protocol_of(name)
    cited = {source for rule in protocol.rules for source in rule.words.sources}
    assert cited == protocol.sources.keys()
    assert all(len(line) > 40 for line in protocol.sources.values())


@pytest.mark.parametrize("name", STORIES)
def test_a_check_asks_in_both_languages_and_names_no_dose(name: str) -> None:
    for rule in protocol_of(name).rules:
        for sentence in (rule.words.title, rule.words.check):
            assert sentence.fr
            assert sentence.en
            assert sentence.fr != sentence.en
        asked = f"{rule.words.check.fr} {rule.words.check.en}".lower()
        assert not re.search(r"\b(dose|mg|comprimé|tablet|diurétique|diuretic|paracetamol|paracétamol)s?\b", asked)


@pytest.mark.parametrize("name", STORIES)
def test_there_is_a_story_for_each_rule_that_a_file_has_or_changes(name: str) -> None:
    document = own(name)
    written = {table["id"] for table in document["rules"]} if "rules" in document else set()  # type: ignore[attr-defined]
    changed = set(document.get("adapt", {}))  # type: ignore[call-overload]
    assert sorted(story.rule for story in STORIES[name]) == sorted(written | changed)


@pytest.mark.parametrize(("name", "story"), EACH)
def test_the_rule_is_raised_and_ends(name: str, story: Story) -> None:
    protocol = protocol_of(name)
    (raised,) = story.told(protocol, story.beyond, story.until)
    assert raised.resolved_at is None
    (ended,) = story.told(protocol, (*story.beyond, *story.after))
    assert ended.onset == raised.onset
    assert ended.resolved_at is not None


@pytest.mark.parametrize(("name", "story"), EACH)
def test_one_quantum_short_of_it_the_rule_is_not_raised(name: str, story: Story) -> None:
    assert story.told(protocol_of(name), story.inside, story.until_inside) == []


def at_night(story: Story) -> Story:
    """Return the story with what raises it at three in the morning."""
    last = max(one.measured_at for one in story.beyond)
    return story.shifted(DAY - (last - at(0, 3)) % DAY)


@pytest.mark.parametrize(("name", "story"), NIGHTS)
def test_quiet_hours_hold_every_alert_back_but_a_high_one(name: str, story: Story) -> None:
    protocol = protocol_of(name)
    night = at_night(story)
    (found,) = night.told(protocol, night.beyond)
    if found.priority is Priority.HIGH and found.suppressed is Reason.ABSORBED:
        graver = [one for one in outcomes(protocol, (*night.before, *night.beyond)) if one.told_at == found.raised_at]
        assert {one.priority for one in graver} == {Priority.HIGH}
    elif found.priority is Priority.HIGH:
        assert found.told_at == found.raised_at
    else:
        assert found.told_at is None
        assert found.suppressed in {Reason.QUIET_HOURS, Reason.DIGEST, Reason.ABSORBED}


def twice(quantity: Quantity, value: str) -> tuple[Reading, ...]:
    return take(quantity, value, 0), take(quantity, value, 0, 8, 5)


STOOD_UP = (
    *(take(SYSTOLIC, "130", 0), take(DIASTOLIC, "80", 0)),
    *(take(SYSTOLIC, "105", 0, 8, 3), take(DIASTOLIC, "65", 0, 8, 3)),
)
ABSORBED = [
    ("heart_failure", "weight_gain_3_days", "weight_gain_1_day", (*daily(WEIGHT, "70", (0,)), take(WEIGHT, "72", 1))),
    ("heart_failure", "two_signs", "weight_trend", (*STEADY, take(WEIGHT, "73", 16))),
    ("heart_failure_oximeter", "spo2_low", "spo2_unusual", (*daily(SPO2, "97", range(8)), take(SPO2, "89", 13))),
    ("heart_failure_oximeter", "pulse_high", "pulse_unusual", (*daily(PULSE, "60", range(8)), take(PULSE, "111", 13))),
    (
        "hypertension",
        "crisis_systolic_confirmed",
        "crisis_diastolic",
        (*twice(SYSTOLIC, "185"), take(DIASTOLIC, "115", 0, 9)),
    ),
    (
        "hypertension",
        "crisis_diastolic_confirmed",
        "crisis_systolic",
        (*twice(DIASTOLIC, "115"), take(SYSTOLIC, "185", 0, 9)),
    ),
    ("respiratory", "two_signs", "fever", (take(PULSE, "115", 0), take(TEMPERATURE, "38.5", 0, 9))),
    ("respiratory", "news2", "spo2_low", (take(SPO2, "91", 0), take(PULSE, "70", 0))),
    ("oral_chemotherapy", "fever_once", "fever_twice", twice(TEMPERATURE, "38.6")),
    ("geriatrics", "news2", "pulse_high", (take(SPO2, "90", 0), take(PULSE, "115", 0, 9))),
    ("geriatrics", "standing_drop", "standing_drop_diastolic", STOOD_UP),
    ("malnutrition", "severe_loss_month", "loss_month", (take(WEIGHT, "70", 0), take(WEIGHT, "62", 20))),
    ("malnutrition_bmi", "bmi_very_low", "bmi_low", (take(Quantity.BMI, "19", 0),)),
]


@pytest.mark.parametrize(("name", "graver", "lesser", "readings"), ABSORBED)
def test_a_graver_alert_keeps_the_lesser_one_silent(
    name: str, graver: str, lesser: str, readings: tuple[Reading, ...]
) -> None:
    protocol = protocol_of(name)
    noon = max(one.measured_at for one in readings) // DAY * DAY + DAY + 11 * HOUR
    found = {one.rule: one for one in outcomes(protocol, readings, noon)}
    assert found[graver].told_at == found[graver].raised_at
    assert found[lesser].told_at is None
    outspoken = replace(
        protocol, rules=tuple(replace(rule, life=replace(rule.life, absorbs=())) for rule in protocol.rules)
    )
    each = {one.rule: one for one in outcomes(outspoken, readings, noon)}
    assert each[lesser].told_at is not None


def adapted(name: str, end: str, by: int) -> tuple[Checked, int]:
    """Return a patient's file with every value at one end of its bound, or so many steps further out, and how many."""
    protocol = protocol_of(name)
    tables: dict[str, list[str]] = {}
    for bound in protocol.bounds:
        if bound.rule not in own(name).get("bounds", {}):  # type: ignore[operator]
            continue
        place = places(protocol)[bound.rule]
        # A duration counts milliseconds; a step of a minute can be written however long it is.
        lasts = re.fullmatch(r"[0-9]+ (s|min|h|days?|weeks?)", str(place.text(bound.key, bound.high)))
        value = (bound.low if end == "low" else bound.high) + by * (MINUTE if lasts else 1)
        if value >= 0:
            table = bound.rule if bound.rule in {"transmission", "telling"} else f"adapt.{bound.rule}"
            text = json.dumps(place.text(bound.key, value), ensure_ascii=False)
            tables.setdefault(table, []).append(f"{bound.key} = {text}")
    lines = [line for table, keys in tables.items() for line in (f"[{table}]", *keys)]
    return heir(name, *lines), sum(len(keys) for keys in tables.values())


@pytest.mark.parametrize("name", [name for name in STORIES if name != "oral_chemotherapy_centre"])
def test_both_ends_of_a_bound_are_allowed_and_one_step_further_is_refused(name: str) -> None:
    for end, outwards in (("low", -1), ("high", 1)):
        checked, _ = adapted(name, end, 0)
        assert checked.faults == ()
        checked, changed = adapted(name, end, outwards)
        refused = [fault for fault in checked.faults if fault.message.en.startswith("outside the bounds")]
        assert len({fault.key for fault in refused}) == changed > 0


@pytest.mark.parametrize("name", STORIES)
def test_what_is_kept_cannot_be_removed_and_an_absence_neither(name: str) -> None:
    protocol = protocol_of(name)
    absences = [rule.id for rule in protocol.rules if isinstance(rule, MissingRule)]
    for rule in (*protocol.keep, *absences):
        assert [fault.key for fault in heir(name, f'remove = ["{rule}"]').faults] == ["remove.0"]


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("respiratory", ("fever", "two_signs", "no_temperature", "news2")),
        ("geriatrics", ("spo2_low", "spo2_to_repeat", "no_spo2", "news2")),
        ("geriatrics", ("fever", "temperature_low", "no_temperature", "news2")),
        (
            "geriatrics",
            (
                *("systolic_crisis", "systolic_low", "standing_drop", "standing_drop_diastolic"),
                *("pressure_to_repeat", "no_blood_pressure", "news2"),
            ),
        ),
        ("geriatrics", ("weight_loss_month", "weight_loss_6_months", "another_person", "no_weight")),
    ],
)
def test_a_home_without_a_device_does_without_its_rules_as_the_file_says(name: str, rules: tuple[str, ...]) -> None:
    said = re.sub(r"\s+#?\s*", " ", shipped(name).decode())
    assert all(f'"{rule}"' in said for rule in rules)
    checked = heir(name, f"remove = {json.dumps(rules)}")
    assert (checked.faults, checked.remarks) == ((), ())
    assert checked.protocol is not None
    assert len(checked.protocol.rules) == len(protocol_of(name).rules) - len(rules)


def test_a_home_with_a_scale_and_a_monitor_is_never_told_that_an_oximeter_is_missing() -> None:
    judged = {quantity for rule in protocol_of("heart_failure").rules for quantity in (rule.quantity, *rule.inputs)}
    assert judged == {WEIGHT, SYSTOLIC}


def test_the_oximeter_keeps_every_threshold_of_heart_failure() -> None:
    plain, with_oximeter = protocol_of("heart_failure"), protocol_of("heart_failure_oximeter")
    kept = [rule for rule in plain.rules if rule.id != "two_signs"]
    assert list(with_oximeter.rules[: len(kept)]) == kept


def test_only_a_fever_speaks_to_the_patient_at_once() -> None:
    for name in STORIES:
        now = {rule.id for rule in protocol_of(name).rules if rule.audience is Audience.PATIENT_NOW}
        fever = {"fever_once", "fever_twice", "fever_twice_of_many", "temperature_low"}
        assert now == (fever if name.startswith("oral_chemotherapy") else set())


def test_two_readings_of_38_of_up_to_seven_in_eight_hours_are_a_fever_and_one_is_none() -> None:
    protocol = protocol_of("oral_chemotherapy")
    fevers = {"fever_twice", "fever_twice_of_many"}
    for count in range(2, 8):
        for first in range(count - 1):
            cool = [take(TEMPERATURE, "37.5", 0, 8 + hour) for hour in range(count)]
            once = [*cool[:first], take(TEMPERATURE, "38.0", 0, 8 + first), *cool[first + 1 :]]
            assert not fevers & {one.rule for one in outcomes(protocol, once)}
            again = [*once[:-1], take(TEMPERATURE, "38.0", 0, 7 + count)]
            assert fevers & {one.rule for one in outcomes(protocol, again)}


def test_a_missed_day_is_told_once_at_eleven_and_only_if_the_morning_brings_nothing() -> None:
    protocol = protocol_of("heart_failure")
    measured = [take(WEIGHT, "70", 0), take(SYSTOLIC, "120", 0)]
    told = [one for one in outcomes(protocol, measured, at(2, 12)) if one.told_at is not None]
    assert [(one.rule, one.told_at) for one in told] == [("no_weight", at(2, 11))]
    back = [*measured, take(WEIGHT, "70", 2), take(SYSTOLIC, "120", 2)]
    found = outcomes(protocol, back, at(2, 12))
    assert {one.rule for one in found} == {"no_weight", "no_blood_pressure"}
    assert all(one.told_at is None for one in found)


def test_a_nurse_receives_at_most_a_tenth_of_an_alert_a_patient_day_on_simulated_patients() -> None:
    protocol = protocol_of("heart_failure")
    people = simulate(patients=10, seed=5)
    life = _Life.of(people, slice(0, people.patients))
    inputs = {quantity for rule in protocol.rules for quantity in rule.inputs}
    told = 0
    for row in range(people.patients):
        found = outcomes(protocol, list(life.readings(row, inputs)), BEGUN + people.days * DAY - 1)
        told += sum(one.told_at is not None for one in found)
    assert 0 < told / people.at_home.sum() <= 0.10
