"""One measurement that a device sends twice in different words: once live, once from its memory, or in two services.

A scale may show a weighing as it happens, without a date or a user, and send it again later as a stored record with
both; or say the same weight as a weight and within a body composition. The bytes differ, so the record keys do.

Two records are one when every value that both have is the same and as valid, they do not name two different users,
and either

- both are dated, to the same time; or
- one came without a time, the other is dated to within a minute of its arrival, and neither is known to belong to
  another record yet: two people of the same weight, one after the other, stay two.

What a record says beyond the one that it echoes is no echo. Where users decide whose a record is, neither is the first
record that names the user: the one before it, which named nobody, is nobody's.

Not here: the same bytes again, which the record key tells.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from devices.reading import ClockTrust, Reading, Validity

_WITHIN_MS: Final = 60_000
"""How far the dated record may lie from the arrival of the undated one, inclusive."""
_REMEMBERED: Final = 64
"""Records of one device that an echo is looked for among."""


@dataclass(slots=True)
class _Record:
    key: str
    values: dict[str, tuple[int, Validity]]
    at: int
    dated: bool
    user: int | None
    other_at: int | None = None
    """When its echo of the other kind, dated or not, was measured: no other moment's record is its echo."""

    @classmethod
    def of(cls, together: Sequence[Reading]) -> "_Record":
        first = together[0]
        return cls(
            key=first.key,
            values=_values(together),
            at=first.measured_at,
            dated=first.clock is not ClockTrust.UNKNOWN,
            user=first.provenance.user,
        )

    def echoes(self, known: "_Record") -> bool:
        shared = self.values.keys() & known.values.keys()
        if self.key == known.key or not shared or any(self.values[name] != known.values[name] for name in shared):
            return False
        if None not in (self.user, known.user) and self.user != known.user:
            return False
        if self.dated and known.dated:
            return self.at == known.at
        return (
            self.dated is not known.dated
            and abs(self.at - known.at) <= _WITHIN_MS
            and known.other_at in (None, self.at)
        )


class Echoes:
    """The newest records of one device."""

    def __init__(self, *, by_user: bool = False) -> None:
        """Begin; `by_user`: whether the user that a record names decides whose it is."""
        self._by_user = by_user
        self._records: deque[_Record] = deque(maxlen=_REMEMBERED)

    def without(self, readings: Sequence[Reading]) -> list[Reading]:
        """Return the readings that are no echo of one seen before, and remember them."""
        fresh: list[Reading] = []
        for _, group in groupby(readings, key=lambda reading: reading.key):
            fresh += self._new_in(list(group))
        return fresh

    def _new_in(self, together: list[Reading]) -> list[Reading]:
        """Return what one record says that none before it said."""
        record = _Record.of(together)
        original = next((known for known in self._records if record.echoes(known)), None)
        if original is None:
            self._records.append(record)
            return together
        names_first = self._by_user and original.user is None and record.user is not None
        if original.dated is not record.dated:
            original.other_at = record.at
            # From now on it is known whose it is.
            original.user = record.user if original.user is None else original.user
        if names_first:
            original.user = record.user
            return together
        new = [reading for reading in together if reading.quantity.value not in original.values]
        original.values |= _values(new)
        return new


def _values(readings: Sequence[Reading]) -> dict[str, tuple[int, Validity]]:
    return {reading.quantity.value: (reading.count, reading.validity) for reading in readings}
