"""Signing in: what is counted, what is refused, what a restart does not forget, and what is entered of it."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from threading import Event

import msgspec
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.sessions.models import Session
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordination.desk import passwords, sign_in
from coordination.desk.access import Role
from coordination.desk.models import LoginEvent, User
from coordination.desk.passwords import AT_ONCE, Argon2id, PasswordsBusyError
from coordination.desk.plain_text import is_plain
from coordination.desk.sign_in import MINUTE, MOST_OF_AN_ACCOUNT, MOST_OF_AN_ADDRESS, WINDOW, Outcome, Way
from coordination.team_database import connect_to_read
from exchange.audit_chain import Act, Entry
from tests.coordination.desk.kit import PASSWORD, Desk

LOGIN = "/compte/login/"
EMAIL = "claire.martin@example.org"
STRANGER = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def nurse(desk: Desk) -> User:
    user = desk.user(Role.NURSE, name="Claire Martin")
    user.password = hashed()
    user.save()
    return user


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare passwords without the third of a second and the 100 MiB, where something else is proven."""
    monkeypatch.setattr(Argon2id, "verify", lambda _hasher, password, _encoded: password == PASSWORD)
    monkeypatch.setattr(Argon2id, "encode", lambda *_: "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA")


@cache
def hashed() -> str:
    """The password as it is kept, whatever is quick: it is made once for all tests, in a third of a second."""
    hasher = Argon2PasswordHasher()
    return hasher.encode(PASSWORD, hasher.salt())


def tries(client: Client, password: str = PASSWORD, email: str = EMAIL, **more: str) -> HttpResponse:
    return client.post(LOGIN, {"login": email, "password": password}, **more)


def acts(desk: Desk, act: Act) -> list[Entry]:
    database = connect_to_read(desk.boxes.database)
    found = database.execute("SELECT body FROM audit WHERE act = ? ORDER BY n", (act.value,)).fetchall()
    database.close()
    return [msgspec.json.decode(body, type=Entry) for (body,) in found]


def refused_without_check(desk: Desk, number: int, *, subject: str = EMAIL, source: str = "203.0.113.9") -> None:
    """Write down tries as they are when they were refused, without the third of a second each."""
    for _ in range(number):
        LoginEvent.objects.create(
            at=desk.clock.now, subject=sign_in.subject_of(subject), source=source, way=Way.FIRST,
            outcome=Outcome.REFUSED,
        )  # fmt: skip


def test_a_password_is_kept_as_argon2id_of_100_mib(nurse: User) -> None:
    assert re.match(r"argon2\$argon2id\$v=19\$m=102400,t=2,p=8\$", nurse.password)


