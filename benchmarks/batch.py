"""A year of readings judged at once by four rules: the kernel beside pandas, polars, numpy and DuckDB, one core each.

All of them must give the same alerts on every trace, or nothing is said. `kernel` is columns in, rows out, as it is for
the others; `backtest` is the whole of what `veilleur backtest` does with a patient: readings as values, alerts with
their evidence and sentences, their lives and ids.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from zoneinfo import ZoneInfo

import numpy as np

from alerting import compiled, layout
from alerting.backtest import AlertOutcome, judge_patient
from alerting.care_protocol import CareProtocol
from alerting.history import CODES, History
from alerting.program import compile_program
from benchmarks.engine_rules import FOUR_RULES, Trace, Words, four, traces
from benchmarks.figure import say
from benchmarks.kernel import Bench, UnequalError
from devices.reading import Quantity

PATIENTS = int(os.environ.get("BATCH_PATIENTS", "4"))
ROUNDS = int(os.environ.get("BATCH_ROUNDS", "5"))
AIMS = {"pandas": 20, "polars": 8, "numpy": 8, "DuckDB": 100}
PARIS = ZoneInfo("Europe/Paris")


def history_of(trace: Trace, patient: str) -> History:
    """Return a trace as a recorded patient."""
    codes = np.full(len(trace), CODES[Quantity.GLUCOSE_INTERSTITIAL], np.int8)
    return History.recorded(patient, trace.times, codes, trace.counts)


def alerts_of_rows(rows: Words) -> Words:
    """Return (time, rule, raised) of the kernel's rows, sorted."""
    order = np.lexsort((rows[:, layout.O_RAISED], rows[:, layout.O_RULE], rows[:, layout.O_AT]))
    return rows[order][:, [layout.O_AT, layout.O_RULE, layout.O_RAISED]]


def alerts_of_outcomes(outcomes: tuple[AlertOutcome, ...]) -> Words:
    """Return (time, rule, raised) of alerts, sorted."""
    rows = [(one.raised_at, FOUR_RULES.index(one.rule), 1) for one in outcomes]
    rows += [(one.resolved_at, FOUR_RULES.index(one.rule), 0) for one in outcomes if one.resolved_at is not None]
    return np.array(sorted(rows), np.int64).reshape(-1, 3)


def require_same(alerts: dict[str, list[Words]]) -> None:
    """Compare what each found, a patient an array, with what the first one did.

    Raises:
        UnequalError: one differs.
    """
    name, expected = next(iter(alerts.items()))
    for other, found in alerts.items():
        if not all(np.array_equal(one, its) for one, its in zip(expected, found, strict=True)):
            raise UnequalError(f"{other} does not give the alerts of {name}")


def figures() -> None:
    # Only `make bench` installs these, so that nothing but it may need them.
    from benchmarks import batch_peers  # noqa: PLC0415

    some = traces(PATIENTS)
    protocol = four()
    bench = Bench(program=compile_program(protocol), traces=some)
    tables = batch_peers.DuckTables(some)
    pandas_frames = [batch_peers.pandas_frame(trace) for trace in some]
    polars_frames = [batch_peers.polars_frame(trace) for trace in some]
    histories = [history_of(trace, f"simulated-{number}") for number, trace in enumerate(some)]
    contestants: dict[str, Callable[[], list[Words]]] = {
        "kernel": lambda: [alerts_of_rows(rows) for rows, _ in bench.run(compiled.judge)],
        "numpy": lambda: [batch_peers.by_numpy(trace) for trace in some],
        "polars": lambda: [batch_peers.by_polars(frame) for frame in polars_frames],
        "pandas": lambda: [batch_peers.by_pandas(frame) for frame in pandas_frames],
        "DuckDB": lambda: [tables.judged(number) for number in range(len(some))],
        "backtest": partial(_backtest, protocol, histories),
    }
    require_same({name: work() for name, work in contestants.items()})
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, work in contestants.items():
            began = time.process_time()
            work()
            times[name].append((time.process_time() - began) / bench.readings * 1e9)
    facts = {"rules": len(FOUR_RULES), "readings": bench.readings, "cores": 1}
    for name, taken in times.items():
        say("batch.reading", "ns", taken, who=name, **facts)
    for name, aim in AIMS.items():
        ratios = [its / mine for mine, its in zip(times["kernel"], times[name], strict=True)]
        say("batch.ratio", "times the kernel's", ratios, who=name, aim=aim, met=median(ratios) >= aim, **facts)


def _backtest(protocol: CareProtocol, histories: list[History]) -> list[Words]:
    return [alerts_of_outcomes(judge_patient(protocol, history, zone=PARIS)) for history in histories]
