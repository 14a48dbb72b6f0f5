"""When the kernel's extension may serve, and what reaches it."""

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import alerting
from alerting import layout
from alerting.extension import ExtensionError, extension, guarded, vetted
from alerting.kernel_source import source_checksum, source_files
from tests.syntax import tree_of

ROOM = Path(alerting.__path__[0])
ROWS = np.zeros((4, 6), np.int64)


def made(**said: object) -> Any:
    """Return an extension that says of itself what one of this source says, but for `said`."""
    module: Any = ModuleType("_kernel")
    identity = {
        "layout": layout.LAYOUT,
        "source": source_checksum(),
        "signatures": {"advance": "int64(int64[::1], int64)"},
    }
    module.identity = lambda: json.dumps(identity | said)
    module.advance = lambda state, now: int(state[0]) + now
    return module


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that asks for nothing."""
    monkeypatch.delenv("VEILLEUR_KERNEL", raising=False)
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    return monkeypatch


def test_an_extension_of_this_source_serves(asked: pytest.MonkeyPatch) -> None:
    asked.setitem(sys.modules, "alerting._kernel", made())
    functions = extension()
    assert list(functions) == ["advance"]
    assert functions["advance"](np.array([40]), 2) == 42


@pytest.mark.parametrize(
    "module",
    [
        made(layout=layout.LAYOUT + 1),
        made(source="0" * 64),
        made(more=1),
        made(signatures=None),
        ModuleType("_kernel"),
    ],
    ids=["another layout", "another source", "another way to say it", "no signatures", "says nothing"],
)
def test_an_extension_of_another_source_is_refused_in_words(module: ModuleType) -> None:
    with pytest.raises(ExtensionError, match="not of this source: 'make kernel'") as refused:
        vetted(module)
    assert refused.value.why.fr.startswith("celui compilé d'avance ne vient pas de ce source : 'make kernel'")


@pytest.mark.parametrize("asking", ["VEILLEUR_KERNEL=source", "NUMBA_DISABLE_JIT=1"])
def test_the_environment_may_ask_for_the_source(asked: pytest.MonkeyPatch, asking: str) -> None:
    asked.setitem(sys.modules, "alerting._kernel", made())
    name, _, value = asking.partition("=")
    asked.setenv(name, value)
    with pytest.raises(ExtensionError, match=f"{asking} asks for the source"):
        extension()
    asked.setenv(name, "0")
    assert extension()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module"), "none was compiled ahead of time for this Python: 'make kernel'"),
        (ImportError("wrong ELF class"), r"cannot be loaded \(wrong ELF class\)"),
        (RuntimeError("module compiled against ABI version"), r"cannot be loaded \(module compiled against ABI"),
    ],
)
def test_an_extension_that_cannot_be_loaded_is_said(asked: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    def absent(name: str) -> ModuleType:
        assert name == "alerting._kernel"
        raise error

    asked.setattr("alerting.extension.import_module", absent)
    with pytest.raises(ExtensionError, match=said):
        extension()


@pytest.mark.parametrize(
    "given",
    [
        (),
        (ROWS, 1, 1),
        (ROWS, 1.5),
        (ROWS, ROWS),
        (ROWS.astype(np.float64), 1),
        (ROWS.astype(np.int32), 1),
        (ROWS.astype(">i8"), 1),
        (ROWS[0], 1),
        (ROWS.T, 1),
        (ROWS[:, ::2], 1),
        (ROWS.tolist(), 1),
        (np.frombuffer(bytes(48), np.int64).reshape(1, 6), 1),
    ],
)
def test_what_a_signature_does_not_say_never_reaches_the_extension(given: tuple[Any, ...]) -> None:
    reached = []
    function: Callable[..., Any] = guarded(
        lambda *some: reached.append(some), "UniTuple(int64, 2)(int64[:, ::1], int64)"
    )
    with pytest.raises(TypeError):
        function(*given)
    assert not reached
    function(ROWS, 3)
    function(ROWS, np.int64(3))
    assert [after for _, after in reached] == [3, 3]


def test_the_checksum_is_over_all_that_the_kernel_is_made_of() -> None:
    files = source_files()
    assert "layout.py" in files
    for name in files:
        for node in ast.walk(tree_of(ROOM / name)):
            if isinstance(node, ast.ImportFrom) and node.module == "alerting.kernel_source":
                assert name == "kernel/compiling.py", "the checksum itself goes into no number"
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "alerting":
                path = Path(*(node.module or "").split(".")[1:])
                for module in (path, *(path / alias.name for alias in node.names)):
                    if (ROOM / module).with_suffix(".py").is_file():
                        assert f"{module}.py" in files, f"{name} imports {module}"
            assert not (isinstance(node, ast.Import) and node.names[0].name.startswith("alerting"))


def test_the_checksum_is_of_names_and_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source_checksum()
    contents = {name: (ROOM / name).read_bytes() for name in source_files()}
    monkeypatch.setattr("alerting.kernel_source.pkgutil.get_data", lambda _, name: contents[name])
    assert source_checksum() == before
    contents["layout.py"] += b"\n"
    assert source_checksum() != before
