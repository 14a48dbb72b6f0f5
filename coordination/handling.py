"""What people do with an alert: take it in hand, give it back or to a colleague, tell a physician, call again, close.

Each act runs inside a transaction of the caller's, with its place in the alert's history (alert_acts), its entry in
the record of acts and what its box is told. An act says how often the alert had been handled when its person looked
(`handled`): when that has changed since, nothing is done, so that of two who act at once the second is told.

What somebody did can be undone by them for a while (`undo`), with everything that it changed. The box is told the
state that holds again; it does not forget that somebody had seen the alert, and does not begin again by itself.

Not here: only having seen it (acknowledging), what becomes of what nobody handles in time (lapses), and who may act
(the desk's access).
"""

import secrets
from dataclasses import dataclass

from msgspec.structs import replace

from alerting.alert import Acknowledgement, Outcome
from coordination.alert_acts import (
    AlertAct,
    Detail,
    Done,
    Standing,
    keep_act,
    last_act,
    let_stand,
    of_turn,
    standing_of,
)
from coordination.audit_log import AuditLog
from coordination.deadlines import RECALL_GRACE, spans_of
from coordination.dispositions import tell_box
from coordination.outcomes import MEANINGS, Said
from coordination.problems import work_out
from coordination.reading_hours import after as after_hours
from coordination.reading_hours import hours_of
from coordination.sql import Sql
from coordination.sql_alerts import Alerts
from devices.clock import SystemClock
from exchange.audit_chain import Act
from exchange.command_bodies import DispositionBody, DispositionState

