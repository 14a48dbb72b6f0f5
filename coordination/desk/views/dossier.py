"""/patients/<p>/dossier: who the patient is, what they agreed to, whose box they have, and how a follow-up ends."""

import tempfile
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from coordination import signing_keys
from coordination.desk import box_words, identities, pages
from coordination.desk.erasures import of_patient
from coordination.desk.identities import REASONS
from coordination.desk.models import BoxAssignment, Consent, Identity, Patient
from coordination.desk.pages import said, t
from coordination.desk.patient_forms import CONSENTS, HOW, AssignForm, ConsentForm, IdentityForm, ReasonForm
from coordination.desk.shared_database import acting, looking
from coordination.desk.views.patients import patient_or_404
from coordination.errors import CoordinationError
from coordination.identity_vault import Person
from coordination.patient_acts import OtherBox, end_follow_up, resume, take_back
from coordination.patient_acts import assign as given
from coordination.patient_export import write_export
from exchange.audit_chain import Act
from exchange.errors import IdentityError


def show(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show the file of one patient."""
    return _page(request, patient_or_404(request, pseudonym))


def _page(request: HttpRequest, patient: Patient, *, status: int = 200, **forms: Any) -> HttpResponse:
    visit = request.visit
    until = identities.shown_until(request.session, patient, now=visit.now)
    person, fault = None, None
    if until is not None:
        try:
            person = identities.read(patient)
        except (CoordinationError, IdentityError) as error:
            fault = _words(error)
    context = {
        "patient": patient,
        "until": until,
        "person": person,
        "fault": fault,
        "born": "" if person is None or not person.born_on else pages.iso_day(person.born_on),
        "known": Identity.objects.filter(patient_id=patient.pk).first(),
        "consents": Consent.objects.filter(patient_id=patient.pk).order_by("-recorded_at"),
        "assignments": BoxAssignment.objects.filter(patient=patient).select_related("box").order_by("-since"),
        "orders": of_patient(visit, patient) if patient.ended_at is not None else (),
        "kept": signing_keys.key_of(looking(), visit.user.pk),
        "words": box_words,
        "REASONS": REASONS,
        "CONSENTS": CONSENTS,
        "HOW": HOW,
        "assign_form": AssignForm(team=visit.team, zone=patient.time_zone, now=visit.now),
        "consent_form": ConsentForm(zone=patient.time_zone, now=visit.now),
        "identity_form": IdentityForm(initial=_typed(person)),
        "now_there": pages.typed_moment(visit.now, patient.time_zone),
        **forms,
    }
    response = pages.page(request, "dossier.html", context, status=status)
    if until is not None:
        # Without a script too, the page goes back to hiding it.
        response.headers["Refresh"] = str(max(1, -(-(until - visit.now) // 1000)))
    return response


def _typed(person: Person | None) -> dict[str, str]:
    return {} if person is None else {name: getattr(person, name) for name in person.__struct_fields__}


def _words(error: CoordinationError | IdentityError) -> str:
    if isinstance(error, CoordinationError):
        return f"{said(error.why)} {said(error.hint)}"
    return t(
        "La clé des identités ne peut pas être lue : prévenir votre administrateur.",
        "The key of identities cannot be read: tell your administrator.",
    )


def _back(patient: Patient, part: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("dossier", args=[patient.pseudonym]) + (f"#{part}" if part else ""))


def _try(request: HttpRequest, what: Callable[[], str]) -> bool:
    """Do something, and say what came of it; return whether it was done."""
    try:
        messages.success(request, what())
    except (CoordinationError, IdentityError) as error:
        messages.warning(request, _words(error))
        return False
    return True


# --- who they are -----------------------------------------------------------------------------------------


def reveal(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show who a patient is for five minutes, to whoever says why."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.warning(request, t("Dire pourquoi, puis recommencer.", "Say why, then try again."))
        return _back(patient, "identite")
    with acting() as database:
        identities.enter(
            database, Act.IDENTITY_SHOWN, patient, by=visit.user.name, at=visit.now, why=form.cleaned_data["why"]
        )
    identities.show_until(request.session, patient, now=visit.now)
    return _back(patient, "identite")


def hide(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Hide it again before the time is over."""
    patient = patient_or_404(request, pseudonym)
    identities.hide(request.session, patient)
    return _back(patient, "identite")


def change(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Write down who a patient is; what is known already is first looked at, for a reason."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    known = Identity.objects.filter(patient_id=patient.pk).exists()
    if known and identities.shown_until(request.session, patient, now=visit.now) is None:
        messages.warning(request, t("Afficher d'abord l'identité.", "Show the identity first."))
        return _back(patient, "identite")
    form = IdentityForm(request.POST)
    if not form.is_valid():
        return _page(request, patient, status=422, identity_form=form)

    def kept() -> str:
        with acting() as database:
            identities.keep(database, patient, form.person(), by=visit.user.name, at=visit.now)
        return t("Identité enregistrée, chiffrée.", "Identity kept, encrypted.")

    _try(request, kept)
    return _back(patient, "identite")


# --- what they agreed to ----------------------------------------------------------------------------------


def consent(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Record what a patient agreed to."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    form = ConsentForm(request.POST, zone=patient.time_zone, now=visit.now)
    if not form.is_valid():
        return _page(request, patient, status=422, consent_form=form)
    said_so = form.cleaned_data
    with acting() as database:
        _made, new = Consent.objects.get_or_create(
            patient_id=patient.pk,
            what=said_so["what"],
            withdrawn_at=None,
            defaults={
                "how": said_so["how"],
                "given_at": said_so["given_on"],
                "recorded_at": visit.now,
                "recorded_by": visit.user.name,
            },
        )
        if new:
            identities.enter(
                database, Act.CONSENT_RECORDED, patient, by=visit.user.name, at=visit.now, what=said_so["what"]
            )
    if new:
        messages.success(request, t("Consentement enregistré.", "Consent recorded."))
    else:
        messages.warning(request, t("Ce consentement est déjà enregistré.", "This consent is recorded already."))
    return _back(patient, "consentements")


def withdraw(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Record that a patient takes a consent back."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    wanted = request.POST.get("consentement", "")
    with acting() as database:
        found = Consent.objects.filter(
            pk=int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 16 else -1,
            patient_id=patient.pk,
            withdrawn_at=None,
        ).first()
        if found is not None:
            found.withdrawn_at, found.withdrawn_by = visit.now, visit.user.name
            found.save(update_fields=["withdrawn_at", "withdrawn_by"])
            identities.enter(
                database, Act.CONSENT_WITHDRAWN, patient, by=visit.user.name, at=visit.now, what=found.what
            )
    if found is None:
        messages.warning(request, t("Rien n'a été changé.", "Nothing was changed."))
    elif found.what == "telemonitoring":
        messages.warning(
            request,
            t(
                "Retrait enregistré. Le suivi continue tant que vous ne le terminez pas.",
                "Withdrawal recorded. Follow-up goes on until you end it.",
            ),
        )
    else:
        messages.success(request, t("Retrait enregistré.", "Withdrawal recorded."))
    return _back(patient, "consentements")


# --- their box --------------------------------------------------------------------------------------------


def assign(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Give a box to a patient."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    form = AssignForm(request.POST, team=visit.team, zone=patient.time_zone, now=visit.now)
    if not form.is_valid():
        return _page(request, patient, status=422, assign_form=form)
    found = form.cleaned_data

    def done() -> str:
        with acting() as database:
            theirs = given(
                database,
                patient=patient.pk,
                box=int(found["box"]),
                since=found["since"],
                other_box=OtherBox(found["other_box"] or OtherBox.REFUSE),
                by=visit.user.name,
                at=visit.now,
            )
        if theirs:
            return t(
                "Boîtier attribué ; {n} relevés qui attendaient sont maintenant ceux de ce patient.",
                "Box given; {n} records that were waiting are now this patient's.",
                n=theirs,
            )
        return t("Boîtier attribué.", "Box given.")

    _try(request, done)
    return _back(patient, "boitier")


def release(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Take the box back; the follow-up goes on without one."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    with acting() as database:
        ended = take_back(database, patient=patient.pk, by=visit.user.name, at=visit.now)
    if ended:
        messages.success(request, t("L'attribution du boîtier est terminée.", "The box's assignment has ended."))
    else:
        messages.warning(request, t("Ce patient n'avait pas de boîtier.", "This patient had no box."))
    return _back(patient, "boitier")


# --- what they are handed, and the end --------------------------------------------------------------------


def export(request: HttpRequest, pseudonym: str) -> HttpResponseBase:
    """Hand over all that is known of a patient, as one archive."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    try:
        person = identities.read(patient)
    except (CoordinationError, IdentityError) as error:
        messages.warning(request, _words(error))
        return _back(patient, "donnees")
    consents = [
        {
            "what": one.what,
            "how": one.how,
            "given_at": one.given_at,
            "recorded_by": one.recorded_by,
            "withdrawn_at": one.withdrawn_at,
        }
        for one in Consent.objects.filter(patient_id=patient.pk).order_by("recorded_at")
    ]
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it
    with acting() as database:
        count = write_export(database, patient.pk, person=person, consents=consents, file=file, at=visit.now)
        identities.enter(
            database, Act.PATIENT_EXPORTED, patient, by=visit.user.name, at=visit.now, readings=count,
            identity=int(person is not None),
        )  # fmt: skip
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"{patient.pseudonym}.zip", content_type="application/zip")


def end(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """End a follow-up: archived, the box taken back, nothing deleted."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    if request.POST.get("confirmer") != "oui":
        messages.warning(request, t("Cocher la confirmation.", "Tick the confirmation."))
        return _back(patient, "fin")
    with acting() as database:
        ended = end_follow_up(database, patient=patient.pk, by=visit.user.name, at=visit.now)
    if ended:
        messages.success(request, t("Suivi terminé et archivé.", "Follow-up ended and archived."))
    else:
        messages.warning(request, t("Le suivi était déjà terminé.", "The follow-up had ended already."))
    return _back(patient, "fin")


def begin_again(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Take a patient on again."""
    patient, visit = patient_or_404(request, pseudonym), request.visit
    with acting() as database:
        again = resume(database, patient=patient.pk, by=visit.user.name, at=visit.now)
    if again:
        messages.success(
            request, t("Suivi repris : attribuer un boîtier.", "Follow-up resumed: give the patient a box.")
        )
    return _back(patient, "boitier")
