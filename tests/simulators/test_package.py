"""Two that need the same program at once: one unpacks it, the other waits and takes it. The rest: test_mosquitto."""

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simulators.package import PackageError, unpack


def test_whoever_comes_while_another_unpacks_waits_and_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get: whoever does not wait cannot fetch it
    home, program = tmp_path / "program", tmp_path / "program" / "runs"
    with ThreadPoolExecutor() as second:
        first = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(first, fcntl.LOCK_EX)
        waiting = second.submit(unpack, "program", tmp_path, home, works=program.exists)
        home.mkdir()
        program.touch()
        os.close(first)
        waiting.result(timeout=30)
    assert list(tmp_path.iterdir()) == [home], "nothing else is left behind"


def test_who_failed_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for _ in range(2):
        with pytest.raises(PackageError, match="no apt-get"):
            unpack("program", tmp_path, tmp_path / "program", works=lambda: False)
