"""The virtual heart-rate strap, and the box's own session with it over the virtual air."""

import pytest

from devices.drivers.heart_rate import BodySensorLocation, HeartRateMeasurement, Location
from devices.reading import ClockTrust, Quality, Quantity, Validity
from devices.source import DeviceEventKind
from simulators.faults import CutLink, DuplicateFrames, OutOfReach, Truncate
from simulators.peripherals.heart_rate import Beat, HeartRateStrap
from tests.simulators.kit import Diary, Frames, Room, connected, following

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:07"
RATE, LOCATION = "2a37", "2a38"


def rates(diary: Diary) -> list[int]:
    return [reading.count // 10 for reading in diary.readings.values() if reading.validity is Validity.VALID]


async def worn(room: Room) -> HeartRateStrap:
    device = HeartRateStrap(ADDRESS, room.where, name="Polar H10 00000000")
    device.put_on()
    await room.switch_on(device)
    return device


async def listening(diary: Diary, links: int = 1) -> None:
    """Wait until the box listens."""
    await diary.until(lambda: diary.count(DeviceEventKind.CONNECTED) >= links)


async def test_it_tells_the_rate_the_intervals_and_where_it_is_worn(room: Room) -> None:
    device = await worn(room)
    client = await connected(await room.box(), ADDRESS, pair=True)
    frames = Frames()
    await client.start_notify(RATE, frames)
    device.take(Beat(rate=722, intervals=(820, 835)))
    said = HeartRateMeasurement.from_bytes((await frames.until(1))[0])
    assert said == HeartRateMeasurement(heart_rate=72, contact=True, rr_intervals_1024=(840, 855))
    place = BodySensorLocation.from_bytes(bytes(await client.read_gatt_char(LOCATION)))
    assert place.location is Location.CHEST
    assert [(taken.count, taken.measured_at) for taken in room.witness.readings] == [(720, 0)]
    await client.disconnect()


async def test_what_it_tells_is_of_its_arrival_and_thinned_without_losing_a_fall(room: Room) -> None:
    device, diary = await worn(room), Diary()
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        for rate in (700, 720, 710, 715, 380, 705, 1400):
            device.take(Beat(rate=rate))
        await diary.until(lambda: 140 in rates(diary))
    assert rates(diary) == [70, 72, 38, 140]
    for reading in diary.readings.values():
        assert reading.quantity is Quantity.HEART_RATE
        assert (reading.clock, reading.measured_at) == (ClockTrust.TRUSTED, reading.received_at)
        assert reading.provenance.frame
    assert len(room.witness.readings) == 7


async def test_taken_off_it_says_so_and_goes_and_no_rate_is_made_of_it(room: Room) -> None:
    device, diary = await worn(room), Diary()
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        device.take(Beat(rate=700))
        device.take_off()
        await diary.until(lambda: len(diary.readings) == 2)
        await diary.until(lambda: diary.count(DeviceEventKind.DISCONNECTED) == 1)
    off = [reading for reading in diary.readings.values() if reading.validity is Validity.INVALID]
    assert [(reading.count, reading.quality) for reading in off] == [(0, Quality.POOR_SIGNAL)]
    assert rates(diary) == [70]
    assert not device.wants_link()
    assert diary.count(DeviceEventKind.VALUE_IMPLAUSIBLE) == 0


async def test_taken_off_while_nobody_listens_it_just_goes(room: Room) -> None:
    device = await worn(room)
    await connected(await room.box(), ADDRESS, pair=True)
    device.take(Beat(rate=700))
    device.take_off()
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert room.witness.readings == []


async def test_it_is_found_again_after_the_link_is_lost_and_forgets_what_nobody_heard(room: Room) -> None:
    device, diary = await worn(room), Diary()
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        device.take(Beat(rate=700))
        await diary.until(lambda: rates(diary) == [70])
        await device.suffer(CutLink(device="heart_rate"))
        device.take(Beat(rate=900))
        await listening(diary, 2)
        device.take(Beat(rate=800))
        await diary.until(lambda: rates(diary) == [70, 80])


async def test_carried_out_of_reach_it_is_read_again_when_it_is_back(room: Room) -> None:
    device, diary = await worn(room), Diary()
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        await device.suffer(OutOfReach(device="heart_rate", seconds=0.1))
        await listening(diary, 2)
        device.take(Beat(rate=660))
        await diary.until(lambda: rates(diary) == [66])


async def test_a_spoilt_value_is_refused_and_a_repeated_one_adds_nothing(room: Room) -> None:
    device, diary = await worn(room), Diary()
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        await device.suffer(Truncate(device="heart_rate"))
        await device.suffer(DuplicateFrames(device="heart_rate", frames=3))
        for rate in (700, 710, 720):
            device.take(Beat(rate=rate))
        await diary.until(lambda: 72 in rates(diary))
        assert diary.count(DeviceEventKind.FRAME_REJECTED) >= 1
    assert rates(diary) == [71, 72]
    assert diary.repeats == 0


async def test_putting_a_strap_on_is_what_a_first_beat_does_too(room: Room) -> None:
    device, diary = HeartRateStrap(ADDRESS, room.where, name="strap"), Diary()
    assert not device.wants_link()
    device.take(Beat(rate=700))
    assert device.wants_link()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await listening(diary)
        device.take(Beat(rate=3_100))
        await diary.until(lambda: diary.count(DeviceEventKind.VALUE_IMPLAUSIBLE) == 1)
    assert [reading.validity for reading in diary.readings.values()] == [Validity.INVALID]
