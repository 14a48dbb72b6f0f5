"""Who a patient is: shown for a reason, for five minutes, entered; unreadable without the team's key."""

import io
import json
import zipfile
from pathlib import Path

import msgspec
import pytest
from django.conf import settings
from django.test import Client

from coordination.audit_log import AuditLog
from coordination.desk import keeping
from coordination.desk.access import Role
from coordination.desk.keeping import replace_identity_key
from coordination.desk.models import Consent, Identity, Patient, PatientKey
from coordination.desk.shared_database import outside
from coordination.errors import CoordinationError
from coordination.identity_vault import IdentityVault, Person
from exchange.audit_chain import Act, Entry
from exchange.errors import IdentityError
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.readings_kit import sensor, weights
from tests.coordination.kit import HOUR, MINUTE, OTHER_PATIENT, PATIENT, START

WHO = {
    "family_name": "Dupont-Lagrange",
    "given_name": "Jeanne",
    "born_on": "1951-03-02",
    "telephone": "06 00 00 00 01",
    "address": "3 rue des Tilleuls, Périgueux",
}


def nurse_of(desk: Desk) -> Client:
    _ = desk.database
    return desk.client(Role.NURSE, name="C. Martin")


def write_down(desk: Desk, patient: str = PATIENT) -> Client:
    nurse = nurse_of(desk)
    assert nurse.post(f"/patients/{patient}/identite/modifier", WHO).status_code == 302
    return nurse


def entries(act: Act) -> list[Entry]:
    with outside() as database:
        return [entry for entry, _ in AuditLog(database).entries() if entry.act == act]


def test_an_identity_is_shown_for_a_reason_for_five_minutes_and_entered(desk: Desk) -> None:
    nurse = write_down(desk)
    assert "Dupont" not in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "call_patient"})
    shown = nurse.get(f"/patients/{PATIENT}/dossier")
    assert "Dupont-Lagrange" in shown.content.decode()
    assert shown.headers["Refresh"] == "300"
    assert shown.headers["Cache-Control"] == "no-store"
    (entry,) = entries(Act.IDENTITY_SHOWN)
    assert (entry.by, entry.detail["why"]) == ("C. Martin", "call_patient")
    desk.clock.now = START + 5 * MINUTE
    assert "Dupont" not in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()


@pytest.mark.parametrize("why", ["", "curiosity", "call_patient\nforged"])
def test_without_a_reason_nothing_is_shown(desk: Desk, why: str) -> None:
    nurse = write_down(desk)
    page = nurse.post(f"/patients/{PATIENT}/identite", {"why": why}, follow=True).content.decode()
    assert "Dire pourquoi" in page
    assert "Dupont" not in page
    assert entries(Act.IDENTITY_SHOWN) == []


def test_it_is_shown_to_whoever_asked_and_of_whom_alone(desk: Desk) -> None:
    nurse = write_down(desk)
    write_down(desk, OTHER_PATIENT)
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "visit"})
    assert "Dupont" not in desk.client(Role.PHYSICIAN).get(f"/patients/{PATIENT}/dossier").content.decode()
    assert "Dupont" not in nurse.get(f"/patients/{OTHER_PATIENT}/dossier").content.decode()
    nurse.post(f"/patients/{PATIENT}/identite/masquer")
    assert "Dupont" not in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()


def test_it_is_not_changed_by_whoever_has_not_looked(desk: Desk) -> None:
    nurse = write_down(desk)
    page = nurse.post(f"/patients/{PATIENT}/identite/modifier", {**WHO, "given_name": "Eve"}, follow=True)
    assert "Afficher d&#39;abord" in page.content.decode()
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "correction"})
    nurse.post(f"/patients/{PATIENT}/identite/modifier", {**WHO, "given_name": "Eve"})
    assert "Eve" in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()
    assert len(entries(Act.IDENTITY_CHANGED)) == 2


