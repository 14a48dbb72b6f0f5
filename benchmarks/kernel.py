"""What a reading costs the kernel alone: the twelve rules of `engine_rules`, columns of integers in, rows out.

Beside it stand the same design in C on the same program and state (its rows and its state bytes must be equal, or
nothing is said), the twelve rules written into C code as a bound (equal rows), the kernel made to take one reading at
a time, and the kernel's source in the Python interpreter. What is compiled ahead of time serves any processor of its
architecture and what is compiled at start has every instruction of this one; so has C, and each stands beside its
like. All take turns in one process, so that a busy machine slows all of them; a ratio is that of a turn. What the
engine makes of a row, and of a reading, is `live` and `replay`.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.synchronize import Barrier
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from alerting import compiled, layout
from alerting.errors import KernelError
from alerting.local_time import offsets
from alerting.program import RuleProgram, compile_program
from benchmarks.engine_rules import Trace, Words, traces, twelve
from benchmarks.figure import say
from benchmarks.kernel_twin import KernelTwin, NoCompilerError

PATIENTS = int(os.environ.get("KERNEL_PATIENTS", "10"))
ROUNDS = int(os.environ.get("KERNEL_ROUNDS", "21"))
ROOM = 8192
"""Rows that the engine gives the kernel room for."""
PLAIN_READINGS = 2_000
PORTABLE_C = "C, same design, for any processor"
NATIVE_C = "C, same design, for this processor"
AT_START = "kernel, compiled at start"

Judge = Callable[[Words, Words, Words, Words, Words, Words, Words], tuple[int, int]]

_PLAIN = """
import sys, time
from alerting.program import compile_program
from benchmarks import kernel
from benchmarks.engine_rules import Trace, traces, twelve
trace, = traces(1)
some = Trace(times=trace.times[:%d], counts=trace.counts[:%d])
bench = kernel.Bench(program=compile_program(twelve()), traces=[some])
began = time.process_time()
bench.run(kernel.compiled.judge)
print(kernel.compiled.kind.value, (time.process_time() - began) / len(some) * 1e9)
"""


class UnequalError(Exception):
    """Two that were to be compared do not give the same alerts: their times say nothing."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """Traces, and what judges them.

    Attributes:
        program: of the protocol.
        traces: one stream each.
        block: readings judged at once at most; what the program says when None.
    """

    program: RuleProgram
    traces: Sequence[Trace]
    block: int | None = None
    _zone: Words = field(default_factory=lambda: offsets(ZoneInfo("Europe/Paris")).copy())

    @property
    def readings(self) -> int:
        return sum(len(trace) for trace in self.traces)

    def run(self, judge: Judge) -> list[tuple[Words, Words]]:
        """Return each trace's rows and its state at the end.

        Raises:
            KernelError: what judges is of another version of the kernel.
        """
        words = self.program.words.copy()
        if self.block is not None:
            words[layout.P_HEADER + layout.Q_BLOCK] = self.block
        out = np.zeros((ROOM, layout.O_WIDTH), np.int64)
        found = []
        for trace in self.traces:
            state = self.program.fresh_state(int(trace.times[0]))
            columns = np.zeros(len(trace), np.int64)
            rows, done = [], 0
            while done < len(trace):
                written, taken = judge(
                    words, self._zone, state, trace.times[done:], columns[done:], trace.counts[done:], out
                )
                if written < 0 or taken == 0:
                    raise KernelError
                rows.append(out[:written].copy())
                done += taken
            found.append((np.concatenate(rows), state))
        return found


def in_order(rows: Words) -> Words:
    """Return (time, rule, raised, onset) of rows, in order."""
    order = np.lexsort((rows[:, layout.O_RAISED], rows[:, layout.O_RULE], rows[:, layout.O_AT]))
    return rows[order][:, [layout.O_AT, layout.O_RULE, layout.O_RAISED, layout.O_ONSET]]


def require_equal(bench: Bench, judges: Sequence[Judge]) -> None:
    """Judge by each, and compare rows in order and the state's bytes.

    Raises:
        UnequalError: one of them gives others than the first.
    """
    first, *others = (bench.run(judge) for judge in judges)
    for other in others:
        for (rows, state), (its_rows, its_state) in zip(first, other, strict=True):
            if not np.array_equal(in_order(rows), in_order(its_rows)) or not np.array_equal(state, its_state):
                raise UnequalError("the kernel and its twin in C do not judge alike")


def require_equal_rows(bench: Bench, twin: KernelTwin) -> None:
    """Compare the rows of the kernel with those of the rules written into C.

    Raises:
        UnequalError: they differ.
    """
    for trace, (rows, _) in zip(bench.traces, bench.run(compiled.judge), strict=True):
        room = np.zeros((2 * len(rows) + 64, layout.O_WIDTH), np.int64)
        if not np.array_equal(in_order(rows), in_order(room[: twin.fused(trace.times, trace.counts, room)])):
            raise UnequalError("the kernel and the rules written into C do not judge alike")


def figures() -> None:
    program = compile_program(twelve())
    blocks = Bench(program=program, traces=traces(PATIENTS))
    single = Bench(program=program, traces=blocks.traces, block=1)
    contestants: dict[str, Callable[[], object]] = {"kernel": lambda: blocks.run(compiled.judge)}
    with tempfile.TemporaryDirectory(prefix="veilleur-") as folder:
        try:
            twin, portable = KernelTwin(Path(folder)), KernelTwin(Path(folder), native=False)
        except NoCompilerError as error:
            print(f"kernel: not compared with C: {error}", file=sys.stderr)
        else:
            require_equal(blocks, [compiled.judge, twin.judge, portable.judge])
            require_equal(single, [compiled.judge, twin.judge])
            require_equal_rows(blocks, twin)
            room = np.zeros((max(len(trace) for trace in blocks.traces), layout.O_WIDTH), np.int64)
            contestants[PORTABLE_C] = lambda: blocks.run(portable.judge)
            contestants[NATIVE_C] = lambda: blocks.run(twin.judge)
            contestants["C, rules in the code"] = lambda: [
                twin.fused(trace.times, trace.counts, room) for trace in blocks.traces
            ]
        if compiled.kind is compiled.Kind.AHEAD_OF_TIME:
            source = import_module("alerting.kernel")
            contestants[AT_START] = lambda: blocks.run(source.judge)
        contestants["kernel, one at a time"] = lambda: single.run(compiled.judge)
        times = in_turns(contestants, blocks.readings)
    facts = {"rules": program.rules.shape[0], "readings": blocks.readings, "cores": 1}
    for name, taken in times.items():
        say("kernel.reading", "ns", taken, who=name, kernel=compiled.kind.value, **facts)
    ahead = compiled.kind is compiled.Kind.AHEAD_OF_TIME
    pairs = [
        ("kernel", PORTABLE_C if ahead else NATIVE_C),
        (AT_START, NATIVE_C),
        ("kernel", "C, rules in the code"),
        ("kernel", "kernel, one at a time"),
    ]
    for one, other in pairs:
        if one in times and other in times:
            ratios = [mine / its for mine, its in zip(times[one], times[other], strict=True)]
            say("kernel.ratio", "times the other's", ratios, who=one, to=other, kernel=compiled.kind.value, **facts)
    say("kernel.reading", "ns", plain(), who="Python interpreter", readings=PLAIN_READINGS, cores=1)
    say("kernel.reading", "ns", two_cores(), who="kernel", kernel=compiled.kind.value, **(facts | {"cores": 2}))


def in_turns(contestants: dict[str, Callable[[], object]], readings: int) -> dict[str, list[float]]:
    """Return the processor time of each, in ns a reading, once a round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, work in contestants.items():
            began = time.thread_time()
            work()
            times[name].append((time.thread_time() - began) / readings * 1e9)
    return times


