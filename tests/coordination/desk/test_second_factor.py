"""The second factor: who needs one, how it is set up, what a code is worth and how often it may be guessed."""

import re
import time
from dataclasses import replace

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from coordination import sealed_secret
from coordination.desk import accounts, sign_in
from coordination.desk.access import Role
from coordination.desk.models import LoginEvent, User
from coordination.desk.sign_in import MOST_OF_AN_ACCOUNT, Outcome, Way
from coordination.team_database import connect_to_read
from exchange.audit_chain import Act
from tests.coordination.desk.kit import PASSWORD, Desk
from tests.coordination.desk.test_sign_in import HOSTILE, acts, hashed, quick, tries  # noqa: F401 - a fixture

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
AUTHENTICATE = "/compte/2fa/authenticate/"


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DESK", replace(settings.DESK, second_factor="required"))


@pytest.fixture
def nurse(desk: Desk) -> User:
    user = desk.user(Role.NURSE, name="Claire Martin")
    User.objects.filter(pk=user.pk).update(password=hashed())
    return User.objects.get(pk=user.pk)


def code(secret: str = SECRET, step: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step))


@pytest.mark.usefixtures("quick")
def test_whoever_acts_on_patients_sets_up_a_second_factor_before_anything_else(
    desk: Desk, nurse: User, required: None
) -> None:
    client = desk.client()
    tries(client)
    for address in ("/alertes", "/patients", "/alertes/0/prendre"):
        answer = client.get(address) if "prendre" not in address else client.post(address)
        assert answer.headers["Location"] == "/compte#second", address
    page = client.get("/compte").content.decode()
    assert "Votre rôle demande un second facteur" in page
    form = client.get("/compte/2fa/totp/activate/").content.decode()
    assert "<svg" in form
    secret = re.search(r'class="mono secret">([A-Z2-7]+)<', form)
    assert secret is not None
    answer = client.post("/compte/2fa/totp/activate/", {"code": code(secret[1])})
    assert answer.headers["Location"] == "/compte/2fa/recovery-codes/"
    codes = client.get("/compte/2fa/recovery-codes/").content.decode()
    assert len(re.findall(r'<li class="mono">\d{8}</li>', codes)) == 10
    assert client.get("/alertes").status_code == 200
    assert {entry.detail["what"] for entry in acts(desk, Act.ACCOUNT_CHANGED)} == {"totp_added", "recovery_codes_added"}


@pytest.mark.parametrize("role", [Role.INSTALLER, Role.AUDITOR])
def test_whoever_acts_on_no_patient_is_offered_one(desk: Desk, required: None, role: Role) -> None:
    assert desk.client(role).get("/compte").status_code == 200
    assert "obligatoire" not in desk.client(role).get("/compte").content.decode().lower()


def test_an_installer_is_not_asked(desk: Desk, required: None) -> None:
    assert desk.client(Role.INSTALLER).get("/boitiers").status_code == 200


