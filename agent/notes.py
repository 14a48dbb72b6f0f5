"""What the box has noticed of itself and must still tell, kept with what it noticed: a stop in between forgets nothing.

A note is the name of a technical rule (`technical_rules.RULES`). Not here: telling it (upkeep).
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

_TELL: Final = "tell:"


def keep_note(connection: sqlite3.Connection, rule: str) -> None:
    """Keep that this is to be told, inside the transaction of what it tells of."""
    connection.execute("insert or ignore into meta(name, value) values (?, x'')", (_TELL + rule,))


def notes(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return what is to be told."""
    rows = connection.execute("select name from meta where name glob ? order by name", (f"{_TELL}*",))
    return tuple(name.removeprefix(_TELL) for (name,) in rows)


def forget_notes(connection: sqlite3.Connection, rules: Iterable[str]) -> None:
    """Forget what was told."""
    connection.executemany("delete from meta where name = ?", [(_TELL + rule,) for rule in rules])
