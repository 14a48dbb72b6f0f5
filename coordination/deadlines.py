"""By when the team takes an alert, and by when whoever took it closes it; what becomes of one that nobody did.

- Both deadlines are set when an alert comes to be told here, in the transaction that keeps it. They count from when
  the *team* has it: what lay in a box during an outage is not overdue the moment it arrives.
- A protocol that says by when somebody must look (`due_by`) says the first deadline, as long as that leaves a nurse
  the time to reach for her keyboard.
- What was taken and is not closed by the second one goes back to the list: a taken alert is not forgotten.
- What nobody takes by the first one, and what went back, is told to the physicians, on their page. Technical alerts
  are not: a physician cannot plug a box in.

- They count the hours in which the team reads its alerts (reading_hours), when it says which those are.

The spans below are what a team begins with; each sets its own (`team_deadline`). Times are ms UTC by the team's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from coordination.bulk_rows import among, parts
from coordination.reading_hours import ReadingHours, after, hours_of, open_at
from coordination.sql import Sql

TECHNICAL: Final = 4
"""Stands for a technical alert's priority: whatever it is, it comes after what is about a patient."""
MINUTE, HOUR = 60_000, 3_600_000
LEAST_TIME: Final = 10 * MINUTE
"""What a nurse has at least from when an alert reaches the team, whatever a protocol says."""
RECALL_GRACE: Final = 30 * MINUTE
"""How long after the time of a call that she planned an alert goes back to the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """How soon alerts of a priority are taken and closed: ms, each from when it can be begun with."""

    ack: int
    act: int


DEFAULTS: Final[Mapping[int, Spans]] = MappingProxyType(
    {
        1: Spans(ack=30 * MINUTE, act=4 * HOUR),
        2: Spans(ack=4 * HOUR, act=24 * HOUR),
        3: Spans(ack=24 * HOUR, act=72 * HOUR),
        TECHNICAL: Spans(ack=8 * HOUR, act=48 * HOUR),
    }
)
"""Priority -> what holds until a team says otherwise."""


def spans_of(connection: Sql, team: int) -> dict[int, Spans]:
    """Return the spans of a team by priority."""
    rows = connection.execute("SELECT priority, ack_ms, act_ms FROM team_deadline WHERE team_id = ?", (team,))
    return dict(DEFAULTS) | {priority: Spans(ack=ack, act=act) for priority, ack, act in rows.fetchall()}


def keep_spans(connection: Sql, team: int, priority: int, spans: Spans) -> None:
    """Keep the spans of one priority; they hold for what arrives from now on."""
    connection.execute(
        "INSERT INTO team_deadline (team_id, priority, ack_ms, act_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (team_id, priority) DO UPDATE SET ack_ms = excluded.ack_ms, act_ms = excluded.act_ms",
        (team, priority, spans.ack, spans.act),
    )


def first_deadlines(spans: Spans, *, at: int, due_by: int | None, hours: ReadingHours | None = None) -> tuple[int, int]:
    """Return by when an alert that the team has since `at` is to be taken, and closed.

    Args:
        spans: of its priority.
        at: ms UTC.
        due_by: by when its protocol wants somebody to look, None when it does not say.
        hours: when the team reads its alerts, None around the clock.
    """
    ack = after(at, spans.ack, hours)
    if due_by is not None:
        ack = max(due_by, after(at, LEAST_TIME, hours))
        if not open_at(ack, hours):
            ack = after(ack, LEAST_TIME, hours)
    return ack, after(ack, spans.act, hours)


def set_deadlines(connection: Sql, alerts: Sequence[str], *, at: int) -> None:
    """Set the deadlines of those of some alerts that are told and have none."""
    spans: dict[int, Mapping[int, Spans]] = {}
    hours: dict[int, ReadingHours | None] = {}
    for some in parts(alerts):
        found = connection.execute(
            "SELECT id, team_id, CASE WHEN category = 'technical' THEN 4 ELSE prio END, due_by FROM alert"  # noqa: S608
            f" WHERE id IN {among(some)} AND ack_due IS NULL AND told_at IS NOT NULL AND state < 2",
            some,
        ).fetchall()
        for team in {row[1] for row in found} - spans.keys():
            spans[team], hours[team] = spans_of(connection, team), hours_of(connection, team)
        connection.executemany(
            "UPDATE alert SET ack_due = ?, act_due = ? WHERE id = ?",
            [
                (*first_deadlines(spans[team][priority], at=at, due_by=due_by, hours=hours[team]), alert)
                for alert, team, priority, due_by in found
            ],
        )
