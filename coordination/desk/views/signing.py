"""Signing a protocol, and one's own signing key: whoever signs has shown anew who they are, and types their PIN."""

import time

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from alerting.protocol_file import check_protocol
from coordination import signing_keys
from coordination.desk import pages
from coordination.desk.access import Action
from coordination.desk.models import Patient
from coordination.desk.pages import said, t
from coordination.desk.patients import patient_of, protocol_of
from coordination.desk.shared_database import acting, looking
from coordination.desk.thresholds import changes_between
from coordination.draft_orders import may_sign, proposed_body, sign
from coordination.drafts import TO_SIGN, Draft, open_draft
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.person_key import PersonKey, WrongPinError
from coordination.request_words import request_lines
from coordination.signing_keys import KeptKey
from coordination.tables import Language
from devices.clock import SystemClock
from exchange.identity import SigningKey
from exchange.team_list import Role

FRESH_S = 300
"""Real seconds for which having shown who one is is enough to sign."""


_SIGNS = {
    Action.SIGN_SECOND: Role.PHYSICIAN,
    Action.SIGN_FIRST: Role.NURSE,
    Action.CHANGE_BOX_KEYS: Role.OPERATOR,
    Action.PAIR_DEVICES: Role.INSTALLER,
}
"""Who has something to sign: a protocol, or an order to a box."""


def _by(request: HttpRequest) -> Handler:
    return Handler(name=request.visit.user.name, row=request.visit.user.pk)


def _language() -> Language:
    return Language.FR if pages.french() else Language.EN


def shown_anew(request: HttpRequest, back: str) -> HttpResponse | None:
    """Return where somebody shows anew who they are and from where they come `back`, None when they just did.

    What they posted is not kept to be done afterwards, as allauth would: it holds their PIN.
    """
    records = get_authentication_records(request, request.user)
    if records and time.time() - records[-1]["at"] < FRESH_S:
        return None
    ways = get_adapter(request).get_reauthentication_methods(request.user)
    return HttpResponseRedirect(f"{ways[0]['url'] if ways else '/compte/login/'}?{urlencode({'next': back})}")


# --- one's own key ----------------------------------------------------------------------------------------


def own_key(request: HttpRequest) -> HttpResponse:
    """Show one's signing key, or how to make one."""
    if not request.visit.may_one(_SIGNS):
        return pages.page(request, "signing_key.html", {"kept": None, "fault": "", "role": ""})
    if (elsewhere := shown_anew(request, request.path)) is not None:
        return elsewhere
    if request.method == "POST":
        return _make_key(request)
    return _key_page(request)


def _key_page(request: HttpRequest, *, fault: str = "") -> HttpResponse:
    kept = signing_keys.key_of(looking(), request.visit.user.pk)
    more = {"kept": kept, "fault": fault, "role": _list_role(request)}
    return pages.page(request, "signing_key.html", more)


def _list_role(request: HttpRequest) -> str:
    """Return as what the team's list is to name them."""
    return next(role.value for action, role in _SIGNS.items() if request.visit.may(action))


def _make_key(request: HttpRequest) -> HttpResponse:
    pin, again = request.POST.get("code", "")[:200], request.POST.get("encore", "")[:200]
    if pin != again:
        return _key_page(request, fault=t("Les deux codes diffèrent.", "The two PINs differ."))
    try:
        wrapped = signing_keys.make_key(request.visit.user.name, pin)
        with acting() as database:
            signing_keys.keep_key(database, wrapped, by=_by(request), at=request.visit.now)
    except CoordinationError as error:
        return _key_page(request, fault=f"{said(error.why)} {said(error.hint)}")
    messages.success(request, t("Clé de signature faite.", "Signing key made."))
    return HttpResponseRedirect(reverse("own_key"))


# --- signing ----------------------------------------------------------------------------------------------


