"""The commands of a box's database: what was accepted, what was answered, and the protocols that the team ordered.

- A command is remembered before it is done, with what it came to afterwards; a repeat gets the same answer.
- For each series (kind, subject, about) the highest accepted version is kept for good: an old one stays refused long
  after its id was forgotten.
- A protocol that was ordered is kept in the very transaction in which the alerts and the engine that follow from it
  are: a power cut leaves the old one whole, or the new one. So is a shadow, with the answer; its end is kept too, since
  what was ordered holds whatever the settings say.

Not here: who may order what (exchange.commands), and doing it (commands, protocol_command).
"""

import hashlib
import sqlite3
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from agent.errors import VaultError
from agent.vault import Vault
from exchange.command_answers import Answer
from exchange.commands import Command, SignedCommand, decode

FORGOTTEN_AFTER_MS = 100 * 86_400_000
"""An answered command is forgotten so long after it came: by then it has expired. Its series is not."""
MOST_VERSION = 2**63 - 1
ATTEMPTS = 3
"""So often a command that never came to an end is begun again."""


class AppliedProtocol(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A care protocol that the team ordered for a patient, applied or as a shadow.

    Attributes:
        patient: pseudonym.
        text: the resolved protocol, TOML; "" of a shadow that the team ended.
        protocol_hash: of it, "" without one.
        version: of the command.
        command: its id.
        by: who signed it.
        at: ms UTC when it was applied.
    """

    patient: str
    text: str
    protocol_hash: str
    version: int
    command: str
    by: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command came to; `protocol` when it changed the one applied, `shadow` when it changed the shadow."""

    answer: Answer
    protocol: AppliedProtocol | None = None
    shadow: AppliedProtocol | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCommand:
    """A command that was accepted before.

    Attributes:
        fingerprint: SHA-256 of its canonical bytes.
        answer: what it came to, None while it is being done.
    """

    fingerprint: bytes
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A command that was accepted and has come to no end; `attempts` times it was begun."""

    signed: SignedCommand
    attempts: int


class _Kept(Struct, frozen=True, kw_only=True):
    signed: bytes
    answer: Answer | None = None


class CommandReader:
    """The commands in one open database, to read."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    def known(self, command: str) -> KnownCommand | None:
        """Return what is kept of the command with this id, None when it was never accepted."""
        digest = self._vault.digest("command", command)
        row = self._connection.execute("select body from command where digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        kept = self._open(digest, row[0])
        if kept is None:
            return None
        signed = msgspec.msgpack.decode(kept.signed, type=SignedCommand)
        return KnownCommand(fingerprint=hashlib.sha256(signed.command).digest(), answer=kept.answer)

    def command(self, command: str) -> Command | None:
        """Return the command with this id as it was accepted, None when it never was."""
        digest = self._vault.digest("command", command)
        row = self._connection.execute("select body from command where digest = ?", (digest,)).fetchone()
        kept = None if row is None else self._open(digest, row[0])
        if kept is None:
            return None
        return decode(msgspec.msgpack.decode(kept.signed, type=SignedCommand).command)

    def highest(self, series: tuple[str, str, str]) -> int:
        """Return the highest version accepted in a series, 0 when there was none."""
        digest = self._vault.digest("command_series", *series)
        row = self._connection.execute("select body from command_series where digest = ?", (digest,)).fetchone()
        if row is None:
            return 0
        try:
            return int(self._vault.open("command_series", digest.hex(), row[0]))
        except VaultError:
            # Nobody knows any more which orders are old ones: none of this series is obeyed.
            return MOST_VERSION

    def protocol(self, patient: str) -> AppliedProtocol | None:
        """Return the protocol that the team ordered for a patient, None when the settings' is applied."""
        return self._ordered("ordered_protocol", patient)

    def shadow(self, patient: str) -> AppliedProtocol | None:
        """Return the shadow that the team ordered for a patient, or ended; None when the settings say it."""
        return self._ordered("ordered_shadow", patient)

    def _ordered(self, what: str, patient: str) -> AppliedProtocol | None:
        digest = self._vault.digest(what, patient)
        row = self._connection.execute("select body from ordered_protocol where digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        try:
            plain = self._vault.open("ordered_protocol", digest.hex(), row[0])
        except VaultError:
            # The copy of a protocol beside the database takes its place; a shadow is ordered again.
            return None
        return msgspec.msgpack.decode(plain, type=AppliedProtocol)

    def _open(self, digest: bytes, body: bytes) -> _Kept | None:
        """Return what is kept of a command, None of one that was altered."""
        try:
            return msgspec.msgpack.decode(self._vault.open("command", digest.hex(), body), type=_Kept)
        except VaultError:
            return None


class CommandBuffer(CommandReader):
    """The commands in one open database; every change happens inside the store's transactions."""

    def accept(self, command: Command, signed: SignedCommand, *, now_ms: int) -> bool:
        """Remember a command that is about to be done; False when its version does not rise in its series."""
        if command.version <= self.highest(command.series):
            return False
        execute = self._connection.execute
        execute("delete from command where answered = 1 and received_at < ?", (now_ms - FORGOTTEN_AFTER_MS,))
        digest = self._vault.digest("command", command.id)
        kept = _Kept(signed=msgspec.msgpack.encode(signed))
        execute(
            "insert into command(digest, received_at, body) values (?, ?, ?)",
            (digest, now_ms, self._sealed(digest, kept)),
        )
        self._raise(command.series, command.version)
        return True

    def begin(self, command: str) -> int:
        """Count one more attempt at doing a command, and return how many there were."""
        digest = self._vault.digest("command", command)
        self._connection.execute("update command set attempts = attempts + 1 where digest = ?", (digest,))
        row = self._connection.execute("select attempts from command where digest = ?", (digest,)).fetchone()
        return 0 if row is None else int(row[0])

    def finish(self, finished: Finished) -> None:
        """Remember what a command came to, and the protocol that it changed."""
        digest = self._vault.digest("command", finished.answer.command)
        row = self._connection.execute("select body from command where digest = ?", (digest,)).fetchone()
        before = None if row is None else self._open(digest, row[0])
        if before is not None:
            kept = msgspec.structs.replace(before, answer=finished.answer)
            self._connection.execute(
                "update command set answered = 1, body = ? where digest = ?", (self._sealed(digest, kept), digest)
            )
        if finished.protocol is not None:
            self.keep_protocol(finished.protocol)
        if finished.shadow is not None:
            self._keep_ordered("ordered_shadow", finished.shadow)

    def keep_protocol(self, protocol: AppliedProtocol) -> None:
        """Remember that a patient is judged by a protocol that the team ordered, and that no older order counts."""
        self._keep_ordered("ordered_protocol", protocol)
        series = ("protocol", protocol.patient, "")
        self._raise(series, max(protocol.version, self.highest(series)))

    def _keep_ordered(self, what: str, protocol: AppliedProtocol) -> None:
        digest = self._vault.digest(what, protocol.patient)
        sealed = self._vault.seal("ordered_protocol", digest.hex(), msgspec.msgpack.encode(protocol))
        self._connection.execute(
            "insert into ordered_protocol(digest, body) values (?, ?)"
            " on conflict(digest) do update set body = excluded.body",
            (digest, sealed),
        )

    def forget_patient(self, patient: str) -> None:
        """Delete what was ordered of a patient who is erased; that an old order is refused stays known, by a digest."""
        rows = self._connection.execute("select digest, body from command").fetchall()
        for digest, body in rows:
            kept = self._open(digest, body)
            signed = None if kept is None else msgspec.msgpack.decode(kept.signed, type=SignedCommand)
            if signed is not None and decode(signed.command).subject == patient:
                self._connection.execute("delete from command where digest = ?", (digest,))
        for what in ("ordered_protocol", "ordered_shadow"):
            digest = self._vault.digest(what, patient)
            self._connection.execute("delete from ordered_protocol where digest = ?", (digest,))

    def unfinished(self) -> list[Unfinished]:
        """Return the commands that were accepted and came to no end, oldest first."""
        rows = self._connection.execute("select digest, attempts, body from command where answered = 0 order by id")
        return [
            Unfinished(signed=msgspec.msgpack.decode(kept.signed, type=SignedCommand), attempts=attempts)
            for digest, attempts, body in rows.fetchall()
            if (kept := self._open(digest, body)) is not None
        ]

    def _raise(self, series: tuple[str, str, str], version: int) -> None:
        digest = self._vault.digest("command_series", *series)
        self._connection.execute(
            "insert into command_series(digest, body) values (?, ?)"
            " on conflict(digest) do update set body = excluded.body",
            (digest, self._vault.seal("command_series", digest.hex(), str(version).encode())),
        )

    def _sealed(self, digest: bytes, kept: _Kept) -> bytes:
        return self._vault.seal("command", digest.hex(), msgspec.msgpack.encode(kept))
