"""A version that was tried and is taken back leaves a database that the one before goes on with, whole."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlite_utils.db import Database

from agent.database import connect, connect_reading, keeps_the_way_back
from agent.errors import StoreError
from agent.migrations import migrations
from agent.store import Store
from agent.way_back import OPENS_FROM, steps
from exchange.messages import ObservationRecord
from tests.agent.additive import faults
from tests.agent.kit import PATIENT, START, Desk, arrivals, glucose, open_store


class Step(Protocol):
    __name__: str

    def __call__(self, db: Database, /) -> None: ...


def adds_room(db: Database) -> None:
    """A step that the program before can live with."""
    db.execute("create table told_apart (id integer primary key, body blob not null)")
    db.execute("alter table reading add column weight integer not null default 0")


def adds_more(db: Database) -> None:
    """Another one."""
    db.execute("create index reading_weight on reading(weight)")


def renames(db: Database) -> None:
    """A step that it cannot live with."""
    db.execute("alter table reading rename column state to fate")


@contextmanager
def program(*others: Step, opens_from: str = OPENS_FROM) -> Iterator[None]:
    """Be a later program, with more steps, as long as the block lasts."""
    ours = list(migrations._migrations)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent.way_back.OPENS_FROM", opens_from)
        for number, step in enumerate(others, 9990):
            migrations(name=f"{number}_later")(step)
        try:
            yield
        finally:
            migrations._migrations[:] = ours


def readings(store: Store) -> list[str]:
    return [str(int(item.reading.value)) for item in store.history(PATIENT, since=0, until_row=2**40)]


# --- the steps --------------------------------------------------------------------------------------------------


def form(until: str) -> sqlite3.Connection:
    database = Database(memory=True)
    after = [name for name in steps() if name > until]
    migrations.apply(database, stop_before=after or None)
    return database.conn


def test_every_step_after_the_one_that_is_named_is_one_that_its_program_can_live_with() -> None:
    assert OPENS_FROM in steps()
    assert faults(form(OPENS_FROM), form(steps()[-1])) == [], (
        "a step was added that no earlier program can live with: make it additive, or put OPENS_FROM forward"
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("alter table reading drop column state", "reading.state is gone or another"),
        ("alter table reading rename to measured", "reading.digest is gone or another"),
        ("alter table alert add column due integer not null default 0", None),
        ("create unique index one on outbox(last)", "one refuses or changes what is written to outbox"),
        ("create index one on outbox(last)", None),
        (
            "create trigger one before insert on outbox begin select raise(abort, ''); end",
            "one refuses or changes what is written to outbox",
        ),
        ("create table more (stream integer references stream(id))", "more keeps rows of stream from being deleted"),
        ("create table more (stream integer references stream(id) on delete cascade)", None),
        ("drop table memo", "memo.digest is gone or another"),
    ],
)
def test_what_an_earlier_program_cannot_live_with_is_found(change: str, fault: str | None) -> None:
    before, after = form(steps()[-1]), form(steps()[-1])
    if "drop column" in change:
        after.execute("drop index if exists reading_state")
    after.execute(change)
    found = faults(before, after)
    assert found == [] if fault is None else fault in found


# --- who may open what --------------------------------------------------------------------------------------------


def test_the_program_before_goes_on_with_all_that_the_later_one_kept(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"
    store = open_store(path)
    store.accept(arrivals(glucose("101", 0)), desk.sealer, now_ms=START)
    store.close()
    with program(adds_room):
        assert keeps_the_way_back(path)
        store = open_store(path)
        store.accept(arrivals(glucose("102", 5)), desk.sealer, now_ms=START)
        told = store.backlog()
        store.close()
    store = open_store(path)
    assert readings(store) == ["101", "102"]
    assert store.backlog() == told
    # Known by its digest: handed over again, it is no other reading.
    store.accept(arrivals(glucose("102", 5), glucose("103", 10)), desk.sealer, now_ms=START)
    assert readings(store) == ["101", "102", "103"]
    sent = [item for item in desk.waiting(store) if isinstance(item, ObservationRecord)]
    assert len(sent) == 3
    store.close()
    connect_reading(path).close()
    # And the later one again, after that.
    with program(adds_room):
        store = open_store(path)
        assert readings(store) == ["101", "102", "103"]
        store.close()


def test_a_database_that_says_nothing_of_earlier_programs_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    open_store(path).close()
    with program(renames, opens_from="9990_later"):
        assert not keeps_the_way_back(path)
        open_store(path).close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version of Veilleur \\(step 9990_later\\)"):
        open_store(path)
    with pytest.raises(StoreError, match="newer version"):
        connect_reading(path)
    assert not keeps_the_way_back(path)
    assert path.read_bytes() == before


def test_the_way_back_is_to_the_program_that_ran_last_and_not_to_the_newest_step(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    open_store(path).close()
    with program(adds_room):
        open_store(path).close()
    open_store(path).close()  # taken back
    with program(adds_room, adds_more, opens_from="9990_later"):
        assert not keeps_the_way_back(path), "its step is there, but the program that would go on does not know it"
    with program(adds_room):
        open_store(path).close()
    with program(adds_room, adds_more, opens_from="9990_later"):
        assert keeps_the_way_back(path)


def test_a_start_writes_nothing_of_it_when_nothing_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    open_store(path).close()
    connection = connect(path)
    before = connection.total_changes
    connection.close()
    assert before == 0


# --- killed at any moment -----------------------------------------------------------------------------------------


def test_a_version_killed_at_any_statement_leaves_a_database_that_the_one_before_goes_on_with(
    tmp_path: Path, desk: Desk
) -> None:
    whole, at = tmp_path / "whole.db", 0
    store = open_store(whole)
    store.accept(arrivals(glucose("101", 0)), desk.sealer, now_ms=START)
    store.close()
    while True:
        at += 1
        path = tmp_path / f"{at}.db"
        shutil.copy(whole, path)
        kept, ended = killed_at(at, path, desk)
        store = open_store(path)
        assert readings(store)[: 1 + kept] == ["101", "102"][: 1 + kept], at
        store.accept(arrivals(glucose("104", 15)), desk.sealer, now_ms=START)
        numbers = [
            number
            for first, last in store._connection.execute("select first, last from outbox order by first")
            for number in range(first, last + 1)
        ]
        assert numbers == list(range(len(numbers))), "without a hole, none twice"
        store.close()
        if ended:
            break
    assert at > 40


def killed_at(at: int, path: Path, desk: Desk) -> tuple[int, bool]:
    """Let a later program open the database and keep a reading, killed at its `at`th statement.

    Returns:
        How many readings it had said were kept, and whether it came to its end.
    """
    seen, says = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with program(adds_room, adds_more), pytest.MonkeyPatch.context() as patch:
                patch.setattr(sqlite3, "connect", dying(at))
                store = open_store(path)
                store.accept(arrivals(glucose("102", 5)), desk.sealer, now_ms=START)
                os.write(says, b"k")
                store.close()
        finally:
            os._exit(0)
    os.close(says)
    with os.fdopen(seen, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGKILL
    return len(said), os.WIFEXITED(status)


def dying(at: int) -> Callable[..., sqlite3.Connection]:
    """Make connections that kill their process before the `at`th statement."""
    count = 0
    real: Callable[..., sqlite3.Connection] = sqlite3.connect

    def beat(_: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def open_it(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = real(*arguments, **named)
        if arguments and str(arguments[0]).endswith(".db"):
            connection.set_trace_callback(beat)
        return connection

    return open_it
