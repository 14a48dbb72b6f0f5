"""The virtual blood-glucose meter answers as the Glucose service says, and the box reads it through what happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal

import pytest
from bleak import BleakClient
from bleak.exc import BleakGATTProtocolError

from devices.backoff import Patience
from devices.driver import Resume
from devices.drivers import driver_named
from devices.drivers.glucose_context import GlucoseContext, Meal
from devices.drivers.glucose_meter import Features, GlucoseFeature, GlucoseMeasurement, MeterStatus
from devices.drivers.glucose_sample import Fluid, SampleLocation
from devices.reading import ClockTrust, Quality, Unit, Validity
from devices.record_access import (
    Opcode,
    Operator,
    RecordCount,
    RecordRequest,
    RecordResponse,
    ResponseCode,
    response_from_bytes,
)
from devices.session import Session
from devices.source import DeviceEventKind
from simulators.bumble_radio import Backends
from simulators.errors import FaultError
from simulators.faults import (
    ChangeBattery,
    CutLink,
    DuplicateFrames,
    Fault,
    HangUp,
    RecordOrder,
    ReplayMemory,
    SetBattery,
    SilentRacp,
    SkewClock,
    SlowRacp,
    Truncate,
    UnsetClock,
    WrongCrc,
)
from simulators.peripherals.glucose_meter import GlucoseMeter, Strip
from tests.simulators.kit import START, WITHIN, Diary, Frames, Room, connected, ledger

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:04"
MEASUREMENT, CONTEXT, FEATURE, ACCESS = "2a18", "2a34", "2a51", "2a52"
MINUTE = 60_000


def strip(number: int, count: int = 1200, **changes: object) -> Strip:
    """One of the last day's strips, 30 minutes from the one before."""
    return Strip(at=START - 24 * 60 * MINUTE + number * 30 * MINUTE, count=count, **changes)  # type: ignore[arg-type]


def meter(room: Room, strips: int = 0, **changes: object) -> GlucoseMeter:
    device = GlucoseMeter(ADDRESS, room.where, name="Veilleur meter", **changes)  # type: ignore[arg-type]
    for number in range(strips):
        device.take(strip(number, 1000 + number * 10))
    return device


class Listener:
    """A client that listens to all that a meter has to say."""

    def __init__(self, client: BleakClient) -> None:
        self.client = client
        self.records = Frames()
        self.contexts = Frames()
        self.answers = Frames()

    @classmethod
    async def to(cls, room: Room) -> "Listener":
        made = cls(await connected(await room.box(), ADDRESS, pair=True))
        await made.client.start_notify(MEASUREMENT, made.records)
        await made.client.start_notify(CONTEXT, made.contexts)
        await made.client.start_notify(ACCESS, made.answers)
        return made

    async def ask(self, request: RecordRequest) -> RecordResponse | RecordCount:
        answered = len(self.answers.all)
        await self.client.write_gatt_char(ACCESS, bytes(request), response=True)
        return response_from_bytes((await self.answers.until(answered + 1))[-1])

    def said(self) -> list[GlucoseMeasurement]:
        return [GlucoseMeasurement.from_bytes(frame) for frame in self.records.all]


def asks(operator: int, *operands: int) -> RecordRequest:
    return RecordRequest(
        opcode=Opcode.REPORT_STORED_RECORDS,
        operator=operator,
        filter_type=1 if operands else None,
        operands=operands,
    )


@pytest.mark.parametrize(
    ("request_", "numbers", "code"),
    [
        (asks(Operator.ALL_RECORDS), [1, 2, 3, 4], ResponseCode.SUCCESS),
        (asks(Operator.GREATER_THAN_OR_EQUAL, 3), [3, 4], ResponseCode.SUCCESS),
        (asks(Operator.GREATER_THAN_OR_EQUAL, 5), [], ResponseCode.NO_RECORDS_FOUND),
        (asks(Operator.LAST_RECORD), [4], ResponseCode.SUCCESS),
        # Filter 2 is the time shown, which this meter does not choose by.
        (RecordRequest.report_from(1, filter_type=2), [], ResponseCode.OPERAND_NOT_SUPPORTED),
        (
            RecordRequest(opcode=Opcode.DELETE_STORED_RECORDS, operator=Operator.ALL_RECORDS),
            [],
            ResponseCode.OPCODE_NOT_SUPPORTED,
        ),
    ],
)
async def test_it_reports_the_records_that_are_asked_for(
    room: Room, request_: RecordRequest, numbers: list[int], code: ResponseCode
) -> None:
    await room.switch_on(meter(room, 4))
    listener = await Listener.to(room)
    assert await listener.ask(request_) == RecordResponse(request=request_.opcode, code=code)
    assert [said.sequence for said in listener.said()] == numbers
    await listener.client.disconnect()


