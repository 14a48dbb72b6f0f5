"""/patients: the team's patients, and one of them in ten seconds."""

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse

from coordination.desk import pages
from coordination.desk.alert_story import outcome_words
from coordination.desk.apart import apart_of
from coordination.desk.chart_parts import Sheet
from coordination.desk.devices_at_home import boxes_of, devices_of, measured_by
from coordination.desk.gap_causes import causes_of
from coordination.desk.glucose_charts import glucose_of
from coordination.desk.models import Alert, Patient
from coordination.desk.pages import DAY
from coordination.desk.patient_charts import PERIODS, USUAL_DAYS, charts
from coordination.desk.patients import history_of, listed, patient_of, protocol_of, raised_of, waiting_of
from coordination.desk.reading_way import note_view, way_of
from coordination.desk.readings import readings_of
from coordination.desk.self_reports import follow_up
from coordination.desk.symptom_charts import symptom_charts
from coordination.tables import QUANTITIES
from devices.reading import SYMPTOMS, Quantity


def show_all(request: HttpRequest) -> HttpResponse:
    """Show the team's patients."""
    search = request.GET.get("patient", "").strip()[:48]
    team = request.visit.team
    silent_first = request.GET.get("tri") == "donnees"
    context = {
        "patients": listed(team, search, silent_first=silent_first),
        "silent_first": silent_first,
        "search": search,
        "apart": sum(one.count for one in apart_of(team)),
    }
    return pages.page(request, "patients.html", context)


def show(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show one patient."""
    visit = request.visit
    patient = patient_or_404(request, pseudonym)
    sheet, history, devices, applied = sheet_of(patient, days=days_asked(request), now=visit.now)
    measured = replace(sheet, found={one: series for one, series in sheet.found.items() if one not in SYMPTOMS})
    note_view(patient, visit.user, now=visit.now)
    way = way_of(patient, quantity=request.GET.get("grandeur", "")[:32], at=moment_asked(request))
    return pages.page(
        request,
        "patient.html",
        {
            "patient": patient,
            "problems": waiting_of(patient),
            "history": history,
            "charts": [*charts(measured), *symptom_charts(sheet)],
            "days": sheet.days,
            "periods": PERIODS,
            "glucose": glucose_of(sheet),
            "protocol": sheet.protocol,
            "applied": applied,
            "devices": devices_of(patient, devices, sheet.protocol, visit.now),
            "boxes": boxes_of(patient),
            "way": way,
            "way_value": "" if way is None else sheet.ruler(way.quantity).words(way.count),
            "QUANTITIES": QUANTITIES,
            "outcome_words": outcome_words,
            "self_report": follow_up(patient),
        },
    )


def patient_or_404(request: HttpRequest, pseudonym: str) -> Patient:
    """Return a patient of the visitor's team.

    Raises:
        Http404: there is none of that name.
    """
    patient = patient_of(request.visit.team, pseudonym)
    if patient is None:
        raise Http404
    return patient


def days_asked(request: HttpRequest) -> int:
    """Return the period that a page is asked for, the usual one for anything else."""
    asked = request.GET.get("jours", "")
    return int(asked) if asked in {str(period) for period in PERIODS} else USUAL_DAYS


def moment_asked(request: HttpRequest) -> int | None:
    """Return when the reading was measured whose way is asked for (ms UTC), None when none is."""
    asked = request.GET.get("mesure", "")
    return int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 15 else None


def sheet_of(
    patient: Patient, *, days: int, now: int
) -> tuple[Sheet, list[Alert], dict[str, dict[Quantity, int]], str]:
    """Return what a patient's charts are drawn of, their alerts, their devices, and the hash of their protocol.

    Args:
        patient: whose.
        days: how far back.
        now: ms UTC.
    """
    # Thresholds that follow the patient look further back than what is drawn.
    found = readings_of(patient, begin=now - (days + USUAL_DAYS) * DAY, end=now)
    protocol, applied = protocol_of(patient)
    history = history_of(patient)
    devices = measured_by(patient, now)
    sheet = Sheet(
        found=found,
        days=days,
        now=now,
        zone=patient.time_zone,
        protocol=protocol,
        raised=raised_of(history),
        causes=causes_of(patient, devices, begin=now - days * DAY, now=now),
    )
    return sheet, history, devices, applied
