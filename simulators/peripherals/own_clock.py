"""A virtual device's own wall clock: local time, perhaps a wrong one, perhaps none at all.

Read and set through Current Time or, on devices such as A&D's, through Date Time.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from bumble.att import ATT_Error, ErrorCode

from devices.clock import Clock
from devices.errors import FrameError
from devices.wall_clock import UNKNOWN_DATE_TIME, CurrentTime, DateTime
from simulators.faults import ClockFault, KeepClock, SetClock, SkewClock, UnsetClock

_IGNORED_FIELD = 0x80
"""Application error of the Current Time service: a field was not taken (Current Time Service 1.1, 3.1.2)."""


class OwnClock:
    """The clock inside a device.

    Attributes:
        offset_ms: how far it is ahead of true time.
        unset: True while it shows year 0, because nobody has set it yet.
        stubborn: True when it accepts a new time and keeps its own.
    """

    def __init__(self, true: Clock, zone: ZoneInfo) -> None:
        """Start right.

        Args:
            true: true simulated time.
            zone: in which it shows local time.
        """
        self.offset_ms = 0
        self.unset = False
        self.stubborn = False
        self._true = true
        self._zone = zone

    def now_ms(self) -> int:
        """Return the moment that it shows, ms UTC, or would show if it was set."""
        return self._true.now_ms() + self.offset_ms

    def dated(self, at: int) -> tuple[DateTime, int]:
        """Return what it shows at true time `at`, and the ms UTC that this means; year 0 and 0 when it is not set."""
        if self.unset:
            return UNKNOWN_DATE_TIME, 0
        shown_ms = (at + self.offset_ms) // 1000 * 1000
        return DateTime.of(shown_ms, self._zone), shown_ms

    def suffer(self, fault: ClockFault) -> None:
        """Let a fault happen now."""
        match fault:
            case SkewClock(seconds=seconds):
                self.offset_ms += seconds * 1000
            case SetClock(shows=local):
                self.show(local)
            case UnsetClock():
                self.restart(None)
            case KeepClock():
                self.stubborn = True

    def restart(self, local: datetime | None) -> None:
        """Begin anew, as when the battery was out: at this local time, or unset."""
        self.unset = local is None
        if local is not None:
            self.show(local)

    def show(self, local: datetime) -> None:
        """Let it show this local time now, and run on."""
        self.unset = False
        self.offset_ms = self._offset_of(local)

    def current_time(self) -> bytes:
        """Return what Current Time says."""
        return bytes(
            CurrentTime(date_time=UNKNOWN_DATE_TIME) if self.unset else CurrentTime.of(self.now_ms(), self._zone)
        )

    def date_time(self) -> bytes:
        """Return what Date Time says."""
        return bytes(UNKNOWN_DATE_TIME if self.unset else DateTime.of(self.now_ms(), self._zone))

    def set_current_time(self, written: bytes) -> None:
        """Take a Current Time that a box writes.

        Raises:
            ATT_Error: it is none.
        """
        try:
            local = CurrentTime.from_bytes(written).date_time.local
        except FrameError:
            local = None
        self._take(local, ErrorCode(_IGNORED_FIELD))

    def set_date_time(self, written: bytes) -> None:
        """Take a Date Time that a box writes.

        Raises:
            ATT_Error: it is none.
        """
        try:
            local = DateTime.from_bytes(written).local
        except FrameError:
            local = None
        self._take(local, ErrorCode.VALUE_NOT_ALLOWED)

    def _take(self, local: datetime | None, refusal: ErrorCode) -> None:
        if local is None:
            raise ATT_Error(refusal)
        if not self.stubborn:
            self.show(local)

    def _offset_of(self, local: datetime) -> int:
        now = self._true.now_ms()
        # In the hour that comes twice the nearer one is meant.
        both = (round(local.replace(tzinfo=self._zone, fold=fold).timestamp() * 1000) for fold in (0, 1))
        return min((set_to - now for set_to in both), key=abs)
