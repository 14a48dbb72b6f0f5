"""The Record Access Control Point (0x2A52) in values: requests and responses, both ways.

The procedure itself (write, collect, time out, abort) is `history`. Unknown opcodes and codes are kept as
numbers, so that a server can answer "not supported" and a client can say what it was told.

Sources: GATT Specification Supplement, Record Access Control Point; Continuous Glucose Monitoring Service 1.0.2,
section 3.7; Glucose Service 1.0.1, section 3.4.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from devices.gatt import RECORD_ACCESS_CONTROL_POINT, FrameReader, uint_bytes


class Opcode(IntEnum):
    """What is asked or answered."""

    REPORT_STORED_RECORDS = 1
    DELETE_STORED_RECORDS = 2
    ABORT_OPERATION = 3
    REPORT_NUMBER_OF_STORED_RECORDS = 4
    NUMBER_OF_STORED_RECORDS_RESPONSE = 5
    RESPONSE_CODE = 6


class Operator(IntEnum):
    """Which records are meant; both ends of a range are included."""

    NULL = 0
    ALL_RECORDS = 1
    LESS_THAN_OR_EQUAL = 2
    GREATER_THAN_OR_EQUAL = 3
    WITHIN_RANGE = 4
    FIRST_RECORD = 5
    LAST_RECORD = 6


class ResponseCode(IntEnum):
    """How a request ended."""

    SUCCESS = 1
    OPCODE_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS_FOUND = 6
    ABORT_UNSUCCESSFUL = 7
    PROCEDURE_NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9


FILTER_TIME_OFFSET = 1
"""Filter type of the CGM service: minutes since the session's start (CGMS 1.0.2, section 3.7.2)."""
FILTER_SEQUENCE_NUMBER = 1
"""Filter type of the Glucose service (GLS 1.0.1, section 3.4.2)."""

_OPERANDS: dict[int, int] = {
    Operator.LESS_THAN_OR_EQUAL: 1,
    Operator.GREATER_THAN_OR_EQUAL: 1,
    Operator.WITHIN_RANGE: 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """What a collector writes.

    Attributes:
        opcode: an `Opcode`, or another number kept as it came.
        operator: an `Operator`, or another number kept as it came.
        filter_type: which field the operands compare with; None when the operator needs none.
        operands: uint16 each: one for a limit, two for a range (low, high).
        trailing: bytes that follow.
    """

    opcode: int
    operator: int = Operator.NULL
    filter_type: int | None = None
    operands: tuple[int, ...] = ()
    trailing: bytes = b""

    @classmethod
    def report_all(cls) -> Self:
        """Ask for every stored record."""
        return cls(opcode=Opcode.REPORT_STORED_RECORDS, operator=Operator.ALL_RECORDS)

    @classmethod
    def report_from(cls, first: int, *, filter_type: int = FILTER_TIME_OFFSET) -> Self:
        """Ask for the stored records whose filter field is at least `first` (0 to 65535)."""
        return cls(
            opcode=Opcode.REPORT_STORED_RECORDS,
            operator=Operator.GREATER_THAN_OR_EQUAL,
            filter_type=filter_type,
            operands=(first,),
        )

    @classmethod
    def report_last(cls) -> Self:
        """Ask for the newest stored record."""
        return cls(opcode=Opcode.REPORT_STORED_RECORDS, operator=Operator.LAST_RECORD)

    @classmethod
    def abort(cls) -> Self:
        """Ask that the running procedure ends."""
        return cls(opcode=Opcode.ABORT_OPERATION)

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a request.

        Raises:
            FrameError: the bytes end before the operands that the operator needs.
        """
        reader = FrameReader(RECORD_ACCESS_CONTROL_POINT, frame)
        opcode = reader.uint(1, "the opcode")
        operator = reader.uint(1, "the operator")
        needed = _OPERANDS.get(operator, 0)
        filter_type = reader.uint(1, "the filter type") if needed else None
        operands = tuple(reader.uint(2, "an operand") for _ in range(needed))
        return cls(opcode=opcode, operator=operator, filter_type=filter_type, operands=operands, trailing=reader.rest())

    def __bytes__(self) -> bytes:
        head = bytes((self.opcode, self.operator))
        if self.filter_type is not None:
            head += bytes((self.filter_type,))
        return head + b"".join(uint_bytes(operand, 2) for operand in self.operands) + self.trailing


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResponse:
    """How a request ended.

    Attributes:
        request: the opcode that is answered.
        code: a `ResponseCode`, or another number kept as it came.
        trailing: bytes that follow.
    """

    request: int
    code: int
    trailing: bytes = b""

    def __bytes__(self) -> bytes:
        return bytes((Opcode.RESPONSE_CODE, Operator.NULL, self.request, self.code)) + self.trailing

    @property
    def succeeded(self) -> bool:
        """Whether all matching records were sent; that there were none is a success."""
        return self.code in {ResponseCode.SUCCESS, ResponseCode.NO_RECORDS_FOUND}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCount:
    """How many stored records match.

    Attributes:
        number: 0 to 65535.
        trailing: bytes that follow.
    """

    number: int
    trailing: bytes = b""

    def __bytes__(self) -> bytes:
        head = bytes((Opcode.NUMBER_OF_STORED_RECORDS_RESPONSE, Operator.NULL))
        return head + uint_bytes(self.number, 2) + self.trailing


def response_from_bytes(frame: bytes) -> RecordResponse | RecordCount:
    """Read what a device indicates.

    Raises:
        FrameError: the bytes are cut short, or are not a response.
    """
    reader = FrameReader(RECORD_ACCESS_CONTROL_POINT, frame)
    opcode = reader.uint(1, "the opcode")
    reader.uint(1, "the operator")
    if opcode == Opcode.NUMBER_OF_STORED_RECORDS_RESPONSE:
        return RecordCount(number=reader.uint(2, "the number of records"), trailing=reader.rest())
    if opcode == Opcode.RESPONSE_CODE:
        request = reader.uint(1, "the request's opcode")
        return RecordResponse(request=request, code=reader.uint(1, "the response code"), trailing=reader.rest())
    raise reader.error(f"opcode {opcode} is not a response")
