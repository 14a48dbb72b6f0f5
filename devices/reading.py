"""Reading: what a sensor said, in the one form that every other package knows.

Rules of this room:

- A value is an integer count of its quantity's quantum, rounded half to even. `Reading.value` shows it as a
  decimal in the canonical unit (UCUM). No float ever stands for a measured value.
- A unit is a member of `Unit`. An unknown unit is refused, never guessed.
- Time is int64 milliseconds UTC, and says how far it can be trusted.
- A value outside what a living patient can have is kept and sent, but its validity is `INVALID`.

What is not here: who the patient is (the box's assignment says that), and what a value means (alerting).
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntFlag, StrEnum
from fractions import Fraction

from devices.errors import UnitError


class Unit(StrEnum):
    """UCUM units that a device may speak; each canonical unit and those converted to it."""

    MG_PER_DL = "mg/dL"
    MMOL_PER_L = "mmol/L"
    G_PER_L = "g/L"
    MM_HG = "mm[Hg]"
    K_PA = "kPa"
    PER_MINUTE = "/min"
    PERCENT = "%"
    CELSIUS = "Cel"
    FAHRENHEIT = "[degF]"
    KILOGRAM = "kg"
    POUND = "[lb_av]"
    KG_PER_M2 = "kg/m2"
    SCORE = "{score}"
    """Points of an answer, from no complaint upwards; UCUM writes a count without a unit as an annotation."""


class Quantity(StrEnum):
    """What is measured."""

    GLUCOSE_INTERSTITIAL = "glucose_interstitial"
    GLUCOSE_CAPILLARY = "glucose_capillary"
    BLOOD_PRESSURE_SYSTOLIC = "blood_pressure_systolic"
    BLOOD_PRESSURE_DIASTOLIC = "blood_pressure_diastolic"
    BLOOD_PRESSURE_MEAN = "blood_pressure_mean"
    PULSE_RATE = "pulse_rate"
    HEART_RATE = "heart_rate"
    SPO2 = "spo2"
    PERFUSION_INDEX = "perfusion_index"
    BODY_TEMPERATURE = "body_temperature"
    BODY_WEIGHT = "body_weight"
    BMI = "bmi"
    BODY_FAT = "body_fat"
    MUSCLE_MASS = "muscle_mass"
    BODY_WATER_MASS = "body_water_mass"
    RESPIRATORY_RATE = "respiratory_rate"
    SYMPTOM_DYSPNOEA = "symptom_dyspnoea"
    """This one and those that follow are a person's own answers; more points are more complaint."""
    SYMPTOM_ORTHOPNOEA = "symptom_orthopnoea"
    SYMPTOM_OEDEMA = "symptom_oedema"
    SYMPTOM_FATIGUE = "symptom_fatigue"
    SYMPTOM_PAIN = "symptom_pain"
    SYMPTOM_MOOD = "symptom_mood"
    SYMPTOM_SLEEP = "symptom_sleep"
    SYMPTOM_URGE = "symptom_urge"
    SYMPTOM_FEVER_SIGNS = "symptom_fever_signs"
    SYMPTOM_NAUSEA = "symptom_nausea"
    SYMPTOM_APPETITE = "symptom_appetite"


class Validity(StrEnum):
    """How far a value may be used. Thresholds judge VALID, UNDERFLOW and OVERFLOW; the others are kept and sent."""

    VALID = "valid"
    QUESTIONABLE = "questionable"
    CALIBRATING = "calibrating"
    INVALID = "invalid"
    OVERFLOW = "overflow"
    UNDERFLOW = "underflow"


JUDGED = frozenset({Validity.VALID, Validity.UNDERFLOW, Validity.OVERFLOW})
"""Validities that a threshold may judge: a sensor that says "lower than I can measure" is telling something."""


class ClockTrust(StrEnum):
    """How far the measured time can be trusted."""

    TRUSTED = "trusted"
    CORRECTED = "corrected"
    UNKNOWN = "unknown"


