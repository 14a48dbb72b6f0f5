"""Slips that are made while writing a protocol by hand: each is one plain fault, with what to write instead."""

import pytest

from tests.alerting.protocols import FORMS, faults, file, only_form, shipped, table
from tests.alerting.test_protocol_pack import HEIR, PACK, line


@pytest.mark.parametrize("keys", [("by", "on"), ("on",), ("by",)])
def test_an_absence_by_age_made_one_by_a_time_of_day_is_one_fault_with_the_way_out(keys: tuple[str, ...]) -> None:
    said = {"by": 'by = "10:00"\n', "on": 'on = ["mon", "wed", "fri"]\n'}
    bounds = '[bounds.no_glucose_interstitial]\nexpected = ["1 h", "4 days"]\n'
    text = HEIR + "[adapt.no_glucose_interstitial]\n" + "".join(said[key] for key in keys)
    (fault,) = faults(text, service=PACK + bounds)
    assert (fault.key, fault.line) == (f"adapt.no_glucose_interstitial.{keys[0]}", line(text, f"\n{keys[0]} =") + 1)
    assert "garder no_glucose_interstitial avec un expected dans ses limites" in fault.message.fr
    assert "add a rule of your own" in fault.message.en


def test_an_absence_by_a_time_of_day_made_one_by_age_is_one_fault_with_the_way_out() -> None:
    (fault,) = faults(HEIR + '[adapt.no_weight]\nexpected = "3 days"\ngrace = "1 h"\n', service=PACK)
    assert (fault.key, "keep no_weight with a by" in fault.message.en) == ("adapt.no_weight.expected", True)


@pytest.mark.parametrize(
    ("old", "new", "key", "near"),
    [
        ("threshold = ", "treshold = ", "rules.low.treshold", "threshold"),
        ("\nend_threshold = ", "\nend_treshold = ", "rules.low.end_treshold", "end_threshold"),
        ("side = ", "sidde = ", "rules.low.sidde", "side"),
        ("audience = ", "audiance = ", "rules.low.audiance", "audience"),
        (
            "not_transmitted_after = ",
            "not_transmited_after = ",
            "transmission.not_transmited_after",
            "not_transmitted_after",
        ),
        ("title = ", "titel = ", "titel", "title"),
    ],
)
def test_a_misspelt_key_is_one_fault_that_names_the_right_one(old: str, new: str, key: str, near: str) -> None:
    text = only_form("level")
    (fault,) = faults(text.replace('id = "level"', 'id = "low"').replace(old, new, 1))
    assert (fault.key, f'did you mean "{near}"' in fault.message.en) == (key, True)
    assert fault.line == line(text, old.lstrip("\n"))


def test_a_misspelt_key_beside_the_right_one_is_told_of_by_itself() -> None:
    (fault,) = faults(only_form("level").replace("side = ", 'treshold = "3 kg"\nside = ', 1))
    assert fault.key == "rules.level.treshold"


def test_another_key_that_is_lacking_is_told_of_beside_a_misspelt_one() -> None:
    text = only_form("level").replace("threshold = ", "treshold = ", 1).replace('side = "below"\n', "", 1)
    assert {fault.key for fault in faults(text)} == {"rules.level.treshold", "rules.level.side"}


@pytest.mark.parametrize("name", ["change", "composite"])
def test_a_wrong_id_among_others_gets_the_nearest_name(name: str) -> None:
    if name == "composite":
        text, key = only_form("composite").replace('of = ["change"', 'of = ["chaneg"', 1), "rules.composite.of.0"
        assert 'of = ["chaneg"' in text
    else:
        text, key = file(table("change", FORMS["change"] + '\nabsorbs = ["no_body_wieght"]')), "rules.change.absorbs"
    near = "change" if name == "composite" else "no_body_weight"
    (fault,) = (fault for fault in faults(text) if fault.key == key)
    assert f"vouliez-vous dire « {near} » ?" in fault.message.fr
    assert f'did you mean "{near}"?' in fault.message.en


@pytest.mark.parametrize("name", ["no_glucose", "glucose_low", "zz"])
def test_a_name_that_is_far_from_every_other_gets_none(name: str) -> None:
    pack = shipped("geriatrics").decode()
    (fault,) = faults(HEIR + f'remove = ["{name}"]\n', service=pack)
    assert fault.message.en == f'"{name}" is unknown here'
    (fault,) = faults(HEIR + 'remove = ["no_puls"]\n', service=pack)
    assert 'did you mean "no_pulse"?' in fault.message.en
