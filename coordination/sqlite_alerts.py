"""The alert and alert_event tables: each change is kept, and the alert's row is what they come to.

What a person says about an alert is an event too, beside those of the box and of the inbox.
"""

import msgspec

from alerting.alert import Acknowledgement
from coordination.alert_events import PRIO, AlertEvent, latest
from coordination.attribution import TeamChange
from coordination.deadlines import set_deadlines
from coordination.problems import work_out
from coordination.sql import Sql
from exchange.messages import AlertRecord, alert_change
from exchange.messages import alert as alert_record

_OWNED = (
    "kind, rule_id, prio, category, onset, raised_at, resolved_at, late, supersedes, text_fr, text_en,"
    " protocol, protocol_version, protocol_hash, engine_version, evidence, audience, told_at, due_by, record"
)


PERSON = "desk"
"""Stands for the epoch of what a person says about an alert; no box has such an epoch."""
TAKEN = 1
"""`alert.state` of an alert that somebody has acknowledged."""


class Alerts:
    """The alerts in one open transaction. Boxes and patients are named by their rows."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection

    def owner_is(self, alert: str, patient: int | None) -> bool:
        """Return whether the alert is unknown yet, or known as this patient's (None: as nobody's)."""
        row = self._connection.execute("SELECT patient_id FROM alert WHERE id = ?", (alert,)).fetchone()
        return row is None or row[0] == patient

    def keep(self, event: AlertEvent, patient: int | None, *, stored_at: int) -> None:
        """Keep one change; one that is already kept changes nothing."""
        record = event.record
        self._connection.execute(
            "INSERT INTO alert_event (alert_id, box_id, epoch, seq, kind, created, stored_at, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                record.alert_id,
                event.box,
                event.epoch,
                event.seq,
                record.kind.value,
                event.created,
                stored_at,
                msgspec.json.encode(record).decode(),
            ),
        )
        self._settle(record.alert_id, patient, stored_at)

    def say(self, team: TeamChange, at: int) -> None:
        """Keep a change that the inbox itself makes, at `at` (ms UTC)."""
        change = team.change
        said = self._connection.execute(
            "SELECT count(*) FROM alert_event WHERE alert_id = ? AND epoch = ''", (change.alert_id,)
        ).fetchone()[0]
        box_row = self._connection.execute("SELECT id FROM box WHERE name = ?", (team.box,)).fetchone()[0]
        patient = self._connection.execute("SELECT id FROM patient WHERE pseudonym = ?", (change.patient,)).fetchone()
        event = AlertEvent(box=box_row, epoch="", seq=said, created=at, record=alert_record(change))
        self.keep(event, None if patient is None else patient[0], stored_at=at)

    def acknowledge(self, alert: str, acknowledgement: Acknowledgement) -> Acknowledgement:
        """Keep that a named person has seen the alert, and return the first who did, who stays the one who did."""
        self._connection.execute(
            "INSERT INTO alert_event (alert_id, box_id, epoch, seq, kind, created, stored_at, content)"
            " SELECT id, box_id, ?, 0, 'acknowledged', ?, ?, ? FROM alert WHERE id = ? ON CONFLICT DO NOTHING",
            (
                PERSON,
                acknowledgement.at,
                acknowledgement.at,
                msgspec.json.encode({"by": acknowledgement.by, "at": acknowledgement.at}).decode(),
                alert,
            ),
        )
        # Whoever has seen what nobody had in hand has it in hand: an alert is never taken by nobody.
        self._connection.execute(
            "UPDATE alert SET state = ?, holder = ?, taken_at = ?, handled = handled + 1 WHERE id = ? AND state = 0",
            (TAKEN, acknowledgement.by, acknowledgement.at, alert),
        )
        work_out(self._connection, alert)
        row = self._connection.execute(
            "SELECT content FROM alert_event WHERE alert_id = ? AND epoch = ?", (alert, PERSON)
        ).fetchone()
        return msgspec.json.decode(row[0], type=Acknowledgement)

    def standing(self, rule: str) -> tuple[TeamChange, ...]:
        """Return what the inbox itself last said of its alerts of `rule` that stand."""
        rows = self._connection.execute(
            "SELECT alert.id, box.name FROM alert JOIN box ON box.id = box_id"
            " WHERE rule_id = ? AND origin = 'team' AND resolved_at IS NULL ORDER BY box.name, alert.id",
            (rule,),
        ).fetchall()
        return tuple(
            TeamChange(box=box, change=alert_change(latest(self._events(alert)).record)) for alert, box in rows
        )

    def _settle(self, alert: str, patient: int | None, at: int) -> None:
        events = self._events(alert)
        now = latest(events)
        record = now.record
        columns = ("id", "patient_id", "box_id", "origin", "version", *_OWNED.split(", "))
        self._connection.execute(
            f"INSERT INTO alert ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
            f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in columns[1:])}",
            (
                alert,
                patient,
                now.box,
                "box" if now.epoch else "team",
                len(events),
                record.kind.value,
                record.rule,
                PRIO[record.priority],
                record.category.value,
                record.onset,
                record.raised_at,
                record.resolved_at,
                int(record.late),
                record.supersedes,
                record.fr,
                record.en,
                record.protocol,
                record.protocol_version,
                record.protocol_hash,
                record.engine_version,
                msgspec.json.encode(record.evidence).decode(),
                record.audience.value,
                _told_at(record),
                record.due_by,
                msgspec.json.encode(record).decode(),
            ),
        )
        # Whose team looks after it, and by when, is settled when it first comes.
        self._connection.execute(
            "UPDATE alert SET team_id = coalesce((SELECT team_id FROM patient WHERE patient.id = patient_id),"
            " (SELECT team_id FROM box WHERE box.id = box_id)) WHERE id = ? AND version = 1",
            (alert,),
        )
        if record.supersedes is not None:
            self._carry_along(alert, record.supersedes)
        set_deadlines(self._connection, alert, at=at)
        work_out(self._connection, alert)

    def _carry_along(self, alert: str, before: str) -> None:
        """A moved onset makes a new alert of the same matter: whoever has seen the one has seen the other."""
        self._connection.execute(
            "UPDATE alert SET state = before.state, holder = before.holder, holder_id = before.holder_id,"
            " taken_at = before.taken_at, recall_at = before.recall_at, closed_at = before.closed_at"
            " FROM alert AS before WHERE alert.id = ? AND before.id = ? AND before.state > alert.state",
            (alert, before),
        )
        self._connection.execute(
            "UPDATE alert SET ack_due = before.ack_due, act_due = before.act_due,"
            " escalated_at = before.escalated_at, physician_at = before.physician_at"
            " FROM alert AS before WHERE alert.id = ? AND before.id = ? AND alert.ack_due IS NULL",
            (alert, before),
        )
        # By another rule's name it would be another problem, which no longer waits.
        work_out(self._connection, before)

    def _events(self, alert: str) -> tuple[AlertEvent, ...]:
        return tuple(
            AlertEvent(
                box=box,
                epoch=epoch,
                seq=seq,
                created=created,
                record=msgspec.json.decode(content, type=AlertRecord),
            )
            for box, epoch, seq, created, content in self._connection.execute(
                "SELECT box_id, epoch, seq, created, content FROM alert_event WHERE alert_id = ? AND epoch <> ?",
                (alert, PERSON),
            )
        )


def _told_at(record: AlertRecord) -> int | None:
    """Return from when on an alert is told, None while it is held back.

    One of the inbox itself, or of a box that does not say, is told when it is raised.
    """
    if record.told_at is None and record.suppressed is None:
        return record.raised_at
    return record.told_at
