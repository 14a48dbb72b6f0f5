"""`veilleur-desk export`: the evaluation export of a team, as one file."""

from datetime import timedelta
from pathlib import Path

import click

from alerting.alert import Sentence
from coordination.audit_beside import account
from coordination.config_option import config_option
from coordination.desk_cli import begin
from coordination.errors import CoordinationError
from coordination.settings import read_settings
from devices.clock import SystemClock


@click.command()
@config_option
@click.option("--out", type=click.Path(path_type=Path), help="Fichier zip à écrire / zip to write.")
@click.option("--since", metavar="2026-09-01", help="Premier jour, compris ; il y a 90 jours / first day, included.")
@click.option("--until", metavar="2026-12-01", help="Dernier jour, non compris ; demain / last day, not included.")
@click.option("--team", default=1, show_default=True, type=click.IntRange(min=1), help="Numéro d'équipe / team number.")
@click.option("--linked", is_flag=True, help="Mêmes pseudonymes que les autres exports reliés / same pseudonyms.")
@click.option("--parquet", is_flag=True, help="Aussi en Parquet / as Parquet too (pip install 'veilleur[analysis]').")
def export(
    *, config: Path, out: Path | None, since: str | None, until: str | None, team: int, linked: bool, parquet: bool
) -> None:
    """Exporter de quoi évaluer. / Export what evaluation needs."""
    settings, clock = read_settings(config), SystemClock()
    begin(settings, clock)
    from coordination.desk.evaluation.making import USUAL_DAYS, day_of, make
    from coordination.desk.evaluation.observed import Period, today
    from coordination.desk.evaluation.writing import name_of, parquet_is_there
    from coordination.desk.models import Team
    from coordination.desk.serving import upgrade

    upgrade()
    now = clock.now_ms()
    last = day_of(until) if until else today(now) + timedelta(days=1)
    first = day_of(since) if since else last - timedelta(days=USUAL_DAYS)
    if parquet and not parquet_is_there():
        raise CoordinationError(
            Sentence(fr="Parquet n'est pas installé ici.", en="Parquet is not installed here."),
            hint=Sentence(fr="pip install 'veilleur[analysis]'", en="pip install 'veilleur[analysis]'"),
        )
    whose = Team.objects.filter(pk=team).first()
    if whose is None:
        raise CoordinationError(
            Sentence(fr=f"Il n'y a pas d'équipe {team}.", en=f"There is no team {team}."),
            hint=Sentence(fr="La première porte le numéro 1.", en="The first one has the number 1."),
        )
    made = make(
        (out or Path(name_of(first, last))).resolve(),
        whose,
        Period(since=first, until=last, made=now),
        links=Path(settings.desk.exports) if linked else None,
        parquet=parquet,
        by=account(),
    )
    click.echo(f"{made.path}  sha256 {made.sha256}")
    click.echo("  ".join(f"{name} {number}" for name, number in made.rows.items()))
