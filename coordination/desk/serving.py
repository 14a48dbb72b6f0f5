"""The desk as a running program: its database made ready, its first accounts, its server."""

from collections.abc import Sequence

import uvicorn
from django.contrib.auth.password_validation import validate_password
from django.core.asgi import get_asgi_application
from django.core.exceptions import ValidationError
from django.core.management import call_command

from alerting.alert import Sentence
from coordination.desk.access import Role
from coordination.desk.models import Membership, Team, User
from coordination.errors import CoordinationError

LET_GO_S = 3
"""Seconds that what is being answered has to end when the server is told to stop."""


def upgrade() -> None:
    """Make the desk's own tables, or bring them up to date."""
    call_command("migrate", verbosity=0, interactive=False)


def open_account(email: str, *, name: str, password: str, roles: Sequence[str], team: int) -> None:
    """Open an account with these roles, or give them to the one of that address.

    Raises:
        CoordinationError: the password is too weak, or there is no such team.
    """
    known = Team.objects.filter(pk=team).first()
    if known is None:
        raise CoordinationError(
            Sentence(fr=f"Il n'y a pas d'équipe {team}.", en=f"There is no team {team}."),
            hint=Sentence(fr="La première porte le numéro 1.", en="The first one has the number 1."),
        )
    user = User.objects.filter(email=email.lower()).first()
    if user is None:
        try:
            validate_password(password, User(email=email, name=name))
        except ValidationError as error:
            raise CoordinationError(
                Sentence(fr=f"Mot de passe refusé : {' '.join(error.messages)}", en="That password is too weak."),
                hint=Sentence(
                    fr="12 caractères au moins, peu courants.", en="12 characters at least, not a common one."
                ),
            ) from error
        user = User.objects.create_user(email, name, password)
    for role in roles:
        Membership.objects.get_or_create(user=user, team=known, role=Role(role).value)


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
