"""Thermometers that speak the standard Health Thermometer service (0x1809).

One measurement gives one Reading. Where on the body it was taken comes with it when the thermometer says so in the
frame; what it says once for all (0x2A1D) is shown by `veilleur decode` and not carried over.

Quirks: the intermediate temperature (0x2A1E) is the display while the thermometer still measures, so it is decoded and
never listened to. A thermometer without a clock of its own sends no time, or one that was never set.

Source: Health Thermometer Service 1.0 (HTS); field layouts in the GATT Specification Supplement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import partial
from typing import ClassVar, Final, Self

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import FrameContext
from devices.gatt import FrameReader, medfloat32_bytes, uint_bytes
from devices.medfloat import MedFloat
from devices.reading import Quantity, Reading, Unit
from devices.store_and_forward import StoreAndForward
from devices.wall_clock import DateTime, moment_of


class MeasurementFlags(IntFlag):
    """Unit and optional fields of a Temperature Measurement; bits 3 to 7 are reserved and ignored."""

    FAHRENHEIT = 0x01
    TIME_STAMP = 0x02
    TEMPERATURE_TYPE = 0x04


class Site(IntEnum):
    """Where on the body the temperature was taken (GATT Specification Supplement, Temperature Type)."""

    ARMPIT = 1
    BODY = 2
    EAR = 3
    FINGER = 4
    GASTRO_INTESTINAL_TRACT = 5
    MOUTH = 6
    RECTUM = 7
    TOE = 8
    TYMPANUM = 9


_SITES: Final = frozenset(Site)


def _site(number: int) -> Site | None:
    """Return the site that a number stands for; None for a reserved one."""
    return Site(number) if number in _SITES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureMeasurement:
    """Temperature Measurement (0x2A1C), and Intermediate Temperature (0x2A1E), which has the same fields.

    Attributes:
        temperature: in `unit`.
        unit: CELSIUS or FAHRENHEIT.
        time_stamp: the thermometer's wall clock; None when absent.
        temperature_type: number of the site; None when absent.
        trailing: bytes that no flag announces.
    """

    temperature: MedFloat
    unit: Unit = Unit.CELSIUS
    time_stamp: DateTime | None = None
    temperature_type: int | None = None
    trailing: bytes = b""

    def __post_init__(self) -> None:
        if self.unit not in (Unit.CELSIUS, Unit.FAHRENHEIT):
            raise ValueError(f"a temperature is said in Cel or [degF], not in {self.unit}")

    @classmethod
    def from_bytes(cls, frame: bytes, *, characteristic: int = gatt.TEMPERATURE_MEASUREMENT) -> Self:
        """Read a measurement.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(characteristic, frame)
        flags = MeasurementFlags(reader.uint(1, "the flags") & 0x07)
        return cls(
            unit=Unit.FAHRENHEIT if MeasurementFlags.FAHRENHEIT in flags else Unit.CELSIUS,
            temperature=reader.medfloat32("the temperature"),
            time_stamp=DateTime.read(reader) if MeasurementFlags.TIME_STAMP in flags else None,
            temperature_type=reader.uint(1, "the temperature type")
            if MeasurementFlags.TEMPERATURE_TYPE in flags
            else None,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        flags = MeasurementFlags.FAHRENHEIT if self.unit is Unit.FAHRENHEIT else MeasurementFlags(0)
        tail = b""
        if self.time_stamp is not None:
            flags |= MeasurementFlags.TIME_STAMP
            tail += bytes(self.time_stamp)
        if self.temperature_type is not None:
            flags |= MeasurementFlags.TEMPERATURE_TYPE
            tail += uint_bytes(self.temperature_type, 1)
        return bytes((flags,)) + medfloat32_bytes(self.temperature) + tail + self.trailing

    @property
    def site(self) -> str | None:
        """Where it was taken, such as "tympanum"; None when unsaid or reserved."""
        site = None if self.temperature_type is None else _site(self.temperature_type)
        return None if site is None else site.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureType:
    """Temperature Type (0x2A1D): where this thermometer always measures.

    Attributes:
        number: as it came.
        site: what it stands for; None when it is reserved.
        trailing: bytes after the first.
    """

    number: int
    site: Site | None
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a type.

        Raises:
            FrameError: no byte at all.
        """
        reader = FrameReader(gatt.TEMPERATURE_TYPE, frame)
        number = reader.uint(1, "the temperature type")
        return cls(number=number, site=_site(number), trailing=reader.rest())

    def __bytes__(self) -> bytes:
        return uint_bytes(self.number, 1) + self.trailing


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementInterval:
    """Measurement Interval (0x2A21).

    Attributes:
        seconds: from one measurement to the next; 0: no periodic measurement.
        trailing: bytes after the second.
    """

    seconds: int
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read an interval.

        Raises:
            FrameError: fewer than two bytes.
        """
        reader = FrameReader(gatt.MEASUREMENT_INTERVAL, frame)
        return cls(seconds=reader.uint(2, "the interval"), trailing=reader.rest())

    def __bytes__(self) -> bytes:
        return uint_bytes(self.seconds, 2) + self.trailing


@dataclass(frozen=True, slots=True)
class ThermometerDriver(StoreAndForward):
    """Reads a standard thermometer, which sends unsent measurements as soon as it is listened to."""

    VALUES: ClassVar[Mapping[int, Callable[[bytes], object]]] = {
        gatt.TEMPERATURE_MEASUREMENT: TemperatureMeasurement.from_bytes,
        gatt.INTERMEDIATE_TEMPERATURE: partial(
            TemperatureMeasurement.from_bytes, characteristic=gatt.INTERMEDIATE_TEMPERATURE
        ),
        gatt.TEMPERATURE_TYPE: TemperatureType.from_bytes,
        gatt.MEASUREMENT_INTERVAL: MeasurementInterval.from_bytes,
    }

    name: str = "thermometer"
    service: int = gatt.HEALTH_THERMOMETER_SERVICE
    measurements: tuple[int, ...] = (gatt.TEMPERATURE_MEASUREMENT,)

    def decode(
        self, characteristic: int, frame: bytes, context: FrameContext, *, rest: bytes = b""
    ) -> tuple[Reading, ...]:
        """Return the temperature.

        Raises:
            FrameError: cut short for its flags.
        """
        said = TemperatureMeasurement.from_bytes(frame)
        moment = moment_of(said.time_stamp, context.received_at, context.zone)
        key = dated_key(frame, moment.key_ms)
        origin = Origin(context=context, moment=moment, key=key, frame=frame, site=said.site)
        return (reading_of(Quantity.BODY_TEMPERATURE, said.temperature, said.unit, origin),)
