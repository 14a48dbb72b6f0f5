"""Recordings of readings: a CSV file (plain or gzipped), a Parquet file, or a folder of them.

Columns, by name: patient, time, quantity, value, unit. A time without an offset is UTC. Every reading has a trusted
clock, the device "file" and a key made of its time and value, so that a repeated line is the same reading.

A malformed line or an unknown unit is an error that names the line: nothing is guessed. A value that no living
patient has is kept as INVALID, as a box keeps it. A quantity that this program does not know is set aside and counted.

A CSV text may open with remarks, lines that begin with `#`; one that begins with `# simulated` says that nobody was
measured.

What is not here: how Parquet is read (recordings_parquet), which needs a library that a box does not install.
"""

import csv
import gzip
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from pathlib import Path

from alerting.alert import Sentence
from alerting.errors import RecordingError
from alerting.history import file_reading
from alerting.protocol_amounts import Amount
from alerting.reading_order import canonical
from devices.reading import Quantity, Reading, Unit, Validity, facts, to_counts

COLUMNS = ("patient", "time", "quantity", "value", "unit")
PARQUET = ".parquet"
SUFFIXES = (".csv", ".csv.gz", PARQUET)
WRONG_COLUMNS = Sentence(
    fr=f"les colonnes doivent être {', '.join(COLUMNS)}", en=f"the columns must be {', '.join(COLUMNS)}"
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUANTITIES = {quantity.value: quantity for quantity in Quantity}
_MOST_SHOWN = 80
_NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_SIMULATED = re.compile(r"#\s*simulated\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The readings of a file or a folder.

    Attributes:
        readings: patient -> readings in canonical order, each once; patients sorted.
        implausible: how many readings are INVALID because no living patient has such a value.
        set_aside: name -> lines of a quantity that this program does not know.
        simulated: a file says that nobody was measured.
        naive_at: a time that has no offset, as it was read (ms UTC): of the first such line; None when all have one.
    """

    readings: dict[str, tuple[Reading, ...]]
    implausible: int
    set_aside: dict[str, int]
    simulated: bool = False
    naive_at: int | None = None


class FieldError(ValueError):
    """A field that cannot be read; `reason` says why in one clause."""

    def __init__(self, reason: Sentence) -> None:
        super().__init__(reason.en)
        self.reason = reason


@dataclass(slots=True)
class _Gathered:
    readings: defaultdict[str, list[Reading]] = field(default_factory=lambda: defaultdict(list))
    set_aside: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    naive: list[int] = field(default_factory=list)
    simulated: bool = False


def read_recording(path: Path) -> Recording:
    """Read a CSV file, gzipped when its name ends in `.gz`, a `.parquet` file, or every such file of a folder.

    Raises:
        RecordingError: a line cannot be read, or there is no recording in the folder.
        OSError: a file cannot be opened.
        ImportError: a Parquet file is to be read and pyarrow is not installed.
    """
    gathered = _Gathered()
    for file in recording_files(path):
        if file.name.endswith(PARQUET):
            _add_parquet(file, gathered)
        else:
            with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as opened:
                lines = _text(opened, file.name)
                for patient, reading in read_lines(
                    lines,
                    name=file.name,
                    set_aside=gathered.set_aside,
                    remarks=gathered.remarks,
                    naive=gathered.naive,
                ):
                    gathered.readings[patient].append(reading)
    readings = {patient: tuple(canonical(gathered.readings[patient])) for patient in sorted(gathered.readings)}
    return Recording(
        readings=readings,
        implausible=sum(one.validity is Validity.INVALID for several in readings.values() for one in several),
        set_aside=dict(sorted(gathered.set_aside.items())),
        simulated=gathered.simulated or any(map(_SIMULATED.match, gathered.remarks)),
        naive_at=next(iter(gathered.naive), None),
    )


def recording_files(path: Path) -> list[Path]:
    """Return the recordings of a folder and those below it, sorted; of a file itself.

    Raises:
        RecordingError: there is none in the folder.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
    if not found:
        raise RecordingError(
            str(path),
            None,
            Sentence(
                fr="aucun fichier .csv, .csv.gz ou .parquet dans ce dossier",
                en="there is no .csv, .csv.gz or .parquet file in this folder",
            ),
        )
    return found


def read_lines(
    lines: Iterable[str], *, name: str, set_aside: Counter[str], remarks: list[str], naive: list[int] | None = None
) -> Iterator[tuple[str, Reading]]:
    """Yield (patient, reading) from the lines of a CSV text, in its order and with its repeats.

    Args:
        lines: the text, header first but for remarks.
        name: what to call it in an error.
        set_aside: counts the lines of each quantity that this program does not know.
        remarks: takes the remarks before the header.
        naive: takes the first time without an offset, as it was read (ms UTC), when there is none in it.

    Raises:
        RecordingError: a line cannot be read.
    """
    rest = iter(lines)
    skipped = 0
    first = next(rest, "")
    while first.startswith("#"):
        skipped += 1
        remarks.append(first.strip())
        first = next(rest, "")
    table = csv.reader(chain([first], rest), strict=True)
    try:
        yield from _rows(table, set_aside, [] if naive is None else naive)
    except csv.Error as error:
        raise RecordingError(name, skipped + table.line_num, _not_csv(error)) from error
    except FieldError as error:
        raise RecordingError(name, skipped + max(1, table.line_num), error.reason) from error


def _rows(table: Iterator[list[str]], set_aside: Counter[str], naive: list[int]) -> Iterator[tuple[str, Reading]]:
    header = [column.strip() for column in next(table, [])]
    if sorted(header) != sorted(COLUMNS):
        raise FieldError(_wrong_header(header))
    places = [header.index(column) for column in COLUMNS]
    for row in table:
        if not row:
            continue
        if len(row) != len(COLUMNS):
            raise FieldError(_wrong_length(row))
        patient, time, quantity, value, unit = (row[place].strip() for place in places)
        if quantity not in _QUANTITIES:
            set_aside[quantity] += 1
            continue
        known = _QUANTITIES[quantity]
        count, said_in = amount(known, value, unit)
        at, offset = read_time(time)
        if not (offset or naive):
            naive.append(at)
        yield pseudonym(patient), file_reading(known, count, at, said=value, unit=said_in)


def _wrong_header(header: list[str]) -> Sentence:
    """Return what to write instead of a header, by what a spreadsheet makes of it."""
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        mark = Sentence(fr="des points-virgules", en="semicolons")
        if ";" not in header[0]:
            mark = Sentence(fr="des tabulations", en="tabs")
        return Sentence(
            fr=f"les champs sont séparés par {mark.fr} : les séparer par des virgules, avec les colonnes"
            f" {','.join(COLUMNS)} et un point dans les nombres",
            en=f"the fields are separated by {mark.en}: separate them by commas, with the columns {','.join(COLUMNS)}"
            " and a point in numbers",
        )
    found = ", ".join(header)[:_MOST_SHOWN]
    return Sentence(
        fr=f"{WRONG_COLUMNS.fr}, écrites ainsi et séparées par des virgules (ici : {found or 'rien'})",
        en=f"{WRONG_COLUMNS.en}, written so and separated by commas (here: {found or 'nothing'})",
    )


def _wrong_length(row: list[str]) -> Sentence:
    fr, en = f"{len(row)} champs au lieu de {len(COLUMNS)}", f"{len(row)} fields instead of {len(COLUMNS)}"
    if len(row) == len(COLUMNS) + 1:
        fr += " (un nombre s'écrit avec un point, 71.2)"
        en += " (a number is written with a point, 71.2)"
    return Sentence(fr=fr, en=en)


def _not_csv(error: csv.Error) -> Sentence:
    return Sentence(
        fr="la ligne n'est pas du CSV bien formé (guillemets non refermés, ou caractère interdit)",
        en=f"the line is not well-formed CSV ({error})",
    )


def pseudonym(text: str) -> str:
    """Return a pseudonym that may be one.

    Raises:
        FieldError: it is too short, too long, or has spaces around it.
    """
    if not 1 <= len(text) <= 64 or text != text.strip():
        raise FieldError(
            Sentence(
                fr="le pseudonyme du patient doit avoir de 1 à 64 caractères, sans espace autour",
                en="the patient's pseudonym must have 1 to 64 characters, without spaces around them",
            )
        )
    return text


@lru_cache(maxsize=8192)  # a recording repeats few values many times
def amount(quantity: Quantity, value: str, unit: str) -> tuple[int, Unit]:
    """Return a value's quanta and its unit.

    Raises:
        FieldError: it is no number, or the quantity has no such unit.
    """
    if _NUMBER.fullmatch(value) is None:
        raise FieldError(
            Sentence(
                fr=f"la valeur {value!r} n'est pas un nombre écrit avec un point décimal",
                en=f"the value {value!r} is not a number with a decimal point",
            )
        )
    known = unit_of(quantity, unit)
    return to_counts(quantity, Decimal(value), known), known


def unit_of(quantity: Quantity, unit: str) -> Unit:
    """Return a unit that values of the quantity can have, by its code or as a protocol may write it ("mmHg", "°C").

    Raises:
        FieldError: they cannot have it.
    """
    allowed = (facts(quantity).unit, *facts(quantity).conversions)
    meant = Amount.units.get(unit, unit)
    if meant not in allowed:
        units = ", ".join(allowed)
        raise FieldError(
            Sentence(
                fr=f"{quantity} n'a pas d'unité {unit!r} ; {units} peuvent servir",
                en=f"{quantity} has no unit {unit!r}; it can be in {units}",
            )
        )
    return Unit(meant)


def read_time(text: str) -> tuple[int, bool]:
    """Return an ISO 8601 time as ms UTC, and whether it has an offset; without one it is UTC.

    Raises:
        FieldError: it is no time of day of a day from 1971 to 2199.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or ":" not in text or not 1970 < moment.year < 2200:
        raise FieldError(
            Sentence(
                fr=f"l'heure {text!r} n'est pas comme 2026-03-05T07:28:00",
                en=f"the time {text!r} is not like 2026-03-05T07:28:00",
            )
        )
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1), moment.tzinfo is not None


def _add_parquet(file: Path, gathered: _Gathered) -> None:
    from alerting.recordings_parquet import ParquetRecording  # noqa: PLC0415 - a box reads no Parquet

    recording = ParquetRecording((file,))
    for history in recording.histories():
        gathered.readings[history.patient] += history.readings()
    gathered.set_aside.update(recording.set_aside)
    gathered.simulated |= recording.simulated
    if recording.naive_at is not None:
        gathered.naive.append(recording.naive_at)


def _text(file: Iterable[bytes], name: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(file, start=1):
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise RecordingError(name, number, Sentence(fr="le texte n'est pas en UTF-8", en="not UTF-8")) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordingError(
            name,
            number + 1,
            Sentence(fr="le fichier gzip est abîmé ou incomplet", en="the gzip file is damaged or cut short"),
        ) from error
