"""`veilleur-desk`: the team's commands. Exit codes: 0 fine, 2 unusable input or database."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

import click

from alerting.alert import Acknowledgement, Sentence
from coordination import audit_command, backup_command, desk_cli
from coordination.acknowledging import acknowledge as keep_acknowledgement
from coordination.alert_page import page
from coordination.command_cli import add_commands
from coordination.config_option import config_option
from coordination.errors import CoordinationError
from coordination.evaluation_cli import export as evaluation_export
from coordination.explaining import explain_cut
from coordination.fhir_cli import fhirclient
from coordination.gap_page import MORE_MISSING, gap_lines, gap_table, missing_sentences
from coordination.identity_commands import COMMANDS as IDENTITY_COMMANDS
from coordination.inbox import serve
from coordination.keys_command import keys
from coordination.lines import alert_line, iso, reading_line, write_recording
from coordination.place import Place, place_of
from coordination.settings import read_settings
from coordination.tables import Language, alert_table, fleet_lines, reading_table, said
from coordination.view import View
from devices.clock import SystemClock
from devices.plain_text import plain
from exchange.audit_chain import Act
from exchange.audit_show import ROWS, Wanted

NOT_A_DEVICE = (
    "Veilleur n'est ni un dispositif médical certifié ni un service d'urgence : en cas d'urgence, appeler le 15. / "
    "Veilleur is not a certified medical device and not an emergency service: in an emergency, call 15 or 112."
)
LONGEST_NAME = 64
LONGEST_REASON = 200
TABLE_ROWS = 50
"""Readings that a table shows unless told otherwise."""


class _Refusal(click.ClickException):
    """What happened and what to do next, in both languages, on standard error; exit code 2."""

    exit_code = 2

    def __init__(self, why: Sentence, hint: Sentence) -> None:
        super().__init__(f"{why.fr} {hint.fr}\n{why.en} {hint.en}")

    def show(self, file: object = None) -> None:
        """Print the sentences."""
        del file
        for line in self.message.splitlines():
            click.echo(f"veilleur-desk: {line}", err=True)


class _Refusing(click.Group):
    """A group that turns every error of ours into a sentence."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CoordinationError as error:
            raise _Refusal(error.why, error.hint) from error


def _last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say where an unforeseen fault happened, in one sentence instead of a stack trace."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        kind, trace = type(error), error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    click.echo(
        f"veilleur-desk: défaut imprévu ({kind.__name__}, {where}) ; relancer, et le signaler si cela se répète. / "
        f"unforeseen fault ({kind.__name__}, {where}); start again, and report it if it comes back.",
        err=True,
    )


_database = click.option(
    "--database",
    callback=lambda _context, _option, value: None if value is None else place_of(value, Path()),
    help="Base de l'équipe, sans lire les réglages / the team's database, without reading the settings.",
)
_patient = click.option("--patient", help="Un seul patient (pseudonyme) / one patient only (pseudonym).")
_json = click.option("--json", "as_json", is_flag=True, help="Une ligne JSON par élément / one JSON line each.")
_lang = click.option(
    "--lang",
    type=click.Choice([language.value for language in Language]),
    default=Language.FR.value,
    show_default=True,
    callback=lambda _context, _option, value: Language(value),
    help="Langue / language.",
)


@click.group(cls=_Refusing, epilog=NOT_A_DEVICE)
@click.version_option(package_name="veilleur")
def main() -> None:
    """L'équipe de coordination : recevoir, voir. / The coordination team's side: receive, look."""
    sys.excepthook = _last_words


main.add_command(keys)
for _command in IDENTITY_COMMANDS:
    _command.epilog = NOT_A_DEVICE
    main.add_command(_command)
add_commands(main)
desk_cli.add_commands(main)
main.add_command(fhirclient)
main.add_command(evaluation_export)
backup_command.add_commands(main)


@main.command(epilog=NOT_A_DEVICE)
@config_option
@click.option(
    "--worker",
    metavar="NAME",
    help="Nom de ce récepteur, s'ils sont plusieurs / name of this worker, when there are several: inbox-2.",
)
def inbox(*, config: Path, worker: str | None) -> None:
    """Recevoir les boîtiers jusqu'à SIGTERM. / Receive the boxes until SIGTERM."""
    settings = read_settings(config, worker=worker)
    _log_to_stderr()
    serve(settings, SystemClock())


