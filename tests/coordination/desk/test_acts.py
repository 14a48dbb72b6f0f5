"""The record of acts at the desk: who reads what of it, whether it holds, and copies of it."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from django.test import Client

from coordination.audit_check import Fault, check
from coordination.audit_log import AuditLog
from coordination.desk.access import Role
from coordination.team_database import connect, transaction
from exchange.audit_chain import Act, Erasable
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import BOX, OTHER_PATIENT, PATIENT, START, rows

ROOT = Path(__file__).parents[3]


def enter(desk: Desk, act: Act, *, by: str, reference: str | Erasable = "", at: int = START, **detail: object) -> None:
    connection = connect(desk.boxes.database)
    try:
        with transaction(connection):
            log = AuditLog(connection)
            log.begin(at=at)
            log.enter(act, at=at, by=by, reference=reference, detail=detail)  # type: ignore[arg-type]
    finally:
        connection.close()


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """A day of a team: an alert taken, a box revoked, an identity shown, an order sent."""
    alert = desk.alert()
    desk.client(Role.NURSE, name="C. Martin").post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    enter(desk, Act.REVOKED, by="O. Diallo", reference=BOX, reason="volé le 3")
    enter(desk, Act.IDENTITY_SHOWN, by="M. Lefèvre", reference=Erasable(value=PATIENT), reason="rappel")
    enter(desk, Act.COMMAND_SENT, by="team", reference="ab" * 16, patient=Erasable(value=PATIENT), box=BOX)
    return desk


def lines_of(client: Client, query: str = "") -> str:
    answer = client.get(f"/audit{query}")
    assert answer.status_code == 200
    return answer.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]


def test_each_role_reads_what_its_work_is_about(busy: Desk) -> None:
    nurse = lines_of(busy.client(Role.NURSE, name="C. Martin"))
    assert "alerte vue" in nurse
    assert "O. Diallo" not in nurse
    assert "M. Lefèvre" not in nurse

    physician = lines_of(busy.client(Role.PHYSICIAN, name="D. Medic"))
    assert "M. Lefèvre" in physician
    assert "C. Martin" in physician
    assert PATIENT in physician
    assert "O. Diallo" not in physician

    admin = lines_of(busy.client(Role.ADMIN, name="A. Dmin"))
    assert "volé le 3" in admin
    assert "commande envoyée" in admin
    assert PATIENT not in admin
    assert "identité affichée" not in admin
    assert "alerte vue" not in admin

    auditor = lines_of(busy.client(Role.AUDITOR, name="A. Uditor"))
    for word in ("C. Martin", "O. Diallo", "M. Lefèvre", PATIENT, "identité affichée", "commande envoyée"):
        assert word in auditor


def test_acts_of_another_team_are_not_there(busy: Desk) -> None:
    enter(busy, Act.SIGNED_IN, by="S. Tranger")
    busy.user(Role.NURSE, name="S. Tranger", team=2)
    stranger = lines_of(busy.client(Role.AUDITOR, name="A. Else", team=2))
    for word in ("O. Diallo", "M. Lefèvre", "C. Martin", PATIENT, BOX):
        assert word not in stranger
    assert "S. Tranger" in stranger
    assert "S. Tranger" not in lines_of(busy.client(Role.AUDITOR, name="A. Uditor"))


def test_what_is_looked_for_is_found_by_person_act_patient_and_day(busy: Desk) -> None:
    auditor = busy.client(Role.AUDITOR, name="A. Uditor")
    assert lines_of(auditor, "?par=O.+Diallo").count("<tr ") == 1
    assert lines_of(auditor, "?acte=identity_shown").count("<tr ") == 1
    on_patient = lines_of(auditor, f"?sur={PATIENT}")
    assert "identité affichée" in on_patient
    assert "commande envoyée" in on_patient
    assert "révoqué" not in on_patient
    assert "identité affichée" not in lines_of(auditor, f"?sur={OTHER_PATIENT}")
    assert "Aucun acte ici" in lines_of(auditor, "?sur=patient-none")
    assert "Aucun acte ici" in lines_of(auditor, "?jusque=2025-11-21")
    assert lines_of(auditor, "?depuis=2025-11-22&jusque=2025-11-22").count("<tr ") >= 4
    assert "n&#39;est pas une date" in auditor.get("/audit?depuis=hier").content.decode()


def test_a_year_of_acts_is_read_page_by_page(desk: Desk) -> None:
    connection = connect(desk.boxes.database)
    with transaction(connection):
        log = AuditLog(connection)
        log.begin(at=START)
        for number in range(150):
            log.enter(Act.SETTINGS_CHANGED, at=START + number, by="team", reference=f"file-{number}")
    connection.close()
    auditor = desk.client(Role.AUDITOR)
    seen: list[str] = []
    address = "/audit"
    for _ in range(5):
        page = auditor.get(address).content.decode()
        seen += [part.partition("<")[0] for part in page.split('<td class="brk" data-l="Sur">')[1:]]
        if 'href="?' not in page:
            break
        address = "/audit?" + page.partition('href="?')[2].partition('"')[0].replace("&amp;", "&")
    assert [name for name in seen if name.startswith("file-")] == [f"file-{number}" for number in range(149, -1, -1)]


# --- whether it holds -----------------------------------------------------------------------------------


def checked(desk: Desk, **options: object) -> object:
    connection = connect(desk.boxes.database)
    try:
        return check(connection, **options)  # type: ignore[arg-type]
    finally:
        connection.close()


def change(desk: Desk, statement: str, *values: object) -> None:
    connection = connect(desk.boxes.database)
    try:
        with transaction(connection):
            assert connection.execute(statement, values).rowcount
    finally:
        connection.close()


def test_a_record_that_holds_is_said_to_hold(busy: Desk) -> None:
    count = int(str(rows(busy.boxes.database, "SELECT count(*) FROM audit")[0][0]))
    answer = busy.client(Role.ADMIN).post("/audit/verifier", follow=True).content.decode()
    assert f"La chaîne tient : {count} actes, du n° 1 au n° {count}" in answer


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET body = replace(body, 'volé le 3', 'perdu') WHERE act = 'revoked'", Fault.CHANGED),
        ("UPDATE audit SET body = replace(body, '\"by\":', '\"by\": ') WHERE act = 'revoked'", Fault.UNREADABLE),
        ("UPDATE audit SET act = 'renewed' WHERE act = 'revoked'", Fault.UNREADABLE),
        ("UPDATE audit SET at = at + 1 WHERE act = 'revoked'", Fault.UNREADABLE),
        ("UPDATE audit SET hash = substr(hash, 2) || 'a' WHERE act = 'revoked'", Fault.CHANGED),
        ("DELETE FROM audit WHERE n = (SELECT n FROM audit WHERE act = 'revoked') - 1", Fault.MISSING),
    ],
)
def test_a_change_is_found_and_placed(busy: Desk, statement: str, fault: Fault) -> None:
    (number,) = rows(busy.boxes.database, "SELECT n FROM audit WHERE act = 'revoked'")[0]
    change(busy, statement)
    found = checked(busy)
    assert (found.fault, found.at) == (fault, number)  # type: ignore[attr-defined]
    told = busy.client(Role.ADMIN).post("/audit/verifier", follow=True).content.decode()
    assert f"La chaîne est rompue à l&#39;acte n° {number}" in told


def signed_for(desk: Desk) -> None:
    connection = connect(desk.boxes.database)
    with transaction(connection):
        assert AuditLog(connection).checkpoint(desk.boxes.receipt, at=START) is not None
    connection.close()


def test_acts_taken_off_the_end_are_missed_once_they_were_signed_for(busy: Desk) -> None:
    signed_for(busy)
    (last,) = rows(busy.boxes.database, "SELECT max(n) FROM audit")[0]
    signers = {busy.boxes.receipt.id: busy.boxes.receipt.public}
    assert checked(busy, signers=signers).fault is None  # type: ignore[attr-defined]
    change(busy, "DELETE FROM audit WHERE n = ?", last)
    found = checked(busy, signers=signers)
    assert (found.fault, found.at) == (Fault.SIGNED_OTHERWISE, last)  # type: ignore[attr-defined]


def test_a_head_that_nobody_of_the_team_signed_is_found(busy: Desk) -> None:
    signed_for(busy)
    found = checked(busy, signers={})
    assert found.fault is Fault.SIGNATURE  # type: ignore[attr-defined]


def test_a_record_that_was_shortened_for_its_age_still_holds(busy: Desk) -> None:
    signed_for(busy)
    connection = connect(busy.boxes.database)
    with transaction(connection):
        assert AuditLog(connection).shorten(before=2**52, at=START + 2) > 3
    connection.close()
    enter(busy, Act.STARTED, by="team", at=START + 3)
    found = checked(busy, signers={busy.boxes.receipt.id: busy.boxes.receipt.public})
    assert found.fault is None  # type: ignore[attr-defined]
    assert found.first > 1  # type: ignore[attr-defined]


# --- copies ---------------------------------------------------------------------------------------------


def test_a_copy_holds_what_its_reader_may_read_and_is_an_act_itself(busy: Desk) -> None:
    enter(busy, Act.REVOKED, by="=cmd()", reference=BOX, reason="-1")
    admin = busy.client(Role.ADMIN, name="A. Dmin")
    answer = admin.post("/audit/exporter", {"forme": "csv"})
    assert "attachment" in answer.headers["Content-Disposition"]
    table = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert table[0]["act"] == "log_exported"
    assert table[0]["by"] == "A. Dmin"
    assert table[1]["by"] == "'=cmd()"
    assert PATIENT not in answer.content.decode()
    assert not any(line["act"] == "identity_shown" for line in table)

    auditor = busy.client(Role.AUDITOR, name="A. Uditor")
    found = [json.loads(line) for line in auditor.post("/audit/exporter", {"forme": "json"}).content.splitlines()]
    shown = next(line for line in found if line["act"] == "identity_shown")
    assert (shown["by"], shown["on"], shown["details"]) == ("M. Lefèvre", PATIENT, {"reason": "rappel"})
    exports = rows(busy.boxes.database, "SELECT body FROM audit WHERE act = 'log_exported' ORDER BY n")
    assert [msgspec.json.decode(str(body))["by"] for (body,) in exports] == ["A. Dmin", "A. Uditor"]


def test_the_whole_chain_is_verified_by_whoever_does_not_believe_the_desk(busy: Desk, tmp_path: Path) -> None:
    signed_for(busy)
    content = busy.client(Role.AUDITOR).post("/audit/exporter", {"forme": "chaine"}).content
    file = tmp_path / "team.jsonl"
    file.write_bytes(content)
    verifier = [sys.executable, str(ROOT / "docs" / "security" / "verify_audit.py")]
    key = f"@team={busy.boxes.receipt.public.hex()}"
    done = subprocess.run([*verifier, str(file), "--key", key], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_bytes(content.replace("volé le 3".encode(), b"perdu"))
    done = subprocess.run([*verifier, str(file), "--key", key], capture_output=True, text=True, check=False)
    assert done.returncode == 1


def test_only_who_reads_all_acts_takes_the_whole_chain(busy: Desk) -> None:
    answer = busy.client(Role.NURSE, name="C. Martin").post("/audit/exporter", {"forme": "chaine"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "O. Diallo" not in answer.content.decode()
