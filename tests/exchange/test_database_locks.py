"""A process that opens a database of either side a second time keeps the locks of its first connection."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.database import connect as of_box
from coordination.sqlite_file import connect as of_team

_COMES_AND_GOES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM proof").fetchone()
connection.close()
"""


@pytest.mark.parametrize("connect", [of_box, of_team], ids=["box", "team"])
def test_a_second_connection_leaves_the_locks_of_the_first(
    tmp_path: Path, connect: Callable[[Path], sqlite3.Connection]
) -> None:
    path = tmp_path / "kept.db"
    held = connect(path)
    held.execute("CREATE TABLE proof (name TEXT)")
    held.execute("INSERT INTO proof (name) VALUES ('before')")
    connect(path).close()
    # Another process that is alone with a database moves the log into it and removes the log, as it closes.
    subprocess.run([sys.executable, "-c", _COMES_AND_GOES, str(path)], check=True)
    assert path.with_name("kept.db-wal").exists()
    held.execute("INSERT INTO proof (name) VALUES ('after')")
    held.close()
    again = connect(path)
    assert [name for (name,) in again.execute("SELECT name FROM proof")] == ["before", "after"]
    assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again.close()
