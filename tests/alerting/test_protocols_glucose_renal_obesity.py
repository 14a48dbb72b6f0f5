"""The protocols that ship for glucose, kidneys and obesity: each rule can be raised and ends, each bound holds."""

import json
import re
from collections.abc import Iterator
from functools import cache

import pytest

from alerting.alert import Audience, Priority, Reason
from alerting.backtest import AlertOutcome, backtest
from alerting.care_protocol import Bound, Rule
from alerting.protocol_bounds import Place, places
from alerting.protocol_file import Checked, check_protocol
from alerting.rules import ForecastRule, LevelRule, Model, RateRule, ShareRule, Side
from alerting.scheduled_rules import MissingRule
from tests.alerting.protocols import packaged, shipped
from tests.alerting.rule_stories import MIDNIGHT, Story, story
from tests.alerting.worlds import CGM, DAY, HOUR, MINUTE, PARIS, SYSTOLIC, WEIGHT, cgm, reading

SENSORS = ("diabetes_cgm", "diabetes_cgm_15min", "diabetes_cgm_frail", "diabetes_cgm_pregnancy")
NAMES = (*SENSORS, "diabetes_fingerstick", "renal", "obesity")
PROTOCOLS = {name: packaged(name) for name in NAMES}
RULES = [(name, rule.id) for name, protocol in PROTOCOLS.items() for rule in protocol.rules]


def rule_of(name: str, rule: str) -> Rule:
    (found,) = [one for one in PROTOCOLS[name].rules if one.id == rule]
    return found


def judged(name: str, told: Story) -> list[AlertOutcome]:
    return list(backtest(PROTOCOLS[name], {"p": told.readings}, zone=PARIS, until=told.until))


def alerts_of(rule: str, outcomes: list[AlertOutcome]) -> list[AlertOutcome]:
    return [one for one in outcomes if one.rule == rule]


@cache
def raised(name: str, rule: str, begin: int = MIDNIGHT) -> tuple[AlertOutcome, ...]:
    return tuple(alerts_of(rule, judged(name, story(PROTOCOLS[name], rule_of(name, rule), begin=begin))))


# --- the files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_protocol_that_ships_has_no_fault_and_no_remark(name: str) -> None:
    checked = check_protocol(shipped(name), packs=shipped)
    assert (checked.faults, checked.remarks) == ((), ())
    assert checked.protocol is not None
    assert checked.protocol.name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_cites_sources_and_every_source_is_cited(name: str) -> None:
    protocol = PROTOCOLS[name]
    cited = {source for rule in protocol.rules for source in rule.words.sources}
    assert cited <= protocol.sources.keys()
    unused = protocol.sources.keys() - cited
    assert not unused or protocol.pack is not None
    for rule in protocol.rules:
        assert rule.words.sources


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_a_rule_speaks_both_languages_and_asks_for_no_dose(name: str, rule: str) -> None:
    words = rule_of(name, rule).words
    assert not re.search(r"\bUI\b|unités?\b|\bunits?\b|comprimé|tablet|bolus|\d+ ?(?:mg|g|ml)\b", str(words.check))
    for said in (words.title, words.check):
        assert said.fr
        assert said.en
        assert said.fr != said.en


@pytest.mark.parametrize("name", NAMES)
def test_what_is_judged_and_missing_is_told_to_a_nurse_at_last(name: str) -> None:
    protocol = PROTOCOLS[name]
    absences = [rule for rule in protocol.rules if isinstance(rule, MissingRule) and rule.audience is Audience.NURSE]
    assert {one.quantity for one in absences} == {
        rule.quantity for rule in protocol.rules if rule.quantity.value != "blood_pressure_diastolic"
    }


