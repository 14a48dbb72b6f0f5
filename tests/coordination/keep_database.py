"""Keeps a team's database as this version of its schema leaves it, for every later program to take up.

    python -m tests.coordination.keep_database

writes `kept_version_N.sql`, unless it is there: once for each release, when its last step is decided.
"""

import sqlite3
import tempfile
from pathlib import Path

from alerting.alert import ChangeKind
from coordination.schema_steps import VERSION
from coordination.sqlite_file import APPLICATION
from tests.coordination.kit import OTHER_PATIENT, Team, gap, glucose, hypo

KEPT = Path(__file__).parent / f"kept_version_{VERSION}.sql"


def make() -> str:
    """Return the database as SQL."""
    with tempfile.TemporaryDirectory() as folder:
        team = Team(Path(folder))
        database = team.open_database()
        team.store(database, team.opened(0, [glucose(0), glucose(1)]))
        team.store(database, team.opened(3, [hypo(ChangeKind.RAISED), glucose(3, patient=OTHER_PATIENT)]))
        team.store(database, team.opened(9, [gap((5, 8))]))
        database.close()
        connection = sqlite3.connect(team.database)
        dump = "\n".join(connection.iterdump())
        connection.close()
    head = f"-- A team database as version {VERSION} left it. Made here: readings and one alert of invented patients.\n"
    return f"{head}PRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {VERSION};\n{dump}\n"


def main() -> None:
    if KEPT.exists():
        print(f"{KEPT} is there.")
        return
    KEPT.write_text(make(), encoding="utf-8")
    print(f"{KEPT} is written: commit it.")


if __name__ == "__main__":
    main()
