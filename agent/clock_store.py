"""What the box keeps about its own time, and what it puts right in what it keeps for judging.

Each start, and each time that the clock is put right, begins a *stretch*: from there on the box's time ran from one
point. With the sequence number and the row at which it began, what was received in it can be named later. A stretch
of a time that nobody had vouched for is put right when somebody does: readings dated by their arrival are moved by
what the time lacked, in the rows that judging reads. What was sealed for the team stays as it is; a record says what
to make of it.

Functions of one open database, inside a transaction of the caller's where they write.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from agent.box_clock import Correction, Stretch
from agent.errors import VaultError
from agent.vault import Vault
from devices.reading import ClockTrust
from exchange.box_records import ClockCorrection
from exchange.messages import ObservationRecord, is_by_arrival

MOST_STRETCHES = 256
"""Stretches that are remembered: of the oldest, what could still be put right was long ago."""

_NAME_BYTES, _ROW_BYTES = 8, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far the database had come: the epoch that numbers are given under, and the next number and row."""

    epoch: str
    seq: int
    row: int


def must_retime(connection: sqlite3.Connection) -> bytes | None:
    """Return what names the right time that judging has not taken up yet; None when there is none."""
    row = connection.execute("select value from meta where name = 'retime'").fetchone()
    return None if row is None else bytes(row[0])


def name_right_time(connection: sqlite3.Connection, from_row: int) -> None:
    """Let judging take up the right time: what was received from a row on had been dated by a wrong one.

    Where it has not taken up the one before, the rows that this had concerned are concerned still.
    """
    before = must_retime(connection)
    waiting = None if before is None else first_row(before)
    row = from_row if waiting is None else min(from_row, waiting)
    name = secrets.token_bytes(_NAME_BYTES) + row.to_bytes(_ROW_BYTES)
    connection.execute("insert or replace into meta(name, value) values ('retime', ?)", (name,))


def first_row(right: bytes) -> int | None:
    """Return the first row that the wrong time before had concerned; None of a name that an older program gave."""
    return int.from_bytes(right[_NAME_BYTES:]) if len(right) == _NAME_BYTES + _ROW_BYTES else None


def last_time(connection: sqlite3.Connection) -> int:
    """Return the latest time (ms UTC) that the box is known to have reached; 0 when it never kept anything.

    Envelopes that are older than what was said last about the time do not count: the clock may have been ahead.
    """
    row = connection.execute("select value from meta where name = 'box_time'").fetchone()
    kept, seq = (0, 0) if row is None else map(int, bytes(row[0]).split())
    newest = connection.execute("select max(created) from outbox where first >= ?", (seq,)).fetchone()[0]
    return max(kept, newest or 0)


def keep_time(connection: sqlite3.Connection, now_ms: int, *, seq: int) -> None:
    """Keep that the box's time is `now_ms`, whatever was kept before."""
    connection.execute(
        "insert into meta(name, value) values ('box_time', ?) on conflict(name) do update set value = excluded.value",
        (f"{now_ms} {seq}".encode(),),
    )


def last_stretch(connection: sqlite3.Connection) -> Stretch | None:
    """Return the stretch that was begun last."""
    row = connection.execute("select boot, mono, wall, trusted from clock_stretch order by id desc limit 1").fetchone()
    if row is None:
        return None
    boot, mono, wall, trusted = row
    return Stretch(boot=boot, mono=mono, wall=wall, trusted=bool(trusted))


def begin_stretch(connection: sqlite3.Connection, stretch: Stretch, place: Place) -> None:
    """Keep that a stretch begins here."""
    connection.execute(
        "insert into clock_stretch(boot, mono, wall, trusted, epoch, first_seq, first_row)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        (stretch.boot, stretch.mono, stretch.wall, stretch.trusted, place.epoch, place.seq, place.row),
    )
    connection.execute(
        "delete from clock_stretch where id <= (select max(id) from clock_stretch) - ?", (MOST_STRETCHES,)
    )


def doubtful(connection: sqlite3.Connection, boot: str, place: Place) -> list[tuple[Place, int]]:
    """Return where each stretch of this boot that nobody has vouched for began, and the number after its last."""
    begun = connection.execute(
        "select boot, trusted, epoch, first_seq, first_row from clock_stretch order by id"
    ).fetchall()
    ends = [first_seq for _, _, _, first_seq, _ in begun[1:]] + [place.seq]
    return [
        (Place(epoch=epoch, seq=seq, row=row), end)
        for (of_boot, trusted, epoch, seq, row), end in zip(begun, ends, strict=True)
        if of_boot == boot and not trusted
    ]


def put_right(connection: sqlite3.Connection, boot: str) -> None:
    """Keep that the stretches of this boot need nothing more."""
    connection.execute("update clock_stretch set trusted = 1 where boot = ?", (boot,))


def records(correction: Correction, parts: list[tuple[Place, int]], *, at: int) -> Iterator[ClockCorrection]:
    """Yield what tells the team of a correction, for each part that has any records."""
    for place, end in parts:
        if end > place.seq:
            yield ClockCorrection(
                boot=correction.boot,
                mono_from=correction.mono_from,
                mono_to=correction.mono_to,
                offset=correction.offset,
                epoch=place.epoch,
                first=place.seq,
                last=end - 1,
                at=at,
            )


def redate(connection: sqlite3.Connection, vault: Vault, correction: Correction, *, from_row: int, began: int) -> None:
    """Move what was dated by its arrival, from a row on, by what the time lacked.

    Args:
        connection: the box's database.
        vault: seals its rows.
        correction: by how much.
        from_row: the first row that was received in the wrong time.
        began: ms UTC, by the wrong time, at which that began: whoever is watched since later is watched since then.
    """
    rows = connection.execute("select id, digest, body from reading where id >= ?", (from_row,)).fetchall()
    for row, digest, body in rows:
        before = _opened(vault, "reading", digest, body)
        if before is None:
            continue
        after = moved(before, correction.offset)
        connection.execute(
            "update reading set measured_at = ?, body = ? where id = ?",
            (after.measured_at, vault.seal("reading", digest.hex(), msgspec.msgpack.encode(after)), row),
        )
    for digest, body in connection.execute("select digest, body from device").fetchall():
        last = _opened(vault, "device", digest, body)
        if last is not None and last.received_at >= began:
            sealed = vault.seal("device", digest.hex(), msgspec.msgpack.encode(moved(last, correction.offset)))
            connection.execute("update device set body = ? where digest = ?", (sealed, digest))
    connection.execute("update stream set since = since + ? where since >= ?", (correction.offset, began))


def _opened(vault: Vault, table: str, digest: bytes, body: bytes) -> ObservationRecord | None:
    """Return what a row says; None of one that was altered, which whoever reads it next counts and leaves out."""
    try:
        return msgspec.msgpack.decode(vault.open(table, digest.hex(), body), type=ObservationRecord)
    except VaultError:
        return None


def moved(record: ObservationRecord, offset: int) -> ObservationRecord:
    """Return a record by the right time: one dated by its arrival is moved, one that its device dated is not."""
    received_at = record.received_at + offset
    if not is_by_arrival(record):
        return msgspec.structs.replace(record, received_at=received_at)
    return msgspec.structs.replace(
        record, received_at=received_at, measured_at=record.measured_at + offset, clock=ClockTrust.CORRECTED
    )
