"""What a nurse reads of a NEWS2, of the heart-failure index and of a composite."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting import news2
from alerting.explain import Members
from alerting.scheduled_rules import NEWS2_QUANTITIES
from devices.reading import Quantity, facts
from tests.alerting.oracle.news2 import points_of
from tests.alerting.tellings import HEART, NEWS2, TOGETHER, evidence, finding, raised, titled, told
from tests.alerting.worlds import HOUR, MINUTE, START, SYSTOLIC, WEIGHT, reading

SATURATION = evidence(Quantity.SPO2, 910)
PRESSURE = evidence(SYSTOLIC, 1_240)
PULSE = evidence(Quantity.PULSE_RATE, 1_120)
TEMPERATURE = evidence(Quantity.BODY_TEMPERATURE, 3_860)
WEIGHING = evidence(WEIGHT, 73_600)
RATE = evidence(Quantity.HEART_RATE, 960)


def test_a_news2_names_the_points_of_each_input_and_what_no_device_measures() -> None:
    assert told(raised(NEWS2, SATURATION, PRESSURE, PULSE, TEMPERATURE, finding=finding(NEWS2, 6))) == (
        (
            "NEWS2 d'au moins 6~points le 3 mars à 08:11 (seuil 5)~: saturation 91~% (3), pouls 112/min (2), "
            "température 38,6~°C (1), pression systolique 124~mmHg (0)~; pas comptés, faute de mesure~: conscience, "
            "fréquence respiratoire"
        ),
        (
            "NEWS2 of at least 6 points on 3 March at 08:11 (threshold 5): saturation 91% (3), pulse 112/min (2), "
            "temperature 38.6 °C (1), systolic pressure 124 mmHg (0); not counted, for want of a reading: "
            "consciousness, respiratory rate"
        ),
    )


def test_a_single_sign_of_three_points_is_enough() -> None:
    lacking = (Quantity.PULSE_RATE, Quantity.BODY_TEMPERATURE)
    assert told(raised(NEWS2, SATURATION, PRESSURE, lacking=lacking, finding=finding(NEWS2, 5))) == (
        (
            "NEWS2 d'au moins 3~points le 3 mars à 08:11 (un seul signe à 3 points suffit)~: saturation 91~% (3), "
            "pression systolique 124~mmHg (0)~; pas comptés, faute de mesure~: conscience, fréquence respiratoire, "
            "pouls, température"
        ),
        (
            "NEWS2 of at least 3 points on 3 March at 08:11 (a single sign of 3 points is enough): saturation 91% (3), "
            "systolic pressure 124 mmHg (0); not counted, for want of a reading: consciousness, respiratory rate, "
            "pulse, temperature"
        ),
    )


def test_oxygen_counts_and_respiration_that_is_measured_is_not_called_lacking() -> None:
    rule = replace(NEWS2, oxygen=True, scale=2, of=(*NEWS2.of, Quantity.RESPIRATORY_RATE))
    french, english = told(
        raised(rule, SATURATION, evidence(Quantity.RESPIRATORY_RATE, 220), PULSE, finding=finding(rule, 6))
    )
    assert french == (
        "NEWS2 d'au moins 6~points le 3 mars à 08:11 (seuil 5)~: pouls 112/min (2), fréquence respiratoire 22/min (2), "
        "saturation 91~% (0), oxygène (2)~; pas comptés, faute de mesure~: conscience"
    )
    assert "saturation 91% (0), oxygen (2); not counted" in english


def test_points_that_do_not_add_up_to_what_was_judged_are_not_told() -> None:
    french, _ = told(raised(NEWS2, SATURATION, finding=finding(NEWS2, 8)))
    assert french.startswith("NEWS2 d'au moins 8~points le 3 mars à 08:11 (seuil 5)~: saturation 91~%~; pas comptés")


def test_a_news2_without_its_number_nor_its_readings() -> None:
    assert told(raised(NEWS2))[0].startswith("NEWS2 le 3 mars à 08:11 (seuil 5)~; pas comptés")


@pytest.mark.parametrize(
    ("pulse_at", "rate_at", "shown"),
    [(0, 0, "pouls 112/min"), (0, 1, "fréquence cardiaque 96/min"), (1, 0, "pouls 112/min")],
)
def test_of_pulse_and_heart_rate_the_fresher_counts(pulse_at: int, rate_at: int, shown: str) -> None:
    rule = replace(NEWS2, of=(Quantity.HEART_RATE, Quantity.PULSE_RATE, Quantity.SPO2))
    pulse = replace(PULSE, measured_at=START + pulse_at * MINUTE)
    rate = replace(RATE, measured_at=START + rate_at * MINUTE)
    french, _ = told(raised(rule, pulse, rate))
    assert shown in french
    assert ("pouls" in french) + ("cardiaque" in french) == 1


def test_a_stale_reading_is_no_input() -> None:
    old = replace(PULSE, measured_at=START - 13 * HOUR)
    assert "pouls" not in told(raised(NEWS2, SATURATION, signals=(old,)))[0]
    older = replace(SATURATION, measured_at=START - HOUR, count=950)
    assert "saturation 91~%" in told(raised(NEWS2, SATURATION, older))[0]


@given(
    st.sampled_from(NEWS2_QUANTITIES),
    st.integers(0, 3_000) | st.integers(2_500, 4_500),
    st.sampled_from((1, 2)),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_points_named_are_those_of_the_chart(quantity: Quantity, count: int, scale: int, oxygen: bool) -> None:  # noqa: FBT001 - drawn
    expected = points_of(reading(quantity, count, START), scale=scale, oxygen=oxygen)
    assert news2.points(quantity, count, scale=scale, oxygen=oxygen) == expected


def test_the_chart_is_whole() -> None:
    for quantity in NEWS2_QUANTITIES:
        for count in range(facts(quantity).low, facts(quantity).high, 7):
            expected = points_of(reading(quantity, count, START), scale=1, oxygen=False)
            assert news2.points(quantity, count, scale=1, oxygen=False) == expected


def test_a_heart_failure_index_names_its_signs() -> None:
    numbers = finding(HEART, 5_812)
    saturation = evidence(Quantity.SPO2, 930)
    assert told(raised(HEART, WEIGHING, saturation, lacking=(Quantity.HEART_RATE, SYSTOLIC), finding=numbers)) == (
        (
            "le 3 mars à 08:11, signes qui, ensemble, s'écartent de l'habitude de la personne~: poids 73,6~kg, "
            "saturation 93~%~; indice 5,8, seuil 5,65~; pas comptés~: fréquence cardiaque, pression systolique"
        ),
        (
            "on 3 March at 08:11, signs that together depart from what is usual for the person: weight 73.6 kg, "
            "saturation 93%; index 5.8, threshold 5.65; not counted: heart rate, systolic pressure"
        ),
    )


def test_a_heart_failure_index_names_first_what_weighs_most() -> None:
    weights = {WEIGHT: 1_000, Quantity.SPO2: 2_500, Quantity.HEART_RATE: -125}
    shown = raised(HEART, WEIGHING, RATE, evidence(Quantity.SPO2, 930), weights=weights, finding=finding(HEART, 5_651))
    assert told(shown) == (
        (
            "le 3 mars à 08:11, signes qui, ensemble, s'écartent de l'habitude de la personne, du plus au moins "
            "marqué~: saturation 93~%, poids 73,6~kg~; indice 5,7, seuil 5,65"
        ),
        (
            "on 3 March at 08:11, signs that together depart from what is usual for the person, the most marked first: "
            "saturation 93%, weight 73.6 kg; index 5.7, threshold 5.65"
        ),
    )


def test_a_heart_failure_index_without_its_number_nor_its_readings() -> None:
    assert told(raised(HEART))[0] == (
        "le 3 mars à 08:11, signes qui, ensemble, s'écartent de l'habitude de la personne~; indice, seuil 5,65"
    )


def test_a_composite_names_what_is_true_and_what_is_unknown() -> None:
    members = Members(true=titled("Prise de poids", "Saturation basse"), unknown=titled("Pouls rapide"))
    assert told(raised(TOGETHER, WEIGHING, members=members, finding=finding(TOGETHER, 2))) == (
        (
            "2~conditions réunies sur 3 en 24~h, le 3 mars à 08:11 (2 nécessaires)~: «~Prise de poids~», "
            "«~Saturation basse~»~; sans mesure récente pour juger «~Pouls rapide~»"
        ),
        (
            "2 of 3 conditions met within 24 h, on 3 March at 08:11 (2 needed): “Prise de poids”, “Saturation basse”; "
            "no recent reading to judge “Pouls rapide”"
        ),
    )


def test_a_composite_of_one_at_one_time() -> None:
    rule = replace(TOGETHER, at_least=1, window=0)
    assert told(raised(rule, members=Members(true=titled("Prise de poids")))) == (
        "1~condition réunie sur 3, le 3 mars à 08:11 (1 nécessaire)~: «~Prise de poids~»",
        "1 of 3 conditions met, on 3 March at 08:11 (1 needed): “Prise de poids”",
    )


def test_a_composite_whose_members_were_not_kept() -> None:
    assert told(raised(TOGETHER))[0] == "conditions réunies en 24~h, le 3 mars à 08:11 (2 nécessaires)"


@pytest.mark.parametrize(("many", "fr", "en"), [(6, "1~autre", "1 more"), (11, "6~autres", "6 more")])
def test_of_many_members_those_that_there_is_room_for_are_named(many: int, fr: str, en: str) -> None:
    members = Members(true=titled(*(f"Un titre de vingt-cinq lettres {one}" for one in range(many))))
    french, english = told(raised(TOGETHER, members=members))
    assert french.endswith(f", «~Un titre de vingt-cinq lettres 4~» et {fr}")
    assert english.endswith(f", “Un titre de vingt-cinq lettres 4” and {en}")


def test_a_long_title_within_another_sentence_is_cut() -> None:
    french, _ = told(raised(TOGETHER, members=Members(unknown=titled("Un titre " * 20))))
    assert french.endswith("sans mesure récente pour juger «~Un titre Un titre Un titre Un titre Un titre Un t…~»")
