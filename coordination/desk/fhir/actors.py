"""Patients by their pseudonym and nothing more, and the devices: gateways in homes, and what measures there."""

import re
from collections.abc import Sequence

from django.db.models import F, Max, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Coalesce

from coordination.desk.fhir.words import (
    BLUETOOTH,
    BOX,
    CONTINUA_IDENTIFIERS,
    DEVICE,
    MDC,
    PSEUDONYM,
    VALUE_SECURITY,
    Resource,
    coding,
    concept,
    extension,
    reference,
)
from coordination.desk.models import Box, BoxAssignment, BoxStatus, Device, Patient, Team

_GATEWAY = concept(coding(MDC, "531981", "MDC_MOC_VMS_MDS_AHD"))
"""What a personal health gateway is, by the guide."""
_SENSOR = concept(coding(MDC, "65573", "MDC_MOC_VMS_MDS_SIMP"))
"""A device that measures, of whatever kind."""
GATEWAY_CODE, SENSOR_CODE = "531981", "65573"
_SOFTWARE = concept(coding(MDC, "531975", "MDC_ID_PROD_SPEC_SW"))
_ADDRESS = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_PSEUDONYMISED = coding(VALUE_SECURITY, "PSEUDED", "pseudonymized")


def patients_of(team: Team) -> QuerySet[Patient]:
    """Return the patients of a team, with `updated`: when a box was last given to them or taken back (ms UTC)."""
    given = Prefetch("boxassignment_set", BoxAssignment.objects.filter(until=None), to_attr="given")
    since, until = "boxassignment__since", "boxassignment__until"
    rows = Patient.objects.filter(team=team).annotate(updated=Coalesce(Max(Coalesce(until, since)), 0))
    return rows.prefetch_related(given)


def patients(rows: Sequence[Patient]) -> list[Resource]:
    """Return the Patient of each row: who it is stays where it is."""
    return [
        {
            "resourceType": "Patient",
            "id": row.pseudonym,
            "meta": {"security": [_PSEUDONYMISED]},
            "extension": [extension("time-zone", valueString=row.time_zone)],
            "identifier": [{"use": "secondary", "system": PSEUDONYM, "value": row.pseudonym}],
            "active": bool(row.given),
        }
        for row in rows
    ]


def boxes_of(team: Team) -> QuerySet[Box]:
    """Return the boxes of a team, with `updated` (ms UTC) and the `version` that they say they are."""
    status = BoxStatus.objects.filter(box=OuterRef("pk"))
    return (
        Box.objects.filter(team=team)
        .annotate(
            updated=Coalesce(Subquery(status.values("received_at")[:1]), "heard_at", 0),
            version=Subquery(status.values("version")[:1]),
        )
        .prefetch_related(
            Prefetch(
                "boxassignment_set",
                BoxAssignment.objects.filter(until=None).select_related("patient"),
                to_attr="given",
            )
        )
    )


def boxes(rows: Sequence[Box]) -> list[Resource]:
    """Return the Device of each box."""
    return [
        {
            "resourceType": "Device",
            "id": f"box.{row.name}",
            "identifier": [{"system": BOX, "value": row.name}],
            "status": "active" if row.given else "inactive",
            "type": _GATEWAY,
            "version": [{"type": _SOFTWARE, "value": row.version}] if row.version else None,
            "deviceName": [{"name": row.name, "type": "user-friendly-name"}],
            # A box may serve several patients; FHIR has room for one.
            "patient": reference("Patient", row.given[0].patient.pseudonym) if len(row.given) == 1 else None,
        }
        for row in rows
    ]


def sensors_of(team: Team) -> QuerySet[Device]:
    """Return the medical devices of a team's boxes, with `updated`: when it was first heard (ms UTC)."""
    return Device.objects.filter(box__team=team).annotate(updated=F("first_data_at")).select_related("box")


def sensors(rows: Sequence[Device]) -> list[Resource]:
    """Return the Device of each medical device."""
    return [
        {
            "resourceType": "Device",
            "id": f"device.{row.pk}",
            "identifier": [*_address(row.name), {"system": DEVICE, "value": f"{row.box.name}/{row.name}"}],
            "type": _SENSOR,
            "deviceName": [{"name": row.name, "type": "user-friendly-name"}],
            "parent": reference("Device", f"box.{row.box.name}"),
        }
        for row in rows
    ]


def bluetooth(name: str) -> str | None:
    """Return a device's Bluetooth address as HL7 writes it (EUI-48 with dashes), None when its name is none."""
    return name.upper().replace(":", "-") if _ADDRESS.fullmatch(name) else None


def _address(name: str) -> list[Resource]:
    address = bluetooth(name)
    if address is None:
        return []
    kind = concept(coding(CONTINUA_IDENTIFIERS, "BTMAC", "Bluetooth MAC address"))
    return [{"type": kind, "system": BLUETOOTH, "value": address}]
