"""Where a mosquitto to run comes from: installed, or unpacked from the distribution's package without root.

The packages are those that `apt-get` would install, fetched and verified by it, and unpacked into a cache folder
beside the system, which is left as it is. Nothing is downloaded when mosquitto is installed or already unpacked.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from simulators.errors import SimulatorError

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin")
_APT_TIMEOUT_S = 300.0
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
        found = [str(folder) for folder in self.libraries]
        inherited = os.environ.get("LD_LIBRARY_PATH")
        path = os.pathsep.join([*found, inherited] if inherited else found)
        return {**os.environ, **({"LD_LIBRARY_PATH": path} if path else {})}

    def fault(self) -> str | None:
        """Return why the program does not start, or None when it does."""
        try:
            told = subprocess.run(  # noqa: S603 - a program that was searched for by its name
                [self.binary, "-h"], env=self.environment(), capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if told.stdout.startswith("mosquitto version"):
            return None
        return (told.stderr.strip() or told.stdout.strip() or f"exit status {told.returncode}").splitlines()[-1]


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
    libraries = sorted({library.parent for library in home.rglob("*.so*")})
    return Mosquitto(binary=home / "usr" / "sbin" / "mosquitto", libraries=tuple(libraries))


def _unpack(folder: Path, home: Path) -> None:
    """Fetch the packages and put their content at `home`, whole or not at all."""
    with TemporaryDirectory(dir=folder, prefix="unpacking-") as name:
        work = Path(name)
        try:
            packages = _download(work, ())
        except _AptError:
            # No package lists, or lists older than the archive: read them into a folder of our own.
            packages = _download_with_fresh_lists(work)
        content = work / "content"
        for package in packages:
            _run(["dpkg-deb", "--extract", str(package), str(content)], work)
        if home.is_dir():
            if _look_into(home).fault() is None:
                return  # another process was faster, and may be running it
            shutil.rmtree(home)
        content.rename(home)


class _AptError(Exception):
    """An apt or dpkg command that did not do its work."""


def _download(work: Path, options: Sequence[str]) -> list[Path]:
    # A simulated installation names what this machine lacks, whoever asks.
    plan = _run(["apt-get", *options, "--simulate", "--no-install-recommends", "install", "mosquitto"], work)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    if not names:
        raise _AptError("apt-get names no package to install")
    packages = Path(mkdtemp(dir=work, prefix="packages-"))
    _run(["apt-get", *options, "download", *names], packages)
    return sorted(packages.glob("*.deb"))


def _download_with_fresh_lists(work: Path) -> list[Path]:
    lists, cache = work / "lists", work / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    options = ("-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}")
    try:
        _run(["apt-get", *options, "update"], work)
        return _download(work, options)
    except _AptError as error:
        raise BrokerUnavailableError(
            f"mosquitto is not installed and could not be fetched: {error}", hint=_INSTALL
        ) from error


def _run(command: Sequence[str], work: Path) -> str:
    environment: Mapping[str, str] = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        told = subprocess.run(  # noqa: S603 - fixed commands; package names come from apt itself
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=_APT_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise _AptError(f"this system has no {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise _AptError(f"{command[0]} took more than {_APT_TIMEOUT_S:.0f} s") from error
    if told.returncode != 0:
        complaint = (told.stderr.strip() or "no reason given").splitlines()[-1]
        raise _AptError(f"{command[0]} failed: {complaint}")
    return told.stdout
