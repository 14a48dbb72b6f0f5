"""What the inbox needs from the team's database: one small interface, and the values that cross it.

sql_database.py implements it on SQLite and on PostgreSQL, with the same statements. Each call is one transaction: when
it returns, what it says is on the disk; when it raises, nothing of it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from alerting.alert import AlertChange
from alerting.care_protocol import CareProtocol
from coordination.attribution import Assignment, TeamChange
from coordination.audit_log import AuditLog
from coordination.command_queue import CommandQueue
from exchange.command_answers import Answer
from exchange.identity import SigningKey
from exchange.messages import Status
from exchange.receipts import Credit, Receipt
from exchange.sealing import Opened

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A message that is forged, foreign or malformed.

    Attributes:
        box: what its topic said, None when that is no box id.
        reason: see `exchange.errors.EnvelopeError`.
        size: bytes.
        sha256: of the message, hexadecimal.
    """

    box: str | None
    reason: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """An authentic status; `retained` when the broker had kept it, so that it says nothing about now."""

    status: Status
    retained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An authentic answer of a box to a command, received at `at` (ms UTC, real time)."""

    answer: Answer
    at: int


Arrival = Opened | Presence | Answered | Refused
"""What may come out of a message: an authentic envelope, an authentic status or answer, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, as one worker of the inbox sees it.

    Attributes:
        at: ms UTC by the injected clock.
        fresh: for how many ms of that clock, up to `at`, the worker has been able to hear boxes since it last looked.
    """

    at: int
    fresh: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listened:
    """Now, on the team's side as a whole.

    Attributes:
        at: ms UTC by the injected clock.
        listened: for how many ms of that clock, in all, at least one worker has been able to hear boxes.
    """

    at: int
    listened: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReceipt:
    """A receipt as it is sent to `box`."""

    box: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One patient and the box that transmits for them.

    Attributes:
        assignment: one that holds, or one that has ended and whose alert still stands.
        heard_at: ms UTC when a message of the box last said something new; None when none ever did.
        listened: what `Listened.listened` was then, or when the assignment began to be watched if that is later.
        standing: the `not_transmitted` alert that stands, as last changed.
    """

    assignment: Assignment
    heard_at: int | None
    listened: int
    standing: AlertChange | None


Judge = Callable[[Listened, Sequence[Watched]], Sequence[TeamChange]]
"""Says what changes now about the silence of those who are watched."""


class Database(Protocol):
    """The team's database, used from one thread."""

    @property
    def commands(self) -> CommandQueue:
        """What boxes are to be told."""
        ...

    def enrol(self, boxes: Sequence[str], assignments: Sequence[Assignment], *, at: int) -> None:
        """Make these boxes and assignments the ones that hold, and attribute what now can be.

        An assignment that is no longer listed ends where the patient's next one begins, or at `at` (ms UTC).

        Raises:
            DatabaseBusyError: nothing was changed.
        """
        ...

    def protocols_at_desk(self) -> Mapping[str, CareProtocol]:
        """Return by which care protocols the patients that people took on at the desk are followed: by pseudonym."""
        ...

    def store(
        self,
        arrivals: Sequence[Arrival],
        *,
        moment: Moment,
        receipt_at: int,
        sign: Callable[[Receipt], bytes],
        credit: Credit | None = None,
    ) -> tuple[SignedReceipt, ...]:
        """Store each record once, and return the receipts of every envelope among `arrivals`, old or new.

        What another worker stored meanwhile counts as stored.

        Args:
            arrivals: in the order received.
            moment: when they were received.
            receipt_at: ms UTC, real time.
            sign: signs one receipt.
            credit: how much each box that is receipted may have on its way from now on.

        Raises:
            DatabaseBusyError: nothing was stored.
        """
        ...

    def watch(self, judge: Judge, *, moment: Moment) -> int | None:
        """Let `judge` see every watched patient, and keep the changes that it returns; put back what nobody handled.

        Returns:
            When the next alert goes back to the list or is told to the physicians, ms UTC; None for never.

        Several workers may do so one after the other: each sees what the ones before it kept.

        Raises:
            DatabaseBusyError: nothing was kept.
        """
        ...

    def audited(self, work: Callable[[AuditLog], _Found]) -> _Found:
        """Do some work on the team's record of acts; return what it returns.

        Raises:
            DatabaseBusyError: nothing was entered.
        """
        ...

    def settle_audit(self, key: SigningKey, *, at: int, before: int) -> None:
        """Sign, at `at`, for the acts entered since the last time, and delete those of before `before` (ms UTC).

        Raises:
            DatabaseBusyError: nothing was changed.
        """
        ...

    def close(self) -> None:
        """Close the database."""
        ...
