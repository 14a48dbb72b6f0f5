"""Django's own connection, as the functions beside Django want it: their statements run in its transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from coordination import sqlite_file
from coordination.sql import Sql


@contextmanager
def acting() -> Iterator[Sql]:
    """Run the block as one write transaction, of Django and of whatever is given the connection.

    Raises:
        django.db.Error: nothing was kept.
    """
    with transaction.atomic():
        connection.ensure_connection()
        yield _of(connection.connection)


def looking() -> Sql:
    """Return the connection for reading, outside any transaction."""
    connection.ensure_connection()
    raw = connection.connection
    if isinstance(raw, sqlite3.Connection):
        return sqlite_file.learn(raw)
    from coordination.postgresql import Postgres  # noqa: PLC0415 - an extra

    return Postgres(raw)


def _of(raw: Any) -> Sql:
    if isinstance(raw, sqlite3.Connection):
        return sqlite_file.learn(raw)
    from coordination.postgresql import WRITER, Postgres  # noqa: PLC0415 - an extra

    opened = Postgres(raw)
    # Who acts takes a turn with the workers of the inbox, so that both see what the other has done.
    opened.execute("SELECT pg_advisory_xact_lock(?)", (WRITER,))
    return opened


@contextmanager
def outside() -> Iterator[Sql]:
    """Run the block on the same connection without a transaction: for what reads, or cannot run inside one."""
    connection.ensure_connection()
    raw = connection.connection
    if isinstance(raw, sqlite3.Connection):
        yield sqlite_file.learn(raw)
        return
    from coordination.postgresql import Postgres  # noqa: PLC0415 - an extra

    yield Postgres(raw)
