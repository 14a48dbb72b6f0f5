"""/patients/nouveau, /patients/a-attribuer, /patients/archives, /conservation: who is followed, and who was."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from alerting.protocol_writer import write_protocol
from coordination.audit_log import AuditLog
from coordination.desk import pages
from coordination.desk.apart import apart_of
from coordination.desk.models import Box, Patient, Retention
from coordination.desk.pages import said, t
from coordination.desk.patient_forms import ZONES, RetentionForm, TakeOnForm
from coordination.desk.shared_database import acting, outside
from coordination.errors import CoordinationError
from coordination.patient_acts import OtherBox, assign, is_taken, new_pseudonym, take_on
from coordination.retention import Keeping, overdue
from exchange.audit_chain import Act


def new(request: HttpRequest) -> HttpResponse:
    """Take a patient on."""
    visit = request.visit
    if request.method != "POST":
        with outside() as database:
            suggested = new_pseudonym(lambda name: is_taken(database, name))
        wanted = request.GET.get("boitier", "")[:48]
        box = Box.objects.filter(team=visit.team, name=wanted).first()
        initial = {
            "pseudonym": suggested,
            "time_zone": ZONES[0],
            "since": pages.typed_moment(visit.now, ZONES[0]),
            "box": "" if box is None else str(box.pk),
        }
        form = TakeOnForm(initial=initial, team=visit.team, zone=ZONES[0], now=visit.now)
        return _form(request, form)
    form = TakeOnForm(request.POST, team=visit.team, zone=ZONES[0], now=visit.now)
    if not form.is_valid():
        return _form(request, form, status=422)
    found = form.cleaned_data
    protocol = form.pathways[found["pathway"]]
    try:
        with acting() as database:
            row = take_on(
                database,
                pseudonym=found["pseudonym"],
                team=visit.team.pk,
                time_zone=found["time_zone"],
                protocol=protocol.protocol_hash,
                text=write_protocol(protocol),
                by=visit.user.name,
                at=visit.now,
            )
            if found.get("box"):
                assign(
                    database,
                    patient=row,
                    box=int(found["box"]),
                    since=found["since"],
                    other_box=OtherBox.REFUSE,
                    by=visit.user.name,
                    at=visit.now,
                )
    except CoordinationError as error:
        form.add_error("pseudonym", f"{said(error.why)} {said(error.hint)}")
        return _form(request, form, status=422)
    messages.success(
        request,
        t(
            "{name} est suivi. Il reste à noter l'identité et le consentement, puis à envoyer le protocole signé.",
            "{name} is followed. The identity and the consent are still to be noted, then the signed protocol sent.",
            name=found["pseudonym"],
        ),
    )
    return HttpResponseRedirect(reverse("dossier", args=[found["pseudonym"]]))


def _form(request: HttpRequest, form: TakeOnForm, *, status: int = 200) -> HttpResponse:
    return pages.page(request, "new_patient.html", {"form": form, "zones": ZONES}, status=status)


def apart(request: HttpRequest) -> HttpResponse:
    """Show what was received and is nobody's yet."""
    visit = request.visit
    patients = Patient.objects.filter(team=visit.team, ended_at=None).order_by("pseudonym")[:500]
    context = {
        "groups": apart_of(visit.team),
        "patients": patients,
    }
    return pages.page(request, "to_attribute.html", context)


def resolve(request: HttpRequest) -> HttpResponse:
    """Date an assignment back so that what waits becomes the patient's that it names."""
    visit = request.visit
    group = next((one for one in apart_of(visit.team) if one.key == request.POST.get("groupe", "")), None)
    patient = Patient.objects.filter(team=visit.team, pseudonym=request.POST.get("patient", "")[:48]).first()
    if group is None or patient is None or not group.resolvable or patient.pseudonym != group.claimed:
        messages.warning(
            request,
            t(
                "Rien n'a été changé : le relevé nomme un autre patient.",
                "Nothing was changed: the record names another patient.",
            ),
        )
        return HttpResponseRedirect(reverse("to_attribute"))
    try:
        with acting() as database:
            theirs = assign(
                database,
                patient=patient.pk,
                box=group.box.pk,
                since=group.first,
                other_box=OtherBox.ENDS if request.POST.get("terminer") == "oui" else OtherBox.REFUSE,
                by=visit.user.name,
                at=visit.now,
            )
    except CoordinationError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
    else:
        messages.success(
            request,
            t("{n} relevés sont maintenant ceux de {name}.", "{n} records are now {name}'s.",
              n=theirs, name=patient.pseudonym),
        )  # fmt: skip
    return HttpResponseRedirect(reverse("to_attribute"))


def archives(request: HttpRequest) -> HttpResponse:
    """Show the patients whose follow-up has ended."""
    found = Patient.objects.filter(team=request.visit.team).exclude(ended_at=None).order_by("-ended_at")[:500]
    return pages.page(request, "archives.html", {"patients": found})


def retention(request: HttpRequest) -> HttpResponse:
    """Show and set for how long the team keeps things."""
    visit = request.visit
    kept = Retention.objects.filter(team_id=visit.team.pk).first() or Retention(team_id=visit.team.pk)
    form = RetentionForm(initial={"archive_days": kept.archive_days, "view_days": kept.view_days})
    if request.method == "POST":
        form = RetentionForm(request.POST)
        if form.is_valid():
            with acting() as database:
                Retention.objects.update_or_create(
                    team_id=visit.team.pk,
                    defaults={**form.cleaned_data, "changed_at": visit.now, "changed_by": visit.user.name},
                )
                log = AuditLog(database)
                log.begin(at=visit.now)
                log.enter(Act.RETENTION_SET, at=visit.now, by=visit.user.name, detail=form.cleaned_data)
            messages.success(request, t("Durées enregistrées.", "Durations kept."))
            return HttpResponseRedirect(reverse("retention"))
    with outside() as database:
        keeping = Keeping(archive=kept.archive_days, views=kept.view_days)
        due = len(overdue(database, visit.team.pk, keeping, now=visit.now))
    context = {"form": form, "kept": kept, "due": due}
    return pages.page(request, "retention.html", context, status=422 if form.errors else 200)
