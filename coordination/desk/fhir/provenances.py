"""Where each Observation and DetectedIssue came from: which box kept it, under which number, by which protocol."""

from collections.abc import Sequence
from urllib.parse import quote

from coordination.desk.fhir.words import (
    PARTICIPANT,
    RECORD,
    Resource,
    coding,
    concept,
    extension,
    moment,
    reference,
)
from coordination.desk.models import Alert, Observation

_ASSEMBLER = concept(coding(PARTICIPANT, "assembler", "Assembler"))
_AUTHOR = concept(coding(PARTICIPANT, "author", "Author"))
_CUSTODIAN = concept(coding(PARTICIPANT, "custodian", "Custodian"))


def of_observations(rows: Sequence[Observation]) -> list[Resource]:
    """Return the Provenance of each reading."""
    return [
        {
            "resourceType": "Provenance",
            "id": f"observation.{row.pk}",
            "target": [reference("Observation", row.pk)],
            "occurredDateTime": moment(row.received_at, row.patient.time_zone),
            "recorded": moment(row.stored_at),
            "agent": [
                {"type": _ASSEMBLER, "who": reference("Device", f"box.{row.box.name}")},
                {"type": _AUTHOR, "who": reference("Device", f"device.{row.device_id}")},
                _team(row.patient.team_id),
            ],
            "entity": [
                {
                    "role": "source",
                    "what": {
                        "identifier": {"system": RECORD, "value": f"{row.box.name}/{row.epoch}/{row.seq}"},
                        "display": "enregistrement signé du boîtier / signed record of the box",
                    },
                }
            ],
        }
        for row in rows
    ]


def of_alerts(rows: Sequence[Alert]) -> list[Resource]:
    """Return the Provenance of each alert."""
    return [
        {
            "resourceType": "Provenance",
            "id": f"alert.{row.pk}",
            "extension": [extension("change", valueCode=row.kind), extension("changes", valueInteger=row.version)],
            "target": [reference("DetectedIssue", row.pk)],
            "occurredDateTime": moment(row.raised_at, "UTC" if row.patient is None else row.patient.time_zone),
            "recorded": moment(row.updated),
            "policy": [f"urn:veilleur:protocol:{quote(row.protocol, safe='')}:{row.protocol_version}"]
            if row.protocol
            else None,
            "agent": [
                {"type": _AUTHOR, "who": reference("Device", f"box.{row.box.name}")}
                if row.origin == "box"
                else {"type": _AUTHOR, "who": {"display": f"veilleur-desk {row.engine_version}"}},
                _team(row.team_id),
            ],
            "entity": [
                {
                    "role": "source",
                    "what": {
                        "identifier": {"system": "urn:veilleur:protocol-sha256", "value": row.protocol_hash},
                        "display": f"{row.protocol} v{row.protocol_version}",
                    },
                }
            ]
            if row.protocol_hash
            else None,
        }
        for row in rows
    ]


def _team(team: int) -> Resource:
    return {
        "type": _CUSTODIAN,
        "who": {"type": "Organization", "identifier": {"system": "urn:veilleur:team", "value": str(team)}},
    }
