"""The team's record of acts in its database: chained, signed for by the receipt key, bounded.

- An entry is added inside a transaction, so that an act and its entry are on the disk together or not at all.
- No health data: a pseudonym, or whatever else may have to be erased, is a tag under a random key of its own, which
  `forget` destroys.
- What somebody outside can cause at will is entered so many times a day (`has_room_for`).
- What is deleted for its age is first signed for: the checkpoint stays.

Not here: heads of the boxes' logs (audit_witness), and what an entry is (exchange.audit_chain).
"""

import secrets
from collections.abc import Iterable, Iterator
from types import MappingProxyType

import msgspec

from coordination.sql import Sql
from exchange.audit_chain import (
    KEY_BYTES,
    TEAM_LOG,
    Act,
    CheckpointRecord,
    Detail,
    Entry,
    Erasable,
    Head,
    after,
    beginning,
    checkpoint,
    entry_bytes,
    entry_of,
    tag,
)
from exchange.identity import SigningKey

DAY_MS = 86_400_000
MOST_REFUSALS = 200
"""Entries in 24 h of an act that somebody outside can cause at will: a flood must not push history out."""
TEAM = "team"
"""Stands for the team's programs where an act has no person."""
NOTHING: Detail = MappingProxyType({})


class AuditLog:
    """The audit tables of one open database; whatever writes does so in a transaction of the caller's."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection

    def begin(self, *, at: int) -> None:
        """Begin the log with a random chain id, unless it has begun; `at` is ms UTC."""
        if self.chain() is None:
            chain = secrets.token_hex(16)
            self._connection.execute("INSERT INTO audit_chain (id, chain) VALUES (1, ?)", (chain,))
            self.enter(Act.LOG_BEGUN, at=at, by=TEAM, reference=chain)

    def enter(
        self, act: Act, *, at: int, by: str = TEAM, reference: str | Erasable = "", detail: Detail = NOTHING
    ) -> int:
        """Add an act; return the number of its entry.

        Args:
            act: what was done.
            at: ms UTC.
            by: who did it: a person's name or key id, "team".
            reference: what it was done to: a box, an alert, a command; a pseudonym only as `Erasable`.
            detail: what more there is to say, likewise.
        """
        head = self.head()
        entry = entry_of(head, act, at=at, by=by, reference=reference, detail=detail, tagged=self._tagged)
        self._connection.execute(
            "INSERT INTO audit (n, at, act, body, hash) VALUES (?, ?, ?, ?, ?)",
            (entry.n, at, entry.act, entry_bytes(entry).decode(), after(head, entry).hash),
        )
        return entry.n

    def has_room_for(self, act: Act, *, at: int) -> bool:
        """Return whether an act that somebody outside can cause at will is still entered; beyond that it is not."""
        query = "SELECT count(*) FROM audit WHERE at > ? AND act = ?"
        return int(self._connection.execute(query, (at - DAY_MS, act.value)).fetchone()[0]) < MOST_REFUSALS

    def said(self, subject: str) -> str:
        """Return what was last said of `subject`, "" before anything was."""
        row = self._connection.execute("SELECT said FROM audit_subject WHERE name = ?", (subject,)).fetchone()
        return "" if row is None else str(row[0])

    def changed(self, subject: str, value: str) -> bool:
        """Return whether `value` is another than last time it was said of `subject`, and remember it."""
        known = self._connection.execute("SELECT said FROM audit_subject WHERE name = ?", (subject,)).fetchone()
        if known is not None and known[0] == value:
            return False
        self._key(subject)
        self._connection.execute("UPDATE audit_subject SET said = ? WHERE name = ?", (value, subject))
        return True

    # --- heads and checkpoints ----------------------------------------------------------------------------

    def chain(self) -> str | None:
        """Return the id of the chain, None before it has begun."""
        row = self._connection.execute("SELECT chain FROM audit_chain").fetchone()
        return None if row is None else str(row[0])

    def head(self) -> Head:
        """Return what the next entry follows: the last entry, or a checkpoint that has seen more."""
        begun = beginning(TEAM_LOG, self.chain() or "0" * 32)
        row = self._connection.execute("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1").fetchone()
        last = begun if row is None else Head(log=TEAM_LOG, chain=begun.chain, n=row[0], hash=row[1])
        signed = self._last_checkpoint()
        return last if signed is None else max(last, signed.head, key=lambda head: head.n)

    def _last_checkpoint(self) -> CheckpointRecord | None:
        row = self._connection.execute("SELECT body FROM audit_checkpoint ORDER BY n DESC LIMIT 1").fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=CheckpointRecord)

    def checkpoint(self, key: SigningKey, *, at: int) -> CheckpointRecord | None:
        """Sign for what was entered since the last checkpoint; None when that is nothing."""
        head, before = self.head(), self._last_checkpoint()
        since = beginning(TEAM_LOG, head.chain) if before is None else before.head
        if head.n <= since.n:
            return None
        record = checkpoint(head, since=since, at=at, key=key)
        self._connection.execute(
            "INSERT INTO audit_checkpoint (n, at, body) VALUES (?, ?, ?)",
            (head.n, at, msgspec.json.encode(record).decode()),
        )
        return record

    def shorten(self, *, before: int, at: int) -> int:
        """Delete what was entered before `before` (ms UTC, exclusive), up to a checkpoint, which stays.

        The deletion is itself an act.

        Returns:
            How many entries were deleted.
        """
        (oldest, newest) = self._connection.execute("SELECT min(n), max(n) FROM audit").fetchone()
        (young,) = self._connection.execute("SELECT min(n) FROM audit WHERE at >= ?", (before,)).fetchone()
        if newest is None or young == oldest:
            return 0
        until = newest if young is None else young - 1
        (cut,) = self._connection.execute("SELECT max(n) FROM audit_checkpoint WHERE n <= ?", (until,)).fetchone()
        if cut is None or cut < oldest:
            return 0
        gone = self._connection.execute("DELETE FROM audit WHERE n <= ?", (cut,)).rowcount
        self._connection.execute("DELETE FROM audit_checkpoint WHERE n < ?", (cut,))
        self.enter(Act.LOG_SHORTENED, at=at, reference=str(cut), detail={"entries": gone})
        return int(gone)

    # --- reading ------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[tuple[Entry, str]]:
        """Return every entry with its hash, oldest first."""
        for body, chained in self._connection.execute("SELECT body, hash FROM audit ORDER BY n"):
            yield msgspec.json.decode(body, type=Entry), chained

    def checkpoints(self) -> list[CheckpointRecord]:
        """Return the checkpoints that are kept, oldest first."""
        rows = self._connection.execute("SELECT body FROM audit_checkpoint ORDER BY n").fetchall()
        return [msgspec.json.decode(body, type=CheckpointRecord) for (body,) in rows]

    def names(self) -> dict[str, tuple[str, bytes]]:
        """Return tag -> (value, key) of the subjects that were not erased, each tagged under its own key."""
        rows = self._connection.execute("SELECT name, key FROM audit_subject").fetchall()
        return {tag(key, name): (name, key) for name, key in rows}

    def forget(self, subjects: Iterable[str]) -> int:
        """Destroy the keys of these subjects: their tags say nothing from now on; return of how many there was one."""
        return self._connection.executemany(
            "DELETE FROM audit_subject WHERE name = ?", [(subject,) for subject in subjects]
        ).rowcount

    def _tagged(self, value: Erasable) -> str:
        return tag(self._key(value.subject), value.value)

    def _key(self, subject: str) -> bytes:
        fresh = secrets.token_bytes(KEY_BYTES)
        self._connection.execute(
            "INSERT INTO audit_subject (name, key) VALUES (?, ?) ON CONFLICT DO NOTHING", (subject, fresh)
        )
        return bytes(self._connection.execute("SELECT key FROM audit_subject WHERE name = ?", (subject,)).fetchone()[0])
