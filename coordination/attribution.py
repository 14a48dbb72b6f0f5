"""Whose record it is: the dated assignments decide, never the box alone.

A record of a patient who is not assigned to the box that sent it, or of a time outside the assignment, is kept and
receipted but set apart: showing it as the patient's could show somebody else's. A time that the box does not trust
is judged by when the box had the record, which is what its `measured_at` then says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from devices.reading import Quantity, Unit, facts
from exchange.messages import UNATTRIBUTED, AlertRecord, ObservationRecord, PatientRecord

TO_ATTRIBUTE = "to_attribute"
INBOX_VERSION = "inbox-1"
"""Stands as the engine's version in the alerts that the inbox raises by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamChange:
    """A change that the inbox itself makes to an alert about `box`."""

    box: str
    change: AlertChange


class Reason(StrEnum):
    """Why a record is set apart."""

    BOX = "box"
    """The box itself could not say whose it is."""
    PATIENT = "patient"
    """The patient is not assigned to this box."""
    DATES = "dates"
    """The patient is, but not at that time."""
    UNIT = "unit"
    """The unit is not its quantity's: the value cannot be read safely."""
    ALERT = "alert"
    """Its alert is already known as another patient's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One box given to one patient: from `since`, included, to `until`, excluded (ms UTC); None while it lasts."""

    patient: str
    box: str
    since: int
    until: int | None = None
    time_zone: str

    def holds(self, at: int) -> bool:
        """Return whether it holds at `at` (ms UTC)."""
        return self.since <= at and (self.until is None or at < self.until)


def reason_to_set_apart(record: PatientRecord, box: str, assignments: Sequence[Assignment]) -> Reason | None:
    """Return why a record that `box` sent is not the patient's, or None when it is.

    A technical alert under the box's own id is about the box alone, and nobody's.
    """
    if record.patient == UNATTRIBUTED:
        return Reason.BOX
    if isinstance(record, AlertRecord) and record.category is Category.TECHNICAL and record.patient == box:
        return None
    if isinstance(record, ObservationRecord):
        if record.unit is not facts(record.quantity).unit:
            return Reason.UNIT
        at = record.measured_at
    else:
        at = record.raised_at
    reason = Reason.PATIENT
    for item in assignments:
        if item.patient != record.patient or item.box != box:
            continue
        if item.holds(at):
            return None
        if item.until is None:
            reason = Reason.DATES
    return reason


class Owners:
    """Whose the records of many boxes are, as `reason_to_set_apart` says; quick for streams.

    What one value of a stream was found to be, the next one is at a time of the same assignment.
    """

    def __init__(self, assignments: Mapping[str, Sequence[Assignment]]) -> None:
        """`assignments`: box -> its assignments, past ones included, oldest first."""
        self._assignments = assignments
        self._found: dict[tuple[str, str, Quantity, Unit], Assignment] = {}

    def reason(self, record: PatientRecord, box: str) -> Reason | None:
        """Return why a record that `box` sent is not the patient's, or None when it is."""
        if not isinstance(record, ObservationRecord):
            return reason_to_set_apart(record, box, self._assignments.get(box, ()))
        stream = (box, record.patient, record.quantity, record.unit)
        found = self._found.get(stream)
        if found is not None and found.holds(record.measured_at):
            return None
        assignments = self._assignments.get(box, ())
        reason = reason_to_set_apart(record, box, assignments)
        if reason is None:
            of_patient = (item for item in assignments if item.patient == record.patient and item.box == box)
            self._found[stream] = next(item for item in of_patient if item.holds(record.measured_at))
        return reason


def unassigned(box: str, at: int) -> TeamChange:
    """Return the technical alert, at `at` (ms UTC), that a box sends records of somebody not assigned to it."""
    change = AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=alert_id(patient=box, protocol="", rule=TO_ATTRIBUTE, onset=at),
        patient=box,
        rule=TO_ATTRIBUTE,
        priority=Priority.MEDIUM,
        category=Category.TECHNICAL,
        onset=at,
        raised_at=at,
        resolved_at=None,
        evidence=(),
        why=Sentence(
            fr=f"Le boîtier {box} envoie les relevés d'un patient qui ne lui est pas attribué\u00a0; ils sont gardés à "
            "part\u00a0; à vérifier\u00a0: à qui le boîtier a-t-il été remis, et desk.toml le dit-il\u00a0?",
            en=f"Box {box} sends records of a patient who is not assigned to it; they are kept apart; "
            "to check: who was given the box, and does desk.toml say so?",
        ),
        late=False,
        supersedes=None,
        protocol="",
        protocol_version=0,
        protocol_hash="",
        engine_version=INBOX_VERSION,
    )
    return TeamChange(box=box, change=change)


def assigned(team: TeamChange, at: int) -> TeamChange:
    """Return the end, at `at` (ms UTC), of an alert that `unassigned` made."""
    why = Sentence(
        fr=f"Les relevés que le boîtier {team.box} avait envoyés sont maintenant attribués.",
        en=f"The records that box {team.box} had sent are now assigned.",
    )
    resolved_at = max(at, team.change.raised_at)
    return TeamChange(
        box=team.box, change=replace(team.change, kind=ChangeKind.RESOLVED, resolved_at=resolved_at, why=why)
    )
