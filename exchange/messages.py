"""What a box and its team say to each other, before sealing and after opening.

Everything here crosses the wire: msgspec Structs, unknown fields refused, lengths bounded. A schema number in
the envelope's header says which of these shapes the content has; readers keep understanding older ones.

Values travel as integer counts of their quantity's quantum, with the unit beside them; times as ms UTC.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from alerting.alert import (
    AlertChange,
    Audience,
    Category,
    ChangeKind,
    Escalation,
    Evidence,
    Finding,
    Outcome,
    Priority,
    Reason,
    Sentence,
    Similar,
    Suppression,
)
from devices.reading import ClockTrust, Provenance, Quality, Quantity, Reading, Unit, Validity, facts
from exchange.audit_chain import CheckpointRecord
from exchange.box_records import CanaryRecord, ClockCorrection
from exchange.gaps import GapRecord

SCHEMA = 3
"""2: an alert says whom it is for, whether it is told, and what it rests on. 3: more kinds of record."""
MAX_RECORDS = 600
"""Records in one envelope."""

UNATTRIBUTED = "to-be-attributed"
"""Stands in for a pseudonym when the box cannot say whose a record is: measured before its device was given."""

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Key = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=1000)]
AlertId = Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
Milliseconds = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Count = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class ObservationRecord(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, gc=False, tag="observation"
):
    """One Reading of one patient; no cycle can run through it, so the collector of cycles looks at none."""

    patient: Name
    quantity: Quantity
    count: Count
    unit: Unit
    validity: Validity
    measured_at: Milliseconds
    clock: ClockTrust
    received_at: Milliseconds
    device: Key
    key: Key
    quality: Annotated[int, Meta(ge=0, le=2**31)]
    source: Name
    device_value: Annotated[str, Meta(max_length=64)] | None
    device_unit: Unit
    device_time: Annotated[str, Meta(max_length=40)] | None
    frame: Annotated[bytes, Meta(max_length=512)]
    user: Annotated[int, Meta(ge=0, le=255)] | None = None
    site: Annotated[str, Meta(max_length=40)] | None = None


class EvidenceItem(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One reading that an alert rests on, or shows beside."""

    quantity: Quantity
    count: Count
    measured_at: Milliseconds
    received_at: Milliseconds
    device: Key
    key: Key
    quality: Annotated[int, Meta(ge=0, le=2**31)] = 0


