"""Which pseudonyms were erased: known again when a box still sends under one, and readable from nothing else.

A pseudonym is kept as a hash under a key of this database alone. Whoever has the whole database can test whether a
pseudonym that they already know was erased here; nothing else of the person is left to be found by it.

An order that tells a box to erase them has to name them until the box has answered. Then it stands under nobody's name.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from typing import Final

import msgspec

from coordination.audit_log import AuditLog
from coordination.bulk_rows import among, parts
from coordination.sql import Sql
from exchange.audit_chain import KEY_BYTES
from exchange.command_answers import Answer
from exchange.commands import CommandKind

UNNAMED: Final = "@erased"
"""Stands for the patient of an order that is over; no patient can be called so."""
_KEY = "@erased-patients"
"""Names the key among those of the record of acts; no patient can be called so."""
_LABEL = b"veilleur/v1/erased-patient\x00"


def remember_erased(connection: Sql, pseudonym: str, *, at: int) -> None:
    """Know a pseudonym as erased from now on (`at`, ms UTC); in a transaction of the caller's."""
    if _key(connection) is None:
        connection.execute(
            "INSERT INTO audit_subject (name, key) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (_KEY, secrets.token_bytes(KEY_BYTES)),
        )
    key = _key(connection) or b""
    connection.execute(
        "INSERT INTO erased_patient (tag, at) VALUES (?, ?) ON CONFLICT DO NOTHING", (_tag(key, pseudonym), at)
    )


def is_erased(connection: Sql, pseudonym: str) -> bool:
    """Return whether a patient of this pseudonym was erased."""
    return pseudonym in erased_among(connection, [pseudonym])


def erased_among(connection: Sql, pseudonyms: Collection[str]) -> frozenset[str]:
    """Return which of these pseudonyms are of patients who were erased."""
    key = _key(connection) if pseudonyms else None
    if key is None:
        return frozenset()
    named = {_tag(key, pseudonym): pseudonym for pseudonym in pseudonyms}
    found: set[str] = set()
    for some in parts(sorted(named)):
        query = f"SELECT tag FROM erased_patient WHERE tag IN {among(some)}"  # noqa: S608
        found.update(named[tag] for (tag,) in connection.execute(query, some))
    return frozenset(found)


def without_words(answer: Answer) -> Answer:
    """Return an answer without what it may say of a patient."""
    return msgspec.structs.replace(answer, said=(), protocol_hash="", result=b"")


def unname_orders(connection: Sql, *, now: int) -> int:
    """Take the names of erased patients out of the orders to erase them that are over; return out of how many.

    One that nobody signed a second time before it ended (`now`, ms UTC) is over too. In a transaction of the caller's.
    """
    execute = connection.execute
    execute(
        "UPDATE command SET state = 'expired', changed_at = ? WHERE kind = ? AND state = 'to_sign' AND expires_at <= ?",
        (now, CommandKind.ERASE.value, now),
    )
    over = execute(
        "SELECT id, subject FROM command WHERE kind = ? AND subject NOT IN ('', ?)"
        " AND state NOT IN ('to_sign', 'queued', 'sent', 'accepted')",
        (CommandKind.ERASE.value, UNNAMED),
    ).fetchall()
    done = [(command, subject) for command, subject in over if is_erased(connection, subject)]
    for command, subject in done:
        execute("UPDATE command SET subject = ?, content = ? WHERE id = ?", (UNNAMED, b"", command))
        answers = execute("SELECT id, content FROM command_ack WHERE command_id = ?", (command,)).fetchall()
        for row, content in answers:
            bare = without_words(msgspec.msgpack.decode(content, type=Answer))
            execute("UPDATE command_ack SET content = ? WHERE id = ?", (msgspec.msgpack.encode(bare), row))
        if execute("SELECT 1 FROM command WHERE subject = ?", (subject,)).fetchone() is None:
            AuditLog(connection).forget([subject])
    return len(done)


def _key(connection: Sql) -> bytes | None:
    row = connection.execute("SELECT key FROM audit_subject WHERE name = ?", (_KEY,)).fetchone()
    return None if row is None else bytes(row[0])


def _tag(key: bytes, pseudonym: str) -> str:
    return hmac.new(key, _LABEL + pseudonym.encode(), hashlib.sha256).hexdigest()
