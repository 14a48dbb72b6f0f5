"""Compiles the kernel ahead of time: python kernel_build.py [FOLDER].

Writes `_kernel.*.so` into FOLDER, or into alerting/ beside this file, where `alerting.extension` looks for it. This is
the one place that knows Numba's compiler of extensions, which is pending deprecation: its warning is kept here, and
what follows it would replace this file alone (docs/adr/0018). A C++ compiler and Python's headers are needed here only,
never where the extension serves.

The code is for any processor of this machine's architecture: what is compiled on one box serves on all of its kind. The
same source and tools give the same bytes.
"""

import inspect
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve()

_APART = "--apart"
"""Asks for the work itself, in a process whose environment is prepared: Python and Numba read it when they start."""


class BuildError(Exception):
    """The kernel cannot be compiled here; the sentence says what is missing."""


def compile_kernel(folder: Path) -> Path | None:
    """Compile the kernel into a folder and return the extension; None after having said what is missing."""
    with tempfile.TemporaryDirectory(prefix="veilleur-kernel-") as scratch:
        environment = os.environ | {
            "PYTHONHASHSEED": "0",
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_DISABLE_JIT": "0",
            # What Numba keeps from other runs is for the processor of this machine.
            "NUMBA_CACHE_DIR": scratch,
            # Without the names of this machine's folders in it.
            "CFLAGS": f"{os.environ.get('CFLAGS', '')} -g0",
        }
        command = [sys.executable, str(HERE), _APART, scratch]
        if subprocess.run(command, env=environment, check=False).returncode != 0:  # noqa: S603 - this very file
            return None
        (made,) = Path(scratch).glob("_kernel*.so")
        folder.mkdir(parents=True, exist_ok=True)
        # Replaced at once: a box that starts meanwhile finds the one or the other.
        beside = folder / f".{made.name}.new"
        shutil.copy2(made, beside)
        return beside.replace(folder / made.name)


def _compile(scratch: Path) -> None:
    """Compile the kernel into a folder, in this process.

    Raises:
        BuildError: something that compiling needs is missing or failed.
    """
    _require_tools()
    try:
        warning = import_module("numba.core.errors").NumbaPendingDeprecationWarning
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", warning)
            pycc = import_module("numba.pycc")
        errors = import_module("setuptools.errors")
    except ImportError as error:
        raise BuildError(f"{error.name or error} is missing: 'make kernel' installs what is needed") from error
    from alerting.kernel_source import source_checksum

    source = source_checksum()
    from alerting import kernel, layout

    text = json.dumps(
        {
            "layout": layout.LAYOUT,
            "source": source,
            "signatures": {name: signature for name, signature, _ in kernel.EXPORTS},
        }
    )
    try:
        extension = pycc.CC("_kernel", source_module=kernel)
    except RuntimeError as error:  # it tries both languages before it begins
        raise BuildError("there is no working compiler of C and C++: 'sudo apt install g++'") from error
    extension.target_cpu = "generic"
    extension.output_dir = str(scratch)
    extension.export("identity", "unicode_type()")(lambda: text)
    for name, signature, function in kernel.EXPORTS:
        extension.export(name, signature)(inspect.unwrap(function))
    try:
        extension.compile()
    except (errors.CompileError, errors.LinkError) as error:
        raise BuildError(f"the compiler failed: {error}") from error
    if source_checksum() != source:
        raise BuildError("its source was changed meanwhile: once more")


def _require_tools() -> None:
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        raise BuildError(f"there is no C compiler ({compiler}): 'sudo apt install g++'")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise BuildError("Python's headers are missing: 'sudo apt install python3-dev'")


def main() -> int:
    """Compile, and say in one line what came of it."""
    if sys.argv[1:2] == [_APART]:
        try:
            _compile(Path(sys.argv[2]))
        except BuildError as error:
            print(f"The kernel was not compiled ahead of time: {error}.", file=sys.stderr)
            return 1
        return 0
    made = compile_kernel(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "alerting")
    if made is None:
        return 1
    print(f"Compiled {made.name} into {made.parent}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
