"""Keeping the problems that wait as the alerts are that they are made of, and letting open pages know.

Called in every transaction that changes an alert, after the change. What a problem is: problem_tables.
"""

import sqlite3

from coordination.problem_tables import COLUMNS, WORKED_OUT
from coordination.sql import Sql

CHANNEL = "veilleur_alerts"
"""PostgreSQL's: whoever listens hears of each commit that changed an alert. SQLite's readers see that by themselves."""

_KEPT = [name for name in COLUMNS.split(", ") if name not in {"id", "arrived"}]
_KEEP = (
    " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _KEPT)
    + ", arrived = CASE WHEN excluded.state = 0 AND (excluded.alert_id <> problem.alert_id OR problem.state > 0)"
    " THEN excluded.stamp ELSE problem.arrived END"
)


def work_out(connection: Sql, alert: str) -> None:
    """Work out the problem that an alert is of, whether or not the alert is there or still waits."""
    row = connection.execute("SELECT patient_id, box_id, rule_id FROM alert WHERE id = ?", (alert,)).fetchone()
    if row is None:
        return
    patient, box, rule = row
    about, key = ("patient_id = ?", patient) if patient is not None else ("patient_id IS NULL AND box_id = ?", box)
    problem = f"{'b' if patient is None else 'p'}{key}/{rule}"
    query = WORKED_OUT.format(which=f"AND {about} AND rule_id = ?")
    found = connection.execute(query, (key, rule)).fetchone()
    if found is None:
        connection.execute("DELETE FROM problem WHERE id = ?", (problem,))
    else:
        marks = ", ".join("?" * len(found))
        connection.execute(f"INSERT INTO problem ({COLUMNS}) VALUES ({marks}){_KEEP}", tuple(found))  # noqa: S608
    if not isinstance(connection, sqlite3.Connection):
        connection.execute("SELECT pg_notify(?, '')", (CHANNEL,))
