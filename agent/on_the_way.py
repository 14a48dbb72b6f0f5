"""What the box has sent and has no receipt for: how much more may leave now, and what is to be sent again.

- Alerts and readings are counted apart. Alerts have a window of their own and wait for no credit.
- Readings keep to the smallest of three: the box's own window, its own number of bytes (what is ahead of an alert on
  a slow line), and the credit that the team gave with its last receipt. At least one envelope may always leave.
- Until the first receipt over a connection, the box has a small credit: what thousands of boxes send at once after
  an outage, before anybody could ask them for less.

Pure: seconds of a monotonic clock are an argument. Not here: sending, and what a receipt frees.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.outbox import Entry
from agent.settings import ForwarderSettings
from exchange.receipts import Credit
from exchange.sealing import LANE_ALERTS, MAX_MESSAGE_BYTES

FIRST_CREDIT = 4
"""Envelopes of readings that may leave before the team has said how many may."""
LONGEST_BACKOFF = 8
"""A receipt is waited for up to this many times the first timeout."""


@dataclass(slots=True)
class _Sent:
    alert: bool
    size: int
    attempts: int
    again_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many more envelopes of alerts and of readings may leave now, and how many bytes of readings."""

    alerts: int
    readings: int
    size: int


class OnTheWay:
    """The envelopes without a receipt, by the sequence number of their first record."""

    def __init__(self, settings: ForwarderSettings) -> None:
        self._settings = settings
        self._sent: dict[int, _Sent] = {}
        self._credit: Credit | None = None
        self._receipted = False

    def begin(self) -> None:
        """Forget all of it: a new connection begins."""
        self._sent.clear()
        self._credit = None
        self._receipted = False

    def receipted(self, freed: Iterable[int], credit: Credit | None) -> None:
        """Take up what a receipt says."""
        for first in freed:
            self._sent.pop(first, None)
        self._credit = credit
        self._receipted = True

    @property
    def window(self) -> int:
        """How many envelopes of readings may be on their way."""
        if not self._receipted:
            return min(self._settings.window, FIRST_CREDIT)
        return self._settings.window if self._credit is None else min(self._settings.window, self._credit.envelopes)

    @property
    def window_bytes(self) -> int:
        """How many bytes of readings may be on their way, unless a single envelope is larger."""
        own = self._settings.window_kib << 10
        return own if self._credit is None else min(own, self._credit.size)

    def still(self, now: float) -> list[int]:
        """Return what is on its way and not to be sent again yet."""
        return [first for first, sent in self._sent.items() if sent.again_at > now]

    def room(self, now: float) -> Room:
        """Return how much more may leave."""
        alive = [sent for sent in self._sent.values() if sent.again_at > now]
        sizes = [sent.size for sent in alive if not sent.alert]
        return Room(
            alerts=max(0, self._settings.window - (len(alive) - len(sizes))),
            readings=max(0, self.window - len(sizes)),
            # One envelope may always leave, however large it is.
            size=max(0, self.window_bytes - sum(sizes)) if sizes else max(self.window_bytes, MAX_MESSAGE_BYTES),
        )

    def leave(self, entries: Sequence[Entry], now: float) -> None:
        """Count these as on their way; what was overdue and is not among them waits as if it had never been sent."""
        leaving = {entry.first for entry in entries}
        for first in [first for first, sent in self._sent.items() if sent.again_at <= now and first not in leaving]:
            del self._sent[first]
        for entry in entries:
            self._count(entry, now)

    def again_within(self, first: int, seconds: float, now: float) -> bool:
        """Send an entry again sooner than for want of a receipt, later at each attempt; return whether that is so."""
        sent = self._sent.get(first)
        if sent is None:
            return False
        pause = seconds * 2.0 ** min(sent.attempts - 1, LONGEST_BACKOFF)
        sent.again_at = min(sent.again_at, now + pause)
        return True

    def next_due(self) -> float | None:
        """Return when something is to be sent again; None while nothing is on its way."""
        return min((sent.again_at for sent in self._sent.values()), default=None)

    def _count(self, entry: Entry, now: float) -> None:
        before = self._sent.get(entry.first)
        attempts = 1 if before is None else before.attempts + 1
        wait = self._settings.receipt_timeout * min(2 ** (attempts - 1), LONGEST_BACKOFF)
        # Jitter spreads a fleet that lost the same broker; it is no secret.
        again_at = now + wait * random.uniform(0.75, 1.25)  # noqa: S311
        self._sent[entry.first] = _Sent(
            alert=entry.lane == LANE_ALERTS, size=len(entry.body), attempts=attempts, again_at=again_at
        )
