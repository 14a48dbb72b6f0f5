"""The export as one file: CSV tables, the same as Parquet where that is installed, the dictionary, README, manifest.

A text that a spreadsheet would take for a formula begins with an apostrophe. Times are UTC to the second.
"""

import csv
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from coordination.desk.evaluation.dictionary import BY_NAME, TABLES, TIME, Table
from coordination.desk.evaluation.observed import (
    Period,
    Row,
    alerts,
    boxes,
    days_of,
    exposure,
    measured,
    readings,
)
from coordination.desk.evaluation.pseudonyms import Pseudonyms
from coordination.desk.evaluation.readme import readme
from coordination.desk.evaluation.summed import Delays, Outcomes, adherence
from coordination.desk.models import Team

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A finished export: where it is, its SHA-256, and table -> how many rows."""

    path: Path
    sha256: str
    rows: dict[str, int]


def parquet_is_there() -> bool:
    """Return whether tables can be written as Parquet here."""
    return find_spec("pyarrow") is not None


class _Tables:
    """The tables of one export, each written as its rows come."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            table.name: (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") for table in TABLES
        }
        self._writers = {name: csv.writer(file, lineterminator="\n") for name, file in self._files.items()}
        self.rows = dict.fromkeys(self._files, 0)
        for table in TABLES:
            self._writers[table.name].writerow([column.name for column in table.columns])

    def write(self, name: str, rows: Iterable[Row]) -> None:
        table = BY_NAME[name]
        for row in rows:
            self._writers[name].writerow(cells(table, row))
            self.rows[name] += 1

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def cells(table: Table, row: Row) -> list[str]:
    """Return a row as it is written: every column of its table, and no other.

    Raises:
        KeyError: the row lacks a column.
        ValueError: it has one that the dictionary has not.
    """
    if len(row) != len(table.columns):
        raise ValueError(f"{table.name}: {sorted(set(row) ^ {column.name for column in table.columns})}")
    return [_cell(row[column.name], is_time=column.type == TIME) for column in table.columns]


def _cell(value: str | int | None, *, is_time: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return datetime.fromtimestamp(value // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if is_time else str(value)
    return f"'{value}" if value.startswith(_FORMULA) else value


def write(path: Path, team: Team, period: Period, names: Pseudonyms, *, parquet: bool) -> Export:
    """Write the export of a team to `path` (a zip), and return what it is.

    Args:
        path: where; what is there is replaced once the new one is whole.
        team: whose.
        period: its days.
        names: pseudonyms to use.
        parquet: also write the tables as Parquet.

    Raises:
        OSError: it cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as place:
        folder = Path(place)
        tables = _Tables(folder)
        try:
            _fill(tables, team, period, names)
        finally:
            tables.close()
        if parquet:
            from coordination.desk.evaluation.parquet import as_parquet  # noqa: PLC0415 - an extra

            for table in TABLES:
                as_parquet(folder, table)
        _beside(folder, period, tables.rows)
        whole = folder / "export.zip"
        with zipfile.ZipFile(whole, "x", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.iterdir()):
                if file != whole:
                    archive.write(file, file.name)
        whole.chmod(0o600)
        digest = hashlib.sha256(whole.read_bytes()).hexdigest()
        whole.replace(path)
    return Export(path=path, sha256=digest, rows=tables.rows)


def _fill(tables: _Tables, team: Team, period: Period, names: Pseudonyms) -> None:
    watched_min = 0
    for days in days_of(team, period, names):
        watched_min += sum(days.watched)
        found = measured(days)
        tables.write("exposure", exposure(days, period))
        tables.write("readings", readings(days, period, found))
        tables.write("adherence", adherence(days, found))
    outcomes, delays = Outcomes(), Delays(period.made)
    for row in alerts(team, period, names):
        tables.write("alerts", (row,))
        outcomes.add(row)
        delays.add(row)
    tables.write("outcomes", outcomes.rows(watched_min))
    tables.write("delays", delays.rows())
    tables.write("boxes", boxes(team, period, names))


def _beside(folder: Path, period: Period, rows: dict[str, int]) -> None:
    """Write the dictionary, the README and the manifest, which has the SHA-256 of every other file."""
    with (folder / "dictionary.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["table", "column", "type", "unit", "fr", "en", "formula"])
        for table in TABLES:
            writer.writerows(
                [table.name, one.name, one.type, one.unit, one.fr, one.en, one.formula] for one in table.columns
            )
    made = datetime.fromtimestamp(period.made // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    (folder / "README.md").write_text(readme(period.since, period.until, made), encoding="utf-8")
    digests = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in sorted(folder.iterdir())}
    content = {
        "made": made,
        "since": period.since.isoformat(),
        "until": period.until.isoformat(),
        "program": f"veilleur {version('veilleur')}",
        "rows": rows,
        "sha256": digests,
    }
    (folder / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def name_of(since: date, until: date) -> str:
    """Return how the file of a period is called."""
    return f"veilleur-{since:%Y%m%d}-{until:%Y%m%d}.zip"
