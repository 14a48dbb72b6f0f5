"""Answers judged at the team, by the engine of the boxes: one stream a patient, readings that boxes sent included.

- Answers and readings are kept before they are judged. What judging comes to, where the engine stood and how far it had
  come are one transaction: an alert is told once, however often a worker dies.
- Each judging takes the engine from the database and puts it back: as many workers as wanted may run, one at a time
  has a patient.
- A reading that came late, or was dated anew, has what was told put right: added, revised, retracted.
- What makes judging fail is left out after the third time, and told as a technical alert.
- Other thresholds judge what is kept silently; alerts that still stand go on, and those that no longer do are ended.

Not here: when to judge (self_report_worker), and what people decide about it (self_report).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from alerting.alert import Acknowledgement, AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from alerting.care_protocol import CareProtocol
from alerting.engine import ENGINE_VERSION, Engine, Lateness
from alerting.errors import HistoryError, SnapshotError, UnknownAlertError
from alerting.protocol_change import applied, moved
from alerting.protocol_file import read_protocol
from alerting.stream import lateness_bound
from coordination.attribution import TeamChange
from coordination.kept_readings import COLUMNS, reading_of
from coordination.sql import Sql
from coordination.sql_alerts import PERSON, Alerts
from coordination.team_origin import origin, origin_name
from devices.reading import Reading
from exchange.messages import AlertRecord, alert_change

ATTEMPTS = 3
"""How often judging may fail before what makes it fail is left out."""
FAR_BEHIND = 2_000
"""Observations of others after which a patient's cursor moves on without a judging."""
LAST_ROW = 2**62
"""Of no table."""
NOT_JUDGED = "answers_not_judged"

Within = Callable[[], AbstractContextManager[Sql]]
"""Opens one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """A follow-up that is judged; see `self_report` in schema.sql."""

    patient: int
    pseudonym: str
    team: int
    zone: ZoneInfo
    protocol: CareProtocol
    since: int
    ended_at: int | None
    cursor: int
    snapshot: bytes | None
    judged_at: int
    judged_hash: str

    @property
    def adapted(self) -> bool:
        """Whether other thresholds hold now than those that it was last judged by."""
        return self.snapshot is not None and self.judged_hash != self.protocol.protocol_hash

    def says(self, change: AlertChange) -> TeamChange:
        """Return a change as the team says it."""
        return TeamChange(box=origin_name(self.team), change=change)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    stored_at: int
    reading: Reading

    @property
    def judgeable(self) -> bool:
        """Whether it came before its quantity's bound of lateness: what is older is kept and shown, never judged."""
        return self.reading.measured_at >= self.stored_at - lateness_bound(self.reading.quantity)


def follow(connection: Sql, within: Within, *, now: int, seen: bool = True) -> None:
    """Judge everybody of whom something new came, or for whom time has told.

    Args:
        connection: to look with.
        within: opens one transaction.
        now: ms UTC.
        seen: whether to look as well for alerts that somebody has seen, which costs most.
    """
    due, behind, top = _due(connection, now, seen=seen)
    if behind:
        with within() as database:
            for patient in behind:
                database.execute("UPDATE self_report SET cursor = ? WHERE patient_id = ?", (top, patient))
    for patient in due:
        follow_one(within, patient, now=now)


def follow_one(within: Within, patient: int, *, now: int) -> None:
    """Judge one patient (their row); Args: see `follow`."""
    with within() as connection:
        attempts = _count_attempt(connection, patient)
    with within() as connection:
        _judge(connection, patient, now=now, leave_out=attempts > ATTEMPTS)


