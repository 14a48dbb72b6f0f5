"""What a nurse reads of what the next graver alert would take, and of what was missing."""

from dataclasses import replace

import pytest

from alerting.alert import Priority
from alerting.care_protocol import Rule
from alerting.explain import Members, what_is_missing, why_not_higher
from alerting.rules import Direction, ForecastRule, RateRule, Side
from devices.reading import Quantity, Unit
from tests.alerting.tellings import (
    COMPRESSION,
    EVERY_RULE,
    FALLING,
    GAIN,
    HEART,
    HOME_PRESSURE,
    JUMP,
    LONG_HIGH,
    LOOSE_CUFF,
    LOSS,
    LOW,
    LOW_RISK,
    LOW_SOON,
    NEWS2,
    NO_MORNING_WEIGHT,
    NO_WEIGHT,
    OVER_BASELINE,
    STUCK,
    TOGETHER,
    evidence,
    finding,
    raised,
    read,
    titled,
    words,
)
from tests.alerting.worlds import CGM, DAY, HOUR, PARIS, START, SYSTOLIC, WEIGHT

LEVEL_2 = replace(
    LOW,
    id="level_2",
    priority=Priority.HIGH,
    threshold=540,
    words=words("Hypoglycémie de niveau 2", "Level 2 hypoglycaemia"),
)


def graver(rule: Rule, *others: Rule, **how: object) -> tuple[str, str] | None:
    sentence = why_not_higher(raised(rule), [rule, *others], **how)  # type: ignore[arg-type]
    return None if sentence is None else (read(sentence.fr), sentence.en)


def missing(rule: Rule, *shown: object, **more: object) -> tuple[str, str] | None:
    sentence = what_is_missing(raised(rule, *shown, **more), PARIS)  # type: ignore[arg-type]
    return None if sentence is None else (read(sentence.fr), sentence.en)


def test_a_level_1_says_what_level_2_would_take() -> None:
    assert graver(LOW, LEVEL_2) == (
        "«~Hypoglycémie de niveau 2~» n'est pas déclenchée~: il faudrait moins de 54~mg/dL pendant 15~min",
        "“Level 2 hypoglycaemia” is not raised: it would take less than 54 mg/dL for 15 min",
    )


def test_what_it_would_take_is_in_the_readers_unit() -> None:
    sentence = why_not_higher(raised(LOW, units={CGM: Unit.G_PER_L}), [LOW, LEVEL_2])
    assert sentence is not None
    assert read(sentence.fr).endswith("il faudrait moins de 0,54~g/L pendant 15~min")


def test_a_graver_alert_that_stands_already_is_named() -> None:
    assert graver(LOW, LEVEL_2, standing={"level_2"}) == (
        "«~Hypoglycémie de niveau 2~», plus grave, est déclenchée aussi",
        "“Level 2 hypoglycaemia”, which is graver, is raised too",
    )


def test_a_composite_says_which_of_its_members_are_not_met() -> None:
    both = replace(TOGETHER, id="both", priority=Priority.HIGH, words=words("Décompensation", "Decompensation"))
    members = {"both": Members(true=titled("Poids"), false=titled("Saturation"), unknown=titled("Pouls"))}
    assert graver(GAIN, both, members=members) == (
        (
            "«~Décompensation~» n'est pas déclenchée~: il faudrait au moins 2 de ses 3~conditions en 24~h~; "
            "non remplie~: «~Saturation~»~; sans mesure récente pour juger «~Pouls~»"
        ),
        (
            "“Decompensation” is not raised: it would take at least 2 of its 3 conditions within 24 h; "
            "not met: “Saturation”; no recent reading to judge “Pouls”"
        ),
    )
    two = {"both": Members(false=titled("Saturation", "Pouls"))}
    told = graver(GAIN, both, members=two)
    assert told is not None
    assert told[0].endswith("; non remplies~: «~Saturation~», «~Pouls~»")


def test_a_graver_composite_filed_under_another_quantity_counts_too() -> None:
    saturation = replace(LOW, quantity=Quantity.SPO2, threshold=920)
    told = graver(saturation, replace(TOGETHER, priority=Priority.HIGH))
    assert told is not None
    assert told[0] == "«~Titre~» n'est pas déclenchée~: il faudrait au moins 2 de ses 3~conditions en 24~h"


