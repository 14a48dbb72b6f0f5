"""What the box makes of a time that was wrong: kept, flagged, put right for judging, and told to the team."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from agent.box_clock import BoxClock
from agent.reading_time import doubted, not_ahead
from agent.settings import ClockSettings
from agent.silence import LISTEN_MS
from agent.store import Store
from agent.store_thread import StoreThread
from agent.time_keeper import TimeKeeper
from alerting.alert import ChangeKind
from coordination.view import View
from devices.reading import ClockTrust, Reading
from exchange.box_records import ClockCorrection
from exchange.messages import AlertRecord, ObservationRecord
from tests.agent.kit import BOX, MINUTE, PATIENT, START, Desk, glucose
from tests.agent.test_box_clock import HOUR, YEAR, Machine
from tests.agent.test_pipeline import Box, running
from tests.coordination.kit import Team, rows


class FakeLink:
    refused_on_dates = False
    connected = False


class Settled(BoxClock):
    """Lets the test's box set the time that it receives at: its machine goes on."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, build_ms=0)
        self.machine = machine

    @property
    def now(self) -> int:
        return self.now_ms()

    @now.setter
    def now(self, at: int) -> None:
        self.machine.passes(max(0, at - self.now_ms()))


@asynccontextmanager
async def living(path: Path, desk: Desk, machine: Machine) -> AsyncIterator[tuple[Box, TimeKeeper]]:
    clock = Settled(machine)
    keepers: list[TimeKeeper] = []

    async def begin(store: StoreThread) -> None:
        keeper = TimeKeeper(
            clock=clock,
            store=store,
            sealer=desk.sealer,
            link=cast("Any", FakeLink()),
            box=BOX,
            settings=ClockSettings(),
        )
        await keeper.begin()
        keepers.append(keeper)

    # As the daemon does: the time is taken up before anything else.
    async with running(path, desk, clock=cast("Any", clock), begin=begin) as box:
        (keeper,) = keepers
        keeper._on_right = box.judging.retime
        yield box, keeper


def by_arrival(value: str, at: int) -> Reading:
    """A reading without a time of its own, received at `at`."""
    return replace(glucose(value, 0), measured_at=at, received_at=at, key=f"{at}")


async def kept(box: Box) -> list[Reading]:
    await box.settle()
    return [item.reading for item in await box.store.call(Store.history, PATIENT, since=-(2**60), until_row=2**60)]


async def told(box: Box) -> list[tuple[str, str]]:
    return [item for item in (await box.sent())[1] if item[1] == "hypo_level_1"]


