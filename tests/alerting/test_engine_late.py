"""Late readings are judged again from shortly before them, and the same as from the start."""

import pytest

from alerting.alert import ChangeKind
from alerting.checkpoints import CLOSE, Checkpoint, latest_before, planned, thinned
from alerting.engine import Engine
from alerting.errors import HistoryError
from alerting.reading_order import canonical
from alerting.rules import LevelRule, Side
from devices.reading import Reading
from tests.alerting.worlds import (
    CGM,
    DAY,
    HOUR,
    MINUTE,
    PARIS,
    PATIENT,
    START,
    WEIGHT,
    cgm,
    common,
    protocol_of,
    reading,
    small,
)

DIABETES = small("diabetes_cgm")


def trace(days: int) -> list[Reading]:
    """Return glucose that falls low every eight hours."""
    return cgm([100 + 50 * ((n // 12) % 8 - 1) for n in range(days * 288)])


def engine_of(readings: list[Reading]) -> Engine:
    engine = Engine(DIABETES, patient=PATIENT, zone=PARIS, since=START)
    for one in readings:
        engine.feed([one])
    return engine


def at_once(readings: list[Reading]) -> Engine:
    engine = Engine(DIABETES, patient=PATIENT, zone=PARIS, since=START)
    engine.feed(readings)
    return engine


def state(engine: Engine) -> bytes:
    return engine._stream.state.tobytes()


def test_a_late_reading_asks_for_hours_of_history_not_for_weeks() -> None:
    history = trace(5)
    engine = engine_of(history)
    late = reading(CGM, "100", engine.event_time - 2 * HOUR - MINUTE, device="second")
    needed = engine.history_needed([late])
    assert engine.history_from < START
    assert late.measured_at - CLOSE - 5 * MINUTE <= needed <= late.measured_at
    engine.rejudge([*(one for one in history if one.measured_at >= needed), late])
    assert state(engine) == state(at_once([*history, late]))


def test_what_the_history_lacks_is_missed_only_as_far_as_it_is_needed() -> None:
    history = trace(2)
    engine = engine_of(history)
    late = reading(CGM, "100", engine.event_time - HOUR - MINUTE, device="second")
    needed = [one for one in history if one.measured_at >= engine.history_needed([late])]
    before = engine.snapshot()
    with pytest.raises(HistoryError) as caught:
        engine.rejudge([*needed[3:], late])
    assert caught.value.lacking == 3
    assert engine.snapshot() == before


def test_a_late_reading_older_than_every_checkpoint_is_judged_from_the_start() -> None:
    history = trace(1)[: 13 * 12]
    engine = engine_of(history)
    late = reading(CGM, "60", START + HOUR + MINUTE, device="second")
    assert engine.history_needed([late]) == engine.history_from
    engine.rejudge([*history, late])
    assert state(engine) == state(at_once([*history, late]))
    later = reading(CGM, "60", START + 10 * HOUR + MINUTE, device="second")
    assert engine.history_needed([later]) > START, "judging again has left checkpoints"


def test_after_a_restart_what_is_later_than_it_is_judged_from_there() -> None:
    history = trace(5)
    kept = engine_of(history).snapshot()
    engine = Engine.restore(DIABETES, kept, zone=PARIS)
    restored_at = engine.event_time
    live = reading(CGM, "100", restored_at + 3 * HOUR, device="second")
    engine.feed([live])
    backfill = [reading(CGM, "60", restored_at + n * 5 * MINUTE, device="second") for n in range(1, 36)]
    assert engine.history_needed(backfill) == restored_at + 1
    engine.rejudge([live, *backfill])
    never_stopped = at_once([*history, *backfill, live])
    assert state(engine) == state(never_stopped)
    standing = [(one.alert_id, one.raised_at) for one in engine.open_alerts]
    assert standing == [(one.alert_id, one.raised_at) for one in never_stopped.open_alerts] != []
    before = reading(CGM, "100", restored_at - MINUTE, device="third")
    assert engine.history_needed([before]) == engine.history_from


def test_several_late_batches_in_a_row_end_as_all_at_once() -> None:
    history = trace(3)
    engine = engine_of(history)
    kept = list(history)
    for hours in (3, 20, 1, 13, 23):
        batch = [
            reading(CGM, "60", engine.event_time - hours * HOUR + n * 5 * MINUTE + MINUTE, device="second")
            for n in range(6)
        ]
        kept += batch
        needed = engine.history_needed(batch)
        engine.rejudge([one for one in kept if one.measured_at >= needed])
    assert state(engine) == state(at_once(kept))


def test_nothing_new_changes_nothing() -> None:
    engine = engine_of(trace(1))
    assert engine.history_needed([]) == engine.history_from
    before = engine.snapshot()
    assert engine.rejudge(trace(1)) == ()
    assert engine.snapshot() == before


def test_what_came_between_leaves_no_checkpoint_behind_that_lies_after_it() -> None:
    heart = Engine(small("heart_failure"), patient=PATIENT, zone=PARIS, since=START)
    weights = [reading(one, "70", START + n * HOUR) for n in range(0, 30, 5) for one in _QUANTITIES[:1]]
    heart.feed(weights)
    first = reading(_QUANTITIES[1], "120", START + 2 * HOUR)
    heart.feed([first])
    late = reading(_QUANTITIES[0], "71", START + 24 * HOUR)
    assert heart.history_needed([late]) == heart.history_from
    heart.rejudge(canonical([*weights, first, late]))
    whole = Engine(small("heart_failure"), patient=PATIENT, zone=PARIS, since=START)
    whole.feed([*weights, first, late])
    assert state(heart) == state(whole)


_QUANTITIES = (small("heart_failure").rules[0].quantity, small("heart_failure").rules[2].quantity)


def checkpoint(engine: Engine, at: int) -> Checkpoint:
    stream = engine._stream
    return Checkpoint(at=at, state=stream.state, tails=[], ledgers=[], told=[])


def test_about_ten_checkpoints_are_kept_however_long_it_lasts() -> None:
    engine = at_once([])
    kept: list[Checkpoint] = []
    for step in range(60 * 4):
        now = START + step * CLOSE
        kept = thinned([*kept, checkpoint(engine, now)], now=now, reach=35 * DAY)
        assert [one.at for one in kept] == sorted(one.at for one in kept)
        assert kept[0].at <= max(START, now - 35 * DAY)
        assert len(kept) <= 13
        ages = [now - one.at for one in kept if one.at > now - 30 * HOUR]
        assert ages == [age * CLOSE for age in reversed(range(min(step + 1, 5)))]


@pytest.mark.parametrize(("first", "found"), [(10, None), (11, 10), (20, 10), (21, 20), (99, 20)])
def test_a_checkpoint_serves_what_is_later_than_it(first: int, found: int | None) -> None:
    engine = at_once([])
    one = latest_before([checkpoint(engine, 10), checkpoint(engine, 20)], first)
    assert (None if one is None else one.at) == found


def test_a_replay_leaves_checkpoints_where_they_would_have_been_kept() -> None:
    until = START + 60 * DAY
    stops = planned(since=START, until=until, reach=35 * DAY)
    assert stops == sorted(set(stops))
    assert [until - at for at in stops[-5:]] == [n * CLOSE for n in (5, 4, 3, 2, 1)]
    assert until - 42 * DAY <= stops[0] <= until - 35 * DAY
    assert planned(since=until - HOUR, until=until, reach=35 * DAY) == []


def test_an_alert_that_is_taken_back_brings_no_forgotten_one_up_again() -> None:
    heavy = LevelRule(
        **common(WEIGHT, "heavy"), side=Side.ABOVE, threshold=80_000, end_threshold=80_000, persist=2 * HOUR
    )
    engine = Engine(protocol_of(heavy), patient=PATIENT, zone=PARIS, since=START)
    weighed = [
        reading(WEIGHT, value, START + day * DAY + hour * HOUR)
        for day in (0, 1, 2, 200)
        for hour, value in ((0, "81"), (2, "81"), (3, "79"))
    ]
    engine.feed(weighed)
    # Of those that nothing can change any more two are known; the first is forgotten.
    assert [(told.onset - START) // DAY for told in engine.told] == [1, 2, 200]
    between = reading(WEIGHT, "79", START + 200 * DAY + HOUR, device="second")
    (retracted,) = engine.rejudge([*weighed, between])
    assert retracted.kind is ChangeKind.RETRACTED
    assert [(told.onset - START) // DAY for told in engine.told] == [1, 2]
