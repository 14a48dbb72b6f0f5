"""A text of a rule asks for a verification; one that names a dose is refused, a measurement is not taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings_file import packaged_protocols
from alerting.protocol_doses import dose_in
from tests.alerting.protocols import faults, only_form, packaged

DOSES = (
    ("prendre 40 mg de furosémide", "40 mg"),
    ("take 40mg of furosemide", "40mg"),
    ("40 MG le matin", "40 MG"),
    ("injecter 4 U d'insuline", "4 U"),
    ("4U d'insuline", "4U"),
    ("10 UI", "10 UI"),
    ("10 U.I. ce soir", "10 U.I."),
    ("10\u00a0IU tonight", "10 IU"),
    ("lévothyroxine 25 µg", "25 μg"),
    ("25 \u03bcg", "25 μg"),
    ("paracétamol 1 g", "1 g"),
    ("1,5 g par jour", "1,5 g"),
    ("2 g/jour", "2 g"),
    ("5 mg/kg", "5 mg"),
    ("20 ml de sirop", "20 ml"),
    ("2 comprimés en plus", "2 comprimés"),
    ("½ comprimé", "1\u20442 comprimé"),
    ("deux gélules", "deux gélules"),
    ("un demi-comprimé", "demi-comprimé"),
    ("half a tablet more", "half a tablet"),
    ("prendre un comprimé", "prendre un comprimé"),
    ("give one puff", "give one puff"),
    ("20 gouttes", "20 gouttes"),
    ("20 drops of the syrup", "20 drops"),
    ("1 ampoule", "1 ampoule"),
    ("40-80 mg", "80 mg"),
    ("1 000 mg", "1 000 mg"),
    ("2 units more", "2 units"),
)

MEASUREMENTS = (
    "Glucose sous 54 mg/dL",
    "au-dessus de 2.5 g/L",
    "au-dessus de 2.5 g / l",
    "albuminurie 30 mg/g",
    "clairance sous 30 mL/min",
    "a gain of 2 kg or more",
    "prise de 2,5 kg en 3 jours",
    "SpO2 drops below 90 %",
    "2 drops within a day",
    "3 drops of glucose",
    "la carte 4G du boîtier passe-t-elle ?",
    "38.3 °C, 180 mmHg, 110 /min",
    "un comprimé a-t-il été oublié ?",
    "une glycémie au doigt, de quoi se resucrer ?",
    "was a tablet forgotten?",
    "un score de 5 points",
    "depuis 2 mois, 3 minutes, 10 min",
    "version1 unité de jour",
)


@pytest.mark.parametrize(("text", "dose"), DOSES)
def test_a_dose_is_found_however_it_is_written(text: str, dose: str) -> None:
    assert dose_in(text) == dose


@pytest.mark.parametrize("text", MEASUREMENTS)
def test_a_measurement_is_no_dose(text: str) -> None:
    assert dose_in(text) == ""


@given(
    st.integers(1, 9999),
    st.sampled_from(("", " ", "\u00a0", "\u202f")),
    st.sampled_from(("mg", "µg", "UI", "ml", "comprimés", "gélules", "ampoules", "tablets")),
    st.sampled_from(("", " le matin", ", puis rappeler", "/jour")),
)
def test_every_number_before_such_a_unit_is_a_dose(number: int, space: str, unit: str, after: str) -> None:
    assert dose_in(f"prendre {number}{space}{unit}{after}").startswith(f"{number}")


@pytest.mark.parametrize("key", ["title", "check"])
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_a_rule_whose_text_names_a_dose_is_refused_in_either_language(key: str, lang: str) -> None:
    texts = {"fr": "voir", "en": "look"} | {lang: "40 mg de furosémide"}
    old = {"title": 'title = { fr = "Titre", en = "Title" }', "check": 'check = { fr = "voir", en = "look" }'}[key]
    name, text = "level", only_form("level")
    start = text.index(f'id = "{name}"')
    place = text.index(old, start)
    new = f'{key} = {{ fr = "{texts["fr"]}", en = "{texts["en"]}" }}'
    (fault,) = faults(text[:place] + new + text[place + len(old) :])
    assert (fault.key, fault.line) == (f"rules.{name}.{key}", text[:place].count("\n") + 1)
    assert "« 40 mg » est une dose" in fault.message.fr
    assert "le traitement a-t-il été pris" in fault.message.fr
    assert "write one thing to check" in fault.message.en


@pytest.mark.parametrize("name", packaged_protocols())
def test_no_protocol_that_ships_names_a_dose(name: str) -> None:
    for rule in packaged(name).rules:
        for text in (rule.words.title, rule.words.check):
            assert dose_in(text.fr) == dose_in(text.en) == ""
