import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality.glucose import harness
from benchmarks.quality.glucose.episodes import PROTOCOL, level_rules
from benchmarks.quality.glucose.harness import JudgeError, LookAheadError, Sitting, checked, judged
from benchmarks.quality.glucose.judge import Scoring, Watching
from benchmarks.quality.glucose.scorers import Setting
from benchmarks.quality.glucose.traces import MINUTE, Trace
from tests.quality.glucose.kit import wave

LEAKING = Path(__file__).parent / "leaking_judge.py"
SETTING = Setting(level=70, cadence=5, gap=20)


def scoring(name: str, *thresholds: float) -> Scoring:
    return Scoring(scorer=name, setting=SETTING, thresholds=thresholds)


def smoothed(trace: Trace) -> Trace:
    """A centred mean of three readings: the middle one knows the next."""
    padded = (trace.counts[0], *trace.counts, trace.counts[-1])
    means = tuple(round(sum(padded[index : index + 3]) / 3) for index in range(len(trace.counts)))
    return replace(trace, counts=means)


def trailing(trace: Trace) -> Trace:
    """A mean of the last three readings: honest, only later."""
    counts = tuple(
        round(sum(trace.counts[max(0, index - 2) : index + 1]) / min(3, index + 1))
        for index in range(len(trace.counts))
    )
    return replace(trace, counts=counts)


def filled_in(trace: Trace) -> Trace:
    """Five-minute points between readings 15 minutes apart: a point knows the reading after it."""
    points = [(trace.times[0], trace.counts[0])]
    for index in range(1, len(trace.times)):
        before, after = trace.counts[index - 1 : index + 1]
        points += [
            (trace.times[index] - (3 - part) * 5 * MINUTE, round(before + (after - before) * part / 3))
            for part in (1, 2, 3)
        ]
    times, counts = zip(*points, strict=True)
    return replace(trace, times=times, counts=counts, cadence=5 * MINUTE)


def test_honest_judges_are_let_through() -> None:
    for task in (scoring("holt_ar2", -69.0), scoring("kalman", 0.5), scoring("linear", -70.0), scoring("random", 0.9)):
        answers = checked([Sitting(trace=wave(), task=task)])
        assert [one.time for one in answers[0]] == list(wave().times)
        assert any(one.alarms[0] for one in answers[0])
    answers = checked([Sitting(trace=wave(), task=scoring("ar2", -70.0))], prepare=trailing)
    assert len(answers[0]) == len(wave().times)


def test_centred_smoothing_is_refused() -> None:
    with pytest.raises(LookAheadError, match="later readings"):
        checked([Sitting(trace=wave(), task=scoring("holt_ar2", -69.0))], prepare=smoothed)


def test_filling_in_between_readings_is_refused() -> None:
    with pytest.raises(LookAheadError, match="later readings"):
        checked([Sitting(trace=wave(step=15), task=scoring("holt_ar2", -69.0))], prepare=filled_in)


def test_a_judge_that_remembers_an_earlier_pass_is_refused(tmp_path: Path) -> None:
    judge = (sys.executable, str(LEAKING), "remember", str(tmp_path / "kept.json"))
    sitting = Sitting(trace=wave(), task=scoring("threshold"))
    judged([sitting], judge=judge)
    with pytest.raises(LookAheadError):
        checked([sitting], judge=judge)


def test_a_judge_that_reads_the_recording_itself_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "recording.json"
    trace = wave()
    pairs = ", ".join(f'"{time}": {count}' for time, count in zip(trace.times, trace.counts, strict=True))
    file.write_text(f"{{{pairs}}}")
    with pytest.raises(LookAheadError, match="date"):
        checked(
            [Sitting(trace=trace, task=scoring("threshold"))], judge=(sys.executable, str(LEAKING), "peek", str(file))
        )


def test_a_judge_that_waits_for_the_next_reading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "PATIENCE", 1.0)
    waiting = "import sys\nsys.stdin.readline(); sys.stdin.readline(); sys.stdin.readline()"
    with pytest.raises(JudgeError, match="before it is sent the next"):
        judged([Sitting(trace=wave(), task=scoring("threshold"))], judge=(sys.executable, "-c", waiting))


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        ("pass", "stopped"),
        ("import sys\nfor line in sys.stdin: print('1 -1.0 0', flush=True)", "asked about"),
        (
            "import sys\nfor line in sys.stdin:\n if line[0] != '{': print(line.split()[0], 'high 0', flush=True)",
            "high",
        ),
    ],
    ids=["stops", "answers_for_another_time", "speaks_in_riddles"],
)
def test_a_judge_that_cannot_be_read_is_refused(judge: str, words: str) -> None:
    with pytest.raises(JudgeError, match=words):
        judged([Sitting(trace=wave(), task=scoring("threshold"))], judge=(sys.executable, "-c", judge))


def test_a_judge_is_not_told_where_the_recordings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/somewhere")
    asking = (
        "import os, sys\n"
        "for line in sys.stdin:\n"
        " if line[0] != '{': print(line.split()[0], '-', int('DATA' in os.environ or bool(os.listdir())), flush=True)"
    )
    ((answer, *_),) = judged([Sitting(trace=wave(), task=scoring("threshold"))], judge=(sys.executable, "-c", asking))
    assert answer.alarms == (False,)


def test_the_engine_is_judged_the_same_way() -> None:
    protocol = PROTOCOL.read_text(encoding="utf-8")
    rules = tuple(level_rules(protocol).values())
    sitting = Sitting(trace=wave(), task=Watching(protocol=protocol, rules=rules))
    (answers,) = checked([sitting])
    raised = [place for answer in answers for place, alarm in enumerate(answer.alarms) if alarm]
    assert {rules[place] for place in raised} >= {rules[0], rules[2]}
    for answer in answers:
        assert sum(told["kind"] == "raised" for told in answer.told) >= sum(answer.alarms)
        assert all(told["onset"] <= told["raised_at"] <= answer.time for told in answer.told)
