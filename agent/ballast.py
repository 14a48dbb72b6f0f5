"""The ballast: a file of nothing whose room the box gives up when the disk is full.

On a full disk even deleting fails, because what is deleted is first written to the log. Whoever filled the disk, the
room of the ballast is then there for alerts and for making room. It is made again once there is room to spare.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path

_CHUNK = bytes(1 << 16)


STARTING_BYTES = 1 << 20
"""What opening the database takes, at most: its log, its index and a key."""


def make_way(path: Path) -> None:
    """Give the ballast at `path` up, if it is there, when the disk has too little room for the box even to start."""
    if path.exists() and shutil.disk_usage(path.parent).free < STARTING_BYTES:
        path.unlink()


class Ballast:
    """One file of a fixed size, on the disk that it is for."""

    def __init__(self, path: Path, size: int) -> None:
        """Make it unless it is there or the disk has no room for it; `size` is in bytes, 0: there is none."""
        self._path = path
        self._size = size
        self.carried = size == 0 or self._measures()
        """Whether it is in its place, so that its room is not used."""
        self.take_up()

    @property
    def size(self) -> int:
        """Bytes that it takes, or would take."""
        return self._size

    def let_go(self) -> bool:
        """Give its room to what must be written now; return whether there was any to give."""
        if self._size == 0 or not self.carried:
            return False
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self.carried = False
        return True

    def take_up(self) -> bool:
        """Make it again if twice its size is free; return whether it is in its place."""
        if not self.carried and shutil.disk_usage(self._path.parent).free >= 2 * self._size:
            self.carried = self._make()
        return self.carried

    def _measures(self) -> bool:
        try:
            return self._path.stat().st_size == self._size
        except FileNotFoundError:
            return False

    def _make(self) -> bool:
        draft = self._path.with_suffix(".draft")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                self._fill(descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            draft.rename(self._path)
        except OSError:
            # The room went to somebody else meanwhile: there is none to set aside now.
            with contextlib.suppress(OSError):
                draft.unlink()
            return False
        return True

    def _fill(self, descriptor: int) -> None:
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
            # A file system that sets nothing aside unless it is written.
            left = self._size
            while left > 0:
                left -= os.write(descriptor, _CHUNK[:left])
