"""The box's own session and bleak radio, over the virtual air, against each virtual device.

Whatever the air does, what the device took is what the box knows: nothing lost, nothing twice under another key.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from functools import partial

import pytest

from devices.reading import ClockTrust
from devices.source import DeviceEventKind
from simulators.faults import (
    CutLink,
    DuplicateFrames,
    Fault,
    LoseBond,
    RefuseConnections,
    SilentRacp,
    SkewClock,
    Truncate,
    WrongCrc,
)
from simulators.patients import Glucose, Pressure, Weighing
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from simulators.peripherals.cgm import GlucoseSensor
from simulators.peripherals.peripheral import Peripheral
from simulators.peripherals.weight_scale import WeightScale
from tests.simulators.kit import START, Diary, Room, following, ledger, lose_controller

pytestmark = pytest.mark.radio

MINUTE = 60_000
BEGUN = START - 300 * MINUTE
"""When the sensor was put on: what it took since then is history."""


def glucose(number: int) -> Glucose:
    return Glucose(at=BEGUN + number * 5 * MINUTE, count=1000 + number * 10)


def sensor(room: Room, stored: int = 0) -> GlucoseSensor:
    device = GlucoseSensor("C4:B0:00:00:00:01", room.where, name="Veilleur CGM", session_start=BEGUN)
    for number in range(stored):
        device.take(glucose(number))
    return device


def scale(room: Room, stored: int = 0, *, hangs_up: bool = True) -> WeightScale:
    device = WeightScale("C4:B0:00:00:00:03", room.where, name="Veilleur scale", hangs_up=hangs_up)
    device.preload(Weighing(at=BEGUN + number * MINUTE, count=80_000 + number * 100) for number in range(stored))
    return device


def taken_by(room: Room, device: Peripheral) -> list[tuple[str, str, int, int]]:
    return ledger([reading for reading in room.witness.readings if reading.device == device.address])


def knows(diary: Diary, taken: list[tuple[str, str, int, int]]) -> bool:
    return diary.known() == taken


def all_known(room: Room, diary: Diary) -> bool:
    return len(diary.readings) == len(room.witness.readings)


async def test_history_then_live(room: Room) -> None:
    device, diary = sensor(room, 40), Diary()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
        for number in range(40, 50):
            device.take(glucose(number))
        await diary.until(lambda: all_known(room, diary))
    assert diary.known() == ledger(room.witness.readings)
    assert diary.count(DeviceEventKind.FRAME_REJECTED) == 0
    assert all(reading.clock is ClockTrust.TRUSTED for reading in diary.readings.values())


async def test_a_link_cut_in_the_middle_of_history_loses_nothing(room: Room) -> None:
    device, diary = sensor(room, 60), Diary()
    await device.suffer(CutLink(device="cgm", after_frames=25))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
    assert room.witness.count("connected") >= 2
    assert diary.known() == ledger(room.witness.readings)


async def test_a_live_value_with_a_wrong_crc_is_rejected_and_fetched(room: Room) -> None:
    device, diary = sensor(room, 3), Diary()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
        await device.suffer(WrongCrc(device="cgm", frame=2))
        for number in range(3, 8):
            device.take(glucose(number))
        await diary.until(lambda: all_known(room, diary))
    assert diary.count(DeviceEventKind.FRAME_REJECTED) == 1
    assert diary.known() == ledger(room.witness.readings)


async def test_history_with_a_spoilt_frame_is_asked_for_again(room: Room) -> None:
    device, diary = sensor(room, 20), Diary()
    await device.suffer(WrongCrc(device="cgm", frame=4))
    await device.suffer(Truncate(device="cgm", frame=9))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
    assert diary.count(DeviceEventKind.FRAME_REJECTED) >= 1
    assert diary.known() == ledger(room.witness.readings)


async def test_duplicate_records_are_known_once(room: Room) -> None:
    device, diary = sensor(room, 10), Diary()
    await device.suffer(DuplicateFrames(device="cgm", frames=30))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
        for number in range(10, 20):
            device.take(glucose(number))
        await diary.until(lambda: all_known(room, diary))
    assert diary.known() == ledger(room.witness.readings)


async def test_a_sensor_that_does_not_answer_is_asked_again(room: Room) -> None:
    device, diary = sensor(room, 10), Diary()
    await device.suffer(SilentRacp(device="cgm"))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
    assert diary.known() == ledger(room.witness.readings)


async def test_a_box_that_comes_back_fetches_only_what_it_lacks(room: Room) -> None:
    device, diary = sensor(room, 10), Diary()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
    room.controllers[0].vanish()
    for number in range(10, 30):
        device.take(glucose(number))
    diary.repeats = 0
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
    assert diary.repeats <= 1
    assert diary.known() == ledger(room.witness.readings)


async def test_a_lost_bond_is_said_once_and_nothing_is_read(room: Room) -> None:
    device, diary = sensor(room, 3), Diary()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
        await device.suffer(LoseBond(device="cgm"))
        device.take(glucose(3))
        await diary.until(lambda: diary.count(DeviceEventKind.BOND_LOST) == 1)
        await room.witness.until(lambda: room.witness.count("connected") >= 4)
    assert diary.count(DeviceEventKind.BOND_LOST) == 1
    assert len(diary.readings) == 3


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_scale_gives_its_memory_and_then_each_weighing(room: Room, *, hangs_up: bool) -> None:
    device, diary = scale(room, 12, hangs_up=hangs_up), Diary()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        for number in range(12, 15):
            await diary.until(lambda: all_known(room, diary))
            device.take(Weighing(at=START - (20 - number) * MINUTE, count=81_000))
        await diary.until(lambda: all_known(room, diary))
    assert diary.known() == ledger(room.witness.readings)
    assert device.unsent == 0


async def test_a_scale_cut_off_in_the_middle_loses_and_repeats_nothing(room: Room) -> None:
    device, diary = scale(room, 12), Diary()
    await device.suffer(CutLink(device=device.address, after_frames=5))
    await device.suffer(RefuseConnections(device=device.address, seconds=0.1))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: all_known(room, diary))
    assert room.witness.count("connected") >= 2
    assert diary.known() == ledger(room.witness.readings)


async def test_a_monitor_with_a_wrong_clock_is_put_right_after_its_records(room: Room) -> None:
    device = BloodPressureMonitor("C4:B0:00:00:00:02", room.where, name="Veilleur BP", hangs_up=False)
    diary = Diary()
    await device.suffer(SkewClock(device="blood_pressure", seconds=-7 * 86_400))
    device.take(Pressure(at=START, systolic=1200, diastolic=800, mean=930, pulse=700))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.count(DeviceEventKind.CLOCK_SET) == 1)
        device.take(Pressure(at=room.clock.now_ms(), systolic=1210, diastolic=800, mean=930, pulse=700))
        await diary.until(lambda: all_known(room, diary))
    assert abs(device.clock_offset_ms) < 5_000
    assert diary.known() == ledger(room.witness.readings)
    assert {measured_at // 86_400_000 for _, _, _, measured_at in diary.known()} == {
        START // 86_400_000 - 7,
        START // 86_400_000,
    }


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_on_a_bad_day_nothing_is_lost_and_nothing_comes_twice(room: Room, seed: int) -> None:
    """Random cuts, refusals, spoilt and repeated frames, and a box that is killed three times."""
    dice = random.Random(seed)
    worn, stood_on = sensor(room, 20), scale(room, 6)
    diaries = {worn: Diary(), stood_on: Diary()}
    for device in diaries:
        await room.switch_on(device)
    number = 20
    for _ in range(3):
        box = await room.box()
        async with following(room, box, worn, diaries[worn]), following(room, box, stood_on, diaries[stood_on]):
            for _ in range(8):
                await asyncio.sleep(dice.uniform(0.0, 0.08))
                worn.take(glucose(number))
                number += 1
                victim: Peripheral = dice.choice([worn, stood_on])
                faults: list[Fault] = [
                    CutLink(device=victim.kind),
                    CutLink(device=victim.kind, after_frames=dice.randint(1, 5)),
                    RefuseConnections(device=victim.kind, seconds=0.05),
                    DuplicateFrames(device=victim.kind, frames=3),
                ]
                if victim is worn:
                    faults += [WrongCrc(device="cgm", frame=dice.randint(1, 4)), Truncate(device="cgm", frame=2)]
                await victim.suffer(dice.choice(faults))
            # A device without record access forgets what was confirmed, which is before a box can have persisted it:
            # that instant is no box's to survive, so the kill waits for it to pass.
            await diaries[stood_on].until(partial(knows, diaries[stood_on], taken_by(room, stood_on)))
            room.controllers[-1].vanish()
            lose_controller(box)
        stood_on.take(Weighing(at=START - number * MINUTE, count=90_000 + number * 100))
    async with AsyncExitStack() as stack:
        box = await room.box()
        for device, diary in diaries.items():
            await stack.enter_async_context(following(room, box, device, diary))
        # What is skipped after three spoilt attempts is fetched again with the next live value.
        worn.take(glucose(number))
        for device, diary in diaries.items():
            await diary.until(partial(knows, diary, taken_by(room, device)))
