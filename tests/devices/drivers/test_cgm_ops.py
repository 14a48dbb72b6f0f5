"""CGM specific operations: every request and every answer comes back as it was, with its CRC."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.driver import FrameContext
from devices.drivers.cgm import CgmDriver
from devices.drivers.cgm_ops import (
    FASTEST,
    LAST_CALIBRATION,
    AlertLevel,
    Calibration,
    CalibrationNumber,
    CalibrationStatus,
    CommunicationInterval,
    Operand,
    OpsCode,
    OpsOutcome,
    OpsResponseCode,
    SpecificOps,
)
from devices.drivers.glucose_sample import Fluid, SampleLocation
from devices.errors import FrameError
from devices.fields import fields_of
from devices.gatt import with_e2e_crc
from devices.medfloat import decode_sfloat

octets = st.integers(0, 0xFF)
nibbles = st.integers(0, 15)
words = st.integers(0, 0xFFFF)
sfloats = words.map(decode_sfloat)
LEVELS = [code for code in OpsCode if 0x07 <= code <= 0x18 and code % 3 != 2]
BARE = [
    OpsCode.GET_COMMUNICATION_INTERVAL,
    OpsCode.GET_PATIENT_HIGH,
    OpsCode.GET_PATIENT_LOW,
    OpsCode.GET_HYPO,
    OpsCode.GET_HYPER,
    OpsCode.GET_RATE_OF_DECREASE,
    OpsCode.GET_RATE_OF_INCREASE,
    OpsCode.RESET_DEVICE_SPECIFIC_ALERT,
    OpsCode.START_SESSION,
    OpsCode.STOP_SESSION,
]
calibrations = st.builds(
    Calibration,
    glucose=sfloats,
    time_offset=words,
    fluid=nibbles,
    location=nibbles,
    next_time_offset=words,
    record=words,
    status=st.integers(0, 7).map(CalibrationStatus),
)


def operands(opcode: int) -> st.SearchStrategy[Operand | None]:
    if opcode in {OpsCode.SET_COMMUNICATION_INTERVAL, OpsCode.COMMUNICATION_INTERVAL_RESPONSE}:
        return st.builds(CommunicationInterval, minutes=octets)
    if opcode in {OpsCode.SET_CALIBRATION, OpsCode.CALIBRATION_RESPONSE}:
        return calibrations
    if opcode == OpsCode.GET_CALIBRATION:
        return st.builds(CalibrationNumber, record=words)
    if opcode == OpsCode.RESPONSE_CODE:
        return st.builds(OpsOutcome, request=octets, code=octets)
    return st.builds(AlertLevel, level=sfloats) if opcode in LEVELS else st.none()


@given(octets, st.booleans(), st.binary(max_size=1), st.data())
@settings(max_examples=200, deadline=None)
def test_an_operation_comes_back_as_it_was(
    opcode: int,
    crc: bool,  # noqa: FBT001 drawn
    trailing: bytes,
    data: st.DataObject,
) -> None:
    said = SpecificOps(opcode=opcode, operand=data.draw(operands(opcode)), crc=crc, trailing=trailing)
    assert SpecificOps.from_bytes(bytes(said), crc=crc) == said
    assert SpecificOps.from_bytes(bytes(said)) == said


@given(st.sampled_from(list(OpsCode)), st.data())
@settings(max_examples=100, deadline=None)
def test_one_flipped_bit_in_a_protected_operation_is_never_a_value(opcode: OpsCode, data: st.DataObject) -> None:
    frame = bytearray(bytes(SpecificOps(opcode=opcode, operand=data.draw(operands(opcode)), crc=True)))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        SpecificOps.from_bytes(bytes(frame), crc=True)


@pytest.mark.parametrize("opcode", BARE)
def test_an_operation_without_operand_is_one_octet(opcode: OpsCode) -> None:
    assert bytes(SpecificOps(opcode=opcode)) == bytes((opcode,))


# Made here from the GATT Specification Supplement, written out by hand.
@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("01 05", (OpsCode.SET_COMMUNICATION_INTERVAL, CommunicationInterval(minutes=5))),
        ("03 ff", (OpsCode.COMMUNICATION_INTERVAL_RESPONSE, CommunicationInterval(minutes=FASTEST))),
        (
            "06 7800 3c00 11 dc05 0100 04",
            (
                OpsCode.CALIBRATION_RESPONSE,
                Calibration(
                    glucose=Decimal(120),
                    time_offset=60,
                    fluid=Fluid.CAPILLARY_WHOLE_BLOOD,
                    location=SampleLocation.FINGER,
                    next_time_offset=1500,
                    record=1,
                    status=CalibrationStatus.PENDING,
                ),
            ),
        ),
        ("05 ffff", (OpsCode.GET_CALIBRATION, CalibrationNumber(record=LAST_CALIBRATION))),
        ("0d 4600", (OpsCode.SET_HYPO, AlertLevel(level=Decimal(70)))),
        ("13 0f f0", (OpsCode.SET_RATE_OF_DECREASE, AlertLevel(level=Decimal("1.5")))),
        (
            "1c 1a 04",
            (
                OpsCode.RESPONSE_CODE,
                OpsOutcome(request=OpsCode.START_SESSION, code=OpsResponseCode.PROCEDURE_NOT_COMPLETED),
            ),
        ),
    ],
)
def test_an_operation_says_what_it_is(frame: str, said: tuple[OpsCode, Operand]) -> None:
    assert SpecificOps.from_bytes(bytes.fromhex(frame)) == SpecificOps(opcode=said[0], operand=said[1])


def test_an_answer_is_named_field_by_field() -> None:
    shown = fields_of(SpecificOps.answer(OpsCode.STOP_SESSION, OpsResponseCode.SUCCESS))
    assert shown == {
        "opcode": "response_code",
        "operand": {"request": "stop_session", "code": "success"},
        "crc": False,
        "trailing": "",
    }


def test_an_operation_cut_short_or_without_its_crc_is_refused() -> None:
    with pytest.raises(FrameError, match="2AAC: truncated: the calibration's time needs 2 bytes"):
        SpecificOps.from_bytes(bytes.fromhex("04 7800 3c"))
    with pytest.raises(FrameError, match="2AAC: the E2E-CRC is missing"):
        SpecificOps.from_bytes(b"\x1a", crc=True)


def test_an_operand_that_does_not_belong_to_the_opcode_is_a_fault_of_the_house() -> None:
    with pytest.raises(ValueError, match="opcode 1 is followed by CommunicationInterval, not by NoneType"):
        SpecificOps(opcode=OpsCode.SET_COMMUNICATION_INTERVAL)
    with pytest.raises(ValueError, match="opcode 26 is followed by nothing, not by AlertLevel"):
        SpecificOps(opcode=OpsCode.START_SESSION, operand=AlertLevel(level=Decimal(70)))


def test_the_driver_reads_it_with_the_crc_that_the_sensor_promised(context: FrameContext) -> None:
    said = SpecificOps(opcode=OpsCode.STOP_SESSION, crc=True)
    assert bytes(said) == with_e2e_crc(b"\x1b")
    assert CgmDriver().value(0x2AAC, bytes(said), context) == said
