"""`veilleur rotate-keys` and `veilleur erase`: what an installer does to the keys of a stopped box.

Both want the box stopped: they hold its state folder as the box does. Not here: doing it (key_rotation).
"""

import sys
from pathlib import Path

import click

from agent.account import account
from agent.errors import RequestError
from alerting.alert import Sentence

_config = click.option(
    "--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True
)


@click.command("rotate-keys")
@_config
@click.pass_context
def rotate_keys(ctx: click.Context, config: Path) -> None:
    """Change the box's own key; the old one is destroyed. / Changer la clé du boîtier."""
    # Imported when it runs: other commands need not wait for it.
    from agent.key_rotation import rotate  # noqa: PLC0415
    from agent.key_session import stopped_box  # noqa: PLC0415

    with stopped_box(config) as (settings, store, now_ms):
        rotate(store, settings.vault, by=account(), now_ms=now_ms)
    _tell(
        ctx,
        fr="La clé du boîtier est changée, l'ancienne est détruite. Démarrer le boîtier.",
        en="The key of the box is changed and the old one destroyed. Start the box.",
    )


@click.command("erase")
@_config
@click.option("--patient", help="Pseudonym. / Pseudonyme.")
@click.option("--everything", is_flag=True, help="All that the box keeps of anybody. / Tout ce que garde le boîtier.")
@click.option("--confirm", metavar="NAME", help="The pseudonym, or the box's id, once more. / Le nom encore une fois.")
@click.pass_context
def erase(ctx: click.Context, config: Path, patient: str | None, confirm: str | None, *, everything: bool) -> None:
    """Erase what the box keeps of a patient, for good. / Effacer un patient du boîtier, définitivement."""
    from agent.key_rotation import erase_box, erase_patient  # noqa: PLC0415
    from agent.key_session import stopped_box, stopped_settings  # noqa: PLC0415

    if (patient is None) == (not everything):
        raise RequestError(
            Sentence(fr="Dire quoi effacer.", en="Say what to erase."),
            Sentence(fr="Donner --patient, ou --everything.", en="Give --patient, or --everything."),
        )
    if patient is None:
        with stopped_settings(config) as settings:
            _confirm(ctx, settings.box, confirm)
            erase_box(settings)
        _tell(
            ctx,
            fr="Tout ce que gardait le boîtier est effacé. Sur une carte usée, d'anciens blocs peuvent survivre : la "
            "détruire si le boîtier quitte le service.",
            en="Everything that the box kept is erased. Worn blocks of a card may survive: destroy it if the box is "
            "taken out of service.",
        )
        return
    with stopped_box(config) as (settings, store, now_ms):
        _confirm(ctx, patient, confirm)
        done = erase_patient(store, settings, patient, now_ms=now_ms)
    _tell(
        ctx,
        fr=f"{patient} est effacé du boîtier : {done.readings} mesures, {done.alerts} alertes. L'équipe garde ce "
        "qu'elle a reçu. Démarrer le boîtier.",
        en=f"{patient} is erased from the box: {done.readings} readings, {done.alerts} alerts. The team keeps what it "
        "has received. Start the box.",
    )


def _confirm(ctx: click.Context, name: str, given: str | None) -> None:
    """Ask for the name once more.

    Raises:
        RequestError: it is another one, or nobody is there to ask.
    """
    if given is None and sys.stdin.isatty():
        fr = f"Effacer {name} ne peut pas être défait. Écrire « {name} » pour confirmer"
        en = f"Erasing {name} cannot be undone. Type '{name}' to confirm"
        given = click.prompt(fr if _french(ctx) else en, default="", show_default=False)
    if given != name:
        raise RequestError(
            Sentence(fr="Pas confirmé : rien n'a été effacé.", en="Not confirmed: nothing was erased."),
            Sentence(fr=f"Recommencer avec --confirm {name}.", en=f"Try again with --confirm {name}."),
        )


def _french(ctx: click.Context) -> bool:
    return bool(ctx.find_root().params.get("lang") == "fr")


def _tell(ctx: click.Context, *, fr: str, en: str) -> None:
    click.echo(fr if _french(ctx) else en)
