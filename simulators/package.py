"""A program of the distribution, unpacked beside the system without root.

The packages are those that `apt-get` would install, fetched and verified by it, and unpacked into a folder of the
user's. The system is left as it is.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from simulators.errors import SimulatorError

_APT_TIMEOUT_S = 300.0
_ANSWER_S = 60.0


class PackageError(SimulatorError):
    """An apt or dpkg command that did not do its work."""


def library_folders(home: Path) -> tuple[Path, ...]:
    """Return the folders with shared libraries below an unpacked package."""
    return tuple(sorted({library.parent for library in home.rglob("*.so*")}))


def with_libraries(libraries: Sequence[Path]) -> dict[str, str]:
    """Return this process's environment with what a program needs to find libraries that the system lacks."""
    found = [str(folder) for folder in libraries]
    inherited = os.environ.get("LD_LIBRARY_PATH")
    path = os.pathsep.join([*found, inherited] if inherited else found)
    return {**os.environ, **({"LD_LIBRARY_PATH": path} if path else {})}


def why_not(command: Sequence[str | Path], *, says: str, environment: dict[str, str]) -> str | None:
    """Return why a program does not start, or None when it does.

    Args:
        command: asks it for its version or its help.
        says: how its answer begins.
        environment: that it is run in.
    """
    try:
        told = subprocess.run(  # noqa: S603 - a program that was searched for by its name
            command, env=environment, capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if told.stdout.startswith(says):
        return None
    return (told.stderr.strip() or told.stdout.strip() or f"exit status {told.returncode}").splitlines()[-1]


def unpack(package: str, folder: Path, home: Path, *, works: Callable[[], bool]) -> None:
    """Fetch a package and what it needs, and put their content at `home`, whole or not at all.

    One process unpacks into `folder` at a time: those that begin meanwhile wait, and take what it unpacked.

    Args:
        package: its name.
        folder: existing folder on the same file system as `home`.
        home: becomes the root of the content.
        works: whether what is at `home` works: another process may have been faster, and may be running it.

    Raises:
        PackageError: it could not be fetched.
        OSError: it could not be written.
    """
    with _alone_in(folder), TemporaryDirectory(dir=folder, prefix="unpacking-") as name:
        if home.is_dir() and works():
            return
        work = Path(name)
        try:
            packages = _download(package, work, ())
        except PackageError:
            # No package lists, or lists older than the archive: read them into a folder of our own.
            packages = _download(package, work, _fresh_lists(work))
        content = work / "content"
        for item in packages:
            _run(["dpkg-deb", "--extract", str(item), str(content)], work)
        if home.is_dir():
            shutil.rmtree(home)
        content.rename(home)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep others that unpack into the same folder waiting; the lock, on the folder itself, leaves nothing behind."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _download(package: str, work: Path, options: Sequence[str]) -> list[Path]:
    # A simulated installation names what this machine lacks, whoever asks.
    plan = _run(["apt-get", *options, "--simulate", "--no-install-recommends", "install", package], work)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    if not names:
        raise PackageError("apt-get names no package to install")
    packages = Path(mkdtemp(dir=work, prefix="packages-"))
    _run(["apt-get", *options, "download", *names], packages)
    return sorted(packages.glob("*.deb"))


def _fresh_lists(work: Path) -> Sequence[str]:
    lists, cache = work / "lists", work / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    options = ("-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}")
    _run(["apt-get", *options, "update"], work)
    return options


def _run(command: Sequence[str], work: Path) -> str:
    environment: Mapping[str, str] = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        told = subprocess.run(  # noqa: S603 - fixed commands; package names come from apt itself
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=_APT_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise PackageError(f"this system has no {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"{command[0]} took more than {_APT_TIMEOUT_S:.0f} s") from error
    if told.returncode != 0:
        complaint = (told.stderr.strip() or "no reason given").splitlines()[-1]
        raise PackageError(f"{command[0]} failed: {complaint}")
    return told.stdout
