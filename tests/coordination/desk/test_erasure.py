"""Ending a follow-up, and erasing a patient: from every table, from the bytes of the files, and for good."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connections

from alerting.alert import ChangeKind
from coordination.audit_log import AuditLog
from coordination.command_queue import CommandState
from coordination.database import Presence
from coordination.desk.access import Role
from coordination.desk.keeping import apply_retention
from coordination.desk.models import (
    Alert,
    BoxStatus,
    Identity,
    Observation,
    Patient,
    PatientKey,
    QuestionnaireLink,
    Retention,
    SelfReport,
)
from coordination.desk.shared_database import acting, outside
from coordination.errors import CoordinationError
from coordination.patient_erasure import box_orders, erase, scour
from coordination.requests import make_command
from coordination.retention import DAY_MS
from devices.reading import Quantity, Unit
from exchange.audit_chain import Act
from exchange.command_bodies import EraseBody
from exchange.commands import CommandKind, SignedCommand, encode
from simulators import postgres
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.readings_kit import SCALE, known, reading, technical
from tests.coordination.desk.self_report_kit import SHORT_OF_BREATH, WELL, Followed
from tests.coordination.desk.test_identity import WHO
from tests.coordination.kit import (
    BOX,
    HOUR,
    MINUTE,
    OTHER_BOX,
    OTHER_PATIENT,
    PATIENT,
    POSTGRESQL,
    START,
    gap,
    glucose,
    hypo,
)

MARK = "F1:9A:77:3C:55:E0"
"""A device that is nobody else's: a name that must not be found again."""
WORDS = (PATIENT, MARK, "Fait technique battery_low")
SEALED = ("Dupont", "Tilleuls")


def lived(desk: Desk, readings: int = 200) -> None:
    """Let a patient have all that a patient can have, among readings of somebody else."""
    nurse = desk.client(Role.NURSE, name="C. Martin")
    for part in range(0, readings, 20):
        for box, patient, device in ((BOX, PATIENT, MARK), (OTHER_BOX, OTHER_PATIENT, SCALE)):
            desk.receive(
                *(
                    reading(START + n * MINUTE, 1000 + n, Quantity.GLUCOSE_INTERSTITIAL, Unit.MG_PER_DL,
                            device=device, patient=patient)
                    for n in range(part, part + 20)
                ),
                box=box,
            )  # fmt: skip
    desk.receive(hypo(ChangeKind.RAISED), technical("battery_low", MARK, at=START), gap((1000, 1010)))
    desk.receive(glucose(900, patient=PATIENT, device=MARK), box=OTHER_BOX)  # set apart: not their box
    nurse.post(f"/patients/{PATIENT}/identite/modifier", WHO)
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "visit"})
    nurse.post(f"/patients/{PATIENT}/consentement", {"what": "sharing", "how": "written", "given_on": "2025-11-01"})
    nurse.get(f"/patients/{PATIENT}")
    alert = Alert.objects.get(rule_id="hypo_level_1", patient__pseudonym=PATIENT)
    nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    status = desk.boxes.status()
    desk.boxes.store(desk.database, Presence(status=status, retained=False))
    desk.alert(patient=OTHER_PATIENT)
    nurse.post(f"/patients/{PATIENT}/terminer", {"confirmer": "oui"})


def dump() -> bytes:
    """All that a dump of the database says, and on SQLite all that its files hold byte for byte."""
    with outside() as database:
        if isinstance(database, sqlite3.Connection):
            said = "\n".join(database.iterdump()).encode()
            path = Path(str(connections["default"].settings_dict["NAME"]))
            return said + b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))
    places = connections["default"].settings_dict
    tool = postgres.programs() / "pg_dump"
    names = ("--host", "HOST"), ("--port", "PORT"), ("--username", "USER"), ("--dbname", "NAME")
    where = [f"{option}={places[name]}" for option, name in names if places.get(name)]
    password = {"PGPASSWORD": str(places["PASSWORD"])}
    return subprocess.run([tool, *where], check=True, capture_output=True, env={**os.environ, **password}).stdout


