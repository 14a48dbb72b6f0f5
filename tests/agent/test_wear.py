"""What a box writes to its card: by how many pages a commit goes to the log, and that the log is written over.

Pages are counted, never times; bytes on a device are `python -m benchmarks wear`.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.database import LOG_BYTES, LONGEST_LOG_BYTES, PAGE_BYTES, connect
from agent.store import Judgement, Store
from benchmarks import log_pages
from exchange.messages import Range
from tests.agent.kit import PATIENT, START, Desk, arrivals, glucose, open_store, receipt, spo2

ENVELOPE_PAGES = 4
"""So many pages does the envelope of 60 values take at least."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "veilleur.db")
    yield store
    store.close()


def log_of(store: Store) -> Path:
    return store.path.with_name("veilleur.db-wal")


def begin_log_anew(store: Store) -> None:
    """Play the log into the file: the next commit is its first again."""
    connection = sqlite3.connect(store.path)
    connection.execute("pragma wal_checkpoint(restart)").fetchall()
    connection.close()


def pages(store: Store) -> list[int]:
    return [len(commit) for commit in log_pages.commits(store.path)]


def segment(store: Store, desk: Desk, number: int) -> None:
    values = arrivals(*(spo2("97", 60 * number + second) for second in range(60)))
    store.accept_streamed(values, {}, desk.sealer, now_ms=START)


def test_a_receipt_writes_the_head_of_a_row_and_not_its_envelope_again(store: Store, desk: Desk) -> None:
    for number in range(3):
        segment(store, desk, number)
    bodies = [entry.body for entry in store.waiting(limit=9)]
    assert min(len(body) for body in bodies) >= ENVELOPE_PAGES * PAGE_BYTES
    begin_log_anew(store)
    store.receipted(receipt(store, (0, 59)), now_ms=START)
    # The row, and what says that it waits no more and since when.
    assert pages(store) in ([3], [4])
    begin_log_anew(store)
    assert store.resend(store.epoch, [Range(0, 59)], now_ms=START) == []
    # The same, and the act.
    assert pages(store) in ([4], [5], [6])
    assert [entry.body for entry in store.waiting(limit=9)] == bodies


def test_a_receipt_that_comes_again_writes_nothing(store: Store, desk: Desk) -> None:
    store.accept(arrivals(glucose("104", 0)), desk.sealer, now_ms=START)
    store.receipted(receipt(store, (0, 0)), now_ms=START)
    begin_log_anew(store)
    before = log_of(store).read_bytes()
    store.receipted(receipt(store, (0, 0)), now_ms=START + 1000)
    store.may_write()
    assert log_of(store).read_bytes() == before


def test_what_one_reading_writes_stays_in_bounds(store: Store, desk: Desk) -> None:
    for minute in range(200):
        store.accept(arrivals(glucose("104", 5 * minute)), desk.sealer, now_ms=START)
    begin_log_anew(store)
    for minute in range(200, 220):
        store.accept(arrivals(glucose("104", 5 * minute)), desk.sealer, now_ms=START)
    # One commit each; and now and then a page of a tree is full and becomes two.
    assert len(pages(store)) == 20
    assert sum(pages(store)) <= 20 * 13


def test_the_log_is_written_over_and_neither_cut_nor_without_end(store: Store, desk: Desk) -> None:
    judgement = Judgement(patient=PATIENT, cursor=0, snapshot=bytes(100_000))
    sizes = []
    for _ in range(3 * LONGEST_LOG_BYTES // 100_000):
        store.keep_judgement(judgement, desk.sealer, now_ms=START)
        sizes.append(log_of(store).stat().st_size)
    assert sizes == sorted(sizes), "it was cut, and has to be made long again"
    assert LOG_BYTES <= sizes[-1] < LONGEST_LOG_BYTES


def test_a_log_that_one_transaction_made_very_long_is_cut(store: Store) -> None:
    execute = store._connection.execute
    execute("create table large(body blob)")
    execute("insert into large values (zeroblob(?))", (3 * LONGEST_LOG_BYTES,))
    assert log_of(store).stat().st_size > LONGEST_LOG_BYTES
    store.prove()
    assert log_of(store).stat().st_size <= LONGEST_LOG_BYTES


def test_a_new_database_has_small_pages_and_one_that_is_there_keeps_its_own(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    connection = sqlite3.connect(old)
    connection.execute("pragma page_size = 4096")
    connection.execute("create table something(n integer)")
    connection.close()
    for path, size in ((old, 4096), (tmp_path / "new.db", PAGE_BYTES)):
        connection = connect(path)
        assert connection.execute("pragma page_size").fetchone() == (size,)
        # Played into the file after as many bytes, whatever a page is.
        (frames,) = connection.execute("pragma wal_autocheckpoint").fetchone()
        assert frames * size == LOG_BYTES
        connection.close()


def test_an_outbox_of_before_is_taken_over_with_rows_that_keep_their_length(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "veilleur.db")
    for number in range(2):
        segment(store, desk, number)
    store.receipted(receipt(store, (0, 59)), now_ms=START)
    execute = store._connection.execute
    epoch = store.epoch
    rows = execute("select first, last, lane, created, receipted_at, body from outbox order by first").fetchall()
    # As the step before left it.
    execute("create table before as select first, last, lane, created, receipted_at, body from outbox")
    execute("drop table outbox")
    execute("""
        create table outbox (first integer primary key, last integer not null, lane integer not null,
            created integer not null, receipted_at integer, body blob not null)""")
    execute("insert into outbox select * from before")
    execute("drop table before")
    execute("create index outbox_waiting on outbox(lane, first) where receipted_at is null")
    execute("create index outbox_receipted on outbox(receipted_at) where receipted_at is not null")
    execute("delete from _sqlite_migrations where name = '0010_receipts'")
    store.close()
    store = open_store(tmp_path / "veilleur.db")
    execute = store._connection.execute
    again = execute("select first, last, lane, created, receipted_at, body from outbox order by first").fetchall()
    assert again == rows
    assert execute("select length(spare) from outbox order by first").fetchall() == [(0,), (6,)]
    begin_log_anew(store)
    store.receipted(receipt(store, (60, 119), epoch=epoch), now_ms=START)
    assert pages(store) in ([3], [4])
    store.close()
