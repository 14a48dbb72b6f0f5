"""The evaluation export: every summed figure follows from the tables, nobody can be found in it, and it is an act."""

import csv
import io
import json
import math
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import Acknowledgement, ChangeKind, Outcome, Priority
from coordination.acknowledging import acknowledge
from coordination.audit_log import AuditLog
from coordination.closing import close
from coordination.desk.access import Role
from coordination.desk.evaluation.dictionary import TABLES
from coordination.desk.evaluation.making import make
from coordination.desk.evaluation.observed import Measured, Period, Row
from coordination.desk.evaluation.writing import cells
from coordination.desk.models import Team
from coordination.desk.shared_database import acting
from coordination.errors import CoordinationError
from devices.reading import Quantity, Validity
from exchange.gaps import GapReason
from exchange.messages import ObservationRecord
from tests.coordination.desk.fhir_kit import SCALE, change, measured
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import (
    BOX,
    HOUR,
    MINUTE,
    OTHER_BOX,
    OTHER_PATIENT,
    PATIENT,
    START,
    gap,
    glucose,
)

DAY = 24 * HOUR
MIDNIGHT = round(datetime(2025, 11, 22, tzinfo=ZoneInfo("Europe/Paris")).timestamp() * 1000)
PERIOD = Period(since=date(2025, 11, 22), until=date(2025, 11, 26), made=START + 10 * DAY)
Table = list[dict[str, str]]


def sensed(day: int, readings: int, every: int = 5 * MINUTE) -> list[ObservationRecord]:
    """Readings of a glucose sensor from a local midnight on."""
    begin = MIDNIGHT + day * DAY
    return [
        glucose(0, measured_at=begin + number * every, received_at=begin + number * every + 900, key=f"{day}:{number}")
        for number in range(readings)
    ]


def lived(desk: Desk) -> None:
    """Four days of two patients: a sensor worn less and less, weighings, and alerts that were handled or not."""
    # A whole day has 288 readings at 5 min; 70 % of them are 201.6.
    desk.receive(*sensed(0, 288), *sensed(1, 202))
    desk.receive(*sensed(2, 201), glucose(1, validity=Validity.CALIBRATING, key="warming"))
    weighings = [
        glucose(
            0,
            patient=OTHER_PATIENT,
            quantity=Quantity.BODY_WEIGHT,
            unit=measured(Quantity.BODY_WEIGHT, 1, 0).unit,
            count=82_000 + day,
            device=SCALE,
            key=f"w{day}",
            measured_at=MIDNIGHT + day * DAY + 8 * HOUR,
        )
        for day in (0, 2)
    ]
    desk.receive(*weighings, gap((900, 909), patient=OTHER_PATIENT, reason=GapReason.EVICTED), box=OTHER_BOX)
    handled = [
        (Priority.HIGH, 2, 10, Outcome.ACTION),
        (Priority.HIGH, 3, 40, Outcome.NO_ACTION),
        (Priority.HIGH, 5, 50, Outcome.ARTEFACT),
        (Priority.HIGH, 7, 70, Outcome.DUPLICATE),
        (Priority.LOW, 30, None, None),
        (Priority.LOW, None, None, None),
    ]
    for number, (priority, seen, closed, outcome) in enumerate(handled):
        onset = START + number * HOUR
        rule = "systolic_crisis" if priority is Priority.HIGH else "=weight_trend"
        raised = change(rule, onset=onset, priority=priority, due_by=onset + 20 * MINUTE)
        desk.clock.now = onset + 16 * MINUTE + 500
        desk.receive(raised)
        database = desk.boxes.database
        if seen is not None:
            acknowledge(database, raised.alert_id, Acknowledgement(by="C. Martin", at=desk.clock.now + seen * MINUTE))
        if closed is not None and outcome is not None:
            close(database, raised.alert_id, by="C. Martin", outcome=outcome, at=desk.clock.now + closed * MINUTE)
    desk.receive(change("systolic_crisis", onset=START + 20 * HOUR, kind=ChangeKind.RETRACTED))
    desk.receive(change("systolic_crisis", onset=START + 30 * DAY, priority=Priority.HIGH))


