"""Systems of other houses: let in by a token that is shown once, for what its scopes say, until it ends."""

import json
import subprocess
import sys

import pytest
from django.test import Client

from coordination.audit_log import AuditLog
from coordination.desk.access import Role
from coordination.desk.fhir.clients import DAY_MS, let_in, stop
from coordination.desk.machine_visits import MINUTE_MS
from coordination.desk.models import SystemClient
from coordination.desk.shared_database import acting
from coordination.errors import CoordinationError
from tests.coordination.desk.fhir_kit import Reader, week
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.test_fhir_export import ASYNC, asked, lines
from tests.coordination.kit import START, is_file

MAIN = "from coordination.cli import main; main()"


def client_of(token: str) -> Client:
    return Client(enforce_csrf_checks=True, headers={"authorization": f"Bearer {token}"})


def given(*scopes: str, name: str = "hopital-nord", team: int = 1, a_minute: int = 600, days: int = 30) -> str:
    return let_in(name, team=team, scopes=scopes, days=days, a_minute=a_minute, by="O. Diallo", now=START)


def acts(kind: str) -> list[tuple[str, str]]:
    with acting() as database:
        return [(entry.by, entry.ref) for entry, _ in AuditLog(database).entries() if entry.act == kind]


def test_a_system_reads_what_its_scopes_say_and_nothing_else(desk: Desk) -> None:
    week(desk)
    client = client_of(given("system/Observation.read", "system/Patient.read"))
    assert len(Reader(client).all("Observation?_count=500")) > 10
    assert len(Reader(client).all("Patient")) == 2
    refused = client.get("/fhir/Task")
    assert refused.status_code == 403
    assert "system/Task.read" in json.loads(refused.content)["issue"][0]["diagnostics"]
    found = lines(client, asked(client))
    assert set(found) == {"Observation", "Patient"}
    assert client.get("/fhir/$export?_type=Task", headers=ASYNC).status_code == 403


def test_it_cancels_its_export_without_a_form_of_ours(desk: Desk) -> None:
    client = client_of(given("system/*.read"))
    state = asked(client)
    assert client.delete(state).status_code == 202
    assert client.get(state).status_code == 404


def test_a_token_opens_fhir_alone_and_shuts_out_the_session_beside_it(desk: Desk) -> None:
    token = given("system/*.read")
    for address in ("/", "/alertes", "/patients", "/evenements"):
        assert client_of(token).get(address).status_code in {302, 403}
    both = desk.client(Role.PHYSICIAN)
    assert both.get("/fhir/Patient").status_code == 200
    for wrong in ("vf_x", token[:-1] + ("a" if token[-1] != "a" else "b"), "vf_" + "0" * 16 + "_" + "a" * 43, ""):
        assert both.get("/fhir/Patient", headers={"authorization": f"Bearer {wrong}"}).status_code == 401, wrong
    assert both.get("/fhir/metadata", headers={"authorization": "Bearer x"}).status_code == 200


def test_of_another_team_a_system_finds_nothing(desk: Desk) -> None:
    week(desk)
    desk.user(Role.NURSE, team=2)
    assert Reader(client_of(given("system/*.read", team=2))).all("Patient") == []


def test_it_ends_when_it_expires_and_at_once_when_it_is_stopped(desk: Desk) -> None:
    client = client_of(given("system/*.read", days=2))
    desk.clock.now = START + 2 * DAY_MS - 1
    assert client.get("/fhir/Patient").status_code == 200
    desk.clock.now += 1
    assert client.get("/fhir/Patient").status_code == 401
    other = client_of(given("system/*.read", name="registre", days=900))
    assert other.get("/fhir/Patient").status_code == 200
    stop("registre", by="O. Diallo", now=desk.clock.now)
    assert other.get("/fhir/Patient").status_code == 401
    with pytest.raises(CoordinationError):
        stop("registre", by="O. Diallo", now=desk.clock.now)
    assert given("system/*.read", name="registre") != ""
    assert acts("fhir_client_changed") == [
        ("O. Diallo", "hopital-nord"),
        ("O. Diallo", "registre"),
        ("O. Diallo", "registre"),
        ("O. Diallo", "registre"),
    ]


def test_who_asks_too_often_waits_for_the_next_minute(desk: Desk) -> None:
    client = client_of(given("system/*.read", a_minute=3))
    assert [client.get("/fhir/Patient").status_code for _ in range(4)] == [200, 200, 200, 429]
    late = client.get("/fhir/Patient")
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    desk.clock.now += MINUTE_MS
    assert client.get("/fhir/Patient").status_code == 200


def test_that_somebody_reads_is_entered_once_a_day(desk: Desk) -> None:
    client = client_of(given("system/*.read"))
    physician = desk.client(Role.PHYSICIAN)
    for reader in (client, client, physician, physician):
        reader.get("/fhir/Patient")
    assert acts("fhir_read") == [("hopital-nord", "team 1"), ("physician 1", "team 1")]
    desk.clock.now += DAY_MS
    client.get("/fhir/Device")
    assert acts("fhir_read")[2:] == [("hopital-nord", "team 1")]


def test_the_secret_is_nowhere_in_the_database(desk: Desk) -> None:
    token = given("system/*.read")
    secret = token.partition("_")[2].partition("_")[2]
    assert len(secret) == 43
    if is_file(desk.boxes.database):
        for path in desk.boxes.database.parent.glob(f"{desk.boxes.database.name}*"):
            assert secret.encode() not in path.read_bytes()
    row = SystemClient.objects.values().get()
    assert secret not in str(row)


@pytest.mark.parametrize(
    ("scopes", "team", "words"),
    [
        (("system/Practitioner.read",), 1, "Portée inconnue"),
        (("user/Patient.read",), 1, "Portée inconnue"),
        ((), 1, "Portée inconnue"),
        (("system/*.read",), 9, "équipe 9"),
    ],
)
def test_what_cannot_be_given_is_refused_in_words(desk: Desk, scopes: tuple[str, ...], team: int, words: str) -> None:
    with pytest.raises(CoordinationError) as refused:
        given(*scopes, team=team)
    assert words in refused.value.why.fr
    assert SystemClient.objects.count() == 0


def test_a_name_is_given_once(desk: Desk) -> None:
    given("system/*.read")
    with pytest.raises(CoordinationError, match="has access already"):
        given("system/*.read")


@pytest.mark.process
def test_the_commands_give_list_and_take_away(desk: Desk) -> None:
    config = desk.boxes.write_settings()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", MAIN, "fhirclient", *words, "--config", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )

    added = run("add", "hopital-nord", "--scope", "system/Observation.read")
    assert added.returncode == 0, added.stderr
    token = added.stdout.strip()
    assert client_of(token).get("/fhir/Observation").status_code == 200
    assert "system/Observation.read" in run("list").stdout
    assert run("revoke", "hopital-nord").returncode == 0
    assert client_of(token).get("/fhir/Observation").status_code == 401
    again = run("revoke", "hopital-nord")
    assert again.returncode == 2
    assert "n'a pas d'accès" in again.stderr
