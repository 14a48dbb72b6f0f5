"""That somebody read over FHIR, in the record of acts: once a day for each system and each person, not once a request.

What a system may read is said by its scopes when it is let in, which is an act too; what it read of whom would fill the
record and push out what matters. An export in bulk is an act of its own each time (fhir_export).
"""

from django.http import HttpRequest

from coordination.audit_log import NOTHING, AuditLog
from coordination.desk.models import SystemClient
from coordination.desk.shared_database import acting
from coordination.sql import Sql
from exchange.audit_chain import Act, Detail

DAY_MS = 86_400_000
_DAY = "fhir_day"
"""Names the last day of a session on which this was entered."""


def enter_reading(request: HttpRequest) -> None:
    """Enter that whoever asks reads over FHIR today, unless that was entered."""
    visit = request.visit
    day = visit.now // DAY_MS
    client = getattr(visit, "client", None)
    if client is None:
        if request.session.get(_DAY) != day:
            with acting() as database:
                enter(database, Act.FHIR_READ, at=visit.now, by=visit.user.name, reference=f"team {visit.team.pk}")
            request.session[_DAY] = day
    elif client.last_day != day:
        with acting() as database:
            # Of two requests at once one enters it.
            if SystemClient.objects.filter(pk=client.pk).exclude(last_day=day).update(last_day=day):
                enter(database, Act.FHIR_READ, at=visit.now, by=client.name, reference=f"team {visit.team.pk}")


def enter(database: Sql, act: Act, *, at: int, by: str, reference: str, detail: Detail = NOTHING) -> None:
    """Enter an act, in the caller's transaction."""
    log = AuditLog(database)
    log.begin(at=at)
    log.enter(act, at=at, by=by, reference=reference, detail=detail)
