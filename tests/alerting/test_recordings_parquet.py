"""Recordings in Parquet: the same readings as in CSV, or one sentence that says what is wrong."""

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.backtest import backtest, judge_patient
from alerting.errors import RecordingError
from alerting.history import CODES, History
from alerting.recordings import Recording, amount, read_recording
from alerting.recordings_parquet import ParquetRecording, _Batch, rows_of
from devices.reading import Quantity, facts
from tests.alerting.worlds import PARIS, small

HEADER = ("patient", "time", "quantity", "value", "unit")
START = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
DIABETES = small("diabetes_cgm")


def columns(*rows: tuple[object, ...]) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(HEADER)}


def row(
    patient: str = "a",
    at: object = START,
    quantity: str = "glucose_interstitial",
    value: object = 60.0,
    unit: str = "mg/dL",
) -> tuple[object, ...]:
    return patient, at, quantity, value, unit


def write(path: Path, table: dict[str, Any], **types: pa.DataType) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: values if isinstance(values, pa.Array) else pa.array(values, types.get(name))
        for name, values in table.items()
    }
    pq.write_table(pa.table(arrays), path)
    return path


def refused(path: Path) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    assert path.name in caught.value.why.fr
    assert path.name in caught.value.why.en
    assert "\n" not in str(caught.value)
    return caught.value


def told(recording: Recording) -> dict[str, list[tuple[str, int, int]]]:
    return {
        patient: [(one.quantity.value, one.measured_at, one.count) for one in readings]
        for patient, readings in recording.readings.items()
    }


def test_csv_gzip_and_parquet_give_the_same_alerts(tmp_path: Path) -> None:
    values = [100.0, *[60.04] * 6, *[99.5] * 6, *[251.25] * 5, *[100.0] * 3]
    rows = [row(at=START + timedelta(minutes=5 * place), value=value) for place, value in enumerate(values)]
    text = ",".join(HEADER) + "\n" + "".join(f"{p},{t.isoformat()},{q},{v},{u}\n" for p, t, q, v, u in rows)  # type: ignore[attr-defined]
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(text.encode()))
    write(tmp_path / "r.parquet", columns(*rows), time=pa.timestamp("ms", "UTC"))
    alerts = [
        list(backtest(DIABETES, read_recording(tmp_path / name).readings, zone=PARIS))
        for name in ("r.csv", "r.csv.gz", "r.parquet")
    ]
    assert len(alerts[0]) == 3
    assert alerts[0] == alerts[1] == alerts[2]
    (history,) = ParquetRecording((tmp_path / "r.parquet",)).histories()
    assert list(judge_patient(DIABETES, history, zone=PARIS)) == alerts[0]


_VALUES = {
    "glucose_interstitial": ("mg/dL", "mmol/L"),
    "body_weight": ("kg", "[lb_av]"),
    "body_temperature": ("Cel", "[degF]"),
    "blood_pressure_systolic": ("mm[Hg]", "kPa"),
    "moon_phase": ("1",),
}


@st.composite
def recordings(draw: st.DrawFn) -> list[tuple[object, ...]]:
    made = []
    for _ in range(draw(st.integers(1, 25))):
        quantity = draw(st.sampled_from(sorted(_VALUES)))
        made.append(
            row(
                draw(st.sampled_from(("a", "b", "é c"))),
                START + timedelta(minutes=draw(st.integers(0, 4)), milliseconds=draw(st.sampled_from((0, 7)))),
                quantity,
                draw(st.integers(0, 4000)) / draw(st.sampled_from((1, 2, 10, 100, 1000))),
                draw(st.sampled_from(_VALUES[quantity])),
            )
        )
    return made


