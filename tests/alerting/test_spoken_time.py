"""Days, hours and lengths of time as a reader says them."""

from zoneinfo import ZoneInfo

import pytest

from alerting.spoken_time import DAY, HOUR, MINUTE, SECOND, clock, latest, moment, roughly, span
from tests.alerting.worlds import PARIS, START


@pytest.mark.parametrize(
    ("ms", "fr", "en"),
    [
        (0, "0\u00a0s", "0 s"),
        (999, "0\u00a0s", "0 s"),
        (30 * SECOND, "30\u00a0s", "30 s"),
        (90 * MINUTE + 5 * SECOND, "1\u00a0h\u00a030\u00a0min\u00a05\u00a0s", "1 h 30 min 5 s"),
        (DAY, "24\u00a0h", "24 h"),
        (36 * HOUR, "36\u00a0h", "36 h"),
        (2 * DAY, "2\u00a0jours", "2 days"),
        (71 * HOUR, "71\u00a0h", "71 h"),
        (3 * DAY + 6 * HOUR, "3\u00a0jours\u00a06\u00a0h", "3 days 6 h"),
    ],
)
def test_a_length_of_time_is_said_to_the_second(ms: int, fr: str, en: str) -> None:
    assert (span(ms).fr, span(ms).en) == (fr, en)


@pytest.mark.parametrize(
    ("ms", "en"),
    [
        (100 * SECOND + 700, "1 min 41 s"),
        (14 * MINUTE + 58 * SECOND, "15 min"),
        (23 * HOUR + 59 * MINUTE + 40 * SECOND, "24 h"),
        (2 * DAY, "2 days"),
        (6 * DAY + 13 * HOUR, "7 days"),
    ],
)
def test_how_long_readings_spread_is_rounded(ms: int, en: str) -> None:
    assert roughly(ms).en == en


@pytest.mark.parametrize(
    ("ms", "fr", "en"),
    [
        (2 * HOUR, "des 120\u00a0dernières minutes", "of the last 120 minutes"),
        (90 * MINUTE, "des 90\u00a0dernières minutes", "of the last 90 minutes"),
        (8 * HOUR, "des 8\u00a0dernières heures", "of the last 8 hours"),
        (DAY, "des 24\u00a0dernières heures", "of the last 24 hours"),
        (14 * DAY, "des 14\u00a0derniers jours", "of the last 14 days"),
        (90 * SECOND, "sur 1\u00a0min\u00a030\u00a0s", "over 1 min 30 s"),
    ],
)
def test_a_window_is_said_in_its_own_unit(ms: int, fr: str, en: str) -> None:
    assert (latest(ms).fr, latest(ms).en) == (fr, en)


def test_a_moment_has_no_date_beside_one_of_the_same_day() -> None:
    assert moment(START, PARIS, beside=START + HOUR).fr == "08:11"
    assert moment(START, PARIS, beside=START + DAY).fr == "le 3 mars à 08:11"


def test_the_offset_of_an_hour_that_occurs_twice_is_said_in_zones_of_any_offset() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    twice = 1_775_313_900_000  # 2026-04-04T14:45:00Z: the half hour from 01:30 occurs twice there
    assert clock(twice, lord_howe).fr == "01:45 (UTC+11)"
    assert clock(twice + 30 * MINUTE, lord_howe).fr == "01:45 (UTC+10:30)"
    santiago = ZoneInfo("America/Santiago")
    assert clock(1_775_356_200_000, santiago).en == "23:30 (UTC−3)"
