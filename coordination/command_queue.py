"""The team's queue of commands: what the sender and the inbox need of it, and the values that cross it.

A command is queued once and sent until the box answers with what came of it, or until it expires: QoS 1 and nothing
retained, since a topic can retain one message only, and a broker may lose what it keeps. A box that was away for weeks
is sent what waits as soon as it says that it is back.

SQLite implements it (sql_commands.py). Times are ms UTC, real time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from exchange.command_answers import Answer
from exchange.commands import Command, CommandKind, SignedCommand


class CommandState(StrEnum):
    """How far a command came."""

    TO_SIGN = "to_sign"
    """One person signed it; it waits here for a second one and is not sent."""
    QUEUED = "queued"
    """It waits here."""
    SENT = "sent"
    """The broker has it; the box has not answered."""
    ACCEPTED = "accepted"
    """The box has it and is at it."""
    APPLIED = "applied"
    """Done, the box says."""
    REFUSED = "refused"
    """The box says why not."""
    OVERTAKEN = "overtaken"
    """A newer one of the same matter took its place before the box answered."""
    EXPIRED = "expired"
    """The box did not answer in time. It may have heard it all the same: its next answer says so."""


UNANSWERED = (CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A command that is to be sent now, for the `attempts`th time."""

    box: str
    id: str
    kind: CommandKind
    signed: SignedCommand
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandView:
    """One command as people see it.

    Attributes:
        box: for whom.
        id: of the command.
        kind: what to do.
        subject: pseudonym, "" when it is about the box.
        about: of what.
        signed_by: names, as their keys call them; empty when the team's programs sign it.
        protocol_hash: what a protocol must have; "" for other kinds.
        issued_at: when it was made.
        expires_at: until when it may be obeyed.
        state: how far it came.
        changed_at: since when.
        answer: what the box said last, None before.
    """

    box: str
    id: str
    kind: CommandKind
    subject: str
    about: str
    signed_by: tuple[str, ...]
    protocol_hash: str
    issued_at: int
    expires_at: int
    state: CommandState
    changed_at: int
    answer: Answer | None


class CommandQueue(Protocol):
    """The queue, used from one thread; each call is one transaction."""

    def queue(
        self, command: Command, signed: SignedCommand, *, signed_by: Sequence[str], now: int, by: str = "team"
    ) -> None:
        """Keep a command to be sent, and that `by` sends it.

        One without signatures is signed by the team's programs as it leaves.
        """
        ...

    def last_version(self, box: str, series: tuple[str, str, str]) -> int:
        """Return the highest version that was queued for a box, or that it said it has, in a series; 0 for none."""
        ...

    def claim(self, *, now: int) -> tuple[Due, ...]:
        """Return what is to be sent now, each to one caller only, and let go what has expired."""
        ...

    def sent(self, command: str, *, now: int) -> None:
        """Keep that the broker took a command."""
        ...

    def hurry(self, box: str, *, now: int) -> None:
        """Let what waits for a box be sent at once: it has just come back."""
        ...

    def keep_protocols(self, texts: Mapping[str, str], *, at: int) -> None:
        """Keep resolved protocols (hash -> TOML) for good: the alerts that they raise name them."""
        ...
