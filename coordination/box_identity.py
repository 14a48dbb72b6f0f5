"""Which keys and certificates are a box's own, as the team's database has them.

Rules of this room:

- A key or certificate that was revoked stays revoked, and counts for more than desk.toml: a box that is listed there
  and was revoked here is refused.
- A key that was *replaced*, by other keys or another machine under the same name, is not revoked: what it sealed is
  taken for `BACKLOG_MS`, from the box's present key's hands only (`exchange.handed_over`). Alone it says nothing more.
- A public key is one box's: two boxes never share one.
- The inbox looks a signer up at each message, so that an enrolment or a revocation holds from the next message on.
  Of PostgreSQL, to which each look is a journey, it keeps what it read until it is told of a change (`CHANNEL`).

Times are ms UTC of the real clock. Not here: how a box comes to its keys (`enrolments`), and the broker
(`broker_control`).
"""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

from coordination.authority import Issued
from coordination.keyring import KEEP_MS
from coordination.place import Place
from coordination.sql import Sql
from coordination.team_database import ERRORS, as_error, connect_to_read
from exchange.identity import key_id

if TYPE_CHECKING:
    from coordination.postgresql import Postgres

SIGNING = "signing"
OPENING = "opening"

BACKLOG_MS = KEEP_MS
"""For how long what a replaced key sealed is taken: as long as the team keeps the keys that open it."""
MOST_EARLIER = 64
"""Keys of before that a box is told of, the newest."""

CHANNEL: Final = "veilleur_box_keys"
"""PostgreSQL's: whoever listens hears of each commit that changed whose key is whose."""
READ_AGAIN_S: Final = 30.0
"""What was read is not believed for longer: something between here and the server may keep to itself what is told."""

Listed = Mapping[str, Mapping[str, bytes]]
"""Boxes of desk.toml: box -> key id -> raw public signing key."""


class BoxKeys:
    """The signing keys that the inbox believes now: desk.toml's, and those of enrolled boxes."""

    def __init__(self, path: Place, listed: Listed) -> None:
        """`path` is the database, opened when it is first asked; `listed` are the boxes of desk.toml."""
        self._path = path
        self._listed = listed
        self._connection: Sql | None = None
        self._kept: dict[tuple[str, str], bytes | None] | None = None
        """Of PostgreSQL: (box, key id) -> raw public key, None when it stands no more."""
        self._read_again_at = 0.0

    def use(self, listed: Listed) -> None:
        """From now on `listed` are the boxes of desk.toml."""
        self._listed = listed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._kept = None

    def signer_of(self, box: str, signer: str) -> bytes | None:
        """Return the raw public key of that id when it is the box's own now: neither replaced nor revoked.

        Raises:
            DatabaseBusyError, DatabaseUnusableError: it cannot be read, now or without a person.
        """
        try:
            connection = self._opened()
            if isinstance(connection, sqlite3.Connection):
                return signing_key(connection, box, signer, listed=self._listed)
            kept = self._read_of(cast("Postgres", connection))
            return kept[box, signer] if (box, signer) in kept else self._listed.get(box, {}).get(signer)
        except ERRORS as error:
            raise as_error(error) from error

    def _read_of(self, connection: "Postgres") -> Mapping[tuple[str, str], bytes | None]:
        if self._kept is None:
            # First, so that nothing which changes meanwhile is missed.
            connection.listen(CHANNEL)
        now = time.monotonic()
        if self._kept is None or connection.told() or now >= self._read_again_at:
            self._kept, self._read_again_at = _signing_keys(connection), now + READ_AGAIN_S
        return self._kept

    def sealer_of(self, box: str, signer: str, *, at: int) -> bytes | None:
        """Return the raw public key of that id when what it sealed may be handed over: one of now, or of before.

        Args:
            box: its id.
            signer: id of the key.
            at: now, ms UTC, real time.

        Raises:
            DatabaseBusyError, DatabaseUnusableError: it cannot be read, now or without a person.
        """
        try:
            connection = self._opened()
            present = signing_key(connection, box, signer, listed=self._listed)
            return present or earlier_keys(connection, box, at=at).get(signer)
        except ERRORS as error:
            raise as_error(error) from error

    def opening_key(self, box: str, *, listed: bytes | None) -> bytes | None:
        """Return the raw public key to which a box's orders are sealed, `listed` (desk.toml's) if it never enrolled.

        Raises:
            DatabaseBusyError, DatabaseUnusableError: it cannot be read, now or without a person.
        """
        query = "SELECT 1 FROM box_key JOIN box ON box.id = box_id WHERE box.name = ? LIMIT 1"
        try:
            # What the database says of a box counts for more: a box that was revoked there is sent nothing.
            known = self._opened().execute(query, (box,)).fetchone() is not None
            return opening_key(self._opened(), box) if known else listed
        except ERRORS as error:
            raise as_error(error) from error

    def _opened(self) -> Sql:
        if self._connection is None:
            self._connection = connect_to_read(self._path)
        return self._connection


