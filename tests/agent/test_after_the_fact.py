"""What a wrong time had hidden is told once the time is known: late, with its end, and once."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.reading_time import doubted, not_ahead
from agent.store import Store
from agent.telling_here import concerns
from agent.time_keeper import TimeKeeper
from alerting.alert import AlertChange, ChangeKind
from alerting.backtest import AlertOutcome, backtest
from devices.reading import Reading
from exchange.messages import AlertRecord
from tests.agent.kit import MINUTE, PATIENT, START, Desk, glucose
from tests.agent.test_box_clock import HOUR, YEAR, Machine
from tests.agent.test_pipeline import Box, one_patient
from tests.agent.test_time_put_right import by_arrival, living

EXAMPLES = 300 if os.environ.get("FAULTS_ALL") else 25
RULE = "hypo_level_1"
DAY = 24 * HOUR
LOW = ((20, "66"), (25, "64"), (30, "62"), (35, "61"))
BACK = ((40, "95"), (45, "99"), (50, "104"), (55, "110"))


def right_boot() -> Machine:
    return Machine(wall=START, vouched=True)


def wrong_boot(by: int, minute: int = 10, *, boot: str = "d" * 32) -> Machine:
    return Machine(wall=START + minute * MINUTE + by, of_boot=boot)


async def dated_by_device(box: Box, values: Sequence[tuple[int, str]], *, wrong_by: int) -> None:
    """Readings that their device dated rightly, received by a box whose time is wrong."""
    for minute, value in values:
        at = START + minute * MINUTE
        await box.give(replace(glucose(value, minute), received_at=at + wrong_by))
    await box.settle()


async def put_right(box: Box, keeper: TimeKeeper, machine: Machine, at: int) -> None:
    machine.is_told(at)
    await keeper.look()
    await box.settle()


async def alerts(box: Box, desk: Desk, rule: str = RULE) -> list[AlertRecord]:
    await box.settle()
    waiting = await box.store.call(desk.waiting)
    return [record for record in waiting if isinstance(record, AlertRecord) and record.rule == rule]


async def watched_before(path: Path, desk: Desk) -> None:
    async with living(path, desk, right_boot()) as (box, _):
        await box.give(glucose("100", 0))
        await box.settle()


@pytest.mark.parametrize("wrong_by", [3 * YEAR, 40 * DAY])
async def test_an_alert_that_began_and_ended_in_a_boot_years_ahead_is_told_after_the_fact(
    tmp_path: Path, desk: Desk, wrong_by: int
) -> None:
    path = tmp_path / "box.db"
    await watched_before(path, desk)
    heard: list[AlertChange] = []
    machine = wrong_boot(wrong_by)
    async with living(path, desk, machine) as (box, keeper):
        box.judging._on_alerts = heard.extend
        await box.tick(box.clock.now_ms())
        await dated_by_device(box, (*LOW, *BACK), wrong_by=wrong_by)
        assert await alerts(box, desk) == [], "too late for an engine of years to come"
        await put_right(box, keeper, machine, START + 60 * MINUTE)
        (told,) = await alerts(box, desk)
        assert (told.kind, told.late, told.onset) == (ChangeKind.ADDED, True, START + 20 * MINUTE)
        assert (told.raised_at, told.resolved_at) == (START + 30 * MINUTE, START + 50 * MINUTE)
        assert told.suppressed is None
        assert "mesure reçue en retard" in told.fr
        assert not [change for change in heard if concerns(change)], "nobody at home is told of what is over"
        assert RULE not in {change.rule for change in await box.store.call(Store.standing_alerts)}
        engine = box.judging._engines[PATIENT]
        assert engine.escalate(START + 9 * HOUR) == ()
        assert await box.store.call(Store.too_late, PATIENT, since=0, until_row=2**60) == []
    # The next start has nothing to add, and the engine remembers what it told.
    async with living(path, desk, machine) as (box, _):
        await box.give(glucose("112", 65))
        assert len(await alerts(box, desk)) == 1


async def test_a_time_that_is_right_only_in_the_next_boot_brings_it_too(tmp_path: Path, desk: Desk) -> None:
    """No correction names what that boot received: an engine ahead of the time is begun anew all the same."""
    path = tmp_path / "box.db"
    await watched_before(path, desk)
    async with living(path, desk, wrong_boot(3 * YEAR)) as (box, _):
        await box.tick(box.clock.now_ms())
        await dated_by_device(box, (*LOW, *BACK), wrong_by=3 * YEAR)
    async with living(path, desk, Machine(wall=START + HOUR, of_boot="e" * 32, vouched=True)) as (box, _):
        (told,) = await alerts(box, desk)
        assert (told.kind, told.late, told.resolved_at) == (ChangeKind.ADDED, True, START + 50 * MINUTE)


async def test_what_stands_by_the_right_time_is_told_of_now(tmp_path: Path, desk: Desk) -> None:
    path, machine = tmp_path / "box.db", wrong_boot(3 * YEAR)
    await watched_before(path, desk)
    async with living(path, desk, machine) as (box, keeper):
        await box.tick(box.clock.now_ms())
        await dated_by_device(box, LOW, wrong_by=3 * YEAR)
        await put_right(box, keeper, machine, START + 37 * MINUTE)
        (told,) = await alerts(box, desk)
        assert (told.kind, told.late, told.resolved_at) == (ChangeKind.RAISED, False, None)
        await dated_by_device(box, BACK, wrong_by=0)
        assert [one.kind for one in await alerts(box, desk)] == [ChangeKind.RAISED, ChangeKind.RESOLVED]


async def test_what_was_told_by_the_wrong_time_is_not_told_again(tmp_path: Path, desk: Desk) -> None:
    """Its onset moves, and with it its id: it rests on the same readings."""
    path, by = tmp_path / "box.db", 3 * YEAR
    await watched_before(path, desk)
    machine = wrong_boot(by)
    async with living(path, desk, machine) as (box, keeper):
        for minute, value in (*LOW, *BACK):
            await box.give(by_arrival(value, START + by + minute * MINUTE))
        before = await alerts(box, desk)
        assert [one.kind for one in before] == [ChangeKind.RAISED, ChangeKind.RESOLVED]
        await put_right(box, keeper, machine, START + 60 * MINUTE)
        assert await alerts(box, desk) == before


async def test_one_that_stood_by_the_wrong_time_and_is_over_by_the_right_one_is_told_with_its_end(
    tmp_path: Path, desk: Desk
) -> None:
    path, by = tmp_path / "box.db", 3 * YEAR
    await watched_before(path, desk)
    machine = wrong_boot(by)
    async with living(path, desk, machine) as (box, keeper):
        await dated_by_device(box, LOW, wrong_by=by)
        await box.tick(box.clock.now_ms())
        await dated_by_device(box, BACK, wrong_by=by)
        assert [one.kind for one in await alerts(box, desk)] == [ChangeKind.RAISED]
        await put_right(box, keeper, machine, START + 60 * MINUTE)
        raised, ended = await alerts(box, desk)
        assert (ended.kind, ended.alert_id, ended.late) == (ChangeKind.RESOLVED, raised.alert_id, True)
        assert ended.resolved_at == START + 50 * MINUTE


async def test_a_second_one_of_the_same_rule_is_not_taken_for_the_first(tmp_path: Path, desk: Desk) -> None:
    path, by = tmp_path / "box.db", 3 * YEAR
    await watched_before(path, desk)
    machine = wrong_boot(by)
    later = [(minute + 60, value) for minute, value in (*LOW, *BACK)]
    async with living(path, desk, machine) as (box, keeper):
        await dated_by_device(box, LOW, wrong_by=by)
        await box.tick(box.clock.now_ms())
        await dated_by_device(box, (*BACK, *later), wrong_by=by)
        await put_right(box, keeper, machine, START + 120 * MINUTE)
        kinds = [(one.kind, (one.onset - START) // MINUTE) for one in await alerts(box, desk)]
        assert kinds == [(ChangeKind.RAISED, 20), (ChangeKind.RESOLVED, 20), (ChangeKind.ADDED, 80)]


async def test_beyond_the_lateness_bound_nothing_is_judged_nor_told(tmp_path: Path, desk: Desk) -> None:
    path, by = tmp_path / "box.db", 3 * YEAR
    await watched_before(path, desk)
    machine = wrong_boot(by)
    async with living(path, desk, machine) as (box, keeper):
        await box.tick(box.clock.now_ms())
        await dated_by_device(box, (*LOW, *BACK), wrong_by=by)
        await put_right(box, keeper, machine, START + 55 * MINUTE + DAY + 1)
        assert await alerts(box, desk) == []
        left = await box.store.call(Store.too_late, PATIENT, since=0, until_row=2**60)
        assert len(left) == len((*LOW, *BACK))


async def test_what_people_did_follows_an_alert_whose_onset_moves(tmp_path: Path, desk: Desk) -> None:
    path, by = tmp_path / "box.db", 3 * YEAR
    await watched_before(path, desk)
    machine = wrong_boot(by)
    async with living(path, desk, machine) as (box, keeper):
        for minute, value in LOW:
            await box.give(by_arrival(value, START + by + minute * MINUTE))
        (raised,) = await alerts(box, desk)
        box.judging._engines[PATIENT].acknowledge(raised.alert_id, "nurse", START + by + 36 * MINUTE)
        await box.give(by_arrival("60", START + by + 38 * MINUTE))
        await box.judging.stop()
        await put_right(box, keeper, machine, START + 39 * MINUTE)
        _, revised = await alerts(box, desk)
        assert (revised.kind, revised.supersedes) == (ChangeKind.REVISED, raised.alert_id)
        engine = box.judging._engines[PATIENT]
        assert engine.attended(revised.alert_id)


# --- whatever the leaps, the readings and the kills ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One boot by a wrong time.

    Attributes:
        wrong_by: ms.
        steps: minutes that pass, then a value; None: time passes for judging.
        kills: after how many calls of the store each attempt at putting right is killed.
        by_arrival: whether its readings have no time of their own.
        cut: whether the boot ends before the time is known.
    """

    wrong_by: int
    steps: tuple[tuple[int, str | None], ...]
    kills: tuple[int, ...]
    by_arrival: bool
    cut: bool


