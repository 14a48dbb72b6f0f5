"""Signing in at an identity provider, over real HTTP with real signatures; and everything that it may do wrong."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from coordination.desk.access import Role
from coordination.desk.account_settings import account_settings
from coordination.desk.models import LinkedPerson, LoginEvent, User
from coordination.desk_settings import OidcSettings
from exchange.audit_chain import Act
from exchange.key_file import write_new
from simulators.oidc_provider import Fault, OidcProvider, Person
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.test_sign_in import acts

SECRET = "of the tests"
RPPS = "899700218896"
SUBJECT = "f:550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd:899700218896"
NURSE = Person(subject=SUBJECT, info={"SubjectNameID": RPPS, "family_name": "MARTIN", "given_name": "CLAIRE"})
START, BACK = "/compte/oidc/psc/login/", "/compte/oidc/psc/login/callback/"


@pytest.fixture
def provider(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OidcProvider]:
    made = OidcProvider(client_id="veilleur", secret=SECRET, redirect=f"http://testserver{BACK}", person=NURSE)
    with made.serving():
        configured(made, tmp_path, monkeypatch)
        yield made


def configured(provider: OidcProvider, folder: Path, monkeypatch: pytest.MonkeyPatch, *, basic: bool = False) -> None:
    secret = folder / f"psc{len(list(folder.glob('psc*')))}.secret"
    write_new(secret, f"{SECRET}\n".encode())
    one = OidcSettings(
        id="psc",
        name="Pro Santé Connect",
        server=provider.base,
        client_id="veilleur",
        secret_file=str(secret),
        token_auth="client_secret_basic" if basic else "client_secret_post",
    )
    monkeypatch.setattr(settings, "DESK", replace(settings.DESK, oidc=(one,)))
    monkeypatch.setattr(settings, "SOCIALACCOUNT_PROVIDERS", account_settings((one,))["SOCIALACCOUNT_PROVIDERS"])


@pytest.fixture
def nurse(desk: Desk) -> User:
    return desk.user(Role.NURSE, name="Claire Martin")


def linked(user: User, **how: str) -> LinkedPerson:
    return LinkedPerson.objects.create(user=user, provider="psc", **how)


def go(client: Client, start: str = START) -> HttpResponse:
    """Do as a browser does: to the provider, and back with what it says."""
    there = client.get(start).headers["Location"]
    answer = requests.get(there, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.status_code
    back = answer.headers["Location"]
    assert back.startswith(f"http://testserver{BACK}?")
    return client.get(back.removeprefix("http://testserver"))


def is_in(client: Client) -> bool:
    return client.get("/alertes").status_code == 200


def test_a_nurse_whose_number_an_administrator_linked_signs_in_with_her_card(
    desk: Desk, provider: OidcProvider, nurse: User
) -> None:
    linked(nurse, number=RPPS)
    client = desk.client()
    assert "Se connecter avec Pro Santé Connect" in client.get("/compte/login/").content.decode()
    answer = go(client, f"{START}?next=/patients")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/patients")
    assert is_in(client)
    (entry,) = acts(desk, Act.SIGNED_IN)
    assert (entry.by, entry.detail["way"]) == ("Claire Martin", "oidc")
    assert LinkedPerson.objects.get(user=nurse).subject == SUBJECT


def test_what_is_asked_of_the_provider_is_what_pro_sante_connect_wants(
    desk: Desk, provider: OidcProvider, nurse: User
) -> None:
    linked(nurse, subject=SUBJECT)
    assert go(desk.client()).status_code == 302
    asked = provider.asked
    assert asked["response_type"] == "code"
    assert set(asked["scope"].split()) == {"openid", "scope_all"}
    assert asked["acr_values"] == "eidas1"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["nonce"]) >= 32
    assert asked["redirect_uri"] == f"http://testserver{BACK}"
    assert provider.refused == []


def test_each_sign_in_has_a_nonce_a_challenge_and_a_state_of_its_own(
    desk: Desk, provider: OidcProvider, nurse: User
) -> None:
    linked(nurse, subject=SUBJECT)
    seen = []
    for _ in range(3):
        go(desk.client())
        seen.append((provider.asked["nonce"], provider.asked["code_challenge"], provider.asked["state"]))
    for one in zip(*seen, strict=True):
        assert len(set(one)) == 3


def test_nothing_of_what_the_provider_says_of_a_person_is_kept(desk: Desk, provider: OidcProvider, nurse: User) -> None:
    linked(nurse, subject=SUBJECT)
    client = desk.client()
    go(client)
    assert is_in(client)
    assert SocialAccount.objects.count() == 0
    session = repr(dict(client.session.items()))
    assert "MARTIN" not in session
    assert User.objects.get(pk=nurse.pk).name == "Claire Martin"


def test_an_identity_that_nobody_linked_gets_no_account_and_is_told(desk: Desk, provider: OidcProvider) -> None:
    before = User.objects.count()
    client = desk.client()
    answer = go(client)
    assert answer.headers["Location"] == "/compte/login/"
    assert "liée à aucun compte" in client.get("/compte/login/").content.decode()
    assert not is_in(client)
    assert User.objects.count() == before
    assert [entry.detail["reason"] for entry in acts(desk, Act.SIGN_IN_REFUSED)] == ["not_linked"]


def test_a_number_belongs_to_the_first_sub_that_showed_it(desk: Desk, provider: OidcProvider, nurse: User) -> None:
    linked(nurse, number=RPPS)
    go(desk.client())
    provider.person = Person(subject="another-sub", info=NURSE.info)
    client = desk.client()
    go(client)
    assert not is_in(client)


def test_a_closed_account_stays_closed_for_its_owners_card(desk: Desk, provider: OidcProvider, nurse: User) -> None:
    linked(nurse, subject=SUBJECT)
    User.objects.filter(pk=nurse.pk).update(is_active=False)
    client = desk.client()
    assert go(client).headers["Location"] == "/compte/login/"
    assert not is_in(client)
    assert [entry.detail["reason"] for entry in acts(desk, Act.SIGN_IN_REFUSED)] == ["closed"]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_whatever_the_provider_or_somebody_in_between_does_wrong_nobody_is_signed_in(
    desk: Desk, provider: OidcProvider, nurse: User, fault: Fault
) -> None:
    linked(nurse, subject=SUBJECT)
    client = desk.client()
    there = client.get(START).headers["Location"]
    provider.fault = fault
    back = requests.get(there, allow_redirects=False, timeout=10).headers["Location"]
    answer = client.get(back.removeprefix("http://testserver"))
    assert answer.headers["Location"] == "/compte/login/", fault
    assert not is_in(client)
    assert "n&#39;a pas abouti" in client.get("/compte/login/").content.decode()
    assert acts(desk, Act.SIGNED_IN) == []
    provider.fault = Fault.NONE
    go(client)
    assert is_in(client)


def test_a_provider_that_is_down_is_a_sentence_at_the_start(desk: Desk, provider: OidcProvider) -> None:
    provider.fault = Fault.BROKEN
    client = desk.client()
    assert client.get(START).headers["Location"] == "/compte/login/"
    assert "n&#39;a pas abouti" in client.get("/compte/login/").content.decode()


def test_an_answer_works_once_in_the_browser_that_asked_and_in_no_other(
    desk: Desk, provider: OidcProvider, nurse: User
) -> None:
    linked(nurse, subject=SUBJECT)
    client, other = desk.client(), desk.client()
    there = client.get(START).headers["Location"]
    back = requests.get(there, allow_redirects=False, timeout=10).headers["Location"].removeprefix("http://testserver")
    other.get(back)
    assert not is_in(other)
    client.get(back)
    assert is_in(client)
    client.post("/compte/logout/")
    client.get(back)
    assert not is_in(client)


def test_a_visitors_address_line_changes_nothing_of_what_is_asked(
    desk: Desk, provider: OidcProvider, nurse: User
) -> None:
    linked(nurse, subject=SUBJECT)
    hostile = (
        "process=connect&scope=offline_access&auth_params=acr_values%3Dnone%26prompt%3Dnone&next=https://evil.example"
    )
    client = desk.client()
    answer = go(client, f"{START}?{hostile}")
    assert answer.headers["Location"] == "/"
    assert set(provider.asked["scope"].split()) == {"openid", "scope_all"}
    assert provider.asked["acr_values"] == "eidas1"
    assert "prompt" not in provider.asked


def test_whoever_is_signed_in_cannot_take_another_persons_identity_for_their_own(
    desk: Desk, provider: OidcProvider, nurse: User
) -> None:
    linked(nurse, subject=SUBJECT)
    somebody = desk.client(Role.NURSE, name="Somebody Else")
    go(somebody, f"{START}?process=connect")
    assert LinkedPerson.objects.get().user_id == nurse.pk
    assert "Claire Martin" in somebody.get("/alertes").content.decode()


def test_a_desk_that_shows_its_secret_in_the_header_is_understood(
    desk: Desk, provider: OidcProvider, nurse: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(provider, tmp_path, monkeypatch, basic=True)
    linked(nurse, subject=SUBJECT)
    client = desk.client()
    go(client)
    assert is_in(client)


def test_a_provider_that_the_settings_do_not_name_is_not_there(desk: Desk, provider: OidcProvider) -> None:
    assert desk.client().get("/compte/oidc/another/login/").status_code == 404
    assert desk.client().get("/compte/oidc/another/login/callback/?code=x&state=y").status_code == 404


def test_the_answer_of_a_stranger_is_no_sign_in(desk: Desk, provider: OidcProvider) -> None:
    for query in (
        "",
        "?code=x",
        "?state=y",
        "?code=x&state=y",
        "?error=access_denied",
        f"?code={'x' * 50_000}&state=y",
    ):
        client = desk.client()
        assert client.get(BACK + query).headers["Location"] == "/compte/login/", query[:40]
        assert not is_in(client)
    assert LoginEvent.objects.count() == 0


def test_the_simulated_provider_refuses_what_the_standard_refuses(desk: Desk, provider: OidcProvider) -> None:
    there = urlsplit(desk.client().get(START).headers["Location"])
    asked = {name: values[0] for name, values in parse_qs(there.query).items()}
    address = f"{provider.base}/authorize"
    elsewhere = requests.get(
        address, params={**asked, "redirect_uri": "http://evil.example/"}, allow_redirects=False, timeout=10
    )
    assert elsewhere.status_code == 400
    for left_out in ("code_challenge", "code_challenge_method", "nonce", "scope", "acr_values"):
        some = {name: value for name, value in asked.items() if name != left_out}
        answer = requests.get(address, params=some, allow_redirects=False, timeout=10)
        assert "error=invalid_request" in answer.headers["Location"], left_out
    code = parse_qs(
        urlsplit(requests.get(address, params=asked, allow_redirects=False, timeout=10).headers["Location"]).query
    )
    form = {
        "grant_type": "authorization_code", "code": code["code"][0], "redirect_uri": asked["redirect_uri"],
        "client_id": "veilleur", "client_secret": SECRET, "code_verifier": "not the one",
    }  # fmt: skip
    assert requests.post(f"{provider.base}/token", data=form, timeout=10).status_code == 400
    assert provider.refused[-1] == "verifier"
