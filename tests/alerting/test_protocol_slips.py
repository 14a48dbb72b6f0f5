"""Slips that are made while writing a protocol by hand: each is one plain fault, with what to write instead."""

import pytest

from alerting.alert import Sentence
from alerting.errors import Fault
from alerting.protocol_values import Duration, duration_said, duration_text
from tests.alerting.protocols import DAY, FORMS, HOUR, MINUTE, faults, file, only_form, read, shipped, table
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


def threshold_of(value: str) -> Fault:
    """Return the fault of a pressure whose threshold is written so."""
    rule = f'kind = "level"\nquantity = "blood_pressure_systolic"\nside = "above"\nthreshold = {value}\n'
    (fault,) = faults(file(table("high", rule + 'end_threshold = "130 mmHg"')))
    assert fault.key == "rules.high.threshold"
    return fault


@pytest.mark.parametrize(
    ("value", "fr", "en"),
    [
        ('"180,5 mmHg"', 'écrire "180.5 mmHg", un point', 'write "180.5 mmHg", a point'),
        ('"180,5"', "écrire 180.5, un point", "write 180.5, a point"),
        ('"180"', "il manque l'unité", "the unit is lacking"),
        ("180", "il manque les guillemets et l'unité", "the quotes and the unit are lacking"),
        ("180.5", "il manque les guillemets et l'unité", "the quotes and the unit are lacking"),
        ('"180 bpm"', "« bpm » n'est pas une unité de blood_pressure_systolic", '"bpm" is no unit of'),
        ('"180 mmhg"', "« mmhg » n'est pas une unité", '"mmhg" is no unit'),
        ('"high"', 'tel que "135 mmHg"', 'such as "135 mmHg"'),
        ("true", 'tel que "135 mmHg"', 'such as "135 mmHg"'),
        ('"18 kg"', "ne se mesure pas en kg ; unités possibles : mmHg, kPa", "possible units: mmHg, kPa"),
        ('"1800 mmHg"', "entre 40.0 et 300.0 mmHg", "between 40.0 and 300.0 mmHg"),
    ],
)
def test_a_wrong_amount_is_told_what_is_wrong_and_the_units_of_its_quantity_alone(value: str, fr: str, en: str) -> None:
    fault = threshold_of(value)
    assert fr in fault.message.fr
    assert en in fault.message.en
    for unit in ("mm[Hg]", "kg/m", "mg/dL", "Cel", "°C"):
        assert unit not in fault.message.fr + fault.message.en


def test_a_comma_is_all_that_is_told_of_where_it_is_all_that_is_wrong() -> None:
    assert "unités" not in threshold_of('"180,5 mmHg"').message.fr
    assert "unités de" in threshold_of('"180,5 bpm"').message.fr


def test_an_amount_of_a_quantity_that_is_not_known_is_told_how_one_is_written() -> None:
    found = faults(only_form("level").replace('quantity = "glucose_interstitial"', 'quantity = ["glucose"]', 1)
                   .replace('"70 mg/dL"', "70", 1))  # fmt: skip
    (fault,) = (fault for fault in found if fault.key == "rules.level.threshold")
    assert 'tel que "2.0 kg"' in fault.message.fr


@pytest.mark.parametrize("space", ["", " ", "  ", "\u00a0", "\u202f"])
@pytest.mark.parametrize("unit", ["mmHg", "mm Hg", "mm\u00a0Hg", "mm[Hg]"])
def test_a_number_is_tied_to_its_unit_by_any_space(space: str, unit: str) -> None:
    rule = 'kind = "level"\nquantity = "blood_pressure_systolic"\nside = "above"\nend_threshold = "130 mmHg"\n'
    whole = file(table("high", rule + 'threshold = "160 mmHg"'))
    assert read(whole.replace('"160 mmHg"', f'"160{space}{unit}"')) == read(whole)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        (("30 s", "30 second", "30 seconds", "30 seconde", "30 secondes"), 30_000),
        (("15 min", "15min", "15 minute", "15 minutes", "15\u00a0min"), 15 * MINUTE),
        (("36 h", "36 hour", "36 hours", "36 heure", "36 heures", "36\u202fh"), 36 * HOUR),
        (("3 day", "3 days", "3 jour", "3 jours"), 3 * DAY),
        (("2 week", "2 weeks", "2 semaine", "2 semaines"), 14 * DAY),
    ],
)
def test_a_duration_is_written_in_either_language(written: tuple[str, ...], means: int) -> None:
    assert {Duration.read(text).ms for text in written} == {means}
    assert duration_said(means).en == duration_text(means)


def test_days_are_told_in_the_readers_language() -> None:
    assert duration_said(DAY) == Sentence(fr="1 jour", en="1 day")
    (fault,) = faults(HEIR + '[adapt.gain]\nwindow = "6 jours"\n', service=PACK)
    assert "de 2 jours à 5 jours" in fault.message.fr
    assert "2 days to 5 days" in fault.message.en
    (fault,) = faults(HEIR + '[telling]\nlongest_shelf = "8 jours"\n', service=PACK)
    assert "cette valeur (7 jours)" in fault.message.fr


def test_bounds_are_told_in_units_as_they_are_spoken() -> None:
    pack = shipped("oral_chemotherapy").decode()
    (fault,) = faults(HEIR + '[adapt.fever_once]\nthreshold = "39 °C"\n', service=pack)
    assert "de 37.8 °C à 38.5 °C" in fault.message.fr


def test_a_misspelt_quantity_or_word_gets_the_nearest_one() -> None:
    found = faults(only_form("level").replace('"below"', '"bellow"', 1))
    assert ["vouliez-vous dire « below »" in fault.message.fr for fault in found] == [True]
    found = faults(only_form("score_heart").replace('"spo2"', '"sp02"'))
    assert any("did you mean" in fault.message.en and fault.key.endswith(".of") for fault in found)
