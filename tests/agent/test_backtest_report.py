"""What `veilleur backtest` says of one history: figures worked out by hand, in both languages."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.agent.backtest_kit import (
    HEADER,
    MORNING,
    ROOT,
    SMALL,
    Row,
    glucose,
    low_day,
    veilleur,
    write_csv,
    write_parquet,
)

NB = "\u00a0"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Two patients: on two days half an hour of lows after an hour, and once on one day."""
    rows = [
        *low_day("p1"),
        *glucose("p1", [*[100] * 12, *[60] * 6, *[100] * 6], MORNING + timedelta(days=1)),
        *low_day("p2"),
        ("p2", MORNING, "moon_phase", 1, "1"),
        ("p2", MORNING + timedelta(hours=1, seconds=1), "glucose_interstitial", 5000, "mg/dL"),
    ]
    return write_csv(tmp_path / "history.csv", rows)


def stricter(folder: Path) -> Path:
    """The small protocol with 65 mg/dL instead of 70, and a lower alert at 54 for the nurse."""
    text = SMALL.read_text(encoding="utf-8")
    path = folder / "stricter.toml"
    path.write_text(text.replace('"70 mg/dL"', '"95 mg/dL"').replace("version = 1", "version = 2"), encoding="utf-8")
    return path


def rows_of(text: str, name: str) -> list[str]:
    (row,) = [line for line in text.splitlines() if line.startswith(name)]
    return [cell.strip() for cell in row.removeprefix(name).split("  ") if cell.strip()]


def test_a_report_counts_by_hand_what_a_nurse_asks(history: Path) -> None:
    result = veilleur("backtest", "--protocol", SMALL, "--readings", history)
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    # p1: watched 25 h 55 min, two lows and the 22 h without a reading; p2: 1 h 55 min, one low.
    assert "history.csv · 2 patients · 73 readings · from 3 March 2026 to 4 March 2026 (Europe/Paris)" in text
    assert "A history is not a promise" in text
    assert "SIMULATED" not in text
    assert rows_of(text, "alerts  ") == ["4"]
    assert rows_of(text, "· a week and patient") == ["24.1"]  # 4 in 27 h 50 min
    assert rows_of(text, "· told") == ["4"]
    assert rows_of(text, "· not told") == ["0"]
    assert rows_of(text, "· for: nurse") == ["1"]
    assert rows_of(text, "told to the nurse, a patient-day") == ["0.86 (> 0.10!)"]
    assert rows_of(text, "· patients under 0.10") == ["50.0%"]
    assert rows_of(text, "days watched") == ["3"]
    assert rows_of(text, "· without an alert told") == ["0 (0.0%)"]
    assert rows_of(text, "hypo_level_1")[:5] == ["medium", "patient or carer", "3", "18.1", "3"]
    assert rows_of(text, "hypo_level_1")[5:] == [f"30{NB}min", f"30{NB}min", "0", "0"]
    assert rows_of(text, "no_glucose")[2:5] == ["1", "6.0", "1"]
    covered = rows_of(text, "interstitial glucose")
    assert covered == ["73", "62.9", "288.0", "3/3", "1", f"22{NB}h 05{NB}min", f"22{NB}h 05{NB}min", "1 (1.4%)"]
    assert "1 × moon_phase: unknown quantity, set aside" in text
    assert text.rstrip().endswith("not an emergency service.")


def test_a_report_speaks_french_with_french_numbers(history: Path) -> None:
    text = veilleur("backtest", "--protocol", SMALL, "--readings", history, lang="fr").stdout
    assert "du 3 mars 2026 au 4 mars 2026 (Europe/Paris)" in text
    assert rows_of(text, "· par semaine et par patient") == ["24,1"]
    assert rows_of(text, "dites à l'infirmière, par patient-jour") == ["0,86 (> 0,10 !)"]
    assert "demain, les mesures et la personne seront autres" in text
    assert veilleur("backtest", "--protocol", SMALL, "--readings", history, "--lang", "fr").stdout == text


def test_the_end_and_the_beginning_are_those_that_were_said(history: Path) -> None:
    options = ("--since", "2026-03-03T08:00:00", "--until", "2026-03-03T09:30:00+00:00")
    text = veilleur("backtest", "--protocol", SMALL, "--readings", history, *options).stdout
    assert rows_of(text, "alerts  ") == ["2"]
    assert rows_of(text, "hypo_level_1")[-2] == "2"  # both still stand
    assert rows_of(text, "days watched") == ["2"]


