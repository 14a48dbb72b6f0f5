"""`--config`, as every command of the team that reads its settings takes it."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default="/etc/veilleur/desk.toml",
    envvar="VEILLEUR_DESK_CONFIG",
    show_default=True,
    help="Réglages de l'équipe / the team's settings (desk.toml).",
)
