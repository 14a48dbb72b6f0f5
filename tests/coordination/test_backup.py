"""A copy of the team's database, taken while it is written, and put back; on PostgreSQL by its own programs."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from coordination.backup import BackupError, back_up, restore
from coordination.cli import main
from coordination.errors import CoordinationError
from coordination.place import Place
from coordination.sql_database import SqlDatabase
from coordination.team_database import connect_to_read
from simulators.package import library_folders, with_libraries
from simulators.postgres import programs
from tests.coordination.kit import POSTGRESQL, Team, glucose, is_file, used_database

on_sqlite = pytest.mark.skipif(POSTGRESQL in os.environ, reason="of the file; PostgreSQL makes its own copies")


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def database(team: Team) -> Iterator[SqlDatabase]:
    database = team.open_database()
    yield database
    database.close()


@pytest.fixture(autouse=True)
def _its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the programs be found that the server under test came with."""
    if POSTGRESQL in os.environ:
        folder = programs()
        environment = (
            with_libraries(library_folders(folder.parents[4])) if not folder.is_relative_to("/usr/lib") else {}
        )
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def elsewhere(team: Team) -> Place:
    """A place where no database is yet."""
    server = os.environ.get(POSTGRESQL)
    return team.folder / "restored.db" if server is None else used_database(server)


def counts(place: Place) -> int:
    connection = connect_to_read(place)
    try:
        return int(connection.execute("SELECT count(*) FROM observation").fetchone()[0])
    finally:
        connection.close()


def test_a_copy_that_is_put_back_has_all_that_was_receipted_and_the_inbox_goes_on(
    team: Team, database: SqlDatabase
) -> None:
    team.store(database, team.opened(0, [glucose(number) for number in range(50)]))
    copy, place = team.folder / "copy", elsewhere(team)
    back_up(team.database, copy)
    team.store(database, team.opened(50, [glucose(50)]))
    restore(copy, place)
    assert counts(place) == 50
    again = SqlDatabase(place)
    try:
        receipt = team.store(again, team.opened(40, [glucose(number) for number in range(40, 60)]))
        assert team.read_receipt(receipt[0]).epochs[0].high == 59
    finally:
        again.close()
    assert counts(place) == 60


def test_a_copy_is_whole_though_the_inbox_writes_meanwhile(team: Team, database: SqlDatabase) -> None:
    team.store(database, team.opened(0, [glucose(0)]))
    stored, enough = [1], threading.Event()

    def write() -> None:
        own = SqlDatabase(team.database)
        try:
            while not enough.is_set():
                team.store(own, team.opened(stored[0], [glucose(stored[0])]))
                stored[0] += 1
        finally:
            own.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        before = counts(team.database)
        back_up(team.database, team.folder / "copy")
    finally:
        enough.set()
        writer.join()
    place = elsewhere(team)
    restore(team.folder / "copy", place)
    connection = connect_to_read(place)
    try:
        ((first, last),) = connection.execute("SELECT first, last FROM received_range").fetchall()
    finally:
        connection.close()
    # What it says that it received is there, to the last.
    assert first == 0
    assert before <= counts(place) == last + 1 <= stored[0]


def test_nothing_is_overwritten(team: Team, database: SqlDatabase) -> None:
    copy = team.folder / "copy"
    back_up(team.database, copy)
    before = copy.read_bytes()
    with pytest.raises(BackupError):
        back_up(team.database, copy)
    assert copy.read_bytes() == before
    with pytest.raises(BackupError):
        restore(copy, team.database)
    team.store(database, team.opened(0, [glucose(0)]))
    assert counts(team.database) == 1


def test_a_copy_is_its_owners_alone(team: Team, database: SqlDatabase) -> None:
    del database
    back_up(team.database, team.folder / "copy")
    assert stat.S_IMODE((team.folder / "copy").stat().st_mode) == 0o600
    assert not list(team.folder.glob(".copy*"))


@on_sqlite
def test_a_damaged_copy_is_refused(team: Team, database: SqlDatabase) -> None:
    team.store(database, team.opened(0, [glucose(number) for number in range(400)]))
    copy = team.folder / "copy"
    back_up(team.database, copy)
    damaged = bytearray(copy.read_bytes())
    for at in range(8192, len(damaged) - 4096, 4096):
        damaged[at : at + 64] = os.urandom(64)
    copy.write_bytes(damaged)
    with pytest.raises(CoordinationError):
        restore(copy, team.folder / "restored.db")
    assert not (team.folder / "restored.db").exists()


def test_the_commands_say_where_and_refuse_in_a_sentence(team: Team, database: SqlDatabase) -> None:
    del database
    config, copy = team.write_settings(), team.folder / "copy"
    made = CliRunner().invoke(main, ["backup", "--config", str(config), str(copy)])
    assert made.exit_code == 0, made.output
    assert str(copy) in made.output
    refused = CliRunner().invoke(main, ["restore", "--config", str(config), str(copy)])
    assert refused.exit_code == 2
    assert "rien n'a été modifié" in refused.output
    assert "nothing was changed" in refused.output
    missing = CliRunner().invoke(main, ["restore", "--config", str(config), str(team.folder / "none")])
    assert missing.exit_code == 2


def test_no_password_is_shown_to_who_lists_processes(
    team: Team, database: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    del database
    if is_file(team.database):
        pytest.skip("a file has no password")
    seen: list[str] = []
    import subprocess  # noqa: PLC0415

    real = subprocess.run

    def run(command: list[str], **more: object) -> object:
        seen.extend(command)
        return real(command, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", run)
    back_up(team.database, team.folder / "copy")
    password = cast("str", team.database).partition("//")[2].partition("@")[0].partition(":")[2]
    assert password
    assert not any(password in word for word in seen)
