"""The pictures of `veilleur backtest`: there, legible as text, and never a line over a silence."""

import dataclasses
import re
import struct
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agent.backtest_agp import profile_of
from agent.backtest_levels import levels_of
from agent.backtest_panels import time_axis
from agent.backtest_picture import WIDTH
from agent.backtest_words import Words
from agent.settings_file import load_protocol
from alerting.alert import Audience, Priority
from alerting.burden import Watched
from alerting.glucose_profile import PERCENTILES, target_of
from alerting.history import History
from alerting.recordings import read_recording
from alerting.rules import Baseline, BaselineRule, Direction, LevelRule, ShareRule, Side
from devices.reading import Quantity, Unit
from tests.agent.backtest_kit import MORNING, SMALL, Row, glucose, low_day, veilleur, write_csv

PARIS = ZoneInfo("Europe/Paris")
START = round(MORNING.timestamp() * 1000)
NB = "\u00a0"
HOUR, DAY = 3_600_000, 86_400_000


def picture(tmp_path: Path, rows: Sequence[Row], *options: object, lang: str = "en", kind: str = "svg") -> bytes:
    target = tmp_path / f"trial.{kind}"
    readings = write_csv(tmp_path / "r.csv", rows)
    result = veilleur("backtest", "--readings", readings, "--plot", target, *options, lang=lang)
    assert result.exit_code == 0, result.stderr
    return target.read_bytes()


def drawn(svg: bytes, name: str) -> str:
    """Return the path of a line: its commands."""
    found = re.search(rf'<g id="{name}">\s*<path d="([^"]+)"', svg.decode())
    assert found is not None
    return found[1]