def test_the_database_alone_names_nobody(desk: Desk) -> None:
    write_down(desk)
    row, key = Identity.objects.get(), PatientKey.objects.get()
    for sealed in (bytes(row.sealed), bytes(key.wrapped)):
        for word in ("Dupont", "Jeanne", "Tilleuls", "1951"):
            assert word.encode() not in sealed
    with pytest.raises(CoordinationError, match="does not open"):
        IdentityVault(b"\x00" * 32).open(row.patient_id, bytes(key.wrapped), bytes(row.sealed))


def test_rows_that_were_swapped_do_not_open_and_the_page_says_what_to_do(desk: Desk) -> None:
    nurse = write_down(desk)
    write_down(desk, OTHER_PATIENT)
    first, second = (Patient.objects.get(pseudonym=name).pk for name in (PATIENT, OTHER_PATIENT))
    other_key, other = PatientKey.objects.get(pk=second), Identity.objects.get(pk=second)
    PatientKey.objects.filter(pk=first).update(wrapped=bytes(other_key.wrapped))
    Identity.objects.filter(pk=first).update(sealed=bytes(other.sealed))
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "visit"})
    page = nurse.get(f"/patients/{PATIENT}/dossier").content.decode()
    assert "ne s&#39;ouvre pas" in page
    assert "Dupont" not in page


def test_every_identity_is_sealed_alike_long_and_twice_never_the_same(tmp_path: Path) -> None:
    vault = IdentityVault.at(tmp_path / "identity.key")
    short, long = (
        vault.seal(1, Person(family_name="A")),
        vault.seal(1, Person(family_name="A" * 120, address="B" * 240)),
    )
    assert [len(part) for part in short] == [len(part) for part in long]
    assert vault.seal(1, Person(family_name="A")) != short
    assert vault.open(1, *short) == Person(family_name="A")
    assert "family" not in repr(Person(family_name="family"))


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    IdentityVault.at(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(IdentityError, match="can be read by others"):
        IdentityVault.at(path)
    short = tmp_path / "short.key"
    short.touch(mode=0o600)
    with pytest.raises(CoordinationError, match="no key of identities"):
        IdentityVault.at(short)


def test_a_session_that_was_tampered_with_shows_no_longer_than_five_minutes(desk: Desk) -> None:
    nurse = write_down(desk)
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "visit"})
    session = nurse.session
    session["identities"] = dict.fromkeys(session["identities"], START + 10**12)
    session.save()
    assert "Dupont" not in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()


def test_a_consent_is_recorded_withdrawn_and_stays_readable(desk: Desk) -> None:
    nurse = nurse_of(desk)
    given = {"what": "telemonitoring", "how": "written", "given_on": "2025-11-01"}
    nurse.post(f"/patients/{PATIENT}/consentement", given)
    page = nurse.post(f"/patients/{PATIENT}/consentement", given, follow=True).content.decode()
    assert "déjà enregistré" in page
    assert "01/11/2025, par écrit" in page
    one = Consent.objects.get()
    page = nurse.post(f"/patients/{PATIENT}/consentement/retirer", {"consentement": one.pk}, follow=True)
    assert "Le suivi continue tant que vous ne le terminez pas." in page.content.decode()
    assert "retiré le 22/11/2025" in page.content.decode()
    assert [len(entries(act)) for act in (Act.CONSENT_RECORDED, Act.CONSENT_WITHDRAWN)] == [1, 1]


def test_a_consent_of_another_patient_is_not_withdrawn_here(desk: Desk) -> None:
    nurse = nurse_of(desk)
    given = {"what": "sharing", "how": "spoken", "given_on": "2025-11-01"}
    nurse.post(f"/patients/{OTHER_PATIENT}/consentement", given)
    nurse.post(f"/patients/{PATIENT}/consentement/retirer", {"consentement": Consent.objects.get().pk})
    nurse.post(f"/patients/{PATIENT}/consentement/retirer", {"consentement": "1 OR 1=1"})
    assert Consent.objects.get().withdrawn_at is None


