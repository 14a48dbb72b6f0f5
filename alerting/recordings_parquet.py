"""Recordings in Parquet: the five columns of `alerting.recordings`, read in batches into columns of integers.

    column    type
    patient   text
    time      timestamp (without a zone it is UTC), int64 ms UTC, or text as in CSV
    quantity  text
    value     double, decimal, integer, or text as in CSV
    unit      text

Rules of this room:

- A value gives the same quanta as its shortest decimal text would in CSV: what lies so near a tie that a float cannot
  tell is converted exactly.
- One file is open at a time. A patient is handed on as soon as no row group to come can hold them, as the groups'
  statistics say; a file sorted by patient never lies in memory as a whole.
- The file's key `simulated` (schema metadata) says that nobody was measured. A folder named `patient=NAME` names the
  patient of the files in it, which may then lack that column.

What is not here: CSV, and judging.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from alerting.alert import Sentence
from alerting.errors import RecordingError
from alerting.history import CODES, QUANTITIES, History
from alerting.recordings import COLUMNS, WRONG_COLUMNS, FieldError, amount, pseudonym, read_time, unit_of
from devices.reading import Quantity, Unit, facts, to_counts

BATCH_ROWS = 131_072

_NAMES = {quantity.value: code for quantity, code in CODES.items()}
_FIRST_MS, _END_MS = 31_536_000_000, 7_258_118_400_000  # 1971-01-01, 2200-01-01
_PER_MS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
_LARGEST = 1e9
_NEAR_A_TIE, _ROUNDING = 1e-6, 1e-15
_WANTED = {
    "time": Sentence(fr="un timestamp, un int64 en ms ou un texte", en="a timestamp, an int64 of ms or text"),
    "value": Sentence(fr="un double, un decimal, un entier ou un texte", en="a double, a decimal, an integer or text"),
}
_TEXT = Sentence(fr="un texte", en="text")

_Value = TypeVar("_Value")
_Parts = list[tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int64]]]


class ParquetRecording:
    """What one or several Parquet files hold, several when they are of one patient.

    Args:
        files: read one after the other.

    Attributes:
        set_aside: name -> rows of a quantity that this program does not know; complete once read to the end.
        simulated: a file says that nobody was measured; complete once read to the end.
        naive_at: the first time without zone and offset, as it was read (ms UTC); complete once read to the end.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self.set_aside: Counter[str] = Counter()
        self.simulated = False
        self.naive_at: int | None = None

    def histories(self) -> Iterator[History]:
        """Yield each patient's history once it is complete.

        Raises:
            RecordingError: a file is damaged, has other columns, or a row that cannot be read.
            OSError: a file cannot be opened.
        """
        parts: defaultdict[str, _Parts] = defaultdict(list)
        for place, file in enumerate(self._files):
            last = place == len(self._files) - 1
            for coming in self._read(file, parts):
                for patient in [one for one in parts if last and not coming.may_hold(one)]:
                    yield _history(patient, parts.pop(patient))

    def _read(self, file: Path, parts: defaultdict[str, _Parts]) -> Iterator["_Coming"]:
        """Add a file's rows to `parts`; yield after each row group what is still to come, and after the last nothing.

        What the system says of a file that is not there is left as it is; all else that fails is the file's.
        """
        with file.open("rb"):
            named = _named(file)
        try:
            with pq.ParquetFile(file) as plain:
                metadata, schema = plain.metadata, plain.schema_arrow
            _check_schema(file, schema, named)
            self.simulated |= b"simulated" in (schema.metadata or {})
            coming = _coming(metadata, named)
            text = [name for name in schema.names if name in {"patient", "quantity", "unit"}]
            with pq.ParquetFile(file, metadata=metadata, read_dictionary=text) as opened:
                row = 0
                for group in range(opened.num_row_groups):
                    for batch in opened.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False):
                        rows = _Batch(file.name, row, named, batch)
                        rows.add_to(parts, self.set_aside)
                        self.naive_at = rows.naive_at if self.naive_at is None else self.naive_at
                        row += batch.num_rows
                    yield coming[group]
                yield _Coming()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise RecordingError(
                file.name,
                None,
                Sentence(
                    fr="le fichier Parquet est abîmé, incomplet, ou n'en est pas un ; l'écrire à nouveau",
                    en="the Parquet file is damaged, cut short, or none at all; write it again",
                ),
            ) from error


def rows_of(file: Path) -> int:
    """Return how many rows a Parquet file says it has, 0 when it cannot be read."""
    try:
        return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return 0


@dataclass(frozen=True, slots=True)
class _Coming:
    """Between which pseudonyms, inclusive, the patients of the rows to come lie; None for none to come."""

    low: str | None = None
    high: str | None = None

    def may_hold(self, patient: str) -> bool:
        return self.low is not None and self.high is not None and self.low <= patient <= self.high


