"""Pulse oximeters that speak the standard Pulse Oximeter service (0x1822).

A spot-check (0x2A5E) is one measurement that the oximeter has settled on; continuous values (0x2A5F) come about once a
second while a finger is in it. Both give SpO2, the pulse rate and, when it was sent, the pulse amplitude index as a
perfusion index, sharing a record key. The oximeter's normal averaging is taken; its fast and slow ones are shown by
`veilleur decode`. How many of the continuous values are kept is `devices.thinning`'s to say.

- A continuous value has no date and is not kept by the oximeter, so it is of the moment at which it arrives.
- A spot-check is dated by the oximeter's clock, unless that was never set. A stored one without a date is known by its
  bytes alone: it comes again at every connection, and is the same record then.

Quirks: this service's record access knows all records only, no choice among them. What the oximeter says about a bad
signal is in `pulse_oximeter_status`.

Source: Pulse Oximeter Service 1.0.1 (PLXS); field layouts in the GATT Specification Supplement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import ClassVar, Self

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import FrameContext, StoredRecords
from devices.drivers.pulse_oximeter_status import MeasurementStatus, SensorStatus, remarks_of
from devices.gatt import FrameReader, sfloat_bytes, uint_bytes
from devices.medfloat import MedFloat
from devices.reading import ClockTrust, Quality, Quantity, Reading, Unit
from devices.store_and_forward import StoreAndForward
from devices.wall_clock import DateTime, Moment, moment_of


class SpotCheckFlags(IntFlag):
    """Optional fields of a spot-check; bits 5 to 7 are reserved and ignored."""

    TIME_STAMP = 0x01
    MEASUREMENT_STATUS = 0x02
    SENSOR_STATUS = 0x04
    PULSE_AMPLITUDE_INDEX = 0x08
    CLOCK_NOT_SET = 0x10


class ContinuousFlags(IntFlag):
    """Optional fields of a continuous value; bits 5 to 7 are reserved and ignored."""

    FAST = 0x01
    SLOW = 0x02
    MEASUREMENT_STATUS = 0x04
    SENSOR_STATUS = 0x08
    PULSE_AMPLITUDE_INDEX = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class SpO2PR:
    """Saturation and pulse rate of one averaging.

    Attributes:
        spo2: percent.
        pulse_rate: beats a minute.
    """

    spo2: MedFloat
    pulse_rate: MedFloat

    @classmethod
    def read(cls, reader: FrameReader, averaging: str) -> Self:
        """Take four bytes.

        Raises:
            FrameError: fewer are left.
        """
        return cls(
            spo2=reader.sfloat(f"the {averaging} saturation"), pulse_rate=reader.sfloat(f"the {averaging} pulse rate")
        )

    def __bytes__(self) -> bytes:
        return sfloat_bytes(self.spo2) + sfloat_bytes(self.pulse_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotCheck:
    """PLX Spot-Check Measurement (0x2A5E).

    Attributes:
        normal: saturation and pulse rate.
        time_stamp: the oximeter's wall clock; None when absent.
        clock_set: whether that clock was ever set.
        measurement_status: None when absent.
        sensor_status: None when absent.
        pulse_amplitude_index: percent; None when absent.
        trailing: bytes that no flag announces.
    """

    normal: SpO2PR
    time_stamp: DateTime | None = None
    clock_set: bool = True
    measurement_status: MeasurementStatus | None = None
    sensor_status: SensorStatus | None = None
    pulse_amplitude_index: MedFloat | None = None
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a spot-check.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(gatt.PLX_SPOT_CHECK_MEASUREMENT, frame)
        flags = SpotCheckFlags(reader.uint(1, "the flags") & 0x1F)
        return cls(
            normal=SpO2PR.read(reader, "normal"),
            time_stamp=DateTime.read(reader) if SpotCheckFlags.TIME_STAMP in flags else None,
            clock_set=SpotCheckFlags.CLOCK_NOT_SET not in flags,
            measurement_status=_measurement_status(reader) if SpotCheckFlags.MEASUREMENT_STATUS in flags else None,
            sensor_status=_sensor_status(reader) if SpotCheckFlags.SENSOR_STATUS in flags else None,
            pulse_amplitude_index=reader.sfloat("the pulse amplitude index")
            if SpotCheckFlags.PULSE_AMPLITUDE_INDEX in flags
            else None,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        flags = SpotCheckFlags(0) if self.clock_set else SpotCheckFlags.CLOCK_NOT_SET
        tail = b""
        if self.time_stamp is not None:
            flags |= SpotCheckFlags.TIME_STAMP
            tail += bytes(self.time_stamp)
        if self.measurement_status is not None:
            flags |= SpotCheckFlags.MEASUREMENT_STATUS
            tail += uint_bytes(self.measurement_status, 2)
        if self.sensor_status is not None:
            flags |= SpotCheckFlags.SENSOR_STATUS
            tail += uint_bytes(self.sensor_status, 3)
        if self.pulse_amplitude_index is not None:
            flags |= SpotCheckFlags.PULSE_AMPLITUDE_INDEX
            tail += sfloat_bytes(self.pulse_amplitude_index)
        return bytes((flags,)) + bytes(self.normal) + tail + self.trailing


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuous:
    """PLX Continuous Measurement (0x2A5F).

    Attributes:
        normal: saturation and pulse rate as the oximeter shows them.
        fast: those of a shorter averaging; None when absent.
        slow: those of a longer averaging; None when absent.
        measurement_status: None when absent.
        sensor_status: None when absent.
        pulse_amplitude_index: percent; None when absent.
        trailing: bytes that no flag announces.
    """

    normal: SpO2PR
    fast: SpO2PR | None = None
    slow: SpO2PR | None = None
    measurement_status: MeasurementStatus | None = None
    sensor_status: SensorStatus | None = None
    pulse_amplitude_index: MedFloat | None = None
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a continuous value.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(gatt.PLX_CONTINUOUS_MEASUREMENT, frame)
        flags = ContinuousFlags(reader.uint(1, "the flags") & 0x1F)
        return cls(
            normal=SpO2PR.read(reader, "normal"),
            fast=SpO2PR.read(reader, "fast") if ContinuousFlags.FAST in flags else None,
            slow=SpO2PR.read(reader, "slow") if ContinuousFlags.SLOW in flags else None,
            measurement_status=_measurement_status(reader) if ContinuousFlags.MEASUREMENT_STATUS in flags else None,
            sensor_status=_sensor_status(reader) if ContinuousFlags.SENSOR_STATUS in flags else None,
            pulse_amplitude_index=reader.sfloat("the pulse amplitude index")
            if ContinuousFlags.PULSE_AMPLITUDE_INDEX in flags
            else None,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        flags = ContinuousFlags(0)
        tail = b""
        for flag, averaging in ((ContinuousFlags.FAST, self.fast), (ContinuousFlags.SLOW, self.slow)):
            if averaging is not None:
                flags |= flag
                tail += bytes(averaging)
        if self.measurement_status is not None:
            flags |= ContinuousFlags.MEASUREMENT_STATUS
            tail += uint_bytes(self.measurement_status, 2)
        if self.sensor_status is not None:
            flags |= ContinuousFlags.SENSOR_STATUS
            tail += uint_bytes(self.sensor_status, 3)
        if self.pulse_amplitude_index is not None:
            flags |= ContinuousFlags.PULSE_AMPLITUDE_INDEX
            tail += sfloat_bytes(self.pulse_amplitude_index)
        return bytes((flags,)) + bytes(self.normal) + tail + self.trailing


class Features(IntFlag):
    """What an oximeter can do; bits 8 to 15 are reserved and dropped."""

    MEASUREMENT_STATUS = 1 << 0
    SENSOR_STATUS = 1 << 1
    STORAGE = 1 << 2
    TIME_STAMP = 1 << 3
    FAST = 1 << 4
    SLOW = 1 << 5
    PULSE_AMPLITUDE_INDEX = 1 << 6
    MULTIPLE_BONDS = 1 << 7


@dataclass(frozen=True, slots=True, kw_only=True)
class PlxFeatures:
    """PLX Features (0x2A60).

    Attributes:
        features: which fields it sends and whether it stores spot-checks.
        measurement_status: the statuses that it can tell; present exactly with the feature.
        sensor_status: the statuses that it can tell; present exactly with the feature.
        trailing: bytes after the last field.
    """

    features: Features
    measurement_status: MeasurementStatus | None = None
    sensor_status: SensorStatus | None = None
    trailing: bytes = b""

    def __post_init__(self) -> None:
        if (self.measurement_status is not None) is not (Features.MEASUREMENT_STATUS in self.features):
            raise ValueError("the measurement statuses come exactly with their feature")
        if (self.sensor_status is not None) is not (Features.SENSOR_STATUS in self.features):
            raise ValueError("the sensor statuses come exactly with their feature")

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read the features.

        Raises:
            FrameError: cut short for what they announce.
        """
        reader = FrameReader(gatt.PLX_FEATURES, frame)
        features = Features(reader.uint(2, "the features") & 0xFF)
        return cls(
            features=features,
            measurement_status=_measurement_status(reader) if Features.MEASUREMENT_STATUS in features else None,
            sensor_status=_sensor_status(reader) if Features.SENSOR_STATUS in features else None,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        frame = uint_bytes(self.features, 2)
        if self.measurement_status is not None:
            frame += uint_bytes(self.measurement_status, 2)
        if self.sensor_status is not None:
            frame += uint_bytes(self.sensor_status, 3)
        return frame + self.trailing


def _measurement_status(reader: FrameReader) -> MeasurementStatus:
    return MeasurementStatus(reader.uint(2, "the measurement status") & 0xFFE0)


def _sensor_status(reader: FrameReader) -> SensorStatus:
    return SensorStatus(reader.uint(3, "the device and sensor status") & 0xFFFF)


@dataclass(frozen=True, slots=True)
class PulseOximeterDriver(StoreAndForward):
    """Reads a standard pulse oximeter: what it stored, what it sends when a finger leaves, what it sends meanwhile."""

    VALUES: ClassVar[Mapping[int, Callable[[bytes], object]]] = {
        gatt.PLX_SPOT_CHECK_MEASUREMENT: SpotCheck.from_bytes,
        gatt.PLX_CONTINUOUS_MEASUREMENT: Continuous.from_bytes,
        gatt.PLX_FEATURES: PlxFeatures.from_bytes,
    }

    name: str = "pulse_oximeter"
    service: int = gatt.PULSE_OXIMETER_SERVICE
    measurements: tuple[int, ...] = (gatt.PLX_SPOT_CHECK_MEASUREMENT, gatt.PLX_CONTINUOUS_MEASUREMENT)
    stored_records: StoredRecords = StoredRecords.WHERE_OFFERED

    def decode(
        self, characteristic: int, frame: bytes, context: FrameContext, *, rest: bytes = b""
    ) -> tuple[Reading, ...]:
        """Return SpO2, pulse rate and, when it was sent, perfusion index.

        Raises:
            FrameError: cut short for its flags.
        """
        said: SpotCheck | Continuous
        if characteristic == gatt.PLX_CONTINUOUS_MEASUREMENT:
            said = Continuous.from_bytes(frame)
            now = context.received_at
            moment = Moment(measured_at=now, clock=ClockTrust.TRUSTED, key_ms=now)
        else:
            said = SpotCheck.from_bytes(frame)
            moment = _moment_of(said, context)
        return _readings(said, Origin(context=context, moment=moment, key=dated_key(frame, moment.key_ms), frame=frame))


def _moment_of(said: SpotCheck, context: FrameContext) -> Moment:
    moment = moment_of(said.time_stamp, context.received_at, context.zone)
    if not said.clock_set:
        # A clock that runs from a wrong beginning still dates a record the same whenever it comes again.
        now = context.received_at
        moment = replace(moment, measured_at=now, clock=ClockTrust.UNKNOWN, quality=Quality.NONE)
    stored = said.measurement_status is not None and MeasurementStatus.FROM_STORAGE in said.measurement_status
    if stored and (said.time_stamp is None or said.time_stamp.local is None):
        moment = replace(moment, key_ms=0)
    return moment


def _readings(said: SpotCheck | Continuous, origin: Origin) -> tuple[Reading, ...]:
    ended = isinstance(said, SpotCheck)
    validity, quality = remarks_of(said.measurement_status, said.sensor_status, ended=ended)
    values = [
        (Quantity.SPO2, said.normal.spo2, Unit.PERCENT),
        (Quantity.PULSE_RATE, said.normal.pulse_rate, Unit.PER_MINUTE),
    ]
    if said.pulse_amplitude_index is not None:
        values.append((Quantity.PERFUSION_INDEX, said.pulse_amplitude_index, Unit.PERCENT))
    return tuple(
        reading_of(quantity, value, unit, origin, validity=validity, quality=quality)
        for quantity, value, unit in values
    )
