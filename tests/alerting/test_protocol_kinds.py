"""Every form of rule, from the file to the rule it means."""

from typing import Any

import pytest

from alerting.alert import Audience, Priority
from alerting.protocol_rule_schema import FORMS as TABLES
from alerting.rules import Baseline, BaselineRule, ChangeRule, Direction, ForecastRule, Model, RateRule, Side, Statistic
from alerting.scheduled_rules import (
    ALL_DAYS,
    CompositeRule,
    Concern,
    MeanRule,
    MissingRule,
    QualityRule,
    Score,
    ScoreRule,
)
from devices.reading import Quality, Quantity, Unit
from tests.alerting import protocols
from tests.alerting.protocols import CGM, DAY, FORMS, HEAD, HOUR, MINUTE, WEIGHT, faults, file, only_form, read, table


def rule(name: str) -> Any:
    return protocols.rule(only_form(name), name)


def test_the_examples_are_of_every_form() -> None:
    kinds = {(TABLES[text.split('kind = "')[1].split('"')[0]].shared) for text in FORMS.values()}
    assert kinds == {forms.shared for forms in TABLES.values()}
    assert {member for name in FORMS if isinstance(rule(name), ForecastRule) for member in [rule(name).model]} == set(
        Model
    )
    assert {rule(name).statistic for name in FORMS if isinstance(rule(name), BaselineRule)} == set(Baseline)
    assert {rule(name).concern for name in FORMS if isinstance(rule(name), QualityRule)} == set(Concern)
    assert {rule(name).score for name in FORMS if isinstance(rule(name), ScoreRule)} == set(Score)


def test_a_rate_is_counted_in_thousandths_of_a_quantum() -> None:
    found = rule("rate")
    assert isinstance(found, RateRule)
    assert (found.direction, found.per_minute, found.end_per_minute) == (Direction.FALL, 30_000, 20_000)
    assert (found.window, found.min_readings, found.persist) == (15 * MINUTE, 3, 0)


def test_a_forecast_has_the_keys_of_its_model() -> None:
    linear, robust, kalman = rule("forecast"), rule("forecast_robust"), rule("forecast_kalman")
    assert (linear.model, linear.horizon, linear.window, linear.min_readings) == (
        Model.LINEAR,
        20 * MINUTE,
        20 * MINUTE,
        3,
    )
    assert robust.min_readings == 4
    assert (rule("forecast_ar2").window, rule("forecast_holt").threshold) == (0, 690)
    assert (kalman.threshold, kalman.end_threshold, kalman.probability, kalman.end_probability) == (
        700,
        700,
        5300,
        3650,
    )


def test_a_change_is_counted_from_where_its_direction_says_unless_told() -> None:
    gain, loss = rule("change"), rule("change_relative")
    assert isinstance(gain, ChangeRule)
    assert (gain.delta, gain.window, gain.slack, gain.relative) == (2000, 3 * DAY, 12 * HOUR, False)
    assert gain.statistic is Statistic.LOWEST
    assert (loss.delta, loss.end_delta, loss.relative, loss.statistic) == (500, 400, True, Statistic.FIRST)
    fall = protocols.rule(only_form("change").replace('"rise"', '"fall"'), "change")
    assert isinstance(fall, ChangeRule)
    assert fall.statistic is Statistic.HIGHEST


def test_percent_of_a_saturation_are_its_own_unit_unless_it_is_said_to_be_relative() -> None:
    text = (
        'quantity = "spo2"\nkind = "change"\ndirection = "fall"\ndelta = "4 %"\nend_delta = "2 %"\nwindow = "7 days"\n'
    )
    absolute = protocols.rule(file(table("drop", text)), "drop")
    relative = protocols.rule(file(table("drop", text + "relative = true\n")), "drop")
    assert isinstance(absolute, ChangeRule)
    assert isinstance(relative, ChangeRule)
    assert (absolute.delta, absolute.relative, relative.delta, relative.relative) == (40, False, 400, True)


