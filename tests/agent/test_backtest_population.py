"""`veilleur backtest --population`: partitions judged once, by several processes, through kills and damage."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from distributed import LocalCluster

from agent.backtest_population import run_here
from agent.errors import RequestError
from agent.settings_file import load_protocol
from benchmarks.population import write_population
from tests.agent.backtest_kit import MORNING, ROOT, glucose, low_day, veilleur, write_parquet

pytestmark = pytest.mark.long

PROTOCOLS = ("--protocol", "diabetes_cgm", "--protocol", "heart_failure")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three partitions of two simulated patients each, over four days."""
    folder = tmp_path_factory.mktemp("made") / "population"
    assert len(list(write_population(folder, patients=6, days=4, per_file=2, seed=5))) == 3
    return folder


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What one process says that was never interrupted."""
    return run(made, tmp_path_factory.mktemp("whole"), "--jobs", 1)


def run(folder: Path, results: Path, *options: object, lang: str = "en", form: str = "json") -> Result:
    arguments = ("--population", folder, "--results", results, "--format", form)
    return veilleur("backtest", *PROTOCOLS, *arguments, *options, lang=lang)


def files(results: Path) -> dict[str, tuple[int, bytes]]:
    """Each result file: when it was written, and what is in it."""
    found = sorted(path for path in results.rglob("*") if path.is_file())
    return {str(path.relative_to(results)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_two_processes_say_what_one_says_and_what_each_history_says(made: Path, whole: Result, tmp_path: Path) -> None:
    assert whole.exit_code == 0, whole.stderr
    two = run(made, tmp_path / "two", "--jobs", 2)
    assert (two.exit_code, two.stdout) == (0, whole.stdout)
    assert len(files(tmp_path / "two")) == 3 * 2 * 2
    for place, name in enumerate(("diabetes_cgm", "heart_failure")):
        alone = veilleur("backtest", "--protocol", name, "--readings", made, "--format", "json")
        (expected,) = json.loads(alone.stdout)
        found = json.loads(whole.stdout)[place]
        assert found["burden"] == expected["burden"]
        for quantity, covered in expected["coverage"].items():
            assert found["coverage"][quantity] == pytest.approx(covered)
        assert (found["readings"], found["burden"]["patients"]) == (expected["readings"], 6)


def test_the_alerts_that_are_kept_are_those_of_each_history(made: Path, tmp_path: Path) -> None:
    run(made, tmp_path / "results", "--jobs", 1)
    lines = veilleur("backtest", "--protocol", "diabetes_cgm", "--readings", made, "--format", "jsonl").stdout
    expected = [json.loads(line) for line in lines.splitlines()]
    kept = []
    for path in sorted((tmp_path / "results").rglob("diabetes_cgm-*.csv.gz")):
        kept += list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))
    for found, wanted in zip(kept, expected, strict=True):
        for name in ("patient", "rule", "priority", "audience", "onset", "raised_at"):
            assert found[name] == wanted[name]
        assert found["resolved_at"] == (wanted["resolved_at"] or "")
        assert len(found["alert_id"]) == 32
    assert len(kept) > 10


def test_a_report_of_a_population_has_a_column_a_protocol(made: Path, tmp_path: Path) -> None:
    french = run(made, tmp_path / "r", "--jobs", 1, lang="fr", form="report")
    assert "population (3 partitions) · 6 patients" in french.stdout
    diabetes, heart = (load_protocol(name, Path()).version for name in ("diabetes_cgm", "heart_failure"))
    assert f"A diabetes_cgm v{diabetes} · Diabète" in french.stdout
    assert f"B heart_failure v{heart}" in french.stdout
    assert "SIMULÉES" in french.stdout
    assert "patients sous 0,10" in french.stdout
    again = run(made, tmp_path / "r", "--jobs", 1, lang="fr", form="report")
    assert again.stdout == french.stdout
    assert again.stderr == "veilleur: 3 partitions déjà jugées, reprises\n"


_KILLED_BEFORE_THE_SECOND_IS_MARKED = """
import os, signal
from agent import backtest_partitions as partitions
write, written = partitions._write, []
def spoilt(target, data):
    if target.suffix == ".json" and len(written) >= 4:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(target)
    write(target, data)
partitions._write = spoilt
"""

_KILLED_AFTER_THE_FIRST_IS_DONE = """
import os, signal
from agent import backtest_population as population
run = population._run
def spoilt(tasks, request):
    for judged in run(tasks, request):
        os.kill(os.getpid(), signal.SIGKILL)
        yield judged
