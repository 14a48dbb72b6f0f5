"""Where wear is counted: a file system of its own where root may mount one, and the log of the database on it.

Not here: what is written (wear, wear_box).
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.database import LOG_BYTES

MOUNTED_BYTES = 512 << 20
SECTOR = 512
"""Of which /sys/block/*/stat counts, whatever the device (Documentation/block/stat.rst)."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder, and what counts the bytes written to where it lies."""

    folder: Path
    counted: str
    written: Callable[[], int]


@contextmanager
def disk() -> Iterator[Disk]:
    """Give a disk of its own, or this one."""
    with tempfile.TemporaryDirectory(prefix="veilleur-wear-") as name:
        image, place = Path(name, "card.img"), Path(name, "card")
        place.mkdir()
        device = _mount(image, place) if os.geteuid() == 0 else None
        if device is None:
            yield Disk(place, "by this process", _of_process)
            return
        try:
            yield Disk(place, "on the device, ext4", lambda: _of_device(device))
        finally:
            subprocess.run(["umount", str(place)], check=True)


def _mount(image: Path, place: Path) -> str | None:
    """Return the name of the loop device that is mounted at `place`, None where that is not allowed."""
    if shutil.which("mkfs.ext4") is None or shutil.which("mount") is None:
        return None
    with image.open("wb") as file:
        file.truncate(MOUNTED_BYTES)
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop,noatime", str(image), str(place)]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return next(line.split()[0].rsplit("/", 1)[1] for line in mounts if line.split()[1] == str(place))


def _of_device(device: str) -> int:
    os.sync()
    fields = Path("/sys/block", device, "stat").read_text(encoding="utf-8").split()
    return int(fields[6]) * SECTOR


def _of_process() -> int:
    return written_by(os.getpid())


def written_by(pid: int | None) -> int:
    """Return how many bytes a process had written to storage (proc_pid_io(5))."""
    lines = Path("/proc", str(pid), "io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def lengthen_log(path: Path) -> None:
    """Have the log as long as it gets before it is played into the file, and begin it anew."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma wal_autocheckpoint = 0").fetchall()
    connection.execute("create table filling(body blob)")
    while path.with_name(f"{path.name}-wal").stat().st_size < LOG_BYTES:
        connection.execute("insert into filling values (zeroblob(65536))")
        connection.execute("delete from filling")
    connection.execute("drop table filling")
    connection.close()
    checkpoint(path)


def checkpoint(path: Path) -> None:
    """Have all that is in the log written to where it belongs, so that it is counted; the log stays as long."""
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(restart)").fetchall()
    connection.close()
