"""How far a reading has come, in four stages: measured, kept by the box, received by the team, seen by somebody.

*Seen* is the first time that somebody of the team opened the patient's page with the reading in it: the desk notes who
and when (`PatientView`), once for each time that something new had come.
"""

from dataclasses import dataclass

from django.db.models import Max

from coordination.answers import SOURCE
from coordination.desk.models import Observation, Patient, PatientView, User
from devices.reading import ClockTrust, Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One reading's way: ms UTC of each stage.

    Attributes:
        dated_by_box: whether its time is the box's, since the device's could not be believed.
        read_by: who saw it first, "" for nobody yet.
        chosen: whether somebody asked for this one, and not for the last.
    """

    quantity: Quantity
    count: int
    measured_at: int
    dated_by_box: bool
    kept_at: int
    stored_at: int
    device: str
    box: str
    seq: int
    read_at: int | None
    read_by: str
    chosen: bool


def way_of(patient: Patient, *, quantity: str = "", at: int | None = None) -> Way | None:
    """Return the way of the patient's last reading, or of the one of a quantity measured last at `at` (ms UTC)."""
    readings = Observation.objects.filter(patient=patient).exclude(source=SOURCE).select_related("device", "box")
    chosen = readings.filter(quantity=quantity, t=at).order_by("-stored_at").first() if at is not None else None
    found = chosen or readings.order_by("-t", "-pk").first()
    if found is None:
        return None
    seen = PatientView.objects.filter(patient_id=patient.pk, at__gte=found.stored_at).order_by("at", "pk").first()
    return Way(
        quantity=Quantity(found.quantity),
        count=found.count,
        measured_at=found.t,
        dated_by_box=found.clock == ClockTrust.UNKNOWN.value or found.t == found.received_at,
        kept_at=found.received_at,
        stored_at=found.stored_at,
        device=found.device.name,
        box=found.box.name,
        seq=found.seq,
        read_at=None if seen is None else seen.at,
        read_by="" if seen is None else seen.name,
        chosen=chosen is not None,
    )


def note_view(patient: Patient, user: User, *, now: int) -> None:
    """Note that somebody has the patient's page before them, when something has come since they last had."""
    newest = Observation.objects.filter(patient=patient).aggregate(newest=Max("stored_at"))["newest"]
    last = PatientView.objects.filter(patient_id=patient.pk, user_id=user.pk).aggregate(last=Max("at"))["last"]
    if newest is not None and newest <= now and (last is None or newest > last):
        PatientView.objects.create(patient_id=patient.pk, user_id=user.pk, name=user.name, at=now)
