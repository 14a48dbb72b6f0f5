"""The wall clock of the patient, by the calendar of zoneinfo."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local(at: int, zone: ZoneInfo) -> datetime:
    """Return what the clock on the wall shows at `at` (ms UTC)."""
    return (_EPOCH + timedelta(milliseconds=at)).astimezone(zone)


def day_of(at: int, zone: ZoneInfo) -> date:
    """Return the local day."""
    return local(at, zone).date()


def minute_of(at: int, zone: ZoneInfo) -> int:
    """Return the minutes after midnight that the clock on the wall shows."""
    shown = local(at, zone)
    return shown.hour * 60 + shown.minute


def utc_of(day: date, minute: int, zone: ZoneInfo) -> int:
    """Return when (ms UTC) the clock on the wall shows `minute` on `day`, the first time of two.

    A time that the clock leaves out is taken in the offset that held before.
    """
    shown = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone)
    return (shown.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
