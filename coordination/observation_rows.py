"""Readings on their way into the table of observations: many in one go, each once.

A number is a box's, a reading is its device's (see sql_records): what came under a number that is known, or is a
memory of a device that is known, is not stored again. Rows wait here until `flush`, in the order in which they came;
whoever reads or moves observations in the same transaction flushes first.
"""

from collections import Counter
from typing import Final

from coordination.bulk_rows import Value, insert, insert_new
from coordination.sql import Sql

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
MOST_ROWS = 20_000
"""How many rows wait at most."""
_NUMBER: Final = ("box_id", "epoch", "seq")
_MEMORY: Final = ("device_id", "key", "quantity", "count", "validity")

Number = tuple[int, str, int]
"""(box_id, epoch, seq)."""
Memory = tuple[int, str, str, int, str]
"""(device_id, key, quantity, count, validity): what a device's reading is, under whichever number it comes."""


class ObservationRows:
    """The observations of one open transaction that are not stored yet."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection
        self._rows: dict[Number, tuple[tuple[Value, ...], Memory | None]] = {}

    def add(self, number: Number, row: tuple[Value, ...], memory: Memory | None) -> None:
        """Take up a row.

        Args:
            number: of its box.
            row: the values of `COLUMNS`.
            memory: None of a reading that its device has no memory of.
        """
        self._rows.setdefault(number, (row, memory))
        if len(self._rows) >= MOST_ROWS:
            self.flush()

    def flush(self) -> None:
        """Store what waits and is new."""
        waiting, self._rows = self._rows, {}
        if not waiting:
            return
        numbers = insert_new(self._connection, "observation_key", _NUMBER, list(waiting))
        fresh = [item for number, item in waiting.items() if number in numbers]
        repeats = Counter(memory for _, memory in fresh if memory is not None)
        unknown = insert_new(self._connection, "device_record", _MEMORY, list(repeats))
        new = []
        for row, memory in fresh:
            if memory is not None:
                if memory not in unknown:
                    continue
                unknown.discard(memory)
                repeats[memory] -= 1
            new.append(row)
        self._connection.executemany(
            "UPDATE device_record SET repeats = repeats + ?"
            " WHERE (device_id, key, quantity, count, validity) = (?, ?, ?, ?, ?)",
            [(times, *memory) for memory, times in repeats.items() if times],
        )
        insert(self._connection, "observation", COLUMNS, new)
