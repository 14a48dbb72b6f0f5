"""What a nurse reads of a baseline, a share of readings or a mean over a schedule."""

from dataclasses import replace

import pytest

from alerting.rules import Baseline, Direction
from devices.reading import Quantity, Unit
from tests.alerting.tellings import HOME_PRESSURE, LONG_HIGH, OVER_BASELINE, evidence, finding, raised, told
from tests.alerting.worlds import CGM, DAY, HOUR, SYSTOLIC, WEIGHT

NOW = evidence(WEIGHT, 73_600)
WEEK = 7 * DAY - HOUR


def test_a_gain_over_the_baseline_of_28_days() -> None:
    numbers = finding(OVER_BASELINE, 2_413, baseline=71_187, readings=5, span=WEEK)
    assert told(raised(OVER_BASELINE, NOW, finding=numbers)) == (
        (
            "73,6~kg le 3 mars à 08:11, +2,4~kg sur la référence de 28~jours (71,2~kg)~; 5~pesées sur 7~jours~; "
            "seuil +2,0~kg"
        ),
        (
            "73.6 kg on 3 March at 08:11, +2.4 kg from the baseline of 28 days (71.2 kg); 5 weighings over 7 days; "
            "threshold +2.0 kg"
        ),
    )


def test_a_gain_hardly_over_its_threshold_is_shown_over_it() -> None:
    shown = raised(OVER_BASELINE, NOW, finding=finding(OVER_BASELINE, 2_013, baseline=71_587))
    assert "+2,01~kg sur la référence de 28~jours (71,6~kg)~; seuil +2,0~kg" in told(shown)[0]


def test_a_baseline_that_leaves_out_the_last_days_says_so() -> None:
    rule = replace(OVER_BASELINE, window=35 * DAY, lag=5 * DAY)
    french, english = told(raised(rule, NOW, finding=finding(rule, 2_400)))
    assert "+2,4~kg sur la référence prise de 35~jours à 5~jours avant~; seuil" in french
    assert "+2.4 kg from the baseline taken from 35 days to 5 days before; threshold" in english


def test_a_gain_over_the_smoothed_average() -> None:
    rule = replace(OVER_BASELINE, statistic=Baseline.EWMA)
    french, english = told(raised(rule, NOW, finding=finding(rule, 2_400, baseline=71_200)))
    assert french.endswith(", +2,4~kg sur la moyenne lissée sur 28~jours (71,2~kg)~; seuil +2,0~kg")
    assert english.endswith(", +2.4 kg from the average smoothed over 28 days (71.2 kg); threshold +2.0 kg")


def test_a_gain_over_the_dry_weight() -> None:
    rule = replace(OVER_BASELINE, statistic=Baseline.DRY_WEIGHT, window=0, reference=71_200)
    french, english = told(raised(rule, NOW, finding=finding(rule, 2_400)))
    assert french.endswith(", +2,4~kg sur le poids sec fixé par le médecin (71,2~kg)~; seuil +2,0~kg")
    assert english.endswith(", +2.4 kg from the dry weight set by the physician (71.2 kg); threshold +2.0 kg")


def test_a_reference_of_another_quantity_is_no_dry_weight() -> None:
    rule = replace(OVER_BASELINE, statistic=Baseline.DRY_WEIGHT, quantity=SYSTOLIC, delta=200, reference=1_300)
    french, _ = told(raised(rule, evidence(SYSTOLIC, 1_520), finding=finding(rule, 220)))
    assert french.endswith(", +22~mmHg sur la référence fixée par le médecin (130~mmHg)~; seuil +20~mmHg")


@pytest.mark.parametrize(
    ("value", "fr", "en"),
    [
        (3_210, "à +3,2~écarts-types", "+3.2 standard deviations"),
        (1_000, "à +1,0~écart-type", "+1.0 standard deviation"),
        (1_501, "à +1,5~écart-type", "+1.5 standard deviations"),
    ],
)
def test_a_deviation_in_standard_deviations(value: int, fr: str, en: str) -> None:
    rule = replace(OVER_BASELINE, statistic=Baseline.SPC, delta=1_000)
    french, english = told(raised(rule, NOW, finding=finding(rule, value, baseline=71_200)))
    assert french.endswith(f", {fr} de la référence de 28~jours (71,2~kg)~; seuil +1~écart-type")
    assert english.endswith(f", {en} from the baseline of 28 days (71.2 kg); threshold +1 standard deviation")


