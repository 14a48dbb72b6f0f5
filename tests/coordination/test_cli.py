import csv
import json
import re
import sqlite3
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alerting.alert import (
    Audience,
    ChangeKind,
    Escalation,
    Evidence,
    Outcome,
    Reason,
    Sentence,
    Similar,
    Suppression,
)
from alerting.recordings import read_recording
from coordination.cli import main
from coordination.database import Presence
from coordination.schema_steps import VERSION
from coordination.settings import read_settings
from coordination.view import View
from devices.reading import Quantity, Unit, Validity
from exchange.messages import alert as alert_record
from exchange.messages import alert_change
from tests.coordination.kit import (
    BOX,
    EPOCH,
    HOUR,
    MINUTE,
    OTHER_BOX,
    OTHER_EPOCH,
    OTHER_PATIENT,
    PATIENT,
    START,
    USUAL,
    Team,
    glucose,
    hypo,
)

WEIGHT = {
    "quantity": Quantity.BODY_WEIGHT,
    "unit": Unit.KILOGRAM,
    "device_unit": Unit.KILOGRAM,
    "device": "C4:B0:00:00:00:03",
    "patient": OTHER_PATIENT,
}


@pytest.fixture
def config(team: Team) -> Path:
    """Settings of a team whose database holds readings and alerts of two patients."""
    patients = (USUAL, (OTHER_PATIENT, BOX, "2025-11-01T00:00:00Z", "heart_failure"))
    database = team.open_database(team.settings(*patients))
    team.store(
        database,
        team.opened(
            0,
            [
                glucose(0),
                glucose(1, count=1234, validity=Validity.QUESTIONABLE),
                glucose(2, count=100, validity=Validity.UNDERFLOW),
                glucose(3, measured_at=START + 15 * MINUTE + 7),
                glucose(4, count=71_250, key="w1", **WEIGHT),
                hypo(ChangeKind.RAISED),
                hypo(ChangeKind.RESOLVED),
                hypo(ChangeKind.RAISED, onset=START + 2 * HOUR),
                hypo(ChangeKind.RAISED, onset=START - HOUR),
                hypo(ChangeKind.RETRACTED, onset=START - HOUR),
            ],
        ),
        team.opened(0, [glucose(0)], epoch=OTHER_EPOCH),
        Presence(status=team.status(), retained=False),
        at=START + HOUR,
    )
    database.close()
    return team.write_settings(patients=patients)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _fine(*arguments: str | Path) -> str:
    result = _run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def _lines(*arguments: str | Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in _fine(*arguments).splitlines()]


def test_readings_as_json_lines_say_everything_in_utc(config: Path) -> None:
    found = _lines("readings", "--config", config, "--json")
    assert [(item["patient"], item["quantity"], item["epoch"], item["seq"]) for item in found] == [
        (OTHER_PATIENT, "body_weight", EPOCH, 4),
        (PATIENT, "glucose_interstitial", EPOCH, 0),  # what came again under the other epoch is no second reading
        (PATIENT, "glucose_interstitial", EPOCH, 1),
        (PATIENT, "glucose_interstitial", EPOCH, 2),
        (PATIENT, "glucose_interstitial", EPOCH, 3),
    ]
    assert found[1] == {
        "patient": PATIENT,
        "time": "2025-11-22T08:26:40Z",
        "quantity": "glucose_interstitial",
        "value": 104.0,
        "unit": "mg/dL",
        "validity": "valid",
        "clock": "trusted",
        "device": "C4:B0:00:00:00:01",
        "key": f"{START}:0",
        "box": BOX,
        "epoch": EPOCH,
        "seq": 0,
        "received_at": "2025-11-22T08:26:40.800Z",
        "stored_at": "2025-11-22T09:26:40Z",
    }
    assert found[-1]["time"] == "2025-11-22T08:41:40.007Z"
    assert found[0]["value"] == 71.25


def test_readings_are_chosen_by_patient_time_and_number(config: Path) -> None:
    chosen = _lines("readings", "--config", config, "--json", "--patient", PATIENT, "--since", "2025-11-22T08:31:40")
    assert [item["seq"] for item in chosen] == [1, 2, 3]
    with_offset = _lines("readings", "--config", config, "--json", "--since", "2025-11-22T09:36:40+01:00")
    assert [item["seq"] for item in with_offset] == [4, 2, 3]
    assert [item["seq"] for item in _lines("readings", "--config", config, "--json", "--limit", "2")] == [4, 3]


def test_the_table_of_readings_speaks_the_readers_language(config: Path) -> None:
    french = _fine("readings", "--config", config)
    assert "71,250\u00a0kg" in french
    assert "sous la plage" in french
    assert re.search(r"\d\d/\d\d/2025 \d\d:\d\d", french)
    english = _fine("readings", "--config", config, "--lang", "en")
    assert "71.250\u00a0kg" in english
    assert "interstitial glucose" in english
    assert len(_fine("readings", "--config", config, "--limit", "1").splitlines()) == 3


