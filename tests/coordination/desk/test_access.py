"""Every address of the desk, for every role, for nobody, for another team, and by every method."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from coordination.desk.access import ALLOWED, Action, Role
from coordination.desk.models import LoginEvent, Membership, PasswordLink, User
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import BOX, PATIENT

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
SAMPLES = {
    "alert": "0" * 32,
    "pseudonym": PATIENT,
    "language": "en",
    "provider_id": "psc",
    "secret": "no-such-secret",
    "pk": "1",
    "member": "1",
    "box": BOX,
    "place": "AB12",
    "token": "A" * 32,
    "pathway": "heart_failure",
    "kind": "Patient",
    "key": "nobody",
    "job": "0" * 32,
    "file": "Patient.ndjson",
}
"""What stands in an address for each of its parts. A new part of an address needs its line here."""
MACHINES = "/fhir/"
"""Other systems ask there: they are told 401, not sent to a page."""
QUESTIONNAIRES = "/q/"
"""Whoever has the link answers, signed in or not."""
PART = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Address:
    path: str
    action: Action | None
    name: str
    parts: frozenset[str]


def addresses(patterns: Iterable[object] | None = None, before: str = "/") -> Iterator[Address]:
    """Yield every address that the resolver knows, however deep."""
    for pattern in get_resolver("coordination.desk.routes").url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, before + str(pattern.pattern))
        else:
            assert isinstance(pattern, URLPattern)
            route = before + str(pattern.pattern)
            yield Address(
                path=PART.sub(lambda part: SAMPLES.get(part[1], part[0]), route),
                action=getattr(pattern.callback, "action", None),
                name=str(pattern.name),
                parts=frozenset(PART.findall(route)),
            )


@pytest.fixture
def every(desk: Desk) -> list[Address]:
    return list(addresses())


def test_every_address_says_what_it_needs(every: list[Address]) -> None:
    assert len(every) > 40
    assert [one.path for one in every if one.action is None] == []
    assert [one.path for one in every if "<" in one.path] == [], "SAMPLES lacks a part of these addresses"


def test_whoever_is_not_signed_in_is_sent_to_sign_in_by_whatever_method(desk: Desk, every: list[Address]) -> None:
    nobody = desk.client()
    for one in every:
        for method in METHODS:
            answer = getattr(nobody, method)(one.path)
            if one.action is Action.PUBLIC:
                assert answer.status_code != 403, (method, one.path)
            elif one.path.startswith(MACHINES):
                assert answer.status_code == 401, (method, one.path)
            else:
                assert answer.status_code == 302, (method, one.path)
                assert answer.headers["Location"].startswith("/compte/login/?next="), (method, one.path)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reaches_exactly_what_the_matrix_says(desk: Desk, every: list[Address], role: Role) -> None:
    client = desk.client(role)
    for one in every:
        if one.action in {Action.PUBLIC, Action.OWN_ACCOUNT}:
            continue
        for method in METHODS:
            status = getattr(client, method)(one.path).status_code
            if one.action in ALLOWED[role]:
                assert status != 403, (role, method, one.path)
            else:
                assert status == 403, (role, method, one.path)


@pytest.mark.parametrize("role", list(Role))
def test_whoever_is_signed_in_reaches_their_own_account_whatever_their_role(
    desk: Desk, every: list[Address], role: Role
) -> None:
    client = desk.client(role)
    for one in every:
        if one.action is Action.OWN_ACCOUNT:
            assert client.get(one.path).status_code in {200, 302, 404, 405}, one.path


def test_whoever_is_in_no_team_reaches_their_own_account_and_nothing_else(desk: Desk, every: list[Address]) -> None:
    client = desk.client()
    client.force_login(User.objects.create_user("new@example.org", "N. Ouveau"))
    for one in every:
        if one.action in {Action.PUBLIC, Action.OWN_ACCOUNT}:
            continue
        for method in METHODS:
            assert getattr(client, method)(one.path).status_code == 403, (method, one.path)
    assert "Vous n&#39;êtes dans aucune équipe" in client.get("/").content.decode()


def test_of_what_another_team_has_nobody_of_this_one_sees_or_changes_anything(
    desk: Desk, every: list[Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    alert, person = desk.alert(), desk.user(Role.NURSE, Role.ADMIN, name="C. Martin")
    for part, value in {"alert": alert.pk, "member": str(person.pk)}.items():
        monkeypatch.setitem(SAMPLES, part, value)
    stranger = desk.client(*Role, name="S. Tranger", team=2)

    def state() -> tuple[object, ...]:
        alert.refresh_from_db()
        return (
            alert.handled,
            alert.version,
            sorted(Membership.objects.filter(team_id=1).values_list("user_id", "role")),
            User.objects.get(pk=person.pk).is_active,
            PasswordLink.objects.count(),
        )

    before, theirs = state(), {"alert", "pseudonym", "member"}
    tried = [one for one in addresses() if one.parts & theirs]
    assert len(tried) > 8
    for one in tried:
        for method in METHODS:
            status = getattr(stranger, method)(one.path).status_code
            assert status in {404, 405}, (method, one.path, status)
    for one in (one for one in addresses() if one.action not in {Action.PUBLIC, Action.OWN_ACCOUNT}):
        if one.path != "/evenements":
            assert "C. Martin" not in stranger.get(one.path).content.decode(), one.path
    assert state() == before


def test_an_address_takes_the_methods_that_it_is_for_and_no_other(desk: Desk, every: list[Address]) -> None:
    client = desk.client(*Role)
    for one in every:
        for method in ("put", "patch", "delete", "options"):
            if (method, one.name) == ("delete", "fhir_export_state"):
                continue  # how an export in bulk is cancelled
            assert getattr(client, method)(one.path).status_code == 405, (method, one.path)


def test_no_page_may_be_kept_or_framed_or_run_anything_of_others(desk: Desk, every: list[Address]) -> None:
    client = desk.client(*Role)
    for one in every:
        response = client.get(one.path)
        assert "no-store" in response.headers["Cache-Control"], one.path
        assert "default-src 'none'" in response.headers["Content-Security-Policy"], one.path
        assert "unsafe" not in response.headers["Content-Security-Policy"], one.path
        assert response.headers["X-Frame-Options"] == "DENY", one.path
        assert response.headers["Referrer-Policy"] in {"same-origin", "no-referrer"}, one.path


def test_no_form_is_believed_that_is_not_of_its_own_session(desk: Desk, every: list[Address]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(desk.user(*Role))
    for one in every:
        status = client.post(one.path, {"vu": "0", "name": "M. Echant"}).status_code
        # Behind a link that is its own secret there is no session to be abused: without that link there is nothing.
        assert status in ({404} if one.path.startswith(QUESTIONNAIRES) else {403, 405}), (one.path, status)
    assert LoginEvent.objects.count() == 0


GONE = (
    "account_signup",
    "account_email",
    "account_reset_password",
    "account_inactive",
    "account_request_login_code",
    "account_email_verification_sent",
    "socialaccount_signup",
    "socialaccount_connections",
    "mfa_download_recovery_codes",
)


def test_of_allauths_own_addresses_only_those_exist_that_the_desk_has(desk: Desk, every: list[Address]) -> None:
    import allauth.urls  # noqa: PLC0415 - it needs the settings

    ours = {one.name for one in every}
    for name in GONE:
        with pytest.raises(NoReverseMatch):
            reverse(name)
    found = {
        re.sub(r"[\\^$]", "", re.sub(r"\(\?P<[^>]+>[^)]*\)|<[^>]+>", "1", one.path)): one.name
        for one in addresses(allauth.urls.urlpatterns, "/compte/")
    }
    gone = {path for path, name in found.items() if name not in ours}
    assert len(gone) > 10
    for client in (desk.client(), desk.client(*Role)):
        for path in gone:
            assert client.get(path).status_code == 404, path
            assert client.post(path).status_code == 404, path