def test_a_recent_average_over_the_long_one() -> None:
    rule = replace(OVER_BASELINE, statistic=Baseline.MACD, window=0, short=3, long=14, delta=990)
    assert told(raised(rule, NOW, finding=finding(rule, 1_012, readings=1))) == (
        (
            "73,6~kg le 3 mars à 08:11, moyenne récente (3~pesées) à +1,0~kg de la moyenne longue (14~pesées)~; "
            "seuil +0,99~kg"
        ),
        (
            "73.6 kg on 3 March at 08:11, recent average (3 weighings) +1.0 kg from the long average (14 weighings); "
            "threshold +0.99 kg"
        ),
    )


def test_losses_that_add_up() -> None:
    rule = replace(OVER_BASELINE, statistic=Baseline.CUSUM, direction=Direction.FALL, allowance=300)
    french, english = told(raised(rule, NOW, finding=finding(rule, -2_400)))
    assert french.endswith(
        ", −2,4~kg d'écarts cumulés avec la moyenne lissée sur 28~jours, au-delà des 0,3~kg tolérés chaque fois~; "
        "seuil −2,0~kg"
    )
    assert english.endswith(
        ", −2.4 kg of deviations added up from the average smoothed over 28 days, beyond the 0.3 kg allowed each time; "
        "threshold −2.0 kg"
    )


@pytest.mark.parametrize(("direction", "fr"), [(Direction.RISE, "hausse"), (Direction.FALL, "baisse")])
def test_a_deviation_whose_number_was_not_kept(direction: Direction, fr: str) -> None:
    french, _ = told(raised(replace(OVER_BASELINE, direction=direction)))
    assert french.startswith(f"le 3 mars à 08:11, {fr} au-delà du seuil sur la référence de 28~jours~; seuil ")


def test_most_readings_of_two_hours_over_250() -> None:
    shown = raised(LONG_HIGH, evidence(CGM, 2_680), finding=finding(LONG_HIGH, 9_166, readings=22))
    assert told(shown) == (
        (
            "92~% des mesures des 120~dernières minutes au-dessus de 250~mg/dL (22~mesures)~; seuil 75~%~; "
            "la dernière~: 268~mg/dL le 3 mars à 08:11"
        ),
        (
            "92% of the readings of the last 120 minutes above 250 mg/dL (22 readings); threshold 75%; "
            "the last: 268 mg/dL on 3 March at 08:11"
        ),
    )


def test_a_share_whose_numbers_were_not_kept() -> None:
    assert told(raised(LONG_HIGH))[0] == (
        "une part trop grande des mesures des 120~dernières minutes au-dessus de 250~mg/dL~; seuil 75~%"
    )


def test_the_last_reading_of_a_share_stays_apart_from_its_threshold_in_mmol() -> None:
    numbers = finding(LONG_HIGH, 7_500)
    french, _ = told(raised(LONG_HIGH, evidence(CGM, 2_501), finding=numbers, units={CGM: Unit.MMOL_PER_L}))
    assert "au-dessus de 13,877~mmol/L~; seuil 75~%~; la dernière~: 13,882~mmol/L" in french


def test_home_pressure_over_a_week() -> None:
    numbers = finding(HOME_PRESSURE, 1_384, readings=20)
    assert told(raised(HOME_PRESSURE, evidence(SYSTOLIC, 1_380), finding=numbers)) == (
        (
            "moyenne de 138,4~mmHg sur 7~jours, le premier écarté, à 135~mmHg ou plus (20~mesures sur 24 attendues)~; "
            "la dernière~: 138~mmHg le 3 mars à 08:11"
        ),
        (
            "mean of 138.4 mmHg over 7 days, the first left out, at 135 mmHg or more (20 readings of 24 expected); "
            "the last: 138 mmHg on 3 March at 08:11"
        ),
    )


def test_a_mean_of_every_day_whose_number_was_not_kept() -> None:
    rule = replace(HOME_PRESSURE, drop_first=False)
    assert told(raised(rule))[0] == "moyenne sur 7~jours, à 135~mmHg ou plus"


def test_a_mean_of_weights_has_the_decimals_of_weights() -> None:
    rule = replace(HOME_PRESSURE, quantity=Quantity.BODY_WEIGHT, threshold=80_000)
    assert told(raised(rule, finding=finding(rule, 81_234)))[0].startswith("moyenne de 81,2~kg sur 7~jours")
