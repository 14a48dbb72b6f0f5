"""What a power cut leaves on a disk, made from the trace that `shim.c` wrote.

Until a file is synced, whatever was written to it since may be there, be missing, or be there in part: pages in any
order. A name (made, renamed, unlinked) lasts once its folder was synced; that of a new file also once the file was,
as ext4 and its like have it. `image` writes the files of one such moment into a folder.
"""

import os
import random
import shlex
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("shim.c")
PAGE = 4096
_HEAD = struct.Struct("=BiQQ")


class Kind(IntEnum):
    """As in `shim.c`."""

    OPENED = 1
    WRITTEN = 2
    TRUNCATED = 3
    SYNCED = 4
    UNLINKED = 5
    RENAMED = 6
    CLOSED = 7
    MARKED = 8
    FAILED = 9


@dataclass(frozen=True, slots=True)
class Note:
    kind: Kind
    fd: int
    offset: int
    data: bytes


def compiled(folder: Path, source: Path = SOURCE) -> Path:
    """Return a shim, compiled with this machine's own compiler; the test is skipped where there is none."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        if os.environ.get("VEILLEUR_NO_SKIP"):
            raise RuntimeError(f"there is no C compiler ({compiler[0]}): 'sudo apt install gcc'")
        pytest.skip(f"there is no C compiler ({compiler[0]}), so nothing can stand between a program and its machine")
    made = folder / f"{source.stem}.so"
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")
    subprocess.run([*compiler, *flags, "-o", str(made), str(source), "-ldl"], check=True)
    return made


def preloaded(shim: Path) -> dict[str, str]:
    """Return the environment of a program under which the shim stands."""
    return dict(os.environ) | {"LD_PRELOAD": str(shim)}


def notes(trace: Path) -> Iterator[Note]:
    """Yield what a trace says, in order."""
    data = trace.read_bytes()
    at = 0
    while at + _HEAD.size <= len(data):
        kind, fd, offset, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield Note(Kind(kind), fd, offset, data[at : at + length])
        at += length


@dataclass(slots=True)
class _File:
    """One inode: what certainly is on the disk, and what was done since."""

    durable: bytearray = field(default_factory=bytearray)
    since: list[Note] = field(default_factory=list)

    def sync(self) -> None:
        for note in self.since:
            _apply(self.durable, note.kind, note.offset, note.data)
        self.since.clear()

    def after_the_cut(self, dice: random.Random | None, chance: float) -> bytes:
        """Return what is found: with `dice`, each page written since is there with that chance."""
        content = bytearray(self.durable)
        for note in self.since:
            if note.kind is Kind.TRUNCATED:
                if dice is not None and dice.random() < chance:
                    _apply(content, note.kind, note.offset, note.data)
                continue
            for start, part in _pages(note):
                if dice is not None and dice.random() < chance:
                    _apply(content, note.kind, start, part)
        return bytes(content)


class Disk:
    """The disk below one folder, note by note."""

    def __init__(self, under: Path) -> None:
        self._under = under
        self._names: dict[str, _File] = {}
        self._durable: dict[str, _File] = {}
        self._open: dict[int, tuple[str, _File | None]] = {}
        self.syncs: dict[str, int] = {}

    def take(self, note: Note) -> None:
        """Let what a note says happen."""
        match note.kind:
            case Kind.OPENED:
                path = note.data.decode()
                folder = note.offset == 1
                self._open[note.fd] = (path, None if folder else self._names.setdefault(path, _File()))
            case Kind.CLOSED:
                self._open.pop(note.fd, None)
            case Kind.WRITTEN | Kind.TRUNCATED:
                file = self._open[note.fd][1]
                assert file is not None
                file.since.append(note)
            case Kind.SYNCED:
                self._sync(*self._open[note.fd])
            case Kind.UNLINKED:
                self._names.pop(note.data.decode(), None)
            case Kind.RENAMED:
                old, new = note.data[: note.offset].decode(), note.data[note.offset :].decode()
                if (moved := self._names.pop(old, None)) is not None:
                    self._names[new] = moved
            case Kind.MARKED | Kind.FAILED:
                pass

    def _sync(self, path: str, file: _File | None) -> None:
        self.syncs[path] = self.syncs.get(path, 0) + 1
        if file is None:
            ours = {name: one for name, one in self._names.items() if str(Path(name).parent) == path.rstrip("/")}
            theirs = {n: one for n, one in self._durable.items() if str(Path(n).parent) != path.rstrip("/")}
            self._durable = theirs | ours
            return
        file.sync()
        if self._names.get(path) is file:
            self._durable[path] = file

    def image(self, folder: Path, dice: random.Random | None = None, chance: float = 0.5) -> None:
        """Write what a power cut leaves now; without `dice` exactly what was synced."""
        names: Mapping[str, _File] = self._durable
        if dice is not None:
            names = {
                name: file
                for name in sorted({*self._durable, *self._names})
                for file in [self._found(name, dice, chance)]
                if file is not None
            }
        for name, file in names.items():
            target = folder / Path(name).relative_to(self._under)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(file.after_the_cut(dice, chance))
            target.chmod(0o600)

    def _found(self, name: str, dice: random.Random, chance: float) -> _File | None:
        before, now = self._durable.get(name), self._names.get(name)
        if before is now:
            return now
        return now if dice.random() < chance else before


def _apply(content: bytearray, kind: Kind, offset: int, data: bytes) -> None:
    if kind is Kind.TRUNCATED:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data


def _pages(note: Note) -> Iterator[tuple[int, bytes]]:
    start, end = note.offset, note.offset + len(note.data)
    while start < end:
        stop = min(end, (start // PAGE + 1) * PAGE)
        yield start, note.data[start - note.offset : stop - note.offset]
        start = stop
