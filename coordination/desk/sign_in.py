"""How often somebody may try to sign in, who did, and who did not: one row a try, kept where a restart forgets nothing.

Rules of this room:

- A try is written down before its password is checked, in one transaction with the count: of a hundred that come at
  once, no more than the limit are checked.
- An address without an account is counted, refused and answered as one with an account.
- A stranger locks nobody out of her own browser: where an account has signed in before, its tries count apart
  (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
- Who signed in and who was refused stand in the record of acts, in the transaction of the sign-in itself.
- No password and no address as it was typed is kept: an account is named by a keyed hash.

Not here: whether a password is right (passwords, and allauth), and what a second factor is (second_factor).
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Final

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from coordination.audit_log import TEAM, AuditLog
from coordination.desk.models import LoginEvent, Remembered, User
from coordination.desk.shared_database import acting
from coordination.sql import Sql
from exchange.audit_chain import Act

MINUTE: Final = 60_000
WINDOW: Final = 15 * MINUTE
"""Tries are counted over this long; whoever has used them up waits as long as that at most."""
MOST_OF_AN_ACCOUNT: Final = 5
MOST_OF_AN_ADDRESS: Final = 50
"""A hospital shares one address: ten colleagues who each mistype five times are no attack."""
KEPT: Final = 90 * 24 * 60 * MINUTE
"""Tries are deleted after this long; the record of acts stays."""
BROWSER_COOKIE: Final = "veilleur-browser"
BROWSER_S: Final = 180 * 24 * 3600
MOST_OF_A_BROWSER: Final = 12
"""Accounts that one browser is remembered for: a ward's computer has several."""
EVENT: Final = "login_event"
"""Names, in a session, the try that began it."""
_AGENT: Final = 120


class Way(StrEnum):
    """How somebody shows who they are."""

    FIRST = "password"
    SECOND = "second"
    PASSKEY = "passkey"
    OIDC = "oidc"


class Outcome(StrEnum):
    """What became of a try; the first two count against its account and its address."""

    TRIED = "tried"
    """Being checked, or never finished."""
    REFUSED = "refused"
    RIGHT = "right"
    """Right so far; it began no session of its own."""
    IN = "in"


_COUNTED: Final = (Outcome.TRIED, Outcome.REFUSED)


def now() -> int:
    """Return ms UTC, by the desk's clock."""
    return int(settings.DESK.clock.now_ms())


def source_of(request: HttpRequest) -> str:
    """Return from where somebody comes: an IPv4 address, or the 64 bits of an IPv6 network, which one house has.

    Over TLS the desk is behind a proxy of the same machine, and the last address of X-Forwarded-For is the one that
    this proxy saw; what stands before it anybody can write.
    """
    said = request.META.get("REMOTE_ADDR", "")
    if settings.DESK.https:
        said = request.headers.get("X-Forwarded-For", said).rpartition(",")[2].strip()
    try:
        address = ip_address(said)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


def subject_of(email: str, way: Way = Way.FIRST) -> str:
    """Return what stands for an account in the tries of a way, whether or not there is such an account."""
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, f"{way}\x00{email.strip().lower()}".encode(), hashlib.sha256).hexdigest()


def begin(request: HttpRequest, email: str, way: Way = Way.FIRST) -> LoginEvent | None:
    """Write down a try before it is checked; None when there were too many, which is an act."""
    subject, source, at = subject_of(email, way), source_of(request), now()
    browser = _browsers(request).get(_short(subject_of(email)), "")
    with acting() as database:
        LoginEvent.objects.filter(at__lt=at - KEPT).delete()
        user = User.objects.filter(email=email.strip().lower()).first()
        if _too_many(subject, source, browser, at):
            _enter_refusal(database, user, way, "too_many", at)
            return None
        return LoginEvent.objects.create(
            at=at, user=user, subject=subject, source=source, way=way, outcome=Outcome.TRIED, browser=browser,
            agent=_agent(request),
        )  # fmt: skip


def _too_many(subject: str, source: str, browser: str, at: int) -> bool:
    recent = LoginEvent.objects.filter(at__gt=at - WINDOW)
    tried = recent.filter(outcome__in=_COUNTED)
    own = tried.filter(subject=subject, browser=browser)
    last = recent.filter(subject=subject, browser=browser, outcome=Outcome.IN).order_by("-pk").first()
    if last is not None:
        own = own.filter(pk__gt=last.pk)
    if own.count() >= MOST_OF_AN_ACCOUNT:
        return True
    return not browser and tried.filter(source=source, browser="").count() >= MOST_OF_AN_ADDRESS


