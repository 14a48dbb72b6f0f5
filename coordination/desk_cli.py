"""`veilleur-desk serve, jobs, migrate, createteam, account`: the desk's pages, from the command line.

The desk is an extra: what it needs is imported when a command of it runs, and its absence is told in a sentence.
"""

import signal
import threading
from contextlib import nullcontext
from pathlib import Path

import click

from alerting.alert import Sentence
from coordination.audit_beside import account as keyboard
from coordination.config_option import config_option
from coordination.errors import CoordinationError
from coordination.place import shown
from coordination.replay_worker import beside, work
from coordination.self_report_cli import questionnaires
from coordination.settings import Settings, read_settings
from devices.clock import Clock, SystemClock


def add_commands(group: click.Group) -> None:
    """Add these commands to a group."""
    for command in (serve, jobs, migrate, createteam, account, retention, new_identity_key, questionnaires):
        group.add_command(command)


def begin(settings: Settings, clock: Clock) -> None:
    """Make this process a desk, on the team's database.

    Raises:
        CoordinationError: the desk's libraries are not installed.
        DatabaseUnusableError, DatabaseBusyError: see `team_database.connect`.
        IdentityError: the secret cannot be read or written.
    """
    from coordination.team_database import connect

    try:
        from coordination.desk.site import DeskSite, configure
    except ImportError as error:
        raise CoordinationError(
            Sentence(
                fr=f"Les pages de l'équipe ne sont pas installées ici ({error.name} manque).",
                en=f"The team's pages are not installed here ({error.name} is missing).",
            ),
            hint=Sentence(fr="pip install 'veilleur[desk]'", en="pip install 'veilleur[desk]'"),
        ) from error
    connect(settings.database).close()
    desk = settings.desk
    configure(
        DeskSite(
            database=settings.database,
            secret=_secret(Path(desk.cookie_key)),
            hosts=desk.hosts,
            https=desk.https,
            clock=clock,
            identity_key=Path(desk.identity_key),
            settings_file=settings.path,
            exports=Path(desk.exports),
            reading_hours=Sentence(fr=desk.reading_hours_fr, en=desk.reading_hours_en),
            second_factor=desk.second_factor,
            oidc=desk.oidc,
            address=desk.address,
            relays=bool(desk.relay),
        )
    )


def _secret(path: Path) -> str:
    import secrets

    from exchange.key_file import read_private, write_new

    if not path.exists():
        write_new(path, secrets.token_urlsafe(64).encode())
    return read_private(path).decode()


@click.command()
@config_option
@click.option("--port", type=click.IntRange(1, 65535), help="Autre port que desk.port / another port.")
@click.option(
    "--jobs/--no-jobs", "with_jobs", default=True, help="Rejouer ici aussi les projets / replay drafts here too."
)
def serve(*, config: Path, port: int | None, with_jobs: bool) -> None:
    """Servir les pages de l'équipe jusqu'à SIGTERM. / Serve the team's pages until SIGTERM."""
    settings = read_settings(config)
    begin(settings, SystemClock())
    from coordination.desk.serving import serve_until_told, upgrade

    upgrade()
    with beside(settings.database) if with_jobs else nullcontext():
        serve_until_told(settings.desk.listen, settings.desk.port if port is None else port)


@click.command()
@config_option
def jobs(*, config: Path) -> None:
    """Rejouer les projets de protocole qui attendent, jusqu'à SIGTERM. / Replay waiting drafts until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work(read_settings(config).database, stop)


@click.command()
@config_option
def migrate(*, config: Path) -> None:
    """Mettre la base à niveau pour les pages. / Upgrade the database for the pages."""
    settings = read_settings(config)
    begin(settings, SystemClock())
    from coordination.desk.serving import upgrade

    upgrade()
    click.echo(f"{shown(settings.database)}: à niveau / up to date")


@click.command()
@config_option
@click.argument("name")
def createteam(*, config: Path, name: str) -> None:
    """Créer une équipe de plus dans cette base. / Make one more team in this database."""
    settings = read_settings(config)
    begin(settings, SystemClock())
    from coordination.desk.serving import make_team, upgrade

    upgrade()
    click.echo(f"{name}: {make_team(name, by=keyboard())}")


@click.command()
@config_option
@click.argument("email")
@click.option("--name", required=True, help="Comme vos collègues vous appellent / as colleagues call you.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(["nurse", "physician", "installer", "admin", "auditor"]),
    help="Plusieurs fois s'il le faut / more than once when needed.",
)
@click.option("--team", default=1, show_default=True, type=click.IntRange(min=1), help="Numéro d'équipe / team number.")
def account(*, config: Path, email: str, name: str, roles: tuple[str, ...], team: int) -> None:
    """Ouvrir un compte, ou lui donner un rôle. / Open an account, or give it a role."""
    settings = read_settings(config)
    begin(settings, SystemClock())
    from coordination.desk.serving import open_account, upgrade

    upgrade()
    password = click.prompt("Mot de passe / password", hide_input=True, confirmation_prompt=True)
    open_account(email, name=name, password=password, roles=roles, team=team, by=keyboard())
    click.echo(f"{email}: {', '.join(roles)}")


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Dire seulement ce qui serait effacé / only say what would be erased.")
def retention(*, config: Path, dry_run: bool) -> None:
    """Appliquer les durées de conservation de chaque équipe. / Apply each team's retention."""
    settings = read_settings(config)
    clock = SystemClock()
    begin(settings, clock)
    from coordination.desk.keeping import apply_retention
    from coordination.desk.serving import upgrade

    upgrade()
    for team, kept in apply_retention(now=clock.now_ms(), dry_run=dry_run):
        words = "à effacer / to be erased" if dry_run else "effacés / erased"
        click.echo(f"{team}: {kept.patients} patients {words}, {kept.views} consultations oubliées / views forgotten")


@click.command("new-identity-key")
@config_option
def new_identity_key(*, config: Path) -> None:
    """Remplacer la clé des identités. / Replace the key of identities."""
    settings = read_settings(config)
    begin(settings, SystemClock())
    from coordination.desk.keeping import replace_identity_key
    from coordination.desk.serving import upgrade

    upgrade()
    count = replace_identity_key(now=SystemClock().now_ms())
    click.echo(f"{settings.desk.identity_key}: {count} identités sous la nouvelle clé / identities under the new key")