def found_in(data: bytes, *words: str) -> list[str]:
    return [word for word in words if word.encode() in data]


def sealed_of() -> tuple[bytes, bytes]:
    return bytes(Identity.objects.get().sealed)[:64], bytes(PatientKey.objects.get().wrapped)


@contextmanager
def the_row() -> Iterator[int]:
    yield Patient.objects.get(pseudonym=PATIENT).pk


def test_the_end_of_follow_up_archives_and_destroys_nothing(desk: Desk) -> None:
    lived(desk, 20)
    nurse = desk.client(Role.NURSE)
    assert Observation.objects.filter(patient__pseudonym=PATIENT).count() == 20
    page = nurse.get(f"/patients/{PATIENT}").content.decode()
    assert "Suivi terminé le 22/11/2025" in page
    assert PATIENT not in nurse.get("/patients").content.decode()
    assert PATIENT in nurse.get("/patients/archives").content.decode()
    nurse.post(f"/patients/{PATIENT}/reprendre")
    assert PATIENT in nurse.get("/patients").content.decode()


def test_who_was_erased_is_in_no_byte_of_the_database_any_more(desk: Desk) -> None:
    lived(desk)
    before = dump()
    assert found_in(before, *WORDS, *SEALED) == list(WORDS)
    sealed = sealed_of()
    assert all(part in before or part.hex().encode() in before.lower() for part in sealed)
    page = desk.client(Role.NURSE, name="C. Martin").post(
        f"/patients/{PATIENT}/effacer", {"pseudonyme": PATIENT, "sans_boitier": "oui"}, follow=True
    )
    assert "200 mesures et 2 alertes détruites" in page.content.decode()
    desk.database.close()
    connections["default"].close()
    after = dump()
    assert found_in(after, *WORDS) == []
    assert all(part not in after and part.hex().encode() not in after.lower() for part in sealed)
    # Somebody else's are all there.
    assert Observation.objects.filter(patient__pseudonym=OTHER_PATIENT).count() == 200
    assert Alert.objects.filter(patient__pseudonym=OTHER_PATIENT).count() == 1
    assert found_in(after, OTHER_PATIENT, SCALE) == [OTHER_PATIENT, SCALE]


def test_the_record_of_acts_stays_whole_and_names_them_no_more(desk: Desk) -> None:
    lived(desk, 20)
    with outside() as database:
        acts = [(entry.n, entry.act) for entry, _ in AuditLog(database).entries()]
        assert PATIENT in {name for name, _ in AuditLog(database).names().values()}
    with the_row() as row, acting() as database:
        erase(database, row, by="C. Martin", at=START + HOUR, without_box=True)
    with outside() as database:
        log = AuditLog(database)
        now = [(entry.n, entry.act) for entry, _ in log.entries()]
        assert now == [*acts, (len(acts) + 1, Act.ERASED)]
        assert PATIENT not in {name for name, _ in log.names().values()}


def test_what_the_box_still_sends_of_them_is_received_and_not_kept(desk: Desk) -> None:
    lived(desk, 20)
    with the_row() as row, acting() as database:
        erase(database, row, by="C. Martin", at=START + HOUR, without_box=True)
    with outside() as database:
        scour(database)
    desk.receive(glucose(901, patient=PATIENT, device=MARK), hypo(ChangeKind.RAISED, onset=START + 9 * HOUR))
    later = desk.boxes.status(at=START + 9 * HOUR)
    desk.boxes.store(desk.database, Presence(status=later, retained=False), at=START + 9 * HOUR)
    assert BoxStatus.objects.get(box__name=BOX).protocols == "{}"
    settings = desk.boxes.settings()
    desk.database.enrol(tuple(settings.signers), settings.assignments, at=START + 10 * HOUR)
    assert found_in(dump(), PATIENT, MARK) == []


