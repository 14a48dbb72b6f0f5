"""The alert and alert_event tables: each change is kept, and the alert's row is what they come to.

What a person says about an alert is an event too, beside those of the box and of the inbox.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from secrets import token_hex

import msgspec

from alerting.alert import Acknowledgement
from coordination.alert_acts import AlertAct, Detail, Done, Standing, keep_act, let_stand, standing_of
from coordination.alert_events import PRIO, AlertEvent, Said, begins_anew, goes_on_from, latest, speaks_after
from coordination.attribution import TeamChange
from coordination.audit_log import TEAM, AuditLog
from coordination.bulk_rows import Value, among, parts, write
from coordination.deadlines import set_deadlines
from coordination.problems import work_out
from coordination.sql import Sql
from exchange.audit_chain import Act
from exchange.messages import AlertRecord, alert_change
from exchange.messages import alert as alert_record

_COLUMNS = [
    "id",
    "patient_id",
    "box_id",
    "origin",
    "version",
    "kind",
    "rule_id",
    "prio",
    "category",
    "onset",
    "raised_at",
    "resolved_at",
    "late",
    "supersedes",
    "text_fr",
    "text_en",
    "protocol",
    "protocol_version",
    "protocol_hash",
    "engine_version",
    "evidence",
    "audience",
    "told_at",
    "due_by",
    "record",
]
_KEEP = f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"

PERSON = "desk"
"""Stands for the epoch of what a person says about an alert; no box has such an epoch."""
TAKEN = 1
"""`alert.state` of an alert that somebody has acknowledged."""
UNTOUCHED = Standing(
    state=0,
    holder="",
    holder_id=None,
    taken_at=None,
    ack_due=None,
    act_due=None,
    recall_at=None,
    escalated_at=None,
    physician_at=None,
    closed_at=None,
)
"""How an alert stands before anybody has done anything with it."""


class Alerts:
    """The alerts in one open transaction. Boxes and patients are named by their rows.

    Changes wait until `flush`: many are kept in one go. Whatever here reads alerts flushes by itself.
    """

    def __init__(self, connection: Sql) -> None:
        self._connection = connection
        self._waiting: list[tuple[AlertEvent, int | None]] = []
        self._stored_at = 0
        self._asked: set[str] = set()
        self._owners: dict[str, int | None] = {}

    def expect(self, alerts: Collection[str]) -> None:
        """Look up, in one go, whose these alerts are."""
        self._asked.update(alerts)
        for some in parts(list(alerts)):
            query = f"SELECT id, patient_id FROM alert WHERE id IN {among(some)}"  # noqa: S608
            self._owners.update(self._connection.execute(query, some))

    def owner_is(self, alert: str, patient: int | None) -> bool:
        """Return whether the alert is unknown yet, or known as this patient's (None: as nobody's)."""
        if alert not in self._asked:
            self.expect([alert])
        return self._owners.get(alert, patient) == patient

    def keep(self, event: AlertEvent, patient: int | None, *, stored_at: int) -> None:
        """Keep one change; one that is already kept changes nothing."""
        if stored_at != self._stored_at:
            self.flush()
            self._stored_at = stored_at
        self._waiting.append((event, patient))
        self._asked.add(event.record.alert_id)
        self._owners[event.record.alert_id] = patient

    def say(self, team: TeamChange, at: int) -> None:
        """Keep a change that the inbox itself makes, at `at` (ms UTC)."""
        self.flush()
        change = team.change
        # In one order with what it says of other alerts; what was deleted may have had higher numbers.
        (said,) = self._connection.execute(
            "SELECT greatest((SELECT coalesce(max(id), 0) FROM alert_event), (SELECT coalesce(max(seq), 0)"
            " FROM alert_event WHERE alert_id = ? AND epoch = '')) + 1",
            (change.alert_id,),
        ).fetchone()
        box_row = self._connection.execute("SELECT id FROM box WHERE name = ?", (team.box,)).fetchone()[0]
        patient = self._connection.execute("SELECT id FROM patient WHERE pseudonym = ?", (change.patient,)).fetchone()
        event = AlertEvent(box=box_row, epoch="", seq=said, created=at, record=alert_record(change))
        self.keep(event, None if patient is None else patient[0], stored_at=at)
        self.flush()

    def acknowledge(self, alert: str, acknowledgement: Acknowledgement) -> Acknowledgement:
        """Keep that a named person has seen the alert, and return the first who did, who stays the one who did."""
        self.flush()
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
        work_out(self._connection, [alert])
        row = self._connection.execute(
            "SELECT content FROM alert_event WHERE alert_id = ? AND epoch = ?", (alert, PERSON)
        ).fetchone()
        return msgspec.json.decode(row[0], type=Acknowledgement)

    def standing(self, rule: str) -> tuple[TeamChange, ...]:
        """Return what the inbox itself last said of its alerts of `rule` that stand."""
        self.flush()
        rows = self._connection.execute(
            "SELECT alert.id, box.name FROM alert JOIN box ON box.id = box_id"
            " WHERE rule_id = ? AND origin = 'team' AND resolved_at IS NULL ORDER BY box.name, alert.id",
            (rule,),
        ).fetchall()
        events = self._events([alert for alert, _ in rows])
        return tuple(TeamChange(box=box, change=alert_change(latest(events[alert]).record)) for alert, box in rows)

    def flush(self) -> None:
        """Keep the changes that wait, and let each alert be what they and those before come to."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        owners = {event.record.alert_id: patient for event, patient in waiting}
        write(
            self._connection,
            "alert_event",
            ("alert_id", "box_id", "epoch", "seq", "kind", "created", "stored_at", "content"),
            [_event_row(event, self._stored_at) for event, _ in waiting],
            conflict=" ON CONFLICT DO NOTHING",
        )
        events = self._events(list(owners))
        now = {alert: latest(events[alert]) for alert in owners}
        known = self._known(list(owners))
        goes_on = self._goes_on(events)
        write(
            self._connection,
            "alert",
            _COLUMNS,
            [
                _alert_row(alert, owner, now[alert], len(events[alert]), goes_on[alert])
                for alert, owner in owners.items()
            ],
            conflict=_KEEP,
        )
        for some in parts([alert for alert in owners if alert not in known]):
            # Whose team looks after it, and by when, is settled when it first comes.
            self._connection.execute(
                "UPDATE alert SET team_id = coalesce((SELECT team_id FROM patient WHERE patient.id = patient_id),"  # noqa: S608
                f" (SELECT team_id FROM box WHERE box.id = box_id)) WHERE id IN {among(some)}",
                some,
            )
        # Once, when it is first known: whoever gave the later one back has not taken it again by its next change.
        earlier = {alert: other for alert, (other, _) in known.items()}
        before = {alert: other for alert, other in goes_on.items() if other is not None and earlier.get(alert) != other}
        fresh: defaultdict[str, set[Said]] = defaultdict(set)
        for event, _ in waiting:
            fresh[event.record.alert_id].add(event.said)
        again = {
            alert
            for alert, (_, version) in known.items()
            if version < len(events[alert]) and begins_anew(events[alert], fresh[alert])
        }
        self._begin_anew([alert for alert in owners if alert in again and alert not in before])
        set_deadlines(self._connection, [alert for alert in owners if alert not in before], at=self._stored_at)
        for alert, other in before.items():
            self._carry_along(alert, other, whole=alert in again)
            set_deadlines(self._connection, [alert], at=self._stored_at)
        # By another rule's name what was superseded would be another problem, which no longer waits.
        work_out(self._connection, {*owners, *before.values()})

    def _goes_on(self, events: Mapping[str, Sequence[AlertEvent]]) -> dict[str, str | None]:
        """Return from which alert each of some goes on, and let what they speak after go on from them no more."""
        named = {alert: goes_on_from(of_one) for alert, of_one in events.items()}
        earlier = self._events([one.record.supersedes for one in named.values() if one and one.record.supersedes])
        found: dict[str, str | None] = {}
        for alert, one in named.items():
            other = None if one is None else one.record.supersedes
            last = None if one is None or other is None else speaks_after(one, events[alert], earlier.get(other, ()))
            found[alert] = other if last else None
        for some in parts(list(events)):
            later = self._connection.execute(
                f"SELECT id, supersedes FROM alert WHERE supersedes IN {among(some)}",  # noqa: S608
                some,
            ).fetchall()
            theirs = self._events([alert for alert, _ in later if alert not in events])
            for alert, other in later:
                if alert not in events:
                    one = goes_on_from(theirs[alert])
                    if one is None or not speaks_after(one, theirs[alert], events[other]):
                        self._connection.execute("UPDATE alert SET supersedes = NULL WHERE id = ?", (alert,))
        return found

    def _begin_anew(self, alerts: Sequence[str]) -> None:
        """Let nobody have these in hand, nor have closed them, and their deadlines be set anew."""
        for alert in alerts:
            found = standing_of(self._connection, alert)
            if found is None or not (found[1] or found[0].state):
                # Nobody has touched it, so there is nothing to undo.
                self._connection.execute("UPDATE alert SET ack_due = NULL, act_due = NULL WHERE id = ?", (alert,))
                continue
            before, handled = found
            let_stand(self._connection, alert, UNTOUCHED, handled=handled)
            self._connection.execute("DELETE FROM alert_outcome WHERE alert_id = ?", (alert,))
            # Whoever saw it then has not seen it now; that they did stays among the acts.
            self._connection.execute("DELETE FROM alert_event WHERE alert_id = ? AND epoch = ?", (alert, PERSON))
            keep_act(
                self._connection,
                AlertAct(
                    alert=alert,
                    turn=token_hex(8),
                    handled=handled + 1,
                    kind=Done.RAISED_AGAIN,
                    at=self._stored_at,
                    person=TEAM,
                    person_id=None,
                    detail=Detail(),
                    before=before,
                ),
            )
            log = AuditLog(self._connection)
            log.begin(at=self._stored_at)
            detail = {"act": Done.RAISED_AGAIN.value}
            log.enter(Act.ALERT_DISPOSED, at=self._stored_at, by=TEAM, reference=alert, detail=detail)

    def _known(self, alerts: Sequence[str]) -> dict[str, tuple[str | None, int]]:
        """Return those of these alerts that have a row: which one it goes on from, and of how many changes it is."""
        known: dict[str, tuple[str | None, int]] = {}
        for some in parts(alerts):
            query = f"SELECT id, supersedes, version FROM alert WHERE id IN {among(some)}"  # noqa: S608
            known.update((alert, (other, version)) for alert, other, version in self._connection.execute(query, some))
        return known

    def _carry_along(self, alert: str, before: str, *, whole: bool) -> None:
        """A moved onset makes a new alert of the same matter: whoever has seen the one has seen the other.

        `whole`: what was done with it before it went on as the other one is over.
        """
        graver, unset = ("", "") if whole else (" AND before.state > alert.state", " AND alert.ack_due IS NULL")
        self._connection.execute(
            "UPDATE alert SET state = before.state, holder = before.holder, holder_id = before.holder_id,"  # noqa: S608
            " taken_at = before.taken_at, recall_at = before.recall_at, closed_at = before.closed_at"
            f" FROM alert AS before WHERE alert.id = ? AND before.id = ?{graver}",
            (alert, before),
        )
        self._connection.execute(
            "UPDATE alert SET ack_due = before.ack_due, act_due = before.act_due,"  # noqa: S608
            " escalated_at = before.escalated_at, physician_at = before.physician_at"
            f" FROM alert AS before WHERE alert.id = ? AND before.id = ?{unset}",
            (alert, before),
        )

    def _events(self, alerts: Sequence[str]) -> Mapping[str, Sequence[AlertEvent]]:
        """Return what was said of each of these alerts by boxes and the inbox."""
        found: defaultdict[str, list[AlertEvent]] = defaultdict(list)
        for some in parts(alerts):
            for alert, box, epoch, seq, created, content in self._connection.execute(
                "SELECT alert_id, box_id, epoch, seq, created, content FROM alert_event"  # noqa: S608
                f" WHERE alert_id IN {among(some)} AND epoch <> ?",
                (*some, PERSON),
            ):
                record = msgspec.json.decode(content, type=AlertRecord)
                found[alert].append(AlertEvent(box=box, epoch=epoch, seq=seq, created=created, record=record))
        return found


def _event_row(event: AlertEvent, stored_at: int) -> tuple[Value, ...]:
    record = event.record
    content = msgspec.json.encode(record).decode()
    kind = record.kind.value
    return (record.alert_id, event.box, event.epoch, event.seq, kind, event.created, stored_at, content)


def _alert_row(alert: str, patient: int | None, now: AlertEvent, events: int, before: str | None) -> tuple[Value, ...]:
    """Return the row of an alert that goes on from `before`, whose last change is `now`, the last of so many."""
    record = now.record
    return (
        alert,
        patient,
        now.box,
        "box" if now.epoch else "team",
        events,
        record.kind.value,
        record.rule,
        PRIO[record.priority],
        record.category.value,
        record.onset,
        record.raised_at,
        record.resolved_at,
        int(record.late),
        before,
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
    )


def _told_at(record: AlertRecord) -> int | None:
    """Return from when on an alert is told, None while it is held back.

    One of the inbox itself, or of a box that does not say, is told when it is raised.
    """
    if record.told_at is None and record.suppressed is None:
        return record.raised_at
    return record.told_at
