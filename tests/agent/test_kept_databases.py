"""Databases of earlier programs: each is taken up with all that it holds, and the newest step has one."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.sealed_tables import SEALED
from agent.store import Store
from agent.vault import Vault
from exchange.messages import lineage
from tests.agent.keep_database import FOLDER, kept
from tests.agent.kit import BOX, OXIMETER, Desk, arrivals, glucose, open_store

KEPT = sorted(FOLDER.glob("step_*.db"))


def test_the_newest_step_has_a_kept_database() -> None:
    assert kept() in KEPT, "a step was added: run 'python -m tests.agent.keep_database' and commit the file"


def test_there_are_kept_databases_of_earlier_steps() -> None:
    assert {"step_0001.db", "step_0002.db"} <= {path.name for path in KEPT}


def _opened(connection: sqlite3.Connection, vault: Vault) -> dict[str, list[tuple[object, bytes]]]:
    """Every sealed row of the tables that the database has, opened."""
    tables = {name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")}
    return {
        table.name: [(key, vault.open(table.name, row, body)) for key, row, body in table.bodies(connection)]
        for table in SEALED
        if table.name in tables
    }


@pytest.mark.parametrize("old", KEPT, ids=lambda path: path.stem)
def test_a_kept_database_is_taken_up_with_all_that_it_holds(old: Path, tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"
    shutil.copy(old, path)
    before = sqlite3.connect(path)
    vault = Vault(bytes(range(32)), box=BOX)
    for number, wrapped in before.execute("select id, wrapped from data_key").fetchall():
        vault.open_key(number, wrapped)
    sealed = _opened(before, vault)
    columns = "first, last, lane, created, receipted_at, body"
    outbox = before.execute(f"select {columns} from outbox order by first").fetchall()
    streams = before.execute("select id, since, cursor, attempts from stream order by id").fetchall()
    (epoch,) = before.execute("select cast(value as text) from meta where name = 'epoch'").fetchone()
    before.close()

    store = open_store(path)
    after = _opened(store._connection, store._vault)
    assert {name: after[name] for name in sealed} == sealed
    execute = store._connection.execute
    assert execute(f"select {columns} from outbox order by first").fetchall() == outbox
    assert execute("select id, since, cursor, attempts from stream order by id").fetchall() == streams
    assert lineage(store.epoch) == lineage(epoch)
    _goes_on(store, desk, epoch, outbox)
    store.close()


def _goes_on(store: Store, desk: Desk, epoch: str, outbox: list[tuple[object, ...]]) -> None:
    """What it numbered before is known by its epoch; what it knows already is not taken twice; new things are."""
    next_seq, waiting = store.backlog()
    known = store.epochs.find(epoch, next_seq=next_seq)
    assert (known is None) is (not outbox)
    held = [reading for patient in ("patient-7f3a", "patient-21c8") for reading in store.unjudged(patient)]
    streamed = [item.reading for item in held if item.reading.device == OXIMETER]
    again = arrivals(*(item.reading for item in held if item.reading.device != OXIMETER))
    assert store.accept(again, desk.sealer, now_ms=0) == {}
    known_of = store.accept_streamed(arrivals(*streamed, patient="patient-21c8"), {}, desk.sealer, now_ms=0)
    assert [item for items in known_of.values() for item in items] == []
    store.accept(arrivals(glucose("77", 100_000)), desk.sealer, now_ms=0)
    assert store.backlog() == (next_seq + 1, waiting + 1)
