"""Alerts as HL7 has them: what was found (DetectedIssue), who looks after it (Task), who was told (Communication).

The three carry the alert's own id. What they rest on is referred to where the team has it, and said in words and
numbers beside, so that an alert whose readings are still on their way is whole all the same.
"""

from collections.abc import Sequence

import msgspec
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest

from alerting.alert import Category, ChangeKind
from coordination.desk.fhir.codes import PRESSURES, code_of
from coordination.desk.fhir.words import (
    ALERT,
    AUDIENCE,
    CATEGORY,
    HELD,
    OUTCOME,
    RULE,
    USER,
    Resource,
    coding,
    concept,
    extension,
    moment,
    moment_or_none,
    part,
    reference,
    translated,
    whole,
)
from coordination.desk.models import Alert, AlertAct, AlertEvent, Observation, Team
from coordination.handling import CLOSED, NEW, TAKEN
from coordination.sql_alerts import PERSON
from devices.reading import facts, to_value
from exchange.messages import AlertRecord, EvidenceItem

SEVERITY = {1: "high", 2: "moderate", 3: "low"}
PRIORITY = {1: "asap", 2: "urgent", 3: "routine"}
TASK_STATE = {NEW: "requested", TAKEN: "in-progress", CLOSED: "completed"}

_Found = dict[tuple[int, int, str, str, int], Observation]
"""Patient, time, quantity, device and count -> the reading."""


def rows_of(team: Team) -> QuerySet[Alert]:
    """Return the alerts of a team, with `updated`, `known` and `seen`.

    All ms UTC: when something was last said of it, when the team first knew of it, and when somebody first saw it (None
    for nobody).
    """
    events = AlertEvent.objects.filter(alert=OuterRef("pk"))
    acts = AlertAct.objects.filter(alert=OuterRef("pk")).order_by("-at").values("at")[:1]
    last, first = (events.order_by(order).values("stored_at")[:1] for order in ("-stored_at", "stored_at"))
    seen = AlertEvent.objects.filter(alert=OuterRef("pk"), kind="acknowledged", epoch=PERSON)
    return (
        Alert.objects.filter(team=team)
        .annotate(
            updated=Greatest(
                Coalesce(Subquery(last), 0),
                Coalesce(Subquery(acts), 0),
                Coalesce("alertoutcome__at", 0),
                Coalesce("taken_at", 0),
            ),
            known=Coalesce(Subquery(first), "raised_at"),
            seen=Subquery(seen.order_by("created").values("created")[:1]),
        )
        .select_related("patient", "box", "alertoutcome")
    )


def task_status(status: str) -> Q:
    """Return which alerts have a Task of this status."""
    taken_back = Q(kind=ChangeKind.RETRACTED.value)
    if status == "cancelled":
        return taken_back & Q(state__lt=CLOSED)
    held = Q(told_at=None)
    if status == "draft":
        return ~taken_back & held & Q(state=NEW)
    for state, name in TASK_STATE.items():
        if name == status and state == CLOSED:
            return Q(state=CLOSED)
        if name == status:
            return Q(state=state) & ~taken_back & (~held if state == NEW else Q())
    return Q(pk__in=())


def communication_status(status: str) -> Q:
    """Return which alerts have a Communication of this status."""
    known = {
        "completed": Q(told_at__isnull=False),
        "on-hold": Q(told_at=None, resolved_at=None),
        "not-done": Q(told_at=None, resolved_at__isnull=False),
    }
    return known.get(status, Q(pk__in=()))


def issues(rows: Sequence[Alert]) -> list[Resource]:
    """Return the DetectedIssue of each alert."""
    records = [record_of(row) for row in rows]
    found = _readings(rows, records)
    return [_issue(row, record, found) for row, record in zip(rows, records, strict=True)]


def record_of(row: Alert) -> AlertRecord | None:
    """Return the alert's last change as it travelled, None of one from before that was kept."""
    return msgspec.json.decode(row.record, type=AlertRecord) if row.record else None


