"""What a nurse reads of a reading that did not come, or of one whose quality is in doubt."""

from dataclasses import replace

import pytest

from alerting.quantity_words import FLAGS
from devices.reading import Quality
from tests.alerting.tellings import (
    COMPRESSION,
    JUMP,
    LOOSE_CUFF,
    NO_MORNING_WEIGHT,
    NO_WEIGHT,
    STUCK,
    evidence,
    finding,
    raised,
    series,
    told,
)
from tests.alerting.worlds import CGM, DAY, HOUR, MINUTE, START, SYSTOLIC, WEIGHT

MIDNIGHT = START - START % DAY - HOUR  # 2026-03-03 00:00 in Paris
LOOSE = evidence(SYSTOLIC, 1_830, quality=Quality.CUFF_TOO_LOOSE | Quality.IRREGULAR_PULSE)


def test_a_weighing_that_did_not_come_within_its_time() -> None:
    at = START + 36 * HOUR
    assert told(replace(raised(NO_WEIGHT, evidence(WEIGHT, 71_200)), onset=at, raised_at=at)) == (
        "aucune pesée depuis celle de 71,2~kg le 3 mars à 08:11~; attendue sous 24~h, plus 12~h de marge",
        "no weighing since that of 71.2 kg on 3 March at 08:11; expected within 24 h, plus 12 h of grace",
    )


def test_a_morning_without_a_weighing() -> None:
    due = MIDNIGHT + 11 * HOUR
    shown = replace(
        raised(NO_MORNING_WEIGHT, evidence(WEIGHT, 71_200, START - DAY)), onset=due + HOUR, raised_at=due + HOUR
    )
    assert told(shown) == (
        "aucune pesée le 3 mars~; attendue avant 11:00, plus 1~h de marge~; la dernière~: 71,2~kg le 2 mars à 08:11",
        "no weighing on 3 March; expected before 11:00, plus 1 h of grace; the last: 71.2 kg on 2 March at 08:11",
    )


def test_a_morning_without_a_weighing_nor_one_ever_before() -> None:
    due = MIDNIGHT + 11 * HOUR
    assert told(replace(raised(replace(NO_MORNING_WEIGHT, grace=0)), onset=due, raised_at=due)) == (
        "aucune pesée le 3 mars~; attendue avant 11:00",
        "no weighing on 3 March; expected before 11:00",
    )


def test_an_hour_that_the_night_left_out_is_asked_for_an_hour_later() -> None:
    spring = 1_774_746_000_000  # 2026-03-29T01:00:00Z: 02:00 became 03:00 in Paris
    shown = replace(raised(replace(NO_MORNING_WEIGHT, by=120, grace=0)), onset=spring, raised_at=spring)
    assert told(shown)[0] == "aucune pesée le 29 mars~; attendue avant 03:00"


def test_a_loose_cuff() -> None:
    assert told(raised(LOOSE_CUFF, LOOSE, finding=finding(LOOSE_CUFF, 1))) == (
        "brassard trop lâche~: 183~mmHg le 3 mars à 08:11",
        "cuff too loose: 183 mmHg on 3 March at 08:11",
    )


def test_flags_that_were_not_kept_are_those_of_the_rule() -> None:
    assert told(raised(LOOSE_CUFF)) == (
        "mouvement pendant la mesure, brassard trop lâche~: le 3 mars à 08:11",
        "movement during the measurement, cuff too loose: on 3 March at 08:11",
    )


def test_several_doubtful_readings_in_a_day() -> None:
    rule = replace(LOOSE_CUFF, window=DAY, times=3)
    assert told(raised(rule, LOOSE, finding=finding(rule, 3))) == (
        (
            "3~mesures des 24~dernières heures avec~: brassard trop lâche (seuil 3)~; "
            "la dernière~: 183~mmHg le 3 mars à 08:11"
        ),
        "3 readings of the last 24 hours with: cuff too loose (threshold 3); the last: 183 mmHg on 3 March at 08:11",
    )


