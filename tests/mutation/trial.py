"""Trying mutants: each in a process of its own, against the checks that reach what it changed, until one fails.

The process is a fork of this one, in which the kernel is plain Python (NUMBA_DISABLE_JIT=1): the mutant's code takes
the place of its function's, whoever imported that. No file is touched. A check that needs far more time than the true
kernel counts as failed: what never ends was never told.
"""

import ast
import gc
import os
import signal
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import import_module
from types import CodeType, FrameType, FunctionType

import numpy as np

from tests.mutation.corpus import Check
from tests.mutation.mutants import Mutant, modules, source_of
from tests.syntax import tree_of

_LEAST_S, _TIMES = 3.0, 6.0


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "by timeout"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant, and at which check."""

    fate: Fate
    check: int = -1


class UnfitError(Exception):
    """Nothing can be tried: the kernel is compiled, or fails a check as it is, or a process was ended from outside."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The kill suite, which lines of the kernel each check reaches, and how long it takes the true kernel (s of CPU).

    Attributes:
        checks: in a fixed order.
        reached: of each check, (module, line).
        seconds: of each check.
        first: of each function, the checks that killed a mutant of it, the latest first: they are tried before others.
    """

    checks: Sequence[Check]
    reached: Sequence[frozenset[tuple[str, int]]]
    seconds: Sequence[float]
    first: dict[str, list[int]]

    @classmethod
    def prepare(cls, checks: Sequence[Check]) -> "Trial":
        """Take the true kernel through the checks.

        Raises:
            UnfitError: the kernel is compiled here, or fails a check as it is.
        """
        if not isinstance(import_module("alerting.kernel").judge, FunctionType):
            raise UnfitError("the kernel is compiled here: set NUMBA_DISABLE_JIT=1")
        reached, seconds = [], []
        with np.errstate(all="ignore"), _watched() as lines:
            for check in checks:
                lines.clear()
                began = time.process_time()
                wrong = check.run()
                seconds.append(time.process_time() - began)
                if wrong is not None:
                    raise UnfitError(f"the kernel itself fails {check.name}: {wrong}")
                reached.append(frozenset(lines))
        # What is frozen is not written to by the processes that come of this one.
        gc.collect()
        gc.freeze()
        return cls(checks, reached, seconds, defaultdict(list))

    def judge(self, mutant: Mutant) -> Verdict:
        """Return what becomes of a mutant.

        Raises:
            UnfitError: its process did not come to an end by itself.
        """
        order = self._order(mutant)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._judge_here(mutant, order, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read().decode()
        os.waitpid(child, 0)
        if not told:
            raise UnfitError(f"the process that tried {mutant.key} died without a word")
        fate, _, check = told.partition(" ")
        verdict = Verdict(Fate(fate.replace("_", " ")), int(check))
        if verdict.fate is not Fate.SURVIVED:
            first = self.first[f"{mutant.module}:{mutant.function}"]
            if verdict.check in first:
                first.remove(verdict.check)
            first.insert(0, verdict.check)
        return verdict

    def _order(self, mutant: Mutant) -> list[int]:
        """Return the checks that reach a mutant's line: those that killed its neighbours first, then the quick ones."""
        modules_reached = ({module for module, _ in reached} for reached in self.reached)
        able = [
            number
            for number, (reached, within) in enumerate(zip(self.reached, modules_reached, strict=True))
            if ((mutant.module, mutant.line) in reached if mutant.function else mutant.module in within or not within)
        ]
        first = [one for one in self.first[f"{mutant.module}:{mutant.function}"] if one in set(able)]
        return first + sorted(set(able) - set(first), key=lambda one: (self.seconds[one], one))

    def _judge_here(self, mutant: Mutant, order: Sequence[int], writing: int) -> None:
        """Judge in this process, tell the pipe, and end the process."""
        signal.signal(signal.SIGVTALRM, _too_long)
        warnings.simplefilter("ignore")
        told = f"{Fate.SURVIVED} -1"
        number, left = -1, time.process_time() + _LEAST_S
        try:
            put_in_place(mutant)
            with np.errstate(all="ignore"):
                for number in order:
                    left += _TIMES * self.seconds[number]
                    signal.setitimer(signal.ITIMER_VIRTUAL, max(0.001, left - time.process_time()))
                    if self.checks[number].run() is not None:
                        told = f"{Fate.KILLED} {number}"
                        break
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except _TooLongError:
            told = f"{Fate.TIMEOUT.replace(' ', '_')} {number}"
        except (ArithmeticError, LookupError, TypeError, ValueError, NameError):
            told = f"{Fate.KILLED} {number}"
        finally:
            os.write(writing, told.encode())
            os._exit(0)


class _TooLongError(Exception):
    pass


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise _TooLongError


def put_in_place(mutant: Mutant) -> None:
    """Give a function of the kernel its mutant's code, or a constant its mutant's value, in this process."""
    module = vars(import_module(f"alerting.{mutant.module}"))
    changed = dict(module)
    exec(compile(mutant.made(), f"<mutant of {mutant.module}>", "exec"), changed)
    if mutant.function:
        module[mutant.function].__code__ = changed[mutant.function].__code__
    else:
        for name in mutant.names:
            module[name] = changed[name]


@contextmanager
def _watched() -> Iterator[set[tuple[str, int]]]:
    """Let the kernel note the (module, line) of each statement that it comes to."""
    reached: set[tuple[str, int]] = set()
    before: list[tuple[FunctionType, CodeType]] = []
    for name in modules():
        module = vars(import_module(f"alerting.{name}"))
        tree = tree_of(source_of(name))
        watched = dict(module)
        note = partial(_note, reached, name)
        exec(compile(ast.fix_missing_locations(_Watching().visit(tree)), f"<{name}, watched>", "exec"), watched)
        module[_NOTE] = note
        for part in tree.body:
            if isinstance(part, ast.FunctionDef):
                function = module[part.name]
                before.append((function, function.__code__))
                function.__code__ = watched[part.name].__code__
    try:
        yield reached
    finally:
        for function, code in before:
            function.__code__ = code


_NOTE = "__note__"


def _note(reached: set[tuple[str, int]], module: str, line: int) -> None:
    reached.add((module, line))


class _Watching(ast.NodeTransformer):
    """Puts a note of its line before each statement of a function."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        for block in [inner for inner in ast.walk(node) if isinstance(inner, ast.stmt)]:
            for name in ("body", "orelse"):
                statements = getattr(block, name, None)
                if isinstance(statements, list):
                    setattr(block, name, [one for statement in statements for one in (_noted(statement), statement)])
        return node


def _noted(statement: ast.stmt) -> ast.stmt:
    call = ast.Call(func=ast.Name(_NOTE, ast.Load()), args=[ast.Constant(statement.lineno)], keywords=[])
    return ast.Expr(call)
