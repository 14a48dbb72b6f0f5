"""What a CGM says about its own state: in every record, and at any time when it is read.

The measurements, and the driver, are `cgm`. A collector reads the status when no measurement runs that could carry
it: a session that is over says so here.

Source: Continuous Glucose Monitoring Service 1.0.2 (CGMS); field layouts in the GATT Specification Supplement.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Self

from devices import gatt
from devices.gatt import FrameReader, uint_bytes, with_e2e_crc


class Annunciation(IntFlag):
    """Sensor Status Annunciation: status, calibration and temperature, warning octets (CGMS 3.1.1.5)."""

    NONE = 0
    SESSION_STOPPED = 1 << 0
    BATTERY_LOW = 1 << 1
    SENSOR_TYPE_INCORRECT = 1 << 2
    SENSOR_MALFUNCTION = 1 << 3
    DEVICE_SPECIFIC_ALERT = 1 << 4
    GENERAL_FAULT = 1 << 5
    TIME_SYNCHRONIZATION_REQUIRED = 1 << 8
    CALIBRATION_NOT_ALLOWED = 1 << 9
    CALIBRATION_RECOMMENDED = 1 << 10
    CALIBRATION_REQUIRED = 1 << 11
    TEMPERATURE_TOO_HIGH = 1 << 12
    TEMPERATURE_TOO_LOW = 1 << 13
    BELOW_PATIENT_LOW = 1 << 16
    ABOVE_PATIENT_HIGH = 1 << 17
    BELOW_HYPO = 1 << 18
    ABOVE_HYPER = 1 << 19
    RATE_OF_DECREASE_EXCEEDED = 1 << 20
    RATE_OF_INCREASE_EXCEEDED = 1 << 21
    BELOW_DEVICE_RANGE = 1 << 22
    ABOVE_DEVICE_RANGE = 1 << 23


KNOWN_ANNUNCIATION: Final = sum(Annunciation)
"""The bits that are not reserved; the reserved ones lie between, which an inversion would not leave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CgmStatus:
    """CGM Status (0x2AA9).

    Attributes:
        time_offset: minutes since the session's start, 0 to 65535.
        annunciation: always three octets; reserved bits are dropped.
        crc: whether it ends with an E2E-CRC.
        trailing: bytes after the fields.
    """

    time_offset: int
    annunciation: Annunciation = Annunciation.NONE
    crc: bool = False
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes, *, crc: bool | None = None) -> Self:
        """Read a status; `crc` as in `CgmMeasurement.from_bytes`.

        Raises:
            FrameError: cut short, no CRC although promised, or a wrong one.
        """
        reader = FrameReader(gatt.CGM_STATUS, frame)
        time_offset = reader.uint(2, "the time offset")
        annunciation = Annunciation(reader.uint(3, "the status") & KNOWN_ANNUNCIATION)
        protected = reader.left >= 2 if crc is None else crc
        return cls(
            time_offset=time_offset,
            annunciation=annunciation,
            crc=protected,
            trailing=reader.rest_before_crc() if protected else reader.rest(),
        )

    def __bytes__(self) -> bytes:
        body = uint_bytes(self.time_offset, 2) + uint_bytes(self.annunciation, 3) + self.trailing
        return with_e2e_crc(body) if self.crc else body
