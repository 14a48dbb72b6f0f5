"""The short form of `make mutants`, and that what tries mutants can tell a dead one from a living one."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.equivalents import listed, module_of
from tests.mutation.mutants import DECISIONS, modules, mutants_of

ROOT = Path(__file__).parents[2]
_WORLDS, _SAMPLE = 2, 40

pytestmark = pytest.mark.long


def run(code: str | None, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code, or `python -m tests.mutation`, with the kernel as plain Python."""
    what = ["-c", code] if code is not None else ["-m", "tests.mutation"]
    return subprocess.run(
        [sys.executable, *what, *arguments],
        cwd=ROOT,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)  # less than a minute of one processor, which may be shared
def test_comparisons_of_the_machine_and_a_sample_of_other_mutants_are_killed_or_listed() -> None:
    done = run(None, "--worlds", str(_WORLDS), "--sample", str(_SAMPLE))
    assert done.returncode == 0, done.stdout + done.stderr
    (total,) = [line.split() for line in done.stdout.splitlines() if line.startswith("all ")]
    assert int(total[1]) > _SAMPLE


_JUDGE = """
import numpy as np
from alerting.kernel import arithmetic, local_days
from tests.mutation.corpus import Check
from tests.mutation.mutants import mutants_of
from tests.mutation.trial import Trial, UnfitError
def quotients():
    return [arithmetic.quotient(n, 3) for n in range(-9, 10)]
def rows():
    return [local_days.row_at(np.array([[0, 60], [10, 120], [20, 60]], np.int64), at) for at in (0, 9, 10, 19, 20)]
true_quotients, true_rows = quotients(), rows()
trial = Trial.prepare([
    Check("quotients", lambda: None if quotients() == true_quotients else "wrong"),
    Check("rows", lambda: None if rows() == true_rows else "wrong"),
])
for module, function in (("kernel.arithmetic", "quotient"), ("kernel.local_days", "row_at")):
    for mutant in mutants_of(module):
        if mutant.function == function:
            print(trial.judge(mutant).fate, mutant.key, sep="|")
try:
    Trial.prepare([Check("never", lambda: "always wrong")])
except UnfitError as error:
    print("unfit", error, sep="|")
"""


def test_a_mutant_is_killed_by_a_difference_or_by_time_and_an_equivalent_one_survives() -> None:
    done = run(_JUDGE)
    assert done.returncode == 0, done.stderr
    fates = {key: fate for fate, _, key in (line.partition("|") for line in done.stdout.splitlines())}
    # A sign's bit may as well be taken one place lower: no dividend of these is so large.
    place = "kernel.arithmetic:quotient: "
    assert fates[f"{place}sign = moved >> 63 -> sign = moved >> 62"] == "survived"
    moved = "moved = dividend + (dividend >> 63 & divisor - 1)"
    assert fates[f"{place}{moved} -> moved = dividend - (dividend >> 63 & divisor - 1)"] == "killed"
    place = "kernel.local_days:row_at: "
    assert fates[f"{place}while high - low > 1: -> while high - low >= 1:"] == "by timeout"
    assert fates[f"{place}if zone[middle, 0] <= at: -> if zone[middle, 0] < at:"] == "killed"
    assert "the kernel itself fails never: always wrong" in fates


def test_a_mutant_differs_from_its_source_in_one_place_and_no_two_are_the_same() -> None:
    made = [mutant for module in modules() for mutant in mutants_of(module)]
    assert len({mutant.key for mutant in made}) == len(made) > 1_000
    for mutant in made[::97]:
        assert mutant.before != mutant.after
        assert isinstance(mutant.made().body[0], ast.FunctionDef | ast.Assign)


def test_every_mutant_listed_as_equivalent_is_one_that_is_made() -> None:
    made = {mutant.key for module in modules() for mutant in mutants_of(module) if mutant.operator in DECISIONS}
    assert not set(listed()) - made
    assert {module_of(key) for key in listed()} <= set(modules())
