"""Observations on their way into their table: many in one go, each once.

A number is a box's, a reading is its device's (see sql_records): a memory of a device that is known is not stored
again. That a number is new is not asked here. Rows wait until `flush`, in the order in which they came; whoever reads
or moves observations in the same transaction flushes first.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from coordination.bulk_rows import Value, insert, insert_new, marks, parts
from coordination.sql import Sql
from exchange.messages import ObservationRecord

COLUMNS: Final = {
    "patient_id": "int8",
    "box_id": "int8",
    "epoch": "text",
    "seq": "int8",
    "device_id": "int8",
    "quantity": "text",
    "count": "int8",
    "unit": "text",
    "validity": "text",
    "t": "int8",
    "clock": "text",
    "received_at": "int8",
    "stored_at": "int8",
    "key": "text",
    "quality": "int8",
    "source": "text",
    "device_value": "text",
    "device_unit": "text",
    "device_time": "text",
    "frame": "bytea",
}
"""Of `observation`, each with its type on PostgreSQL."""
OTHERS_WORDS: Final = frozenset({"key", "source", "device_value", "device_time"})
"""The columns whose texts a box or its devices chose."""
MOST_ROWS: Final = 20_000
"""How many rows wait at most."""
_MEMORY: Final = ("device_id", "key", "quantity", "count", "validity")

Memory = tuple[int, str, str, int, str]
"""(device_id, key, quantity, count, validity): what a device's reading is, under whichever number it comes."""


@dataclass(slots=True)
class _Device:
    """A device of a box: `first` and `last` are when it spoke (ms UTC), `moved` whether that is to be kept."""

    row: int
    first: int
    last: int
    moved: bool = False


class Observations:
    """The observations of one open transaction that are not stored yet, and the devices that they are of."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection
        self._rows: list[tuple[Value, ...]] = []
        self._memories: list[Memory | None] = []
        self._devices: dict[tuple[int, str], _Device] = {}

    def expect(self, devices: Collection[tuple[int, str]]) -> None:
        """Look up, in one go, some devices: (row of a box, name)."""
        for some in parts(sorted(devices)):
            places, values = marks(some)
            for box, name, row, first, last in self._connection.execute(
                "SELECT box_id, name, id, first_data_at, last_data_at FROM device"  # noqa: S608 - places of values
                f" WHERE (box_id, name) IN (VALUES {places})",
                values,
            ):
                self._devices[box, name] = _Device(row, first, last)

    def add(
        self,
        record: ObservationRecord,
        number: tuple[int, str, int],
        *,
        patient: int,
        stored_at: int,
        remembered: bool,
    ) -> None:
        """Take up an observation.

        Args:
            record: by the right time.
            number: (row of the box, epoch, sequence number); no one twice.
            patient: the row.
            stored_at: ms UTC, by the team's clock.
            remembered: False of what no device can hand over again.
        """
        box, epoch, seq = number
        # As plain texts: both engines look twice at an enumeration.
        quantity, validity, at = str(record.quantity), str(record.validity), record.measured_at
        device = self._devices.get((box, record.device)) or self._new_device(box, record)
        if not device.first <= at <= device.last:
            device.first, device.last, device.moved = min(device.first, at), max(device.last, at), True
        self._memories.append((device.row, record.key, quantity, record.count, validity) if remembered else None)
        self._rows.append(
            (
                patient,
                box,
                epoch,
                seq,
                device.row,
                quantity,
                record.count,
                str(record.unit),
                validity,
                at,
                str(record.clock),
                record.received_at,
                stored_at,
                record.key,
                record.quality,
                record.source,
                record.device_value,
                str(record.device_unit),
                record.device_time,
                record.frame,
            )
        )
        if len(self._rows) >= MOST_ROWS:
            self.flush()

    def _new_device(self, box: int, record: ObservationRecord) -> _Device:
        at = record.measured_at
        self._connection.execute(
            "INSERT INTO device (box_id, name, first_data_at, last_data_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (box, record.device, at, at),
        )
        query = "SELECT id FROM device WHERE box_id = ? AND name = ?"
        row = self._connection.execute(query, (box, record.device)).fetchone()[0]
        device = self._devices[box, record.device] = _Device(row, at, at, moved=True)
        return device

    def flush(self) -> None:
        """Store what waits and is new."""
        rows, self._rows = self._rows, []
        memories, self._memories = self._memories, []
        repeats = Counter(memory for memory in memories if memory is not None)
        if repeats:
            unknown = insert_new(self._connection, "device_record", _MEMORY, list(repeats))
            new = []
            for row, memory in zip(rows, memories, strict=True):
                if memory is not None:
                    if memory not in unknown:
                        continue
                    unknown.discard(memory)
                    repeats[memory] -= 1
                new.append(row)
            rows = new
            self._connection.executemany(
                "UPDATE device_record SET repeats = repeats + ?"
                " WHERE (device_id, key, quantity, count, validity) = (?, ?, ?, ?, ?)",
                [(times, *memory) for memory, times in repeats.items() if times],
            )
        insert(self._connection, "observation", COLUMNS, rows, others_words=OTHERS_WORDS)

    def keep_devices(self) -> None:
        """Keep when devices spoke first and last."""
        moved = [device for _, device in sorted(self._devices.items(), key=lambda item: item[0]) if device.moved]
        self._connection.executemany(
            "UPDATE device SET first_data_at = least(first_data_at, ?), last_data_at = greatest(last_data_at, ?)"
            " WHERE id = ?",
            [(device.first, device.last, device.row) for device in moved],
        )
        for device in moved:
            device.moved = False
