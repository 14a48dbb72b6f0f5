"""The simulated patients: what happens in their bodies, as sequences of timed values.

Two kinds of trace, both in simulated time (ms UTC) and in quanta (see `devices.reading`):

- a *recorded* glucose trace: one person of a CSV file, played from the recording's own beginning;
- a *modelled* heart-failure decompensation: weights and blood pressures from a seed. Its numbers are made here,
  to make the rules of a care protocol speak within two days; they describe nobody and prove nothing about
  heart failure.

Nothing here knows Bluetooth or devices: a trace is what a body does, and a virtual device measures it.
"""

import csv
import gzip
import math
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from devices.errors import UnitError
from devices.reading import Quantity, Unit, to_counts
from simulators.errors import RecordingError

COLUMNS = ("patient", "time", "quantity", "value", "unit")
DEFAULT_RECORDING = Path(__file__).parent / "recordings" / "hall_2018_excerpt.csv.gz"
"""Four days of one person; see recordings/README.md for its source and licence."""

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Glucose:
    """Interstitial glucose at one moment: `at` in ms UTC, `count` in 0.1 mg/dL."""

    at: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """A person on the scale: `at` in ms UTC, `count` in grams."""

    at: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """One inflation of the cuff: `at` in ms UTC, pressures in 0.1 mm[Hg], pulse in 0.1 /min."""

    at: int
    systolic: int
    diastolic: int
    mean: int
    pulse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decompensation:
    """What the heart-failure model made: both sequences in time order."""

    weighings: tuple[Weighing, ...]
    pressures: tuple[Pressure, ...]


# ---------------------------------------------------------------------------------------------------------------
# Recorded glucose
# ---------------------------------------------------------------------------------------------------------------


def glucose_trace(path: Path, *, start_ms: int, patient: str | None = None) -> tuple[Glucose, ...]:
    """Return one person's recorded glucose, shifted so that its first value falls on `start_ms`.

    A sensor counts whole minutes from its start, so each value is moved to the nearest; of several in the same
    minute the first is kept.

    Args:
        path: CSV, gzip when the name ends in ".gz", with exactly the columns of `COLUMNS`; times are ISO 8601,
            UTC when they carry no offset. Rows of other quantities are passed over.
        start_ms: ms UTC.
        patient: whose trace; None for the person with the most glucose values (the first in the file of several).

    Raises:
        RecordingError: the file cannot be read or breaks the form, or holds no glucose of that person.
    """
    people = _recorded_glucose(path)
    if not people:
        raise RecordingError(f"{path} holds no {Quantity.GLUCOSE_INTERSTITIAL} at all")
    if patient is None:
        patient = max(people, key=lambda name: len(people[name]))
    if patient not in people:
        raise RecordingError(f"{path} holds no glucose of {patient!r}; it has {', '.join(sorted(people))}")
    first_ms = min(people[patient])
    by_minute: dict[int, int] = {}
    for at, count in sorted(people[patient].items()):
        by_minute.setdefault(round((at - first_ms) / _MINUTE), count)
    return tuple(Glucose(at=start_ms + minute * _MINUTE, count=count) for minute, count in by_minute.items())


