"""Requests of other systems: who they are by their bearer token, what they may read, and how often.

A token is `vf_<name>_<secret>`: 64 random bits that find its row, 256 that prove it, of which the desk keeps a digest.
Whatever carries a token is judged by the token alone: a session beside it counts for nothing, and a wrong, expired or
revoked token is refused however well its bearer is signed in.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from django.db.models import Case, F, Value, When
from django.http import HttpRequest, HttpResponse

from alerting.alert import Sentence
from coordination.desk.access import Action
from coordination.desk.fhir.answers import refusal
from coordination.desk.fhir.faults import FhirError
from coordination.desk.models import SystemClient, Team

_TOKEN = re.compile(r"vf_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]{2,30})\.read")
MINUTE_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class MachineVisit:
    """One request of a system; it stands where a person's `Visit` does.

    Attributes:
        client: which, None when its token is not to be believed.
        team: whose data it reads, None likewise.
        refused: why it may not read now, None when it may.
        now: ms UTC.
    """

    client: SystemClient | None
    team: Team | None
    refused: FhirError | None
    now: int
    user: None = None
    memberships: tuple[()] = ()

    @property
    def roles(self) -> frozenset[str]:
        """A system has no role."""
        return frozenset()

    def may(self, action: Action | str) -> bool:
        """Return whether it may: reading over FHIR, and nothing else."""
        return self.client is not None and Action(action) is Action.EXPORT_FHIR

    def may_one(self, actions: tuple[Action, ...]) -> bool:
        """Return whether it may do one of these."""
        return any(self.may(action) for action in actions)

    def reads(self, kind: str) -> bool:
        """Return whether one of its scopes is for a kind of resource."""
        scopes = self.client.scopes.split() if self.client is not None else []
        return bool({f"system/{kind}.read", "system/*.read"} & set(scopes))


def new_token() -> tuple[str, str, str]:
    """Return a new token: what finds it, the digest to keep, and the whole, which is shown once."""
    name, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return name, hashlib.sha256(secret.encode()).hexdigest(), f"vf_{name}_{secret}"


def is_scope(text: str) -> bool:
    """Return whether a text is a scope that can be given."""
    return _SCOPE.fullmatch(text) is not None


def machine_visit(request: HttpRequest, now: int) -> MachineVisit | None:
    """Return who asks by a bearer token, None when none is carried; `now` is ms UTC."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    client = _client(token.strip())
    if client is None or client.revoked_at is not None or now >= client.expires_at:
        return MachineVisit(client=None, team=None, refused=_unknown(), now=now)
    # A form of a browser cannot carry this header: there is no session that somebody could ride on.
    request._dont_enforce_csrf_checks = True  # noqa: SLF001 - how Django wants to be told
    refused = None if _within(client, now) else _too_many()
    return MachineVisit(client=client, team=client.team, refused=refused, now=now)


def _client(token: str) -> SystemClient | None:
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    client = SystemClient.objects.select_related("team").filter(token=match[1]).first()
    digest = hashlib.sha256(match[2].encode()).hexdigest()
    known = client.digest if client is not None else "0" * 64
    return client if hmac.compare_digest(digest, known) else None


def _within(client: SystemClient, now: int) -> bool:
    """Count this request; return whether it is within what the system may ask in this minute."""
    minute = now // MINUTE_MS
    SystemClient.objects.filter(pk=client.pk).update(
        used=Case(When(minute=minute, then=F("used") + 1), default=Value(1)), minute=minute
    )
    used = SystemClient.objects.filter(pk=client.pk).values_list("used", flat=True).first()
    return used is not None and used <= client.a_minute


def refused_machine(request: HttpRequest, action: Action) -> HttpResponse | None:
    """Return why a request of FHIR is refused, None when it may go on: in FHIR's words, never a page to sign in."""
    if action is Action.PUBLIC:
        return None
    visit = request.visit
    refused = getattr(visit, "refused", None)
    if refused is None and visit.user is None and getattr(visit, "client", None) is None:
        refused = _unknown()
    if refused is None and not visit.may(action):
        refused = _not_allowed()
    if refused is None:
        return None
    response = refusal(refused)
    if refused.status == 429:
        response.headers["Retry-After"] = str(60 - visit.now // 1000 % 60)
    return response


def _unknown() -> FhirError:
    return FhirError(
        Sentence(
            fr="Il faut la session d'un médecin, ou un jeton valable (Authorization: Bearer) ; un administrateur en"
            " donne : veilleur-desk fhirclient.",
            en="A physician's session is needed, or a token that holds (Authorization: Bearer). An administrator gives"
            " one: veilleur-desk fhirclient.",
        ),
        status=401,
        code="login",
    )


def _not_allowed() -> FhirError:
    return FhirError(
        Sentence(
            fr="Votre rôle dans cette équipe n'ouvre pas FHIR. Votre administrateur peut le changer.",
            en="Your role in this team does not open FHIR. Your administrator can change that.",
        ),
        status=403,
        code="forbidden",
    )


def _too_many() -> FhirError:
    return FhirError(
        Sentence(
            fr="Trop de demandes en une minute. Attendre, ou demander une limite plus haute à l'équipe.",
            en="Too many requests in a minute. Wait, or ask the team for a higher limit.",
        ),
        status=429,
        code="throttled",
    )
