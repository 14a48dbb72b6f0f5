"""`veilleur-desk fhirclient add, list, revoke`: which systems of other houses may read over FHIR."""

from datetime import UTC, datetime
from pathlib import Path

import click

from coordination.audit_beside import account
from coordination.config_option import config_option
from coordination.desk_cli import begin
from coordination.settings import read_settings
from devices.clock import SystemClock

_name = click.argument("name")


@click.group()
def fhirclient() -> None:
    """Les systèmes qui lisent par FHIR. / The systems that read over FHIR."""


@fhirclient.command()
@config_option
@_name
@click.option("--scope", "scopes", multiple=True, required=True, help="system/Observation.read, system/*.read")
@click.option("--team", default=1, show_default=True, type=click.IntRange(min=1), help="Numéro d'équipe / team number.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 1_100), help="Durée / how long.")
@click.option(
    "--per-minute", default=600, show_default=True, type=click.IntRange(1, 60_000), help="Demandes / requests."
)
def add(*, config: Path, name: str, scopes: tuple[str, ...], team: int, days: int, per_minute: int) -> None:
    """Donner accès ; le jeton n'est montré qu'une fois. / Give access; the token is shown once only."""
    clock = SystemClock()
    begin(read_settings(config), clock)
    from coordination.desk.fhir.clients import let_in
    from coordination.desk.serving import upgrade

    upgrade()
    token = let_in(name, team=team, scopes=scopes, days=days, a_minute=per_minute, by=account(), now=clock.now_ms())
    click.echo(token)
    click.echo("Authorization: Bearer … (montré une seule fois / shown only once)", err=True)


@fhirclient.command(name="list")
@config_option
def show(*, config: Path) -> None:
    """Qui a accès, à quoi, jusqu'à quand. / Who has access, to what, until when."""
    clock = SystemClock()
    begin(read_settings(config), clock)
    from coordination.desk.models import SystemClient
    from coordination.desk.serving import upgrade

    upgrade()
    for client in SystemClient.objects.order_by("name"):
        until = datetime.fromtimestamp(client.expires_at / 1000, UTC).date()
        state = "révoqué / revoked" if client.revoked_at else f"→ {until}"
        click.echo(f"{client.name}\t{client.scopes}\t{state}")


@fhirclient.command()
@config_option
@_name
def revoke(*, config: Path, name: str) -> None:
    """Retirer l'accès, tout de suite. / Take access away, at once."""
    clock = SystemClock()
    begin(read_settings(config), clock)
    from coordination.desk.fhir.clients import stop
    from coordination.desk.serving import upgrade

    upgrade()
    stop(name, by=account(), now=clock.now_ms())
    click.echo(f"{name}: révoqué / revoked")
