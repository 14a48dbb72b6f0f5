"""One measurement that a device sends twice in different words: once live, once from its memory.

A scale may show a weighing as it happens, without a date or a user, and send it again later as a stored record with
both. Their bytes differ, so their record keys do. They are one when every value is the same and either their times
are the same, or one came without a time and the other is dated to within a minute of its arrival.

Not here: the same bytes again, which the record key tells.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from devices.reading import ClockTrust, Reading

_WITHIN_MS: Final = 60_000
"""How far the dated record may lie from the arrival of the undated one, inclusive."""
_REMEMBERED: Final = 64
"""Records of one device that an echo is looked for among."""


@dataclass(frozen=True, slots=True)
class _Record:
    key: str
    values: frozenset[tuple[str, int]]
    at: int
    dated: bool

    def echoes(self, other: "_Record") -> bool:
        if self.key == other.key or self.values != other.values:
            return False
        if self.dated and other.dated:
            return self.at == other.at
        return self.dated is not other.dated and abs(self.at - other.at) <= _WITHIN_MS


class Echoes:
    """The newest records of one device."""

    def __init__(self) -> None:
        self._records: deque[_Record] = deque(maxlen=_REMEMBERED)

    def without(self, readings: Sequence[Reading]) -> list[Reading]:
        """Return the readings that are no echo of a record seen before, and remember theirs."""
        fresh: list[Reading] = []
        for key, group in groupby(readings, key=lambda reading: reading.key):
            together = list(group)
            record = _Record(
                key=key,
                values=frozenset((reading.quantity.value, reading.count) for reading in together),
                at=together[0].measured_at,
                dated=together[0].clock is not ClockTrust.UNKNOWN,
            )
            if not any(record.echoes(known) for known in self._records):
                self._records.append(record)
                fresh += together
        return fresh
