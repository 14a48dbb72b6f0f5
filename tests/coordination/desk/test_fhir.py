"""What other systems read over FHIR: readings, alerts, devices, pseudonyms; strictly asked, and of one team only."""

import json
from urllib.parse import urlencode

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerting.alert import Sentence
from coordination.desk.access import Role
from coordination.desk.fhir.catalogue import KINDS
from devices.reading import ClockTrust, Quantity
from tests.coordination.desk.fhir_kit import (
    CUFF,
    Reader,
    change,
    correction,
    measured,
    week,
)
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import EPOCH, HOUR, OTHER_PATIENT, PATIENT, START, glucose


def codes(resource: dict) -> set[str]:  # type: ignore[type-arg]
    return {one["code"] for one in resource["code"]["coding"]}


def test_a_blood_pressure_is_one_observation_with_its_components(desk: Desk) -> None:
    week(desk)
    panels = Reader.of(desk).all("Observation?code=http://loinc.org|85354-9")
    with_mean, without = max(panels, key=lambda one: len(one["component"])), panels[0]
    assert [(one["code"]["coding"][0]["code"], one["valueQuantity"]["value"]) for one in with_mean["component"]] == [
        ("8480-6", "132.0"),
        ("8462-4", "81.5"),
        ("8478-0", "98.3"),
    ]
    assert len(without["component"]) == 2
    assert len(panels) == 2
    alone = Reader.of(desk).all("Observation?code=8462-4")
    assert [one["valueQuantity"]["value"] for one in alone] == ["70.0"]
    assert "component" not in alone[0]


def test_a_value_keeps_its_digits_its_unit_and_the_offset_of_its_place(desk: Desk) -> None:
    desk.receive(measured(Quantity.BODY_WEIGHT, 82400, START + HOUR))
    (weight,) = Reader.of(desk).all("Observation?code=29463-7")
    assert weight["valueQuantity"]["value"] == "82.400"
    assert weight["valueQuantity"]["code"] == "kg"
    assert weight["effectiveDateTime"] == "2025-11-22T10:26:40.000+01:00"
    assert weight["device"]["reference"].startswith("Device/device.")
    assert weight["identifier"][0]["value"] == f"box-0001/{EPOCH}/0"
    assert weight["extension"][0]["valueReference"]["reference"] == "Device/box.box-0001"
    assert codes(weight) == {"188736", "29463-7", "body_weight"}


