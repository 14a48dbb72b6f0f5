"""/compte: one's own account: name, language, shortcuts, password, second factor, sessions, signing key.

And what an administrator's link leads to: a new password.
"""

from collections.abc import Callable

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import views as passkeys
from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404

from coordination.audit_log import AuditLog
from coordination.desk import account_acts, oidc, pages, second_factor, sign_in
from coordination.desk.browser_name import browser_name
from coordination.desk.models import PasswordLink, User
from coordination.desk.pages import t
from coordination.desk.passwords import LONGEST
from coordination.desk.plain_text import PlainText
from coordination.desk.shared_database import acting
from exchange.audit_chain import Act

_HERE = "/compte"


class AccountForm(forms.Form):
    """What somebody may change of their own account."""

    name = PlainText(max_length=60)
    language = forms.ChoiceField(choices=[("fr", "Français"), ("en", "English")])
    shortcuts = forms.BooleanField(required=False)


class NewPasswordForm(forms.Form):
    """A new password, twice."""

    password1 = forms.CharField(max_length=LONGEST, strip=False, widget=forms.PasswordInput)
    password2 = forms.CharField(max_length=LONGEST, strip=False, widget=forms.PasswordInput)

    def clean(self) -> dict[str, str]:
        """Refuse two that differ."""
        found: dict[str, str] = super().clean()
        if "password1" in found and "password2" in found and found["password1"] != found["password2"]:
            self.add_error(
                "password2", t("Les deux ne sont pas les mêmes : retaper.", "The two are not alike: type again.")
            )
        return found


def show(request: HttpRequest, form: AccountForm | None = None, status: int = 200) -> HttpResponse:
    """Show one's own account."""
    user = request.visit.user
    if form is None:
        form = AccountForm(initial={"name": user.name, "language": user.language, "shortcuts": user.shortcuts})
    factors = list(Authenticator.objects.filter(user_id=user.pk).order_by("created_at"))
    recovery = next((one for one in factors if one.type == Authenticator.Type.RECOVERY_CODES), None)
    return pages.page(
        request,
        "account/account.html",
        {
            "form": form,
            "application": next((one for one in factors if one.type == Authenticator.Type.TOTP), None),
            "passkeys": [one for one in factors if one.type == Authenticator.Type.WEBAUTHN],
            "codes_left": None if recovery is None else len(recovery.wrap().get_unused_codes()),
            "missing": second_factor.missing(request),
            "needed": second_factor.needed(user),
            "sessions": sign_in.sessions_of(user),
            "browser_name": browser_name,
            "this_session": request.session.session_key,
            "linked": {one.provider: one for one in user.linked.all()},
            "providers": oidc.providers(),
        },
        status=status,
    )


def change(request: HttpRequest) -> HttpResponse:
    """Change name, language or shortcuts."""
    form = AccountForm(request.POST)
    if not form.is_valid():
        return show(request, form, 422)
    user, wanted = request.visit.user, form.cleaned_data
    changed = [name for name, value in wanted.items() if getattr(user, name) != value]
    at = request.visit.now
    if changed:
        before = user.name
        with acting() as database:
            User.objects.filter(pk=user.pk).update(**{name: wanted[name] for name in changed})
            log = AuditLog(database)
            log.begin(at=at)
            detail = {"what": " ".join(changed), **({"name": wanted["name"]} if "name" in changed else {})}
            log.enter(Act.ACCOUNT_CHANGED, at=at, by=before, reference=sign_in.reference_of(user), detail=detail)
    messages.success(request, t("Enregistré.", "Saved.") if wanted["language"] == "fr" else "Saved.")
    return HttpResponseRedirect(_HERE)


def end_session(request: HttpRequest) -> HttpResponse:
    """End one of one's own sessions, or all but this one."""
    user, wanted = request.visit.user, request.POST.get("session", "")
    with acting():
        if wanted == "others":
            ended = sign_in.end_sessions(user, but=request.session.session_key)
        else:
            number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 19 else 0
            event = next((one for one in sign_in.sessions_of(user) if one.pk == number), None)
            if event is None:
                raise Http404
            ended = sign_in.end((event.session,))
    messages.success(
        request,
        t("Aucune autre session n'était ouverte.", "No other session was open.")
        if not ended
        else t("Session fermée.", "Session ended.")
        if ended == 1
        else t("{n} sessions fermées.", "{n} sessions ended.", n=ended),
    )
    return HttpResponseRedirect(f"{_HERE}#sessions")


def second(request: HttpRequest) -> HttpResponse:
    """Send whoever looks for their second factor to where it stands."""
    return HttpResponseRedirect(f"{_HERE}#second")


def no_password(request: HttpRequest) -> HttpResponse:
    """Tell somebody without a password how to get one."""
    messages.warning(
        request,
        t(
            "Votre compte n'a pas de mot de passe. Demander un lien à votre administrateur pour en choisir un.",
            "Your account has no password. Ask your administrator for a link to choose one.",
        ),
    )
    return HttpResponseRedirect(_HERE)


def again(request: HttpRequest) -> HttpResponse:
    """Tell somebody who can show nothing else to sign in anew."""
    messages.warning(
        request,
        t(
            "Pour changer cela, se déconnecter et se reconnecter : c'est possible dans les cinq minutes qui suivent.",
            "To change this, sign out and in again: it is possible for the five minutes that follow.",
        ),
    )
    return HttpResponseRedirect(_HERE)


def remove_passkey(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a passkey, unless it is the last second factor of somebody who needs one."""
    found = get_object_or_404(Authenticator, pk=pk, user_id=request.visit.user.pk, type=Authenticator.Type.WEBAUTHN)
    adapter = second_factor.SecondFactorAdapter()
    if not adapter.can_delete_authenticator(found):
        messages.warning(request, adapter.error_messages["cannot_delete_authenticator"])
        return HttpResponseRedirect(f"{_HERE}#second")
    removed: Callable[..., HttpResponse] = passkeys.remove_webauthn
    return removed(request, pk=pk)


def use_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Let somebody whom an administrator gave a link choose a password."""
    at = request.visit.now
    link = account_acts.link_of(secret, at=at)
    if link is None:
        return _no_link(request)
    form = NewPasswordForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        password = form.cleaned_data["password1"]
        faults = account_acts.weak(password, link.user)
        if not faults:
            return _kept(request, link, password, at)
        for fault in faults:
            form.add_error("password1", fault)
    return pages.page(
        request, "account/link.html", {"form": form, "user": link.user}, status=422 if form.errors else 200
    )


def _kept(request: HttpRequest, link: PasswordLink, password: str, at: int) -> HttpResponse:
    user = link.user
    user.set_password(password)
    with acting() as database:
        done = account_acts.use_link(database, link, user, at=at)
    if not done:
        return _no_link(request)
    messages.success(request, t("Mot de passe enregistré. Se connecter avec.", "Password saved. Sign in with it."))
    return HttpResponseRedirect("/compte/login/")


def _no_link(request: HttpRequest) -> HttpResponse:
    sentence = t(
        "Ce lien a servi, a été remplacé ou a plus d'un jour. Demander un autre lien à votre administrateur.",
        "This link was used, was replaced, or is older than a day. Ask your administrator for another one.",
    )
    return pages.page(request, "account/no_link.html", {"sentence": sentence}, status=404)
