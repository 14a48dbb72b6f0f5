"""One replay, in a process of its own with little memory and little time: a request in, progress and a result out.

It judges with the engine of the box over the readings that the team has, and reads the database only. What it is asked
comes by standard input (a place may hold a password: it is no argument), what it found leaves by standard output, a
JSON document a line.

What is not here: who asked, and keeping what was found (replay_worker).
"""

import resource
import sys
from collections import Counter
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from alerting.alert import Sentence
from alerting.backtest import AlertOutcome, backtest
from alerting.burden import Watched
from alerting.care_protocol import CareProtocol
from alerting.comparison import compare
from alerting.engine import ENGINE_VERSION
from alerting.history import History
from alerting.protocol_file import check_protocol
from alerting.retention import memory_of
from alerting.trial import trial_of
from coordination.errors import CoordinationError
from coordination.place import place_of
from coordination.replay_result import MOST_ALERTS, ReplayAlert, ReplayResult, ReplaySide
from coordination.replaying import readings_of
from coordination.team_database import ERRORS, as_error, connect_to_read
from devices.reading import ClockTrust, Reading

MEMORY_BYTES = 4 << 30
"""Of addresses: numpy and the kernel reserve far more than they use."""
CPU_S = 300
MOST_READINGS = 1_500_000


class Request(Struct, frozen=True, kw_only=True):
    """What is to be tried; `before` and `after` are resolved protocols, times ms UTC."""

    place: str
    patient: str
    zone: str
    before: str
    after: str
    since: int
    until: int


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the answer: how far it is in thousandths, what it came to, or why it came to nothing."""

    done: int = 0
    result: ReplayResult | None = None
    fault: tuple[str, str] | None = None


def main() -> None:
    """Judge what standard input asks for."""
    _bound()
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        say(Line(done=1000, result=_replayed(request)))
    except CoordinationError as error:
        say(Line(fault=(error.why.fr, error.why.en)))


def say(line: Line) -> None:
    """Write one line to standard output."""
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def _bound() -> None:
    """Take no more memory and processor time than one replay needs; whoever takes more is ended by the system."""
    for kind, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (limit, limit))


def _replayed(request: Request) -> ReplayResult:
    protocols = [_protocol(text) for text in (request.before, request.after) if text]
    zone = ZoneInfo(request.zone)
    before_that = max(memory_of(protocol) for protocol in protocols)
    readings, out_of_time = _readings(request, request.since - before_that)
    first = min((one.measured_at for one in readings), default=request.until)
    since = min(max(request.since, first), request.until)
    watched = Watched(begin=since, end=max(since, request.until), zone=zone)
    sides: list[tuple[ReplaySide, list[AlertOutcome]]] = []
    for protocol in protocols:
        told = _Told(begin=1000 * len(sides) // len(protocols), of=len(protocols))
        sides.append(_side(protocol, request.patient, readings, watched, told))
    differences = compare(sides[0][1], sides[-1][1]) if len(sides) > 1 else []
    after = sides[-1][0]
    return ReplayResult(
        since=since,
        until=request.until,
        readings=len(readings),
        out_of_time=out_of_time,
        days_with=max((one.days_with for one in after.trial.coverage.values() if one.ruled), default=0),
        engine_version=ENGINE_VERSION,
        before=sides[0][0] if len(sides) > 1 else None,
        after=after,
        verdicts={name.value: count for name, count in Counter(one.verdict for one in differences).items()},
    )


def _protocol(text: str) -> CareProtocol:
    protocol = check_protocol(text.encode()).protocol
    if protocol is None:
        raise CoordinationError(
            Sentence(
                fr="Cette version du programme ne lit plus l'un des deux protocoles.",
                en="This version of the program reads one of the two protocols no more.",
            ),
            hint=Sentence(fr="Le préparer de nouveau.", en="Prepare it again."),
        )
    return protocol


def _readings(request: Request, since: int) -> tuple[list[Reading], int]:
    """Return what the engine is given, and how many readings were left out."""
    try:
        connection = connect_to_read(place_of(request.place, Path()))
        try:
            found = readings_of(connection, request.patient, since=since)
        finally:
            connection.close()
    except ERRORS as error:
        raise as_error(error) from error
    if len(found) > MOST_READINGS:
        raise CoordinationError(
            Sentence(
                fr=f"Trop de mesures pour un rejeu ({len(found)}).",
                en=f"Too many readings for a replay ({len(found)}).",
            ),
            hint=Sentence(fr="Choisir une durée plus courte.", en="Choose a shorter time."),
        )
    kept = [one for one in found if one.measured_at <= request.until and one.clock is not ClockTrust.UNKNOWN]
    return kept, len(found) - len(kept)


class _Told:
    """Tells how far one side of the work is: `of` sides, this one from `begin` thousandths on."""

    def __init__(self, *, begin: int, of: int) -> None:
        self._begin, self._of = begin, of
        self._told = -1

    def __call__(self, done: int, total: int) -> None:
        share = min(999, self._begin + 1000 * done // max(1, total) // self._of)
        if share > self._told:
            self._told = share
            say(Line(done=share))


def _side(
    protocol: CareProtocol, patient: str, readings: list[Reading], watched: Watched, told: _Told
) -> tuple[ReplaySide, list[AlertOutcome]]:
    """Judge by one protocol."""
    never: dict[str, frozenset[str]] = {}
    judged = backtest(
        protocol,
        {patient: readings},
        zone=watched.zone,
        since=watched.begin,
        until=watched.end,
        progress=told,
        never_judged=never,
    )
    found = list(judged)
    trial = trial_of(protocol, History.of(patient, readings), found, watched, never.get(patient))
    quantities = {rule.id: rule.quantity for rule in protocol.rules}
    alerts = tuple(
        ReplayAlert(
            rule=one.rule,
            priority=one.priority,
            category=one.category,
            audience=one.audience,
            quantity=quantities[one.rule],
            raised_at=one.raised_at,
            told_at=one.told_at,
            resolved_at=one.resolved_at,
        )
        for one in found
    )
    return ReplaySide(trial=trial, alerts=alerts[-MOST_ALERTS:], left_out=max(0, len(alerts) - MOST_ALERTS)), found


if __name__ == "__main__":
    main()
