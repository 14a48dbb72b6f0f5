"""Recordings of readings: CSV files, plain or gzipped, read line by line.

Columns, by name: patient, time, quantity, value, unit. A time without an offset is UTC. Every reading has a trusted
clock, the device "file" and a key made of its time and value, so that a repeated line is the same reading.

A malformed line or an unknown unit is an error that names the line: nothing is guessed. A value that no living
patient has is kept as INVALID, as a box keeps it. A quantity that this program does not know is set aside and counted.
"""

import csv
import gzip
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from alerting.errors import RecordingError
from alerting.reading_order import canonical
from devices.errors import UnitError
from devices.reading import (
    ClockTrust,
    Provenance,
    Quality,
    Quantity,
    Reading,
    Unit,
    Validity,
    facts,
    plausible,
    to_counts,
)

COLUMNS = ("patient", "time", "quantity", "value", "unit")
DEVICE = "file"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUANTITIES = {quantity.value: quantity for quantity in Quantity}
_NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The readings of a file.

    Attributes:
        readings: patient -> readings in canonical order, each once; patients sorted.
        implausible: how many readings are INVALID because no living patient has such a value.
        set_aside: name -> lines of a quantity that this program does not know.
    """

    readings: dict[str, tuple[Reading, ...]]
    implausible: int
    set_aside: dict[str, int]


def read_recording(path: Path) -> Recording:
    """Read a CSV file, gzipped when its name ends in `.gz`.

    Raises:
        RecordingError: a line cannot be read.
        OSError: the file cannot be opened.
    """
    set_aside: Counter[str] = Counter()
    gathered: defaultdict[str, list[Reading]] = defaultdict(list)
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for patient, reading in read_lines(_text(file, path.name), name=path.name, set_aside=set_aside):
            gathered[patient].append(reading)
    readings = {patient: tuple(canonical(gathered[patient])) for patient in sorted(gathered)}
    return Recording(
        readings=readings,
        implausible=sum(one.validity is Validity.INVALID for several in readings.values() for one in several),
        set_aside=dict(sorted(set_aside.items())),
    )


def read_lines(lines: Iterable[str], *, name: str, set_aside: Counter[str]) -> Iterator[tuple[str, Reading]]:
    """Yield (patient, reading) from the lines of a CSV text, in its order and with its repeats.

    Args:
        lines: the text, header first.
        name: what to call it in an error.
        set_aside: counts the lines of each quantity that this program does not know.

    Raises:
        RecordingError: a line cannot be read.
    """
    table = csv.reader(lines, strict=True)
    try:
        header = [column.strip() for column in next(table, [])]
        if sorted(header) != sorted(COLUMNS):
            raise RecordingError(name, 1, f"the columns must be {', '.join(COLUMNS)}")
        places = [header.index(column) for column in COLUMNS]
        for row in table:
            if not row:
                continue
            if len(row) != len(COLUMNS):
                raise RecordingError(name, table.line_num, f"{len(row)} fields instead of {len(COLUMNS)}")
            patient, time, quantity, value, unit = (row[place].strip() for place in places)
            if quantity not in _QUANTITIES:
                set_aside[quantity] += 1
                continue
            try:
                yield _patient(patient), _reading(_QUANTITIES[quantity], time, value, unit)
            except (ValueError, UnitError) as error:
                raise RecordingError(name, table.line_num, str(error)) from error
    except csv.Error as error:
        raise RecordingError(name, table.line_num, str(error)) from error


def _text(file: Iterable[bytes], name: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(file, start=1):
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise RecordingError(name, number, "not UTF-8") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordingError(name, number + 1, "the gzip file is damaged or cut short") from error


def _patient(text: str) -> str:
    if not 1 <= len(text) <= 64:
        raise ValueError("the patient's pseudonym must have 1 to 64 characters")
    return text


def _reading(quantity: Quantity, time: str, value: str, unit: str) -> Reading:
    measured_at = _milliseconds(time)
    count, known = _amount(quantity, value, unit)
    possible = plausible(quantity, count)
    return Reading(
        quantity=quantity,
        count=count,
        validity=Validity.VALID if possible else Validity.INVALID,
        measured_at=measured_at,
        clock=ClockTrust.TRUSTED,
        received_at=measured_at,
        device=DEVICE,
        key=f"{measured_at}:{count}",
        quality=Quality.NONE if possible else Quality.IMPLAUSIBLE,
        provenance=Provenance(source="file", value=value, unit=known),
    )


@lru_cache(maxsize=8192)  # a recording repeats few values many times
def _amount(quantity: Quantity, value: str, unit: str) -> tuple[int, Unit]:
    if _NUMBER.fullmatch(value) is None:
        raise ValueError(f"the value {value!r} is not a number with a decimal point")
    try:
        known = Unit(unit)
    except ValueError:
        units = ", ".join((facts(quantity).unit, *facts(quantity).conversions))
        raise UnitError(f"unknown unit {unit!r}; {quantity} can be in {units}") from None
    return to_counts(quantity, Decimal(value), known), known


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or ":" not in text or not 1970 < moment.year < 2200:
        raise ValueError(f"the time {text!r} is not like 2026-03-05T07:28:00")
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
