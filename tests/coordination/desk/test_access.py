"""Every address of the desk, for every role, for nobody, and for another team."""

import re
from collections.abc import Iterable, Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from coordination.desk.access import ALLOWED, Action, Role
from coordination.desk.models import User
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import PATIENT

SAMPLES = {"alert": "0" * 32, "pseudonym": PATIENT, "language": "en", "token": "A" * 32}
"""What stands in an address for each of its parts."""


def routes() -> Iterator[tuple[str, Action | None]]:
    """Yield every address of ours with what it needs."""
    for pattern in get_resolver("coordination.desk.routes").url_patterns:
        if isinstance(pattern, URLPattern):
            address = "/" + str(pattern.pattern)
            for part, sample in SAMPLES.items():
                address = address.replace(f"<str:{part}>", sample)
            yield address, getattr(pattern.callback, "action", None)
        else:
            assert isinstance(pattern, URLResolver)


@pytest.fixture
def addresses(desk: Desk) -> list[tuple[str, Action | None]]:
    return list(routes())


def test_every_address_says_what_it_needs(addresses: list[tuple[str, Action | None]]) -> None:
    assert len(addresses) > 5
    assert [address for address, action in addresses if action is None] == []
    assert [address for address, _ in addresses if "<" in address] == []


def test_whoever_is_not_signed_in_is_sent_to_sign_in(desk: Desk, addresses: list[tuple[str, Action | None]]) -> None:
    nobody = desk.client()
    for address, action in addresses:
        for method in (nobody.get, nobody.post):
            response = method(address)
            if action is Action.PUBLIC:
                assert response.status_code != 403, address
            else:
                assert response.status_code == 302, address
                assert response.headers["Location"].startswith("/compte/login/"), address


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reaches_exactly_what_the_matrix_says(
    desk: Desk, addresses: list[tuple[str, Action | None]], role: Role
) -> None:
    client = desk.client(role)
    for address, action in addresses:
        if action in {Action.PUBLIC, Action.OWN_ACCOUNT}:
            continue
        for method in (client.get, client.post):
            status = method(address).status_code
            if action in ALLOWED[role]:
                assert status != 403, (role, address)
            else:
                assert status == 403, (role, address)


def test_no_page_may_be_kept_or_framed_or_run_anything_of_others(
    desk: Desk, addresses: list[tuple[str, Action | None]]
) -> None:
    client = desk.client(*Role)
    for address, _ in addresses:
        response = client.get(address)
        assert response.headers["Cache-Control"] == "no-store", address
        assert "default-src 'none'" in response.headers["Content-Security-Policy"], address
        assert response.headers["X-Frame-Options"] == "DENY", address


def test_whoever_is_in_no_team_sees_nothing(desk: Desk) -> None:
    client = desk.client()
    client.force_login(User.objects.create_user("new@example.org", "N. Ouveau"))
    assert client.get("/alertes").status_code == 403
    assert "Vous n&#39;êtes dans aucune équipe" in client.get("/").content.decode()


def accounts(patterns: Iterable[object], before: str = "/") -> Iterator[tuple[str, str]]:
    """Yield (address, name) of every address of django-allauth's."""
    for pattern in patterns:
        address = before + str(pattern.pattern)  # type: ignore[attr-defined]
        if isinstance(pattern, URLResolver):
            yield from accounts(pattern.url_patterns, address)
        elif address.startswith("/compte/"):
            sample = re.sub(r"\(\?P<[^>]+>[^)]*\)|<[^>]+>", "1", address)
            yield re.sub(r"[\\^$]", "", sample), str(pattern.name)  # type: ignore[attr-defined]


def test_of_the_pages_about_accounts_there_are_those_to_sign_in_and_out_alone(desk: Desk) -> None:
    found = dict(accounts(get_resolver("coordination.desk.routes").url_patterns))
    assert len(found) > 20
    for client in (desk.client(), desk.client(Role.NURSE)):
        for address, name in found.items():
            for method in (client.get, client.post):
                if name not in {"account_login", "account_logout"}:
                    answer = method(address)
                    to_sign_in = answer.headers.get("Location", "").startswith("/compte/login/")
                    assert answer.status_code in {403, 404} or to_sign_in, address
    assert desk.client(Role.NURSE).get("/compte/logout/").status_code == 200
    assert desk.client().get("/compte/login/").status_code == 200
