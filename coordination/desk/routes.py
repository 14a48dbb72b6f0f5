"""Every address of the desk, with what it needs: the whole table on one page.

`page(...)` is the only way to add one: an address without an action would be refused by the middleware (visits).
"""

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, include, path
from django.views.decorators.http import require_http_methods

from coordination.desk.access import Action
from coordination.desk.views import (
    account,
    alerts,
    charge,
    dossier,
    events,
    follow_up,
    handling,
    health,
    patients,
    dossier,
    events,
    follow_up,
    health,
    patients,
    questionnaire,
    self_report,
    summary,
)

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


_ASKED = "patients/<str:pseudonym>/questionnaires"

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
    page("patients/nouveau", follow_up.new, Action.TAKE_ON_PATIENT, "new_patient", methods=("GET", "POST")),
    page("patients/a-attribuer", follow_up.apart, Action.TAKE_ON_PATIENT, "to_attribute"),
    act("patients/a-attribuer/resoudre", follow_up.resolve, Action.TAKE_ON_PATIENT, "resolve_apart"),
    page("patients/archives", follow_up.archives, Action.READ_PATIENTS, "archives"),
    page("conservation", follow_up.retention, Action.MANAGE_TEAM, "retention", methods=("GET", "POST")),
    page("patients/<str:pseudonym>/dossier", dossier.show, Action.READ_PATIENTS, "dossier"),
    act("patients/<str:pseudonym>/identite", dossier.reveal, Action.REVEAL_IDENTITY, "reveal"),
    act("patients/<str:pseudonym>/identite/masquer", dossier.hide, Action.REVEAL_IDENTITY, "hide_identity"),
    act("patients/<str:pseudonym>/identite/modifier", dossier.change, Action.REVEAL_IDENTITY, "change_identity"),
    act("patients/<str:pseudonym>/consentement", dossier.consent, Action.TAKE_ON_PATIENT, "consent"),
    act("patients/<str:pseudonym>/consentement/retirer", dossier.withdraw, Action.TAKE_ON_PATIENT, "withdraw"),
    act("patients/<str:pseudonym>/boitier", dossier.assign, Action.TAKE_ON_PATIENT, "assign_box"),
    act("patients/<str:pseudonym>/boitier/reprendre", dossier.release, Action.TAKE_ON_PATIENT, "release_box"),
    act("patients/<str:pseudonym>/donnees", dossier.export, Action.EXPORT_PATIENT, "export_patient"),
    act("patients/<str:pseudonym>/terminer", dossier.end, Action.END_FOLLOW_UP, "end_follow_up"),
    act("patients/<str:pseudonym>/reprendre", dossier.begin_again, Action.TAKE_ON_PATIENT, "resume"),
    act("patients/<str:pseudonym>/effacer", dossier.erase, Action.ERASE_PATIENT, "erase_patient"),
    page("patients/<str:pseudonym>/resume", summary.show, Action.READ_PATIENTS, "summary"),
    page("patients/<str:pseudonym>", patients.show, Action.READ_PATIENTS, "patient"),
    page("q/<str:token>", questionnaire.fill, Action.PUBLIC, "questionnaire", methods=("GET", "POST")),
    page("parcours", self_report.show_pathways, Action.READ_PATIENTS, "pathways"),
    page(_ASKED, self_report.show, Action.READ_PATIENTS, "self_report"),
    act(f"{_ASKED}/proposer", self_report.propose_it, Action.PROPOSE_PROTOCOL, "propose_questionnaire"),
    act(f"{_ASKED}/confirmer", self_report.confirm_it, Action.SIGN_SECOND, "confirm_questionnaire"),
    act(f"{_ASKED}/arreter", self_report.end_it, Action.PROPOSE_PROTOCOL, "end_questionnaire"),
    act(f"{_ASKED}/rythme", self_report.plan_it, Action.PROPOSE_PROTOCOL, "plan_questionnaire"),
    act(f"{_ASKED}/lien", self_report.give_link, Action.HANDLE_ALERTS, "give_link"),
    path("compte/", include("allauth.urls")),
]
