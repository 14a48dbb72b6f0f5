"""What the bodies of simulated people do from day to day: modelled, from a seed, the same for the same seed.

Every number here is made up within what such devices show in everyday use, to have something to measure; it describes
nobody and proves nothing. Each device kind has its hours of use.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from devices.reading import Quantity
from simulators.device_kinds import Sample
from simulators.patients import moments

_DAY: Final = 86_400_000
_EVENING: Final = 15.0
"""Local hour from which on a body is warmer and heavier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What does not change from day to day: usual values, in canonical units."""

    weight: float
    fat: float
    systolic: float
    pulse: float
    temperature: float
    glucose: float

    @classmethod
    def of(cls, dice: random.Random) -> "Body":
        """Return somebody."""
        return cls(
            weight=dice.uniform(52.0, 96.0),
            fat=dice.uniform(18.0, 38.0),
            systolic=dice.uniform(112.0, 142.0),
            pulse=dice.uniform(58.0, 82.0),
            temperature=dice.uniform(36.3, 36.8),
            glucose=dice.uniform(95.0, 160.0),
        )


def _temperature(body: Body, dice: random.Random, hour: float) -> dict[Quantity, int]:
    celsius = body.temperature + (0.3 if hour > _EVENING else 0.0) + dice.gauss(0.0, 0.15)
    return {Quantity.BODY_TEMPERATURE: round(celsius * 10) * 10}


def _oximetry(body: Body, dice: random.Random, _hour: float) -> dict[Quantity, int]:
    saturation = min(100, round(dice.gauss(96.5, 1.0)))
    return {Quantity.SPO2: saturation * 10, Quantity.PULSE_RATE: round(body.pulse + dice.gauss(0.0, 4.0)) * 10}


def _heart_rate(body: Body, dice: random.Random, _hour: float) -> dict[Quantity, int]:
    return {Quantity.HEART_RATE: round(body.pulse + 20.0 + dice.gauss(0.0, 8.0)) * 10}


def _capillary(body: Body, dice: random.Random, _hour: float) -> dict[Quantity, int]:
    milligrams = min(380.0, body.glucose * dice.lognormvariate(0.0, 0.25))
    return {Quantity.GLUCOSE_CAPILLARY: round(milligrams) * 10}


def _interstitial(body: Body, dice: random.Random, hour: float) -> dict[Quantity, int]:
    after_meal = 40.0 if any(0.5 < hour - meal < 2.5 for meal in (7.5, 12.5, 19.5)) else 0.0
    return {Quantity.GLUCOSE_INTERSTITIAL: round(body.glucose + after_meal + dice.gauss(0.0, 6.0)) * 10}


def _weight(body: Body, dice: random.Random, hour: float) -> dict[Quantity, int]:
    kilograms = body.weight + (0.2 if hour > _EVENING else 0.0) + dice.gauss(0.0, 0.12)
    return {Quantity.BODY_WEIGHT: round(kilograms * 10) * 100}


def _composition(body: Body, dice: random.Random, hour: float) -> dict[Quantity, int]:
    weight = _weight(body, dice, hour)
    grams = weight[Quantity.BODY_WEIGHT]
    fat = body.fat + dice.gauss(0.0, 0.3)
    lean = grams * (1.0 - fat / 100.0)
    return weight | {
        Quantity.BODY_FAT: round(fat * 10),
        Quantity.MUSCLE_MASS: round(lean * 0.55 / 100) * 100,
        Quantity.BODY_WATER_MASS: round(lean * 0.73 / 100) * 100,
    }


def _pressure(body: Body, dice: random.Random, _hour: float) -> dict[Quantity, int]:
    high = round(body.systolic + dice.gauss(0.0, 4.0))
    low = round(high * 0.62 + dice.gauss(0.0, 2.0))
    return {
        Quantity.BLOOD_PRESSURE_SYSTOLIC: high * 10,
        Quantity.BLOOD_PRESSURE_DIASTOLIC: low * 10,
        Quantity.BLOOD_PRESSURE_MEAN: round(low + (high - low) / 3) * 10,
        Quantity.PULSE_RATE: round(body.pulse + dice.gauss(0.0, 3.0)) * 10,
    }


_Measure = Callable[[Body, random.Random, float], dict[Quantity, int]]
_ALL_DAY: Final = tuple(number / 12 for number in range(24 * 12))
_USES: Final[Mapping[str, tuple[tuple[float, ...], _Measure]]] = {
    "cgm": (_ALL_DAY, _interstitial),
    "blood_pressure": ((8.0, 19.0), _pressure),
    "weight_scale": ((7.5,), _weight),
    "body_composition": ((7.5,), _composition),
    "xiaomi_scale": ((7.5,), _composition),
    "glucose_meter": ((7.2, 12.2, 19.2, 22.5), _capillary),
    "pulse_oximeter": ((9.0, 15.0, 21.0), _oximetry),
    "thermometer": ((8.5, 20.5), _temperature),
    "heart_rate": ((10.0, 17.0), _heart_rate),
}
"""Local hours of use by device kind, and what is measured."""


def daily_life(
    kind: str, *, seed: int, start_ms: int, zone: ZoneInfo, days: int, user: int | None = None
) -> Iterator[Sample]:
    """Yield what somebody measures with one device, in time order, start <= at < start + days.

    Args:
        kind: of the device.
        seed: the same seed is the same person, with the same values at the same times.
        start_ms: ms UTC.
        zone: the person's time zone; the hours of use are local, give or take ten minutes.
        days: of 24 hours.
        user: the person's index in the device.
    """
    hours, measure = _USES[kind]
    # The standard generator is the point: the same seed gives the same person.
    body = Body.of(random.Random(seed))  # noqa: S311 - a simulated body, not a secret
    dice = random.Random(f"{seed}:{kind}")  # noqa: S311 - a simulated body, not a secret
    exactly = hours is _ALL_DAY
    for at, hour in moments(dice, start_ms, start_ms + days * _DAY, zone, hours, spread=0.0 if exactly else 10.0):
        yield Sample(at=at, counts=measure(body, dice, hour), user=user)
