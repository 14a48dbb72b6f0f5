"""The kernel compiled ahead of time: it serves without the compiler, and judges as its source does."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting import compiled, kernel, layout
from alerting.alert import Sentence
from alerting.compiled import Kind, Words
from alerting.extension import ExtensionError, vetted
from alerting.kernel_source import source_checksum
from alerting.local_time import offsets
from alerting.program import RuleProgram, compile_program
from tests.alerting.worlds import World, dense_worlds, sparse_worlds, worlds

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "kernel_build.py"

_LOAD = """
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
loader = ExtensionFileLoader("alerting._kernel", {path!r})
sys.modules["alerting._kernel"] = module_from_spec(spec_from_loader(loader.name, loader))
"""
_JUDGE = """
import hashlib, random, sys
from alerting import compiled
from alerting.engine import Engine
from tests.alerting.worlds import *
chance = random.Random(20260303)
told = hashlib.sha256()
for name, quantity, values in (("diabetes_cgm", CGM, (500, 2600)), ("heart_failure", WEIGHT, (70000, 73000))):
    at, value, readings = START, sum(values) // 2, []
    for number in range(400):
        at += chance.choice((5, 5, 5, 5, 15, 60, 600)) * MINUTE
        value = min(max(value + chance.randint(-120, 120) * (values[1] - values[0]) // 1000, values[0]), values[1])
        readings.append(reading(quantity, value, at))
    engine = Engine(packaged(name), patient=PATIENT, zone=PARIS, since=START)
    changes = [*engine.feed(readings[:150]), *engine.feed(readings[150:]), *engine.tick(at + 30 * DAY)]
    told.update(repr(changes).encode() + engine.snapshot())
    assert len(changes) > 10, name
print(compiled.kind.value, "numba" in sys.modules, told.hexdigest(), sep="|")
"""


def loaded(path: Path) -> ModuleType:
    loader = ExtensionFileLoader("alerting._kernel", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    return module_from_spec(spec)


def serves(path: Path) -> bool:
    try:
        return bool(vetted(loaded(path)))
    except (ImportError, ExtensionError):
        return False


@pytest.fixture(scope="module")
def built(pytestconfig: pytest.Config) -> Path:
    """The extension of this source: the one that lies beside it, or one compiled once until the source changes."""
    beside = [path for path in (ROOT / "alerting").glob("_kernel*.so") if serves(path)]
    if beside:
        return beside[0]
    key = hashlib.sha256(source_checksum().encode() + BUILD.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = Path(pytestconfig.cache.mkdir(f"kernel-{key}"))
    if not list(folder.glob("_kernel*.so")):
        done = subprocess.run([sys.executable, BUILD, folder], capture_output=True, text=True, check=False)
        if done.returncode != 0 and os.environ.get("VEILLEUR_NO_SKIP"):
            pytest.fail(f"the kernel must be compiled here and nothing be skipped: {done.stderr}")
        if done.returncode != 0:
            pytest.skip(f"NOT COMPARED with the kernel compiled ahead of time: {done.stderr}")
    (path,) = folder.glob("_kernel*.so")
    return path


def judged(code: str = _JUDGE, **environment: str) -> list[str]:
    """Judge in a process of its own; return which kernel served, whether Numba was there, and a digest of the rest."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "0", "VEILLEUR_KERNEL": ""} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("|")


def test_the_kernel_judges_alike_ahead_of_time_and_compiled_at_start_and_as_plain_python(built: Path) -> None:
    ahead = judged(_LOAD.format(path=str(built)) + _JUDGE)
    assert ahead[:2] == ["ahead of time", "False"], "Numba was imported although the extension serves"
    at_start = judged(_LOAD.format(path=str(built)) + _JUDGE, VEILLEUR_KERNEL="source")
    assert at_start[0].startswith("compiled at start")
    plain = judged(_LOAD.format(path=str(built)) + _JUDGE, NUMBA_DISABLE_JIT="1")
    assert plain[0] == "plain Python"
    assert ahead[2] == at_start[2] == plain[2]


class Judge:
    """Takes readings through a program; each step by one of `kernels`, as `chance` has it."""

    def __init__(self, program: RuleProgram, world: World, kernels: Sequence[Any], chance: Random) -> None:
        self.program = program
        self.zone = offsets(world.zone).copy()
        self.kernels = kernels
        self.chance = chance
        self.state = program.fresh_state(world.since)
        self.rows: list[list[int]] = []

    @property
    def kernel(self) -> Any:
        return self.chance.choice(self.kernels)

    def judge(self, times: Words, columns: Words, values: Words) -> None:
        done = 0
        while done < len(times):
            out = np.zeros(((4 + 2 * 8) * len(self.program.rules), layout.O_WIDTH), np.int64)
            rows, taken = self.kernel.judge(
                self.program.words, self.zone, self.state, times[done:], columns[done:], values[done:], out
            )
            self.rows += out[:rows].tolist()
            done += taken

    def advance(self, now: int) -> None:
        out = np.zeros((256, layout.O_WIDTH), np.int64)
        rows = self.kernel.advance(self.program.words, self.zone, self.state, now, out)
        self.rows += [*out[:rows].tolist(), [self.kernel.next_deadline(self.program.words, self.zone, self.state)]]


def columns_of(world: World, program: RuleProgram) -> tuple[Words, Words, Words]:
    """Return the times, columns and values of a world's readings as a program takes them."""
    found = [
        (one.measured_at, column, int(one.quality) if channel.flags else one.count)
        for one in sorted(world.readings, key=lambda one: one.measured_at)
        for column, channel in enumerate(program.channels)
        if channel.quantity is one.quantity
    ]
    times, columns, values = np.array(found, np.int64).reshape(-1, 3).T.copy()
    return times, columns, values


@settings(max_examples=100, deadline=None)
@given(world=st.one_of(worlds(), sparse_worlds(), dense_worlds()), seed=st.integers(0, 2**32))
def test_both_kernels_write_the_same_rows_and_the_same_state_also_in_turns(
    built: Path, world: World, seed: int
) -> None:
    program = compile_program(world.protocol)
    ahead: Any = SimpleNamespace(**vetted(loaded(built)))
    judges = [Judge(program, world, kernels, Random(seed)) for kernels in ([ahead], [kernel], [ahead, kernel])]
    times, columns, values = columns_of(world, program)
    chance, begin = Random(seed), 0
    while begin < len(times):
        end = begin + chance.choice((1, 1, 7, 200))
        for judge in judges:
            judge.judge(times[begin:end], columns[begin:end], values[begin:end])
            judge.advance(int(times[min(end, len(times)) - 1]) + seed % 3)
        assert len({judge.state.tobytes() for judge in judges}) == 1
        begin = end
    for judge in judges:
        judge.advance(world.end + 40 * 86_400_000)
    assert judges[0].state.tobytes() == judges[1].state.tobytes() == judges[2].state.tobytes()
    assert judges[0].rows == judges[1].rows == judges[2].rows


def test_the_door_has_what_the_kernel_exports(built: Path) -> None:
    names = set(vetted(loaded(built)))
    assert names <= set(vars(compiled)), "alerting.compiled does not name all that the kernel exports"
    assert {"judge", "advance", "next_deadline"} <= names


def test_the_source_serves_where_the_extension_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    why = Sentence(fr="non", en="no")

    def refused() -> dict[str, Any]:
        raise ExtensionError(why)

    monkeypatch.setattr(compiled, "extension", refused)
    functions, kind, said = compiled._load()
    assert said is why
    assert kind in {Kind.KEPT, Kind.AT_START, Kind.PLAIN}
    assert {"judge", "advance", "next_deadline"} <= set(functions)


def test_the_extension_serves_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "extension", lambda: {"judge": len})
    assert compiled._load() == ({"judge": len}, Kind.AHEAD_OF_TIME, None)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (SimpleNamespace(stats=SimpleNamespace(cache_path="/var/cache")), Kind.KEPT),
        (SimpleNamespace(stats=SimpleNamespace(cache_path=None)), Kind.AT_START),
        (len, Kind.PLAIN),
    ],
)
def test_it_is_known_how_the_source_was_compiled(function: Any, kind: Kind) -> None:
    assert compiled._kind_of(function) is kind