population._run = spoilt
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("jobs", "spoilt", "left"),
    [("1", _KILLED_BEFORE_THE_SECOND_IS_MARKED, 5), ("2", _KILLED_AFTER_THE_FIRST_IS_DONE, None)],
)
def test_a_killed_run_goes_on_where_it_was(
    jobs: str, spoilt: str, left: int | None, made: Path, whole: Result, tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    asked = ["backtest", *PROTOCOLS, "--population", str(made), "--results", str(tmp_path / "r"), "--jobs", jobs]
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nif __name__ == '__main__':\n"
        + "".join(f"    {line}\n" for line in spoilt.splitlines())
        + f"    sys.argv[1:] = {asked!r}\n    from agent.cli import main\n    main()\n",
        encoding="utf-8",
    )
    # Its output ends only when its last process has: a worker that outlived its parent would run into the timeout.
    killed = subprocess.run([sys.executable, str(script)], capture_output=True, timeout=150, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = files(tmp_path / "r")
    done = {name: kept for name, kept in before.items() if name.endswith(".json")}
    assert 2 <= len(done) < 6
    assert left is None or len(before) == left
    again = run(made, tmp_path / "r", "--jobs", 1)
    assert (again.exit_code, again.stdout) == (0, whole.stdout)
    after = files(tmp_path / "r")
    assert {name: after[name] for name in done} == done  # neither judged nor written again
    assert {name for name in after if "/." not in name} == set(files_of(made))


def files_of(made: Path) -> Iterator[str]:
    for part in sorted(made.glob("*.parquet")):
        for name in ("diabetes_cgm", "heart_failure"):
            stem = f"{part.stem}/{name}-{load_protocol(name, Path()).protocol_hash[:16]}"
            yield f"{stem}.alerts.csv.gz"
            yield f"{stem}.json"


def test_what_changed_is_judged_again_and_nothing_else(tmp_path: Path) -> None:
    population, results = tmp_path / "p", tmp_path / "r"
    for name in ("a", "b"):
        write_parquet(population / f"{name}.parquet", low_day(name))
    assert run(population, results, "--jobs", 1).stderr == ""
    first = files(results)
    write_parquet(population / "b.parquet", low_day("b", low=50))
    again = run(population, results, "--jobs", 1)
    assert "1 partitions were judged before" in again.stderr
    assert json.loads(again.stdout)[0]["burden"]["rules"]["hypo_level_2"]["raised"] == 1
    second = files(results)
    assert [name for name in first if first[name][0] != second[name][0]] == [name for name in first if name[0] == "b"]
    run(population, results, "--jobs", 1, "--zone", "America/Guadeloupe")
    assert all(second[name][0] != kept[0] for name, kept in files(results).items() if name.endswith(".json"))
    for name in first:
        if name.endswith(".json"):
            (results / name).write_bytes(b"{")
    assert "were judged before" not in run(population, results, "--jobs", 1).stderr


def test_a_patients_folder_is_one_partition(tmp_path: Path) -> None:
    evening = glucose("q", [60] * 4, MORNING + timedelta(minutes=15))
    write_parquet(tmp_path / "site=1" / "patient=q" / "1.parquet", glucose("q", [100] * 3))
    write_parquet(tmp_path / "site=1" / "patient=q" / "2.parquet", evening)
    write_parquet(tmp_path / "site=2" / "rest.parquet", low_day("r"))
    result = run(tmp_path, tmp_path / "results", "--jobs", 1)
    (diabetes, _) = json.loads(result.stdout)
    assert (diabetes["burden"]["patients"], diabetes["burden"]["rules"]["hypo_level_1"]["raised"]) == (2, 2)
    assert {
        str(path.relative_to(tmp_path / "results")).rsplit("/", 1)[0] for path in (tmp_path / "results").rglob("*.json")
    } == {
        "site=1/patient=q",
        "site=2/rest",
    }


def test_a_damaged_partition_is_told_and_the_others_count(tmp_path: Path) -> None:
    population = tmp_path / "p"
    write_parquet(population / "good.parquet", low_day("p"))
    (population / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    for lang, word in (("en", "damaged"), ("fr", "abîmé")):
        result = run(population, tmp_path / "r", "--jobs", 1, lang=lang)
        assert result.exit_code == 1
        faults = [line for line in result.stderr.splitlines() if "bad.parquet" in line]
        assert len(faults) == 1
        assert word in faults[0]
        assert json.loads(result.stdout)[0]["burden"]["patients"] == 1


def test_times_without_a_zone_are_told_of_a_population_and_rules_never_judged(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        write_parquet(tmp_path / "p" / f"{name}.parquet", low_day(name), zone=None if name == "p2" else "UTC")
    for again in range(2):
        done = run(tmp_path / "p", tmp_path / "kept", "--jobs", 1, form="report")
        assert "Times without an offset are read as UTC: 08:00 in the file = 09:00 in Paris." in done.stdout, again
        assert "* weight_gain_3_days: never judged on this history (no reading)" in done.stdout, again


def test_a_patient_in_two_partitions_is_told(tmp_path: Path) -> None:
    population = tmp_path / "p"
    for name in ("one", "two"):
        write_parquet(population / f"{name}.parquet", low_day("p"))
    result = run(population, tmp_path / "r", "--jobs", 1)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1,
        "veilleur: p is in one and in two: a patient must lie in one partition",
    )


def test_what_cannot_be_done_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, options in (
        (tmp_path / "absent", ()),
        (tmp_path / "empty", ()),
        (tmp_path / "empty", ("--protocol", "diabetes_cgm")),
        (tmp_path / "empty", ("--zone", "Mars/Base")),
    ):
        result = run(folder, tmp_path / "r", *options)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)


class Deadly:
    """A task that ends the process that unpacks it, as a kernel short of memory would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (9,)


@pytest.mark.process
def test_a_process_that_is_ended_is_told_with_the_next_step() -> None:
    with pytest.raises(RequestError) as caught:
        list(run_here([Deadly(), Deadly()], 2))  # type: ignore[list-item]
    assert "fewer --jobs" in caught.value.hint.en


@pytest.mark.process
def test_a_dask_cluster_says_what_processes_say(made: Path, whole: Result, tmp_path: Path) -> None:
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        host="127.0.0.1",
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as cluster:
        result = run(made, tmp_path / "r", "--scheduler", cluster.scheduler_address)
    assert (result.exit_code, result.stdout) == (0, whole.stdout), result.stderr
    assert set(files(tmp_path / "r")) == set(files_of(made))


def test_a_scheduler_that_is_not_there_is_one_sentence(made: Path, tmp_path: Path) -> None:
    result = run(made, tmp_path / "r", "--scheduler", "nowhere")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert "No Dask scheduler answers at nowhere" in result.stderr
