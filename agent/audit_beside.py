"""Entering an act from a command, beside a box that may be running.

SQLite lets both write, one after the other; the running box signs for what it finds. A box that never started has no
log yet: then nothing is entered, and the command says so.
"""

from agent.account import account
from agent.key_places import open_vault
from agent.settings import Settings
from agent.store import Store
from devices.clock import Clock
from exchange.audit_chain import Act, Detail, Erasable


def enter_beside(settings: Settings, clock: Clock, act: Act, *, reference: str | Erasable, detail: Detail) -> bool:
    """Enter an act of the person at the keyboard; return False when the box has never started, and so has no log.

    Raises:
        StoreError, VaultError: the database cannot be opened with this box's key.
        sqlite3.Error: it cannot be written now.
    """
    if not settings.database.exists():
        return False
    now = clock.now_ms()
    store = Store(settings.database, open_vault(settings), now_ms=now)
    try:
        store.audited(lambda log: log.enter(act, at=now, by=account(), reference=reference, detail=detail), now_ms=now)
    finally:
        store.close()
    return True
