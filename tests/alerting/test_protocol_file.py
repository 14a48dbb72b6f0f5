"""A protocol file, and what is said when it is wrong."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import Audience, Priority
from alerting.care_protocol import canonical
from alerting.errors import Fault, ProtocolError
from alerting.protocol_file import read_protocol
from alerting.rules import ChangeRule, LevelRule, Side
from alerting.scheduled_rules import MissingRule
from devices.reading import Quantity
from tests.alerting.protocols import DAY, HOUR, MINUTE, packaged

GOOD = """
schema = 1
name = "small"
version = 2
title = { fr = "Petit", en = "Small" }

[transmission]
not_transmitted_after = "6 h"

[quantities.glucose_interstitial]
cadence = "5 min"
gap = "45 min"

[[rules]]
id = "low"
kind = "level"
quantity = "glucose_interstitial"
side = "below"
threshold = "3.9 mmol/L"
end_threshold = "72 mg/dL"
persist = "15 min"
priority = "high"
audience = "patient_now"
title = { fr = "Basse", en = "Low" }
check = { fr = "voir", en = "look" }
sources = ["paper"]

[[rules]]
id = "none"
kind = "missing"
quantity = "glucose_interstitial"
expected = "1 h"
priority = "low"
title = { fr = "Rien", en = "Nothing" }
check = { fr = "voir", en = "look" }
sources = ["paper"]

[sources]
paper = "A paper"
"""


def faults(text: str | bytes) -> tuple[Fault, ...]:
    with pytest.raises(ProtocolError) as caught:
        read_protocol(text.encode() if isinstance(text, str) else text, name_hint="mine.toml")
    assert caught.value.name == "mine.toml"
    return caught.value.faults


def only(text: str) -> Fault:
    (fault,) = faults(text)
    return fault


def line(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_a_good_file_is_resolved_into_quanta_and_milliseconds() -> None:
    protocol = read_protocol(GOOD.encode(), name_hint="mine.toml")
    low, none = protocol.rules
    assert isinstance(low, LevelRule)
    assert isinstance(none, MissingRule)
    assert (low.threshold, low.end_threshold, low.persist, low.end_persist) == (703, 720, 15 * MINUTE, 0)
    assert (low.side, low.priority, low.audience) == (Side.BELOW, Priority.HIGH, Audience.PATIENT_NOW)
    assert (none.expected, none.grace, none.audience) == (HOUR, 0, Audience.NURSE)
    assert (protocol.name, protocol.version, protocol.not_transmitted_after) == ("small", 2, 6 * HOUR)
    assert protocol.timings[Quantity.GLUCOSE_INTERSTITIAL].gap == 45 * MINUTE


def test_the_hash_is_of_what_the_file_means_not_of_how_it_is_written() -> None:
    protocol = read_protocol(GOOD.encode(), name_hint="x")
    rewritten = read_protocol(("# a comment\n" + GOOD.replace('"15 min"', '"900 s"')).encode(), name_hint="y")
    assert protocol.protocol_hash == rewritten.protocol_hash
    assert re.fullmatch("[0-9a-f]{64}", protocol.protocol_hash)
    for other in (changed("72 mg", "73 mg"), changed("version = 2", "version = 3"), changed("Basse", "Bas")):
        assert read_protocol(other.encode(), name_hint="z").protocol_hash != protocol.protocol_hash
    assert canonical(protocol).startswith(b'{"name":"small","not_transmitted_after":21600000,"rules":[{"audience"')


def test_the_packaged_protocols_are_what_the_pathways_name() -> None:
    diabetes, heart = packaged("diabetes_cgm"), packaged("heart_failure")
    named = {rule.id: rule for rule in diabetes.rules}
    assert "no_glucose" in named
    for name, side, threshold in (
        ("hypo_level_1", Side.BELOW, 700),
        ("hypo_level_2", Side.BELOW, 540),
        ("hyper_level_1", Side.ABOVE, 1800),
        ("hyper_level_2", Side.ABOVE, 2500),
    ):
        rule = named[name]
        assert isinstance(rule, LevelRule)
        assert (rule.side, rule.threshold, rule.end_threshold) == (side, threshold, threshold)
        assert (rule.persist, rule.end_persist) == (15 * MINUTE, 15 * MINUTE)
    gain = next(rule for rule in heart.rules if rule.id == "weight_gain_3_days")
    assert isinstance(gain, ChangeRule)
    assert (gain.delta, gain.window, gain.slack) == (2000, 3 * DAY, 12 * HOUR)
    assert {"no_weight", "no_blood_pressure", "systolic_low", "systolic_crisis"} <= {rule.id for rule in heart.rules}


def test_every_fault_of_a_file_is_told_at_once() -> None:
    text = """schema = 1
name = "Bad Name"
version = 0
titel = { fr = "a", en = "b" }

[quantities.body_weigth]
cadence = "5 min"
gap = "45 min"