def right(event: LoginEvent) -> None:
    """Say that what was tried is right."""
    LoginEvent.objects.filter(pk=event.pk).update(outcome=Outcome.RIGHT)


def forget(event: LoginEvent) -> None:
    """Take a try back that was not checked after all."""
    LoginEvent.objects.filter(pk=event.pk).delete()


def refuse(event: LoginEvent, reason: str) -> None:
    """Say that what was tried is not right."""
    with acting() as database:
        LoginEvent.objects.filter(pk=event.pk).update(outcome=Outcome.REFUSED)
        _enter_refusal(database, event.user, Way(event.way), reason, event.at)


def turn_away(user: User | None, way: Way, reason: str) -> None:
    """Enter that somebody was refused for another reason than a wrong password."""
    with acting() as database:
        _enter_refusal(database, user, way, reason, now())


def _enter_refusal(database: Sql, user: User | None, way: Way, reason: str, at: int) -> None:
    log = AuditLog(database)
    log.begin(at=at)
    if log.has_room_for(Act.SIGN_IN_REFUSED, at=at):
        about = "" if user is None else reference_of(user)
        log.enter(Act.SIGN_IN_REFUSED, at=at, by=TEAM, reference=about, detail={"way": way, "reason": reason})


def reference_of(user: User) -> str:
    """Return how the record of acts names an account: names and addresses change, and may be alike."""
    return f"account:{user.pk}"


def signed_in(request: HttpRequest, user: User, way: Way, database: Sql) -> None:
    """Write down that somebody is in; the caller's transaction holds the session too, which is saved here."""
    at, session = now(), request.session
    # What has ended by itself goes when somebody comes: no job has to run for it. Sessions know real time only.
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    Remembered.objects.filter(expires__lt=timezone.now()).delete()
    event = LoginEvent.objects.create(
        at=at, user=user, subject=subject_of(user.email), source=source_of(request), way=way, outcome=Outcome.IN,
        browser=_browsers(request).get(_short(subject_of(user.email)), ""), agent=_agent(request),
    )  # fmt: skip
    session[EVENT] = event.pk
    session.save()
    event.session = session.session_key
    event.save(update_fields=["session"])
    log = AuditLog(database)
    log.begin(at=at)
    log.enter(Act.SIGNED_IN, at=at, by=user.name, reference=reference_of(user), detail={"way": way})


# --- sessions --------------------------------------------------------------------------------------------------


def sessions_of(user: User) -> list[LoginEvent]:
    """Return what began the sessions of an account that still last, the last first."""
    begun = LoginEvent.objects.filter(user=user, outcome=Outcome.IN).exclude(session="").order_by("-at", "-pk")
    lasting = set(Session.objects.filter(pk__in=[event.session for event in begun]).values_list("pk", flat=True))
    return [event for event in begun if event.session in lasting]


def end_sessions(user: User, *, but: str | None = None) -> int:
    """End the sessions of an account, inside a transaction; return how many there were.

    Args:
        user: whose.
        but: key of the one that goes on.
    """
    return end([event.session for event in sessions_of(user) if event.session != but])


def end(keys: Collection[str]) -> int:
    """End sessions by their keys, inside a transaction; return how many."""
    Session.objects.filter(pk__in=keys).delete()
    LoginEvent.objects.filter(session__in=keys).update(session="")
    return len(keys)


def followed(request: HttpRequest) -> None:
    """Follow a session whose key was changed while it went on."""
    request.session.save()
    LoginEvent.objects.filter(pk=request.session.get(EVENT, 0)).update(session=request.session.session_key)


# --- browsers in which an account has signed in ------------------------------------------------------------------


def remember_browser(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Let this browser's tries for this account count apart from those of strangers."""
    known = _browsers(request)
    known.setdefault(_short(subject_of(user.email)), secrets.token_hex(16))
    kept = dict(list(known.items())[-MOST_OF_A_BROWSER:])
    response.set_cookie(
        BROWSER_COOKIE, signing.dumps(kept, salt=BROWSER_COOKIE), max_age=BROWSER_S, path="/compte/",
        secure=settings.DESK.https, httponly=True, samesite="Lax",
    )  # fmt: skip


def _browsers(request: HttpRequest) -> dict[str, str]:
    try:
        found = signing.loads(request.COOKIES.get(BROWSER_COOKIE, ""), salt=BROWSER_COOKIE, max_age=BROWSER_S)
    except signing.BadSignature:
        return {}
    return {str(name): str(value) for name, value in found.items()}


def _short(subject: str) -> str:
    return subject[:16]


def _agent(request: HttpRequest) -> str:
    said = request.headers.get("User-Agent", "")[:_AGENT]
    return "".join(character for character in said if character.isprintable())
