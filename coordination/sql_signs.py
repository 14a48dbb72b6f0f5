"""What is kept of a box besides its records: its last status, and the messages that were refused."""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from coordination.bulk_rows import Value, among, parts, write
from coordination.database import Presence, Refused
from coordination.erased_patients import erased_among
from coordination.sql import Sql
from exchange.messages import Status

DISTINCT_REFUSED = 200
"""Refused messages kept one by one; the others are counted only, so that nobody fills the disk from outside."""

ONLINE = "online"


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is known of a box: its row, the latest status that counted as news, and its last session and status."""

    row: int
    status_at: int | None
    session: str | None
    at: int | None


class Statuses:
    """The statuses of one batch, in one open transaction: looked up in one go and kept in one go.

    A will was written when its session began and is delivered by the broker: it proves nothing, and one of another
    session than the last birth's is stale. Nor does a status that the broker had kept, or one no later than those
    seen before, which anybody on its side could send again.
    """

    def __init__(self, connection: Sql, *, at: int) -> None:
        """`at` is when they were received, ms UTC."""
        self._connection = connection
        self._at = at
        self._known: dict[str, _Known] = {}
        self._whole: dict[int, tuple[str, Status]] = {}
        self._states: dict[int, str] = {}
        self._news: dict[int, int] = {}

    def expect(self, boxes: Collection[str]) -> None:
        """Look up what is known of these boxes."""
        for some in parts(sorted(boxes)):
            for name, *known in self._connection.execute(
                "SELECT name, box.id, status_at, session, box_status.at FROM box"  # noqa: S608 - places of values
                f" LEFT JOIN box_status ON box_id = box.id WHERE name IN {among(some)}",
                some,
            ):
                self._known[name] = _Known(row=known[0], status_at=known[1], session=known[2], at=known[3])

    def keep(self, presence: Presence) -> bool:
        """Keep an authentic status; return whether it proves that the box lives."""
        status = presence.status
        if status.box not in self._known:
            self.expect([status.box])
        known = self._known[status.box]
        same_session = known.session == status.session
        if status.state != ONLINE:
            if same_session:
                self._change(known.row, status.state)
            elif known.session is None:
                self._keep(known, status)
            return False
        if not (same_session and known.at is not None and status.at <= known.at):
            self._keep(known, status)
        if known.status_at is not None and status.at <= known.status_at:
            return False
        known.status_at = self._news[known.row] = status.at
        return not presence.retained

    def settle(self) -> None:
        """Keep what waits and look up anew: what a box says of its time changes what its statuses prove."""
        self.flush()
        self._known.clear()

    def flush(self) -> None:
        """Keep what waits."""
        erased = erased_among(
            self._connection, {name for _, status in self._whole.values() for name in status.protocols}
        )
        write(
            self._connection,
            "box_status",
            _STATUS,
            [_status_row(row, state, status, erased, self._at) for row, (state, status) in self._whole.items()],
            conflict=_KEEP,
        )
        self._connection.executemany(
            "UPDATE box_status SET state = ?, received_at = ? WHERE box_id = ?",
            [(state, self._at, row) for row, state in self._states.items()],
        )
        self._connection.executemany(
            "UPDATE box SET status_at = ? WHERE id = ?", [(at, row) for row, at in self._news.items()]
        )
        for kept in (self._whole, self._states, self._news):
            kept.clear()

    def _keep(self, known: _Known, status: Status) -> None:
        known.session, known.at = status.session, status.at
        self._states.pop(known.row, None)
        self._whole[known.row] = (status.state, status)

    def _change(self, row: int, state: str) -> None:
        if row in self._whole:
            self._whole[row] = (state, self._whole[row][1])
        else:
            self._states[row] = state


_STATUS = ("box_id", "state", "epoch", "session", "next_seq", "backlog", "version", "protocols", "at", "received_at")
_KEEP = f" ON CONFLICT (box_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _STATUS[1:])}"


def _status_row(row: int, state: str, status: Status, erased: Collection[str], at: int) -> tuple[Value, ...]:
    protocols = {name: value for name, value in status.protocols.items() if name not in erased}
    said = msgspec.json.encode(protocols).decode()
    counts = (status.next_seq, status.backlog)
    return (row, state, status.epoch, status.session, *counts, status.version, said, status.at, at)


def refuse(connection: Sql, refused: Refused, at: int) -> None:
    """Count a refused message received at `at` (ms UTC), and keep what it looked like if there is room."""
    connection.execute(
        "INSERT INTO inbox_dead_letter_count (reason, count, last_at) VALUES (?, 1, ?)"
        " ON CONFLICT (reason) DO UPDATE SET count = inbox_dead_letter_count.count + 1, last_at = excluded.last_at",
        (refused.reason, at),
    )
    known = connection.execute(
        "UPDATE inbox_dead_letter SET count = count + 1, last_at = ?"
        " WHERE sha256 = ? AND reason = ? AND coalesce(box, '') = coalesce(?, '')",
        (at, refused.sha256, refused.reason, refused.box),
    ).rowcount
    if known:
        return
    kept = connection.execute("SELECT count(*) FROM inbox_dead_letter").fetchone()[0]
    if kept < DISTINCT_REFUSED:
        connection.execute(
            "INSERT INTO inbox_dead_letter (reason, box, size, sha256, first_at, last_at, count)"
            " VALUES (?, ?, ?, ?, ?, ?, 1)",
            (refused.reason, refused.box, refused.size, refused.sha256, at, at),
        )
