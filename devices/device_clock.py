"""Setting a device's clock, and looking whether it took it.

Devices say "success" and keep the wrong time; so the clock is read back where it can be. A device is set only after
its records are safe: some shift or forget what they hold when their clock is set.
"""

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


async def set_clock(
    link: Connection, setting: ClockSetting, clock: Clock, zone: ZoneInfo
) -> tuple[DeviceEventKind, str] | None:
    """Set a device's clock to the box's local time and read it back.

    Returns:
        CLOCK_SET or CLOCK_WRONG with a clause that says more; None when the device has no clock to set.
    """
    for characteristic in _CHARACTERISTICS[setting]:
        if "write" in link.properties(characteristic):
            try:
                return await _set(link, characteristic, clock, zone)
            except RadioError as error:
                return DeviceEventKind.CLOCK_WRONG, f"the clock could not be set ({error})"
            except FrameError as error:
                return DeviceEventKind.CLOCK_WRONG, f"the clock was set and says nonsense ({error})"
    return None


async def _set(link: Connection, characteristic: int, clock: Clock, zone: ZoneInfo) -> tuple[DeviceEventKind, str]:
    before = clock.now_ms()
    now = CurrentTime.of(before, zone) if characteristic == CURRENT_TIME else DateTime.of(before, zone)
    await link.write(characteristic, bytes(now))
    if "read" not in link.properties(characteristic):
        return DeviceEventKind.CLOCK_SET, "set, and cannot be read back"
    frame = await link.read(characteristic)
    shown = CurrentTime.from_bytes(frame).date_time if characteristic == CURRENT_TIME else DateTime.from_bytes(frame)
    after = clock.now_ms()
    moment = moment_of(shown, after, zone)
    right = before - TOLERANCE_MS <= moment.measured_at <= after + TOLERANCE_MS
    if moment.clock is ClockTrust.UNKNOWN or not right:
        return DeviceEventKind.CLOCK_WRONG, "the clock was set and still shows another time"
    return DeviceEventKind.CLOCK_SET, "set and read back"
