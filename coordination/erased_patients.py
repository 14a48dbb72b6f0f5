"""Which pseudonyms were erased: known again when a box still sends under one, and readable from nothing.

A pseudonym is kept as a hash under a key of this database alone. Whoever has the whole database can test whether a
pseudonym that they already know was erased here; nothing else of the person is left to be found by it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from coordination.sql import Sql
from exchange.audit_chain import KEY_BYTES

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
    key = _key(connection)
    if key is None:
        return False
    query = "SELECT 1 FROM erased_patient WHERE tag = ?"
    return connection.execute(query, (_tag(key, pseudonym),)).fetchone() is not None


def without_erased(connection: Sql, by_pseudonym: Mapping[str, str]) -> dict[str, str]:
    """Return what a box says by pseudonym, without those who were erased."""
    return {name: value for name, value in by_pseudonym.items() if not is_erased(connection, name)}


def _key(connection: Sql) -> bytes | None:
    row = connection.execute("SELECT key FROM audit_subject WHERE name = ?", (_KEY,)).fetchone()
    return None if row is None else bytes(row[0])


def _tag(key: bytes, pseudonym: str) -> str:
    return hmac.new(key, _LABEL + pseudonym.encode(), hashlib.sha256).hexdigest()
