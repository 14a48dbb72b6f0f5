"""How people sign in: django-allauth, with our limits, our words and our record of acts.

- Nobody makes an account for themselves, and no answer says whether an address has one.
- A session has a new key when somebody signs in (Django), and the entry in the record of acts is kept with it.

Not here: OpenID Connect (oidc), second factors (second_factor), and what administrators do (account_acts).
"""

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.flows.login import get_authentication_records
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from alerting.alert import Sentence
from coordination.audit_log import AuditLog
from coordination.desk import second_factor, sign_in
from coordination.desk.models import LoginEvent, User
from coordination.desk.pages import said
from coordination.desk.passwords import PasswordsBusyError
from coordination.desk.shared_database import acting
from coordination.desk.sign_in import Way
from exchange.audit_chain import Act

FRESH_S = 300
"""Seconds for which a sign-in counts as having just shown who one is."""
_WRONG = Sentence(
    fr="L'adresse ou le mot de passe ne convient pas. Vérifier les deux, puis réessayer.",
    en="The address or the password is not right. Check both, then try again.",
)
_TOO_MANY = Sentence(
    fr="Trop d'essais. Attendre un quart d'heure, ou demander un lien à votre administrateur.",
    en="Too many tries. Wait a quarter of an hour, or ask your administrator for a link.",
)
_BUSY = Sentence(
    fr="Beaucoup de connexions en même temps : rien n'a été vérifié. Réessayer dans une minute.",
    en="Many people are signing in at once: nothing was checked. Try again in a minute.",
)
_WORDS = {
    "email_password_mismatch": _WRONG,
    "invalid_login": _WRONG,
    "too_many_login_attempts": _TOO_MANY,
    "rate_limited": _TOO_MANY,
    "busy": _BUSY,
    "incorrect_password": Sentence(fr="Ce mot de passe ne convient pas.", en="This password is not right."),
    "enter_current_password": Sentence(
        fr="Ce n'est pas votre mot de passe actuel.", en="This is not your present password."
    ),
    "incorrect_code": Sentence(fr="Ce code ne convient pas.", en="This code is not right."),
}
_DONE = {
    "account/messages/password_changed.txt": Sentence(
        fr="Mot de passe changé. Vos autres sessions sont fermées.",
        en="Password changed. Your other sessions are ended.",
    ),
    "mfa/messages/totp_activated.txt": Sentence(fr="Application ajoutée.", en="Application added."),
    "mfa/messages/totp_deactivated.txt": Sentence(fr="Application retirée.", en="Application removed."),
    "mfa/messages/webauthn_added.txt": Sentence(fr="Clé d'accès ajoutée.", en="Passkey added."),
    "mfa/messages/webauthn_removed.txt": Sentence(fr="Clé d'accès retirée.", en="Passkey removed."),
    "mfa/messages/recovery_codes_generated.txt": Sentence(
        fr="Nouveaux codes de secours : les anciens ne valent plus rien.",
        en="New recovery codes: the old ones are worth nothing now.",
    ),
}
_CLOSED = Sentence(
    fr="Cette connexion n'a pas abouti. Demander à votre administrateur.",
    en="This sign-in did not work. Ask your administrator.",
)


class AccountAdapter(DefaultAccountAdapter):
    """The desk's answers to allauth."""

    @property
    def error_messages(self) -> dict[str, Any]:
        """What people read, in their language."""
        return {**DefaultAccountAdapter.error_messages, **{code: said(words) for code, words in _WORDS.items()}}

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """An administrator makes accounts; there is no sign-up."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return from where somebody comes."""
        return sign_in.source_of(request)

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Return whose address and password it is, None when it is nobody's; counted before it is checked."""
        event = sign_in.begin(request, credentials["email"])
        if event is None:
            raise self.validation_error("too_many_login_attempts")
        user = self._checked(request, event, credentials)
        if user is None:
            sign_in.refuse(event, "password")
            return None
        sign_in.right(event)
        return user

    def _checked(self, request: HttpRequest, event: LoginEvent, credentials: dict[str, Any]) -> User | None:
        try:
            user: User | None = authenticate(request, **credentials)
        except PasswordsBusyError as error:
            sign_in.forget(event)
            raise self.validation_error("busy") from error
        # allauth keeps apart whoever gave the right password to a closed account, to say so: nobody is told here.
        AuthenticationBackend.unstash_authenticated_user()
        return user

    def reauthenticate(self, user: User, password: str) -> bool:
        """Return whether it is the password of whoever is signed in."""
        found = self.authenticate(self.request, email=user.email, password=password)
        return found is not None and found.pk == user.pk

    def is_reauthentication_required(self, *, app: str, **more: Any) -> bool:
        """Return whether to ask once more: not of whoever showed just now who they are."""
        records = get_authentication_records(self.request, self.request.user)
        return not records or time.time() - records[-1]["at"] >= FRESH_S

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        """Return how somebody may show once more who they are; who has neither password nor factor signs in anew."""
        found: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if not found and user.is_authenticated:
            found = [{"id": "again", "url": reverse("sign_in_again")}]
        return found

    def login(self, request: HttpRequest, user: User) -> None:
        """Begin a session, and enter it in the record of acts, both or neither."""
        records = get_authentication_records(request, user)
        way, strong = _way(records)
        with acting() as database:
            super().login(request, user)
            request.session[second_factor.STRONG] = strong
            sign_in.signed_in(request, user, way, database)

    def post_login(self, request: HttpRequest, user: User, **more: Any) -> HttpResponse:
        """Send somebody who is in to where they wanted to go."""
        response = super().post_login(request, user, **more)
        sign_in.remember_browser(request, response, user)
        return response

    def logout(self, request: HttpRequest) -> None:
        """End a session."""
        LoginEvent.objects.filter(pk=request.session.get(sign_in.EVENT, 0)).update(session="")
        super().logout(request)

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Turn away somebody whose account is closed."""
        sign_in.turn_away(user, Way.OIDC, "closed")
        messages.warning(request, said(_CLOSED))
        return HttpResponseRedirect(reverse("account_login"))

    def set_password(self, user: User, password: str) -> None:
        """Change a password: its owner's other sessions end, and it is an act, all or nothing.

        Raises:
            PasswordsBusyError: nothing was changed.
        """
        user.set_password(password)
        at = sign_in.now()
        with acting() as database:
            user.save(update_fields=["password"])
            sign_in.end_sessions(user, but=self.request.session.session_key)
            log = AuditLog(database)
            log.begin(at=at)
            about = sign_in.reference_of(user)
            log.enter(Act.ACCOUNT_CHANGED, at=at, by=user.name, reference=about, detail={"what": "password"})

    def add_message(  # noqa: PLR0917 - as allauth calls it
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        message_context: dict[str, Any] | None = None,
        extra_tags: str = "",
        message: str | None = None,
    ) -> None:
        """Say what was done, in the reader's language; what has no words of ours is not said."""
        words = _DONE.get(message_template or "")
        text = message or (said(words) if words is not None else "")
        if text:
            messages.add_message(request, level, text, extra_tags=extra_tags)


def _way(records: list[dict[str, Any]]) -> tuple[Way, bool]:
    """Return how somebody signed in, and whether with more than a password."""
    methods = [record["method"] for record in records]
    if any(record.get("passwordless") for record in records):
        return Way.PASSKEY, True
    if "socialaccount" in methods:
        return Way.OIDC, True
    return (Way.SECOND, True) if "mfa" in methods else (Way.FIRST, False)
