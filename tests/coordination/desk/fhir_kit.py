"""A team's week, for what is read over FHIR: every kind of reading, alert and device that the desk can hold."""

import json
from typing import Any

from django.test import Client

from alerting.alert import (
    Acknowledgement,
    AlertChange,
    Audience,
    Category,
    ChangeKind,
    Escalation,
    Evidence,
    Outcome,
    Priority,
    Reason,
    Sentence,
    Suppression,
    alert_id,
)
from coordination.acknowledging import acknowledge
from coordination.closing import close
from coordination.desk.access import Role
from devices.reading import Quality, Quantity, Validity, facts
from exchange.box_records import ClockCorrection
from exchange.messages import AlertRecord, ObservationRecord
from exchange.messages import alert as alert_record
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import BOX, EPOCH, HOUR, MINUTE, OTHER_BOX, OTHER_PATIENT, PATIENT, START, glucose

CUFF, SCALE, OXIMETER, SENSOR = (f"C4:B0:00:00:00:0{number}" for number in (2, 3, 4, 1))
EVIDENCE_AT = START + 10 * MINUTE


def measured(quantity: Quantity, count: int, at: int, *, device: str = SENSOR, **more: object) -> ObservationRecord:
    """A reading of a quantity, in its counts."""
    unit = facts(quantity).unit
    fields: dict[str, object] = {
        "quantity": quantity,
        "count": count,
        "unit": unit,
        "device_unit": unit,
        "measured_at": at,
        "received_at": at + 900,
        "device": device,
        "key": f"{device}:{at}",
    }
    return glucose(0, **(fields | more))  # type: ignore[arg-type]


def pressures(at: int, *, mean: bool = True, **more: object) -> list[ObservationRecord]:
    """One measurement of a cuff: both pressures, a mean where it tells one, and the pulse."""
    counts = [(Quantity.BLOOD_PRESSURE_SYSTOLIC, 1320), (Quantity.BLOOD_PRESSURE_DIASTOLIC, 815)]
    counts += [(Quantity.BLOOD_PRESSURE_MEAN, 983)] if mean else []
    counts += [(Quantity.PULSE_RATE, 720)]
    return [measured(quantity, count, at, device=CUFF, **more) for quantity, count in counts]


def change(rule: str, *, onset: int = START, patient: str = PATIENT, **more: Any) -> AlertRecord:
    """An alert of some rule as its box says it."""
    fields: dict[str, Any] = {
        "kind": ChangeKind.RAISED,
        "alert_id": alert_id(patient=patient, protocol="heart_failure", rule=rule, onset=onset),
        "patient": patient,
        "rule": rule,
        "priority": Priority.MEDIUM,
        "category": Category.CLINICAL,
        "onset": onset,
        "raised_at": onset + 15 * MINUTE,
        "resolved_at": None,
        "evidence": (),
        "why": Sentence(fr="Tension haute : 132,0 mm[Hg]", en="High pressure: 132.0 mm[Hg]"),
        "late": False,
        "supersedes": None,
        "protocol": "heart_failure",
        "protocol_version": 2,
        "protocol_hash": "cd" * 32,
        "engine_version": "1",
        "told_at": onset + 15 * MINUTE,
    }
    return alert_record(AlertChange(**(fields | more)))


def proof(quantity: Quantity, count: int, at: int, device: str) -> Evidence:
    return Evidence(
        quantity=quantity, count=count, measured_at=at, received_at=at + 900, device=device, key=f"{device}:{at}"
    )