CONDITIONS: list[tuple[Rule, str, str]] = [
    (replace(LOW, persist=0), "moins de 70~mg/dL", "less than 70 mg/dL"),
    (replace(LOW, side=Side.AT_MOST, persist=0), "70~mg/dL ou moins", "70 mg/dL or less"),
    (replace(LOW, side=Side.AT_LEAST, persist=0), "70~mg/dL ou plus", "70 mg/dL or more"),
    (replace(LOW, side=Side.ABOVE, persist=0), "plus de 70~mg/dL", "more than 70 mg/dL"),
    (
        FALLING,
        "une baisse d'au moins 3~mg/dL par minute sur 15~min",
        "a fall of at least 3 mg/dL per minute over 15 min",
    ),
    (LOW_SOON, "une prévision sous 70~mg/dL dans les 20~min", "a forecast below 70 mg/dL within 20 min"),
    (
        LOW_RISK,
        "un risque d'au moins 50~% de passer sous 70~mg/dL dans les 20~min",
        "a risk of at least 50% of going below 70 mg/dL within 20 min",
    ),
    (GAIN, "une hausse d'au moins 2,0~kg en 3~jours", "a rise of at least 2.0 kg in 3 days"),
    (LOSS, "une baisse d'au moins 5~% en 30~jours", "a fall of at least 5% in 30 days"),
    (
        OVER_BASELINE,
        "un écart d'au moins +2,0~kg avec la référence de 28~jours",
        "a difference of at least +2.0 kg from the baseline of 28 days",
    ),
    (
        LONG_HIGH,
        "au moins 75~% des mesures des 120~dernières minutes au-dessus de 250~mg/dL",
        "at least 75% of the readings of the last 120 minutes above 250 mg/dL",
    ),
    (HOME_PRESSURE, "une moyenne à 135~mmHg ou plus sur 7~jours", "a mean at 135 mmHg or more over 7 days"),
    (NO_WEIGHT, "36~h sans pesée", "36 h without a weighing"),
    (NO_MORNING_WEIGHT, "un jour sans pesée à 12:00", "a day without a weighing by 12:00"),
    (
        LOOSE_CUFF,
        "1~mesure avec~: mouvement pendant la mesure, brassard trop lâche",
        "1 reading with: movement during the measurement, cuff too loose",
    ),
    (STUCK, "la même valeur pendant 2~h", "the same value for 2 h"),
    (JUMP, "un écart d'au moins 40~mg/dL", "a difference of at least 40 mg/dL"),
    (COMPRESSION, "une baisse brusque la nuit, vite remontée", "a steep fall at night, soon regained"),
    (NEWS2, "un NEWS2 d'au moins 5~points", "a NEWS2 of at least 5 points"),
    (HEART, "un indice d'au moins 5,65", "an index of at least 5.65"),
    (replace(TOGETHER, window=0), "au moins 2 de ses 3~conditions", "at least 2 of its 3 conditions"),
]


@pytest.mark.parametrize(("rule", "fr", "en"), CONDITIONS)
def test_every_kind_says_what_it_waits_for(rule: Rule, fr: str, en: str) -> None:
    low = replace(rule, id="first", priority=Priority.LOW)
    assert graver(low, replace(rule, id="graver", priority=Priority.MEDIUM)) == (
        f"«~Titre~» n'est pas déclenchée~: il faudrait {fr}",
        f"“Title” is not raised: it would take {en}",
    )


def test_every_kind_is_among_them() -> None:
    assert {type(rule) for rule, _, _ in CONDITIONS} == {type(rule) for rule in EVERY_RULE}


def test_the_least_grave_of_its_own_kind_with_the_nearest_threshold_comes_first() -> None:
    least = replace(LOW, priority=Priority.LOW)
    farther = replace(LOW, id="farther", threshold=400, words=words("Loin", "Far"))
    nearer = replace(LOW, id="nearer", threshold=600, words=words("Près", "Near"))
    soon = replace(LOW_SOON, words=words("Bientôt", "Soon"))
    told = graver(least, LEVEL_2, soon, farther, nearer)
    assert told is not None
    assert told[0].startswith("«~Près~»")
    told = graver(least, LEVEL_2, soon)
    assert told is not None
    assert told[0].startswith("«~Bientôt~»")


