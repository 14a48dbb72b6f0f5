"""The virtual thermometer, and the box's own session with it over the virtual air."""

from dataclasses import replace
from decimal import Decimal

import pytest

from devices import gatt
from devices.drivers.thermometer import MeasurementInterval, Site, TemperatureMeasurement, TemperatureType
from devices.reading import ClockTrust, Unit
from devices.source import DeviceEventKind
from simulators.errors import FaultError
from simulators.faults import CutLink, SkewClock, UnsetClock, WrongCrc
from simulators.peripherals.thermometer import Temperature, Thermometer
from tests.simulators.kit import START, Diary, Frames, Room, connected, following, ledger

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:05"
MEASUREMENT, DISPLAY, TYPE, INTERVAL = "2a1c", "2a1e", "2a1d", "2a21"
MINUTE = 60_000


def temperature(minute: int, count: int = 3_850) -> Temperature:
    return Temperature(at=START - (60 - minute) * MINUTE, count=count + minute * 10)


async def test_what_was_measured_in_the_night_comes_with_its_site_and_date(room: Room) -> None:
    device, diary = Thermometer(ADDRESS, room.where, name="A&D_UT201BLE_00"), Diary()
    for minute in range(3):
        device.take(temperature(minute))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.known() == ledger(room.witness.readings))
        await diary.until(lambda: device.unsent == 0)
    readings = list(diary.readings.values())
    assert {reading.provenance.site for reading in readings} == {"ear"}
    assert {reading.clock for reading in readings} == {ClockTrust.TRUSTED}
    assert sorted(reading.value for reading in readings) == [Decimal("38.50"), Decimal("38.60"), Decimal("38.70")]


async def test_its_display_while_it_measures_is_nobodys_temperature(room: Room) -> None:
    device, diary = Thermometer(ADDRESS, room.where, name="thermometer", hangs_up=False), Diary()
    device.take(temperature(0))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: len(diary.readings) == 1)
        await device.show(3_120)
        device.take(temperature(9))
        await diary.until(lambda: diary.known() == ledger(room.witness.readings))
    assert diary.count(DeviceEventKind.FRAME_REJECTED) == 0


async def test_who_listens_to_the_display_sees_it_rise(room: Room) -> None:
    device = Thermometer(ADDRESS, room.where, name="thermometer", unit=Unit.FAHRENHEIT, site=Site.MOUTH)
    await room.switch_on(device)
    client = await connected(await room.box(), ADDRESS, pair=True)
    frames = Frames()
    await client.start_notify(DISPLAY, frames)
    await device.show(3_500)
    await device.show(3_700)
    shown = [
        TemperatureMeasurement.from_bytes(frame, characteristic=gatt.INTERMEDIATE_TEMPERATURE)
        for frame in await frames.until(2)
    ]
    assert [said.temperature for said in shown] == [Decimal("95.0"), Decimal("98.6")]
    assert TemperatureType.from_bytes(bytes(await client.read_gatt_char(TYPE))).site is Site.MOUTH
    assert MeasurementInterval.from_bytes(bytes(await client.read_gatt_char(INTERVAL))).seconds == 0
    await client.disconnect()


async def test_fahrenheit_is_what_the_box_knows_in_celsius(room: Room) -> None:
    device = Thermometer(ADDRESS, room.where, name="thermometer", unit=Unit.FAHRENHEIT, site=None)
    diary = Diary()
    device.take(temperature(0, 3_700))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.known() == ledger(room.witness.readings))
    (reading,) = diary.readings.values()
    assert (reading.count, reading.provenance.value, reading.provenance.unit) == (3_700, "98.6", Unit.FAHRENHEIT)
    assert reading.provenance.site is None


async def test_a_cut_in_the_middle_loses_and_repeats_nothing(room: Room) -> None:
    device, diary = Thermometer(ADDRESS, room.where, name="thermometer"), Diary()
    for minute in range(6):
        device.take(temperature(minute))
    await device.suffer(CutLink(device="thermometer", after_frames=3))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.known() == ledger(room.witness.readings))
        await diary.until(lambda: device.unsent == 0)
    assert room.witness.count("connected") >= 2


async def test_a_clock_that_is_set_by_date_time_is_put_right_after_the_records(room: Room) -> None:
    where = replace(room.where, date_time=True)
    device, diary = Thermometer(ADDRESS, where, name="A&D_UT201BLE_00", hangs_up=False), Diary()
    await device.suffer(SkewClock(device="thermometer", seconds=-86_400))
    device.take(temperature(0))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.count(DeviceEventKind.CLOCK_SET) == 1)
    assert abs(device.clock_offset_ms) < 5_000
    assert diary.known() == ledger(room.witness.readings)


async def test_a_fever_by_a_clock_that_was_never_set_is_of_its_arrival(room: Room) -> None:
    device, diary = Thermometer(ADDRESS, room.where, name="thermometer", hangs_up=False), Diary()
    await device.suffer(UnsetClock(device="thermometer"))
    device.take(temperature(0))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: len(diary.readings) == 1)
    (reading,) = diary.readings.values()
    assert (reading.clock, reading.measured_at) == (ClockTrust.UNKNOWN, reading.received_at)
    assert room.witness.readings[0].measured_at == 0


async def test_it_has_no_crc_to_get_wrong(room: Room) -> None:
    with pytest.raises(FaultError, match="has no fault 'wrong_crc'"):
        await Thermometer(ADDRESS, room.where, name="thermometer").suffer(WrongCrc(device=ADDRESS))
