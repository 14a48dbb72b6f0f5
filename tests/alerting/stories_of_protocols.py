"""For each protocol of heart, pressure, lungs, chemotherapy, age and malnutrition that ships a short story a rule."""

from dataclasses import replace

from devices.reading import Quality
from tests.alerting.short_stories import (
    BMI,
    BREATHING,
    DIASTOLIC,
    LOOSE,
    Story,
    absent,
    at,
    confirmed,
    daily,
    dropped,
    flagged,
    loss,
    news2,
    schedule,
    single,
    take,
    unusual,
)
from tests.alerting.worlds import PULSE, SPO2, SYSTOLIC, TEMPERATURE, WEIGHT

STEADY = daily(WEIGHT, "70.0", range(16))
"""More than the 14 weighings that a trend needs."""
JUMP = Story(
    rule="another_person",
    before=(take(WEIGHT, "70.0", 0),),
    inside=(take(WEIGHT, "74.999", 1),),
    beyond=(take(WEIGHT, "75.0", 1),),
    after=(take(WEIGHT, "74.0", 2),),
)
TO_REPEAT = flagged("pressure_to_repeat", SYSTOLIC, "120", LOOSE, Quality.IRREGULAR_PULSE)
SPO2_TO_REPEAT = flagged("spo2_to_repeat", SPO2, "96", Quality.POOR_SIGNAL, Quality.BATTERY_LOW)
SYSTOLIC_LOW = single("systolic_low", SYSTOLIC, "120", "90.0", "89.9", "95.0")
SYSTOLIC_CRISIS = single("systolic_crisis", SYSTOLIC, "150", "179.9", "180.0", "159.9")
PULSE_HIGH = single("pulse_high", PULSE, "70", "110.0", "110.1", "100.0")
FEVER = single("fever", TEMPERATURE, "36.8", "38.00", "38.01", "37.50")
MONTH, SIX_MONTHS = ("66.501", "66.5", 28), ("63.001", "63.0", 175)

FEVER_TWICE = Story(
    rule="fever_twice",
    before=(take(TEMPERATURE, "37.0", 0, 8), take(TEMPERATURE, "38.0", 0, 12)),
    inside=(take(TEMPERATURE, "37.99", 0, 15),),
    beyond=(take(TEMPERATURE, "38.0", 0, 15),),
    after=(take(TEMPERATURE, "37.0", 0, 16), take(TEMPERATURE, "37.0", 0, 17), take(TEMPERATURE, "37.0", 0, 22)),
)
FEVER_TWICE_OF_MANY = Story(
    rule="fever_twice_of_many",
    before=tuple(take(TEMPERATURE, value, 0, 8 + hour) for hour, value in enumerate(("38.0", *["37.0"] * 5))),
    inside=(take(TEMPERATURE, "37.99", 0, 15),),
    beyond=(take(TEMPERATURE, "38.0", 0, 15),),
    after=tuple(take(TEMPERATURE, "37.0", 1, 8 + hour) for hour in range(4)),
)
CENTRE_TWICE = Story(
    rule="fever_twice",
    before=(take(TEMPERATURE, "38.01", 0),),
    inside=(take(TEMPERATURE, "38.0", 0, 9),),
    beyond=(take(TEMPERATURE, "38.01", 0, 9),),
    after=(take(TEMPERATURE, "37.0", 0, 11), take(TEMPERATURE, "37.0", 0, 11, 30)),
)
CENTRE_TWICE_OF_MANY = Story(
    rule="fever_twice_of_many",
    before=(take(TEMPERATURE, "38.01", 0), *(take(TEMPERATURE, "37.5", 0, 8, minute) for minute in (20, 40))),
    inside=(take(TEMPERATURE, "38.0", 0, 9),),
    beyond=(take(TEMPERATURE, "38.01", 0, 9),),
    after=tuple(take(TEMPERATURE, "37.0", 0, 12, minute) for minute in (0, 10, 20, 30)),
)

