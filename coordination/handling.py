"""What people do with an alert: take it in hand, give it back. Of two who act at once, the second is told.

Each act runs inside a transaction of the caller's, with its entry in the record of acts and what its box is told.
An act says how often the alert had been handled when its person looked (`handled`): when that has changed since,
nothing is done.

Not here: only having seen it (acknowledging), closing (closing), and who may (the desk's access).
"""

from dataclasses import dataclass

from alerting.alert import Acknowledgement
from coordination.audit_log import AuditLog
from coordination.dispositions import tell_box
from coordination.sql import Sql
from coordination.sqlite_alerts import Alerts
from devices.clock import SystemClock
from exchange.audit_chain import Act
from exchange.command_bodies import DispositionBody, DispositionState

NEW, TAKEN, CLOSED = 0, 1, 2
"""`alert.state`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Who acts: as colleagues read the name, and their row in the desk's table of people."""

    name: str
    row: int | None


def take(connection: Sql, alert: str, *, by: Handler, handled: int, at: int) -> bool:
    """Take an alert in hand; False when somebody was first.

    Args:
        connection: in a transaction.
        alert: its whole id.
        by: who takes it.
        handled: how often it had been handled when they looked.
        at: ms UTC.
    """
    changed = connection.execute(
        "UPDATE alert SET state = ?, holder = ?, holder_id = ?, taken_at = ?, handled = handled + 1"
        " WHERE id = ? AND state = ? AND handled = ?",
        (TAKEN, by.name, by.row, at, alert, NEW, handled),
    ).rowcount
    if not changed:
        return False
    Alerts(connection).acknowledge(alert, Acknowledgement(by=by.name, at=at))
    _enter(connection, Act.ALERT_ACKNOWLEDGED, alert, by, at)
    _tell(connection, alert, DispositionState.TAKEN, by, at)
    return True


def give_back(connection: Sql, alert: str, *, by: Handler, handled: int, at: int) -> bool:
    """Give an alert back to the team; False when it is not theirs, or was handled since they looked.

    Args: see `take`.
    """
    changed = connection.execute(
        "UPDATE alert SET state = ?, holder = '', holder_id = NULL, taken_at = NULL, handled = handled + 1"
        " WHERE id = ? AND state = ? AND handled = ? AND (holder_id = ? OR (holder_id IS NULL AND holder = ?))",
        (NEW, alert, TAKEN, handled, by.row, by.name),
    ).rowcount
    if not changed:
        return False
    _enter(connection, Act.ALERT_DISPOSED, alert, by, at)
    _tell(connection, alert, DispositionState.RETURNED, by, at)
    return True


def _enter(connection: Sql, act: Act, alert: str, by: Handler, at: int) -> None:
    log = AuditLog(connection)
    log.begin(at=at)
    log.enter(act, at=at, by=by.name, reference=alert)


def _tell(connection: Sql, alert: str, state: DispositionState, by: Handler, at: int) -> None:
    body = DispositionBody(alert=alert, state=state, by=by.name, at=at)
    tell_box(connection, body, now=SystemClock().now_ms())
