"""`veilleur-desk audit`: the team's record of acts, to read, to filter, and as a file for an auditor.

The file also holds what each box signed for in its own log: with it an auditor sees whether a box's log was cut.
"""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TextIO

from coordination.audit_log import AuditLog
from coordination.audit_witness import Witness
from coordination.place import Place
from coordination.sql import Sql
from coordination.team_database import ERRORS, as_error, connect, connect_to_read, transaction
from exchange.audit_chain import TEAM_LOG, Act
from exchange.audit_export import Exported, lines
from exchange.audit_show import Wanted, as_json, table


def show(database: Place, wanted: Wanted, *, lang: str, json_lines: bool) -> str:
    """Return the acts asked for, as a table or as JSON lines.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: see `team_database`.
    """
    with _reading(database) as connection:
        log = AuditLog(connection)
        entries = wanted.of(log.entries())
        names = {tag: value for tag, (value, _) in log.names().items()}
    if json_lines:
        return "\n".join(as_json(entry, names) for entry in entries)
    return table(entries, names, lang)


def export(database: Place, file: TextIO, *, name: str, now: int, names: bool) -> int:
    """Write the whole log for an auditor, and enter that it was; return how many entries.

    Args:
        database: the team's.
        file: that only its owner can read.
        name: of the file.
        now: ms UTC.
        names: whether the file says what tags stand for.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: see `team_database`.
    """
    connect_to_read(database).close()
    enter(database, Act.LOG_EXPORTED, at=now, reference=name, with_names=names)
    with _reading(database) as connection:
        log = AuditLog(connection)
        entries = list(log.entries())
        exported = Exported(
            log=TEAM_LOG,
            chain=log.chain() or "",
            at=now,
            program=version("veilleur"),
            entries=entries,
            checkpoints=[*log.checkpoints(), *Witness(connection).kept()],
            names=log.names() if names else {},
        )
        file.writelines(f"{line}\n" for line in lines(exported))
    return len(entries)


def enter(database: Place, act: Act, *, at: int, reference: str, with_names: bool) -> None:
    """Enter an act of the person at the keyboard.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: nothing was entered.
    """
    connection = connect(database)
    try:
        with transaction(connection):
            log = AuditLog(connection)
            log.begin(at=at)
            log.enter(act, at=at, by=account(), reference=reference, detail={"with_names": with_names})
    finally:
        connection.close()


def account() -> str:
    """Return the account that a person works under: who became root, not root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


@contextmanager
def _reading(database: Place) -> Iterator[Sql]:
    connection = connect_to_read(database)
    try:
        yield connection
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()