def exported(desk: Desk, *, linked: bool = False, parquet: bool = False) -> zipfile.ZipFile:
    folder = desk.boxes.folder / "exports"
    made = make(
        desk.boxes.folder / "export.zip",
        Team.objects.get(pk=1),
        PERIOD,
        links=folder if linked else None,
        parquet=parquet,
        by="A. Uditrice",
    )
    assert made.path.stat().st_mode & 0o777 == 0o600
    return zipfile.ZipFile(made.path)


def table(archive: zipfile.ZipFile, name: str) -> Table:
    return list(csv.DictReader(io.StringIO(archive.read(f"{name}.csv").decode())))


def seconds(begin: str, end: str) -> str:
    if not begin or not end:
        return ""
    return str(int((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()))


def share(part: int, whole: Decimal | int) -> str:
    return "" if not whole else str((Decimal(part) / whole).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN))


def test_adherence_is_what_the_days_say(desk: Desk) -> None:
    lived(desk)
    archive = exported(desk)
    exposure, readings = table(archive, "exposure"), table(archive, "readings")
    watched = {(row["patient"], row["day"]): int(row["watched_min"]) for row in exposure}
    assert len(exposure) == 8
    assert set(watched.values()) == {1440}
    for row in readings:
        minutes, cadence = watched[row["patient"], row["day"]], row["cadence_s"]
        dense = cadence and int(cadence) <= 1800
        enough = int(row["readings"]) * int(cadence or 0) * 100 >= 70 * 60 * minutes if dense else int(row["readings"])
        assert row["with_data"] == str(int(bool(enough)))
    for row in table(archive, "adherence"):
        days = [one for one in readings if (one["patient"], one["quantity"]) == (row["patient"], row["quantity"])]
        assert row["days"] == str(len(days))
        assert row["days_with_data"] == str(sum(int(one["with_data"]) for one in days))
        assert row["readings"] == str(sum(int(one["readings"]) for one in days))
        assert row["adherence"] == share(int(row["days_with_data"]), len(days))
    columns = ("days_with_data", "adherence", "readings")
    found = {row["quantity"]: tuple(row[name] for name in columns) for row in table(archive, "adherence")}
    assert found == {"glucose_interstitial": ("2", "0.5000", "691"), "body_weight": ("2", "0.5000", "2")}


def test_outcomes_and_delays_are_what_the_alerts_say(desk: Desk) -> None:
    lived(desk)
    archive = exported(desk)
    alerts, watched = table(archive, "alerts"), table(archive, "exposure")
    assert len(alerts) == 7
    made = json.loads(archive.read("manifest.json"))["made"]
    for row in alerts:
        assert row["transmit_s"] == seconds(row["raised"], row["received"])
        assert row["take_s"] == seconds(max(row["told"], row["received"]) if row["told"] else "", row["taken"])
        assert row["close_s"] == seconds(row["taken"], row["closed"])
    standing = [row for row in alerts if row["kind"] != "retracted"]
    days = Decimal(sum(int(row["watched_min"]) for row in watched)) / 1440
    for row in table(archive, "outcomes"):
        key = ("protocol", "protocol_version", "rule")
        mine = [one for one in standing if all(one[name] == row[name] for name in key)]
        back = [one for one in alerts if one["kind"] == "retracted" and all(one[name] == row[name] for name in key)]
        assert row["alerts"] == str(len(mine))
        assert row["retracted"] == str(len(back))
        for name in ("told", "taken", "closed"):
            assert row[name] == str(sum(one[name] != "" for one in mine))
        counts = {one.value: sum(alert["outcome"] == one.value for alert in mine) for one in Outcome}
        assert {name: row[name] for name in counts} == {name: str(number) for name, number in counts.items()}
        judged = int(row["closed"]) - counts["duplicate"]
        assert row["precision"] == share(counts["action"] + counts["no_action"], judged)
        assert row["useful"] == share(counts["action"], judged)
        assert row["per_100_days"] == share(100 * len(mine), days)
    for row in table(archive, "delays"):
        mine = [one for one in standing if (one["priority"], one["category"]) == (row["priority"], row["category"])]
        for of in ("transmit", "take", "close"):
            values = sorted(int(one[f"{of}_s"]) for one in mine if one[f"{of}_s"])
            assert row[f"{of}_n"] == str(len(values))
            for rank in (50, 90):
                expected = str(values[math.ceil(rank / 100 * len(values)) - 1]) if values else ""
                assert row[f"{of}_p{rank}"] == expected
            assert row[f"{of}_max"] == (str(values[-1]) if values else "")
        assert row["overdue"] == str(sum(one["due"] < (one["taken"] or made) for one in mine if one["due"]))
    (high,) = [row for row in table(archive, "outcomes") if row["rule"] == "systolic_crisis"]
    assert (high["alerts"], high["retracted"], high["precision"], high["useful"]) == ("4", "1", "0.6667", "0.3333")
    by_priority = {row["priority"]: row for row in table(archive, "delays")}
    assert (by_priority["high"]["take_p50"], by_priority["high"]["take_max"]) == ("180", "420")
    assert by_priority["low"]["overdue"] == "2"


