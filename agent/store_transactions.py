"""What every part of the store that writes is built on: the open connection, its keys, and the one way to commit.

Not here: what is written.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from agent.database import immediate
from agent.store_reader import StoreReader
from agent.vault import Vault
from agent.wrapped_keys import WrappedKeys


class StoreTransactions(StoreReader):
    """One open database, to read and to change."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        """Take over an open connection, see `StoreReader`."""
        super().__init__(connection, vault)
        self.keys = WrappedKeys(connection, vault)

    @contextmanager
    def _transaction(self, now_ms: int) -> Iterator[None]:
        """Run a block as one write transaction, with a data key that may still seal at `now_ms`."""
        if self._vault.needs_key(now_ms):
            self.keys.make(now_ms)
        with immediate(self._connection):
            yield
