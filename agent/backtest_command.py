"""`veilleur backtest`: a protocol over recorded readings, one alert a line."""

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from tabulate import tabulate

from agent.errors import RequestError
from agent.settings_file import load_protocol, packaged_protocols
from alerting.alert import Sentence
from alerting.backtest import AlertOutcome, backtest, line
from alerting.recordings import Recording, read_recording

FIRST_YEAR, LAST_YEAR = 1970, 2199


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """What was asked for; times in ms UTC."""

    protocol: str
    readings: Path
    form: str
    zone: str
    since: int | None
    until: int | None
    lang: str


def moment(text: str | None) -> int | None:
    """Return ISO 8601 as ms UTC; without an offset it is UTC.

    Raises:
        RequestError: it is no time.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
    except ValueError as error:
        raise _no_time(text) from error
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise _no_time(text)
    return round(at.timestamp() * 1000)


def _no_time(text: str) -> RequestError:
    return RequestError(
        Sentence(fr=f"« {text} » n'est pas une date.", en=f"'{text}' is not a time."),
        Sentence(fr="L'écrire comme 2026-11-22T08:00:00Z.", en="Write it like 2026-11-22T08:00:00Z."),
    )


def print_backtest(request: BacktestRequest) -> None:
    """Print the alerts on standard output, and what was set aside on standard error.

    Raises:
        ProtocolError: the protocol has faults.
        RecordingError: the recording cannot be read.
        RequestError: there is no such file or time zone.
    """
    zone = _zone(request.zone)
    try:
        protocol = load_protocol(request.protocol, Path())
        recording = read_recording(request.readings)
    except OSError as error:
        names = ", ".join(packaged_protocols())
        raise RequestError(
            Sentence(
                fr=f"{error.filename} : lecture impossible ({error.strerror}).",
                en=f"{error.filename} cannot be read ({error.strerror}).",
            ),
            Sentence(
                fr=f"Donner un fichier ; un protocole peut aussi être l'un de {names}.",
                en=f"Name a file; a protocol can also be one of {names}.",
            ),
        ) from error
    _say_set_aside(recording)
    total = sum(len(readings) for readings in recording.readings.values())
    bar = click.progressbar(length=total, label="backtest", file=sys.stderr) if sys.stderr.isatty() else nullcontext()
    with bar as shown:
        seen = 0

        def progress(done: int, _: int) -> None:
            nonlocal seen
            if shown is not None:
                shown.update(done - seen)
            seen = done

        outcomes = list(
            backtest(
                protocol, recording.readings, zone=zone, since=request.since, until=request.until, progress=progress
            )
        )
    _PRINTERS[request.form](outcomes, request.lang)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RequestError(
            Sentence(fr=f"« {name} » n'est pas un fuseau horaire.", en=f"'{name}' is not a time zone."),
            Sentence(fr="Donner un nom IANA comme Europe/Paris.", en="Give an IANA name such as Europe/Paris."),
        ) from error


def _say_set_aside(recording: Recording) -> None:
    for quantity, count in recording.set_aside.items():
        click.echo(f"veilleur: {count} × {quantity}: quantité inconnue, laissée de côté / unknown, set aside", err=True)
    if recording.implausible:
        click.echo(
            f"veilleur: {recording.implausible} × valeur impossible, non jugée / impossible, not judged", err=True
        )


def _print_lines(outcomes: Iterable[AlertOutcome], lang: str) -> None:
    del lang
    for outcome in outcomes:
        click.echo(json.dumps(line(outcome), ensure_ascii=False))


def _print_table(outcomes: Iterable[AlertOutcome], lang: str) -> None:
    rows = [
        (
            shown["patient"],
            shown["priority"],
            shown["rule"],
            shown["raised_at"],
            shown["resolved_at"] or "-",
            outcome.why.fr if lang == "fr" else outcome.why.en,
        )
        for outcome in outcomes
        for shown in (line(outcome),)
    ]
    click.echo(tabulate(rows, headers=["patient", "priority", "rule", "raised", "resolved", "why"]))


_PRINTERS: dict[str, Callable[[Iterable[AlertOutcome], str], None]] = {"jsonl": _print_lines, "table": _print_table}
