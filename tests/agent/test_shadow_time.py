"""Shadows when the box's time is put right: judged again by it, and compared with what was told by it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from agent.settings import ClockSettings
from agent.shadow_comparison import outcome_of
from agent.shadow_store import KeptAlert, ShadowState
from agent.store import Store
from agent.time_keeper import TimeKeeper
from alerting.backtest import backtest
from exchange.box_records import ClockCorrection
from tests.agent.kit import BOX, MINUTE, PATIENT, START, Desk, glucose
from tests.agent.shadow_kit import (
    CANDIDATE,
    ZONE,
    ShadowBox,
    active_side,
    judgeable,
    reader,
    running,
    shadow_alerts,
    shadow_rows,
)
from tests.agent.test_box_clock import HOUR, YEAR, Machine
from tests.agent.test_time_put_right import FakeLink, Settled, by_arrival

LOW = tuple((minute, "76") for minute in range(0, 30, 5))
"""Low for the candidate, not for the protocol that is applied."""
NOW = START + 25 * MINUTE
"""When somebody says what time it is."""
VERY_LOW = tuple((minute, "50") for minute in range(0, 30, 5))


@asynccontextmanager
async def living(path: Path, desk: Desk, machine: Machine) -> AsyncIterator[tuple[ShadowBox, TimeKeeper]]:
    clock = Settled(machine)
    async with running(path, desk, clock=cast("Any", clock)) as box:
        keeper = TimeKeeper(
            clock=clock,
            store=box.store,
            sealer=desk.sealer,
            link=cast("Any", FakeLink()),
            box=BOX,
            settings=ClockSettings(),
        )
        await keeper.begin()
        keeper._on_right = box.judging.retime
        yield box, keeper


async def give(box: ShadowBox, machine: Machine, readings: tuple[tuple[int, str], ...], *, zero: int) -> None:
    for minute, value in readings:
        machine.passes(max(0, zero + minute * MINUTE - box.clock.now_ms()))
        await box.give(by_arrival(value, zero + minute * MINUTE))
    await box.settle()


async def put_right(box: ShadowBox, keeper: TimeKeeper, machine: Machine, now: int) -> None:
    machine.is_told(now)
    # From here on the door of this test's box has the right time too.
    box.received.now = now
    await keeper.look()
    await box.settle()


def state(path: Path) -> ShadowState:
    store = reader(path)
    try:
        found = store.shadows.state(PATIENT)
    finally:
        store.close()
    assert found is not None
    return found


def lives(alerts: list[KeptAlert]) -> list[tuple[str, int, int | None]]:
    return [(one.rule, one.onset, one.resolved_at) for one in map(outcome_of, alerts)]


def in_one_go(path: Path, *, since: int, until: int) -> list[tuple[str, int, int | None]]:
    """What a backtest of the candidate says over what the box keeps."""
    found = backtest(CANDIDATE, {PATIENT: judgeable(path)}, zone=ZONE, since=since, until=until)
    return [(one.rule, one.onset, one.resolved_at) for one in found]


@pytest.mark.parametrize("wrong_by", [-55 * YEAR, -YEAR, -5 * HOUR, 5 * HOUR, YEAR])
async def test_a_shadow_judges_by_the_right_time_what_a_wrong_one_had_dated(
    tmp_path: Path, desk: Desk, wrong_by: int
) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START + wrong_by)
    async with living(path, desk, machine) as (box, keeper):
        await give(box, machine, LOW, zero=START + wrong_by)
        assert lives(shadow_alerts(path)) == [("low", START + wrong_by, None)]
        await put_right(box, keeper, machine, NOW)
        assert lives(shadow_alerts(path)) == [("low", START, None)]
        for minute in range(30, 60, 5):
            machine.passes(5 * MINUTE)
            await box.give(glucose("110", minute))
        await box.settle()
        found = state(path)
        assert (found.since, found.counted_from) == (START, START), "nobody was told anything: all of it counts"
    assert lives(shadow_alerts(path)) == in_one_go(path, since=found.since, until=found.until) != []


async def test_what_was_told_by_a_wrong_time_is_not_compared_with_what_is_said_by_the_right_one(
    tmp_path: Path, desk: Desk
) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START - YEAR)
    async with living(path, desk, machine) as (box, keeper):
        await give(box, machine, VERY_LOW, zero=START - YEAR)
        await put_right(box, keeper, machine, NOW)
        assert state(path).counted_from == NOW
        # Both know of it, by the right time, and neither counts it as raised since.
        standing = [one for one in await box.store.call(Store.standing_alerts) if one.protocol]
        assert {one.onset for one in standing} == {START}
        assert {one.onset for one in map(outcome_of, shadow_alerts(path))} == {START}


async def test_a_clock_that_was_right_but_for_a_minute_costs_no_comparison(tmp_path: Path, desk: Desk) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START - MINUTE)
    async with living(path, desk, machine) as (box, keeper):
        await give(box, machine, VERY_LOW, zero=START - MINUTE)
        await put_right(box, keeper, machine, NOW)
        assert state(path).counted_from == START


async def test_what_came_to_pass_before_the_wrong_time_stays_counted(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"
    machine = Machine(wall=START, vouched=True)
    async with living(path, desk, machine) as (box, _):
        await give(box, machine, LOW, zero=START)
    # Off for six hours, and started where it had stopped.
    machine = Machine(wall=START + 30 * MINUTE, of_boot="c" * 32)
    async with living(path, desk, machine) as (box, keeper):
        await give(box, machine, ((35, "76"), (40, "76")), zero=START)
        await put_right(box, keeper, machine, START + 7 * HOUR)
        found = state(path)
        assert (found.since, found.counted_from) == (START, START)
        assert lives(shadow_alerts(path))[0][:2] == ("low", START)
        until = found.until
    assert lives(shadow_alerts(path)) == in_one_go(path, since=START, until=until)


async def test_a_shadow_killed_before_it_heard_of_the_right_time_judges_by_it_at_the_next_start(
    tmp_path: Path, desk: Desk
) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START - YEAR)
    async with living(path, desk, machine) as (box, keeper):
        await give(box, machine, LOW, zero=START - YEAR)
        await box.kill_shadows()
        machine.is_told(NOW)
        await keeper.look()
        await box.judging.settled()
    assert lives(shadow_alerts(path)) == [("low", START - YEAR, None)]
    async with living(path, desk, machine) as (box, _):
        await box.settle()
    assert lives(shadow_alerts(path)) == [("low", START, None)]
    assert state(path).since == START


async def test_what_was_judged_by_a_time_found_wrong_meanwhile_is_never_kept(tmp_path: Path, desk: Desk) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START - YEAR)
    async with living(path, desk, machine) as (box, keeper):
        await give(box, machine, LOW, zero=START - YEAR)
        course = next(iter(box.shadows._shadows.values())).course
        assert course is not None
        keeper._on_right = None  # judging has not heard of it yet
        await put_right(box, keeper, machine, NOW)
        shadow = next(iter(box.shadows._shadows.values()))
        kept = shadow_alerts(path)
        await box.shadows._keep_now(shadow, course, replaces=True)
        assert shadow_alerts(path) == kept
        assert shadow.course is None
        await box.shadows.settled()
        assert shadow.course is None, "it waits until the protocol that is applied has taken up the right time"
        box.judging.retime()
        await box.settle()
    assert lives(shadow_alerts(path)) == [("low", START, None)]


async def test_what_came_too_late_by_a_wrong_time_is_judged_by_the_shadow_as_by_the_protocol_applied(
    tmp_path: Path, desk: Desk
) -> None:
    path, by = tmp_path / "box.db", 3 * YEAR
    async with living(path, desk, Machine(wall=START, vouched=True)) as (box, _):
        await give(box, Machine(), ((0, "100"),), zero=START)
    machine = Machine(wall=START + by, of_boot="d" * 32)
    over = tuple((minute, "100") for minute in range(30, 60, 5))
    async with living(path, desk, machine) as (box, keeper):
        await box.tick(box.clock.now_ms())
        for minute, value in (*LOW[1:], *over):
            await box.give(replace(glucose(value, minute), received_at=START + by + minute * MINUTE))
        await box.settle()
        assert shadow_rows(path)["shadow_left_out"] == len((*LOW[1:], *over))
        assert "low" not in [one.record.rule for one in shadow_alerts(path)]
        await put_right(box, keeper, machine, START + HOUR)
        await box.settle()
        assert shadow_rows(path)["shadow_left_out"] == 0
        (low,) = [one for one in map(outcome_of, shadow_alerts(path)) if one.rule == "low"]
        assert low.onset == START + 5 * MINUTE
        assert low.resolved_at is not None


async def test_a_shadow_ahead_of_the_box_begins_anew_and_is_counted_from_then_on(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"
    async with living(path, desk, Machine(wall=START + YEAR)) as (box, _):
        await give(box, Machine(), LOW, zero=START + YEAR)
    machine = Machine(wall=START, of_boot="d" * 32, vouched=True)
    async with living(path, desk, machine) as (box, _):
        await box.settle()
        assert shadow_alerts(path) == []
        assert state(path).counted_from == START
        await give(box, machine, LOW, zero=START)
    assert lives(shadow_alerts(path)) == [("low", START, None)]


@pytest.mark.parametrize("wrong_by", [-YEAR, 5 * HOUR])
async def test_with_or_without_a_shadow_putting_right_tells_the_same(tmp_path: Path, desk: Desk, wrong_by: int) -> None:
    sides = []
    for name in ("with", "without"):
        path, machine = tmp_path / f"{name}.db", Machine(wall=START + wrong_by)
        async with living(path, desk, machine) as (box, keeper):
            if name == "without":
                box.judging._shadows = None
            await give(box, machine, VERY_LOW, zero=START + wrong_by)
            await put_right(box, keeper, machine, NOW)
        told = active_side(path, desk)
        # The epoch that a correction names is of chance.
        told["sent"] = [item for item in cast("list[object]", told["sent"]) if not isinstance(item, ClockCorrection)]
        sides.append(told)
    assert sides[0] == sides[1]
