"""What a device's local date and time mean."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import FrameError
from devices.reading import ClockTrust, Quality
from devices.wall_clock import UNKNOWN_DATE_TIME, AdjustReason, CurrentTime, DateTime, at_offset, moment_of

PARIS = ZoneInfo("Europe/Paris")
octets = st.integers(0, 0xFF)
date_times = st.builds(
    DateTime, year=st.integers(0, 0xFFFF), month=octets, day=octets, hours=octets, minutes=octets, seconds=octets
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def wall(text: str) -> DateTime:
    local = datetime.fromisoformat(text)
    return DateTime(
        year=local.year,
        month=local.month,
        day=local.day,
        hours=local.hour,
        minutes=local.minute,
        seconds=local.second,
    )


@given(date_times)
@settings(max_examples=100, deadline=None)
def test_any_seven_bytes_are_kept(date_time: DateTime) -> None:
    assert DateTime.from_bytes(bytes(date_time)) == date_time
    assert DateTime.from_bytes(bytes(date_time) + b"more") == date_time


@given(
    st.builds(
        CurrentTime,
        date_time=date_times,
        day_of_week=octets,
        fractions256=octets,
        adjust_reason=st.integers(0, 15).map(AdjustReason),
        trailing=st.binary(max_size=2),
    )
)
@settings(max_examples=100, deadline=None)
def test_a_current_time_comes_back_as_it_was(current: CurrentTime) -> None:
    assert CurrentTime.from_bytes(bytes(current)) == current


def test_a_current_time_says_what_a_right_clock_shows() -> None:
    current = CurrentTime.of(at("2026-11-22T08:00:00Z") + 500, PARIS)
    assert current.date_time == wall("2026-11-22T09:00:00")
    assert (current.day_of_week, current.fractions256) == (7, 128)
    assert CurrentTime.from_bytes(bytes.fromhex("ea07 0b 16 09 00 00 07 80 f2")) == current


@pytest.mark.parametrize("frame", [b"", b"\xea\x07\x0b\x16\x09\x00", bytes(9)])
def test_a_short_time_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameError, match="2A2B: truncated"):
        CurrentTime.from_bytes(frame)


@given(st.integers(at("2011-01-01T00:00:00Z") // 1000, at("2037-01-01T00:00:00Z") // 1000))
@settings(max_examples=200, deadline=None)
def test_what_a_right_clock_shows_means_that_moment_when_it_comes_at_once(seconds: int) -> None:
    moment = moment_of(DateTime.of(seconds * 1000, PARIS), seconds * 1000, PARIS)
    repeated = Quality.REPEATED_HOUR in moment.quality
    assert moment.measured_at == seconds * 1000 or repeated
    assert moment.clock is ClockTrust.TRUSTED


@pytest.mark.parametrize(
    ("shown", "received", "measured", "clock"),
    [
        ("2026-11-22T09:00:00", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z", ClockTrust.TRUSTED),
        ("2026-11-22T09:05:00", "2026-11-22T08:00:00Z", "2026-11-22T08:05:00Z", ClockTrust.TRUSTED),
        ("2026-11-22T09:05:01", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z", ClockTrust.UNKNOWN),
        ("2094-01-01T00:00:00", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z", ClockTrust.UNKNOWN),
        ("1970-01-01T00:00:00", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z", ClockTrust.UNKNOWN),
        ("2009-12-31T23:59:59", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z", ClockTrust.UNKNOWN),
        ("2010-01-01T01:00:00", "2026-11-22T08:00:00Z", "2010-01-01T00:00:00Z", ClockTrust.TRUSTED),
        # Spring: 02:30 does not occur; a clock that was not put forward shows it at 01:30Z.
        ("2026-03-29T02:30:00", "2026-03-29T02:00:00Z", "2026-03-29T01:30:00Z", ClockTrust.CORRECTED),
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", ClockTrust.UNKNOWN),
    ],
)
def test_a_claimed_time_is_believed_within_reason(shown: str, received: str, measured: str, clock: ClockTrust) -> None:
    moment = moment_of(wall(shown), at(received), PARIS)
    assert (moment.measured_at, moment.clock, moment.quality) == (at(measured), clock, Quality.NONE)
    assert moment.claimed == shown


@pytest.mark.parametrize(
    ("received", "measured"),
    [
        ("2026-10-25T00:31:00Z", "2026-10-25T00:30:00Z"),  # first 02:30, in summer time
        ("2026-10-25T01:24:59Z", "2026-10-25T00:30:00Z"),
        ("2026-10-25T01:25:00Z", "2026-10-25T01:30:00Z"),  # the clock may be five minutes ahead
        ("2026-10-25T01:31:00Z", "2026-10-25T01:30:00Z"),  # second 02:30, in winter time
        ("2026-10-26T12:00:00Z", "2026-10-25T01:30:00Z"),
    ],
)
def test_a_repeated_hour_is_the_latest_that_has_come_and_says_so(received: str, measured: str) -> None:
    moment = moment_of(wall("2026-10-25T02:30:00"), at(received), PARIS)
    assert (moment.measured_at, moment.quality) == (at(measured), Quality.REPEATED_HOUR)
    assert moment.clock is ClockTrust.TRUSTED


def test_a_record_of_the_repeated_hour_keeps_its_key_when_it_comes_again_later() -> None:
    keys = {
        moment_of(wall("2026-10-25T02:30:00"), at(received), PARIS).key_ms
        for received in ("2026-10-25T00:31:00Z", "2026-10-25T01:31:00Z", "2026-10-27T00:00:00Z")
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    "date_time",
    [
        None,
        UNKNOWN_DATE_TIME,
        DateTime(year=0, month=11, day=22, hours=9, minutes=0, seconds=0),
        DateTime(year=2026, month=0, day=22, hours=9, minutes=0, seconds=0),
        DateTime(year=2026, month=11, day=0, hours=9, minutes=0, seconds=0),
        DateTime(year=2026, month=2, day=30, hours=9, minutes=0, seconds=0),
        DateTime(year=2026, month=11, day=22, hours=24, minutes=0, seconds=0),
        DateTime(year=0xFFFF, month=1, day=1, hours=0, minutes=0, seconds=0),
    ],
)
def test_an_unknown_or_impossible_date_leaves_the_time_of_arrival(date_time: DateTime | None) -> None:
    received = at("2026-11-22T08:00:00Z")
    moment = moment_of(date_time, received, PARIS)
    assert (moment.measured_at, moment.clock, moment.key_ms) == (received, ClockTrust.UNKNOWN, received)
    assert moment.claimed == (None if date_time is None else str(date_time))


@given(date_times)
@settings(max_examples=200, deadline=None)
def test_no_date_at_all_stops_a_reading(date_time: DateTime) -> None:
    received = at("2026-11-22T08:00:00Z")
    assert moment_of(date_time, received, PARIS).measured_at <= received + 5 * 60_000


def test_a_time_with_its_own_offset_needs_no_zone() -> None:
    assert at_offset(wall("2026-11-22T09:00:00"), timedelta(hours=1)) == at("2026-11-22T08:00:00Z")
    assert at_offset(UNKNOWN_DATE_TIME, timedelta(hours=1)) is None
    assert at_offset(wall("2000-01-01T00:00:00"), timedelta(0)) is None
