"""The kernel's twin in C (kernel_twin.c), compiled when it is asked for, with this machine's own compiler.

-O3, for any processor of this architecture as the kernel that ships is, or with every instruction of this one
(-march=native) as the kernel that is compiled at start; -fwrapv, because the kernel's integers wrap; -ffp-contract=off,
because fused operations give other bits.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerting import layout

Words = NDArray[np.int64]

SOURCE = Path(__file__).with_suffix(".c")
FLAGS = ("-O3", "-ffp-contract=off", "-fwrapv", "-shared", "-fPIC")
THIS_PROCESSOR = "-march=native"


class NoCompilerError(Exception):
    """There is no C compiler on this machine."""


class KernelTwin:
    """The compiled twin.

    Args:
        folder: where the library is put; it must outlive this.
        native: for this processor, not for any of its architecture.

    Raises:
        NoCompilerError: there is none.
    """

    def __init__(self, folder: Path, *, native: bool = True) -> None:
        compiler = shlex.split(os.environ.get("CC", "cc"))
        if shutil.which(compiler[0]) is None:
            raise NoCompilerError(f"there is no C compiler ({compiler[0]}): 'sudo apt install gcc'")
        (folder / "layout.h").write_text(_layout(), encoding="ascii")
        made = folder / f"twin{'_native' if native else ''}.so"
        flags = (*FLAGS, THIS_PROCESSOR) if native else FLAGS
        subprocess.run([*compiler, *flags, f"-I{folder}", str(SOURCE), "-o", str(made), "-lm"], check=True)
        library = ctypes.CDLL(str(made))
        self._twin, self._fused = library.twin, library.fused
        self._twin.restype = self._fused.restype = ctypes.c_int64

    def judge(
        self, program: Words, _zone: Words, state: Words, times: Words, columns: Words, values: Words, out: Words
    ) -> tuple[int, int]:
        """Judge as the kernel does, with its arguments; time zones are not looked at."""
        done = ctypes.c_int64()
        rows = self._twin(
            _at(program),
            _at(state),
            _at(times),
            _at(columns),
            _at(values),
            ctypes.c_int64(len(times)),
            _at(out),
            ctypes.c_int64(len(out)),
            ctypes.byref(done),
        )
        return int(rows), int(done.value)

    def fused(self, times: Words, counts: Words, out: Words) -> int:
        """Judge a whole trace by the twelve rules, `out` having room for all of it; return how many rows it got."""
        return int(self._fused(_at(times), _at(counts), ctypes.c_int64(len(times)), _at(out)))


def _layout() -> str:
    """Return the numbers of `alerting.layout` for C."""
    numbers = {name: value for name, value in vars(layout).items() if name.isupper() and isinstance(value, int)}
    return "".join(f"#define {name} ((word)({value}))\n" for name, value in numbers.items())


def _at(words: Words) -> ctypes.c_void_p:
    return ctypes.c_void_p(words.ctypes.data)
