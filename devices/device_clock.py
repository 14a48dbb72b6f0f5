"""Setting a device's clock, and looking whether it took it.

Devices say "success" and keep the wrong time; so the clock is read back where it can be. A device is set only after
its records are safe: some shift or forget what they hold when their clock is set.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from devices.clock import Clock
from devices.driver import ClockSetting
from devices.errors import FrameError, RadioError
from devices.gatt import CURRENT_TIME, DATE_TIME
from devices.radio import Connection
from devices.reading import ClockTrust
from devices.source import DeviceEventKind
from devices.wall_clock import CurrentTime, DateTime, moment_of

TOLERANCE_MS = 60_000
"""How far a clock that was just set may be from the box's, before the write or after the read, inclusive."""

_CHARACTERISTICS = {
    ClockSetting.NONE: (),
    ClockSetting.CURRENT_TIME: (CURRENT_TIME, DATE_TIME),
    ClockSetting.DATE_TIME: (DATE_TIME, CURRENT_TIME),
}
"""In order of preference: a device of the same service may have the one or the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOutcome:
    """How setting a clock went.

    Attributes:
        kind: CLOCK_SET or CLOCK_WRONG.
        detail: a clause that says more.
        error_s: seconds by which the clock was ahead of the box's before; None when it showed no time.
    """

    kind: DeviceEventKind
    detail: str
    error_s: int | None = None


async def set_clock(link: Connection, setting: ClockSetting, clock: Clock, zone: ZoneInfo) -> ClockOutcome | None:
    """Set a device's clock to the box's local time and read it back.

    Returns:
        How it went; None when the device has no clock to set.

    Raises:
        RadioError: the device refused, or the link failed.
    """
    for characteristic in _CHARACTERISTICS[setting]:
        if "write" in link.properties(characteristic):
            return await _set(link, characteristic, clock, zone)
    return None


async def _set(link: Connection, characteristic: int, clock: Clock, zone: ZoneInfo) -> ClockOutcome:
    readable = "read" in link.properties(characteristic)
    error_s = await _error_s(link, characteristic, clock, zone) if readable else None
    before = clock.now_ms()
    now = CurrentTime.of(before, zone) if characteristic == CURRENT_TIME else DateTime.of(before, zone)
    await link.write(characteristic, bytes(now))
    if not readable:
        return ClockOutcome(kind=DeviceEventKind.CLOCK_SET, detail="set, and cannot be read back", error_s=error_s)
    try:
        shown = await _shown(link, characteristic)
    except FrameError as error:
        detail = f"the clock was set and says nonsense ({error})"
        return ClockOutcome(kind=DeviceEventKind.CLOCK_WRONG, detail=detail, error_s=error_s)
    after = clock.now_ms()
    moment = moment_of(shown, after, zone)
    right = before - TOLERANCE_MS <= moment.measured_at <= after + TOLERANCE_MS
    if moment.clock is ClockTrust.UNKNOWN or not right:
        detail = "the clock was set and still shows another time"
        return ClockOutcome(kind=DeviceEventKind.CLOCK_WRONG, detail=detail, error_s=error_s)
    return ClockOutcome(kind=DeviceEventKind.CLOCK_SET, detail="set and read back", error_s=error_s)


async def _shown(link: Connection, characteristic: int) -> DateTime:
    frame = await link.read(characteristic)
    return CurrentTime.from_bytes(frame).date_time if characteristic == CURRENT_TIME else DateTime.from_bytes(frame)


async def _error_s(link: Connection, characteristic: int, clock: Clock, zone: ZoneInfo) -> int | None:
    """Return how many seconds a clock is ahead; None when it shows no time."""
    try:
        local = (await _shown(link, characteristic)).local
    except (FrameError, RadioError):
        return None
    if local is None:
        return None
    now = clock.now_ms() / 1000
    # In the hour that comes twice the nearer one is meant.
    return min((round(local.replace(tzinfo=zone, fold=fold).timestamp() - now) for fold in (0, 1)), key=abs)
