"""A named person says why a box's record of acts is no longer what the team had seen of it; its alert ends with that.

Nothing else can end it: no reading of a patient and no later word of the box tells whether somebody tampered with the
box or restored it. What was said stands in the alert and in the team's record of acts; what contradicts itself is kept.
A contradiction that comes later is a new alert.

Not here: finding that a record was cut (audit_witness).
"""

from dataclasses import replace

from alerting.alert import Acknowledgement, ChangeKind, Sentence
from coordination.acknowledging import named
from coordination.attribution import TeamChange
from coordination.audit_log import AuditLog
from coordination.audit_witness import LOG_CUT
from coordination.errors import CoordinationError
from coordination.place import Place
from coordination.sql import Sql
from coordination.sql_alerts import Alerts
from coordination.team_database import ERRORS, as_error, connect, connect_to_read, transaction
from exchange.audit_chain import Act, Detail


def explain_cut(database: Place, alert: str, *, by: str, reason: str, at: int) -> TeamChange:
    """End the alert whose id begins with `alert`, because of what `by` says at `at` (ms UTC); return how it ended.

    Raises:
        CoordinationError: no alert, or more than one, begins like that; or it is of another kind, or has ended.
        DatabaseUnusableError, DatabaseBusyError: nothing was changed.
    """
    # A database that is not there is refused before one is made.
    connect_to_read(database).close()
    connection = connect(database)
    try:
        with transaction(connection):
            whole, alerts = named(connection, alert), Alerts(connection)
            standing = next((one for one in alerts.standing(LOG_CUT) if one.change.alert_id == whole), None)
            if standing is None:
                raise _not_such(connection, whole)
            alerts.acknowledge(whole, Acknowledgement(by=by, at=at))
            ended = explained(standing, by=by, reason=reason, at=at)
            alerts.say(ended, at)
            log = AuditLog(connection)
            log.begin(at=at)
            detail: Detail = {"box": standing.box, "reason": reason}
            log.enter(Act.LOG_CUT_EXPLAINED, at=at, by=by, reference=whole, detail=detail)
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()
    return ended


def explained(team: TeamChange, *, by: str, reason: str, at: int) -> TeamChange:
    """Return the end, at `at` (ms UTC), of an alert that a record was cut, in the words of whoever explains it."""
    why = Sentence(
        fr=f"La coupure du journal des actes du boîtier {team.box} a été expliquée par {by}\u00a0: {reason}",
        en=f"The cut of the record of acts of box {team.box} was explained by {by}: {reason}",
    )
    resolved_at = max(at, team.change.raised_at)
    change = replace(team.change, kind=ChangeKind.RESOLVED, resolved_at=resolved_at, why=why)
    return TeamChange(box=team.box, change=change)


def _not_such(connection: Sql, alert: str) -> CoordinationError:
    (rule,) = connection.execute("SELECT rule_id FROM alert WHERE id = ?", (alert,)).fetchone()
    if rule == LOG_CUT:
        return CoordinationError(
            Sentence(fr="Cette coupure est déjà expliquée.", en="This cut is explained already."),
            hint=Sentence(
                fr=f"« veilleur-desk alert {alert[:8]} » montre par qui.",
                en=f"'veilleur-desk alert {alert[:8]}' shows by whom.",
            ),
        )
    return CoordinationError(
        Sentence(
            fr="Cette alerte ne dit pas qu'un journal a été coupé : elle finit d'elle-même.",
            en="This alert does not say that a record was cut: it ends by itself.",
        ),
        hint=Sentence(
            fr=f"Pour dire ce qu'il en était : « veilleur-desk close {alert[:8]} ».",
            en=f"To say what came of it: 'veilleur-desk close {alert[:8]}'.",
        ),
    )