def _recorded_glucose(path: Path) -> dict[str, dict[int, int]]:
    """Return counts by time (ms UTC), by person, in the order in which people appear in the file."""
    people: dict[str, dict[int, int]] = {}
    try:
        with _open_text(path) as text:
            for line, row in _rows(text):
                if row["quantity"] == Quantity.GLUCOSE_INTERSTITIAL.value:
                    people.setdefault(row["patient"], {})[_time(row["time"], line)] = _count(row, line)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    return people


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _rows(text: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(text, strict=True)
    header = tuple(next(reader, ()))
    if header != COLUMNS:
        raise RecordingError(f"the columns must be {','.join(COLUMNS)}, not {','.join(header) or 'nothing'}", line=1)
    for fields in reader:
        if len(fields) != len(COLUMNS):
            raise RecordingError(f"{len(fields)} fields instead of {len(COLUMNS)}", line=reader.line_num)
        yield reader.line_num, dict(zip(COLUMNS, fields, strict=True))


def _time(text: str, line: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordingError(f"{text!r} is not an ISO 8601 time", line=line) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _ms(moment)


def _count(row: dict[str, str], line: int) -> int:
    try:
        return to_counts(Quantity.GLUCOSE_INTERSTITIAL, Decimal(row["value"]), Unit(row["unit"]))
    except (InvalidOperation, ValueError, UnitError) as error:
        raise RecordingError(f"{row['value']!r} {row['unit']!r} is not a glucose value", line=line) from error


# ---------------------------------------------------------------------------------------------------------------
# Modelled heart failure
# ---------------------------------------------------------------------------------------------------------------

# Chosen here, within what home telemonitoring reports: a scale that shows 0.1 kg steps, about 0.12 kg from one
# weighing to the next, the evening heavier than the morning, a pulse that climbs and a pressure that falls as the
# heart gives in. The gain is set above the 2 kg in 3 days that the guidelines teach patients to call about.
_WEIGHT_NOISE_KG = 0.12
_EVENING_KG = 0.2
_GAIN_KG = (2.5, 3.0)
_RAMP_HOURS = 42
_PULSE_RISE = (16.0, 24.0)
_SYSTOLIC_FALL = (12.0, 20.0)
_WEIGHING_HOURS = (7.5, 19.0)
_PRESSURE_HOURS = (8.0, 12.5, 18.0, 22.0)
_SCALE_STEP_G = 100


def decompensation(
    *, seed: int, start_ms: int, zone: ZoneInfo, stable_days: int = 6, demo_days: int = 2
) -> Decompensation:
    """Return a heart that decompensates from `start_ms` on, after `stable_days` of steady weights.

    The person weighs in the morning and in the evening, and takes blood pressure four times a day, each a few
    minutes around the same local hour. From `start_ms` on, over 42 hours, weight climbs by 2.5 to 3 kg, the pulse by
    16 to 24 /min, and systolic pressure falls by 12 to 20 mm[Hg]. Weighings before `start_ms` are those that the
    scale has in its memory; blood pressures begin at `start_ms`.

    Args:
        seed: the same seed, start and zone give the same values.
        start_ms: ms UTC at which the demonstration begins.
        zone: the patient's time zone; local hours are in it.
        stable_days: days before `start_ms`.
        demo_days: days after it.
    """
    # The standard generator is the point: the same seed gives the same patient.
    dice = random.Random(seed)  # noqa: S311 - a simulated body, not a secret
    dry_kg = dice.uniform(68.0, 92.0)
    gain_kg = dice.uniform(*_GAIN_KG)
    systolic, pulse = dice.uniform(124.0, 138.0), dice.uniform(64.0, 74.0)
    pulse_rise, systolic_fall = dice.uniform(*_PULSE_RISE), dice.uniform(*_SYSTOLIC_FALL)

    weighings: list[Weighing] = []
    for at, hour in moments(dice, start_ms - stable_days * _DAY, start_ms + demo_days * _DAY, zone, _WEIGHING_HOURS):
        evening = _EVENING_KG if hour > 12 else 0.0
        kilograms = dry_kg + evening + gain_kg * _severity(at, start_ms) + dice.gauss(0.0, _WEIGHT_NOISE_KG)
        weighings.append(Weighing(at=at, count=round(kilograms * 1000 / _SCALE_STEP_G) * _SCALE_STEP_G))

    pressures: list[Pressure] = []
    for at, _ in moments(dice, start_ms, start_ms + demo_days * _DAY, zone, _PRESSURE_HOURS):
        severity = _severity(at, start_ms)
        high = round(systolic - systolic_fall * severity + dice.gauss(0.0, 4.0))
        low = round(high * 0.62 + dice.gauss(0.0, 2.0))
        beats = round(pulse + pulse_rise * severity + dice.gauss(0.0, 2.0))
        # The usual estimate of the mean: a third of the way up from diastolic.
        mean = round(low + (high - low) / 3)
        pressures.append(Pressure(at=at, systolic=high * 10, diastolic=low * 10, mean=mean * 10, pulse=beats * 10))
    return Decompensation(weighings=tuple(weighings), pressures=tuple(pressures))


def _severity(at: int, start_ms: int) -> float:
    """Return how far the decompensation has gone: 0.0 before it starts, 1.0 when it is complete."""
    return min(1.0, max(0.0, (at - start_ms) / (_RAMP_HOURS * _HOUR)))


def moments(
    dice: random.Random, first_ms: int, last_ms: int, zone: ZoneInfo, hours: tuple[float, ...], *, spread: float = 10.0
) -> Iterator[tuple[int, float]]:
    """Yield (ms UTC, local hour aimed at) at these local hours of each day, give or take `spread` minutes.

    Every moment lies in first <= at < last.
    """
    day = _local_date(first_ms, zone)
    while day <= _local_date(last_ms, zone):
        for hour in hours:
            local = datetime.combine(day, datetime.min.time(), tzinfo=zone) + timedelta(hours=hour)
            at = _ms(local) + round(dice.uniform(-spread, spread) * 60) * 1000
            if first_ms <= at < last_ms:
                yield at, hour
        day += timedelta(days=1)


def _local_date(at_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_ms / 1000, tz=zone).date()


def _ms(moment: datetime) -> int:
    return math.floor(moment.timestamp() * 1000 + 0.5)


# ---------------------------------------------------------------------------------------------------------------
# Modelled fever
# ---------------------------------------------------------------------------------------------------------------

# Chosen here: morning and evening as the protocol asks, every few hours once it is warm, as people do; the peak is
# above the 38.3 Cel of which one reading is enough (see the sources in configs/protocols/oral_chemotherapy.toml).
_CALM_HOURS = (8.5, 20.0)
_WARM_HOURS = (0.0, 4.0, 8.5, 12.0, 16.0, 20.0)
_ONSET_HOURS = 10.0
_PEAK_CEL = (38.6, 39.2)


def fever(*, seed: int, start_ms: int, zone: ZoneInfo, days: int) -> Iterator[tuple[int, int]]:
    """Yield (ms UTC, temperature in 0.01 Cel) of somebody whom a fever takes ten hours after the start.

    Args:
        seed: the same seed, start and zone give the same values.
        start_ms: ms UTC.
        zone: the patient's; hours of taking it are local, give or take ten minutes.
        days: of 24 hours.
    """
    dice = random.Random(seed)  # noqa: S311 - a simulated body, not a secret
    usual, peak = dice.uniform(36.4, 36.8), dice.uniform(*_PEAK_CEL)
    onset = start_ms + round(_ONSET_HOURS * _HOUR)
    for at, hour in moments(dice, start_ms, start_ms + days * _DAY, zone, _WARM_HOURS):
        if at < onset and hour not in _CALM_HOURS:
            continue
        warmth = peak - usual if at >= onset else 0.0
        yield at, round((usual + warmth + dice.gauss(0.0, 0.1)) * 10) * 10
