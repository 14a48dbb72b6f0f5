"""Many rows in one go, on either engine.

SQLite runs in this process and takes rows one after the other; to PostgreSQL each statement is a journey, so rows go
by COPY, and those that may be known already as arrays in one statement.

Not here: which rows (observation_rows), and any transaction.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from coordination.sql import Sql, storable

if TYPE_CHECKING:
    from coordination.postgresql import Postgres

Value = int | str | bytes | None
_Item = TypeVar("_Item")
MOST = 500
"""Rows that one statement names."""


def insert(
    connection: Sql,
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[Sequence[Value]],
    *,
    others_words: Collection[str],
) -> None:
    """Insert rows, in their order.

    Args:
        connection: in a transaction.
        table: a name of this program's own, as are the columns.
        columns: of the values, each with its type on PostgreSQL.
        rows: the values of each.
        others_words: the columns whose texts are not this program's own: they may have a NUL.
    """
    if not rows:
        return
    if isinstance(connection, sqlite3.Connection):
        places = ", ".join("?" for _ in columns)
        connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608
        return
    if any(_has_nul(at, rows) for at, name in enumerate(columns) if name in others_words):
        rows = [[cast("Value", storable(value)) for value in row] for row in rows]
    cast("Postgres", connection).copy(table, list(columns), list(columns.values()), rows)


def insert_new(
    connection: Sql, table: str, columns: Sequence[str], rows: Sequence[tuple[int | str, ...]]
) -> set[tuple[int | str, ...]]:
    """Insert the rows that are not known, and return these.

    Args:
        connection: in a transaction.
        table: a name of this program's own, as are the columns.
        columns: the whole of the table's key.
        rows: each once.
    """
    if not rows:
        return set()
    names = ", ".join(columns)
    if isinstance(connection, sqlite3.Connection):
        places = ", ".join("?" for _ in columns)
        statement = f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
        return {row for row in rows if connection.execute(statement, row).rowcount}
    arrays = ", ".join("?::bigint[]" if isinstance(value, int) else "?::text[]" for value in rows[0])
    columned = [_storable(column) for column in zip(*rows, strict=True)]
    found = connection.execute(
        f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING RETURNING {names}",  # noqa: S608
        [_array(column) for column in columned],
    )
    if found.rowcount == len(rows):
        return set(rows)
    # What it keeps of a text without its NUL is found by that.
    kept = dict(zip(zip(*columned, strict=True), rows, strict=True))
    return {kept[tuple(row)] for row in found}


def write(
    connection: Sql, table: str, columns: Sequence[str], rows: Sequence[Sequence[Value]], *, conflict: str = ""
) -> None:
    """Insert some hundreds of rows, in their order.

    Args:
        connection: in a transaction.
        table: a name of this program's own, as are the columns.
        columns: of the values.
        rows: the values of each; no two in conflict with each other unless that changes nothing.
        conflict: what is done with rows in conflict with known ones, as in `ON CONFLICT ...`.
    """
    head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608
    if isinstance(connection, sqlite3.Connection):
        connection.executemany(f"{head}({', '.join('?' * len(columns))}){conflict}", rows)
        return
    for part in parts(rows):
        cast("Postgres", connection).insert(head, part, conflict)


def delete(connection: Sql, table: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
    """Delete the rows whose columns are each of these."""
    for part in parts(rows):
        places, values = marks(part)
        connection.execute(f"DELETE FROM {table} WHERE ({', '.join(columns)}) IN (VALUES {places})", values)  # noqa: S608


def marks(rows: Sequence[Sequence[Value]]) -> tuple[str, list[Value]]:
    """Return places for the values of rows, as after VALUES, and the values; `rows` is not empty."""
    one = f"({', '.join('?' * len(rows[0]))})"
    return ", ".join([one] * len(rows)), [value for row in rows for value in row]


def among(values: Sequence[Value]) -> str:
    """Return the places of some values, as after IN."""
    return f"({', '.join('?' * len(values))})"


def parts(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Yield items in their order, as many at a time as one statement names."""
    for at in range(0, len(items), MOST):
        yield items[at : at + MOST]


def _has_nul(at: int, rows: Sequence[Sequence[Value]]) -> bool:
    """Return whether any text of one column has a NUL; as most have none, all at once."""
    return "\0" in "".join([text for row in rows if (text := cast("str | None", row[at]))])


def _storable(column: Sequence[int | str]) -> Sequence[int | str]:
    if isinstance(column[0], str) and "\0" in "".join(map(str, column)):
        return [str(storable(value)) for value in column]
    return column


def _array(values: Sequence[int | str]) -> str:
    """Return values of one kind as PostgreSQL writes an array."""
    if isinstance(values[0], int):
        return "{" + ",".join(map(str, values)) + "}"
    escaped = [str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(escaped) + '"}'
