"""The store's small matters: what a part of the box remembers under a name of its own, and proof that it can commit.

Mixed into `Store`, which owns the connection; reading is `StoreReader`'s.
"""

import sqlite3
from contextlib import AbstractContextManager

from agent.database import immediate
from agent.vault import Vault


class StoreMemos:
    """Mixed into `Store`."""

    _connection: sqlite3.Connection
    _vault: Vault

    def _transaction(self, now_ms: int) -> AbstractContextManager[None]:
        """Run a block as one write transaction, with a data key that may still seal at `now_ms`."""
        raise NotImplementedError

    def remember(self, name: str, data: bytes, *, now_ms: int) -> None:
        """Keep something small under a name, sealed, in place of what was there."""
        digest = self._vault.digest("memo", name)
        with self._transaction(now_ms):
            self._connection.execute(
                "insert into memo(digest, body) values (?, ?) on conflict(digest) do update set body = excluded.body",
                (digest, self._vault.seal("memo", digest.hex(), data)),
            )

    def prove(self) -> None:
        """Commit something small, for good: what a reading needs to be safe."""
        with immediate(self._connection):
            self._connection.execute(
                "insert into meta(name, value) values ('proofs', x'31')"
                " on conflict(name) do update set value = cast(cast(value as integer) + 1 as blob)"
            )