_step = st.tuples(st.sampled_from([5, 5, 5, 10, 200]), st.sampled_from(["60", "60", "60", "100", "100", "190", None]))
_stretch = st.builds(
    Stretch,
    # No whole number of minutes: two alerts of one rule with one onset, a wrong and a right one, would have one id.
    wrong_by=st.sampled_from(
        [3 * YEAR + 61_001, 40 * DAY + 62_003, 5 * HOUR + 63_007, 37_013 - 5 * HOUR, 38_011 - YEAR]
    ),
    steps=st.lists(_step, min_size=1, max_size=14).map(tuple),
    kills=st.lists(st.integers(0, 24), max_size=3).map(tuple),
    by_arrival=st.booleans(),
    cut=st.booleans(),
)


class World:
    """A box in time as it is, and what it was told."""

    def __init__(self, path: Path, desk: Desk) -> None:
        self.path, self.desk = path, desk
        self.now = START
        self.readings: list[Reading] = []
        self.numbers = count(1)

    async def live(self, stretch: Stretch) -> None:
        """Boot by a wrong time, read, and put it right in spite of kills."""
        machine = Machine(wall=self.now + stretch.wrong_by, of_boot=f"{next(self.numbers):032x}")
        async with living(self.path, self.desk, machine) as (box, _):
            for minutes, value in stretch.steps:
                if self.now + minutes * MINUTE > START + 23 * HOUR:
                    # What lies beyond the lateness bound has a test of its own.
                    break
                self.now += minutes * MINUTE
                machine.passes(minutes * MINUTE)
                if value is None:
                    await box.tick(box.clock.now_ms())
                else:
                    await box.give(self._read(value, box, by_arrival=stretch.by_arrival))
            await box.settle()
        if stretch.cut and not stretch.by_arrival and stretch.wrong_by > 0:
            return
        for calls in (*stretch.kills, None):
            async with living(self.path, self.desk, machine) as (box, keeper):
                machine.is_told(self.now)
                await surviving(box, calls, partial(looked, keeper, box))

    def _read(self, value: str, box: Box, *, by_arrival: bool) -> Reading:
        shown = box.clock.now_ms()
        key = f"{next(self.numbers)}"
        true = replace(glucose(value, 0), measured_at=self.now, received_at=self.now, key=key)
        self.readings.append(true)
        received = replace(true, received_at=shown, measured_at=shown if by_arrival else true.measured_at)
        return doubted(not_ahead(received, shown))

    async def told(self) -> list[AlertRecord]:
        async with living(self.path, self.desk, Machine(wall=self.now, of_boot="f" * 32, vouched=True)) as (box, _):
            await box.tick(box.clock.now_ms())
            await box.settle()
            waiting = await box.store.call(self.desk.waiting)
        return [record for record in waiting if isinstance(record, AlertRecord) and record.protocol]

    def expected(self) -> list[AlertOutcome]:
        zone = ZoneInfo("Europe/Paris")
        found = backtest(one_patient().protocol, {PATIENT: self.readings}, zone=zone, since=START, until=self.now)
        return list(found)


