"""What the team knows of a patient: alerts, devices and their silence, the way of their last reading, their protocol.

Everything is of one team: whoever asks names theirs, and a patient of another is as if there were none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.db import connection
from django.db.models import Max, Min

from alerting.care_protocol import CareProtocol
from alerting.errors import ProtocolError
from alerting.protocol_file import read_protocol
from coordination.desk.models import (
    Alert,
    AlertEvent,
    BoxAssignment,
    BoxStatus,
    DeviceSilence,
    Observation,
    Patient,
    Team,
)
from coordination.desk.patient_charts import Raised
from coordination.desk.worklist import Row, problems_of, waiting_by_patient
from exchange.messages import AlertRecord

HOUR = 3_600_000
SILENT_AFTER = 26 * HOUR
"""A device of which nothing came for so long is shown as silent, when nobody says more often than daily."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device in the home: when it last said something (ms UTC), and whether that is too long ago."""

    name: str
    quantities: tuple[str, ...]
    last_at: int
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxState:
    """The box in the home, as it last said of itself."""

    name: str
    heard_at: int | None
    backlog: int | None
    version: str
    silent_since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How far the last reading has come: ms UTC of each stage; `read_by` is who saw the newest alert, "" for nobody."""

    measured_at: int
    kept_at: int
    stored_at: int
    device: str
    box: str
    read_at: int | None
    read_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A patient in the list: how many problems wait, their gravest priority, and when their last reading was."""

    patient: Patient
    waiting: int
    gravest: int | None
    last_at: int | None
    protocol: str


def patient_of(team: Team, pseudonym: str) -> Patient | None:
    """Return a patient of the team by their pseudonym."""
    return Patient.objects.filter(team=team, pseudonym=pseudonym).first()


def listed(team: Team, search: str) -> list[Listed]:
    """Return the team's patients whose pseudonym contains `search`, those with the gravest problems first."""
    patients = Patient.objects.filter(team=team, pseudonym__icontains=search).order_by("pseudonym")[:500]
    rows = waiting_by_patient(team)
    devices = dict(
        BoxAssignment.objects.filter(patient__in=patients, until=None)
        .annotate(last=Max("box__device__last_data_at"))
        .values_list("patient_id", "last")
    )
    found = []
    for patient in patients:
        number, gravest = rows.get(patient.pk, (0, None))
        newest = Alert.objects.filter(patient=patient).order_by("-raised_at").values_list("protocol", flat=True).first()
        found.append(
            Listed(
                patient=patient,
                waiting=number,
                gravest=gravest,
                last_at=devices.get(patient.pk),
                protocol=newest or "",
            )
        )
    return sorted(found, key=lambda one: (one.gravest or 9, one.patient.pseudonym))


def waiting_of(patient: Patient) -> tuple[Row, ...]:
    """Return the problems of a patient that wait."""
    return problems_of(patient.team, patient=patient)


def history_of(patient: Patient, most: int = 50) -> list[Alert]:
    """Return the patient's alerts, newest first."""
    return list(
        Alert.objects.filter(patient=patient).select_related("alertoutcome").order_by("-raised_at", "-pk")[:most]
    )


def raised_of(alerts: Sequence[Alert]) -> list[Raised]:
    """Return alerts as charts mark them: by the quantity that they rest on."""
    found = []
    for alert in alerts:
        evidence = msgspec.json.decode(alert.record, type=AlertRecord).evidence if alert.record else ()
        found.append(Raised(at=alert.raised_at, quantity=evidence[-1].quantity if evidence else None))
    return found


def protocol_of(patient: Patient) -> tuple[CareProtocol | None, str]:
    """Return the care protocol that the box says it applies, and its hash; None when the team does not know it."""
    name = patient.pseudonym
    status = BoxStatus.objects.filter(box__boxassignment__patient=patient, box__boxassignment__until=None).first()
    applied = "" if status is None else msgspec.json.decode(status.protocols, type=dict[str, str]).get(name, "")
    if not applied:
        newest = Alert.objects.filter(patient=patient, origin="box").order_by("-raised_at").first()
        applied = "" if newest is None else newest.protocol_hash
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM care_protocol WHERE hash = %s", [applied])
        row = cursor.fetchone()
    if row is None:
        return None, applied
    try:
        return read_protocol(row[0].encode(), name_hint=name), applied
    except ProtocolError:
        return None, applied


def devices_of(patient: Patient, now: int) -> list[DeviceState]:
    """Return the devices of whom the patient has readings, those silent for longest first."""
    measured = (
        Observation.objects.filter(patient=patient)
        .values("device__name", "quantity")
        .annotate(last=Max("t"), first=Min("t"))
    )
    by_device: dict[str, list[tuple[str, int]]] = {}
    for row in measured:
        by_device.setdefault(row["device__name"], []).append((row["quantity"], row["last"]))
    found = [
        DeviceState(
            name=name,
            quantities=tuple(sorted(quantity for quantity, _ in rows)),
            last_at=max(at for _, at in rows),
            silent=now - max(at for _, at in rows) > SILENT_AFTER,
        )
        for name, rows in by_device.items()
    ]
    return sorted(found, key=lambda one: one.last_at)


def box_of(patient: Patient) -> BoxState | None:
    """Return the state of the box that transmits for the patient, None without one."""
    assignment = BoxAssignment.objects.filter(patient=patient, until=None).select_related("box").first()
    if assignment is None:
        return None
    box = assignment.box
    status = BoxStatus.objects.filter(box=box).first()
    silence = DeviceSilence.objects.filter(box=box, device=None, until=None).first()
    return BoxState(
        name=box.name,
        heard_at=box.heard_at,
        backlog=None if status is None else status.backlog,
        version="" if status is None else status.version,
        silent_since=None if silence is None else silence.since,
    )


def way_of(patient: Patient) -> Way | None:
    """Return how far the patient's last reading has come, None before there is one."""
    last = Observation.objects.filter(patient=patient).select_related("device", "box").order_by("-t").first()
    if last is None:
        return None
    seen = AlertEvent.objects.filter(alert__patient=patient, epoch="desk").order_by("-created").first()
    by = msgspec.json.decode(seen.content, type=dict[str, object]) if seen is not None else {}
    return Way(
        measured_at=last.t,
        kept_at=last.received_at,
        stored_at=last.stored_at,
        device=last.device.name,
        box=last.box.name,
        read_at=None if seen is None else seen.created,
        read_by=str(by.get("by", "")),
    )
