"""What the team knows of its patients: the list, one of them, their alerts, their protocol.

Everything is of one team: whoever asks names theirs, and a patient of another is as if there were none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from django.db import connection
from django.db.models import OuterRef, Subquery

from alerting.care_protocol import CareProtocol
from alerting.errors import ProtocolError
from alerting.protocol_file import read_protocol
from coordination.desk.chart_parts import Raised
from coordination.desk.models import (
    Alert,
    BoxStatus,
    Observation,
    Patient,
    Team,
)
from coordination.desk.pages import said
from coordination.desk.worklist import Row, problems_of, waiting_by_patient
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


def listed(team: Team, search: str, *, silent_first: bool = False) -> list[Listed]:
    """Return the team's patients whose pseudonym contains `search`.

    Those with the gravest problems come first; `silent_first`: those of whom the last data is oldest.
    """
    last = Observation.objects.filter(patient=OuterRef("pk")).order_by("-t").values("t")[:1]
    of_box = Alert.objects.filter(patient=OuterRef("pk"), origin="box").exclude(protocol="").order_by("-raised_at")
    patients = (
        Patient.objects.filter(team=team, pseudonym__icontains=search, ended_at=None)
        .annotate(
            last_at=Subquery(last),
            protocol=Subquery(of_box.values("protocol")[:1]),
            judged_by=Subquery(of_box.values("protocol_hash")[:1]),
        )
        .order_by("pseudonym")[:500]
    )
    titles = _titles({one for patient in patients for one in (patient.followed_by, patient.judged_by or "")})
    rows = waiting_by_patient(team)
    found = [
        Listed(
            patient=patient,
            waiting=rows.get(patient.pk, (0, None))[0],
            gravest=rows.get(patient.pk, (0, None))[1],
            last_at=patient.last_at,
            protocol=titles.get(patient.judged_by) or titles.get(patient.followed_by) or patient.protocol or "",
        )
        for patient in patients
    ]
    if silent_first:
        return sorted(found, key=lambda one: (one.last_at or 0, one.patient.pseudonym))
    return sorted(found, key=lambda one: (one.gravest or 9, one.patient.pseudonym))


def _titles(hashes: set[str]) -> dict[str, str]:
    """Return what the protocols of these hashes are for, in words."""
    found = {}
    for chosen in hashes - {""}:
        protocol = _kept(chosen)
        if protocol is not None:
            found[chosen] = said(protocol.title)
    return found


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
    """Return the care protocol that the box applies, or that the team chose, and its hash; None: it is not known."""
    name = patient.pseudonym
    chosen = patient.followed_by
    status = BoxStatus.objects.filter(box__boxassignment__patient=patient, box__boxassignment__until=None).first()
    applied = "" if status is None else msgspec.json.decode(status.protocols, type=dict[str, str]).get(name, "")
    if not applied:
        newest = Alert.objects.filter(patient=patient, origin="box").order_by("-raised_at").first()
        applied = chosen if newest is None else newest.protocol_hash
    return _kept(applied), applied


def _kept(chosen: str) -> CareProtocol | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM care_protocol WHERE hash = %s", [chosen])
        row = cursor.fetchone()
    return None if row is None else _read(chosen, row[0])


@lru_cache(maxsize=256)
def _read(_hash: str, text: str) -> CareProtocol | None:
    """Return a protocol as it is kept; what has a hash never changes, so that it is read once."""
    try:
        return read_protocol(text.encode(), name_hint="care_protocol")
    except ProtocolError:
        return None
