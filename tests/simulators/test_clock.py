"""The accelerated clock: one time for every process of a machine, faster than life."""

import asyncio
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.clock import AcceleratedClock, reach
from simulators.errors import ClockError

START = 1_772_352_000_000


def test_starts_where_it_is_told() -> None:
    clock = AcceleratedClock(start_ms=START, origin_ns=time.monotonic_ns() + 10**12, speed=2880)
    assert clock.now_ms() == START


def test_runs_at_its_speed() -> None:
    hour_ago = time.monotonic_ns() - 3_600 * 10**9
    before = AcceleratedClock(start_ms=START, origin_ns=hour_ago, speed=24).now_ms()
    assert START + 86_400_000 <= before < START + 86_400_000 + 24 * 60_000


def test_another_process_shows_the_same_time() -> None:
    ours = AcceleratedClock.starting_now(start_ms=START, speed=2880.0)
    theirs = AcceleratedClock.from_argument(ours.as_argument())
    assert theirs == ours


@settings(max_examples=50, deadline=None)
@given(
    start_ms=st.integers(0, 2**45),
    origin_ns=st.integers(0, 2**62),
    speed=st.floats(1e-3, 1e6, allow_nan=False, allow_infinity=False),
)
def test_argument_round_trip(start_ms: int, origin_ns: int, speed: float) -> None:
    clock = AcceleratedClock(start_ms=start_ms, origin_ns=origin_ns, speed=speed)
    assert AcceleratedClock.from_argument(clock.as_argument()) == clock


@pytest.mark.parametrize("text", ["", "1:2", "1:2:3:4", "a:2:3", "1:2:x", "1:2:0", "1:2:-1", "1:2:inf", "1:2:nan"])
def test_a_clock_that_cannot_run_is_refused(text: str) -> None:
    with pytest.raises(ClockError):
        AcceleratedClock.from_argument(text)


def test_says_how_long_to_wait_in_real_seconds() -> None:
    clock = AcceleratedClock.starting_now(start_ms=START, speed=3600)
    wait = clock.seconds_until(START + 3_600_000)
    assert 0.5 < wait <= 1.0
    assert clock.seconds_until(START - 1) == 0.0


@settings(max_examples=50, deadline=None)
@given(ahead_ms=st.integers(1, 10**9), speed=st.sampled_from([1, 7.3, 2880, 1e6]))
def test_a_wait_is_never_empty_before_its_time(ahead_ms: int, speed: float) -> None:
    clock = AcceleratedClock(start_ms=START, origin_ns=time.monotonic_ns() + 10**15, speed=speed)
    wait = clock.seconds_until(START + ahead_ms)
    assert wait > 0
    assert math.isclose(wait, 10**6 + ahead_ms / 1000 / speed, rel_tol=1e-3)


async def test_reach_returns_when_it_is_time_and_not_before() -> None:
    clock = AcceleratedClock.starting_now(start_ms=START, speed=2880)
    async with asyncio.timeout(10):
        await reach(clock, START + 60_000)
        assert clock.now_ms() >= START + 60_000
        await reach(clock, START)


def test_slows_down_for_whoever_looks_on() -> None:
    """An hour at 3600 is a second; from then on it runs at 60."""
    ago = time.monotonic_ns() - 11 * 10**9
    clock = AcceleratedClock(START, ago, 3600.0, slows_at_ms=START + 3_600_000, then=60.0)
    shown = clock.now_ms()
    assert START + 3_600_000 + 600_000 <= shown < START + 3_600_000 + 600_000 + 60 * 30_000
    assert 50.0 < clock.seconds_until(shown + 3_600_000) <= 60.0
    assert clock.seconds_until(START + 3_600_000) == 0.0


@settings(max_examples=50, deadline=None)
@given(
    elapsed=st.integers(0, 10**12),
    slows=st.integers(0, 10**9),
    speed=st.floats(1.0, 1e4),
    then=st.floats(0.5, 1e4),
)
def test_a_clock_that_slows_never_jumps_or_goes_back(elapsed: int, slows: int, speed: float, then: float) -> None:
    now = time.monotonic_ns()
    clock = AcceleratedClock(START, now - elapsed, speed, slows_at_ms=START + slows, then=then)
    assert AcceleratedClock.from_argument(clock.as_argument()) == clock
    first, second = clock.now_ms(), clock.now_ms()
    assert START <= first <= second
    later = clock.seconds_until(second + 60_000)
    assert later <= 60.0 / min(speed, then) + 1e-3


@pytest.mark.parametrize(("slows_at_ms", "then"), [(START - 1, 60.0), (START, 0.0), (START, math.inf)])
def test_a_clock_that_would_slow_before_it_starts_or_stand_still_is_refused(slows_at_ms: int, then: float) -> None:
    with pytest.raises(ClockError):
        AcceleratedClock(START, 0, 60.0, slows_at_ms=slows_at_ms, then=then)
