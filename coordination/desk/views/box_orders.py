"""/boitiers/<b>/...: what is asked of a box from its page."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from coordination.box_orders import ask_for_missing, renew, sing
from coordination.desk.pages import t
from coordination.desk.shared_database import acting
from coordination.desk.views.boxes import box_or_404, told
from coordination.errors import CoordinationError
from coordination.office import now_ms
from coordination.sql import Sql


def canary(request: HttpRequest, box: str) -> HttpResponse:
    """Ask for a canary reading."""

    def work(database: Sql, name: str, by: str) -> str:
        sing(database, name, by=by, now=now_ms())
        return t("Relevé témoin demandé.", "Canary reading asked for.")

    return _asked(request, box, work)


def renew_certificate(request: HttpRequest, box: str) -> HttpResponse:
    """Ask for the next certificate to be fetched."""

    def work(database: Sql, name: str, by: str) -> str:
        renew(database, name, by=by, now=now_ms())
        return t("Renouvellement demandé.", "Renewal asked for.")

    return _asked(request, box, work)


def resend(request: HttpRequest, box: str) -> HttpResponse:
    """Ask once more for what is missing."""

    def work(database: Sql, name: str, by: str) -> str:
        count = ask_for_missing(database, name, by=by, now=now_ms())
        return t("{n} relevés redemandés.", "{n} records asked for again.", n=count)

    return _asked(request, box, work)


def _asked(request: HttpRequest, box: str, work: Callable[[Sql, str, str], str]) -> HttpResponse:
    """Do some work on a box's queue, and go back to its page with what came of it."""
    found = box_or_404(request, box)
    try:
        with acting() as database:
            done = work(database, found.name, request.visit.user.name)
    except CoordinationError as error:
        told(request, error)
    else:
        messages.success(
            request,
            t(
                "{box} : {done} La réponse paraîtra dans les demandes.",
                "{box}: {done} The answer will stand among the orders.",
                box=found.name,
                done=done,
            ),
        )
    return redirect("box", box=found.name)
