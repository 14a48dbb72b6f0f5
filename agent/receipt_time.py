"""What time it is, by a receipt: the team signs when it made one, and the box knows since when it can have been made.

Where the network lets no time through (NTP blocked), the team's receipts still come. One vouches for the time when it
answers a *question*: a place in the numbers of this process's own epoch that had not been given yet when the box
looked at its monotonic clock. The epoch is random and new at each opening of the database, so that

- a receipt of another boot, another database or another box names another epoch, and says nothing here;
- one that was recorded and is sent again answers no question that is still open;
- one that is held back ages by the monotonic clock: the time it says lies between the question and its arrival, and
  beyond `FRESH_MS` between the two it is not believed. So whoever delays receipts can put the box's time wrong by less
  than that, and whoever cannot sign as the team can do no more.

What is not believed either is a time before the program was built, or before the team's list was signed by its root,
which no server of the team can do. Pure. Not here: the signature (`exchange.sealing`), what the box makes of the time
(`box_clock`), and when it asks (`time_keeper`). Why it is safe: docs/adr/0030.
"""

from dataclasses import dataclass
from typing import Final

from exchange.receipts import Receipt

FRESH_MS: Final = 60_000
"""How long a question may wait for its answer, inclusive: by half of that the time may be wrong afterwards."""
SLACK_MS: Final = 86_400_000
"""The clock of whoever signs lists, offline, may be ahead by a day."""


def earliest(*, build_ms: int, list_issued_at: int) -> int:
    """Return before when (ms UTC) it cannot be.

    Args:
        build_ms: when the program was built.
        list_issued_at: when the root signed the team list that the box holds; 0: no root is pinned.
    """
    return max(build_ms, list_issued_at - SLACK_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """From when on a receipt can have been signed that says something new.

    Attributes:
        epoch: under which numbers are given, 32 hexadecimal digits.
        seq: the first number that nobody had given yet.
        mono: monotonic ms of this boot, read before.
    """

    epoch: str
    seq: int
    mono: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The time by a receipt: `at` ms UTC or up to `within` ms later, at the monotonic time at which it was read."""

    at: int
    within: int


def told(question: Question, receipt: Receipt, *, mono: int, not_before: int) -> Told | None:
    """Return the time that a receipt vouches for, None when it vouches for none.

    Args:
        question: the last one that was asked in this boot.
        receipt: of this box; its signature was verified.
        mono: monotonic ms of this boot, now.
        not_before: ms UTC, inclusive: it is later than that for sure.
    """
    within = mono - question.mono
    answers = any(
        part.epoch == question.epoch and any(item.last >= question.seq for item in part.ranges)
        for part in receipt.epochs
    )
    if not answers or not 0 <= within <= FRESH_MS:
        return None
    if receipt.at < not_before:
        return None
    return Told(at=receipt.at, within=within)
