"""Where a dbus-daemon to run comes from: installed, or unpacked from the distribution's package without root.

Only tests need one: a private bus, on which BlueZ's interface is played without a radio. Nothing is downloaded when
it is installed or already unpacked.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulators.errors import SimulatorError
from simulators.package import PackageError, library_folders, unpack, with_libraries

_SYSTEM_FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin")
_PACKAGES: Final = ("dbus-daemon", "dbus")
"""Newer distributions have it in a package of its own."""
_INSTALL: Final = "Install it with 'sudo apt install dbus', then try again."


class DBusUnavailableError(SimulatorError):
    """There is no dbus-daemon to run, or it does not run.

    Attributes:
        hint: what to do about it, one sentence.
    """

    def __init__(self, reason: str, *, hint: str = _INSTALL) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class DBusDaemon:
    """A dbus-daemon that runs on this machine.

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
        command = (str(self.binary), "--version")
        try:
            told = subprocess.run(  # noqa: S603 - a program that was searched for by its name
                command, env=self.environment(), capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if told.returncode == 0 and told.stdout.startswith("D-Bus"):
            return None
        return (told.stderr.strip() or told.stdout.strip() or f"exit status {told.returncode}").splitlines()[-1]


def find_dbus_daemon(cache: Path | None = None) -> DBusDaemon:
    """Return an installed dbus-daemon, else one unpacked into `cache` (default: the user's cache folder).

    Raises:
        DBusUnavailableError: neither is possible; the hint says what to do.
    """
    search = os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS])
    installed = shutil.which("dbus-daemon", path=search)
    if installed is not None:
        found = DBusDaemon(binary=Path(installed))
        fault = found.fault()
        if fault is not None:
            raise DBusUnavailableError(f"the installed dbus-daemon does not start: {fault}")
        return found
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veilleur"
    home = folder / "dbus"
    if home.is_dir() and (unpacked := _look_into(home)).fault() is None:
        return unpacked
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _unpack(folder, home)
    except OSError as error:
        raise DBusUnavailableError(
            f"dbus-daemon is not installed and cannot be unpacked: {error}",
            hint=f"{_INSTALL} Or set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    unpacked = _look_into(home)
    fault = unpacked.fault()
    if fault is not None:
        raise DBusUnavailableError(f"dbus-daemon was unpacked but does not start: {fault}")
    return unpacked


def _look_into(home: Path) -> DBusDaemon:
    return DBusDaemon(binary=home / "usr" / "bin" / "dbus-daemon", libraries=library_folders(home))


def _unpack(folder: Path, home: Path) -> None:
    complaints: list[str] = []
    for package in _PACKAGES:
        try:
            unpack(package, folder, home, works=lambda: _look_into(home).fault() is None)
        except PackageError as error:
            complaints.append(str(error))
            continue
        return
    raise DBusUnavailableError(f"dbus-daemon is not installed and could not be fetched: {complaints[-1]}")