def test_what_is_no_number_has_a_reason_and_what_is_beyond_says_so(desk: Desk) -> None:
    week(desk)
    found = Reader.of(desk).all(f"Observation?code=160212&date=le{'2025-11-22T09:00:00Z'}")
    by_time = {one["effectiveDateTime"][11:16]: one for one in found}
    assert by_time["09:31"]["valueQuantity"]["comparator"] == ">"
    assert by_time["09:36"]["valueQuantity"]["comparator"] == "<"
    assert by_time["09:41"]["dataAbsentReason"]["coding"][0]["code"] == "temp-unknown"
    assert by_time["09:46"]["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert all("valueQuantity" not in by_time[at] for at in ("09:41", "09:46"))
    flags = {one["valueCode"] for one in by_time["09:46"]["extension"] if one["url"].endswith("quality")}
    assert flags == {"sensor_fault", "warming_up"}


def test_an_alert_is_an_issue_a_task_and_a_communication(desk: Desk) -> None:
    alerts = week(desk)
    reader = Reader.of(desk)
    (issue,) = reader.all(f"DetectedIssue?_id={alerts['high']}")
    panel, pulse, weight = issue["evidence"]
    assert issue["severity"] == "high"
    assert issue["status"] == "preliminary"
    seen = json.loads(reader.client.get(f"/fhir/{panel['detail'][0]['reference']}").content)
    assert codes(seen) >= {"85354-9"}
    assert seen["effectiveDateTime"].startswith("2025-11-22T09:36:40")
    assert pulse["detail"][0]["reference"] != panel["detail"][0]["reference"]
    assert "detail" not in weight
    assert "82.400 kg" in weight["code"][0]["text"]
    protocol = next(one for one in issue["extension"] if one["url"].endswith(":protocol"))
    assert {one["url"]: one.get("valueString", one.get("valueInteger")) for one in protocol["extension"]} == {
        "name": "heart_failure",
        "version": 2,
        "sha256": "cd" * 32,
        "engine": "1",
    }
    (task,) = reader.all(f"Task?focus=DetectedIssue/{alerts['high']}")
    assert (task["status"], task["priority"]) == ("requested", "asap")
    assert task["restriction"]["period"]["end"].startswith("2025-11-22T13:26:40")
    (told,) = reader.all(f"Communication?_id={alerts['high']}")
    assert [one["display"] for one in told["recipient"]] == ["nurse", "patient_now"]


STATES = [
    ("high", "preliminary", "requested", "completed"),
    ("taken", "preliminary", "in-progress", "completed"),
    ("ended", "final", "completed", "completed"),
    ("back", "entered-in-error", "cancelled", "completed"),
    ("held", "preliminary", "draft", "on-hold"),
    ("never", "final", "draft", "not-done"),
]


def test_each_state_of_an_alert_is_told_and_found_by_it(desk: Desk) -> None:
    alerts = week(desk)
    reader = Reader.of(desk)
    for which, *statuses in STATES:
        for kind, status in zip(("DetectedIssue", "Task", "Communication"), statuses, strict=True):
            assert reader.all(f"{kind}?_id={alerts[which]}")[0]["status"] == status, (which, kind)
    for number, kind in ((2, "Task"), (3, "Communication")):
        for status in {state[number] for state in STATES}:
            found = {one["id"] for one in reader.all(f"{kind}?status={status}")}
            for state in STATES:
                assert (alerts[state[0]] in found) == (state[number] == status), (kind, status, state)


def test_who_took_it_and_what_came_of_it(desk: Desk) -> None:
    alerts = week(desk)
    reader = Reader.of(desk)
    (taken,) = reader.all(f"Task?_id={alerts['taken']}")
    (ended,) = reader.all(f"Task?_id={alerts['ended']}")
    assert taken["owner"]["display"] == "C. Martin"
    assert ended["output"][0]["valueCodeableConcept"]["coding"][0]["code"] == "action"
    assert ended["executionPeriod"]["end"].startswith("2025-11-22T12:26:40")
    (told,) = reader.all(f"Communication?_id={alerts['taken']}")
    assert told["received"].startswith("2025-11-22T09:56:40")


def test_nobody_is_named_by_a_patient(desk: Desk) -> None:
    week(desk)
    for patient in Reader.of(desk).all("Patient"):
        assert set(patient) == {"resourceType", "id", "meta", "extension", "identifier", "active"}
        assert patient["meta"]["security"][0]["code"] == "PSEUDED"


def test_pages_hold_everything_once_in_order(desk: Desk) -> None:
    week(desk)
    reader = Reader.of(desk)
    for kind in KINDS:
        whole = reader.all(f"{kind}?_count=500")
        paged = reader.pages(f"{kind}?_count=3")
        assert [one["id"] for page in paged for one in page] == [one["id"] for one in whole], kind
        assert all(len(page) <= 3 for page in paged)
        assert reader.bundle(f"{kind}?_summary=count")["total"] == len(whole)
        assert reader.bundle(f"{kind}?_count=0")["total"] == len(whole)
        assert reader.bundle(f"{kind}?_total=accurate&_count=2")["total"] == len(whole)
        assert len({one["id"] for one in whole}) == len(whole)


def test_what_arrives_between_two_pages_hides_and_repeats_nothing(desk: Desk) -> None:
    desk.receive(*(glucose(number) for number in range(6)))
    reader = Reader.of(desk)
    first = reader.bundle("Observation?_count=3")
    desk.receive(*(glucose(number, key=f"late{number}") for number in range(3, 9)))
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    rest = json.loads(reader.client.get(following.removeprefix("http://testserver")).content)
    seen = [entry["resource"]["id"] for page in (first, rest) for entry in page["entry"]]
    assert set("123456") <= set(seen)
    assert len(seen) == len(set(seen))


DATES = [
    ("2025-11-22T08:31:40Z", 1),
    ("2025-11-22T09:31:40%2B01:00", 1),
    ("2025-11-22T09:31:40+01:00", 1),
    ("ne2025-11-22T08:31:40Z", 5),
    ("gt2025-11-22T08:31:40Z", 4),
    ("ge2025-11-22T08:31:40Z", 5),
    ("lt2025-11-22T08:31:40Z", 1),
    ("le2025-11-22T08:31:40Z", 2),
    ("sa2025-11-22T08:31", 4),
    ("eb2025-11-22T08:31", 1),
    ("2025-11-22", 6),
    ("2025-11", 6),
    ("2025", 6),
    ("2024", 0),
    ("ge2025-11-22T08:36:40Z&date=lt2025-11-22T08:46:40Z", 2),
    ("2025-11-22T08:26:40.000Z,2025-11-22T08:36:40Z", 2),
]


def test_dates_are_spans_and_prefixes_compare_with_them(desk: Desk) -> None:
    desk.receive(*(glucose(number) for number in range(6)))
    reader = Reader.of(desk)
    for date, expected in DATES:
        assert len(reader.all(f"Observation?date={date}")) == expected, date


FOUND = [
    (f"Observation?patient={PATIENT}&code=160212", 7),
    (f"Observation?subject=Patient/{PATIENT}&code=160212", 7),
    (f"Observation?patient={OTHER_PATIENT}", 1),
    ("Observation?patient=Device/x", 0),
    ("Observation?code=http://loinc.org|29463-7,http://loinc.org|8310-5", 2),
    ("Observation?code=urn:iso:std:iso:11073:10101|150020", 2),
    ("Observation?code=urn:iso:std:iso:11073:10101|29463-7", 0),
    ("Observation?component-code=8462-4", 2),
    ("Observation?combo-code=8462-4", 3),
    ("Observation?category=laboratory", 9),
    ("Observation?category=vital-signs&code=150020", 2),
    ("Observation?category=vital-signs&code=8462-4", 1),
    ("Observation?category=exam", 4),
    ("Observation?category=http://terminology.hl7.org/CodeSystem/observation-category|exam", 4),
    ("Observation?category=urn:x|exam", 0),
    ("Observation?status=final,preliminary&code=150020", 2),
    ("Observation?status=preliminary", 0),
    (f"Observation?identifier=urn:veilleur:record|box-0001/{EPOCH}/0", 1),
    ("Observation?identifier=urn:veilleur:record|box-0001/x", 0),
    ("DetectedIssue?code=systolic_crisis", 1),
    ("DetectedIssue?code=urn:veilleur:code:category|technical", 1),
    (f"DetectedIssue?patient={OTHER_PATIENT}", 1),
    ("DetectedIssue?identified=2025-11-22", 8),
    ("Task?priority=asap", 1),
    ("Device?type=531981", 2),
    ("Device?type=urn:iso:std:iso:11073:10101|65573", 5),
    (f"Device?identifier=http://hl7.org/fhir/sid/eui-48/bluetooth|{CUFF.replace(':', '-')}", 1),
    ("Device?identifier=urn:veilleur:box|box-0002", 1),
    (f"Device?patient={PATIENT}", 1),
    (f"Patient?identifier={PATIENT}", 1),
    ("Patient?active=true", 2),
    ("Patient?active=false", 0),
    ("Provenance?target=Observation/1", 1),
    ("Provenance?target=Patient/1", 0),
    (f"Provenance?patient={OTHER_PATIENT}", 2),
    ("Provenance?recorded=2025-11-22T08:26:40Z&target=Observation/1", 1),
    ("Provenance?recorded=2024", 0),
    ("Provenance?_id=observation.1", 1),
    ("Provenance?_lastUpdated=lt2024", 0),
    ("Observation?_id=1,2,3", 3),
    ("Observation?_lastUpdated=2025-11-22&date=2025-11-22T08:26:40Z", 1),
    ("Observation?device=Device/device.1", 6),
    ("Observation?device=device.1", 6),
    ("DetectedIssue?_id=x", 0),
    ("DetectedIssue?_lastUpdated=ge2025-11-22", 8),
    ("DetectedIssue?identifier=x", 0),
    ("Task?_id=x", 0),
    ("Task?_lastUpdated=gt2025-11-22T10:00:00Z", 1),
    ("Task?modified=gt2025-11-22T10:00:00Z", 1),
    ("Task?authored-on=2025-11-22", 8),
    (f"Task?patient={OTHER_PATIENT}", 1),
    (f"Task?subject=Patient/{OTHER_PATIENT}", 1),
    ("Task?focus=Task/x", 0),
    ("Task?identifier=x", 0),
    ("Task?status=completed", 1),
    ("Communication?_id=x", 0),
    ("Communication?_lastUpdated=lt2025", 0),
    (f"Communication?patient={OTHER_PATIENT}", 1),
    (f"Communication?subject=Patient/{OTHER_PATIENT}", 1),
    ("Communication?identifier=x", 0),
    ("Communication?status=not-done", 1),
    ("Communication?sent=2025-11-22", 6),
    ("Communication?received=2025-11-22T08:56", 1),
    ("Device?_id=box.box-0001,device.1", 2),
    ("Device?_lastUpdated=2025-11-22", 7),
    ("Patient?_id=x", 0),
    ("Patient?_lastUpdated=2025-11", 2),
]


def test_each_parameter_finds_what_it_names(desk: Desk) -> None:
    week(desk)
    reader = Reader.of(desk)
    for asked, expected in FOUND:
        assert len(reader.all(f"{asked}&_count=500")) == expected, asked
    tried = set()
    for asked, _ in FOUND:
        kind, _, parameters = asked.partition("?")
        tried |= {(kind, one.partition("=")[0]) for one in parameters.split("&")}
    offered = {(kind.name, name) for kind in KINDS.values() for name in kind.parameters}
    assert offered - tried == set()


def test_what_was_corrected_counts_as_changed(desk: Desk) -> None:
    desk.receive(glucose(0, clock=ClockTrust.UNKNOWN, received_at=START), glucose(1))
    reader = Reader.of(desk)
    before = reader.client.get("/fhir/Observation/1")
    desk.clock.now = START + 6 * HOUR
    desk.receive(correction(0, 0, 7000))
    changed = reader.all(f"Observation?_lastUpdated=ge{'2025-11-22T14:00:00Z'}")
    assert [one["id"] for one in changed] == ["1"]
    assert changed[0]["effectiveDateTime"] == "2025-11-22T09:26:47.000+01:00"
    again = reader.client.get("/fhir/Observation/1", headers={"If-None-Match": before.headers["ETag"]})
    assert again.status_code == 200
    assert again.headers["ETag"] != before.headers["ETag"]
    same = reader.client.get("/fhir/Observation/1", headers={"If-None-Match": again.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")


REFUSED = [
    "Observation?patiant=x",
    "Observation?patient:exact=x",
    "Observation?date=yesterday",
    "Observation?date=2025-02-30",
    "Observation?date=ap2025",
    "Observation?code=",
    "Observation?code=a,,b",
    "Observation?code=|",
    "Observation?_count=many",
    "Observation?_count=-1",
    "Observation?_count=2&_count=3",
    "Observation?_format=xml",
    "Observation?_cursor=x",
    "Observation?_cursor=WzAsMSwiYSJd",
    "Observation?_sort=date",
    "Observation?_include=Observation:patient",
    "Observation?patient=../x%00",
    "Observation/1?_elements=id",
    "Task?status=" + "a," * 60,
    "Task?" + "&".join("status=draft" for _ in range(30)),
]


def test_what_is_not_understood_is_refused_in_words(desk: Desk) -> None:
    client = Reader.of(desk).client
    for asked in REFUSED:
        response = client.get(f"/fhir/{asked}")
        assert response.status_code == 400, asked
        outcome = json.loads(response.content)
        assert outcome["resourceType"] == "OperationOutcome"
        assert " / " in outcome["issue"][0]["diagnostics"]


def test_of_another_team_there_is_nothing(desk: Desk) -> None:
    alerts = week(desk)
    stranger = Reader.of(desk, team=2)
    for kind in KINDS:
        assert stranger.all(kind) == []
        mine = Reader.of(desk).all(kind)[0]["id"]
        assert Reader.of(desk).client.get(f"/fhir/{kind}/{mine}").status_code == 200
        assert stranger.client.get(f"/fhir/{kind}/{mine}").status_code == 404
    assert stranger.all(f"Task?focus=DetectedIssue/{alerts['high']}") == []


def test_an_id_of_nothing_is_not_there(desk: Desk) -> None:
    week(desk)
    client = Reader.of(desk).client
    for key in ("0", "01", "x", "9" * 30, "box.", "%C3%A9", "device.x", "alert." + "0" * 32):
        for kind in KINDS:
            assert client.get(f"/fhir/{kind}/{key}").status_code == 404, (kind, key)
    assert client.get("/fhir/Practitioner").status_code == 404


def test_whoever_may_not_is_told_in_fhirs_words(desk: Desk) -> None:
    for client, status in ((desk.client(), 401), (desk.client(Role.NURSE), 403), (desk.client(Role.ADMIN), 403)):
        response = client.get("/fhir/Patient")
        assert response.status_code == status
        assert json.loads(response.content)["resourceType"] == "OperationOutcome"
    assert "Bearer" in desk.client().get("/fhir/Patient").headers["WWW-Authenticate"]


WORDS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["2025-11-22", "ge2025", "sa2025-11-22T08:31:40.5+14:00", "|", "a|b", "Patient/x", "9" * 20, "-1"]),
    st.from_regex(r"(eq|ne|gt|ap)?[0-9]{4}(-[0-9]{2}){0,2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?"),
)


@pytest.fixture
def physician(desk: Desk) -> Client:
    return desk.client(Role.PHYSICIAN)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_asked_is_answered_or_refused(physician: Client, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS.values())))
    names = st.sampled_from([*kind.parameters, "_count", "_cursor", "_total", "_summary", "_format"])
    asked = data.draw(st.lists(st.tuples(names, WORDS), min_size=1, max_size=3))
    response = physician.get(f"/fhir/{kind.name}?{urlencode(asked, errors='replace')}")
    assert response.status_code in {200, 400}, asked
    assert json.loads(response.content)["resourceType"] in {"Bundle", "OperationOutcome"}


