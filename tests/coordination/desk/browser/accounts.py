"""`python -m tests.coordination.desk.browser.accounts desk.toml`: the team's people, already signed in.

Each role has somebody who reads French and somebody who reads English ("nurse", "nurse-en"). Run as a process of its
own, since Django is set up once a process. Prints, as JSON, the name of the cookie and what each one's holds.
"""

# Django is set up before what needs it is imported.
# ruff: noqa: PLC0415

import json
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from coordination.cli import main as veilleur_desk

PEOPLE = {
    "nurse": "C. Martin",
    "second": "M. Lefèvre",
    "guarded": "J. Moreau",
    "keyed": "N. Petit",
    "physician": "Dr A. Benali",
    "installer": "P. Roux",
    "admin": "S. Girard",
    "auditor": "L. Faure",
}
PASSWORD = "des mots que personne ne devine"


def address(who: str) -> str:
    return f"{who}@example.org"


def guard(user: Any) -> None:
    """Give somebody a second factor, and what opens the account without it."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)


def key(user: Any) -> int:
    """Give somebody a passkey that never answers: it has a name and a row, which is returned."""
    from allauth.mfa.models import Authenticator

    kept = {"name": "Clé de bureau", "credential": {"clientExtensionResults": {"credProps": {"rk": True}}}}
    return int(Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data=kept).pk)


def open_first(settings: Path) -> None:
    """Open the nurse's account by the real command, which also makes the tables."""
    words = ["account", address("nurse"), "--name", PEOPLE["nurse"], "--role", "nurse", "--config", str(settings)]
    done = CliRunner().invoke(veilleur_desk, words, input=f"{PASSWORD}\n{PASSWORD}\n")
    if done.exit_code:
        raise RuntimeError(done.output)


def main(settings: Path) -> None:
    open_first(settings)
    # Django is set up from here on.
    from django.conf import settings as of_django
    from django.test import Client

    from coordination.desk.models import Membership, User

    # The others sign in with the nurse's password.
    nurse = User.objects.get(email=address("nurse"))
    for who, name in PEOPLE.items():
        role = "nurse" if who in {"second", "guarded", "keyed"} else who
        for language, mark in (("fr", ""), ("en", "-en")):
            if who + mark != "nurse":
                one = User.objects.create_user(address(who + mark), f"{name}{mark and ' (English)'}", language=language)
                User.objects.filter(pk=one.pk).update(password=nurse.password)
                Membership.objects.create(user=one, team_id=1, role=role)
    guard(User.objects.get(email=address("guarded")))
    passkey = key(User.objects.get(email=address("keyed")))
    said = {}
    for user in User.objects.all():
        client = Client()
        client.force_login(user)
        said[user.email.partition("@")[0]] = client.cookies[of_django.SESSION_COOKIE_NAME].value
    print(json.dumps({"cookie": of_django.SESSION_COOKIE_NAME, "sessions": said, "passkey": passkey}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
