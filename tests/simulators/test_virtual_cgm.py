"""The virtual glucose sensor answers as the CGM service says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from bleak import BleakClient
from bleak.exc import BleakGATTProtocolError

from devices.drivers.cgm import CgmMeasurement
from devices.drivers.cgm_ops import (
    LAST_CALIBRATION,
    NEVER,
    AlertLevel,
    Calibration,
    CalibrationNumber,
    CommunicationInterval,
    Operand,
    OpsCode,
    OpsOutcome,
    OpsResponseCode,
    SpecificOps,
)
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.drivers.cgm_status import Annunciation, CgmStatus
from devices.errors import FrameError
from devices.gatt import with_e2e_crc
from devices.medfloat import Special
from devices.reading import Quality, Validity
from devices.record_access import (
    Opcode,
    Operator,
    RecordCount,
    RecordRequest,
    RecordResponse,
    ResponseCode,
    response_from_bytes,
)
from devices.source import DeviceEventKind
from simulators.bumble_radio import Backends
from simulators.errors import FaultError
from simulators.faults import Fault, SetBattery, SilentRacp, SkewClock, WrongCrc
from simulators.patients import Glucose
from simulators.peripherals.cgm import GlucoseSensor
from tests.simulators.kit import START, Diary, Frames, Room, connected, ledger, session_of

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:01"
MEASUREMENT, FEATURE, START_TIME, RUN_TIME, ACCESS = "2aa7", "2aa8", "2aaa", "2aab", "2a52"
STATUS, OPS = "2aa9", "2aac"
MINUTE = 60_000


def glucose(minute: int, count: int = 1000) -> Glucose:
    return Glucose(at=START + minute * MINUTE, count=count)


async def sensor(room: Room, minutes: Sequence[int] = (), clock_offset_s: int = 0) -> GlucoseSensor:
    device = GlucoseSensor(ADDRESS, room.where, name="Veilleur CGM", session_start=START, clock_offset_s=clock_offset_s)
    for minute in minutes:
        device.take(glucose(minute, 1000 + minute * 10))
    await room.switch_on(device)
    return device


class Listener:
    """A client that listens to the measurements and to the record access control point."""

    def __init__(self, client: BleakClient) -> None:
        self.client = client
        self.records = Frames()
        self.answers = Frames()

    @classmethod
    async def to(cls, room: Room) -> "Listener":
        made = cls(await connected(await room.box(), ADDRESS, pair=True))
        await made.client.start_notify(MEASUREMENT, made.records)
        await made.client.start_notify(ACCESS, made.answers)
        return made

    async def ask(self, request: RecordRequest) -> RecordResponse | RecordCount:
        answered = len(self.answers.all)
        await self.client.write_gatt_char(ACCESS, bytes(request), response=True)
        return response_from_bytes((await self.answers.until(answered + 1))[-1])

    def offsets(self) -> list[int]:
        return [CgmMeasurement.from_bytes(frame, crc=True).time_offset for frame in self.records.all]


def report(operator: int, *operands: int) -> RecordRequest:
    return RecordRequest(
        opcode=Opcode.REPORT_STORED_RECORDS,
        operator=operator,
        filter_type=1 if operands else None,
        operands=operands,
    )


async def test_it_describes_its_session(room: Room) -> None:
    await sensor(room, clock_offset_s=3600)
    client = await connected(await room.box(), ADDRESS, pair=True)
    assert Features.E2E_CRC in CgmFeature.from_bytes(bytes(await client.read_gatt_char(FEATURE))).features
    session = SessionStart.from_bytes(bytes(await client.read_gatt_char(START_TIME)), crc=True)
    assert session.start_ms(START, room.zone) == START + 3_600_000
    assert SessionRunTime.from_bytes(bytes(await client.read_gatt_char(RUN_TIME)), crc=True).hours == 360
    await client.disconnect()


@pytest.mark.parametrize(
    ("request_", "offsets", "code"),
    [
        (report(Operator.ALL_RECORDS), [0, 5, 10, 15], ResponseCode.SUCCESS),
        (report(Operator.GREATER_THAN_OR_EQUAL, 10), [10, 15], ResponseCode.SUCCESS),
        (report(Operator.GREATER_THAN_OR_EQUAL, 16), [], ResponseCode.NO_RECORDS_FOUND),
        (report(Operator.LESS_THAN_OR_EQUAL, 5), [0, 5], ResponseCode.SUCCESS),
        (report(Operator.WITHIN_RANGE, 4, 11), [5, 10], ResponseCode.SUCCESS),
        (report(Operator.WITHIN_RANGE, 11, 4), [], ResponseCode.INVALID_OPERAND),
        (report(Operator.FIRST_RECORD), [0], ResponseCode.SUCCESS),
        (report(Operator.LAST_RECORD), [15], ResponseCode.SUCCESS),
        (report(Operator.NULL), [], ResponseCode.INVALID_OPERATOR),
        (report(77), [], ResponseCode.OPERATOR_NOT_SUPPORTED),
        (RecordRequest.report_from(1, filter_type=2), [], ResponseCode.OPERAND_NOT_SUPPORTED),
        (
            RecordRequest(opcode=Opcode.DELETE_STORED_RECORDS, operator=Operator.ALL_RECORDS),
            [],
            ResponseCode.OPCODE_NOT_SUPPORTED,
        ),
    ],
)
async def test_it_reports_the_records_that_are_asked_for(
    room: Room, request_: RecordRequest, offsets: list[int], code: ResponseCode
) -> None:
    await sensor(room, (0, 5, 10, 15))
    listener = await Listener.to(room)
    answer = await listener.ask(request_)
    assert answer == RecordResponse(request=request_.opcode, code=code)
    assert listener.offsets() == offsets
    await listener.client.disconnect()


async def test_it_counts_records(room: Room) -> None:
    await sensor(room, (0, 5, 10))
    listener = await Listener.to(room)
    counting = RecordRequest(opcode=Opcode.REPORT_NUMBER_OF_STORED_RECORDS, operator=Operator.ALL_RECORDS)
    assert await listener.ask(counting) == RecordCount(number=3)
    await listener.client.disconnect()


async def test_a_request_before_listening_is_refused(room: Room) -> None:
    await sensor(room, (0,))
    client = await connected(await room.box(), ADDRESS, pair=True)
    await client.start_notify(ACCESS, Frames())
    with pytest.raises(BleakGATTProtocolError) as refused:
        await client.write_gatt_char(ACCESS, bytes(RecordRequest.report_all()), response=True)
    assert refused.value.code == 0xFD
    await client.disconnect()


async def test_a_malformed_request_is_refused(room: Room) -> None:
    await sensor(room, (0,))
    listener = await Listener.to(room)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await listener.client.write_gatt_char(ACCESS, b"\x01", response=True)
    assert refused.value.code == 0x0D
    await listener.client.disconnect()


async def test_a_silent_procedure_blocks_others_until_it_is_aborted(room: Room) -> None:
    device = await sensor(room, (0, 5))
    await device.suffer(SilentRacp(device="cgm"))
    listener = await Listener.to(room)
    everything = bytes(RecordRequest.report_all())
    await listener.client.write_gatt_char(ACCESS, everything, response=True)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await listener.client.write_gatt_char(ACCESS, everything, response=True)
    assert refused.value.code == 0xFE
    assert await listener.ask(RecordRequest.abort()) == RecordResponse(
        request=Opcode.ABORT_OPERATION, code=ResponseCode.SUCCESS
    )
    assert await listener.ask(RecordRequest.report_all()) == RecordResponse(
        request=Opcode.REPORT_STORED_RECORDS, code=ResponseCode.SUCCESS
    )
    assert listener.offsets() == [0, 5]
    await listener.client.disconnect()


async def test_live_values_are_notified_and_kept(room: Room) -> None:
    device = await sensor(room)
    listener = await Listener.to(room)
    device.take(glucose(0))
    device.take(glucose(5))
    await listener.records.until(2)
    assert listener.offsets() == [0, 5]
    assert device.stored == 2
    await listener.client.disconnect()


async def test_a_wrong_crc_spoils_the_frame_and_not_the_memory(room: Room) -> None:
    device = await sensor(room)
    listener = await Listener.to(room)
    await device.suffer(WrongCrc(device="cgm"))
    device.take(glucose(0))
    (spoilt,) = await listener.records.until(1)
    with pytest.raises(FrameError, match="CRC"):
        CgmMeasurement.from_bytes(spoilt, crc=True)
    listener.records.all.clear()
    await listener.ask(RecordRequest.report_all())
    assert listener.offsets() == [0]
    await listener.client.disconnect()


async def test_what_it_shows_is_what_it_says_it_took(room: Room) -> None:
    device = GlucoseSensor(ADDRESS, room.where, name="CGM", session_start=START + 999, clock_offset_s=-60)
    device.take(Glucose(at=START + 999 + 5 * MINUTE, count=1234))
    (taken,) = room.witness.readings
    assert (taken.count, taken.measured_at) == (1230, START - 60_000 + 5 * MINUTE)


async def test_it_measures_for_fifteen_days_and_each_minute_once(room: Room) -> None:
    device = GlucoseSensor(ADDRESS, room.where, name="CGM", session_start=START)
    for minute in (-1, 0, 0, 15 * 24 * 60, 15 * 24 * 60 + 1):
        device.take(glucose(minute))
    assert device.stored == len(room.witness.readings) == 2


@pytest.mark.parametrize("fault", [SkewClock(device="cgm", seconds=60)])
async def test_a_knob_that_it_has_not_is_refused(room: Room, fault: Fault) -> None:
    device = GlucoseSensor(ADDRESS, room.where, name="CGM", session_start=START)
    with pytest.raises(FaultError, match="a cgm has no fault 'skew_clock'"):
        await device.suffer(fault)
    assert room.witness.events == []


# Status and specific operations


class Collector:
    """A client that asks for specific operations."""

    def __init__(self, client: BleakClient) -> None:
        self.client = client
        self.answers = Frames()

    @classmethod
    async def to(cls, room: Room, keystore: str = "collector.json") -> "Collector":
        box = await room.box(keystore, "F0:F1:F2:F3:F4:F7")
        made = cls(await connected(box, ADDRESS, pair=True))
        await made.client.start_notify(OPS, made.answers)
        return made

    async def ask(self, opcode: OpsCode, operand: Operand | None = None, trailing: bytes = b"") -> SpecificOps:
        answered = len(self.answers.all)
        request = bytes(SpecificOps(opcode=opcode, operand=operand, crc=True, trailing=trailing))
        await self.client.write_gatt_char(OPS, request, response=True)
        return SpecificOps.from_bytes((await self.answers.until(answered + 1))[-1], crc=True)

    async def status(self) -> CgmStatus:
        return CgmStatus.from_bytes(bytes(await self.client.read_gatt_char(STATUS)), crc=True)


def answered(opcode: OpsCode, code: OpsResponseCode) -> SpecificOps:
    return SpecificOps.answer(opcode, code, crc=True)


async def test_its_status_says_how_long_it_has_run_and_that_its_battery_is_low(room: Room) -> None:
    device = GlucoseSensor(ADDRESS, room.where, name="Veilleur CGM", session_start=START - 90 * MINUTE)
    await device.suffer(SetBattery(device="cgm", percent=9))
    await room.switch_on(device)
    collector = await Collector.to(room)
    status = await collector.status()
    assert 90 <= status.time_offset <= 91
    assert status.annunciation == Annunciation.BATTERY_LOW
    await collector.client.disconnect()


async def test_it_sends_as_often_as_it_is_told_and_keeps_everything(room: Room) -> None:
    device = await sensor(room)
    listener = await Listener.to(room)
    collector = Collector(listener.client)
    await listener.client.start_notify(OPS, collector.answers)
    ten = CommunicationInterval(minutes=10)
    assert await collector.ask(OpsCode.SET_COMMUNICATION_INTERVAL, ten) == answered(
        OpsCode.SET_COMMUNICATION_INTERVAL, OpsResponseCode.SUCCESS
    )
    assert (await collector.ask(OpsCode.GET_COMMUNICATION_INTERVAL)).operand == ten
    for minute in (0, 5, 10, 15, 20):
        device.take(glucose(minute))
    await listener.records.until(3)
    await collector.ask(OpsCode.SET_COMMUNICATION_INTERVAL, CommunicationInterval(minutes=NEVER))
    device.take(glucose(40))
    await collector.ask(OpsCode.GET_COMMUNICATION_INTERVAL)
    assert listener.offsets() == [0, 10, 20]
    assert device.stored == 6
    await listener.client.disconnect()


async def test_it_takes_a_calibration_and_gives_it_back(room: Room) -> None:
    await sensor(room)
    collector = await Collector.to(room)
    said = Calibration(glucose=Decimal(118), time_offset=1)
    assert await collector.ask(OpsCode.SET_CALIBRATION, said) == answered(
        OpsCode.SET_CALIBRATION, OpsResponseCode.SUCCESS
    )
    for number in (1, LAST_CALIBRATION):
        kept = (await collector.ask(OpsCode.GET_CALIBRATION, CalibrationNumber(record=number))).operand
        assert isinstance(kept, Calibration)
        assert (kept.glucose, kept.time_offset, kept.record, kept.next_time_offset) == (Decimal(118), 1, 1, 1441)
    missing = await collector.ask(OpsCode.GET_CALIBRATION, CalibrationNumber(record=2))
    assert missing == answered(OpsCode.GET_CALIBRATION, OpsResponseCode.PARAMETER_OUT_OF_RANGE)
    for impossible in (Decimal(39), Decimal(401), Special.NAN):
        refused = await collector.ask(OpsCode.SET_CALIBRATION, Calibration(glucose=impossible, time_offset=1))
        assert refused == answered(OpsCode.SET_CALIBRATION, OpsResponseCode.PARAMETER_OUT_OF_RANGE)
    await collector.client.disconnect()


async def test_what_it_cannot_do_and_what_makes_no_sense_is_refused(room: Room) -> None:
    device = await sensor(room)
    device.session.alert = True
    collector = await Collector.to(room)
    assert Annunciation.DEVICE_SPECIFIC_ALERT in (await collector.status()).annunciation
    for opcode, operand, trailing, code in (
        (OpsCode.RESET_DEVICE_SPECIFIC_ALERT, None, b"", OpsResponseCode.SUCCESS),
        (OpsCode.SET_HYPO, AlertLevel(level=Decimal(70)), b"", OpsResponseCode.OPCODE_NOT_SUPPORTED),
        (OpsCode.START_SESSION, None, b"", OpsResponseCode.PROCEDURE_NOT_COMPLETED),
        (OpsCode.STOP_SESSION, None, b"\x01", OpsResponseCode.INVALID_OPERAND),
    ):
        assert await collector.ask(opcode, operand, trailing) == answered(opcode, code)
    assert (await collector.status()).annunciation == Annunciation.NONE
    await collector.client.write_gatt_char(OPS, with_e2e_crc(bytes((OpsCode.SET_CALIBRATION, 0))), response=True)
    cut = SpecificOps.from_bytes((await collector.answers.until(5))[-1], crc=True)
    assert cut.operand == OpsOutcome(request=OpsCode.SET_CALIBRATION, code=OpsResponseCode.INVALID_OPERAND)
    await collector.client.disconnect()


@pytest.mark.parametrize(("written", "code"), [(b"\x1b", 0x80), (b"\x1b\x00\x00", 0x81)])
async def test_an_operation_without_a_right_crc_is_refused(room: Room, written: bytes, code: int) -> None:
    device = await sensor(room)
    collector = await Collector.to(room)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await collector.client.write_gatt_char(OPS, written, response=True)
    assert refused.value.code == code
    assert device.session.minute(START) == 0
    await collector.client.disconnect()


async def test_an_operation_before_listening_is_refused(room: Room) -> None:
    await sensor(room)
    client = await connected(await room.box(), ADDRESS, pair=True)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await client.write_gatt_char(OPS, bytes(SpecificOps(opcode=OpsCode.STOP_SESSION, crc=True)), response=True)
    assert refused.value.code == 0xFD
    await client.disconnect()


# The box's own session


@asynccontextmanager
async def following(room: Room, box: Backends, device: GlucoseSensor, diary: Diary) -> AsyncIterator[None]:
    task = asyncio.create_task(diary.follow(session_of(room, box, device, diary)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_session_that_nobody_started_is_said_and_not_started_by_the_box(room: Room) -> None:
    device, diary = GlucoseSensor(ADDRESS, room.where, name="CGM", session_start=None), Diary()
    device.take(glucose(0))
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.count(DeviceEventKind.DRIVER_REFUSED) == 1)
    refused = next(event for event in diary.events if event.kind is DeviceEventKind.DRIVER_REFUSED)
    assert refused.detail == "the device does not say when its session started, even after it was told the time"
    assert (device.stored, device.session.claimed_start) == (0, None)


async def test_a_session_that_the_installer_starts_is_dated_by_the_box_and_read(room: Room) -> None:
    device, diary = GlucoseSensor(ADDRESS, room.where, name="CGM", session_start=None), Diary()
    await room.switch_on(device)
    installer = await Collector.to(room)
    assert Annunciation.SESSION_STOPPED in (await installer.status()).annunciation
    assert await installer.ask(OpsCode.START_SESSION) == answered(OpsCode.START_SESSION, OpsResponseCode.SUCCESS)
    assert (await installer.status()).annunciation == Annunciation.NONE
    await installer.client.disconnect()
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.count(DeviceEventKind.CONNECTED) == 1)
        started = device.session.claimed_start
        assert started is not None
        assert abs(started - room.clock.now_ms()) < MINUTE
        device.take(Glucose(at=room.clock.now_ms(), count=1000))
        await diary.until(lambda: len(diary.readings) == 1)
    assert diary.known() == ledger(room.witness.readings)


async def test_a_session_that_is_stopped_is_told_though_nothing_more_comes(room: Room) -> None:
    device, diary = await sensor(room, (0, 5)), Diary()
    installer = await Collector.to(room)
    assert await installer.ask(OpsCode.STOP_SESSION) == answered(OpsCode.STOP_SESSION, OpsResponseCode.SUCCESS)
    assert await installer.ask(OpsCode.STOP_SESSION) == answered(
        OpsCode.STOP_SESSION, OpsResponseCode.PROCEDURE_NOT_COMPLETED
    )
    device.take(glucose(10))
    assert device.stored == 2
    await installer.client.disconnect()
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: diary.count(DeviceEventKind.SENSOR_EXPIRED) == 1)
        await diary.until(lambda: len(diary.readings) == 2)


async def test_a_sensor_that_warms_up_gives_no_value_and_says_why(room: Room) -> None:
    device = GlucoseSensor(ADDRESS, room.where, name="CGM", session_start=START - 60 * MINUTE, warm_up_minutes=50)
    for minute in (-60, -30, -5):
        device.take(glucose(minute))
    diary = Diary()
    await room.switch_on(device)
    async with following(room, await room.box(), device, diary):
        await diary.until(lambda: len(diary.readings) == 3)
    assert diary.known() == ledger(room.witness.readings)
    said = [
        (reading.validity, reading.quality)
        for reading in sorted(diary.readings.values(), key=lambda reading: reading.measured_at)
    ]
    assert said == [(Validity.INVALID, Quality.WARMING_UP)] * 2 + [(Validity.VALID, Quality.NONE)]


async def test_a_sensor_that_warms_up_takes_no_calibration(room: Room) -> None:
    device = GlucoseSensor(ADDRESS, room.where, name="CGM", session_start=START, warm_up_minutes=50)
    await room.switch_on(device)
    collector = await Collector.to(room)
    assert (await collector.status()).annunciation == Annunciation.CALIBRATION_NOT_ALLOWED
    early = await collector.ask(OpsCode.SET_CALIBRATION, Calibration(glucose=Decimal(100), time_offset=0))
    assert early == answered(OpsCode.SET_CALIBRATION, OpsResponseCode.PROCEDURE_NOT_COMPLETED)
    await collector.client.disconnect()