def test_a_patient_is_handed_all_that_is_known_of_them_and_of_nobody_else(desk: Desk) -> None:
    nurse = write_down(desk)
    sensor(desk, begin=START, end=START + HOUR)
    weights(desk, 1, now=START, patient=OTHER_PATIENT, box="box-0002")
    desk.alert()
    answer = nurse.post(f"/patients/{PATIENT}/donnees")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer)))
    assert set(archive.namelist()) == {"LISEZMOI-README.txt", "patient.json", "readings.csv", "alerts.csv"}
    about = json.loads(archive.read("patient.json"))
    assert about["identity"]["family_name"] == "Dupont-Lagrange"
    assert about["boxes"][0]["box"] == "box-0001"
    readings = archive.read("readings.csv").decode().splitlines()
    assert len(readings) == 1 + 12
    assert "body_weight" not in archive.read("readings.csv").decode()
    assert "Hypoglycémie" in archive.read("alerts.csv").decode()
    (entry,) = entries(Act.PATIENT_EXPORTED)
    assert (entry.by, entry.detail["readings"]) == ("C. Martin", 12)
    assert PATIENT not in msgspec.json.encode(entry).decode()


def test_nothing_about_identities_is_there_for_whoever_has_no_part_in_care(desk: Desk) -> None:
    write_down(desk)
    for role in (Role.ADMIN, Role.AUDITOR, Role.INSTALLER):
        client = desk.client(role)
        assert client.get(f"/patients/{PATIENT}/dossier").status_code == 403
        assert client.post(f"/patients/{PATIENT}/identite", {"why": "visit"}).status_code == 403
    assert settings.DESK.identity_key is not None


def _key_path() -> Path:
    path = settings.DESK.identity_key
    assert isinstance(path, Path)
    return path


def test_the_key_is_replaced_and_the_old_one_opens_nothing_any_more(desk: Desk) -> None:
    nurse = write_down(desk)
    old = _key_path().read_bytes()
    assert replace_identity_key(now=START) == 1
    assert _key_path().read_bytes() != old
    assert _key_path().stat().st_mode & 0o777 == 0o600
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "visit"})
    assert "Dupont-Lagrange" in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()
    row, key = Identity.objects.get(), PatientKey.objects.get()
    with pytest.raises(CoordinationError):
        IdentityVault(old).open(row.patient_id, bytes(key.wrapped), bytes(row.sealed))


@pytest.mark.parametrize("step", ["begin_replacing", "scour", "end_replacing"])
def test_a_key_whose_replacing_was_cut_short_leaves_every_identity_readable(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    nurse = write_down(desk)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    real = getattr(keeping, step)
    monkeypatch.setattr(keeping, step, cut)
    with pytest.raises(KeyboardInterrupt):
        replace_identity_key(now=START)
    monkeypatch.setattr(keeping, step, real)
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "visit"})
    assert "Dupont-Lagrange" in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()
    nurse.post(f"/patients/{PATIENT}/identite/modifier", {**WHO, "given_name": "Eve"})
    replace_identity_key(now=START)
    assert not _key_path().with_name("identity.key.next").exists()
    assert "Eve" in nurse.get(f"/patients/{PATIENT}/dossier").content.decode()


@pytest.mark.parametrize("field", ["family_name", "given_name", "telephone", "address", "carer", "physician"])
def test_what_is_typed_as_a_name_is_shown_as_it_is_and_does_nothing(desk: Desk, field: str) -> None:
    nurse = nurse_of(desk)
    hostile = "<script>alert(1)</script>\u202e\"'>{{ 7*7 }}"
    nurse.post(f"/patients/{PATIENT}/identite/modifier", {**WHO, field: hostile})
    nurse.post(f"/patients/{PATIENT}/identite", {"why": "correction"})
    page = nurse.get(f"/patients/{PATIENT}/dossier").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page


def test_a_name_that_is_too_long_is_refused_in_words(desk: Desk) -> None:
    nurse = nurse_of(desk)
    answer = nurse.post(f"/patients/{PATIENT}/identite/modifier", {**WHO, "family_name": "x" * 121})
    assert answer.status_code == 422
    assert "Trop long." in answer.content.decode()
    assert not Identity.objects.exists()