def signing_key(connection: Sql, box: str, signer: str, *, listed: Listed) -> bytes | None:
    """Return the raw public key of that id when it is the box's own now: neither replaced nor revoked."""
    row = connection.execute(
        "SELECT public, coalesce(revoked_at, ended_at) FROM box_key JOIN box ON box.id = box_id"
        " WHERE box.name = ? AND purpose = ? AND key = ?",
        (box, SIGNING, signer),
    ).fetchone()
    if row is None:
        return listed.get(box, {}).get(signer)
    return None if row[1] is not None else bytes.fromhex(row[0])


def _signing_keys(connection: Sql) -> dict[tuple[str, str], bytes | None]:
    """Return every signing key that the database has: (box, key id) -> raw public key, None when it stands no more."""
    rows = connection.execute(
        "SELECT box.name, key, public, coalesce(revoked_at, ended_at) FROM box_key JOIN box ON box.id = box_id"
        " WHERE purpose = ?",
        (SIGNING,),
    )
    return {(box, key): bytes.fromhex(public) if over is None else None for box, key, public, over in rows}


def earlier_keys(connection: Sql, box: str, *, at: int) -> dict[str, bytes]:
    """Return the signing keys whose envelopes the box may still hand over at `at` (ms UTC), the newest first.

    Key id -> raw public key. A revoked key is never among them, whenever it was replaced.
    """
    rows = connection.execute(
        "SELECT key, public FROM box_key JOIN box ON box.id = box_id"
        " WHERE box.name = ? AND purpose = ? AND revoked_at IS NULL AND ended_at > ? ORDER BY ended_at DESC LIMIT ?",
        (box, SIGNING, at - BACKLOG_MS, MOST_EARLIER),
    ).fetchall()
    return {key: bytes.fromhex(public) for key, public in rows}


def opening_key(connection: Sql, box: str) -> bytes | None:
    """Return the raw public X25519 key to which something for the box is sealed; None for a box that has none."""
    row = connection.execute(
        "SELECT public FROM box_key JOIN box ON box.id = box_id"
        " WHERE box.name = ? AND purpose = ? AND revoked_at IS NULL AND ended_at IS NULL ORDER BY since DESC LIMIT 1",
        (box, OPENING),
    ).fetchone()
    return None if row is None else bytes.fromhex(row[0])


def standing_keys(connection: Sql, box: str, *, listed: Listed) -> frozenset[str]:
    """Return the signing keys of a box that hold, as 64 hexadecimal digits."""
    rows = connection.execute(
        "SELECT key, public, coalesce(revoked_at, ended_at) FROM box_key JOIN box ON box.id = box_id"
        " WHERE box.name = ? AND purpose = ?",
        (box, SIGNING),
    ).fetchall()
    known = {row[0] for row in rows}
    own = {row[1] for row in rows if row[2] is None}
    return frozenset(own | {public.hex() for key, public in listed.get(box, {}).items() if key not in known})


def is_revoked(connection: Sql, public: str) -> bool:
    """Return whether a key (64 hexadecimal digits) was ever revoked, for whichever box."""
    query = "SELECT 1 FROM box_key WHERE public = ? AND revoked_at IS NOT NULL"
    return connection.execute(query, (public,)).fetchone() is not None


def owner(connection: Sql, public: str, *, listed: Listed) -> str | None:
    """Return the box whose key that is (64 hexadecimal digits), or None."""
    row = connection.execute(
        "SELECT box.name FROM box_key JOIN box ON box.id = box_id WHERE public = ?", (public,)
    ).fetchone()
    if row is not None:
        return str(row[0])
    return next((box for box, keys in listed.items() if bytes.fromhex(public) in keys.values()), None)


# --- writing, in the caller's transaction ---------------------------------------------------------------------


