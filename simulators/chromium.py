"""Where a Chromium to look at the desk's pages with comes from: the distribution's, installed or unpacked without root.

Nothing is downloaded when Chromium is installed or already unpacked; the system is left as it is (`package`).
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from simulators.errors import SimulatorError
from simulators.package import PackageError, library_folders, unpack, why_not, with_libraries

PACKAGE = "chromium"
_SYSTEM_FOLDERS = ("/usr/local/bin", "/usr/bin")
_INSTALL = "Install it with 'sudo apt install chromium', then try again."


class BrowserUnavailableError(SimulatorError):
    """There is no Chromium to run, or it does not run.

    Attributes:
        hint: what to do about it, one sentence.
    """

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromium:
    """A Chromium that runs on this machine.

    Attributes:
        binary: the program.
        root: of the unpacked packages; None when it is installed.
    """

    binary: Path
    root: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return this process's environment with what the program needs to find its libraries and its fonts."""
        if self.root is None:
            return dict(os.environ)
        fonts = {} if Path("/etc/fonts/fonts.conf").is_file() else {"FONTCONFIG_SYSROOT": str(self.root)}
        return with_libraries(library_folders(self.root)) | fonts

    def arguments(self) -> tuple[str, ...]:
        """Return what it is started with: its sandbox refuses root, and needs a helper that an unpacked one lacks."""
        return ("--no-sandbox",) if os.geteuid() == 0 or self.root is not None else ()

    def fault(self) -> str | None:
        """Return why the program does not start, or None when it does."""
        return why_not([self.binary, "--version"], says="Chromium", environment=self.environment())


def find_chromium(cache: Path | None = None) -> Chromium:
    """Return an installed Chromium, else one unpacked into `cache` (default: the user's cache folder).

    Raises:
        BrowserUnavailableError: neither is possible; the hint says what to do.
    """
    search = os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS])
    installed = shutil.which("chromium", path=search)
    if installed is not None:
        found = Chromium(binary=Path(installed))
        fault = found.fault()
        if fault is not None:
            raise BrowserUnavailableError(
                f"the installed Chromium does not start: {fault}",
                hint="Repair it with 'sudo apt install --reinstall chromium', then try again.",
            )
        return found
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veilleur"
    home = folder / PACKAGE
    unpacked = Chromium(binary=home / "usr" / "lib" / "chromium" / "chromium", root=home)
    if not home.is_dir() or unpacked.fault() is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            unpack(PACKAGE, folder, home, works=lambda: unpacked.fault() is None)
        except (PackageError, OSError) as error:
            raise BrowserUnavailableError(
                f"Chromium is not installed and could not be unpacked: {error}", hint=_INSTALL
            ) from error
        fault = unpacked.fault()
        if fault is not None:
            raise BrowserUnavailableError(f"Chromium was unpacked but does not start: {fault}", hint=_INSTALL)
    return unpacked
