"""Hours of the day as moments, on ordinary days and on the nights on which the clock changes."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.local_hours import end_of, next_start_of, next_time_of_day
from alerting.local_time import DAY_MINUTES, MINUTE_MS, offsets
from tests.alerting.worlds import PARIS

ZONES = (PARIS, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Chatham"))


def utc(day: int, hour: int, minute: int = 0, *, month: int = 3) -> int:
    return int(datetime(2026, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


def minute_of(at: int, zone: ZoneInfo) -> int:
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
    return local.hour * 60 + local.minute


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.integers(0, DAY_MINUTES - 1),
    st.integers(1, DAY_MINUTES - 1),
    st.integers(utc(27, 0), utc(30, 0)) | st.integers(utc(23, 0, month=10), utc(27, 0, month=10)),
)
def test_hours_end_at_the_first_moment_at_which_the_clock_shows_another(
    zone: ZoneInfo, begin: int, length: int, at: int
) -> None:
    table, hours = offsets(zone), (begin, (begin + length) % DAY_MINUTES)

    def inside(moment: int) -> bool:
        return (minute_of(moment, zone) - begin) % DAY_MINUTES < length

    end = end_of(table, hours, at)
    assert (end is None) is not inside(at)
    after = next_start_of(table, hours, at) if end is None else end
    assert inside(after) is (end is None)
    assert after > at
    between = [at, *range(at // MINUTE_MS * MINUTE_MS + MINUTE_MS, after, MINUTE_MS), after - 1]
    assert all(inside(moment) is (end is not None) for moment in between)


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_quiet_hours_end_to_the_millisecond(step: int) -> None:
    table = offsets(PARIS)
    assert end_of(table, (22 * 60, 7 * 60), utc(3, 6) + step) == (utc(3, 6) if step < 0 else None)
    assert end_of(table, (22 * 60, 7 * 60), utc(3, 21) + step) == (None if step < 0 else utc(4, 6))


def test_a_digest_is_due_once_a_day_also_when_its_hour_is_left_out_or_comes_twice() -> None:
    table = offsets(PARIS)
    half_past_two = 150
    spring = next_time_of_day(table, half_past_two, utc(28, 12))
    assert spring == utc(29, 1, 30)
    assert next_time_of_day(table, half_past_two, spring) == spring
    assert next_time_of_day(table, half_past_two, spring + 1) == utc(30, 0, 30)
    autumn = next_time_of_day(table, half_past_two, utc(24, 12, month=10))
    assert autumn == utc(25, 0, 30, month=10)
    assert next_time_of_day(table, half_past_two, autumn + 1) == utc(26, 1, 30, month=10)
