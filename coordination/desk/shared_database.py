"""Django's own connection, as the functions beside Django want it: their statements run in its transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from coordination import sqlite_file
from coordination.place import Place
from coordination.sql import Sql
from coordination.team_database import ERRORS, as_error, connect_to_read


@contextmanager
def acting() -> Iterator[Sql]:
    """Run the block as one write transaction, of Django and of whatever is given the connection.

    Raises:
        django.db.Error: nothing was kept.
    """
    with transaction.atomic():
        connection.ensure_connection()
        yield _of(connection.connection)


def place() -> Place:
    """Return where Django's database is, for what opens a connection of its own beside it."""
    chosen = connection.settings_dict
    if connection.vendor == "sqlite":
        return Path(str(chosen["NAME"]))
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    options = {name: str(value) for name, value in chosen.get("OPTIONS", {}).items() if isinstance(value, str)}
    parts = options | {name: str(chosen[key]) for name, key in named.items() if chosen.get(key)}
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - an extra

    return make_conninfo(**parts)


@contextmanager
def reading() -> Iterator[Sql]:
    """Read with the functions beside Django, on a connection of their own.

    Raises:
        CoordinationError: the database cannot be read.
    """
    opened = connect_to_read(place())
    try:
        yield opened
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        opened.close()


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
    yield looking()
