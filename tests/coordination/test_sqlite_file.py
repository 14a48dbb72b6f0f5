import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from alerting.alert import Audience
from coordination.errors import DatabaseBusyError, DatabaseUnusableError
from coordination.schema_steps import VERSION
from coordination.sqlite_file import connect, connect_to_read
from coordination.team_database import transaction
from coordination.view import View
from tests.coordination.kit import BOX, PATIENT, START, Team, glucose

KEPT = Path(__file__).parent / "kept_version_1.sql"
"""A database as the first version left it, written by `sqlite3 desk.db .dump` after a few records were stored."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


def test_a_new_database_is_private_and_keeps_what_it_says_it_wrote(path: Path) -> None:
    connection = connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name
    connection.close()
    path.chmod(0o644)
    connect(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("opener", [connect, connect_to_read])
def test_a_database_from_a_newer_version_is_refused_unchanged(
    path: Path, opener: Callable[[Path], sqlite3.Connection]
) -> None:
    connection = connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusableError) as caught:
        opener(path)
    assert "newer version" in caught.value.why.en
    assert "plus récente" in caught.value.why.fr
    assert "nothing was changed" in caught.value.hint.en
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_unchanged(path: Path) -> None:
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE notes (text)")
    foreign.close()
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusableError, match="not a Veilleur team database"):
        connect(path)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_no_database_is_refused_unchanged(path: Path) -> None:
    path.write_bytes(b"patient,time,quantity\n" * 100)
    before = path.read_bytes()
    for opener in (connect, connect_to_read):
        with pytest.raises(DatabaseUnusableError, match="not a Veilleur team database"):
            opener(path)
    assert path.read_bytes() == before


def test_a_missing_database_is_not_made_by_looking(path: Path) -> None:
    with pytest.raises(DatabaseUnusableError, match="does not exist"):
        connect_to_read(path)
    assert not path.exists()


def test_a_folder_that_is_missing_is_said(path: Path) -> None:
    with pytest.raises(DatabaseUnusableError, match="Check that the folder exists"):
        connect(path.parent / "nowhere" / "desk.db")


def test_a_transaction_keeps_all_or_nothing(path: Path) -> None:
    connection = connect(path)
    add = "INSERT INTO box (name) VALUES ('box-0001')"
    with pytest.raises(DatabaseUnusableError, match="UNIQUE"), transaction(connection):
        [connection.execute(add) for _ in range(2)]
    assert connection.execute("SELECT count(*) FROM box").fetchone() == (0,)
    connection.close()


def test_a_full_disk_is_worth_trying_again_and_nothing_is_kept(team: Team) -> None:
    database = team.open_database()
    pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
    database._connection.execute(f"PRAGMA max_page_count = {pages}")
    full = team.opened(0, [glucose(number) for number in range(200)])
    with pytest.raises(DatabaseBusyError, match="disk"):
        team.store(database, full)
    database._connection.execute("PRAGMA max_page_count = 100000")
    team.store(database, full)
    assert database._connection.execute("SELECT count(*) FROM observation").fetchone() == (200,)
    database.close()


def test_a_kept_database_of_version_1_opens_and_goes_on(team: Team) -> None:
    kept = sqlite3.connect(team.database)
    kept.executescript(KEPT.read_text(encoding="utf-8"))
    kept.close()
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0), glucose(1), glucose(2), glucose(3)]))
    database.close()
    view = View(team.database)
    assert [(reading.patient, reading.box, reading.seq) for reading in view.readings()] == [
        (PATIENT, BOX, 0),
        (PATIENT, BOX, 1),
        (PATIENT, BOX, 3),
    ]
    (alert,) = view.alerts(standing=True)
    assert (alert.patient, alert.rule, alert.raised_at) == (PATIENT, "hypo_level_1", START + 900_000)
    # What this version keeps besides is what that one said: told when raised, for the nurse, in these words.
    assert (alert.told_at, alert.audience, alert.due_by) == (START + 900_000, Audience.NURSE, None)
    assert (alert.said.why.fr, alert.said.suppressed) == ("Hypoglycémie (raised)", None)
    view.close()
