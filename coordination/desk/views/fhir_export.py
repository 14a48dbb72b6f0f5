"""/fhir/$export: an export in bulk asked for (202), looked after, taken, cancelled. Each to who asked it."""

import json

from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from alerting.alert import Sentence
from coordination.desk.access import Action
from coordination.desk.fhir import bulk
from coordination.desk.fhir.answers import answer
from coordination.desk.fhir.catalogue import KINDS
from coordination.desk.fhir.faults import FhirError, missing, refused
from coordination.desk.fhir.reading_acts import enter
from coordination.desk.fhir.values import span
from coordination.desk.machine_visits import MachineVisit
from coordination.desk.models import ExportJob
from coordination.desk.shared_database import acting
from coordination.desk.views.fhir import told
from exchange.audit_chain import Act

_FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
_NDJSON = "application/fhir+ndjson"
_AGAIN_S = "5"


@told
def kick_off(request: HttpRequest) -> HttpResponse:
    """Begin an export of everything of the team."""
    return _kick_off(request, patients_only=False)


@told
def kick_off_patients(request: HttpRequest) -> HttpResponse:
    """Begin an export of what is about the team's patients."""
    return _kick_off(request, patients_only=True)


def _kick_off(request: HttpRequest, *, patients_only: bool) -> HttpResponse:
    if "respond-async" not in request.headers.get("Prefer", ""):
        raise refused(
            "Un export se demande avec l'en-tête « Prefer: respond-async ».",
            "An export is asked for with the header 'Prefer: respond-async'.",
        )
    for name, values in request.GET.lists():
        if name not in {"_type", "_since", "_outputFormat"} or len(values) > 1:
            raise refused(
                f"L'export n'a pas de paramètre « {name[:60]} », ou une fois ; il y a _type, _since, _outputFormat.",
                f"The export has no parameter '{name[:60]}', or not twice; there are _type, _since, _outputFormat.",
            )
    if request.GET.get("_outputFormat", "ndjson").replace(" ", "+") not in _FORMATS:
        raise refused("_outputFormat : application/fhir+ndjson.", "_outputFormat: application/fhir+ndjson.")
    visit = request.visit
    since = span("_since", request.GET["_since"]).begin if "_since" in request.GET else None
    job = bulk.ask(
        visit.team,
        by=visit.user.name if visit.user is not None else visit.client.name,
        user=visit.user,
        client=visit.client if isinstance(visit, MachineVisit) else None,
        request=request.build_absolute_uri(),
        kinds=_kinds(request),
        since=since,
        patients_only=patients_only,
        now=visit.now,
    )
    if job is None:
        raise FhirError(
            Sentence(
                fr=f"{bulk.MOST_AT_ONCE} exports de l'équipe sont déjà en cours. Attendre que l'un finisse.",
                en=f"{bulk.MOST_AT_ONCE} exports of the team are under way already. Wait until one has finished.",
            ),
            status=429,
            code="throttled",
        )
    response = HttpResponse(status=202)
    response.headers["Content-Location"] = _address(request, job)
    return response


def _kinds(request: HttpRequest) -> list[str]:
    visit = request.visit
    reads = [name for name in KINDS if not isinstance(visit, MachineVisit) or visit.reads(name)]
    wanted = request.GET["_type"].split(",") if "_type" in request.GET else reads
    if unknown := [name for name in wanted if name not in KINDS]:
        raise refused(
            f"_type : {unknown[0][:40]} n'existe pas ici ; il y a {', '.join(KINDS)}.",
            f"_type: there is no {unknown[0][:40]} here; there are {', '.join(KINDS)}.",
        )
    if not wanted or set(wanted) - set(reads):
        raise FhirError(
            Sentence(
                fr="Les portées de ce jeton n'ouvrent pas tout ce qui est demandé.",
                en="The scopes of this token do not open all that is asked for.",
            ),
            status=403,
            code="forbidden",
        )
    return [name for name in KINDS if name in wanted]


def _address(request: HttpRequest, job: ExportJob) -> str:
    return request.build_absolute_uri(f"/fhir/export/{job.pk}")


def _job(request: HttpRequest, key: str) -> ExportJob:
    """Return a job of whoever asks.

    Raises:
        FhirError: there is none, or it is somebody else's, was cancelled or has expired.
    """
    visit = request.visit
    own = Q(user=visit.user) if visit.user is not None else Q(client=visit.client)
    bulk.sweep(visit.now)
    found = ExportJob.objects.filter(own, pk=key, team=visit.team).select_related("team").first()
    if found is None or found.state in {bulk.CANCELLED, bulk.EXPIRED}:
        raise missing()
    return found


@told
def look_after(request: HttpRequest, job: str) -> HttpResponse:
    """Say how far an export is (202), what it made (200), or cancel it (DELETE)."""
    found = _job(request, job)
    if request.method == "DELETE":
        bulk.cancel(found, now=request.visit.now)
        return HttpResponse(status=202)
    if found.state == bulk.FAILED:
        raise FhirError(
            Sentence(
                fr="L'export n'a pas pu être écrit : le disque ou la base de l'équipe a refusé. Le redemander, puis"
                " prévenir l'administrateur.",
                en="The export could not be written: the team's disk or database refused. Ask again, then tell the"
                " administrator.",
            ),
            status=500,
            code="exception",
        )
    if found.state == bulk.RUNNING:
        # Whoever made it may have died: the next to ask has it made again.
        bulk.begin(found)
        response = HttpResponse(status=202)
        response.headers["X-Progress"] = f"{found.progress} resources"
        response.headers["Retry-After"] = _AGAIN_S
        return response
    response = answer(bulk.manifest(found, _address(request, found)))
    response.headers["Content-Type"] = "application/json"
    return response


@told
def take(request: HttpRequest, job: str, file: str) -> HttpResponse:
    """Hand over one file of an export."""
    found = _job(request, job)
    names = {one["file"] for one in json.loads(found.files)}
    if found.state != bulk.DONE or file not in names:
        raise missing()
    content = (bulk.folder_of(found) / file).read_bytes()
    with acting() as database:
        detail = {"step": "taken", "file": file}
        enter(database, Act.FHIR_EXPORTED, at=request.visit.now, by=found.by, reference=found.pk, detail=detail)
    return HttpResponse(content, content_type=_NDJSON)


ADDRESSES = (
    ("fhir/$export", kick_off, Action.EXPORT_FHIR, "fhir_export"),
    ("fhir/Patient/$export", kick_off_patients, Action.EXPORT_FHIR, "fhir_export_patients"),
    ("fhir/export/<str:job>", look_after, Action.EXPORT_FHIR, "fhir_export_state", "GET", "DELETE"),
    ("fhir/export/<str:job>/<str:file>", take, Action.EXPORT_FHIR, "fhir_export_file"),
)
"""Address, view, what it needs, name, methods: for routes."""
