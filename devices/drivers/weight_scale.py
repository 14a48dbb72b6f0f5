"""Weight scales that speak the standard Weight Scale service (0x181D).

Quirks: the resolution goes with the unit (0.005 kg, 0.01 lb), so the number alone says nothing. 0xFFFF means that
the weighing failed. Scales that do not know who stands on them send a body mass index of 0: not measured, so no
Reading. Many disconnect right after their last indication. A scale that also offers Body Composition (0x181B) is
`body_composition`'s, and one that only broadcasts under this service's number is `xiaomi_scale`'s.

Source: Weight Scale Service 1.0.1 (WSS); field layouts in the GATT Specification Supplement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntFlag
from typing import ClassVar, Self

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import FrameContext
from devices.drivers.xiaomi_scale import is_broadcast
from devices.gatt import FrameReader, uint_bytes
from devices.quirks import quirk_of
from devices.radio import Advertisement
from devices.reading import Quantity, Reading, Unit
from devices.store_and_forward import StoreAndForward
from devices.user_data import known_user
from devices.wall_clock import DateTime, moment_of

_UNSUCCESSFUL = 0xFFFF
_WEIGHT_STEP = {Unit.KILOGRAM: Decimal("0.005"), Unit.POUND: Decimal("0.01")}
_HEIGHT_STEP = {Unit.KILOGRAM: Decimal("0.001"), Unit.POUND: Decimal("0.1")}
_BMI_STEP = Decimal("0.1")


class MeasurementFlags(IntFlag):
    """Unit and optional fields (WSS 3.2.1.1); bits 4 to 7 are reserved and ignored."""

    IMPERIAL = 0x01
    TIME_STAMP = 0x02
    USER_ID = 0x04
    BMI_AND_HEIGHT = 0x08


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMeasurement:
    """Weight Measurement (0x2A9D), WSS 3.2.

    Attributes:
        weight: in `unit`, in steps of 0.005 kg or 0.01 lb (3.2.1.2); None when the weighing failed.
        unit: KILOGRAM or POUND (3.2.1.1); it also decides the unit of `height`.
        time_stamp: the scale's wall clock (3.2.1.3); None when absent.
        user_id: 0 to 254, 255 an unknown user (3.2.1.4); None when absent.
        bmi: kg/m2 in steps of 0.1 (3.2.1.5); None when absent.
        height: metres in steps of 0.001, or inches in steps of 0.1 with POUND (3.2.1.6); present with `bmi`.
        trailing: bytes that no flag announces.
    """

    weight: Decimal | None
    unit: Unit = Unit.KILOGRAM
    time_stamp: DateTime | None = None
    user_id: int | None = None
    bmi: Decimal | None = None
    height: Decimal | None = None
    trailing: bytes = b""

    def __post_init__(self) -> None:
        if self.unit not in _WEIGHT_STEP:
            raise ValueError(f"a weight is said in kg or [lb_av], not in {self.unit}")
        if (self.bmi is None) is not (self.height is None):
            raise ValueError("body mass index and height come together or not at all")

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a measurement.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(gatt.WEIGHT_MEASUREMENT, frame)
        flags = MeasurementFlags(reader.uint(1, "the flags") & 0x0F)
        unit = Unit.POUND if MeasurementFlags.IMPERIAL in flags else Unit.KILOGRAM
        weight = reader.uint(2, "the weight")
        time_stamp = DateTime.read(reader) if MeasurementFlags.TIME_STAMP in flags else None
        user_id = reader.uint(1, "the user id") if MeasurementFlags.USER_ID in flags else None
        bmi = height = None
        if MeasurementFlags.BMI_AND_HEIGHT in flags:
            bmi = reader.uint(2, "the body mass index") * _BMI_STEP
            height = reader.uint(2, "the height") * _HEIGHT_STEP[unit]
        return cls(
            weight=None if weight == _UNSUCCESSFUL else weight * _WEIGHT_STEP[unit],
            unit=unit,
            time_stamp=time_stamp,
            user_id=user_id,
            bmi=bmi,
            height=height,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        """Return the frame; weight, index and height are rounded half to even to their steps.

        Raises:
            OverflowError: a value does not fit its field.
        """
        flags = MeasurementFlags.IMPERIAL if self.unit is Unit.POUND else MeasurementFlags(0)
        weight = _UNSUCCESSFUL if self.weight is None else _steps(self.weight, _WEIGHT_STEP[self.unit])
        if self.weight is not None and weight == _UNSUCCESSFUL:
            raise OverflowError(f"{self.weight} {self.unit} would say that the weighing failed")
        tail = b""
        if self.time_stamp is not None:
            flags |= MeasurementFlags.TIME_STAMP
            tail += bytes(self.time_stamp)
        if self.user_id is not None:
            flags |= MeasurementFlags.USER_ID
            tail += uint_bytes(self.user_id, 1)
        if self.bmi is not None and self.height is not None:
            flags |= MeasurementFlags.BMI_AND_HEIGHT
            tail += uint_bytes(_steps(self.bmi, _BMI_STEP), 2)
            tail += uint_bytes(_steps(self.height, _HEIGHT_STEP[self.unit]), 2)
        return bytes((flags,)) + uint_bytes(weight, 2) + tail + self.trailing


def _steps(value: Decimal, step: Decimal) -> int:
    return int((value / step).to_integral_value(rounding=ROUND_HALF_EVEN))


class Features(IntFlag):
    """What the scale can say (WSS 3.1.1.1)."""

    TIME_STAMP = 1 << 0
    MULTIPLE_USERS = 1 << 1
    BMI = 1 << 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightScaleFeature:
    """Weight Scale Feature (0x2A9E), WSS 3.1.

    Attributes:
        features: reserved bits are dropped.
        weight_resolution: 0 unspecified, 1 (0.5 kg or 1 lb) to 7 (0.005 kg or 0.01 lb), others reserved (3.1.1.2).
        height_resolution: 0 unspecified, 1 (1 cm or 1 inch) to 3 (1 mm or 0.1 inch), others reserved (3.1.1.3).
        trailing: bytes after the fourth.
    """

    features: Features
    weight_resolution: int = 0
    height_resolution: int = 0
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a feature.

        Raises:
            FrameError: fewer than four bytes.
        """
        reader = FrameReader(gatt.WEIGHT_SCALE_FEATURE, frame)
        raw = reader.uint(4, "the features")
        return cls(
            features=Features(raw & int(~Features(0))),
            weight_resolution=raw >> 3 & 0x0F,
            height_resolution=raw >> 7 & 0x07,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        raw = self.features | self.weight_resolution << 3 | self.height_resolution << 7
        return uint_bytes(raw, 4) + self.trailing


@dataclass(frozen=True, slots=True)
class WeightScaleDriver(StoreAndForward):
    """Reads a standard scale, which is there for a few seconds after a weighing and then gone."""

    VALUES: ClassVar[Mapping[int, Callable[[bytes], object]]] = {
        gatt.WEIGHT_MEASUREMENT: WeightMeasurement.from_bytes,
        gatt.WEIGHT_SCALE_FEATURE: WeightScaleFeature.from_bytes,
    }

    name: str = "weight_scale"
    service: int = gatt.WEIGHT_SCALE_SERVICE
    measurements: tuple[int, ...] = (gatt.WEIGHT_MEASUREMENT,)

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether the device advertises the service and is no other driver's."""
        if self.service not in advertisement.services or is_broadcast(advertisement):
            return False
        quirk = quirk_of(advertisement)
        if quirk is not None and quirk.drivers:
            return self.name in quirk.drivers
        return gatt.BODY_COMPOSITION_SERVICE not in advertisement.services

    def decode(
        self,
        characteristic: int,
        frame: bytes,
        context: FrameContext,
        *,
        rest: bytes = b"",
    ) -> tuple[Reading, ...]:
        """Return the body weight and, when the scale computed it, the body mass index.

        Raises:
            FrameError: cut short for its flags.
        """
        return readings_of(frame, context)


def readings_of(frame: bytes, context: FrameContext) -> tuple[Reading, ...]:
    """Return the body weight that a Weight Measurement says and, when the scale computed it, the body mass index.

    Raises:
        FrameError: cut short for its flags.
    """
    said = WeightMeasurement.from_bytes(frame)
    moment = moment_of(said.time_stamp, context.received_at, context.zone)
    origin = Origin(
        context=context,
        moment=moment,
        key=dated_key(frame, moment.key_ms),
        frame=frame,
        user=known_user(said.user_id),
    )
    weight = reading_of(Quantity.BODY_WEIGHT, said.weight, said.unit, origin)
    if said.weight is None or not said.bmi:
        return (weight,)
    return (weight, reading_of(Quantity.BMI, said.bmi, Unit.KG_PER_M2, origin))
