"""/patients/<p>/protocole: a patient's protocol adapted, tried, proposed; and every act on the way to the box."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.http import urlencode

from alerting.protocol_writer import write_protocol
from alerting.toml_text import MOST_CHARACTERS
from coordination import drafts, replay_jobs, signing_keys
from coordination.command_queue import CommandState
from coordination.deliveries import Stage
from coordination.desk import pages
from coordination.desk.models import Patient
from coordination.desk.pages import said, t
from coordination.desk.patients import patient_of, protocol_of
from coordination.desk.shared_database import acting, looking
from coordination.desk.thresholds import read_numbers
from coordination.desk.workshop import DAYS, USUAL_DAYS, Workshop, coming, workshop_of
from coordination.draft_orders import send
from coordination.draft_text import first_text, means, with_values
from coordination.drafts import Draft, open_draft
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.packs import FaultyError, OutdatedError, all_packs, finder, meaning_of, pack_of
from coordination.sql import Sql
from devices.clock import SystemClock

LONGEST_RULE = 48


def _patient(request: HttpRequest, pseudonym: str) -> Patient:
    patient = patient_of(request.visit.team, pseudonym)
    if patient is None:
        raise Http404
    return patient


def _by(request: HttpRequest) -> Handler:
    return Handler(name=request.visit.user.name, row=request.visit.user.pk)


def _revision(request: HttpRequest) -> int:
    value = request.POST.get("vu", "")
    return int(value) if value.isdecimal() and len(value) < 10 else -1


def _back(pseudonym: str, more: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('workshop', args=[pseudonym])}{more}")


def page(request: HttpRequest, patient: Patient, **kept: Any) -> HttpResponse:
    """Show the workshop; `kept` is what somebody typed and was not saved, or came for (see `workshop_of`)."""
    database = looking()
    shop = workshop_of(database, patient, now=request.visit.now, **kept)
    more: dict[str, object] = {
        "shop": shop,
        "patient": patient,
        "text": kept.get("text") or (shop.draft.text if shop.draft else ""),
        "kept_text": kept.get("text") is not None and kept.get("typed") is None,
        "packs": () if shop.draft is not None else _choices(database, shop),
        "signs": signing_keys.key_of(database, request.visit.user.pk) is not None,
        "days": DAYS,
        "usual": shop.job.days if shop.job is not None else USUAL_DAYS,
        "Stage": Stage,
        "CommandState": CommandState,
    }
    return pages.page(request, "workshop.html", more)


def _choices(database: Sql, shop: Workshop) -> list[tuple[str, str, bool]]:
    """Return (name, title, whether it is the one that the patient's protocol comes from) of each pack."""
    found = []
    for pack in all_packs(database, shop.patient.team_id):
        meaning = meaning_of(database, shop.patient.team_id, pack)
        if meaning is not None:
            likely = shop.holding is not None and shop.holding.name == meaning.name
            found.append((pack.name, said(meaning.title), likely))
    return sorted(found, key=lambda one: one[1])


def show(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show a patient's workshop; numbers in the address (`?v.rule.key=`) stand in the form as if they were typed.

    The rule that the address names (`?regle=`) is the first of the form.
    """
    typed = {name: value[:40] for name, value in request.GET.items() if name.startswith("v.")}
    kept: dict[str, object] = {"typed": typed} if typed else {}
    return page(request, _patient(request, pseudonym), rule=request.GET.get("regle", "")[:LONGEST_RULE], **kept)


def begin(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Begin a draft from a pack and what holds now."""
    patient = _patient(request, pseudonym)
    holding, _ = protocol_of(patient)
    try:
        with acting() as database:
            pack = pack_of(database, patient.team_id, request.POST.get("pack", "")[:48])
            meaning = None if pack is None else meaning_of(database, patient.team_id, pack)
            if pack is None or meaning is None:
                raise Http404
            base = coming(database, patient) or holding
            text = first_text(pack.name, meaning, holding=base, patient=patient.pseudonym)
            drafts.begin(
                database, team=patient.team_id, patient=patient.pk, text=text, by=_by(request), at=request.visit.now
            )
    except OutdatedError as error:
        messages.warning(request, _told(error))
    rule = request.POST.get("regle", "")[:LONGEST_RULE]
    return _back(pseudonym, f"?{urlencode({'regle': rule})}" if rule else "")


def change(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Keep the numbers of the form."""
    patient = _patient(request, pseudonym)
    shop = workshop_of(looking(), patient, now=request.visit.now)
    if shop.draft is None:
        return _gone(request, pseudonym)
    read = read_numbers(shop.groups, request.POST)
    typed = {name: value[:40] for name, value in request.POST.items() if name.startswith("v.")}
    if read.wrong:
        messages.warning(request, next(iter(read.wrong.values())))
        return page(request, patient, typed=typed)
    text = shop.draft.text
    if read.values:
        rules = frozenset() if shop.limits is None else frozenset(rule.id for rule in shop.limits.rules)
        text = with_values(text, read.values, pack_rules=rules)
    return _saved(request, patient, shop.draft, text, typed=typed)


def write(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Keep the advanced text."""
    patient = _patient(request, pseudonym)
    draft = open_draft(looking(), patient.team_id, patient.pk)
    if draft is None:
        return _gone(request, pseudonym)
    text = request.POST.get("texte", "")[: MOST_CHARACTERS + 1].replace("\r\n", "\n")
    return _saved(request, patient, draft, text)


def _saved(
    request: HttpRequest, patient: Patient, draft: Draft, text: str, *, typed: dict[str, str] | None = None
) -> HttpResponse:
    try:
        if text != draft.text:
            with acting() as database:
                drafts.change(
                    database, draft, text=text, revision=_revision(request), by=_by(request), at=request.visit.now
                )
            messages.success(request, t("Projet enregistré.", "Draft saved."))
    except FaultyError:
        messages.warning(
            request,
            t("Pas enregistré : voir les fautes signalées.", "Not saved: see the faults that are pointed out."),
        )
        return page(request, patient, text=text, typed=typed)
    except OutdatedError as error:
        messages.warning(request, _told(error))
        return page(request, patient, typed=typed, text=None if typed is not None else text)
    if "rejouer" in request.POST:
        return replay(request, patient.pseudonym)
    return _back(patient.pseudonym)


# --- trying it --------------------------------------------------------------------------------------------


def replay(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Ask for a replay of the draft on the patient's history."""
    patient = _patient(request, pseudonym)
    asked = request.POST.get("jours", "")
    days = int(asked) if asked in {str(one) for one in DAYS} else USUAL_DAYS
    holding, _ = protocol_of(patient)
    with acting() as database:
        draft = open_draft(database, patient.team_id, patient.pk)
        meant = None if draft is None else means(draft.text, finder(database, patient.team_id))
        if draft is None or meant is None:
            messages.warning(request, t("Corriger d'abord les fautes du projet.", "Correct the draft's faults first."))
            return _back(pseudonym)
        job = replay_jobs.ask(
            database,
            replay_jobs.Asked(
                team=patient.team_id,
                patient=patient.pk,
                draft=draft.id,
                revision=draft.revision,
                days=days,
                before="" if holding is None else write_protocol(holding),
                after=write_protocol(meant),
                until=request.visit.now,
            ),
            by=request.visit.user.name,
            now=SystemClock().now_ms(),
        )
    if job is None:
        messages.warning(
            request, t("Trop de rejeux en attente : réessayer plus tard.", "Too many replays wait: try again later.")
        )
    return _back(pseudonym, "#rejeu")


def replay_state(request: HttpRequest, pseudonym: str) -> JsonResponse:
    """Say how far the newest replay is, for the page's script."""
    patient, database = _patient(request, pseudonym), looking()
    draft = open_draft(database, patient.team_id, patient.pk)
    job = None if draft is None else replay_jobs.newest(database, team=patient.team_id, draft=draft.id)
    if job is None:
        return JsonResponse({"state": "", "done": 0})
    return JsonResponse({"state": job.state, "done": job.done})


def cancel(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Stop the replay."""
    patient = _patient(request, pseudonym)
    with acting() as database:
        draft = open_draft(database, patient.team_id, patient.pk)
        job = None if draft is None else replay_jobs.newest(database, team=patient.team_id, draft=draft.id)
        if job is not None:
            replay_jobs.cancel(database, job.id, team=patient.team_id, now=SystemClock().now_ms())
    return _back(pseudonym, "#rejeu")


# --- proposing, taking back, giving up, sending -----------------------------------------------------------


def propose(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Propose the draft for two signatures."""
    patient = _patient(request, pseudonym)
    holding, _ = protocol_of(patient)

    def act(database: Sql, draft: Draft) -> None:
        drafts.propose(
            database,
            draft,
            holding=coming(database, patient) or holding,
            revision=_revision(request),
            by=_by(request),
            at=request.visit.now,
            now=SystemClock().now_ms(),
        )

    return _acted(request, patient, act, t("Proposé à la signature.", "Proposed for signing."))


def take_back(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Make a proposed draft one that can be changed again."""

    def act(database: Sql, draft: Draft) -> None:
        drafts.take_back(database, draft, revision=_revision(request), by=_by(request), at=request.visit.now)

    done = t("De nouveau modifiable ; les signatures sont retirées.", "Can be changed again; signatures were dropped.")
    return _acted(request, _patient(request, pseudonym), act, done)


def abandon(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Give the draft up."""

    def act(database: Sql, draft: Draft) -> None:
        drafts.abandon(database, draft, revision=_revision(request), by=_by(request), at=request.visit.now)

    return _acted(request, _patient(request, pseudonym), act, t("Projet abandonné.", "Draft given up."))


def deliver(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Queue the signed draft for the patient's box."""

    def act(database: Sql, draft: Draft) -> None:
        now = SystemClock().now_ms()
        send(database, draft, revision=_revision(request), by=_by(request), at=request.visit.now, now=now)

    done = t(
        "En file d'envoi : le boîtier l'appliquera dès qu'il sera joignable.",
        "Queued: the box will apply it as soon as it can be reached.",
    )
    return _acted(request, _patient(request, pseudonym), act, done)


def _acted(request: HttpRequest, patient: Patient, act: Callable[[Sql, Draft], None], done: str) -> HttpResponse:
    try:
        with acting() as database:
            draft = open_draft(database, patient.team_id, patient.pk)
            if draft is None:
                return _gone(request, patient.pseudonym)
            act(database, draft)
        messages.success(request, done)
    except CoordinationError as error:
        messages.warning(request, _told(error))
    return _back(patient.pseudonym)


def _gone(request: HttpRequest, pseudonym: str) -> HttpResponse:
    messages.warning(
        request,
        t(
            "Ce projet n'est plus ouvert : il a été envoyé ou abandonné. Rien n'a été changé.",
            "This draft is not open any more: it was sent or given up. Nothing was changed.",
        ),
    )
    return _back(pseudonym)


def _told(error: CoordinationError) -> str:
    return f"{said(error.why)} {said(error.hint)}"
