"""What becomes of an alert that nobody takes, or that nobody closes, in time: it asks again, and the physicians too.

The inbox does it whenever it looks at who is silent; so no timer and no other program is needed, and several workers
may do it one after the other. Each such step is an act of the team's programs in the alert's history.

What deadlines are: deadlines. Where it is shown: the desk.
"""

from msgspec.structs import replace

from coordination.alert_acts import Standing, standing_of
from coordination.audit_log import TEAM
from coordination.deadlines import TECHNICAL, spans_of
from coordination.handling import NEW, TAKEN, Handler, Turn, put_back, turn
from coordination.problem_tables import NO_DEADLINE
from coordination.reading_hours import after, hours_of
from coordination.sql import Sql

MOST_AT_ONCE = 500
"""Problems that one look does something about; the next look does the rest."""


def lapse(connection: Sql, *, at: int) -> int | None:
    """Put back what was not closed by its deadline and tell the physicians of it, and of what nobody took by its own.

    Args:
        connection: in a transaction.
        at: ms UTC.

    Returns:
        When there is something to do next, None for never.
    """
    this = turn(Handler(name=TEAM, row=None), at)
    problems = connection.execute(
        "SELECT patient_id, box_id, rule_id, priority, team_id FROM problem WHERE lapses_at <= ?"
        " ORDER BY lapses_at, id LIMIT ?",
        (at, MOST_AT_ONCE),
    ).fetchall()
    for patient, box, rule, priority, team in problems:
        about, key = ("patient_id = ?", patient) if patient is not None else ("patient_id IS NULL AND box_id = ?", box)
        alerts = connection.execute(
            f"SELECT id FROM alert WHERE {about} AND rule_id = ? AND state < 2 AND told_at IS NOT NULL"  # noqa: S608
            " AND kind <> 'retracted' AND NOT EXISTS (SELECT 1 FROM alert AS later WHERE later.supersedes = alert.id)"
            " ORDER BY raised_at, id",
            (key, rule),
        ).fetchall()
        ack = after(at, spans_of(connection, team)[priority].ack, hours_of(connection, team))
        for (alert,) in alerts:
            _settle(connection, alert, this, technical=priority == TECHNICAL, ack=ack)
    (next_at,) = connection.execute("SELECT min(lapses_at) FROM problem").fetchone()
    return None if next_at is None or next_at >= NO_DEADLINE else int(next_at)


def _settle(connection: Sql, alert: str, this: Turn, *, technical: bool, ack: int) -> None:
    found = standing_of(connection, alert)
    if found is None:
        return
    before, handled = found
    after = _after(before, at=this.at, technical=technical, ack=ack)
    if after is not None:
        put_back(connection, alert, this, before, after, handled=handled)


def _after(before: Standing, *, at: int, technical: bool, ack: int) -> Standing | None:
    """Return how an alert stands once `at` has come, to be taken by `ack` if it goes back; None as it does already."""
    told = before.escalated_at if technical or before.escalated_at is not None else at
    if before.state == TAKEN and before.act_due is not None and before.act_due <= at:
        return replace(
            before,
            state=NEW,
            holder="",
            holder_id=None,
            taken_at=None,
            recall_at=None,
            ack_due=ack,
            escalated_at=told,
        )
    if before.state == NEW and before.ack_due is not None and before.ack_due <= at and told != before.escalated_at:
        return replace(before, escalated_at=told)
    return None
