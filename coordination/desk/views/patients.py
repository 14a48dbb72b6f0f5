"""/patients: the team's patients, and one of them in ten seconds."""

from django.http import Http404, HttpRequest, HttpResponse

from coordination.desk import pages
from coordination.desk.alert_story import outcome_words
from coordination.desk.pages import DAY
from coordination.desk.patient_charts import PERIODS, USUAL_DAYS, charts, time_in_ranges
from coordination.desk.patients import (
    box_of,
    devices_of,
    history_of,
    listed,
    patient_of,
    protocol_of,
    raised_of,
    waiting_of,
    way_of,
)
from coordination.desk.readings import readings_of
from devices.reading import Quantity


def show_all(request: HttpRequest) -> HttpResponse:
    """Show the team's patients."""
    search = request.GET.get("patient", "").strip()[:48]
    return pages.page(request, "patients.html", {"patients": listed(request.visit.team, search), "search": search})


def show(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show one patient."""
    visit = request.visit
    patient = patient_of(visit.team, pseudonym)
    if patient is None:
        raise Http404
    asked = request.GET.get("jours", "")
    days = int(asked) if asked in {str(period) for period in PERIODS} else USUAL_DAYS
    found = readings_of(patient, begin=visit.now - max(days, USUAL_DAYS) * DAY, end=visit.now)
    protocol, applied = protocol_of(patient)
    history = history_of(patient)
    sensor = found.get(Quantity.GLUCOSE_INTERSTITIAL)
    shown = charts(
        found, days=days, now=visit.now, zone=patient.time_zone, protocol=protocol, raised=raised_of(history)
    )
    return pages.page(
        request,
        "patient.html",
        {
            "patient": patient,
            "problems": waiting_of(patient),
            "history": history,
            "charts": shown,
            "days": days,
            "periods": PERIODS,
            "ranges": None if sensor is None else time_in_ranges(sensor.since(visit.now - days * DAY)),
            "protocol": protocol,
            "applied": applied,
            "devices": devices_of(patient, visit.now),
            "box": box_of(patient),
            "way": way_of(patient),
            "outcome_words": outcome_words,
        },
    )