async def test_it_counts_records_and_says_what_it_can(room: Room) -> None:
    await room.switch_on(meter(room, 3))
    listener = await Listener.to(room)
    counting = RecordRequest(opcode=Opcode.REPORT_NUMBER_OF_STORED_RECORDS, operator=Operator.ALL_RECORDS)
    assert await listener.ask(counting) == RecordCount(number=3)
    feature = GlucoseFeature.from_bytes(bytes(await listener.client.read_gatt_char(FEATURE)))
    assert Features.BATTERY_LOW in feature.features
    await listener.client.disconnect()


async def test_one_that_cannot_choose_says_so(room: Room) -> None:
    await room.switch_on(meter(room, 2, selective=False))
    listener = await Listener.to(room)
    assert await listener.ask(asks(Operator.LAST_RECORD)) == RecordResponse(
        request=Opcode.REPORT_STORED_RECORDS, code=ResponseCode.OPERATOR_NOT_SUPPORTED
    )
    assert listener.said() == []
    await listener.client.disconnect()


async def test_a_request_before_listening_is_refused(room: Room) -> None:
    await room.switch_on(meter(room, 1))
    client = await connected(await room.box(), ADDRESS, pair=True)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await client.write_gatt_char(ACCESS, bytes(RecordRequest.report_all()), response=True)
    assert refused.value.code == 0xFD
    await client.disconnect()


async def test_a_result_says_what_was_tested_and_when(room: Room) -> None:
    device = meter(room, time_offset=60)
    device.take(strip(0, 1204, meal=Meal.FASTING))
    device.take(strip(1, 1100, control=True, status=MeterStatus.TIME_FAULT))
    await room.switch_on(device)
    listener = await Listener.to(room)
    await listener.ask(asks(Operator.ALL_RECORDS))
    blood, control = listener.said()
    assert (blood.concentration, blood.unit) == (Decimal(120), Unit.MG_PER_DL)
    assert (blood.fluid, blood.location) == (Fluid.CAPILLARY_WHOLE_BLOOD, SampleLocation.FINGER)
    assert (blood.time_offset, str(blood.base_time)) == (60, "2026-02-28T08:00:00")
    assert (control.is_control, control.status, control.context_follows) == (True, MeterStatus.TIME_FAULT, False)
    contexts = [GlucoseContext.from_bytes(frame) for frame in listener.contexts.all]
    assert contexts == [GlucoseContext(sequence=1, meal=Meal.FASTING)]
    await listener.client.disconnect()


@pytest.mark.parametrize(("unit", "shown", "count"), [(Unit.MG_PER_DL, "120", 1200), (Unit.MMOL_PER_L, "6.7", 1207)])
async def test_what_it_shows_is_what_it_says_it_took(room: Room, unit: Unit, shown: str, count: int) -> None:
    device = meter(room, unit=unit)
    device.take(strip(0, 1204))
    (taken,) = room.witness.readings
    assert (taken.count, taken.measured_at) == (count, strip(0).at)
    assert str(device._shown(1204)) == shown


async def test_a_strip_ends_the_link_and_the_meter_is_found_again(room: Room) -> None:
    device = meter(room, 1)
    await room.switch_on(device)
    listener = await Listener.to(room)
    device.take(strip(1))
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert device.wants_link()
    again = await connected(await room.box("other.json", "F0:F1:F2:F3:F4:F6"), ADDRESS, pair=True)
    assert not listener.client.is_connected
    await again.disconnect()


@pytest.mark.parametrize("fault", [WrongCrc(device="glucose_meter")])
async def test_a_knob_that_it_has_not_is_refused(room: Room, fault: Fault) -> None:
    with pytest.raises(FaultError, match="a glucose_meter has no fault 'wrong_crc'"):
        await meter(room).suffer(fault)


# The box's own session


class MeterDiary(Diary):
    """A box's memory of one meter."""

    def resume(self) -> Resume:
        if not self.readings:
            return Resume()
        newest = max(self.readings.values(), key=lambda reading: reading.order)
        return driver_named("glucose_meter").resume_after(newest.key)

    def knows(self, room: Room) -> bool:
        return self.known() == ledger(room.witness.readings)


