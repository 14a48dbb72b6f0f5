"""Which program may open a database that a later one has migrated: so that an upgrade on trial can be taken back.

- A step of the database is *additive* when the program before it goes on working with what it leaves and with what the
  later program writes. A later program says in the database itself from which step on a program may open it
  (`OPENS_FROM`), and up to which step that holds; the earlier one reads it, and knows nothing else of what came after.
- So a version that is taken back takes nothing with it: the one before goes on with the very database, readings,
  numbers, receipts and orders of the trial included. No copy is put back, and nothing is told twice.
- A version whose database the one before could not open is not tried at all (deploy/trial.sh asks `goes_back` first,
  when nothing was migrated yet): what it needs comes by two versions, of which the first only learns to read.

Not here: the steps themselves (migrations), and counting starts on trial (deploy/trial.sh).
"""

from typing import Final

from sqlite_utils.db import Database

from agent.migrations import migrations

OPENS_FROM: Final = "0009_segments"
"""The earliest step whose program may open what this program leaves. To be put forward with a step, or a change of what
is kept in a sealed row, that such a program cannot live with (tests/agent/test_way_back.py looks at the steps)."""
_OPENS: Final = "opens_from"
_PROGRAM: Final = "program_step"


def steps() -> tuple[str, ...]:
    """Return the steps that this program knows, in order; their names begin with their numbers."""
    return tuple(item.name for item in migrations.pending(Database(memory=True)))


def unusable_step(database: Database) -> str | None:
    """Return the last step of a database that this program may not use; None when it may."""
    ours = steps()
    later = [item.name for item in migrations.applied(database) if item.name not in ours]
    if not later:
        return None
    until, _, since = _said(database, _OPENS).partition(" ")
    return None if since in ours and max(later) <= until else max(later)


def goes_back(database: Database) -> bool:
    """Return whether the program that opened a database last could open it after this one has; a new one can wait."""
    ours = steps()
    applied = [item.name for item in migrations.applied(database)]
    if not applied:
        return True
    before = _said(database, _PROGRAM) or max(applied)
    return unusable_step(database) is None and before in ours and ours.index(OPENS_FROM) <= ours.index(before)


def migrate(database: Database) -> None:
    """Take the steps that this program knows and the database has not taken, each in one transaction.

    Raises:
        sqlite3.Error: the disk refuses, or the file is damaged.
    """
    ours = steps()
    if not migrations.applied(database):
        migrations.apply(database, stop_before=ours[1:])
    if all(item.name in ours for item in migrations.applied(database)):
        # Before the steps: cut off between them, the program before must know whether it may open what is there.
        _say(database, _OPENS, f"{ours[-1]} {OPENS_FROM}")
    migrations.apply(database)
    _say(database, _PROGRAM, ours[-1])


def _said(database: Database, name: str) -> str:
    row = database.execute("select value from meta where name = ?", (name,)).fetchone()
    return "" if row is None else bytes(row[0]).decode("utf-8", "replace")


def _say(database: Database, name: str, value: str) -> None:
    if _said(database, name) == value:
        # A start costs the card no commit for this.
        return
    with database.atomic():
        database.execute(
            "insert into meta(name, value) values (?, ?) on conflict(name) do update set value = excluded.value",
            (name, value.encode()),
        )