def test_a_pseudonym_that_was_erased_is_never_given_again(desk: Desk) -> None:
    lived(desk, 20)
    with the_row() as row, acting() as database:
        erase(database, row, by="C. Martin", at=START + HOUR, without_box=True)
    fields = {"pseudonym": PATIENT, "pathway": "heart_failure", "time_zone": "Europe/Paris"}
    assert desk.client(Role.NURSE).post("/patients/nouveau", fields).status_code == 422


def test_it_waits_for_the_boxes_word(desk: Desk) -> None:
    lived(desk, 20)
    with the_row() as row:
        with pytest.raises(CoordinationError, match="not confirmed"), acting() as database:
            erase(database, row, by="C. Martin", at=START + HOUR)
        order = make_command(CommandKind.ERASE, EraseBody(), box=BOX, subject=PATIENT, now=START)
        desk.database.commands.add(order, SignedCommand(command=encode(order)), signed_by=(), now=START)
        with outside() as database:
            assert [(one.box, one.state) for one in box_orders(database, row)] == [(BOX, CommandState.QUEUED.value)]
        page = desk.client(Role.NURSE).get(f"/patients/{PATIENT}/dossier").content.decode()
        assert "ordre envoyé, réponse attendue" in page
        with acting() as database:
            database.execute("UPDATE command SET state = 'applied' WHERE id = ?", (order.id,))
            assert erase(database, row, by="C. Martin", at=START + HOUR).readings == 20
    with outside() as database:
        scour(database)
    assert found_in(dump(), PATIENT) == []


def test_nobody_is_erased_who_is_followed_or_whose_name_was_not_typed(desk: Desk) -> None:
    _ = desk.database
    nurse = desk.client(Role.NURSE)
    form = {"pseudonyme": PATIENT, "sans_boitier": "oui"}
    page = nurse.post(f"/patients/{PATIENT}/effacer", form, follow=True).content.decode()
    assert "n&#39;est pas terminé" in page
    nurse.post(f"/patients/{PATIENT}/terminer", {"confirmer": "oui"})
    page = nurse.post(
        f"/patients/{PATIENT}/effacer", {**form, "pseudonyme": OTHER_PATIENT}, follow=True
    ).content.decode()
    assert "Rien n&#39;a été effacé." in page
    assert Patient.objects.filter(pseudonym=PATIENT).exists()


class _StopError(Exception):
    """What stops it."""


def _stopped_half_way(row: int) -> None:
    with acting() as database:
        erase(database, row, by="C. Martin", at=START + HOUR, without_box=True)
        raise _StopError


def test_a_stop_half_way_erases_nothing(desk: Desk) -> None:
    lived(desk, 20)
    with the_row() as row:
        with pytest.raises(_StopError):
            _stopped_half_way(row)
        assert Observation.objects.filter(patient_id=row).count() == 20
        with outside() as database:
            assert PATIENT in {name for name, _ in AuditLog(database).names().values()}


