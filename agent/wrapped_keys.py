"""The keys kept in the database, wrapped under the box's key: opened, made, wrapped anew, destroyed.

- Which of the box's keys a database was wrapped with is told by a fingerprint beside them, so that another key is
  never taken for damage, nor damage for another key: with another key nothing opens, whatever else is true.
- The key of the digests is random and wrapped like a data key: the box's key can change without changing a digest.
- A rotation is one transaction: every key under the new one, or every key under the old one.
- A data key that protects nothing any more is destroyed.

Not here: where the box's key lives (key_places), and the ciphers (vault).
"""

import sqlite3
from typing import Final

from agent.database import immediate
from agent.errors import DamagedError, VaultError
from agent.sealed_tables import SEALED, require_all_listed
from agent.vault import Vault
from alerting.alert import Sentence

INDEX: Final = "index_key"
_FINGERPRINT: Final = "kek"

NOT_OPENING = DamagedError(
    Sentence(
        fr="Les clés gardées dans la base sont abîmées.",
        en="The keys kept in the database are damaged.",
    ),
    Sentence(
        fr="Redémarrer : la base est mise de côté et une neuve commence.",
        en="Restart: the database is set aside and a new one begins.",
    ),
)


def open_keys(connection: sqlite3.Connection, vault: Vault) -> int:
    """Open what is wrapped in a database; return how many data keys were altered, and so protect nothing readable.

    Raises:
        VaultError: it is wrapped with another key than the box's.
        DamagedError: it is the box's key, and yet nothing opens.
    """
    fingerprint = _meta(connection, _FINGERPRINT)
    ours = fingerprint is not None and vault.choose(fingerprint)
    refused: VaultError | None = None
    altered = opened = 0
    for number, wrapped in connection.execute("select id, wrapped from data_key order by id").fetchall():
        try:
            vault.open_key(number, wrapped)
            opened += 1
        except VaultError as error:
            refused, altered = error, altered + 1
    if refused is not None and not opened:
        if ours:
            raise NOT_OPENING
        raise refused
    index = _meta(connection, INDEX)
    if index is not None:
        try:
            vault.open_index(index)
        except VaultError as error:
            raise (NOT_OPENING if ours or opened else error) from error
    return altered


def wrapped_key(connection: sqlite3.Connection, number: int) -> bytes | None:
    """Return the wrapped data key of a number, None when the database has none."""
    row = connection.execute("select wrapped from data_key where id = ?", (number,)).fetchone()
    return None if row is None else bytes(row[0])


class WrappedKeys:
    """The keys of one open database, to write; `open_keys` went before."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    def make(self, now_ms: int) -> None:
        """Make a data key, keep it, and seal with it from now on; with the first one, keep the others of the vault."""
        execute, vault = self._connection.execute, self._vault
        with immediate(self._connection):
            if _meta(self._connection, INDEX) is None:
                _put_meta(self._connection, INDEX, vault.new_index(derived=self._is_of_before()))
            _put_meta(self._connection, _FINGERPRINT, vault.fingerprint)
            (number,) = execute("select coalesce(max(id), 0) + 1 from data_key").fetchone()
            number = max(number, vault.highest + 1)
            execute(
                "insert into data_key(id, created, wrapped) values (?, ?, ?)", (number, now_ms, vault.new_key(number))
            )
        # Only now: nothing may ever be sealed with a key that was not kept.
        vault.use_key(number, now_ms)

    def _is_of_before(self) -> bool:
        """Return whether digests were made before their key was one of its own."""
        return self._connection.execute("select 1 from data_key").fetchone() is not None

    def destroy_unused(self) -> int:
        """Destroy the data keys that protect nothing any more; return how many.

        Raises:
            StoreError: it is not known what they protect.
        """
        require_all_listed(self._connection)
        with immediate(self._connection):
            used = {self._vault.current}
            for table in SEALED:
                rows = self._connection.execute(
                    f"select distinct substr(body, 1, 4) from {table.name} where length(body) > 0"  # noqa: S608
                )
                used |= {int.from_bytes(number, "big") for (number,) in rows}
            numbers = [number for (number,) in self._connection.execute("select id from data_key").fetchall()]
            gone = [number for number in numbers if number not in used]
            self._connection.executemany("delete from data_key where id = ?", [(number,) for number in gone])
        for number in gone:
            self._vault.forget_key(number)
        return len(gone)

    def wrap_anew(self, kek: bytes) -> None:
        """Put every key under another key of the box, inside a transaction; `Vault.adopt` follows its commit.

        Those that do not open, having been altered, protect nothing readable and go.
        """
        execute = self._connection.execute
        for number, wrapped in execute("select id, wrapped from data_key").fetchall():
            try:
                anew = self._vault.wrapped_anew(number, wrapped, kek)
            except VaultError:
                execute("delete from data_key where id = ?", (number,))
            else:
                execute("update data_key set wrapped = ? where id = ?", (anew, number))
        self.wrap_index_anew(kek)

    def wrap_index_anew(self, kek: bytes) -> None:
        """Put the key of the digests under another key of the box, inside a transaction."""
        index = _meta(self._connection, INDEX)
        if index is not None:
            _put_meta(self._connection, INDEX, self._vault.wrapped_anew(INDEX, index, kek))
        _put_meta(self._connection, _FINGERPRINT, self._vault.fingerprint_of(kek))


def _meta(connection: sqlite3.Connection, name: str) -> bytes | None:
    row = connection.execute("select value from meta where name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def _put_meta(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute(
        "insert into meta(name, value) values (?, ?) on conflict(name) do update set value = excluded.value",
        (name, value),
    )
