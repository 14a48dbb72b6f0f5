"""/boitiers/ajouter: a code for a new box, six digits to compare, until the box has said its first signed word."""

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from markupsafe import Markup

from alerting.alert import Sentence
from alerting.protocol_file import read_protocol
from coordination.desk import pages
from coordination.desk.enrolling import (
    OVER,
    Progress,
    Stage,
    code_kept,
    enrolment_of,
    free_patients,
    office_answers,
    progress_of,
)
from coordination.desk.pages import said, t
from coordination.desk.shared_database import place as database_place
from coordination.desk.team_settings import listed_boxes, team_settings
from coordination.desk.views.boxes import told
from coordination.enrol_command import already_given, invite
from coordination.enrolment_wishes import AT_THE_DESK_MS, Wish
from coordination.enrolments import Enrolments, Known
from coordination.errors import CoordinationError
from coordination.office import now_ms
from coordination.protocol_sources import packaged_protocols, protocol_with_packs
from coordination.qr import svg_qr
from coordination.revoking import enrolment_of as enrolment_settings
from exchange.enrolment import shown
from exchange.topics import valid_box

_COOKIE = "veilleur-code-"


def ask(request: HttpRequest) -> HttpResponse:
    """Ask which box, and for whom; then make its code."""
    box = request.POST.get("numero", request.GET.get("numero", "")).strip().lower()[:48]
    patient, protocol = request.POST.get("patient", "")[:64], request.POST.get("protocole", "")[:64]
    free = free_patients(request.visit)
    fault: Sentence | None = None
    if request.method == "POST":
        try:
            return _invited(request, box, patient if patient in free else "", protocol)
        except CoordinationError as error:
            fault = Sentence(fr=f"{error.why.fr} {error.hint.fr}", en=f"{error.why.en} {error.hint.en}")
    context = {"box": box, "patient": patient, "protocol": protocol, "free": free, "fault": fault}
    status = 200 if fault is None else 400
    return pages.page(request, "enrol.html", context | {"protocols": _titles() if free else ()}, status=status)


def _titles() -> tuple[tuple[str, str], ...]:
    """Return (name, title) of the protocols that ship."""
    found = []
    for name in packaged_protocols():
        text, packs = protocol_with_packs(name)
        found.append((name, said(read_protocol(text, name_hint=name, packs=packs).title)))
    return tuple(sorted(found, key=lambda one: one[1]))


def _invited(request: HttpRequest, box: str, patient: str, protocol: str) -> HttpResponse:
    """Make a code, and go to its page.

    Raises:
        CoordinationError: the box could not be given what it needs, or is no box of this team's.
    """
    if not valid_box(box):
        raise CoordinationError(
            Sentence(fr="Ce n'est pas un numéro de boîtier.", en="This is no box number."),
            hint=Sentence(
                fr="L'écrire comme sur le boîtier : box-0007.", en="Write it as it stands on the box: box-0007."
            ),
        )
    visit, known = request.visit, team_settings()
    if not patient and all(one.box != box for one in known.assignments) and not already_given(database_place(), box):
        raise CoordinationError(
            Sentence(fr=f"{box} n'est attribué à aucun patient.", en=f"{box} is given to no patient."),
            hint=Sentence(
                fr="Choisir un patient ; un installateur demande à une infirmière de l'attribuer.",
                en="Choose a patient; an installer asks a nurse to assign it.",
            ),
        )
    wish = Wish(
        team=visit.team.pk,
        by=visit.user.pk,
        patient=patient,
        protocol=protocol if patient else "",
        lasts=AT_THE_DESK_MS,
    )
    made = invite(known, box, by=visit.user.name, wish=wish, database=database_place())
    address = reverse("enrolling", args=[made.code.place])
    response = HttpResponseRedirect(address)
    response.set_cookie(
        f"{_COOKIE}{made.code.place}",
        str(made.code),
        max_age=AT_THE_DESK_MS // 1000,
        path=address,
        secure=settings.DESK.https,
        httponly=True,
        samesite="Strict",
    )
    return response


def show(request: HttpRequest, place: str) -> HttpResponse:
    """Show how far the box came."""
    found = _progress(request, place)
    code = code_kept(request.COOKIES.get(f"{_COOKIE}{place}", ""), place)
    listens = True
    if found.stage in {Stage.CODE, Stage.WAITS}:
        try:
            listens = office_answers(enrolment_settings(team_settings()))
        except CoordinationError as error:
            told(request, error)
    return pages.page(
        request,
        "enrolling.html",
        {
            "found": found,
            "Stage": Stage,
            "Known": Known,
            "over": found.stage in OVER,
            "code": code,
            # Made by segno of a code that was read strictly: digits, letters and signs of its own.
            "picture": None if code is None else Markup(svg_qr(str(code))),  # noqa: S704
            "digits": None if found.claim is None else shown(found.claim.digits),
            "listens": listens,
        },
    )


def state(request: HttpRequest, place: str) -> JsonResponse:
    """Say what changes when the page does, for an open page that asks."""
    found = _progress(request, place)
    return JsonResponse({"stamp": found.stamp, "left": found.left, "over": found.stage in OVER})


def decide(request: HttpRequest, place: str) -> HttpResponse:
    """Keep whether the digits were the same; about the digits that were looked at, and no others."""
    found = _progress(request, place)
    claim, same = found.claim, request.POST.get("reponse") == "oui"
    back = HttpResponseRedirect(reverse("enrolling", args=[place]))
    if claim is None or request.POST.get("chiffres", "") != claim.digits:
        messages.warning(
            request,
            t(
                "Le boîtier a recommencé entre-temps : comparer les nouveaux chiffres.",
                "The box began again meanwhile: compare the new digits.",
            ),
        )
        return back
    if same and claim.known is Known.OTHER and request.POST.get("numero", "").strip() != claim.box:
        messages.warning(
            request,
            t(
                "Le numéro tapé n'est pas {box} : rien n'a été changé.",
                "The number typed is not {box}: nothing was changed.",
                box=claim.box,
            ),
        )
        return back
    with Enrolments(database_place(), listed_boxes()) as kept:
        kept.decide(claim, yes=same, by=request.visit.user.name, at=now_ms())
    return back


def give_up(request: HttpRequest, place: str) -> HttpResponse:
    """Let a code hold no longer."""
    found = _progress(request, place)
    if found.stage in {Stage.CODE, Stage.WAITS, Stage.DIGITS}:
        with Enrolments(database_place(), listed_boxes()) as kept:
            kept.void(found.row.box.name)
    return HttpResponseRedirect(reverse("enrolling", args=[place]))


def _progress(request: HttpRequest, place: str) -> Progress:
    row = enrolment_of(request.visit, place)
    if row is None:
        raise Http404
    return progress_of(row)
