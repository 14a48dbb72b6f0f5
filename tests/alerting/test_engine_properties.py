"""The engine against the oracle, and the invariances that make live and batch the same truth."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import AlertChange
from alerting.engine import Engine
from alerting.reading_order import canonical
from alerting.rules import ChangeRule, Direction, Statistic
from devices.reading import Reading
from tests.alerting.drawn_rules import ENGINE_KINDS
from tests.alerting.oracle import expected_alerts
from tests.alerting.worlds import (
    HOUR,
    MINUTE,
    PATIENT,
    START,
    WEIGHT,
    Box,
    World,
    dense_worlds,
    fold,
    reading,
    small,
    sparse_worlds,
    worlds,
    worlds_about,
)

pytestmark = pytest.mark.long

MANY = settings(max_examples=100, deadline=None)


def batch(world: World, until: int) -> tuple[Engine, list[AlertChange]]:
    engine = Engine(world.protocol, patient=PATIENT, zone=world.zone, since=world.since)
    return engine, [*engine.feed(world.readings), *engine.tick(until)]


@pytest.mark.parametrize("kind", ENGINE_KINDS)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_each_kind_follows_the_oracle_to_the_count(kind: str, data: st.DataObject) -> None:
    world = data.draw(worlds_about(kind))
    _, changes = batch(world, world.end)
    assert world.shown(changes) == world.expected()


def last_step(change: AlertChange) -> int:
    held_back = None if change.suppressed is None else change.suppressed.since
    times = (change.raised_at, change.resolved_at, change.told_at, held_back)
    return max(at for at in times if at is not None)


@MANY
@given(worlds(), st.sampled_from((0, 1, HOUR, 5 * HOUR)))
def test_engine_raises_what_the_oracle_expects(world: World, wait: int) -> None:
    until = world.end + wait
    _, changes = batch(world, until)
    assert world.shown(changes) == world.expected(until)


@MANY
@given(sparse_worlds(), st.sampled_from((0, 5 * HOUR, 40 * HOUR)))
def test_weeks_of_measurements_follow_the_oracle(world: World, wait: int) -> None:
    until = world.end + wait
    _, changes = batch(world, until)
    assert world.shown(changes) == world.expected(until)


@MANY
@given(dense_worlds())
def test_a_glucose_sensor_follows_the_oracle(world: World) -> None:
    _, changes = batch(world, world.end)
    assert world.shown(changes) == world.expected()


@MANY
@given(
    st.sampled_from(Direction),
    st.lists(st.tuples(st.integers(0, 40), st.integers(-3, 3)), min_size=20, max_size=200),
)
def test_a_long_window_follows_the_oracle(direction: Direction, steps: list[tuple[int, int]]) -> None:
    (change,) = [rule for rule in small("heart_failure").rules if rule.id == "weight_gain_1_day"]
    assert isinstance(change, ChangeRule)
    statistic = Statistic.LOWEST if direction is Direction.RISE else Statistic.HIGHEST
    rule = replace(
        change,
        direction=direction,
        statistic=statistic,
        delta=4_000,
        end_delta=2_000,
        window=90 * MINUTE,
        slack=10 * MINUTE,
    )
    protocol = replace(small("heart_failure"), rules=(rule,))
    at, kilograms = START, 70
    readings: list[Reading] = []
    for step, move in steps:
        at, kilograms = at + step * MINUTE, kilograms + move
        readings.append(reading(WEIGHT, kilograms * 1000, at, key=f"{len(readings):03}"))
    world = World(protocol, tuple(readings), START)
    _, changes = batch(world, world.end)
    assert fold(changes) == expected_alerts(protocol, readings, since=START, until=world.end)


@MANY
@given(st.one_of(worlds(), sparse_worlds(), dense_worlds()), st.data())
def test_cuts_ticks_and_restarts_change_neither_alerts_nor_snapshot(world: World, data: st.DataObject) -> None:
    whole, told_at_once = batch(world, world.end)
    box = Box(world.protocol, world.since, world.zone)
    rest = canonical(world.readings)
    while rest:
        size = data.draw(st.integers(min(len(rest), 1 + len(rest) // 8), len(rest)))
        box.arrive([*rest[:size], *data.draw(st.lists(st.sampled_from(rest[:size]), max_size=2))])
        rest = rest[size:]
        if data.draw(st.booleans()):
            box.restart()
        now = min(box.engine.next_deadline() or START, rest[0].measured_at if rest else world.end)
        if data.draw(st.booleans()):
            box.tick(now)
    box.tick(world.end)
    assert fold(box.told) == fold(told_at_once)
    assert sorted(box.told, key=repr) == sorted(told_at_once, key=repr)
    assert box.engine.snapshot() == whole.snapshot()


@MANY
@given(worlds(), st.data())
def test_arrival_in_any_order_ends_with_the_alerts_and_state_of_the_batch(world: World, data: st.DataObject) -> None:
    until = world.end + data.draw(st.sampled_from((0, HOUR)))
    whole, told_at_once = batch(world, until)
    box = Box(world.protocol, world.since, world.zone)
    rest = data.draw(st.permutations(world.readings))
    rest += rest[: data.draw(st.integers(0, 3))]
    while rest:
        size = data.draw(st.integers(1, max(1, len(rest) // 3)))
        box.arrive(rest[:size])
        rest = rest[size:]
        if data.draw(st.booleans()):
            box.tick(data.draw(st.integers(world.since, until)))
        if data.draw(st.booleans()):
            box.restart()
    box.tick(until)
    assert fold(box.told) == fold(told_at_once)
    assert box.engine._stream.state.tobytes() == whole._stream.state.tobytes()
    assert {one.alert_id for one in box.engine.open_alerts} == {one.alert_id for one in whole.open_alerts}


@MANY
@given(worlds(stretch=12), st.lists(st.sampled_from((0, 0, 0, HOUR, 19 * HOUR)), min_size=40, max_size=40))
def test_days_of_delayed_arrivals_end_with_the_alerts_and_state_of_the_batch(world: World, delays: list[int]) -> None:
    arrivals = [(one.measured_at + delay, one) for one, delay in zip(world.readings, delays, strict=False)]
    until = max([world.since, *(at for at, _ in arrivals)])
    whole, told_at_once = batch(world, until)
    box = Box(world.protocol, world.since, world.zone)
    for at, one in sorted(arrivals, key=lambda arrival: arrival[0]):
        box.tick(at)
        box.arrive([one])
    assert fold(box.told) == fold(told_at_once)
    assert box.engine._stream.state.tobytes() == whole._stream.state.tobytes()


@MANY
@given(st.one_of(worlds(), sparse_worlds(), dense_worlds()), st.data())
def test_what_comes_later_changes_nothing_that_was_told_before(world: World, data: st.DataObject) -> None:
    cut = data.draw(st.integers(min([world.since, *(one.measured_at for one in world.readings)]), world.end))
    past = replace(world, readings=tuple(one for one in world.readings if one.measured_at <= cut))
    _, told_then = batch(past, cut)
    _, told_at_once = batch(world, world.end)
    first = [one for one in told_at_once if last_step(one) < cut]
    then = [one for one in told_then if last_step(one) < cut]
    assert then == first


@MANY
@given(st.one_of(worlds(), sparse_worlds()), st.data())
def test_a_deadline_is_when_a_tick_first_tells_something(world: World, data: st.DataObject) -> None:
    engine, _ = batch(world, world.end)
    deadline = engine.next_deadline()
    if deadline is None:
        assert engine.tick(world.end + 1000 * HOUR) == ()
    else:
        assert engine.tick(deadline - 1) == ()
        assert len(engine.tick(deadline)) >= 1