def test_a_patient_of_several_may_be_chosen(history: Path) -> None:
    text = veilleur("backtest", "--protocol", SMALL, "--readings", history, "--patient", "p2").stdout
    assert "1 patient · 25 readings" in text
    assert rows_of(text, "alerts  ") == ["1"]
    wrong = veilleur("backtest", "--protocol", SMALL, "--readings", history, "--patient", "p3")
    assert (wrong.exit_code, "p1, p2" in wrong.stderr) == (2, True)


def test_another_protocol_beside_it_tells_what_differs(tmp_path: Path) -> None:
    falling = [100, 100, *[90] * 3, *[60] * 4, *[100] * 8, *[90] * 4, *[100] * 8]
    path = write_csv(tmp_path / "r.csv", glucose("p1", falling))
    options = ("--protocol", stricter(tmp_path), "--against", SMALL, "--readings", path)
    text = veilleur("backtest", *options).stdout
    assert "A diabetes_cgm v2 (tried)" in text
    assert "B diabetes_cgm v1 (current)" in text
    assert rows_of(text, "alerts  ") == ["2", "1"]
    assert "the same 0 · earlier with A 1 · later with A 0" in text
    assert f"3 March 2026 at 09:20 · p1 · hypo_level_1 · earlier with A (15{NB}min)" in text
    assert "3 March 2026 at 10:35 · p1 · hypo_level_1 · only with A" in text
    lines = veilleur("backtest", *options, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["protocol"] for line in lines] == ["diabetes_cgm v2", "diabetes_cgm v1", "diabetes_cgm v2"]
    table = veilleur("backtest", *options, "--format", "table").stdout
    assert table.count("diabetes_cgm v2") == 2


def test_many_differences_are_cut_and_the_same_protocol_has_none(tmp_path: Path) -> None:
    day = [100] * 6 + [90] * 6
    path = write_csv(tmp_path / "r.csv", glucose("p1", day * 45))
    options = ("--against", SMALL, "--readings", path)
    text = veilleur("backtest", "--protocol", stricter(tmp_path), *options, lang="fr").stdout
    assert "… et 5 autres" in text
    assert "pareilles 0 · plus tôt avec A 0" in text
    same = veilleur("backtest", "--protocol", SMALL, "--against", SMALL, "--readings", path).stdout
    assert "only with A 0 · only with B 0" in same


def test_what_says_that_it_is_simulated_is_called_so(tmp_path: Path) -> None:
    made = write_csv(tmp_path / "r.csv", low_day("p1"), remark="# simulated: made here\n")
    parquet = write_parquet(tmp_path / "r.parquet", low_day("p1"), metadata={"simulated": "made here"})
    for path in (made, parquet):
        text = veilleur("backtest", "--protocol", SMALL, "--readings", path).stdout
        assert "SIMULATED readings: nobody was measured." in text


def pressures(patient: str, times: int) -> list[Row]:
    """A home pressure in the morning and in the evening of each day: two a day and quantity."""
    return [
        (
            patient,
            MORNING + timedelta(hours=11 * (place % 2), days=place // 2),
            f"blood_pressure_{name}",
            value,
            "mm[Hg]",
        )
        for place in range(times)
        for name, value in (("systolic", 128), ("diastolic", 78))
    ]


def test_a_rule_that_never_had_a_value_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "r.csv", pressures("p1", 6))  # the mean needs 12 readings
    options = ("--protocol", "hypertension", "--readings", path)
    text = veilleur("backtest", *options, lang="fr").stdout
    never = "jamais jugée sur cet historique (trop peu de mesures) : 0 alerte ne veut pas dire valeurs normales"
    assert f"* home_systolic : {never}" in text
    assert rows_of(text, "home_systolic")[2] == "0 *"
    assert rows_of(text, "crisis_systolic  ")[2] == "0"
    assert "* crisis_systolic :" not in text
    assert "* irregular_pulse : jamais jugée sur cet historique (aucune mesure)" not in text
    said = "never judged on this history (too few readings): 0 alerts does not mean normal values"
    assert f"* home_systolic: {said}" in veilleur("backtest", *options).stdout
    (trial,) = json.loads(veilleur("backtest", *options, "--format", "json").stdout)
    assert trial["burden"]["rules"]["home_systolic"]["never_judged"] == 1
    assert trial["burden"]["rules"]["crisis_systolic"]["never_judged"] == 0
    assert trial["burden"]["rules"]["no_blood_pressure"]["never_judged"] == 0