@pytest.mark.parametrize("wrong_by", [-55 * YEAR, -YEAR, -5 * HOUR, 5 * HOUR, YEAR, 30 * YEAR])
async def test_a_box_that_did_not_know_the_time_judges_by_the_right_one_once_it_does(
    tmp_path: Path, desk: Desk, wrong_by: int
) -> None:
    machine = Machine(wall=START + wrong_by)
    async with living(tmp_path / "box.db", desk, machine) as (box, keeper):
        for minute, value in ((0, "100"), (5, "66"), (10, "64")):
            await box.give(by_arrival(value, START + wrong_by + minute * MINUTE))
        readings = await kept(box)
        assert {reading.clock for reading in readings} == {ClockTrust.UNKNOWN}
        machine.passes(MINUTE)
        machine.is_told(START + 11 * MINUTE)
        await keeper.look()
        await box.settle()
        assert [(reading.measured_at - START) // MINUTE for reading in await kept(box)] == [0, 5, 10]
        assert {reading.clock for reading in await kept(box)} == {ClockTrust.CORRECTED}
        # The engine is neither blind nor confused: the fall that began before goes on, and is told with the next.
        await box.give(glucose("62", 15))
        await box.give(glucose("60", 20))
        assert await told(box) == [("raised", "hypo_level_1")]
        (alert,) = [item for item in await box.store.call(Store.standing_alerts) if item.rule == "hypo_level_1"]
        assert alert.onset == START + 5 * MINUTE
        records = await box.store.call(desk.waiting)
    corrections = [record for record in records if isinstance(record, ClockCorrection)]
    assert [(item.offset, item.first, item.last) for item in corrections] == [(-wrong_by, 0, 2)]
    sent = [record for record in records if isinstance(record, ObservationRecord)][:3]
    assert [record.measured_at - START - wrong_by for record in sent] == [0, 5 * MINUTE, 10 * MINUTE], (
        "as it was sealed"
    )
    assert {record.clock for record in sent} == {ClockTrust.UNKNOWN}


async def test_a_leap_of_the_time_is_no_time_in_which_a_device_was_silent(tmp_path: Path, desk: Desk) -> None:
    machine = Machine(wall=START - 5 * HOUR)
    async with living(tmp_path / "box.db", desk, machine) as (box, keeper):
        await box.give(by_arrival("100", START - 5 * HOUR))
        machine.passes(5 * MINUTE)
        await box.tick(box.clock.now_ms())
        machine.is_told(START + 5 * MINUTE)
        # Time passes for judging, too, before it has heard that it leapt.
        keeper._before = lambda: box.tick(box.clock.now_ms())
        await keeper.look()
        await box.settle()

        async def silences(at: int) -> list[str]:
            await box.tick(at)
            return [rule for _, rule in (await box.sent())[1]]

        assert await silences(START + 6 * MINUTE) == []
        assert await silences(START + 5 * MINUTE + LISTEN_MS) == [], "half an hour of listening, by the right time"
        assert await silences(START + 5 * MINUTE + LISTEN_MS + 6 * HOUR) == ["no_glucose", "out_of_reach"]


async def test_an_alert_of_a_wrong_time_goes_on_under_the_right_one(tmp_path: Path, desk: Desk) -> None:
    machine = Machine(wall=START + YEAR)
    async with living(tmp_path / "box.db", desk, machine) as (box, keeper):
        for minute, value in ((0, "66"), (5, "64"), (10, "62"), (15, "61"), (20, "60")):
            await box.give(by_arrival(value, START + YEAR + minute * MINUTE))
        assert await told(box) == [("raised", "hypo_level_1")]
        machine.is_told(START + 20 * MINUTE)
        await keeper.look()
        await box.settle()
        (alert,) = [item for item in await box.store.call(Store.standing_alerts) if item.rule == "hypo_level_1"]
        assert (alert.kind, alert.onset) == (ChangeKind.REVISED, START)
        for minute, value in ((25, "95"), (30, "99"), (35, "104"), (40, "110")):
            await box.give(glucose(value, minute))
        assert await told(box) == [
            ("raised", "hypo_level_1"),
            ("revised", "hypo_level_1"),
            ("resolved", "hypo_level_1"),
        ]


async def test_a_power_cut_between_putting_right_and_judging_changes_nothing_of_it(tmp_path: Path, desk: Desk) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START - YEAR)
    async with living(path, desk, machine) as (box, keeper):
        for minute, value in ((0, "66"), (5, "64")):
            await box.give(by_arrival(value, START - YEAR + minute * MINUTE))
        await box.settle()
        keeper._on_right = None  # killed before judging hears of it
        machine.is_told(START + 6 * MINUTE)
        await keeper.look()
        assert await box.store.call(Store.must_retime)
    async with living(path, desk, machine) as (box, _):
        await box.settle()
        assert not await box.store.call(Store.must_retime)
        await box.give(glucose("62", 10))
        await box.give(glucose("62", 15))
        assert await told(box) == [("raised", "hypo_level_1")]


