"""Alerts and readings for programs: JSON lines, and the recordings that `veilleur backtest` reads.

Times are ISO 8601 in UTC and end in Z.
"""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TextIO

import msgspec
from msgspec import Struct

from alerting.alert import AlertState, Audience, Category, Priority
from coordination.view import AlertView, ReadingView
from devices.reading import JUDGED, Quantity, Unit, Validity, facts, to_value

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Local time must exist too, a day either side of the years that a datetime can have.
_FIRST_MS, _LAST_MS = -62_135_510_400_000, 253_402_214_400_000


class _EvidenceLine(Struct, frozen=True, kw_only=True):
    quantity: Quantity
    value: Decimal
    unit: Unit
    measured_at: str
    received_at: str
    device: str
    key: str


class _Why(Struct, frozen=True, kw_only=True):
    fr: str
    en: str


class _Seen(Struct, frozen=True, kw_only=True):
    by: str
    at: str


class _Told(Struct, frozen=True, kw_only=True):
    audience: Audience
    at: str


class _AlertLine(Struct, frozen=True, kw_only=True):
    patient: str | None
    rule: str
    priority: Priority
    onset: str
    raised_at: str
    resolved_at: str | None
    evidence: tuple[_EvidenceLine, ...]
    why: _Why
    id: str
    change: str
    category: Category
    late: bool
    supersedes: str | None
    superseded_by: str | None
    protocol: str
    protocol_version: int
    protocol_hash: str
    engine_version: str
    box: str
    origin: str
    state: AlertState
    audience: Audience
    told_at: str | None
    due_by: str | None
    suppressed: str | None
    escalated: tuple[_Told, ...]
    acknowledged: _Seen | None


class _ReadingLine(Struct, frozen=True, kw_only=True):
    patient: str
    time: str
    quantity: Quantity
    value: Decimal
    unit: Unit
    validity: Validity
    clock: str
    device: str
    key: str
    box: str
    epoch: str
    seq: int
    received_at: str
    stored_at: str


def moment_of(at: int) -> datetime | None:
    """Return ms UTC as an aware datetime, None outside the years that it can have: a box may send anything."""
    return _EPOCH + timedelta(milliseconds=at) if _FIRST_MS <= at <= _LAST_MS else None


def iso(at: int, *, exact: bool = False) -> str:
    """Return ms UTC as ISO 8601 ending in Z; to the millisecond where it has one, or always when `exact`."""
    moment = moment_of(at)
    if moment is None:
        return f"{at} ms"
    return moment.isoformat(timespec="milliseconds" if exact or at % 1000 else "seconds").replace("+00:00", "Z")


def alert_line(alert: AlertView) -> str:
    """Return one alert as one line of JSON."""
    seen = alert.acknowledgement
    line = _AlertLine(
        patient=alert.patient,
        rule=alert.rule,
        priority=alert.priority,
        onset=iso(alert.onset),
        raised_at=iso(alert.raised_at),
        resolved_at=None if alert.resolved_at is None else iso(alert.resolved_at),
        evidence=tuple(
            _EvidenceLine(
                quantity=item.quantity,
                value=to_value(item.quantity, item.count),
                unit=facts(item.quantity).unit,
                measured_at=iso(item.measured_at),
                received_at=iso(item.received_at),
                device=item.device,
                key=item.key,
            )
            for item in alert.evidence
        ),
        why=_Why(fr=alert.why.fr, en=alert.why.en),
        id=alert.id,
        change=alert.change,
        category=alert.category,
        late=alert.late,
        supersedes=alert.supersedes,
        superseded_by=alert.superseded_by,
        protocol=alert.protocol,
        protocol_version=alert.protocol_version,
        protocol_hash=alert.protocol_hash,
        engine_version=alert.engine_version,
        box=alert.box,
        origin=alert.origin,
        state=alert.state,
        audience=alert.audience,
        told_at=None if alert.told_at is None else iso(alert.told_at),
        due_by=None if alert.due_by is None else iso(alert.due_by),
        suppressed=None if alert.suppressed is None else alert.suppressed.reason.value,
        escalated=tuple(_Told(audience=step.audience, at=iso(step.at)) for step in alert.said.escalated),
        acknowledged=None if seen is None else _Seen(by=seen.by, at=iso(seen.at)),
    )
    return _ENCODER.encode(line).decode()


def reading_line(reading: ReadingView) -> str:
    """Return one reading as one line of JSON."""
    line = _ReadingLine(
        patient=reading.patient,
        time=iso(reading.measured_at),
        quantity=reading.quantity,
        value=reading.value,
        unit=reading.unit,
        validity=reading.validity,
        clock=reading.clock,
        device=reading.device,
        key=reading.key,
        box=reading.box,
        epoch=reading.epoch,
        seq=reading.seq,
        received_at=iso(reading.received_at),
        stored_at=iso(reading.stored_at),
    )
    return _ENCODER.encode(line).decode()


def write_recording(readings: Iterable[ReadingView], file: TextIO) -> int:
    """Write what a threshold may judge as a recording (patient,time,quantity,value,unit); return how many lines.

    A reading that a box sent again under another epoch is written once: (device, key, quantity) is what makes it
    the same.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("patient", "time", "quantity", "value", "unit"))
    written: set[tuple[str, str, str, Quantity]] = set()
    for reading in readings:
        same = (reading.patient, reading.device, reading.key, reading.quantity)
        if reading.validity in JUDGED and same not in written:
            written.add(same)
            at = iso(reading.measured_at, exact=True)
            writer.writerow((reading.patient, at, reading.quantity.value, reading.value, reading.unit.value))
    return len(written)
