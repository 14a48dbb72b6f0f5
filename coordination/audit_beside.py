"""Entering an act of the person at the keyboard in the team's record, beside the inbox that may be running.

For what is done outside the database: to key files, to the export of the record itself. What changes the database
enters its act in the transaction of that change.
"""

import getpass
import os
from collections.abc import Callable
from pathlib import Path

from coordination.audit_log import AuditLog
from coordination.errors import CoordinationError
from coordination.place import Place
from coordination.settings import read_settings
from coordination.team_database import connect, transaction


def account() -> str:
    """Return the account that a person works under: who became root, not root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def write_beside(database: Place, work: Callable[[AuditLog], object], *, at: int) -> bool:
    """Do some work on the record of acts as one transaction; return False when there is no database, and so no record.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: nothing was entered.
    """
    if isinstance(database, Path) and not database.exists():
        return False
    connection = connect(database)
    try:
        with transaction(connection):
            log = AuditLog(connection)
            log.begin(at=at)
            work(log)
    finally:
        connection.close()
    return True


def try_beside(database: Place | None, work: Callable[[AuditLog], object], *, at: int) -> bool:
    """Do the same where the database is at hand; return False where there is none, or it takes nothing now.

    For what is entered later all the same, by whoever takes it up: a list by the inbox, a signature as it is sent.
    """
    try:
        return database is not None and write_beside(database, work, at=at)
    except CoordinationError:
        return False


def team_database(config: Path, database: Place | None) -> Place | None:
    """Return the team's database where it is at hand, None elsewhere."""
    if database is not None or not config.exists():
        return database
    try:
        return read_settings(config).database
    except CoordinationError:
        return None
