"""How many minutes a week a team's alerts take its nurses, against the time that they have for it.

Minutes are defaults of this project, without a published source: to be set with the team. What one alert takes is a
nurse's time from reading it to saying what came of it, a call included where it is usual.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from alerting.alert import Category, Priority
from coordination.sql import Sql

WEEK_MS = 7 * 86_400_000
LOOKED_BACK_MS = 4 * WEEK_MS
MINUTES: Final[Mapping[Priority, int]] = MappingProxyType({Priority.HIGH: 15, Priority.MEDIUM: 10, Priority.LOW: 5})
TECHNICAL_MINUTES = 5
_PRIORITIES = {1: Priority.HIGH, 2: Priority.MEDIUM, 3: Priority.LOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a team was told in a usual week of late: alerts, minutes; and the minutes that its nurses have."""

    alerts: float
    minutes: float
    budget: int


def minutes_of(priority: Priority, category: Category) -> int:
    """Return what one alert takes a nurse."""
    return TECHNICAL_MINUTES if category is Category.TECHNICAL else MINUTES[priority]


def load_of(connection: Sql, team: int, *, budget: int, now: int) -> Load:
    """Return a team's load, the mean of its last four weeks.

    Args:
        connection: of the team's database.
        team: its row.
        budget: minutes a week that its nurses have (the desk's pace).
        now: ms UTC.
    """
    rows = connection.execute(
        "SELECT prio, category, count(*) FROM alert WHERE team_id = ? AND told_at > ? AND told_at <= ?"
        " GROUP BY prio, category",
        (team, now - LOOKED_BACK_MS, now),
    ).fetchall()
    weeks = LOOKED_BACK_MS / WEEK_MS
    return Load(
        alerts=sum(count for _, _, count in rows) / weeks,
        minutes=sum(minutes_of(_PRIORITIES[prio], Category(category)) * count for prio, category, count in rows)
        / weeks,
        budget=budget,
    )
