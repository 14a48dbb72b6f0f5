"""Erasing a patient from the box, so that not even the raw card tells what it held of them (docs/adr/0023).

One transaction: the patient's rows go, everything that stays is sealed anew under data keys made for it, those are
wrapped under a new key of the box, and no other key remains. What old pages of the file, its log or the card may still
hold was sealed under data keys that only the old key of the box opens, and that one is destroyed. A stop at any moment
leaves everything as it was, or everything erased.

What is not erased here: envelopes that still wait, which only the team can open and must still get; what the team has;
readings that could be attributed to nobody.
"""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, replace

import msgspec

from agent.account import account
from agent.audit_log import AuditLog
from agent.command_store import CommandBuffer
from agent.database import immediate
from agent.errors import RequestError, VaultError
from agent.sealed_tables import SEALED, require_all_listed
from agent.segments import Segments
from agent.vault import SEALS_PER_KEY, Vault
from agent.wrapped_keys import WrappedKeys
from alerting.alert import Sentence
from devices.reading import Reading, Validity
from exchange import messages
from exchange.messages import ObservationRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How many readings and alerts of the patient went, and how many rows were sealed anew."""

    readings: int
    alerts: int
    sealed_anew: int


class Eraser:
    """Erases from one open database."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault, segments: Segments) -> None:
        self._connection = connection
        self._vault = vault
        self._segments = segments

    def erase(self, patient: str, kek: bytes, *, in_use: Collection[str], now_ms: int) -> Erased:
        """Erase a patient, and put everything that stays under another key of the box.

        Args:
            patient: pseudonym.
            kek: the new key of the box, kept already where a start finds it; the caller destroys the old one.
            in_use: addresses of devices that somebody else uses now.
            now_ms: ms UTC.

        Raises:
            RequestError: nothing is kept of this patient.
            StoreError: it is not known what the keys protect.
        """
        execute, vault = self._connection.execute, self._vault
        require_all_listed(self._connection)
        with immediate(self._connection):
            row = execute("select id from stream where digest = ?", (vault.digest("stream", patient),)).fetchone()
            if row is None:
                raise _unknown(patient)
            stream = int(row[0])
            devices = self._devices(stream)
            self._erase_devices(devices, stream, in_use)
            for table in ("shadow_left_out", "segment_left_out", "shadow_alert", "shadow"):
                execute(f"delete from {table} where stream = ?", (stream,))  # noqa: S608 one of four constants
            alerts = execute("delete from alert where stream = ?", (stream,)).rowcount
            readings = execute("delete from reading where stream = ?", (stream,)).rowcount
            readings += self._segments.erase(stream)
            execute("delete from stream where id = ?", (stream,))
            CommandBuffer(self._connection, vault).forget_patient(patient)
            AuditLog(self._connection, vault, box=vault.box).erase(
                patient, devices=devices - set(in_use), at=now_ms, by=account(), readings=readings, alerts=alerts
            )
            # The team has these; whoever asks for them again is told that they are gone.
            execute("delete from outbox where receipted_at is not null")
            numbers, sealed = self._seal_anew(kek, now_ms)
        vault.adopt(kek)
        vault.use_key(numbers[-1], now_ms, seals=sealed % SEALS_PER_KEY)
        for number in range(1, numbers[0]):
            vault.forget_key(number)
        return Erased(readings=readings, alerts=alerts, sealed_anew=sealed)

    def _seal_anew(self, kek: bytes, now_ms: int) -> tuple[list[int], int]:
        """Seal all that stays with fresh data keys, the only ones kept; return their numbers, and how many seals."""
        numbers, sealed = [self._vault.highest + 1], 0
        wrapped = [self._vault.new_key(numbers[0], under=kek)]
        for table in SEALED:
            for key, row, body in table.bodies(self._connection):
                try:
                    plain = self._vault.open(table.name, row, body)
                except VaultError:
                    # Altered before: nobody can read it, and nobody will.
                    continue
                if sealed and sealed % SEALS_PER_KEY == 0:
                    numbers.append(numbers[-1] + 1)
                    wrapped.append(self._vault.new_key(numbers[-1], under=kek))
                table.put(self._connection, key, self._vault.seal_with(numbers[-1], table.name, row, plain))
                sealed += 1
        self._connection.execute("delete from data_key")
        self._connection.executemany(
            "insert into data_key(id, created, wrapped) values (?, ?, ?)",
            [(number, now_ms, one) for number, one in zip(numbers, wrapped, strict=True)],
        )
        WrappedKeys(self._connection, self._vault).wrap_index_anew(kek)
        return numbers, sealed

    # --- devices ------------------------------------------------------------------------------------------

    def _erase_devices(self, devices: Collection[str], stream: int, in_use: Collection[str]) -> None:
        """Erase what is kept of the patient's devices: all of it, or of one that goes on, the value it gave last."""
        for address in devices:
            digest = self._vault.digest("device", address)
            facts = self._vault.digest("device_facts", address)
            if address not in in_use:
                self._connection.execute("delete from device where digest = ?", (digest,))
                self._connection.execute("delete from device_facts where digest = ?", (facts,))
            elif (last := self._last(digest)) is not None and self._is_of(stream, last):
                body = msgspec.msgpack.encode(messages.observation("-", _emptied(last)))
                sealed = self._vault.seal("device", digest.hex(), body)
                self._connection.execute("update device set body = ? where digest = ?", (sealed, digest))

    def _devices(self, stream: int) -> set[str]:
        rows = self._connection.execute(
            "select digest, body from reading where stream = ? and length(body) > 0", (stream,)
        )
        found = (self._record("reading", digest, body) for digest, body in rows.fetchall())
        return {record.device for record in found if record is not None} | self._segments.devices(stream)

    def _last(self, digest: bytes) -> Reading | None:
        row = self._connection.execute("select body from device where digest = ?", (digest,)).fetchone()
        record = None if row is None else self._record("device", digest, row[0])
        return None if record is None else messages.reading(record)

    def _record(self, table: str, digest: bytes, body: bytes) -> ObservationRecord | None:
        try:
            return msgspec.msgpack.decode(self._vault.open(table, digest.hex(), body), type=ObservationRecord)
        except VaultError:
            return None

    def _is_of(self, stream: int, reading: Reading) -> bool:
        digest = self._vault.digest("reading", reading.device, reading.key, reading.quantity)
        row = self._connection.execute("select 1 from reading where digest = ? and stream = ?", (digest, stream))
        return row.fetchone() is not None or not self._segments.fresh(stream, [reading])


def _emptied(reading: Reading) -> Reading:
    """Return where a device's history is resumed from, without what it measured."""
    nothing = replace(reading.provenance, value=None, frame=b"", user=None, site=None)
    return replace(reading, count=0, validity=Validity.INVALID, provenance=nothing)


def _unknown(patient: str) -> RequestError:
    return RequestError(
        Sentence(fr=f"Le boîtier ne garde rien de {patient}.", en=f"The box keeps nothing of {patient}."),
        Sentence(fr="Vérifier le pseudonyme ; rien n'a été changé.", en="Check the pseudonym; nothing was changed."),
    )
