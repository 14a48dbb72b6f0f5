"""That readings gave way in a full buffer, as an act: at once when it begins, and then once an hour with how many.

A buffer that stays full lets readings go every few minutes for weeks. An act each time would push history out of the
record and cost what it reports; what goes in between is counted in the database, in the transaction in which it goes.

Not here: what gives way (eviction), and the gap that travels for it.
"""

import sqlite3
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from agent.audit_log import AuditLog
from exchange.audit_chain import Act

EVERY_MS: Final = 3_600_000
_NAME: Final = "evicted"

_Count = Annotated[int, Meta(ge=0)]


class _Since(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What went since an act was entered at `at` (ms UTC): readings, and how many of them the team never had."""

    at: int | None = None
    readings: _Count = 0
    unsent: _Count = 0


def evicted(connection: sqlite3.Connection, log: AuditLog, *, readings: int, unsent: int, at: int) -> None:
    """Count readings that went, of which the team never had `unsent`, inside the transaction in which they go."""
    since = _read(connection)
    _settle(connection, log, _Since(at=since.at, readings=since.readings + readings, unsent=since.unsent + unsent), at)


def settle(connection: sqlite3.Connection, log: AuditLog, *, at: int) -> None:
    """Enter what was counted, once its hour is over, inside a transaction."""
    since = _read(connection)
    if since.readings or since.unsent:
        _settle(connection, log, since, at)


def _settle(connection: sqlite3.Connection, log: AuditLog, since: _Since, at: int) -> None:
    # A clock that was set back must not silence it.
    if since.at is None or not 0 <= at - since.at < EVERY_MS:
        detail = {"readings": since.readings, "unsent": since.unsent}
        log.enter(Act.READINGS_EVICTED, at=at, by="box", detail=detail)
        since = _Since(at=at)
    connection.execute(
        "insert into meta(name, value) values (?, ?) on conflict(name) do update set value = excluded.value",
        (_NAME, msgspec.json.encode(since)),
    )


def _read(connection: sqlite3.Connection) -> _Since:
    row = connection.execute("select value from meta where name = ?", (_NAME,)).fetchone()
    try:
        return _Since() if row is None else msgspec.json.decode(row[0], type=_Since)
    except (msgspec.DecodeError, TypeError):
        # Altered: what had been counted is not known any more.
        return _Since()