@main.command(epilog=NOT_A_DEVICE)
@config_option
@_database
@_json
@_patient
@click.option("--open", "standing", is_flag=True, help="Seulement celles en cours / only those that stand.")
@_lang
def alerts(
    *, config: Path, database: Place | None, as_json: bool, patient: str | None, standing: bool, lang: Language
) -> None:
    """Montrer les alertes. / Show the alerts."""
    with _view(config, database, patient) as view:
        found = view.alerts(patient=patient, standing=standing)
        if as_json:
            for alert in found:
                click.echo(alert_line(alert))
            return
        listed = list(found)
        if listed:
            click.echo(plain(alert_table(listed, lang)))
        else:
            click.echo("Aucune alerte ici." if lang is Language.FR else "No alert here.")
        for line in fleet_lines(view.fleet(), lang):
            click.echo(plain(line))


@main.command(epilog=NOT_A_DEVICE)
@config_option
@_database
@click.argument("alert")
@_lang
def alert(*, config: Path, database: Place | None, alert: str, lang: Language) -> None:
    """Montrer une alerte entière. / Show one alert whole."""
    with _view(config, database, None) as view:
        for line in page(view.whole(alert.lower()), lang):
            click.echo(plain(line))


@main.command(epilog=NOT_A_DEVICE)
@config_option
@_database
@click.argument("alert")
@click.option("--by", required=True, metavar="NAME", help="Qui l'a vue / who has seen it.")
def acknowledge(*, config: Path, database: Place | None, alert: str, by: str) -> None:
    """Dire qu'une alerte a été vue ; elle continue jusqu'à sa fin. / Say that an alert was seen; it goes on."""
    if not 1 <= len(by.strip()) <= LONGEST_NAME or not by.strip().isprintable():
        raise click.UsageError(f"--by: 1 à {LONGEST_NAME} caractères imprimables / printable characters")
    place = read_settings(config).database if database is None else database
    seen = Acknowledgement(by=by.strip(), at=SystemClock().now_ms())
    whole, first = keep_acknowledgement(place, alert.lower(), seen)
    already = "" if first == seen else " (déjà / already)"
    click.echo(f"{whole}: vue par / seen by {first.by}, {iso(first.at)}{already}")


@main.command(epilog=NOT_A_DEVICE)
@config_option
@_database
@_json
@click.option(
    "--csv",
    "recording",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Écrire un fichier pour 'veilleur backtest --readings' / write one ('-' : sortie standard / standard output).",
)
@_patient
@click.option(
    "--since",
    callback=lambda _context, _option, value: None if value is None else _instant(value),
    metavar="TIME",
    help="Mesurées depuis, UTC sans décalage indiqué / measured since, UTC without an offset: 2026-11-22T08:00.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"Les dernières seulement (tableau : {TABLE_ROWS}) / only the last ones (table: {TABLE_ROWS}).",
)
@_lang
def readings(
    *,
    config: Path,
    database: Place | None,
    as_json: bool,
    recording: Path | None,
    patient: str | None,
    since: int | None,
    limit: int | None,
    lang: Language,
) -> None:
    """Montrer les mesures. / Show the readings."""
    if as_json and recording is not None:
        raise click.UsageError("--json ou --csv, pas les deux / --json or --csv, not both")
    as_table = not as_json and recording is None
    with _view(config, database, patient) as view:
        found = view.readings(patient=patient, since=since, limit=limit or (TABLE_ROWS if as_table else None))
        if as_json:
            for reading in found:
                click.echo(reading_line(reading))
        elif recording is not None:
            with _private_file(recording) as file:
                write_recording(found, file)
        else:
            listed = list(found)
            nothing = "Aucune mesure ici." if lang is Language.FR else "No reading here."
            click.echo(plain(reading_table(listed, lang)) if listed else nothing)
            if any(view.gaps(patient=patient)):
                click.echo(said(MORE_MISSING, lang))


@main.command(epilog=NOT_A_DEVICE)
@config_option
@_database
@_json
@_patient
@_lang
def gaps(*, config: Path, database: Place | None, as_json: bool, patient: str | None, lang: Language) -> None:
    """Montrer ce qui manque. / Show what is missing."""
    with _view(config, database, patient) as view:
        found, missing = list(view.gaps(patient=patient)), view.missing()
        if as_json:
            for line in gap_lines(found, missing):
                click.echo(line)
            return
        nothing = "Rien de perdu ici." if lang is Language.FR else "Nothing was lost here."
        click.echo(plain(gap_table(found, lang)) if found else nothing)
        for line in missing_sentences(missing, lang):
            click.echo(plain(line))


