"""What a box answers to a command, sealed to its team and signed: received, done, or not and why.

An answer carries the hash of the protocol that the box judges the command's patient by after the command, whatever
became of it. It travels sealed: from a pathway's hash whoever keeps the broker would read what a patient suffers from.

What is not here: when to answer (the box), and what the team makes of it.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from exchange.errors import UNDECODABLE, EnvelopeError
from exchange.identity import OpeningKey, SigningKey
from exchange.messages import Milliseconds, Name, Said
from exchange.sealed_notes import Purpose, Reader, read_note, seal_note

VERSION = 1
MAX_RESULT_BYTES = 16_384
MAX_RESULT_DEPTH = 16
MAX_SENTENCES = 8


class AnswerState(StrEnum):
    """What became of a command."""

    WAITING = "waiting"
    """The box cannot say yet, for want of the time: it must be sent again."""
    ACCEPTED = "accepted"
    """It is authentic and safe on the box; it is being done."""
    APPLIED = "applied"
    """It is done."""
    REFUSED = "refused"
    """It will not be done."""


class Answer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a box says about one command.

    Attributes:
        v: version of this shape.
        box: which box.
        command: the command's id.
        state: what became of it.
        at: ms UTC by the box's clock.
        reason: why it was refused, one fixed word; "" otherwise.
        said: what a person must know about it, in both languages.
        protocol_hash: the protocol that the command's patient is judged by now; "" when it is about no patient.
        highest: the highest version that the box accepted in the command's series.
        result: what it found, JSON, in the shape of its kind; empty when there is nothing.
    """

    v: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    box: Name
    command: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    state: AnswerState
    at: Milliseconds
    reason: Annotated[str, Meta(max_length=32)] = ""
    said: Annotated[tuple[Said, ...], Meta(max_length=MAX_SENTENCES)] = ()
    protocol_hash: Annotated[str, Meta(max_length=64)] = ""
    highest: Annotated[int, Meta(ge=0, le=2**53)] = 0
    result: Annotated[bytes, Meta(max_length=MAX_RESULT_BYTES)] = b""


def seal_answer(answer: Answer, *, signer: SigningKey, readers: Sequence[Reader]) -> bytes:
    """Return an answer as it travels.

    Raises:
        EnvelopeError: "content" when the team would refuse it.
    """
    raw = msgspec.msgpack.encode(answer)
    _decode(raw)
    return seal_note(raw, purpose=Purpose.ANSWER, box=answer.box, signer=signer, readers=readers)


def open_answer(
    data: bytes, *, box: str, keys: Sequence[OpeningKey], signer_of: Callable[[str, str], bytes | None]
) -> Answer:
    """Return the answer that arrived on a topic of `box`; `signer_of` is as in `sealing.Opener`.

    Raises:
        EnvelopeError: "oversize", "malformed", "version", "box", "signer", "signature", "recipient", "decrypt" or
            "content", looked for in this order.
    """
    note = read_note(data, purpose=Purpose.ANSWER, box=box)
    note.verify(signer_of(box, note.header.signer))
    answer = _decode(note.open(keys))
    if answer.box != box:
        raise EnvelopeError("box", f"of {answer.box}, arrived on a topic of {box}")
    return answer


def _decode(raw: bytes) -> Answer:
    try:
        answer = msgspec.msgpack.decode(raw, type=Answer)
        found = msgspec.json.decode(answer.result) if answer.result else None
    except UNDECODABLE as error:
        raise EnvelopeError("content", str(error)) from error
    if _is_deep(found):
        raise EnvelopeError("content", f"a result of more than {MAX_RESULT_DEPTH} levels")
    return answer


def _is_deep(value: object) -> bool:
    """Return whether a tree has more levels than a result may have: whoever shows it goes down into each."""
    level = [value]
    for _ in range(MAX_RESULT_DEPTH):
        level = [
            part
            for one in level
            if isinstance(one, (dict, list))
            for part in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)