NUMBERS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("diabetes_cgm", "hypo_level_1", {"side": Side.BELOW, "threshold": 700, "persist": 15 * MINUTE}),
    ("diabetes_cgm", "hypo_level_2", {"side": Side.BELOW, "threshold": 540, "end_persist": 15 * MINUTE}),
    ("diabetes_cgm", "hypo_extended", {"side": Side.BELOW, "threshold": 700, "persist": 120 * MINUTE}),
    ("diabetes_cgm", "hyper_level_1", {"side": Side.ABOVE, "threshold": 1800, "persist": 15 * MINUTE}),
    ("diabetes_cgm", "hyper_level_2", {"side": Side.ABOVE, "threshold": 2500, "persist": 15 * MINUTE}),
    ("diabetes_cgm", "hyper_prolonged", {"threshold": 2500, "share": 7500, "window": 120 * MINUTE}),
    ("diabetes_cgm", "low_soon", {"model": Model.HOLT_AR2, "side": Side.AT_MOST, "threshold": 690}),
    ("diabetes_cgm", "very_low_soon", {"side": Side.AT_MOST, "threshold": 550, "horizon": 20 * MINUTE}),
    ("diabetes_cgm", "falling_fast", {"per_minute": 30_000, "window": 15 * MINUTE}),
    ("diabetes_cgm", "low_5_days", {"threshold": 700, "share": 400}),
    ("diabetes_cgm", "very_low_5_days", {"threshold": 540, "share": 100}),
    ("diabetes_cgm", "no_glucose", {"expected": HOUR, "grace": 2 * HOUR}),
    ("diabetes_cgm_15min", "low_soon", {"model": Model.KALMAN, "probability": 5300, "threshold": 700}),
    ("diabetes_cgm_frail", "low_5_days", {"threshold": 700, "share": 100}),
    ("diabetes_cgm_frail", "very_high_5_days", {"threshold": 2500, "share": 1000}),
    ("diabetes_cgm_frail", "high_5_days", {"threshold": 1800, "share": 5000}),
    ("diabetes_cgm_pregnancy", "hypo_level_1", {"side": Side.BELOW, "threshold": 630, "end_threshold": 630}),
    ("diabetes_cgm_pregnancy", "hypo_level_2", {"side": Side.BELOW, "threshold": 540}),
    ("diabetes_cgm_pregnancy", "high_pregnancy", {"side": Side.ABOVE, "threshold": 1400}),
    ("diabetes_cgm_pregnancy", "low_5_days", {"threshold": 630, "share": 400}),
    ("diabetes_cgm_pregnancy", "high_5_days", {"threshold": 1400, "share": 2500}),
    ("diabetes_fingerstick", "hypo_level_1", {"side": Side.BELOW, "threshold": 700}),
    ("diabetes_fingerstick", "hypo_level_2", {"side": Side.BELOW, "threshold": 540}),
    ("diabetes_fingerstick", "hyper_level_2", {"side": Side.ABOVE, "threshold": 2500}),
    ("renal", "gain_since_dialysis", {"delta": 480, "relative": True, "window": 3 * DAY}),
    ("renal", "crisis_systolic", {"threshold": 1800, "share": 10_000, "min_readings": 2}),
    ("renal", "crisis_diastolic", {"threshold": 1100, "share": 10_000, "min_readings": 2}),
    ("renal", "home_systolic", {"threshold": 1350, "days": 7, "per_occasion": 2, "drop_first": True}),
    ("renal", "home_diastolic", {"threshold": 850, "days": 7, "per_occasion": 2, "drop_first": True}),
    ("renal", "systolic_low", {"side": Side.BELOW, "threshold": 900}),
    ("obesity", "loss_month", {"delta": 1000, "relative": True, "window": 30 * DAY}),
    ("obesity", "regain", {"delta": 1000, "relative": True, "window": 365 * DAY}),
)
"""What a published source fixes, in quanta, basis points, thousandths of a quantum and ms."""


@pytest.mark.parametrize(("name", "rule", "numbers"), NUMBERS)
def test_a_threshold_is_that_of_its_source(name: str, rule: str, numbers: dict[str, object]) -> None:
    found = rule_of(name, rule)
    assert {key: getattr(found, key) for key in numbers} == numbers


# --- the rules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_every_rule_can_be_raised_and_ends(name: str, rule: str) -> None:
    (alert,) = raised(name, rule)
    assert alert.resolved_at is not None
    assert alert.raised_at < alert.resolved_at


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_one_quantum_one_reading_or_one_millisecond_inside_raises_nothing(name: str, rule: str) -> None:
    near = story(PROTOCOLS[name], rule_of(name, rule), inside=True)
    assert not alerts_of(rule, judged(name, near))
    assert len(near.readings) > 1


@pytest.mark.parametrize("name", SENSORS)
def test_two_readings_of_a_quarter_of_an_hour_are_not_enough_at_five_minutes(name: str) -> None:
    cadence = PROTOCOLS[name].timings[CGM].cadence
    lows = cgm([110, 110, *[50] * (3 if cadence == 5 * MINUTE else 1), 110, 110, 110], MIDNIGHT, cadence)
    assert alerts_of("hypo_level_2", judged(name, Story(tuple(lows), lows[-1].measured_at)))
    fewer = cgm([110, 110, *[50] * (2 if cadence == 5 * MINUTE else 0), 110, 110, 110], MIDNIGHT, cadence)
    assert not alerts_of("hypo_level_2", judged(name, Story(tuple(fewer), fewer[-1].measured_at)))


