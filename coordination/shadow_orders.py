"""Having a draft judged beside what holds on a patient's box, telling nobody; ending that; and what the box says of it.

- One person signs, under their PIN, what the draft said when they read it (docs/adr/0041).
- How far each order came is the queue's; what a shadow came to is the report in the box's newest answer to it.

Functions of one open transaction. Not here: who may (the desk's access), what a report holds (exchange.shadow_reports),
and how it is shown (the desk).
"""

from dataclasses import dataclass

import msgspec

from coordination.box_orders import order
from coordination.command_queue import UNANSWERED, CommandState
from coordination.drafts import Draft, box_of, require_changed, too_long
from coordination.packs import finder
from coordination.requests import protocol_body
from coordination.sql import Sql
from coordination.sql_commands import LAST_ANSWER
from exchange.command_answers import Answer
from exchange.command_bodies import ProtocolBody, ShadowBody, decode_body
from exchange.commands import Command, CommandKind, SignedCommand, decode
from exchange.errors import CommandError, EnvelopeError
from exchange.identity import SigningKey
from exchange.shadow_reports import ShadowReport, decode_report

LOOKED_AT = 20
"""Orders about a patient's shadow that are looked at, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowOrder:
    """An order to begin a shadow, or to end it.

    Attributes:
        box: for whom.
        protocol: what is to be tried; None: what is tried ends.
        signed_by: by name.
        issued_at: ms UTC.
        state: how far it came.
        changed_at: since when, ms UTC.
        answer: what the box said last, None before.
    """

    box: str
    protocol: ProtocolBody | None
    signed_by: tuple[str, ...]
    issued_at: int
    state: CommandState
    changed_at: int
    answer: Answer | None

    @property
    def waits(self) -> bool:
        """Whether the box has not said what came of it."""
        return self.state in UNANSWERED

    @property
    def done(self) -> bool:
        """Whether the box says that it did it."""
        return self.state is CommandState.APPLIED

    @property
    def report(self) -> ShadowReport | None:
        """What the box counted last; None when it counted nothing yet, or says what cannot be read."""
        if self.answer is None or not self.answer.result:
            return None
        try:
            return decode_report(self.answer.result)
        except EnvelopeError:
            return None


def begin(connection: Sql, draft: Draft, *, revision: int, by: str, key: SigningKey, now: int) -> Command:
    """Queue the order to judge a draft's patient by it beside what holds; return it.

    Args:
        connection: in an open transaction.
        draft: to be tried, whatever its state.
        revision: which one they looked at.
        by: whose name stands for it.
        key: theirs, opened for this.
        now: ms UTC, real time.

    Raises:
        OutdatedError: it was changed since.
        CoordinationError: its text has faults, no box transmits for the patient, or a box would refuse it.
    """
    require_changed(connection, int(draft.revision == revision), draft)
    body, _ = protocol_body(draft.text.encode(), name=draft.patient, packs=finder(connection, draft.team))
    box = box_of(connection, draft.patient_row)
    return _order(connection, ShadowBody(protocol=body), box=box, patient=draft.patient, by=by, key=key, now=now)


def end(connection: Sql, patient: str, *, box: str, by: str, key: SigningKey, now: int) -> Command:
    """Queue the order to end a patient's shadow on a box; return it."""
    return _order(connection, ShadowBody(), box=box, patient=patient, by=by, key=key, now=now)


def _order(connection: Sql, body: ShadowBody, *, box: str, patient: str, by: str, key: SigningKey, now: int) -> Command:
    try:
        return order(connection, CommandKind.SHADOW, body, box=box, subject=patient, by=by, key=key, now=now)
    except CommandError as error:
        raise too_long() from error


def shadow_orders(connection: Sql, patient: str, *, team: int) -> list[ShadowOrder]:
    """Return the newest orders about a patient's shadow, newest first."""
    rows = connection.execute(
        f"SELECT box.name, content, signed_by, issued_at, state, changed_at, {LAST_ANSWER}"  # noqa: S608
        " FROM command JOIN box ON box.id = box_id WHERE kind = ? AND subject = ? AND box.team_id = ?"
        " ORDER BY version DESC LIMIT ?",
        (CommandKind.SHADOW.value, patient, team, LOOKED_AT),
    ).fetchall()
    return [_read(*row) for row in rows]


def _read(  # noqa: PLR0917 - the columns of one row
    box: str, content: bytes, signed_by: str, issued_at: int, state: str, changed_at: int, answer: bytes | None
) -> ShadowOrder:
    command = decode(msgspec.msgpack.decode(content, type=SignedCommand).command)
    body = decode_body(command.kind, command.body)
    return ShadowOrder(
        box=box,
        protocol=body.protocol if isinstance(body, ShadowBody) else None,
        signed_by=tuple(msgspec.json.decode(signed_by, type=list[str])),
        issued_at=issued_at,
        state=CommandState(state),
        changed_at=changed_at,
        answer=None if answer is None else msgspec.msgpack.decode(answer, type=Answer),
    )
