"""What holds of the life of any alerts: nothing is hidden, nothing depends on how readings came."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import Priority, Reason
from alerting.life import told_at
from alerting.reading_order import canonical
from tests.alerting.lives import LateBox, lives, moments, plain, shelve, shelves, standing, told_by, whole
from tests.alerting.worlds import (
    HOUR,
    MINUTE,
    Box,
    World,
    dense_worlds,
    fold,
    sparse_worlds,
    worlds,
)

MANY = settings(max_examples=60, deadline=None)
FEWER = settings(max_examples=40, deadline=None)
ANY = st.one_of(worlds(), sparse_worlds(), dense_worlds())


@MANY
@given(ANY.flatmap(told_by), st.data())
def test_what_holds_alerts_back_changes_none_of_them(world: World, data: st.DataObject) -> None:
    _, held_back = whole(world, world.end, data.draw(shelves(world)))
    _, told = whole(replace(world, protocol=plain(world.protocol)), world.end)
    assert fold(held_back) == fold(told)


@MANY
@given(ANY.flatmap(told_by), st.data())
def test_an_alert_is_told_while_it_stands_and_a_high_one_waits_for_no_hour_and_no_number(
    world: World, data: st.DataObject
) -> None:
    engine, _ = whole(world, world.end + HOUR, data.draw(shelves(world)))
    for told in engine.told:
        first = told_at(told.life)
        times = [turn.at for turn in told.life]
        assert times == sorted(times)
        assert times[0] == told.raised_at
        assert told.resolved_at is None or times[-1] <= told.resolved_at
        if first is not None:
            assert told.raised_at <= first
            assert told.resolved_at is None or first <= told.resolved_at
        if engine.protocol.rules[told.rule].priority is Priority.HIGH:
            reasons = {turn.reason for turn in told.life}
            assert reasons <= {None, Reason.SHELVED, Reason.STALE, Reason.ABSORBED, Reason.REFRACTORY}


@MANY
@given(ANY.flatmap(told_by), st.data())
def test_cuts_ticks_and_restarts_change_nothing_that_is_told(world: World, data: st.DataObject) -> None:
    acts = data.draw(shelves(world), label="acts")
    at_once, told_at_once = whole(world, world.end, acts)
    box = Box(world.protocol, world.since, world.zone)
    for shelf in acts:
        box.told += shelve(box.engine, shelf)
    rest = canonical(world.readings)
    while rest:
        size = data.draw(st.integers(min(len(rest), 1 + len(rest) // 8), len(rest)))
        # What is raised and what ends in one millisecond is told in the order in which it comes.
        while size < len(rest) and rest[size].measured_at == rest[size - 1].measured_at:
            size += 1
        box.arrive(rest[:size])
        rest = rest[size:]
        if data.draw(st.booleans()):
            box.restart()
        limit = rest[0].measured_at if rest else world.end
        if data.draw(st.booleans()):
            box.tick(min(box.engine.next_deadline() or limit, limit))
        if data.draw(st.booleans()):
            box.tick(limit - 1)
    box.tick(world.end)
    assert sorted(box.told, key=repr) == sorted(told_at_once, key=repr)
    assert box.engine.snapshot() == at_once.snapshot()


@MANY
@given(worlds().flatmap(told_by), st.data())
def test_arrival_in_any_order_ends_with_the_same_lives(world: World, data: st.DataObject) -> None:
    until = world.end + data.draw(st.sampled_from((1, HOUR)))
    acts = data.draw(shelves(world))
    at_once, _ = whole(world, until, acts)
    kind: type[Box] = data.draw(st.sampled_from((Box, LateBox)))
    box = kind(world.protocol, world.since, world.zone)
    rest = data.draw(st.permutations(world.readings))
    while rest:
        size = data.draw(st.integers(1, max(1, len(rest) // 3)))
        box.arrive(rest[:size])
        rest = rest[size:]
        if data.draw(st.booleans()):
            box.tick(data.draw(st.integers(world.since, until)))
        if acts and data.draw(st.sampled_from((False, True))):
            box.told += shelve(box.engine, acts.pop())
        if data.draw(st.booleans()):
            box.restart()
    for shelf in acts:
        box.told += shelve(box.engine, shelf)
    box.tick(until)
    assert lives(box.engine) == lives(at_once)
    assert [one.suppressed for one in box.engine.open_alerts] == [one.suppressed for one in at_once.open_alerts]
    assert standing(box.told) == {one.alert_id for one in box.engine.open_alerts}


@MANY
@given(st.one_of(worlds(), sparse_worlds()).flatmap(told_by), st.data())
def test_a_deadline_is_when_a_tick_first_tells_something(world: World, data: st.DataObject) -> None:
    engine, _ = whole(world, world.end, data.draw(shelves(world)))
    deadline = engine.next_deadline()
    if deadline is None:
        assert engine.tick(world.end + 1000 * HOUR) == ()
    else:
        assert engine.tick(deadline - 1) == ()
        assert len(engine.tick(deadline)) >= 1


@FEWER
@given(
    world=st.one_of(worlds(stretch=24), sparse_worlds(), dense_worlds()).flatmap(told_by),
    seed=st.integers(0, 9_999),
    odds=st.sampled_from((2, 5, 20)),
    restarts=st.booleans(),
)
def test_late_readings_judged_from_a_checkpoint_give_what_judging_from_the_start_gives(
    world: World, seed: int, odds: int, *, restarts: bool
) -> None:
    chance = random.Random(seed)
    delays = [chance.choice((0,) * odds + (10 * MINUTE, 7 * HOUR, 23 * HOUR)) for _ in world.readings]
    arrivals = sorted(zip(world.readings, delays, strict=True), key=lambda one: one[0].measured_at + one[1])
    slow, quick = Box(world.protocol, world.since, world.zone), LateBox(world.protocol, world.since, world.zone)
    for number, (one, delay) in enumerate(arrivals):
        for box in (slow, quick):
            box.tick(one.measured_at + delay)
            box.arrive([one])
            if restarts and number % 7 == 0:
                box.restart()
        # What the slow one judges is judged from the start: it has no checkpoint left.
        slow.engine._checkpoints.clear()
    assert slow.engine.snapshot() == quick.engine.snapshot()
    assert standing(quick.told) == {one.alert_id for one in quick.engine.open_alerts}
    assert moments(slow.told) == moments(quick.told)
