"""Every page of the desk, out of its own table of addresses: one that is added is looked at without being named here.

What a new page may need is the sample of a new part of its address (`samples`, or `reached.REACHED`), or who is to
look at it (`SEEN_BY`).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.urls import URLPattern, URLResolver

from coordination.desk.access import ALLOWED, Action, Role
from coordination.desk.routes import urlpatterns
from tests.coordination.desk.browser.household import BOX_OF, DIABETES, PROTOCOL_OF

NO_PAGES: Mapping[str, str] = {
    "home": "sends on",
    "language": "sends on",
    "health": "application/json",
    "events": "text/event-stream",
    # Signing in, as far as the desk has it: these lead on to the page that is meant.
    "account_set_password": "sends on",
    "mfa_index": "sends on",
    "mfa_list_webauthn": "sends on",
    "mfa_login_webauthn": "sends on",
    "sign_in_again": "sends on",
    "box_devices_state": "application/json",
    "enrolment_state": "application/json",
    "replay_state": "application/json",
}
"""Addresses that are read and are no pages: route -> what they answer with instead; a test asks them."""

SEEN_BY: Mapping[str, str] = {
    "account_login": "nobody",
    "account_logout": "nurse",
    "mfa_authenticate": "nobody",
    "mfa_deactivate_totp": "guarded",
    "mfa_edit_webauthn": "keyed",
    "mfa_generate_recovery_codes": "guarded",
    "mfa_reauthenticate": "guarded",
    "mfa_remove_webauthn": "keyed",
    "mfa_view_recovery_codes": "guarded",
}
"""Route -> who looks at it, when it is not whoever comes first in ORDER and may; "guarded" and
"keyed" have a second factor."""

PROVEN_ELSEWHERE: Mapping[str, str] = {
    "mfa_reauthenticate_webauthn": "a passkey must answer: test_passkeys",
    "openid_connect_login": "a provider must answer: test_oidc",
    "openid_connect_callback": "a provider must answer: test_oidc",
}
"""Route -> what it needs that is not in the world of these tests, and which tests have it."""

ORDER = (Role.NURSE, Role.PHYSICIAN, Role.ADMIN, Role.AUDITOR, Role.INSTALLER)


@dataclass(frozen=True)
class Page:
    """An address that is read: its route's name, its pattern with parts in angle brackets, who looks, or machines."""

    name: str
    pattern: str
    who: str
    machines: bool = False

    def parts(self) -> list[str]:
        return re.findall(r"<(?:\w+:)?(\w+)>", self.pattern)

    def address(self, samples: Mapping[str, str]) -> str:
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: samples[found[1]], self.pattern)


def samples(alert: str) -> dict[str, str]:
    """What stands in an address for each of its parts, in the world of these tests."""
    return {
        "alert": alert,
        "pseudonym": DIABETES,
        "language": "fr",
        "box": BOX_OF[DIABETES],
        "pathway": PROTOCOL_OF[DIABETES],
    }


def _who(name: str, action: Action | None) -> str:
    if name in SEEN_BY:
        return SEEN_BY[name]
    if action is Action.PUBLIC:
        return "nobody"
    return next((role.value for role in ORDER if action is Action.OWN_ACCOUNT or action in ALLOWED[role]), "nobody")


def _read(view: Any) -> bool:
    """Whether a view answers to GET: `page` made it with what it answers to (routes)."""
    cell = dict(zip(view.__code__.co_freevars, view.__closure__ or (), strict=True)).get("request_method_list")
    return cell is None or "GET" in cell.cell_contents


def found(patterns: list[URLPattern | URLResolver] = urlpatterns, before: str = "/") -> list[Page]:
    """Every address that is read: those without an action are refused, whoever asks (visits)."""
    pages = []
    for one in patterns:
        pattern = before + re.sub(r"[\\^$]", "", str(one.pattern))
        if isinstance(one, URLResolver):
            pages += found(one.url_patterns, pattern)
            continue
        action = getattr(one.callback, "action", None)
        if action is not None and _read(one.callback):
            machines = getattr(one.callback, "for_machines", False)
            name = str(one.name)
            pages.append(Page(name=name, pattern=pattern, who=_who(name, action), machines=machines))
    return pages


OPENED: Mapping[str, str] = {
    "self_report": "?suivi=heart_failure_symptoms",
}
"""Route -> with what its address has a form that it has not by itself: looked at as one more page."""

MACHINES = [page for page in found() if page.machines]
"""What other systems ask, and nobody reads."""
PAGES = [page for page in found() if not page.machines and page.name not in {*NO_PAGES, *PROVEN_ELSEWHERE}]
PAGES += [
    replace(page, name=f"{page.name}_opened", pattern=page.pattern + OPENED[page.name])
    for page in PAGES
    if page.name in OPENED
]
"""What every page is looked at for, always: console, barriers, widths (test_every_page)."""

_SHORT = {"worklist", "alert", "patient", "workshop", "enrolling", "questionnaire", "account", "account_login"}
SOME = PAGES if os.environ.get("BROWSER_ALL") else [page for page in PAGES if page.name in _SHORT]
"""What is read otherwise, and given hostile text: a few pages, or all of them with BROWSER_ALL=1 (`make browser`)."""
