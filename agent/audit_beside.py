"""Entering an act from a command, beside a box that may be running.

SQLite lets both write, one after the other; the running box signs for what it finds, and finds the key that it is
sealed with. Nothing else of the database is touched, above all not the epoch that the box gives its numbers under.
A box that never started has no log yet: then nothing is entered, and the command says so.
"""

from collections.abc import Callable

from agent.account import account
from agent.audit_log import AuditLog
from agent.database import connect
from agent.key_places import open_vault
from agent.settings import Settings
from agent.store_audit import StoreAudit
from devices.clock import Clock
from exchange.audit_chain import Act, Detail, Erasable


def enter_beside(settings: Settings, clock: Clock, act: Act, *, reference: str | Erasable, detail: Detail) -> bool:
    """Enter an act of the person at the keyboard; return False when the box has never started, and so has no log.

    Raises:
        StoreError, VaultError: the database cannot be opened with this box's key.
        sqlite3.Error: it cannot be written now.
    """

    def work(log: AuditLog, at: int) -> None:
        log.enter(act, at=at, by=account(), reference=reference, detail=detail)

    return write_beside(settings, clock, work)


def write_beside(settings: Settings, clock: Clock, work: Callable[[AuditLog, int], object]) -> bool:
    """Do some work on the record of acts, which is given the time (ms UTC); see `enter_beside`.

    Raises:
        StoreError, VaultError: the database cannot be opened with this box's key.
        sqlite3.Error: it cannot be written now.
    """
    if not settings.database.exists():
        return False
    now, connection = clock.now_ms(), connect(settings.database)
    try:
        # No `Store`: opening one begins an epoch, and the numbers of the box that runs would count in a wrong one.
        record = StoreAudit(connection, open_vault(settings))
        record.audited(lambda log: work(log, now), now_ms=now)
    finally:
        connection.close()
    return True
