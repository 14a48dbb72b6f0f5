"""What is each well written and does not fit together, in a rule and between rules."""

import pytest

from alerting.errors import Fault
from alerting.protocol_file import Checked, check_protocol
from tests.alerting.protocols import CGM, FORMS, HEAD, WEIGHT, absence, faults, file, only_form, table

COARSE = '[quantities.glucose_interstitial]\ncadence = "15 min"\ngap = "45 min"\n'
RARE = '[quantities.{}]\ncadence = "4 days"\ngap = "8 days"\n'
OCCASIONS = 'occasions = [["05:00", "11:00"], ["17:00", "23:00"]]\n'
FINE = '[quantities.glucose_interstitial]\ncadence = "5 min"\ngap = "45 min"\n'


def check(text: str) -> Checked:
    return check_protocol(text.encode())


def remarks(text: str) -> list[Fault]:
    """Return what is remarked, a cadence that no rule uses left out; there is no fault."""
    checked = check(text)
    assert checked.faults == ()
    return [remark for remark in checked.remarks if not remark.key.startswith("quantities.")]


def changed(name: str, old: str, new: str) -> str:
    text = only_form(name)
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize("name", FORMS)
def test_a_sound_rule_has_neither_faults_nor_remarks(name: str) -> None:
    assert remarks(only_form(name)) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "key", "word"),
    [
        ("level", '"70 mg/dL"', '"10 mg/dL"', "threshold", "never be raised"),
        ("level", '"below"\nthreshold = "70 mg/dL"', '"at_most"\nthreshold = "1000 mg/dL"', "threshold", "always"),
        ("level", '"70 mg/dL"', '"70 kg"', "threshold", "not measured in kg"),
        ("level", '"75 mg/dL"', '"69 mg/dL"', "end_threshold", "at or above"),
        ("rate", '"2 mg/dL"', '"4 mg/dL"', "end_per_minute", "at most per_minute"),
        ("rate", 'window = "15 min"', 'window = "15 min"\nmin_readings = 5', "min_readings", "at most 4 readings"),
        ("rate", 'window = "15 min"', 'window = "15 min"\nmin_readings = 1', "min_readings", "at least 2"),
        ("rate", 'window = "15 min"', 'window = "4 min"', "window", "shorter than the cadence"),
        ("rate", 'window = "15 min"', 'window = "6 days"', "window", "at most 128 h"),
        ("rate", '"3 mg/dL"', '"140 mg/dL"', "per_minute", "so fast"),
        ("forecast", '"70 mg/dL"', '"50 mg/dL"', "end_threshold", "at or above"),
        ("forecast", 'window = "20 min"', 'window = "20 min"\nmin_readings = 6', "min_readings", "at most 5"),
        ("forecast", 'horizon = "20 min"', 'horizon = "7 h"', "horizon", "further ahead than 6 h"),
        ("forecast", 'window = "20 min"', 'window = "91 days"', "window", "90 days at most"),
        ("forecast_robust", "min_readings = 4", "min_readings = 13", "min_readings", "latest 12"),
        ("forecast_robust", "min_readings = 4", "min_readings = 1", "min_readings", "at least 2"),
        ("forecast_ar2", '"30 min"', '"32 min"', "horizon", "a multiple of 5 min"),
        ("forecast_ar2", '"30 min"', '"365 min"', "horizon", "a multiple of 5 min"),
        ("forecast_ar2", FINE, "", "model", "rhythm"),
        ("forecast_holt", FINE, COARSE, "model", "choose kalman"),
        ("forecast_holt", 'horizon = "20 min"', 'horizon = "30 min"', "horizon", 'write "20 min"'),
        ("forecast_kalman", 'horizon = "20 min"', 'horizon = "30 min"', "horizon", 'write "20 min"'),
        ("forecast_kalman", '"36.5 %"', '"54 %"', "end_probability", "at or below"),
        ("change", '"1.0 kg"', '"2.1 kg"', "end_delta", "at most delta"),
        ("change", 'slack = "12 h"', 'statistic = "highest"', "statistic", "above the highest"),
        ("change_relative", 'statistic = "first"', 'statistic = "lowest"', "statistic", "above the highest"),
        ("change", 'slack = "12 h"', 'slack = "4 days"', "slack", "at most window"),
        ("baseline", '"1.0 kg"', '"2.1 kg"', "end_delta", "at most delta"),
        ("baseline", 'lag = "1 day"', 'lag = "28 days"', "lag", "shorter than window"),
        ("baseline", "min_readings = 7", "min_readings = 385", "min_readings", "at most 384"),
        ("baseline", FINE, FINE.replace("glucose_interstitial", "body_weight"), "despike", "not for a sensor"),
        ("baseline_dry", '"body_weight"\nkind', '"muscle_mass"\nkind', "quantity", "dry weight is body_weight"),
        ("baseline_spc", "expected_readings = 20\n", "", "expected_sd", "go together"),
        ("baseline_spc", 'min_readings = 8\nexpected_sd = "0.60 kg"\nexpected_readings = 20', "min_readings = 1",
         "min_readings", "at least 2 readings"),
        ("baseline_spc", 'min_sd = "0.30 kg"', 'min_sd = "200 kg"', "delta", "so large"),
        ("baseline_macd", "short = 3", "short = 14", "short", "less than long"),
        ("share", 'threshold = "250 mg/dL"', 'threshold = "1000 mg/dL"', "threshold", "never be raised"),
        ("share", '"50 %"', '"76 %"', "end_share", "at most share"),
        ("share", "min_readings = 18", "min_readings = 26", "min_readings", "at most 25"),
        ("share", 'window = "2 h"', 'window = "6 days"', "window", "shorten it"),
        ("mean", 'threshold = "135 mmHg"', 'threshold = "40 mmHg"', "threshold", "always stand"),
        ("mean", 'end_threshold = "135 mm[Hg]"', 'end_threshold = "136 mm[Hg]"', "end_threshold", "at or below"),
        ("mean", '["17:00", "23:00"]', '["10:59", "23:00"]', "occasions", "in order"),
        ("mean", '["17:00", "23:00"]', '["22:00", "04:00"]', "occasions", "in order"),
        ("mean", "min_readings = 12", "min_readings = 25", "min_readings", "24 readings only"),
        ("mean", "days = 7", "days = 1", "min_readings", "0 readings only"),
        ("mean", f"days = 7\n{OCCASIONS}per_occasion = 2", f"days = 31\n{OCCASIONS}per_occasion = 7", "days", "384"),
        ("mean", FINE, FINE.replace("glucose_interstitial", "blood_pressure_systolic"), "kind", "no appointments"),
        ("missing_by", FINE, FINE.replace("glucose_interstitial", "body_weight"), "by", "no appointments"),
        ("missing_by", 'by = "11:00"\non = ["mon", "wed", "fri"]\ngrace = "2 h"', 'by = "00:00"', "by", "always stand"),
        ("missing_by", 'grace = "2 h"', 'grace = "24 h"', "grace", "less than 24 h"),
        ("quality", '["cuff_too_loose", "body_movement"]', '["implausible"]', "flags", "never be raised"),
        ("quality", '["cuff_too_loose", "body_movement"]', '["implausible", "warming_up"]', "flags", "never be raised"),
        ("quality", '\nwindow = "7 days"', "", "times", "add window"),
        ("quality", FINE, RARE.format("blood_pressure_systolic"), "times", "at most 2 readings"),
        ("quality_stuck", '"1 h"', '"4 min"', "window", "always stand"),
        ("quality_jump", FINE, RARE.format("body_weight"), "window", "one reading only"),
        ("quality_compression", FINE, "", "concern", "is about a sensor only"),
        ("quality_compression", 'window = "30 min"', 'window = "3 min"', "window", "one reading only"),
        ("score", '"5 points"', '"15 points"', "threshold", "at most 14 points"),
        ("score", '"5 points"\nend_threshold = "4 points"', '"2 points"\nend_threshold = "2 points"', "threshold",
         "oxygen alone"),
        ("score", '"4 points"', '"6 points"', "end_threshold", "at most threshold"),
        ("score", '"spo2"\nkind', '"body_weight"\nkind', "quantity", "one of the quantities"),
        ("score", 'of = ["spo2", ', 'of = ["spo2", "spo2", ', "of", "each once"),
        ("score", 'of = ["spo2", ', 'of = ["body_weight", "spo2", ', "of", "each once, of: spo2"),
        ("score_heart", '"body_weight", "pulse_rate"', '"pulse_rate"', "of", "needs a weighing"),
        ("score_heart", '"5.65 points"', '"26 points"', "threshold", "not enough"),
        ("composite", "at_least = 2", "at_least = 4", "at_least", "4 true rules of 3"),
        ("composite", '"baseline_macd"]', '"change"]', "of", "twice"),
        ("composite", '"body_weight"\nkind = "composite"', '"spo2"\nkind = "composite"', "quantity", "its rules read"),
        ("change", 'slack = "12 h"', 'absorbs = ["nobody"]', "absorbs", "no rule here"),
        ("change", 'slack = "12 h"', 'absorbs = ["change"]', "absorbs", "silencing itself"),
        ("change", 'slack = "12 h"', 'absorbs = ["no_body_weight"]', "absorbs", "tells an absence"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_in_a_rule_is_refused(name: str, old: str, new: str, key: str, word: str) -> None:
    text = changed(name, old, new)
    found = [fault for fault in faults(text) if word in fault.message.en]
    assert [fault.key for fault in found] == [f"rules.{name}.{key}"], faults(text)
    assert found[0].message.fr


@pytest.mark.parametrize("name", ["level", "rate", "forecast"])
@pytest.mark.parametrize("key", ["persist", "end_persist"])
def test_a_duration_needs_the_rhythm_of_measurement(name: str, key: str) -> None:
    head = HEAD.replace(FINE, "")
    rule = FORMS[name].replace('\npersist = "15 min"', "") + f'\n{key} = "15 min"'
    (fault,) = faults(file(table("lasting", rule), head=head))
    assert (fault.key, "rhythm" in fault.message.en) == (f"rules.lasting.{key}", True)
    assert faults(file(table("lasting", rule))) == ()


def test_what_is_for_the_patient_at_once_waits_for_no_digest() -> None:
    text = only_form("change").replace('audience = "nurse"', 'audience = "patient_now"\ndigest = true', 1)
    assert [fault.key for fault in faults(text)] == ["rules.change.digest"]


def test_a_model_tuned_for_glucose_is_refused_for_anything_else() -> None:
    text = FORMS["forecast_ar2"].replace(CGM, WEIGHT).replace("mg/dL", "kg")
    (fault,) = faults(file(table("heavy", text), head=HEAD.replace("glucose_interstitial", "body_weight")))
    assert (fault.key, "tuned for glucose" in fault.message.en) == ("rules.heavy.model", True)


def test_a_saturation_scale_needs_a_saturation() -> None:
    text = only_form("score").replace('"spo2", ', "").replace('"spo2"\nkind', '"pulse_rate"\nkind', 1)
    assert [fault.key for fault in faults(text)] == ["rules.score.scale"]


@pytest.mark.parametrize(
    ("name", "old", "new", "key", "word"),
    [
        ("forecast_kalman", 'cadence = "15 min"', 'cadence = "5 min"', "model", "holt_ar2 does better"),
        ("forecast_robust", 'window = "30 min"', 'window = "2 h"', "window", "adds nothing"),
        ("forecast", 'horizon = "20 min"', 'horizon = "2 h"', "horizon", "means little"),
        ("baseline", "min_readings = 7", "min_readings = 2", "min_readings", "at random"),
        ("baseline_macd", "min_readings = 14", "min_readings = 13", "min_readings", "before 14 readings"),
        ("quality_stuck", 'expected = "2 days"', 'expected = "1 h"', "expected", "warm-up"),
    ],
)
def test_what_is_probably_not_meant_is_remarked_upon(name: str, old: str, new: str, key: str, word: str) -> None:
    (remark,) = remarks(changed(name, old, new))
    rule = "no_glucose_interstitial" if key == "expected" else name
    assert remark.key == f"rules.{rule}.{key}"
    assert word in remark.message.en


def test_a_single_doubtful_reading_is_told_without_a_duration() -> None:
    assert remarks(changed("quality", 'times = 3\nwindow = "7 days"', "")) == []


def test_a_high_alert_that_may_go_untold_is_remarked_upon() -> None:
    text = only_form("change").replace('priority = "low"', 'priority = "high"\nrefractory = "1 h"\nper_day = 2', 1)
    assert [remark.key for remark in remarks(text)] == ["rules.change.refractory", "rules.change.per_day"]
    text = only_form("change").replace('priority = "low"', 'priority = "high"\ndigest = true', 1)
    assert [fault.key for fault in faults(text)] == ["rules.change.digest"]


@pytest.mark.parametrize(("at", "quiet"), [("06:59", True), ("07:00", False), ("22:00", True), ("21:59", False)])
def test_a_digest_in_the_quiet_hours_is_remarked_upon(at: str, quiet: bool) -> None:  # noqa: FBT001 - one case
    telling = f'\n[telling]\nquiet = ["22:00", "07:00"]\ndigest_at = "{at}"\n'
    found = remarks(changed("change", "slack", "digest = true\nslack") + telling)
    assert [remark.key for remark in found] == (["rules.change.digest"] if quiet else [])
    assert (
        remarks(changed("change", "slack", "digest = true\nslack") + telling.replace('quiet = ["22:00", "07:00"]', ""))
        == []
    )


def test_two_quantities_are_rarely_measured_at_the_same_instant() -> None:
    both = table("both", WEIGHT + 'kind = "composite"\nof = ["change", "level"]\nat_least = 2\nwindow = "0 s"')
    text = file(table("change", FORMS["change"]), table("level", FORMS["level"]), both)
    assert [remark.key for remark in remarks(text)] == ["rules.both.window"]
    assert remarks(text.replace('window = "0 s"', 'window = "1 day"')) == []
    assert remarks(text.replace("at_least = 2", "at_least = 1")) == []


# --- between rules ------------------------------------------------------------------------------------------


def level(name: str, side: str, threshold: str, end: str = "", **more: str) -> str:
    """Return a level of sensor glucose."""
    text = f'{CGM}kind = "level"\nside = "{side}"\nthreshold = "{threshold} mg/dL"\n'
    text += f'end_threshold = "{end or threshold} mg/dL"\n'
    found = table(name, text + "".join(f'{key} = "{value}"\n' for key, value in more.items() if key != "priority"))
    return found.replace('priority = "low"', f'priority = "{more.get("priority", "low")}"')


@pytest.mark.parametrize(
    ("first", "second", "at_least", "refused"),
    [
        (("below", "54", "54"), ("above", "250", "250"), 2, True),
        (("below", "54", "54"), ("above", "250", "250"), 1, False),
        (("below", "54", "54"), ("below", "70", "70"), 2, False),
        (("below", "54", "100"), ("above", "250", "100"), 2, True),
        (("below", "54", "100.1"), ("above", "250", "99.9"), 2, False),
        (("at_most", "54", "100"), ("at_least", "250", "100"), 2, False),
        (("at_most", "54", "99.9"), ("at_least", "250", "100"), 2, True),
    ],
)
def test_a_composite_whose_members_exclude_each_other_can_never_be_raised(
    first: tuple[str, str, str],
    second: tuple[str, str, str],
    at_least: int,
    refused: bool,  # noqa: FBT001 - one case
) -> None:
    both = f'{CGM}kind = "composite"\nof = ["one", "two"]\nat_least = {at_least}\nwindow = "0 s"\n'
    text = file(level("one", *first), level("two", *second), table("both", both))
    assert ("rules.both.of" in {fault.key for fault in faults(text)}) is refused
    within = text.replace('window = "0 s"', 'window = "1 h"')
    lasting = text.replace(
        f'end_threshold = "{first[2]} mg/dL"\n', f'end_threshold = "{first[2]} mg/dL"\nend_persist = "1 h"\n'
    )
    for other in (within, lasting):
        assert "rules.both.of" not in {fault.key for fault in faults(other)}


@pytest.mark.parametrize(
    ("first", "second", "faulty", "remarked"),
    [
        # the same condition twice
        (level("one", "below", "70"), level("two", "below", "70"), "two.id", None),
        (level("one", "below", "70"), level("two", "below", "70", priority="high"), "two.id", None),
        (level("one", "below", "70"), level("two", "below", "70").replace("nurse", "patient_now"), None, None),
        # less extreme and graver: the other one is of no use, or probably not meant
        (level("one", "below", "70", priority="high"), level("two", "below", "54"), "two.priority", None),
        (level("one", "above", "250"), level("two", "above", "180", priority="high"), "one.priority", None),
        (
            level("one", "below", "70", priority="high", persist="15 min"),
            level("two", "below", "54"),
            None,
            "two.priority",
        ),
        (
            level("one", "below", "70", priority="high", persist="15 min"),
            level("two", "below", "54", persist="15 min"),
            "two.priority",
            None,
        ),
        (level("one", "below", "70"), level("two", "below", "54", priority="high"), None, None),
        (level("one", "below", "70"), level("two", "below", "54"), None, "two.priority"),
        (level("one", "below", "70", "75"), level("two", "below", "70"), None, "two.priority"),
        (level("one", "below", "70", priority="high"), level("two", "at_most", "69.9"), "two.priority", None),
        (level("one", "below", "70", priority="high", persist="1 h"), level("two", "below", "70"), None, None),
        (level("one", "below", "70"), level("two", "below", "54", persist="5 min"), None, "two.priority"),
        (level("one", "below", "70", persist="5 min"), level("two", "below", "54"), None, None),
        # every value is beyond one of them
        (level("one", "below", "120"), level("two", "above", "100"), "two.threshold", None),
        (level("one", "above", "100"), level("two", "at_most", "100"), "two.threshold", None),
        (level("one", "below", "100"), level("two", "at_least", "100.1"), None, None),
        (level("one", "below", "100"), level("two", "at_least", "100"), "two.threshold", None),
    ],
)  # fmt: skip
def test_rules_that_hide_or_contradict_each_other_are_pointed_out(
    first: str, second: str, faulty: str | None, remarked: str | None
) -> None:
    checked = check(file(first, second))
    assert [fault.key for fault in checked.faults] == ([f"rules.{faulty}"] if faulty else [])
    assert [remark.key for remark in checked.remarks] == ([f"rules.{remarked}"] if remarked else [])


def test_rules_of_every_other_kind_are_compared_by_how_far_is_too_far() -> None:
    graver = '\n[[rules]]\nid = "graver"'
    for name, (old, new) in {
        "rate": ("3 mg/dL", "2.5 mg/dL"),
        "change": ("2.0 kg", "1.5 kg"),
        "baseline_spc": ("3 SD", "2.9 SD"),
        "share": ("75 %", "70 %"),
        "mean": ('threshold = "135 mmHg"', 'threshold = "135 mmHg"'),
        "forecast_kalman": ("53 %", "50 %"),
        "forecast_holt": ("69 mg/dL", "70 mg/dL"),
        "score": ("5 points", "4 points"),
    }.items():
        text = only_form(name)
        rule = text[text.index("\n[[rules]]") : text.index("\n[[rules]]", text.index("\n[[rules]]") + 1)]
        other = rule.replace(f'\n[[rules]]\nid = "{name}"', graver).replace(old, new, 1)
        other = other.replace('priority = "low"', 'priority = "high"').replace(
            'end_threshold = "135', 'end_threshold = "130'
        )
        found = check(text + other)
        keys = [fault.key for fault in found.faults]
        assert keys == [f"rules.{name}.priority"], name
    different = only_form("share") + table("graver", FORMS["share"].replace("250 mg/dL", "200 mg/dL"))
    assert check(different).faults == ()
    weight = '"body_weight"\nkind = "level"\nside = "above"\nthreshold = "69 kg"\nend_threshold = "69 kg"\n'
    assert remarks(file(table("one", FORMS["level"]), table("two", FORMS["change"]))) == []
    assert remarks(file(table("one", FORMS["level"]), table("two", f"quantity = {weight}"))) == []
    assert remarks(file(table("one", FORMS["change"]), table("two", FORMS["quality_jump"]))) == []


def test_an_absence_told_twice_is_told_at_two_times() -> None:
    again = absence("body_weight").replace('"no_body_weight"', '"still_no_weight"')
    assert [fault.key for fault in faults(only_form("change") + again)] == ["rules.still_no_weight.id"]
    assert remarks(only_form("change") + again.replace('"2 days"', '"4 days"')) == []


def test_an_alert_never_silences_a_graver_one_nor_itself_at_second_hand() -> None:
    first = table("one", FORMS["change"] + '\nabsorbs = ["two"]')
    second = table("two", FORMS["baseline"] + '\nabsorbs = ["three"]')
    third = table("three", FORMS["baseline_ewma"])
    assert faults(file(first, second, third)) == ()
    graver = second.replace('priority = "low"', 'priority = "medium"')
    assert [fault.key for fault in faults(file(first, graver, third))] == ["rules.one.absorbs"]
    circle = third.replace("[[rules]]", "[[rules]]\nabsorbs = ['one']")
    assert {fault.key for fault in faults(file(first, second, circle))} == {
        "rules.one.absorbs",
        "rules.two.absorbs",
        "rules.three.absorbs",
    }


def test_a_cadence_that_no_rule_uses_is_remarked_upon() -> None:
    (remark,) = check(only_form("change")).remarks
    assert remark.key == "quantities.glucose_interstitial"
    (remark,) = check(only_form("level").replace('gap = "45 min"', 'gap = "9 min"')).remarks
    assert remark.key == "quantities.glucose_interstitial.gap"


def test_every_reading_of_some_hours_is_remarked_upon_where_twice_is_probably_meant() -> None:
    rule = (
        'quantity = "body_temperature"\nkind = "share"\nside = "at_least"\nthreshold = "38.0 °C"\nshare = "100 %"\n'
        'end_share = "50 %"\nwindow = "8 h"\nmin_readings = 2'
    )
    (remark,) = remarks(file(table("fever", rule)))
    assert remark.key == "rules.fever.share"
    assert "une seule mesure normale" in remark.message.fr
    assert 'share = "26 %" with min_readings = 4' in remark.message.en
    for old, new in (("100 %", "99 %"), ("readings = 2", "readings = 1"), ("8 h", "1 h")):
        assert remarks(file(table("fever", rule.replace(old, new)))) == []
    of_a_sensor = only_form("share").replace('"75 %"', '"100 %"')
    assert remarks(of_a_sensor) == []