class Quality(IntFlag):
    """Facts a device reported about how the measurement was taken."""

    NONE = 0
    BODY_MOVEMENT = 1
    CUFF_TOO_LOOSE = 2
    IRREGULAR_PULSE = 4
    PULSE_OUT_OF_RANGE = 8
    IMPROPER_POSITION = 16
    BATTERY_LOW = 32
    REPEATED_HOUR = 64
    """The device's wall clock shows an hour that occurs twice that night."""
    SENSOR_FAULT = 128
    CALIBRATION_RECOMMENDED = 256
    IMPLAUSIBLE = 512
    """The value lies outside `facts(quantity)`'s plausible range."""
    SESSION_STOPPED = 1024
    """The sensor measures no more: its session was stopped or has run out."""
    CONTROL_SOLUTION = 2048
    """A test of the meter itself, nobody's blood."""
    FASTING = 4096
    BEFORE_MEAL = 8192
    AFTER_MEAL = 16384
    POOR_SIGNAL = 32768
    """The sensor hardly perceived what it measures: a cold finger, light on the probe, no contact with the skin."""
    STILL_MEASURING = 65536
    """An estimate of the device before its measurement had settled."""
    STRIP_FAULT = 131072
    """The test strip or the drop on it was not as it must be."""
    WARMING_UP = 262144
    """The sensor is not ready yet to be relied on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantityFacts:
    """What holds for every value of one quantity.

    Attributes:
        unit: canonical unit.
        quantum: size of one count, in the canonical unit.
        low: smallest plausible value, inclusive, in counts.
        high: largest plausible value, inclusive, in counts.
        conversions: other units and the factor that turns them into the canonical one, exact, with an offset
            added after the multiplication.
    """

    unit: Unit
    quantum: Decimal
    low: int
    high: int
    conversions: dict[Unit, tuple[Fraction, Fraction]]

    @property
    def decimals(self) -> int:
        """Digits after the decimal point that the quantum can show."""
        exponent = self.quantum.as_tuple().exponent
        return -exponent if isinstance(exponent, int) else 0


def _facts(
    unit: Unit,
    quantum: str,
    low: str,
    high: str,
    conversions: dict[Unit, tuple[Fraction, Fraction]] | None = None,
) -> QuantityFacts:
    step = Decimal(quantum)
    return QuantityFacts(
        unit=unit,
        quantum=step,
        low=int(Decimal(low) / step),
        high=int(Decimal(high) / step),
        conversions=conversions or {},
    )


_GLUCOSE = {Unit.MMOL_PER_L: (Fraction("18.0156"), Fraction(0)), Unit.G_PER_L: (Fraction(100), Fraction(0))}
_K_PA = {Unit.K_PA: (Fraction("7.50062"), Fraction(0))}
_FAHRENHEIT = {Unit.FAHRENHEIT: (Fraction(5, 9), Fraction(-160, 9))}
_POUND = {Unit.POUND: (Fraction("0.45359237"), Fraction(0))}

# Plausible ranges are engineering limits of what home devices report on a living person, wide on purpose:
# they catch a wrong unit or a broken frame, not a sick patient.
_FACTS: dict[Quantity, QuantityFacts] = {
    Quantity.GLUCOSE_INTERSTITIAL: _facts(Unit.MG_PER_DL, "0.1", "10", "1000", _GLUCOSE),
    Quantity.GLUCOSE_CAPILLARY: _facts(Unit.MG_PER_DL, "0.1", "10", "1000", _GLUCOSE),
    Quantity.BLOOD_PRESSURE_SYSTOLIC: _facts(Unit.MM_HG, "0.1", "40", "300", _K_PA),
    Quantity.BLOOD_PRESSURE_DIASTOLIC: _facts(Unit.MM_HG, "0.1", "20", "250", _K_PA),
    Quantity.BLOOD_PRESSURE_MEAN: _facts(Unit.MM_HG, "0.1", "25", "270", _K_PA),
    Quantity.PULSE_RATE: _facts(Unit.PER_MINUTE, "0.1", "20", "300"),
    Quantity.HEART_RATE: _facts(Unit.PER_MINUTE, "0.1", "20", "300"),
    Quantity.SPO2: _facts(Unit.PERCENT, "0.1", "30", "100"),
    Quantity.PERFUSION_INDEX: _facts(Unit.PERCENT, "0.1", "0", "30"),
    Quantity.BODY_TEMPERATURE: _facts(Unit.CELSIUS, "0.01", "25", "45", _FAHRENHEIT),
    Quantity.BODY_WEIGHT: _facts(Unit.KILOGRAM, "0.001", "1", "400", _POUND),
    Quantity.BMI: _facts(Unit.KG_PER_M2, "0.01", "5", "120"),
    Quantity.BODY_FAT: _facts(Unit.PERCENT, "0.1", "1", "80"),
    Quantity.MUSCLE_MASS: _facts(Unit.KILOGRAM, "0.001", "1", "200", _POUND),
    Quantity.BODY_WATER_MASS: _facts(Unit.KILOGRAM, "0.001", "1", "250", _POUND),
    Quantity.RESPIRATORY_RATE: _facts(Unit.PER_MINUTE, "0.1", "2", "100"),
    # Of answers the range is the scale itself, which their questions name (configs/questionnaires).
    Quantity.SYMPTOM_DYSPNOEA: _facts(Unit.SCORE, "1", "1", "4"),
    Quantity.SYMPTOM_ORTHOPNOEA: _facts(Unit.SCORE, "1", "0", "3"),
    Quantity.SYMPTOM_OEDEMA: _facts(Unit.SCORE, "1", "0", "3"),
    Quantity.SYMPTOM_FATIGUE: _facts(Unit.SCORE, "1", "0", "3"),
    Quantity.SYMPTOM_PAIN: _facts(Unit.SCORE, "1", "0", "10"),
    Quantity.SYMPTOM_MOOD: _facts(Unit.SCORE, "1", "0", "6"),
    Quantity.SYMPTOM_SLEEP: _facts(Unit.SCORE, "1", "0", "3"),
    Quantity.SYMPTOM_URGE: _facts(Unit.SCORE, "1", "0", "3"),
    Quantity.SYMPTOM_FEVER_SIGNS: _facts(Unit.SCORE, "1", "0", "3"),
    Quantity.SYMPTOM_NAUSEA: _facts(Unit.SCORE, "1", "0", "3"),
    Quantity.SYMPTOM_APPETITE: _facts(Unit.SCORE, "1", "0", "3"),
}


SYMPTOMS = tuple(quantity for quantity in Quantity if _FACTS[quantity].unit is Unit.SCORE)
"""What a questionnaire asks; no device measures it."""


def facts(quantity: Quantity) -> QuantityFacts:
    """Return the canonical unit, quantum and plausible range of a quantity."""
    return _FACTS[quantity]


def to_counts(quantity: Quantity, value: Decimal, unit: Unit) -> int:
    """Convert a finite decimal in `unit` to counts of the quantity's quantum, rounded half to even.

    Raises:
        UnitError: the quantity has no such unit, or the value is not finite.
    """
    known = _FACTS[quantity]
    if not value.is_finite():
        raise UnitError(f"{quantity} cannot be {value}")
    if unit is known.unit:
        exact = Fraction(value)
    elif unit in known.conversions:
        factor, offset = known.conversions[unit]
        exact = Fraction(value) * factor + offset
    else:
        raise UnitError(f"{quantity} has no unit {unit}; its unit is {known.unit}")
    return round(exact / Fraction(known.quantum))


def to_value(quantity: Quantity, count: int) -> Decimal:
    """Return counts as a decimal in the canonical unit, with as many decimals as the quantum has."""
    known = _FACTS[quantity]
    return (count * known.quantum).quantize(known.quantum, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a value comes from, kept for whoever doubts it.

    Attributes:
        source: "device", "relay", "questionnaire" or "file".
        value: the number as the device said it, as decimal text; None when it said a special value.
        unit: the device's own unit.
        frame: the raw bytes, b"" when there were none; of more than 512 the first 512.
        device_time: the time the device claimed, ISO 8601 without offset, None when it gave none.
        user: which of its users the device thinks this was, None when it does not say or does not know.
        site: where on the body it was measured, in the specification's words such as "tympanum", None when unsaid.
    """

    source: str
    value: str | None
    unit: Unit
    frame: bytes = b""
    device_time: str | None = None
    user: int | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value of one quantity at one time.

    Attributes:
        quantity: what was measured.
        count: the value in quanta (see `facts`); the nearest plausible limit for OVERFLOW and UNDERFLOW, and 0
            when the device gave no number at all (validity INVALID).
        validity: how far the value may be used.
        measured_at: ms UTC; event time, the order of judgement. Equal to `received_at` when `clock` is UNKNOWN.
        clock: how far `measured_at` can be trusted.
        received_at: ms UTC at which the box had it.
        device: stable identity of the device, such as "C4:B0:00:00:00:01".
        key: record key: what makes a reading of this device the same reading when it comes twice. All readings
            of one frame share it; (device, key, quantity) is unique.
        quality: facts about how the measurement was taken.
        provenance: the device's own words.
    """

    quantity: Quantity
    count: int
    validity: Validity
    measured_at: int
    clock: ClockTrust
    received_at: int
    device: str
    key: str
    quality: Quality = Quality.NONE
    provenance: Provenance

    @property
    def value(self) -> Decimal:
        """The value in the canonical unit."""
        return to_value(self.quantity, self.count)

    @property
    def unit(self) -> Unit:
        """The canonical unit (UCUM)."""
        return _FACTS[self.quantity].unit

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Canonical order within a patient's stream: (measured_at, quantity, device, key)."""
        return (self.measured_at, self.quantity.value, self.device, self.key)


def plausible(quantity: Quantity, count: int) -> bool:
    """Return whether a living person can have this value; limits are inclusive."""
    known = _FACTS[quantity]
    return known.low <= count <= known.high