@pytest.mark.usefixtures("quick")
def test_the_password_alone_opens_nothing_once_there_is_a_second_factor(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    client = desk.client()
    assert tries(client).headers["Location"] == AUTHENTICATE
    assert client.get("/alertes").headers["Location"].startswith("/compte/login/")
    assert acts(desk, Act.SIGNED_IN) == []
    assert client.post(AUTHENTICATE, {"code": code()}).status_code == 302
    assert client.get("/alertes").status_code == 200
    (entry,) = acts(desk, Act.SIGNED_IN)
    assert entry.detail == {"way": "second"}


@pytest.mark.usefixtures("quick")
def test_a_code_works_once_and_a_restart_does_not_forget_that(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    said, client, thief = code(), desk.client(), desk.client()
    tries(client)
    client.post(AUTHENTICATE, {"code": said})
    assert client.get("/alertes").status_code == 200
    tries(thief)
    thief.post(AUTHENTICATE, {"code": said})
    assert thief.get("/alertes").status_code == 302
    database = connect_to_read(desk.boxes.database)
    kept = database.execute("SELECT count(*) FROM desk_remembered WHERE cache_key LIKE '%totp.used%'").fetchone()
    database.close()
    assert kept[0] == 1
    assert type(cache).__name__ == "ConnectionProxy"


@pytest.mark.usefixtures("quick")
def test_codes_cannot_be_guessed_five_wrong_ones_and_the_right_one_is_refused(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    client = desk.client()
    tries(client)
    for number in range(MOST_OF_AN_ACCOUNT):
        page = client.post(AUTHENTICATE, {"code": f"{number:06d}"}).content.decode()
        assert "ne convient pas" in page
    assert "Trop d&#39;essais" in client.post(AUTHENTICATE, {"code": code()}).content.decode()
    # Another browser with the right password has no more tries than this one.
    other = desk.client()
    tries(other)
    assert "Trop d&#39;essais" in other.post(AUTHENTICATE, {"code": code()}).content.decode()
    assert LoginEvent.objects.filter(way=Way.SECOND, outcome=Outcome.REFUSED).count() == MOST_OF_AN_ACCOUNT
    desk.clock.now += sign_in.WINDOW
    assert client.post(AUTHENTICATE, {"code": code()}).status_code == 302


@pytest.mark.usefixtures("quick")
def test_a_recovery_code_works_once_in_place_of_the_telephone(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    paper = RecoveryCodes.activate(nurse).get_unused_codes()[0]
    for works in (True, False):
        client = desk.client()
        tries(client)
        client.post(AUTHENTICATE, {"code": paper})
        assert (client.get("/alertes").status_code == 200) is works


@pytest.mark.usefixtures("quick")
def test_the_last_second_factor_of_whoever_needs_one_stays(desk: Desk, nurse: User, required: None) -> None:
    TOTP.activate(nurse, SECRET)
    client = desk.client()
    tries(client)
    client.post(AUTHENTICATE, {"code": code()})
    page = client.get("/compte/2fa/totp/deactivate/").content.decode()
    assert "en ajouter un autre" in page
    client.post("/compte/2fa/totp/deactivate/")
    assert Authenticator.objects.filter(type="totp").exists()


@pytest.mark.usefixtures("quick")
def test_what_protects_an_account_is_changed_after_showing_once_more_who_one_is(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    client = desk.client()
    tries(client)
    client.post(AUTHENTICATE, {"code": code()})
    assert client.get("/compte/2fa/webauthn/add/").status_code == 200, "just signed in"
    aged(client)
    for address in ("totp/deactivate/", "webauthn/add/", "recovery-codes/generate/"):
        answer = client.get(f"/compte/2fa/{address}")
        assert answer.headers["Location"].startswith("/compte/reauthenticate/"), address
    assert client.post("/compte/reauthenticate/", {"password": "wrong"}).status_code == 200
    client.post("/compte/reauthenticate/", {"password": PASSWORD})
    assert client.get("/compte/2fa/webauthn/add/").status_code == 200


def test_the_secrets_of_second_factors_are_not_readable_in_the_database(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    RecoveryCodes.activate(nurse)
    rows = repr(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in rows
    assert not re.search(r"[0-9a-f]{80}", rows)
    assert Authenticator.objects.get(type="totp").wrap().validate_code(code())


def test_a_sealed_secret_opens_with_its_key_for_its_purpose_and_untouched_only() -> None:
    sealed = sealed_secret.seal("text", secret="a" * 50, purpose="one")
    assert sealed_secret.unseal(sealed, secret="a" * 50, purpose="one") == "text"
    assert sealed != sealed_secret.seal("text", secret="a" * 50, purpose="one")
    for secret, purpose, changed in (
        ("b" * 50, "one", sealed),
        ("a" * 50, "two", sealed),
        ("a" * 50, "one", ("A" if sealed[0] != "A" else "B") + sealed[1:]),
        ("a" * 50, "one", sealed[:8]),
        ("a" * 50, "one", "not base64 !"),
    ):
        with pytest.raises(sealed_secret.SealedSecretError):
            sealed_secret.unseal(changed, secret=secret, purpose=purpose)


@pytest.mark.parametrize(
    "value", ["{}", '{"id": 5}', '{"response": []}', '{"response": {"userHandle": 1}}', "[]", "null"]
)
@pytest.mark.usefixtures("quick")
def test_what_no_browser_says_of_a_passkey_is_a_wrong_key_and_no_fault(desk: Desk, nurse: User, value: str) -> None:
    TOTP.activate(nurse, SECRET)
    client = desk.client()
    client.get("/compte/2fa/webauthn/login/", headers={"Accept": "application/json"})
    assert client.post("/compte/2fa/webauthn/login/", {"credential": value}).status_code == 302
    tries(client)
    assert client.post(AUTHENTICATE, {"credential": value}).status_code == 200
    assert client.get("/alertes").status_code == 302
    signed_in: Client = desk.client(Role.NURSE, name="Somebody Else")
    assert signed_in.post("/compte/2fa/webauthn/add/", {"credential": value}, follow=True).status_code == 200


def aged(client: Client) -> None:
    """Let it be five minutes since somebody showed who they are."""
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [{**one, "at": one["at"] - accounts.FRESH_S} for one in records]
    session.save()


@pytest.mark.usefixtures("quick")
def test_an_administrator_shows_once_more_who_they_are_before_they_change_accounts(
    desk: Desk, nurse: User, required: None
) -> None:
    admin, other = desk.client(), desk.user(Role.INSTALLER, name="Karim Benali")
    desk.user(Role.ADMIN, name="Claire Martin")
    TOTP.activate(nurse, SECRET)
    tries(admin)
    admin.post(AUTHENTICATE, {"code": code()})
    assert "/compte/lien/" in admin.post(f"/equipe/{other.pk}/lien").content.decode(), "just signed in"
    aged(admin)
    answer = admin.post(f"/equipe/{other.pk}/lien")
    assert answer.headers["Location"].startswith("/compte/reauthenticate/")
    assert "/compte/lien/" not in admin.post(answer.headers["Location"], {"password": "wrong"}).content.decode()
    assert "/compte/lien/" in admin.post(answer.headers["Location"], {"password": PASSWORD}).content.decode()


@pytest.mark.usefixtures("quick")
def test_an_act_that_waited_for_a_password_is_refused_when_its_role_went_meanwhile(
    desk: Desk, nurse: User, required: None
) -> None:
    admin, other = desk.client(), desk.user(Role.INSTALLER, name="Karim Benali")
    desk.user(Role.ADMIN, name="Claire Martin")
    TOTP.activate(nurse, SECRET)
    tries(admin)
    admin.post(AUTHENTICATE, {"code": code()})
    aged(admin)
    answer = admin.post(f"/equipe/{other.pk}/fermer")
    nurse.memberships.filter(role=Role.ADMIN.value).delete()
    assert admin.post(answer.headers["Location"], {"password": PASSWORD}).status_code == 403
    assert User.objects.get(pk=other.pk).is_active


@pytest.mark.usefixtures("quick")
def test_whatever_is_typed_for_a_code_is_an_answer_and_never_a_fault(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    client = desk.client()
    tries(client)
    for value in HOSTILE:
        LoginEvent.objects.all().delete()
        for field in ("code", "credential"):
            answer = client.post(AUTHENTICATE, {field: value})
            assert answer.status_code == 200, (field, value[:40])
            assert "<script>alert" not in answer.content.decode()
    assert client.get("/alertes").status_code == 302


def test_every_page_about_accounts_reads_in_both_languages(desk: Desk, nurse: User) -> None:
    TOTP.activate(nurse, SECRET)
    RecoveryCodes.activate(nurse)
    desk.user(Role.ADMIN, name="Claire Martin")
    other = desk.user(Role.PHYSICIAN, name="Marc Lefèvre")
    client = desk.client(Role.NURSE, name="Claire Martin")
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session["account_authentication_methods_user"] = str(nurse.pk)
    session.save()
    pages = (
        "/compte", "/equipe", f"/equipe/{other.pk}", f"/equipe/{nurse.pk}", "/compte/password/change/",
        "/compte/reauthenticate/", "/compte/2fa/reauthenticate/", "/compte/2fa/totp/deactivate/",
        "/compte/2fa/recovery-codes/", "/compte/2fa/recovery-codes/generate/", "/compte/2fa/webauthn/add/",
        "/compte/logout/",
    )  # fmt: skip
    for page in pages:
        read = {}
        for language in ("fr", "en"):
            User.objects.filter(pk=nurse.pk).update(language=language)
            answer = client.get(page)
            assert answer.status_code == 200, page
            read[language] = answer.content.decode()
            assert f'<html lang="{language}">' in read[language], page
        heading = {language: re.search(r"<h1>(.*?)</h1>", text) for language, text in read.items()}
        assert heading["fr"] is not None
        assert heading["en"] is not None
        assert heading["fr"][1] != heading["en"][1] or page == f"/equipe/{other.pk}" or page == f"/equipe/{nurse.pk}", (
            page
        )