def test_a_difference_in_degrees_fahrenheit_is_counted_without_the_zero_of_its_scale() -> None:
    text = (
        'quantity = "body_temperature"\nkind = "change"\ndirection = "rise"\ndelta = "1.8 °F"\nend_delta = "0.5 Cel"\n'
        'window = "1 day"\n'
    )
    found = protocols.rule(file(table("warmer", text)), "warmer")
    assert isinstance(found, ChangeRule)
    assert (found.delta, found.end_delta) == (100, 50)


def test_a_baseline_has_the_keys_of_its_statistic() -> None:
    mean, dry, spc, macd, cusum = (rule(f"baseline{suffix}") for suffix in ("", "_dry", "_spc", "_macd", "_cusum"))
    assert (mean.window, mean.lag, mean.min_readings, mean.despike) == (28 * DAY, DAY, 7, 4500)
    assert (dry.reference, dry.window, dry.min_readings, dry.despike) == (71_200, 0, 1, 0)
    assert (spc.delta, spc.end_delta, spc.expected_sd, spc.expected_readings, spc.min_sd) == (3000, 2500, 600, 20, 300)
    assert (macd.short, macd.long, macd.delta) == (3, 14, 990)
    assert (cusum.allowance, cusum.direction) == (500, Direction.FALL)


def test_a_share_and_a_mean_say_how_much_of_what() -> None:
    share, mean = rule("share"), rule("mean")
    assert (share.share, share.end_share, share.threshold, share.window) == (7500, 5000, 2500, 2 * HOUR)
    assert isinstance(mean, MeanRule)
    assert (mean.side, mean.threshold, mean.days, mean.per_occasion) == (Side.AT_LEAST, 1350, 7, 2)
    assert mean.occasions == ((300, 660), (1020, 1380))
    assert mean.drop_first


def test_an_absence_is_by_age_or_by_schedule() -> None:
    age, schedule = rule("missing"), rule("missing_by")
    assert isinstance(age, MissingRule)
    assert (age.expected, age.grace, age.by, age.days) == (DAY, 12 * HOUR, None, ALL_DAYS)
    assert (schedule.expected, schedule.grace, schedule.by, schedule.days) == (0, 2 * HOUR, 660, 0b10101)


def test_a_concern_has_its_own_keys() -> None:
    flags, stuck, jump, compression = (rule(f"quality{suffix}") for suffix in ("", "_stuck", "_jump", "_compression"))
    assert flags.flags == Quality.CUFF_TOO_LOOSE | Quality.BODY_MOVEMENT
    assert (flags.times, flags.window) == (3, 7 * DAY)
    assert (stuck.window, jump.delta, compression.per_minute) == (HOUR, 5000, 50_000)
    assert compression.night == (23 * 60, 6 * 60 + 30)


def test_a_score_counts_points_or_thousandths() -> None:
    news, heart = rule("score"), rule("score_heart")
    assert (news.threshold, news.end_threshold, news.scale, news.oxygen, news.single) == (5, 4, 2, True, False)
    assert news.of[0] is Quantity.SPO2
    assert (heart.threshold, heart.end_threshold, heart.freshness, heart.scale) == (5650, 2500, 36 * HOUR, 1)


def test_a_composite_knows_what_its_members_read() -> None:
    found = rule("composite")
    assert isinstance(found, CompositeRule)
    assert (found.at_least, found.window, found.of_quantities) == (2, 3 * DAY, (Quantity.BODY_WEIGHT,))
    assert found.of == ("change", "baseline", "baseline_macd")


def test_how_an_alert_is_told_stands_with_its_rule() -> None:
    text = FORMS["change"] + '\nrefractory = "2 h"\nper_day = 3\nabsorbs = ["other"]\nlatched = true\ndigest = true'
    (other, change, absence) = read(file(table("other", FORMS["baseline"]), table("change", text))).rules
    assert (change.life.refractory, change.life.per_day) == (2 * HOUR, 3)
    assert change.life.absorbs == ("other",)
    assert change.life.latched
    assert change.life.digest
    assert (other.life.refractory, absence.priority, absence.audience) == (0, Priority.LOW, Audience.NURSE)


