"""The box's own clock."""

import time

from devices.clock import SystemClock


def test_the_system_clock_tells_milliseconds_since_1970() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= SystemClock().now_ms() <= time.time_ns() // 1_000_000


def test_a_time_that_has_come_is_not_waited_for() -> None:
    clock = SystemClock()
    assert clock.seconds_until(clock.now_ms() - 1) == 0.0
    assert 3500.0 < clock.seconds_until(clock.now_ms() + 3_600_000) <= 3600.0
