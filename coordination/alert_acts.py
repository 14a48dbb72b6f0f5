"""What was done with an alert, act by act: who, when, what, and how the alert stood before, so that it can be undone.

Not here: doing it (handling), and the team's record of acts, which has an entry for each without what was noted.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from coordination.sql import Sql


class Done(StrEnum):
    """What was done."""

    TAKEN = "taken"
    RETURNED = "returned"
    ASSIGNED = "assigned"
    PHYSICIAN_TOLD = "physician_told"
    RECALL = "recall"
    """The patient could not be reached and is called again."""
    CLOSED = "closed"
    REOPENED = "reopened"
    UNDONE = "undone"
    LAPSED = "lapsed"
    """It went back to the list: whoever had it had not closed it in time."""
    ESCALATED = "escalated"
    """It was told to the physicians: nobody had taken or closed it in time."""
    RAISED_AGAIN = "raised_again"
    """It was told anew after it had ended: what was done with it before is not about that."""


Text = Annotated[str, Meta(max_length=255)]


class Standing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an alert stands, as far as people decide it; the columns of `alert` of these names. Times are ms UTC."""

    state: int
    holder: Text
    holder_id: int | None
    taken_at: int | None
    ack_due: int | None
    act_due: int | None
    recall_at: int | None
    escalated_at: int | None
    physician_at: int | None
    closed_at: int | None


class Detail(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What more there is to say of an act.

    Attributes:
        to: whom it was given to, or who was told.
        how: how they were told.
        outcome: what came of it, as the desk calls it.
        recall_at: when the patient is called again, ms UTC.
        undone: the turn that was undone, and what it had been.
    """

    to: Text = ""
    how: Text = ""
    outcome: Text = ""
    recall_at: int | None = None
    undone: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAct:
    """One act on one alert; `handled` is the alert's after it, `turn` what was done at once with several."""

    alert: str
    turn: str
    handled: int
    kind: Done
    at: int
    person: str
    person_id: int | None
    detail: Detail
    before: Standing
    note: str = ""


_NAMES = Standing.__struct_fields__


def standing_of(connection: Sql, alert: str) -> tuple[Standing, int] | None:
    """Return how an alert stands and how often it was handled; None when there is no such alert."""
    row = connection.execute(f"SELECT {', '.join(_NAMES)}, handled FROM alert WHERE id = ?", (alert,)).fetchone()  # noqa: S608
    return None if row is None else (Standing(**dict(zip(_NAMES, row[:-1], strict=True))), row[-1])


def let_stand(connection: Sql, alert: str, standing: Standing, *, handled: int) -> bool:
    """Let an alert stand so, unless it was handled more often than `handled` times."""
    values = msgspec.structs.astuple(standing)
    return bool(
        connection.execute(
            f"UPDATE alert SET {', '.join(f'{name} = ?' for name in _NAMES)}, handled = handled + 1"  # noqa: S608
            " WHERE id = ? AND handled = ?",
            (*values, alert, handled),
        ).rowcount
    )


def keep_act(connection: Sql, act: AlertAct) -> None:
    """Keep an act."""
    connection.execute(
        "INSERT INTO alert_act (alert_id, turn, handled, kind, at, person, person_id, detail, note, before)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            act.alert,
            act.turn,
            act.handled,
            act.kind.value,
            act.at,
            act.person,
            act.person_id,
            msgspec.json.encode(act.detail).decode(),
            act.note,
            msgspec.json.encode(act.before).decode(),
        ),
    )


def last_act(connection: Sql, alert: str) -> AlertAct | None:
    """Return what was done with an alert last, None before anything was."""
    row = connection.execute(
        "SELECT alert_id, turn, handled, kind, at, person, person_id, detail, note, before FROM alert_act"
        " WHERE alert_id = ? ORDER BY handled DESC LIMIT 1",
        (alert,),
    ).fetchone()
    return None if row is None else _read(row)


def of_turn(connection: Sql, turn: str) -> tuple[str, ...]:
    """Return the alerts with which something was done at once."""
    rows = connection.execute("SELECT alert_id FROM alert_act WHERE turn = ? ORDER BY id", (turn,))
    return tuple(alert for (alert,) in rows.fetchall())


def _read(row: tuple[str, str, int, str, int, str, int | None, str, str, str]) -> AlertAct:
    return AlertAct(
        alert=row[0],
        turn=row[1],
        handled=row[2],
        kind=Done(row[3]),
        at=row[4],
        person=row[5],
        person_id=row[6],
        detail=msgspec.json.decode(row[7], type=Detail),
        note=row[8],
        before=msgspec.json.decode(row[9], type=Standing),
    )
