"""Heart-rate straps that speak the standard Heart Rate service (0x180D).

One notification a second or so, without a date: the strap has neither memory nor clock, so a value is of the moment at
which it arrives, which the box's own clock tells. How many of them are kept is `devices.thinning`'s to say.

Quirks: a strap that is not on the skin goes on sending: without contact, or with a rate of 0, there is no heart rate.
RR intervals stay in the frame, shown by `veilleur decode`. An oximeter, a cuff or a scale that tells a heart rate
besides is read as what it is, not as a strap.

Source: Heart Rate Service 1.0 (HRS); field layouts in the GATT Specification Supplement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import ClassVar, Final, Self

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import ClockSetting, FrameContext
from devices.gatt import FrameReader, uint_bytes
from devices.radio import Advertisement
from devices.reading import ClockTrust, Quality, Quantity, Reading, Unit
from devices.store_and_forward import StoreAndForward
from devices.wall_clock import Moment


class MeasurementFlags(IntFlag):
    """Format and optional fields of a Heart Rate Measurement; bits 5 to 7 are reserved and ignored."""

    SIXTEEN_BITS = 0x01
    CONTACT = 0x02
    CONTACT_SUPPORTED = 0x04
    ENERGY_EXPENDED = 0x08
    RR_INTERVALS = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartRateMeasurement:
    """Heart Rate Measurement (0x2A37).

    Attributes:
        heart_rate: beats a minute, 0 to 65535.
        contact: whether the sensor feels the skin; None when it cannot tell.
        energy_expended_kj: since the last reset, 65535 that or more; None when absent.
        rr_intervals_1024: from beat to beat in 1/1024 s, oldest first; None when absent.
        trailing: bytes that no flag announces.
    """

    heart_rate: int
    contact: bool | None = None
    energy_expended_kj: int | None = None
    rr_intervals_1024: tuple[int, ...] | None = None
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a measurement.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(gatt.HEART_RATE_MEASUREMENT, frame)
        flags = MeasurementFlags(reader.uint(1, "the flags") & 0x1F)
        heart_rate = reader.uint(2 if MeasurementFlags.SIXTEEN_BITS in flags else 1, "the heart rate")
        energy = reader.uint(2, "the energy expended") if MeasurementFlags.ENERGY_EXPENDED in flags else None
        intervals = None
        if MeasurementFlags.RR_INTERVALS in flags:
            intervals = tuple(reader.uint(2, "an RR interval") for _ in range(reader.left // 2))
        return cls(
            heart_rate=heart_rate,
            contact=MeasurementFlags.CONTACT in flags if MeasurementFlags.CONTACT_SUPPORTED in flags else None,
            energy_expended_kj=energy,
            rr_intervals_1024=intervals,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        wide = self.heart_rate > 0xFF
        flags = MeasurementFlags.SIXTEEN_BITS if wide else MeasurementFlags(0)
        tail = b""
        if self.contact is not None:
            flags |= MeasurementFlags.CONTACT_SUPPORTED
        if self.contact:
            flags |= MeasurementFlags.CONTACT
        if self.energy_expended_kj is not None:
            flags |= MeasurementFlags.ENERGY_EXPENDED
            tail += uint_bytes(self.energy_expended_kj, 2)
        if self.rr_intervals_1024 is not None:
            flags |= MeasurementFlags.RR_INTERVALS
            tail += b"".join(uint_bytes(interval, 2) for interval in self.rr_intervals_1024)
        return bytes((flags,)) + uint_bytes(self.heart_rate, 2 if wide else 1) + tail + self.trailing


class Location(IntEnum):
    """Where the sensor is worn (GATT Specification Supplement, Body Sensor Location)."""

    OTHER = 0
    CHEST = 1
    WRIST = 2
    FINGER = 3
    HAND = 4
    EAR_LOBE = 5
    FOOT = 6


_LOCATIONS: Final = frozenset(Location)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySensorLocation:
    """Body Sensor Location (0x2A38).

    Attributes:
        number: as it came.
        location: what it stands for; None when it is reserved.
        trailing: bytes after the first.
    """

    number: int
    location: Location | None
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a location.

        Raises:
            FrameError: no byte at all.
        """
        reader = FrameReader(gatt.BODY_SENSOR_LOCATION, frame)
        number = reader.uint(1, "the location")
        location = Location(number) if number in _LOCATIONS else None
        return cls(number=number, location=location, trailing=reader.rest())

    def __bytes__(self) -> bytes:
        return uint_bytes(self.number, 1) + self.trailing


_BESIDES: Final = frozenset(
    {
        gatt.GLUCOSE_SERVICE,
        gatt.HEALTH_THERMOMETER_SERVICE,
        gatt.BLOOD_PRESSURE_SERVICE,
        gatt.BODY_COMPOSITION_SERVICE,
        gatt.WEIGHT_SCALE_SERVICE,
        gatt.CGM_SERVICE,
        gatt.PULSE_OXIMETER_SERVICE,
    }
)
"""Services of devices that may tell a heart rate besides what they are for."""


@dataclass(frozen=True, slots=True)
class HeartRateDriver(StoreAndForward):
    """Reads a standard heart-rate sensor, which sends what it measures while it is worn and keeps nothing."""

    VALUES: ClassVar[Mapping[int, Callable[[bytes], object]]] = {
        gatt.HEART_RATE_MEASUREMENT: HeartRateMeasurement.from_bytes,
        gatt.BODY_SENSOR_LOCATION: BodySensorLocation.from_bytes,
    }

    name: str = "heart_rate"
    service: int = gatt.HEART_RATE_SERVICE
    measurements: tuple[int, ...] = (gatt.HEART_RATE_MEASUREMENT,)
    clock_setting: ClockSetting = ClockSetting.NONE

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether the device advertises the service and none that it would have it for besides."""
        return self.service in advertisement.services and not _BESIDES & advertisement.services

    def decode(
        self, characteristic: int, frame: bytes, context: FrameContext, *, rest: bytes = b""
    ) -> tuple[Reading, ...]:
        """Return the heart rate, INVALID while the sensor is not on the skin or finds no beat.

        Raises:
            FrameError: cut short for its flags.
        """
        said = HeartRateMeasurement.from_bytes(frame)
        now = context.received_at
        moment = Moment(measured_at=now, clock=ClockTrust.TRUSTED, key_ms=now)
        origin = Origin(context=context, moment=moment, key=dated_key(frame, now), frame=frame)
        perceived = said.contact is not False and said.heart_rate > 0
        return (
            reading_of(
                Quantity.HEART_RATE,
                Decimal(said.heart_rate) if perceived else None,
                Unit.PER_MINUTE,
                origin,
                quality=Quality.NONE if perceived else Quality.POOR_SIGNAL,
            ),
        )
