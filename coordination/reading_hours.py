"""When a team reads its alerts, so that a deadline counts the time in which somebody could have kept it.

An alert of Saturday night, of a team that reads from Monday to Friday, is not overdue on Monday at eight. Hours are
local ones of the team's own zone; a day whose clock is changed is as long as it is. A team without hours reads around
the clock.

What a patient is told at once, at home, is the box's and waits for no hours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from coordination.sql import Sql

MINUTE = 60_000
DAY_MINUTES = 24 * 60
SHORTEST = 60
"""Minutes that a day's hours have at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingHours:
    """Hours of some days of the week.

    Attributes:
        zone: IANA time zone.
        days: 0 Monday to 6 Sunday; at least one.
        opens: minutes from local midnight, included.
        closes: likewise, not included; later than `opens` by an hour at least.
    """

    zone: str
    days: frozenset[int]
    opens: int
    closes: int


def after(at: int, span: int, hours: ReadingHours | None) -> int:
    """Return when `span` ms of reading hours have gone by since `at` (ms UTC)."""
    if hours is None:
        return at + span
    left, openings = span, _openings(at, hours)
    while True:
        begin, end = next(openings)
        start = max(begin, at)
        if left <= end - start:
            return start + left
        left -= end - start


def open_at(at: int, hours: ReadingHours | None) -> bool:
    """Return whether alerts are read at `at` (ms UTC)."""
    if hours is None:
        return True
    begin, _ = next(_openings(at, hours))
    return begin <= at


def _openings(at: int, hours: ReadingHours) -> Iterator[tuple[int, int]]:
    """Yield from when to when alerts are read, ms UTC, each that ends after `at`."""
    zone = ZoneInfo(hours.zone)
    day = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).date()
    while True:
        if day.weekday() in hours.days:
            begin, end = (_moment(day, minute, zone) for minute in (hours.opens, hours.closes))
            if end > max(at, begin):
                yield begin, end
        day += timedelta(days=1)


def _moment(day: date, minute: int, zone: ZoneInfo) -> int:
    whole, left = divmod(minute, DAY_MINUTES)
    day += timedelta(days=whole)
    local = datetime(day.year, day.month, day.day, left // 60, left % 60, tzinfo=zone)
    return round(local.timestamp() * 1000)


def hours_of(connection: Sql, team: int) -> ReadingHours | None:
    """Return a team's hours, None when it reads around the clock."""
    row = connection.execute("SELECT zone, days, opens, closes FROM team_hours WHERE team_id = ?", (team,)).fetchone()
    if row is None:
        return None
    return ReadingHours(zone=row[0], days=frozenset(map(int, row[1])), opens=row[2], closes=row[3])


def keep_hours(connection: Sql, team: int, hours: ReadingHours | None) -> None:
    """Keep a team's hours; they hold for the deadlines that are set from now on."""
    connection.execute("DELETE FROM team_hours WHERE team_id = ?", (team,))
    if hours is not None:
        days = "".join(map(str, sorted(hours.days)))
        connection.execute(
            "INSERT INTO team_hours (team_id, zone, days, opens, closes) VALUES (?, ?, ?, ?, ?)",
            (team, hours.zone, days, hours.opens, hours.closes),
        )
