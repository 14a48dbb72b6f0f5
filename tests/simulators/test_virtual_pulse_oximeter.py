"""The virtual pulse oximeters, and the box's own session with them over the virtual air."""

import pytest

from devices.drivers.pulse_oximeter import Features, PlxFeatures
from devices.drivers.pulse_oximeter_status import SensorStatus
from devices.reading import ClockTrust, Quality, Quantity, Validity
from devices.source import DeviceEventKind
from simulators.faults import CutLink, KeepClock, RecordOrder, SilentRacp, Truncate, UnsetClock
from simulators.peripherals.pulse_oximeter import PulseOximeter, Saturation, StoringOximeter
from tests.simulators.kit import START, Diary, Room, connected, following, ledger

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:06"
FEATURES = "2a60"
MINUTE = 60_000


def finger(minute: int, spo2: int = 970, *, status: SensorStatus = SensorStatus.NONE) -> Saturation:
    at = START - (600 - minute) * MINUTE
    return Saturation(at=at, spo2=spo2, pulse=720 + minute * 10, perfusion=42, status=status)


def of(diary: Diary, quantity: Quantity) -> list[int]:
    return [reading.count // 10 for reading in diary.readings.values() if reading.quantity is quantity]


async def listening(diary: Diary, links: int = 1) -> None:
    """Wait until the box listens."""
    await diary.until(lambda: diary.count(DeviceEventKind.CONNECTED) >= links)


async def test_the_spot_check_comes_when_the_finger_leaves_and_then_it_hangs_up(room: Room) -> None:
    device, diary = PulseOximeter(ADDRESS, room.where, name="MightySat"), Diary()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        device.feel(finger(0, 940))
        await listening(diary)
        assert diary.readings == {}
        device.feel(finger(1, 960))
        device.withdraw()
        await diary.until(lambda: diary.known() == ledger(room.witness.readings))
        await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert of(diary, Quantity.SPO2) == [96]
    assert of(diary, Quantity.PULSE_RATE) == [73]
    assert len(diary.readings) == 3
    assert device.unsent == 0


async def test_spot_checks_that_no_box_heard_come_at_the_next_link(room: Room) -> None:
    device, diary = PulseOximeter(ADDRESS, room.where, name="MightySat"), Diary()
    for minute in range(3):
        device.take(finger(minute))
    device.withdraw()
    await device.suffer(CutLink(device="pulse_oximeter", after_frames=2))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.known() == ledger(room.witness.readings))
        await diary.until(lambda: device.unsent == 0)
    assert len(diary.readings) == 9
    assert room.witness.count("connected") >= 2


async def test_a_fall_among_continuous_values_is_known_at_once_and_most_of_the_others_are_not_kept(room: Room) -> None:
    device = PulseOximeter(ADDRESS, room.where, name="oximeter", continuous=True)
    diary = Diary()
    device.feel(finger(0))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        assert device.heard
        for spo2 in (970, 960, 970, 960, 840, 850, 960):
            device.feel(finger(0, spo2))
        await diary.until(lambda: 84 in of(diary, Quantity.SPO2))
        device.lose_finger()
        await diary.until(lambda: any(reading.validity is Validity.INVALID for reading in diary.readings.values()))
    values = [reading for reading in diary.readings.values() if reading.quantity is Quantity.SPO2]
    assert [reading.count for reading in values] == [970, 960, 840, 0]
    assert [reading.validity for reading in values] == [Validity.VALID] * 3 + [Validity.INVALID]
    assert values[-1].quality is Quality.POOR_SIGNAL
    assert {reading.clock for reading in values} == {ClockTrust.TRUSTED}
    assert of(diary, Quantity.PULSE_RATE) == [72, 0]


