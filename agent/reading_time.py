"""How far the time of a reading can be trusted, at the box's door.

A driver dates what its device says; here is what holds for all of them. A reading dated more than five minutes after
the box's time is of its arrival, whatever its device claimed: no time that has not come may lead judging ahead. And
a reading dated by its arrival is only as sure as the box's own time.
"""

from dataclasses import replace

from devices.reading import ClockTrust, Reading
from devices.wall_clock import FUTURE_TOLERANCE_MS


def not_ahead(reading: Reading, now: int) -> Reading:
    """Return a reading, dated by its arrival if it claims to be of more than five minutes after `now` (ms UTC)."""
    if reading.measured_at <= now + FUTURE_TOLERANCE_MS:
        return reading
    return replace(reading, measured_at=min(reading.received_at, now), clock=ClockTrust.UNKNOWN)


def doubted(reading: Reading) -> Reading:
    """Return a reading as it is where the box does not know the time: of an unknown time if dated by its arrival."""
    if reading.measured_at != reading.received_at:
        return reading
    return replace(reading, clock=ClockTrust.UNKNOWN)