[quantities.glucose_interstitial]
cadence = "50 min"
gap = "45 min"

[[rules]]
id = "a_low"
kind = "level"
quantity = "glucose_interstitial"
side = "under"
threshold = "3.9 mg/dL"
end_threshold = "2,0 mg/dL"
persit = "15 min"
priority = "urgent"
title = { fr = "a" }
check = { fr = "a", en = "b" }
sources = ["papper"]

[[rules]]
id = "a_low"
kind = "change"
quantity = "body_weight"
direction = "rise"
window = "0 days"
delta = "2.0 mmol/L"
end_delta = "1.0 kg"
priority = "low"
audience = "nurse"
title = { fr = "a", en = "b" }
check = { fr = "a", en = "b" }
sources = ["paper"]

[[rules]]
id = "other"
kind = "levle"
quantity = "steps"

[sources]
paper = "A paper"
"""
    told = faults(text)
    assert {(fault.line, fault.key) for fault in told} == {
        (None, "transmission"),
        (14, "rules.a_low"),
        (27, "rules.a_low"),
        (2, "name"),
        (3, "version"),
        (4, "titel"),
        (6, "quantities.body_weigth"),
        (12, "quantities.glucose_interstitial.gap"),
        (14, "rules.a_low.audience"),
        (18, "rules.a_low.side"),
        (19, "rules.a_low.threshold"),
        (20, "rules.a_low.end_threshold"),
        (21, "rules.a_low.persit"),
        (22, "rules.a_low.priority"),
        (23, "rules.a_low.title"),
        (25, "rules.a_low.sources.0"),
        (28, "rules.a_low.id"),
        (32, "rules.a_low.window"),
        (33, "rules.a_low.delta"),
        (41, "rules.other.priority"),
        (41, "rules.other.audience"),
        (41, "rules.other.title"),
        (41, "rules.other.check"),
        (41, "rules.other.sources"),
        (43, "rules.other.kind"),
        (44, "rules.other.quantity"),
    }
    assert [fault.line or 0 for fault in told] == sorted(fault.line or 0 for fault in told)
    assert all(fault.message.fr and fault.message.en and fault.message.fr != fault.message.en for fault in told)
    words = {fault.key: fault.message for fault in told}
    assert 'did you mean "title"' in words["titel"].en
    assert "vouliez-vous dire « persist »" in words["rules.a_low.persit"].fr
    assert 'did you mean "paper"' in words["rules.a_low.sources.0"].en
    assert "low, medium, high" in words["rules.a_low.priority"].fr
    assert "mmol/L" in words["rules.a_low.delta"].en


@pytest.mark.parametrize(
    ("old", "new", "key", "word"),
    [
        ('end_threshold = "72 mg/dL"', 'end_threshold = "70 mg/dL"', "rules.low.end_threshold", "at or above"),
        ('threshold = "3.9 mmol/L"', 'threshold = "10 mg/dL"', "rules.low.threshold", "never be raised"),
        ('threshold = "3.9 mmol/L"', 'threshold = "70 stone"', "rules.low.threshold", '"stone" is no unit of'),
        ('threshold = "3.9 mmol/L"', "threshold = 70", "rules.low.threshold", "with a point and its unit"),
        ('end_threshold = "72 mg/dL"', 'end_threshold = "7200 mg/dL"', "rules.low.end_threshold", "is the unit right"),
        ('persist = "15 min"', 'persist = "15 fortnights"', "rules.low.persist", "a duration with its unit"),
        ('persist = "15 min"', 'persist = "401 days"', "rules.low.persist", "at most 400 days"),
        ('expected = "1 h"', 'expected = "0 h"', "rules.none.expected", "above zero"),
        ('expected = "1 h"', 'expected = "4 min"', "rules.none.expected", "always stand"),
        (
            'not_transmitted_after = "6 h"',
            'not_transmitted_after = "0 s"',
            "transmission.not_transmitted_after",
            "above",
        ),
        ('not_transmitted_after = "6 h"', "", "transmission.not_transmitted_after", "lacking"),
        ('cadence = "5 min"', 'cadence = "0 s"', "quantities.glucose_interstitial.gap", "above zero"),
        ('gap = "45 min"', "gap = 45", "quantities.glucose_interstitial.gap", "a duration"),
        ("schema = 1", "schema = 2", "schema", "1"),
        ('paper = "A paper"', 'paper = "A paper"\nother = 3', "sources", "a table of texts"),
        ('sources = ["paper"]', "sources = []", "rules.low.sources", "at least one"),
        ('id = "none"', 'id = "low"', "rules.low.id", "another rule"),
        ('id = "none"', "id = 3", "rules.[2].id", "a-z"),
        ('kind = "missing"', 'kind = ["missing"]', "rules.none.kind", "choose one of"),
        ('audience = "patient_now"\n', "", "rules.low.audience", "whom the alert is for"),
    ],
)
def test_one_fault_is_told_in_words_and_in_place(old: str, new: str, key: str, word: str) -> None:
    text = changed(old, new)
    found = [fault for fault in faults(text) if fault.key == key]
    assert len(found) == 1
    assert word in found[0].message.en
    assert found[0].line is not None
    assert abs(found[0].line - line(GOOD, old.partition("\n")[0])) <= 14


def test_a_duration_needs_the_rhythm_of_measurement() -> None:
    text = changed('[quantities.glucose_interstitial]\ncadence = "5 min"\ngap = "45 min"\n', "")
    assert only(text).key == "rules.low.persist"
    fault = only(text.replace('persist = "15 min"', 'end_persist = "15 min"'))
    assert (fault.key, "rhythm" in fault.message.en) == ("rules.low.end_persist", True)


def test_a_high_side_has_its_end_threshold_below() -> None:
    text = changed('side = "below"', 'side = "above"')
    fault = only(text)
    assert (fault.key, "at or below" in fault.message.en) == ("rules.low.end_threshold", True)
    text = text.replace('"3.9 mmol/L"', '"1000 mg/dL"')
    assert "never be raised" in only(text).message.en


@pytest.mark.parametrize(
    ("delta", "end_delta", "key"),
    [
        ("0 kg", "1 kg", "delta"),
        ("-2 kg", "1 kg", "delta"),
        ("399.001 kg", "1 kg", "delta"),
        ("2 kg", "2.001 kg", "end_delta"),
        ("2 kg", "0 kg", "end_delta"),
    ],
)
def test_a_change_that_can_never_be_raised_or_never_end_is_refused(delta: str, end_delta: str, key: str) -> None:
    rules = f"""