@asynccontextmanager
async def following(room: Room, box: Backends, diary: Diary) -> AsyncIterator[None]:
    """Let a box follow the meter."""
    session = Session(
        radio=room.radio(box),
        driver=driver_named("glucose_meter"),
        device=ADDRESS,
        zone=room.zone,
        clock=room.clock,
        resume=diary.resume,
        patience=Patience(
            find=WITHIN,
            connect=5.0,
            begin=0.05,
            quiet=0.05,
            record=0.3,
            abort=0.3,
            join=0.2,
            unheard=0.01,
            after_visit=0.01,
            first=0.02,
        ),
    )
    task = asyncio.create_task(diary.follow(session))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_box_reads_the_memory_then_sets_the_clock_then_reads_each_new_result(room: Room) -> None:
    device, diary = meter(room, 20, lingers=0.3), MeterDiary()
    await device.suffer(SkewClock(device="glucose_meter", seconds=-3600))
    await room.switch_on(device)
    async with following(room, await room.box(), diary):
        await diary.until(lambda: diary.count(DeviceEventKind.CLOCK_SET) == 1)
        assert diary.knows(room)
        device.take(Strip(at=room.clock.now_ms(), count=900, meal=Meal.BEFORE_MEAL))
        await diary.until(lambda: diary.knows(room))
    assert abs(device.clock_offset_ms) < 5_000
    newest = max(diary.readings.values(), key=lambda reading: reading.key)
    assert (newest.quality, newest.clock, newest.validity) == (Quality.BEFORE_MEAL, ClockTrust.TRUSTED, Validity.VALID)
    assert diary.repeats == 0
    assert diary.count(DeviceEventKind.FRAME_REJECTED) == 0


async def test_control_solution_and_battery_reach_the_box_as_what_they_are(room: Room) -> None:
    device, diary = meter(room), MeterDiary()
    await device.suffer(SetBattery(device="glucose_meter", percent=5))
    device.take(strip(0, 1100, control=True))
    device.take(strip(1, 1200, status=MeterStatus.SAMPLE_SIZE_INSUFFICIENT))
    await room.switch_on(device)
    async with following(room, await room.box(), diary):
        await diary.until(lambda: diary.knows(room))
    control, failed = sorted(diary.readings.values(), key=lambda reading: reading.key)
    assert (control.validity, control.quality) == (Validity.INVALID, Quality.CONTROL_SOLUTION | Quality.BATTERY_LOW)
    assert (failed.validity, failed.quality) == (Validity.INVALID, Quality.STRIP_FAULT | Quality.BATTERY_LOW)
    assert diary.count(DeviceEventKind.BATTERY_LOW) >= 1


async def test_numbers_that_begin_again_after_a_reset_lose_nothing(room: Room) -> None:
    device, diary = meter(room, 10, lingers=0.1), MeterDiary()
    await room.switch_on(device)
    async with following(room, await room.box(), diary):
        await diary.until(lambda: diary.knows(room))
        await room.witness.until(lambda: room.witness.count("disconnected") >= 1)
        device.reset()
        assert device.stored == 0
        for number in range(20, 23):
            device.take(strip(number, 1500 + number))
        await diary.until(lambda: diary.knows(room))
    assert len(diary.readings) == 13


@pytest.mark.parametrize(
    "fault",
    [
        CutLink(device="glucose_meter", after_frames=7),
        DuplicateFrames(device="glucose_meter", frames=9),
        Truncate(device="glucose_meter", frame=6),
        SilentRacp(device="glucose_meter"),
        SlowRacp(device="glucose_meter", seconds=0.01),
        RecordOrder(device="glucose_meter"),
        ReplayMemory(device="glucose_meter"),
        UnsetClock(device="glucose_meter"),
        HangUp(device="glucose_meter", hangs_up=False),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_whatever_the_meter_suffers_the_box_knows_what_it_took(room: Room, fault: Fault) -> None:
    device, diary = meter(room, lingers=0.3), MeterDiary()
    unset = isinstance(fault, UnsetClock)
    if unset:
        await device.suffer(fault)
    for number in range(12):
        device.take(strip(number, 1000 + number * 10, meal=Meal.FASTING if number % 3 == 0 else None))
    if not unset:
        await device.suffer(fault)
    await room.switch_on(device)
    async with following(room, await room.box(), diary):
        await diary.until(lambda: len(diary.readings) == 12)
    if unset:
        assert {reading.clock for reading in diary.readings.values()} == {ClockTrust.UNKNOWN}
        assert sorted(reading.count for reading in diary.readings.values()) == [1000 + n * 10 for n in range(12)]
    else:
        assert diary.knows(room)


async def test_a_battery_change_that_empties_the_memory_numbers_anew(room: Room) -> None:
    device, diary = meter(room, 5, lingers=0.1), MeterDiary()
    await room.switch_on(device)
    async with following(room, await room.box(), diary):
        await diary.until(lambda: diary.knows(room))
        await device.suffer(
            ChangeBattery(device="glucose_meter", keeps_records=False, clock=datetime(2026, 3, 1, 9, 0))  # noqa: DTZ001 a wall clock
        )
        device.take(Strip(at=room.clock.now_ms(), count=880))
        await diary.until(lambda: diary.knows(room))
    assert (device.battery, device.stored) == (100, 1)
