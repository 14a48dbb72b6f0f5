"""The virtual glucose sensor answers as the CGM service says."""

from collections.abc import Sequence

import pytest
from bleak import BleakClient
from bleak.exc import BleakGATTProtocolError

from devices.drivers.cgm import CgmMeasurement
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.errors import FrameError
from devices.record_access import (
    Opcode,
    Operator,
    RecordCount,
    RecordRequest,
    RecordResponse,
    ResponseCode,
    response_from_bytes,
)
from simulators.errors import FaultError
from simulators.faults import Fault, SilentRacp, SkewClock, WrongCrc
from simulators.patients import Glucose
from simulators.peripherals.cgm import GlucoseSensor
from tests.simulators.kit import START, Frames, Room, connected

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:01"
MEASUREMENT, FEATURE, START_TIME, RUN_TIME, ACCESS = "2aa7", "2aa8", "2aaa", "2aab", "2a52"
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
