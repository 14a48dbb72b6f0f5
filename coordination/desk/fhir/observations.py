"""Readings as Observations, after HL7's guide for personal health devices: device, gateway, identifier, both codings.

A blood pressure is one Observation with a component for each pressure; its row is the systolic one. A pressure without
a systolic beside it stands alone. What a device said without a number has a reason why there is none, never a zero.
"""

from collections.abc import Sequence
from decimal import Decimal

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Greatest

from coordination.desk.fhir.codes import PANEL, PRESSURES, PROFILE, category_of, code_of, panel_code, term
from coordination.desk.fhir.words import (
    ABSENT,
    GATEWAY,
    OBSERVATION_CATEGORY,
    RECORD,
    SOURCE,
    UCUM,
    Resource,
    coding,
    concept,
    extension,
    moment,
    reference,
)
from coordination.desk.models import ClockCorrection, Observation, Team
from devices.reading import Quality, Quantity, Validity, facts, to_value

SYSTOLIC, *_OTHERS = (quantity.value for quantity in PRESSURES)
_ABSENT = {
    Validity.INVALID: ("error", "Error"),
    Validity.CALIBRATING: ("temp-unknown", "Temporarily Unknown"),
}
_BEYOND = {Validity.OVERFLOW: ">", Validity.UNDERFLOW: "<"}
_CATEGORIES = {
    "vital-signs": "Vital Signs",
    "laboratory": "Laboratory",
    "exam": "Exam",
    "survey": "Survey",
}


def rows_of(team: Team) -> QuerySet[Observation]:
    """Return the rows that are an Observation each, of a team, with `updated` (ms UTC)."""
    corrected = (
        ClockCorrection.objects.filter(
            box=OuterRef("box"), epoch=OuterRef("epoch"), first__lte=OuterRef("seq"), last__gte=OuterRef("seq")
        )
        .order_by("-stored_at")
        .values("stored_at")[:1]
    )
    return (
        Observation.objects.filter(patient__team=team)
        .exclude(_part_of_a_panel())
        .annotate(updated=Greatest("stored_at", Coalesce(Subquery(corrected), Value(0))))
        .select_related("patient", "box", "device")
    )


def _part_of_a_panel() -> Q:
    systolic = Observation.objects.filter(
        patient=OuterRef("patient"),
        t=OuterRef("t"),
        device=OuterRef("device"),
        key=OuterRef("key"),
        quantity=SYSTOLIC,
    )
    return Q(Exists(systolic), quantity__in=_OTHERS)


def observations(rows: Sequence[Observation]) -> list[Resource]:
    """Return the Observation of each row."""
    beside = _beside(rows)
    return [_panel(row, beside[_frame(row)]) if row.quantity == SYSTOLIC else _single(row) for row in rows]


def _frame(row: Observation) -> tuple[int, int, int, str]:
    return row.patient_id, row.device_id, row.t, row.key


def _beside(rows: Sequence[Observation]) -> dict[tuple[int, int, int, str], list[Observation]]:
    """Return the pressures that were measured together with each systolic one, it included."""
    heads = [row for row in rows if row.quantity == SYSTOLIC]
    found: dict[tuple[int, int, int, str], list[Observation]] = {_frame(row): [row] for row in heads}
    others = Observation.objects.filter(
        patient__in={row.patient_id for row in heads}, t__in={row.t for row in heads}, quantity__in=_OTHERS
    )
    for row in others.order_by("pk") if heads else ():
        found.get(_frame(row), []).append(row)
    return found


def _single(row: Observation) -> Resource:
    quantity = Quantity(row.quantity)
    known = term(quantity)
    return {
        **_common(row, profile=known.profile),
        "category": _category(quantity),
        "code": code_of(quantity),
        **_value(row),
    }


def _category(quantity: Quantity) -> list[Resource]:
    code = category_of(quantity)
    return [concept(coding(OBSERVATION_CATEGORY, code, _CATEGORIES[code]))]


def _panel(row: Observation, together: list[Observation]) -> Resource:
    by_quantity = {Quantity(one.quantity): one for one in reversed(together)}
    by_quantity[Quantity(row.quantity)] = row
    components = [
        {"code": code_of(quantity), **_value(by_quantity[quantity])}
        if quantity in by_quantity
        else {"code": code_of(quantity), "dataAbsentReason": _absent("unknown", "Unknown")}
        for quantity in PRESSURES
        # Both pressures are asked for by the profile, a mean only where the device tells one.
        if quantity in by_quantity or quantity is not Quantity.BLOOD_PRESSURE_MEAN
    ]
    return {
        **_common(row, profile=PANEL.profile),
        "category": _category(PRESSURES[0]),
        "code": panel_code(),
        "component": components,
    }


def _common(row: Observation, *, profile: str) -> Resource:
    zone = row.patient.time_zone
    return {
        "resourceType": "Observation",
        "id": str(row.pk),
        "meta": {"profile": [PROFILE + profile] if profile else None},
        "extension": [
            {"url": GATEWAY, "valueReference": reference("Device", f"box.{row.box.name}")},
            extension("clock-trust", valueCode=row.clock),
            extension("received-by-box", valueDateTime=moment(row.received_at, zone)),
            extension("received-by-team", valueDateTime=moment(row.stored_at, zone)),
            *(extension("quality", valueCode=str(flag.name).lower()) for flag in Quality(row.quality)),
        ],
        "identifier": [{"system": RECORD, "value": f"{row.box.name}/{row.epoch}/{row.seq}"}],
        "status": "final",
        "subject": reference("Patient", row.patient.pseudonym),
        "effectiveDateTime": moment(row.t, zone),
        "issued": moment(row.stored_at),
        "performer": [reference("Patient", row.patient.pseudonym)],
        "method": concept(coding(SOURCE, row.source)),
        "device": reference("Device", f"device.{row.device_id}", row.device.name),
    }


def _value(row: Observation) -> Resource:
    validity = Validity(row.validity)
    said = None if validity is Validity.VALID else [extension("validity", valueCode=validity.value)]
    if validity in _ABSENT:
        return {"dataAbsentReason": {**_absent(*_ABSENT[validity]), "extension": said}}
    quantity = Quantity(row.quantity)
    unit = facts(quantity).unit.value
    value: Decimal = to_value(quantity, row.count)
    return {
        "valueQuantity": {
            "extension": said,
            "value": value,
            "comparator": _BEYOND.get(validity),
            "unit": unit,
            "system": UCUM,
            "code": unit,
        }
    }


def _absent(code: str, display: str) -> Resource:
    return concept(coding(ABSENT, code, display))
