"""The store's small matters: what a part of the box remembers under a name of its own, and proof that it can commit.

A part of `Store`; reading is `StoreReader`'s.
"""

from agent.database import immediate
from agent.store_transactions import StoreTransactions


class StoreMemos(StoreTransactions):
    """What is remembered."""

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
