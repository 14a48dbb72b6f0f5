"""What this server can do, made of what it does: the catalogue, and the operations that there are."""

from importlib.metadata import version

from coordination.desk.fhir.answers import VERSION
from coordination.desk.fhir.catalogue import KINDS, Kind
from coordination.desk.fhir.words import Resource, moment, without_nothing

EXPORT = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"
PATIENT_EXPORT = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export"


def statement(base: str, *, at: int) -> Resource:
    """Return the CapabilityStatement of the server at `base`, as of `at` (ms UTC)."""
    return without_nothing(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": moment(at),
            "kind": "instance",
            "software": {"name": "Veilleur", "version": version("veilleur")},
            "implementation": {"description": "Veilleur, lecture seule / read only", "url": base},
            "fhirVersion": VERSION,
            "format": ["application/fhir+json", "json"],
            "rest": [
                {
                    "mode": "server",
                    "documentation": "Lecture et recherche, dans l'équipe de qui demande. Un paramètre inconnu est"
                    " refusé (400). / Reading and searching, in the team of who asks. Unknown ones are refused.",
                    "security": {
                        "cors": False,
                        "description": "La session d'un médecin, ou le jeton (Bearer) d'un système nommé, avec ses"
                        " portées system/<type>.read. / A physician's session, or the bearer token of a named system,"
                        " with its scopes system/<type>.read.",
                    },
                    "resource": [_resource(kind) for kind in KINDS.values()],
                    "operation": [{"name": "export", "definition": EXPORT}],
                }
            ],
        }
    )


def _resource(kind: Kind) -> Resource:
    return {
        "type": kind.name,
        "supportedProfile": list(kind.profiles),
        "documentation": kind.documentation,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "versioned",
        "readHistory": False,
        "updateCreate": False,
        "conditionalRead": "not-match",
        "searchParam": [
            {
                "name": name,
                "definition": parameter.definition,
                "type": parameter.type,
                "documentation": parameter.documentation,
            }
            for name, parameter in kind.parameters.items()
        ],
        "operation": [{"name": "export", "definition": PATIENT_EXPORT}] if kind.name == "Patient" else None,
    }