def test_of_several_patients_those_are_counted_of_whom_a_rule_never_had_a_value(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "r.csv", [*pressures("p1", 6), *pressures("p2", 60), *low_day("p3")])
    text = veilleur("backtest", "--protocol", "hypertension", "--readings", path).stdout
    assert "* home_systolic: never judged in 2 of 3 patients (too few readings): no alert of theirs does not" in text
    assert "* crisis_systolic: never judged in 1 of 3 patients" in text
    (alone,) = json.loads(
        veilleur("backtest", "--protocol", SMALL, "--readings", path, "--patient", "p1", "--format", "json").stdout
    )
    assert alone["burden"]["rules"]["hypo_level_1"]["never_judged"] == 1
    text = veilleur("backtest", "--protocol", SMALL, "--readings", path, "--patient", "p1").stdout
    assert "* hypo_level_1: never judged on this history (no reading)" in text


def test_a_table_has_its_headings_in_the_readers_language(history: Path) -> None:
    options = ("--protocol", SMALL, "--readings", history, "--format", "table")
    french = veilleur("backtest", *options, lang="fr").stdout.splitlines()
    assert french[0].split() == ["patient", "priorité", "règle", "déclenchée", "finie", "pourquoi"]
    assert french[2].split()[:3] == ["p1", "moyenne", "hypo_level_1"]
    english = veilleur("backtest", *options).stdout.splitlines()
    assert english[0].split() == ["patient", "priority", "rule", "raised", "resolved", "why"]


def test_a_history_of_one_day_is_of_one_day(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "r.csv", glucose("p", [100, 100], MORNING.replace(month=7, day=1)))
    options = ("--protocol", SMALL, "--readings", path)
    assert " · le 1er juillet 2026 (Europe/Paris)" in veilleur("backtest", *options, lang="fr").stdout
    assert " · on 1 July 2026 (Europe/Paris)" in veilleur("backtest", *options).stdout
    night = write_csv(tmp_path / "n.csv", glucose("p", [100] * 3, MORNING.replace(hour=22, minute=55)))
    text = veilleur("backtest", "--protocol", SMALL, "--readings", night).stdout
    assert "from 3 March 2026 to 4 March 2026" in text  # 23:55 and 00:05 in Paris


def test_a_french_reader_is_not_told_lifted_for_standing(history: Path) -> None:
    text = veilleur("backtest", "--protocol", SMALL, "--readings", history, lang="fr").stdout
    assert rows_of(text, "ouvertes plus de 24 h") == ["0"]
    assert "levée" not in text


