"""The harness owns the clock: it hands a judge one reading, records the answer, and only then sends the next.

A judge is a process of its own, started afresh for each pass in an empty folder, and told neither where the recordings
are nor what comes next. Before a pass may become a row, `checked` runs it again on some people:

- cut short at some readings, and with another future after them: what was answered before the next reading must be
  the same, exactly;
- under another name and in other years: the answers must be the same, so that they come from what was handed over.

What a study does to a recording before judging it (`prepare`: smoothing, filling in) is run again with it, on the cut
and altered recording, since that is where looking ahead hides.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol

from benchmarks.quality.glucose.traces import DAY, ROOT, Trace

JUDGE = (sys.executable, "-m", "benchmarks.quality.glucose.judge")
WATCHED = 3
"""People of a pass who are judged again."""
AFTER_ALARMS = 3
"""Readings with an alarm after which the future is changed, besides those at fixed shares of the trace."""
SHARES = (0.3, 0.6, 0.9)
FUTURE = 48
"""Readings of another future."""
FOREVER = 1 << 62
PATIENCE = 30.0
"""Seconds without an answer after which a judge is taken to wait for the next reading."""
MOVED = 1400 * DAY
"""Whole weeks, so that no weekday changes."""

Prepare = Callable[[Trace], Trace]


class Task(Protocol):
    """What a judge is told when a person begins."""

    def line(self, patient: str) -> str:
        """Return the line that begins a person."""
        ...


class JudgeError(Exception):
    """A judge stopped or said what cannot be read."""


class LookAheadError(Exception):
    """A judge's past changed with its future: nothing that it answered may be printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a judge answered to one reading before it was sent the next.

    Attributes:
        time: ms UTC of the reading.
        risk: None from a judge that gives none.
        alarms: by threshold or rule.
        told: what the engine told.
    """

    time: int
    risk: float | None
    alarms: tuple[bool, ...]
    told: tuple[dict[str, Any], ...]

    def moved(self, by: int) -> "Answer":
        """Return the same answer so many ms later; a number in what was told is a time."""
        told = tuple(
            {key: one + by if isinstance(one, int) else one for key, one in item.items()} for item in self.told
        )
        return replace(self, time=self.time + by, told=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """One person before a judge."""

    trace: Trace
    task: Task


def as_recorded(trace: Trace) -> Trace:
    """Do nothing to a recording."""
    return trace


def checked(
    sittings: Sequence[Sitting], *, judge: Sequence[str] = JUDGE, prepare: Prepare = as_recorded
) -> list[tuple[Answer, ...]]:
    """Return a judge's answers, one tuple a sitting, once it is shown not to look ahead.

    Raises:
        JudgeError: the judge stopped or cannot be read.
        LookAheadError: its past changed with its future, or with a name or a year.
    """
    answers = judged([replace(one, trace=prepare(one.trace)) for one in sittings], judge=judge)
    ordered = sorted(range(len(sittings)), key=lambda place: sha256(sittings[place].trace.patient.encode()).digest())
    probes = [probe for place in ordered[:WATCHED] for probe in _probes(sittings[place], answers[place])]
    again = judged([replace(one.sitting, trace=prepare(one.sitting.trace)) for one in probes], judge=judge)
    for probe, given in zip(probes, again, strict=True):
        if probe.expected != [one.moved(-probe.moved) for one in given if one.time < probe.until]:
            raise LookAheadError(probe.fault)
    return answers


def judged(sittings: Sequence[Sitting], *, judge: Sequence[str] = JUDGE) -> list[tuple[Answer, ...]]:
    """Return what one judge, started afresh, answers to each sitting, reading by reading."""
    with _process(judge) as process:
        return [tuple(_answers(process, one)) for one in sittings]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """Another recording, and what must be answered to it before a time: the same."""

    sitting: Sitting
    expected: list[Answer]
    until: int
    moved: int
    fault: str


def _probes(sitting: Sitting, answers: tuple[Answer, ...]) -> Iterator[_Probe]:
    trace = sitting.trace
    elsewhere = replace(trace, patient="somebody", times=tuple(time + MOVED for time in trace.times))
    yield _Probe(
        sitting=replace(sitting, trace=elsewhere),
        expected=list(answers),
        until=FOREVER,
        moved=MOVED,
        fault=f"{trace.patient}: the answers depend on who it is or on the date",
    )
    for cut in _cuts(trace, answers):
        # Up to the next reading of the recording: a value filled in between may not know it either.
        following = trace.times[cut + 1]
        for other in (trace.until(cut), _future_changed(trace, cut)):
            yield _Probe(
                sitting=replace(sitting, trace=other),
                expected=[one for one in answers if one.time < following],
                until=following,
                moved=0,
                fault=f"{trace.patient}: what was answered before reading {cut + 1} depends on later readings",
            )


def _cuts(trace: Trace, answers: tuple[Answer, ...]) -> list[int]:
    """Return after which readings the future is changed: at fixed shares, and right after some alarms."""
    last = len(trace.times) - 2
    alarming = {answer.time for answer in answers if any(answer.alarms)}
    after_alarms = [index for index, time in enumerate(trace.times[: last + 1]) if time in alarming]
    some = after_alarms[:: max(1, len(after_alarms) // AFTER_ALARMS)][:AFTER_ALARMS]
    return sorted({*(int(share * last) for share in SHARES), *some})


def _future_changed(trace: Trace, cut: int) -> Trace:
    """Return the trace up to a reading, inclusive, and then other values at the same times."""
    past = trace.until(cut)
    times = trace.times[cut + 1 : cut + 1 + FUTURE]
    counts = tuple(400 + (7 * trace.counts[cut] + 1310 * step) % 3200 for step in range(1, len(times) + 1))
    return replace(past, times=past.times + times, counts=past.counts + counts)


@contextmanager
def _process(judge: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    kept = {name: value for name, value in os.environ.items() if name != "DATA"}
    with (
        tempfile.TemporaryDirectory() as empty,
        subprocess.Popen(
            judge,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=empty,
            env={**kept, "PYTHONPATH": str(ROOT)},
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _answers(process: "subprocess.Popen[str]", sitting: Sitting) -> Iterator[Answer]:
    if process.stdin is None or process.stdout is None:
        raise JudgeError("the judge has no pipes")
    write, flush, readline = process.stdin.write, process.stdin.flush, process.stdout.readline
    try:
        write(sitting.task.line(sitting.trace.patient) + "\n")
        for time, count in zip(sitting.trace.times, sitting.trace.counts, strict=True):
            write(f"{time} {count}\n")
            flush()
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                raise JudgeError(f"no answer within {PATIENCE} s: a judge answers before it is sent the next reading")
            yield _read(time, readline())
    except BrokenPipeError as error:
        raise JudgeError("the judge stopped") from error


def _read(time: int, line: str) -> Answer:
    if not line.endswith("\n"):
        raise JudgeError("the judge stopped")
    of, risk, digits, told = ([*line.rstrip("\n").split(" ", 3), "", "", ""])[:4]
    if of != str(time):
        raise JudgeError(f"asked about {time}, the judge said {line!r}")
    try:
        return Answer(
            time=time,
            risk=None if risk == "-" else float(risk),
            alarms=tuple(digit == "1" for digit in digits),
            told=tuple(json.loads(told)) if told else (),
        )
    except ValueError as error:
        raise JudgeError(f"the judge said {line!r}") from error
