"""python -m tests.mutation [--worlds N] [MODULE ...]: mutants of the alerting kernel, each killed or listed.

A table tells for each module how many mutants there are and what became of them. Fails when one survives that
`equivalent.toml` does not list, or when one listed there is no longer made, or is killed after all.
"""

import argparse
import os
import sys
import time
from collections import Counter
from random import Random

from tests.mutation.equivalents import listed, module_of
from tests.mutation.mutants import ARITHMETIC, COMPARISON, DECISIONS, LIMIT, modules, mutants_of

WORLDS = 8
SAMPLE_SEED = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--worlds", type=int, default=WORLDS, help=f"worlds drawn of each kind (default: {WORLDS})")
    parser.add_argument(
        "--arithmetic", action="store_true", help="sums and plain numbers too, which `equivalent.toml` does not cover"
    )
    parser.add_argument(
        "--sample", type=int, default=0, metavar="N", help="the comparisons of kernel.machine and N other mutants only"
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"modules; all of them: {', '.join(modules())}")
    wanted = parser.parse_args()
    unknown = [name for name in wanted.modules if name not in modules()]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(modules())}")
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        # Numba reads it once, when it is imported.
        os.execve(sys.executable, [sys.executable, "-m", "tests.mutation", *sys.argv[1:]], os.environ | _PLAIN)
    from tests.mutation.corpus import checks  # noqa: PLC0415 - the kernel is plain Python from here on
    from tests.mutation.trial import Fate, Trial  # noqa: PLC0415

    began = time.monotonic()
    print("Working out what the oracle says of the worlds...", flush=True)
    trial = Trial.prepare(checks(wanted.worlds))
    print(f"{len(trial.checks)} checks, {time.monotonic() - began:.0f} s so far", flush=True)
    equivalent, faults, table = listed(), list[str](), list[tuple[str, Counter[str]]]()
    operators = DECISIONS | ARITHMETIC if wanted.arithmetic else DECISIONS
    among = sampled(wanted.sample) if wanted.sample else None
    for module in wanted.modules or modules():
        made = [one for one in mutants_of(module) if one.operator in operators]
        keys = {mutant.key for mutant in made}
        faults += [
            f"listed as equivalent, but no longer made: {key}"
            for key in equivalent
            if module_of(key) == module and key not in keys
        ]
        tried = [mutant for mutant in made if among is None or mutant.key in among]
        counts: Counter[str] = Counter(mutants=len(tried))
        for number, mutant in enumerate(tried, 1):
            fate = trial.judge(mutant).fate
            if fate is not Fate.SURVIVED:
                counts[fate] += 1
                if mutant.key in equivalent:
                    faults.append(f"listed as equivalent, but killed: {mutant.key}")
            elif mutant.key in equivalent:
                counts["equivalent"] += 1
            else:
                counts[fate] += 1
                faults.append(f"survived (line {mutant.line}): {mutant.key}")
            if number % 50 == 0 or number == len(tried):
                print(f"{module}: {number}/{len(tried)}, {time.monotonic() - began:.0f} s so far", flush=True)
        table.append((module, counts))
    _show(table, faults)
    return 1 if faults else 0


def sampled(size: int) -> frozenset[str]:
    """Return the keys of the mutants of the short form: the same ones until the kernel changes."""
    made = [mutant for module in modules() for mutant in mutants_of(module) if mutant.operator in DECISIONS]
    first = [one.key for one in made if one.module == "kernel.machine" and one.operator in {COMPARISON, LIMIT}]
    others = sorted({one.key for one in made} - set(first))
    return frozenset(first + Random(SAMPLE_SEED).sample(others, min(size, len(others))))


_PLAIN = {"NUMBA_DISABLE_JIT": "1"}
_COLUMNS = ("mutants", "killed", "by timeout", "equivalent", "survived")


def _show(table: list[tuple[str, Counter[str]]], faults: list[str]) -> None:
    print(f"\n{'module':<22}" + "".join(f"{name:>12}" for name in _COLUMNS))
    for module, counts in [*table, ("all", sum((counts for _, counts in table), Counter()))]:
        print(f"{module:<22}" + "".join(f"{counts[name]:>12}" for name in _COLUMNS))
    for fault in faults:
        print(fault)


if __name__ == "__main__":
    sys.exit(main())