def _due(connection: Sql, now: int, *, seen: bool) -> tuple[list[int], list[int], int]:
    """Return who is to be judged, whose cursor is far behind for nothing, and the last observation there is."""
    top = int(connection.execute("SELECT coalesce(max(id), 0) FROM observation").fetchone()[0])
    rows = connection.execute(
        "SELECT patient_id, snapshot IS NULL OR coalesce(due_at <= ?, FALSE), cursor FROM self_report"
        " WHERE since IS NOT NULL AND (ended_at IS NULL OR due_at IS NOT NULL) ORDER BY patient_id",
        (now,),
    ).fetchall()
    attended = {one for (one,) in connection.execute(_ATTENDED, (PERSON,))} if seen else set()
    # What came is looked through once for all: of one patient there may be years, since the last look there is little.
    least = min((cursor for _, by_time, cursor in rows if not by_time), default=top)
    newest = dict(
        connection.execute(
            "SELECT patient_id, max(id) FROM observation WHERE id > ? GROUP BY patient_id", (least,)
        ).fetchall()
    )
    due = [one for one, by_time, cursor in rows if by_time or one in attended or newest.get(one, 0) > cursor]
    behind = [one for one, _, cursor in rows if top - cursor > FAR_BEHIND and one not in set(due)]
    return due, behind, top


_ATTENDED = (
    "SELECT DISTINCT self_report.patient_id FROM self_report JOIN alert ON alert.patient_id = self_report.patient_id"
    " JOIN alert_event ON alert_event.alert_id = alert.id WHERE self_report.ended_at IS NULL AND origin = 'team'"
    " AND alert.protocol = self_report.protocol AND resolved_at IS NULL AND alert.state > 0 AND epoch = ?"
    " AND alert_event.kind = 'acknowledged' AND alert_event.created >= judged_at"
)
"""Of whom an alert that stands was seen since they were last judged."""


