"""The store's small matters: what a part of the box remembers under a name of its own, and proof that it can commit.

A part of `Store`; reading is `StoreReader`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.database import immediate
from agent.store_transactions import StoreTransactions
from exchange.audit_chain import Act, Erasable


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldHere:
    """That an alert of a patient was told in the home, for the `telling`th time, at `at` (ms UTC)."""

    alert_id: str
    patient: str
    telling: int
    at: int


class StoreMemos(StoreTransactions):
    """What is remembered."""

    def remember(self, name: str, data: bytes, *, now_ms: int) -> None:
        """Keep something small under a name, sealed, in place of what was there."""
        with self._transaction(now_ms):
            self._remember(name, data)

    def remember_told(self, name: str, data: bytes, told: Sequence[ToldHere], *, now_ms: int) -> None:
        """Do the same with what was told in the home, each telling being an act of the same transaction."""
        with self._transaction(now_ms):
            self._remember(name, data)
            for one in told:
                alert = Erasable(value=one.alert_id, of=one.patient)
                self.audit.enter(
                    Act.TOLD_LOCALLY, at=one.at, by="box", reference=alert, detail={"telling": one.telling}
                )

    def _remember(self, name: str, data: bytes) -> None:
        digest = self._vault.digest("memo", name)
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
