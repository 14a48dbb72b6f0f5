"""A named person closes an alert: she says what came of it. The last word counts, and the box is told.

Not here: acknowledging (acknowledging), and taking in hand and giving back, which belong to the desk.
"""

from dataclasses import dataclass

from alerting.alert import Acknowledgement, Outcome
from coordination.acknowledging import named
from coordination.audit_log import AuditLog
from coordination.dispositions import tell_box
from coordination.place import Place
from coordination.sqlite_alerts import Alerts
from coordination.team_database import ERRORS, as_error, connect, connect_to_read, transaction
from devices.clock import SystemClock
from exchange.audit_chain import Act
from exchange.command_bodies import DispositionBody, DispositionState

CLOSED = 2
"""`alert.state` of an alert of which somebody said what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """An alert that was closed: its id, and whether a box is told."""

    alert: str
    box_is_told: bool


def close(database: Place, alert: str, *, by: str, outcome: Outcome, at: int) -> Closed:
    """Keep what came of the alert whose id begins with `alert`, by whom and when (ms UTC).

    Whoever closes an alert has seen it.

    Raises:
        CoordinationError: no alert, or more than one, begins like that.
        DatabaseUnusableError, DatabaseBusyError: see `team_database`.
    """
    # A database that is not there is refused before one is made.
    connect_to_read(database).close()
    connection = connect(database)
    try:
        with transaction(connection):
            whole = named(connection, alert)
            Alerts(connection).acknowledge(whole, Acknowledgement(by=by, at=at))
            connection.execute(
                "INSERT INTO alert_outcome (alert_id, outcome, person, at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (alert_id) DO UPDATE SET outcome = excluded.outcome, person = excluded.person,"
                " at = excluded.at WHERE excluded.at >= alert_outcome.at",
                (whole, outcome.value, by, at),
            )
            connection.execute("UPDATE alert SET state = ? WHERE id = ?", (CLOSED, whole))
            log = AuditLog(connection)
            log.begin(at=at)
            log.enter(Act.ALERT_DISPOSED, at=at, by=by, reference=whole, detail={"outcome": outcome.value})
            body = DispositionBody(alert=whole, state=DispositionState.CLOSED, by=by, at=at, outcome=outcome)
            told = tell_box(connection, body, now=SystemClock().now_ms())
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()
    return Closed(alert=whole, box_is_told=told)
