"""A simulated population as Parquet partitions: to try the commands on and to measure them. It describes nobody.

    python -m benchmarks.population FOLDER --patients 1000 --days 90 --per-file 50 --seed 7

Glucose every 5 min: a patient's own level, three meals, a slow drift and first-order noise, with lows now and then and
days on which the sensor is silent. Weights once a morning: a random walk, with slow gains in some. All numbers are made
here. Every file says in its schema that it is simulated; a file is sorted by patient and time.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
SCHEMA = pa.schema(
    [
        ("patient", pa.string()),
        ("time", pa.timestamp("ms", "UTC")),
        ("quantity", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
    ],
    metadata={"simulated": "benchmarks.population"},
)
_MEALS = (7.5, 12.5, 19.5)


def glucose(days: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return times (ms after the start) and mg/dL of one simulated sensor."""
    steps = days * 288
    hours = np.arange(steps) * (5 / 60)
    meals = sum(
        random.uniform(40, 110)
        * np.maximum(0, after := (hours - meal - random.normal(0, 0.5)) % 24)
        * np.exp(1 - after / 0.9)
        for meal in _MEALS
    )
    level = random.normal(115, 18) + random.uniform(5, 25) * np.sin(hours * (2 * np.pi / (24 * random.uniform(2, 5))))
    noise = random.normal(0, 5.5, steps)
    kept = 0.92
    for place in range(1, steps):
        noise[place] += kept * noise[place - 1]
    lows = np.zeros(steps)
    for begin in np.flatnonzero(random.random(steps) < 1 / 500):
        depth = random.uniform(25, 75)
        lows[begin : begin + 12] += depth
    values = np.clip(level + 0.55 * np.asarray(meals) + noise - lows, 39, 401)
    present = np.ones(steps, bool)
    for begin in np.flatnonzero(random.random(steps) < 1 / 2500):
        present[begin : begin + int(random.exponential(60))] = False
    times = np.arange(steps, dtype=np.int64) * 5 * MINUTE_MS + int(random.integers(0, 5 * MINUTE_MS))
    return times[present], np.round(values[present])


def weights(days: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return times (ms after the start) and kg of one simulated scale."""
    walk = np.cumsum(random.normal(0, 0.12, days)) + random.normal(0, 0.35, days)
    if random.random() < 0.3:
        walk += np.clip(np.arange(days) - random.uniform(0, days), 0, 10) * 0.35
    present = random.random(days) < random.uniform(0.7, 0.98)
    times = (
        np.arange(days, dtype=np.int64) * DAY_MS + (6 * 60 + random.normal(30, 25, days)).astype(np.int64) * MINUTE_MS
    )
    return times[present], np.round(random.uniform(55, 110) + walk, 1)[present]


def patient_table(name: str, days: int, random: np.random.Generator) -> pa.Table:
    """Return the readings of one simulated patient, in time order."""
    parts = [
        (glucose(days, random), "glucose_interstitial", "mg/dL"),
        (weights(days, random), "body_weight", "kg"),
    ]
    tables = [
        pa.table(
            [
                pa.array([name] * len(times)),
                pa.array(times + START_MS, pa.timestamp("ms", "UTC")),
                pa.array([quantity] * len(times)),
                pa.array(values),
                pa.array([unit] * len(times)),
            ],
            schema=SCHEMA,
        )
        for (times, values), quantity, unit in parts
    ]
    return pa.concat_tables(tables).sort_by([("time", "ascending")])


def write_population(folder: Path, *, patients: int, days: int, per_file: int, seed: int) -> Iterator[Path]:
    """Write partitions and yield each; the same arguments give the same readings."""
    folder.mkdir(parents=True, exist_ok=True)
    for begin in range(0, patients, per_file):
        file = folder / f"part-{begin // per_file:05d}.parquet"
        with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
            for number in range(begin, min(begin + per_file, patients)):
                random = np.random.default_rng((seed, number))
                writer.write_table(patient_table(f"simulated-{number:06d}", days, random))
        yield file


def main() -> int:
    parser = argparse.ArgumentParser(description="A simulated population as Parquet partitions.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--per-file", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for file in write_population(
        asked.folder, patients=asked.patients, days=asked.days, per_file=asked.per_file, seed=asked.seed
    ):
        print(file, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
