"""The team's database on either engine: every call one transaction, of one worker at a time."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from alerting.alert import ChangeKind
from alerting.care_protocol import CareProtocol
from coordination import canary
from coordination.attribution import Assignment
from coordination.audit_log import TEAM, AuditLog
from coordination.audit_witness import Witness
from coordination.bulk_rows import among, parts, write
from coordination.database import (
    Answered,
    Arrival,
    Judge,
    Listened,
    Moment,
    Presence,
    Refused,
    SignedReceipt,
    Watched,
)
from coordination.followed import ProtocolsAtDesk, still_followed
from coordination.lapses import lapse
from coordination.place import Place
from coordination.resending import ask_by_itself
from coordination.silence import NOT_TRANSMITTED
from coordination.sql import Sql
from coordination.sql_alerts import Alerts
from coordination.sql_commands import SqlCommands
from coordination.sql_of_boxes import sung
from coordination.sql_records import Records, Roster
from coordination.sql_signs import Statuses, refuse
from coordination.team_database import ERRORS, as_error, connect, prepare, transaction
from exchange.audit_chain import Act, Erasable
from exchange.box_records import ClockCorrection
from exchange.identity import SigningKey
from exchange.receipts import MAX_EPOCHS, Credit, Receipt
from exchange.sealing import Opened

_Found = TypeVar("_Found")

UNKNOWN = -1
"""No version of the roster."""
CLOCKS_APART_MS = 60_000
"""By how much the clocks of two workers may differ; further apart, the team's clock was put back."""


