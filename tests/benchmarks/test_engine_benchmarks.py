"""What the engine is measured against gives its alerts: the twin in C, the rules in C code, and numpy's four rules."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting import compiled, layout
from alerting.care_protocol import CareProtocol
from alerting.program import compile_program
from benchmarks.batch import alerts_of_rows, history_of, require_same
from benchmarks.engine_rules import MINUTE, Trace, four, traces, twelve
from benchmarks.kernel import Bench, UnequalError, require_equal, require_equal_rows
from benchmarks.kernel_twin import KernelTwin, NoCompilerError
from benchmarks.live import by_engine, by_kernel, by_oracle
from benchmarks.population import START_MS

STEPS = st.tuples(st.sampled_from([5, 5, 5, 5, 5, 15, 31, 46, 200]), st.integers(-600, 600))


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> KernelTwin:
    try:
        return KernelTwin(tmp_path_factory.mktemp("twin"))
    except NoCompilerError as error:
        if os.environ.get("VEILLEUR_NO_SKIP"):
            raise
        pytest.skip(str(error))


@st.composite
def drawn(draw: st.DrawFn) -> Trace:
    """A trace that often turns, with silences of every length that matters."""
    steps = draw(st.lists(STEPS, min_size=1, max_size=60)) * draw(st.integers(1, 8))
    jitter = draw(st.integers(0, 30_000))
    times, counts, at, value = [], [], START_MS, 1200
    for number, (minutes, change) in enumerate(steps):
        at += minutes * MINUTE + (jitter if number % 2 else -jitter)
        value = min(max(value + change, 400), 4000)
        times.append(at)
        counts.append(value)
    return Trace(times=np.array(times, np.int64), counts=np.array(counts, np.int64))


def bench(protocol: CareProtocol, *some: Trace, block: int | None = None) -> Bench:
    return Bench(program=compile_program(protocol), traces=some, block=block)


@settings(max_examples=25, deadline=None)
@given(trace=drawn())
def test_the_kernel_and_its_twin_in_c_write_the_same_rows_and_state(twin: KernelTwin, trace: Trace) -> None:
    for protocol in (twelve(), four()):
        require_equal(bench(protocol, trace), [compiled.judge, twin.judge])
        require_equal(bench(protocol, trace, block=1), [compiled.judge, twin.judge])
    require_equal_rows(bench(twelve(), trace), twin)


def test_years_of_simulated_readings_tells_most_rules_and_all_alike(twin: KernelTwin) -> None:
    month = bench(twelve(), *traces(5, days=365))
    require_equal(month, [compiled.judge, twin.judge])
    require_equal_rows(month, twin)
    rules = np.concatenate([rows for rows, _ in month.run(compiled.judge)])[:, layout.O_RULE]
    assert len(set(rules.tolist())) >= 9


def test_a_judge_that_loses_an_alert_is_found_out(twin: KernelTwin) -> None:
    def forgetful(*arguments: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[int, int]:
        rows, done = twin.judge(*arguments)
        return max(0, rows - 1), done

    with pytest.raises(UnequalError):
        require_equal(bench(twelve(), *traces(1, days=30)), [compiled.judge, forgetful])


def test_alerts_that_differ_are_refused() -> None:
    (rows, _), *_ = bench(four(), *traces(1, days=30)).run(compiled.judge)
    alerts = alerts_of_rows(rows)
    require_same({"kernel": [alerts], "other": [alerts.copy()]})
    with pytest.raises(UnequalError, match="other"):
        require_same({"kernel": [alerts], "other": [alerts[:-1]]})


@settings(max_examples=10, deadline=None)
@given(trace=drawn())
def test_engine_kernel_and_oracle_tell_the_same_at_each_reading(trace: Trace) -> None:
    readings = history_of(trace, "simulated").readings()[:120]
    steps = [by_engine(readings), by_kernel(trace), by_oracle(readings)]
    for place in range(len(readings)):
        engine, kernel, oracle = (step(place) for step in steps)
        assert engine == kernel == oracle


def test_traces_are_the_same_each_time_and_their_times_increase() -> None:
    one, again = (traces(2, days=3, seed=4) for _ in range(2))
    for trace, its in zip(one, again, strict=True):
        assert np.array_equal(trace.times, its.times)
        assert np.array_equal(trace.counts, its.counts)
        assert all(earlier < later for earlier, later in pairwise(trace.times.tolist()))


def test_nothing_that_only_make_bench_installs_is_imported_with_the_others() -> None:
    for name in ("batch", "kernel", "live", "replay"):
        text = (Path(__file__).parents[2] / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        outside = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
        assert not any(peer in line for line in outside for peer in ("pandas", "polars", "duckdb", "river", "_peers"))
