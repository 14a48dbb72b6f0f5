"""The kernel compiled and not compiled, and how it is kept on disk."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pytest

from alerting import kernel, layout
from alerting.care_protocol import Timing
from alerting.engine import Engine
from alerting.errors import KernelError
from alerting.kernel import compiling
from alerting.local_time import offsets
from alerting.program import SPARSE_READINGS, compile_program, needed_span
from tests.alerting.worlds import MINUTE, PARIS, PATIENT, START, cgm, packaged, small

ROOT = Path(__file__).parents[2]
ZONE = offsets(PARIS).copy()
_DIGEST = """
import hashlib, random
from alerting.engine import Engine
from tests.alerting.worlds import CGM, DAY, MINUTE, PARIS, PATIENT, START, SYSTOLIC, WEIGHT, packaged, reading
chance = random.Random(20260303)
text = []
for name, quantity, values in (("diabetes_cgm", CGM, (500, 2600)), ("heart_failure", WEIGHT, (70000, 73000)),
                               ("heart_failure", SYSTOLIC, (850, 1850))):
    at, value, readings = START, sum(values) // 2, []
    for number in range(400):
        at += chance.choice((5, 5, 5, 5, 15, 60, 600)) * MINUTE
        value = min(max(value + chance.randint(-120, 120) * (values[1] - values[0]) // 1000, values[0]), values[1])
        readings.append(reading(quantity, value, at))
    engine = Engine(packaged(name), patient=PATIENT, zone=PARIS, since=START)
    changes = [*engine.feed(readings[:150]), *engine.feed(readings[150:]), *engine.tick(at + 30 * DAY)]
    text.append(repr(changes) + engine.snapshot().hex())
    assert len(changes) > 10, name
print(hashlib.sha256("".join(text).encode()).hexdigest())
"""


def run(code: str, *arguments: str, **environment: str) -> str:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout


def test_compiled_and_plain_python_tell_the_same_and_keep_the_same_state() -> None:
    assert run(_DIGEST, NUMBA_DISABLE_JIT="0") == run(_DIGEST, NUMBA_DISABLE_JIT="1")


# A kernel without its locator classes is what numba meets when nothing can be written.
_WITHOUT_A_PLACE = """
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []
whole, *some = sys.argv[1:]
if not whole:
    # The package's own file would import, and so compile, all of it.
    sys.modules["alerting.kernel"] = module_from_spec(find_spec("alerting.kernel"))
modules = [import_module(f"alerting.kernel.{name}") for name in some]
made = [one for module in modules for one in vars(module).values() if hasattr(one, "stats")]
print(len(made), {one.stats.cache_path for one in made}, {len(one.signatures) for one in made})
"""
_APART = ("arithmetic", "rings", "local_days", "machine", "composites")


def test_the_kernel_compiles_without_any_place_for_its_cache() -> None:
    """The short form compiles what is quickly compiled; KERNEL_WHOLE=1 (`make chaos`) all of it."""
    whole = os.environ.get("KERNEL_WHOLE", "")
    arguments = ("1", "judging") if whole else ("", *_APART)
    made, *found = run(_WITHOUT_A_PLACE, *arguments, NUMBA_DISABLE_JIT="0", NUMBA_OPT="0").split()
    assert int(made) > 10
    assert found == ["{None}", "{1}"], "none is kept, and each is compiled"


def test_every_function_of_the_kernel_is_compiled_through_the_one_that_does_without_a_place() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "alerting" / "kernel").glob("*.py")}
    assert [name for name, text in pages.items() if "numba" in text] == ["compiling.py"]


def test_what_was_compiled_of_another_source_is_never_met(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Numba itself would take what it kept: the file of the function that uses a changed one is as it was.
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    here = compiling.kept_in()
    assert Path(here).parent == tmp_path
    monkeypatch.setattr(compiling, "source_checksum", lambda: "0" * 64)
    assert compiling.kept_in() == str(tmp_path / f"kernel-{'0' * 16}") != here
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert Path(compiling.kept_in()).parent == tmp_path / "mine" / "veilleur"


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(signature: str, **options: bool) -> Callable[[object], object]:
        asked.append((signature, options))
        if options.get("cache"):
            raise OSError("no space left on device")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)
    assert compiling.compiled("int64(int64)")(len) is len
    first, second = (options for _, options in asked)
    assert first == second | {"cache": True}
    assert second["nogil"]


def test_what_the_team_and_the_check_need_does_not_load_the_compiler() -> None:
    code = """
import sys
import alerting.alert, alerting.care_protocol, alerting.errors, alerting.explain, alerting.program
import alerting.protocol_file, alerting.reading_order, alerting.recordings
print("numba" in sys.modules)
"""
    assert run(code).strip() == "False"


def test_a_program_of_another_layout_is_refused() -> None:
    engine = Engine(packaged("diabetes_cgm"), patient=PATIENT, zone=PARIS, since=START)
    engine._stream.program.words[layout.P_LAYOUT] += 1
    with pytest.raises(KernelError) as caught:
        engine.feed(cgm([100]))
    assert "cache" in caught.value.hint
    with pytest.raises(KernelError):
        engine.tick(START + 1)


@pytest.mark.parametrize("foreign", ["program", "state"])
def test_a_kernel_refuses_either_array_of_another_layout(foreign: str) -> None:
    program = compile_program(packaged("diabetes_cgm"))
    state, out, one = program.fresh_state(START), np.zeros((64, layout.O_WIDTH), np.int64), np.zeros(1, np.int64)
    if foreign == "program":
        program.words[layout.P_LAYOUT] += 1
    else:
        state[layout.S_LAYOUT] += 1
    assert kernel.advance(program.words, ZONE, state, START, out) == -1
    assert kernel.judge(program.words, ZONE, state, one, one, one, out) == (-1, 0)


def test_judging_stops_when_the_rows_are_full_and_goes_on() -> None:
    program = compile_program(small("diabetes_cgm"))
    count = 200
    times = START + 6 * 3_600_000 * np.arange(count, dtype=np.int64)
    columns, counts = np.zeros(count, np.int64), np.full(count, 1000, np.int64)
    whole, state = program.fresh_state(START), program.fresh_state(START)
    # Four a rule, and one for the absence: with less nothing is judged.
    big, little, less = (np.zeros((rows, layout.O_WIDTH), np.int64) for rows in (4000, 21, 20))
    assert kernel.judge(program.words, ZONE, state, times, columns, counts, less) == (-1, 0)
    rows, done = kernel.judge(program.words, ZONE, whole, times, columns, counts, big)
    assert (rows, done) == (2 * (count - 1), count)
    pieces, done = [], 0
    while done < count:
        some, taken = kernel.judge(program.words, ZONE, state, times[done:], columns[done:], counts[done:], little)
        assert 0 < taken < count
        pieces += little[:some].tolist()
        done += taken
    assert pieces == big[:rows].tolist()
    assert state.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    ("persist", "cadence", "span"),
    [
        (15, 5, 7.5),
        (15, 15, 0),
        (16, 15, 7.5),
        (0, 5, 0),
        (120, 5, 112.5),
        (15, 3, 10.5),
    ],
)
def test_a_duration_counts_readings_with_half_a_cadence_of_tolerance(persist: int, cadence: int, span: float) -> None:
    timing = Timing(cadence=cadence * MINUTE, gap=45 * MINUTE)
    assert needed_span(persist * MINUTE, timing) == span * MINUTE


def test_a_duration_without_a_cadence_is_itself() -> None:
    assert needed_span(15 * MINUTE, None) == 15 * MINUTE


def test_a_window_holds_a_bounded_number_of_readings() -> None:
    program = compile_program(packaged("heart_failure"))
    weights = program.columns[next(one for one in program.columns if one == "body_weight")]
    count = SPARSE_READINGS + 1
    times = START + MINUTE * np.arange(count, dtype=np.int64)
    columns = np.full(count, weights, np.int64)
    out = np.zeros((4096, layout.O_WIDTH), np.int64)
    for forgotten in (0, 1):
        counts = np.full(count - 1 + forgotten, 71_000, np.int64)
        counts[0], counts[-1] = 70_000, 72_000
        size = counts.shape[0]
        rows, _ = kernel.judge(
            program.words, ZONE, program.fresh_state(START), times[:size], columns[:size], counts, out
        )
        assert (rows == 0) is bool(forgotten)
