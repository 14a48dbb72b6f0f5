"""The commands that make teams and first accounts, as processes; and what the settings say of signing in."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from coordination.desk.access import Role
from coordination.desk.models import Membership, Team, User
from coordination.desk.serving import make_team, open_account
from coordination.errors import CoordinationError, SettingsError
from coordination.settings import read_settings
from exchange.audit_chain import Act
from simulators.processes import command
from tests.coordination.desk.kit import PASSWORD, Desk
from tests.coordination.desk.test_sign_in import acts

PSC = """
[desk]
cookie_key = "desk.key"
{more}
[[desk.oidc]]
id = "psc"
name = "Pro Santé Connect"
server = "https://auth.example.org/realms/esante"
client_id = "veilleur"
secret_file = "keys/psc.key"
"""


def run(desk: Desk, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    path = desk.boxes.write_settings()
    connections["default"].close()
    return subprocess.run(
        [command("veilleur-desk"), words[0], "--config", str(path), *words[1:]],
        input=said, capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip


@pytest.mark.process
def test_a_team_and_its_first_administrator_are_made_at_the_keyboard_and_that_is_in_the_record(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team of the boxes
    made = run(desk, "createteam", "Coordination Nord")
    assert (made.returncode, made.stderr) == (0, ""), made.stderr
    number = Team.objects.get(name="Coordination Nord").pk
    assert made.stdout == f"Coordination Nord: {number}\n"
    words = ("account", "ada@example.org", "--name", "Ada Ministre", "--role", "admin", "--team", str(number))
    done = run(desk, *words, said=f"{PASSWORD}\n{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    user = User.objects.get(email="ada@example.org")
    assert user.password.startswith("argon2$argon2id$")
    assert Membership.objects.filter(user=user, team_id=number, role=Role.ADMIN.value).exists()
    assert [entry.ref for entry in acts(desk, Act.TEAM_MADE)] == [f"team:{number}"]
    assert [entry.ref for entry in acts(desk, Act.ACCOUNT_OPENED)] == [f"account:{user.pk}"]
    assert acts(desk, Act.ROLE_CHANGED)[0].by not in {"", "team"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "court"}, "trop court"),
        ({"password": "x" * 129}, "Mot de passe refusé"),
        ({"email": "no address"}, "n'est pas une adresse"),
        ({"name": "Ada\u202e"}, "nom ne convient pas"),
        ({"team": 77}, "pas d'équipe 77"),
    ],
)
def test_what_will_not_do_at_the_keyboard_opens_no_account_and_says_why(
    desk: Desk, wrong: dict[str, object], said: str
) -> None:
    desk.database  # noqa: B018 - makes the team of the boxes
    right = {
        "email": "ada@example.org",
        "name": "Ada",
        "password": PASSWORD,
        "roles": ["admin"],
        "team": 1,
        "by": "root",
    }
    named: dict[str, Any] = {**right, **wrong}
    with pytest.raises(CoordinationError) as caught:
        open_account(named.pop("email"), **named)
    assert said in caught.value.why.fr
    assert User.objects.count() == 0


def test_a_team_has_a_name_of_its_own(desk: Desk) -> None:
    desk.database  # noqa: B018 - makes the team of the boxes
    number = make_team("  Coordination   Nord ", by="root")
    assert Team.objects.get(pk=number).name == "Coordination Nord"
    for name in ("Coordination Nord", "", "x" * 61, "a\u202eb"):
        with pytest.raises(CoordinationError):
            make_team(name, by="root")


def test_the_settings_name_providers_and_say_whether_a_second_factor_is_required(desk: Desk) -> None:
    path = desk.boxes.write_settings()
    plain = read_settings(path).desk
    assert (plain.second_factor, plain.oidc) == ("required", ())
    path.write_text(path.read_text() + PSC.format(more='second_factor = "offered"'))
    wanted = read_settings(path).desk
    assert wanted.second_factor == "offered"
    (one,) = wanted.oidc
    assert (one.scopes, one.acr_values) == (("openid", "scope_all"), "eidas1")
    assert Path(one.secret_file) == path.parent / "keys" / "psc.key"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("https://auth", "http://auth", "desk.oidc"),
        ('id = "psc"', 'id = "PSC/../x"', "desk.oidc"),
        ('secret_file = "keys/psc.key"', "", "desk.oidc"),
        ('client_id = "veilleur"', 'client_id = "veilleur"\nsecrt = "x"', "desk.oidc"),
        ('cookie_key = "desk.key"', 'second_factor = "never"', "desk.second_factor"),
    ],
)
def test_a_provider_without_tls_or_with_unknown_keys_is_refused(desk: Desk, old: str, new: str, key: str) -> None:
    path = desk.boxes.write_settings()
    text = PSC.format(more="")
    assert old in text
    path.write_text(path.read_text() + text.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert any(fault.en.startswith(f"{key}:") for fault in caught.value.faults)
