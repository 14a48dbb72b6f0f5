"""Keeping the problems that wait as the alerts are that they are made of, and letting open pages know.

Called in every transaction that changes an alert, after the change. What a problem is: problem_tables.
"""

import sqlite3
from collections.abc import Collection, Sequence

from coordination.bulk_rows import among, delete, marks, parts, write
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


def work_out(connection: Sql, alerts: Collection[str]) -> None:
    """Work out the problems that alerts are of, whether or not each alert is there or still waits."""
    people: set[tuple[int, str]] = set()
    boxes: set[tuple[int, str]] = set()
    for named in parts(list(alerts)):
        query = f"SELECT patient_id, box_id, rule_id FROM alert WHERE id IN {among(named)}"  # noqa: S608
        for patient, box, rule in connection.execute(query, named):
            (boxes if patient is None else people).add((box if patient is None else patient, rule))
    for about, kind, problems in (
        ("patient_id", "p", sorted(people)),
        ("patient_id IS NULL AND box_id", "b", sorted(boxes)),
    ):
        for some in parts(problems):
            _work_out(connection, about, kind, some)
    if (people or boxes) and not isinstance(connection, sqlite3.Connection):
        connection.execute("SELECT pg_notify(?, '')", (CHANNEL,))


def _work_out(connection: Sql, about: str, kind: str, problems: Sequence[tuple[int, str]]) -> None:
    """Work out problems of one kind: (row of the patient or box, rule) of each."""
    places, values = marks(problems)
    keys = [key for key, _ in problems]
    # The keys alone as well, for the index of theirs.
    column = about.rpartition(" ")[2]
    which = f"AND {about} IN {among(keys)} AND ({column}, rule_id) IN (VALUES {places})"
    found = connection.execute(WORKED_OUT.format(which=which), [*keys, *values]).fetchall()
    there = {row[0] for row in found}
    over = [(name,) for name in (f"{kind}{key}/{rule}" for key, rule in problems) if name not in there]
    delete(connection, "problem", ("id",), over)
    write(connection, "problem", COLUMNS.split(", "), found, conflict=_KEEP)