def _count_attempt(connection: Sql, patient: int) -> int:
    row = connection.execute(
        "UPDATE self_report SET attempts = attempts + 1 WHERE patient_id = ? RETURNING attempts", (patient,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _judge(connection: Sql, patient: int, *, now: int, leave_out: bool) -> None:
    course = _course(connection, patient)
    if course is None:
        return
    if course.ended_at is not None:
        _say_end(connection, course, now)
        connection.execute("UPDATE self_report SET due_at = NULL, attempts = 0 WHERE patient_id = ?", (patient,))
        return
    alerts = Alerts(connection)
    engine, changes = _judged(connection, course, now, leave_out=leave_out)
    changes += _seen(connection, engine, course)
    changes += engine.escalate(now)
    if leave_out:
        changes.append(_left_out(course, now))
    box = origin(connection, course.team)
    for change in changes:
        alerts.say(course.says(change), now)
    connection.execute("UPDATE alert SET team_id = ? WHERE patient_id = ? AND box_id = ?", (course.team, patient, box))
    top = connection.execute("SELECT coalesce(max(id), 0) FROM observation").fetchone()[0]
    due = [at for at in (engine.next_deadline(), engine.next_step()) if at is not None]
    connection.execute(
        "UPDATE self_report SET cursor = ?, snapshot = ?, due_at = ?, judged_at = ?, judged_hash = ?, attempts = 0"
        " WHERE patient_id = ?",
        (
            max(top, course.cursor),
            engine.snapshot(),
            min(due, default=None),
            now,
            course.protocol.protocol_hash,
            patient,
        ),
    )


def _judged(connection: Sql, course: _Course, now: int, *, leave_out: bool) -> tuple[Engine, list[AlertChange]]:
    """Return the engine with what is new judged and time passed, and what there is to tell."""
    if course.snapshot is None:
        engine = _begun(course)
        begin = engine.history_from
        history = (
            [] if leave_out else [one.reading for one in _readings(connection, course, begin=begin) if one.judgeable]
        )
        return engine, [*engine.feed(history), *engine.tick(now)]
    if course.adapted:
        return _adapted(connection, course, now, leave_out=leave_out)
    try:
        engine = Engine.restore(course.protocol, course.snapshot, zone=course.zone)
        new = [] if leave_out else _readings(connection, course, after=course.cursor)
        return engine, [*_take(connection, course, engine, new), *engine.tick(now)]
    except (SnapshotError, HistoryError):
        # Another version of the engine, or readings that a box has dated anew: all of it once more.
        return _anew(connection, course, now)


def _begun(course: _Course) -> Engine:
    return Engine(course.protocol, patient=course.pseudonym, zone=course.zone, since=course.since)


def _take(connection: Sql, course: _Course, engine: Engine, new: Sequence[_Kept]) -> tuple[AlertChange, ...]:
    judgeable = [one.reading for one in new if one.judgeable]
    judgeable = [one for one in judgeable if engine.lateness(one) is not Lateness.NOT_JUDGED]
    if not any(engine.lateness(one) is Lateness.LATE for one in judgeable):
        return engine.feed(judgeable)
    begin = engine.history_needed(judgeable)
    history = [one.reading for one in _readings(connection, course, begin=begin) if one.judgeable]
    return engine.rejudge(history)


def _begun_after(course: _Course) -> Engine:
    """Return an engine that has judged nothing, with what people did under the one before."""
    engine = _begun(course)
    if course.snapshot is not None:
        try:
            engine.inherit(course.snapshot)
        except SnapshotError:
            # What people did is in the record of acts, and is handed over again below.
            engine = _begun(course)
    return engine


def _adapted(connection: Sql, course: _Course, now: int, *, leave_out: bool) -> tuple[Engine, list[AlertChange]]:
    """Judge what is kept by other thresholds, silently, and tell what stands by them, as a box does."""
    engine = _begun_after(course)
    if leave_out:
        # What stands cannot be judged: it stands until somebody has looked.
        return engine, []
    # What nobody has judged yet is not swallowed by the change: it is judged after it, and told.
    history = _readings(connection, course, begin=engine.history_from, until=course.cursor)
    engine.feed([one.reading for one in history if one.judgeable])
    engine.tick(course.judged_at)
    standing = [one for one in _told(connection, course) if one.resolved_at is None]
    rules = {rule.id for rule in course.protocol.rules}
    changes = applied(standing, engine.open_alerts, rules=rules, now=now)
    for alert, onset in moved(standing, changes):
        engine.carry_on(alert, onset)
    engine.begin_escalating([one.alert_id for one in changes if one.kind is ChangeKind.RAISED], now, anew=True)
    new = _take(connection, course, engine, _readings(connection, course, after=course.cursor))
    return engine, [*changes, *new, *engine.tick(now)]


def _anew(connection: Sql, course: _Course, now: int) -> tuple[Engine, list[AlertChange]]:
    """Judge everything from the beginning, and tell only what differs from what was told."""
    engine = _begun_after(course)
    history = [one.reading for one in _readings(connection, course, begin=engine.history_from) if one.judgeable]
    found = {one.alert_id: one for one in (*engine.feed(history), *engine.tick(now))}
    told = {one.alert_id: one for one in _told(connection, course)}
    changes = [
        one
        for name, one in found.items()
        if name not in told or (one.resolved_at is None) is not (told[name].resolved_at is None)
    ]
    why = Sentence(
        fr="Retirée : les mesures, datées à nouveau, ne la confirment pas.",
        en="Withdrawn: the readings, dated anew, do not bear it out.",
    )
    changes += [
        replace(one, kind=ChangeKind.RETRACTED, resolved_at=max(now, one.raised_at), why=why)
        for name, one in told.items()
        if name not in found and one.resolved_at is None
    ]
    return engine, changes


# --- what people did --------------------------------------------------------------------------------------


def _seen(connection: Sql, engine: Engine, course: _Course) -> list[AlertChange]:
    """Hand over to the engine which of its alerts somebody has seen."""
    rows = connection.execute(
        "SELECT alert_id, content FROM alert_event JOIN alert ON alert.id = alert_id WHERE alert.patient_id = ?"
        " AND origin = 'team' AND alert.protocol = ? AND resolved_at IS NULL AND epoch = ?"
        " AND alert_event.kind = 'acknowledged' ORDER BY alert_event.created",
        (course.patient, course.protocol.name, PERSON),
    ).fetchall()
    changes: list[AlertChange] = []
    known = {one.alert_id for one in engine.open_alerts} if rows else set()
    for alert, content in rows:
        if alert in known:
            seen = msgspec.json.decode(content, type=Acknowledgement)
            try:
                changes += engine.acknowledge(alert, seen.by, seen.at)
            except UnknownAlertError:
                continue
    return changes


def _say_end(connection: Sql, course: _Course, now: int) -> None:
    """Resolve what stands when a follow-up is ended."""
    why = Sentence(fr="Le suivi par questionnaire a été arrêté.", en="The follow-up by questionnaire was ended.")
    alerts = Alerts(connection)
    for one in _told(connection, course):
        if one.resolved_at is None:
            at = max(now, one.raised_at)
            alerts.say(course.says(replace(one, kind=ChangeKind.RESOLVED, resolved_at=at, why=why)), now)


def _left_out(course: _Course, now: int) -> AlertChange:
    protocol = course.protocol
    return AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=alert_id(patient=course.pseudonym, protocol=protocol.name, rule=NOT_JUDGED, onset=now),
        patient=course.pseudonym,
        rule=NOT_JUDGED,
        priority=Priority.HIGH,
        category=Category.TECHNICAL,
        onset=now,
        raised_at=now,
        resolved_at=None,
        evidence=(),
        why=Sentence(
            fr="Des réponses ou des mesures n'ont pas pu être jugées et sont laissées de côté ; à vérifier : les lire "
            "sur la page du patient, et signaler ce défaut.",
            en="Some answers or readings could not be judged and are left out; to check: read them on the patient's "
            "page, and report this fault.",
        ),
        late=False,
        supersedes=None,
        protocol=protocol.name,
        protocol_version=protocol.version,
        protocol_hash=protocol.protocol_hash,
        engine_version=ENGINE_VERSION,
    )


# --- out of the database ----------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _protocol(text: str) -> CareProtocol:
    """Return the protocol of a follow-up, as it is kept; read once a process: many patients have the same."""
    return read_protocol(text.encode(), name_hint="self_report")


def _course(connection: Sql, patient: int) -> _Course | None:
    row = connection.execute(
        "SELECT pseudonym, team_id, time_zone, protocol_text, self_report.since,"
        " coalesce(self_report.ended_at, patient.ended_at), cursor, snapshot, judged_at, judged_hash"
        " FROM self_report JOIN patient ON patient.id = patient_id"
        " WHERE patient_id = ? AND self_report.since IS NOT NULL",
        (patient,),
    ).fetchone()
    if row is None:
        return None
    pseudonym, team, zone, text, since, ended_at, cursor, snapshot, judged_at, judged_hash = row
    return _Course(
        patient=patient,
        pseudonym=pseudonym,
        team=team,
        zone=ZoneInfo(zone),
        protocol=_protocol(text),
        since=since,
        ended_at=ended_at,
        cursor=cursor,
        snapshot=None if snapshot is None else bytes(snapshot),
        judged_at=judged_at,
        judged_hash=judged_hash,
    )


def _told(connection: Sql, course: _Course) -> list[AlertChange]:
    """Return what was last said of each alert of a follow-up, without those that go on as another."""
    rows = connection.execute(
        "SELECT record FROM alert WHERE patient_id = ? AND origin = 'team' AND protocol = ? AND rule_id <> ?"
        " AND NOT EXISTS (SELECT 1 FROM alert AS later WHERE later.supersedes = alert.id) ORDER BY raised_at, id",
        (course.patient, course.protocol.name, NOT_JUDGED),
    ).fetchall()
    return [
        alert_change(msgspec.json.decode(record, type=AlertRecord))
        for (record,) in rows
        if alert_change(msgspec.json.decode(record, type=AlertRecord)).raised_at >= course.since
    ]


def _readings(
    connection: Sql, course: _Course, *, after: int | None = None, begin: int | None = None, until: int | None = None
) -> list[_Kept]:
    """Return a patient's readings that the protocol judges: those kept after a row, or measured from `begin` on.

    `until`: kept up to this row, inclusive; None: all.
    """
    wanted = sorted({quantity.value for rule in course.protocol.rules for quantity in rule.inputs})
    where, least = (
        ("observation.id > ? AND +patient_id = ?", after) if begin is None else ("t >= ? AND patient_id = ?", begin)
    )
    rows = connection.execute(
        f"SELECT stored_at, {COLUMNS} FROM observation JOIN device ON device.id = device_id"  # noqa: S608 - our words
        f" WHERE {where} AND quantity IN ({', '.join('?' * len(wanted))}) AND observation.id <= ?"
        " ORDER BY observation.id",
        (least, course.patient, *wanted, LAST_ROW if until is None else until),
    ).fetchall()
    return [_Kept(stored_at=row[0], reading=reading_of(row[1:])) for row in rows]
