"""The time of the box, as an argument.

Everything that needs to know what time it is takes a `Clock`. The box runs on `SystemClock`; a test or the
simulated world hands over one of its own. TLS, radio timeouts, backoff and keepalive do not use it: they
measure real durations with the event loop's own time.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time that readings, deadlines and alerts are judged by."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01T00:00:00Z."""
        ...

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds to wait until this clock shows `at_ms`; 0.0 when it already has."""
        ...


def may_set_others(clock: Clock) -> bool:
    """Return whether a clock is right enough to set a device's by it: one that doubts itself says so (`trusted`)."""
    return bool(getattr(clock, "trusted", True))


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1_000_000

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds to wait until this clock shows `at_ms`; 0.0 when it already has."""
        return max(0.0, (at_ms - self.now_ms()) / 1000.0)
