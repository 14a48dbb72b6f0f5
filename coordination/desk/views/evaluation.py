"""/export: the evaluation export, chosen by its days and handed over as one file."""

import tempfile
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from coordination.desk import pages
from coordination.desk.evaluation.dictionary import TABLES
from coordination.desk.evaluation.making import USUAL_DAYS, day_of
from coordination.desk.evaluation.making import make as made
from coordination.desk.evaluation.observed import Period, today
from coordination.desk.evaluation.writing import name_of, parquet_is_there
from coordination.desk.pages import t
from coordination.errors import CoordinationError
from exchange.errors import IdentityError


def show(request: HttpRequest) -> HttpResponse:
    """Show what can be exported."""
    until = today(request.visit.now) + timedelta(days=1)
    since = until - timedelta(days=USUAL_DAYS)
    return pages.page(
        request,
        "evaluation.html",
        {
            "since": request.GET.get("du", since.isoformat())[:10],
            "until": request.GET.get("au", until.isoformat())[:10],
            "tables": TABLES,
            "parquet": parquet_is_there(),
        },
    )


def make(request: HttpRequest) -> HttpResponse:
    """Hand the export over."""
    visit = request.visit
    asked = {name: request.POST.get(name, "")[:10] for name in ("du", "au")}
    folder = Path(settings.DESK.exports)
    try:
        period = Period(since=day_of(asked["du"]), until=day_of(asked["au"]), made=visit.now)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".evaluation-", dir=folder) as place:
            path = Path(place) / name_of(period.since, period.until)
            made(
                path,
                visit.team,
                period,
                links=folder if request.POST.get("relier") else None,
                parquet=bool(request.POST.get("parquet")) and parquet_is_there(),
                by=visit.user.name,
            )
            content = path.read_bytes()
    except CoordinationError as error:
        messages.warning(request, f"{t(error.why.fr, error.why.en)} {t(error.hint.fr, error.hint.en)}")
        return HttpResponseRedirect("/export")
    except (OSError, IdentityError):
        messages.warning(
            request,
            t(
                "Le dossier des exports n'accepte rien : prévenir l'administrateur.",
                "The folder of exports takes nothing: tell the administrator.",
            ),
        )
        return HttpResponseRedirect("/export")
    response = HttpResponse(content, content_type="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{path.name}"'
    return response
