"""The small change of FHIR: codings, references, extensions, times, and the names that are this project's own.

A name under `urn:veilleur:` is ours and says so; every other system is one that HL7 names (R4, "Code Systems").
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

Resource = dict[str, Any]
"""A resource or a part of one, as JSON will have it; a None is left out (`without_nothing`)."""

MDC = "urn:iso:std:iso:11073:10101"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
VALUE_SECURITY = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
CONTINUA_IDENTIFIERS = "http://hl7.org/fhir/uv/phd/CodeSystem/ContinuaDeviceIdentifiers"
BLUETOOTH = "http://hl7.org/fhir/sid/eui-48/bluetooth"
GATEWAY = "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"

OWN = "urn:veilleur:"
PSEUDONYM, RECORD, ALERT, BOX, DEVICE = (f"{OWN}{name}" for name in ("pseudonym", "record", "alert", "box", "device"))
"""Systems of identifiers."""
QUANTITY, RULE, CATEGORY, OUTCOME, SOURCE, AUDIENCE, HELD = (
    f"{OWN}code:{name}" for name in ("quantity", "rule", "category", "outcome", "source", "audience", "held")
)
"""Systems of codes."""
USER = f"{OWN}user"


def coding(system: str, code: str, display: str | None = None) -> Resource:
    """Return a Coding."""
    return {"system": system, "code": code, "display": display}


def concept(*codings: Resource, text: str | None = None) -> Resource:
    """Return a CodeableConcept."""
    return {"coding": list(codings), "text": text}


def reference(kind: str, key: object, display: str | None = None) -> Resource:
    """Return a Reference to a resource of this server."""
    return {"reference": f"{kind}/{key}", "type": kind, "display": display}


def extension(name: str, **value: object) -> Resource:
    """Return an extension of ours with one `value...`."""
    return {"url": f"{OWN}extension:{name}", **value}


def whole(name: str, parts: Iterable[Resource]) -> Resource:
    """Return an extension of ours that is made of others."""
    return {"url": f"{OWN}extension:{name}", "extension": list(parts)}


def part(name: str, **value: object) -> Resource:
    """Return a part of such an extension."""
    return {"url": name, **value}


def moment(at: int, zone: str = "UTC") -> str:
    """Return a time (ms UTC) with milliseconds and the offset that held then in a zone: dateTime, and instant too."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")


def moment_or_none(at: int | None, zone: str = "UTC") -> str | None:
    """Return the same, None for None."""
    return None if at is None else moment(at, zone)


def translated(content: str) -> Resource:
    """Return what stands beside a French text: its English."""
    return {
        "extension": [
            {
                "url": TRANSLATION,
                "extension": [part("lang", valueCode="en"), part("content", valueString=content)],
            }
        ]
    }


def without_nothing(value: Any) -> Any:
    """Return it without what is None, "" or empty: FHIR has no empty element (R4, ele-1)."""
    if isinstance(value, dict):
        kept = {name: without_nothing(one) for name, one in value.items()}
        return {name: one for name, one in kept.items() if one is not None and one not in ("", [], {})}
    if isinstance(value, list):
        return [one for one in map(without_nothing, value) if one is not None and one not in ("", [], {})]
    return value
