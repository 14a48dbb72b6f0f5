"""What a nurse reads."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from alerting.alert import Evidence, Sentence
from alerting.care_protocol import Rule
from alerting.explain import Telling, explain
from alerting.rules import ChangeRule, Direction, LevelRule, Side
from alerting.scheduled_rules import MissingRule
from devices.reading import Quantity
from tests.alerting.worlds import DAY, HOUR, MINUTE, PARIS, START, packaged

RULES: dict[str, Rule] = {rule.id: rule for name in ("diabetes_cgm", "heart_failure") for rule in packaged(name).rules}


def evidence(quantity: Quantity, count: int, at: int) -> Evidence:
    return Evidence(quantity=quantity, count=count, measured_at=at, received_at=at, device="d", key="k")


def sentence(
    rule: Rule,
    *counts: tuple[int, int],
    onset: int | None = None,
    zone: ZoneInfo = PARIS,
    late: bool = False,
    withdrawn: bool = False,
) -> Sentence:
    shown = [evidence(rule.quantity, count, at) for count, at in counts]
    raised_at = counts[-1][1] if onset is None or not isinstance(rule, MissingRule) else onset
    first = counts[0][1] if onset is None else onset
    telling = Telling(rule=rule, onset=first, raised_at=raised_at, evidence=shown, late=late, withdrawn=withdrawn)
    return explain(telling, zone)


def plain(text: str) -> str:
    return text.replace("\u00a0", "~")


def test_a_rise_in_weight() -> None:
    told = sentence(
        RULES["weight_gain_3_days"],
        (71_200, START + 20 * MINUTE),
        (73_600, START + 2 * DAY + 17 * MINUTE),
        onset=START + 2 * DAY,
    )
    assert plain(told.fr) == (
        "Prise de poids rapide~: +2,4~kg en 3~jours (71,2~kg le 3 mars à 08:31, 73,6~kg le 5 mars à 08:28)~; "
        "seuil +2,0~kg~; à vérifier~: se repeser au prochain lever, jambes gonflées, essoufflement, "
        "oreillers pour dormir"
    )
    assert told.en == (
        "Fast weight gain: +2.4 kg in 3 days (71.2 kg on 3 March at 08:31, 73.6 kg on 5 March at 08:28); "
        "threshold +2.0 kg; to check: weigh again on next rising, swollen legs, breathlessness, pillows to sleep"
    )


def test_a_fall_in_weight_has_a_minus_sign_and_every_gram_that_counted() -> None:
    rule = RULES["weight_gain_1_day"]
    assert isinstance(rule, ChangeRule)
    told = sentence(replace(rule, direction=Direction.FALL), (73_600, START), (72_235, START + HOUR))
    assert "\u22121,365\u00a0kg en 24\u00a0h (73,6\u00a0kg le 3 mars à 08:11, 72,235" in told.fr
    assert "seuil \u22121,36\u00a0kg" in told.fr
    assert "\u22121.365 kg in 24 h" in told.en


def test_a_low_glucose_says_since_when() -> None:
    told = sentence(RULES["hypo_level_1"], (680, START), (652, START + 10 * MINUTE))
    assert plain(told.fr).startswith(
        "Hypoglycémie de niveau 1 au capteur~: 65,2~mg/dL le 3 mars à 08:21, sous le seuil de 70~mg/dL depuis 08:11~;"
    )
    assert told.en.startswith(
        "Level 1 sensor hypoglycaemia: 65.2 mg/dL on 3 March at 08:21, below the threshold of 70 mg/dL since 08:11; "
    )


def test_a_run_that_began_the_day_before_says_the_day() -> None:
    told = sentence(RULES["hyper_level_1"], (1900, START), (1900, START + DAY))
    assert "au-dessus du seuil de 180\u00a0mg/dL depuis le 3 mars à 08:11" in told.fr


@pytest.mark.parametrize(
    ("side", "fr", "en"),
    [
        (Side.BELOW, "sous le seuil de 180~mmHg", "below the threshold of 180 mmHg"),
        (Side.AT_MOST, "à 180~mmHg ou moins", "at 180 mmHg or less"),
        (Side.AT_LEAST, "à 180~mmHg ou plus", "at 180 mmHg or more"),
        (Side.ABOVE, "au-dessus du seuil de 180~mmHg", "above the threshold of 180 mmHg"),
    ],
)
def test_each_side_of_a_threshold_has_its_words(side: Side, fr: str, en: str) -> None:
    rule = RULES["systolic_crisis"]
    assert isinstance(rule, LevelRule)
    told = sentence(replace(rule, side=side), (1835, START))
    assert f"183,5~mmHg le 3 mars à 08:11, {fr}~; à vérifier" in plain(told.fr)
    assert f"183.5 mmHg on 3 March at 08:11, {en}; to check" in told.en


def test_a_sensor_at_the_end_of_its_range_is_not_given_a_number() -> None:
    assert "sous la plage du capteur le" in sentence(RULES["hypo_level_2"], (100, START)).fr
    told = sentence(RULES["hyper_level_2"], (10_000, START))
    assert "au-dessus de la plage du capteur le" in told.fr
    assert "above the sensor's range on" in told.en


def test_an_absence_says_the_last_reading() -> None:
    told = sentence(RULES["no_glucose"], (1120, START), onset=START + 3 * HOUR)
    assert plain(told.fr).startswith(
        "Glucose non reçu~: aucune mesure depuis celle de 112~mg/dL le 3 mars à 08:11~; attendue sous 1~h, "
        "plus 2~h de marge~; à vérifier~:"
    )
    assert "no reading since that of 112 mg/dL on 3 March at 08:11; expected within 1 h, plus 2 h of grace" in told.en


def test_an_absence_from_the_beginning_says_so() -> None:
    rule = RULES["no_weight"]
    assert isinstance(rule, MissingRule)
    rule = replace(rule, expected=90 * MINUTE, grace=0)
    told = explain(Telling(rule=rule, onset=START + 90 * MINUTE, raised_at=START + 90 * MINUTE, evidence=()), PARIS)
    assert plain(told.fr).startswith(
        "Poids non reçu~: aucune pesée depuis le début de la surveillance le 3 mars à 08:11~; "
        "attendue sous 1~h~30~min~; "
    )
    assert "no weighing since watching began on 3 March at 08:11; expected within 1 h 30 min; to check" in told.en


def test_a_reading_from_before_watching_began_is_not_what_absence_counts_from() -> None:
    told = sentence(RULES["no_glucose"], (1120, START - DAY), onset=START + 3 * HOUR)
    assert "depuis le début de la surveillance le 3 mars à 08:11" in told.fr


def test_seconds_and_days_are_said_as_such() -> None:
    rule = RULES["no_weight"]
    assert isinstance(rule, MissingRule)
    told = sentence(replace(rule, expected=2 * DAY, grace=30_000), (70_000, START), onset=START + 2 * DAY + 30_000)
    assert "attendue sous 2\u00a0jours, plus 30\u00a0s de marge" in told.fr


def test_late_and_withdrawn_alerts_say_so() -> None:
    told = sentence(RULES["hypo_level_1"], (600, START), late=True, withdrawn=True)
    assert plain(told.fr).endswith(
        "~; mesure reçue en retard~; retirée~: les mesures reçues en retard ne la confirment pas"
    )
    assert told.en.endswith("; reading received late; withdrawn: readings received late do not bear it out")


def test_the_first_of_a_month_is_1er() -> None:
    told = sentence(RULES["hypo_level_1"], (600, START - 2 * DAY))
    assert "le 1er mars à 08:11" in told.fr
    assert "on 1 March at 08:11" in told.en


def test_the_hour_that_occurs_twice_says_its_offset() -> None:
    twice = 1_792_888_200_000  # 2026-10-25T00:30:00Z, 02:30 in Paris, an hour before 02:30 again
    assert "à 02:30 (UTC+2)" in sentence(RULES["hypo_level_1"], (600, twice)).fr
    assert "à 02:30 (UTC+1)" in sentence(RULES["hypo_level_1"], (600, twice + HOUR)).fr
    assert "à 03:30," in sentence(RULES["hypo_level_1"], (600, twice + 2 * HOUR)).fr


def test_the_hour_that_does_not_exist_is_never_said() -> None:
    spring = 1_774_744_200_000  # 2026-03-29T00:30:00Z, 01:30 in Paris
    assert "à 01:30," in sentence(RULES["hypo_level_1"], (600, spring)).fr
    assert "à 03:30," in sentence(RULES["hypo_level_1"], (600, spring + HOUR)).fr


def test_other_zones_and_units_are_shown_in_the_reader_s_form() -> None:
    rule = RULES["systolic_low"]
    assert isinstance(rule, LevelRule)
    kolkata = ZoneInfo("Asia/Kolkata")
    assert (
        "36,6\u00a0°C le 3 mars à 12:41"
        in sentence(replace(rule, quantity=Quantity.BODY_TEMPERATURE), (3660, START), zone=kolkata).fr
    )
    told = sentence(replace(rule, quantity=Quantity.SPO2), (880, START))
    assert "88\u00a0%" in told.fr
    assert "88%" in told.en
