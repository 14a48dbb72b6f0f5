"""What a step of the box's database must not do, if the program before it is to go on with what it leaves."""

import sqlite3
from collections.abc import Sequence

Column = tuple[str, str, int, str | None, int]
"""Name, type, not null, default, place in the primary key."""


def faults(before: sqlite3.Connection, after: sqlite3.Connection) -> list[str]:
    """Return what a program that knows the first schema could not do with the second; both are of empty databases.

    It must find all that it reads, and what it inserts, updates and deletes must be taken.
    """
    found: list[str] = []
    old = _tables(before)
    new = _tables(after)
    for table, columns in old.items():
        kept = {column[0]: column for column in new.get(table, ())}
        found += [f"{table}.{column[0]} is gone or another" for column in columns if kept.get(column[0]) != column]
        added = [kept[name] for name in kept if name not in {column[0] for column in columns}]
        found += [
            f"{table}.{name} must be filled" for name, _, needed, default, _ in added if needed and default is None
        ]
    rules = (
        "select name, sql from sqlite_schema where type in ('index', 'trigger') and tbl_name = ? and sql is not null"
    )
    for table in old:
        known = {name for name, _ in before.execute(rules, (table,))}
        for name, sql in after.execute(rules, (table,)).fetchall():
            if name not in known and not sql.lower().startswith("create index"):
                found.append(f"{name} refuses or changes what is written to {table}")
    for table in new.keys() - old.keys():
        for row in after.execute(f"pragma foreign_key_list({table})").fetchall():
            if row[2] in old and row[6] not in {"CASCADE", "SET NULL"}:
                found.append(f"{table} keeps rows of {row[2]} from being deleted")
    return sorted(found)


def _tables(connection: sqlite3.Connection) -> dict[str, Sequence[Column]]:
    names = connection.execute(
        "select name from sqlite_schema where type = 'table' and name not like 'sqlite!_%' escape '!'"
    ).fetchall()
    return {
        name: [tuple(row[1:6]) for row in connection.execute(f"pragma table_xinfo({name})").fetchall()]
        for (name,) in names
    }