def test_boxes_say_what_was_lost(desk: Desk) -> None:
    lived(desk)
    first, second = table(exported(desk), "boxes")
    # The patient's first hour is of the day before in UTC.
    assert (first["readings"], first["lost_readings"], first["patients"]) == ("680", "0", "1")
    assert (second["readings"], second["lost_readings"]) == ("2", "10")
    assert first["assigned_h"] == "96"


def test_nothing_in_it_names_anybody_and_no_two_exports_share_a_name(desk: Desk) -> None:
    lived(desk)
    archive = exported(desk)
    whole = b"".join(archive.read(name) for name in archive.namelist())
    for name in (PATIENT, OTHER_PATIENT, BOX, OTHER_BOX, "C. Martin", SCALE, "Hypogly"):
        assert name.encode() not in whole
    first = {row["patient"] for row in table(archive, "exposure")}
    again = {row["patient"] for row in table(exported(desk), "exposure")}
    assert len(first) == len(again) == 2
    assert first & again == set()
    linked = [{row["patient"] for row in table(exported(desk, linked=True), "exposure")} for _ in range(2)]
    assert linked[0] == linked[1]
    assert not linked[0] & (first | again)
    assert (desk.boxes.folder / "exports" / "link.key").stat().st_mode & 0o777 == 0o600


def test_the_dictionary_says_every_column_and_the_manifest_every_file(desk: Desk) -> None:
    lived(desk)
    archive = exported(desk, parquet=True)
    said = {(row["table"], row["column"]): row for row in table(archive, "dictionary")}
    for one in TABLES:
        head = archive.read(f"{one.name}.csv").decode().splitlines()[0].split(",")
        assert head == [column.name for column in one.columns]
        assert all(said[one.name, name]["fr"] and said[one.name, name]["en"] for name in head)
        rows = pyarrow.parquet.read_table(io.BytesIO(archive.read(f"{one.name}.parquet"))).to_pylist()
        assert [{name: written(value) for name, value in row.items()} for row in rows] == table(archive, one.name)
    manifest = json.loads(archive.read("manifest.json"))
    assert set(manifest["sha256"]) == set(archive.namelist()) - {"manifest.json"}
    readme = archive.read("README.md").decode()
    assert all(column.formula in readme for one in TABLES for column in one.columns)


def written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def test_a_text_of_a_box_is_never_a_formula(desk: Desk) -> None:
    lived(desk)
    rules = {row["rule"] for row in table(exported(desk), "alerts")}
    assert rules == {"systolic_crisis", "'=weight_trend"}


def test_of_another_team_there_is_nothing(desk: Desk) -> None:
    lived(desk)
    desk.user(Role.AUDITOR, team=2)
    made = make(desk.boxes.folder / "x.zip", Team.objects.get(pk=2), PERIOD, links=None, parquet=False, by="A.")
    assert set(made.rows.values()) == {0}


def test_it_is_an_act(desk: Desk) -> None:
    lived(desk)
    exported(desk)
    with acting() as database:
        (entry,) = [one for one, _ in AuditLog(database).entries() if one.act == "evaluation_exported"]
    assert entry.by == "A. Uditrice"
    assert (entry.detail["since"], entry.detail["linked"], entry.detail["alerts"]) == ("2025-11-22", 0, 7)


