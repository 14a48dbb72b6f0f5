"""The CGM Specific Ops Control Point (0x2AAC) in values: what a collector may ask a sensor to do, and its answers.

The box asks for none of it: starting and stopping a session, calibrating and setting the sensor's own alert levels
are decisions of a person with the maker's application or reader. These values are for whoever reads a capture, and
for the virtual sensor.

Where the CGM Feature promises an E2E-CRC, each request and each answer ends with one.

Source: Continuous Glucose Monitoring Service 1.0.2 (CGMS), section 3.8; field layouts in the GATT Specification
Supplement.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from devices import gatt
from devices.drivers.glucose_sample import Fluid, SampleLocation, fluid_and_location, named, octet_of
from devices.gatt import FrameReader, sfloat_bytes, uint_bytes, with_e2e_crc
from devices.medfloat import MedFloat

NEVER: Final = 0
"""Communication interval: no periodic measurements."""
FASTEST: Final = 0xFF
"""Communication interval: as often as the sensor can."""
LAST_CALIBRATION: Final = 0xFFFF
"""Record number that asks for the newest calibration."""


class OpsCode(IntEnum):
    """What is asked or answered."""

    SET_COMMUNICATION_INTERVAL = 0x01
    GET_COMMUNICATION_INTERVAL = 0x02
    COMMUNICATION_INTERVAL_RESPONSE = 0x03
    SET_CALIBRATION = 0x04
    GET_CALIBRATION = 0x05
    CALIBRATION_RESPONSE = 0x06
    SET_PATIENT_HIGH = 0x07
    GET_PATIENT_HIGH = 0x08
    PATIENT_HIGH_RESPONSE = 0x09
    SET_PATIENT_LOW = 0x0A
    GET_PATIENT_LOW = 0x0B
    PATIENT_LOW_RESPONSE = 0x0C
    SET_HYPO = 0x0D
    GET_HYPO = 0x0E
    HYPO_RESPONSE = 0x0F
    SET_HYPER = 0x10
    GET_HYPER = 0x11
    HYPER_RESPONSE = 0x12
    SET_RATE_OF_DECREASE = 0x13
    GET_RATE_OF_DECREASE = 0x14
    RATE_OF_DECREASE_RESPONSE = 0x15
    SET_RATE_OF_INCREASE = 0x16
    GET_RATE_OF_INCREASE = 0x17
    RATE_OF_INCREASE_RESPONSE = 0x18
    RESET_DEVICE_SPECIFIC_ALERT = 0x19
    START_SESSION = 0x1A
    STOP_SESSION = 0x1B
    RESPONSE_CODE = 0x1C


class OpsResponseCode(IntEnum):
    """How a request ended."""

    SUCCESS = 1
    OPCODE_NOT_SUPPORTED = 2
    INVALID_OPERAND = 3
    PROCEDURE_NOT_COMPLETED = 4
    PARAMETER_OUT_OF_RANGE = 5


class CalibrationStatus(IntFlag):
    """What became of a calibration; bits 3 to 7 are reserved and dropped."""

    NONE = 0
    REJECTED = 1 << 0
    OUT_OF_RANGE = 1 << 1
    PENDING = 1 << 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunicationInterval:
    """How often measurements are sent.

    Attributes:
        minutes: 1 to 254, or `NEVER`, or `FASTEST`.
    """

    minutes: int

    @classmethod
    def read(cls, reader: FrameReader) -> Self:
        """Take one byte.

        Raises:
            FrameError: none is left.
        """
        return cls(minutes=reader.uint(1, "the communication interval"))

    def __bytes__(self) -> bytes:
        return uint_bytes(self.minutes, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A value from a blood-glucose meter by which the sensor corrects itself.

    Attributes:
        glucose: mg/dL.
        time_offset: of the test, minutes since the session's start, 0 to 65535.
        fluid: a `Fluid`, 0 to 15.
        location: a `SampleLocation`, 0 to 15.
        next_time_offset: when the next calibration is due, minutes since the session's start; 0 at once.
        record: number of the calibration; 0 when it is being set.
        status: what became of it.
    """

    glucose: MedFloat
    time_offset: int
    fluid: int = Fluid.CAPILLARY_WHOLE_BLOOD
    location: int = SampleLocation.FINGER
    next_time_offset: int = 0
    record: int = 0
    status: CalibrationStatus = CalibrationStatus.NONE

    @classmethod
    def read(cls, reader: FrameReader) -> Self:
        """Take ten bytes.

        Raises:
            FrameError: fewer are left.
        """
        glucose = reader.sfloat("the calibration's glucose")
        time_offset = reader.uint(2, "the calibration's time")
        fluid, location = fluid_and_location(reader.uint(1, "the type and sample location"))
        return cls(
            glucose=glucose,
            time_offset=time_offset,
            fluid=fluid,
            location=location,
            next_time_offset=reader.uint(2, "the next calibration's time"),
            record=reader.uint(2, "the calibration's record number"),
            status=CalibrationStatus(reader.uint(1, "the calibration's status") & int(~CalibrationStatus(0))),
        )

    def __bytes__(self) -> bytes:
        test = sfloat_bytes(self.glucose) + uint_bytes(self.time_offset, 2)
        sample = uint_bytes(octet_of(self.fluid, self.location), 1)
        outcome = uint_bytes(self.next_time_offset, 2) + uint_bytes(self.record, 2) + uint_bytes(self.status, 1)
        return test + sample + outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationNumber:
    """Which calibration is asked for.

    Attributes:
        record: its number, or `LAST_CALIBRATION`.
    """

    record: int

    @classmethod
    def read(cls, reader: FrameReader) -> Self:
        """Take two bytes.

        Raises:
            FrameError: fewer are left.
        """
        return cls(record=reader.uint(2, "the calibration's record number"))

    def __bytes__(self) -> bytes:
        return uint_bytes(self.record, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLevel:
    """A limit at which the sensor itself alerts.

    Attributes:
        level: mg/dL, or mg/dL per minute for a rate.
    """

    level: MedFloat

    @classmethod
    def read(cls, reader: FrameReader) -> Self:
        """Take two bytes.

        Raises:
            FrameError: fewer are left.
        """
        return cls(level=reader.sfloat("the alert level"))

    def __bytes__(self) -> bytes:
        return sfloat_bytes(self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsOutcome:
    """How a request ended.

    Attributes:
        request: the `OpsCode` that is answered, or another number kept as it came.
        code: an `OpsResponseCode`, or another number kept as it came.
    """

    request: int
    code: int

    @classmethod
    def read(cls, reader: FrameReader) -> Self:
        """Take two bytes.

        Raises:
            FrameError: fewer are left.
        """
        request = named(OpsCode, reader.uint(1, "the request's opcode"))
        return cls(request=request, code=named(OpsResponseCode, reader.uint(1, "the response code")))

    def __bytes__(self) -> bytes:
        return uint_bytes(self.request, 1) + uint_bytes(self.code, 1)


Operand = CommunicationInterval | Calibration | CalibrationNumber | AlertLevel | OpsOutcome

_OPERANDS: Final[dict[int, type[Operand]]] = {
    OpsCode.SET_COMMUNICATION_INTERVAL: CommunicationInterval,
    OpsCode.COMMUNICATION_INTERVAL_RESPONSE: CommunicationInterval,
    OpsCode.SET_CALIBRATION: Calibration,
    OpsCode.GET_CALIBRATION: CalibrationNumber,
    OpsCode.CALIBRATION_RESPONSE: Calibration,
    OpsCode.SET_PATIENT_HIGH: AlertLevel,
    OpsCode.PATIENT_HIGH_RESPONSE: AlertLevel,
    OpsCode.SET_PATIENT_LOW: AlertLevel,
    OpsCode.PATIENT_LOW_RESPONSE: AlertLevel,
    OpsCode.SET_HYPO: AlertLevel,
    OpsCode.HYPO_RESPONSE: AlertLevel,
    OpsCode.SET_HYPER: AlertLevel,
    OpsCode.HYPER_RESPONSE: AlertLevel,
    OpsCode.SET_RATE_OF_DECREASE: AlertLevel,
    OpsCode.RATE_OF_DECREASE_RESPONSE: AlertLevel,
    OpsCode.SET_RATE_OF_INCREASE: AlertLevel,
    OpsCode.RATE_OF_INCREASE_RESPONSE: AlertLevel,
    OpsCode.RESPONSE_CODE: OpsOutcome,
}
"""What follows each opcode; nothing follows the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecificOps:
    """CGM Specific Ops Control Point (0x2AAC), CGMS 3.8.

    Attributes:
        opcode: an `OpsCode`, or another number kept as it came.
        operand: what belongs to the opcode; None where nothing does, or the opcode is not known.
        crc: whether it ends with an E2E-CRC.
        trailing: bytes after the operand.
    """

    opcode: int
    operand: Operand | None = None
    crc: bool = False
    trailing: bytes = b""

    def __post_init__(self) -> None:
        needed = _OPERANDS.get(self.opcode)
        if (needed or type(None)) is not type(self.operand):
            wanted = "nothing" if needed is None else needed.__name__
            raise ValueError(f"opcode {self.opcode} is followed by {wanted}, not by {type(self.operand).__name__}")

    @classmethod
    def answer(cls, request: int, code: OpsResponseCode, *, crc: bool = False) -> Self:
        """Return the answer that says how a request ended."""
        return cls(opcode=OpsCode.RESPONSE_CODE, operand=OpsOutcome(request=request, code=code), crc=crc)

    @classmethod
    def from_bytes(cls, frame: bytes, *, crc: bool | None = None) -> Self:
        """Read a request or an answer; `crc` as in `CgmMeasurement.from_bytes`.

        Raises:
            FrameError: cut short for its opcode, no CRC although promised, or a wrong one.
        """
        reader = FrameReader(gatt.CGM_SPECIFIC_OPS_CONTROL_POINT, frame)
        opcode = named(OpsCode, reader.uint(1, "the opcode"))
        kind = _OPERANDS.get(opcode)
        operand = None if kind is None else kind.read(reader)
        protected = reader.left >= 2 if crc is None else crc
        trailing = reader.rest_before_crc() if protected else reader.rest()
        return cls(opcode=opcode, operand=operand, crc=protected, trailing=trailing)

    def __bytes__(self) -> bytes:
        operand = b"" if self.operand is None else bytes(self.operand)
        body = uint_bytes(self.opcode, 1) + operand + self.trailing
        return with_e2e_crc(body) if self.crc else body