NEW, TAKEN, CLOSED = 0, 1, 2
"""`alert.state`."""
_TOLD = {NEW: DispositionState.RETURNED, TAKEN: DispositionState.TAKEN, CLOSED: DispositionState.CLOSED}
UNDO_MS = 15 * 60_000
"""For how long, from an act on, whoever did it can undo it."""
LONGEST_NOTE = 1000
"""Characters of a note; what is longer is cut."""
_NOTHING = Detail()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Who acts: as colleagues read the name, and their row in the desk's table of people."""

    name: str
    row: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One act of one person at one moment, on one alert or on several at once.

    Attributes:
        by: who acts.
        at: ms UTC.
        id: names what was done at once.
        note: what they noted of it: health data.
    """

    by: Handler
    at: int
    id: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """How an alert stood (`handled` times handled), how it stands after an act, and what the act was."""

    before: Standing
    after: Standing
    handled: int
    kind: Done
    detail: Detail = _NOTHING
    outcome: Outcome | None = None


def turn(by: Handler, at: int, note: str = "") -> Turn:
    """Return a turn of its own."""
    return Turn(by=by, at=at, id=secrets.token_hex(8), note=note.strip()[:LONGEST_NOTE])


def take(connection: Sql, alert: str, this: Turn, *, handled: int) -> bool:
    """Take an alert in hand; False when somebody was first.

    Args:
        connection: in a transaction.
        alert: its whole id.
        this: who takes it, when.
        handled: how often it had been handled when they looked.
    """
    before = _as_looked_at(connection, alert, handled, NEW)
    if before is None:
        return False
    after = _in_hands(connection, alert, before, this.by, this.at)
    return _do(connection, alert, this, _Step(before=before, after=after, handled=handled, kind=Done.TAKEN))


def assign(connection: Sql, alert: str, this: Turn, *, handled: int, to: Handler) -> bool:
    """Give an alert into the hands of a member of the team, whoever has it; False when it was handled meanwhile."""
    before = _as_looked_at(connection, alert, handled, NEW, TAKEN)
    if before is None:
        return False
    after, detail = _in_hands(connection, alert, before, to, this.at), Detail(to=to.name)
    step = _Step(before=before, after=after, handled=handled, kind=Done.ASSIGNED, detail=detail)
    return _do(connection, alert, this, step)


def give_back(connection: Sql, alert: str, this: Turn, *, handled: int) -> bool:
    """Give an alert back to the team; False when it is not theirs, or was handled since they looked."""
    before = _as_looked_at(connection, alert, handled, TAKEN)
    if before is None or not is_theirs(before, this.by):
        return False
    after = replace(before, state=NEW, holder="", holder_id=None, taken_at=None, recall_at=None)
    return _do(connection, alert, this, _Step(before=before, after=after, handled=handled, kind=Done.RETURNED))


def tell_physician(connection: Sql, alert: str, this: Turn, *, handled: int, who: str, how: str) -> bool:
    """Keep that a physician was told of an alert, who and how; it stands on the physicians' page from then on.

    Whoever tells a physician of what nobody has in hand has it in hand.
    """
    before = _as_looked_at(connection, alert, handled, NEW, TAKEN)
    if before is None:
        return False
    after = replace(before, physician_at=this.at)
    if before.state == NEW:
        after = _in_hands(connection, alert, after, this.by, this.at)
    detail = Detail(to=who, how=how)
    step = _Step(before=before, after=after, handled=handled, kind=Done.PHYSICIAN_TOLD, detail=detail)
    return _do(connection, alert, this, step)


def recall(connection: Sql, alert: str, this: Turn, *, handled: int, recall_at: int) -> bool:
    """Keep that the patient could not be reached and is called again at `recall_at`: the alert stays with who says so.

    It goes back to the list when nothing more was done half an hour after that time.
    """
    before = _as_looked_at(connection, alert, handled, NEW, TAKEN)
    if before is None:
        return False
    after = replace(
        _in_hands(connection, alert, before, this.by, this.at), recall_at=recall_at, act_due=recall_at + RECALL_GRACE
    )
    detail = Detail(recall_at=recall_at)
    step = _Step(before=before, after=after, handled=handled, kind=Done.RECALL, detail=detail)
    return _do(connection, alert, this, step)


def close(
    connection: Sql, alert: str, this: Turn, *, handled: int, said: Said | None = None, outcome: Outcome | None = None
) -> bool:
    """Close an alert with what came of it: `said` at the desk, or an `outcome` alone. The last word counts.

    Whoever closes an alert has seen it. False when it was handled since they looked.
    """
    meant = outcome if said is None else MEANINGS[said].outcome
    before = _as_looked_at(connection, alert, handled, NEW, TAKEN, CLOSED)
    if before is None or meant is None:
        return False
    holder = this.by if before.state == NEW else Handler(name=before.holder, row=before.holder_id)
    after = replace(before, state=CLOSED, holder=holder.name, holder_id=holder.row, recall_at=None, closed_at=this.at)
    connection.execute(
        "INSERT INTO alert_outcome (alert_id, outcome, person, at, said) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (alert_id) DO UPDATE SET outcome = excluded.outcome, person = excluded.person,"
        " at = excluded.at, said = excluded.said WHERE excluded.at >= alert_outcome.at",
        (alert, meant.value, this.by.name, this.at, said or ""),
    )
    detail = Detail(outcome=(said or meant).value)
    step = _Step(before=before, after=after, handled=handled, kind=Done.CLOSED, detail=detail, outcome=meant)
    return _do(connection, alert, this, step)


def reopen(connection: Sql, alert: str, this: Turn, *, handled: int) -> bool:
    """Take a closed alert in hand again; what had come of it stays in its history alone."""
    before = _as_looked_at(connection, alert, handled, CLOSED)
    if before is None:
        return False
    connection.execute("DELETE FROM alert_outcome WHERE alert_id = ?", (alert,))
    after = replace(_in_hands(connection, alert, before, this.by, this.at), closed_at=None)
    return _do(connection, alert, this, _Step(before=before, after=after, handled=handled, kind=Done.REOPENED))


def undo(connection: Sql, turn_id: str, this: Turn) -> int:
    """Undo what its person did in a turn a short while ago, on every alert of it that nobody has handled since.

    Returns:
        How many alerts stand as before.
    """
    done = 0
    for alert in of_turn(connection, turn_id):
        act, found = last_act(connection, alert), standing_of(connection, alert)
        if act is None or found is None or not can_undo(act, by=this.by, at=this.at, handled=found[1], turn=turn_id):
            continue
        if act.kind is Done.CLOSED:
            connection.execute("DELETE FROM alert_outcome WHERE alert_id = ?", (alert,))
        detail = Detail(undone=act.kind.value)
        step = _Step(before=found[0], after=act.before, handled=found[1], kind=Done.UNDONE, detail=detail)
        done += _do(connection, alert, this, step)
    return done


def can_undo(act: AlertAct, *, by: Handler, at: int, handled: int, turn: str) -> bool:
    """Return whether the last act on an alert can be undone by `by` at `at`."""
    theirs = act.person_id == by.row if by.row is not None else act.person == by.name
    # What a closed alert had been closed with before, or a reopened one, is not kept whole.
    kept = act.kind not in {Done.UNDONE, Done.REOPENED} and not (act.kind is Done.CLOSED and act.before.state == CLOSED)
    return theirs and kept and act.turn == turn and act.handled == handled and 0 <= at - act.at <= UNDO_MS


def is_theirs(standing: Standing, by: Handler) -> bool:
    """Return whether somebody has an alert in hand, whoever else has their name."""
    return standing.holder_id == by.row and (by.row is not None or standing.holder == by.name)


def put_back(connection: Sql, alert: str, this: Turn, before: Standing, after: Standing, *, handled: int) -> bool:
    """Let an alert go back to the list by itself (lapses)."""
    kind, detail = Done.LAPSED if before.state == TAKEN else Done.ESCALATED, Detail(to=before.holder)
    step = _Step(before=before, after=after, handled=handled, kind=kind, detail=detail)
    return _do(connection, alert, this, step)


def _as_looked_at(connection: Sql, alert: str, handled: int, *states: int) -> Standing | None:
    found = standing_of(connection, alert)
    return None if found is None or found[1] != handled or found[0].state not in states else found[0]


def _in_hands(connection: Sql, alert: str, before: Standing, of: Handler, at: int) -> Standing:
    """Return how an alert stands in somebody's hands from `at` on: with the whole time to close it."""
    team, priority = connection.execute(
        "SELECT team_id, CASE WHEN category = 'technical' THEN 4 ELSE prio END FROM alert WHERE id = ?", (alert,)
    ).fetchone()
    act_due = after_hours(at, spans_of(connection, team)[priority].act, hours_of(connection, team))
    return replace(
        before,
        state=TAKEN,
        holder=of.name,
        holder_id=of.row,
        taken_at=at,
        recall_at=None,
        act_due=act_due if before.act_due is None else max(before.act_due, act_due),
    )