TELLING = """
[telling]
quiet = ["22:00", "07:00"]
at_most = 10
within = "10 min"
due = { high = "15 min", medium = "4 h" }
digest_at = "09:30"
longest_shelf = "3 days"

[[telling.steps]]
priority = "high"
after = "15 min"
audience = "nurse"

[[telling.steps]]
priority = "high"
after = "30 min"
audience = "patient_now"

[units]
glucose_interstitial = "g/L"

[[signatures]]
person = "n.durand"
role = "nurse"
at = 2026-11-20T09:00:00+01:00
key = "k1"
signature = "c2ln"

[[signatures]]
person = "m.martin"
role = "physician"
at = 2026-11-20T08:00:00
key = "k2"
signature = "c2ln"
"""


def test_when_and_to_whom_alerts_are_told_is_read() -> None:
    protocol = read(file(table("level", FORMS["level"])) + TELLING)
    telling = protocol.telling
    assert (telling.quiet, telling.at_most, telling.within) == ((1320, 420), 10, 10 * MINUTE)
    assert telling.due == {Priority.HIGH: 15 * MINUTE, Priority.MEDIUM: 4 * HOUR}
    assert [(step.after, step.audience) for step in telling.steps[Priority.HIGH]] == [
        (15 * MINUTE, Audience.NURSE),
        (30 * MINUTE, Audience.PATIENT_NOW),
    ]
    assert (telling.digest_at, telling.longest_shelf) == (570, 3 * DAY)
    assert protocol.units == {Quantity.GLUCOSE_INTERSTITIAL: Unit.G_PER_L}
    assert [(one.person, one.role, one.at) for one in protocol.signatures] == [
        ("n.durand", "nurse", 1_795_161_600_000),
        ("m.martin", "physician", 1_795_161_600_000),
    ]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("at_most = 10\n", "", "telling"),
        ('within = "10 min"\n', "", "telling"),
        ('within = "10 min"', 'within = "0 min"', "telling.within"),
        ('["22:00", "07:00"]', '["22:00", "22:00"]', "telling.quiet"),
        ('["22:00", "07:00"]', '["22:00"]', "telling.quiet"),
        ('medium = "4 h"', 'medium = "5 min"', "telling.due"),
        ('medium = "4 h"', 'medum = "4 h"', "telling.due.medum"),
        ('after = "30 min"', 'after = "15 min"', "telling.steps.1.after"),
        ('after = "30 min"', "after = 30", "telling.steps.1.after"),
        ('audience = "patient_now"', 'audience = "everybody"', "telling.steps.1.audience"),
        ('"g/L"', '"kg"', "units.glucose_interstitial"),
        ('"g/L"', "3", "units.glucose_interstitial"),
        ('glucose_interstitial = "g', 'glucose = "g', "units.glucose"),
        ("2026-11-20T08:00:00\n", '"yesterday"\n', "signatures.1.at"),
        ('role = "nurse"', 'role = ""', "signatures.0.role"),
        ('person = "n.durand"', 'person = ""', "signatures.0.person"),
    ],
)
def test_a_fault_in_how_alerts_are_told_is_in_its_place(old: str, new: str, key: str) -> None:
    assert old in TELLING
    (fault,) = faults(file(table("level", FORMS["level"])) + TELLING.replace(old, new))
    assert fault.key == key


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("rate", '"3 mg/dL"', '"3 kg"', "not measured in kg"),
        ("rate", '"3 mg/dL"', '"3"', "in one minute"),
        ("forecast_kalman", '"53 %"', '"153 %"', "at most 100 %"),
        ("forecast_kalman", '"53 %"', '"0.53"', 'such as "75 %"'),
        ("forecast_holt", 'horizon = "20 min"', 'horizon = "20 min"\nwindow = "20 min"', "of this form"),
        ("forecast_holt", '"holt_ar2"', '"holt"', "choose one of: linear"),
        ("change_relative", '"4 %"', '"1 kg"', "written in %"),
        ("change_relative", '"5 %"', '"500 %"', "at most 100 %"),
        ("change", "slack", "relative = 1\nslack", "true or false"),
        ("baseline_spc", '"3 SD"', '"3 kg"', "standard deviations"),
        ("baseline_spc", '"3 SD"', '"30 SD"', "at most 20 SD"),
        ("baseline_dry", '"71.2 kg"', '"712 kg"', "impossible in a patient"),
        ("baseline_macd", "short = 3", "short = 401", "from 1 to 400"),
        ("mean", '["05:00", "11:00"]', '["05:00", "24:00"]', "1 to 4 spans"),
        ("missing_by", '"11:00"', '"11h"', "a time of day"),
        ("missing_by", '"mon", ', '"mon", "mon", ', "a list of days"),
        ("missing_by", '"mon", ', '"lundi", ', "a list of days"),
        ("missing_by", 'on = ["mon", "wed", "fri"]', "on = []", "a list of days"),
        ("missing_by", "grace", 'expected = "1 day"\ngrace', "of this form"),
        ("quality", '"body_movement"', '"moved"', "a list of quality flags"),
        ("quality", '"body_movement"', "3", "a list of quality flags"),
        ("score", '"5 points"', '"5.5 points"', "a whole number of points"),
        ("score", '"5 points"', "5", 'such as "5 points"'),
        ("score", '"pulse_rate"', '"pulse"', "a list of 1 to 8"),
        ("score_heart", '"5.65 points"', '"0 points"', "at most 100 points"),
        ("composite", '"baseline_macd"]', '"later"]', "is unknown here"),
        ("composite", '"baseline_macd"]', '"composite"]', "is unknown here"),
        ("composite", '"baseline", "baseline_macd"', "", "ids of rules"),
    ],
)
def test_a_value_that_does_not_fit_its_form_says_what_to_write(name: str, old: str, new: str, word: str) -> None:
    text = only_form(name)
    assert old in text
    found = [fault for fault in faults(text.replace(old, new, 1)) if word in fault.message.en]
    assert len(found) == 1
    assert found[0].key.startswith(f"rules.{name}.")


