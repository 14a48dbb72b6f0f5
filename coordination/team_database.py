"""The team's database, wherever it is: a SQLite file, or PostgreSQL when the team is larger. One set of calls."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alerting.alert import Sentence
from coordination import sqlite_file
from coordination.errors import CoordinationError
from coordination.place import Place
from coordination.sql import Sql

try:
    from psycopg import Error as PostgresError
except ImportError:  # a team on SQLite does not install it

    class PostgresError(Exception):  # type: ignore[no-redef]
        """Raised by nobody."""


ERRORS: tuple[type[Exception], ...] = (sqlite3.Error, PostgresError)
"""What either engine raises."""


def _postgresql() -> Any:  # noqa: ANN401 - a module
    """Return what speaks to PostgreSQL; a team on SQLite does not install it.

    Raises:
        CoordinationError: it is not installed.
    """
    try:
        from coordination import postgresql  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CoordinationError(
            Sentence(
                fr=f"PostgreSQL ne peut pas être utilisé d'ici ({error.name} manque).",
                en=f"PostgreSQL cannot be used from here ({error.name} is missing).",
            ),
            hint=Sentence(fr="pip install 'veilleur[desk]'", en="pip install 'veilleur[desk]'"),
        ) from error
    return postgresql


def connect(place: Place) -> Sql:
    """Open or create the database, in autocommit: `transaction` begins what must hold together.

    Raises:
        DatabaseUnusableError: it needs a person.
        DatabaseBusyError: not at the moment.
    """
    if isinstance(place, Path):
        return sqlite_file.connect(place)
    opened: Sql = _postgresql().connect(place)
    return opened


def connect_to_read(place: Place) -> Sql:
    """Open an existing database for reading.

    Raises:
        DatabaseUnusableError: missing, from another version, not ours or damaged.
        DatabaseBusyError: not at the moment.
    """
    if isinstance(place, Path):
        return sqlite_file.connect_to_read(place)
    opened: Sql = _postgresql().connect_to_read(place)
    return opened


@contextmanager
def transaction(connection: Sql) -> Iterator[None]:
    """Run the block as one write transaction: all of it is on the disk afterwards, or nothing.

    Raises:
        DatabaseBusyError: nothing was kept.
        DatabaseUnusableError: nothing was kept, and trying again will not help.
    """
    try:
        if isinstance(connection, sqlite3.Connection):
            sqlite_file.begin(connection)
        else:
            _postgresql().begin(connection)
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except ERRORS as error:
        raise as_error(error) from error


def prepare(connection: Sql, at: int) -> None:
    """Make room for what will be stored soon after a time (ms UTC); in a transaction. SQLite needs none."""
    if not isinstance(connection, sqlite3.Connection):
        _postgresql().make_months(connection, at)


def as_error(error: Exception) -> CoordinationError:
    """Return what an error of either engine means for the team."""
    if isinstance(error, sqlite3.Error):
        return sqlite_file.as_error(error)
    meant: CoordinationError = _postgresql().as_error(error)
    return meant