async def looked(keeper: TimeKeeper, box: Box) -> None:
    await keeper.look()
    await box.settle()


async def surviving(box: Box, calls: int | None, work: Callable[[], Any]) -> None:
    """Let the process die when it has called its store so often, or finish."""
    dead, call = asyncio.Event(), box.store.call
    left = iter(range(calls)) if calls is not None else cast("Iterator[int]", count())

    async def mortal(*args: Any, **kwargs: Any) -> Any:
        if next(left, None) is None:
            dead.set()
            await asyncio.Event().wait()
        return await call(*args, **kwargs)

    box.store.call = mortal  # type: ignore[method-assign]
    tasks = [asyncio.ensure_future(work()), asyncio.ensure_future(dead.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if tasks[0].done():
        tasks[0].result()
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    box.store.call = call  # type: ignore[method-assign]


def standing_events(told: Sequence[AlertRecord]) -> list[AlertRecord]:
    """Each alert that the team has in the end, as first told, those that go on as another one left out."""
    last = {record.alert_id: record for record in told}
    gone = {record.supersedes for record in told} | {one for one in last if last[one].kind is ChangeKind.RETRACTED}
    return [record for one, record in last.items() if one not in gone]


def is_event(alert: AlertRecord, event: AlertOutcome, times: Mapping[str, int]) -> bool:
    """Return whether an alert rests on a reading of an event, or was raised, by the right time, while it lasted.

    What an absence rests on is from before it.
    """
    if event.rule == "no_glucose":
        return bool(keys(alert) & keys(event))
    raised_by = times[alert.evidence[-1].key]
    lasted = event.onset <= raised_by and (event.resolved_at is None or raised_by <= event.resolved_at)
    return lasted or bool(keys(alert) & keys(event))


def keys(alert: AlertRecord | AlertOutcome) -> frozenset[str]:
    return frozenset(item.key for item in alert.evidence)


@example(
    # An absence that only the wrong time of the second had rests on the reading that had ended the first.
    stretches=[
        Stretch(wrong_by=3 * YEAR, steps=((200, "60"),), kills=(), by_arrival=False, cut=False),
        Stretch(wrong_by=3 * YEAR, steps=((5, "60"),), kills=(), by_arrival=True, cut=False),
    ]
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stretches=st.lists(_stretch, min_size=1, max_size=3))
def test_whatever_time_the_box_had_the_team_has_each_event_once(
    tmp_path_factory: pytest.TempPathFactory, desk: Desk, stretches: list[Stretch]
) -> None:
    async def story() -> tuple[list[AlertRecord], World]:
        path = tmp_path_factory.mktemp("box") / "box.db"
        await watched_before(path, desk)
        world = World(path, desk)
        world.readings.append(glucose("100", 0))
        for stretch in stretches:
            world.now += 5 * MINUTE
            await world.live(stretch)
        return await world.told(), world

    told, world = asyncio.run(story())
    expected, there = world.expected(), standing_events(told)
    times = {reading.key: reading.measured_at for reading in world.readings}
    for event in expected:
        same = [one for one in there if one.rule == event.rule and is_event(one, event, times)]
        assert len(same) == 1, (event, same)
        assert (same[0].resolved_at is None) is (event.resolved_at is None), (event, same)
    founded = {(one.rule, keys(one)) for one in expected}
    for one in there:
        # An absence that only a wrong time had was told, and cannot be untold: it stands no more.
        assert one.resolved_at is not None or any(rule == one.rule and keys(one) & of for rule, of in founded), one
    added = Counter(one.alert_id for one in told if one.kind is ChangeKind.ADDED)
    assert set(added.values()) <= {1}