[[rules]]
id = "gain"
kind = "change"
quantity = "body_weight"
direction = "rise"
window = "3 days"
delta = "{delta}"
end_delta = "{end_delta}"
priority = "high"
audience = "nurse"
title = {{ fr = "a", en = "b" }}
check = {{ fr = "a", en = "b" }}
sources = ["paper"]

[[rules]]
id = "no_weight"
kind = "missing"
quantity = "body_weight"
expected = "1 day"
priority = "low"
title = {{ fr = "a", en = "b" }}
check = {{ fr = "a", en = "b" }}
sources = ["paper"]

[sources]"""
    assert only(GOOD.replace("\n[sources]", rules)).key == f"rules.gain.{key}"


def test_a_protocol_whose_absences_are_not_told_is_refused() -> None:
    fault = only(changed('kind = "missing"\nquantity = "glucose_interstitial"', 'kind = "missing"\nquantity = "spo2"'))
    assert fault.key == "rules.low"
    assert "glucose_interstitial" in fault.message.fr


def test_a_file_without_rules_says_so() -> None:
    start, end = GOOD.index("[[rules]]"), GOOD.index("[sources]")
    assert only("rules = []\n" + GOOD[:start] + GOOD[end:]).key == "rules"
    assert only("rules = [3]\n" + GOOD[:start] + GOOD[end:]).key == "rules.[1]"


def test_a_file_that_is_not_toml_names_the_line() -> None:
    assert only(changed("version = 2", "version = ")).line == line(GOOD, "version")
    assert "signe =" in only(changed("version = 2", "version")).message.fr
    assert only(GOOD + 'x = "').line is not None


def test_a_file_cut_at_its_end_names_its_last_line() -> None:
    assert only('a = """\n\n').line is not None


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5_000, "a = 2021-13-45"])
def test_what_the_parser_chokes_on_is_a_fault(text: str) -> None:
    assert only(text).line == 1


_VALUES = st.sampled_from(("3", "[]", "{}", '"x"', "nan", "2026-01-01", "[{ a = 1 }]"))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_spoiled_file_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    lines = GOOD.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        key, equals, value = lines[place].partition("=")
        spoiled = data.draw(
            st.sampled_from(
                (
                    "",
                    lines[data.draw(st.integers(0, len(lines) - 1))],
                    key + equals + data.draw(_VALUES),
                    value,
                    lines[place] + data.draw(st.text(max_size=3)),
                )
            )
        )
        lines[place] = spoiled
    with contextlib.suppress(ProtocolError):
        assert read_protocol("\n".join(lines).encode("utf-8", "replace"), name_hint="spoiled").rules


def test_a_file_that_is_not_utf8_names_the_line() -> None:
    (fault,) = faults(b'a = 1\nb = "\xe9"\n')
    assert (fault.line, "UTF-8" in fault.message.en) == (2, True)


def test_the_error_can_be_read_by_itself() -> None:
    with pytest.raises(ProtocolError, match=r"mine: line 4: version: write a whole number"):
        read_protocol(changed("version = 2", 'version = "2"').encode(), name_hint="mine")
    with pytest.raises(ProtocolError, match='mine: "title" is lacking'):
        read_protocol(changed('title = { fr = "Petit", en = "Small" }', "").encode(), name_hint="mine")
