"""What the simulated patients' bodies do: a recording as it was, and a heart that fails from a seed."""

import gzip
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import RecordingError
from simulators.patients import DEFAULT_RECORDING, decompensation, fever, glucose_trace

START = 1_772_352_000_000  # 2026-03-01T08:00:00Z
MINUTE, DAY = 60_000, 86_400_000
PARIS = ZoneInfo("Europe/Paris")
HEADER = "patient,time,quantity,value,unit\n"


def recording(folder: Path, rows: str, header: str = HEADER) -> Path:
    path = folder / "recording.csv"
    path.write_text(header + rows, encoding="utf-8")
    return path


def episodes(counts: list[int], low: int, high: int) -> int:
    """Return how often four values in a row lie in [low, high]."""
    runs = "".join("x" if low <= count <= high else " " for count in counts).split()
    return sum(len(run) >= 4 for run in runs)


def test_the_shipped_recording_makes_a_demonstration_speak() -> None:
    trace = glucose_trace(DEFAULT_RECORDING, start_ms=START)
    assert len(trace) == 1070
    assert trace[0].at == START
    assert trace[-1].at - START > 3.9 * DAY
    two_days = [item.count for item in trace if item.at < START + 2 * DAY]
    assert episodes(two_days, 0, 699) == 1
    assert episodes(two_days, 1801, 10_000) >= 3


def test_the_shipped_recording_carries_no_time_of_its_packing() -> None:
    assert DEFAULT_RECORDING.read_bytes()[4:8] == bytes(4)


def test_a_trace_lies_on_whole_minutes_in_order() -> None:
    trace = glucose_trace(DEFAULT_RECORDING, start_ms=START + 1234)
    assert all((item.at - START - 1234) % MINUTE == 0 for item in trace)
    assert all(before.at < after.at for before, after in pairwise(trace))


def test_of_several_values_in_a_minute_the_first_is_kept(tmp_path: Path) -> None:
    path = recording(
        tmp_path,
        "a,2026-01-01T00:00:00,glucose_interstitial,100,mg/dL\n"
        "a,2026-01-01T00:00:20,glucose_interstitial,101,mg/dL\n"
        "a,2026-01-01T00:00:58,glucose_interstitial,102,mg/dL\n",
    )
    assert [item.count for item in glucose_trace(path, start_ms=START)] == [1000, 1020]


def test_the_person_with_most_values_is_played_unless_another_is_named(tmp_path: Path) -> None:
    path = recording(
        tmp_path,
        "few,2026-01-01T00:00:00,glucose_interstitial,100,mg/dL\n"
        "many,2026-01-01T00:10:00Z,glucose_interstitial,110,mg/dL\n"
        "many,2026-01-01T01:05:00+01:00,glucose_interstitial,120,mg/dL\n"
        "other,2026-01-01T00:00:00,heart_rate,60,/min\n",
    )
    assert [(item.at - START, item.count) for item in glucose_trace(path, start_ms=START)] == [
        (0, 1200),
        (5 * MINUTE, 1100),
    ]
    assert [item.count for item in glucose_trace(path, start_ms=START, patient="few")] == [1000]
    with pytest.raises(RecordingError, match="'other'; it has few, many"):
        glucose_trace(path, start_ms=START, patient="other")


def test_a_recording_in_mmol_is_converted(tmp_path: Path) -> None:
    path = recording(tmp_path, "a,2026-01-01T00:00:00,glucose_interstitial,5.5,mmol/L\n")
    assert glucose_trace(path, start_ms=START)[0].count == 991


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("a,yesterday,glucose_interstitial,100,mg/dL\n", 2),
        ("a,2026-01-01T00:00:00,glucose_interstitial,much,mg/dL\n", 2),
        ("a,2026-01-01T00:00:00,glucose_interstitial,nan,mg/dL\n", 2),
        ("a,2026-01-01T00:00:00,glucose_interstitial,100,kg\n", 2),
        ("a,2026-01-01T00:00:00,glucose_interstitial,100,mg/L\n", 2),
        ("a,2026-01-01T00:00:00,glucose_interstitial,100,mg/dL\na,b\n", 3),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_its_line(tmp_path: Path, rows: str, line: int) -> None:
    with pytest.raises(RecordingError) as refused:
        glucose_trace(recording(tmp_path, rows), start_ms=START)
    assert refused.value.line == line


@pytest.mark.parametrize("header", ["", "patient,time,value\n", "time,patient,quantity,value,unit\n"])
def test_other_columns_are_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(RecordingError, match="the columns must be patient,time,quantity,value,unit"):
        glucose_trace(recording(tmp_path, "", header), start_ms=START)


def test_a_file_without_glucose_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no glucose_interstitial"):
        glucose_trace(recording(tmp_path, "a,2026-01-01T00:00:00,heart_rate,60,/min\n"), start_ms=START)


@pytest.mark.parametrize(
    "content",
    [None, b"not gzip", gzip.compress(HEADER.encode() * 50)[:-20], gzip.compress(b"\xff")],
    ids=["missing", "not packed", "cut off", "not text"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "recording.csv.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError):
        glucose_trace(path, start_ms=START)


def test_the_same_seed_gives_the_same_heart() -> None:
    one, two, other = (decompensation(seed=seed, start_ms=START, zone=PARIS) for seed in (7, 7, 8))
    assert one == two
    assert one != other


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_weight_rises_by_more_than_two_kilograms_in_two_days(hour: int) -> None:
    start = START + hour * 3_600_000
    for seed in range(1, 21):
        heart = decompensation(seed=seed, start_ms=start, zone=PARIS)
        before = [item.count for item in heart.weighings if item.at < start]
        assert max(before) - min(before) < 1_500
        assert heart.weighings[-1].count - mean(before) > 2_000
        assert heart.weighings[-1].count - mean(before) < 4_000


def test_people_take_readings_at_their_hours() -> None:
    heart = decompensation(seed=1, start_ms=START, zone=PARIS, stable_days=6, demo_days=2)
    local = [datetime.fromtimestamp(item.at / 1000, PARIS) for item in heart.weighings]
    assert len(local) == 16
    assert {time.hour for time in local} <= {7, 18, 19}
    assert len(heart.pressures) == 8
    assert all(START <= item.at < START + 2 * DAY for item in heart.pressures)


def test_pressures_hang_together_and_the_pulse_climbs() -> None:
    heart = decompensation(seed=3, start_ms=START, zone=PARIS)
    for item in heart.pressures:
        assert item.diastolic < item.mean < item.systolic
        assert all(count % 10 == 0 for count in (item.systolic, item.diastolic, item.mean, item.pulse))
    assert heart.pressures[-1].pulse - heart.pressures[0].pulse > 80
    assert heart.pressures[-1].systolic < heart.pressures[0].systolic


@given(seed=st.integers(0, 2**32))
def test_a_fever_comes_ten_hours_after_the_start_and_stays_above_what_the_protocol_asks(seed: int) -> None:
    taken = list(fever(seed=seed, start_ms=START, zone=PARIS, days=3))
    assert taken == list(fever(seed=seed, start_ms=START, zone=PARIS, days=3))
    assert [at for at, _ in taken] == sorted(at for at, _ in taken)
    onset = START + 10 * 3_600_000
    assert all(3500 < count < 3800 for at, count in taken if at < onset)
    warm = [count for at, count in taken if at >= onset]
    assert len(warm) > 10
    # 38.3 Cel, once: the first rule of oral_chemotherapy.
    assert sum(count > 3830 for count in warm) > len(warm) * 0.9
    assert all(count % 10 == 0 for _, count in taken)
