"""The virtual blood-pressure monitor and scale keep a record until a box has confirmed it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest

from devices.drivers.blood_pressure import BloodPressureMeasurement
from devices.drivers.weight_scale import WeightMeasurement
from devices.wall_clock import CurrentTime, DateTime
from simulators.clock import AcceleratedClock
from simulators.errors import FaultError
from simulators.faults import (
    CutLink,
    DuplicateFrames,
    HangUp,
    RecordOrder,
    ReplayMemory,
    SkewClock,
    Truncate,
    WrongCrc,
)
from simulators.patients import Pressure, Weighing
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from simulators.peripherals.weight_scale import WeightScale
from tests.simulators.kit import START, WITHIN, Frames, Room, connected

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:03"
WEIGHT, PRESSURE, CURRENT_TIME = "2a9d", "2a35", "2a2b"
MINUTE = 60_000


def weighing(minute: int, grams: int = 80_000) -> Weighing:
    return Weighing(at=START + minute * MINUTE, count=grams + minute * 100)


async def scale(room: Room, minutes: int = 0, *, hangs_up: bool = True) -> WeightScale:
    device = WeightScale(ADDRESS, room.where, name="Veilleur scale", hangs_up=hangs_up)
    device.preload(weighing(minute) for minute in range(minutes))
    await room.switch_on(device)
    return device


def weights(frames: list[bytes]) -> list[int]:
    return [int((WeightMeasurement.from_bytes(frame).weight or 0) * 1000) for frame in frames]


async def test_what_was_stored_comes_oldest_first_and_then_it_hangs_up(room: Room) -> None:
    device = await scale(room, 3)
    client = await connected(await room.box(), ADDRESS)
    frames = Frames()
    await client.start_notify(WEIGHT, frames)
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert weights(frames.all) == [80_000, 80_100, 80_200]
    assert device.unsent == 0
    assert room.witness.events[-1][2] == "remote_user_terminated_connection_error"


async def test_one_that_does_not_hang_up_sends_live_records_too(room: Room) -> None:
    device = await scale(room, 1, hangs_up=False)
    client = await connected(await room.box(), ADDRESS)
    frames = Frames()
    await client.start_notify(WEIGHT, frames)
    await frames.until(1)
    device.take(weighing(7))
    assert weights(await frames.until(2)) == [80_000, 80_700]
    await client.disconnect()


async def test_a_record_whose_confirmation_was_lost_is_sent_again(room: Room) -> None:
    device = await scale(room, 3)
    await device.suffer(CutLink(device="weight_scale", after_frames=2))
    box = await room.box()
    frames, again = Frames(), Frames()
    client = await connected(box, ADDRESS)
    await client.start_notify(WEIGHT, frames)
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert device.unsent == 2

    client = await connected(box, ADDRESS)
    await client.start_notify(WEIGHT, again)
    await room.witness.until(lambda: room.witness.count("disconnected") == 2)
    assert weights(frames.all) == [80_000, 80_100]
    assert weights(again.all) == [80_100, 80_200]
    assert device.unsent == 0


async def test_it_wants_to_be_found_only_while_it_has_something_to_say(room: Room) -> None:
    device = WeightScale(ADDRESS, room.where, name="Veilleur scale")
    assert not device.wants_link()
    device.take(weighing(0))
    assert device.wants_link()


async def test_frames_may_come_twice_or_cut_in_half(room: Room) -> None:
    device = await scale(room, 2)
    await device.suffer(DuplicateFrames(device=ADDRESS))
    await device.suffer(Truncate(device=ADDRESS, frame=2))
    client = await connected(await room.box(), ADDRESS)
    frames = Frames()
    await client.start_notify(WEIGHT, frames)
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    first, second, third = frames.all
    assert first == second
    assert len(third) == len(first) // 2


async def test_it_dates_by_its_own_clock_until_that_is_set(room: Room) -> None:
    device = await scale(room, hangs_up=False)
    await device.suffer(SkewClock(device=ADDRESS, seconds=-86_400))
    device.take(weighing(0))
    client = await connected(await room.box(), ADDRESS)
    shown = CurrentTime.from_bytes(bytes(await client.read_gatt_char(CURRENT_TIME)))
    assert shown.date_time.day == 28
    right = CurrentTime.of(room.clock.now_ms(), room.zone)
    await client.write_gatt_char(CURRENT_TIME, bytes(right), response=True)
    assert abs(device.clock_offset_ms) < 5_000
    device.take(weighing(1))
    frames = Frames()
    await client.start_notify(WEIGHT, frames)
    stamps = [WeightMeasurement.from_bytes(frame).time_stamp for frame in await frames.until(2)]
    assert stamps[0] == DateTime.of(START - 86_400_000, room.zone)
    assert room.witness.readings[0].measured_at == START - 86_400_000
    assert stamps[1] == DateTime.of(room.witness.readings[1].measured_at, room.zone)
    await client.disconnect()


async def test_a_monitor_gives_pressures_mean_and_pulse(room: Room) -> None:
    device = BloodPressureMonitor(ADDRESS, room.where, name="Veilleur BP")
    device.take(Pressure(at=START + 1, systolic=1214, diastolic=786, mean=930, pulse=720))
    await room.switch_on(device)
    client = await connected(await room.box(), ADDRESS)
    frames = Frames()
    await client.start_notify(PRESSURE, frames)
    said = BloodPressureMeasurement.from_bytes((await frames.until(1))[0])
    assert (said.systolic, said.diastolic, said.mean, said.pulse_rate) == tuple(map(Decimal, (121, 79, 93, 72)))
    assert said.time_stamp == DateTime.of(START, room.zone)
    assert [(taken.count, taken.measured_at) for taken in room.witness.readings] == [
        (1210, START),
        (790, START),
        (930, START),
        (720, START),
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda room: WeightScale(ADDRESS, room.where, name="scale"),
        lambda room: BloodPressureMonitor(ADDRESS, room.where, name="BP"),
    ],
)
async def test_they_have_no_crc_to_get_wrong(
    room: Room, make: Callable[[Room], BloodPressureMonitor | WeightScale]
) -> None:
    with pytest.raises(FaultError, match="has no fault 'wrong_crc'"):
        await make(room).suffer(WrongCrc(device=ADDRESS))


async def test_a_fault_may_wait_for_its_time(room: Room) -> None:
    device = await scale(room, hangs_up=False)
    await connected(await room.box(), ADDRESS)
    fault = asyncio.create_task(device.suffer(CutLink(device=ADDRESS, at=room.clock.now_ms() + 50)))
    assert room.witness.count("disconnected") == 0
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    await fault
    assert ("fault", ADDRESS, "cut_link") in room.witness.events


async def test_listening_twice_changes_nothing(room: Room) -> None:
    device = await scale(room, 8, hangs_up=False)
    client = await connected(await room.box(), ADDRESS, pair=True)
    frames = Frames()
    await client.start_notify(WEIGHT, frames)
    (switch,) = client.services.get_characteristic(WEIGHT).descriptors  # type: ignore[union-attr]
    await client._backend.write_gatt_descriptor(switch, b"\x02\x00")
    assert weights(await frames.until(8)) == [80_000 + minute * 100 for minute in range(8)]
    assert device.unsent <= 1
    await client.disconnect()


async def test_what_was_not_sent_when_the_box_stops_listening_is_kept(room: Room) -> None:
    device = await scale(room, 8, hangs_up=False)
    client = await connected(await room.box(), ADDRESS, pair=True)
    heard: set[bytes] = set()
    stopping: list[asyncio.Task[None]] = []

    def on_frame(_: object, frame: bytearray) -> None:
        heard.add(bytes(frame))
        if not stopping:
            stopping.append(asyncio.create_task(client.stop_notify(WEIGHT)))

    await client.start_notify(WEIGHT, on_frame)
    async with asyncio.timeout(WITHIN):
        await stopping[0]
    await client.read_gatt_char(CURRENT_TIME)
    # One may have been on its way when the box stopped: confirmed, and heard by nobody.
    assert device.unsent > 0
    assert len(heard) + device.unsent >= 7
    await client.disconnect()


@pytest.mark.parametrize("at_ms", [1_792_888_200_000, 1_792_891_800_000])
async def test_in_the_hour_that_comes_twice_the_clock_is_set_to_the_nearer_one(room: Room, at_ms: int) -> None:
    """2026-10-25, 02:30 in Paris, first in summer time and an hour later in winter time."""
    clock = AcceleratedClock.starting_now(start_ms=at_ms, speed=1)
    device = WeightScale(ADDRESS, replace(room.where, clock=clock), name="scale")
    assert CurrentTime.of(at_ms, room.zone).date_time.hours == 2
    device.clock.set_current_time(bytes(CurrentTime.of(clock.now_ms(), room.zone)))
    assert abs(device.clock_offset_ms) < 5_000


async def test_a_clock_shows_what_it_was_set_to_even_when_that_is_wrong(room: Room) -> None:
    device = WeightScale(ADDRESS, room.where, name="scale")
    device.clock.set_current_time(bytes(CurrentTime.of(room.clock.now_ms() + 7_200_000, room.zone)))
    assert abs(device.clock_offset_ms - 7_200_000) < 5_000
    device.take(weighing(0))
    assert abs(room.witness.readings[0].measured_at - START - 7_200_000) < 5_000


async def test_stored_records_may_come_newest_first(room: Room) -> None:
    device = await scale(room, 4, hangs_up=False)
    await device.suffer(RecordOrder(device=ADDRESS))
    frames = Frames()
    client = await connected(await room.box(), ADDRESS, pair=True)
    await client.start_notify(WEIGHT, frames)
    assert weights(await frames.until(4)) == [80_300, 80_200, 80_100, 80_000]
    await client.disconnect()


def gone(room: Room, times: int) -> bool:
    return room.witness.count("disconnected") == times


async def test_a_device_may_send_again_all_that_it_ever_sent(room: Room) -> None:
    device = await scale(room, 3, hangs_up=False)
    box = await room.box()
    frames = Frames()
    for times in (1, 2, 3):
        client = await connected(box, ADDRESS, pair=True)
        await client.start_notify(WEIGHT, frames)
        await frames.until(min(3 * times, 6))
        await client.read_gatt_char(CURRENT_TIME)
        await client.disconnect()
        await room.witness.until(partial(gone, room, times))
        if times == 1:
            await device.suffer(ReplayMemory(device=ADDRESS))
    assert weights(frames.all) == [80_000, 80_100, 80_200] * 2


async def test_whether_it_hangs_up_may_change(room: Room) -> None:
    device = await scale(room, 2, hangs_up=False)
    await device.suffer(HangUp(device=ADDRESS))
    client = await connected(await room.box(), ADDRESS, pair=True)
    await client.start_notify(WEIGHT, Frames())
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert device.unsent == 0
