"""/fhir/: what other systems and physicians read. In: a request; out: a resource, a bundle, or why not."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from alerting.alert import Sentence
from coordination.desk.access import Action
from coordination.desk.fhir.answers import answer, bundle, one, refusal, versioned
from coordination.desk.fhir.capability import statement
from coordination.desk.fhir.catalogue import KINDS, Kind
from coordination.desk.fhir.faults import FhirError, missing, refused
from coordination.desk.fhir.query import CURSOR, links, named, page, read
from coordination.desk.fhir.reading_acts import enter_reading
from coordination.desk.machine_visits import MachineVisit

_ABOUT_PAGE = ("_count", "_total", "_summary", CURSOR)


def base_of(request: HttpRequest) -> str:
    """Return the address of the server."""
    return request.build_absolute_uri("/fhir")


def told(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return a view whose faults are answered as FHIR answers them."""

    def answered(request: HttpRequest, **named: str) -> HttpResponse:
        try:
            return view(request, **named)
        except FhirError as error:
            return refusal(error)

    return answered


def kind_of(request: HttpRequest, name: str) -> Kind:
    """Return a kind of resource that the visitor may read.

    Raises:
        FhirError: there is no such kind, or no scope for it.
    """
    if name not in KINDS:
        raise missing()
    visit = request.visit
    if isinstance(visit, MachineVisit) and not visit.reads(name):
        raise FhirError(
            Sentence(
                fr=f"Ce jeton n'a pas la portée system/{name}.read.", en=f"This token has no scope system/{name}.read."
            ),
            status=403,
            code="forbidden",
        )
    return KINDS[name]


@told
def metadata(request: HttpRequest) -> HttpResponse:
    """Say what this server can do."""
    return answer(statement(base_of(request), at=settings.DESK.clock.now_ms()))


@told
def search(request: HttpRequest, kind: str) -> HttpResponse:
    """Answer a search with a page of what was found."""
    found_kind = kind_of(request, kind)
    query = read(found_kind, request.GET)
    found = page(query, request.visit.team)
    enter_reading(request)
    base = base_of(request)
    entries = [
        (f"{base}/{kind}/{resource['id']}", versioned(resource, updated)) for resource, updated in found.resources
    ]
    about_page = {name: request.GET[name] for name in _ABOUT_PAGE if name in request.GET}
    return answer(bundle(entries, links(query, base, found.following, about_page), found.total))


@told
def show(request: HttpRequest, kind: str, key: str) -> HttpResponse:
    """Answer with one resource."""
    found_kind = kind_of(request, kind)
    if set(request.GET) - {"_format"}:
        raise refused("Une lecture n'a pas de paramètre que _format.", "A read has no parameter but _format.")
    found = named(found_kind, request.visit.team, key)
    if found is None:
        raise missing()
    enter_reading(request)
    return one(request, versioned(*found))


ADDRESSES = (
    ("fhir/metadata", metadata, Action.PUBLIC, "fhir_metadata"),
    ("fhir/<str:kind>", search, Action.EXPORT_FHIR, "fhir_search"),
    ("fhir/<str:kind>/<str:key>", show, Action.EXPORT_FHIR, "fhir_show"),
)
"""Address, view, what it needs, name: for routes."""