async def test_with_both_the_spot_check_is_kept_whole(room: Room) -> None:
    device = PulseOximeter(ADDRESS, room.where, name="oximeter", continuous=True)
    diary = Diary()
    device.feel(finger(0))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        for _ in range(3):
            device.feel(finger(0))
        device.withdraw()
        await room.witness.until(lambda: room.witness.count("disconnected") == 1)
        await diary.until(lambda: len(diary.readings) == 6)
    dated = {reading.quantity for reading in diary.readings.values() if reading.provenance.device_time is not None}
    assert dated == {Quantity.SPO2, Quantity.PULSE_RATE, Quantity.PERFUSION_INDEX}


async def test_what_the_oximeter_doubts_is_kept_and_never_judged(room: Room) -> None:
    device, diary = PulseOximeter(ADDRESS, room.where, name="MightySat"), Diary()
    device.take(finger(0, 810, status=SensorStatus.POOR_SIGNAL | SensorStatus.LOW_PERFUSION))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: len(diary.readings) == 3)
    assert {(reading.validity, reading.quality) for reading in diary.readings.values()} == {
        (Validity.QUESTIONABLE, Quality.POOR_SIGNAL)
    }


async def test_an_oximeter_whose_clock_was_never_set_is_judged_at_arrival(room: Room) -> None:
    device, diary = PulseOximeter(ADDRESS, room.where, name="MightySat", hangs_up=False), Diary()
    await device.suffer(UnsetClock(device="pulse_oximeter"))
    device.take(Saturation(at=START, spo2=970, pulse=720))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: len(diary.readings) == 2)
    assert {reading.clock for reading in diary.readings.values()} == {ClockTrust.UNKNOWN}


async def test_a_finger_that_slips_out_unmeasured_leaves_nothing(room: Room) -> None:
    device = PulseOximeter(ADDRESS, room.where, name="MightySat")
    device.feel(finger(0))
    assert device.wants_link()
    device.lose_finger()
    assert not device.wants_link()
    assert device.unsent == 0


async def test_it_says_what_it_can(room: Room) -> None:
    device = StoringOximeter(ADDRESS, room.where, name="oximeter", dated=False)
    await room.switch_on(device)
    client = await connected(await room.box(), ADDRESS, pair=True)
    said = PlxFeatures.from_bytes(bytes(await client.read_gatt_char(FEATURES)))
    assert Features.STORAGE in said.features
    assert Features.TIME_STAMP not in said.features
    await client.disconnect()


def stored(room: Room, number: int, *, dated: bool = True) -> StoringOximeter:
    device = StoringOximeter(ADDRESS, room.where, name="oximeter", dated=dated)
    for minute in range(number):
        device.take(finger(minute))
    return device


@pytest.mark.parametrize("dated", [True, False])
async def test_a_memory_is_read_whole_at_every_link_and_kept_once(room: Room, *, dated: bool) -> None:
    device, diary = stored(room, 5, dated=dated), Diary()
    assert device.wants_link()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: len(diary.readings) == 15)
        device.take(finger(9))
        device.cut_link()
        await diary.until(lambda: len(diary.readings) == 18)
    assert device.stored == 6
    if dated:
        assert diary.known() == ledger(room.witness.readings)
    else:
        assert {reading.clock for reading in diary.readings.values()} == {ClockTrust.UNKNOWN}
        assert sorted(of(diary, Quantity.PULSE_RATE)) == [72, 73, 74, 75, 76, 81]


async def test_a_memory_that_is_silent_spoilt_cut_and_newest_first_is_still_read_whole(room: Room) -> None:
    device, diary = stored(room, 8), Diary()
    for fault in (
        RecordOrder(device="pulse_oximeter", newest_first=True),
        SilentRacp(device="pulse_oximeter"),
        Truncate(device="pulse_oximeter", frame=2),
        CutLink(device="pulse_oximeter", after_frames=5),
        KeepClock(device="pulse_oximeter"),
    ):
        await device.suffer(fault)
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.known() == ledger(room.witness.readings))
    assert diary.count(DeviceEventKind.FRAME_REJECTED) >= 1