def test_every_table_that_names_a_patient_is_erased_from(desk: Desk) -> None:
    """One that is added tomorrow too: it is made here."""
    lived(desk, 20)
    with outside() as database:
        database.execute("CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY, patient_id INTEGER, alert_id TEXT)")
        # In the order of their names the first could not go: the second refers to it.
        database.execute("CREATE TABLE a_first (id INTEGER PRIMARY KEY, patient_id INTEGER)")
        database.execute("CREATE TABLE b_second (pseudonym TEXT, of INTEGER REFERENCES a_first (id))")
    with the_row() as row, acting() as database:
        database.execute("INSERT INTO of_tomorrow (id, patient_id) VALUES (1, ?)", (row,))
        (alert,) = database.execute("SELECT id FROM alert WHERE patient_id = ? LIMIT 1", (row,)).fetchone()
        database.execute("INSERT INTO of_tomorrow (id, alert_id) VALUES (2, ?)", (alert,))
        database.execute("INSERT INTO a_first (id, patient_id) VALUES (1, ?)", (row,))
        database.execute("INSERT INTO b_second (pseudonym, of) VALUES (?, 1)", (PATIENT,))
        erase(database, row, by="C. Martin", at=START + HOUR, without_box=True)
        for table in ("of_tomorrow", "a_first", "b_second"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0, table


def test_a_protocol_that_only_they_followed_goes_with_them_and_a_shared_one_stays(desk: Desk) -> None:
    lived(desk, 20)
    shared = known(desk, "heart_failure")
    with the_row() as row, acting() as database:
        database.execute("INSERT INTO care_protocol (hash, text, first_at) VALUES ('own', 'dry weight 71.3 kg', 0)")
        database.execute("UPDATE patient SET followed_by = 'own' WHERE id = ?", (row,))
        database.execute("UPDATE patient SET followed_by = ? WHERE pseudonym = ?", (shared, OTHER_PATIENT))
        erase(database, row, by="C. Martin", at=START + HOUR, without_box=True)
        left = {found for (found,) in database.execute("SELECT hash FROM care_protocol").fetchall()}
    assert shared in left
    assert "own" not in left


def test_answers_go_with_whoever_gave_them_and_the_protocol_stays_with_whoever_is_still_asked(desk: Desk) -> None:
    first, second = Followed(desk).begin(), Followed(desk, OTHER_PATIENT).begin()
    first.answer(SHORT_OF_BREATH)
    second.answer(WELL)
    used = SelfReport.objects.get(patient__pseudonym=OTHER_PATIENT).protocol_hash
    assert Alert.objects.filter(protocol_hash=used, patient__pseudonym=PATIENT).exists()
    first.nurse.post(f"/patients/{PATIENT}/terminer", {"confirmer": "oui"})
    with the_row() as row, acting() as database:
        erase(database, row, by="C. Martin", at=START + HOUR, without_box=True)
        kept = database.execute("SELECT hash FROM care_protocol WHERE hash = ?", (used,)).fetchall()
    assert kept == [(used,)]
    assert Observation.objects.filter(source="questionnaire").count() == 4
    assert list(SelfReport.objects.values_list("patient__pseudonym", flat=True)) == [OTHER_PATIENT]
    assert set(QuestionnaireLink.objects.values_list("patient__pseudonym", flat=True)) == {OTHER_PATIENT}


def test_what_is_kept_for_long_enough_is_erased_and_nothing_before(desk: Desk) -> None:
    lived(desk, 20)
    Retention.objects.create(team_id=1, archive_days=30, view_days=180)
    kept = dict(apply_retention(now=START + 29 * DAY_MS))
    assert sum(one.patients for one in kept.values()) == 0
    told = dict(apply_retention(now=START + 31 * DAY_MS, dry_run=True))
    assert sum(one.patients for one in told.values()) == 1
    assert Patient.objects.filter(pseudonym=PATIENT).exists()
    done = dict(apply_retention(now=START + 31 * DAY_MS))
    assert sum(one.patients for one in done.values()) == 1
    assert not Patient.objects.filter(pseudonym=PATIENT).exists()
    assert Patient.objects.filter(pseudonym=OTHER_PATIENT).exists()


def test_an_administrator_sets_for_how_long_things_are_kept(desk: Desk) -> None:
    _ = desk.database
    admin = desk.client(Role.ADMIN, name="A. Petit")
    assert admin.post("/conservation", {"archive_days": "3650", "view_days": "400"}).status_code == 302
    assert "A. Petit" in admin.get("/conservation").content.decode()
    assert admin.post("/conservation", {"archive_days": "1", "view_days": "NaN"}).status_code == 422
    assert Retention.objects.get().archive_days == 3650
    with acting() as database:
        set_to = [entry.detail for entry, _ in AuditLog(database).entries() if entry.act == Act.RETENTION_SET]
    assert set_to == [{"archive_days": 3650, "view_days": 400}]


def test_files_are_scoured_on_either_engine(desk: Desk) -> None:
    _ = desk.database
    with outside() as database:
        scour(database)
    if POSTGRESQL not in os.environ:
        path = Path(str(connections["default"].settings_dict["NAME"]))
        assert not path.with_name(f"{path.name}-wal").exists() or path.with_name(f"{path.name}-wal").stat().st_size == 0
