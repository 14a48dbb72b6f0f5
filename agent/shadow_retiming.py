"""What becomes of shadows when the box's time is put right: like is compared with like.

A shadow judges again what is kept, by the right time, as the protocol that is applied does. When it began is moved as
the readings are. What the applied one told by the wrong time cannot be untold, and is not counted beside what the
shadow would have told by the right one: where the time was wrong by more than five minutes and anything was told of a
patient meanwhile, both are counted from now on.

Functions of one open database, inside a transaction of the caller's. Not here: judging (shadow), and what else a
correction changes (clock_store).
"""

import sqlite3
from dataclasses import replace

import msgspec

from agent.errors import VaultError
from agent.shadow_store import ShadowState
from agent.vault import Vault
from devices.wall_clock import FUTURE_TOLERANCE_MS
from exchange.messages import AlertRecord


def move(connection: sqlite3.Connection, vault: Vault, *, offset: int, began: int, from_seq: int, now: int) -> None:
    """Put right when shadows began, and from when on they are counted.

    Args:
        connection: the box's database.
        vault: opens its rows.
        offset: what the time lacked, ms.
        began: ms UTC, by the wrong time, at which that began.
        from_seq: the first sequence number given in the wrong time.
        now: ms UTC, by the right time.
    """
    execute = connection.execute
    # By these two a shadow finds, whenever it looks next, that what it came to was judged by another time.
    execute("insert or replace into meta(name, value) values ('right_time', randomblob(8))")
    kept = execute("select stream, since, counted_from, until from shadow").fetchall()
    for number, *times in kept:
        since, counted, until = (min(now, at + offset if at >= began else at) for at in times)
        told = abs(offset) > FUTURE_TOLERANCE_MS and _told(connection, vault, number, from_seq)
        execute(
            "update shadow set since = ?, counted_from = ?, until = ? where stream = ?",
            (since, now if told else counted, until, number),
        )


def not_after(state: ShadowState, now: int) -> ShadowState:
    """Return what is known of a shadow that had come further than the box's time (ms UTC): counted from now on."""
    return replace(state, since=min(state.since, now), counted_from=now, until=min(state.until, now))


def _told(connection: sqlite3.Connection, vault: Vault, stream: int, from_seq: int) -> bool:
    """Return whether the protocol that is applied said anything under a number from `from_seq` on, included."""
    said = connection.execute("select digest, body from alert where stream = ? and seq >= ?", (stream, from_seq))
    return any(_is_of_protocol(vault, digest, body) for digest, body in said.fetchall())


def _is_of_protocol(vault: Vault, digest: bytes, body: bytes) -> bool:
    """Return whether an alert is of a protocol, not the box's own; of an altered one nobody can say that it is not."""
    try:
        record = msgspec.msgpack.decode(vault.open("alert", digest.hex(), body), type=AlertRecord)
    except VaultError:
        return True
    return bool(record.protocol)
