"""The store's calls about the record of acts; see `audit_log`."""

import secrets
from collections.abc import Callable
from typing import TypeVar

from agent.audit_log import AuditLog
from agent.database import immediate
from agent.eviction_acts import settle
from agent.store_transactions import StoreTransactions
from exchange.identity import SigningKey
from exchange.sealing import LANE_SPARSE, Sealer

_Found = TypeVar("_Found")


class StoreAudit(StoreTransactions):
    """What is entered of acts."""

    def begin_audit(self, *, now_ms: int) -> None:
        """Begin the record of acts, unless it has begun."""
        with immediate(self._connection):
            self.audit.begin(secrets.token_hex(16), at=now_ms)

    def audited(self, work: Callable[[AuditLog], _Found], *, now_ms: int) -> _Found:
        """Do some work on the record of acts as one transaction; return what it returns."""
        with self._transaction(now_ms):
            return work(self.audit)

    def checkpoint_audit(self, key: SigningKey, sealer: Sealer, *, now_ms: int) -> bool:
        """Sign for what was entered since the last time, to travel to the team; return whether there was any."""
        with self._transaction(now_ms):
            settle(self._connection, self.audit, at=now_ms)
            record = self.audit.checkpoint(key, at=now_ms)
            if record is not None:
                self.outbox.add([record], LANE_SPARSE, sealer, now_ms=now_ms)
            return record is not None
