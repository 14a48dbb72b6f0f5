"""Blood-glucose meters that speak the standard Glucose service (0x1808).

A meter numbers its results, keeps them, and sends them when asked through the Record Access Control Point; nothing
comes by itself. A result may be followed by its context (`glucose_context`), from which the meal is taken.

Quirks: the numbers begin again after a reset, so a record is known by its number and its base time. The base time
keeps running when a person sets the clock: the time that the meter shows is base time plus offset. Concentrations are
kg/L or mol/L on the air whatever the screen shows. A test of the meter with control solution is nobody's blood. Some
meters refuse to choose among their records: they are asked for all.

Source: Glucose Service 1.0.1 (GLS); field layouts in the GATT Specification Supplement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntFlag
from hashlib import sha256
from typing import Final, Self

from devices import gatt
from devices.conversion import Origin, reading_of
from devices.driver import ClockSetting, FrameContext, Resume, StoredRecords
from devices.drivers.glucose_context import GlucoseContext, Meal, scaled
from devices.drivers.glucose_sample import Fluid, SampleLocation, fluid_and_location, octet_of
from devices.errors import FrameError
from devices.gatt import FrameReader, sfloat_bytes, uint_bytes
from devices.medfloat import MedFloat
from devices.radio import Advertisement
from devices.reading import ClockTrust, Quality, Quantity, Reading, Unit, Validity
from devices.wall_clock import DateTime, Moment, moment_of


class MeasurementFlags(IntFlag):
    """Unit and optional fields; bits 5 to 7 are reserved and ignored."""

    TIME_OFFSET = 0x01
    CONCENTRATION = 0x02
    MOL_PER_LITRE = 0x04
    STATUS = 0x08
    CONTEXT_FOLLOWS = 0x10


class MeterStatus(IntFlag):
    """Sensor Status Annunciation: what the meter says about the test; bits 12 to 15 are reserved and dropped."""

    NONE = 0
    BATTERY_LOW = 1 << 0
    SENSOR_MALFUNCTION = 1 << 1
    SAMPLE_SIZE_INSUFFICIENT = 1 << 2
    STRIP_INSERTION_ERROR = 1 << 3
    STRIP_TYPE_INCORRECT = 1 << 4
    ABOVE_DEVICE_RANGE = 1 << 5
    BELOW_DEVICE_RANGE = 1 << 6
    TEMPERATURE_TOO_HIGH = 1 << 7
    TEMPERATURE_TOO_LOW = 1 << 8
    READ_INTERRUPTED = 1 << 9
    GENERAL_FAULT = 1 << 10
    TIME_FAULT = 1 << 11


_FAULT = MeterStatus.SENSOR_MALFUNCTION | MeterStatus.GENERAL_FAULT
_STRIP = (
    MeterStatus.SAMPLE_SIZE_INSUFFICIENT
    | MeterStatus.STRIP_INSERTION_ERROR
    | MeterStatus.STRIP_TYPE_INCORRECT
    | MeterStatus.READ_INTERRUPTED
)
_NO_RESULT = _FAULT | _STRIP | MeterStatus.TEMPERATURE_TOO_HIGH | MeterStatus.TEMPERATURE_TOO_LOW
_QUALITIES: Final = (
    (MeterStatus.BATTERY_LOW, Quality.BATTERY_LOW),
    (_FAULT, Quality.SENSOR_FAULT),
    (_STRIP, Quality.STRIP_FAULT),
)
_MEALS: Final = {
    Meal.FASTING: Quality.FASTING,
    Meal.BEFORE_MEAL: Quality.BEFORE_MEAL,
    Meal.AFTER_MEAL: Quality.AFTER_MEAL,
}
_TO_SHOWN: Final = {Unit.MG_PER_DL: 5, Unit.MMOL_PER_L: 3}
"""Powers of ten from the kg/L and mol/L on the air."""
_BEYOND: Final = frozenset({0x7FFF, -0x8000})
"""Time offsets that mean more than the field can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GlucoseMeasurement:
    """Glucose Measurement (0x2A18).

    Attributes:
        sequence: number of the record, 0 to 65535.
        base_time: the meter's clock, as it was before anybody set it.
        time_offset: minutes that the time shown was ahead of the base time, -32767 to 32766; 32767 and -32768 mean
            more than that; None when absent.
        concentration: in `unit`; None when absent.
        unit: MG_PER_DL (kg/L on the air) or MMOL_PER_L (mol/L); a flag says it whether or not there is a value.
        fluid: a `Fluid`, 0 to 15; 0 without a concentration.
        location: a `SampleLocation`, 0 to 15; 0 without a concentration.
        status: what the meter says about the test; None when absent.
        context_follows: whether a Glucose Measurement Context comes next.
        trailing: bytes that no flag announces.
    """

    sequence: int
    base_time: DateTime
    time_offset: int | None = None
    concentration: MedFloat | None = None
    unit: Unit = Unit.MG_PER_DL
    fluid: int = 0
    location: int = 0
    status: MeterStatus | None = None
    context_follows: bool = False
    trailing: bytes = b""

    def __post_init__(self) -> None:
        if self.unit not in _TO_SHOWN:
            raise ValueError(f"a meter says mg/dL or mmol/L, not {self.unit}")
        if self.concentration is None and (self.fluid or self.location):
            raise ValueError("fluid and sample location come with a concentration")

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a measurement.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(gatt.GLUCOSE_MEASUREMENT, frame)
        flags = MeasurementFlags(reader.uint(1, "the flags") & 0x1F)
        unit = Unit.MMOL_PER_L if MeasurementFlags.MOL_PER_LITRE in flags else Unit.MG_PER_DL
        sequence = reader.uint(2, "the sequence number")
        base_time = DateTime.read(reader)
        offset = reader.sint(2, "the time offset") if MeasurementFlags.TIME_OFFSET in flags else None
        concentration, fluid, location = None, 0, 0
        if MeasurementFlags.CONCENTRATION in flags:
            concentration = scaled(reader.sfloat("the concentration"), _TO_SHOWN[unit])
            fluid, location = fluid_and_location(reader.uint(1, "the type and sample location"))
        status = None
        if MeasurementFlags.STATUS in flags:
            status = MeterStatus(reader.uint(2, "the status annunciation") & int(~MeterStatus(0)))
        return cls(
            sequence=sequence,
            base_time=base_time,
            time_offset=offset,
            concentration=concentration,
            unit=unit,
            fluid=fluid,
            location=location,
            status=status,
            context_follows=MeasurementFlags.CONTEXT_FOLLOWS in flags,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        """Return the frame.

        Raises:
            OverflowError: a value does not fit its field.
        """
        flags = MeasurementFlags.CONTEXT_FOLLOWS if self.context_follows else MeasurementFlags(0)
        if self.unit is Unit.MMOL_PER_L:
            flags |= MeasurementFlags.MOL_PER_LITRE
        tail = b""
        if self.time_offset is not None:
            flags |= MeasurementFlags.TIME_OFFSET
            tail += self.time_offset.to_bytes(2, "little", signed=True)
        if self.concentration is not None:
            flags |= MeasurementFlags.CONCENTRATION
            tail += sfloat_bytes(scaled(self.concentration, -_TO_SHOWN[self.unit]))
            tail += uint_bytes(octet_of(self.fluid, self.location), 1)
        if self.status is not None:
            flags |= MeasurementFlags.STATUS
            tail += uint_bytes(self.status, 2)
        return bytes((flags,)) + uint_bytes(self.sequence, 2) + bytes(self.base_time) + tail + self.trailing

    @property
    def is_control(self) -> bool:
        """Whether the meter was tested, and not a person."""
        return self.fluid == Fluid.CONTROL_SOLUTION or self.location == SampleLocation.CONTROL_SOLUTION

    @property
    def shown_time(self) -> DateTime | None:
        """What the meter showed, base time plus offset; None when that is no date or more than can be said."""
        if self.time_offset is None:
            return self.base_time
        local = self.base_time.local
        if local is None or self.time_offset in _BEYOND:
            return None
        try:
            local += timedelta(minutes=self.time_offset)
        except OverflowError:
            return None
        return DateTime(
            year=local.year,
            month=local.month,
            day=local.day,
            hours=local.hour,
            minutes=local.minute,
            seconds=local.second,
        )


class Features(IntFlag):
    """What the meter can detect; bits 11 to 15 are reserved."""

    BATTERY_LOW = 1 << 0
    SENSOR_MALFUNCTION = 1 << 1
    SAMPLE_SIZE = 1 << 2
    STRIP_INSERTION_ERROR = 1 << 3
    STRIP_TYPE_ERROR = 1 << 4
    RESULT_RANGE = 1 << 5
    TEMPERATURE = 1 << 6
    READ_INTERRUPT = 1 << 7
    GENERAL_FAULT = 1 << 8
    TIME_FAULT = 1 << 9
    MULTIPLE_BONDS = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class GlucoseFeature:
    """Glucose Feature (0x2A51).

    Attributes:
        features: reserved bits are dropped.
        trailing: bytes after the second.
    """

    features: Features
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a feature.

        Raises:
            FrameError: fewer than two bytes.
        """
        reader = FrameReader(gatt.GLUCOSE_FEATURE, frame)
        return cls(features=Features(reader.uint(2, "the features") & int(~Features(0))), trailing=reader.rest())

    def __bytes__(self) -> bytes:
        return uint_bytes(self.features, 2) + self.trailing


_VALUES: Final[dict[int, Callable[[bytes], object]]] = {
    gatt.GLUCOSE_MEASUREMENT: GlucoseMeasurement.from_bytes,
    gatt.GLUCOSE_MEASUREMENT_CONTEXT: GlucoseContext.from_bytes,
    gatt.GLUCOSE_FEATURE: GlucoseFeature.from_bytes,
}


@dataclass(frozen=True, slots=True)
class GlucoseMeterDriver:
    """Reads a standard blood-glucose meter: what it stored since the last record, each with its context."""

    name: str = "glucose_meter"
    service: int = gatt.GLUCOSE_SERVICE
    measurements: tuple[int, ...] = (gatt.GLUCOSE_MEASUREMENT, gatt.GLUCOSE_MEASUREMENT_CONTEXT)
    stored_records: StoredRecords = StoredRecords.REQUIRED
    always_on: bool = False
    described_by: tuple[int, ...] = ()
    clock_setting: ClockSetting = ClockSetting.CURRENT_TIME

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether the device advertises the Glucose service."""
        return self.service in advertisement.services

    def describe(self, values: Mapping[int, bytes], context: FrameContext) -> FrameContext:
        """Return the context as it is."""
        return context

    def first_writes(self, context: FrameContext) -> tuple[tuple[int, bytes], ...]:
        """Return nothing: the meter dates by its own clock."""
        return ()

    def sequence(self, reading: Reading, context: FrameContext) -> int | None:
        """Return the record's number."""
        return self.resume_after(reading.key).sequence

    def resume_after(self, key: str) -> Resume:
        """Return the number in the key, and the key; from the beginning when it has none."""
        number, _, _ = key.partition(":")
        return Resume(sequence=int(number), key=key) if number.isdecimal() else Resume()

    @property
    def reads(self) -> tuple[int, ...]:
        """The measurement, its context and the feature."""
        return tuple(_VALUES)

    def value(self, characteristic: int, frame: bytes, context: FrameContext) -> object:
        """Return the value class of a characteristic.

        Raises:
            FrameError: cut short.
        """
        return _VALUES[characteristic](frame)

    def awaits(self, characteristic: int, frame: bytes) -> int | None:
        """Return the context's characteristic for a measurement that announces one."""
        if characteristic != gatt.GLUCOSE_MEASUREMENT:
            return None
        try:
            said = GlucoseMeasurement.from_bytes(frame)
        except FrameError:
            return None
        return gatt.GLUCOSE_MEASUREMENT_CONTEXT if said.context_follows else None

    def decode(
        self,
        characteristic: int,
        frame: bytes,
        context: FrameContext,
        *,
        rest: bytes = b"",
    ) -> tuple[Reading, ...]:
        """Return the glucose of a measurement; nothing for a context that came without its measurement.

        Raises:
            FrameError: cut short for its flags. A context that cannot be read is left out: the result is worth more.
        """
        if characteristic == gatt.GLUCOSE_MEASUREMENT_CONTEXT:
            GlucoseContext.from_bytes(frame)
            return ()
        said = GlucoseMeasurement.from_bytes(frame)
        circumstances = _context_of(said, rest)
        quality = _quality_of(said)
        if circumstances is not None and circumstances.meal in _MEALS:
            quality |= _MEALS[Meal(circumstances.meal)]
        origin = Origin(
            context=context,
            moment=_moment_of(said, context),
            key=_key_of(said, frame),
            frame=frame if circumstances is None else frame + rest,
            site=_site_of(said),
        )
        return (
            reading_of(
                Quantity.GLUCOSE_CAPILLARY,
                said.concentration,
                said.unit,
                origin,
                validity=_validity_of(said),
                quality=quality,
            ),
        )


def _context_of(said: GlucoseMeasurement, rest: bytes) -> GlucoseContext | None:
    """Return the context when it can be read and belongs to this measurement."""
    if not rest:
        return None
    try:
        circumstances = GlucoseContext.from_bytes(rest)
    except FrameError:
        return None
    return circumstances if circumstances.sequence == said.sequence else None


def _validity_of(said: GlucoseMeasurement) -> Validity:
    status = said.status or MeterStatus.NONE
    if said.is_control or status & _NO_RESULT:
        return Validity.INVALID
    if MeterStatus.ABOVE_DEVICE_RANGE in status:
        return Validity.OVERFLOW
    return Validity.UNDERFLOW if MeterStatus.BELOW_DEVICE_RANGE in status else Validity.VALID


def _quality_of(said: GlucoseMeasurement) -> Quality:
    quality = Quality.CONTROL_SOLUTION if said.is_control else Quality.NONE
    for flags, meaning in _QUALITIES:
        if flags & (said.status or MeterStatus.NONE):
            quality |= meaning
    return quality


def _site_of(said: GlucoseMeasurement) -> str | None:
    if isinstance(said.location, SampleLocation) and said.location is not SampleLocation.NOT_AVAILABLE:
        return said.location.name.lower().replace("_", " ")
    return None


def _moment_of(said: GlucoseMeasurement, context: FrameContext) -> Moment:
    shown = said.shown_time
    moment = moment_of(shown, context.received_at, context.zone)
    if shown is None:
        return replace(moment, claimed=str(said.base_time))
    if MeterStatus.TIME_FAULT in (said.status or MeterStatus.NONE):
        return replace(moment, measured_at=context.received_at, clock=ClockTrust.UNKNOWN, quality=Quality.NONE)
    return moment


def _key_of(said: GlucoseMeasurement, frame: bytes) -> str:
    """Return number and base time; the number has five digits, so that keys sort as the records do."""
    key = f"{said.sequence:05d}:{said.base_time}"
    if said.base_time.local is None:
        # After two resets of a meter without a date, number and base time would name two results.
        key += f":{sha256(frame).hexdigest()[:16]}"
    return key