def test_whoever_signs_in_is_in_and_it_is_an_act_of_the_same_transaction(desk: Desk, nurse: User) -> None:
    client = desk.client()
    answer = tries(client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert client.get("/alertes").status_code == 200
    (entry,) = acts(desk, Act.SIGNED_IN)
    assert (entry.by, entry.ref, entry.detail, entry.at) == (
        "Claire Martin", f"account:{nurse.pk}", {"way": "password"}, desk.clock.now,
    )  # fmt: skip
    event = LoginEvent.objects.get(outcome=Outcome.IN)
    assert event.session == client.session.session_key


@pytest.mark.usefixtures("quick")
def test_a_sign_in_of_which_the_act_cannot_be_entered_is_none(
    desk: Desk, nurse: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = desk.client()
    client.raise_request_exception = False

    def full(*_: object, **__: object) -> int:
        raise OSError("no room")

    monkeypatch.setattr("coordination.audit_log.AuditLog.enter", full)
    assert tries(client).status_code == 500
    assert client.get("/alertes").status_code == 302
    assert not LoginEvent.objects.filter(outcome=Outcome.IN).exists()
    assert not any("_auth_user_id" in one.get_decoded() for one in Session.objects.all())


def test_an_address_without_an_account_a_closed_account_and_a_wrong_password_are_answered_alike(
    desk: Desk, nurse: User
) -> None:
    closed = desk.user(Role.NURSE, name="Closed Account")
    closed.password = hashed()
    closed.is_active = False
    closed.save()

    def page(**named: str) -> str:
        text = tries(desk.client(), **named).content.decode()
        return re.sub(r'value="[^"]*"', "", text)

    wrong = page(password="not this one")
    assert "L&#39;adresse ou le mot de passe ne convient pas." in wrong
    assert page(email="nobody@example.org") == wrong
    assert page(email=closed.email) == wrong
    assert {entry.detail["reason"] for entry in acts(desk, Act.SIGN_IN_REFUSED)} == {"password"}


@pytest.mark.usefixtures("quick")
def test_what_is_refused_is_entered_without_the_address_that_was_typed(desk: Desk, nurse: User) -> None:
    tries(desk.client(), password="not this one")
    tries(desk.client(), email="my-password-by-mistake@example.org")
    first, second = acts(desk, Act.SIGN_IN_REFUSED)
    assert (first.by, first.ref, second.ref) == ("team", f"account:{nurse.pk}", "")
    database = connect_to_read(desk.boxes.database)
    rows = repr(database.execute("SELECT body FROM audit").fetchall() + database.execute(
        "SELECT subject, source, agent FROM login_event").fetchall())  # fmt: skip
    database.close()
    assert "by-mistake" not in rows
    assert "claire.martin" not in rows


@pytest.mark.usefixtures("quick")
def test_after_five_wrong_passwords_the_right_one_is_refused_for_a_quarter_of_an_hour(desk: Desk, nurse: User) -> None:
    client = desk.client()
    refused_without_check(desk, MOST_OF_AN_ACCOUNT - 1)
    assert "ne convient pas" in tries(client, password="not this one").content.decode()
    page = tries(client).content.decode()
    assert "Trop d&#39;essais" in page
    assert [entry.detail["reason"] for entry in acts(desk, Act.SIGN_IN_REFUSED)] == ["password", "too_many"]
    desk.clock.now += WINDOW - MINUTE
    assert tries(client).status_code == 200
    desk.clock.now += MINUTE
    assert tries(client).status_code == 302


@pytest.mark.usefixtures("quick")
def test_an_address_without_an_account_is_shut_out_as_one_with_an_account(desk: Desk, nurse: User) -> None:
    refused_without_check(desk, MOST_OF_AN_ACCOUNT, subject="nobody@example.org")
    assert "Trop d&#39;essais" in tries(desk.client(), email="nobody@example.org").content.decode()


RESTARTED = """
import sys
from pathlib import Path
from alerting.alert import Sentence
from coordination.desk.site import DeskSite, configure
from tests.coordination.kit import ManualClock

configure(DeskSite(
    database=sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1]), secret="of the tests only, " * 4,
    hosts=("testserver",), https=False, clock=ManualClock(int(sys.argv[2])), second_factor="offered",
    reading_hours=Sentence(fr="", en="")))
from django.test import Client
answer = Client().post("/compte/login/", {"login": sys.argv[3], "password": sys.argv[4]})
print(answer.status_code, "Trop d&#39;essais" in answer.content.decode())
"""


def test_who_is_shut_out_is_shut_out_by_another_process_too_and_after_a_restart(desk: Desk, nurse: User) -> None:
    refused_without_check(desk, MOST_OF_AN_ACCOUNT - 1)
    tries(desk.client(), password="not this one")
    place = str(desk.boxes.database)

    def restarted(at: int) -> str:
        done = subprocess.run(
            [sys.executable, "-c", RESTARTED, place, str(at), EMAIL, PASSWORD],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    connections["default"].close()
    assert restarted(desk.clock.now) == "200 True"
    assert restarted(desk.clock.now + WINDOW) == "302 False"


def test_of_many_tries_at_once_no_more_are_checked_than_the_limit(
    desk: Desk, nurse: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def check(_hasher: Argon2id, password: str, _encoded: str) -> bool:
        checked.append(password)
        return False

    monkeypatch.setattr(Argon2id, "verify", check)
    monkeypatch.setattr(Argon2id, "must_update", lambda *_: False)
    monkeypatch.setattr(Argon2id, "harden_runtime", lambda *_: None)

    def one(number: int) -> None:
        try:
            tries(Client(), password=f"guess {number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(24)))
    assert len(checked) == MOST_OF_AN_ACCOUNT


@pytest.mark.usefixtures("quick")
def test_a_stranger_locks_nobody_out_of_a_browser_in_which_they_have_signed_in(desk: Desk, nurse: User) -> None:
    own, stranger = desk.client(), desk.client()
    assert tries(own).status_code == 302
    own.post("/compte/logout/")
    desk.clock.now += MINUTE
    refused_without_check(desk, MOST_OF_AN_ACCOUNT)
    refused_without_check(desk, MOST_OF_AN_ADDRESS, subject="others", source="127.0.0.1")
    assert "Trop d&#39;essais" in tries(stranger, **STRANGER).content.decode()
    assert tries(own).status_code == 302


@pytest.mark.usefixtures("quick")
def test_a_browser_cookie_that_was_made_up_or_is_another_accounts_counts_for_nothing(desk: Desk, nurse: User) -> None:
    refused_without_check(desk, MOST_OF_AN_ACCOUNT)
    client = desk.client()
    for value in ("eyJhIjoiYiJ9:1:x", "a" * 4000, ""):
        client.cookies[sign_in.BROWSER_COOKIE] = value
        assert "Trop d&#39;essais" in tries(client).content.decode()


@pytest.mark.usefixtures("quick")
def test_an_address_that_fails_for_many_accounts_is_shut_out_and_others_are_not(desk: Desk, nurse: User) -> None:
    for number in range(MOST_OF_AN_ADDRESS):
        refused_without_check(desk, 1, subject=f"{number}@example.org")
    assert "Trop d&#39;essais" in tries(desk.client(), **STRANGER).content.decode()
    assert tries(desk.client(), REMOTE_ADDR="203.0.113.10").status_code == 302


def test_of_an_ipv6_network_the_64_bits_count_that_one_house_has(desk: Desk) -> None:
    request = desk.client().get(LOGIN, REMOTE_ADDR="2001:db8:1:2:aaaa:bbbb:cccc:dddd").wsgi_request
    assert sign_in.source_of(request) == "2001:db8:1:2::/64"
    request = desk.client().get(LOGIN, REMOTE_ADDR="::ffff:203.0.113.9").wsgi_request
    assert sign_in.source_of(request) == "203.0.113.9"
    request = desk.client().get(LOGIN, REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_FOR="198.51.100.1").wsgi_request
    assert sign_in.source_of(request) == "203.0.113.9", "without TLS there is no proxy to believe"


def test_as_many_passwords_are_checked_at_once_as_there_are_places_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 0.01)
    inside, leave = [Event() for _ in range(AT_ONCE)], Event()

    def slow(number: int) -> None:
        with passwords._place():
            inside[number].set()
            leave.wait(30)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        held = [pool.submit(slow, number) for number in range(AT_ONCE)]
        for event in inside:
            assert event.wait(30)
        with pytest.raises(PasswordsBusyError):
            Argon2id().encode("whatever it is", "salt" * 4)
        leave.set()
        for one in held:
            one.result()
    assert Argon2id().encode("whatever it is", "salt" * 4)


def test_whoever_finds_no_place_is_told_and_it_counts_against_nobody(
    desk: Desk, nurse: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> bool:
        raise PasswordsBusyError

    monkeypatch.setattr(Argon2id, "verify", busy)
    assert "rien n&#39;a été vérifié" in tries(desk.client()).content.decode()
    assert LoginEvent.objects.count() == 0
    signed_in = desk.client(Role.NURSE, name="Claire Martin")
    answer = signed_in.post("/compte/password/change/", {"oldpassword": "x", "password1": "y", "password2": "y"})
    assert answer.status_code == 503


@pytest.mark.usefixtures("quick")
def test_a_session_that_somebody_prepared_is_another_one_after_signing_in(desk: Desk, nurse: User) -> None:
    victim = desk.client()
    victim.get("/compte/2fa/webauthn/login/", headers={"Accept": "application/json"})
    prepared = victim.session.session_key
    assert prepared
    assert tries(victim).status_code == 302
    assert victim.session.session_key != prepared
    attacker = desk.client()
    attacker.cookies["veilleur"] = prepared
    assert attacker.get("/alertes").status_code == 302
    assert not Session.objects.filter(pk=prepared).exists()


def test_a_changed_password_ends_the_other_sessions_and_keeps_this_one(desk: Desk, nurse: User) -> None:
    here, elsewhere = desk.client(), desk.client()
    tries(here)
    tries(elsewhere)
    new = "quatre grands chiens"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert here.post("/compte/password/change/", form).status_code == 302
    assert here.get("/alertes").status_code == 200
    assert elsewhere.get("/alertes").status_code == 302
    assert [event.session for event in sign_in.sessions_of(nurse)] == [here.session.session_key]
    (entry,) = acts(desk, Act.ACCOUNT_CHANGED)
    assert (entry.by, entry.detail) == ("Claire Martin", {"what": "password"})
    assert tries(desk.client()).status_code == 200
    assert tries(desk.client(), password=new).status_code == 302


@pytest.mark.usefixtures("quick")
def test_ones_sessions_are_listed_and_each_can_be_ended_from_another(desk: Desk, nurse: User) -> None:
    here, lost = desk.client(), desk.client()
    tries(here, HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    tries(lost, HTTP_USER_AGENT="Mozilla Perdu<script>")
    page = here.get("/compte").content.decode()
    assert "Firefox, Linux" in page
    assert "Mozilla Perdu&lt;script&gt;" in page
    event = LoginEvent.objects.get(session=lost.session.session_key)
    stranger = desk.client(Role.NURSE, name="Somebody Else")
    assert stranger.post("/compte/sessions/fermer", {"session": str(event.pk)}).status_code == 404
    assert lost.get("/alertes").status_code == 200
    assert here.post("/compte/sessions/fermer", {"session": str(event.pk)}).status_code == 302
    assert lost.get("/alertes").status_code == 302
    assert here.get("/alertes").status_code == 200


@pytest.mark.usefixtures("quick")
def test_signing_out_ends_the_session_for_whoever_kept_its_cookie(desk: Desk, nurse: User) -> None:
    client, thief = desk.client(), desk.client()
    tries(client)
    thief.cookies["veilleur"] = client.session.session_key
    assert thief.get("/alertes").status_code == 200
    client.post("/compte/logout/")
    assert thief.get("/alertes").status_code == 302
    assert sign_in.sessions_of(nurse) == []


@pytest.mark.usefixtures("quick")
def test_nobody_is_sent_elsewhere_after_signing_in(desk: Desk, nurse: User) -> None:
    for wanted in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil.example"):
        client = desk.client()
        answer = client.post(LOGIN, {"login": EMAIL, "password": PASSWORD, "next": wanted})
        assert answer.headers["Location"] == "/", wanted
        client.logout()


@pytest.mark.usefixtures("quick")
def test_tries_are_forgotten_after_ninety_days_and_their_acts_are_not(desk: Desk, nurse: User) -> None:
    tries(desk.client(), password="not this one")
    desk.clock.now += sign_in.KEPT + 1
    tries(desk.client(), email="nobody@example.org")
    assert LoginEvent.objects.count() == 1
    assert len(acts(desk, Act.SIGN_IN_REFUSED)) == 2


HOSTILE = (
    "x" * 100_000,
    "a\x00b",
    "\u202egnp.exe",
    "<script>alert(1)</script>",
    "'; DROP TABLE desk_user; --",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% raise %}",
    "../../etc/passwd",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "Z" + "\u0301" * 50,
    "%s%n",
    "",
    "  ",
    "NaN",
    "[" * 5000,
    '{"id":' * 400,
)
FORMS = {
    LOGIN: ("login", "password", "next"),
    "/compte/2fa/webauthn/login/": ("credential",),
    "/compte/2fa/webauthn/add/": ("credential", "name", "passwordless"),
    "/compte/2fa/totp/activate/": ("code",),
    "/compte/password/change/": ("oldpassword", "password1", "password2"),
    "/compte/modifier": ("name", "language", "shortcuts"),
    "/compte/sessions/fermer": ("session",),
    "/compte/reauthenticate/": ("password", "next"),
    "/equipe/choisir": ("equipe",),
    "/equipe/ouvrir": ("email", "name", "role"),
    "/equipe/{me}/role": ("role", "given"),
    "/equipe/{me}/identite": ("provider", "subject", "number"),
}


@pytest.mark.parametrize("address", FORMS)
def test_whatever_is_typed_into_a_form_is_an_answer_and_never_a_fault(
    desk: Desk, nurse: User, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Argon2id, "verify", lambda *_: False)
    monkeypatch.setattr(Argon2id, "encode", lambda *_: "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA")
    me = desk.user(*Role, name="All Roles")
    outside = address in {LOGIN, "/compte/2fa/webauthn/login/"}
    client = desk.client() if outside else desk.client(*Role, name="All Roles")
    for value in HOSTILE:
        if address.startswith("/compte/2fa/webauthn"):
            client.get(address, headers={"Accept": "application/json"})
        # "Other" fields hold what is right, so that each value is looked at on its own.
        right = {"login": EMAIL, "email": "x@example.org", "name": "N. Ouveau", "role": "nurse", "language": "fr"}
        for field in FORMS[address]:
            form = {**{name: right.get(name, "x") for name in FORMS[address]}, field: value}
            answer = client.post(address.format(me=me.pk), form, follow=True)
            assert answer.status_code in {200, 404, 422, 429}, (address, field, value[:40])
            page = answer.content.decode()
            assert "<script>alert" not in page, (address, field)
            assert "<img src=x" not in page, (address, field)
    assert User.objects.filter(pk=me.pk).exists()
    assert all(is_plain(name) for name in User.objects.values_list("name", flat=True))


@given(st.text(max_size=80))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_name_that_is_taken_shows_every_character_that_it_has(text: str) -> None:
    if is_plain(text):
        assert text.isprintable() or " " in text or any(c.isspace() for c in text)
        assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\x00\n\r\t")


@pytest.mark.usefixtures("quick")
def test_sessions_that_ended_by_themselves_are_deleted_when_somebody_signs_in(desk: Desk, nurse: User) -> None:
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(seconds=1))
    client = desk.client()
    tries(client)
    assert [one.pk for one in Session.objects.all()] == [client.session.session_key]