@main.command(epilog=NOT_A_DEVICE)
@config_option
@_database
@click.option("--act", type=click.Choice([act.value for act in Act]), metavar="ACT", help="Un genre / one kind.")
@click.option("--by", metavar="NAME", help="D'une personne / of one person.")
@click.option("--since", callback=lambda *given: None if given[2] is None else _instant(given[2]), metavar="TIME")
@click.option("--limit", type=click.IntRange(min=1), help=f"Les derniers (tableau : {ROWS}) / the newest.")
@_json
@click.option(
    "--export",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Écrire un fichier pour un auditeur / write a file for an auditor (docs/security/audit-format.md).",
)
@click.option("--names", is_flag=True, help="Dans le fichier, ce que cachent les empreintes / what tags stand for.")
@_lang
def audit(
    *,
    config: Path,
    database: Place | None,
    act: str | None,
    by: str | None,
    since: int | None,
    limit: int | None,
    as_json: bool,
    file: Path | None,
    names: bool,
    lang: Language,
) -> None:
    """Dire qui a fait quoi dans l'équipe, et quand. / Say who did what in the team, and when."""
    place = read_settings(config).database if database is None else database
    if file is None:
        wanted = Wanted(act=act, by=by, since=since, limit=limit or (None if as_json else ROWS))
        click.echo(audit_command.show(place, wanted, lang=lang.value, json_lines=as_json))
        return
    now = SystemClock().now_ms()
    with _private_file(file) as opened:
        count = audit_command.export(place, opened, name=file.name, now=now, names=names)
    if str(file) != "-":
        click.echo(
            f"{file} : {count} actes ; à vérifier avec / acts; to be verified with docs/security/verify_audit.py"
        )


@main.command(name="explain-cut", epilog=NOT_A_DEVICE)
@config_option
@_database
@click.argument("alert")
@click.option("--by", required=True, metavar="NAME", help="Qui l'a vérifié / who has checked it.")
@click.option("--reason", required=True, help="Pourquoi, sans nommer de patient / why, without naming a patient.")
@_lang
def explain(*, config: Path, database: Path | None, alert: str, by: str, reason: str, lang: Language) -> None:
    """Mettre fin à « journal coupé » en disant pourquoi. / End 'record cut' by saying why."""
    for option, text, most in (("--by", by.strip(), LONGEST_NAME), ("--reason", reason.strip(), LONGEST_REASON)):
        if not 1 <= len(text) <= most or not text.isprintable():
            raise click.UsageError(f"{option}: 1 à {most} caractères imprimables / printable characters")
    place = read_settings(config).database if database is None else database
    ended = explain_cut(place, alert.lower(), by=by.strip(), reason=reason.strip(), at=SystemClock().now_ms())
    click.echo(said(ended.change.why, lang))


@contextmanager
def _view(config: Path, database: Place | None, patient: str | None) -> Iterator[View]:
    view = View(read_settings(config).database if database is None else database)
    try:
        known = view.patients()
        if patient is not None and patient not in known:
            raise CoordinationError(
                Sentence(fr=f"Aucun patient '{patient}' ici.", en=f"There is no patient '{patient}' here."),
                hint=Sentence(
                    fr=f"Pseudonymes connus : {', '.join(known) or 'aucun'}.",
                    en=f"Known pseudonyms: {', '.join(known) or 'none'}.",
                ),
            )
        yield view
    finally:
        view.close()


@contextmanager
def _private_file(path: Path) -> Iterator[TextIO]:
    """Open a file of health data for writing: readable by its owner only."""
    if str(path) == "-":
        yield sys.stdout
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CoordinationError(
            Sentence(
                fr=f"{path} ne peut pas être écrit ({error.strerror}).",
                en=f"{path} cannot be written ({error.strerror}).",
            ),
            hint=Sentence(fr="Choisir un autre dossier.", en="Choose another folder."),
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        yield file


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"'{text}' : écrire une date ISO 8601 comme 2026-11-22T08:00 / write an ISO 8601 time like 2026-11-22T08:00"
        ) from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _log_to_stderr() -> None:
    """Send the program's own lines to standard error, where systemd's journal takes them."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )
    for room in ("coordination", "exchange"):
        logging.getLogger(room).setLevel(logging.INFO)
