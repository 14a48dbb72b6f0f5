"""Room in the buffer: its cap, the pages that only alerts may take, and what happens when there are none.

- The database never grows beyond the cap (`max_page_count`).
- An ordinary write, such as a reading, must leave the reserve free, free pages inside the file included; it is undone
  otherwise. An alert may take the reserve too.
- When the disk itself is nearly full, ordinary writes may not make the file larger; what they need is made inside it.
- When it is full all the same, the ballast goes, for alerts and for making room, and comes back when there is room.
- Then whatever may give way does (`relieve`), a portion at a time, and the write is tried again. When nothing may, an
  ordinary write is refused with `BufferFullError`.

Not here: what may give way, and in which order (eviction).
"""

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.ballast import Ballast
from agent.errors import BufferFullError
from agent.logs import EVENT, REASON
from agent.settings import BufferSettings

logger = logging.getLogger(__name__)

MIB = 1 << 20
WORKING_BYTES = 8 * MIB
"""What ordinary writes leave free on the disk for the log: it is four at most, a large transaction as much."""
MOST_PORTION = MIB
"""Bytes that are freed at a time, at most: one transaction that alerts wait for."""
_LEAST_PORTION = 16 << 10
BALLAST = "ballast"
"""Name of the file beside the database."""

T = TypeVar("T")
Relieve = Callable[[int], bool]
"""Frees about so many pages in a transaction of its own; returns whether it freed any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large the buffer may become, in bytes.

    Attributes:
        cap: of the database file, its log left out.
        reserve: of that, what only alerts may take.
        ballast: size of the file that is given up when the disk is full, 0: none.
    """

    cap: int = 1024 * MIB
    reserve: int = 8 * MIB
    ballast: int = 0


def limits_of(settings: BufferSettings) -> Limits:
    """Return the limits that the settings name."""
    return Limits(
        cap=settings.cap_mib * MIB, reserve=settings.alert_reserve_mib * MIB, ballast=settings.ballast_mib * MIB
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """How full a database is, in bytes."""

    used: int
    file: int


class _NoRoomError(Exception):
    """An ordinary write would take what is reserved; it is undone."""


def fill_of(connection: sqlite3.Connection) -> Fill:
    """Return how full a database is: `used` leaves out free pages inside the file."""
    size, pages, free = (
        int(connection.execute(f"pragma {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return Fill(used=(pages - free) * size, file=pages * size)


class Room:
    """The room of one open database."""

    def __init__(self, connection: sqlite3.Connection, path: Path, limits: Limits) -> None:
        """Hold the database at `path` to its limits."""
        self._connection = connection
        self._folder = path.parent
        self._log = path.with_name(f"{path.name}-wal")
        self._page = int(connection.execute("pragma page_size").fetchone()[0])
        self._ballast = Ballast(path.with_name(BALLAST), limits.ballast)
        self._limit = limits.cap - limits.reserve
        self._size_before = 0
        # SQLite keeps what is there already when the file is larger.
        connection.execute(f"pragma max_page_count = {max(1, limits.cap // self._page)}")
        free = shutil.disk_usage(self._folder).free
        if limits.cap + WORKING_BYTES > fill_of(connection).file + free:
            logger.warning("the disk has less room than the buffer may take", extra={EVENT: "buffer_cap"})

    @property
    def ballast_carried(self) -> bool:
        """Whether the ballast is in its place."""
        return self._ballast.carried

    def is_doubtful(self) -> bool:
        """Return whether the disk is nearly full, or has become one that is only read."""
        return self._is_short() or bool(os.statvfs(self._folder).f_flag & os.ST_RDONLY)

    def begin(self) -> None:
        """Take note of the file's size; the first thing in an ordinary transaction."""
        self._size_before = fill_of(self._connection).file

    def require(self) -> None:
        """Undo the ordinary transaction that this is the last call of, if it took what is reserved.

        Raises:
            _NoRoomError: it did; `run` knows what to do.
        """
        fill = fill_of(self._connection)
        if fill.used > self._limit or (fill.file > self._size_before and self._is_short()):
            raise _NoRoomError

    def run(self, write: Callable[[], T], relieve: Relieve) -> T:
        """Carry out a write that is one transaction, making room for it where there is none.

        Raises:
            sqlite3.Error: the disk refuses; nothing of it was kept.
        """
        while True:
            try:
                done = write()
            except _NoRoomError:
                if not self._make(relieve):
                    raise
            except sqlite3.Error as error:
                if not self._is_full(error) or not (self._clear_the_disk() or self._make(relieve)):
                    raise
            else:
                self._ballast.take_up()
                return done

    def run_ordinary(self, write: Callable[[], T], relieve: Relieve) -> T:
        """Do the same for a write that begins with `begin` and ends with `require`, and may be refused.

        Raises:
            BufferFullError: there is no room, and nothing may give way; nothing of it was kept.
            sqlite3.Error: the disk refuses otherwise; nothing of it was kept.
        """
        try:
            return self.run(write, relieve)
        except _NoRoomError as error:
            raise BufferFullError from error
        except sqlite3.Error as error:
            if not self._is_full(error):
                raise
            raise BufferFullError from error

    def _clear_the_disk(self) -> bool:
        """Make room on the disk, if that is what is full: the ballast goes, and what the log does not need."""
        # A cap that is reached on a disk with room is no reason to give it up.
        if shutil.disk_usage(self._folder).free < WORKING_BYTES and self._ballast.let_go():
            logger.warning("the disk is full, the ballast is let go", extra={EVENT: "ballast"})
            return True
        before = self._log_bytes()
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        return self._log_bytes() < before

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _make(self, relieve: Relieve) -> bool:
        portion = max(_LEAST_PORTION, min(self._limit // 32, MOST_PORTION)) // self._page
        while True:
            try:
                return relieve(portion)
            except sqlite3.Error as error:
                if not self._is_full(error):
                    raise
                if not self._clear_the_disk():
                    logger.warning("no room to make room", extra={EVENT: "buffer_full", REASON: str(error)})
                    return False

    def _is_short(self) -> bool:
        """Return whether what is left of the disk is for alerts and for making room."""
        return not self._ballast.carried or shutil.disk_usage(self._folder).free < WORKING_BYTES

    def _is_full(self, error: sqlite3.Error) -> bool:
        """Return whether a write failed for want of room, in the file or on the disk."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return True
        # The index of the log is made larger by other means, whose failure SQLite calls an error of the disk.
        return code == sqlite3.SQLITE_IOERR and shutil.disk_usage(self._folder).free < self._page
