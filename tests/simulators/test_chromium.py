"""Where a Chromium comes from: the installed one when it starts; a sentence with the next step when none does."""

from pathlib import Path

import pytest

from simulators import chromium
from simulators.chromium import BrowserUnavailableError, Chromium, find_chromium
from simulators.package import PackageError


def program(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "chromium"
    made.write_text(f"#!/bin/sh\n{says}\n", encoding="ascii")
    made.chmod(0o700)
    return made


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is installed, but what a test puts into `bin`."""
    monkeypatch.setattr(chromium, "_SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_the_installed_one_is_taken_when_it_starts(alone: Path) -> None:
    made = program(alone / "bin", 'echo "Chromium 1.2.3"')
    assert find_chromium(alone / "cache") == Chromium(binary=made)
    assert not (alone / "cache").exists()


def test_an_installed_one_that_does_not_start_is_told_with_the_next_step(alone: Path) -> None:
    program(alone / "bin", 'echo "no libnss3" >&2; exit 127')
    with pytest.raises(BrowserUnavailableError, match="does not start: no libnss3") as told:
        find_chromium(alone / "cache")
    assert "apt install --reinstall chromium" in told.value.hint


def test_one_is_unpacked_where_none_is_installed_and_only_once(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def unpack(package: str, folder: Path, home: Path, *, works: object) -> None:
        asked.append(package)
        program(home / "usr" / "lib" / "chromium", 'echo "Chromium 1.2.3"')

    monkeypatch.setattr(chromium, "unpack", unpack)
    found = [find_chromium(alone / "cache") for _ in range(2)]
    assert asked == ["chromium"]
    assert found[0] == found[1]
    assert found[0].root == alone / "cache" / "chromium"
    assert "--no-sandbox" in found[0].arguments()


def test_where_nothing_can_be_fetched_the_next_step_is_told(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: object, **__: object) -> None:
        raise PackageError("apt-get failed: no network")

    monkeypatch.setattr(chromium, "unpack", unpack)
    with pytest.raises(BrowserUnavailableError, match="no network") as told:
        find_chromium(alone / "cache")
    assert told.value.hint == "Install it with 'sudo apt install chromium', then try again."