def test_a_recording_for_the_backtest_holds_what_is_judged_once(config: Path, tmp_path: Path) -> None:
    target = tmp_path / "readings.csv"
    _fine("readings", "--config", config, "--csv", target)
    assert target.stat().st_mode & 0o777 == 0o600
    with target.open(encoding="utf-8", newline="") as file:
        written = list(csv.reader(file))
    assert written == [
        ["patient", "time", "quantity", "value", "unit"],
        [OTHER_PATIENT, "2025-11-22T08:46:40.000Z", "body_weight", "71.250", "kg"],
        [PATIENT, "2025-11-22T08:26:40.000Z", "glucose_interstitial", "104.0", "mg/dL"],
        [PATIENT, "2025-11-22T08:36:40.000Z", "glucose_interstitial", "10.0", "mg/dL"],
        [PATIENT, "2025-11-22T08:41:40.007Z", "glucose_interstitial", "104.3", "mg/dL"],
    ]
    recording = read_recording(target)
    assert [reading.measured_at for reading in recording.readings[PATIENT]] == [
        START,
        START + 10 * MINUTE,
        START + 15 * MINUTE + 7,
    ]
    assert recording.implausible == 0
    assert _fine("readings", "--config", config, "--csv", "-") == target.read_text(encoding="utf-8")


def test_alerts_as_json_lines_have_what_a_backtest_says_and_more(config: Path) -> None:
    found = _lines("alerts", "--config", config, "--json")
    assert [(item["change"], item["onset"]) for item in found] == [
        ("retracted", "2025-11-22T07:26:40Z"),
        ("resolved", "2025-11-22T08:26:40Z"),
        ("raised", "2025-11-22T10:26:40Z"),
    ]
    assert found[1]["resolved_at"] == "2025-11-22T09:26:40Z"
    assert found[2]["resolved_at"] is None
    assert found[1]["why"] == {"fr": "Hypoglycémie (resolved)", "en": "Hypoglycaemia (resolved)"}
    assert {"patient", "rule", "priority", "onset", "raised_at", "resolved_at", "evidence", "why"} <= set(found[0])
    assert (found[0]["box"], found[0]["origin"], found[0]["late"]) == (BOX, "box", False)


def test_an_alert_is_shown_whole_in_the_readers_language(config: Path, team: Team) -> None:
    database = team.open_database()
    change = alert_change(hypo(ChangeKind.ESCALATED, onset=START + 2 * HOUR))
    glucose_low = Evidence(
        quantity=Quantity.GLUCOSE_INTERSTITIAL,
        count=655,
        measured_at=START + 2 * HOUR,
        received_at=START + 2 * HOUR,
        device="C4:B0:00:00:00:01",
        key="k",
    )
    whole = replace(
        change,
        check=Sentence(fr="glycémie au doigt", en="a fingerstick"),
        due_by=START + 3 * HOUR,
        evidence=(glucose_low,),
        recent=(glucose_low, replace(glucose_low, count=690)),
        signals=(replace(glucose_low, quantity=Quantity.BODY_WEIGHT, count=71_250),),
        higher=Sentence(fr="il faudrait moins de 54", en="it would take less than 54"),
        lacking=Sentence(fr="la tension", en="blood pressure"),
        similar=Similar(alert_id="ab" * 16, raised_at=START, outcome=Outcome.ARTEFACT),
        suppressed=Suppression(reason=Reason.ABSORBED, since=START, until=START + 4 * HOUR, by="graver"),
        improving=True,
        late=True,
        escalated=(Escalation(at=START + 150 * MINUTE, audience=Audience.PATIENT_NOW),),
    )
    team.store(database, team.opened(20, [alert_record(whole)]))
    database.close()
    (item,) = _lines("alerts", "--config", config, "--json", "--open")
    assert item["escalated"] == [{"audience": "patient_now", "at": "2025-11-22T10:56:40Z"}]
    number = str(item["id"])
    _fine("acknowledge", number[:8], "--by", "N. Durand", "--config", config)
    french = _fine("alert", number[:8], "--config", config)
    for told in (
        "Haute",
        "Hypoglycémie (escalated)",
        "Mesure reçue en retard ; l'alerte est toujours en cours.",
        "revient vers la normale",
        "À vérifier\u00a0: glycémie au doigt",
        "Pourquoi pas plus haut, quand elle s'est déclenchée\u00a0: il faudrait moins de 54",
        "Ce qui manque\u00a0: la tension",
        "artefact",
        "une alerte plus grave la couvre (jusqu'au",
        "dite aussi à\u00a0: le patient ou un aidant, tout de suite",
        "Vue par\u00a0: N. Durand",
        "glucose interstitiel 65,5\u00a0mg/dL",
        "Dernières valeurs\u00a0: 65,5 69\u00a0mg/dL",
        "poids 71,25\u00a0kg",
        "Protocole\u00a0: diabetes_cgm v1 (abababababab), moteur 1",
        "appeler le 15",
    ):
        assert told in french, told
    english = _fine("alert", number, "--config", config, "--lang", "en")
    assert "To check: a fingerstick" in english
    assert "65.5" in english
    refused = _run("alert", "00000000", "--config", config)
    assert refused.exit_code == 2
    assert "There is no alert '00000000' here." in refused.stderr