HEART = (
    Story(
        rule="weight_gain_3_days",
        before=(take(WEIGHT, "70.0", 0),),
        inside=(take(WEIGHT, "71.999", 3),),
        beyond=(take(WEIGHT, "72.0", 3),),
        after=(take(WEIGHT, "70.9", 4),),
    ),
    single("weight_gain_1_day", WEIGHT, "70.0", "71.359", "71.360", "71.0"),
    SYSTOLIC_CRISIS,
    SYSTOLIC_LOW,
    absent("no_weight", WEIGHT, "70", at(1, 20)),
    absent("no_blood_pressure", SYSTOLIC, "120", at(1, 20)),
    Story(
        rule="weight_over_28_days",
        before=daily(WEIGHT, "70.0", range(10)),
        inside=(take(WEIGHT, "71.999", 11),),
        beyond=(take(WEIGHT, "72.0", 11),),
        after=(take(WEIGHT, "70.9", 12),),
    ),
    # 2.7 kg in one weighing move the short mean by 1/2 and the long one by 2/15 of it: 0.99 kg apart.
    Story(
        rule="weight_trend",
        before=STEADY,
        inside=(take(WEIGHT, "72.699", 16),),
        beyond=(take(WEIGHT, "72.700", 16),),
        after=daily(WEIGHT, "70.0", (17, 18)),
    ),
    # s^2 = 20 x 10.5^2 / 27 after 8 readings all alike: 3 s are 27.1 mm[Hg].
    unusual("systolic_unusual", SYSTOLIC, "120", "92.9", "92.8"),
    Story(
        rule="two_signs",
        before=STEADY,
        inside=(take(WEIGHT, "72.699", 16),),
        beyond=(take(WEIGHT, "72.700", 16),),
        after=daily(WEIGHT, "70.0", range(17, 22)),
    ),
    JUMP,
    TO_REPEAT,
)
OXIMETER = (
    single("spo2_low", SPO2, "96", "90.0", "89.9", "92.0"),
    PULSE_HIGH,
    # 3 s are 3.10 % and 14.20 /min, as above.
    unusual("spo2_unusual", SPO2, "97", "94.0", "93.9"),
    unusual("pulse_unusual", PULSE, "60", "74.2", "74.3"),
    # 1.7 z - 1.445 is 5.65 at z = 4.17; s^2 = 20 x 0.36^2 / 31 after 12 weighings: MACD 1.207 kg, 3.292 kg at once.
    Story(
        rule="heart_score",
        before=STEADY,
        inside=(take(WEIGHT, "73.291", 16),),
        beyond=(take(WEIGHT, "73.292", 16),),
        after=daily(WEIGHT, "70.0", range(17, 24)),
    ),
    Story(
        rule="signs_together",
        before=(*STEADY[:13], *daily(SPO2, "97", range(8)), *daily(PULSE, "60", range(8)), take(PULSE, "80", 13)),
        inside=(take(SPO2, "94.0", 14), take(PULSE, "60", 14)),
        beyond=(take(SPO2, "93.9", 14), take(PULSE, "60", 14)),
        after=(*daily(WEIGHT, "70.0", range(18, 20)), *daily(SPO2, "97", (18, 19)), *daily(PULSE, "60", (18, 19))),
    ),
    SPO2_TO_REPEAT,
    absent("no_spo2", SPO2, "97", at(3)),
    absent("no_pulse", PULSE, "60", at(3)),
)
PRESSURE = (
    Story(
        rule="home_systolic",
        inside=tuple(schedule(SYSTOLIC, "134.9", range(7))),
        beyond=tuple(schedule(SYSTOLIC, "135.0", range(7))),
        after=tuple(schedule(SYSTOLIC, "129.9", range(7, 14))),
    ),
    Story(
        rule="home_diastolic",
        inside=tuple(schedule(DIASTOLIC, "84.9", range(7))),
        beyond=tuple(schedule(DIASTOLIC, "85.0", range(7))),
        after=tuple(schedule(DIASTOLIC, "79.9", range(7, 14))),
    ),
    replace(SYSTOLIC_CRISIS, rule="crisis_systolic"),
    single("crisis_diastolic", DIASTOLIC, "85", "109.9", "110.0", "99.9"),
    confirmed("crisis_systolic_confirmed", SYSTOLIC, "180.0", "179.9", "140"),
    confirmed("crisis_diastolic_confirmed", DIASTOLIC, "110.0", "109.9", "85"),
    SYSTOLIC_LOW,
    Story(
        rule="irregular_pulse",
        before=tuple(take(SYSTOLIC, "120", day, quality=Quality.IRREGULAR_PULSE) for day in (0, 2)),
        inside=(take(SYSTOLIC, "120", 4),),
        beyond=(take(SYSTOLIC, "120", 4, quality=Quality.IRREGULAR_PULSE),),
        after=(take(SYSTOLIC, "120", 10),),
    ),
    TO_REPEAT,
    absent("no_blood_pressure", SYSTOLIC, "120", at(1, 22)),
)
LUNGS = (
    single("spo2_low", SPO2, "96", "92.0", "91.9", "93.0"),
    Story(
        rule="spo2_falling",
        before=daily(SPO2, "97", range(8)),
        inside=(take(SPO2, "93.1", 10),),
        beyond=(take(SPO2, "93.0", 10),),
        after=(take(SPO2, "95.1", 11),),
    ),
    PULSE_HIGH,
    FEVER,
    Story(
        rule="two_signs",
        before=(take(PULSE, "110.1", 0),),
        inside=(take(TEMPERATURE, "38.00", 2),),
        beyond=(take(TEMPERATURE, "38.01", 2),),
        after=(take(PULSE, "70", 6), take(TEMPERATURE, "36.8", 6)),
    ),
    news2("news2", "93"),
    SPO2_TO_REPEAT,
    absent("no_spo2", SPO2, "97", at(1, 22)),
    absent("no_pulse", PULSE, "70", at(1, 22)),
    absent("no_temperature", TEMPERATURE, "36.8", at(9)),
)
COPD = (
    single("spo2_low", SPO2, "91", "88.0", "87.9", "90.0"),
    news2("news2_scale_2", "85"),
)
BREATHS = (
    single("breathing_fast", BREATHING, "16", "24.9", "25.0", "20.9"),
    single("breathing_slow", BREATHING, "16", "8.1", "8.0", "11.1"),
    Story(
        rule="breathing_rising",
        before=daily(BREATHING, "16", range(8)),
        inside=(take(BREATHING, "20.9", 10),),
        beyond=(take(BREATHING, "21.0", 10),),
        after=(take(BREATHING, "18.9", 11),),
    ),
    news2("news2_with_breathing", "93", [(BREATHING, "16")]),
    absent("no_breathing", BREATHING, "16", at(1, 22)),
)
CHEMOTHERAPY = (
    single("fever_once", TEMPERATURE, "36.8", "38.30", "38.31", "37.80"),
    FEVER_TWICE,
    FEVER_TWICE_OF_MANY,
    single("temperature_low", TEMPERATURE, "36.8", "36.00", "35.99", "36.20"),
    loss("weight_loss_month", *MONTH),
    loss("weight_loss_6_months", *SIX_MONTHS),
    absent("no_temperature", TEMPERATURE, "36.8", at(1, 13)),
    absent("no_weight", WEIGHT, "70", at(9)),
)
CENTRE = (
    single("fever_once", TEMPERATURE, "36.8", "38.50", "38.51", "37.80"),
    CENTRE_TWICE,
    CENTRE_TWICE_OF_MANY,
)

