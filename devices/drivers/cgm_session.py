"""What a CGM says about itself and its session: feature, start time, run time.

The measurements, and the driver, are `cgm`; its state is `cgm_status`, what it can be asked to do `cgm_ops`. Where
the feature promises an E2E-CRC, each of these values ends with one too (CGMS 3.11).

Source: Continuous Glucose Monitoring Service 1.0.2 (CGMS); field layouts in the GATT Specification Supplement.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntFlag
from typing import Self
from zoneinfo import ZoneInfo

from devices import gatt
from devices.drivers.glucose_sample import Fluid, SampleLocation, fluid_and_location, octet_of
from devices.gatt import FrameReader, e2e_crc, uint_bytes, with_e2e_crc
from devices.reading import ClockTrust
from devices.wall_clock import DateTime, at_offset, moment_of

_QUARTER_HOUR = timedelta(minutes=15)
_NO_CRC = 0xFFFF


class Features(IntFlag):
    """What the sensor can do (CGMS 3.2.1.1)."""

    CALIBRATION = 1 << 0
    PATIENT_ALERTS = 1 << 1
    HYPO_ALERTS = 1 << 2
    HYPER_ALERTS = 1 << 3
    RATE_ALERTS = 1 << 4
    DEVICE_SPECIFIC_ALERT = 1 << 5
    MALFUNCTION_DETECTION = 1 << 6
    TEMPERATURE_DETECTION = 1 << 7
    RESULT_RANGE_DETECTION = 1 << 8
    BATTERY_LOW_DETECTION = 1 << 9
    SENSOR_TYPE_DETECTION = 1 << 10
    GENERAL_FAULT = 1 << 11
    E2E_CRC = 1 << 12
    MULTIPLE_BOND = 1 << 13
    MULTIPLE_SESSIONS = 1 << 14
    TREND = 1 << 15
    QUALITY = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CgmFeature:
    """CGM Feature (0x2AA8), CGMS 3.2.

    Attributes:
        features: reserved bits are dropped (3.2.1.1).
        fluid_type: a `Fluid`, 0 to 15 (3.2.1.2).
        sample_location: a `SampleLocation`, 0 to 15 (3.2.1.3).
        trailing: bytes after the CRC.
    """

    features: Features
    fluid_type: int = Fluid.INTERSTITIAL_FLUID
    sample_location: int = SampleLocation.SUBCUTANEOUS_TISSUE
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a feature; its CRC field is always there, and FFFF where CRCs are not supported (3.2.1.4).

        Raises:
            FrameError: cut short, or a wrong CRC: also that of a device which only borrows this number.
        """
        reader = FrameReader(gatt.CGM_FEATURE, frame)
        features = Features(reader.uint(3, "the features") & int(~Features(0)))
        fluid, location = fluid_and_location(reader.uint(1, "the type and sample location"))
        crc = reader.uint(2, "the CRC")
        if Features.E2E_CRC in features and crc != e2e_crc(frame[:4]):
            raise reader.error("wrong E2E-CRC")
        if Features.E2E_CRC not in features and crc != _NO_CRC:
            raise reader.error("an E2E-CRC although none is promised")
        return cls(features=features, fluid_type=fluid, sample_location=location, trailing=reader.rest())

    def __bytes__(self) -> bytes:
        body = uint_bytes(self.features, 3) + uint_bytes(octet_of(self.fluid_type, self.sample_location), 1)
        return (
            with_e2e_crc(body) if Features.E2E_CRC in self.features else body + uint_bytes(_NO_CRC, 2)
        ) + self.trailing


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStart:
    """CGM Session Start Time (0x2AAA), CGMS 3.4.

    Attributes:
        date_time: local date and time of the start; a collector writes the present time instead (3.4.1).
        time_zone: quarter hours ahead of UTC, -48 to 56; None unknown (3.4.1.2).
        dst_offset: quarter hours added for daylight saving, 0 to 8; None unknown (3.4.1.3).
        crc: whether it ends with an E2E-CRC.
        trailing: bytes after the fields.
    """

    date_time: DateTime
    time_zone: int | None = None
    dst_offset: int | None = None
    crc: bool = False
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes, *, crc: bool | None = None) -> Self:
        """Read a session start time; `crc` as in `CgmMeasurement.from_bytes`.

        Raises:
            FrameError: cut short, no CRC although promised, or a wrong one.
        """
        reader = FrameReader(gatt.CGM_SESSION_START_TIME, frame)
        date_time = DateTime.read(reader)
        time_zone = reader.sint(1, "the time zone")
        dst_offset = reader.uint(1, "the daylight saving offset")
        protected = reader.left >= 2 if crc is None else crc
        return cls(
            date_time=date_time,
            time_zone=time_zone if -48 <= time_zone <= 56 else None,
            dst_offset=dst_offset if dst_offset in {0, 2, 4, 8} else None,
            crc=protected,
            trailing=reader.rest_before_crc() if protected else reader.rest(),
        )

    @classmethod
    def of(cls, at_ms: int, zone: ZoneInfo, *, crc: bool = False) -> Self:
        """Return the value for `at_ms` (ms UTC) with the offsets that hold there."""
        local = datetime.fromtimestamp(at_ms // 1000, tz=zone)
        dst, offset = local.dst() or timedelta(), local.utcoffset() or timedelta()
        return cls(
            date_time=DateTime.of(at_ms, zone),
            time_zone=(offset - dst) // _QUARTER_HOUR,
            dst_offset=dst // _QUARTER_HOUR,
            crc=crc,
        )

    def __bytes__(self) -> bytes:
        zone = -128 if self.time_zone is None else self.time_zone
        dst = 255 if self.dst_offset is None else self.dst_offset
        body = bytes(self.date_time) + zone.to_bytes(1, "little", signed=True) + bytes((dst,)) + self.trailing
        return with_e2e_crc(body) if self.crc else body

    def start_ms(self, received_at: int, zone: ZoneInfo) -> int | None:
        """Return ms UTC of the start, by its own offsets or else in the patient's `zone`; None when unknown."""
        if self.time_zone is not None and self.dst_offset is not None:
            return at_offset(self.date_time, (self.time_zone + self.dst_offset) * _QUARTER_HOUR)
        moment = moment_of(self.date_time, received_at, zone)
        return None if moment.clock is ClockTrust.UNKNOWN else moment.measured_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRunTime:
    """CGM Session Run Time (0x2AAB), CGMS 3.5.

    Attributes:
        hours: how long the sensor measures after the session's start, 0 to 65535 (3.5.1).
        crc: whether it ends with an E2E-CRC.
        trailing: bytes after the fields.
    """

    hours: int
    crc: bool = False
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes, *, crc: bool | None = None) -> Self:
        """Read a run time; `crc` as in `CgmMeasurement.from_bytes`.

        Raises:
            FrameError: cut short, no CRC although promised, or a wrong one.
        """
        reader = FrameReader(gatt.CGM_SESSION_RUN_TIME, frame)
        hours = reader.uint(2, "the run time")
        protected = reader.left >= 2 if crc is None else crc
        trailing = reader.rest_before_crc() if protected else reader.rest()
        return cls(hours=hours, crc=protected, trailing=trailing)

    def __bytes__(self) -> bytes:
        body = uint_bytes(self.hours, 2) + self.trailing
        return with_e2e_crc(body) if self.crc else body