def test_open_alerts_leave_out_what_is_over_or_taken_back(config: Path) -> None:
    assert [item["change"] for item in _lines("alerts", "--config", config, "--json", "--open")] == ["raised"]
    assert _lines("alerts", "--config", config, "--json", "--patient", OTHER_PATIENT) == []


def test_the_table_of_alerts_says_who_is_next_and_when_boxes_were_heard(config: Path, team: Team) -> None:
    french = _fine("alerts", "--config", config)
    assert "Haute" in french
    assert "Hypoglycémie (raised)" in french
    assert "retirée" in french
    assert re.search(r"Dernier message reçu le \d\d/11/2025 \d\d:\d\d \w+\.\n", french)
    assert "Boîtiers muets\u00a0: 0 sur 2.\n" in french
    assert french.endswith("en cas d'urgence, appeler le 15.\n")
    assert [french.index(word) for word in ("(raised)", "(retracted)")] == sorted(
        french.index(word) for word in ("(raised)", "(retracted)")
    ), "what stands comes first"
    empty = _fine("alerts", "--config", config, "--patient", OTHER_PATIENT)
    assert empty.startswith("Aucune alerte ici.\nDernier message reçu")
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0)], box=OTHER_BOX), at=START + 2 * HOUR)
    database.close()
    english = _fine("alerts", "--config", config, "--lang", "en", "--open")
    assert "Medium, technical" in english
    assert f"Records to attribute: {OTHER_BOX} (1)." in english


def test_whoever_reads_only_the_first_line_is_told_of_no_damage(config: Path) -> None:
    # As `| head -1` does.
    view = View(read_settings(config).database)
    readings = view.readings()
    next(readings)
    view.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        readings.close()  # type: ignore[attr-defined]


def test_the_database_can_be_named_without_the_settings(config: Path, team: Team) -> None:
    config.unlink()
    assert len(_lines("alerts", "--database", team.database, "--json")) == 3


@pytest.mark.parametrize("command", ["inbox", "alerts", "readings"])
def test_what_is_wrong_is_one_sentence_in_each_language(command: str, team: Team) -> None:
    config = team.write_settings(broker="host = 5")
    result = _run(command, "--config", config)
    assert result.exit_code == 2
    assert result.stdout == ""
    french, english = result.stderr.splitlines()
    assert "broker.host : attendu : un texte" in french
    assert "broker.host: expected text" in english
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--patient", "patient-9999"], f"Known pseudonyms: {OTHER_PATIENT}, {PATIENT}."),
        (["--since", "hier"], "write an ISO 8601 time"),
        (["--json", "--csv", "-"], "not both"),
        (["--csv", "/nowhere/readings.csv"], "Choose another folder."),
        (["--limit", "0"], "--limit"),
    ],
)
def test_unusable_input_ends_with_2_and_the_next_step(config: Path, arguments: list[str], told: str) -> None:
    result = _run("readings", "--config", config, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


def test_a_database_that_is_missing_or_newer_is_said(config: Path, team: Team) -> None:
    connection = sqlite3.connect(team.database)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    for command in ("alerts", "readings", "inbox"):
        result = _run(command, "--config", config)
        assert result.exit_code == 2
        assert "version plus récente" in result.stderr
    connection = sqlite3.connect(team.database)
    connection.execute(f"PRAGMA user_version = {VERSION - 1}")
    connection.close()
    for command in ("alerts", "readings"):
        result = _run(command, "--config", config)
        assert result.exit_code == 2
        assert "Lancer une fois 'veilleur-desk inbox'" in result.stderr
    team.database.unlink()
    result = _run("alerts", "--config", config)
    assert result.exit_code == 2
    assert "n'existe pas" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["inbox", "--help"], ["alerts", "--help"], ["readings", "--help"]])
def test_help_says_what_veilleur_is_not(arguments: list[str]) -> None:
    text = " ".join(_fine(*arguments).split())
    assert "ni un dispositif médical certifié ni un service d'urgence" in text
    assert "not a certified medical device and not an emergency service" in text


@pytest.mark.process
def test_an_unforeseen_fault_is_no_stack_trace(config: Path) -> None:
    code = (
        "from coordination import cli\n"
        "def fail(*_): raise ExceptionGroup('several', [ZeroDivisionError()])\n"
        "cli.read_settings = fail\n"
        "cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "alerts", "--config", str(config)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("veilleur-desk: défaut imprévu (ZeroDivisionError")
    assert len(ended.stderr.splitlines()) == 1
