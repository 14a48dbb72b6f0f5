"""The Record Access Control Point in values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import FrameError
from devices.record_access import (
    FILTER_TIME_OFFSET,
    Opcode,
    Operator,
    RecordCount,
    RecordRequest,
    RecordResponse,
    ResponseCode,
    response_from_bytes,
)

numbers = st.integers(0, 0xFFFF)
octets = st.integers(0, 0xFF)


@pytest.mark.parametrize(
    ("request_", "frame"),
    [
        (RecordRequest.report_all(), "01 01"),
        (RecordRequest.report_from(3001), "01 03 01 b90b"),
        (RecordRequest.abort(), "03 00"),
        (
            RecordRequest(
                opcode=Opcode.REPORT_NUMBER_OF_STORED_RECORDS,
                operator=Operator.WITHIN_RANGE,
                filter_type=FILTER_TIME_OFFSET,
                operands=(5, 300),
            ),
            "04 04 01 0500 2c01",
        ),
        (RecordRequest(opcode=Opcode.REPORT_STORED_RECORDS, operator=Operator.LAST_RECORD), "01 06"),
        (RecordRequest(opcode=0x7F, operator=0x33, trailing=b"\x01"), "7f 33 01"),
    ],
)
def test_a_request_is_written_as_the_specification_lays_it_out(request_: RecordRequest, frame: str) -> None:
    # Made here from the GATT Specification Supplement, Record Access Control Point.
    assert bytes(request_) == bytes.fromhex(frame)
    assert RecordRequest.from_bytes(bytes.fromhex(frame)) == request_


@pytest.mark.parametrize("frame", ["", "01", "01 03", "01 03 01", "01 03 01 b9", "01 04 01 b90b"])
def test_a_request_without_its_operands_is_refused(frame: str) -> None:
    with pytest.raises(FrameError, match="2A52: truncated"):
        RecordRequest.from_bytes(bytes.fromhex(frame))


@given(octets, octets, st.binary(max_size=3))
@settings(max_examples=50, deadline=None)
def test_a_response_comes_back_as_it_was(request_: int, code: int, trailing: bytes) -> None:
    response = RecordResponse(request=request_, code=code, trailing=trailing)
    assert response_from_bytes(bytes(response)) == response


@given(numbers, st.binary(max_size=3))
@settings(max_examples=50, deadline=None)
def test_a_count_comes_back_as_it_was(number: int, trailing: bytes) -> None:
    count = RecordCount(number=number, trailing=trailing)
    assert response_from_bytes(bytes(count)) == count


def test_no_records_is_a_success_and_every_other_code_is_not() -> None:
    succeeded = {
        code for code in range(256) if RecordResponse(request=Opcode.REPORT_STORED_RECORDS, code=code).succeeded
    }
    assert succeeded == {ResponseCode.SUCCESS, ResponseCode.NO_RECORDS_FOUND}


@given(st.binary(max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_response_or_a_frame_error(frame: bytes) -> None:
    try:
        response = response_from_bytes(frame)
    except FrameError as error:
        assert error.frame == frame  # noqa: PT017 either outcome is right
    else:
        assert frame[:1] in {b"\x05", b"\x06"}
        assert len(bytes(response)) == len(frame)
