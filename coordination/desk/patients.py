"""What the team knows of its patients: the list, one of them, their alerts, their protocol.

Everything is of one team: whoever asks names theirs, and a patient of another is as if there were none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from django.db import connection
from django.db.models import Max

from alerting.care_protocol import CareProtocol
from alerting.errors import ProtocolError
from alerting.protocol_file import read_protocol
from coordination.desk.chart_parts import Raised
from coordination.desk.models import (
    Alert,
    BoxAssignment,
    BoxStatus,
    Patient,
    Team,
)
from coordination.desk.worklist import Row, problems_of
from exchange.messages import AlertRecord


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
    patients = Patient.objects.filter(team=team, pseudonym__icontains=search, ended_at=None).order_by("pseudonym")[:500]
    rows = problems_of(team)
    devices = dict(
        BoxAssignment.objects.filter(patient__in=patients, until=None)
        .annotate(last=Max("box__device__last_data_at"))
        .values_list("patient_id", "last")
    )
    found = []
    for patient in patients:
        theirs = [row for row in rows if row.alert.patient_id == patient.pk]
        newest = Alert.objects.filter(patient=patient).order_by("-raised_at").values_list("protocol", flat=True).first()
        found.append(
            Listed(
                patient=patient,
                waiting=len(theirs),
                gravest=min((row.priority for row in theirs), default=None),
                last_at=devices.get(patient.pk),
                protocol=newest or "",
            )
        )
    return sorted(found, key=lambda one: (one.gravest or 9, one.patient.pseudonym))


def waiting_of(patient: Patient) -> tuple[Row, ...]:
    """Return the problems of a patient that wait."""
    return tuple(row for row in problems_of(patient.team) if row.alert.patient_id == patient.pk)


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
    """Return the care protocol that the box applies, or that the team chose, and its hash; None: it is not known."""
    name = patient.pseudonym
    chosen = patient.followed_by
    status = BoxStatus.objects.filter(box__boxassignment__patient=patient, box__boxassignment__until=None).first()
    applied = "" if status is None else msgspec.json.decode(status.protocols, type=dict[str, str]).get(name, "")
    if not applied:
        newest = Alert.objects.filter(patient=patient, origin="box").order_by("-raised_at").first()
        applied = chosen if newest is None else newest.protocol_hash
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM care_protocol WHERE hash = %s", [applied])
        row = cursor.fetchone()
    if row is None:
        return None, applied
    return _read(applied, row[0]), applied


@lru_cache(maxsize=256)
def _read(_hash: str, text: str) -> CareProtocol | None:
    """Return a protocol as it is kept; what has a hash never changes, so that it is read once."""
    try:
        return read_protocol(text.encode(), name_hint="care_protocol")
    except ProtocolError:
        return None
