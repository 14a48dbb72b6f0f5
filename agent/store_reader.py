"""Reading what the box keeps: what `veilleur status` needs, and what the store itself builds on.

Not here: any write, and any judgement of what is read.
"""

import heapq
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from agent.audit_log import AuditLog
from agent.clock_store import last_stretch
from agent.command_store import CommandReader
from agent.database import connect_reading
from agent.epochs import EpochReader
from agent.errors import VaultError
from agent.outbox import Outbox
from agent.room import Fill, fill_of
from agent.sealed_tables import SealedTable
from agent.segments import Segments
from agent.shadow_store import ShadowReader, ShadowState
from agent.vault import Vault
from agent.wrapped_keys import open_keys, wrapped_key
from alerting.alert import AlertChange, ChangeKind
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
            DamagedError: none of its keys opens, though it is this box's key.
            sqlite3.Error: it has not the shape of a box's database.
        """
        self._vault = vault
        self._connection = connection
        self._altered: set[tuple[str, object]] = set()
        self._altered_anew: Counter[str] = Counter()
        for number in range(open_keys(connection, vault)):
            self._note_altered("data_key", number)
        vault.finds_by(partial(wrapped_key, connection))
        self.epochs = EpochReader(connection)
        self.outbox = Outbox(connection, epoch=self.epochs.current)
        self.shadows = ShadowReader(connection, vault)
        self.audit = AuditLog(connection, vault, box=vault.box)
        self.commands = CommandReader(connection, vault)
        self._segments = Segments(connection, vault, self._opened)

    @property
    def epoch(self) -> str:
        """The epoch that numbers are given under: 32 hexadecimal digits."""
        return self.outbox.epoch

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

    def take_altered(self) -> dict[str, int]:
        """Return how many rows were found altered since the last time, by table; each is left out and counted once."""
        taken, self._altered_anew = dict(self._altered_anew), Counter()
        return taken

    def sweep(self, table: SealedTable, after: object) -> object:
        """Open the next rows of a table, as `SealedTable.part` gives them; return where to go on, None at its end.

        Rows that nobody reads for months are so found out while the team still has what they said.
        """
        rows = table.part(self._connection, after)
        for _, row, body in rows:
            self._opened(table.name, row, body)
        return rows[-1][0] if rows else None

    def _note_altered(self, table: str, row: object) -> None:
        if (table, row) not in self._altered:
            self._altered.add((table, row))
            self._altered_anew[table] += 1

    def _opened(self, table: str, row: int | str, sealed: bytes) -> bytes | None:
        """Return what a row says; None when it was altered, which is counted."""
        try:
            return self._vault.open(table, row, sealed)
        except VaultError:
            self._note_altered(table, row)
            return None

    def standing_alerts(self) -> list[AlertChange]:
        """Return the alerts that stand, clinical and technical, oldest first; an altered row is left out."""
        rows = self._connection.execute("select digest from alert where standing = 1").fetchall()
        found = [record for (digest,) in rows if (record := self._alert(digest)) is not None]
        return [messages.alert_change(record) for record in sorted(found, key=lambda r: (r.raised_at, r.rule))]

    def told_alerts(self, patient: str) -> list[tuple[AlertChange, bool]]:
        """Return the alerts of a patient's protocols that stand or ended, as they were last told; True of one standing.

        What was taken back, or goes on under another onset, is left out, and so is an altered row.
        """
        rows = self._connection.execute(
            "select alert.digest, standing from alert join stream on stream.id = alert.stream where stream.digest = ?",
            (self._vault.digest("stream", patient),),
        ).fetchall()
        found = ((self._alert(digest), bool(standing)) for digest, standing in rows)
        told = [
            (record, standing)
            for record, standing in found
            if record is not None and record.protocol and (standing or _has_ended(record))
        ]
        told.sort(key=lambda one: (one[0].raised_at, one[0].rule))
        return [(messages.alert_change(record), standing) for record, standing in told]

    def onsets(self, patient: str, *, since: int) -> list[int]:
        """Return the onsets (ms UTC) of a patient's alerts that stand, or ended at or after `since`; of protocols."""
        rows = self._connection.execute(
            "select alert.digest, standing from alert join stream on stream.id = alert.stream where stream.digest = ?",
            (self._vault.digest("stream", patient),),
        ).fetchall()
        found = ((self._alert(digest), standing) for digest, standing in rows)
        return [
            one.onset
            for one, standing in found
            if one is not None and one.protocol and (standing or (one.resolved_at or 0) >= since)
        ]

    def watched_since(self, patient: str) -> int | None:
        """Return from when on (ms UTC) a patient is judged by the protocol of today; None before the first start."""
        query = "select since from stream where digest = ?"
        row = self._connection.execute(query, (self._vault.digest("stream", patient),)).fetchone()
        return None if row is None else row[0]

    def kept_from(self, patient: str) -> int | None:
        """Return when (ms UTC) the oldest reading that can still be judged with was measured; None without any."""
        query = (
            "select min(measured_at) from reading join stream on stream.id = reading.stream"
            " where stream.digest = ? and length(reading.body) > 0"
        )
        digest = self._vault.digest("stream", patient)
        (sparse,) = self._connection.execute(query, (digest,)).fetchone()
        dense = "select min(measured_from) from segment join stream on stream.id = segment.stream where digest = ?"
        (streamed,) = self._connection.execute(dense, (digest,)).fetchone()
        return min((at for at in (sparse, streamed) if at is not None), default=None)

    def shadow_state(self, patient: str) -> ShadowState | None:
        """Return what is remembered of a patient's shadow, None when there is none."""
        return self.shadows.state(patient)

    def last_reading(self, device: str) -> Reading | None:
        """Return the newest reading that is safe of a device: where its history is resumed from."""
        digest = self._vault.digest("device", device)
        row = self._connection.execute("select body from device where digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        plain = self._opened("device", digest.hex(), row[0])
        if plain is None:
            # Its history is asked for from the beginning: what is known already is kept once.
            return None
        return messages.reading(msgspec.msgpack.decode(plain, type=ObservationRecord))

    def device_facts(self, device: str) -> DeviceFacts:
        """Return what is kept of what a device said about itself; nothing of a device never met."""
        digest = self._vault.digest("device_facts", device)
        row = self._connection.execute("select body from device_facts where digest = ?", (digest,)).fetchone()
        if row is None:
            return DeviceFacts()
        plain = self._opened("device_facts", digest.hex(), row[0])
        return DeviceFacts() if plain is None else msgspec.msgpack.decode(plain, type=DeviceFacts)

    def proofs(self) -> int:
        """Return how often it was proven that a reading can be committed, since this database began."""
        row = self._connection.execute("select value from meta where name = 'proofs'").fetchone()
        return 0 if row is None else int(bytes(row[0]))

    def unconfirmed_alerts_since(self) -> int | None:
        """Return when (ms UTC) the oldest alert was kept that the team has not confirmed; None: it has all."""
        return self.outbox.lane_waits_since(LANE_ALERTS)

    def remembered(self, name: str) -> bytes | None:
        """Return what `Store.remember` kept under a name; None: nothing, or it was altered."""
        digest = self._vault.digest("memo", name)
        row = self._connection.execute("select body from memo where digest = ?", (digest,)).fetchone()
        return None if row is None else self._opened("memo", digest.hex(), row[0])

    def fill(self) -> Fill:
        """Return how full the database is."""
        return fill_of(self._connection)

    def clock_trusted(self, boot: str) -> bool:
        """Return whether somebody has vouched for the box's time in this boot (32 hexadecimal digits)."""
        stretch = last_stretch(self._connection)
        return stretch is not None and stretch.boot == boot and stretch.trusted

    def counters(self) -> dict[str, int]:
        """Return every counter."""
        return dict(self._connection.execute("select name, n from counter order by name").fetchall())

    def _arrived(self, stream: int, *, after: int, until: int, states: Collection[int]) -> Iterator[Kept]:
        """Yield the readings in these states of the rows after `after` up to `until`, included, in order of arrival."""
        where = f"stream = ? and id > ? and id <= ? and state in {_listed(states)} order by id"
        sparse = self._readings(where, (stream, after, until))
        dense = self._segments.arrived(stream, after=after, until=until, states=states)
        yield from heapq.merge(sparse, _kept(dense), key=lambda kept: kept.row)

    def _measured(self, stream: int, *, since: int, until_row: int, states: Collection[int]) -> Iterator[Kept]:
        """Yield the readings in these states measured at or after `since` and kept no later than `until_row`.

        They come in order of (`measured_at`, row).
        """
        where = f"stream = ? and measured_at >= ? and id <= ? and state in {_listed(states)} order by measured_at, id"
        sparse = self._readings(where, (stream, since, until_row))
        dense = self._segments.measured(stream, since=since, until_row=until_row, states=states)
        yield from heapq.merge(sparse, _kept(dense), key=lambda kept: (kept.reading.measured_at, kept.row))

    def _readings(self, where: str, values: tuple[int, ...]) -> Iterator[Kept]:
        # `where` is one of this class's own constants; values are always bound.
        for row, digest, body in self._connection.execute(
            f"select id, digest, body from reading where {where}",  # noqa: S608
            values,
        ):
            plain = self._opened("reading", digest.hex(), body)
            if plain is None:
                continue
            record = msgspec.msgpack.decode(plain, type=ObservationRecord)
            yield Kept(row=row, reading=messages.reading(record))

    def _alert(self, digest: bytes) -> AlertRecord | None:
        row = self._connection.execute("select body from alert where digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        plain = self._opened("alert", digest.hex(), row[0])
        return None if plain is None else msgspec.msgpack.decode(plain, type=AlertRecord)


def _kept(numbered: Iterator[tuple[int, Reading]]) -> Iterator[Kept]:
    return (Kept(row=row, reading=reading) for row, reading in numbered)


def _has_ended(record: AlertRecord) -> bool:
    return record.kind is not ChangeKind.RETRACTED and record.resolved_at is not None


def _listed(states: Collection[int]) -> str:
    return f"({', '.join(str(int(state)) for state in states)})"