_ANYBODY = _Coming("", "\U0010ffff" * 65)


def _coming(metadata: pq.FileMetaData, named: str | None) -> list[_Coming]:
    """Return what comes after each row group, by their statistics; anybody where there are none."""
    after = [_Coming()]
    for group in range(metadata.num_row_groups - 1, 0, -1):
        columns = [metadata.row_group(group).column(place) for place in range(metadata.num_columns)]
        statistics = next((one.statistics for one in columns if one.path_in_schema == "patient"), None)
        if named is not None or statistics is None or not statistics.has_min_max:
            after.append(_ANYBODY)
            continue
        low, high = str(statistics.min), str(statistics.max)
        later = after[-1]
        after.append(
            _Coming(
                low if later.low is None else min(low, later.low),
                high if later.high is None else max(high, later.high),
            )
        )
    return after[::-1]


class _Batch:
    """Some rows of a file.

    Args:
        name: of the file, for errors.
        first: rows of the file before these.
        named: the patient that the folder names.
        batch: the rows.

    Attributes:
        naive_at: the first time that has neither zone nor offset, as it was read (ms UTC).
    """

    def __init__(self, name: str, first: int, named: str | None, batch: pa.RecordBatch) -> None:
        self._name = name
        self._first = first
        self._named = named
        self._batch = batch
        self._places: NDArray[np.intp] | None = None
        self.naive_at: int | None = None

    def add_to(self, parts: defaultdict[str, _Parts], set_aside: Counter[str]) -> None:
        """Add each patient's rows; count those of a quantity that this program does not know, and leave them out."""
        places, names = self._text("quantity")
        codes = np.array([_NAMES.get(name, -1) for name in names], np.int8)[places]
        if len(codes) and codes.min() < 0:
            unknown = np.bincount(places[codes < 0], minlength=len(names))
            set_aside.update({names[place]: int(unknown[place]) for place in np.flatnonzero(unknown)})
            self._places = np.flatnonzero(codes >= 0)
            self._batch = self._batch.take(pa.array(self._places))
            codes = codes[self._places]
        times = self._times()
        counts = self._counts(codes)
        for patient, rows in self._patients():
            parts[patient].append((times[rows], codes[rows], counts[rows]))

    def _patients(self) -> Iterator[tuple[str, NDArray[np.intp] | slice]]:
        """Yield each pseudonym and its rows."""
        if self._named is not None:
            yield self._named, slice(None)
            return
        places, names = self._text("patient")
        begins = np.concatenate(([0], np.flatnonzero(np.diff(places)) + 1)) if len(places) else np.zeros(0, np.intp)
        runs = [slice(begin, end) for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), None], strict=False)]
        if len(runs) > len(names):  # not sorted by patient
            order = np.argsort(places, kind="stable")
            begins = np.flatnonzero(np.diff(places[order], prepend=-1))
            several = np.split(order, begins[1:])
            yield from ((self._read(pseudonym, int(rows[0]), names[places[rows[0]]]), rows) for rows in several)
            return
        yield from ((self._read(pseudonym, run.start, names[places[run.start]]), run) for run in runs)

    def _times(self) -> NDArray[np.int64]:
        column = self._column("time")
        if pa.types.is_timestamp(column.type) or pa.types.is_int64(column.type):
            times, per = _PER_MS[column.type.unit] if pa.types.is_timestamp(column.type) else (1, 1)
            found = np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
            outside = np.flatnonzero((found < _FIRST_MS * per // times) | (found >= _END_MS * per // times))
            if len(outside):
                raise self._refused(
                    int(outside[0]),
                    Sentence(fr="l'heure n'est pas entre 1971 et 2199", en="the time is not between 1971 and 2199"),
                )
            found = found if times == per else np.asarray(found * times // per)
            if pa.types.is_timestamp(column.type) and column.type.tz is None and len(found):
                self.naive_at = int(found[0])
            return found
        read = [self._read(read_time, row, text) for row, text in enumerate(column.to_pylist())]
        self.naive_at = next((at for at, offset in read if not offset), None)
        return np.fromiter((at for at, _ in read), np.int64, len(column))

    def _counts(self, codes: NDArray[np.int8]) -> NDArray[np.int64]:
        units, names = self._text("unit")
        column = self._column("value")
        exact = not (pa.types.is_float64(column.type) or pa.types.is_integer(column.type))
        convert = self._exactly if exact else self._quickly
        pairs = codes * np.int64(len(names)) + units
        present = np.flatnonzero(np.bincount(pairs)).tolist()
        counts = np.zeros(len(pairs), np.int64)
        for pair in present:
            rows = np.flatnonzero(pairs == pair) if len(present) > 1 else np.arange(len(pairs))
            quantity, name = QUANTITIES[pair // len(names)], names[pair % len(names)]
            unit = self._read(partial(unit_of, quantity), int(rows[0]), name)
            counts[rows] = convert(quantity, unit, column.take(pa.array(rows)) if len(present) > 1 else column, rows)
        return counts

    def _exactly(self, quantity: Quantity, unit: Unit, column: pa.Array, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Convert text and decimals, each value once."""
        encoded = column.dictionary_encode()
        places = encoded.indices.to_numpy(zero_copy_only=False)
        first = dict(zip(places[::-1].tolist(), rows[::-1].tolist(), strict=True))
        counts = [
            self._read(
                lambda text: amount(quantity, text, unit)[0],
                first[place],
                f"{value:f}" if isinstance(value, Decimal) else value,
            )
            for place, value in enumerate(encoded.dictionary.to_pylist())
        ]
        return np.asarray(np.array(counts, np.int64)[places])

    def _quickly(self, quantity: Quantity, unit: Unit, column: pa.Array, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Convert floats and integers in one go, and those near a tie exactly."""
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        refused = np.flatnonzero(~(np.abs(values) < _LARGEST))
        if len(refused):
            value = float(values[refused[0]])
            raise self._refused(
                int(rows[refused[0]]),
                Sentence(fr=f"la valeur {value} n'est pas un nombre possible", en=f"the value {value} cannot be"),
            )
        factor, offset = facts(quantity).conversions.get(unit, (Fraction(1), Fraction(0)))
        quantum = Fraction(facts(quantity).quantum)
        scaled = values * float(factor / quantum) + float(offset / quantum)
        nearest = np.rint(scaled)
        counts: NDArray[np.int64] = nearest.astype(np.int64)
        # A float lies within a few units of its last place of the decimal it stands for.
        unsure = np.abs(scaled - nearest) > 0.5 - _NEAR_A_TIE - np.abs(scaled) * _ROUNDING
        for place in np.flatnonzero(unsure).tolist():
            counts[place] = to_counts(quantity, Decimal(repr(float(values[place]))), unit)
        return counts

    def _text(self, name: str) -> tuple[NDArray[np.int32], list[str]]:
        """Return a text column as places in a list of its values."""
        column = self._column(name)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()

    def _column(self, name: str) -> pa.Array:
        column = self._batch.column(name)
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise self._refused(row, Sentence(fr=f"la colonne {name} est vide", en=f"the column {name} is empty"))
        return column

    def _read(self, reader: Callable[[str], _Value], row: int, text: str) -> _Value:
        try:
            return reader(text)
        except FieldError as error:
            raise self._refused(row, error.reason) from error

    def _refused(self, row: int, reason: Sentence) -> RecordingError:
        row = row if self._places is None else int(self._places[row])
        return RecordingError(self._name, self._first + row + 1, reason, row=True)


def _history(patient: str, parts: _Parts) -> History:
    times, quantities, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return History.recorded(patient, times, quantities, counts)


def _named(file: Path) -> str | None:
    """Return the patient that the file's folder names, as hive partitions do; None when it names none."""
    key, _, value = file.parent.name.partition("=")
    if key != "patient":
        return None
    try:
        return pseudonym(unquote(value))
    except FieldError as error:
        raise RecordingError(str(file), None, error.reason) from error


def _check_schema(file: Path, schema: pa.Schema, named: str | None) -> None:
    wanted = set(COLUMNS) - ({"patient"} if named is not None and "patient" not in schema.names else set())
    if sorted(schema.names) != sorted(wanted):
        raise RecordingError(file.name, None, WRONG_COLUMNS)
    for name in schema.names:
        found = schema.field(name).type
        if not any(allowed(found) for allowed in _TYPES.get(name, _TEXTS)):
            raise RecordingError(
                file.name,
                None,
                Sentence(
                    fr=f"la colonne {name} est de type {found} ; il faut {_WANTED.get(name, _TEXT).fr}",
                    en=f"the column {name} has the type {found}; it must be {_WANTED.get(name, _TEXT).en}",
                ),
            )


def _is_text(kind: pa.DataType) -> bool:
    found = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


_TEXTS: tuple[Callable[[pa.DataType], bool], ...] = (_is_text,)
_TYPES: dict[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    "time": (pa.types.is_timestamp, pa.types.is_int64, pa.types.is_string, pa.types.is_large_string),
    "value": (
        pa.types.is_float64,
        pa.types.is_decimal,
        pa.types.is_integer,
        pa.types.is_string,
        pa.types.is_large_string,
    ),
}