def days_of_glucose(days: int) -> list[Row]:
    """Every quarter of an hour: 100 mg/dL at midnight UTC and 10 more each hour."""
    return [
        (
            "p",
            MORNING + timedelta(minutes=15 * place),
            "glucose_interstitial",
            100 + 10 * ((8 + place // 4) % 24),
            "mg/dL",
        )
        for place in range(96 * days)
    ]


def test_a_png_has_its_size_and_something_on_it(tmp_path: Path) -> None:
    data = picture(tmp_path, low_day("p1"), "--protocol", SMALL, kind="png")
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width == round(WIDTH * 150)
    assert 500 < height < 2000
    assert len(data) > 20_000


def test_a_picture_says_who_when_what_and_what_it_is_not(tmp_path: Path) -> None:
    svg = picture(tmp_path, low_day("pat$ient"), "--protocol", SMALL, lang="fr").decode()
    for text in (
        "patient pat$ient",
        "le 3 mars 2026 (Europe/Paris) · 24 mesures",
        "diabetes_cgm v1 · Diabète, capteur de glucose en continu",
        "Glucose interstitiel",
        "70 mg/dL",
        "54 mg/dL",
        "Hypoglycémie de niveau 1 au",
        "capteur (moyenne)",
        "3 mars",
        "Veilleur n&#x27;est ni un dispositif médical certifié",
    ):
        assert text in svg.replace("'", "&#x27;").replace("&apos;", "&#x27;"), text
    assert "SIMUL" not in svg


def test_silences_are_never_drawn_over(tmp_path: Path) -> None:
    values = glucose("p", [100, 110, 120])
    later = glucose("p", [90, 95, 90, 95], MORNING + timedelta(hours=3))
    near = glucose("p", [100], MORNING + timedelta(hours=3, minutes=60))  # 45 min after the last: no gap
    path = drawn(picture(tmp_path, [*values, *later, *near], "--protocol", SMALL), "trace-glucose_interstitial")
    assert path.count("M ") == 2
    assert path.count("L ") == 2 + 4


def test_readings_of_a_quantity_without_cadence_are_joined_only_as_the_protocol_allows(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("p", MORNING + timedelta(days=day), "body_weight", 70 + 0.1 * day, "kg") for day in (0, 1, 2, 5, 6)
    ]
    rows += [("p", MORNING + timedelta(days=day), "spo2", 97, "%") for day in range(3)]
    svg = picture(tmp_path, rows, "--protocol", "heart_failure")
    path = drawn(svg, "trace-body_weight")
    assert (path.count("M "), path.count("L ")) == (2, 3)
    assert b"trace-spo2" not in svg  # no rule looks at it


def test_days_without_an_appointment_are_not_grey(tmp_path: Path) -> None:
    text = SMALL.with_name("heart_failure.toml").read_text(encoding="utf-8")
    head, tail = text.split('kind = "missing"\nquantity = "body_weight"\n')
    before, _, after = tail.partition("priority")
    assert set(re.findall(r"^(\w+) =", before, re.MULTILINE)) == {"expected", "grace"}
    schedule = 'by = "11:00"\non = ["mon", "wed", "fri"]\ngrace = "1 h"\n'
    path = tmp_path / "scheduled.toml"
    path.write_text(f'{head}kind = "missing"\nquantity = "body_weight"\n{schedule}priority{after}', encoding="utf-8")
    rows: list[Row] = [("p", MORNING + timedelta(days=day), "body_weight", 70, "kg") for day in (1, 3, 6, 8, 10)]
    kept = picture(tmp_path, rows, "--protocol", path)
    assert b"gap-body_weight" not in kept
    line = drawn(kept, "trace-body_weight")
    assert (line.count("M "), line.count("L ")) == (1, 4)
    missed = picture(tmp_path, [*rows[:2], *rows[3:]], "--protocol", path)
    assert missed.count(b"gap-body_weight") == 1
    assert drawn(missed, "trace-body_weight").count("M ") == 2


def pressures() -> list[Row]:
    """A week of home pressures that are high in the mean and never by themselves."""
    return [
        ("p", MORNING + timedelta(days=day, hours=hour, minutes=minute), f"blood_pressure_{name}", value, "mm[Hg]")
        for day in range(8)
        for hour in (0, 11)
        for minute in (0, 3)
        for name, value in (("systolic", 140), ("diastolic", 90))
    ]


def test_the_threshold_of_a_mean_is_drawn_and_called_so(tmp_path: Path) -> None:
    svg = picture(tmp_path, pressures(), "--protocol", "hypertension", lang="fr").decode()
    assert "moy. 135 mmHg" in svg
    assert "moy. 85 mmHg" in svg
    assert ">180 mmHg<" in svg  # of a reading, and of a share
    assert "Seuil fin" in svg
    assert drawn(svg.encode(), "level-blood_pressure_systolic-1350") != drawn(
        svg.encode(), "level-blood_pressure_systolic-1800"
    )
    assert "mean 135 mmHg" in picture(tmp_path, pressures(), "--protocol", "hypertension").decode()
    assert b"Thin threshold" not in picture(tmp_path, low_day("p"), "--protocol", SMALL)


def test_levels_are_those_of_readings_means_shares_and_dry_weight() -> None:
    protocol = load_protocol(str(SMALL), Path())
    dry = BaselineRule(
        id="dry",
        quantity=Quantity.BODY_WEIGHT,
        priority=Priority.LOW,
        audience=Audience.NURSE,
        words=protocol.rules[0].words,
        statistic=Baseline.DRY_WEIGHT,
        direction=Direction.RISE,
        delta=2500,
        end_delta=2000,
        reference=71_200,
    )
    loss = dataclasses.replace(dry, id="loss", direction=Direction.FALL)
    moving = dataclasses.replace(dry, id="moving", statistic=Baseline.MEAN, window=DAY)
    share = ShareRule(
        id="share",
        quantity=Quantity.BODY_WEIGHT,
        priority=Priority.LOW,
        audience=Audience.NURSE,
        words=dry.words,
        side=Side.ABOVE,
        threshold=80_000,
        share=5000,
        end_share=4000,
        window=DAY,
        min_readings=2,
    )
    level = LevelRule(
        id="level",
        quantity=Quantity.BODY_WEIGHT,
        priority=Priority.LOW,
        audience=Audience.NURSE,
        words=dry.words,
        side=Side.ABOVE,
        threshold=90_000,
        end_threshold=90_000,
    )
    beside = dataclasses.replace(share, id="beside", threshold=90_000, priority=Priority.HIGH)
    changed = dataclasses.replace(protocol, rules=(dry, loss, moving, share, level, beside))
    levels = levels_of([protocol, changed], Quantity.BODY_WEIGHT)
    assert [one.count for one in levels] == [68_700, 73_700, 80_000, 90_000]
    french, english = (
        [one.text(Quantity.BODY_WEIGHT, Unit.KILOGRAM, Words(lang, PARIS)) for one in levels] for lang in ("fr", "en")
    )
    assert french == [f"sec −{NB}2,5 : 68,7 kg", f"sec +{NB}2,5 : 73,7 kg", "part 80 kg", "90 kg"]
    assert english == [f"dry −{NB}2.5: 68.7 kg", f"dry +{NB}2.5: 73.7 kg", "share 80 kg", "90 kg"]
    assert [one.of_each_reading for one in levels] == [False, False, False, True]
    assert (levels[-1].priority, levels[-1].places) == (Priority.HIGH, {1})
    pounds = levels[1].text(Quantity.BODY_WEIGHT, Unit.POUND, Words("en", PARIS))
    assert pounds.startswith(f"dry +{NB}5.512: ")


def test_rules_of_one_title_are_told_apart_by_their_id(tmp_path: Path) -> None:
    text = SMALL.read_text(encoding="utf-8")
    titles = re.findall(r"^title = .*$", text, re.MULTILINE)
    low = [one for one in titles if "Hypogly" in one]
    assert len(low) == 2
    path = tmp_path / "same.toml"
    path.write_text(text.replace(low[1], low[0]), encoding="utf-8")
    svg = picture(tmp_path, low_day("p1", low=50), "--protocol", path).decode()
    assert "hypo_level_1" in svg
    assert "hypo_level_2" in svg
    assert "hypo_level_1" not in picture(tmp_path, low_day("p1", low=50), "--protocol", SMALL).decode()


def test_both_protocols_are_drawn_and_named(tmp_path: Path) -> None:
    options = ("--protocol", SMALL, "--against", SMALL.with_name("heart_failure.toml"))
    rows = [*low_day("p"), ("p", MORNING, "body_weight", 70.0, "kg")]
    svg = picture(tmp_path, rows, *options).decode()
    assert "A (tried) : diabetes_cgm v1" in svg
    assert "B (current) : heart_failure v1" in svg
    assert "trace-body_weight" in svg
    assert "70 mg/dL A" in svg


def test_the_same_trial_gives_the_same_picture(tmp_path: Path) -> None:
    first, again = (picture(tmp_path, low_day("p"), "--protocol", SMALL) for _ in range(2))
    assert first == again


def test_a_picture_without_alerts_or_of_simulated_readings_says_so(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "calm.csv", glucose("p", [100] * 20), remark="# simulated: made here\n")
    target = tmp_path / "calm.svg"
    assert veilleur("backtest", "--protocol", SMALL, "--readings", path, "--plot", target).exit_code == 0
    svg = target.read_text(encoding="utf-8")
    assert "no alert" in svg
    assert "SIMULATED readings: nobody was measured." in svg


def test_a_profile_is_drawn_from_five_days_on(tmp_path: Path) -> None:
    options = ("--protocol", SMALL)
    assert b"profile-median" not in picture(tmp_path, days_of_glucose(4), *options)
    svg = picture(tmp_path, days_of_glucose(6), *options)
    assert b"profile-median" in svg
    assert b"Profile of a day (6 days)" in svg
    assert b"in range 70-180 mg/dL 37.5%, below 0.0%, above 62.5%" in svg  # 9 of 24 hours are at most 180


def history_of(tmp_path: Path, rows: Sequence[Row]) -> History:
    return History.of("p", read_recording(write_csv(tmp_path / "h.csv", rows)).readings["p"])


def test_percentiles_are_of_the_local_time_of_day(tmp_path: Path) -> None:
    history = history_of(tmp_path, days_of_glucose(6))
    watched = Watched(begin=START, end=START + 6 * DAY, zone=PARIS)
    profile = profile_of(history, watched)
    assert profile is not None
    assert (profile.days, profile.bands.shape) == (6, (len(PERCENTILES), 97))
    # 12:30 in Paris is 11:30 UTC; half an hour either side lie 11:00-11:45 at 210 and 12:00 at 220 mg/dL.
    place = profile.minutes.tolist().index(750)
    assert profile.bands[:, place].tolist() == [2100, 2100, 2100, 2100, 2200]
    assert profile.bands[:, 0].tolist() == profile.bands[:, -1].tolist()
    utc = profile_of(history, Watched(begin=START, end=START + 6 * DAY, zone=ZoneInfo("UTC")))
    assert utc is not None
    assert utc.bands[2, place] == 2200


def test_a_profile_needs_days_of_readings_and_leaves_hours_without_them_open(tmp_path: Path) -> None:
    watched = Watched(begin=START, end=START + 6 * DAY, zone=PARIS)
    assert profile_of(history_of(tmp_path, glucose("p", [100])), watched) is None
    thin = [row for row in days_of_glucose(12) if row[1].hour < 11]
    assert profile_of(history_of(tmp_path, thin), watched) is None
    nights = [row for row in days_of_glucose(8) if row[1].hour < 18]
    profile = profile_of(history_of(tmp_path, nights), Watched(begin=START, end=START + 8 * DAY, zone=ZoneInfo("UTC")))
    assert profile is not None
    assert np.isnan(profile.bands[:, 80]).all()
    assert np.isfinite(profile.bands[:, 40]).all()


def test_the_target_is_the_protocols_own() -> None:
    assert target_of(load_protocol("diabetes_cgm", Path())) == (700, 1800)
    assert target_of(load_protocol("heart_failure", Path())) == (700, 1800)


@pytest.mark.parametrize(
    ("length", "lang", "labels"),
    [
        (3 * HOUR, "fr", ["08:00\n29 mars", "09:00", "10:00", "11:00"]),
        (
            30 * HOUR,
            "en",
            [
                "09:00\n29 March",
                "12:00",
                "15:00",
                "18:00",
                "21:00",
                "00:00\n30 March",
                "03:00",
                "06:00",
                "09:00",
                "12:00",
            ],
        ),
        (5 * DAY, "fr", ["30 mars", "31 mars", "1er avr.", "2 avr.", "3 avr."]),
        (40 * DAY, "en", ["30 Mar", "6 Apr", "13 Apr", "20 Apr", "27 Apr", "4 May"]),
        (400 * DAY, "fr", ["30 mars 2026", "29 juin 2026", "28 sept. 2026", "28 déc. 2026", "29 mars 2027"]),
    ],
)
def test_times_are_labelled_in_the_patients_days(length: int, lang: str, labels: list[str]) -> None:
    axes: Axes = Figure().add_axes((0, 0, 1, 1))
    begin = round(MORNING.replace(day=29, hour=6).timestamp() * 1000)  # 08:00 in Paris, the first summer morning
    time_axis(axes, Watched(begin=begin, end=begin + length, zone=PARIS), Words(lang, PARIS))
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
    midnights = {Words(lang, PARIS).local(round(tick * DAY)).hour for tick in axes.get_xticks()}
    assert length < 3 * DAY or midnights == {0}


def test_what_cannot_be_drawn_is_one_sentence(tmp_path: Path) -> None:
    one, two = (
        write_csv(tmp_path / "1.csv", low_day("p")),
        write_csv(tmp_path / "2.csv", [*low_day("p"), *low_day("q")]),
    )
    for readings, options, said in (
        (two, (), "A picture shows one patient."),
        (one, ("--until", "2020-01-01T00:00:00"), "There is nothing to draw."),
        (one, ("--plot", tmp_path / "absent" / "x.png"), "cannot be written"),
    ):
        arguments = ("--protocol", SMALL, "--readings", readings, "--plot", tmp_path / "x.png", *options)
        result = veilleur("backtest", *arguments, "--format", "jsonl")
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert said in result.stderr