class SqlDatabase:
    """`coordination.database.Database` in a file, or on a PostgreSQL."""

    def __init__(self, path: Place) -> None:
        """Open or create it.

        Raises:
            DatabaseUnusableError: see `team_database.connect`.
            DatabaseBusyError: see `team_database.connect`.
        """
        self._connection = connect(path)
        try:
            self._roster, self._roster_version = Roster.load(self._connection), _roster_version(self._connection)
        except ERRORS as error:
            self._connection.close()
            raise as_error(error) from error
        self._protocols = ProtocolsAtDesk()
        self.commands = SqlCommands(self._connection, lambda: transaction(self._connection))
        """See `Database.commands`."""

    # --- who is watched -----------------------------------------------------------------------------------

    def enrol(self, boxes: Sequence[str], assignments: Sequence[Assignment], *, at: int) -> None:
        """See `Database.enrol`."""
        self._roster_version = UNKNOWN  # unless all of it is kept
        with transaction(self._connection):
            log, before = AuditLog(self._connection), self._held()
            log.begin(at=at)
            assignments = still_followed(self._connection, assignments)
            for box in boxes:
                self._connection.execute("INSERT INTO box (name) VALUES (?) ON CONFLICT DO NOTHING", (box,))
            for item in assignments:
                self._connection.execute(
                    "INSERT INTO patient (pseudonym, time_zone) VALUES (?, ?)"
                    " ON CONFLICT (pseudonym) DO UPDATE SET time_zone = excluded.time_zone",
                    (item.patient, item.time_zone),
                )
            self._end_assignments(assignments, at)
            for item in assignments:
                self._connection.execute(
                    'INSERT INTO box_assignment (box_id, patient_id, "from", listened)'
                    " SELECT box.id, patient.id, ?, listened FROM box, patient, inbox_listening"
                    " WHERE box.name = ? AND patient.pseudonym = ?"
                    ' ON CONFLICT (box_id, patient_id, "from") DO UPDATE SET "to" = NULL'
                    # What people ended at the desk does not begin again because a file still says so.
                    " WHERE box_assignment.origin = 'settings'",
                    (item.since, item.box, item.patient),
                )
            self._enter_assignments(log, before, at)
            self._connection.execute("UPDATE inbox_listening SET roster = roster + 1")
            self._learn_roster()
            Records(self._connection, self._roster, stored_at=at).attribute_again()
            kept = self._roster_version
        self._roster_version = kept

    def _learn_roster(self) -> None:
        """Take up who is known, if another worker has changed it; inside a transaction."""
        version = _roster_version(self._connection)
        if version != self._roster_version:
            self._roster, self._roster_version = Roster.load(self._connection), version

    def _held(self) -> set[tuple[str, str]]:
        """Return the (box, patient) that hold."""
        return set(
            self._connection.execute(
                "SELECT box.name, pseudonym FROM box_assignment JOIN box ON box.id = box_id"
                ' JOIN patient ON patient.id = patient_id WHERE "to" IS NULL'
            )
        )

    def _enter_assignments(self, log: AuditLog, before: set[tuple[str, str]], at: int) -> None:
        now = self._held()
        for act, changed in ((Act.BOX_ASSIGNED, now - before), (Act.BOX_TAKEN_BACK, before - now)):
            for box, patient in sorted(changed):
                log.enter(act, at=at, by=TEAM, reference=box, detail={"patient": Erasable(value=patient)})

    def _end_assignments(self, assignments: Sequence[Assignment], at: int) -> None:
        listed = {(item.box, item.patient, item.since) for item in assignments}
        next_of = {item.patient: item for item in assignments}
        held = self._connection.execute(
            'SELECT box_assignment.id, box.name, pseudonym, "from" FROM box_assignment'
            " JOIN box ON box.id = box_id JOIN patient ON patient.id = patient_id"
            """ WHERE "to" IS NULL AND box_assignment.origin = 'settings'"""
        ).fetchall()
        for row, box, patient, since in held:
            if (box, patient, since) in listed:
                continue
            after = next_of.get(patient)
            until = at if after is None else after.since
            if after is not None and after.box == box:
                # The same box from another time on is a correction: the first assignment never was.
                until = since
            self._connection.execute('UPDATE box_assignment SET "to" = ? WHERE id = ?', (max(since, until), row))

    def protocols_at_desk(self) -> Mapping[str, CareProtocol]:
        """See `Database.protocols_at_desk`."""
        return self._protocols.of(self._connection)

    # --- storing ------------------------------------------------------------------------------------------

    def store(
        self,
        arrivals: Sequence[Arrival],
        *,
        moment: Moment,
        receipt_at: int,
        sign: Callable[[Receipt], bytes],
        credit: Credit | None = None,
    ) -> tuple[SignedReceipt, ...]:
        """See `Database.store`."""
        with transaction(self._connection):
            self._learn_roster()
            self._meet(arrivals)
            listened = self._keep_listened(moment)
            records = Records(self._connection, self._roster, stored_at=moment.at)
            records.expect([arrival for arrival in arrivals if isinstance(arrival, Opened)])
            statuses = Statuses(self._connection, at=moment.at)
            statuses.expect({arrival.status.box for arrival in arrivals if isinstance(arrival, Presence)})
            heard: set[str] = set()
            living: set[str] = set()
            for arrival in arrivals:
                match arrival:
                    case Refused():
                        refuse(self._connection, arrival, moment.at)
                    case Presence():
                        if statuses.keep(arrival):
                            living.add(arrival.status.box)
                    case Answered():
                        self.commands.keep_answer(arrival.answer, now=arrival.at)
                        heard.add(arrival.answer.box)
                    case Opened():
                        if any(isinstance(record, ClockCorrection) for record in arrival.records):
                            statuses.settle()
                        if records.add(arrival):
                            heard.add(arrival.header.box)
            statuses.flush()
            records.finish()
            ask_by_itself(self._connection, living, now=receipt_at)
            self._keep_heard(heard | living, records.sang, at=moment.at, listened=listened)
            received = records.received()
            heads = Witness(self._connection).heads(received)
            # A box begins an epoch at each start; one that has many on its way gets more than one receipt.
            receipts = [
                Receipt(box=box, epochs=tuple(part), at=receipt_at, credit=credit, heads=heads[box])
                for box, epochs in received.items()
                for part in (epochs[at : at + MAX_EPOCHS] for at in range(0, len(epochs), MAX_EPOCHS))
            ]
            return self._signed(receipts, sign)

    def _keep_heard(self, heard: Collection[str], sang: Collection[str], *, at: int, listened: int) -> None:
        """Keep that boxes said something new at `at` (ms UTC), and which of them sent a canary."""
        for some in parts(sorted(sang)):
            self._connection.execute(
                "UPDATE box SET canary_at = ?, canary_listened = ?"  # noqa: S608 - places of values
                f" WHERE name IN {among(some)}",
                (at, listened, *some),
            )
        for some in parts(sorted(heard)):
            self._connection.execute(
                "UPDATE box SET back_listened = CASE WHEN coalesce(? - heard_listened, ?) >= ? THEN ?"  # noqa: S608
                " ELSE back_listened END, heard_at = ?, heard_listened = ?"
                f" WHERE name IN {among(some)}",
                (listened, canary.HEARD_MS, canary.HEARD_MS, listened, at, listened, *some),
            )

    def _meet(self, arrivals: Sequence[Arrival]) -> None:
        """Take up boxes that were enrolled since the settings were applied."""
        senders = {arrival.header.box for arrival in arrivals if isinstance(arrival, Opened)}
        if not senders <= self._roster.boxes.keys():
            self._roster = Roster.load(self._connection)

    def _signed(self, receipts: Sequence[Receipt], sign: Callable[[Receipt], bytes]) -> tuple[SignedReceipt, ...]:
        signed = [(receipt, sign(receipt)) for receipt in receipts]
        write(
            self._connection,
            "receipt",
            ("box_id", "epoch", "stage", "high", "t", "signature"),
            [
                (self._roster.boxes[receipt.box], part.epoch, "stored", part.high, receipt.at, data)
                for receipt, data in signed
                for part in receipt.epochs
            ],
            conflict=" ON CONFLICT (box_id, epoch, stage) DO UPDATE"
            " SET high = excluded.high, t = excluded.t, signature = excluded.signature",
        )
        return tuple(SignedReceipt(box=receipt.box, data=data) for receipt, data in signed)

    def _keep_listened(self, moment: Moment) -> int:
        """Add what a worker listened to that no other had listened to as well; return how much it is in all."""
        listened, until = self._connection.execute("SELECT listened, until FROM inbox_listening").fetchone()
        if until > moment.at + CLOCKS_APART_MS:
            # The team's clock was put back: what comes before `until` is new all the same.
            until = moment.at - moment.fresh
        listened += max(0, min(moment.fresh, moment.at - until))
        self._connection.execute(
            "UPDATE inbox_listening SET listened = ?, until = ?", (listened, max(until, moment.at))
        )
        return int(listened)

    # --- the record of acts -------------------------------------------------------------------------------

    def audited(self, work: Callable[[AuditLog], _Found]) -> _Found:
        """See `Database.audited`."""
        with transaction(self._connection):
            return work(AuditLog(self._connection))

    def settle_audit(self, key: SigningKey, *, at: int, before: int) -> None:
        """See `Database.settle_audit`."""
        with transaction(self._connection):
            prepare(self._connection, at)
            log = AuditLog(self._connection)
            log.checkpoint(key, at=at)
            log.shorten(before=before, at=at)
            Witness(self._connection).shorten(before=before)

    # --- silence ------------------------------------------------------------------------------------------

    def watch(self, judge: Judge, *, moment: Moment) -> int | None:
        """See `Database.watch`."""
        with transaction(self._connection):
            self._learn_roster()
            listened = self._keep_listened(moment)
            # An assignment that has not begun is not silent yet.
            self._connection.execute('UPDATE box_assignment SET listened = ? WHERE "from" > ?', (listened, moment.at))
            alerts = Alerts(self._connection)
            now = Listened(at=moment.at, listened=listened)
            held = (item for given in self._roster.assignments.values() for item in given)
            boxes = sung(self._connection, alerts, held, moment.at)
            for team in (*judge(now, self._watched(alerts, moment.at)), *canary.judge(now, boxes)):
                alerts.say(team, moment.at)
                if team.change.kind is ChangeKind.RAISED and team.change.rule == NOT_TRANSMITTED:
                    self._connection.execute(
                        'INSERT INTO device_silence (box_id, "from", cause)'
                        " SELECT id, ?, ? FROM box WHERE name = ? ON CONFLICT DO NOTHING",
                        (team.change.onset, team.change.rule, team.box),
                    )
            self._connection.execute(
                'UPDATE device_silence SET "to" = box.heard_at FROM box'
                ' WHERE box.id = box_id AND device_id IS NULL AND "to" IS NULL AND box.heard_at > "from"'
            )
            return lapse(self._connection, at=moment.at)

    def _watched(self, alerts: Alerts, at: int) -> tuple[Watched, ...]:
        """Return who is watched now, and those whose alert outlived their assignment."""
        standing = {(team.change.patient, team.box): team.change for team in alerts.standing(NOT_TRANSMITTED)}
        ends = {(item.patient, item.box): item for held in self._roster.assignments.values() for item in held}
        watched: list[Watched] = []
        rows = self._connection.execute(
            'SELECT pseudonym, box.name, "from", "to", time_zone, heard_at,'
            " greatest(box_assignment.listened, coalesce(heard_listened, 0))"
            " FROM box_assignment JOIN box ON box.id = box_id JOIN patient ON patient.id = patient_id"
            ' WHERE "to" IS NULL OR ("to" > ? AND "to" > "from") ORDER BY pseudonym, box.name, "from"',
            (at,),
        )
        for patient, box, since, until, zone, heard_at, listened in rows:
            assignment = Assignment(patient=patient, box=box, since=since, until=until, time_zone=zone)
            alert = standing.pop((patient, box), None)
            watched.append(Watched(assignment=assignment, heard_at=heard_at, listened=listened, standing=alert))
        for pair, alert in standing.items():
            watched.append(Watched(assignment=ends[pair], heard_at=None, listened=0, standing=alert))
        return tuple(watched)

    def close(self) -> None:
        """See `Database.close`."""
        self._connection.close()


def _roster_version(connection: Sql) -> int:
    return int(connection.execute("SELECT roster FROM inbox_listening").fetchone()[0])
