"""Erasing a patient, at the team and at their box: the order to the box is signed by two people, each under a PIN."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from coordination.desk import identities
from coordination.desk.erasures import of_patient
from coordination.desk.fhir.bulk import discard
from coordination.desk.models import Patient
from coordination.desk.pages import t
from coordination.desk.shared_database import acting, looking, outside
from coordination.desk.views.boxes import box_or_404, told
from coordination.desk.views.patients import patient_or_404
from coordination.desk.views.signing import opened, shown_anew
from coordination.erasure_orders import sign_first, sign_second
from coordination.errors import CoordinationError
from coordination.office import now_ms
from coordination.patient_erasure import box_orders, scour
from coordination.patient_erasure import erase as erased
from coordination.person_key import PersonKey
from coordination.sql import Sql
from exchange.identity import SigningKey

_Signing = Callable[[Sql, PersonKey, SigningKey], str]


def erase(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Erase a patient for good, once somebody has typed whom; with a PIN their box is told in the same act."""
    patient = patient_or_404(request, pseudonym)
    back = HttpResponseRedirect(reverse("dossier", args=[patient.pseudonym]) + "#effacer")
    if request.POST.get("pseudonyme", "").strip().lower() != patient.pseudonym:
        messages.warning(
            request,
            t(
                "Le pseudonyme tapé n'est pas celui de ce patient. Rien n'a été effacé.",
                "What was typed is not this patient's pseudonym. Nothing was erased.",
            ),
        )
        return back
    at_once = request.POST.get("sans_boitier") == "oui"
    try:
        if request.POST.get("code"):
            if (elsewhere := shown_anew(request, back.url)) is not None:
                return elsewhere
            _order(request, patient)
            if not at_once and any(order.state != "applied" for order in box_orders(looking(), patient.pk)):
                return back
        _erase(request, patient, at_once=at_once)
    except CoordinationError as error:
        told(request, error)
        return back
    identities.hide(request.session, patient)
    return HttpResponseRedirect(reverse("patients"))


def _order(request: HttpRequest, patient: Patient) -> None:
    """Sign what the visitor may sign now, for each box that had the patient."""
    waiting = [one for one in of_patient(request.visit, patient) if one.signs]

    def work(database: Sql, kept: PersonKey, key: SigningKey) -> str:
        done = ""
        for one in waiting:
            if one.signs == "first":
                done = _first(database, one.line.box, one.patient, kept, key)
            elif one.view is not None:
                done = _second(database, one.line.box, one.view.id, kept, key)
        return done

    if waiting:
        messages.success(request, _signed(request, work))
    else:
        messages.warning(request, t("Il n'y avait rien à signer par vous.", "There was nothing for you to sign."))


def _erase(request: HttpRequest, patient: Patient, *, at_once: bool) -> None:
    visit = request.visit
    with acting() as database:
        found = erased(database, patient.pk, by=visit.user.name, at=visit.now, without_box=at_once)
    # Nobody can take one patient out of a file that was made: they are all made anew by whoever needs them.
    discard(visit.team, now=visit.now)
    with outside() as database:
        scour(database)
    messages.success(
        request,
        t(
            "Patient effacé : {readings} mesures et {alerts} alertes détruites, clé d'identité comprise.",
            "Patient erased: {readings} readings and {alerts} alerts destroyed, with the key of their identity.",
            readings=found.readings,
            alerts=found.alerts,
        ),
    )


# --- from a box's page ------------------------------------------------------------------------------------


def order_first(request: HttpRequest, box: str) -> HttpResponse:
    """Sign as a nurse that a box erases a patient whose follow-up has ended, or whom the team erased already."""
    patient = request.POST.get("pseudonyme", "").strip().lower()
    return _from_box(request, box, lambda database, kept, key: _first(database, box, patient, kept, key))


def order_second(request: HttpRequest, box: str) -> HttpResponse:
    """Sign as somebody of another function what a nurse signed, and send it."""
    command = request.POST.get("ordre", "")[:32]
    return _from_box(request, box, lambda database, kept, key: _second(database, box, command, kept, key))


def _from_box(request: HttpRequest, name: str, work: _Signing) -> HttpResponse:
    box = box_or_404(request, name)
    back = HttpResponseRedirect(reverse("box", args=[box.name]) + "#effacer")
    if (elsewhere := shown_anew(request, back.url)) is not None:
        return elsewhere
    try:
        messages.success(request, _signed(request, work))
    except CoordinationError as error:
        told(request, error)
    return back


# --- signing ----------------------------------------------------------------------------------------------


def _signed(request: HttpRequest, work: _Signing) -> str:
    """Open the visitor's key with the PIN in the request, let `work` sign with it, and return what it says.

    Raises:
        CoordinationError: there is no key, the PIN is wrong, or what was to be signed may not be.
    """
    kept, key = opened(request)
    with acting() as database:
        return work(database, kept, key)


def _first(database: Sql, box: str, patient: str, kept: PersonKey, key: SigningKey) -> str:
    sign_first(database, box=box, patient=patient, key=key, name=kept.name, now=now_ms())
    return t(
        "Ordre d'effacer signé par vous ; un médecin ou un administrateur signe ensuite, puis il part.",
        "Order to erase signed by you; a physician or an administrator signs next, then it is sent.",
    )


def _second(database: Sql, box: str, command: str, kept: PersonKey, key: SigningKey) -> str:
    sign_second(database, box=box, command=command, key=key, name=kept.name, now=now_ms())
    return t(
        "Ordre d'effacer signé par vous et parti ; la réponse du boîtier paraîtra ici.",
        "Order to erase signed by you and sent; the box's answer will stand here.",
    )
