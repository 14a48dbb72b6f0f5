"""The box's record of acts in its database: chained, sealed, bounded.

- An entry is added inside a transaction, so that an act and its entry are on the disk together or not at all.
- Entries are sealed like readings; numbers, times and hashes lie in the clear. Erasable values are tags under random
  keys, one a subject, kept in a table of their own: `forget` destroys them, and with them what the tags stood for.
- The chain goes on from the highest of what is known: the last entry, the last checkpoint, the last head that the
  team has said it saw. So a log that was cut shows a hole, and never two entries of one number.
- What is deleted for its age is first signed for: the checkpoint stays.
- Refusals, which somebody outside can cause at will, are entered so many times a day; the rest is counted.

Not here: when acts are entered and checkpoints made (audit), and what an entry is (exchange.audit_chain).
"""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from agent.errors import VaultError
from agent.vault import Vault
from exchange.audit_chain import (
    KEY_BYTES,
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
"""Entries a day of each act that somebody outside can cause at will: a flood must not push history out."""
REFUSALS = frozenset(
    {Act.COMMAND_REFUSED, Act.TEAM_LIST_REFUSED, Act.PROTOCOL_REFUSED, Act.ENROLMENT_REFUSED, Act.SIGN_IN_REFUSED}
)
MOST_WITNESSED = 64
"""Heads of one log, the newest, whose proof is kept."""


class _Subject(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose values are tagged under `key`; `said` is what was last entered of it, to tell a change."""

    name: str
    key: bytes
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """A head that the other side signed for having seen, or of its own log.

    Attributes:
        head: what it said.
        at: ms UTC, by its clock.
        proof: the signed receipt that said so.
    """

    head: Head
    at: int
    proof: bytes


class AuditLog:
    """The audit tables of one open database."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault, *, box: str) -> None:
        """`box` names the log."""
        self._connection = connection
        self._vault = vault
        self._box = box
        self._refusals: dict[tuple[Act, int], int] = {}

    # --- entering -----------------------------------------------------------------------------------------

    def enter(
        self, act: Act, *, at: int, by: str, reference: str | Erasable = "", detail: Detail | None = None
    ) -> int | None:
        """Add an act, inside a transaction; return the number of its entry.

        Returns:
            None when it was one refusal too many of this day (`MOST_REFUSALS`), and only counted.
        """
        if act in REFUSALS and not self._room_for(act, at):
            self._connection.execute(
                "insert into counter(name, n) values (?, 1) on conflict(name) do update set n = n + 1",
                (f"audit.not_entered.{act}",),
            )
            return None
        head = self.head()
        entry = entry_of(head, act, at=at, by=by, reference=reference, detail=detail or {}, tagged=self._tagged)
        chained = after(head, entry)
        self._connection.execute(
            "insert into audit(n, at, hash, body) values (?, ?, ?, ?)",
            (entry.n, at, bytes.fromhex(chained.hash), self._vault.seal("audit", entry.n, entry_bytes(entry))),
        )
        return entry.n

    def _room_for(self, act: Act, at: int) -> bool:
        day = at // DAY_MS
        self._refusals = {key: count for key, count in self._refusals.items() if key[1] == day}
        count = self._refusals.get((act, day), 0) + 1
        self._refusals[act, day] = count
        return count <= MOST_REFUSALS

    def quarantined(self, patient: str, rows: Sequence[int], *, at: int) -> None:
        """Add that readings of a patient (their rows) are not judged, inside a transaction."""
        for row in rows:
            self.enter(Act.READING_QUARANTINED, at=at, by="box", reference=Erasable(value=patient), detail={"row": row})

    def said(self, subject: str) -> str:
        """Return what was last said of `subject`, "" before anything was."""
        return self._subject(subject).said

    def changed(self, subject: str, value: str) -> bool:
        """Return whether `value` is another than last time it was said of `subject`, and remember it; in a transaction.

        The first time is a change.
        """
        known = self._subject(subject)
        if known.said == value:
            return False
        self._keep_subject(msgspec.structs.replace(known, said=value))
        return True

    def begin(self, chain: str, *, at: int) -> None:
        """Begin the log with this chain id, inside a transaction, unless it has begun."""
        if self.chain() is None:
            self._connection.execute("insert into meta(name, value) values ('audit_chain', ?)", (chain.encode(),))
            self.enter(Act.LOG_BEGUN, at=at, by="box", reference=chain)

    # --- heads and checkpoints ----------------------------------------------------------------------------

    def chain(self) -> str | None:
        """Return the id of the chain, None before it has begun."""
        row = self._connection.execute("select value from meta where name = 'audit_chain'").fetchone()
        return None if row is None else bytes(row[0]).decode()

    def head(self) -> Head:
        """Return what the next entry follows."""
        known = [self._last_entry(), self._last_checkpoint()]
        known += [item.head for item in self.witnessed(self._box)][-1:]
        return max(known, key=lambda head: head.n)

    def last_act(self) -> str | None:
        """Return the act of the newest entry, None without one or when it was altered: an auditor finds that."""
        row = self._connection.execute("select n, body from audit order by n desc limit 1").fetchone()
        try:
            return None if row is None else self._opened(*row).act
        except VaultError:
            return None

    def _beginning(self) -> Head:
        return beginning(self._box, self.chain() or "0" * 32)

    def _last_entry(self) -> Head:
        row = self._connection.execute("select n, hash from audit order by n desc limit 1").fetchone()
        begun = self._beginning()
        return begun if row is None else Head(log=self._box, chain=begun.chain, n=row[0], hash=row[1].hex())

    def _last_checkpoint(self) -> Head:
        row = self._connection.execute("select signed from audit_checkpoint order by n desc limit 1").fetchone()
        return self._beginning() if row is None else _checkpoint(row[0]).head

    def checkpoint(self, key: SigningKey, *, at: int) -> CheckpointRecord | None:
        """Sign for what was entered since the last checkpoint, inside a transaction; None when that is nothing."""
        head, since = self.head(), self._last_checkpoint()
        if head.n <= since.n:
            return None
        record = checkpoint(head, since=since, at=at, key=key)
        self._connection.execute(
            "insert or replace into audit_checkpoint(n, at, signed) values (?, ?, ?)",
            (head.n, at, msgspec.msgpack.encode(record)),
        )
        return record

    def shorten(self, *, before: int, most: int, at: int) -> int:
        """Delete what was entered before `before` (ms UTC, exclusive) and all but the newest `most`; in a transaction.

        Only entries under a checkpoint are deleted, up to one: it stays, and what is left follows its hash. The
        deletion is itself an act.

        Returns:
            How many entries were deleted.
        """
        (oldest, newest) = self._connection.execute("select min(n), max(n) from audit").fetchone()
        if newest is None:
            return 0
        (young,) = self._connection.execute("select min(n) from audit where at >= ?", (before,)).fetchone()
        until = max(newest if young is None else young - 1, newest - most)
        (cut,) = self._connection.execute("select max(n) from audit_checkpoint where n <= ?", (until,)).fetchone()
        if cut is None or cut < oldest:
            return 0
        gone = self._connection.execute("delete from audit where n <= ?", (cut,)).rowcount
        self._connection.execute("delete from audit_checkpoint where n < ?", (cut,))
        self.enter(Act.LOG_SHORTENED, at=at, by="box", reference=str(cut), detail={"entries": gone})
        return int(gone)

    # --- what the other side has seen ---------------------------------------------------------------------

    def witness(self, seen: Witnessed) -> bool:
        """Keep a head that the team signed for, inside a transaction; return whether it agrees with what is here.

        Of the box's own log it disagrees when there is no such entry, or another; of the team's, when the same
        number had another hash before. What was told before agrees: a disagreement is said once.
        """
        head = seen.head
        agrees = self._agrees(head)
        new = self._connection.execute(
            "insert or ignore into audit_witness(log, chain, n, hash, at, proof) values (?, ?, ?, ?, ?, ?)",
            (head.log, head.chain, head.n, bytes.fromhex(head.hash), seen.at, seen.proof),
        ).rowcount
        if not new:
            return True
        self._connection.execute(
            "delete from audit_witness where log = ? and n not in"
            " (select n from audit_witness where log = ? order by n desc limit ?)",
            (head.log, head.log, MOST_WITNESSED),
        )
        return agrees

    def witnessed(self, log: str) -> list[Witnessed]:
        """Return the heads of a log that the team signed for, oldest first; of its own, those of the present chain."""
        chain = self.chain()
        rows = self._connection.execute(
            "select chain, n, hash, at, proof from audit_witness where log = ? order by n", (log,)
        ).fetchall()
        return [
            Witnessed(head=Head(log=log, chain=its, n=n, hash=digest.hex()), at=at, proof=proof)
            for its, n, digest, at, proof in rows
            if log != self._box or its == chain
        ]

    def _agrees(self, head: Head) -> bool:
        if head.log != self._box:
            query = "select hash from audit_witness where log = ? and chain = ? and n = ?"
            row = self._connection.execute(query, (head.log, head.chain, head.n)).fetchone()
            return row is None or row[0].hex() == head.hash
        if head.chain != self.chain() or head.n == 0:
            # Another chain of this box: a database of before, whose end the team keeps.
            return head.n == 0 or head.chain != self.chain()
        row = self._connection.execute("select hash from audit where n = ?", (head.n,)).fetchone()
        if row is None:
            (oldest,) = self._connection.execute("select min(n) from audit").fetchone()
            # Deleted for its age, or never there.
            return oldest is not None and head.n < oldest
        return bool(row[0].hex() == head.hash)

    # --- reading ------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[tuple[Entry, str]]:
        """Return every entry with its hash, oldest first."""
        for n, digest, body in self._connection.execute("select n, hash, body from audit order by n"):
            yield self._opened(n, body), digest.hex()

    def checkpoints(self) -> list[CheckpointRecord]:
        """Return the checkpoints that are kept, oldest first."""
        rows = self._connection.execute("select signed from audit_checkpoint order by n").fetchall()
        return [_checkpoint(body) for (body,) in rows]

    def names(self) -> dict[str, tuple[str, bytes]]:
        """Return tag -> (value, key) of the subjects that were not erased, each tagged under its own key."""
        found: dict[str, tuple[str, bytes]] = {}
        for digest, body in self._connection.execute("select digest, body from audit_subject"):
            subject = self._open_subject(digest, body)
            if subject is not None:
                found[tag(subject.key, subject.name)] = (subject.name, subject.key)
        return found

    def erase(self, patient: str, *, devices: Iterable[str], at: int, by: str, readings: int, alerts: int) -> None:
        """Add that a patient was erased, then destroy the keys of theirs and their devices' tags; in a transaction."""
        detail: Detail = {"readings": readings, "alerts": alerts}
        self.enter(Act.ERASED, at=at, by=by, reference=Erasable(value=patient), detail=detail)
        self.forget([patient, *devices])

    def forget(self, subjects: Iterable[str]) -> int:
        """Destroy the keys of these subjects, inside a transaction: their tags say nothing from now on.

        Returns:
            Of how many there was a key.
        """
        digests = [(self._vault.digest("audit_subject", subject),) for subject in subjects]
        return self._connection.executemany("delete from audit_subject where digest = ?", digests).rowcount

    def _opened(self, n: int, body: bytes) -> Entry:
        return msgspec.json.decode(self._vault.open("audit", n, body), type=Entry)

    # --- subjects -----------------------------------------------------------------------------------------

    def _tagged(self, value: Erasable) -> str:
        return tag(self._subject(value.subject).key, value.value)

    def _subject(self, name: str) -> _Subject:
        digest = self._vault.digest("audit_subject", name)
        row = self._connection.execute("select body from audit_subject where digest = ?", (digest,)).fetchone()
        known = None if row is None else self._open_subject(digest, row[0])
        if known is not None:
            return known
        # Also in place of one that was altered: what its key had tagged says nothing any more.
        fresh = _Subject(name=name, key=secrets.token_bytes(KEY_BYTES))
        self._keep_subject(fresh)
        return fresh

    def _open_subject(self, digest: bytes, body: bytes) -> _Subject | None:
        try:
            return msgspec.msgpack.decode(self._vault.open("audit_subject", digest.hex(), body), type=_Subject)
        except VaultError:
            return None

    def _keep_subject(self, subject: _Subject) -> None:
        digest = self._vault.digest("audit_subject", subject.name)
        sealed = self._vault.seal("audit_subject", digest.hex(), msgspec.msgpack.encode(subject))
        self._connection.execute(
            "insert into audit_subject(digest, body) values (?, ?)"
            " on conflict(digest) do update set body = excluded.body",
            (digest, sealed),
        )


def _checkpoint(body: bytes) -> CheckpointRecord:
    return msgspec.msgpack.decode(body, type=CheckpointRecord)
