"""/patients/<p>/protocole/ombre: a draft judged beside what holds on the patient's box, signed for by one person."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from alerting.alert import Sentence
from coordination import shadow_orders
from coordination.desk.models import Patient
from coordination.desk.pages import said, t
from coordination.desk.patients import patient_of
from coordination.desk.shadow_view import shadow_view
from coordination.desk.shared_database import acting
from coordination.desk.views.signing import opened
from coordination.drafts import open_draft
from coordination.errors import CoordinationError
from coordination.office import now_ms
from coordination.sql import Sql
from exchange.identity import SigningKey


def begin(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Ask the box to judge the draft beside what holds."""
    seen = request.POST.get("vu", "")
    revision = int(seen) if seen.isdecimal() and len(seen) < 10 else -1

    def work(database: Sql, patient: Patient, key: SigningKey) -> None:
        draft = open_draft(database, patient.team_id, patient.pk)
        if draft is None:
            raise _nothing("Ce projet n'est plus ouvert.", "This draft is not open any more.")
        by = request.visit.user.name
        shadow_orders.begin(database, draft, revision=revision, by=by, key=key, now=now_ms())

    return _signed(request, pseudonym, work)


def end(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Ask the box to end it."""

    def work(database: Sql, patient: Patient, key: SigningKey) -> None:
        shadow = shadow_view(database, patient, None)
        newest = shadow.asked or shadow.done
        if newest is None or not shadow.can_end:
            raise _nothing("Aucun mode ombre n'est en cours.", "No shadow is judged.")
        by = request.visit.user.name
        shadow_orders.end(database, patient.pseudonym, box=newest.box, by=by, key=key, now=now_ms())

    return _signed(request, pseudonym, work)


def _signed(request: HttpRequest, pseudonym: str, work: Callable[[Sql, Patient, SigningKey], None]) -> HttpResponse:
    """Do some work with the visitor's key, opened by the PIN in the request, and go back to the workshop."""
    patient = patient_of(request.visit.team, pseudonym)
    if patient is None:
        raise Http404
    try:
        _, key = opened(request)
        with acting() as database:
            work(database, patient, key)
    except CoordinationError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
    else:
        messages.success(
            request, t("Demande signée par vous, en attente du boîtier.", "Order signed by you, waiting for the box.")
        )
    return HttpResponseRedirect(f"{reverse('workshop', args=[pseudonym])}#ombre")


def _nothing(fr: str, en: str) -> CoordinationError:
    return CoordinationError(
        Sentence(fr=fr, en=en), hint=Sentence(fr="Rien n'a été demandé.", en="Nothing was asked for.")
    )