class Said(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One sentence in both languages."""

    fr: Text
    en: Text


class FindingItem(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The numbers of an alert: `alerting.alert.Finding`."""

    measure: Annotated[str, Meta(max_length=32)] = ""
    value: Count | None = None
    threshold: Count | None = None
    baseline: Count | None = None
    readings: Count = 0
    span: Milliseconds = 0


class SimilarItem(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The last alert of the same rule."""

    alert_id: AlertId
    raised_at: Milliseconds
    outcome: Outcome | None


class SuppressionItem(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why an alert that stands is not told."""

    reason: Reason
    since: Milliseconds
    until: Milliseconds | None
    by: Annotated[str, Meta(max_length=128)]


class EscalationItem(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom else an alert was told, and when."""

    at: Milliseconds
    audience: Audience


class AlertRecord(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag="alert"):
    """One `AlertChange`."""

    kind: ChangeKind
    alert_id: AlertId
    patient: Name
    rule: Name
    priority: Priority
    category: Category
    onset: Milliseconds
    raised_at: Milliseconds
    resolved_at: Milliseconds | None
    evidence: Annotated[tuple[EvidenceItem, ...], Meta(max_length=64)]
    fr: Text
    en: Text
    late: bool
    supersedes: AlertId | None
    protocol: Annotated[str, Meta(max_length=64)]
    protocol_version: Annotated[int, Meta(ge=0, le=2**53)]
    protocol_hash: Annotated[str, Meta(max_length=64)]
    engine_version: Annotated[str, Meta(max_length=32)]
    audience: Audience = Audience.NURSE
    due_by: Milliseconds | None = None
    check: Said | None = None
    finding: FindingItem = FindingItem()
    recent: Annotated[tuple[EvidenceItem, ...], Meta(max_length=64)] = ()
    signals: Annotated[tuple[EvidenceItem, ...], Meta(max_length=64)] = ()
    higher: Said | None = None
    lacking: Said | None = None
    similar: SimilarItem | None = None
    suppressed: SuppressionItem | None = None
    improving: bool = False
    told_at: Milliseconds | None = None
    escalated: Annotated[tuple[EscalationItem, ...], Meta(max_length=24)] = ()


def is_by_arrival(record: ObservationRecord) -> bool:
    """Return whether a reading is dated by when the box received it, and not by its device."""
    return record.clock is ClockTrust.UNKNOWN or record.measured_at == record.received_at


PatientRecord = ObservationRecord | AlertRecord
"""What is about one patient, or about the box alone under the box's own id."""
Record = PatientRecord | ClockCorrection | CanaryRecord | CheckpointRecord | GapRecord


class Status(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a box says about itself: signed, not sealed, and without any health data.

    Attributes:
        state: "online" (birth and heartbeat) or "offline" (the will, given to the broker at connect).
        box: the box's id.
        epoch: 32 hexadecimal digits, renewed whenever the box's database is opened; see `lineage`.
        session: 32 hexadecimal digits, one per connection: a stale will cannot mask a newer birth.
        next_seq: the sequence number that the next record will carry.
        backlog: records kept and not receipted.
        version: of the software.
        protocols: pseudonym -> hash of the protocol applied.
        at: ms UTC by the box's clock.
    """

    state: str
    box: Name
    epoch: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    session: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    next_seq: Annotated[int, Meta(ge=0, le=2**53)]
    backlog: Annotated[int, Meta(ge=0, le=2**53)]
    version: Name
    protocols: dict[str, str]
    at: Milliseconds


class Range(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """Sequence numbers from `first` to `last`, both included."""

    first: Annotated[int, Meta(ge=0, le=2**53)]
    last: Annotated[int, Meta(ge=0, le=2**53)]


class Content(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an envelope holds: records in order; the first carries the header's first sequence number."""

    records: Annotated[tuple[Record, ...], Meta(min_length=1, max_length=MAX_RECORDS)]


def lineage(epoch: str) -> str:
    """Return what the epochs of one database have in common: their first 16 hexadecimal digits.

    Within it sequence numbers go on from one epoch to the next; a database that was created anew, or found to be set
    back, has another one.
    """
    return epoch[:16]


def observation(patient: str, reading: Reading) -> ObservationRecord:
    """Return a Reading as it travels."""
    origin = reading.provenance
    return ObservationRecord(
        patient=patient,
        quantity=reading.quantity,
        count=reading.count,
        unit=reading.unit,
        validity=reading.validity,
        measured_at=reading.measured_at,
        clock=reading.clock,
        received_at=reading.received_at,
        device=reading.device,
        key=reading.key,
        quality=int(reading.quality),
        source=origin.source,
        device_value=origin.value,
        device_unit=origin.unit,
        device_time=origin.device_time,
        user=origin.user,
        site=origin.site,
        frame=origin.frame,
    )


def reading(record: ObservationRecord) -> Reading:
    """Return the Reading that travelled.

    Raises:
        msgspec.ValidationError: the unit is not the quantity's canonical one.
    """
    if record.unit is not facts(record.quantity).unit:
        raise msgspec.ValidationError(f"{record.quantity} cannot travel in {record.unit}")
    return Reading(
        quantity=record.quantity,
        count=record.count,
        validity=record.validity,
        measured_at=record.measured_at,
        clock=record.clock,
        received_at=record.received_at,
        device=record.device,
        key=record.key,
        quality=Quality(record.quality),
        provenance=Provenance(
            source=record.source,
            value=record.device_value,
            unit=record.device_unit,
            frame=record.frame,
            device_time=record.device_time,
            user=record.user,
            site=record.site,
        ),
    )


def alert(change: AlertChange) -> AlertRecord:
    """Return an alert change as it travels."""
    similar, held = change.similar, change.suppressed
    return AlertRecord(
        kind=change.kind,
        alert_id=change.alert_id,
        patient=change.patient,
        rule=change.rule,
        priority=change.priority,
        category=change.category,
        onset=change.onset,
        raised_at=change.raised_at,
        resolved_at=change.resolved_at,
        evidence=_items(change.evidence),
        fr=change.why.fr,
        en=change.why.en,
        late=change.late,
        supersedes=change.supersedes,
        protocol=change.protocol,
        protocol_version=change.protocol_version,
        protocol_hash=change.protocol_hash,
        engine_version=change.engine_version,
        audience=change.audience,
        due_by=change.due_by,
        check=_said(change.check if change.check.fr else None),
        finding=FindingItem(**{name: getattr(change.finding, name) for name in FindingItem.__struct_fields__}),
        recent=_items(change.recent),
        signals=_items(change.signals),
        higher=_said(change.higher),
        lacking=_said(change.lacking),
        similar=None
        if similar is None
        else SimilarItem(alert_id=similar.alert_id, raised_at=similar.raised_at, outcome=similar.outcome),
        suppressed=None
        if held is None
        else SuppressionItem(reason=held.reason, since=held.since, until=held.until, by=held.by),
        improving=change.improving,
        told_at=change.told_at,
        escalated=tuple(EscalationItem(at=one.at, audience=one.audience) for one in change.escalated),
    )


def alert_change(record: AlertRecord) -> AlertChange:
    """Return the alert change that travelled."""
    similar, held = record.similar, record.suppressed
    return AlertChange(
        kind=record.kind,
        alert_id=record.alert_id,
        patient=record.patient,
        rule=record.rule,
        priority=record.priority,
        category=record.category,
        onset=record.onset,
        raised_at=record.raised_at,
        resolved_at=record.resolved_at,
        evidence=_evidence(record.evidence),
        why=Sentence(fr=record.fr, en=record.en),
        late=record.late,
        supersedes=record.supersedes,
        protocol=record.protocol,
        protocol_version=record.protocol_version,
        protocol_hash=record.protocol_hash,
        engine_version=record.engine_version,
        audience=record.audience,
        due_by=record.due_by,
        check=_sentence(record.check) or Sentence(fr="", en=""),
        finding=Finding(**{name: getattr(record.finding, name) for name in FindingItem.__struct_fields__}),
        recent=_evidence(record.recent),
        signals=_evidence(record.signals),
        higher=_sentence(record.higher),
        lacking=_sentence(record.lacking),
        similar=None
        if similar is None
        else Similar(alert_id=similar.alert_id, raised_at=similar.raised_at, outcome=similar.outcome),
        suppressed=None
        if held is None
        else Suppression(reason=held.reason, since=held.since, until=held.until, by=held.by),
        improving=record.improving,
        told_at=record.told_at,
        escalated=tuple(Escalation(at=one.at, audience=one.audience) for one in record.escalated),
    )


def _items(evidence: tuple[Evidence, ...]) -> tuple[EvidenceItem, ...]:
    return tuple(
        EvidenceItem(
            quantity=item.quantity,
            count=item.count,
            measured_at=item.measured_at,
            received_at=item.received_at,
            device=item.device,
            key=item.key,
            quality=item.quality,
        )
        for item in evidence
    )


def _evidence(items: tuple[EvidenceItem, ...]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            quantity=item.quantity,
            count=item.count,
            measured_at=item.measured_at,
            received_at=item.received_at,
            device=item.device,
            key=item.key,
            quality=item.quality,
        )
        for item in items
    )


def _said(sentence: Sentence | None) -> Said | None:
    return None if sentence is None else Said(fr=sentence.fr, en=sentence.en)


def _sentence(said: Said | None) -> Sentence | None:
    return None if said is None else Sentence(fr=said.fr, en=said.en)
