"""The store's calls about the record of acts. Mixed into `Store`, which owns the connection; see `audit_log`."""

import secrets
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from agent.audit_log import AuditLog
from agent.database import immediate
from agent.outbox import Outbox
from exchange.identity import SigningKey
from exchange.sealing import LANE_SPARSE, Sealer

_Found = TypeVar("_Found")


class StoreAudit:
    """Mixed into `Store`."""

    _connection: sqlite3.Connection
    audit: AuditLog
    outbox: Outbox

    def _transaction(self, now_ms: int) -> AbstractContextManager[None]:
        """Run a block as one write transaction, with a data key that may still seal at `now_ms`."""
        raise NotImplementedError

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
            record = self.audit.checkpoint(key, at=now_ms)
            if record is not None:
                self.outbox.add([record], LANE_SPARSE, sealer, now_ms=now_ms)
            return record is not None
