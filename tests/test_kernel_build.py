"""The build step of the kernel: what it says where it cannot compile, and what a wheel becomes."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hatchling.bridge.app import Application

from hatch_build import KernelHook

ROOT = Path(__file__).parents[1]


def build(folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "kernel_build.py", folder],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_a_compiler_is_told_what_to_install(tmp_path: Path) -> None:
    done = build(tmp_path / "made", {"CC": "no-such-compiler"})
    assert done.returncode == 1
    why = "there is no C compiler (no-such-compiler): 'sudo apt install g++'"
    assert done.stderr == f"The kernel was not compiled ahead of time: {why}.\n"
    assert not (tmp_path / "made").exists()


def project(tmp_path: Path, build_step: str) -> KernelHook:
    """Return the hook for a project whose build step is `build_step`."""
    (tmp_path / "kernel_build.py").write_text(build_step, encoding="utf-8")
    known: Any = None
    return KernelHook(str(tmp_path), {}, known, known, str(tmp_path), "wheel", Application())


def fresh() -> dict[str, Any]:
    return {"force_include": {}, "pure_python": True, "infer_tag": False}


def test_a_wheel_with_the_kernel_says_for_which_machine_it_is(tmp_path: Path) -> None:
    hook = project(tmp_path, 'import pathlib, sys\npathlib.Path(sys.argv[1], "_kernel.abi.so").write_bytes(b"ELF")\n')
    data = fresh()
    hook.initialize("standard", data)
    ((made, inside),) = data["force_include"].items()
    assert Path(made).read_bytes() == b"ELF"
    assert inside == "alerting/_kernel.abi.so"
    assert (data["pure_python"], data["infer_tag"]) == (False, True)
    hook.finalize("standard", data, "")
    assert not Path(made).parent.exists()


def test_a_wheel_without_the_kernel_is_for_any_machine_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = project(tmp_path, 'import sys\nsys.exit("there is no C compiler")\n')
    data = fresh()
    hook.initialize("standard", data)
    hook.finalize("standard", data, "")
    assert data == fresh()
    said = capsys.readouterr()
    assert "there is no C compiler" in said.out + said.err
    assert "its boxes compile the kernel at each start" in said.out + said.err


def test_an_editable_install_compiles_nothing(tmp_path: Path) -> None:
    hook = project(tmp_path, "import sys\nsys.exit(1)\n")
    data = fresh()
    hook.initialize("editable", data)
    hook.finalize("editable", data, "")
    assert data == fresh()


def test_what_compiles_the_kernel_is_what_is_locked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["dependencies"]
    locked = "".join((ROOT / "requirements" / name).read_text(encoding="utf-8") for name in ("box.txt", "build.in"))
    for dependency in pinned:
        found = re.match(r"[\w-]+==[\w.]+", dependency)
        assert found, dependency
        assert re.search(rf"^{re.escape(found[0])}\s", locked, re.MULTILINE), dependency
