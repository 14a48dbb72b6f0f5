"""`veilleur backtest`: a protocol over recorded readings, before anybody signs it.

What is printed: a report for people, or one alert a line for programs. A second protocol may be judged beside the first
(`--against`), and a picture drawn. Populations are `backtest_population`'s.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec
from tabulate import tabulate

from agent.backtest_extra import need
from agent.backtest_report import Report, report_lines
from agent.backtest_unsaid import naive_line
from agent.backtest_words import PRIORITIES, Words, system_said
from agent.errors import RequestError
from agent.settings_file import load_protocol, packaged_protocols
from alerting.alert import Sentence
from alerting.backtest import AlertOutcome, backtest, line
from alerting.care_protocol import CareProtocol
from alerting.comparison import compare
from alerting.errors import ProtocolError, RecordingError
from alerting.history import History
from alerting.recordings import PARQUET, Recording, read_recording, recording_files
from alerting.trial import Trial, label, together, trial_of, watching
from devices.reading import Reading

FIRST_YEAR, LAST_YEAR = 1970, 2199
FORMS = ("report", "jsonl", "table", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """What was asked for; times in ms UTC.

    Attributes:
        protocol: what is tried: a file, or the name of a packaged one.
        against: what holds now, None when nothing is compared.
        readings: file or folder.
        patient: of whom, None for all.
        form: one of `FORMS`.
        plot: where a picture goes, None for none.
    """

    protocol: str
    against: str | None
    readings: Path
    patient: str | None
    form: str
    plot: Path | None
    zone: str
    since: int | None
    until: int | None
    lang: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A protocol over a recording.

    Attributes:
        protocol: what was judged by.
        outcomes: its alerts, ordered by (patient, raised_at, rule).
        never_judged: patient -> the rules that never had a value.
    """

    protocol: CareProtocol
    outcomes: tuple[AlertOutcome, ...]
    never_judged: dict[str, frozenset[str]]


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


def print_backtest(request: BacktestRequest) -> None:
    """Print what was asked for on standard output, and what was set aside on standard error.

    Raises:
        RequestError: there is no such file or time zone, a protocol has faults, or the recording cannot be read.
    """
    zone = zone_named(request.zone)
    protocols = [protocol_named(name) for name in (request.protocol, request.against) if name is not None]
    recording = _recording(request)
    words = Words(request.lang, zone)
    if request.form != "report":
        _say_set_aside(recording, words)
    if request.plot is not None:
        need("matplotlib", request.plot.name)
        _one_patient(recording)
    judged = [_judge(protocol, recording, request, zone) for protocol in protocols]
    match request.form:
        case "jsonl":
            _print_lines(judged)
        case "table":
            _print_table(judged, words)
        case "json":
            trials = [_trial(one, recording, request, zone) for one in judged]
            click.echo(msgspec.json.format(msgspec.json.encode(trials), indent=2).decode())
        case _:
            for text in report_lines(_report(judged, recording, request, zone), words):
                click.echo(text)
    if request.plot is not None:
        _plot(request, request.plot, recording, judged, words)


def protocol_named(name: str) -> CareProtocol:
    """Return a packaged protocol, or the one of a file.

    Raises:
        RequestError: there is no such file, or it has faults.
    """
    try:
        return load_protocol(name, Path())
    except OSError as error:
        raise cannot_read(error) from error
    except ProtocolError as error:
        raise _faulty(error) from error


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        RequestError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RequestError(
            Sentence(fr=f"« {name} » n'est pas un fuseau horaire.", en=f"'{name}' is not a time zone."),
            Sentence(fr="Donner un nom IANA comme Europe/Paris.", en="Give an IANA name such as Europe/Paris."),
        ) from error


def cannot_read(error: OSError) -> RequestError:
    """Return what a nurse is told of a file that cannot be opened."""
    names = ", ".join(packaged_protocols())
    why = system_said(error)
    return RequestError(
        Sentence(
            fr=f"{error.filename} : lecture impossible ({why.fr}).", en=f"{error.filename} cannot be read ({why.en})."
        ),
        Sentence(
            fr=f"Donner un fichier ; un protocole peut aussi être l'un de {names}.",
            en=f"Name a file; a protocol can also be one of {names}.",
        ),
    )