def _issue(row: Alert, record: AlertRecord | None, found: _Found) -> Resource:
    zone = _zone(row)
    evidence = () if record is None else record.evidence
    return {
        "resourceType": "DetectedIssue",
        "id": row.pk,
        "language": "fr",
        "extension": [
            extension("category", valueCode=row.category),
            extension("onset", valueDateTime=moment(row.onset, zone)),
            *([] if row.resolved_at is None else [extension("resolved", valueDateTime=moment(row.resolved_at, zone))]),
            extension("late", valueBoolean=bool(row.late)),
            *_protocol(row),
            *([] if record is None or record.higher is None else [_said("not-higher-because", record.higher)]),
            *([] if row.supersedes is None else [_superseded(row.supersedes)]),
        ],
        "identifier": [{"system": ALERT, "value": row.pk}],
        "status": _issue_status(row),
        "code": concept(coding(RULE, row.rule_id), coding(CATEGORY, row.category)),
        "severity": SEVERITY[row.prio],
        "patient": None if row.patient is None else reference("Patient", row.patient.pseudonym),
        "identifiedDateTime": moment(row.raised_at, zone),
        "author": reference("Device", f"box.{row.box.name}")
        if row.origin == "box"
        else {"display": f"veilleur-desk {row.engine_version}"},
        "implicated": [reference("Device", f"box.{row.box.name}")]
        if row.category == Category.TECHNICAL.value
        else None,
        "evidence": [_evidence(row, item, found) for item in evidence],
        "detail": row.text_fr,
        "_detail": translated(row.text_en),
    }


def _issue_status(row: Alert) -> str:
    if row.kind == ChangeKind.RETRACTED.value:
        return "entered-in-error"
    return "preliminary" if row.resolved_at is None else "final"


def _protocol(row: Alert) -> list[Resource]:
    if not row.protocol:
        return []
    return [
        whole(
            "protocol",
            (
                part("name", valueString=row.protocol),
                part("version", valueInteger=row.protocol_version),
                part("sha256", valueString=row.protocol_hash or None),
                part("engine", valueString=row.engine_version or None),
            ),
        )
    ]


def _superseded(alert: str) -> Resource:
    return extension("supersedes", valueReference=reference("DetectedIssue", alert))


def _said(name: str, words: object) -> Resource:
    return extension(name, valueString=str(getattr(words, "fr", "")))


def _evidence(row: Alert, item: EvidenceItem, found: _Found) -> Resource:
    code = code_of(item.quantity)
    value = f"{to_value(item.quantity, item.count)} {facts(item.quantity).unit.value}"
    reading = found.get(_place(row, item))
    return {
        "extension": [extension("measured", valueDateTime=moment(item.measured_at, _zone(row)))],
        "code": [{**code, "text": f"{code['text']} : {value}"}],
        "detail": None if reading is None else [reference("Observation", reading.pk)],
    }


def _place(row: Alert, item: EvidenceItem) -> tuple[int, int, str, str, int]:
    return row.patient_id or 0, item.measured_at, item.quantity.value, item.device, item.count


def _readings(rows: Sequence[Alert], records: Sequence[AlertRecord | None]) -> _Found:
    """Return the readings that the alerts rest on, as far as the team has them; a pressure's is its panel's row."""
    wanted = {
        _place(row, item)
        for row, record in zip(rows, records, strict=True)
        if record is not None
        for item in record.evidence
    }
    if not wanted:
        return {}
    rows_there = Observation.objects.filter(
        patient__in={patient for patient, *_ in wanted}, t__in={at for _, at, *_ in wanted}
    ).select_related("device")
    all_there = list(rows_there.order_by("-pk"))
    systolic = {
        (one.patient_id, one.device_id, one.t, one.key): one for one in all_there if one.quantity == PRESSURES[0].value
    }
    others = {quantity.value for quantity in PRESSURES[1:]}
    found: _Found = {}
    for one in all_there:
        place = (one.patient_id, one.t, one.quantity, one.device.name, one.count)
        if place in wanted:
            head = systolic.get((one.patient_id, one.device_id, one.t, one.key)) if one.quantity in others else None
            found[place] = head or one
    return found


