"""Who one is at the desk: where to begin, which language, which team."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from coordination.desk import pages
from coordination.desk.access import Action
from coordination.desk.visits import TEAM

_FIRST = (
    (Action.READ_PATIENTS, "/alertes"),
    (Action.MANAGE_TEAM, "/equipe"),
    (Action.READ_BOXES, "/boitiers"),
    (Action.READ_ACTS, "/audit"),
)
"""Where each begins, by the first thing that they may do."""


def home(request: HttpRequest) -> HttpResponse:
    """Send whoever comes to where their work is."""
    for action, address in _FIRST:
        if request.visit.may(action):
            return HttpResponseRedirect(address)
    return pages.page(request, "no_team.html")


def back(request: HttpRequest, otherwise: str = "/") -> HttpResponseRedirect:
    """Return to the page that was asked to be returned to, when it is one of ours."""
    wanted = request.POST.get("suite", request.GET.get("suite", ""))
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None, require_https=settings.DESK.https)
    return HttpResponseRedirect(wanted if safe else otherwise)


def language(request: HttpRequest, language: str) -> HttpResponse:
    """Speak French or English from now on."""
    response = back(request)
    if language in {"fr", "en"}:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=365 * 24 * 3600,
            secure=settings.DESK.https,
            httponly=True,
            samesite="Lax",
        )
        user = request.visit.user
        if user is not None:
            user.language = language
            user.save(update_fields=["language"])
    return response


def choose_team(request: HttpRequest) -> HttpResponse:
    """Look at another of one's teams."""
    wanted = request.POST.get("equipe", "")
    chosen = next((team.pk for team in request.visit.teams if str(team.pk) == wanted), None)
    if chosen is not None:
        request.session[TEAM] = chosen
    return HttpResponseRedirect("/")
