# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"
"""A simulated population from Parquet: what decoding costs, what the kernel costs, and what the whole replay does.

- `replay.decode`, `replay.kernel`: processor time a reading of reading partitions into columns, and of the kernel over
  those columns, twelve rules and those of the shipped diabetes protocol. No alert is made of a row there.
- `replay.whole`: `veilleur backtest --population` as anybody runs it, alerts with their sentences and lives, report
  and files: 1 and 2 processes, and a Dask cluster of 2 workers on this machine. Readings a second of wall time, and
  the peak memory of the largest process.

    REPLAY_READINGS=100000000 make bench ARGS=replay   # the columns; some GB of disk, and minutes to write it
    REPLAY_WHOLE=5000000 make bench ARGS=replay        # the whole replay
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from distributed import LocalCluster

from agent.backtest_partitions import partitions_of
from alerting import compiled, layout
from alerting.care_protocol import CareProtocol
from alerting.errors import KernelError
from alerting.history import QUANTITIES, History
from alerting.local_time import offsets
from alerting.program import RuleProgram, compile_program
from alerting.recordings_parquet import ParquetRecording
from benchmarks.engine_rules import twelve
from benchmarks.figure import say
from benchmarks.kernel import ROOM
from benchmarks.population import write_population
from tests.alerting.protocols import packaged

READINGS = int(os.environ.get("REPLAY_READINGS", "2000000"))
WHOLE = int(os.environ.get("REPLAY_WHOLE", "100000"))
ROUNDS = int(os.environ.get("REPLAY_ROUNDS", "5"))
DAYS = 90
PATIENT_READINGS = 25_700
"""What a simulated patient has in so many days, about."""
PROTOCOL = "diabetes_cgm"
_MEASURED = """
import os, sys
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts a command from a small process: what a process had before it became another counts as that one's memory."""
ZONE = offsets(ZoneInfo("Europe/Paris")).copy()


def figures() -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-", dir=".") as name:
        folder = Path(name)
        columns(_population(folder / "columns", READINGS))
        whole(_population(folder / "whole", WHOLE))


def columns(population: Path) -> None:
    """Say what decoding and the kernel cost; the two take turns, patient by patient."""
    programs: dict[str, CareProtocol] = {"twelve": twelve(), PROTOCOL: packaged(PROTOCOL)}
    decode: list[float] = []
    kernel: dict[str, list[float]] = {rules: [] for rules in programs}
    compiled_programs = {rules: compile_program(protocol) for rules, protocol in programs.items()}
    readings = 0
    for _ in range(ROUNDS if READINGS <= 10_000_000 else 1):
        readings, spent = 0, dict.fromkeys(["decode", *programs], 0.0)
        began = time.thread_time()
        for history in _histories(population):
            spent["decode"] += time.thread_time() - began
            readings += len(history)
            for rules, program in compiled_programs.items():
                began = time.thread_time()
                judge_columns(program, history)
                spent[rules] += time.thread_time() - began
            began = time.thread_time()
        decode.append(spent["decode"] / readings * 1e9)
        for rules, taken in kernel.items():
            taken.append(spent[rules] / readings * 1e9)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say("replay.decode", "ns", decode, readings=readings, peak_mib=round(peak))
    for rules, taken in kernel.items():
        say("replay.kernel", "ns", taken, rules=rules, readings=readings, kernel=compiled.kind.value)
        ratios = [mine / its for mine, its in zip(taken, decode, strict=True)]
        say("replay.kernel_to_decode", "times", ratios, rules=rules, readings=readings, aim=1)


def judge_columns(program: RuleProgram, history: History) -> int:
    """Take a history through the kernel; return how many rows it wrote.

    Raises:
        KernelError: the compiled kernel is of another version.
    """
    of_quantity = np.array([program.columns.get(quantity, -1) for quantity in QUANTITIES], np.int64)
    column = np.where(history.judged, of_quantity[history.quantities], -1)
    state = program.fresh_state(int(history.times[0]))
    out = np.empty((ROOM, layout.O_WIDTH), np.int64)
    done = total = 0
    while done < len(history):
        rows, taken = compiled.judge(
            program.words, ZONE, state, history.times[done:], column[done:], history.counts[done:], out
        )
        if rows < 0 or taken == 0:
            raise KernelError
        done += taken
        total += rows
    return total


def whole(population: Path) -> None:
    """Say how long the command takes, by processes and by a cluster; all must leave the same alerts."""
    readings = sum(len(history) for history in _histories(population))
    rates: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {}
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        ways = {
            "1 process": ["--jobs", "1"],
            "2 processes": ["--jobs", "2"],
            "Dask, 2 workers": ["--scheduler", cluster.scheduler_address],
        }
        said = set()
        for round_ in range(ROUNDS):
            for name, way in ways.items():
                results = population.with_name(f"results-{round_}-{len(rates)}-{name[0]}")
                took, peak, report = _command(population, results, way)
                rates.setdefault(name, []).append(readings / took)
                peaks.setdefault(name, []).append(peak)
                said.add(report)
        if len(said) != 1:
            raise RuntimeError("the ways to judge a population do not report the same")
    for name, found in rates.items():
        say("replay.whole", "readings/s", found, who=name, rules=PROTOCOL, readings=readings)
        if not name.startswith("Dask"):  # the workers' memory is not the command's
            say("replay.memory", "MiB", peaks[name], who=name, of="the largest process")
    for name in ("2 processes", "Dask, 2 workers"):
        say(
            "replay.speed_up",
            "times one process",
            [a / b for a, b in zip(rates[name], rates["1 process"], strict=True)],
            who=name,
        )


def _command(population: Path, results: Path, way: list[str]) -> tuple[float, float, str]:
    """Run the command; return wall seconds, peak MiB of its largest process, and what it reported."""
    command = [
        sys.executable,
        "-c",
        "from agent.cli import main; main()",
        "backtest",
        "--population",
        str(population),
        "--protocol",
        PROTOCOL,
    ]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *command, "--results", str(results), *way],
        check=True,
        capture_output=True,
        text=True,
    )
    peak = int(done.stderr.rsplit(maxsplit=1)[-1]) / 1024
    return time.perf_counter() - began, peak, done.stdout


def _histories(population: Path) -> Iterator[History]:
    for partition in partitions_of(population):
        yield from ParquetRecording(partition.files).histories()


def _population(folder: Path, readings: int) -> Path:
    """Write partitions of about so many readings in all, four at least, and return their folder."""
    patients = max(4, -(-readings // PATIENT_READINGS))
    for _ in write_population(folder, patients=patients, days=DAYS, per_file=min(25, -(-patients // 4)), seed=1):
        pass
    return folder
