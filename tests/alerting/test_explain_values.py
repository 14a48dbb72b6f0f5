"""What a nurse reads of a level, a rate, a forecast or a change."""

from dataclasses import replace

import pytest

from alerting.rules import Direction, Model, Side, Statistic
from devices.reading import Quantity, Unit
from tests.alerting.tellings import (
    FALLING,
    GAIN,
    LOSS,
    LOW,
    LOW_RISK,
    LOW_SOON,
    evidence,
    finding,
    raised,
    series,
    told,
)
from tests.alerting.worlds import CGM, DAY, MINUTE, START, WEIGHT

FALL = series(CGM, (1_000, 920, 840))
TWO_DAYS = (evidence(WEIGHT, 71_200), evidence(WEIGHT, 73_600, START + 2 * DAY))


def test_a_low_glucose_without_a_number_kept_is_told_without_one() -> None:
    assert told(replace(raised(LOW), onset=START - 10 * MINUTE)) == (
        "valeur mesurée le 3 mars à 08:11, sous le seuil de 70~mg/dL depuis 08:01",
        "a value measured on 3 March at 08:11, below the threshold of 70 mg/dL since 08:01",
    )


def test_a_value_just_beyond_its_threshold_is_never_shown_equal_to_it_in_mmol() -> None:
    shown = raised(LOW, evidence(CGM, 699), finding=finding(LOW, 699), units={CGM: Unit.MMOL_PER_L})
    assert told(shown) == (
        "3,88~mmol/L le 3 mars à 08:11, sous le seuil de 3,89~mmol/L",
        "3.88 mmol/L on 3 March at 08:11, below the threshold of 3.89 mmol/L",
    )
    far = raised(LOW, evidence(CGM, 540), units={CGM: Unit.MMOL_PER_L})
    assert told(far)[0] == "3,0~mmol/L le 3 mars à 08:11, sous le seuil de 3,9~mmol/L"


def test_glucose_in_grams_a_litre() -> None:
    shown = raised(LOW, evidence(CGM, 652), finding=finding(LOW, 652), units={CGM: Unit.G_PER_L})
    assert told(shown) == (
        "0,652~g/L le 3 mars à 08:11, sous le seuil de 0,70~g/L",
        "0.652 g/L on 3 March at 08:11, below the threshold of 0.70 g/L",
    )


def test_a_unit_that_a_quantity_does_not_have_is_not_used() -> None:
    assert told(raised(LOW, evidence(CGM, 652), units={CGM: Unit.KILOGRAM}))[0].startswith("65,2~mg/dL")


def test_a_full_saturation_is_no_sensor_out_of_its_range() -> None:
    rule = replace(LOW, quantity=Quantity.SPO2, side=Side.AT_MOST, threshold=1_000)
    assert told(raised(rule, evidence(Quantity.SPO2, 1_000)))[0] == "100~% le 3 mars à 08:11, à 100~% ou moins"


def test_a_fast_fall() -> None:
    shown = raised(FALLING, *FALL, finding=finding(FALLING, -32_000, readings=3, span=15 * MINUTE - 2_000))
    assert told(shown) == (
        (
            "84~mg/dL le 3 mars à 08:21, en baisse de 3,2~mg/dL par minute sur 15~min (3~mesures)~; "
            "seuil 3~mg/dL par minute"
        ),
        (
            "84 mg/dL on 3 March at 08:21, falling by 3.2 mg/dL per minute over 15 min (3 readings); "
            "threshold 3 mg/dL per minute"
        ),
    )


def test_a_fast_rise_of_the_pulse_without_its_readings() -> None:
    rule = replace(FALLING, quantity=Quantity.PULSE_RATE, direction=Direction.RISE, per_minute=50_000)
    assert told(raised(rule, finding=finding(rule, 50_000))) == (
        "le 3 mars à 08:11, en hausse de 5,0/min par minute sur 15~min~; seuil 5/min par minute",
        "on 3 March at 08:11, rising by 5.0/min per minute over 15 min; threshold 5/min per minute",
    )
    assert told(raised(rule))[0] == "le 3 mars à 08:11, en hausse~; seuil 5/min par minute"


def test_a_rate_just_over_its_threshold_shows_by_how_much() -> None:
    shown = raised(FALLING, *FALL, finding=finding(FALLING, -30_004))
    assert "en baisse de 3,0004~mg/dL par minute sur 15~min~; seuil 3~mg/dL" in told(shown)[0]


def test_a_low_foreseen_by_trend_and_ar2() -> None:
    assert told(raised(LOW_SOON, *FALL, finding=finding(LOW_SOON, 663))) == (
        "84~mg/dL le 3 mars à 08:21, prévision de 66~mg/dL dans 20~min (tendance et AR2), sous le seuil de 70~mg/dL",
        "84 mg/dL on 3 March at 08:21, forecast of 66 mg/dL in 20 min (trend and AR2), below the threshold of 70 mg/dL",
    )


@pytest.mark.parametrize(
    ("model", "fr", "en"),
    [
        (Model.LINEAR, "dans 20~min (tendance linéaire)", "in 20 min (linear trend)"),
        (Model.ROBUST_LINEAR, "dans 20~min (tendance médiane)", "in 20 min (median trend)"),
        (Model.AR2, "d'ici 20~min (modèle AR2)", "within 20 min (AR2 model)"),
    ],
)
def test_each_model_is_named(model: Model, fr: str, en: str) -> None:
    rule = replace(LOW_SOON, model=model)
    french, english = told(raised(rule, finding=finding(rule, 699)))
    assert french == f"le 3 mars à 08:11, prévision de 69,9~mg/dL {fr}, sous le seuil de 70~mg/dL"
    assert english == f"on 3 March at 08:11, forecast of 69.9 mg/dL {en}, below the threshold of 70 mg/dL"


