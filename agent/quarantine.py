"""A damaged database is set aside whole, a new one begins, and what was still to be sent is taken over from it.

- Set aside means moved, never changed or deleted: `damaged/<time>-<random>/` beside the database, for whoever can read
  more of it. `KEPT` of them are kept, within `KEPT_BYTES` but for the newest.
- The log is moved before the database, into a folder that counts only once it has both: a stop in between is taken up
  again, and no log is ever played into a database that it does not belong to.
- SQLite itself ends a damaged log at the first wrong checksum and says nothing. So the log is looked at before: frames
  of commits beyond the wrong one were once on the disk, and are lost.
- An envelope proves by the box's own signature that it is what was sealed. Those that do are taken over, waiting or
  receipted, from however damaged a file, with the numbers that they have.

Another key than the database's is no damage, and nothing here happens for it. Not here: telling (upkeep).
"""

import contextlib
import logging
import secrets
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from sqlite_utils.db import Database

from agent.database import connect, immediate
from agent.errors import DamagedError, StoreError
from agent.logs import COUNT, EVENT
from agent.migrations import migrations
from agent.notes import keep_note
from agent.outbox import next_seq
from agent.room import Limits
from agent.store import Store
from agent.vault import Vault
from alerting.alert import Sentence
from exchange.audit_chain import Act
from exchange.durable_file import sync_folder
from exchange.sealing import Header

logger = logging.getLogger(__name__)

FOLDER: Final = "damaged"
KEPT: Final = 3
KEPT_BYTES: Final = 512 << 20
RULE: Final = "database_quarantined"

_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MAGIC: Final = 0x377F0682
_LOOKED_AT: Final = 64 << 20
"""Bytes of a log that are looked at: sixteen times what it grows to before SQLite empties it."""

Own = Callable[[bytes], Header | None]


def open_store(path: Path, vault: Vault, *, own: Own, now_ms: int, limits: Limits | None = None) -> Store:
    """Open the box's database; a damaged one is set aside, and a new one takes over what it had to send.

    Args:
        path: of the database.
        vault: with the box's key.
        own: tells what this box sealed: returns its header, None of anything else.
        now_ms: ms UTC.
        limits: how large it may become.

    Raises:
        StoreError: it cannot be used, and that is no damage; or the new one is damaged too.
        VaultError: its keys do not open with this box's key.
    """
    try:
        return _open(path, vault, own=own, now_ms=now_ms, limits=limits)
    except DamagedError as error:
        set_aside(path, error, now_ms=now_ms)
        return _open(path, vault, own=own, now_ms=now_ms, limits=limits)


def _open(path: Path, vault: Vault, *, own: Own, now_ms: int, limits: Limits | None) -> Store:
    _finish(path)
    require_whole(path)
    newest = next(reversed(set_aside_before(path)), None)
    renewed = newest is not None and not path.exists()
    if newest is not None and renewed:
        _take_over(path, newest, own=own)
    store = Store(path, vault, now_ms=now_ms, limits=limits)
    if renewed:
        store.audited(lambda log: log.enter(Act.DATABASE_QUARANTINED, at=now_ms, by="box"), now_ms=now_ms)
    return store


# --- looking --------------------------------------------------------------------------------------------------


def require_whole(path: Path) -> None:
    """Look at what SQLite would pass over in silence: an emptied file, and a log damaged before its end.

    Raises:
        DamagedError: the database has lost something.
        StoreError: the files cannot be read.
    """
    log = _log(path)
    try:
        emptied = path.exists() and path.stat().st_size == 0
        alone = log.exists() and log.stat().st_size > 0 and not path.exists()
        broken = log.exists() and log_is_broken(log)
    except OSError as error:
        raise StoreError(
            Sentence(
                fr=f"{path} ne peut pas être lu ({error.strerror}).", en=f"{path} cannot be read ({error.strerror})."
            ),
            Sentence(fr="Vérifier le dossier et son propriétaire.", en="Check the folder and its owner."),
        ) from error
    if emptied or alone or broken:
        raise DamagedError(
            Sentence(fr=f"{path} ou son journal est abîmé.", en=f"{path} or its log is damaged."),
            Sentence(
                fr="Redémarrer : la base est mise de côté et une neuve commence.",
                en="Restart: the database is set aside and a new one begins.",
            ),
        )