@pytest.mark.parametrize("form", ["double", "text", "decimal", "dictionary"])
@settings(max_examples=40, deadline=None)
@given(rows=recordings())
def test_random_recordings_round_trip_through_parquet(
    form: str, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    text = ",".join(HEADER) + "\n" + "".join(f"{p},{t.isoformat()},{q},{v},{u}\n" for p, t, q, v, u in rows)  # type: ignore[attr-defined]
    (folder / "r.csv").write_text(text, encoding="utf-8")
    table: dict[str, Any] = columns(*rows)
    times = pa.timestamp("ms", "UTC")
    if form == "text":
        table |= {"value": [str(value) for value in table["value"]], "time": [one.isoformat() for one in table["time"]]}
        write(folder / "r.parquet", table)
    elif form == "decimal":
        table["value"] = [Decimal(str(value)) for value in table["value"]]
        write(folder / "r.parquet", table, time=times, value=pa.decimal128(12, 4))
    elif form == "dictionary":
        table |= {name: pa.array(table[name]).dictionary_encode() for name in ("patient", "quantity", "unit")}
        write(folder / "r.parquet", table, time=pa.timestamp("us"))
    else:
        table["time"] = [round(one.timestamp() * 1000) for one in table["time"]]
        write(folder / "r.parquet", table)
    parquet, plain = read_recording(folder / "r.parquet"), read_recording(folder / "r.csv")
    assert told(parquet) == told(plain)
    assert (parquet.set_aside, parquet.implausible) == (plain.set_aside, plain.implausible)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [(quantity, unit) for quantity, units in _VALUES.items() if quantity != "moon_phase" for unit in units]
    ),
    st.lists(st.decimals(min_value=0, max_value=900_000, places=4), min_size=1, max_size=20),
)
def test_a_float_gives_the_quanta_of_its_decimal_text(kind: tuple[str, str], values: list[Decimal]) -> None:
    quantity, unit = kind
    table = pa.table(columns(*(row(quantity=quantity, value=float(value), unit=unit) for value in values)))
    table = table.set_column(1, "time", pa.array([START] * len(values), pa.timestamp("ms", "UTC")))
    parts: dict[str, Any] = {"a": []}
    (batch,) = table.to_batches()
    _Batch("x", 0, None, batch).add_to(parts, {})  # type: ignore[arg-type]
    exact = [amount(Quantity(quantity), str(float(value)), unit)[0] for value in values]
    assert parts["a"][0][2].tolist() == exact


def test_integers_and_seconds_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "r.parquet", columns(row(value=60, at=START)), time=pa.timestamp("s"), value=pa.int32())
    assert told(read_recording(path)) == {"a": [("glucose_interstitial", 1_772_524_800_000, 600)]}


@pytest.mark.parametrize(
    ("kind", "at", "naive"),
    [
        (pa.timestamp("us"), START, True),
        (pa.timestamp("ms", "UTC"), START, False),
        (pa.int64(), 1_772_524_800_000, False),
        (pa.string(), "2026-03-03T08:00:00", True),
        (pa.string(), "2026-03-03T08:00:00Z", False),
    ],
)
def test_only_times_without_zone_and_offset_are_naive(
    kind: pa.DataType, at: object, tmp_path: Path, *, naive: bool
) -> None:
    recording = read_recording(write(tmp_path / "r.parquet", columns(row(at=at)), time=kind))
    assert recording.readings["a"][0].measured_at == 1_772_524_800_000
    assert recording.naive_at == (1_772_524_800_000 if naive else None)


def test_patients_are_handed_on_as_their_row_groups_end(tmp_path: Path) -> None:
    rows = [row(name, START + timedelta(minutes=5 * at)) for name in "abcd" for at in range(4)]
    table = pa.table(columns(*rows)).set_column(
        1, "time", pa.array([one[1] for one in rows], pa.timestamp("ms", "UTC"))
    )
    pq.write_table(table, tmp_path / "r.parquet", row_group_size=4)
    pq.write_table(table.sort_by("time"), tmp_path / "mixed.parquet", row_group_size=4)
    pq.write_table(table, tmp_path / "blind.parquet", row_group_size=4, write_statistics=False)
    seen: dict[str, list[tuple[str, int]]] = {}
    for name in ("r", "mixed", "blind"):
        recording = ParquetRecording((tmp_path / f"{name}.parquet",))
        seen[name] = [(one.patient, len(one)) for one in recording.histories()]
    assert seen["r"] == seen["blind"] == [(name, 4) for name in "abcd"]
    assert sorted(seen["mixed"]) == seen["r"]
    first = next(iter(ParquetRecording((tmp_path / "r.parquet",)).histories()))
    assert (first.patient, len(first)) == ("a", 4)
    assert rows_of(tmp_path / "r.parquet") == 16


