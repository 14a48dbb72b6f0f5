"""/equipe: the people of a team, for who administers it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Max, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from coordination.desk import account_acts, oidc, pages
from coordination.desk.access import Role
from coordination.desk.account_acts import AccountError, Acting
from coordination.desk.models import Membership, PasswordLink, User
from coordination.desk.pages import said, t
from coordination.desk.plain_text import PlainText
from coordination.desk.shared_database import acting
from coordination.desk.sign_in import Outcome

_ROLES = [(role.value, role.value) for role in Role]


class OpenForm(forms.Form):
    """Somebody new in the team."""

    email = forms.EmailField(max_length=254)
    name = PlainText(max_length=60)
    role = forms.ChoiceField(choices=_ROLES)


class RoleForm(forms.Form):
    """A role that is given or taken."""

    role = forms.ChoiceField(choices=_ROLES)
    given = forms.ChoiceField(choices=[("yes", "yes"), ("no", "no")])


class IdentityForm(forms.Form):
    """Who an account is at a provider."""

    provider = forms.CharField(max_length=32)
    subject = PlainText(max_length=191, required=False)
    number = PlainText(max_length=40, required=False)


def show(request: HttpRequest, form: OpenForm | None = None, status: int = 200) -> HttpResponse:
    """Show the people of the team."""
    return pages.page(
        request, "team.html", {"people": _people(request), "form": form or OpenForm(), "Role": Role}, status=status
    )


def _people(request: HttpRequest, member: int | None = None) -> list[User]:
    team = request.visit.team
    chosen = Membership.objects.filter(team=team, **({} if member is None else {"user_id": member}))
    roles: dict[int, list[Role]] = {}
    for one in chosen:
        roles.setdefault(one.user_id, []).append(Role(one.role))
    found = User.objects.filter(pk__in=roles).annotate(
        signed_in_at=Max("login_events__at", filter=Q(login_events__outcome=Outcome.IN))
    )
    strong = set(
        Authenticator.objects.filter(user_id__in=roles)
        .exclude(type=Authenticator.Type.RECOVERY_CODES)
        .values_list("user_id", flat=True)
    )
    people = sorted(found, key=lambda user: (not user.is_active, user.name.casefold()))
    for user in people:
        user.roles_here = sorted(roles[user.pk])
        user.has_second = user.pk in strong
    return people


def member(request: HttpRequest, member: int) -> HttpResponse:
    """Show one of them."""
    return _shown(request, _member(request, member))


def _shown(request: HttpRequest, person: User, secret: str = "") -> HttpResponse:
    """Show somebody; `secret` is of a link that was just made, and is shown this once."""
    link = "" if not secret else request.build_absolute_uri(reverse("password_link", args=[secret]))
    waiting = PasswordLink.objects.filter(user=person, expires_at__gt=request.visit.now).first()
    linked = {one.provider: one for one in person.linked.all()}
    return pages.page(
        request,
        "member.html",
        {
            "person": person,
            "link": link,
            "waiting": waiting,
            "linked": linked,
            "providers": oidc.providers(),
            "Role": Role,
            "own": person.pk == request.visit.user.pk,
        },
    )


def _member(request: HttpRequest, member: int) -> User:
    found = _people(request, member)
    if not found:
        raise Http404
    return found[0]


@contextmanager
def _acting(request: HttpRequest) -> Iterator[Acting]:
    visit = request.visit
    with acting() as database:
        yield Acting(database=database, team=visit.team, user=visit.user, name=visit.user.name, at=visit.now)


def _done(request: HttpRequest, member: int, what: Callable[[Acting, User], object], done: str) -> HttpResponse:
    person = _member(request, member)
    try:
        with _acting(request) as now:
            what(now, person)
    except AccountError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
    else:
        messages.success(request, f"{person.name}{t(' : ', ': ')}{done}")
    still_here = Membership.objects.filter(team=request.visit.team, user=person).exists()
    return HttpResponseRedirect(reverse("member", args=[member]) if still_here else reverse("team"))


def open_account(request: HttpRequest) -> HttpResponse:
    """Open an account, and show the link with which its owner chooses a password."""
    form = OpenForm(request.POST)
    if not form.is_valid():
        return show(request, form, 422)
    wanted = form.cleaned_data
    try:
        with _acting(request) as now:
            person = account_acts.open_account(
                now, email=wanted["email"], name=wanted["name"], role=Role(wanted["role"])
            )
            # Somebody who has a password already, or another team, needs no link of ours.
            needs_link = not person.has_usable_password() and not person.memberships.exclude(team=now.team).exists()
            secret = account_acts.make_link(now, person) if needs_link else ""
    except AccountError as error:
        form.add_error(None, f"{said(error.why)} {said(error.hint)}")
        return show(request, form, 422)
    messages.success(request, t("{name} est dans l'équipe.", "{name} is in the team.", name=person.name))
    if not secret:
        return HttpResponseRedirect(reverse("member", args=[person.pk]))
    return _shown(request, _member(request, person.pk), secret)


def change_role(request: HttpRequest, member: int) -> HttpResponse:
    """Give or take a role."""
    form = RoleForm(request.POST)
    if not form.is_valid():
        _member(request, member)
        messages.warning(request, t("Choisir un rôle de la liste.", "Choose a role of the list."))
        return HttpResponseRedirect(reverse("member", args=[member]))
    role, given = Role(form.cleaned_data["role"]), form.cleaned_data["given"] == "yes"
    act = account_acts.give_role if given else account_acts.take_role
    done = t("rôle donné.", "role given.") if given else t("rôle retiré.", "role taken.")
    return _done(request, member, lambda now, person: act(now, person, role), done)


def make_link(request: HttpRequest, member: int) -> HttpResponse:
    """Make a link for a new password and show it, this once."""
    person = _member(request, member)
    try:
        with _acting(request) as now:
            secret = account_acts.make_link(now, person)
    except AccountError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
        return HttpResponseRedirect(reverse("member", args=[member]))
    return _shown(request, person, secret)


def close(request: HttpRequest, member: int) -> HttpResponse:
    """Close an account."""
    return _done(request, member, account_acts.close, t("compte fermé.", "account closed."))


def reopen(request: HttpRequest, member: int) -> HttpResponse:
    """Open an account again."""
    return _done(request, member, account_acts.reopen, t("compte rouvert.", "account open again."))


def forget_second(request: HttpRequest, member: int) -> HttpResponse:
    """Take away second factors that were lost."""
    done = t("second facteur retiré, à refaire à la prochaine connexion.", "second factor removed.")
    return _done(request, member, account_acts.forget_second, done)


def link_identity(request: HttpRequest, member: int) -> HttpResponse:
    """Say who an account is at a provider."""
    form = IdentityForm(request.POST)
    known = {one.id for one in settings.DESK.oidc}
    if not form.is_valid() or form.cleaned_data["provider"] not in known:
        _member(request, member)
        messages.warning(
            request, t("Cette identité ne convient pas : la vérifier.", "This identity is not right: check it.")
        )
        return HttpResponseRedirect(reverse("member", args=[member]))
    wanted = form.cleaned_data
    return _done(
        request,
        member,
        lambda now, person: account_acts.link_identity(now, person, **wanted),
        t("identité enregistrée.", "identity saved."),
    )