# --- telling ----------------------------------------------------------------------------------------------------


def absorbing() -> Iterator[tuple[str, str, str]]:
    """Yield the levels that absorb a level of the same side."""
    for name, protocol in PROTOCOLS.items():
        levels = {rule.id: rule for rule in protocol.rules if isinstance(rule, LevelRule)}
        for rule in levels.values():
            for other in levels.keys() & set(rule.life.absorbs):
                if levels[other].persist <= rule.persist:
                    yield name, rule.id, other


@pytest.mark.parametrize(("name", "graver", "lesser"), list(absorbing()))
def test_a_lesser_level_is_silent_while_a_graver_one_stands(name: str, graver: str, lesser: str) -> None:
    outcomes = judged(name, story(PROTOCOLS[name], rule_of(name, graver)))
    (told,), (silent, *_) = alerts_of(graver, outcomes), alerts_of(lesser, outcomes)
    assert told.told_at == told.raised_at
    if silent.raised_at == told.raised_at:
        assert (silent.told_at, silent.suppressed) == (None, Reason.ABSORBED)
    else:
        # It came first, as two hours low begin with a quarter of an hour.
        assert silent.raised_at < told.raised_at


def test_the_levels_two_absorb_the_levels_one() -> None:
    pairs = set(absorbing())
    assert {(name, "hypo_level_2", "hypo_level_1") for name in (*SENSORS, "diabetes_fingerstick")} <= pairs


@pytest.mark.parametrize(
    ("name", "rule"), [(name, rule) for name, rule in RULES if rule_of(name, rule).priority is Priority.HIGH]
)
@pytest.mark.parametrize("hour", [0, 3, 14, 23])
def test_quiet_hours_never_hold_a_high_alert(name: str, rule: str, hour: int) -> None:
    (alert,) = raised(name, rule, MIDNIGHT + hour * HOUR)
    assert alert.told_at == alert.raised_at


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("diabetes")])
def test_a_low_of_the_night_does_not_wait_for_the_morning(name: str) -> None:
    for rule in ("hypo_level_1", "hypo_level_2"):
        (alert,) = raised(name, rule, MIDNIGHT + 2 * HOUR)
        assert alert.audience is Audience.PATIENT_NOW
        assert alert.told_at == alert.raised_at


@pytest.mark.parametrize(("name", "rule"), [("renal", "systolic_low"), ("obesity", "loss_week")])
def test_what_is_not_high_waits_for_the_morning_where_all_is_for_the_nurse(name: str, rule: str) -> None:
    (alert,) = raised(name, rule, MIDNIGHT + 20 * HOUR)
    assert (alert.suppressed, alert.told_at) in {(Reason.QUIET_HOURS, None), (Reason.ABSORBED, None)} or (
        alert.told_at is not None and (alert.told_at - MIDNIGHT) % DAY == 7 * HOUR
    )


@pytest.mark.parametrize("name", SENSORS)
def test_no_excursion_is_told_to_a_nurse_at_once(name: str) -> None:
    for rule in PROTOCOLS[name].rules:
        if rule.audience is Audience.NURSE and isinstance(rule, LevelRule | RateRule | ForecastRule):
            assert rule.life.digest