def test_one_patient_may_come_in_several_runs_of_a_batch(tmp_path: Path) -> None:
    rows = [row(name, START + timedelta(minutes=at)) for at in range(6) for name in "ba"]
    path = write(tmp_path / "r.parquet", columns(*rows), time=pa.timestamp("ms", "UTC"))
    assert {name: len(some) for name, some in read_recording(path).readings.items()} == {"a": 6, "b": 6}


def test_a_folder_names_its_patient_whose_files_are_read_together(tmp_path: Path) -> None:
    half = columns(row(value=60.0), row(value=61.0, at=START + timedelta(minutes=5)))
    other = columns(row(value=62.0, at=START - timedelta(minutes=5)))
    for name, table in (("2", half), ("1", other)):
        del table["patient"]
        write(tmp_path / "patient=zo%C3%A9" / f"{name}.parquet", table, time=pa.timestamp("ms", "UTC"))
    files = tuple(sorted(tmp_path.rglob("*.parquet")))
    (history,) = ParquetRecording(files).histories()
    assert (history.patient, history.counts.tolist()) == ("zoé", [620, 600, 610])
    assert list(read_recording(tmp_path).readings) == ["zoé"]
    refused(write(tmp_path / "patient=" / "1.parquet", half, time=pa.timestamp("ms", "UTC")))


def test_a_folder_is_read_as_one_recording(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "b.parquet", columns(row("b")), time=pa.timestamp("ms", "UTC"))
    (tmp_path / "a.csv").write_text(
        f"# simulated by hand\n# and more\n{','.join(HEADER)}\nb,2026-03-03T08:05:00,body_weight,70,kg\n",
        encoding="utf-8",
    )
    (tmp_path / "notes.txt").write_text("no recording", encoding="utf-8")
    recording = read_recording(tmp_path)
    assert [one.quantity.value for one in recording.readings["b"]] == ["glucose_interstitial", "body_weight"]
    assert recording.simulated


def test_only_what_says_so_is_simulated(tmp_path: Path) -> None:
    table = pa.table(columns(row())).set_column(1, "time", pa.array([START], pa.timestamp("ms", "UTC")))
    pq.write_table(table, tmp_path / "measured.parquet")
    pq.write_table(table.replace_schema_metadata({"simulated": "made here"}), tmp_path / "made.parquet")
    (tmp_path / "r.csv").write_text(f"# not simulated\n{','.join(HEADER)}\n", encoding="utf-8")
    said = {name: read_recording(tmp_path / name).simulated for name in ("measured.parquet", "made.parquet", "r.csv")}
    assert said == {"measured.parquet": False, "made.parquet": True, "r.csv": False}


def test_a_remark_does_not_shift_the_lines_of_an_error(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"# one\n{','.join(HEADER)}\na,soon,body_weight,70,kg\n", encoding="utf-8")
    assert refused(path).line == 3
    path.write_text("# one\nnothing\n", encoding="utf-8")
    assert refused(path).line == 2


def test_an_empty_folder_and_an_empty_table_are_told_apart(tmp_path: Path) -> None:
    assert refused(tmp_path).line is None
    path = write(
        tmp_path / "r.parquet",
        {"patient": pa.array([], pa.string())}
        | {
            "time": pa.array([], pa.int64()),
            "quantity": pa.array([], pa.string()),
            "value": pa.array([], pa.float64()),
            "unit": pa.array([], pa.string()),
        },
    )
    assert read_recording(path).readings == {}


