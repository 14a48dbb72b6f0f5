"""An alert judged again from what the team has: the protocol whose hash it names, and the patient's readings.

It is for whoever must show afterwards what raised an alert. The protocol is kept for good by its hash; the engine is
the one of the box. What the box judged and the team never received would show as a difference.

What is not here: judging (alerting.backtest).
"""

from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from alerting.alert import AlertChange, ChangeKind, Sentence
from alerting.backtest import AlertOutcome, backtest
from alerting.engine import ENGINE_VERSION
from alerting.protocol_file import check_protocol
from coordination.acknowledging import named
from coordination.errors import CoordinationError
from coordination.kept_readings import COLUMNS, reading_of
from coordination.place import Place
from coordination.sql import Sql
from coordination.team_database import ERRORS, as_error, connect_to_read
from devices.reading import Reading
from exchange.messages import AlertRecord, alert_change


class Verdict(StrEnum):
    """What judging again came to."""

    SAME = "same"
    """The same alert: rule, onset, readings, and when it was raised."""
    SAME_RAISED_LATER = "same_raised_later"
    """The same alert, told later than it would have been: its protocol was applied, or its readings came, later."""
    DIFFERENT = "different"
    """An alert of that id, from other readings."""
    ABSENT = "absent"
    """No such alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One alert judged again.

    Attributes:
        alert: as its box told it.
        again: as it comes out now, None when it does not.
        verdict: how the two compare.
        readings: how many of the patient's readings were judged.
        engine_version: of the engine that judged again; the alert names its own.
    """

    alert: AlertChange
    again: AlertOutcome | None
    verdict: Verdict
    readings: int
    engine_version: str = ENGINE_VERSION


def replay(database: Place, alert: str) -> Replayed:
    """Judge again the alert whose id begins with `alert`.

    Raises:
        CoordinationError: no such alert, one of no care protocol, or a protocol that the team does not have.
        DatabaseUnusableError, DatabaseBusyError: see `team_database`.
    """
    connection = connect_to_read(database)
    try:
        whole = named(connection, alert)
        told = _first_told(connection, whole)
        text = connection.execute("SELECT text FROM care_protocol WHERE hash = ?", (told.protocol_hash,)).fetchone()
        protocol = None if text is None else check_protocol(text[0].encode()).protocol
        if protocol is None or protocol.protocol_hash != told.protocol_hash:
            raise _no_protocol(told.protocol_hash)
        zone, since = _watched(connection, told)
        readings = readings_of(connection, told.patient)
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()
    until = max([told.resolved_at or 0, told.raised_at, *(one.measured_at for one in readings)])
    found = backtest(protocol, {told.patient: readings}, zone=ZoneInfo(zone), since=since, until=until)
    again = next((one for one in found if one.alert_id == whole), None)
    return Replayed(alert=told, again=again, verdict=_verdict(told, again), readings=len(readings))


def _verdict(told: AlertChange, again: AlertOutcome | None) -> Verdict:
    if again is None:
        return Verdict.ABSENT
    if (told.rule, told.onset, told.evidence) != (again.rule, again.onset, again.evidence):
        return Verdict.DIFFERENT
    if told.raised_at > again.raised_at:
        return Verdict.SAME_RAISED_LATER
    return Verdict.SAME if told.raised_at == again.raised_at else Verdict.DIFFERENT


def _watched(connection: Sql, told: AlertChange) -> tuple[str, int]:
    """Return a patient's time zone, and since when they were watched: by the team itself, or by their first box."""
    row = connection.execute(
        "SELECT time_zone, since FROM self_report JOIN patient ON patient.id = patient_id"
        " WHERE pseudonym = ? AND protocol_hash = ? AND since IS NOT NULL",
        (told.patient, told.protocol_hash),
    ).fetchone()
    if row is None:
        row = connection.execute(
            'SELECT time_zone, min("from") FROM patient JOIN box_assignment ON patient.id = patient_id'
            " WHERE pseudonym = ? GROUP BY time_zone",
            (told.patient,),
        ).fetchone()
    return str(row[0]), int(row[1])


_RAISING = (ChangeKind.RAISED.value, ChangeKind.ADDED.value, ChangeKind.REVISED.value)


def _first_told(connection: Sql, alert: str) -> AlertChange:
    """Return an alert as it was when it was told first."""
    row = connection.execute(
        "SELECT content FROM alert_event JOIN alert ON alert.id = alert_id WHERE alert_id = ? AND alert.protocol <> ''"
        " AND alert_event.kind IN (?, ?, ?) ORDER BY created, seq LIMIT 1",
        (alert, *_RAISING),
    ).fetchone()
    if row is None:
        raise CoordinationError(
            Sentence(
                fr=f"L'alerte '{alert[:8]}' ne vient pas d'un protocole de soins.",
                en=f"The alert '{alert[:8]}' is of no care protocol.",
            ),
            hint=Sentence(
                fr="Seules celles d'un protocole se rejouent.", en="Only those of a protocol can be judged again."
            ),
        )
    return alert_change(msgspec.json.decode(row[0], type=AlertRecord))


def readings_of(connection: Sql, patient: str, *, since: int = -(2**53), until: int = 2**53) -> list[Reading]:
    """Return every reading of a patient once, as the box judged it: those measured from `since` to `until`, ms UTC."""
    found: dict[tuple[str, str, str], Reading] = {}
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM observation JOIN device ON device.id = device_id"  # noqa: S608 - its own columns
        " JOIN patient ON patient.id = patient_id WHERE pseudonym = ? AND t BETWEEN ? AND ? ORDER BY observation.id",
        (patient, since, until),
    )
    for reading in map(reading_of, rows):
        # A box may have sent it again under another epoch.
        found.setdefault((reading.device, reading.key, reading.quantity), reading)
    return list(found.values())


def _no_protocol(protocol_hash: str) -> CoordinationError:
    return CoordinationError(
        Sentence(
            fr=f"Le protocole {protocol_hash[:12]} de cette alerte n'est pas dans la base de l'équipe.",
            en=f"The protocol {protocol_hash[:12]} of this alert is not in the team's database.",
        ),
        hint=Sentence(
            fr="Il y entre quand desk.toml le nomme, ou quand il est envoyé par « veilleur-desk send ».",
            en="It gets there when desk.toml names it, or when 'veilleur-desk send' sends it.",
        ),
    )
