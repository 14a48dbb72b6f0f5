"""How many of a stream's values are kept: a strap or an oximeter on a finger sends one a second.

Of each quantity, in each minute, a value is kept when it is the first, or lower than all kept before it, or higher. So
what is kept is always a value that the device said, never a computed one; it is kept at once, not at the end of the
minute; and whatever threshold the minute's values crossed, those kept cross it too. A value that no threshold may
judge is kept when nothing of its kind (same validity, same remarks) came before it in the minute, so that a bad signal
is known of.

What is lost: how long within a minute a value lasted, in which order values came that were not extremes, and the RR
intervals of the frames that are left out. Extremes weigh more among the values kept than they did in the minute.

Spot measurements and stored records are never thinned. A new connection begins a new minute, which keeps more, not
less. No clock here: a minute is counted in the times of the readings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from devices import gatt
from devices.reading import JUDGED, Quality, Quantity, Reading, Validity

STREAMED: Final = frozenset({gatt.HEART_RATE_MEASUREMENT, gatt.PLX_CONTINUOUS_MEASUREMENT})
"""The characteristics whose values are thinned."""

_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class _Minute:
    begun: int
    low: int | None = None
    high: int | None = None
    unjudged: set[tuple[Validity, Quality]] = field(default_factory=set)

    def holds(self, at: int) -> bool:
        return self.begun <= at < self.begun + _MINUTE_MS

    def keeps(self, reading: Reading) -> bool:
        if reading.validity not in JUDGED:
            kind = (reading.validity, reading.quality)
            new = kind not in self.unjudged
            self.unjudged.add(kind)
            return new
        if self.low is None or self.high is None:
            self.low = self.high = reading.count
            return True
        new = not self.low <= reading.count <= self.high
        self.low, self.high = min(self.low, reading.count), max(self.high, reading.count)
        return new


class Thinning:
    """The streams of one connection."""

    def __init__(self) -> None:
        self._minutes: dict[Quantity, _Minute] = {}

    def kept(self, readings: Sequence[Reading]) -> list[Reading]:
        """Return those of one frame's readings that are kept, and remember them."""
        return [reading for reading in readings if self._minute(reading).keeps(reading)]

    def _minute(self, reading: Reading) -> _Minute:
        minute = self._minutes.get(reading.quantity)
        if minute is None or not minute.holds(reading.measured_at):
            minute = self._minutes[reading.quantity] = _Minute(begun=reading.measured_at)
        return minute
