"""A device's wall clock: Date Time and Current Time both ways, and what moment a claimed local time means.

A reading is never refused for its date. A date that is absent, impossible, from before Bluetooth Low Energy
existed or from the future leaves the reading with the time of its arrival and `ClockTrust.UNKNOWN`; what the
device claimed is kept as provenance.

Sources: GATT Specification Supplement, Date Time (0x2A08), Day Date Time, Exact Time 256, Current Time (0x2A2B);
Current Time Service 1.1, section 3.1.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import IntFlag
from typing import Self
from zoneinfo import ZoneInfo

from devices.gatt import CURRENT_TIME, DATE_TIME, FrameReader, uint_bytes
from devices.reading import ClockTrust, Quality

FUTURE_TOLERANCE_MS = 5 * 60 * 1000
"""How far after the box's time a device's time may lie, inclusive, and still be believed."""

_YEARS = range(2010, 2200)
"""Bluetooth 4.0 is of June 2010: a measurement sent over it cannot be older, a clock that lost its battery is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTime:
    """A local date and time as a device shows it, to the second (GSS, Date Time).

    Any bytes are kept as they came; `local` says whether they are a date.

    Attributes:
        year: 1582 to 9999; 0 unknown.
        month: 1 to 12; 0 unknown.
        day: 1 to 31; 0 unknown.
        hours: 0 to 23.
        minutes: 0 to 59.
        seconds: 0 to 59.
    """

    year: int
    month: int
    day: int
    hours: int
    minutes: int
    seconds: int

    @classmethod
    def read(cls, reader: FrameReader) -> Self:
        """Take seven bytes.

        Raises:
            FrameError: fewer are left.
        """
        return cls(
            year=reader.uint(2, "the year"),
            month=reader.uint(1, "the month"),
            day=reader.uint(1, "the day"),
            hours=reader.uint(1, "the hours"),
            minutes=reader.uint(1, "the minutes"),
            seconds=reader.uint(1, "the seconds"),
        )

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a Date Time characteristic; bytes after the seventh are ignored.

        Raises:
            FrameError: fewer than seven bytes.
        """
        return cls.read(FrameReader(DATE_TIME, frame))

    @classmethod
    def of(cls, at_ms: int, zone: ZoneInfo) -> Self:
        """Return what a right clock in `zone` shows at `at_ms` (ms UTC), cut to the second."""
        local = datetime.fromtimestamp(at_ms // 1000, tz=zone)
        return cls(
            year=local.year,
            month=local.month,
            day=local.day,
            hours=local.hour,
            minutes=local.minute,
            seconds=local.second,
        )

    def __bytes__(self) -> bytes:
        return uint_bytes(self.year, 2) + bytes((self.month, self.day, self.hours, self.minutes, self.seconds))

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}T{self.hours:02d}:{self.minutes:02d}:{self.seconds:02d}"

    @property
    def local(self) -> datetime | None:
        """The local date and time without zone; None when a part is unknown or there is no such date."""
        try:
            return datetime(self.year, self.month, self.day, self.hours, self.minutes, self.seconds)  # noqa: DTZ001 a wall clock has no zone
        except ValueError:
            return None


UNKNOWN_DATE_TIME = DateTime(year=0, month=0, day=0, hours=0, minutes=0, seconds=0)
"""What a device shows whose clock was never set."""


class AdjustReason(IntFlag):
    """Why a Current Time changed (Current Time Service 1.1, section 3.1.1.2)."""

    NONE = 0
    MANUAL = 1
    EXTERNAL_REFERENCE = 2
    TIME_ZONE_CHANGE = 4
    DST_CHANGE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentTime:
    """Current Time (0x2A2B), ten bytes.

    Attributes:
        date_time: local date and time.
        day_of_week: 1 Monday to 7 Sunday; 0 unknown.
        fractions256: 1/256 of a second.
        adjust_reason: why the time last changed; reserved bits are dropped.
        trailing: bytes after the tenth.
    """

    date_time: DateTime
    day_of_week: int = 0
    fractions256: int = 0
    adjust_reason: AdjustReason = AdjustReason.NONE
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a Current Time.

        Raises:
            FrameError: fewer than ten bytes.
        """
        reader = FrameReader(CURRENT_TIME, frame)
        return cls(
            date_time=DateTime.read(reader),
            day_of_week=reader.uint(1, "the day of the week"),
            fractions256=reader.uint(1, "the fractions of a second"),
            adjust_reason=AdjustReason(reader.uint(1, "the adjust reason") & 0x0F),
            trailing=reader.rest(),
        )

    @classmethod
    def of(cls, at_ms: int, zone: ZoneInfo) -> Self:
        """Return what a right clock in `zone` shows at `at_ms` (ms UTC), set by an external reference."""
        return cls(
            date_time=DateTime.of(at_ms, zone),
            day_of_week=datetime.fromtimestamp(at_ms // 1000, tz=zone).isoweekday(),
            fractions256=at_ms % 1000 * 256 // 1000,
            adjust_reason=AdjustReason.EXTERNAL_REFERENCE,
        )

    def __bytes__(self) -> bytes:
        tail = bytes((self.day_of_week, self.fractions256, self.adjust_reason))
        return bytes(self.date_time) + tail + self.trailing


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When something was measured, and how far that can be trusted.

    Attributes:
        measured_at: ms UTC; the time of arrival when `clock` is UNKNOWN.
        clock: how far `measured_at` can be trusted.
        quality: REPEATED_HOUR when the wall clock's hour occurs twice.
        claimed: what the device showed, ISO 8601 without offset; None when it showed nothing.
        key_ms: ms UTC for the record key: the same whenever the same record comes again, if the device dated it.
    """

    measured_at: int
    clock: ClockTrust
    quality: Quality = Quality.NONE
    claimed: str | None = None
    key_ms: int


def moment_of(claimed: DateTime | None, received_at: int, zone: ZoneInfo) -> Moment:
    """Return the moment that a device's local date and time mean in the patient's time zone.

    An hour that occurs twice (clocks go back) is taken as the later one unless that lies after `received_at`;
    an hour that does not occur (clocks go forward) as that of a device that was not put forward, CORRECTED.

    Args:
        claimed: what the device showed, None when it showed nothing.
        received_at: ms UTC of arrival.
        zone: the patient's time zone.
    """
    text = None if claimed is None else str(claimed)
    local = None if claimed is None else claimed.local
    if local is None:
        return Moment(measured_at=received_at, clock=ClockTrust.UNKNOWN, claimed=text, key_ms=received_at)
    if local.year not in _YEARS:
        # A clock that runs, however wrong, dates a record the same whenever it comes again.
        key_ms = _to_ms(local.replace(tzinfo=UTC))
        return Moment(measured_at=received_at, clock=ClockTrust.UNKNOWN, claimed=text, key_ms=key_ms)
    first = _to_ms(local.replace(tzinfo=zone, fold=0))
    second = _to_ms(local.replace(tzinfo=zone, fold=1))
    latest = received_at + FUTURE_TOLERANCE_MS
    measured_at, clock, quality = first, ClockTrust.TRUSTED, Quality.NONE
    if second > first:
        quality = Quality.REPEATED_HOUR
        measured_at = second if second <= latest else first
    elif second < first:
        clock = ClockTrust.CORRECTED
    if measured_at > latest:
        measured_at, clock, quality = received_at, ClockTrust.UNKNOWN, Quality.NONE
    return Moment(measured_at=measured_at, clock=clock, quality=quality, claimed=text, key_ms=first)


def at_offset(claimed: DateTime, offset: timedelta) -> int | None:
    """Return ms UTC of a local time that is `offset` ahead of UTC; None when it is not a date."""
    local = claimed.local
    if local is None or local.year not in _YEARS:
        return None
    return _to_ms(local.replace(tzinfo=timezone(offset)))


def _to_ms(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000
