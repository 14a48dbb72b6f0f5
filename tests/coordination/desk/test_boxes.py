"""The boxes of a team, as each role sees them, and taking one out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import override_settings

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from coordination.box_identity import signing_key
from coordination.desk.access import Role
from coordination.place import Place
from coordination.sql import Sql
from coordination.team_database import connect, transaction
from exchange.messages import AlertRecord
from exchange.messages import alert as alert_record
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import BOX, HOUR, MINUTE, OTHER_BOX, OTHER_PATIENT, PATIENT, START, glucose, rows


@contextmanager
def connected(place: Place) -> Iterator[Sql]:
    connection = connect(place)
    try:
        with transaction(connection):
            yield connection
    finally:
        connection.close()


def technical(rule: str, text: str) -> AlertRecord:
    """What a box says of itself."""
    return alert_record(
        AlertChange(
            kind=ChangeKind.RAISED,
            alert_id=alert_id(patient=BOX, protocol="", rule=rule, onset=START),
            patient=BOX,
            rule=rule,
            priority=Priority.MEDIUM,
            category=Category.TECHNICAL,
            onset=START,
            raised_at=START,
            resolved_at=None,
            evidence=(),
            why=Sentence(fr=text, en=text),
            late=False,
            supersedes=None,
            protocol="",
            protocol_version=0,
            protocol_hash="",
            engine_version="1",
        )
    )


def page(desk: Desk, address: str, *roles: Role, team: int = 1) -> str:
    answer = desk.client(*roles, team=team).get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_boxes_of_the_team_are_listed_with_what_is_known_of_them(desk: Desk) -> None:
    desk.receive(glucose(0))
    desk.clock.now = START + 12 * MINUTE
    shown = page(desk, "/boitiers", Role.NURSE)
    assert BOX in shown
    assert OTHER_BOX in shown
    assert "il y a 12\u00a0min" in shown
    whole = page(desk, f"/boitiers/{BOX}", Role.NURSE)
    assert "glucose interstitiel" in whole


def test_another_teams_boxes_are_not_there(desk: Desk) -> None:
    desk.receive(glucose(0))
    assert BOX not in page(desk, "/boitiers", Role.NURSE, team=2)
    assert desk.client(Role.NURSE, team=2).get(f"/boitiers/{BOX}").status_code == 404
    refused = desk.client(Role.ADMIN, team=2).post(f"/boitiers/{BOX}/revoquer", {"numero": BOX, "raison": "volé"})
    assert refused.status_code == 404
    assert rows(desk.boxes.database, "SELECT count(*) FROM box_key WHERE revoked_at IS NOT NULL") == [(0,)]


def test_a_silent_box_comes_first_and_says_since_when(desk: Desk) -> None:
    desk.receive(glucose(0, patient=OTHER_PATIENT), box=OTHER_BOX)
    with connected(desk.boxes.database) as connection:
        connection.execute(
            'INSERT INTO device_silence (box_id, "from", cause) SELECT id, ?, ? FROM box WHERE name = ?',
            (START, "not_transmitted", OTHER_BOX),
        )
    desk.clock.now = START + 2 * HOUR
    shown = page(desk, "/boitiers", Role.NURSE)
    assert shown.index(f">{OTHER_BOX}<") < shown.index(f">{BOX}<")
    assert "1 muet" in shown
    assert "n&#39;a rien transmis" in page(desk, f"/boitiers/{OTHER_BOX}", Role.NURSE)


def test_who_reads_no_patients_reads_no_pseudonym_here_either(desk: Desk) -> None:
    desk.receive(glucose(0))
    for address in ("/boitiers", f"/boitiers/{BOX}"):
        assert PATIENT in page(desk, address, Role.NURSE)
        assert PATIENT not in page(desk, address, Role.ADMIN)


def test_an_installer_sees_the_boxes_that_they_enrolled_and_no_others(desk: Desk) -> None:
    desk.receive(glucose(0))
    installer = desk.user(Role.INSTALLER)
    client = desk.client(Role.INSTALLER)
    assert BOX not in client.get("/boitiers").content.decode()
    assert client.get(f"/boitiers/{BOX}").status_code == 404
    with connected(desk.boxes.database) as connection:
        connection.execute(
            "INSERT INTO enrolment (place, box_id, secret, state, created_at, expires_at, team_id, opened_by)"
            " SELECT 'AB12', id, ?, 'done', 1, 2, 1, ? FROM box WHERE name = ?",
            (b"x" * 32, installer.pk, BOX),
        )
    assert BOX in client.get("/boitiers").content.decode()
    assert client.get(f"/boitiers/{BOX}").status_code == 200
    assert client.get(f"/boitiers/{OTHER_BOX}").status_code == 404


def test_a_technical_alert_stands_as_what_the_box_says(desk: Desk) -> None:
    full = technical("buffer_full", "La mémoire du boîtier est pleine")
    desk.receive(full)
    assert "La mémoire du boîtier est pleine" in page(desk, "/boitiers", Role.NURSE)
    assert "La mémoire du boîtier est pleine" in page(desk, f"/boitiers/{BOX}", Role.NURSE)


@pytest.mark.parametrize(("number", "reason"), [(OTHER_BOX, "volé"), (BOX, ""), ("", "volé"), (BOX, "a\x00b")])
def test_a_box_is_not_taken_out_by_a_slip(desk: Desk, number: str, reason: str) -> None:
    desk.receive(glucose(0))
    answer = desk.client(Role.ADMIN).post(
        f"/boitiers/{BOX}/revoquer", {"numero": number, "raison": reason}, follow=True
    )
    assert "rien n&#39;a été changé" in answer.content.decode()
    assert rows(desk.boxes.database, "SELECT count(*) FROM audit WHERE act = 'revoked'") == [(0,)]


def test_what_a_box_signs_counts_no_more_once_it_is_revoked_whatever_the_broker_does(desk: Desk) -> None:
    desk.receive(glucose(0))
    key = desk.boxes.boxes[BOX]
    with override_settings(DESK=replace(settings.DESK, settings_file=desk.boxes.write_settings())):
        listed = {BOX: {key.id: key.public}}
        answer = desk.client(Role.ADMIN, name="O. Diallo").post(
            f"/boitiers/{BOX}/revoquer", {"numero": BOX, "raison": "volé le 3"}, follow=True
        )
    shown = answer.content.decode()
    assert "ne croit plus rien de ce qu&#39;il signe" in shown
    # These settings have no [enrolment], so the broker is not told, and the page says so with the next step.
    assert "[enrolment]" in shown
    with connected(desk.boxes.database) as connection:
        assert signing_key(connection, BOX, key.id, listed=listed) is None
    kept = rows(desk.boxes.database, "SELECT body FROM audit WHERE act = 'revoked'")
    assert len(kept) == 1
    assert "O. Diallo" in str(kept[0][0])
    assert "volé le 3" in str(kept[0][0])
    assert "révoqué" in page(desk, f"/boitiers/{BOX}", Role.ADMIN)


def fleet(desk: Desk, boxes: int) -> None:
    """So many boxes of the team, every tenth of them silent."""
    with connected(desk.boxes.database) as connection:
        for n in range(boxes):
            connection.execute("INSERT INTO box (name, heard_at) VALUES (?, ?)", (f"fleet-{n:04d}", START))
            if n % 10 == 9:
                connection.execute(
                    'INSERT INTO device_silence (box_id, "from", cause) SELECT id, ?, ? FROM box WHERE name = ?',
                    (START, "not_transmitted", f"fleet-{n:04d}"),
                )


def test_a_large_fleet_has_pages_counted_whole_and_each_box_is_on_one(desk: Desk) -> None:
    desk.receive(glucose(0), technical("buffer_full", "La mémoire du boîtier est pleine"))
    fleet(desk, 118)
    shown = [page(desk, f"/boitiers?page={n}", Role.NURSE) for n in (1, 2, 3)]
    names = [found for one in shown for found in re.findall(r'id="b-([^"]+)"', one)]
    assert len(names) == len(set(names)) == 120
    assert names[:11] == [f"fleet-{n:04d}" for n in range(9, 110, 10)]
    # What a box says of itself brings it before those that say nothing.
    assert names[11] == BOX
    for one in shown:
        assert "<b>120</b>" in one
        assert "11 muets" in one
    assert PATIENT in shown[0]
    assert 'rel="next"' in shown[0]
    assert 'rel="next"' not in shown[2]
    assert re.findall(r'id="b-([^"]+)"', page(desk, "/boitiers?page=99", Role.NURSE)) == names[100:]
    for odd in ("0", "-1", "x", "9" * 30, "²"):
        assert re.findall(r'id="b-([^"]+)"', page(desk, f"/boitiers?page={quote(odd)}", Role.NURSE)), odd


def test_a_search_goes_on_over_its_pages_and_finds_by_patient(desk: Desk) -> None:
    desk.receive(glucose(0))
    fleet(desk, 60)
    shown = page(desk, "/boitiers?chercher=fleet", Role.NURSE)
    assert 'href="?chercher=fleet&amp;page=2"' in shown
    assert len(re.findall(r'id="b-([^"]+)"', page(desk, "/boitiers?chercher=fleet&page=2", Role.NURSE))) == 10
    assert re.findall(r'id="b-([^"]+)"', page(desk, f"/boitiers?chercher={PATIENT}", Role.NURSE)) == [BOX]
    assert re.findall(r'id="b-([^"]+)"', page(desk, f"/boitiers?chercher={PATIENT}", Role.ADMIN)) == []


HOSTILE = (
    "<script>alert(1)</script>",
    "\x00",
    "\u202eelbaifer",
    "' OR 1=1 --",
    "é" * 5000,
    "../../etc/passwd",
    "{{ 7*191919 }}",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_typed_is_shown_as_it_is_or_not_at_all(desk: Desk, text: str) -> None:
    desk.receive(glucose(0))
    client = desk.client(Role.NURSE, Role.ADMIN, Role.AUDITOR)
    for address in (
        "/boitiers?chercher=",
        "/audit?par=",
        "/audit?sur=",
        "/audit?depuis=",
        "/audit?acte=",
        "/audit?avant=",
    ):
        answer = client.get(address + quote(text))
        assert answer.status_code == 200, address
        assert "<script>alert" not in answer.content.decode()
        assert '"1343433"' not in answer.content.decode()
    assert client.get(f"/boitiers/{quote(text, safe='')}").status_code == 404
    assert client.get(f"/boitiers/ajouter/{quote(text, safe='')}").status_code == 404
    refused = client.post(f"/boitiers/{BOX}/revoquer", {"numero": text, "raison": text}, follow=True)
    assert "rien n&#39;a été changé" in refused.content.decode()
    asked = client.post("/boitiers/ajouter", {"numero": text, "patient": text, "protocole": text})
    assert asked.status_code == 400
    assert "<script>alert" not in asked.content.decode()
    for name in ("acte", "par", "sur", "depuis", "jusque", "avant", "forme"):
        assert client.post("/audit/exporter", {name: text}).status_code == 200


def test_what_a_box_says_is_shown_and_never_run(desk: Desk) -> None:
    desk.receive(technical("buffer_full", "<img src=x onerror=alert(1)> \u202e plein"))
    desk.receive(glucose(0, device="<b>C4</b>"))
    for address in ("/boitiers", f"/boitiers/{BOX}"):
        shown = page(desk, address, Role.NURSE)
        assert "<img" not in shown
        assert "<b>C4</b>" not in shown
        assert "&lt;img" in shown
