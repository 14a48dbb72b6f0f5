"""Scales that also measure the composition of a body: Body Composition service (0x181B).

Such a scale mostly offers Weight Scale (0x181D) too and says the weight there; both are listened to.

Quirks:

- A result that does not fit one packet comes in two. The second repeats the flags and the body fat and goes on with
  what was left out, without time or user. A first one alone counts; a second one alone is refused: what it says may
  be of any day and of anybody.
- A measurement without bare feet on the electrodes is said as body fat 0xFFFF, or as zeros in every field: both mean
  "not measured", and nobody has 0 % of fat.
- Many give a result only to who showed its user's consent code (`devices.consent`).
- Some advertise Weight Scale only, such as Beurer's: `devices.quirks` names them.

Source: Body Composition Service 1.0 (BCS), section 3.2.1.2 for the body fat; field layouts, flags and features in the
GATT Specification Supplement, Body Composition Measurement and Body Composition Feature.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntFlag
from typing import ClassVar, Final, Self

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import FrameContext
from devices.drivers import weight_scale
from devices.drivers.xiaomi_scale import is_broadcast
from devices.errors import FrameError
from devices.gatt import FrameReader, uint_bytes
from devices.quirks import quirk_of
from devices.radio import Advertisement
from devices.reading import Quantity, Reading, Unit
from devices.store_and_forward import StoreAndForward
from devices.user_data import known_user
from devices.wall_clock import DateTime, moment_of

_UNSUCCESSFUL: Final = 0xFFFF
_TENTH: Final = Decimal("0.1")
_MASS_STEP: Final = {Unit.KILOGRAM: Decimal("0.005"), Unit.POUND: Decimal("0.01")}
_LENGTH_STEP: Final = {Unit.KILOGRAM: Decimal("0.001"), Unit.POUND: Decimal("0.1")}


class MeasurementFlags(IntFlag):
    """Unit and optional fields, in the order in which the fields follow; bits 13 to 15 are reserved and ignored."""

    IMPERIAL = 1 << 0
    TIME_STAMP = 1 << 1
    USER_ID = 1 << 2
    BASAL_METABOLISM = 1 << 3
    MUSCLE_PERCENTAGE = 1 << 4
    MUSCLE_MASS = 1 << 5
    FAT_FREE_MASS = 1 << 6
    SOFT_LEAN_MASS = 1 << 7
    BODY_WATER_MASS = 1 << 8
    IMPEDANCE = 1 << 9
    WEIGHT = 1 << 10
    HEIGHT = 1 << 11
    MULTIPLE_PACKETS = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyCompositionMeasurement:
    """Body Composition Measurement (0x2A9C).

    Attributes:
        body_fat: percent in steps of 0.1; None when the measurement failed.
        unit: KILOGRAM or POUND, of every mass; it also decides the unit of `height`.
        time_stamp: the scale's wall clock; None when absent, as all that follow.
        user_id: 0 to 254, 255 an unknown user.
        basal_metabolism: kJ a day.
        muscle_percentage: percent in steps of 0.1.
        muscle_mass: in `unit`, in steps of 0.005 kg or 0.01 lb, as the other masses.
        fat_free_mass: in `unit`.
        soft_lean_mass: in `unit`.
        body_water_mass: in `unit`.
        impedance: ohm in steps of 0.1.
        weight: in `unit`.
        height: metres in steps of 0.001, or inches in steps of 0.1 with POUND.
        multiple_packets: whether this is one of the two packets of one result.
        trailing: bytes that no flag announces.
    """

    body_fat: Decimal | None
    unit: Unit = Unit.KILOGRAM
    time_stamp: DateTime | None = None
    user_id: int | None = None
    basal_metabolism: int | None = None
    muscle_percentage: Decimal | None = None
    muscle_mass: Decimal | None = None
    fat_free_mass: Decimal | None = None
    soft_lean_mass: Decimal | None = None
    body_water_mass: Decimal | None = None
    impedance: Decimal | None = None
    weight: Decimal | None = None
    height: Decimal | None = None
    multiple_packets: bool = False
    trailing: bytes = b""

    def __post_init__(self) -> None:
        if self.unit not in _MASS_STEP:
            raise ValueError(f"a mass is said in kg or [lb_av], not in {self.unit}")

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read one packet of a measurement.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(gatt.BODY_COMPOSITION_MEASUREMENT, frame)
        flags = MeasurementFlags(reader.uint(2, "the flags") & 0x1FFF)
        unit = Unit.POUND if MeasurementFlags.IMPERIAL in flags else Unit.KILOGRAM

        def stepped(flag: MeasurementFlags, step: Decimal, field: str) -> Decimal | None:
            return reader.uint(2, field) * step if flag in flags else None

        body_fat = reader.uint(2, "the body fat")
        return cls(
            body_fat=None if body_fat == _UNSUCCESSFUL else body_fat * _TENTH,
            unit=unit,
            time_stamp=DateTime.read(reader) if MeasurementFlags.TIME_STAMP in flags else None,
            user_id=reader.uint(1, "the user id") if MeasurementFlags.USER_ID in flags else None,
            basal_metabolism=reader.uint(2, "the basal metabolism")
            if MeasurementFlags.BASAL_METABOLISM in flags
            else None,
            muscle_percentage=stepped(MeasurementFlags.MUSCLE_PERCENTAGE, _TENTH, "the muscle percentage"),
            muscle_mass=stepped(MeasurementFlags.MUSCLE_MASS, _MASS_STEP[unit], "the muscle mass"),
            fat_free_mass=stepped(MeasurementFlags.FAT_FREE_MASS, _MASS_STEP[unit], "the fat free mass"),
            soft_lean_mass=stepped(MeasurementFlags.SOFT_LEAN_MASS, _MASS_STEP[unit], "the soft lean mass"),
            body_water_mass=stepped(MeasurementFlags.BODY_WATER_MASS, _MASS_STEP[unit], "the body water mass"),
            impedance=stepped(MeasurementFlags.IMPEDANCE, _TENTH, "the impedance"),
            weight=stepped(MeasurementFlags.WEIGHT, _MASS_STEP[unit], "the weight"),
            height=stepped(MeasurementFlags.HEIGHT, _LENGTH_STEP[unit], "the height"),
            multiple_packets=MeasurementFlags.MULTIPLE_PACKETS in flags,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        """Return the packet; values are rounded half to even to their steps.

        Raises:
            OverflowError: a value does not fit its field.
        """
        body_fat = _UNSUCCESSFUL if self.body_fat is None else _steps(self.body_fat, _TENTH)
        if self.body_fat is not None and body_fat == _UNSUCCESSFUL:
            raise OverflowError(f"{self.body_fat} % would say that the measurement failed")
        mass, length = _MASS_STEP[self.unit], _LENGTH_STEP[self.unit]
        stepped = (
            (MeasurementFlags.MUSCLE_PERCENTAGE, self.muscle_percentage, _TENTH),
            (MeasurementFlags.MUSCLE_MASS, self.muscle_mass, mass),
            (MeasurementFlags.FAT_FREE_MASS, self.fat_free_mass, mass),
            (MeasurementFlags.SOFT_LEAN_MASS, self.soft_lean_mass, mass),
            (MeasurementFlags.BODY_WATER_MASS, self.body_water_mass, mass),
            (MeasurementFlags.IMPEDANCE, self.impedance, _TENTH),
            (MeasurementFlags.WEIGHT, self.weight, mass),
            (MeasurementFlags.HEIGHT, self.height, length),
        )
        flags = MeasurementFlags.IMPERIAL if self.unit is Unit.POUND else MeasurementFlags(0)
        if self.multiple_packets:
            flags |= MeasurementFlags.MULTIPLE_PACKETS
        tail = b""
        if self.time_stamp is not None:
            flags |= MeasurementFlags.TIME_STAMP
            tail += bytes(self.time_stamp)
        if self.user_id is not None:
            flags |= MeasurementFlags.USER_ID
            tail += uint_bytes(self.user_id, 1)
        if self.basal_metabolism is not None:
            flags |= MeasurementFlags.BASAL_METABOLISM
            tail += uint_bytes(self.basal_metabolism, 2)
        for flag, value, step in stepped:
            if value is not None:
                flags |= flag
                tail += uint_bytes(_steps(value, step), 2)
        return uint_bytes(flags, 2) + uint_bytes(body_fat, 2) + tail + self.trailing

    @property
    def goes_on(self) -> bool:
        """Whether this is the first of two packets."""
        return self.multiple_packets and not self.completes

    @property
    def completes(self) -> bool:
        """Whether this is the second of two packets, which goes on where the first, of 20 bytes at least, was full."""
        of_the_first = (self.time_stamp, self.user_id, self.basal_metabolism)
        return self.multiple_packets and all(value is None for value in of_the_first)

    def completed_by(self, second: Self) -> Self:
        """Return one result of two packets: what the first does not say is taken from the second."""
        missing = {
            field.name: getattr(second, field.name) for field in fields(self) if getattr(self, field.name) is None
        }
        return replace(self, **missing, trailing=self.trailing + second.trailing)

    @property
    def measured(self) -> bool:
        """Whether the composition of a body was measured: a failed measurement is said as such, or as zero."""
        return bool(self.body_fat)


def _steps(value: Decimal, step: Decimal) -> int:
    return int((value / step).to_integral_value(rounding=ROUND_HALF_EVEN))


class Features(IntFlag):
    """What the scale can say."""

    TIME_STAMP = 1 << 0
    MULTIPLE_USERS = 1 << 1
    BASAL_METABOLISM = 1 << 2
    MUSCLE_PERCENTAGE = 1 << 3
    MUSCLE_MASS = 1 << 4
    FAT_FREE_MASS = 1 << 5
    SOFT_LEAN_MASS = 1 << 6
    BODY_WATER_MASS = 1 << 7
    IMPEDANCE = 1 << 8
    WEIGHT = 1 << 9
    HEIGHT = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyCompositionFeature:
    """Body Composition Feature (0x2A9B).

    Attributes:
        features: reserved bits are dropped.
        mass_resolution: 0 unspecified, 1 (0.5 kg or 1 lb) to 7 (0.005 kg or 0.01 lb), others reserved.
        height_resolution: 0 unspecified, 1 (1 cm or 1 inch) to 3 (1 mm or 0.1 inch), others reserved.
        trailing: bytes after the fourth.
    """

    features: Features
    mass_resolution: int = 0
    height_resolution: int = 0
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a feature.

        Raises:
            FrameError: fewer than four bytes.
        """
        reader = FrameReader(gatt.BODY_COMPOSITION_FEATURE, frame)
        raw = reader.uint(4, "the features")
        return cls(
            features=Features(raw & int(~Features(0))),
            mass_resolution=raw >> 11 & 0x0F,
            height_resolution=raw >> 15 & 0x07,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        raw = self.features | self.mass_resolution << 11 | self.height_resolution << 15
        return uint_bytes(raw, 4) + self.trailing


@dataclass(frozen=True, slots=True)
class BodyCompositionDriver(StoreAndForward):
    """Reads a scale that measures fat, muscle and water besides the weight."""

    VALUES: ClassVar[Mapping[int, Callable[[bytes], object]]] = {
        gatt.BODY_COMPOSITION_MEASUREMENT: BodyCompositionMeasurement.from_bytes,
        gatt.BODY_COMPOSITION_FEATURE: BodyCompositionFeature.from_bytes,
    }

    name: str = "body_composition"
    service: int = gatt.BODY_COMPOSITION_SERVICE
    measurements: tuple[int, ...] = (gatt.BODY_COMPOSITION_MEASUREMENT, gatt.WEIGHT_MEASUREMENT)

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether the device advertises the service, or Weight Scale while it is known to have both."""
        if is_broadcast(advertisement):
            return False
        quirk = quirk_of(advertisement)
        if quirk is not None and quirk.drivers:
            either = {self.service, gatt.WEIGHT_SCALE_SERVICE} & advertisement.services
            return self.name in quirk.drivers and bool(either)
        return self.service in advertisement.services

    def awaits(self, characteristic: int, frame: bytes) -> int | None:
        """Return the composition's number for the first of two packets."""
        if characteristic != gatt.BODY_COMPOSITION_MEASUREMENT:
            return None
        try:
            said = BodyCompositionMeasurement.from_bytes(frame)
        except FrameError:
            return None
        return characteristic if said.goes_on else None

    def decode(
        self,
        characteristic: int,
        frame: bytes,
        context: FrameContext,
        *,
        rest: bytes = b"",
    ) -> tuple[Reading, ...]:
        """Return the body fat and what else was measured; a weight alone is a weight scale's.

        Raises:
            FrameError: cut short for its flags, or the second of two packets without its first.
        """
        if characteristic == gatt.WEIGHT_MEASUREMENT:
            return weight_scale.readings_of(frame, context)
        said = _beginning(frame)
        if not rest:
            return _readings(said, frame, frame, context)
        second = BodyCompositionMeasurement.from_bytes(rest)
        if not said.goes_on or not second.completes:
            # The other half was lost, and this is another result.
            return _readings(said, frame, frame, context) + _readings(_beginning(rest), rest, rest, context)
        if said.unit is not second.unit:
            raise FrameReader(characteristic, rest).error("its two packets speak two units")
        return _readings(said.completed_by(second), frame, frame + rest, context)


def _beginning(frame: bytes) -> BodyCompositionMeasurement:
    """Return what a packet says that is no second one.

    Raises:
        FrameError: cut short, or a second one.
    """
    said = BodyCompositionMeasurement.from_bytes(frame)
    if said.completes:
        raise FrameReader(gatt.BODY_COMPOSITION_MEASUREMENT, frame).error("the second of two packets without its first")
    return said


def _readings(
    said: BodyCompositionMeasurement, first: bytes, whole: bytes, context: FrameContext
) -> tuple[Reading, ...]:
    moment = moment_of(said.time_stamp, context.received_at, context.zone)
    origin = Origin(
        context=context,
        moment=moment,
        # The first packet alone: the same result is the same whether or not its second one came.
        key=dated_key(first, moment.key_ms),
        frame=whole,
        user=known_user(said.user_id),
    )
    readings = [reading_of(Quantity.BODY_FAT, said.body_fat if said.measured else None, Unit.PERCENT, origin)]
    masses = [(Quantity.BODY_WEIGHT, said.weight)]
    if said.measured:
        masses += [(Quantity.MUSCLE_MASS, said.muscle_mass), (Quantity.BODY_WATER_MASS, said.body_water_mass)]
    # Zero is a field that was not measured, all ones one that could not be.
    readings += [reading_of(quantity, _known(mass, said.unit), said.unit, origin) for quantity, mass in masses if mass]
    return tuple(readings)


def _known(mass: Decimal, unit: Unit) -> Decimal | None:
    return None if mass == _UNSUCCESSFUL * _MASS_STEP[unit] else mass
