"""/patients/<p>/resume: what a physician is handed, on one page that prints: the last 14 days, without a name.

The browser makes a PDF of it (its print style hides what is for the screen). Whoever hands it over writes the name on
it by hand: an identity is shown on the dossier alone.
"""

from django.http import HttpRequest, HttpResponse

from coordination.desk import pages
from coordination.desk.devices_at_home import devices_of
from coordination.desk.glucose_charts import glucose_of
from coordination.desk.pages import DAY
from coordination.desk.patient_charts import charts
from coordination.desk.summaries import LONG_DAYS, measured_lines
from coordination.desk.views.patients import days_asked, patient_or_404, sheet_of


def show(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show the summary of one patient."""
    visit = request.visit
    patient = patient_or_404(request, pseudonym)
    days = min(days_asked(request), LONG_DAYS)
    sheet, history, devices, applied = sheet_of(patient, days=days, now=visit.now)
    context = {
        "patient": patient,
        "days": days,
        "begin": sheet.begin,
        "charts": [chart for chart in charts(sheet) if chart.name != "day"],
        "lines": measured_lines(sheet),
        "glucose": glucose_of(sheet),
        "alerts": [one for one in history if one.raised_at >= visit.now - days * DAY],
        "protocol": sheet.protocol,
        "applied": applied,
        "devices": devices_of(patient, devices, sheet.protocol, visit.now),
    }
    return pages.page(request, "summary.html", context)
