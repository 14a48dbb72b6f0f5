"""Observations by month, which PostgreSQL alone has: what needs one is run by test_on_postgresql."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from coordination.postgresql_months import AHEAD, BACK, OTHER, make_months, months
from coordination.sql import Sql
from coordination.sql_database import SqlDatabase
from coordination.team_database import transaction
from tests.coordination.kit import MINUTE, POSTGRESQL, START, Team, glucose

on_postgresql = pytest.mark.skipif(
    POSTGRESQL not in os.environ, reason="run on PostgreSQL by test_on_postgresql, which starts one"
)
DAY_MS = 86_400_000


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def database(team: Team) -> Iterator[SqlDatabase]:
    database = team.open_database()
    yield database
    database.close()


def where(connection: Sql) -> dict[str, int]:
    """How many observations each table holds."""
    rows = connection.execute("SELECT tableoid::regclass::text, count(*) FROM observation GROUP BY 1")
    return {str(name): int(count) for name, count in rows}


@on_postgresql
def test_each_month_has_a_table_and_wrong_times_have_theirs(team: Team, database: SqlDatabase) -> None:
    connection = database._connection
    with transaction(connection):
        make_months(connection, START)
    at = (START, START + 20 * DAY_MS, START + 900 * DAY_MS, START + 9000 * DAY_MS)
    records = [glucose(0, measured_at=when, key=str(when)) for when in at]
    team.store(database, team.opened(0, records))
    assert where(connection) == {"observation_2025_11": 1, "observation_2025_12": 1, OTHER: 2}


@on_postgresql
def test_a_month_that_is_made_late_takes_what_came_before_it(team: Team, database: SqlDatabase) -> None:
    connection = database._connection
    later = int(datetime(2031, 5, 12, tzinfo=UTC).timestamp()) * 1000
    records = [glucose(number, measured_at=later + number * MINUTE, key=str(number)) for number in range(3)]
    team.store(database, team.opened(0, records))
    name = next(name for name, since, until in months(later) if since <= later < until)
    assert where(connection) == {OTHER: 3}
    with transaction(connection):
        make_months(connection, later)
        make_months(connection, later)
    assert where(connection) == {name: 3}


def test_months_follow_each_other_without_a_gap() -> None:
    found = list(months(START))
    assert len(found) == BACK + 1 + AHEAD
    assert all(before[2] == after[1] for before, after in pairwise(found))
    assert any(since <= START < until for _, since, until in found)