def test_of_two_absences_the_nearest_is_told() -> None:
    longer = replace(NO_WEIGHT, id="longer", priority=Priority.MEDIUM, grace=24 * HOUR, words=words("Loin", "Far"))
    nearer = replace(NO_WEIGHT, id="nearer", priority=Priority.MEDIUM, grace=18 * HOUR, words=words("Près", "Near"))
    told = graver(NO_WEIGHT, longer, nearer)
    assert told is not None
    assert told[0] == "«~Près~» n'est pas déclenchée~: il faudrait 42~h sans pesée"


@pytest.mark.parametrize(
    ("rule", "other"),
    [
        (LOW, LOW),
        (LEVEL_2, LOW),
        (LOW, replace(LEVEL_2, side=Side.ABOVE, threshold=2_500)),
        (LOW, replace(LEVEL_2, quantity=Quantity.GLUCOSE_CAPILLARY)),
        (FALLING, replace(FALLING, priority=Priority.HIGH, direction=Direction.RISE)),
        (LOW, replace(STUCK, priority=Priority.HIGH)),
        (STUCK, LEVEL_2),
        (STUCK, replace(JUMP, priority=Priority.HIGH)),
    ],
)
def test_a_rule_no_graver_or_about_something_else_is_not_told(rule: Rule, other: Rule) -> None:
    assert graver(rule, other) is None


def test_a_rate_or_a_forecast_must_last_where_its_rule_says_so() -> None:
    for rule in (FALLING, LOW_SOON):
        assert isinstance(rule, RateRule | ForecastRule)
        told = graver(replace(rule, priority=Priority.LOW), replace(rule, persist=10 * 60_000))
        assert told is not None
        assert told[0].endswith(" pendant 10~min")


def test_a_level_misses_nothing() -> None:
    assert missing(LOW, evidence(CGM, 652)) is None


def test_a_news2_misses_what_is_stale_absent_or_measured_by_no_device() -> None:
    stale = evidence(Quantity.PULSE_RATE, 1_120, START - 3 * DAY)
    older = evidence(Quantity.PULSE_RATE, 990, START - 4 * DAY)
    lacking = (Quantity.PULSE_RATE, Quantity.BODY_TEMPERATURE)
    assert missing(NEWS2, evidence(Quantity.SPO2, 910), signals=(stale, older), lacking=lacking) == (
        (
            "pouls~: dernière mesure 112/min le 28 février à 08:11~; température~: aucune mesure~; "
            "aucun appareil ne mesure~: conscience, fréquence respiratoire"
        ),
        (
            "pulse: last reading 112/min on 28 February at 08:11; temperature: no reading; "
            "no device measures: consciousness, respiratory rate"
        ),
    )


def test_a_heart_failure_index_misses_the_past_of_a_fresh_reading() -> None:
    lacking = (Quantity.HEART_RATE, SYSTOLIC)
    old = evidence(SYSTOLIC, 1_240, START - 3 * DAY)
    told = missing(HEART, evidence(Quantity.HEART_RATE, 960), lacking=lacking, signals=(old,))
    assert told == (
        (
            "fréquence cardiaque~: trop peu de mesures pour connaître l'habitude (96/min le 3 mars à 08:11)~; "
            "pression systolique~: dernière mesure 124~mmHg le 28 février à 08:11"
        ),
        (
            "heart rate: too few readings to know what is usual (96/min on 3 March at 08:11); "
            "systolic pressure: last reading 124 mmHg on 28 February at 08:11"
        ),
    )
    assert missing(HEART, evidence(WEIGHT, 73_600)) is None


@pytest.mark.parametrize(
    ("counted", "told"),
    [
        (20, ("4~mesures manquent sur 24 attendues", "4 readings missing of 24 expected")),
        (23, ("1~mesure manque sur 24 attendues", "1 reading missing of 24 expected")),
        (24, None),
        (0, None),
    ],
)
def test_a_mean_misses_the_readings_that_were_not_taken(counted: int, told: tuple[str, str] | None) -> None:
    assert missing(HOME_PRESSURE, finding=finding(HOME_PRESSURE, 1_384, readings=counted)) == told


def test_a_composite_misses_what_could_not_be_judged() -> None:
    assert missing(TOGETHER, members=Members(unknown=titled("Pouls"))) == (
        "sans mesure récente pour juger «~Pouls~»",
        "no recent reading to judge “Pouls”",
    )
