"""`veilleur-desk questionnaires`: the worker that judges answers and sends the links that are due."""

from pathlib import Path

import click

from alerting.alert import Sentence
from coordination.config_option import config_option
from coordination.errors import CoordinationError
from coordination.link_relay import Relay
from coordination.self_report_worker import serve
from coordination.settings import Settings, read_settings
from devices.clock import SystemClock


@click.command("questionnaires")
@config_option
def questionnaires(*, config: Path) -> None:
    """Juger les réponses, envoyer les liens, jusqu'à SIGTERM. / Judge answers and send links until SIGTERM."""
    settings = read_settings(config)
    serve(settings.database, SystemClock(), relay_of(settings))


def relay_of(settings: Settings) -> Relay | None:
    """Return the team's relay, None when it has none.

    Raises:
        CoordinationError: it has one, and nothing says which address links lead to.
    """
    desk = settings.desk
    if not desk.relay:
        return None
    if not desk.address:
        raise CoordinationError(
            Sentence(
                fr="desk.relay envoie des liens, et rien ne dit à quelle adresse ils mènent.",
                en="desk.relay sends links, and nothing says to which address they lead.",
            ),
            hint=Sentence(
                fr='Écrire desk.address, par exemple "https://poste.example.org".',
                en='Write desk.address, for example "https://desk.example.org".',
            ),
        )
    return Relay(command=desk.relay, address=desk.address)
