"""What each commit put into the write-ahead log of a database: how many pages, and of which trees.

The log is read from beside while the database is open; nothing in the program takes part. Only what was written since
the log was last begun anew is seen. Format: https://sqlite.org/fileformat2.html#walformat; which tree a page belongs to
is asked of `dbstat`, which not every SQLite has, and is that of the moment of asking.
"""

import sqlite3
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

HEADER = 32
FRAME_HEADER = 24
SCHEMA = "sqlite_schema"
FREED = "free"
"""Pages that belong to no tree, or no longer."""

Commit = tuple[int, ...]
"""The numbers of the pages that one commit wrote, in order."""


def commits(database: Path) -> list[Commit]:
    """Return what is in the log of a database, oldest first; none where there is no log."""
    log = database.with_name(f"{database.name}-wal")
    data = log.read_bytes() if log.exists() else b""
    if len(data) < HEADER:
        return []
    page, salts = int.from_bytes(data[8:12], "big"), data[16:24]
    found: list[Commit] = []
    pages: list[int] = []
    for at in range(HEADER, len(data) - page - FRAME_HEADER + 1, FRAME_HEADER + page):
        number, size = struct.unpack_from(">II", data, at)
        if data[at + 8 : at + 16] != salts:
            # What it held before it was begun anew.
            break
        pages.append(number)
        if size:
            found.append(tuple(pages))
            pages = []
    return found


def trees(database: Path) -> dict[int, str]:
    """Return which table or index each page is of; nothing where SQLite cannot tell."""
    connection = sqlite3.connect(database)
    try:
        return dict(connection.execute("select pageno, name from dbstat"))
    except sqlite3.OperationalError:
        return {}
    finally:
        connection.close()


def shares(found: Sequence[Commit], of: dict[int, str], *, steps: int) -> dict[str, float]:
    """Return how many pages of each tree a step wrote, most first, those of less than a twentieth left out."""
    counted = Counter(of.get(page, FREED) for commit in found for page in commit)
    parts = {name: round(number / steps, 2) for name, number in counted.most_common()}
    return {name: part for name, part in parts.items() if part >= 0.05}
