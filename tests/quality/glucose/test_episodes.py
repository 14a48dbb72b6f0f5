import csv
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.quality.glucose import grid
from benchmarks.quality.glucose.burden import apart, digest_days
from benchmarks.quality.glucose.episodes import LEVELS, PROTOCOL, Alert, agree, engine_alerts, level_rules, rewritten
from benchmarks.quality.glucose.grid import Span
from benchmarks.quality.glucose.traces import DAY, EXCERPT, MINUTE, Trace, read_traces
from tests.quality.glucose.kit import BEGUN, trace

IGLU = Path(__file__).parent / "reference" / "iglu_hall_2018_excerpt.csv"


def reference() -> dict[str, list[Span]]:
    """Level -> what iglu itself found on the excerpt."""
    found: dict[str, list[Span]] = {level: [] for level in LEVELS}
    lines = [line for line in IGLU.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        start, end = (round(datetime.fromisoformat(row[key] + "+00:00").timestamp() * 1000) for key in ENDS)
        found[row["level"]].append(Span(patient=row["patient"], start=start, end=end))
    return found


ENDS = ("start", "last_grid_point")


def test_the_definition_written_here_finds_iglus_episodes_to_the_point() -> None:
    assert rewritten(read_traces(EXCERPT)) == reference()


def test_the_engine_finds_the_episodes_of_a_real_recording_as_they_happen() -> None:
    alerts = engine_alerts(read_traces(EXCERPT), PROTOCOL.read_text(encoding="utf-8"))
    for level, expected in reference().items():
        spans = [alert.span for alert in alerts[level]]
        answered = [alert.answered_at for alert in alerts[level]]
        found = agree(spans, expected, within=5 * MINUTE, late=answered)
        assert (found.found, found.right, found.seen) == (len(expected),) * 3
        assert all(5 * MINUTE <= delay <= 20 * MINUTE for delay in found.late)


def test_a_protocol_without_a_level_is_not_held_against_references() -> None:
    text = PROTOCOL.read_text(encoding="utf-8")
    with pytest.raises(LookupError, match="lv2_hypo"):
        level_rules(text.replace('"54 mg/dL"', '"53 mg/dL"'))


def spans(one: Trace) -> list[tuple[int, int]]:
    """Episodes below 70 in minutes since the trace began."""
    return [
        ((span.start - BEGUN) // MINUTE, (span.end - BEGUN) // MINUTE)
        for span in grid.episodes(one, threshold=70.0, low=True)
    ]


def test_on_the_grid_an_episode_is_three_points_below_and_ends_before_three_back() -> None:
    assert BEGUN % (5 * MINUTE) == 0, "the readings lie on the grid, so nothing is interpolated"
    assert spans(trace((800, 690, 690, 690, 700, 700, 690, 700, 700, 700, 690))) == [(5, 30)]
    assert spans(trace((800, 690, 690, 700, 690, 690))) == []


def test_between_readings_the_grid_is_interpolated_and_may_find_what_no_three_readings_show() -> None:
    off = trace((720, 710, 690, 690, 700, 740, 780, 780))
    off = Trace(
        patient="made", times=tuple(time + 128_000 for time in off.times), counts=off.counts, cadence=off.cadence
    )
    assert spans(off) == [(10, 20)]


@pytest.mark.parametrize(("silence", "found"), [(45, [(5, 75)]), (50, [(5, 15), (65, 80)])], ids=["45", "50"])
def test_a_silence_of_more_than_45_minutes_splits_the_trace(silence: int, found: list[tuple[int, int]]) -> None:
    whole = trace((800, 690, 690, 690, 690, 690, 690, 800))
    times = tuple(time + ((silence - 5) * MINUTE if index > 3 else 0) for index, time in enumerate(whole.times))
    assert spans(Trace(patient="made", times=times, counts=whole.counts, cadence=whole.cadence)) == found


def test_episodes_match_person_by_person_within_a_step() -> None:
    one = Span(patient="a", start=100, end=200)
    assert agree([one], [Span(patient="a", start=205, end=300)], within=5).seen == 1
    assert agree([one], [Span(patient="a", start=206, end=300)], within=5).seen == 0
    assert agree([one], [Span(patient="b", start=100, end=200)], within=5).right == 0


def test_two_found_in_one_are_both_right_and_the_first_answer_counts() -> None:
    long = Span(patient="a", start=100, end=900)
    halves = [Span(patient="a", start=150, end=300), Span(patient="a", start=600, end=900)]
    found = agree(halves, [long], within=5, late=[170, 620])
    assert (found.right, found.seen, found.late) == (2, 1, (70,))


def test_alerts_are_apart_for_each_person_alone() -> None:
    def at(patient: str, minute: int) -> Alert:
        return Alert(span=Span(patient=patient, start=0, end=1), answered_at=minute * MINUTE)

    several = [at("a", 0), at("a", 119), at("b", 30), at("a", 120), at("a", 200)]
    assert apart(several, 120 * MINUTE) == 3


def test_the_digest_names_a_person_once_in_a_week() -> None:
    first = BEGUN // DAY * DAY
    days = [[900] * 288, [650] * 12 + [900] * 276, [650] * 11 + [900] * 277, [650] * 288, [500] * 3 + [900] * 285]
    days += [[900] * 288] * 7 + [[650] * 100, [500] * 3 + [900] * 285]
    counts = tuple(count for day in days for count in day)
    times = tuple(
        first + number * DAY + index * 5 * MINUTE for number, day in enumerate(days) for index in range(len(day))
    )
    person = Trace(patient="made", times=times, counts=counts, cadence=5 * MINUTE)
    assert [day - first // DAY for day in digest_days(person)] == [1, 13]
