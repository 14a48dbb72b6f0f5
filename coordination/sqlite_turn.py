"""Taking turns at writing, so that no worker starves beside another that writes without a pause.

SQLite lets one write at a time and does not say who is next: whoever has just finished is the quickest to begin again,
and its own waiting grows to 100 ms between two looks. So whoever waits holds a second lock while it does, on a file
beside the database: who has finished must have that one first, and waits until the other has begun.

The second lock is a courtesy and nothing depends on it: a process that was stopped while it held it is passed by.
"""

import contextlib
import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator

LOOK_S = 0.001
COURTESY_S = 1.0
"""How long the queue is respected that does not move."""


def take_turn(connection: sqlite3.Connection, *, within_s: float) -> None:
    """Begin a write transaction once no other is under way.

    Raises:
        sqlite3.OperationalError: SQLITE_BUSY after `within_s` seconds, or what else beginning may raise.
    """
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    waited = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with _queue(path):
            deadline = time.monotonic() + within_s
            while not _began(connection, last=time.monotonic() >= deadline):
                _look_again()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {waited}")


def _began(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


@contextlib.contextmanager
def _queue(path: str) -> Iterator[None]:
    """Be the one who waits, for as long as the block lasts; or one of several, when nobody moves."""
    try:
        descriptor = os.open(f"{path}-queue", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        # A full disk must not keep anybody from trying to write.
        yield
        return
    try:
        _until(lambda: _locked(descriptor), within_s=COURTESY_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(condition: Callable[[], bool], *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        _look_again()


def _look_again() -> None:
    time.sleep(LOOK_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
