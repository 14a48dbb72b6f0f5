"""The reader of a database's log: each commit is seen once, with its pages, and what the log held before is not."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import log_pages


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table one(body blob)")
    connection.execute("create table two(n integer primary key, body blob)")
    connection.execute("pragma wal_checkpoint(restart)").fetchall()
    yield connection
    connection.close()


def test_each_commit_is_seen_with_the_pages_that_it_wrote(open_database: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_database.execute("insert into one values (x'01')")
    open_database.execute("begin")
    open_database.execute("insert into one values (x'02')")
    open_database.execute("insert into two values (1, x'03')")
    open_database.execute("commit")
    open_database.execute("begin")
    open_database.execute("insert into two values (2, x'04')")
    open_database.execute("rollback")
    found = log_pages.commits(path)
    trees = log_pages.trees(path)
    assert [sorted(trees[page] for page in commit) for commit in found] == [["one"], ["one", "two"]]
    assert log_pages.shares(found, trees, steps=2) == {"one": 1.0, "two": 0.5}


def test_what_the_log_held_before_it_was_begun_anew_is_not_counted(
    open_database: sqlite3.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"
    for _ in range(5):
        open_database.execute("insert into one values (x'01')")
    assert len(log_pages.commits(path)) == 5
    open_database.execute("pragma wal_checkpoint(restart)").fetchall()
    open_database.execute("insert into one values (x'01')")
    assert len(log_pages.commits(path)) == 1


def test_without_a_log_there_is_no_commit(tmp_path: Path) -> None:
    assert log_pages.commits(tmp_path / "none.db") == []