def week(desk: Desk) -> dict[str, str]:
    """Let boxes send everything there can be; return the ids of the alerts by what they are."""
    readings = [
        glucose(0),
        glucose(1, count=4010, validity=Validity.OVERFLOW),
        glucose(2, count=400, validity=Validity.UNDERFLOW),
        glucose(3, validity=Validity.CALIBRATING),
        glucose(4, count=0, validity=Validity.INVALID, quality=int(Quality.SENSOR_FAULT | Quality.WARMING_UP)),
        glucose(5, validity=Validity.QUESTIONABLE, quality=int(Quality.CALIBRATION_RECOMMENDED)),
        *pressures(EVIDENCE_AT),
        *pressures(START + HOUR, mean=False, quality=int(Quality.IRREGULAR_PULSE)),
        measured(Quantity.BLOOD_PRESSURE_DIASTOLIC, 700, START + 2 * HOUR, device=CUFF),
        *(
            measured(quantity, number + 900, START + 3 * HOUR + number * MINUTE, device=device)
            for number, (quantity, device) in enumerate(
                (quantity, SCALE if "body" in quantity or "mass" in quantity else OXIMETER)
                for quantity in Quantity
                if "pressure" not in quantity
            )
        ),
    ]
    desk.receive(*readings)
    evidence = (
        proof(Quantity.BLOOD_PRESSURE_DIASTOLIC, 815, EVIDENCE_AT, CUFF),
        proof(Quantity.PULSE_RATE, 720, EVIDENCE_AT, CUFF),
        proof(Quantity.BODY_WEIGHT, 82400, START + 9 * HOUR, SCALE),
    )
    high = change(
        "systolic_crisis",
        priority=Priority.HIGH,
        evidence=evidence,
        higher=Sentence(fr="Une seule mesure.", en="One reading only."),
        escalated=(Escalation(at=START + 4 * HOUR, audience=Audience.PATIENT_NOW),),
        due_by=START + 4 * HOUR,
    )
    held = change(
        "weight_gain_1_day",
        priority=Priority.LOW,
        told_at=None,
        suppressed=Suppression(reason=Reason.QUIET_HOURS, since=START, until=START + HOUR),
    )
    never = change("weight_low", told_at=None, suppressed=Suppression(reason=Reason.STALE, since=START, until=None))
    never_over = change("weight_low", **_over(told_at=None))
    ended = change("systolic_low", kind=ChangeKind.RESOLVED, resolved_at=START + 2 * HOUR)
    back = change("weight_gain_3_days", kind=ChangeKind.RETRACTED)
    box = change("canary_missing", patient=BOX, category=Category.TECHNICAL, protocol="", protocol_hash="")
    taken = change("pulse_high")
    records = (high, held, never, never_over, ended, back, box, taken)
    desk.receive(*records)
    desk.receive(
        replace_patient(glucose(9), OTHER_PATIENT),
        change("weight_gain_1_day", patient=OTHER_PATIENT),
        box=OTHER_BOX,
    )
    desk.clock.now = START + 5 * HOUR
    acknowledge(desk.boxes.database, taken.alert_id, Acknowledgement(by="C. Martin", at=START + 30 * MINUTE))
    close(desk.boxes.database, ended.alert_id, by="M. Lefèvre", outcome=Outcome.ACTION, at=START + 3 * HOUR)
    names = ("high", "held", "never", "never", "ended", "back", "box", "taken")
    return {name: record.alert_id for name, record in zip(names, records, strict=True)}


def _over(**more: object) -> dict[str, Any]:
    return {
        "kind": ChangeKind.RESOLVED,
        "resolved_at": START + HOUR,
        "suppressed": Suppression(reason=Reason.STALE, since=START, until=None),
        **more,
    }


def replace_patient(record: ObservationRecord, patient: str) -> ObservationRecord:
    return glucose(9, patient=patient, device=SCALE, key="other", measured_at=record.measured_at)


def correction(first: int, last: int, offset: int) -> ClockCorrection:
    return ClockCorrection(
        epoch=EPOCH, first=first, last=last, offset=offset, boot="0" * 32, mono_from=0, mono_to=1, at=START + 6 * HOUR
    )


class Reader:
    """Who reads over FHIR: a physician of the first team, or whatever client is given."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    def of(cls, desk: Desk, team: int = 1) -> "Reader":
        return cls(desk.client(Role.PHYSICIAN, team=team))

    def bundle(self, asked: str) -> dict[str, Any]:
        response = self.client.get(f"/fhir/{asked}")
        assert response.status_code == 200, response.content
        assert response.headers["Content-Type"].startswith("application/fhir+json")
        found: dict[str, Any] = json.loads(response.content, parse_float=str)
        return found

    def all(self, asked: str) -> list[dict[str, Any]]:
        return [entry["resource"] for entry in self.bundle(asked).get("entry", [])]

    def pages(self, asked: str) -> list[list[dict[str, Any]]]:
        """Every page, by the links as they stand."""
        found, address = [], f"/fhir/{asked}"
        while address:
            page = json.loads(self.client.get(address).content)
            found.append([entry["resource"] for entry in page.get("entry", [])])
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
            address = address.removeprefix("http://testserver")
        return found
