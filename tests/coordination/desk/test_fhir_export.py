"""Exports in bulk: asked for, made in the background, taken, cancelled, gone; by whoever may, of their own team."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coordination.audit_log import AuditLog
from coordination.desk.access import Role
from coordination.desk.fhir import bulk
from coordination.desk.fhir.catalogue import KINDS
from coordination.desk.keeping import apply_retention
from coordination.desk.models import ExportJob, Patient, Retention, SystemClient
from coordination.desk.shared_database import acting
from devices.reading import Quantity
from tests.coordination.desk.fhir_kit import Reader, measured, week
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import HOUR, OTHER_PATIENT, PATIENT, START, glucose

ASYNC = {"Prefer": "respond-async"}


def asked(client: Client, address: str = "$export") -> str:
    """Ask for an export, wait until it is made, and return the address of its state."""
    response = client.get(f"/fhir/{address}", headers=ASYNC)
    assert response.status_code == 202, response.content
    state = response.headers["Content-Location"].removeprefix("http://testserver")
    wait(state)
    return state


def wait(state: str) -> None:
    thread = bulk.threads.get(state.rpartition("/")[2])
    if thread is not None:
        thread.join()


def lines(client: Client, state: str) -> dict[str, list[dict[str, Any]]]:
    manifest = json.loads(client.get(state).content)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in manifest["output"]:
        response = client.get(one["url"].removeprefix("http://testserver"))
        assert response.headers["Content-Type"] == "application/fhir+ndjson"
        resources = [json.loads(line) for line in response.content.splitlines()]
        assert len(resources) == one["count"]
        found.setdefault(one["type"], []).extend(resources)
    return found


def acts(kind: str = "fhir_exported") -> list[tuple[str, object]]:
    with acting() as database:
        entries = [entry for entry, _ in AuditLog(database).entries()]
    return [(entry.by, entry.detail["step"]) for entry in entries if entry.act == kind]


def test_an_export_holds_exactly_what_a_search_finds(desk: Desk) -> None:
    week(desk)
    reader = Reader.of(desk)
    found = lines(reader.client, asked(reader.client))
    for kind in KINDS:
        wanted = {one["id"]: one for page in reader.pages(f"{kind}?_count=500") for one in page}
        assert {one["id"]: one for one in found[kind]} == wanted, kind
        assert len(found[kind]) == len(wanted)
    assert [step for _, step in acts("fhir_exported")] == ["asked", "made", *["taken"] * len(KINDS)]


def test_many_readings_are_several_pages_and_files(desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(bulk, "_PAGE", 7)
    monkeypatch.setattr(bulk, "_LINES", 10)
    readings = [glucose(number) for number in range(20)]
    readings += [measured(Quantity.SPO2, 950 + number, START, key=f"same{number}") for number in range(15)]
    desk.receive(*readings)
    client = Reader.of(desk).client
    state = asked(client, "Patient/$export?_type=Observation")
    manifest = json.loads(client.get(state).content)
    assert [one["count"] for one in manifest["output"]] == [10, 10, 10, 5]
    assert len({one["id"] for one in lines(client, state)["Observation"]}) == 35


def test_only_what_changed_since_and_only_of_patients(desk: Desk) -> None:
    week(desk)
    client = Reader.of(desk).client
    found = lines(client, asked(client, "$export?_since=2025-11-22T11:00:00Z"))
    assert set(found) == {"Task", "DetectedIssue", "Communication", "Provenance", "Device"}
    assert len(found["Task"]) == 1
    of_patients = lines(client, asked(client, "Patient/$export"))
    assert "Device" not in of_patients
    assert all("patient" in one for one in of_patients["DetectedIssue"])


def test_a_job_is_its_askers_alone_and_its_files_are_private(desk: Desk) -> None:
    week(desk)
    mine = desk.client(Role.PHYSICIAN, name="D. Un")
    state = asked(mine)
    file = json.loads(mine.get(state).content)["output"][0]["url"].removeprefix("http://testserver")
    for other in (desk.client(Role.PHYSICIAN, name="D. Deux"), desk.client(Role.PHYSICIAN, team=2)):
        for address in (state, file):
            assert other.get(address).status_code == 404
            assert other.delete(state).status_code == 404
    (folder,) = (desk.boxes.folder / "exports").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert mine.get(f"{state}/../../desk.db").status_code == 404
    assert mine.get(f"{state}/nothing.ndjson").status_code == 404


def test_a_cancelled_job_stops_and_leaves_nothing(desk: Desk, monkeypatch: Any) -> None:
    desk.receive(*(glucose(number) for number in range(30)))
    monkeypatch.setattr(bulk, "_PAGE", 5)
    reached, go_on, real = threading.Event(), threading.Event(), bulk._file

    def halted(*arguments: Any) -> Any:
        reached.set()
        go_on.wait(30)
        return real(*arguments)

    monkeypatch.setattr(bulk, "_file", halted)
    client = desk.client(Role.PHYSICIAN)
    response = client.get("/fhir/$export?_type=Patient,Observation", headers=ASYNC)
    state = response.headers["Content-Location"].removeprefix("http://testserver")
    assert reached.wait(30)
    under_way = client.get(state)
    assert (under_way.status_code, under_way.headers["Retry-After"]) == (202, "5")
    assert client.delete(state).status_code == 202
    go_on.set()
    wait(state)
    assert client.get(state).status_code == 404
    assert list((desk.boxes.folder / "exports").iterdir()) == []
    assert ("physician 1", "made") not in acts()


def test_a_job_whose_maker_died_is_made_again_by_who_looks(desk: Desk, monkeypatch: Any) -> None:
    week(desk)
    client = desk.client(Role.PHYSICIAN)
    with monkeypatch.context() as patched:
        patched.setattr(bulk, "begin", lambda job: None)
        response = client.get("/fhir/$export", headers=ASYNC)
    state = response.headers["Content-Location"].removeprefix("http://testserver")
    job = ExportJob.objects.get()
    # Its maker had written some of it, and was killed: its claim has run out.
    left = bulk.folder_of(job)
    left.mkdir(parents=True)
    (left / "Observation.1.ndjson").write_text("half a li")
    ExportJob.objects.update(claim="dead", claimed_until=1, progress=3)
    assert client.get(state).status_code == 202
    wait(state)
    assert len(lines(client, state)["Patient"]) == 2
    # The dead one comes back to life: what it does has no effect.
    assert bulk._written(job, "dead", left) is None


def test_a_claim_that_holds_is_left_alone(desk: Desk, monkeypatch: Any) -> None:
    client = desk.client(Role.PHYSICIAN)
    with monkeypatch.context() as patched:
        patched.setattr(bulk, "begin", lambda job: None)
        client.get("/fhir/$export", headers=ASYNC)
    ExportJob.objects.update(claim="alive", claimed_until=2**52)
    bulk.make(ExportJob.objects.get().pk)
    assert ExportJob.objects.get().claim == "alive"
    # Two are under way at most.
    with monkeypatch.context() as patched:
        patched.setattr(bulk, "begin", lambda job: None)
        assert client.get("/fhir/$export", headers=ASYNC).status_code == 202
        assert client.get("/fhir/$export", headers=ASYNC).status_code == 429


def test_what_has_expired_is_gone_from_the_disk(desk: Desk) -> None:
    week(desk)
    client = desk.client(Role.PHYSICIAN)
    state = asked(client)
    desk.clock.now += bulk.KEPT_MS
    assert client.get(state).status_code == 404
    assert list((desk.boxes.folder / "exports").iterdir()) == []


def test_a_disk_that_refuses_is_told_in_words(desk: Desk) -> None:
    client = desk.client(Role.PHYSICIAN)
    Path(desk.boxes.folder / "exports").write_text("a file stands where the folder should")
    state = asked(client)
    response = client.get(state)
    assert response.status_code == 500
    assert "n'a pas pu être écrit" in json.loads(response.content)["issue"][0]["diagnostics"]


def test_an_export_is_asked_for_as_it_must_be(desk: Desk) -> None:
    client = desk.client(Role.PHYSICIAN)
    assert client.get("/fhir/$export").status_code == 400
    for wrong in ("_type=Practitioner", "_typeFilter=x", "_since=then", "_outputFormat=csv", "_type=Task&_type=Task"):
        assert client.get(f"/fhir/$export?{wrong}", headers=ASYNC).status_code == 400, wrong
    assert desk.client(Role.NURSE).get("/fhir/$export", headers=ASYNC).status_code == 403
    assert ExportJob.objects.count() == SystemClient.objects.count() == 0


def test_the_hour_of_the_export_is_when_it_was_asked(desk: Desk) -> None:
    desk.clock.now = START + HOUR
    client = desk.client(Role.PHYSICIAN)
    assert json.loads(client.get(asked(client)).content)["transactionTime"] == "2025-11-22T09:26:40.000+00:00"


@pytest.mark.parametrize("by_retention", [False, True], ids=["at the desk", "by retention"])
def test_whoever_is_erased_is_in_no_export_that_waits(desk: Desk, *, by_retention: bool) -> None:
    week(desk)
    client = desk.client(Role.PHYSICIAN, Role.NURSE, Role.ADMIN)
    client.post(f"/patients/{PATIENT}/terminer", {"confirmer": "oui"})
    state = asked(client)
    if by_retention:
        Retention.objects.create(team_id=1, archive_days=30, view_days=180)
        assert sum(done.patients for _, done in apply_retention(now=desk.clock.now + 31 * 24 * HOUR)) == 1
    else:
        client.post(f"/patients/{PATIENT}/effacer", {"pseudonyme": PATIENT, "sans_boitier": "oui"})
    assert not Patient.objects.filter(pseudonym=PATIENT).exists()
    assert client.get(state).status_code == 404
    assert list((desk.boxes.folder / "exports").iterdir()) == []
    assert [one["id"] for one in Reader(client).all("Patient")] == [OTHER_PATIENT]