def _do(connection: Sql, alert: str, this: Turn, step: _Step) -> bool:
    """Let an alert stand as it does after an act, and keep the act wherever it is kept."""
    before, after = step.before, step.after
    if not let_stand(connection, alert, after, handled=step.handled):
        return False
    if after.state != NEW:
        Alerts(connection).acknowledge(alert, Acknowledgement(by=this.by.name, at=this.at))
    keep_act(
        connection,
        AlertAct(
            alert=alert,
            turn=this.id,
            handled=step.handled + 1,
            kind=step.kind,
            at=this.at,
            person=this.by.name,
            person_id=this.by.row,
            detail=step.detail,
            before=before,
            note=this.note,
        ),
    )
    work_out(connection, [alert])
    _enter(connection, alert, this, step)
    if after.state != before.state or after.holder != before.holder or step.kind is Done.CLOSED:
        _tell(connection, alert, this, step)
    return True


def _enter(connection: Sql, alert: str, this: Turn, step: _Step) -> None:
    log = AuditLog(connection)
    log.begin(at=this.at)
    detail = step.detail
    # Who was told is free text: it stays where a patient's erasure reaches it.
    to = "" if step.kind is Done.PHYSICIAN_TOLD else detail.to
    more = {"outcome": detail.outcome, "to": to, "undone": detail.undone}
    said = {name: value for name, value in more.items() if value}
    if step.kind not in {Done.TAKEN, Done.CLOSED}:
        said["act"] = step.kind.value
    act = Act.ALERT_ACKNOWLEDGED if step.kind is Done.TAKEN else Act.ALERT_DISPOSED
    log.enter(act, at=this.at, by=this.by.name, reference=alert, detail=said)


def _tell(connection: Sql, alert: str, this: Turn, step: _Step) -> None:
    state = _TOLD[step.after.state]
    by = step.after.holder if state is DispositionState.TAKEN else this.by.name
    body = DispositionBody(alert=alert, state=state, by=by, at=this.at, outcome=step.outcome)
    tell_box(connection, body, now=SystemClock().now_ms())
