"""/parcours and /patients/.../questionnaires: whom the team follows by questionnaire, and the links that it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from markupsafe import Markup

from alerting.errors import Fault
from coordination.desk import pages
from coordination.desk.access import Action
from coordination.desk.models import Patient
from coordination.desk.pages import said, t
from coordination.desk.pathways import judged_by_boxes
from coordination.desk.patients import patient_of
from coordination.desk.self_reports import FollowUp, answered, follow_up, follow_ups, nobody_looks
from coordination.desk.shared_database import acting, looking
from coordination.desk.thresholds import Changed, Group, changes_between, groups, read_numbers, unplaced
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.packs import FaultyError, all_packs, finder, meaning_of
from coordination.qr import svg_qr
from coordination.questionnaire_links import Way, make, queue
from coordination.self_report import (
    DAY_MS,
    LONGEST_DAYS,
    Pathway,
    adapted,
    asking_pathways,
    confirm,
    end,
    pathway,
    pathways,
    plan,
    propose,
    propose_change,
    withdraw_change,
)
from coordination.sql import Sql

RHYTHMS = (1, 7, 14, 28)
LONGEST_NAME = 48
"""Characters of a pathway's name."""


def show_pathways(request: HttpRequest) -> HttpResponse:
    """Show the team's pathways: which protocols judge whom, on boxes and at the team."""
    visit = request.visit
    database, team = looking(), visit.team.pk
    packs = [(pack, meaning_of(database, team, pack)) for pack in all_packs(database, team)]
    return pages.page(
        request,
        "pathways.html",
        {
            "packs": packs,
            "asked": asking_pathways({pack.name: meaning for pack, meaning in packs if meaning is not None}),
            "followed": follow_ups(visit.team),
            "boxes": judged_by_boxes(visit.team),
            "lost": nobody_looks(visit.now),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """The thresholds of a pathway as somebody may propose them; `unplaced` are the faults that no number shows."""

    chosen: Pathway
    groups: Sequence[Group]
    unplaced: Sequence[Fault] = ()


def show(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show how a patient is followed by questionnaire; with `?suivi=`, the thresholds that may be proposed."""
    return _page(request, _patient(request, pseudonym), wanted=request.GET.get("suivi", "")[:LONGEST_NAME])


def _own(known: Sequence[Pathway], one: FollowUp) -> Pathway | None:
    """Return the pathway of the team that a follow-up is of, or an adaptation of; None for none."""
    named = ("", "") if one.row is None else (one.row.protocol, one.row.questionnaire)
    return next((it for it in known if (it.protocol.name, it.questionnaire.name) == named), None)


def _form(
    one: FollowUp, chosen: Pathway, *, faults: Sequence[Fault] = (), typed: Mapping[str, str] | None = None
) -> _Form:
    holding = one.protocol if one.running else None
    shown = groups(holding or chosen.protocol, chosen.protocol, holding=holding, faults=faults, typed=typed)
    return _Form(chosen=chosen, groups=shown, unplaced=unplaced(faults, shown))


def _page(
    request: HttpRequest, patient: Patient, *, link: str = "", wanted: str = "", form: _Form | None = None
) -> HttpResponse:
    one, known = follow_up(patient), pathways(looking(), request.visit.team.pk)
    own = _own(known, one)
    adaptable = own if one.running and one.protocol is not None else None
    if request.visit.may(Action.PROPOSE_PROTOCOL) and not one.proposed:
        offered = known if not one.running else (adaptable,)
        chosen = next((it for it in offered if it is not None and it.pack == wanted), None)
        form = form or (None if chosen is None else _form(one, chosen))
    changes: list[Changed] = []
    if one.proposed and one.protocol is not None:
        changes = changes_between(None if own is None else own.protocol, one.protocol)
    elif one.change is not None:
        changes = changes_between(one.protocol, one.change)
    return pages.page(
        request,
        "self_report.html",
        {
            "patient": patient,
            "one": one,
            "pathways": known,
            "adaptable": "" if adaptable is None else adaptable.pack,
            "form": form,
            "changes": changes,
            "answers": answered(patient),
            "relays": settings.DESK.relays,
            "rhythms": RHYTHMS,
            "mine": one.row is not None and one.row.proposed_id == request.visit.user.pk,
            "lost": nobody_looks(request.visit.now),
            "link": link,
            "qr": Markup(svg_qr(link)) if link else "",  # noqa: S704 - drawn by us
        },
    )


def propose_it(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Propose a follow-up, with thresholds within the limits of its pathway."""
    return _proposed(
        request,
        pseudonym,
        propose,
        t("Proposé : une deuxième personne doit le confirmer.", "Proposed: a second person has to confirm it."),
    )


def adapt_it(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Propose other thresholds for a follow-up under way."""
    return _proposed(
        request,
        pseudonym,
        propose_change,
        t(
            "Seuils proposés : une deuxième personne doit les confirmer.",
            "Thresholds proposed: a second person has to confirm them.",
        ),
    )


def _proposed(request: HttpRequest, pseudonym: str, keep: Callable[..., bool], done: str) -> HttpResponse:
    patient, team = _patient(request, pseudonym), request.visit.team.pk
    one = follow_up(patient)
    try:
        chosen = pathway(looking(), team, request.POST.get("protocole", "")[:LONGEST_NAME])
    except CoordinationError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
        return _back(pseudonym)
    typed = {name: value[:40] for name, value in request.POST.items() if name.startswith("v.")}
    read = read_numbers(_form(one, chosen).groups, typed)
    if read.wrong:
        messages.warning(request, next(iter(read.wrong.values())))
        return _page(request, patient, form=_form(one, chosen, typed=typed))
    if one.running and not read.values:
        messages.warning(request, t("Aucun seuil n'a été changé.", "No threshold was changed."))
        return _page(request, patient, form=_form(one, chosen))
    other, holding = chosen, one.protocol if one.running else None
    try:
        if read.values:
            other = adapted(chosen, read.values, packs=finder(looking(), team), holding=holding)
    except FaultyError as error:
        words = t("Pas proposé : voir les fautes signalées.", "Not proposed: see the faults that are pointed out.")
        messages.warning(request, words)
        return _page(request, patient, form=_form(one, chosen, faults=error.faults, typed=typed))
    return _act(
        request,
        pseudonym,
        lambda database, row, by, seen: keep(database, row, other, by=by, seen=seen, at=request.visit.now),
        done,
    )


def withdraw_it(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Take back thresholds that were proposed for a follow-up under way."""
    return _act(
        request,
        pseudonym,
        lambda database, patient, by, seen: withdraw_change(database, patient, by=by, seen=seen, at=request.visit.now),
        t("Retirés : les seuils d'aujourd'hui restent.", "Withdrawn: today's thresholds stay."),
    )


def confirm_it(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Confirm what somebody else proposed."""
    return _act(
        request,
        pseudonym,
        lambda database, patient, by, seen: confirm(database, patient, by=by, seen=seen, at=request.visit.now),
        t("Confirmé : ces seuils jugent maintenant.", "Confirmed: these thresholds judge from now on."),
    )


def end_it(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """End a follow-up, or withdraw its proposal."""
    return _act(
        request,
        pseudonym,
        lambda database, patient, by, seen: end(database, patient, by=by, seen=seen, at=request.visit.now),
        t("Arrêté. Les liens non remplis ne valent plus.", "Ended. Links that were not answered are void."),
    )


def plan_it(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Say how often a link is due, and how it goes."""
    days = request.POST.get("tous_les", "")
    every = int(days) if days.isdecimal() and len(days) < 3 and int(days) <= LONGEST_DAYS else 0
    way = Way.RELAY if settings.DESK.relays and request.POST.get("par") == Way.RELAY else Way.HAND
    return _act(
        request,
        pseudonym,
        lambda database, patient, by, seen: plan(  # noqa: ARG005 - every act has who did it
            database, patient, every_days=every or None, way=way, seen=seen, at=request.visit.now
        ),
        t("Rythme enregistré.", "Rhythm saved."),
    )


def give_link(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Make a link: show it once, or let the relay send it."""
    patient, now = _patient(request, pseudonym), request.visit.now
    one = follow_up(patient)
    asked = one.questionnaire
    if asked is None or not one.running:
        messages.warning(
            request,
            t(
                "Aucun lien n'a été fait : le suivi n'a pas commencé. Le proposer, puis le faire confirmer.",
                "No link was made: the follow-up has not begun. Propose it, then have it confirmed.",
            ),
        )
        return _back(pseudonym)
    by = request.visit.user.name
    with acting() as database:
        database.execute(
            "UPDATE self_report SET next_link_at = CASE WHEN every_days IS NULL THEN NULL ELSE ? + every_days * ? END"
            " WHERE patient_id = ?",
            (now, DAY_MS, patient.pk),
        )
        if settings.DESK.relays and request.POST.get("par") == Way.RELAY:
            queue(database, patient.pk, asked, by=by, at=now)
            token = ""
        else:
            token = make(database, patient.pk, asked, by=by, at=now)
    if not token:
        messages.success(request, t("Le lien part dans la minute.", "The link leaves within a minute."))
        return _back(pseudonym)
    # Shown in the answer itself and never again: nothing of it is kept, not even in a session.
    return _page(request, patient, link=_address(request) + reverse("questionnaire", args=[token]))


def _address(request: HttpRequest) -> str:
    return settings.DESK.address or f"{request.scheme}://{request.get_host()}"


def _act(
    request: HttpRequest, pseudonym: str, what: Callable[[Sql, int, Handler, int], bool], done: str
) -> HttpResponse:
    patient, user = _patient(request, pseudonym), request.visit.user
    seen = request.POST.get("vu", "")
    version = int(seen) if seen.removeprefix("-").isdecimal() and len(seen) < 10 else -2
    try:
        with acting() as database:
            worked = what(database, patient.pk, Handler(name=user.name, row=user.pk), version)
    except CoordinationError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
        return _back(pseudonym)
    if worked:
        messages.success(request, f"{pseudonym} : {done}")
    else:
        messages.warning(
            request,
            t(
                "Rien n'a été changé : quelqu'un d'autre vient de le faire, ou une autre personne que celle qui a "
                "proposé doit confirmer.",
                "Nothing was changed: somebody else has just done it, or another person than the one who proposed "
                "it has to confirm.",
            ),
        )
    return _back(pseudonym)


def _back(pseudonym: str) -> HttpResponse:
    return HttpResponseRedirect(reverse("self_report", args=[pseudonym]))


def _patient(request: HttpRequest, pseudonym: str) -> Patient:
    patient = patient_of(request.visit.team, pseudonym)
    if patient is None:
        raise Http404
    return patient
