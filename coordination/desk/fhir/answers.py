"""Answers as FHIR's JSON: exact decimals, a version of each resource (its content's digest), and bundles."""

import hashlib

import msgspec
from django.http import HttpRequest, HttpResponse

from coordination.desk.fhir.faults import FhirError, outcome
from coordination.desk.fhir.words import Resource, moment, without_nothing

CONTENT_TYPE = "application/fhir+json; charset=utf-8"
VERSION = "4.0.1"
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encoded(resource: Resource) -> bytes:
    """Return a resource as JSON; a decimal keeps its digits ("82.40" stays so)."""
    return _ENCODER.encode(resource)


def versioned(resource: Resource, updated: int) -> Resource:
    """Return a resource whole, with its version: another content has another one, and the same content the same."""
    clean = without_nothing(resource)
    version = hashlib.sha256(encoded(clean)).hexdigest()[:16]
    meta = {"versionId": version, **clean.get("meta", {})}
    if updated:  # nothing says when, of what never changed
        meta["lastUpdated"] = moment(updated)
    kind, key = clean.pop("resourceType"), clean.pop("id")
    clean.pop("meta", None)
    return {"resourceType": kind, "id": key, "meta": meta, **clean}


def one(request: HttpRequest, resource: Resource) -> HttpResponse:
    """Answer with a resource, or that it is the one that was had before (304)."""
    tag = f'W/"{resource["meta"]["versionId"]}"'
    known = {part.strip() for part in request.headers.get("If-None-Match", "").split(",")}
    response = HttpResponse(status=304) if tag in known else answer(resource)
    response.headers["ETag"] = tag
    return response


def bundle(entries: list[tuple[str, Resource]], links: list[Resource], total: int | None) -> Resource:
    """Return what a search found: (address, resource) in their order."""
    return without_nothing(
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": total,
            "link": links,
            "entry": [
                {"fullUrl": address, "resource": resource, "search": {"mode": "match"}} for address, resource in entries
            ],
        }
    )


def answer(resource: Resource, *, status: int = 200) -> HttpResponse:
    """Answer with a resource as it stands."""
    return HttpResponse(encoded(resource), content_type=CONTENT_TYPE, status=status)


def refusal(error: FhirError) -> HttpResponse:
    """Answer with why not."""
    response = answer(outcome(error), status=error.status)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="veilleur"'
    return response