def _faulty(error: ProtocolError) -> RequestError:
    """Return what a nurse is told of a protocol that cannot be applied: every fault, in both languages."""

    def said(line: str, colon: str, messages: Sequence[str]) -> str:
        places = [f"{line} {one.line}{colon} {one.key}{colon} " if one.line else "" for one in error.faults]
        return "; ".join(f"{place}{message}" for place, message in zip(places, messages, strict=True))

    return RequestError(
        Sentence(
            fr=f"{error.name} : {said('ligne', ' :', [one.message.fr for one in error.faults])}.",
            en=f"{error.name}: {said('line', ':', [one.message.en for one in error.faults])}.",
        ),
        Sentence(
            fr=f"Corriger le protocole ; « veilleur check {error.name} » dit une faute par ligne.",
            en=f"Correct the protocol; 'veilleur check {error.name}' says one fault a line.",
        ),
    )


def unreadable(error: RecordingError) -> RequestError:
    """Return what a nurse is told of a recording that cannot be read."""
    return RequestError(
        Sentence(fr=f"{error.why.fr}.", en=f"{error.why.en}."),
        Sentence(
            fr="Corriger le fichier ; docs/backtest.md dit sa forme.",
            en="Correct the file; docs/backtest.md says its form.",
        ),
    )


def _no_time(text: str) -> RequestError:
    return RequestError(
        Sentence(fr=f"« {text} » n'est pas une date.", en=f"'{text}' is not a time."),
        Sentence(fr="L'écrire comme 2026-11-22T08:00:00Z.", en="Write it like 2026-11-22T08:00:00Z."),
    )


def _recording(request: BacktestRequest) -> Recording:
    try:
        if any(file.name.endswith(PARQUET) for file in recording_files(request.readings)):
            need("pyarrow", request.readings.name)
        recording = read_recording(request.readings)
    except OSError as error:
        raise cannot_read(error) from error
    except RecordingError as error:
        raise unreadable(error) from error
    if request.patient is None:
        return recording
    if request.patient not in recording.readings:
        raise RequestError(
            Sentence(
                fr=f"Le patient {request.patient} n'est pas dans {request.readings}.",
                en=f"The patient {request.patient} is not in {request.readings}.",
            ),
            _patients_of(recording),
        )
    readings = recording.readings[request.patient]
    return Recording(
        readings={request.patient: readings},
        implausible=sum(reading.validity == "invalid" for reading in readings),
        set_aside=recording.set_aside,
        simulated=recording.simulated,
        naive_at=recording.naive_at,
    )


def _one_patient(recording: Recording) -> None:
    if len(recording.readings) != 1:
        raise RequestError(
            Sentence(fr="Une image montre un patient.", en="A picture shows one patient."), _patients_of(recording)
        )


def _patients_of(recording: Recording) -> Sentence:
    names = ", ".join(list(recording.readings)[:5])
    dots = ", …" if len(recording.readings) > 5 else ""
    return Sentence(
        fr=f"Le nommer avec --patient, par exemple : {names}{dots}.", en=f"Name one with --patient: {names}{dots}."
    )


def _judge(protocol: CareProtocol, recording: Recording, request: BacktestRequest, zone: ZoneInfo) -> Judged:
    total = sum(len(readings) for readings in recording.readings.values())
    bar = (
        click.progressbar(length=total, label=label(protocol), file=sys.stderr)
        if sys.stderr.isatty()
        else nullcontext()
    )
    with bar as shown:
        seen = 0

        def progress(done: int, _: int) -> None:
            nonlocal seen
            if shown is not None:
                shown.update(done - seen)
            seen = done

        never: dict[str, frozenset[str]] = {}
        found = tuple(
            backtest(
                protocol,
                recording.readings,
                zone=zone,
                since=request.since,
                until=request.until,
                progress=progress,
                never_judged=never,
            )
        )
        return Judged(protocol=protocol, outcomes=found, never_judged=never)


