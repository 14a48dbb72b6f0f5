"""What a glucose meter tells about the circumstances of a result: meal, exercise, medication and the like.

A context belongs to the measurement with the same sequence number, which it follows. The measurements, and the
driver, are `glucose_meter`. Amounts are shown in the units that people use (g, mg, mL), converted exactly.

Source: Glucose Service 1.0.1, Glucose Measurement Context; field layouts and values in the GATT Specification
Supplement.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, IntFlag, StrEnum
from typing import Final, Self

from devices import gatt
from devices.drivers.glucose_sample import named
from devices.gatt import FrameReader, sfloat_bytes, uint_bytes
from devices.medfloat import MedFloat

EXERCISE_OVERRUN: Final = 0xFFFF
"""The exercise took longer than the field can say."""


class ContextFlags(IntFlag):
    """Which optional fields follow, and the unit of the medication."""

    CARBOHYDRATE = 0x01
    MEAL = 0x02
    TESTER_AND_HEALTH = 0x04
    EXERCISE = 0x08
    MEDICATION = 0x10
    MEDICATION_IN_LITRES = 0x20
    HBA1C = 0x40
    EXTENDED = 0x80


class Carbohydrate(IntEnum):
    """What was eaten or drunk."""

    BREAKFAST = 1
    LUNCH = 2
    DINNER = 3
    SNACK = 4
    DRINK = 5
    SUPPER = 6
    BRUNCH = 7


class Meal(IntEnum):
    """When it was measured."""

    BEFORE_MEAL = 1
    AFTER_MEAL = 2
    FASTING = 3
    CASUAL = 4
    BEDTIME = 5


class Examiner(IntEnum):
    """Who measured."""

    SELF = 1
    HEALTH_CARE_PROFESSIONAL = 2
    LABORATORY = 3
    NOT_AVAILABLE = 15


class Health(IntEnum):
    """How the person was."""

    MINOR_ISSUES = 1
    MAJOR_ISSUES = 2
    DURING_MENSES = 3
    UNDER_STRESS = 4
    NO_ISSUES = 5
    NOT_AVAILABLE = 15


class Medication(IntEnum):
    """What was taken."""

    RAPID_ACTING_INSULIN = 1
    SHORT_ACTING_INSULIN = 2
    INTERMEDIATE_ACTING_INSULIN = 3
    LONG_ACTING_INSULIN = 4
    PREMIXED_INSULIN = 5


class MedicationUnit(StrEnum):
    """How an amount of medication is said."""

    MILLIGRAM = "mg"
    MILLILITRE = "mL"


_TO_GRAM: Final = 3
_TO_SHOWN: Final = {MedicationUnit.MILLIGRAM: 6, MedicationUnit.MILLILITRE: 3}
"""Powers of ten from the kilograms and litres on the air."""


def scaled(value: MedFloat, power: int) -> MedFloat:
    """Return a value times ten to a power, exactly, with its own precision; a special value stays what it is."""
    return value.scaleb(power) if isinstance(value, Decimal) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class GlucoseContext:
    """Glucose Measurement Context (0x2A34).

    Kinds are members of their enums, or another number kept as it came; None when absent.

    Attributes:
        sequence: of the measurement that this belongs to, 0 to 65535.
        extended: a second octet of flags, all reserved; None when absent.
        carbohydrate: a `Carbohydrate`; present with `carbohydrate_g`.
        carbohydrate_g: grams.
        meal: a `Meal`.
        tester: a `Examiner`, 0 to 15; present with `health`.
        health: a `Health`, 0 to 15.
        exercise_s: seconds, `EXERCISE_OVERRUN` for longer ones; present with `exercise_percent`.
        exercise_percent: intensity.
        medication: a `Medication`; present with `medication_amount`.
        medication_amount: in `medication_unit`.
        medication_unit: a flag says it whether or not there is an amount.
        hba1c_percent: glycated haemoglobin.
        trailing: bytes that no flag announces.
    """

    sequence: int
    extended: int | None = None
    carbohydrate: int | None = None
    carbohydrate_g: MedFloat | None = None
    meal: int | None = None
    tester: int | None = None
    health: int | None = None
    exercise_s: int | None = None
    exercise_percent: int | None = None
    medication: int | None = None
    medication_amount: MedFloat | None = None
    medication_unit: MedicationUnit = MedicationUnit.MILLIGRAM
    hba1c_percent: MedFloat | None = None
    trailing: bytes = b""

    def __post_init__(self) -> None:
        pairs: tuple[tuple[object, object], ...] = (
            (self.carbohydrate, self.carbohydrate_g),
            (self.tester, self.health),
            (self.exercise_s, self.exercise_percent),
            (self.medication, self.medication_amount),
        )
        if any((one is None) is not (other is None) for one, other in pairs):
            raise ValueError("carbohydrate, tester and health, exercise, and medication come in pairs or not at all")

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a context.

        Raises:
            FrameError: cut short for its flags.
        """
        reader = FrameReader(gatt.GLUCOSE_MEASUREMENT_CONTEXT, frame)
        flags = ContextFlags(reader.uint(1, "the flags"))
        sequence = reader.uint(2, "the sequence number")
        extended = reader.uint(1, "the extended flags") if ContextFlags.EXTENDED in flags else None
        carbohydrate = carbohydrate_g = tester = health = exercise_s = exercise_percent = None
        if ContextFlags.CARBOHYDRATE in flags:
            carbohydrate = named(Carbohydrate, reader.uint(1, "the kind of carbohydrate"))
            carbohydrate_g = scaled(reader.sfloat("the carbohydrate"), _TO_GRAM)
        meal = named(Meal, reader.uint(1, "the meal")) if ContextFlags.MEAL in flags else None
        if ContextFlags.TESTER_AND_HEALTH in flags:
            nibbles = reader.uint(1, "the tester and health")
            tester, health = named(Examiner, nibbles & 0x0F), named(Health, nibbles >> 4)
        if ContextFlags.EXERCISE in flags:
            exercise_s = reader.uint(2, "the exercise's duration")
            exercise_percent = reader.uint(1, "the exercise's intensity")
        in_litres = ContextFlags.MEDICATION_IN_LITRES in flags
        unit = MedicationUnit.MILLILITRE if in_litres else MedicationUnit.MILLIGRAM
        medication = amount = None
        if ContextFlags.MEDICATION in flags:
            medication = named(Medication, reader.uint(1, "the kind of medication"))
            amount = scaled(reader.sfloat("the medication"), _TO_SHOWN[unit])
        return cls(
            sequence=sequence,
            extended=extended,
            carbohydrate=carbohydrate,
            carbohydrate_g=carbohydrate_g,
            meal=meal,
            tester=tester,
            health=health,
            exercise_s=exercise_s,
            exercise_percent=exercise_percent,
            medication=medication,
            medication_amount=amount,
            medication_unit=unit,
            hba1c_percent=reader.sfloat("the HbA1c") if ContextFlags.HBA1C in flags else None,
            trailing=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        """Return the frame.

        Raises:
            OverflowError: a value does not fit its field.
        """
        flags = ContextFlags(0)
        tail = b""
        if self.extended is not None:
            flags |= ContextFlags.EXTENDED
            tail += uint_bytes(self.extended, 1)
        if self.carbohydrate is not None and self.carbohydrate_g is not None:
            flags |= ContextFlags.CARBOHYDRATE
            tail += uint_bytes(self.carbohydrate, 1) + sfloat_bytes(scaled(self.carbohydrate_g, -_TO_GRAM))
        if self.meal is not None:
            flags |= ContextFlags.MEAL
            tail += uint_bytes(self.meal, 1)
        if self.tester is not None and self.health is not None:
            flags |= ContextFlags.TESTER_AND_HEALTH
            tail += uint_bytes(self.health << 4 | self.tester, 1)
        if self.exercise_s is not None and self.exercise_percent is not None:
            flags |= ContextFlags.EXERCISE
            tail += uint_bytes(self.exercise_s, 2) + uint_bytes(self.exercise_percent, 1)
        if self.medication_unit is MedicationUnit.MILLILITRE:
            flags |= ContextFlags.MEDICATION_IN_LITRES
        if self.medication is not None and self.medication_amount is not None:
            flags |= ContextFlags.MEDICATION
            power = _TO_SHOWN[self.medication_unit]
            tail += uint_bytes(self.medication, 1) + sfloat_bytes(scaled(self.medication_amount, -power))
        if self.hba1c_percent is not None:
            flags |= ContextFlags.HBA1C
            tail += sfloat_bytes(self.hba1c_percent)
        return bytes((flags,)) + uint_bytes(self.sequence, 2) + tail + self.trailing
