"""What boxes signed for in their records of acts: kept here, so that a box's log cannot be cut afterwards unseen.

Checkpoints of one chain follow each other: each names the one before it. Two after the same one, or two hashes of one
number, mean that entries which a box had signed for are no longer what they were. That is an act in the team's own
log and a technical alert; everything is kept, what contradicts as well.
"""

from collections.abc import Collection, Mapping

import msgspec

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from coordination.attribution import INBOX_VERSION, TeamChange
from coordination.audit_log import TEAM, AuditLog
from coordination.bulk_rows import among, parts
from coordination.sql import Sql
from coordination.sql_alerts import Alerts
from exchange.audit_chain import Act, CheckpointRecord, Detail, Head

LOG_CUT = "audit_cut"


class Witness:
    """The heads of the boxes' logs, in one open transaction."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection
        self._log = AuditLog(connection)

    def keep(self, box: str, record: CheckpointRecord, *, stored_at: int) -> None:
        """Keep what `box` signed for, received at `stored_at` (ms UTC); tell when it contradicts what was kept."""
        head = record.head
        if head.log != box:
            # Its own signature says so: a box can speak for no other.
            self._enter(Act.LOG_CUT, stored_at, box, {"log": head.log, "n": head.n})
            return
        known = self._connection.execute(
            "SELECT 1 FROM audit_witness JOIN box ON box.id = box_id WHERE box.name = ? AND chain = ?",
            (box, head.chain),
        ).fetchone()
        if known is None:
            self._enter(Act.LOG_BEGUN, stored_at, head.chain, {"n": head.n}, by=box)
        contradicted = self._contradicted(box, record)
        new = self._connection.execute(
            "INSERT INTO audit_witness (box_id, chain, n, hash, since, since_hash, at, stored_at, body)"
            " SELECT id, ?, ?, ?, ?, ?, ?, ?, ? FROM box WHERE name = ? ON CONFLICT DO NOTHING",
            (
                head.chain,
                head.n,
                head.hash,
                record.since,
                record.since_hash,
                record.at,
                stored_at,
                msgspec.json.encode(record).decode(),
                box,
            ),
        ).rowcount
        # What was told once, and perhaps explained since, is not told again for coming again.
        if contradicted and new:
            self._tell(box, head, stored_at)

    def _contradicted(self, box: str, record: CheckpointRecord) -> bool:
        """Return whether the box said otherwise before.

        What checkpoints of one chain sign for, from `since` (excluded) to `n`, never overlaps, and where one ends and
        another begins they have the same hash.
        """
        head = record.head
        return (
            self._connection.execute(
                "SELECT 1 FROM audit_witness JOIN box ON box.id = box_id WHERE box.name = ? AND chain = ?"
                " AND ((since < ? AND n > ? AND NOT (n = ? AND hash = ? AND since = ? AND since_hash = ?))"
                " OR (n = ? AND hash <> ?) OR (since = ? AND since_hash <> ?)) LIMIT 1",
                (
                    *(box, head.chain, head.n, record.since),
                    *(head.n, head.hash, record.since, record.since_hash),
                    *(record.since, record.since_hash, head.n, head.hash),
                ),
            ).fetchone()
            is not None
        )

    def _tell(self, box: str, head: Head, at: int) -> None:
        self._enter(Act.LOG_CUT, at, box, {"chain": head.chain, "n": head.n, "hash": head.hash})
        alerts = Alerts(self._connection)
        if all(team.box != box for team in alerts.standing(LOG_CUT)):
            alerts.say(cut(box, at), at)

    def _enter(self, act: Act, at: int, reference: str, detail: Detail, *, by: str = TEAM) -> None:
        """Enter what a box can cause at will: so many times a day, whatever it signs for."""
        if self._log.has_room_for(act, at=at):
            self._log.enter(act, at=at, by=by, reference=reference, detail=detail)

    def seen(self, boxes: Collection[str]) -> Mapping[str, Head]:
        """Return the newest head of the chain that each of these boxes last signed for, if it ever did."""
        found: dict[str, Head] = {}
        for some in parts(sorted(boxes)):
            for box, chain, n, digest in self._connection.execute(
                "SELECT name, chain, n, hash FROM box JOIN audit_witness AS seen ON seen.box_id = box.id"  # noqa: S608
                f" WHERE name IN {among(some)} AND chain = (SELECT chain FROM audit_witness AS last"
                " WHERE last.box_id = box.id ORDER BY last.stored_at DESC, last.at DESC LIMIT 1)"
                " AND n = (SELECT max(n) FROM audit_witness AS of_it"
                " WHERE of_it.box_id = box.id AND of_it.chain = seen.chain)",
                some,
            ):
                found[box] = Head(log=box, chain=chain, n=n, hash=digest)
        return found

    def heads(self, boxes: Collection[str]) -> Mapping[str, tuple[Head, ...]]:
        """Return what a receipt for each of these boxes says of both logs."""
        seen, own = self.seen(boxes), self._log.head()
        return {box: (seen[box], own) if box in seen else (own,) for box in boxes}

    def kept(self) -> list[CheckpointRecord]:
        """Return everything that boxes signed for, by box and chain, oldest first."""
        rows = self._connection.execute(
            "SELECT body FROM audit_witness ORDER BY box_id, chain, n, stored_at"
        ).fetchall()
        return [msgspec.json.decode(body, type=CheckpointRecord) for (body,) in rows]

    def shorten(self, *, before: int) -> int:
        """Delete what came before `before` (ms UTC, exclusive), but the newest of each chain; return how many."""
        return self._connection.execute(
            "DELETE FROM audit_witness AS old WHERE stored_at < ? AND EXISTS (SELECT 1 FROM audit_witness AS newer"
            " WHERE newer.box_id = old.box_id AND newer.chain = old.chain AND newer.n > old.n)",
            (before,),
        ).rowcount


def cut(box: str, at: int) -> TeamChange:
    """Return the technical alert, at `at` (ms UTC), that a box's record of acts contradicts what it signed for."""
    change = AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=alert_id(patient=box, protocol="", rule=LOG_CUT, onset=at),
        patient=box,
        rule=LOG_CUT,
        priority=Priority.HIGH,
        category=Category.TECHNICAL,
        onset=at,
        raised_at=at,
        resolved_at=None,
        evidence=(),
        why=Sentence(
            fr=f"Le journal des actes du boîtier {box} ne correspond plus à ce que l'équipe en avait vu\u00a0: il a "
            "été coupé, modifié ou remis à un état ancien\u00a0; à vérifier\u00a0: qui a ouvert ou restauré le "
            "boîtier\u00a0?",
            en=f"The record of acts of box {box} is no longer what the team had seen of it: it was cut, changed or set "
            "back; to check: who opened or restored the box?",
        ),
        late=False,
        supersedes=None,
        protocol="",
        protocol_version=0,
        protocol_hash="",
        engine_version=INBOX_VERSION,
    )
    return TeamChange(box=box, change=change)
