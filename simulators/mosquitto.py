"""Where a mosquitto to run comes from: installed, or unpacked from the distribution's package without root.

Nothing is downloaded when mosquitto is installed or already unpacked; the system is left as it is (`package`).
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from simulators.errors import SimulatorError
from simulators.package import PackageError, library_folders, unpack, why_not, with_libraries

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin")
_INSTALL = "Install it with 'sudo apt install mosquitto', then try again."


class BrokerUnavailableError(SimulatorError):
    """There is no mosquitto to run, or it does not run.

    Attributes:
        hint: what to do about it, one sentence.
    """

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Mosquitto:
    """A mosquitto that runs on this machine.

    Attributes:
        binary: the program.
        libraries: folders with the shared libraries that the system does not have; empty when it is installed.
    """

    binary: Path
    libraries: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return this process's environment with what the program needs to find its libraries."""
        return with_libraries(self.libraries)

    def fault(self) -> str | None:
        """Return why the program does not start, or None when it does."""
        return why_not([self.binary, "-h"], says="mosquitto version", environment=self.environment())


def find_mosquitto(cache: Path | None = None) -> Mosquitto:
    """Return an installed mosquitto, else one unpacked into `cache` (default: the user's cache folder).

    Raises:
        BrokerUnavailableError: neither is possible; the hint says what to do.
    """
    search = os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS])
    installed = shutil.which("mosquitto", path=search)
    if installed is not None:
        found = Mosquitto(binary=Path(installed))
        fault = found.fault()
        if fault is not None:
            raise BrokerUnavailableError(
                f"the installed mosquitto does not start: {fault}",
                hint="Repair it with 'sudo apt install --reinstall mosquitto', then try again.",
            )
        return found
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veilleur"
    home = folder / "mosquitto"
    if home.is_dir() and (unpacked := _look_into(home)).fault() is None:
        return unpacked
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _unpack(folder, home)
    except OSError as error:
        raise BrokerUnavailableError(
            f"mosquitto is not installed and cannot be unpacked: {error}",
            hint=f"{_INSTALL} Or set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    unpacked = _look_into(home)
    fault = unpacked.fault()
    if fault is not None:
        raise BrokerUnavailableError(f"mosquitto was unpacked but does not start: {fault}", hint=_INSTALL)
    return unpacked


def _look_into(home: Path) -> Mosquitto:
    return Mosquitto(binary=home / "usr" / "sbin" / "mosquitto", libraries=library_folders(home))


def _unpack(folder: Path, home: Path) -> None:
    try:
        unpack("mosquitto", folder, home, works=lambda: _look_into(home).fault() is None)
    except PackageError as error:
        raise BrokerUnavailableError(
            f"mosquitto is not installed and could not be fetched: {error}", hint=_INSTALL
        ) from error
