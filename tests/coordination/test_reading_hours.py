"""Deadlines count the hours in which somebody reads, over weekends and both nights of the clock change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.deadlines import HOUR, LEAST_TIME, MINUTE, Spans, first_deadlines
from coordination.reading_hours import ReadingHours, after, open_at

PARIS = ZoneInfo("Europe/Paris")
WEEKDAYS = ReadingHours(zone="Europe/Paris", days=frozenset(range(5)), opens=8 * 60, closes=20 * 60)


def local(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp() * 1000)


def test_around_the_clock_time_is_time() -> None:
    assert after(1000, 5 * HOUR, None) == 1000 + 5 * HOUR


@pytest.mark.parametrize(
    ("at", "span", "due"),
    [
        ("2025-11-19T09:00", 30 * MINUTE, "2025-11-19T09:30"),
        ("2025-11-19T19:50", 30 * MINUTE, "2025-11-20T08:20"),
        ("2025-11-19T02:00", 30 * MINUTE, "2025-11-19T08:30"),
        ("2025-11-21T19:00", 4 * HOUR, "2025-11-24T11:00"),
        ("2025-11-22T12:00", 12 * HOUR, "2025-11-24T20:00"),
        ("2025-11-22T12:00", 12 * HOUR + MINUTE, "2025-11-25T08:01"),
    ],
)
def test_nights_and_weekends_do_not_count(at: str, span: int, due: str) -> None:
    assert after(local(at), span, WEEKDAYS) == local(due)


@pytest.mark.parametrize("night", ["2025-10-26", "2025-03-30"])
def test_a_night_whose_clock_is_changed_is_as_long_as_it_is(night: str) -> None:
    every = ReadingHours(zone="Europe/Paris", days=frozenset(range(7)), opens=0, closes=24 * 60)
    at = local(f"{night}T00:30")
    assert after(at, 6 * HOUR, every) == at + 6 * HOUR


def slowly(at: int, minutes: int, hours: ReadingHours) -> int:
    """The same, minute by minute."""
    zone, left = ZoneInfo(hours.zone), minutes
    while True:
        now = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
        inside = now.weekday() in hours.days and hours.opens <= 60 * now.hour + now.minute < hours.closes
        if inside and left == 0:
            return at
        at += MINUTE
        left -= inside
        if left == 0 and inside:
            return at


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 400 * 24 * 60),
    st.integers(1, 3 * 24 * 60),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(4 * 60, 12 * 60),
    st.integers(60, 12 * 60 - 1),
)
def test_whatever_the_hours_it_is_as_counted_minute_by_minute(
    begin: int, minutes: int, days: set[int], opens: int, length: int
) -> None:
    hours = ReadingHours(zone="Europe/Paris", days=frozenset(days), opens=opens, closes=opens + length)
    at = local("2025-01-01T00:00") + begin * MINUTE
    minutes = min(minutes, 2 * length)
    assert after(at, minutes * MINUTE, hours) == slowly(at, minutes, hours)


def test_what_a_protocol_wants_seen_in_the_night_is_due_when_somebody_reads() -> None:
    spans = Spans(ack=HOUR, act=4 * HOUR)
    at = local("2025-11-22T01:00")
    ack, act = first_deadlines(spans, at=at, due_by=at + 15 * MINUTE, hours=WEEKDAYS)
    assert (ack, act) == (local("2025-11-24T08:00") + LEAST_TIME, local("2025-11-24T12:10"))
    at = local("2025-11-19T10:00")
    assert first_deadlines(spans, at=at, due_by=at + 15 * MINUTE, hours=WEEKDAYS)[0] == at + 15 * MINUTE
    at = local("2025-11-19T19:55")
    assert first_deadlines(spans, at=at, due_by=at + 15 * MINUTE, hours=WEEKDAYS)[0] == local("2025-11-20T08:05")


def test_the_minute_of_closing_is_not_read_any_more() -> None:
    assert open_at(local("2025-11-19T08:00"), WEEKDAYS)
    assert not open_at(local("2025-11-19T20:00"), WEEKDAYS)