def test_times_without_an_offset_are_said_to_be_read_as_utc(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    line = "p,{},glucose_interstitial,100,mg/dL\n"
    path.write_text(
        ",".join(HEADER) + "\n" + line.format("2026-07-01T10:10:00Z") + line.format("2026-07-01T10:15:00"),
        encoding="utf-8",
    )
    options = ("--protocol", SMALL, "--readings", path)
    text = veilleur("backtest", *options, lang="fr").stdout
    assert (
        "Heures sans fuseau lues en UTC : 10:15 dans le fichier = 12:15 à Paris."
        " Si ce sont des heures locales, écrire +01:00 ou +02:00 après chaque heure." in text.splitlines()
    )
    english = "10:15 in the file = 06:15 in New York. If they are local times, write -05:00 or -04:00 after each time."
    text = veilleur("backtest", *options, "--zone", "America/New_York").stdout
    assert f"Times without an offset are read as UTC: {english}" in text.splitlines()
    assert "10:15 in the file = 12:15 in Paris" in veilleur("backtest", *options, "--format", "jsonl").stderr
    assert "10:15" in veilleur("backtest", *options, "--patient", "p").stdout
    path.write_text(path.read_text(encoding="utf-8").replace("10:15:00", "10:15:00+02:00"), encoding="utf-8")
    assert "UTC" not in veilleur("backtest", *options).stdout


def test_a_report_for_programs_is_json(history: Path) -> None:
    (trial,) = json.loads(veilleur("backtest", "--protocol", SMALL, "--readings", history, "--format", "json").stdout)
    assert trial["protocol"] == "diabetes_cgm v1"
    assert trial["burden"]["rules"]["hypo_level_1"]["raised"] == 3
    assert trial["coverage"]["glucose_interstitial"]["not_judged"] == 1


def test_a_history_without_readings_is_a_report_without_rates(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "r.csv", [])
    result = veilleur("backtest", "--protocol", SMALL, "--readings", path)
    assert result.exit_code == 0, result.stderr
    assert rows_of(result.stdout, "told to the nurse, a patient-day") == ["-"]
    assert rows_of(result.stdout, "hypo_level_1")[3] == "-"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--readings or --population"),
        (("--readings", "r.csv", "--jobs", "2"), "--jobs does not go with --readings"),
        (("--readings", "r.csv", "--scheduler", "tcp://x:1"), "--scheduler"),
        (("--readings", "r.csv", "--protocol", "heart_failure"), "--against"),
        (("--readings", "r.csv", "--plot", "x.pdf"), ".png or .svg"),
        (("--readings", "r.csv", "--against", "absent.toml"), "absent.toml"),
        (("--population", ".", "--against", "heart_failure"), "--against does not go with --population"),
        (("--population", ".", "--format", "jsonl"), "--format jsonl"),
        (("--population", ".", "--readings", "r.csv"), "--readings does not go with --population"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(options: tuple[str, ...], said: str) -> None:
    for lang in ("en", "fr"):
        result = veilleur("backtest", "--protocol", SMALL, *options, lang=lang)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert lang == "fr" or said in result.stderr


def test_a_faulty_recording_is_told_in_the_readers_language(tmp_path: Path) -> None:
    (tmp_path / "r.parquet").write_bytes(b"nothing")
    (tmp_path / "r.csv").write_text("patient,time\n", encoding="utf-8")
    for name, french in (("r.parquet", "abîmé"), ("r.csv", "ligne\u00a01\u00a0: les colonnes doivent être")):
        result = veilleur("backtest", "--protocol", SMALL, "--readings", tmp_path / name, lang="fr")
        assert (result.exit_code, result.stdout) == (2, "")
        assert len(result.stderr.splitlines()) == 1
        assert french in result.stderr


@pytest.mark.parametrize("place", ["before", "after"])
def test_every_fault_is_told_in_the_language_that_was_asked_for(place: str, tmp_path: Path) -> None:
    recording = tmp_path / "r.csv"
    recording.write_text("patient;time\n", encoding="utf-8")
    faulty = tmp_path / "faulty.toml"
    faulty.write_text(SMALL.read_text(encoding="utf-8").replace('"70 mg/dL"', '"70 kg"'), encoding="utf-8")
    for protocol, readings, french, english in (
        (SMALL, recording, "séparés par des points-virgules", "separated by semicolons"),
        (SMALL, tmp_path / "absent.csv", "(il n'existe pas)", "(there is none)"),
        (faulty, recording, "ligne 30 : rules.hypo_level_1.threshold :", "line 30: rules.hypo_level_1.threshold:"),
        (faulty, recording, "« veilleur check", "'veilleur check"),
    ):
        for lang, said, not_said in (("fr", french, english), ("en", english, french)):
            arguments = ("--protocol", protocol, "--readings", readings)
            if place == "before":
                result = veilleur("backtest", *arguments, lang=lang)
            else:
                other = "en" if lang == "fr" else "fr"
                result = veilleur("backtest", *arguments, "--lang", lang, lang=other)
            assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
            assert said in result.stderr
            assert not_said not in result.stderr


@pytest.mark.parametrize(
    ("absent", "options"),
    [
        ("pyarrow", ("--readings", "r.parquet")),
        ("pyarrow", ("--population", ".")),
        ("matplotlib", ("--readings", "r.csv", "--plot", "p.svg")),
    ],
)
def test_without_the_analysis_libraries_a_sentence_says_what_to_install(
    absent: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    write_parquet(tmp_path / "r.parquet", low_day("p1"))
    write_csv(tmp_path / "r.csv", low_day("p1"))
    arguments = ["--lang", "fr", "backtest", "--protocol", str(SMALL), *options]
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules[{absent!r}] = None; sys.argv[1:] = {arguments!r}"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; from agent.cli import main; main()"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert absent in done.stderr
    assert "pip install 'veilleur[analysis]'" in done.stderr