def sign_page(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Show what is signed, read from the very bytes, and ask for the PIN."""
    patient = patient_of(request.visit.team, pseudonym)
    if patient is None:
        raise Http404
    if (elsewhere := shown_anew(request, reverse("sign_page", args=[pseudonym]))) is not None:
        return elsewhere
    return _sign_page(request, patient)


def _sign_page(request: HttpRequest, patient: Patient, *, fault: str = "") -> HttpResponse:
    database = looking()
    draft = open_draft(database, patient.team_id, patient.pk)
    body = None if draft is None else proposed_body(draft)
    if draft is None or body is None:
        return HttpResponseRedirect(reverse("workshop", args=[patient.pseudonym]))
    holding, _ = protocol_of(patient)
    proposed = check_protocol(body.text.encode()).protocol
    role = _role(request, draft)
    refusal = may_sign(draft, role, request.visit.user.pk) if role is not None else None
    more = {
        "patient": patient,
        "draft": draft,
        "proposed": proposed,
        "holding": holding,
        "changes": [] if proposed is None else changes_between(holding, proposed),
        "lines": list(request_lines(draft.request, _language())),
        "role": role,
        "Role": Role,
        "refusal": refusal,
        "kept": signing_keys.key_of(database, request.visit.user.pk),
        "fault": fault,
        "expires_at": draft.request.command.expires_at,
    }
    return pages.page(request, "sign.html", more)


def _role(request: HttpRequest, draft: Draft) -> Role | None:
    """Return as what the visitor would sign this draft now, None when as nothing."""
    signed = {one.role for one in draft.signatures}
    if draft.state == TO_SIGN and Role.NURSE.value not in signed:
        return Role.NURSE if request.visit.may(Action.SIGN_FIRST) else Role.PHYSICIAN
    return Role.PHYSICIAN if request.visit.may(Action.SIGN_SECOND) else None


def sign_first(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Sign as a nurse."""
    return _sign(request, pseudonym, Role.NURSE)


def sign_second(request: HttpRequest, pseudonym: str) -> HttpResponse:
    """Sign as a physician, after a nurse."""
    return _sign(request, pseudonym, Role.PHYSICIAN)


def _sign(request: HttpRequest, pseudonym: str, role: Role) -> HttpResponse:
    patient = patient_of(request.visit.team, pseudonym)
    if patient is None:
        raise Http404
    if (elsewhere := shown_anew(request, reverse("sign_page", args=[pseudonym]))) is not None:
        return elsewhere
    seen = request.POST.get("vu", "")
    revision = int(seen) if seen.isdecimal() and len(seen) < 10 else -1
    try:
        kept, key = opened(request)
        with acting() as database:
            draft = open_draft(database, patient.team_id, patient.pk)
            if draft is None:
                raise Http404
            sign(
                database,
                draft,
                key,
                name=kept.name,
                role=role,
                revision=revision,
                by=_by(request),
                at=request.visit.now,
                now=SystemClock().now_ms(),
            )
    except CoordinationError as error:
        return _sign_page(request, patient, fault=f"{said(error.why)} {said(error.hint)}")
    messages.success(request, t("Signé par vous.", "Signed by you."))
    return HttpResponseRedirect(f"{reverse('workshop', args=[pseudonym])}#signatures")


def opened(request: HttpRequest) -> tuple[PersonKey, SigningKey]:
    """Return the visitor's key, opened with the PIN that they typed, for this act.

    Raises:
        CoordinationError: there is none, the PIN is wrong, or there were too many wrong ones.
    """
    user, at = request.visit.user.pk, request.visit.now
    with acting() as database:
        signing_keys.count_try(database, user, at=at)
        kept: KeptKey | None = signing_keys.key_of(database, user)
    if kept is None:
        raise Http404
    try:
        key = signing_keys.open_key(kept, request.POST.get("code", "")[:200])
    except WrongPinError:
        with acting() as database:
            signing_keys.tried_wrong(database, kept, by=_by(request), at=at)
        raise
    with acting() as database:
        # By itself: the PIN was right whatever becomes of what is signed.
        signing_keys.tried_well(database, user)
    return kept.key, key