def plain() -> list[float]:
    """Return what the kernel's source costs as plain Python, in ns a reading, in processes of their own."""
    code = _PLAIN % (PLAIN_READINGS, PLAIN_READINGS)
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    found = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
        kind, cost = done.stdout.rsplit(maxsplit=1)
        if kind != compiled.Kind.PLAIN.value:
            raise RuntimeError(f"the kernel was {kind}")
        found.append(float(cost))
    return found


def two_cores() -> list[float]:
    """Return ns of wall time a reading when two processes judge half of the traces each."""
    context = multiprocessing.get_context("spawn")
    barrier, spans = context.Barrier(2), context.Queue()
    half = max(1, PATIENTS // 2)
    workers = [context.Process(target=_work, args=(barrier, spans, seed, half)) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    told = [spans.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    readings = sum(one[0] for one in told)
    rounds = zip(*(one[1] for one in told), strict=True)
    return [(max(end for _, end in both) - min(begin for begin, _ in both)) / readings for both in rounds]


def _work(barrier: Barrier, spans: "multiprocessing.Queue[object]", seed: int, patients: int) -> None:
    bench = Bench(program=compile_program(twelve()), traces=traces(patients, seed=seed))
    bench.run(compiled.judge)
    found = []
    for _ in range(ROUNDS):
        barrier.wait(timeout=600)
        began = time.perf_counter_ns()
        bench.run(compiled.judge)
        found.append((began, time.perf_counter_ns()))
    spans.put((bench.readings, found))