def test_an_auditor_downloads_it_and_is_told_what_is_wrong(desk: Desk) -> None:
    lived(desk)
    auditor = desk.client(Role.AUDITOR)
    page = auditor.get("/export").content.decode()
    assert "pseudonymisées et non anonymes" in page
    assert 'href="/export"' in auditor.get("/", follow=True).content.decode()
    asked = {"du": "2025-11-22", "au": "2025-11-26"}
    response = auditor.post("/export/faire", asked)
    assert response.headers["Content-Type"] == "application/zip"
    assert "veilleur-20251122-20251126.zip" in response.headers["Content-Disposition"]
    assert len(table(zipfile.ZipFile(io.BytesIO(response.content)), "alerts")) == 7
    for wrong in ({"du": "hier"}, {"au": "2025-11-22"}, {"du": "1900-01-01"}, {"du": ""}):
        page = auditor.post("/export/faire", asked | wrong, follow=True).content.decode()
        assert "Corriger les dates" in page or "L&#39;écrire comme" in page
    assert [path for path in (desk.boxes.folder / "exports").iterdir() if path.is_dir()] == []
    assert desk.client(Role.NURSE).post("/export/faire", asked).status_code == 403


def test_a_folder_that_takes_nothing_is_told_and_leaves_no_act(desk: Desk) -> None:
    lived(desk)
    (desk.boxes.folder / "exports").write_text("a file")
    page = desk.client(Role.AUDITOR).post("/export/faire", {"du": "2025-11-22", "au": "2025-11-26"}, follow=True)
    assert "prévenir l&#39;administrateur" in page.content.decode()
    with pytest.raises(CoordinationError, match="could not be written"):
        make(
            desk.boxes.folder / "exports" / "x.zip", Team.objects.get(pk=1), PERIOD, links=None, parquet=False, by="A."
        )
    with acting() as database:
        assert "evaluation_exported" not in {one.act for one, _ in AuditLog(database).entries()}


def test_a_row_with_a_column_that_nobody_explained_is_refused() -> None:
    days = next(one for one in TABLES if one.name == "exposure")
    row: Row = {"patient": "P-x", "day": "2025-11-22", "watched_min": 1440}
    assert cells(days, row) == ["P-x", "2025-11-22", "1440"]
    with pytest.raises(ValueError, match="name"):
        cells(days, {**row, "name": "x"})
    with pytest.raises(KeyError):
        cells(days, {"patient": "P-x", "day": "2025-11-22", "name": "x"})


def test_both_nights_of_the_clock_change_are_as_long_as_they_are() -> None:
    edges = Period(since=date(2026, 3, 28), until=date(2026, 3, 31), made=0).edges("Europe/Paris")
    assert [(after - before) // MINUTE for before, after in pairwise(edges)] == [1440, 1380, 1440]
    edges = Period(since=date(2026, 10, 25), until=date(2026, 10, 26), made=0).edges("Europe/Paris")
    assert (edges[1] - edges[0]) // MINUTE == 1500


@given(readings=st.integers(0, 2_000), cadence=st.integers(1, 7_200), minutes=st.integers(1, 1_500))
def test_a_day_of_a_dense_quantity_has_data_from_seventy_percent_on(readings: int, cadence: int, minutes: int) -> None:
    one = Measured(quantity="x", asked=True, counts=[readings], cadence_s=cadence)
    expected = Decimal(minutes * 60) / cadence
    enough = readings >= Decimal("0.7") * expected if cadence <= 1800 else readings > 0
    near = cadence <= 1800 and abs(readings - Decimal("0.7") * expected) < Decimal("1e-9")
    assert near or one.with_data(0, minutes) == enough


@pytest.mark.process
def test_the_command_writes_it(desk: Desk, tmp_path: Path) -> None:
    lived(desk)
    out = tmp_path / "out.zip"
    config = desk.boxes.write_settings()
    words = ["export", "--config", str(config), "--out", str(out), "--since", "2025-11-22", "--until", "2025-11-26"]
    program = "from coordination.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "alerts 7" in done.stdout
    assert len(table(zipfile.ZipFile(out), "alerts")) == 7
    wrong = subprocess.run(
        [sys.executable, "-c", program, *words[:-1], "demain"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "n'est pas une date" in wrong.stderr
