"""Team databases of earlier versions, kept as SQL: each opens with all that it holds, and this version has one."""

import sqlite3
from pathlib import Path

import pytest

from coordination.schema_steps import VERSION
from coordination.sqlite_file import connect
from tests.coordination.keep_database import KEPT

GIVEN_UP = {"observation_key": ("box_id", "epoch", "seq")}
"""Tables that a later step dropped: each row of them is a number that received_range has."""
ALL = sorted(KEPT.parent.glob("kept_version_*.sql"))


def test_this_version_has_a_kept_database() -> None:
    assert KEPT in ALL, "a step was added: run 'python -m tests.coordination.keep_database' and commit the file"


def _tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
    return {
        name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        for name in names
        if not name.startswith("sqlite_")
    }


def _rows(connection: sqlite3.Connection, tables: dict[str, list[str]]) -> dict[str, list[tuple[object, ...]]]:
    return {
        name: sorted(
            connection.execute("SELECT {} FROM {}".format(", ".join(f'"{one}"' for one in columns), name)), key=repr
        )
        for name, columns in tables.items()
    }


@pytest.mark.parametrize("kept", ALL, ids=lambda path: path.stem)
def test_a_kept_database_opens_with_all_that_it_holds(kept: Path, tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    old = sqlite3.connect(path)
    old.executescript(kept.read_text(encoding="utf-8"))
    tables = _tables(old)
    given_up = {name: tables.pop(name) for name in GIVEN_UP if name in tables}
    numbers = _rows(old, given_up)
    before = _rows(old, tables)
    old.close()
    connection = connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    shown = _tables(connection)
    assert [name for name in tables if name not in shown] == []
    for name, known in numbers.items():
        assert tuple(given_up[name]) == GIVEN_UP[name]
        assert known
        came = "SELECT 1 FROM received_range WHERE (box_id, epoch) = (?, ?) AND ? BETWEEN first AND last"
        assert all(connection.execute(came, number).fetchone() for number in known)
    # A step may add columns and fill them; what was there stays as it was.
    still = {name: [one for one in columns if one in shown[name]] for name, columns in tables.items()}
    assert still == tables
    assert _rows(connection, tables) == before
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    fresh = connect(tmp_path / "fresh.db")
    assert {name: sorted(columns) for name, columns in shown.items()} == {
        name: sorted(columns) for name, columns in _tables(fresh).items()
    }
    fresh.close()
    connection.close()
