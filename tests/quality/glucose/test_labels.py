import pytest

from benchmarks.quality.glucose.labels import Episode, label
from benchmarks.quality.glucose.outcomes import Outcome, outcome, summary
from benchmarks.quality.glucose.traces import MINUTE, Trace
from tests.quality.glucose.kit import trace


def values(*several: int) -> Trace:
    return trace(tuple(10 * value for value in several))


def test_an_episode_is_three_readings_below_and_ends_before_three_back() -> None:
    labels = label(values(80, 80, 80, 80, 80, 80, 69, 69, 69, 70, 70, 60, 70, 70, 70, 60, 60, 80), 70)
    assert labels.episodes == (Episode(onset=6, end=12, fair=True),)


def test_a_value_at_the_level_is_not_low() -> None:
    assert label(values(80, 70, 70, 70, 70), 70).episodes == ()
    assert label(values(80, 69, 70, 69, 69), 70).episodes == ()


def test_one_reading_is_enough_at_fifteen_minutes() -> None:
    labels = label(trace((800, 800, 800, 690, 700, 690), step=15), 70)
    assert labels.episodes == (Episode(onset=3, end=4, fair=True), Episode(onset=5, end=6, fair=True))


def test_an_episode_soon_after_the_start_could_not_be_forecast() -> None:
    assert [episode.fair for episode in label(values(80, 80, 60, 60, 60), 70).episodes] == [False]


def test_a_silence_ends_an_episode_and_what_was_waiting() -> None:
    broken = values(*[80] * 7, 60, 60, 60, 60, 60, 60, 60)
    times = tuple(time + (30 * MINUTE if index > 10 else 0) for index, time in enumerate(broken.times))
    labels = label(Trace(patient="made", times=times, counts=broken.counts, cadence=broken.cadence), 70)
    assert [(one.onset, one.end, one.fair) for one in labels.episodes] == [(7, 11, True), (11, 14, False)]
    assert set(labels.known_until[:11]) == {times[10]}


def test_low_lasts_until_three_are_back_once_confirmed() -> None:
    labels = label(values(80, 60, 80, 60, 60, 60, 80, 80, 80, 80), 70)
    assert labels.low == (False, True, False, True, True, True, True, True, False, False)


LONG = values(*[90] * 20, *[60] * 6, *[90] * 20)
"""An episode from reading 20 (100 min) to 26."""


@pytest.mark.parametrize(
    ("index", "true", "false", "leads"),
    [
        (19, 1, 0, (5 * MINUTE,)),
        (11, 1, 0, (45 * MINUTE,)),
        (10, 0, 1, ()),
        (20, 0, 0, ()),
        (25, 0, 0, ()),
        (26, 0, 1, ()),
        (36, 0, 1, ()),
        (37, 0, 0, ()),
    ],
    ids=["5_before", "45_before", "50_before", "at_onset", "inside", "after", "45_before_the_end", "too_near_the_end"],
)
def test_what_one_alarm_is_worth(index: int, true: int, false: int, leads: tuple[int, ...]) -> None:
    found = outcome(label(LONG, 70), [index])
    assert (found.events, found.true, found.false, found.leads) == (1, true, false, leads)


def test_an_alarm_less_than_five_minutes_ahead_is_neither_even_with_a_reading_every_three() -> None:
    labels = label(trace((900,) * 20 + (600,) * 6 + (900,) * 20, step=3), 70)
    assert [outcome(labels, [index]).leads for index in (19, 18)] == [(), (6 * MINUTE,)]
    assert outcome(labels, [19]).false == 0


def test_the_earliest_alarm_gives_the_lead_and_an_event_counts_once() -> None:
    found = outcome(label(LONG, 70), [12, 18])
    assert (found.true, found.leads) == (2, (40 * MINUTE,))


def test_an_alarm_for_an_episode_nobody_could_forecast_is_neither_true_nor_false() -> None:
    found = outcome(label(values(80, 80, 60, 60, 60, *[90] * 20), 70), [0])
    assert (found.events, found.true, found.false) == (0, 0, 0)


def person(events: int, seen: int, false: int, days: float, lead: int = 20 * MINUTE) -> Outcome:
    return Outcome(events=events, leads=(lead,) * seen, true=seen, false=false, days=days)


def test_the_summary_counts_events_and_not_people() -> None:
    worth = summary({"a": person(9, 9, 1, 7.0), "b": person(1, 0, 3, 7.0), "c": person(0, 0, 0, 6.0)})
    assert worth.recall.value == pytest.approx(0.9)
    assert worth.precision.value == pytest.approx(9 / 13)
    assert worth.false_a_day.value == pytest.approx(4 / 20)
    assert worth.quiet == pytest.approx(2 / 3)
    assert worth.median_lead == 20
    assert worth.recall_early.value == pytest.approx(0.9)
    assert worth.recall.low is not None
    assert worth.recall.low < 0.9 <= (worth.recall.high or 0)


def test_leads_under_a_quarter_of_an_hour_are_not_early() -> None:
    worth = summary({"a": person(4, 2, 0, 7.0, lead=10 * MINUTE)})
    assert (worth.recall.value, worth.recall_early.value) == (0.5, 0)


def test_people_without_events_have_no_recall() -> None:
    assert summary({"a": person(0, 0, 2, 7.0)}).recall.value is None