@pytest.mark.parametrize(
    ("rows", "types", "line", "word"),
    [
        ([row(), row(patient="")], {}, 2, "pseudonym"),
        ([row(patient=" a")], {}, 1, "spaces"),
        ([row(), row(), row(unit="stone")], {}, 3, "no unit 'stone'"),
        ([row(quantity="body_weight", unit="mg/dL")], {}, 1, "body_weight has no unit"),
        ([row(), row(value=float("nan"))], {}, 2, "nan"),
        ([row(value=float("inf"))], {}, 1, "inf"),
        ([row(value=1e9)], {}, 1, "1000000000.0"),
        ([row(), row(value=None)], {}, 2, "value is empty"),
        ([row(), row(at=None)], {}, 2, "time is empty"),
        ([row(quantity="moon_phase", value=None), row(value=None)], {"value": pa.float64()}, 2, "value is empty"),
        ([row(at=datetime(1969, 1, 1, tzinfo=UTC))], {}, 1, "between 1971 and 2199"),
        ([row(at=datetime(2200, 1, 1, tzinfo=UTC))], {"time": pa.timestamp("s")}, 1, "between 1971 and 2199"),
        ([row(at="yesterday")], {"time": pa.string()}, 1, "yesterday"),
        ([row(value="6O")], {"value": pa.string()}, 1, "'6O'"),
        ([row(value="60"), row(value="71,2")], {"value": pa.string()}, 2, "71,2"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(
    tmp_path: Path, rows: list[tuple[object, ...]], types: dict[str, pa.DataType], line: int, word: str
) -> None:
    path = write(tmp_path / "r.parquet", columns(*rows), **{"time": pa.timestamp("us", "UTC"), **types})
    error = refused(path)
    assert error.line == line
    assert word in str(error)


def test_other_columns_and_types_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    more = columns(row()) | {"more": [1]}
    assert "the columns must be" in str(refused(write(path, more, time=pa.timestamp("ms"))))
    assert "the columns must be" in str(refused(write(path, {"patient": ["a"]})))
    wrong = columns(row()) | {"value": pa.array([60.0], pa.float32())}
    assert "value has the type float" in str(refused(write(path, wrong, time=pa.timestamp("ms"))))
    wrong = columns(row()) | {"time": pa.array([1], pa.int32())}
    assert "time has the type int32" in str(refused(write(path, wrong)))
    wrong = columns(row()) | {"patient": [7]}
    assert "patient has the type int64" in str(refused(write(path, wrong, time=pa.timestamp("ms"))))


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "r.parquet", columns(*[row()] * 500), time=pa.timestamp("ms", "UTC"))
    whole = path.read_bytes()
    for damaged in (
        b"",
        b"no Parquet at all",
        whole[:-20],
        whole[: len(whole) // 2],
        b"PAR1" + b"\xff" * 400 + whole[404:],
    ):
        path.write_bytes(damaged)
        assert refused(path).line is None
    assert rows_of(path) in {0, 500}
    path.write_bytes(b"no")
    assert rows_of(path) == 0


def test_a_file_that_is_not_there_is_the_systems_to_tell(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_recording(tmp_path / "absent.parquet")


def test_rows_in_any_order_and_repeats_are_one_history() -> None:
    glucose, weight = CODES[Quantity.GLUCOSE_INTERSTITIAL], CODES[Quantity.BODY_WEIGHT]
    high = facts(Quantity.GLUCOSE_INTERSTITIAL).high
    rows = [
        (5, glucose, 1000),
        (5, weight, 70_000),
        (1, glucose, 900),
        (5, glucose, 990),
        (5, glucose, 1000),
        (7, glucose, high + 1),
    ]
    history = History.recorded(
        "p",
        *(
            np.array(column, kind)
            for column, kind in zip(zip(*rows, strict=True), (np.int64, np.int8, np.int64), strict=True)
        ),
    )
    assert [*zip(history.times.tolist(), history.counts.tolist(), strict=True)] == [
        (1, 900),
        (5, 70_000),
        (5, 1000),
        (5, 990),
        (7, high + 1),
    ]
    assert history.judged.tolist() == [True, True, True, True, False]
    assert [one.key for one in history.readings()] == ["1:900", "5:70000", "5:1000", "5:990", f"7:{high + 1}"]


def test_a_name_that_is_no_text_is_told_like_any_damage(tmp_path: Path) -> None:
    """The library reads such a file, and stumbles later over what is in it."""
    file = tmp_path / "damaged.parquet"
    times = pa.array([0], pa.timestamp("ms"))
    columns = {"patient": ["p"], "time": times, "quantity": ["weight"], "value": [71.2], "unit": ["zzzz"]}
    pq.write_table(pa.table(columns), file, compression="none")
    file.write_bytes(file.read_bytes().replace(b"zzzz", b"\xff\xfezz"))
    with pytest.raises(RecordingError):
        read_recording(file)
