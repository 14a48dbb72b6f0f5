"""Every address of the desk, with what it needs: the whole table on one page.

`page(...)` is the only way to add one: an address without an action would be refused by the middleware (visits).
"""

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, include, path
from django.views.decorators.http import require_http_methods

from coordination.desk.access import Action
from coordination.desk.views import account, alerts, charge, events, handling, health, patients

handler403 = "coordination.desk.errors.forbidden"
handler404 = "coordination.desk.errors.missing"
handler500 = "coordination.desk.errors.broken"

_View = Callable[..., HttpResponse]


def page(address: str, view: _View, action: Action, name: str, *, methods: tuple[str, ...] = ("GET",)) -> URLPattern:
    """Return the route of a page or act that needs `action`."""
    checked = require_http_methods([*methods, *(("HEAD",) if "GET" in methods else ())])(view)
    checked.action = action
    return path(address, checked, name=name)


def act(address: str, view: _View, action: Action, name: str) -> URLPattern:
    """Return the route of an act: POST only."""
    return page(address, view, action, name, methods=("POST",))


urlpatterns = [
    page("", account.home, Action.OWN_ACCOUNT, "home"),
    page("sante", health.state, Action.PUBLIC, "health"),
    page("langue/<str:language>", account.language, Action.PUBLIC, "language"),
    act("equipe/choisir", account.choose_team, Action.OWN_ACCOUNT, "choose_team"),
    page("alertes", alerts.show, Action.READ_PATIENTS, "worklist"),
    page("evenements", events.stream, Action.READ_PATIENTS, "events"),
    act("alertes/ensemble", handling.together, Action.HANDLE_ALERTS, "together"),
    page("alertes/<str:alert>", alerts.show_one, Action.READ_PATIENTS, "alert"),
    act("alertes/<str:alert>/prendre", handling.take, Action.HANDLE_ALERTS, "take"),
    act("alertes/<str:alert>/rendre", handling.give_back, Action.HANDLE_ALERTS, "give_back"),
    act("alertes/<str:alert>/affecter", handling.assign, Action.HANDLE_ALERTS, "assign"),
    act("alertes/<str:alert>/prevenir", handling.tell_physician, Action.HANDLE_ALERTS, "tell_physician"),
    act("alertes/<str:alert>/clore", handling.close, Action.HANDLE_ALERTS, "close"),
    act("alertes/<str:alert>/rouvrir", handling.reopen, Action.HANDLE_ALERTS, "reopen"),
    act("alertes/<str:alert>/annuler", handling.undo, Action.HANDLE_ALERTS, "undo"),
    page("charge", charge.show, Action.READ_PATIENTS, "charge"),
    act("charge/minutes", charge.set_minutes, Action.SET_PACE, "set_minutes"),
    act("charge/delais", charge.set_deadlines, Action.SET_PACE, "set_deadlines"),
    page("patients", patients.show_all, Action.READ_PATIENTS, "patients"),
    page("patients/<str:pseudonym>", patients.show, Action.READ_PATIENTS, "patient"),
    path("compte/", include("allauth.urls")),
]
