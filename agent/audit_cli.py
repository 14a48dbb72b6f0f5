"""The command line of `veilleur audit`; what it does is in audit_command, imported only when it runs."""

from pathlib import Path

import click

from alerting.alert import Sentence
from exchange.audit_chain import Act
from exchange.audit_show import ROWS, Wanted, instant


def _moment(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else instant(value)
    except ValueError as error:
        raise click.BadParameter("2026-11-22T08:00") from error


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("/etc/veilleur/agent.toml"), show_default=True)
@click.option("--act", type=click.Choice([act.value for act in Act]), metavar="ACT", help="One kind. / Un seul genre.")
@click.option("--by", metavar="NAME", help="Of one person. / D'une seule personne.")
@click.option("--since", callback=_moment, metavar="TIME", help="Since then (ISO 8601, UTC). / Depuis.")
@click.option("--limit", type=click.IntRange(min=1), help=f"The newest (table: {ROWS}). / Les derniers.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
@click.option(
    "--export",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a file for an auditor (docs/security/audit-format.md). / Écrire un fichier pour un auditeur.",
)
@click.option("--names", is_flag=True, help="In the file: what tags stand for. / Dans le fichier : les noms en clair.")
@click.option("--lang", "own_lang", type=click.Choice(["fr", "en"]), help="Langue / language.")
@click.pass_context
def audit(
    ctx: click.Context,
    *,
    config: Path,
    act: str | None,
    by: str | None,
    since: int | None,
    limit: int | None,
    as_json: bool,
    file: Path | None,
    names: bool,
    own_lang: str | None,
) -> None:
    """Say who did what on this box, and when. / Dire qui a fait quoi sur ce boîtier, et quand."""
    # A command imports what it needs when it runs: checking a file must not wait for the store.
    from agent.audit_command import export, show  # noqa: PLC0415
    from agent.settings_file import read_settings  # noqa: PLC0415
    from devices.clock import SystemClock  # noqa: PLC0415

    lang = own_lang or ctx.find_root().params["lang"]
    ctx.find_root().params["lang"] = lang
    settings = read_settings(config)
    if file is not None:
        count = export(settings, file, SystemClock(), names=names)
        said = Sentence(
            fr=f"{file} : {count} actes ; à vérifier avec docs/security/verify_audit.py.",
            en=f"{file}: {count} acts; to be verified with docs/security/verify_audit.py.",
        )
        click.echo(said.fr if lang == "fr" else said.en)
        return
    wanted = Wanted(act=act, by=by, since=since, limit=limit or (None if as_json else ROWS))
    click.echo(show(settings, wanted, lang=lang, json_lines=as_json))