def test_what_a_box_says_stays_text(desk: Desk) -> None:
    words = "</script>\u202e<b>\u0000\n'; DROP TABLE alert; --"
    alert = change("=1+1 <i>", protocol="a b/<c>", why=Sentence(fr=words, en=words))
    desk.receive(alert)
    response = Reader.of(desk).client.get(f"/fhir/DetectedIssue/{alert.alert_id}")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Type"].startswith("application/fhir+json")
    found = json.loads(response.content)
    # PostgreSQL keeps no NUL.
    assert found["detail"].replace("\ufffd", "\x00") == words
    assert found["code"]["coding"][0]["code"] == "=1+1 <i>"
    (origin,) = Reader.of(desk).all(f"Provenance?target=DetectedIssue/{alert.alert_id}")
    assert origin["policy"] == ["urn:veilleur:protocol:a%20b%2F%3Cc%3E:2"]


def test_what_was_given_back_counts_as_changed(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE)
    nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    alert.refresh_from_db()
    desk.clock.now += 2 * HOUR
    nurse.post(f"/alertes/{alert.pk}/rendre", {"vu": alert.handled})
    (task,) = Reader.of(desk).all("Task?modified=ge2025-11-22T10:26:40Z")
    assert (task["status"], task["id"]) == ("requested", alert.pk)
