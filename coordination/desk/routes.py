"""Every address of the desk, with what it needs: the whole table on one page.

`page(...)` is the only way to add one: an address without an action would be refused by the middleware (visits).
"""

from coordination.desk.access import Action
from coordination.desk.account_routes import ACCOUNT_ROUTES
from coordination.desk.addresses import act, page
from coordination.desk.views import account, alerts, events, health, patients

handler403 = "coordination.desk.errors.forbidden"
handler404 = "coordination.desk.errors.missing"
handler429 = "coordination.desk.errors.too_many"
handler500 = "coordination.desk.errors.broken"

urlpatterns = [
    page("", account.home, Action.OWN_ACCOUNT, "home"),
    page("sante", health.state, Action.PUBLIC, "health"),
    page("langue/<str:language>", account.language, Action.PUBLIC, "language"),
    page("alertes", alerts.show, Action.READ_PATIENTS, "worklist"),
    page("evenements", events.stream, Action.READ_PATIENTS, "events"),
    act("alertes/<str:alert>/prendre", alerts.take, Action.HANDLE_ALERTS, "take"),
    act("alertes/<str:alert>/rendre", alerts.give_back, Action.HANDLE_ALERTS, "give_back"),
    page("patients", patients.show_all, Action.READ_PATIENTS, "patients"),
    page("patients/<str:pseudonym>", patients.show, Action.READ_PATIENTS, "patient"),
    *ACCOUNT_ROUTES,
]
