"""Reading what the box keeps: what `veilleur status` needs, and what the store itself builds on.

Not here: any write, and any judgement of what is read.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.command_store import CommandReader
from agent.database import connect_reading
from agent.outbox import Outbox
from agent.shadow_store import ShadowReader, ShadowState
from agent.vault import Vault
from alerting.alert import AlertChange
from devices.reading import Reading
from devices.source import DeviceFacts
from exchange import messages
from exchange.messages import AlertRecord, ObservationRecord
from exchange.sealing import LANE_ALERTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A reading that is safe; `row` orders the readings of a box by arrival."""

    row: int
    reading: Reading


class StoreReader:
    """One open database, to read."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        """Take over an open connection.

        Raises:
            VaultError: its keys do not open with this box's key.
            sqlite3.Error: it has not the shape of a box's database.
        """
        self._vault = vault
        self._connection = connection
        for number, wrapped in connection.execute("select id, wrapped from data_key"):
            vault.open_key(number, wrapped)
        (value,) = connection.execute("select value from meta where name = 'epoch'").fetchone()
        self.epoch = bytes(value).decode()
        self.outbox = Outbox(connection, epoch=self.epoch)
        self.shadows = ShadowReader(connection, vault)
        self.commands = CommandReader(connection, vault)

    @classmethod
    def open(cls, path: Path, vault: Vault) -> "StoreReader":
        """Open the database of a box, running or not, without changing it.

        Raises:
            StoreError: there is none, or it cannot be read.
            VaultError: its keys do not open with this box's key.
        """
        return cls(connect_reading(path), vault)

    def close(self) -> None:
        """Close the database; everything committed stays."""
        self._connection.close()

    def standing_alerts(self) -> list[AlertChange]:
        """Return the alerts that stand, clinical and technical, oldest first."""
        rows = self._connection.execute("select digest from alert where standing = 1").fetchall()
        found = [record for (digest,) in rows if (record := self._alert(digest)) is not None]
        return [messages.alert_change(record) for record in sorted(found, key=lambda r: (r.raised_at, r.rule))]

    def watched_since(self, patient: str) -> int | None:
        """Return from when on (ms UTC) a patient is judged by the protocol of today; None before the first start."""
        query = "select since from stream where digest = ?"
        row = self._connection.execute(query, (self._vault.digest("stream", patient),)).fetchone()
        return None if row is None else row[0]

    def shadow_state(self, patient: str) -> ShadowState | None:
        """Return what is remembered of a patient's shadow, None when there is none."""
        return self.shadows.state(patient)

    def last_reading(self, device: str) -> Reading | None:
        """Return the newest reading that is safe of a device: where its history is resumed from."""
        digest = self._vault.digest("device", device)
        row = self._connection.execute("select body from device where digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        plain = self._vault.open("device", digest.hex(), row[0])
        return messages.reading(msgspec.msgpack.decode(plain, type=ObservationRecord))

    def device_facts(self, device: str) -> DeviceFacts:
        """Return what is kept of what a device said about itself; nothing of a device never met."""
        digest = self._vault.digest("device_facts", device)
        row = self._connection.execute("select body from device_facts where digest = ?", (digest,)).fetchone()
        if row is None:
            return DeviceFacts()
        return msgspec.msgpack.decode(self._vault.open("device_facts", digest.hex(), row[0]), type=DeviceFacts)

    def proofs(self) -> int:
        """Return how often it was proven that a reading can be committed, since this database began."""
        row = self._connection.execute("select value from meta where name = 'proofs'").fetchone()
        return 0 if row is None else int(bytes(row[0]))

    def unconfirmed_alerts_since(self) -> int | None:
        """Return when (ms UTC) the oldest alert was kept that the team has not confirmed; None: it has all."""
        return self.outbox.lane_waits_since(LANE_ALERTS)

    def remembered(self, name: str) -> bytes | None:
        """Return what `Store.remember` kept under a name; None: nothing.

        Raises:
            VaultError: it was altered.
        """
        row = self._connection.execute("select value from meta where name = ?", (name,)).fetchone()
        return None if row is None else self._vault.open("meta", name, bytes(row[0]))

    def counters(self) -> dict[str, int]:
        """Return every counter."""
        return dict(self._connection.execute("select name, n from counter order by name").fetchall())

    def _readings(self, where: str, values: tuple[int, ...]) -> Iterator[Kept]:
        # `where` is one of this class's own constants; values are always bound.
        for row, digest, body in self._connection.execute(
            f"select id, digest, body from reading where {where}",  # noqa: S608
            values,
        ):
            plain = self._vault.open("reading", digest.hex(), body)
            record = msgspec.msgpack.decode(plain, type=ObservationRecord)
            yield Kept(row=row, reading=messages.reading(record))

    def _alert(self, digest: bytes) -> AlertRecord | None:
        row = self._connection.execute("select body from alert where digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        return msgspec.msgpack.decode(self._vault.open("alert", digest.hex(), row[0]), type=AlertRecord)
