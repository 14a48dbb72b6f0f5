"""Local days and hours against the calendar library."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.local_time import local_minutes, offsets, utc_ms

ZONES = ("Europe/Paris", "America/Cayenne", "Indian/Reunion", "Pacific/Noumea", "America/Miquelon", "Asia/Kathmandu")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001 made UTC below
)
def test_local_minutes_are_those_of_the_calendar(name: str, naive: datetime) -> None:
    zone, at = ZoneInfo(name), naive.replace(tzinfo=UTC)
    local = at.astimezone(zone).replace(tzinfo=None)
    expected = (local - datetime(1970, 1, 1)) // timedelta(minutes=1)  # noqa: DTZ001 local time counts as it is
    assert local_minutes(offsets(zone), milliseconds(at)) == expected


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1)))  # noqa: DTZ001
def test_a_local_time_is_found_in_utc(name: str, naive: datetime) -> None:
    zone, naive = ZoneInfo(name), naive.replace(second=0, microsecond=0)
    minutes = (naive - datetime(1970, 1, 1)) // timedelta(minutes=1)  # noqa: DTZ001
    expected = naive.replace(tzinfo=zone, fold=0)
    assert utc_ms(offsets(zone), minutes) == milliseconds(expected.astimezone(UTC))


def test_both_nights_of_the_clock_change() -> None:
    table = offsets(ZoneInfo("Europe/Paris"))

    def at(day: int, month: int, hour: int, minute: int) -> str:
        naive = datetime(2026, month, day, hour, minute)  # noqa: DTZ001
        found = utc_ms(table, (naive - datetime(1970, 1, 1)) // timedelta(minutes=1))  # noqa: DTZ001
        return f"{EPOCH + timedelta(milliseconds=found):%H:%M}"

    assert at(29, 3, 1, 59) == "00:59"
    assert at(29, 3, 2, 30) == "01:30"
    assert at(29, 3, 3, 0) == "01:00"
    assert at(25, 10, 2, 30) == "00:30"
    assert at(25, 10, 3, 0) == "02:00"
