"""The desk as a running program: its database made ready, its first accounts, its server."""

from collections.abc import Sequence

import uvicorn
from django.contrib.auth.hashers import make_password
from django.core.asgi import get_asgi_application
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.validators import validate_email

from alerting.alert import Sentence
from coordination.desk import account_acts, sign_in
from coordination.desk.access import Role
from coordination.desk.account_acts import Acting
from coordination.desk.models import Team, User
from coordination.desk.passwords import LONGEST
from coordination.desk.plain_text import is_plain
from coordination.desk.shared_database import acting
from coordination.errors import CoordinationError

LET_GO_S = 3
"""Seconds that what is being answered has to end when the server is told to stop."""


def upgrade() -> None:
    """Make the desk's own tables, or bring them up to date."""
    call_command("migrate", verbosity=0, interactive=False)


def open_account(email: str, *, name: str, password: str, roles: Sequence[str], team: int, by: str) -> None:
    """Open an account with these roles, or give them to the one of that address; each is an act of `by`.

    Raises:
        CoordinationError: the password is too weak, the address or name is none, or there is no such team.
    """
    known = Team.objects.filter(pk=team).first()
    if known is None:
        raise CoordinationError(
            Sentence(fr=f"Il n'y a pas d'équipe {team}.", en=f"There is no team {team}."),
            hint=Sentence(
                fr="La première porte le numéro 1 ; « veilleur-desk createteam » en fait une autre.",
                en="The first one has the number 1; 'veilleur-desk createteam' makes another one.",
            ),
        )
    hashed = None
    if not User.objects.filter(email=email.lower()).exists():
        _check(email, name, password)
        hashed = make_password(password)
    with acting() as database:
        now = Acting(database=database, team=known, user=None, name=by, at=sign_in.now())
        for role in roles:
            user = account_acts.open_account(now, email=email, name=name, role=Role(role))
            if hashed is not None:
                User.objects.filter(pk=user.pk).update(password=hashed)


def _check(email: str, name: str, password: str) -> None:
    try:
        validate_email(email)
    except ValidationError as error:
        raise CoordinationError(
            Sentence(fr=f"« {email} » n'est pas une adresse.", en=f"'{email}' is no address."),
            hint=Sentence(fr="Comme c.martin@example.org.", en="Like c.martin@example.org."),
        ) from error
    if not is_plain(name) or not 0 < len(name.strip()) <= 60:
        raise CoordinationError(
            Sentence(fr="Ce nom ne convient pas.", en="This name will not do."),
            hint=Sentence(fr="De 1 à 60 caractères visibles.", en="1 to 60 characters that can be seen."),
        )
    faults = account_acts.weak(password, User(email=email, name=name)) if len(password) <= LONGEST else ["> 128"]
    if faults:
        raise CoordinationError(
            Sentence(fr=f"Mot de passe refusé : {' '.join(faults)}", en="That password is too weak."),
            hint=Sentence(fr="12 caractères au moins, peu courants.", en="12 characters at least, not a common one."),
        )


def make_team(name: str, *, by: str) -> int:
    """Make a team and return its number; it is an act of `by`.

    Raises:
        AccountError: the name will not do, or is taken.
    """
    with acting() as database:
        now = Acting(database=database, team=Team(), user=None, name=by, at=sign_in.now())
        return int(account_acts.make_team(now, name).pk)


def serve_until_told(host: str, port: int) -> None:
    """Serve until SIGTERM."""
    upgrade()
    config = uvicorn.Config(
        get_asgi_application(),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        lifespan="off",
        # Pages keep a line open for as long as they are: they are let go when the server stops.
        timeout_graceful_shutdown=LET_GO_S,
    )
    uvicorn.Server(config).run()
