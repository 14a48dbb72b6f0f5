"""What every write of the store is built on: opening, transactions that make room, and the numbers of patients.

What devices say about themselves and what is counted are kept here too: neither is sent, and both are small.

Not here: readings and alerts (store), the outbox (store_outbox), and reading (store_reader).
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.ballast import make_way
from agent.command_store import CommandBuffer
from agent.database import connect, immediate, is_damage, unusable
from agent.epochs import Epochs
from agent.errors import AgentError
from agent.eviction import Eviction
from agent.outbox import next_seq
from agent.room import BALLAST, Limits, Room
from agent.shadow_store import ShadowBuffer
from agent.store_audit import StoreAudit
from agent.store_clock import ClockBook
from agent.store_commands import StoreCommands
from agent.store_memos import StoreMemos
from agent.store_outbox import StoreOutbox
from agent.vault import Vault
from devices.reading import Reading
from devices.source import DeviceFacts
from exchange import messages
from exchange.messages import Range
from exchange.sealing import Sealer

T = TypeVar("T")


class StoreWriter(StoreOutbox, ClockBook, StoreCommands, StoreMemos, StoreAudit):
    """One open database, to write. Every method is called from the one thread that opened it."""

    def __init__(self, path: Path, vault: Vault, *, now_ms: int, limits: Limits | None = None) -> None:
        """Open or create the database, held to its limits.

        Raises:
            StoreError: it cannot be used; the hint says what to do.
            VaultError: its keys do not open with this box's key.
        """
        make_way(path.with_name(BALLAST))
        connection = connect(path)
        try:
            super().__init__(connection, vault)
            # Only now: a database that another key has sealed stays as it is.
            with immediate(connection):
                self.outbox.epoch = Epochs(connection).begin(next_seq=next_seq(connection))
            self.keys.make(now_ms)
            self.begin_audit(now_ms=now_ms)
        except sqlite3.Error as error:
            connection.close()
            if is_damage(error):
                raise unusable(path, error) from error
            raise
        except AgentError:
            connection.close()
            raise
        self.path = path
        self._streams: dict[str, int] = {}
        self._shadows = ShadowBuffer(connection, vault)
        self._commands = CommandBuffer(connection, vault)
        self._room = Room(connection, path, limits or Limits())
        self._eviction = Eviction(connection, self.outbox, self._segments, self.epochs, self.audit)

    def _stream(self, patient: str) -> int:
        number = self._streams.get(patient)
        if number is None:
            digest = self._vault.digest("stream", patient)
            execute = self._connection.execute
            execute("insert or ignore into stream(digest) values (?)", (digest,))
            (number,) = execute("select id from stream where digest = ?", (digest,)).fetchone()
            # Remembered only once committed: a rolled back number may be given to somebody else.
            if not self._connection.in_transaction:
                self._streams[patient] = number
        return int(number)

    # --- room ---------------------------------------------------------------------------------------------

    @contextmanager
    def _ordinary(self, now_ms: int) -> Iterator[None]:
        """Like `_transaction`, for what must leave the alerts their reserve."""
        with self._transaction(now_ms):
            self._room.begin()
            yield
            self._room.require()

    def _unless_full(self, write: Callable[[], T], sealer: Sealer, now_ms: int) -> T:
        return self._room.run_ordinary(write, partial(self._eviction.relieve, sealer=sealer, now_ms=now_ms))

    def _with_room(self, write: Callable[[], T], sealer: Sealer, now_ms: int) -> T:
        return self._room.run(write, partial(self._eviction.relieve, sealer=sealer, now_ms=now_ms))

    def forget_receipted(self, *, before_ms: int) -> int:
        """Delete entries receipted before `before_ms` (exclusive); return how many."""
        return self._room.run(lambda: super(StoreWriter, self).forget_receipted(before_ms=before_ms), nothing_gives_way)

    def may_write(self) -> bool:
        """Take the right to write and give it back, so that nothing reaches the disk.

        Returns:
            Whether nothing is known of the disk for which it might refuse a commit.

        Raises:
            sqlite3.Error: somebody else holds the database.
        """
        self._connection.execute("begin immediate")
        self._connection.rollback()
        return not self._room.is_doubtful()

    def prove(self) -> None:
        """Commit something small, for good, also where there is room for nothing else."""
        self._room.run(super().prove, nothing_gives_way)

    def _free(self, ranges: Sequence[Range], *, now_ms: int) -> list[int]:
        """Keep that the team has these, also where there is room for nothing else."""
        return self._room.run(lambda: super(StoreWriter, self)._free(ranges, now_ms=now_ms), nothing_gives_way)

    # --- devices and counters -----------------------------------------------------------------------------

    def _remember_devices(self, readings: Sequence[Reading]) -> None:
        newest: dict[str, Reading] = {}
        for reading in readings:
            before = newest.get(reading.device) or self.last_reading(reading.device)
            if before is None or before.order < reading.order:
                newest[reading.device] = reading
        for device, reading in newest.items():
            digest = self._vault.digest("device", device)
            body = msgspec.msgpack.encode(messages.observation("-", reading))
            self._connection.execute(
                "insert into device(digest, body) values (?, ?) on conflict(digest) do update set body = excluded.body",
                (digest, self._vault.seal("device", digest.hex(), body)),
            )

    def keep_device_facts(self, facts: Mapping[str, DeviceFacts], *, now_ms: int) -> None:
        """Keep what devices said about themselves, in place of what was kept of them."""
        if not facts:
            return
        with self._transaction(now_ms):
            for device, known in facts.items():
                digest = self._vault.digest("device_facts", device)
                sealed = self._vault.seal("device_facts", digest.hex(), msgspec.msgpack.encode(known))
                self._connection.execute(
                    "insert into device_facts(digest, body) values (?, ?)"
                    " on conflict(digest) do update set body = excluded.body",
                    (digest, sealed),
                )

    def keep_counts(self, counts: Mapping[str, int]) -> None:
        """Add to the counters of what was refused or noticed."""
        if counts:
            with immediate(self._connection):
                self._connection.executemany(
                    "insert into counter(name, n) values (?, ?) on conflict(name) do update set n = n + excluded.n",
                    list(counts.items()),
                )


def nothing_gives_way(_pages: int) -> bool:
    """Make no room: whoever has no sealer cannot declare what would be missing."""
    return False