def log_is_broken(log: Path) -> bool:
    """Return whether commits that were on the disk once can no longer be read from a write-ahead log.

    What a power cut leaves of the last commit, which nobody was told of, is no damage: so one commit may follow a wrong
    frame, and not two (each was on the disk before the next began). Format: https://sqlite.org/fileformat2.html#walformat
    """
    with log.open("rb") as file:
        header = file.read(_WAL_HEADER)
        if len(header) < _WAL_HEADER:
            return False
        magic, _, page, _, salt1, salt2, first, second = struct.unpack(">8I", header)
        order = ">" if magic & 1 else "<"
        if magic & ~1 != _MAGIC or _checksum(order, header[:24], (0, 0)) != (first, second):
            return bool(file.read(1))
        sums, sound, lost = (first, second), True, 0
        for _ in range(_LOOKED_AT // (_FRAME_HEADER + page)):
            head, data = file.read(_FRAME_HEADER), file.read(page)
            if len(data) < page:
                break
            _, commit, own1, own2, *said = struct.unpack(">6I", head)
            if (own1, own2) != (salt1, salt2):
                # What the log held before it was begun anew, or a damaged frame: those after tell.
                sound = False
                continue
            if sound:
                sums = _checksum(order, data, _checksum(order, head[:8], sums))
                sound = sums == (said[0], said[1])
            if not sound and commit:
                lost += 1
    return lost > 1


def _checksum(order: str, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
    one, two = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for left, right in zip(words[::2], words[1::2], strict=True):
        one = (one + left + two) & 0xFFFFFFFF
        two = (two + right + one) & 0xFFFFFFFF
    return one, two


# --- setting aside --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A database that was set aside: its folder, when (ISO 8601), and its size in bytes."""

    folder: Path
    at: str
    size: int


def set_aside_before(path: Path) -> tuple[SetAside, ...]:
    """Return the databases set aside beside this one, oldest first."""
    found = []
    for folder in sorted((path.parent / FOLDER).glob("[0-9]*-*")):
        with contextlib.suppress(OSError):
            size = sum(file.stat().st_size for file in folder.iterdir())
            found.append(SetAside(folder=folder, at=folder.name.rpartition("-")[0], size=size))
    return tuple(found)


def set_aside(path: Path, error: DamagedError, *, now_ms: int) -> None:
    """Move a damaged database and its log aside; the oldest ones go when there are too many.

    Raises:
        StoreError: they cannot be moved.
    """
    at = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.parent / FOLDER / f".{at}-{secrets.token_hex(4)}"
    logger.error("the database is damaged and set aside: %s", error.why.en, extra={EVENT: "database_quarantined"})
    try:
        target.mkdir(mode=0o700, parents=True)
        sync_folder(target.parent)
        sync_folder(path.parent)
        _move(path, target)
        _drop_oldest(path)
    except OSError as failure:
        raise StoreError(
            Sentence(
                fr=f"{path} est abîmée et ne peut pas être mise de côté ({failure.strerror}).",
                en=f"{path} is damaged and cannot be set aside ({failure.strerror}).",
            ),
            Sentence(
                fr="Vérifier le dossier et le disque, changer la carte si elle refuse d'écrire.",
                en="Check the folder and the disk, replace the card if it refuses to write.",
            ),
        ) from failure


def _move(path: Path, target: Path) -> None:
    for name in (f"{path.name}-wal", path.name):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(name).rename(target / name)
            (target / name).chmod(0o600)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    sync_folder(target)
    sync_folder(path.parent)
    target.rename(target.with_name(target.name[1:]))
    sync_folder(target.parent)


def _finish(path: Path) -> None:
    """Take up again what a stop cut short: the rest of a database of which a part was moved already."""
    for target in sorted((path.parent / FOLDER).glob(".*")):
        _move(path, target)


def _drop_oldest(path: Path) -> None:
    kept, size = 0, 0
    for one in reversed(set_aside_before(path)):
        kept, size = kept + 1, size + one.size
        if kept > 1 and (kept > KEPT or size > KEPT_BYTES):
            shutil.rmtree(one.folder)


def erase_set_aside(path: Path) -> None:
    """Delete every database that was set aside."""
    shutil.rmtree(path.parent / FOLDER, ignore_errors=True)


# --- taking over ----------------------------------------------------------------------------------------------


def _take_over(path: Path, aside: SetAside, *, own: Own) -> None:
    """Make the new database with what the old one had to send, in one transaction, and the note to tell of it."""
    entries, ends = _read(aside.folder / path.name, own)
    draft = path.with_name(f".{path.name}.draft")
    for end in ("", "-wal", "-shm"):
        draft.with_name(draft.name + end).unlink(missing_ok=True)
    connection = connect(draft)
    try:
        with immediate(connection):
            columns = [row[1] for row in connection.execute("pragma table_info(outbox)")]
            begun: dict[str, int] = {}
            for header, row in entries:
                known = [name for name in row if name in columns]
                marks = ", ".join("?" * len(known))
                # The names are those of a column of this database's own table.
                connection.execute(
                    f"insert or ignore into outbox({', '.join(known)}) values ({marks})",  # noqa: S608
                    [row[name] for name in known],
                )
                begun[header.epoch] = min(header.first, begun.get(header.epoch, header.first))
                ends = max(ends, header.last + 1)
            # Two epochs of one number would be two databases in one: the later is not to be believed.
            firsts = {first: name for name, first in begun.items()}
            connection.executemany(
                "insert or ignore into epoch(name, first) values (?, ?)",
                [(name, first) for first, name in sorted(firsts.items())],
            )
            connection.execute("insert into meta(name, value) values ('next_seq', ?)", (str(ends).encode(),))
            keep_note(connection, RULE)
    finally:
        # The last to close plays the log into the file, and takes it away.
        connection.close()
    draft.rename(path)
    sync_folder(path.parent)
    logger.warning(
        "a new database begins with what the damaged one had to send",
        extra={EVENT: "database_begun", COUNT: len(entries)},
    )


Row = dict[str, object]


def _read(path: Path, own: Own) -> tuple[list[tuple[Header, Row]], int]:
    """Return the envelopes of a damaged database that prove themselves, and its next number as far as it is known."""
    found: dict[int, tuple[Header, Row]] = {}
    ends = _collect(path, own, found)
    if not found:
        # What says which tables there are may be all that is damaged.
        copy = path.with_name(".mended")
        with contextlib.suppress(sqlite3.Error, OSError):
            _mend(path, copy)
            ends = max(ends, _collect(copy, own, found))
        for end in ("", "-wal", "-shm"):
            copy.with_name(copy.name + end).unlink(missing_ok=True)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    return _apart([found[first] for first in sorted(found)]), ends


def _collect(path: Path, own: Own, found: dict[int, tuple[Header, Row]]) -> int:
    """Add what can be read of a file to `found`, by first number; return its next number, 0 where that is not known."""
    ends = 0
    with contextlib.suppress(sqlite3.Error, OSError, ValueError):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            # Reads on beside a table or index whose description is damaged; nothing is written.
            connection.execute("pragma writable_schema = on")
            with contextlib.suppress(sqlite3.Error, ValueError):
                ends = next_seq(connection)
            # A damaged page ends a walk: the other end is reached from the other side.
            for order in ("asc", "desc"):
                with contextlib.suppress(sqlite3.Error):
                    for header, row in _walk(connection, order, own):
                        found.setdefault(header.first, (header, row))
        finally:
            connection.close()
    return ends


def _mend(path: Path, copy: Path) -> None:
    """Make a copy of a damaged database that knows no table but the outbox and `meta`, as this program makes them."""
    for end in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path.with_name(path.name + end), copy.with_name(copy.name + end))
    sound = Database(memory=True)
    migrations.apply(sound)
    shapes = sound.execute("select sql, name from sqlite_schema where name in ('outbox', 'meta')").fetchall()
    connection = sqlite3.connect(copy, isolation_level=None)
    try:
        connection.execute("pragma writable_schema = on")
        connection.execute("delete from sqlite_schema where type <> 'table' or name not in ('outbox', 'meta')")
        connection.executemany("update sqlite_schema set sql = ? where name = ?", shapes)
    finally:
        connection.close()


def _walk(connection: sqlite3.Connection, order: str, own: Own) -> Iterator[tuple[Header, Row]]:
    cursor = connection.execute(f"select * from outbox order by first {order}")  # noqa: S608 one of two constants
    names = [column[0] for column in cursor.description]
    for values in cursor:
        row = dict(zip(names, values, strict=True))
        body = row["body"]
        header = own(body) if isinstance(body, bytes) else None
        if header is not None and (header.first, header.last) == (row["first"], row["last"]):
            yield header, row


def _apart(entries: Sequence[tuple[Header, Row]]) -> list[tuple[Header, Row]]:
    """Leave out what overlaps the one before: such numbers cannot both be of this database."""
    kept = list(entries[:1])
    for before, one in pairwise(entries):
        if one[0].first > max(before[0].last, kept[-1][0].last):
            kept.append(one)
    return kept


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
