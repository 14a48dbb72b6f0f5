"""The box's commands: what a nurse or an installer reads, and the exit codes that scripts rely on."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.settings_file import packaged_protocols

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "alerting" / "small" / "diabetes_cgm.toml"
EXCERPT = ROOT / "simulators" / "recordings" / "hall_2018_excerpt.csv.gz"
HEADER = "patient,time,quantity,value,unit\n"


def veilleur(*arguments: object, lang: str = "en") -> Result:
    return CliRunner().invoke(main, ["--lang", lang, *map(str, arguments)])


def low_for_an_hour(path: Path) -> Path:
    rows = [
        f"p1,2026-03-01T0{8 + m // 60}:{m % 60:02d}:00,glucose_interstitial,{60 if m < 60 else 100},mg/dL"
        for m in range(0, 120, 5)
    ]
    path.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_decode_prints_readings_in_canonical_units() -> None:
    # Made here: 16.0/10.7 kPa would be 120/80 mmHg; this one is in mmHg with time, pulse and user.
    result = veilleur("decode", "2A35", "1e780050005d00ea070b160800004600010000")
    shown = json.loads(result.stdout)
    assert result.exit_code == 0
    assert shown["characteristic"] == "2A35"
    assert shown["readings"][0] == {
        "quantity": "blood_pressure_systolic",
        "value": 120.0,
        "unit": "mm[Hg]",
        "validity": "valid",
        "measured_at": "2026-11-22T08:00:00Z",
    }


@pytest.mark.parametrize("arguments", [("2A35", "1e78"), ("2A35", "zz"), ("nonsense", "00"), ("FFFF", "00")])
def test_decode_refuses_malformed_input_in_one_line(arguments: tuple[str, str]) -> None:
    result = veilleur("decode", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("veilleur: ")


def test_check_accepts_what_is_shipped() -> None:
    for name in (*packaged_protocols(), ROOT / "configs" / "agent.toml"):
        result = veilleur("check", name)
        assert result.exit_code == 0, result.stderr
        assert ": ok" in result.stdout


def test_check_lists_every_fault_of_a_protocol_with_its_line_in_the_readers_language(tmp_path: Path) -> None:
    text = (ROOT / "configs" / "protocols" / "diabetes_cgm.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('"70 mg/dL"', '"70 kg"').replace('"low"', '"lowest"'), encoding="utf-8")
    english, french = veilleur("check", path), veilleur("check", path, lang="fr")
    assert english.exit_code == french.exit_code == 1
    assert len(english.stderr.splitlines()) >= 3
    assert english.stderr != french.stderr
    assert all(line.startswith(f"{path}:") for line in english.stderr.splitlines())


HEIR = 'schema = 1\nname = "mme_d"\nversion = 3\npack = "heart_failure"\n'


def test_check_tells_faults_and_remarks_apart_and_refuses_for_faults_only(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEIR + '[quantities.perfusion_index]\ncadence = "1 min"\ngap = "5 min"\n', encoding="utf-8")
    sound = veilleur("check", path, lang="en")
    assert sound.exit_code == 0
    assert sound.stdout.startswith(f"{path}: ok · mme_d v3 · ")
    assert sound.stderr.startswith(f"{path}:5: quantities.perfusion_index: remark: ")
    assert veilleur("check", path, lang="fr").stderr.startswith(f"{path}:5: quantities.perfusion_index: remarque : ")
    path.write_text('remove = ["nothing"]\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    faulty = veilleur("check", path, lang="en")
    assert (faulty.exit_code, faulty.stdout) == (1, "")
    assert len(faulty.stderr.splitlines()) == 2


def test_check_shows_what_a_physician_signs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEIR, encoding="utf-8")
    found = json.loads(veilleur("check", path, "--json").stdout)
    assert (found["name"], found["version"], found["faults"], found["remarks"]) == ("mme_d", 3, [], [])
    assert found["pack"].startswith("heart_failure ")
    gain = next(rule for rule in found["rules"] if rule["id"] == "weight_gain_3_days")
    assert (gain["delta"], gain["kind"]) == ("2.0 kg", "change")
    assert veilleur("check", path, "--hash").stdout == f"{found['hash']}  mme_d v3\n"
    whole = tmp_path / "whole.toml"
    whole.write_text(veilleur("check", path, "--resolved").stdout, encoding="utf-8")
    assert json.loads(veilleur("check", whole, "--json").stdout)["hash"] == found["hash"]
    path.write_text(HEIR.replace("version = 3", "version = 0"), encoding="utf-8")
    faulty = veilleur("check", path, "--json")
    assert (faulty.exit_code, json.loads(faulty.stdout)["faults"][0]["key"]) == (1, "version")
    settings = veilleur("check", ROOT / "configs" / "agent.toml", "--hash")
    assert (settings.exit_code, "is for a care protocol" in settings.stderr) == (2, True)


def test_check_lists_every_fault_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('"box-0001"', '"B"').replace('driver = "cgm"', 'driver = "x"'), encoding="utf-8")
    result = veilleur("check", path)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("command", ["check", "run", "status"])
def test_a_file_that_is_not_there_is_one_sentence(command: str, tmp_path: Path) -> None:
    option = [] if command == "check" else ["--config"]
    result = veilleur(command, *option, tmp_path / "absent.toml")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_backtest_prints_one_alert_a_line(tmp_path: Path) -> None:
    path = low_for_an_hour(tmp_path / "r.csv")
    result = veilleur("backtest", "--protocol", SMALL, "--readings", path, "--format", "jsonl")
    assert result.exit_code == 0, result.stderr
    first = json.loads(result.stdout.splitlines()[0])
    assert first.keys() >= {"patient", "rule", "priority", "onset", "raised_at", "resolved_at", "evidence", "why"}
    assert (first["patient"], first["rule"], first["onset"]) == ("p1", "hypo_level_1", "2026-03-01T08:00:00Z")
    assert first["raised_at"] == "2026-03-01T08:10:00Z"
    assert first["resolved_at"] == "2026-03-01T09:10:00Z"
    assert set(first["why"]) == {"fr", "en"}


def test_backtest_still_open_alerts_end_in_null(tmp_path: Path) -> None:
    path = low_for_an_hour(tmp_path / "r.csv")
    options = ("--until", "2026-03-01T08:30:00", "--format", "jsonl")
    result = veilleur("backtest", "--protocol", SMALL, "--readings", path, *options)
    assert [json.loads(line)["resolved_at"] for line in result.stdout.splitlines()] == [None]


def test_backtest_of_the_shipped_excerpt_has_lows_and_highs() -> None:
    result = veilleur("backtest", "--protocol", "diabetes_cgm", "--readings", EXCERPT, "--format", "jsonl")
    rules = {json.loads(line)["rule"] for line in result.stdout.splitlines()}
    assert {"hypo_level_1", "hyper_level_1"} <= rules
    table = veilleur("backtest", "--protocol", "diabetes_cgm", "--readings", EXCERPT, "--format", "table", lang="fr")
    assert "Hypoglycémie" in table.stdout


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("p1,2026-03-01T08:00:00,glucose_interstitial,100,mg/L\n", "line 2"),
        ("p1,yesterday,glucose_interstitial,100,mg/dL\n", "line 2"),
        ("p1,2026-03-01T08:00:00\n", "line 2"),
    ],
)
def test_backtest_refuses_a_recording_it_cannot_read(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress((HEADER + rows).encode()))
    result = veilleur("backtest", "--protocol", "diabetes_cgm", "--readings", path)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_backtest_says_what_it_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        HEADER + "p1,2026-03-01T08:00:00,body_weight,900,kg\np1,2026-03-01T08:00:00,moon_phase,1,1\n", encoding="utf-8"
    )
    result = veilleur("backtest", "--protocol", "heart_failure", "--readings", path, "--format", "table")
    assert result.exit_code == 0
    assert "1 × moon_phase" in result.stderr
    assert "1 × valeur impossible" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--protocol", "absent", "--readings", EXCERPT),
        ("--protocol", "diabetes_cgm", "--readings", "absent.csv"),
        ("--protocol", "diabetes_cgm", "--readings", EXCERPT, "--zone", "Mars/Base"),
        ("--protocol", "diabetes_cgm", "--readings", EXCERPT, "--since", "soon"),
    ],
)
def test_backtest_refuses_what_cannot_be_done_in_one_line(options: tuple[object, ...]) -> None:
    result = veilleur("backtest", *options)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_help_says_what_this_is_not() -> None:
    result = veilleur("--help")
    assert "certified medical device" in result.stdout
    assert "15" in result.stdout
