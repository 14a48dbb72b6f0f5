"""How far a protocol that was sent has come, by the queue and by the box's own answers.

*Applied* is said only when the box answered with the hash of the very protocol that people signed.

What is not here: the words that a page has for it.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from alerting.alert import Sentence
from coordination.command_queue import CommandState
from coordination.request_words import REASONS
from coordination.sql import Sql
from coordination.sql_commands import LAST_ANSWER
from exchange.command_answers import Answer, AnswerState


class Stage(StrEnum):
    """How far it came."""

    QUEUED = "queued"
    """It waits for the box, sent to the broker or not: the box has not answered."""
    RECEIVED = "received"
    APPLIED = "applied"
    OTHER = "other"
    """The box says that it is done, and names another hash."""
    REFUSED = "refused"
    OVERTAKEN = "overtaken"
    EXPIRED = "expired"


_STAGES = {
    CommandState.QUEUED: Stage.QUEUED,
    CommandState.SENT: Stage.QUEUED,
    CommandState.ACCEPTED: Stage.RECEIVED,
    CommandState.APPLIED: Stage.APPLIED,
    CommandState.REFUSED: Stage.REFUSED,
    CommandState.OVERTAKEN: Stage.OVERTAKEN,
    CommandState.EXPIRED: Stage.EXPIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One that was sent.

    Attributes:
        stage: how far it came.
        since: since when, ms UTC.
        sent: whether the broker has taken it.
        why: what the box said, when it refused or waits; empty otherwise.
        box_hash: of the protocol that the box says it applies, "" before it answered.
    """

    stage: Stage
    since: int
    sent: bool
    why: tuple[Sentence, ...]
    box_hash: str


def delivery_of(connection: Sql, command: str, *, protocol_hash: str) -> Delivery | None:
    """Return how far an order came, None when it was never queued.

    Args:
        connection: of the team's database.
        command: the order's id.
        protocol_hash: of the protocol that people signed.
    """
    row = connection.execute(
        f"SELECT state, changed_at, {LAST_ANSWER} FROM command WHERE id = ?",  # noqa: S608
        (command,),
    ).fetchone()
    if row is None:
        return None
    state, since, content = row
    answer = None if content is None else msgspec.msgpack.decode(content, type=Answer)
    stage = _STAGES[CommandState(state)]
    box_hash = "" if answer is None else answer.protocol_hash
    if stage is Stage.APPLIED and box_hash != protocol_hash:
        stage = Stage.OTHER
    return Delivery(
        stage=stage, since=since, sent=state != CommandState.QUEUED.value, why=why_of(answer), box_hash=box_hash
    )


def why_of(answer: Answer | None) -> tuple[Sentence, ...]:
    """Return what a box said against an order, or why it waits; empty when it did neither."""
    if answer is None or answer.state not in {AnswerState.REFUSED, AnswerState.WAITING}:
        return ()
    if answer.said:
        return tuple(Sentence(fr=one.fr, en=one.en) for one in answer.said)
    reason = REASONS.get(answer.reason)
    return (reason if reason is not None else Sentence(fr=answer.reason, en=answer.reason),) if answer.reason else ()
