"""Letting a system of another house read over FHIR, and stopping it: a name, scopes, an end, one token shown once."""

from collections.abc import Sequence

from alerting.alert import Sentence
from coordination.desk.fhir.catalogue import KINDS
from coordination.desk.fhir.reading_acts import enter
from coordination.desk.machine_visits import is_scope, new_token
from coordination.desk.models import SystemClient, Team
from coordination.desk.shared_database import acting
from coordination.errors import CoordinationError
from exchange.audit_chain import Act, Detail

DAY_MS = 86_400_000


def let_in(name: str, *, team: int, scopes: Sequence[str], days: int, a_minute: int, by: str, now: int) -> str:
    """Return the token of a new client, which nobody can read again.

    Args:
        name: as the record of acts will have it.
        team: number of the team whose data it reads.
        scopes: "system/Observation.read", "system/*.read".
        days: for which the token holds.
        a_minute: requests a minute that it may make.
        by: who lets it in.
        now: ms UTC.

    Raises:
        CoordinationError: a scope that there is not, no such team, or a name that is taken.
    """
    known = [f"system/{kind}.read" for kind in ("*", *KINDS)]
    wrong = [scope for scope in scopes if not is_scope(scope) or scope not in known]
    if wrong or not scopes:
        raise _refused(
            f"Portée inconnue : {' '.join(wrong) or '(aucune)'}.",
            f"Unknown scope: {' '.join(wrong) or '(none)'}.",
            ", ".join(known),
        )
    whose = Team.objects.filter(pk=team).first()
    if whose is None:
        raise _refused(f"Il n'y a pas d'équipe {team}.", f"There is no team {team}.", "--team 1")
    token, digest, whole = new_token()
    with acting() as database:
        if SystemClient.objects.filter(name=name).exists():
            raise _refused(
                f"{name} a déjà un accès.", f"{name} has access already.", f"veilleur-desk fhirclient revoke {name}"
            )
        SystemClient.objects.create(
            team=whose,
            name=name,
            token=token,
            digest=digest,
            scopes=" ".join(scopes),
            expires_at=now + days * DAY_MS,
            created_at=now,
            a_minute=a_minute,
        )
        detail: Detail = {"step": "let in", "scopes": " ".join(scopes), "days": days, "team": team}
        enter(database, Act.FHIR_CLIENT_CHANGED, at=now, by=by, reference=name, detail=detail)
    return whole


def stop(name: str, *, by: str, now: int) -> None:
    """Refuse a client from now on (ms UTC); its name can be given again afterwards.

    Raises:
        CoordinationError: there is none of that name.
    """
    with acting() as database:
        client = SystemClient.objects.filter(name=name, revoked_at=None).first()
        if client is None:
            raise _refused(f"{name} n'a pas d'accès.", f"{name} has no access.", "veilleur-desk fhirclient list")
        client.revoked_at = now
        client.name = f"{name[:40]} ({client.token})"
        client.save(update_fields=["revoked_at", "name"])
        enter(database, Act.FHIR_CLIENT_CHANGED, at=now, by=by, reference=name, detail={"step": "stopped"})


def _refused(fr: str, en: str, hint: str) -> CoordinationError:
    return CoordinationError(Sentence(fr=fr, en=en), hint=Sentence(fr=hint, en=hint))
