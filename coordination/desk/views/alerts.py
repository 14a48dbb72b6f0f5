"""/alertes: the worklist, and what is done with an alert from it."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from coordination.desk import pages
from coordination.desk.pages import t
from coordination.desk.shared_database import acting
from coordination.desk.views.account import back
from coordination.desk.worklist import Tab, of_team, same_problem, worklist
from coordination.handling import Handler
from coordination.handling import give_back as given_back
from coordination.handling import take as taken


def show(request: HttpRequest) -> HttpResponse:
    """Show the team's alerts."""
    visit = request.visit
    wanted = request.GET.get("voir", "")
    tab = Tab(wanted) if wanted in set(Tab) else Tab.TO_HANDLE
    search = request.GET.get("patient", "").strip()[:48]
    found = worklist(visit.team, tab=tab, user=visit.user.pk, search=search, now=visit.now)
    return pages.page(request, "worklist.html", {"found": found, "tab": tab, "Tab": Tab, "search": search})


def _handled(request: HttpRequest) -> int:
    value = request.POST.get("vu", "")
    return int(value) if value.isdecimal() and len(value) < 10 else -1


def take(request: HttpRequest, alert: str) -> HttpResponse:
    """Take an alert in hand, if nobody did since it was looked at."""
    return _act(request, alert, taken, t("Prise en charge par vous.", "In your hands now."))


def give_back(request: HttpRequest, alert: str) -> HttpResponse:
    """Give an alert back to the team."""
    return _act(request, alert, given_back, t("Rendue à l'équipe.", "Given back to the team."))


def _act(request: HttpRequest, alert: str, what: Callable[..., bool], done: str) -> HttpResponse:
    found = of_team(request.visit.team, alert)
    if found is None:
        raise Http404
    user = request.visit.user
    by, at = Handler(name=user.name, row=user.pk), request.visit.now
    with acting() as database:
        worked = what(database, found.pk, by=by, handled=_handled(request), at=at)
        if worked:
            # The row is a problem: what came before of it is looked after with it.
            for other in same_problem(found):
                what(database, other.pk, by=by, handled=other.handled, at=at)
    name = found.patient.pseudonym if found.patient is not None else found.box.name
    if worked:
        messages.success(request, f"{name} : {done}")
    else:
        messages.warning(
            request,
            t(
                "{name} vient d'être prise en charge par quelqu'un d'autre. Rien n'a été changé.",
                "{name} was just taken in hand by somebody else. Nothing was changed.",
                name=name,
            ),
        )
    response = back(request, "/alertes")
    return HttpResponseRedirect(f"{response.url.split('#')[0]}#a-{found.pk[:12]}")
