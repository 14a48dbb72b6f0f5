"""What is remembered while the buffer refuses readings: what to tell of it, and what was lost of streams meanwhile.

- That it is full is told at once, and again now and then while it lasts. That there is room is told only when nothing
  was refused for a while: an alert that comes and goes with each receipt helps nobody.
- A sparse reading that is refused stays with its device, and its source waits. A value of a stream is nowhere else: it
  is counted here, and declared as a gap.

Not here: keeping (pipeline), and what makes room (room). Times are ms UTC.
"""

from collections.abc import Iterable, Mapping

from agent.attribution import moment_ms
from agent.missing import Missing
from agent.store import Arrival
from devices.reading import ClockTrust
from devices.source import DeviceEvent, DeviceEventKind

TELL_MS = 3_600_000
"""That it is full is told again so long after the last time."""
CALM_MS = 600_000
"""Nothing was refused for so long: there is room."""
_WHAT = "buffer"


class Refusal:
    """Whether the buffer refuses; begins as if it had just refused, which an alert may still say."""

    def __init__(self, now: int) -> None:
        self._refused_at = now
        self._told_at: int | None = None
        self._room_told = False
        self._lost: dict[str, Missing] = {}

    def refused(self, now: int) -> tuple[DeviceEvent, ...]:
        """Take note that something was refused; return what is to be told."""
        self._refused_at, self._room_told = now, False
        if self._told_at is not None and 0 <= now - self._told_at < TELL_MS:
            return ()
        self._told_at = now
        return (DeviceEvent(kind=DeviceEventKind.BUFFER_FULL, device=_WHAT, at=now),)

    def kept(self, now: int) -> tuple[DeviceEvent, ...]:
        """Take note that something was kept; return what is to be told."""
        # A clock that was set back begins the while anew.
        self._refused_at = min(self._refused_at, now)
        if self._room_told or now - self._refused_at < CALM_MS:
            return ()
        self._room_told, self._told_at = True, None
        return (DeviceEvent(kind=DeviceEventKind.BUFFER_ROOM, device=_WHAT, at=now),)

    def lose(self, arrivals: Iterable[Arrival]) -> None:
        """Take note of values that are dropped."""
        for arrival in arrivals:
            at, reading = moment_ms(arrival.reading), arrival.reading
            by_arrival = reading.clock is ClockTrust.UNKNOWN or reading.measured_at == reading.received_at
            self._lost.setdefault(arrival.patient, Missing()).add(at, at, 1, by_arrival=by_arrival)

    @property
    def lost(self) -> Mapping[str, Missing]:
        """What was dropped of each patient and is not declared yet."""
        return self._lost

    def declared(self) -> None:
        """Take note that `lost` is declared."""
        self._lost = {}
