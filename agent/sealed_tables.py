"""Which columns of the database the vault seals, and what each seal is bound to.

What must be sealed anew when keys are destroyed (erasure), and which data keys still protect something (wrapped_keys),
is found by this list: a table that is missing here would become unreadable. So every column called `body` is listed or
refused. The outbox is apart: its bodies are sealed to the team.

Not here: what the rows mean.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from agent.errors import StoreError
from alerting.alert import Sentence

PART = 512
"""Rows in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTable:
    """A table whose `body` the vault seals, bound to the table's name and to `row`.

    Attributes:
        name: of the table, and of the seal.
        key: column that orders the rows and finds one again.
        row: column whose value the seal is bound to: a number, or the hexadecimal digits of a digest.
    """

    name: str
    key: str
    row: str

    def bodies(self, connection: sqlite3.Connection) -> Iterator[tuple[object, int | str, bytes]]:
        """Yield (key, row of the seal, sealed body) of every row that has one; rows may be changed meanwhile."""
        after: object = None
        while rows := self.part(connection, after):
            yield from rows
            after = rows[-1][0]

    def part(self, connection: sqlite3.Connection, after: object) -> list[tuple[object, int | str, bytes]]:
        """Return the same of up to `PART` rows after a key, None before the first."""
        rows = connection.execute(
            f"select {self.key}, {self.row}, body from {self.name}"  # noqa: S608 names of this module only
            f" where length(body) > 0 and (?1 is null or {self.key} > ?1) order by {self.key} limit ?2",
            (after, PART),
        )
        return [(key, row.hex() if isinstance(row, bytes) else int(row), body) for key, row, body in rows]

    def put(self, connection: sqlite3.Connection, key: object, body: bytes) -> None:
        """Replace the body of one row."""
        connection.execute(f"update {self.name} set body = ? where {self.key} = ?", (body, key))  # noqa: S608


SEALED = (
    SealedTable(name="reading", key="id", row="digest"),
    SealedTable(name="segment", key="first", row="first"),
    SealedTable(name="stream", key="id", row="id"),
    SealedTable(name="alert", key="digest", row="digest"),
    SealedTable(name="device", key="digest", row="digest"),
    SealedTable(name="device_facts", key="digest", row="digest"),
    SealedTable(name="shadow", key="stream", row="stream"),
    SealedTable(name="shadow_alert", key="digest", row="digest"),
    SealedTable(name="command", key="id", row="digest"),
    SealedTable(name="command_series", key="digest", row="digest"),
    SealedTable(name="ordered_protocol", key="digest", row="digest"),
    SealedTable(name="memo", key="digest", row="digest"),
    SealedTable(name="audit", key="n", row="n"),
    SealedTable(name="audit_subject", key="digest", row="digest"),
)

_SEALED_TO_THE_TEAM = frozenset({"outbox"})


def unlisted(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return the tables with a `body` that are not listed here."""
    rows = connection.execute(
        "select m.name from sqlite_schema as m, pragma_table_info(m.name) as c"
        " where m.type = 'table' and c.name = 'body' order by m.name"
    )
    known = {table.name for table in SEALED} | _SEALED_TO_THE_TEAM
    return tuple(name for (name,) in rows if name not in known)


def require_all_listed(connection: sqlite3.Connection) -> None:
    """Refuse to destroy keys while it is not known what they protect.

    Raises:
        StoreError: a table is missing here.
    """
    if missing := unlisted(connection):
        names = ", ".join(missing)
        raise StoreError(
            Sentence(
                fr=f"La base a des données dont les clés ne peuvent pas être changées ({names}).",
                en=f"The database has data whose keys cannot be changed ({names}).",
            ),
            Sentence(
                fr="Rien n'a été changé ; installer la version de Veilleur qui a écrit la base.",
                en="Nothing was changed; install the version of Veilleur that wrote the database.",
            ),
        )