def _trial(judged: Judged, recording: Recording, request: BacktestRequest, zone: ZoneInfo) -> Trial:
    return together(judged.protocol, list(_trials(judged, recording.readings, request, zone)))


def _trials(
    judged: Judged, readings: dict[str, tuple[Reading, ...]], request: BacktestRequest, zone: ZoneInfo
) -> Iterator[Trial]:
    for patient, several in readings.items():
        history = History.of(patient, several)
        watched = watching(history, zone, request.since, request.until)
        if watched is not None:
            outcomes = [one for one in judged.outcomes if one.patient == patient]
            yield trial_of(judged.protocol, history, outcomes, watched, judged.never_judged.get(patient))


def _report(judged: Sequence[Judged], recording: Recording, request: BacktestRequest, zone: ZoneInfo) -> Report:
    return Report(
        source=request.readings.name,
        protocols=[one.protocol for one in judged],
        trials=[_trial(one, recording, request, zone) for one in judged],
        set_aside=recording.set_aside,
        simulated=recording.simulated,
        naive_at=recording.naive_at,
        differences=compare(judged[0].outcomes, judged[1].outcomes) if len(judged) > 1 else None,
    )


def _plot(request: BacktestRequest, target: Path, recording: Recording, judged: Sequence[Judged], words: Words) -> None:
    from agent.backtest_picture import Picture, draw  # noqa: PLC0415 - a box draws nothing

    ((patient, readings),) = recording.readings.items()
    history = History.of(patient, readings).until(request.until)
    watched = watching(history, words.zone, request.since, request.until)
    if watched is None:
        raise RequestError(
            Sentence(fr="Il n'y a rien à dessiner.", en="There is nothing to draw."),
            Sentence(fr="Donner d'autres dates ou un autre fichier.", en="Give other dates or another file."),
        )
    try:
        draw(
            Picture(
                history=history,
                watched=watched,
                judged=[(one.protocol, one.outcomes) for one in judged],
                simulated=recording.simulated,
                words=words,
            ),
            target,
        )
    except OSError as error:
        why = system_said(error)
        raise RequestError(
            Sentence(fr=f"{target} : écriture impossible ({why.fr}).", en=f"{target} cannot be written ({why.en})."),
            Sentence(fr="Choisir un autre endroit.", en="Choose another place."),
        ) from error


def _say_set_aside(recording: Recording, words: Words) -> None:
    for quantity, count in recording.set_aside.items():
        click.echo(f"veilleur: {count} × {quantity}: quantité inconnue, laissée de côté / unknown, set aside", err=True)
    if recording.implausible:
        click.echo(
            f"veilleur: {recording.implausible} × valeur impossible, non jugée / impossible, not judged", err=True
        )
    if recording.naive_at is not None:
        click.echo(f"veilleur: {naive_line(recording.naive_at, words)}", err=True)


def _print_lines(judged: Sequence[Judged]) -> None:
    """One alert a line; of two protocols with the name of each, sorted together."""
    labelled = [(outcome, label(one.protocol)) for one in judged for outcome in one.outcomes]
    for outcome, name in sorted(labelled, key=lambda one: (one[0].patient, one[0].raised_at, one[0].rule)):
        said = line(outcome) | ({"protocol": name} if len(judged) > 1 else {})
        click.echo(json.dumps(said, ensure_ascii=False))


def _print_table(judged: Sequence[Judged], words: Words) -> None:
    several = len(judged) > 1
    rows = [
        (
            *((label(one.protocol),) if several else ()),
            shown["patient"],
            words.of(PRIORITIES[outcome.priority]),
            shown["rule"],
            shown["raised_at"],
            shown["resolved_at"] or "-",
            words.of(outcome.why),
        )
        for one in judged
        for outcome in one.outcomes
        for shown in (line(outcome),)
    ]
    headings = [
        *([words.say("protocole", "protocol")] if several else []),
        "patient",
        words.say("priorité", "priority"),
        words.say("règle", "rule"),
        words.say("déclenchée", "raised"),
        words.say("finie", "resolved"),
        words.say("pourquoi", "why"),
    ]
    click.echo(tabulate(rows, headers=headings))
