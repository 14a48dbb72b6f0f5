"""Recordings and commands for the tests of `veilleur backtest`; every reading here is made here."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner, Result

from agent.cli import main

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "alerting" / "small" / "diabetes_cgm.toml"
"""A protocol of five rules, so that what is counted by hand does not change with the one that ships."""
Row = tuple[str, datetime, str, float, str]
HEADER = ("patient", "time", "quantity", "value", "unit")
MORNING = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)


def veilleur(*arguments: object, lang: str = "en") -> Result:
    return CliRunner().invoke(main, ["--lang", lang, *map(str, arguments)])


def glucose(patient: str, values: Iterable[float], begin: datetime = MORNING) -> list[Row]:
    """A value each 5 minutes; None stands for a pause."""
    return [
        (patient, begin + timedelta(minutes=5 * place), "glucose_interstitial", value, "mg/dL")
        for place, value in enumerate(values)
    ]


def low_day(patient: str, low: float = 60) -> list[Row]:
    """Two hours at 100 with half an hour of lows after one hour."""
    return glucose(patient, [*[100] * 12, *[low] * 6, *[100] * 6])


def write_csv(path: Path, rows: Sequence[Row], *, remark: str = "") -> Path:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(HEADER)
    table.writerows((patient, time.isoformat(), quantity, value, unit) for patient, time, quantity, value, unit in rows)
    path.write_text(remark + text.getvalue(), encoding="utf-8")
    return path


def write_parquet(
    path: Path,
    rows: Sequence[Row],
    *,
    metadata: dict[str, str] | None = None,
    groups: int = 1000,
    zone: str | None = "UTC",
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows, strict=True))
    table = pa.table(
        [
            pa.array(columns[0], pa.string()),
            pa.array(columns[1], pa.timestamp("ms", zone)),
            pa.array(columns[2], pa.string()),
            pa.array([float(value) for value in columns[3]], pa.float64()),
            pa.array(columns[4], pa.string()),
        ],
        schema=pa.schema(
            [
                ("patient", pa.string()),
                ("time", pa.timestamp("ms", zone)),
                ("quantity", pa.string()),
                ("value", pa.float64()),
                ("unit", pa.string()),
            ],
            metadata=metadata,
        ),
    )
    pq.write_table(table, path, row_group_size=groups)
    return path
