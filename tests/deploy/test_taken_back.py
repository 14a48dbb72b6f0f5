"""A version on trial that migrates the database and then fails: taken back, with all that it kept."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.upgrade import STARTS, Places, put_on_trial
from agent.upgrade_bundle import Manifest
from tests.agent.box_kit import PATIENCE_S, running, write_settings
from tests.deploy.test_upgrade import TRIAL, Release, current, light, places, release, start

__all__ = ["places", "release"]

PROGRAM = """#!{python}
import sys
from agent.migrations import migrations
{more}
from agent.cli import main
main()
"""
MORE = """
@migrations(name="9990_later")
def later(db):
    db.execute("create table told_apart (id integer primary key, body blob not null)")
    db.execute("alter table reading add column weight integer not null default 0")
"""
NO_WAY_BACK = """
import agent.way_back
agent.way_back.OPENS_FROM = "9990_later"
"""


def write_program(path: Path, more: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PROGRAM.format(python=sys.executable, more=more), encoding="utf-8")
    path.chmod(0o755)


def tried(release: Release, places: Places, more: str) -> None:
    """Put a later version on trial beside the one of this checkout."""

    def build(_: Manifest, __: Path, place: Path) -> None:
        write_program(place / "bin" / "veilleur", more)

    write_program(places.home / "versions" / "1.0-0" / "bin" / "veilleur")
    put_on_trial(release.bundle(1), places, build=build)


def begin(places: Places, config: Path) -> str:
    """What systemd does before a start; return what was said."""
    line = [str(TRIAL), str(places.home), str(places.home / "proven"), str(config)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=True).stderr


def lives(places: Places, config: Path) -> None:
    """Let the current version run until it has entered that it started, then kill it."""
    before = len(acts(config))
    with running(config, program=places.home / "current" / "bin" / "veilleur", output=subprocess.DEVNULL) as (box, _):
        deadline = time.monotonic() + PATIENCE_S
        # Each look opens the database, which takes its time.
        while len(acts(config)) == before and time.monotonic() < deadline:
            pass
        box.kill()
        box.wait(30)
    assert len(acts(config)) > before


def acts(config: Path) -> list[tuple[int, bytes, bytes]]:
    """The record of acts, which is chained."""
    return rows(config, "select n, hash, body from audit order by n")


def steps(config: Path) -> list[str]:
    return [name for (name,) in rows(config, "select name from _sqlite_migrations order by id")]


def rows(config: Path, query: str) -> list[Any]:
    path = config.parent / "state" / "veilleur.db"
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []  # not made yet
    finally:
        connection.close()


@pytest.mark.process
def test_a_version_that_migrated_and_failed_is_taken_back_and_the_one_before_goes_on_with_all_of_it(
    release: Release, places: Places, tmp_path: Path
) -> None:
    config = write_settings(tmp_path)
    tried(release, places, MORE)
    write_program(places.home / "current" / "bin" / "veilleur")
    lives(places, config)
    before = acts(config)
    assert "9990_later" not in steps(config)
    for _ in range(STARTS):
        begin(places, config)
        assert current(places) == "1.1-1"
        lives(places, config)
    trial = acts(config)
    assert steps(config)[-1] == "9990_later"
    assert trial[: len(before)] == before
    assert "retour à 1.0-0" in begin(places, config)
    assert current(places) == "1.0-0"
    lives(places, config)
    assert acts(config)[: len(trial)] == trial
    assert steps(config)[-1] == "9990_later"


@pytest.mark.process
def test_a_version_from_which_there_is_no_way_back_is_never_started_and_costs_nothing(
    release: Release, places: Places, tmp_path: Path
) -> None:
    config = write_settings(tmp_path)
    tried(release, places, MORE + NO_WAY_BACK)
    lives(places, config)
    database = (tmp_path / "state" / "veilleur.db").read_bytes()
    said = begin(places, config)
    assert "1.1-1 n'est pas essayée, car 1.0-0 ne pourrait pas reprendre" in said
    assert current(places) == "1.0-0"
    assert (tmp_path / "state" / "veilleur.db").read_bytes() == database
    assert not places.trial.exists()
    assert not (places.home / "serial").exists(), "it was not tried: the same file may come again"


def test_a_version_that_cannot_even_answer_is_never_started(release: Release, places: Places) -> None:
    def broken(manifest: Manifest, unpacked: Path, place: Path) -> None:
        light(manifest, unpacked, place)
        (place / "bin" / "veilleur").write_text("#!/nowhere/python\n")

    put_on_trial(release.bundle(1), places, build=broken)
    assert "not tried" in start(places).stderr
    assert current(places) == "1.0-0"
    assert (places.home / "refused").read_text() == "1.1-1\n"


def test_it_is_asked_once_and_not_of_a_version_that_runs(release: Release, places: Places) -> None:
    put_on_trial(release.bundle(1), places, build=light)
    start(places)
    program = places.home / "versions" / "1.1-1" / "bin" / "veilleur"
    program.write_text("#!/bin/sh\nexit 1\n")
    start(places)
    assert current(places) == "1.1-1", "what it would say now, after it has migrated, is not asked"
