"""Who visits the desk, in which team, and what every answer says about itself.

- A page that names no action is refused (403), whoever asks: nothing becomes public by being forgotten.
- Whoever is not signed in is sent to sign in; whoever may not is told so, in a page.
- No answer to somebody signed in may be kept by a browser or a proxy.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.http import urlencode

from coordination.desk.access import Action, Role, allowed
from coordination.desk.machine_visits import machine_visit, refused_machine
from coordination.desk.models import Membership, Team, User
from coordination.desk.passwords import PasswordsBusyError
from coordination.desk.site import CONTENT_SECURITY_POLICY

_PERMISSIONS = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()"
TEAM = "team"
"""Names the team that a session looks at."""

_Answer = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request of one person.

    Attributes:
        user: who, None when nobody is signed in.
        memberships: what they are, in all their teams.
        chosen: the row of the team that they look at, None for their first.
        now: ms UTC, by the desk's clock.
    """

    user: User | None
    memberships: tuple[Membership, ...]
    chosen: int | None
    now: int

    @cached_property
    def team(self) -> Team | None:
        """The team that they look at; None for whoever is in none."""
        teams = [one.team for one in self.memberships]
        return next((team for team in teams if team.pk == self.chosen), teams[0] if teams else None)

    @cached_property
    def teams(self) -> tuple[Team, ...]:
        """The teams that they are in, each once."""
        return tuple({one.team.pk: one.team for one in self.memberships}.values())

    @cached_property
    def roles(self) -> frozenset[Role]:
        """What they are in this team."""
        team = self.team
        return frozenset(Role(one.role) for one in self.memberships if team is not None and one.team.pk == team.pk)

    def member(self) -> tuple[User, Team]:
        """Return who visits, and the team that they look at.

        Raises:
            PermissionDenied: nobody, or somebody in no team; the middleware lets neither come so far.
        """
        if self.user is None or self.team is None:
            raise PermissionDenied
        return self.user, self.team

    def may(self, action: Action | str) -> bool:
        """Return whether they may do it in this team."""
        return self.user is not None and allowed(self.roles, Action(action))

    def may_one(self, actions: Iterable[Action]) -> bool:
        """Return whether they may do one of these in this team."""
        return any(self.may(action) for action in actions)


def headers(get_response: _Answer) -> _Answer:
    """Say on every answer what a browser may do with it."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault("Permissions-Policy", _PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if not request.path.startswith(settings.STATIC_URL):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return answer


class VisitMiddleware:
    """Puts a Visit on each request, and refuses what it may not do."""

    def __init__(self, get_response: _Answer) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in the visitor's language."""
        user = request.user if request.user.is_authenticated else None
        memberships = (
            () if user is None else tuple(user.memberships.select_related("team").order_by("team__name", "role"))
        )
        chosen = request.session.get(TEAM)
        now = settings.DESK.clock.now_ms()
        request.visit = machine_visit(request, now) or Visit(user=user, memberships=memberships, chosen=chosen, now=now)
        language = user.language if user is not None else request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
        if language not in {"fr", "en"}:
            language = (translation.get_language_from_request(request) or "fr")[:2]
        with translation.override(language if language in {"fr", "en"} else "fr"):
            response = self._get_response(request)
        response.headers.setdefault("Content-Language", language)
        return response

    @staticmethod
    def process_view(
        request: HttpRequest, view: Callable[..., HttpResponse], _arguments: object, _named: object
    ) -> HttpResponse | None:
        """Refuse what names no action or one that the visitor may not do."""
        from coordination.desk import second_factor  # noqa: PLC0415 - these render, and rendering needs this room
        from coordination.desk.errors import forbidden  # noqa: PLC0415

        action = getattr(view, "action", None)
        if action is not None and getattr(view, "for_machines", False):
            refused = refused_machine(request, action)
            if refused is not None or request.visit.user is None:
                return refused
        if action is Action.PUBLIC:
            return None
        if request.visit.user is None:
            return redirect(f"/compte/login/?{urlencode({'next': request.get_full_path()})}")
        if action is None or not request.visit.may(action):
            return forbidden(request)
        if action is not Action.OWN_ACCOUNT and second_factor.missing(request):
            return redirect("/compte#second")
        return None


class BusyMiddleware:
    """Tells whoever waited for a password to be checked, and did not get a place, to try again."""

    def __init__(self, get_response: _Answer) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as the page does."""
        return self._get_response(request)

    @staticmethod
    def process_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 when there was no place."""
        from coordination.desk.errors import busy  # noqa: PLC0415 - it renders, and rendering needs this room

        return busy(request) if isinstance(exception, PasswordsBusyError) else None
