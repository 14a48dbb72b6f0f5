"""Blood-pressure monitors that speak the standard Blood Pressure service (0x1810).

One measurement gives up to four Readings that share a record key: systolic, diastolic, mean and pulse rate. What
the monitor says about the measurement (movement, cuff, position) makes all of them questionable.

Quirks: monitors that do not compute a mean send NaN there. Most send what was not sent before as soon as
indications are enabled, then disconnect. A failed measurement is NaN in all three pressures. The intermediate cuff
pressure (0x2A36) is that of a cuff still filling, nobody's blood pressure: it is decoded and never listened to.

Source: Blood Pressure Service 1.1.1 (BLS); field layouts in the GATT Specification Supplement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import ClassVar, Final, Self

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import FrameContext
from devices.gatt import FrameReader, sfloat_bytes, uint_bytes
from devices.medfloat import MedFloat, Special
from devices.reading import Quality, Quantity, Reading, Unit, Validity
from devices.store_and_forward import StoreAndForward
from devices.wall_clock import DateTime, moment_of


class MeasurementFlags(IntFlag):
    """Unit and optional fields (BLS 3.1.1.1); bits 5 to 7 are reserved and ignored."""

    KILOPASCAL = 0x01
    TIME_STAMP = 0x02
    PULSE_RATE = 0x04
    USER_ID = 0x08
    STATUS = 0x10


class MeasurementStatus(IntFlag):
    """How the measurement was taken (BLS 3.1.1.6); bits 6 to 15 are reserved and dropped."""

    NONE = 0
    BODY_MOVEMENT = 1 << 0
    CUFF_TOO_LOOSE = 1 << 1
    IRREGULAR_PULSE = 1 << 2
    PULSE_ABOVE_RANGE = 1 << 3
    PULSE_BELOW_RANGE = 1 << 4
    IMPROPER_POSITION = 1 << 5


_UNKNOWN_USER: Final = 255

_DOUBTFUL = MeasurementStatus.BODY_MOVEMENT | MeasurementStatus.CUFF_TOO_LOOSE | MeasurementStatus.IMPROPER_POSITION

_QUALITIES = (
    (MeasurementStatus.BODY_MOVEMENT, Quality.BODY_MOVEMENT),
    (MeasurementStatus.CUFF_TOO_LOOSE, Quality.CUFF_TOO_LOOSE),
    (MeasurementStatus.IRREGULAR_PULSE, Quality.IRREGULAR_PULSE),
    (MeasurementStatus.PULSE_ABOVE_RANGE, Quality.PULSE_OUT_OF_RANGE),
    (MeasurementStatus.PULSE_BELOW_RANGE, Quality.PULSE_OUT_OF_RANGE),
    (MeasurementStatus.IMPROPER_POSITION, Quality.IMPROPER_POSITION),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BloodPressureMeasurement:
    """Blood Pressure Measurement (0x2A35), BLS 3.1.

    Attributes:
        systolic: in `unit` (3.1.1.2).
        diastolic: in `unit`.
        mean: mean arterial pressure in `unit`.
        unit: MM_HG or K_PA (3.1.1.1).
        time_stamp: the monitor's wall clock (3.1.1.3); None when absent.
        pulse_rate: beats a minute (3.1.1.4); None when absent.
        user_id: 0 to 254, 255 an unknown user (3.1.1.5); None when absent.
        status: how it was taken (3.1.1.6); None when absent.
        trailing: bytes that no flag announces.
    """

    systolic: MedFloat
    diastolic: MedFloat
    mean: MedFloat
    unit: Unit = Unit.MM_HG
    time_stamp: DateTime | None = None
    pulse_rate: MedFloat | None = None
    user_id: int | None = None
    status: MeasurementStatus | None = None
    trailing: bytes = b""

    def __post_init__(self) -> None:
        if self.unit not in (Unit.MM_HG, Unit.K_PA):
            raise ValueError(f"a blood pressure is said in mm[Hg] or kPa, not in {self.unit}")

    @classmethod
    def from_bytes(cls, frame: bytes, *, characteristic: int = gatt.BLOOD_PRESSURE_MEASUREMENT) -> Self:
        """Read a measurement.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(characteristic, frame)
        flags = MeasurementFlags(reader.uint(1, "the flags") & 0x1F)
        known_status = int(~MeasurementStatus(0))
        return cls(
            unit=Unit.K_PA if MeasurementFlags.KILOPASCAL in flags else Unit.MM_HG,
            systolic=reader.sfloat("the systolic pressure"),
            diastolic=reader.sfloat("the diastolic pressure"),
            mean=reader.sfloat("the mean pressure"),
            time_stamp=DateTime.read(reader) if MeasurementFlags.TIME_STAMP in flags else None,
            pulse_rate=reader.sfloat("the pulse rate") if MeasurementFlags.PULSE_RATE in flags else None,
            user_id=reader.uint(1, "the user id") if MeasurementFlags.USER_ID in flags else None,
            status=MeasurementStatus(reader.uint(2, "the measurement status") & known_status)
            if MeasurementFlags.STATUS in flags
            else None,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        flags = MeasurementFlags.KILOPASCAL if self.unit is Unit.K_PA else MeasurementFlags(0)
        tail = b""
        if self.time_stamp is not None:
            flags |= MeasurementFlags.TIME_STAMP
            tail += bytes(self.time_stamp)
        if self.pulse_rate is not None:
            flags |= MeasurementFlags.PULSE_RATE
            tail += sfloat_bytes(self.pulse_rate)
        if self.user_id is not None:
            flags |= MeasurementFlags.USER_ID
            tail += uint_bytes(self.user_id, 1)
        if self.status is not None:
            flags |= MeasurementFlags.STATUS
            tail += uint_bytes(self.status, 2)
        pressures = sfloat_bytes(self.systolic) + sfloat_bytes(self.diastolic) + sfloat_bytes(self.mean)
        return bytes((flags,)) + pressures + tail + self.trailing


@dataclass(frozen=True, slots=True, kw_only=True)
class IntermediateCuffPressure:
    """Intermediate Cuff Pressure (0x2A36), BLS 3.2: a measurement's fields, of which only the first pressure counts.

    Attributes:
        cuff_pressure: in `unit`.
        unit: MM_HG or K_PA.
        time_stamp: the monitor's wall clock; None when absent.
        pulse_rate: beats a minute; None when absent.
        user_id: 0 to 254, 255 an unknown user; None when absent.
        status: how it is being taken; None when absent.
        trailing: bytes that no flag announces.
    """

    cuff_pressure: MedFloat
    unit: Unit = Unit.MM_HG
    time_stamp: DateTime | None = None
    pulse_rate: MedFloat | None = None
    user_id: int | None = None
    status: MeasurementStatus | None = None
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a cuff pressure; the two pressures that it has no use for are ignored.

        Raises:
            FrameError: cut short for its flags.
        """
        said = BloodPressureMeasurement.from_bytes(frame, characteristic=gatt.INTERMEDIATE_CUFF_PRESSURE)
        return cls(
            cuff_pressure=said.systolic,
            unit=said.unit,
            time_stamp=said.time_stamp,
            pulse_rate=said.pulse_rate,
            user_id=said.user_id,
            status=said.status,
            trailing=said.trailing,
        )

    def __bytes__(self) -> bytes:
        said = BloodPressureMeasurement(
            systolic=self.cuff_pressure,
            diastolic=Special.NAN,
            mean=Special.NAN,
            unit=self.unit,
            time_stamp=self.time_stamp,
            pulse_rate=self.pulse_rate,
            user_id=self.user_id,
            status=self.status,
            trailing=self.trailing,
        )
        return bytes(said)


class Features(IntFlag):
    """What the monitor can detect (BLS 3.3)."""

    BODY_MOVEMENT = 1 << 0
    CUFF_FIT = 1 << 1
    IRREGULAR_PULSE = 1 << 2
    PULSE_RANGE = 1 << 3
    POSITION = 1 << 4
    MULTIPLE_BONDS = 1 << 5
    E2E_CRC = 1 << 6
    USER_DATA_SERVICE = 1 << 7
    USER_FACING_TIME = 1 << 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BloodPressureFeature:
    """Blood Pressure Feature (0x2A49), BLS 3.3.

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
        reader = FrameReader(gatt.BLOOD_PRESSURE_FEATURE, frame)
        return cls(features=Features(reader.uint(2, "the features") & int(~Features(0))), trailing=reader.rest())

    def __bytes__(self) -> bytes:
        return uint_bytes(self.features, 2) + self.trailing


@dataclass(frozen=True, slots=True)
class BloodPressureDriver(StoreAndForward):
    """Reads a standard blood-pressure monitor, which sends unsent measurements as soon as it is listened to."""

    VALUES: ClassVar[Mapping[int, Callable[[bytes], object]]] = {
        gatt.BLOOD_PRESSURE_MEASUREMENT: BloodPressureMeasurement.from_bytes,
        gatt.INTERMEDIATE_CUFF_PRESSURE: IntermediateCuffPressure.from_bytes,
        gatt.BLOOD_PRESSURE_FEATURE: BloodPressureFeature.from_bytes,
    }

    name: str = "blood_pressure"
    service: int = gatt.BLOOD_PRESSURE_SERVICE
    measurements: tuple[int, ...] = (gatt.BLOOD_PRESSURE_MEASUREMENT,)

    def decode(
        self,
        characteristic: int,
        frame: bytes,
        context: FrameContext,
        *,
        rest: bytes = b"",
    ) -> tuple[Reading, ...]:
        """Return systolic, diastolic, mean and, when it was sent, pulse rate.

        Raises:
            FrameError: cut short for its flags.
        """
        said = BloodPressureMeasurement.from_bytes(frame)
        moment = moment_of(said.time_stamp, context.received_at, context.zone)
        origin = Origin(
            context=context,
            moment=moment,
            key=dated_key(frame, moment.key_ms),
            frame=frame,
            user=None if said.user_id == _UNKNOWN_USER else said.user_id,
        )
        status = said.status or MeasurementStatus.NONE
        validity = Validity.QUESTIONABLE if status & _DOUBTFUL else Validity.VALID
        quality = Quality.NONE
        for flag, meaning in _QUALITIES:
            if flag in status:
                quality |= meaning
        values: list[tuple[Quantity, MedFloat, Unit]] = [
            (Quantity.BLOOD_PRESSURE_SYSTOLIC, said.systolic, said.unit),
            (Quantity.BLOOD_PRESSURE_DIASTOLIC, said.diastolic, said.unit),
            (Quantity.BLOOD_PRESSURE_MEAN, said.mean, said.unit),
        ]
        if said.pulse_rate is not None:
            values.append((Quantity.PULSE_RATE, said.pulse_rate, Unit.PER_MINUTE))
        return tuple(
            reading_of(quantity, value, unit, origin, validity=validity, quality=quality)
            for quantity, value, unit in values
        )
