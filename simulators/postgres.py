"""A real PostgreSQL server on loopback, for tests and measurements: made, started and stopped here.

The server that the system has is used; where there is none, the distribution's package is unpacked beside it without
root. PostgreSQL never runs as root: there it is run as the user "nobody".
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

from simulators.broker import free_port
from simulators.errors import SimulatorError
from simulators.package import PackageError, library_folders, unpack, with_libraries

START_WITHIN_S = 60
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a name of its own is made there
MEMORY_WANTED = 2 << 30
"""Bytes free there."""
PACKAGE = "postgresql-15"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
}


class PostgresError(SimulatorError):
    """The server could not be made or started."""


def programs() -> Path:
    """Return the folder of PostgreSQL's programs: the system's newest, else unpacked ones.

    Raises:
        PostgresError: there is none and it cannot be unpacked.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    # Another user than root runs it, who must not be kept out by root's own folder.
    cache = Path("/var/cache") if os.geteuid() == 0 else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = cache / "veilleur" / PACKAGE
    place = home / "usr/lib/postgresql/15/bin"
    if not _works(place):
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            unpack(PACKAGE, home.parent, home, works=lambda: _works(place))
        except (PackageError, OSError) as error:
            raise PostgresError(
                f"PostgreSQL is not installed and could not be unpacked ({error}): apt-get install {PACKAGE}"
            ) from error
    return place


def _works(place: Path) -> bool:
    if not (place / "initdb").is_file():
        return False
    environment = with_libraries(library_folders(place.parents[4]))
    asked = [str(place / "initdb"), "--version"]
    return subprocess.run(asked, env=environment, capture_output=True, check=False).returncode == 0  # noqa: S603 - ours


class Postgres:
    """A server with a data folder of its own, while the block lasts."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None, in_memory: bool = False) -> None:
        """`folder` is made and holds the data, unless root starts it; `settings` are added to postgresql.conf.

        `in_memory` keeps the data in memory where there is enough of it to spare: whoever makes databases by the
        hundred waits for the thousands of files of which they are.
        """
        roomy = in_memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_WANTED
        self._place = MEMORY if roomy else None
        self._folder = folder
        self._data = folder / "data"
        self._settings = _SETTINGS | (settings or {})
        self._password = secrets.token_urlsafe(24)
        self._port = 0

    def __enter__(self) -> Self:
        """Make and start it.

        Raises:
            PostgresError: it did not come up.
        """
        self._programs = programs()
        if self._place is not None or os.geteuid() == 0:
            self._folder = Path(mkdtemp(prefix="veilleur-postgres-", dir=self._place))
        if os.geteuid() == 0:
            # Of its own user and in a place that this one reaches: the folders of root's tests are closed to others.
            shutil.chown(self._folder, "nobody", "nogroup")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._data = self._folder / "data"
        password = self._folder / "password"
        password.write_text(self._password)
        if os.geteuid() == 0:
            shutil.chown(password, "nobody", "nogroup")
        self._run(
            ["initdb", "--pgdata", str(self._data), "--username", "veilleur", "--auth", "scram-sha-256",
             "--pwfile", str(password), "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        )  # fmt: skip
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it on a free port, or on the one that it had.

        Raises:
            PostgresError: it did not come up.
        """
        self._port = self._port or free_port()
        options = " ".join(
            f"-c {name}='{value}'" for name, value in (self._settings | {"port": str(self._port)}).items()
        )
        self._run(
            ["pg_ctl", "--pgdata", str(self._data), "--log", str(self._folder / "log"), "--wait",
             "--timeout", str(START_WITHIN_S), "--options", options, "start"]
        )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: "immediate" as a power cut would, "fast" in order."""
        self._run(["pg_ctl", "--pgdata", str(self._data), "--mode", mode, "--wait", "stop"], must=False)

    def url(self, database: str) -> str:
        """Return the address of a database of it."""
        return f"postgresql://veilleur:{self._password}@127.0.0.1:{self._port}/{database}"

    def new_database(self, name: str) -> str:
        """Return the address of a new database, which compares texts by their bytes; the name is the caller's own."""
        self._run(
            ["createdb", "--maintenance-db", self.url("postgres"), "--template", "template0", "--encoding", "UTF8",
             "--locale", "C", name]
        )  # fmt: skip
        return self.url(name)

    def program(self, name: str) -> Path:
        """Return one of its programs, such as "pg_dump"."""
        return self._programs / name

    def _run(self, command: Sequence[str], *, must: bool = True) -> None:
        unpacked = not self._programs.is_relative_to("/usr/lib")
        environment = with_libraries(library_folders(self._programs.parents[4])) if unpacked else None
        whole = [str(self._programs / command[0]), *command[1:]]
        if os.geteuid() == 0:
            whole = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", *whole]
        # Its own output goes to a file: a server that was started would keep a pipe open.
        with (self._folder / "commands").open("ab") as said:
            done = subprocess.run(whole, env=environment, stdout=said, stderr=said, cwd="/", check=False)  # noqa: S603 - ours
        if must and done.returncode:
            log = (self._folder / "commands").read_text(errors="replace")[-1000:]
            raise PostgresError(f"{command[0]} failed: {log}")