async def test_two_processes_of_one_boot_are_put_right_together(tmp_path: Path, desk: Desk) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START - YEAR)
    for minute in (0, 5):
        async with living(path, desk, machine) as (box, keeper):
            await box.give(by_arrival("100", START - YEAR + minute * MINUTE))
            if minute:
                machine.is_told(START + 6 * MINUTE)
                await keeper.look()
            assert [reading.measured_at >= START for reading in await kept(box)] == [bool(minute)] * (1 + minute // 5)


async def test_the_next_boot_starts_from_what_was_kept_and_not_from_a_time_that_was_found_wrong(
    tmp_path: Path, desk: Desk
) -> None:
    path, machine = tmp_path / "box.db", Machine(wall=START + YEAR)
    async with living(path, desk, machine) as (box, keeper):
        await box.give(by_arrival("100", START + YEAR))
        machine.is_told(START)
        await keeper.look()
    after = Machine(wall=0, mono=5, of_boot="e" * 32)
    async with living(path, desk, after) as (box, _):
        assert box.clock.now_ms() == START
        await box.give(by_arrival("101", START + MINUTE))
        assert [reading.clock for reading in await kept(box)] == [ClockTrust.CORRECTED, ClockTrust.UNKNOWN]


async def test_what_an_earlier_boot_dated_in_years_to_come_blinds_nobody(tmp_path: Path, desk: Desk) -> None:
    """No correction can say by how much that boot was wrong: it is kept and sent, and judged no more."""
    path = tmp_path / "box.db"
    async with living(path, desk, Machine(wall=START + 5 * YEAR)) as (box, _):
        for minute, value in ((0, "66"), (5, "64"), (10, "62"), (15, "60")):
            await box.give(by_arrival(value, START + 5 * YEAR + minute * MINUTE))
        assert await told(box) == [("raised", "hypo_level_1")]
    async with living(path, desk, Machine(wall=START, of_boot="d" * 32, vouched=True)) as (box, _):
        await box.settle()
        assert await told(box) == [("raised", "hypo_level_1"), ("resolved", "hypo_level_1")]
        records = await box.store.call(desk.waiting)
        (ended,) = [r for r in records if isinstance(r, AlertRecord) and r.kind is ChangeKind.RESOLVED and r.protocol]
        assert "l'heure du boîtier est connue" in ended.fr
        for minute, value in ((0, "66"), (5, "64"), (10, "62"), (15, "60")):
            await box.give(glucose(value, minute))
        assert (await told(box))[-1] == ("raised", "hypo_level_1")


async def test_an_engine_ahead_of_the_box_begins_anew_while_it_runs(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(glucose("100", 0))
        await box.tick(START + YEAR)  # somebody's clock leapt
        await box.tick(START + 5 * MINUTE)
        await box.settle()
        for minute, value in ((5, "66"), (10, "64"), (15, "62"), (20, "60")):
            await box.give(glucose(value, minute))
        assert await told(box) == [("raised", "hypo_level_1")]


def test_a_reading_ahead_of_the_box_is_of_its_arrival() -> None:
    now, ahead = START, replace(glucose("100", 6), received_at=START)
    assert not_ahead(glucose("100", 5), now).clock is ClockTrust.TRUSTED
    dated = not_ahead(ahead, now)
    assert (dated.measured_at, dated.clock) == (START, ClockTrust.UNKNOWN)
    assert doubted(replace(glucose("100", 0), received_at=START + 1)).clock is ClockTrust.TRUSTED
    assert doubted(glucose("100", 0)).clock is ClockTrust.UNKNOWN


async def test_a_time_that_is_not_known_is_told_and_asked_for_again(tmp_path: Path, desk: Desk) -> None:
    asked = tmp_path / "asked"
    machine = Machine()
    async with living(tmp_path / "box.db", desk, machine) as (box, keeper):
        keeper._settings = ClockSettings(ask=("/bin/sh", "-c", f"echo again >> {asked}"))
        keeper._notice = box.pipeline.notice
        await keeper.tell()
        await keeper.tell()
        await box.settle()
        (alert,) = await box.store.call(Store.standing_alerts)
        assert (alert.rule, alert.patient) == ("clock_unknown", BOX)
        assert "UDP 123" in alert.why.fr
        assert asked.read_text() == "again\nagain\n"
        keeper._settings = ClockSettings(ask=(str(tmp_path / "nothing"),))
        await keeper.tell()


async def test_readings_are_judged_while_nobody_knows_the_time(tmp_path: Path, desk: Desk) -> None:
    async with living(tmp_path / "box.db", desk, Machine(wall=0)) as (box, _):
        start = box.clock.now_ms()
        for minute, value in ((0, "66"), (5, "64"), (10, "62"), (15, "60")):
            await box.give(by_arrival(value, start + minute * MINUTE))
        assert await told(box) == [("raised", "hypo_level_1")]


async def test_a_box_that_woke_in_1970_brings_its_patient_s_readings_to_the_team_by_the_right_time(
    tmp_path: Path, desk: Desk
) -> None:
    """Installed where no network was: no clock, nothing kept, no build date to go by."""
    (tmp_path / "team").mkdir()
    team = Team(tmp_path / "team")
    machine = Machine(wall=0)
    async with living(tmp_path / "box.db", desk, machine) as (box, keeper):
        for minute, value in ((0, "100"), (5, "66"), (10, "64"), (15, "62"), (20, "60")):
            await box.give(by_arrival(value, minute * MINUTE))
        assert await told(box) == [("raised", "hypo_level_1")], "it watches all the same"
        before = await box.store.call(Store.waiting, limit=100)
        machine.is_told(START + 20 * MINUTE)
        await keeper.look()
        await box.settle()
        after = [entry for entry in await box.store.call(Store.waiting, limit=100) if entry not in before]
    database = team.open_database()
    for entries, apart in ((before, True), (after, False)):
        opened = [desk.opener.open(entry.body, box=BOX) for entry in entries]
        team.store(database, *opened, at=START + HOUR)
        dated = "SELECT count(*) FROM to_attribute WHERE reason = 'dates' AND content LIKE '%frame%'"
        assert rows(team.database, dated) == [(5 if apart else 0,)], "the patient's by the right time only"
    database.close()
    view = View(team.database)
    shown = [(item.measured_at - START) // MINUTE for item in view.readings(patient=PATIENT)]
    assert shown == [0, 5, 10, 15, 20]
    assert {item.clock for item in view.readings()} == {ClockTrust.CORRECTED}
    standing = [alert for alert in view.alerts(patient=PATIENT, standing=True) if alert.rule == "hypo_level_1"]
    assert [alert.onset for alert in standing] == [START + 5 * MINUTE]
    view.close()
