"""A process that opens the team's SQLite file a second time keeps the locks of its first connection."""

import subprocess
import sys
from pathlib import Path

from coordination.sqlite_file import connect

_COMES_AND_GOES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM team").fetchone()
connection.close()
"""


def test_a_second_connection_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    held = connect(path)
    held.execute("INSERT INTO team (name) VALUES ('before')")
    connect(path).close()
    # Another process that is alone with a database moves the log into it and removes the log, as it closes.
    subprocess.run([sys.executable, "-c", _COMES_AND_GOES, str(path)], check=True)
    assert path.with_name("desk.db-wal").exists()
    held.execute("INSERT INTO team (name) VALUES ('after')")
    held.close()
    again = connect(path)
    assert {"before", "after"} <= {name for (name,) in again.execute("SELECT name FROM team")}
    assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again.close()
