"""What administrators do with accounts, what they may not, and what is entered of it."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.db import connections
from django.test import Client

from coordination.desk import second_factor
from coordination.desk.access import Role
from coordination.desk.account_acts import LINK_LASTS
from coordination.desk.models import LinkedPerson, Membership, PasswordLink, User
from coordination.desk.passwords import Argon2id
from coordination.desk_settings import OidcSettings
from exchange.audit_chain import Act
from tests.coordination.desk.kit import PASSWORD, Desk
from tests.coordination.desk.test_sign_in import HOSTILE, acts, hashed, quick, tries  # noqa: F401 - a fixture

NEW = {"email": "nouvelle@example.org", "name": "N. Ouvelle", "role": "nurse"}
STRONG = "quatre grands chiens"


@pytest.fixture
def admin(desk: Desk) -> Client:
    return desk.client(Role.ADMIN, name="Ada Ministre")


def link_in(page: str) -> str:
    found = re.search(r'value="http://testserver(/compte/lien/[^"]+)"', page)
    assert found is not None
    return found[1]


def roles(user: User, team: int = 1) -> set[str]:
    return set(Membership.objects.filter(user=user, team_id=team).values_list("role", flat=True))


def test_somebody_new_gets_an_account_a_link_and_a_password_of_their_own(desk: Desk, admin: Client) -> None:
    page = admin.post("/equipe/ouvrir", NEW, follow=True).content.decode()
    user = User.objects.get(email=NEW["email"])
    assert roles(user) == {"nurse"}
    link = link_in(page)
    newcomer = desk.client()
    assert NEW["email"] in newcomer.get(link).content.decode()
    assert newcomer.post(link, {"password1": STRONG, "password2": STRONG}).status_code == 302
    assert tries(newcomer, STRONG, NEW["email"]).status_code == 302
    assert newcomer.get("/alertes").status_code == 200
    made, changed = acts(desk, Act.ACCOUNT_OPENED), acts(desk, Act.ACCOUNT_CHANGED)
    assert [(one.by, one.ref) for one in made] == [("Ada Ministre", f"account:{user.pk}")]
    assert [one.detail["what"] for one in changed] == ["password_link", "password"]
    assert changed[1].by == "N. Ouvelle"
    (given,) = acts(desk, Act.ROLE_CHANGED)
    assert given.detail == {"role": "nurse", "given": "yes", "team": 1}


def test_a_link_works_once_for_a_day_and_only_the_newest(desk: Desk, admin: Client) -> None:
    user = desk.user(Role.NURSE, name="Claire Martin")
    first = link_in(admin.post(f"/equipe/{user.pk}/lien").content.decode())
    second = link_in(admin.post(f"/equipe/{user.pk}/lien").content.decode())
    nobody = desk.client()
    assert nobody.get(first).status_code == 404
    assert nobody.get(second).status_code == 200
    desk.clock.now += LINK_LASTS
    assert nobody.get(second).status_code == 404
    assert nobody.post(second, {"password1": STRONG, "password2": STRONG}).status_code == 404
    third = link_in(admin.post(f"/equipe/{user.pk}/lien").content.decode())
    assert nobody.post(third, {"password1": "court", "password2": "court"}).status_code == 422
    assert nobody.post(third, {"password1": STRONG, "password2": STRONG + "s"}).status_code == 422
    assert nobody.post(third, {"password1": STRONG, "password2": STRONG}).status_code == 302
    assert nobody.post(third, {"password1": PASSWORD * 2, "password2": PASSWORD * 2}).status_code == 404
    assert PasswordLink.objects.count() == 0


def test_the_secret_of_a_link_is_nowhere_in_the_database(desk: Desk, admin: Client) -> None:
    user = desk.user(Role.NURSE, name="Claire Martin")
    secret = link_in(admin.post(f"/equipe/{user.pk}/lien").content.decode()).rpartition("/")[2]
    row = PasswordLink.objects.get()
    assert secret not in repr(row.__dict__)
    assert secret not in repr(acts(desk, Act.ACCOUNT_CHANGED))


def test_a_new_password_by_a_link_ends_every_session_that_the_account_had(desk: Desk, admin: Client) -> None:
    user = desk.user(Role.NURSE, name="Claire Martin")
    User.objects.filter(pk=user.pk).update(password=hashed())
    thief = desk.client()
    assert tries(thief).status_code == 302
    link = link_in(admin.post(f"/equipe/{user.pk}/lien").content.decode())
    desk.client().post(link, {"password1": STRONG, "password2": STRONG})
    assert thief.get("/alertes").status_code == 302


@pytest.mark.usefixtures("quick")
def test_a_closed_account_is_out_at_once_and_comes_in_again_when_it_is_opened(desk: Desk, admin: Client) -> None:
    user = desk.user(Role.NURSE, name="Claire Martin")
    User.objects.filter(pk=user.pk).update(password=hashed())
    nurse = desk.client()
    assert tries(nurse).status_code == 302
    admin.post(f"/equipe/{user.pk}/fermer")
    assert nurse.get("/alertes").status_code == 302
    assert tries(nurse).status_code == 200
    admin.post(f"/equipe/{user.pk}/rouvrir")
    assert tries(nurse).status_code == 302
    assert [one.by for one in acts(desk, Act.ACCOUNT_CLOSED)] == ["Ada Ministre"]
    assert [one.detail["what"] for one in acts(desk, Act.ACCOUNT_CHANGED)] == ["reopened"]


def test_a_role_that_is_taken_closes_its_pages_at_the_next_request(desk: Desk, admin: Client) -> None:
    nurse, user = desk.client(Role.NURSE, name="Claire Martin"), desk.user(Role.NURSE, name="Claire Martin")
    assert nurse.get("/alertes").status_code == 200
    admin.post(f"/equipe/{user.pk}/role", {"role": "nurse", "given": "no"})
    assert nurse.get("/alertes").status_code == 403


def test_the_last_administrator_can_neither_leave_nor_be_closed(desk: Desk, admin: Client) -> None:
    own = User.objects.get(name="Ada Ministre")
    page = admin.post(f"/equipe/{own.pk}/role", {"role": "admin", "given": "no"}, follow=True).content.decode()
    assert "dernier administrateur" in page
    page = admin.post(f"/equipe/{own.pk}/fermer", follow=True).content.decode()
    assert "dernier administrateur" in page
    assert (roles(own), User.objects.get(pk=own.pk).is_active) == ({"admin"}, True)
    other = desk.user(Role.ADMIN, name="Ben Jamin")
    User.objects.filter(pk=other.pk).update(is_active=False)
    admin.post(f"/equipe/{own.pk}/role", {"role": "admin", "given": "no"})
    assert roles(own) == {"admin"}, "a closed account administers nothing"
    User.objects.filter(pk=other.pk).update(is_active=True)
    admin.post(f"/equipe/{own.pk}/role", {"role": "admin", "given": "no"})
    assert roles(own) == set()


def test_of_two_administrators_who_leave_at_once_one_stays(desk: Desk) -> None:
    people = [desk.user(Role.ADMIN, name=name) for name in ("Ada Ministre", "Ben Jamin")]
    clients = [desk.client(Role.ADMIN, name=user.name) for user in people]

    def leave(number: int) -> None:
        try:
            clients[number].post(f"/equipe/{people[number].pk}/role", {"role": "admin", "given": "no"})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(leave, range(2)))
    assert Membership.objects.filter(role="admin").count() == 1


def test_nobody_gives_themselves_a_role(desk: Desk, admin: Client) -> None:
    own = User.objects.get(name="Ada Ministre")
    page = admin.post(f"/equipe/{own.pk}/role", {"role": "nurse", "given": "yes"}, follow=True).content.decode()
    assert "On ne se donne pas un rôle à soi-même" in page
    page = admin.post("/equipe/ouvrir", {**NEW, "email": own.email}).content.decode()
    assert "On ne se donne pas un rôle à soi-même" in page
    assert roles(own) == {"admin"}


def test_an_administrator_of_one_team_cannot_become_a_nurse_of_another(desk: Desk) -> None:
    admin = desk.client(Role.ADMIN, name="Ada Ministre", team=2)
    nurse = desk.user(Role.NURSE, name="Claire Martin")
    page = admin.post("/equipe/ouvrir", {**NEW, "email": nurse.email}, follow=True).content.decode()
    assert roles(nurse, 2) == {"nurse"}
    assert "/compte/lien/" not in page
    for act in ("lien", "fermer", "second"):
        page = admin.post(f"/equipe/{nurse.pk}/{act}", follow=True).content.decode()
        assert "une équipe que vous n&#39;administrez pas" in page, act
    assert PasswordLink.objects.count() == 0
    assert User.objects.get(pk=nurse.pk).is_active


def test_whoever_is_in_two_teams_looks_at_one_and_has_there_the_roles_of_there(desk: Desk) -> None:
    user = desk.user(Role.NURSE, name="Claire Martin")
    desk.user(Role.AUDITOR, name="Claire Martin", team=2)
    client = desk.client(Role.NURSE, name="Claire Martin")
    assert client.get("/alertes").status_code == 403, "Team 2 is the first by its name"
    assert "Team 2" in client.get("/compte").content.decode()
    client.post("/equipe/choisir", {"equipe": "1"})
    assert client.get("/alertes").status_code == 200
    client.post("/equipe/choisir", {"equipe": "2"})
    assert client.get("/alertes").status_code == 403
    client.post("/equipe/choisir", {"equipe": "77"})
    client.post("/equipe/choisir", {"equipe": "1"})
    assert client.get("/alertes").status_code == 200
    Membership.objects.filter(user=user, team_id=1).delete()
    assert client.get("/alertes").status_code == 403


def test_an_identity_is_one_persons_and_an_administrator_says_whose(
    desk: Desk, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = OidcSettings(id="psc", name="Pro Santé Connect", server="https://psc.example", client_id="x", secret_file="x")
    monkeypatch.setattr(settings, "DESK", replace(settings.DESK, oidc=(one,)))
    claire, other = desk.user(Role.NURSE, name="Claire Martin"), desk.user(Role.NURSE, name="Somebody Else")
    form = {"provider": "psc", "number": "899700218896", "subject": ""}
    admin.post(f"/equipe/{claire.pk}/identite", form)
    assert LinkedPerson.objects.get().number == "899700218896"
    page = admin.post(f"/equipe/{other.pk}/identite", form, follow=True).content.decode()
    assert "celle d&#39;un autre compte" in page
    admin.post(f"/equipe/{other.pk}/identite", {**form, "provider": "another"})
    assert LinkedPerson.objects.get().user_id == claire.pk
    own = User.objects.get(name="Ada Ministre")
    admin.post(f"/equipe/{own.pk}/identite", {**form, "number": "1"})
    admin.post(f"/equipe/{claire.pk}/identite", {**form, "number": ""})
    assert LinkedPerson.objects.count() == 0
    assert [one.detail["what"] for one in acts(desk, Act.ACCOUNT_CHANGED)] == ["identity_linked", "identity_unlinked"]


def test_a_lost_second_factor_is_taken_away_by_somebody_else_and_that_is_an_act(desk: Desk, admin: Client) -> None:
    user = desk.user(Role.NURSE, name="Claire Martin")
    TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    admin.post(f"/equipe/{user.pk}/second")
    assert Authenticator.objects.count() == 0
    added, removed = acts(desk, Act.ACCOUNT_CHANGED)
    assert (added.detail["what"], removed.detail["what"], removed.by) == ("totp_added", "totp_removed", "Ada Ministre")
    assert not second_factor.factors_of(user).exists()


def test_ones_name_and_language_are_ones_own_to_change_and_it_is_an_act(desk: Desk) -> None:
    nurse = desk.client(Role.NURSE, name="Claire Martin")
    nurse.post("/compte/modifier", {"name": "  C.  Martin ", "language": "en"})
    user = User.objects.get(name="C. Martin")
    assert (user.language, user.shortcuts) == ("en", False)
    page = nurse.get("/compte").content.decode()
    assert "My account" in page
    assert "data-shortcuts" not in page
    (entry,) = acts(desk, Act.ACCOUNT_CHANGED)
    assert (entry.by, entry.detail) == ("Claire Martin", {"what": "name language shortcuts", "name": "C. Martin"})


def test_whatever_is_typed_for_a_new_password_is_an_answer_and_never_a_fault(
    desk: Desk, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Argon2id, "encode", lambda *_: "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA")
    user = desk.user(Role.NURSE, name="Claire Martin")
    for value in HOSTILE:
        link = link_in(admin.post(f"/equipe/{user.pk}/lien").content.decode())
        for form in ({"password1": value, "password2": value}, {"password1": value, "password2": STRONG}):
            assert desk.client().post(link, form).status_code in {302, 404, 422}, value[:40]
    for value in HOSTILE:
        answer = desk.client().get(f"/compte/lien/{quote(value[:500], safe='')}")
        assert answer.status_code == 404, value[:40]
