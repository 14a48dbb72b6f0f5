"""`veilleur-desk backup, restore`: copies of the team's database."""

from pathlib import Path

import click

from coordination.backup import back_up
from coordination.backup import restore as put_back
from coordination.config_option import config_option
from coordination.place import shown
from coordination.settings import read_settings

_file = click.Path(path_type=Path, dir_okay=False)


def add_commands(group: click.Group) -> None:
    """Add these commands to a group."""
    group.add_command(backup)
    group.add_command(restore)


@click.command()
@config_option
@click.argument("copy", type=_file)
def backup(*, config: Path, copy: Path) -> None:
    """Copier la base de l'équipe, en service, dans un nouveau fichier. / Copy the team's database while it is used."""
    settings = read_settings(config)
    back_up(settings.database, copy)
    click.echo(f"{shown(settings.database)} → {copy} ({copy.stat().st_size / 1e6:.1f} Mo/MB)")


@click.command()
@config_option
@click.argument("copy", type=_file)
def restore(*, config: Path, copy: Path) -> None:
    """Remettre une copie là où il n'y a pas de base. / Put a copy where there is no database."""
    settings = read_settings(config)
    put_back(copy, settings.database)
    click.echo(
        f"{copy} → {shown(settings.database)}\n"
        "Les boîtiers renverront d'eux-mêmes ce qui manque ; effacer à nouveau les patients effacés depuis.\n"
        "Boxes will send what is missing by themselves; erase again the patients that were erased since this copy."
    )