AGE = (
    loss("weight_loss_month", *MONTH),
    loss("weight_loss_6_months", *SIX_MONTHS),
    JUMP,
    SYSTOLIC_CRISIS,
    SYSTOLIC_LOW,
    dropped("standing_drop", SYSTOLIC, "130", "110.1", "110.0"),
    dropped("standing_drop_diastolic", DIASTOLIC, "80", "70.1", "70.0"),
    TO_REPEAT,
    PULSE_HIGH,
    single("pulse_low", PULSE, "70", "40.1", "40.0", "45.1"),
    FEVER,
    single("temperature_low", TEMPERATURE, "36.8", "35.01", "35.00", "35.51"),
    single("spo2_low", SPO2, "96", "92.0", "91.9", "93.0"),
    SPO2_TO_REPEAT,
    news2("news2", "93", [(SYSTOLIC, "120")]),
    absent("no_weight", WEIGHT, "70", at(9)),
    absent("no_blood_pressure", SYSTOLIC, "120", at(4)),
    absent("no_spo2", SPO2, "97", at(4)),
    absent("no_pulse", PULSE, "70", at(4)),
    absent("no_temperature", TEMPERATURE, "36.8", at(9)),
)
FOOD = (
    loss("loss_month", *MONTH),
    loss("loss_6_months", *SIX_MONTHS),
    loss("severe_loss_month", "63.001", "63.0", 28),
    loss("severe_loss_6_months", "59.501", "59.5", 175),
    JUMP,
    absent("no_weight", WEIGHT, "70", at(10)),
)
INDEX = (
    single("bmi_low", BMI, "24", "22.00", "21.99", "22.50"),
    single("bmi_very_low", BMI, "21", "20.00", "19.99", "20.50"),
    absent("no_bmi", BMI, "24", at(10)),
)
STORIES = {
    "heart_failure": HEART,
    "heart_failure_oximeter": OXIMETER,
    "hypertension": PRESSURE,
    "respiratory": LUNGS,
    "respiratory_copd": COPD,
    "respiratory_breathing": BREATHS,
    "oral_chemotherapy": CHEMOTHERAPY,
    "oral_chemotherapy_centre": CENTRE,
    "geriatrics": AGE,
    "malnutrition": FOOD,
    "malnutrition_bmi": INDEX,
}
"""Packaged protocol -> a story for each rule that it has, or that it changes of its pack."""