def keep_keys(connection: Sql, box: str, *, signing: str, opening: str, at: int) -> None:
    """Make these public keys (hexadecimal) the box's own; a replaced one that comes back is its own again."""
    for purpose, public in ((SIGNING, signing), (OPENING, opening)):
        connection.execute(
            "INSERT INTO box_key (box_id, purpose, key, public, since) SELECT id, ?, ?, ?, ? FROM box WHERE name = ?"
            " ON CONFLICT (box_id, purpose, key) DO UPDATE SET ended_at = NULL,"
            " since = CASE WHEN box_key.ended_at IS NULL THEN box_key.since ELSE excluded.since END",
            (purpose, key_id(bytes.fromhex(public)), public, at, box),
        )
    _tell_of_change(connection)


def keep_certificate(connection: Sql, issued: Issued, *, at: int) -> None:
    """Keep a certificate that is about to be given to the box that it names."""
    connection.execute(
        "INSERT INTO box_certificate (serial, box_id, not_before, not_after, issued_at, tls_key, pem)"
        " SELECT ?, id, ?, ?, ?, ?, ? FROM box WHERE name = ?",
        (issued.serial, issued.not_before, issued.not_after, at, issued.tls_key, issued.pem, issued.name),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What was taken from a box, or from the machine that it was.

    Attributes:
        keys: how many signing keys no longer count.
        serials: of all its certificates that were ever revoked and have not ended, so that a list can be made whole.
    """

    keys: int
    serials: tuple[str, ...]


def revoke_box(connection: Sql, box: str, *, listed: Listed, reason: str, at: int) -> Revoked:
    """Take from a box all its keys, of now and of before, and its certificates: nothing that they signed counts."""
    _keep_listed(connection, box, listed=listed, at=at)
    keys = connection.execute(
        "UPDATE box_key SET revoked_at = ?, reason = ? FROM box"
        " WHERE box.id = box_id AND box.name = ? AND revoked_at IS NULL RETURNING purpose",
        (at, reason, box),
    ).fetchall()
    _tell_of_change(connection)
    return Revoked(
        keys=sum(row[0] == SIGNING for row in keys),
        serials=_end_certificates(connection, box, reason=reason, at=at, but_tls_key=""),
    )


def replace_machine(
    connection: Sql, box: str, *, listed: Listed, at: int, signing: str, opening: str, tls_key: str
) -> Revoked:
    """End the keys and certificates of a box but for these, which another machine, or the same one anew, has made."""
    _keep_listed(connection, box, listed=listed, at=at)
    keys = connection.execute(
        "UPDATE box_key SET ended_at = ? FROM box"
        " WHERE box.id = box_id AND box.name = ? AND coalesce(revoked_at, ended_at) IS NULL AND public NOT IN (?, ?)"
        " RETURNING purpose",
        (at, box, signing, opening),
    ).fetchall()
    _tell_of_change(connection)
    return Revoked(
        keys=sum(row[0] == SIGNING for row in keys),
        serials=_end_certificates(connection, box, reason="replaced", at=at, but_tls_key=tls_key),
    )


def _tell_of_change(connection: Sql) -> None:
    if not isinstance(connection, sqlite3.Connection):
        connection.execute("SELECT pg_notify(?, '')", (CHANNEL,))


def _keep_listed(connection: Sql, box: str, *, listed: Listed, at: int) -> None:
    """Give the keys of desk.toml rows of their own, which outweigh what desk.toml says."""
    for public in listed.get(box, {}).values():
        connection.execute(
            "INSERT INTO box_key (box_id, purpose, key, public, since)"
            " SELECT id, ?, ?, ?, ? FROM box WHERE name = ? ON CONFLICT DO NOTHING",
            (SIGNING, key_id(public), public.hex(), at, box),
        )


def _end_certificates(connection: Sql, box: str, *, reason: str, at: int, but_tls_key: str) -> tuple[str, ...]:
    connection.execute(
        "UPDATE box_certificate SET revoked_at = ?, reason = ? FROM box"
        " WHERE box.id = box_id AND box.name = ? AND revoked_at IS NULL AND tls_key <> ?",
        (at, reason, box, but_tls_key),
    )
    serials = connection.execute(
        "SELECT serial FROM box_certificate JOIN box ON box.id = box_id"
        " WHERE box.name = ? AND revoked_at IS NOT NULL AND not_after > ? ORDER BY serial",
        (box, at),
    ).fetchall()
    return tuple(row[0] for row in serials)
