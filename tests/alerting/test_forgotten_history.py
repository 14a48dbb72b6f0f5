"""What no window reaches may be forgotten: what comes late is then judged by the rest, and nothing else changes."""

from alerting.alert import AlertChange
from alerting.engine import Engine
from alerting.retention import memory_of
from devices.reading import Reading
from tests.alerting.worlds import CGM, DAY, MINUTE, PARIS, PATIENT, START, cgm, reading, small

DIABETES = small("diabetes_cgm")


def days_of_glucose(days: int) -> list[Reading]:
    """Glucose that falls low every eight hours, with a silence of four hours on the third day."""
    found = cgm([100 + 50 * ((n // 12) % 8 - 1) for n in range(days * 288)])
    silent = range(START + 3 * DAY, START + 3 * DAY + 240 * MINUTE)
    return [one for one in found if one.measured_at not in silent]


def told(snapshot: bytes, history: list[Reading], late: Reading, *, whole_from: int | None) -> list[AlertChange]:
    engine = Engine.restore(DIABETES, snapshot, zone=PARIS)
    begin = max(engine.history_needed([late]), whole_from or 0)
    changes = engine.rejudge([*(one for one in history if one.measured_at >= begin), late], whole_from=whole_from)
    return list(changes)


def test_a_protocol_remembers_its_longest_window_and_how_late_a_reading_may_come() -> None:
    engine = Engine(DIABETES, patient=PATIENT, zone=PARIS, since=START)
    assert engine.prelude == START - engine.history_from
    assert memory_of(DIABETES) >= engine.prelude + DAY


def test_a_late_reading_is_judged_the_same_by_what_is_left_of_the_history() -> None:
    history = days_of_glucose(max(12, memory_of(DIABETES) // DAY + 6))
    engine = Engine(DIABETES, patient=PATIENT, zone=PARIS, since=START)
    engine.feed(history)
    snapshot = engine.snapshot()
    late = reading(CGM, "50", engine.event_time - 33 * MINUTE, device="second")
    whole = told(snapshot, history, late, whole_from=None)
    for days in (1, 2):
        kept_from = engine.event_time - memory_of(DIABETES) - days * DAY
        assert kept_from > START
        assert told(snapshot, history, late, whole_from=kept_from) == whole


def test_what_was_forgotten_before_watching_began_changes_nothing() -> None:
    history = days_of_glucose(4)
    engine = Engine(DIABETES, patient=PATIENT, zone=PARIS, since=START)
    engine.feed(history)
    snapshot = engine.snapshot()
    late = reading(CGM, "50", engine.event_time - 33 * MINUTE, device="second")
    before = engine.history_from
    again = Engine.restore(DIABETES, snapshot, zone=PARIS)
    assert list(again.rejudge([*history, late], whole_from=before)) == told(snapshot, history, late, whole_from=None)
