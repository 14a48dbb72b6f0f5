"""systemd-analyze, installed or unpacked from the distribution's package without root (as mosquitto is)."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulators.package import PackageError, library_folders, unpack, with_libraries


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze:
    binary: Path
    libraries: tuple[Path, ...] = ()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.binary, *arguments],
            env=with_libraries(self.libraries) | {"LC_ALL": "C", "SYSTEMD_COLORS": "0"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def works(self) -> bool:
        try:
            return self.run("--version").returncode == 0
        except OSError:
            return False


def find_analyze(*, cache: Path | None = None, installed: bool = True) -> Analyze:
    """The installed one, else one unpacked into the user's cache folder; skips where neither can be had."""
    found = shutil.which("systemd-analyze")
    if installed and found is not None:
        return Analyze(binary=Path(found))
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veilleur"
    home = folder / "systemd"

    def look() -> Analyze:
        return Analyze(binary=home / "usr" / "bin" / "systemd-analyze", libraries=library_folders(home))

    if not look().works:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            unpack("systemd", folder, home, works=lambda: look().works)
        except PackageError as error:
            pytest.skip(f"needs systemd-analyze, which is neither installed nor to be fetched here: {error}")
    return look()
