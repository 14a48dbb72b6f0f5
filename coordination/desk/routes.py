"""Every address of the desk, with what it needs: the whole table on one page.

`page(...)` is the only way to add one: an address without an action would be refused by the middleware (visits).
"""

from coordination.desk.access import Action
from coordination.desk.account_routes import ACCOUNT_ROUTES
from coordination.desk.addresses import act, page
from coordination.desk.fhir_routes import FHIR_ROUTES
from coordination.desk.views import (
    account,
    acts,
    alerts,
    box_orders,
    boxes,
    charge,
    dossier,
    enrolling,
    events,
    follow_up,
    handling,
    health,
    patients,
    questionnaire,
    self_report,
    summary,
)

handler403 = "coordination.desk.errors.forbidden"
handler404 = "coordination.desk.errors.missing"
handler429 = "coordination.desk.errors.too_many"
handler500 = "coordination.desk.errors.broken"

_ASKED = "patients/<str:pseudonym>/questionnaires"

urlpatterns = [
    page("", account.home, Action.OWN_ACCOUNT, "home"),
    page("sante", health.state, Action.PUBLIC, "health"),
    page("langue/<str:language>", account.language, Action.PUBLIC, "language"),
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
    page("boitiers", boxes.show_all, Action.READ_BOXES, "boxes"),
    page("boitiers/ajouter", enrolling.ask, Action.ENROL_BOX, "enrol", methods=("GET", "POST")),
    page("boitiers/ajouter/<str:place>", enrolling.show, Action.ENROL_BOX, "enrolling"),
    page("boitiers/ajouter/<str:place>/etat", enrolling.state, Action.ENROL_BOX, "enrolment_state"),
    act("boitiers/ajouter/<str:place>/chiffres", enrolling.decide, Action.ENROL_BOX, "decide_enrolment"),
    act("boitiers/ajouter/<str:place>/abandonner", enrolling.give_up, Action.ENROL_BOX, "give_up_enrolment"),
    page("boitiers/<str:box>", boxes.show, Action.READ_BOXES, "box"),
    act("boitiers/<str:box>/revoquer", boxes.revoke, Action.REVOKE_BOX, "revoke_box"),
    act("boitiers/<str:box>/renouveler", box_orders.renew_certificate, Action.RENEW_BOX, "renew_box"),
    act("boitiers/<str:box>/temoin", box_orders.canary, Action.ASK_BOX, "box_canary"),
    act("boitiers/<str:box>/renvoyer", box_orders.resend, Action.ASK_BOX, "box_resend"),
    page("audit", acts.show, Action.READ_ACTS, "acts"),
    act("audit/verifier", acts.verify, Action.VERIFY_ACTS, "verify_acts"),
    act("audit/exporter", acts.export, Action.READ_ACTS, "export_acts"),
    *FHIR_ROUTES,
    *ACCOUNT_ROUTES,
]