def tasks(rows: Sequence[Alert]) -> list[Resource]:
    """Return the Task of each alert."""
    return [_task(row) for row in rows]


def _task(row: Alert) -> Resource:
    zone, outcome = _zone(row), getattr(row, "alertoutcome", None)
    due = row.act_due if row.state == TAKEN and row.act_due is not None else row.ack_due or row.due_by
    status = "draft" if row.told_at is None and row.state == NEW else TASK_STATE[row.state]
    if row.kind == ChangeKind.RETRACTED.value and row.state != CLOSED:
        status = "cancelled"
    return {
        "resourceType": "Task",
        "id": row.pk,
        "identifier": [{"system": ALERT, "value": row.pk}],
        "extension": [
            *([] if row.ack_due is None else [extension("take-by", valueDateTime=moment(row.ack_due, zone))]),
            *([] if row.act_due is None else [extension("close-by", valueDateTime=moment(row.act_due, zone))]),
        ],
        "status": status,
        "intent": "order",
        "priority": PRIORITY[row.prio],
        "code": concept(text="suites données à une alerte / looking after an alert"),
        "focus": reference("DetectedIssue", row.pk),
        "for": None if row.patient is None else reference("Patient", row.patient.pseudonym),
        "executionPeriod": {
            "start": moment_or_none(row.taken_at, zone),
            "end": None if outcome is None else moment(outcome.at, zone),
        },
        "authoredOn": moment(row.known, zone),
        "lastModified": moment(max(row.updated, row.known), zone),
        "owner": _person(row.holder, row.holder_id),
        "restriction": None if due is None else {"period": {"end": moment(due, zone)}},
        "output": None
        if outcome is None
        else [
            {
                "type": concept(text="suite / outcome"),
                "valueCodeableConcept": concept(coding(OUTCOME, outcome.outcome)),
            },
            {"type": concept(text="par / by"), "valueReference": _person(outcome.person, None)},
        ],
    }


def _person(name: str, row: int | None) -> Resource | None:
    if not name:
        return None
    known = None if row is None else {"system": USER, "value": str(row)}
    return {"type": "Practitioner", "identifier": known, "display": name}


def communications(rows: Sequence[Alert]) -> list[Resource]:
    """Return the Communication of each alert."""
    return [_communication(row) for row in rows]


def _communication(row: Alert) -> Resource:
    zone, record = _zone(row), record_of(row)
    held = None if record is None else record.suppressed
    escalated = () if record is None else record.escalated
    audiences = dict.fromkeys([row.audience, *(one.audience.value for one in escalated)])
    status = "completed" if row.told_at is not None else "on-hold" if row.resolved_at is None else "not-done"
    return {
        "resourceType": "Communication",
        "id": row.pk,
        "language": "fr",
        "extension": [
            whole(
                "escalated",
                (part("at", valueDateTime=moment(one.at, zone)), part("audience", valueCode=one.audience.value)),
            )
            for one in escalated
        ],
        "identifier": [{"system": ALERT, "value": row.pk}],
        "status": status,
        "statusReason": None if held is None or row.told_at is not None else concept(coding(HELD, held.reason.value)),
        "category": [concept(coding(CATEGORY, row.category))],
        "priority": PRIORITY[row.prio],
        "subject": None if row.patient is None else reference("Patient", row.patient.pseudonym),
        "about": [reference("DetectedIssue", row.pk)],
        "sent": moment_or_none(row.told_at, zone),
        "received": moment_or_none(row.seen, zone),
        "recipient": [{"identifier": {"system": AUDIENCE, "value": name}, "display": name} for name in audiences],
        "sender": reference("Device", f"box.{row.box.name}") if row.origin == "box" else None,
        "payload": [{"contentString": row.text_fr, "_contentString": translated(row.text_en)}],
    }


def _zone(row: Alert) -> str:
    return "UTC" if row.patient is None else str(row.patient.time_zone)
