"""What a part of the box that obeys commands is given, and what it gives back.

A part says what came of an order; whoever asked keeps and sends the answer (`commands`). A part that keeps it itself,
in the transaction in which the order takes effect, makes the answer with `Order.answered` and hands it back.

Not here: whether an order may be obeyed. By the time a part sees it, it is authentic, allowed, in time and new.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from alerting.alert import Sentence
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import Body
from exchange.commands import Command, Signatory
from exchange.messages import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an order.

    Attributes:
        went_well: whether it is done.
        reason: why not, one fixed word; "" when it is.
        said: what people must know of it.
        result: what was found, JSON; empty when there is nothing.
        kept: the answer, when it is kept already.
    """

    went_well: bool
    reason: str = ""
    said: tuple[Sentence, ...] = ()
    result: bytes = field(default=b"", repr=False)
    kept: Answer | None = None


def applied(*said: Sentence, result: bytes = b"", kept: Answer | None = None) -> Done:
    """Return that an order is done."""
    return Done(went_well=True, said=said, result=result, kept=kept)


def refused(reason: str, *said: Sentence, result: bytes = b"") -> Done:
    """Return that an order is not done, and why."""
    return Done(went_well=False, reason=reason, said=said, result=result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command that may be obeyed.

    Attributes:
        command: what was ordered.
        body: its body.
        by: who signed it.
        at: ms UTC by the box's clock, when it came.
    """

    command: Command
    body: Body
    by: tuple[Signatory, ...]
    at: int

    def answered(self, done: Done, *, protocol_hash: str) -> Answer:
        """Return the answer that says what came of it, and by which protocol its patient is judged now."""
        return Answer(
            box=self.command.box,
            command=self.command.id,
            state=AnswerState.APPLIED if done.went_well else AnswerState.REFUSED,
            at=self.at,
            reason=done.reason,
            said=tuple(Said(fr=one.fr[:1000], en=one.en[:1000]) for one in done.said),
            protocol_hash=protocol_hash,
            highest=self.command.version,
            result=done.result,
        )


Handler = Callable[[Order], Awaitable[Done]]
"""Obeys commands of one kind. What it has begun when the box stops is begun again at the next start."""
