"""The epochs of one database: under which name each sequence number was given, so that none is ever given twice.

- Every opening for writing begins an epoch: whoever opens a database cannot tell whether it is the newest one or a
  copy put back. A copy that goes on gives its numbers under a name that nobody else has, so nothing it keeps is taken
  by the team for something else.
- A name is 32 random hexadecimal digits. The first half stays with the database (`exchange.messages.lineage`), the
  second is drawn at each opening. Within a lineage numbers go on; a new lineage begins with a new database, and once
  the team showed that this one was set back.
- A receipt frees what was numbered under the epoch that it names, and nothing else.

Not here: opening transactions (store), and what is told of a database that was set back (upkeep).
"""

import secrets
import sqlite3
from dataclasses import dataclass

from exchange.messages import Range, lineage

KEPT = 64
"""Past epochs remembered besides those of what the outbox holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch: numbers from `first` (inclusive) to `end` (exclusive)."""

    name: str
    first: int
    end: int

    def within(self, item: Range) -> Range | None:
        """Return the part of a range that this epoch gave, None when it gave none of it."""
        first, last = max(item.first, self.first), min(item.last, self.end - 1)
        return Range(first, last) if first <= last else None


class EpochReader:
    """The epochs of one open database, to read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def current(self) -> str:
        """The epoch that numbers were given under last, "" in a database that gave none yet."""
        row = self._connection.execute("select value from meta where name = 'epoch'").fetchone()
        return "" if row is None else bytes(row[0]).decode()

    def find(self, name: str, *, next_seq: int) -> Epoch | None:
        """Return an epoch of this database; `next_seq` ends the current one. None: it never had it, or forgot it."""
        row = self._connection.execute(
            "select first, (select min(first) from epoch as later where later.first > epoch.first)"
            " from epoch where name = ?",
            (name,),
        ).fetchone()
        if row is None:
            return None
        first, end = row
        return Epoch(name=name, first=first, end=next_seq if end is None else end)

    def of(self, seq: int) -> str | None:
        """Return the epoch under which a number was given, None when that is no longer known."""
        query = "select name from epoch where first <= ? order by first desc limit 1"
        row = self._connection.execute(query, (seq,)).fetchone()
        return None if row is None else str(row[0])

    def knows_lineage(self, name: str) -> bool:
        """Return whether this database had an epoch of the same lineage as this one."""
        query = "select 1 from epoch where substr(name, 1, 16) = ?"
        return self._connection.execute(query, (lineage(name),)).fetchone() is not None


class Epochs(EpochReader):
    """The same, to write; inside a transaction."""

    def begin(self, *, next_seq: int, anew: bool = False) -> str:
        """Begin an epoch whose first number is `next_seq`, of a new lineage if `anew` or if it is the first.

        Returns:
            Its name.
        """
        execute, before = self._connection.execute, self.current
        stem = lineage(before) if before and not anew else secrets.token_hex(8)
        name = stem + secrets.token_hex(8)
        # One that gave no number leaves nothing to remember.
        execute("delete from epoch where first >= ?", (next_seq,))
        execute("insert into epoch(name, first) values (?, ?)", (name, next_seq))
        execute(
            "insert into meta(name, value) values ('epoch', ?) on conflict(name) do update set value = excluded.value",
            (name.encode(),),
        )
        execute(
            "delete from epoch where first < (select first from epoch order by first desc limit 1 offset ?)"
            " and first < (select max(epoch.first) from epoch"
            " where epoch.first <= coalesce((select min(outbox.first) from outbox), ?))",
            (KEPT, next_seq),
        )
        return name