def test_of_many_flags_three_are_named() -> None:
    every = Quality(sum(FLAGS))
    rule = replace(LOOSE_CUFF, flags=every)
    french, english = told(raised(rule, evidence(SYSTOLIC, 1_830, quality=every)))
    assert french == (
        "mouvement pendant la mesure, brassard trop lâche, pouls irrégulier et 16 de plus~: 183~mmHg le 3 mars à 08:11"
    )
    assert english.startswith("movement during the measurement, cuff too loose, irregular pulse and 16 more: 183 mmHg")


def test_every_flag_has_its_words() -> None:
    assert set(FLAGS) == set(Quality)


def test_a_value_that_does_not_move() -> None:
    assert told(raised(STUCK, evidence(CGM, 1_120), finding=finding(STUCK, 2 * HOUR + 5 * MINUTE + 7_000))) == (
        "112~mg/dL le 3 mars à 08:11, valeur inchangée depuis 2~h~5~min~; seuil 2~h",
        "112 mg/dL on 3 March at 08:11, value unchanged for 2 h 5 min; threshold 2 h",
    )


@pytest.mark.parametrize(
    ("window", "value", "shown"),
    [(90_000, 90_700, "1~min~30~s"), (45_000, 95_000, "1~min"), (20_000, 30_999, "30~s"), (500, 700, "0~s")],
)
def test_how_long_a_value_was_stuck_is_never_shown_shorter_than_its_threshold(
    window: int, value: int, shown: str
) -> None:
    rule = replace(STUCK, window=window)
    assert f"inchangée depuis {shown}~; seuil" in told(raised(rule, finding=finding(rule, value)))[0]


def test_a_stuck_value_whose_time_was_not_kept() -> None:
    assert told(raised(STUCK))[0] == "le 3 mars à 08:11, valeur inchangée~; seuil 2~h"


def test_a_jump() -> None:
    assert told(raised(JUMP, *series(CGM, (1_630, 1_180)), finding=finding(JUMP, 450))) == (
        (
            "118~mg/dL le 3 mars à 08:16, écart de 45~mg/dL avec la mesure d'avant (163~mg/dL le 3 mars à 08:11)~; "
            "seuil 40~mg/dL"
        ),
        (
            "118 mg/dL on 3 March at 08:16, a difference of 45 mg/dL from the reading before "
            "(163 mg/dL on 3 March at 08:11); threshold 40 mg/dL"
        ),
    )


def test_a_jump_from_a_reading_that_is_not_shown() -> None:
    french, _ = told(raised(JUMP, *series(CGM, (1_600, 1_180)), finding=finding(JUMP, 450)))
    assert french == "118~mg/dL le 3 mars à 08:16, écart de 45~mg/dL avec la mesure d'avant~; seuil 40~mg/dL"
    assert told(raised(JUMP))[0] == "le 3 mars à 08:11, écart avec la mesure d'avant~; seuil 40~mg/dL"


def test_a_low_that_lying_on_the_sensor_explains() -> None:
    assert told(raised(COMPRESSION, *series(CGM, (550, 1_100, 700, 580, 900)), finding=finding(COMPRESSION, 1))) == (
        (
            "baisse brusque la nuit jusqu'à 58~mg/dL le 3 mars à 08:26, vite remontée, "
            "comme quand on est couché sur le capteur~: à confirmer au doigt"
        ),
        (
            "a steep fall at night to 58 mg/dL on 3 March at 08:26, soon regained, as when lying on the sensor: "
            "to be confirmed by a fingerstick"
        ),
    )


def test_a_compression_low_without_its_readings() -> None:
    for shown in ((), series(CGM, (600, 590, 900))):
        assert told(raised(COMPRESSION, *shown))[0].startswith("baisse brusque la nuit, vite remontée")