def test_a_composite_of_a_rule_that_could_not_be_read_waits_for_it() -> None:
    text = only_form("composite").replace('delta = "2.0 kg"', 'delta = "2.0 mg/dL"', 1)
    (fault,) = faults(text)
    assert fault.key == "rules.change.delta"


def test_systolic_and_diastolic_pressure_are_missing_together() -> None:
    high = '\nkind = "level"\nside = "above"\nthreshold = "90 mmHg"\nend_threshold = "85 mmHg"\n'
    diastolic = table("high", f'quantity = "blood_pressure_diastolic"{high}')
    (fault,) = faults(HEAD + diastolic)
    assert "blood_pressure_diastolic is lacking" in fault.message.en
    assert not faults(HEAD + diastolic + protocols.absence("blood_pressure_systolic"))
    assert faults(HEAD + table("high", f'quantity = "pulse_rate"{high.replace("mmHg", "/min")}'))


def test_a_kind_without_its_form_is_still_read_as_far_as_it_goes() -> None:
    text = CGM + 'kind = "baseline"\nstatistic = 3\ndelta = "3 kg"\nwindw = 4\n'
    assert {fault.key for fault in faults(file(table("some", text)))} == {
        f"rules.some.{key}" for key in ("statistic", "direction", "windw")
    }
    (fault,) = faults(file(table("some", WEIGHT + 'kind = "quality"')))
    assert fault.key == "rules.some.concern"
