"""What a patient is handed of their own data (GDPR articles 15 and 20): one archive that people and programs read.

`readings.csv` and `alerts.csv` open in a spreadsheet; `patient.json` holds everything else, in one machine-readable
text; `LISEZMOI-README.txt` says what is in it. Times are ISO 8601 in UTC, values in the canonical unit (UCUM).

Not here: who may hand it over, and the entry of that in the record of acts (the desk).
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import IO, Any

import msgspec

from coordination.identity_vault import Person
from coordination.lines import iso
from coordination.sql import Sql
from devices.reading import Quantity, to_value

_ABOUT = """\
VEILLEUR : vos données de télésurveillance / your telemonitoring data

patient.json   qui vous êtes, vos consentements, vos boîtiers, vos protocoles / who you are, what you agreed to,
               your boxes, your protocols
readings.csv   chaque mesure : quand, quoi, combien, avec quel appareil / each reading: when, what, how much, by what
alerts.csv     chaque alerte, ce qui a été dit et fait / each alert, what was said and done

Heures en temps universel (Z). Unités : UCUM. / Times are universal (Z). Units: UCUM.
Droits d'accès et à la portabilité : RGPD, articles 15 et 20. / Access and portability: GDPR, articles 15 and 20.
"""
_READINGS = ("measured_at", "quantity", "value", "unit", "validity", "clock", "device", "received_at", "box")
_ALERTS = (
    "raised_at", "resolved_at", "rule", "priority", "category", "text_fr", "text_en", "protocol", "protocol_version",
    "state", "outcome", "outcome_by", "outcome_at",
)  # fmt: skip
_STATES = ("new", "taken", "closed")


def write_export(
    connection: Sql,
    patient: int,
    *,
    person: Person | None,
    consents: Iterable[Mapping[str, Any]],
    file: IO[bytes],
    at: int,
) -> int:
    """Write the archive of a patient; return how many readings are in it.

    Args:
        connection: of the team's database.
        patient: their row.
        person: who they are, None when nobody wrote it down.
        consents: what they agreed to, as plain values.
        file: to write to.
        at: ms UTC.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("LISEZMOI-README.txt", _ABOUT)
        about = _about(connection, patient, at)
        about["identity"] = None if person is None else msgspec.to_builtins(person)
        about["consents"] = list(consents)
        archive.writestr("patient.json", msgspec.json.format(msgspec.json.encode(about), indent=2))
        with archive.open("readings.csv", "w", force_zip64=True) as raw:
            count = _table(raw, _READINGS, _readings(connection, patient))
        with archive.open("alerts.csv", "w", force_zip64=True) as raw:
            _table(raw, _ALERTS, _alerts(connection, patient))
    return count


def _table(raw: IO[bytes], head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> int:
    text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - counted after
        writer.writerow(map(_plain, row))
    text.flush()
    text.detach()
    return count


def _plain(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula (a box names its devices as it likes)."""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return "" if value is None else value


def _about(connection: Sql, patient: int, at: int) -> dict[str, Any]:
    pseudonym, zone, created, ended = connection.execute(
        "SELECT pseudonym, time_zone, begun_at, ended_at FROM patient WHERE id = ?", (patient,)
    ).fetchone()
    boxes = connection.execute(
        'SELECT box.name, "from", "to" FROM box_assignment JOIN box ON box.id = box_id WHERE patient_id = ?'
        ' ORDER BY "from"',
        (patient,),
    ).fetchall()
    protocols = connection.execute(
        "SELECT hash, text FROM care_protocol WHERE hash IN (SELECT followed_by FROM patient WHERE id = ?"
        " UNION SELECT protocol_hash FROM alert WHERE patient_id = ?) ORDER BY hash",
        (patient, patient),
    ).fetchall()
    return {
        "format": "veilleur patient export 1",
        "made_at": iso(at),
        "pseudonym": pseudonym,
        "time_zone": zone,
        "followed_since": iso(created) if created else None,
        "follow_up_ended": None if ended is None else iso(ended),
        "boxes": [
            {"box": box, "from": iso(since), "to": None if until is None else iso(until)} for box, since, until in boxes
        ],
        "protocols": [{"sha256": found, "text": text} for found, text in protocols],
    }


def _readings(connection: Sql, patient: int) -> Iterable[tuple[object, ...]]:
    rows = connection.execute(
        "SELECT t, quantity, count, unit, validity, clock, device.name, received_at, box.name FROM observation"
        " JOIN device ON device.id = device_id JOIN box ON box.id = observation.box_id"
        " WHERE patient_id = ? ORDER BY t, observation.id",
        (patient,),
    )
    for t, quantity, count, unit, validity, clock, device, received_at, box in rows:
        value = to_value(Quantity(quantity), count)
        yield iso(t), quantity, str(value), unit, validity, clock, device, iso(received_at), box


def _alerts(connection: Sql, patient: int) -> Iterable[tuple[object, ...]]:
    rows = connection.execute(
        "SELECT raised_at, resolved_at, rule_id, prio, category, text_fr, text_en, protocol, protocol_version, state,"
        " outcome, person, at FROM alert LEFT JOIN alert_outcome ON alert_id = alert.id"
        " WHERE patient_id = ? ORDER BY raised_at, alert.id",
        (patient,),
    )
    for raised, resolved, rule, prio, category, fr, en, protocol, version, state, outcome, person, when in rows:
        priority = ("high", "medium", "low")[prio - 1]
        ended = None if resolved is None else iso(resolved)
        closed = None if when is None else iso(when)
        yield (
            iso(raised),
            ended,
            rule,
            priority,
            category,
            fr,
            en,
            protocol,
            version,
            _STATES[state],
            outcome,
            person,
            closed,
        )
