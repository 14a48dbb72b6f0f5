"""What is kept of a box besides its records: its last status, and the messages that were refused."""

import msgspec

from coordination.database import Presence, Refused
from coordination.erased_patients import without_erased
from coordination.sql import Sql
from exchange.messages import Status

DISTINCT_REFUSED = 200
"""Refused messages kept one by one; the others are counted only, so that nobody fills the disk from outside."""

ONLINE = "online"


def keep_presence(connection: Sql, presence: Presence, at: int) -> bool:
    """Keep an authentic status received at `at` (ms UTC); return whether it proves that the box lives.

    A will was written when its session began and is delivered by the broker: it proves nothing, and one of another
    session than the last birth's is stale. Nor does a status that the broker had kept, or one no later than those
    seen before, which anybody on its side could send again.
    """
    status = presence.status
    box, status_at = connection.execute("SELECT id, status_at FROM box WHERE name = ?", (status.box,)).fetchone()
    known = connection.execute("SELECT session, at FROM box_status WHERE box_id = ?", (box,)).fetchone()
    same_session = known is not None and known[0] == status.session
    if status.state != ONLINE:
        if same_session:
            connection.execute(
                "UPDATE box_status SET state = ?, received_at = ? WHERE box_id = ?", (status.state, at, box)
            )
        elif known is None:
            _keep(connection, box, status, at)
        return False
    if not (same_session and status.at <= known[1]):
        _keep(connection, box, status, at)
    if status_at is not None and status.at <= status_at:
        return False
    connection.execute("UPDATE box SET status_at = ? WHERE id = ?", (status.at, box))
    return not presence.retained


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


def _keep(connection: Sql, box: int, status: Status, at: int) -> None:
    connection.execute(
        "INSERT INTO box_status"
        " (box_id, state, epoch, session, next_seq, backlog, version, protocols, at, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (box_id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,"
        " session = excluded.session, next_seq = excluded.next_seq, backlog = excluded.backlog,"
        " version = excluded.version, protocols = excluded.protocols, at = excluded.at,"
        " received_at = excluded.received_at",
        (
            box,
            status.state,
            status.epoch,
            status.session,
            status.next_seq,
            status.backlog,
            status.version,
            msgspec.json.encode(without_erased(connection, status.protocols)).decode(),
            status.at,
            at,
        ),
    )