@pytest.mark.parametrize("name", SENSORS)
def test_a_nurse_hears_once_of_hours_over_the_threshold(name: str) -> None:
    rule = rule_of(name, "hyper_prolonged")
    assert isinstance(rule, ShareRule)
    step = PROTOCOLS[name].timings[CGM].cadence
    day = [rule.threshold // 10 + 20] * (6 * HOUR // step) + [110] * (18 * HOUR // step)
    readings = cgm(day * 3, MIDNIGHT, step)
    told = [
        one
        for one in judged(name, Story(tuple(readings), readings[-1].measured_at))
        if one.rule == "hyper_prolonged" and one.told_at is not None
    ]
    assert len(told) == 1


# --- bounds -----------------------------------------------------------------------------------------------------

_DURATIONS = {"persist", "refractory", "window", "expected", "grace", "not_transmitted_after", "longest_shelf"}


def heir(name: str, *, high: bool, beyond: bool = False) -> Checked:
    """Return what is said of a file that sets every bounded key of a protocol to an end of its bound, or beyond it."""
    tables: dict[str, dict[str, object]] = {}
    for bound, place in bounds_of(name):
        step = MINUTE if bound.key in _DURATIONS else 1
        value = (bound.high + beyond * step) if high else max(bound.low - beyond * step, 0)
        table = tables.setdefault(bound.rule, {})
        table[bound.key] = place.text(bound.key, value)
        end = f"end_{bound.key}"
        if isinstance(place.values.get(end), int) and "persist" not in bound.key and crossed(place, bound.key, value):
            table.setdefault(end, place.text(end, value))
    lines = [f'schema = 1\nname = "heir"\nversion = 1\npack = "{name}"']
    for table_name, values in tables.items():
        lines.append(f"[{table_name}]" if table_name in {"transmission", "telling"} else f"[adapt.{table_name}]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return check_protocol("\n".join(lines).encode(), packs=shipped)


def bounds_of(name: str) -> list[tuple[Bound, Place]]:
    """Return the bounds of a protocol, what ends a rule before what begins it, and where they stand."""
    known = places(PROTOCOLS[name])
    found = [(bound, known[bound.rule]) for bound in PROTOCOLS[name].bounds]
    return sorted(found, key=lambda one: not one[0].key.startswith("end_"))


def crossed(place: Place, key: str, value: int) -> bool:
    """Return whether a rule that begins at a value would end before it begins."""
    end = place.values[f"end_{key}"]
    assert isinstance(end, int)
    return end < value if key == "threshold" and getattr(place.values["side"], "low", False) else end > value


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_every_bound_are_accepted(name: str, *, high: bool) -> None:
    assert heir(name, high=high).faults == ()


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_one_step_beyond_any_bound_is_refused(name: str, *, high: bool) -> None:
    refused = {fault.key for fault in heir(name, high=high, beyond=True).faults}
    for bound, _ in bounds_of(name):
        if high or bound.low > 0:
            assert any(key.endswith(f"{bound.rule}.{bound.key}") for key in refused), bound


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_cannot_be_removed(name: str) -> None:
    assert PROTOCOLS[name].keep
    for rule in PROTOCOLS[name].keep:
        text = f'schema = 1\nname = "heir"\nversion = 1\npack = "{name}"\nremove = ["{rule}"]\n'
        assert [fault.key for fault in check_protocol(text.encode(), packs=shipped).faults] == ["remove.0"]


@pytest.mark.parametrize("name", NAMES)
def test_no_bound_lets_a_nurse_write_a_less_grave_hypoglycaemia_level_two(name: str) -> None:
    for bound in PROTOCOLS[name].bounds:
        if bound.rule == "hypo_level_2" and bound.key == "threshold":
            assert bound.low == 540


# --- what the files say in comments -------------------------------------------------------------------------------


def test_the_rule_for_a_dry_weight_that_the_renal_file_shows_is_accepted_and_judges() -> None:
    lines = [line[4:] for line in shipped("renal").decode().splitlines() if line.startswith("#   ")]
    text = 'schema = 1\nname = "heir"\nversion = 1\npack = "renal"\n\n' + "\n".join(lines)
    checked = check_protocol(text.encode(), packs=shipped)
    assert (checked.faults, checked.remarks) == ((), ())
    assert checked.protocol is not None
    weights = [reading(WEIGHT, value, MIDNIGHT + day * DAY + 7 * HOUR) for day, value in enumerate(("73.0", "73.7"))]
    found = list(backtest(checked.protocol, {"p": weights}, zone=PARIS))
    assert [(one.rule, one.raised_at) for one in found] == [("over_dry_weight", weights[-1].measured_at)]


def test_a_very_high_pressure_is_graver_once_a_repeat_confirms_it() -> None:
    first, repeat = MIDNIGHT + 9 * HOUR, MIDNIGHT + 9 * HOUR + 6 * MINUTE
    for second, expected in (("185", {"systolic_very_high", "crisis_systolic"}), ("150", {"systolic_very_high"})):
        readings = (reading(SYSTOLIC, "190", first), reading(SYSTOLIC, second, repeat))
        assert {one.rule for one in judged("renal", Story(readings, repeat))} == expected


def test_a_night_low_that_lying_on_the_sensor_explains_is_annotated_and_told_all_the_same() -> None:
    lows = cgm([110, 110, 50, 50, 50, 50, 110, 110, 110], MIDNIGHT + 2 * HOUR)
    outcomes = judged("diabetes_cgm", Story(tuple(lows), lows[-1].measured_at))
    (low,), (note,) = alerts_of("hypo_level_2", outcomes), alerts_of("compression_low", outcomes)
    assert low.told_at == low.raised_at
    assert (note.audience, note.told_at) == (Audience.NURSE, None)