def test_a_forecast_whose_number_was_not_kept() -> None:
    assert told(raised(LOW_SOON, *FALL))[0] == (
        "84~mg/dL le 3 mars à 08:21, prévision dans 20~min (tendance et AR2), sous le seuil de 70~mg/dL"
    )


def test_a_reading_still_above_the_threshold_that_is_foreseen_stays_above_it_in_mmol() -> None:
    last = evidence(CGM, 702)
    foreseen = raised(LOW_SOON, last, finding=finding(LOW_SOON, 698), units={CGM: Unit.MMOL_PER_L})
    assert told(foreseen)[0] == (
        "3,90~mmol/L le 3 mars à 08:11, prévision de 3,87~mmol/L dans 20~min (tendance et AR2), "
        "sous le seuil de 3,89~mmol/L"
    )
    risk = raised(LOW_RISK, last, finding=finding(LOW_RISK, 5_000), units={CGM: Unit.MMOL_PER_L})
    assert told(risk)[0].startswith("3,90~mmol/L le 3 mars à 08:11, risque estimé à 50~% de passer sous 3,89~mmol/L")


def test_a_risk_of_a_low() -> None:
    assert told(raised(LOW_RISK, *FALL, finding=finding(LOW_RISK, 5_312))) == (
        "84~mg/dL le 3 mars à 08:21, risque estimé à 53~% de passer sous 70~mg/dL dans les 20~min~; seuil 50~%",
        "84 mg/dL on 3 March at 08:21, risk estimated at 53% of going below 70 mg/dL within 20 min; threshold 50%",
    )


@pytest.mark.parametrize(
    ("side", "fr", "en"),
    [
        (Side.AT_MOST, "d'atteindre 70~mg/dL ou moins", "of reaching 70 mg/dL or less"),
        (Side.AT_LEAST, "d'atteindre 70~mg/dL ou plus", "of reaching 70 mg/dL or more"),
        (Side.ABOVE, "de dépasser 70~mg/dL", "of exceeding 70 mg/dL"),
    ],
)
def test_a_risk_names_the_side_of_its_threshold(side: Side, fr: str, en: str) -> None:
    french, english = told(raised(replace(LOW_RISK, side=side)))
    assert french == f"le 3 mars à 08:11, risque estimé {fr} dans les 20~min~; seuil 50~%"
    assert english == f"on 3 March at 08:11, risk estimated {en} within 20 min; threshold 50%"


def test_a_gain_of_weight_by_its_numbers() -> None:
    shown = raised(GAIN, *TWO_DAYS, finding=finding(GAIN, 2_400, baseline=71_200, readings=3, span=2 * DAY))
    assert told(shown) == (
        "+2,4~kg en 3~jours (71,2~kg le 3 mars à 08:11, 73,6~kg le 5 mars à 08:11)~; seuil +2,0~kg",
        "+2.4 kg in 3 days (71.2 kg on 3 March at 08:11, 73.6 kg on 5 March at 08:11); threshold +2.0 kg",
    )


def test_a_loss_of_weight_in_percent() -> None:
    highest, now = evidence(WEIGHT, 71_200), evidence(WEIGHT, 67_500, START + 30 * DAY)
    assert told(raised(LOSS, highest, now, finding=finding(LOSS, -519, baseline=71_200))) == (
        "−5,2~% en 30~jours (71,2~kg le 3 mars à 08:11, 67,5~kg le 2 avril à 09:11)~; seuil −5~%",
        "−5.2% in 30 days (71.2 kg on 3 March at 08:11, 67.5 kg on 2 April at 09:11); threshold −5%",
    )


def test_a_gain_over_the_mean_of_three_days() -> None:
    rule = replace(GAIN, statistic=Statistic.MEAN)
    shown = raised(rule, TWO_DAYS[1], finding=finding(rule, 2_413, baseline=71_187, readings=3, span=2 * DAY))
    assert told(shown) == (
        (
            "73,6~kg le 5 mars à 08:11, +2,4~kg par rapport à la moyenne sur 3~jours (71,2~kg)~; 3~pesées sur 2~jours"
            "~; seuil +2,0~kg"
        ),
        (
            "73.6 kg on 5 March at 08:11, +2.4 kg from the mean over 3 days (71.2 kg); 3 weighings over 2 days; "
            "threshold +2.0 kg"
        ),
    )


@pytest.mark.parametrize(
    ("statistic", "fr", "en"),
    [
        (Statistic.LOWEST, "au plus bas", "at its lowest"),
        (Statistic.HIGHEST, "au plus haut", "at its highest"),
        (Statistic.FIRST, "au début", "at first"),
    ],
)
def test_a_change_from_a_reading_that_is_not_shown_says_what_it_was(statistic: Statistic, fr: str, en: str) -> None:
    rule = replace(GAIN, statistic=statistic)
    french, english = told(raised(rule, TWO_DAYS[1], finding=finding(rule, 2_400, baseline=71_200)))
    assert french == f"+2,4~kg en 3~jours (71,2~kg {fr}, 73,6~kg le 5 mars à 08:11)~; seuil +2,0~kg"
    assert english == f"+2.4 kg in 3 days (71.2 kg {en}, 73.6 kg on 5 March at 08:11); threshold +2.0 kg"


def test_a_change_whose_numbers_were_not_kept() -> None:
    assert told(raised(GAIN)) == (
        "hausse au-delà du seuil en 3~jours~; seuil +2,0~kg",
        "a rise beyond the threshold in 3 days; threshold +2.0 kg",
    )
    assert told(raised(LOSS, TWO_DAYS[1]))[0] == (
        "baisse au-delà du seuil en 30~jours (73,6~kg le 5 mars à 08:11)~; seuil −5~%"
    )
